"""Observations as callers find them; who may see what is part of every statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from dateutil.relativedelta import relativedelta
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    column,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    table,
    text,
    true,
)

from ocs.kernel.database import ReadSession
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.observations import models
from ocs.portal.observations.records import Observation, Status, Summary, TelescopeKey
from ocs.portal.observations.schemas import Cancellation, ObservationFilters, StatusFilters
from ocs.portal.observations.states import ObservationState, StatusState
from ocs.portal.requests.api import ObservationType

# What the neighbours publish of their tables.
_REQUESTS = table("request", column("id"), column("group_id"), column("state"), schema="requests")
_GROUPS = table("request_group", column("id"), column("submitter_id"), schema="requests")
_CONFIGURATIONS = table(
    "configuration", column("id"), column("request_id"), column("instrument_type"), column("type"),
    schema="requests",
)  # fmt: skip
_USERS = table("user", column("id"), column("username"), schema="accounts")
_PROPOSALS = table("proposal", column("id"), column("public", Boolean), schema="proposals")

_O = models.Observation
_S = models.ConfigurationStatus


def visible(principal: Principal) -> ColumnElement[bool]:
    """Return the condition under which a caller sees an observation."""
    is_public = _O.proposal_id.in_(select(_PROPOSALS.c.id).where(_PROPOSALS.c.public))
    if principal.sees_everything:
        return true()
    return or_(controlled(principal), is_public) if principal.is_authenticated else is_public


def controlled(principal: Principal) -> ColumnElement[bool]:
    """Return the condition under which an observation is the caller's to change: public is not enough."""
    if principal.sees_everything:
        return true()
    own = _O.proposal_id.in_(sorted(principal.proposal_ids)) if principal.proposal_ids else false()
    if principal.view_authored_requests_only:
        return own & submitted_by(principal)
    return own


def _of_request(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(literal(1)).where(_REQUESTS.c.id == _O.request_id, *conditions))


def _of_group(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(
        select(literal(1))
        .select_from(_REQUESTS)
        .join(_GROUPS, _GROUPS.c.id == _REQUESTS.c.group_id)
        .where(_REQUESTS.c.id == _O.request_id, *conditions)
    )


def _of_configuration(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(
        select(literal(1))
        .select_from(_S)
        .join(_CONFIGURATIONS, _CONFIGURATIONS.c.id == _S.configuration_id)
        .where(_S.observation_id == _O.id, *conditions)
    )


def _span(name: str, now: datetime) -> tuple[datetime, datetime]:
    """Return the first and the last instant (excluded) of a named span of time, UTC."""
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    day = timedelta(days=1)
    match name:
        case "today":
            return today, today + day
        case "yesterday":
            return today - day, today
        case "week":
            return today - 7 * day, today + day
        case "month":
            return today.replace(day=1), today.replace(day=1) + relativedelta(months=1)
        case _:
            return today.replace(month=1, day=1), today.replace(month=1, day=1) + relativedelta(years=1)


def _conditions(filters: ObservationFilters, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool] | None] = [
        _O.site.in_(filters.site) if filters.site else None,
        _O.enclosure.in_(filters.enclosure) if filters.enclosure else None,
        _O.telescope.in_(filters.telescope) if filters.telescope else None,
        _O.priority == filters.priority if filters.priority is not None else None,
        # Written out, so that the index on what is open can be used.
        _O.state.in_(bindparam("states", list(filters.state), expanding=True, literal_execute=True))
        if filters.state
        else None,
        _O.start >= filters.start_after if filters.start_after else None,
        _O.start < filters.start_before if filters.start_before else None,
        _O.end >= filters.end_after if filters.end_after else None,
        _O.end < filters.end_before if filters.end_before else None,
        _O.modified >= filters.modified_after if filters.modified_after else None,
        _O.created >= filters.created_after if filters.created_after else None,
        _O.created < filters.created_before if filters.created_before else None,
        _O.request_id == filters.request_id if filters.request_id is not None else None,
        _of_request(_REQUESTS.c.group_id == filters.request_group_id)
        if filters.request_group_id is not None
        else None,
        _of_group(_GROUPS.c.submitter_id.in_(select(_USERS.c.id).where(_USERS.c.username == filters.user)))
        if filters.user
        else None,
        _O.proposal_id == filters.proposal if filters.proposal else None,
        _O.observation_type.in_(filters.observation_type) if filters.observation_type else None,
        _of_request(_REQUESTS.c.state.in_(filters.request_state)) if filters.request_state else None,
        _of_configuration(_CONFIGURATIONS.c.instrument_type.in_(filters.instrument_type))
        if filters.instrument_type
        else None,
        _of_configuration(_CONFIGURATIONS.c.type.in_(filters.configuration_type))
        if filters.configuration_type
        else None,
    ]
    if filters.time_span:
        first, last = _span(filters.time_span, now)
        found += [_O.start >= first, _O.start < last]
    return [condition for condition in found if condition is not None]


def _order(ordering: str | None) -> list[Any]:
    keys = []
    for name in (ordering or "").split(","):
        if name:
            key = getattr(_O, name.strip().removeprefix("-"))
            keys.append(key.desc() if name.strip().startswith("-") else key)
    descends = not ordering or ordering.strip().startswith("-")
    return [*keys, _O.id.desc() if descends else _O.id]


_STATUS_COLUMNS: tuple[Any, ...] = (
    _S.id,
    _S.configuration_id,
    _S.instrument_name,
    _S.guide_camera_name,
    _S.state,
    _S.time_charged_h,
    _S.summary_start,
    _S.summary_end,
    _S.summary_state,
    _S.summary_reason,
    _S.summary_time_completed_s,
    _S.summary_events,
)


def _statuses_as_json() -> Any:
    statuses = (
        select(*_STATUS_COLUMNS)
        .where(_S.observation_id == _O.id)
        .order_by(_S.id)
        .correlate(_O)
        .subquery("status")
    )
    row = func.json_build_array(*statuses.c)
    return select(cast(func.json_agg(row), Text)).select_from(statuses).scalar_subquery().label("statuses")


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def status_of(values: Sequence[Any]) -> Status:
    """Return a status from its columns, as the database or its JSON has them."""
    id_, configuration_id, instrument, guide_camera, state, charged, start, end, *rest = values
    summary = None
    if start is not None:
        outcome, reason, completed_s, events = rest
        summary = Summary(_moment(start), _moment(end), outcome, reason, float(completed_s), events)
    return Status(
        id_, configuration_id, instrument, guide_camera, StatusState(state), float(charged), summary
    )


def _observation(row: Row[Any]) -> Observation:
    observation: models.Observation = row[0]
    return Observation(
        id=observation.id,
        request_id=observation.request_id,
        proposal_id=observation.proposal_id,
        observation_type=ObservationType(observation.observation_type),
        telescope=TelescopeKey(observation.site, observation.enclosure, observation.telescope),
        start=observation.start,
        end=observation.end,
        priority=observation.priority,
        state=ObservationState(observation.state),
        ours=observation.ours,
        created=observation.created,
        modified=observation.modified,
        statuses=tuple(status_of(item) for item in orjson.loads(row.statuses or "[]")),
    )


def _observations() -> Select[Any]:
    return select(_O, _statuses_as_json())


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what a caller finds, and how many there are in all."""

    count: int
    observations: list[Observation]


async def page_of_observations(
    session: ReadSession,
    principal: Principal,
    filters: ObservationFilters,
    page: PageRequest,
    now: datetime,
) -> Found:
    """Return a page of the observations a caller finds, normally in one statement."""
    conditions = [visible(principal), *_conditions(filters, now)]
    return await page_where(session, conditions, filters.ordering, page)


async def page_where(
    session: ReadSession, conditions: Sequence[ColumnElement[bool]], ordering: str | None, page: PageRequest
) -> Found:
    """Return a page of the observations that fulfil conditions."""
    count = select(func.count()).select_from(_O).where(*conditions)
    statement = (
        _observations()
        .add_columns(count.scalar_subquery().label("total"))
        .where(*conditions)
        .order_by(*_order(ordering))
        .limit(page.limit)
        .offset(page.offset)
    )
    rows = (await session.execute(statement)).all()
    if rows:
        return Found(rows[0].total, [_observation(row) for row in rows])
    return Found(int((await session.execute(count)).scalar_one()) if page.offset else 0, [])


async def find_observation(
    session: ReadSession, principal: Principal, id_: int, *, to_change: bool = False
) -> Observation | None:
    """Return an observation the caller may see, or change."""
    return await find_where(session, id_, [controlled(principal) if to_change else visible(principal)])


async def find_where(
    session: ReadSession, id_: int, conditions: Sequence[ColumnElement[bool]]
) -> Observation | None:
    """Return an observation if it fulfils conditions."""
    row = (await session.execute(_observations().where(_O.id == id_, *conditions))).one_or_none()
    return _observation(row) if row is not None else None


def of_type(observation_type: ObservationType) -> ColumnElement[bool]:
    """Return the condition for observations of a type."""
    return _O.observation_type == observation_type


def submitted_by(principal: Principal) -> ColumnElement[bool]:
    """Return the condition for observations of a caller's own requests."""
    return _of_group(_GROUPS.c.submitter_id == principal.user_id)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An observation somebody wants to take back."""

    id: int
    request_id: int
    observation_type: ObservationType
    state: ObservationState


async def candidates(
    session: ReadSession, principal: Principal, *conditions: ColumnElement[bool]
) -> list[Candidate]:
    """Return what is open of the observations that are the caller's to change."""
    rows = await session.execute(
        select(_O.id, _O.request_id, _O.observation_type, _O.state)
        .where(controlled(principal), text("state IN ('PENDING', 'IN_PROGRESS')"), *conditions)
        .order_by(_O.id)
    )
    return [
        Candidate(id_, request_id, ObservationType(kind), ObservationState(state))
        for id_, request_id, kind, state in rows
    ]


def chosen(
    cancellation: Cancellation,
    types: Sequence[ObservationType],
    proposal_ids: frozenset[str] | None,
) -> list[ColumnElement[bool]]:
    """Return the conditions of a cancellation; `proposal_ids` of None does not limit."""
    conditions: list[ColumnElement[bool]] = [_O.observation_type.in_(types)]
    if cancellation.ids is not None:
        conditions.append(_O.id.in_(cancellation.ids))
    elif cancellation.start is not None and cancellation.end is not None:
        conditions += [_O.end > cancellation.start, _O.start < cancellation.end]
    for part in ("site", "enclosure", "telescope"):
        if code := getattr(cancellation, part):
            conditions.append(getattr(_O, part) == code)
    if proposal_ids is not None:
        conditions.append(_O.proposal_id.in_(sorted(proposal_ids)))
    return conditions


async def observations_of_request(
    session: ReadSession, request_id: int, *, exclude_canceled: bool
) -> list[Observation]:
    """Return the observations of a request in the order of their ids."""
    statement = _observations().where(_O.request_id == request_id).order_by(_O.id)
    if exclude_canceled:
        statement = statement.where(_O.state != ObservationState.CANCELED)
    return [_observation(row) for row in await session.execute(statement)]


async def page_of_statuses(
    session: ReadSession, filters: StatusFilters, page: PageRequest
) -> tuple[int, list[Status]]:
    """Return how many statuses there are, and a page of them, the latest first."""
    conditions: list[ColumnElement[bool]] = []
    if filters.site:
        conditions.append(
            exists(select(literal(1)).where(_O.id == _S.observation_id, _O.site == filters.site))
        )
    if filters.instrument_name:
        conditions.append(_S.instrument_name == filters.instrument_name)
    if filters.guide_camera_name:
        conditions.append(_S.guide_camera_name == filters.guide_camera_name)
    if filters.state:
        conditions.append(_S.state.in_(filters.state))
    count = int((await session.execute(select(func.count()).select_from(_S).where(*conditions))).scalar_one())
    rows = await session.execute(
        select(*_STATUS_COLUMNS)
        .where(*conditions)
        .order_by(_S.id.desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return count, [status_of(row) for row in rows]


async def find_status(session: ReadSession, id_: int) -> Status | None:
    """Return a status."""
    row = (await session.execute(select(*_STATUS_COLUMNS).where(_S.id == id_))).one_or_none()
    return status_of(row) if row is not None else None
