"""All SQL of the request groups."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Label,
    Select,
    Text,
    cast,
    column,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    table,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.types import NullType

from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.requests.models import (
    Configuration,
    Draft,
    Request,
    RequestGroup,
    Seeing,
    Submission,
    TelescopeEvent,
    Window,
)
from ocs.portal.requests.readiness import Event
from ocs.portal.requests.schemas import GroupFilters, RequestFilters
from ocs.portal.requests.states import ObservationType, State

# What the neighbours publish of their tables.
_USERS = table("user", column("id"), column("username"), column("is_staff", Boolean), schema="accounts")
_PROPOSALS = table(
    "proposal", column("id"), column("active", Boolean), column("public", Boolean), schema="proposals"
)

_SCHEDULED = [item.value for item in ObservationType if item.is_scheduled]


# --- searching


def grams(prefix: str, value: str) -> set[str]:
    """Return the three-letter pieces of a text, by which a search for a part of it starts."""
    lower = value.lower()
    return {f"{prefix}:{lower[index : index + 3]}" for index in range(len(lower) - 2)}


def visible(principal: Principal) -> ColumnElement[bool]:
    """Return the condition under which a caller sees a group, for statements that select from groups."""
    if principal.sees_everything:
        return true()
    is_public = RequestGroup.proposal_id.in_(select(_PROPOSALS.c.id).where(_PROPOSALS.c.public))
    if not principal.is_authenticated:
        return is_public
    own = RequestGroup.proposal_id.in_(sorted(principal.proposal_ids)) if principal.proposal_ids else false()
    if principal.view_authored_requests_only:
        return or_(own, is_public) & (RequestGroup.submitter_id == principal.user_id)
    return or_(own, is_public)


def _has_request(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(literal(1)).where(Request.group_id == RequestGroup.id, *conditions))


def _contains(text_column: Any, part: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = func.lower(text_column).contains(part.lower(), autoescape=True)
    return found


def _has_grams(prefix: str, part: str) -> ColumnElement[bool]:
    pieces = grams(prefix, part)
    return RequestGroup.grams.contains(sorted(pieces)) if pieces else true()


def _window_end(aggregate: Any) -> Any:
    return (
        select(aggregate(Window.end))
        .join(Request, Request.id == Window.request_id)
        .where(Request.group_id == RequestGroup.id)
        .scalar_subquery()
    )


def _conditions(filters: GroupFilters) -> list[ColumnElement[bool]]:
    group = RequestGroup
    found: list[ColumnElement[bool] | None] = [
        group.id == filters.id if filters.id is not None else None,
        group.ipp_value == filters.ipp_value if filters.ipp_value is not None else None,
        group.submitter_id == filters.submitter if filters.submitter is not None else None,
        group.proposal_id == filters.proposal if filters.proposal else None,
        group.submitter_id.in_(select(_USERS.c.id).where(_contains(_USERS.c.username, filters.user)))
        if filters.user
        else None,
        _has_grams("n", filters.name) & _contains(group.name, filters.name) if filters.name else None,
        group.observation_type == filters.observation_type if filters.observation_type else None,
        group.operator == filters.operator if filters.operator else None,
        group.state.in_(filters.state) if filters.state else None,
        group.state.not_in(filters.exclude_state) if filters.exclude_state else None,
        _has_request(Request.telescope_class.in_(filters.telescope_class))
        if filters.telescope_class
        else None,
        group.created >= filters.created_after if filters.created_after else None,
        group.created <= filters.created_before if filters.created_before else None,
        _has_request(Request.modified >= filters.modified_after) if filters.modified_after else None,
        _has_request(Request.modified <= filters.modified_before) if filters.modified_before else None,
        _has_request(Request.id == filters.request_id) if filters.request_id is not None else None,
    ]
    if filters.target:
        named = exists(
            select(literal(1))
            .select_from(Configuration)
            .join(Request, Request.id == Configuration.request_id)
            .where(Request.group_id == group.id, _contains(Configuration.target_name, filters.target))
        )
        found.append(_has_grams("t", filters.target) & named)
    return [condition for condition in found if condition is not None]


_ORDERINGS: dict[str, Any] = {
    "id": RequestGroup.id,
    "name": RequestGroup.name,
    "state": RequestGroup.state,
    "created": RequestGroup.created,
    "modified": RequestGroup.modified,
    "operator": RequestGroup.operator,
    "proposal": RequestGroup.proposal_id,
    "ipp_value": RequestGroup.ipp_value,
    "observation_type": RequestGroup.observation_type,
}


def _order(filters: GroupFilters) -> list[Any]:
    if filters.order:
        name = filters.order.removeprefix("-")
        descends = filters.order.startswith("-")
        if name == "end":
            key = _window_end(func.max if descends else func.min)
            return [key.desc() if descends else key.asc(), RequestGroup.id.desc()]
        return [_ORDERINGS[name].desc() if descends else _ORDERINGS[name], RequestGroup.id.desc()]
    keys = []
    for item in (filters.ordering or "").split(","):
        if (key := _ORDERINGS.get(item.strip().removeprefix("-"))) is not None:
            keys.append(key.desc() if item.strip().startswith("-") else key)
    return [*keys, RequestGroup.id.desc()]


_GROUP_COLUMNS = (
    RequestGroup.id,
    RequestGroup.name,
    RequestGroup.proposal_id,
    RequestGroup.submitter_id,
    RequestGroup.observation_type,
    RequestGroup.operator,
    RequestGroup.ipp_value,
    RequestGroup.state,
    RequestGroup.created,
    RequestGroup.modified,
    _USERS.c.username.label("submitter"),
    _USERS.c.is_staff.label("submitter_is_staff"),
)


def _groups(*columns: Any) -> Select[Any]:
    return select(*(columns or _GROUP_COLUMNS)).outerjoin(_USERS, _USERS.c.id == RequestGroup.submitter_id)


async def count_groups(session: ReadSession, principal: Principal, filters: GroupFilters) -> int:
    """Return how many groups a caller finds."""
    statement = (
        select(func.count()).select_from(RequestGroup).where(visible(principal), *_conditions(filters))
    )
    return int((await session.execute(statement)).scalar_one())


async def page_of_groups(
    session: ReadSession, principal: Principal, filters: GroupFilters, page: PageRequest
) -> list[Any]:
    """Return a page of the groups a caller finds."""
    statement = (
        _groups()
        .where(visible(principal), *_conditions(filters))
        .order_by(*_order(filters))
        .limit(page.limit)
        .offset(page.offset)
    )
    return list(await session.execute(statement))


async def find_group(session: ReadSession, principal: Principal, group_id: int) -> Any:
    """Return a group the caller may see."""
    statement = _groups().where(RequestGroup.id == group_id, visible(principal))
    return (await session.execute(statement)).one_or_none()


def _window_edges(edge: Any, name: str) -> Label[Any]:
    edges = select(edge).where(Window.request_id == Request.id).order_by(Window.id).correlate(Request)
    # Without a type of ours the driver's list comes as it is.
    return func.array(edges.scalar_subquery(), type_=NullType()).label(name)


_REQUEST_COLUMNS = (
    Request.id,
    Request.group_id,
    Request.state,
    Request.created,
    Request.modified,
    Request.observation_note,
    Request.optimization_type,
    Request.acceptability_threshold,
    Request.configuration_repeats,
    Request.suspend_until,
    cast(Request.extra_params, Text).label("extra_params"),
    Request.telescope_class,
    Request.site,
    Request.enclosure,
    Request.telescope,
    Request.duration,
    Request.type_seconds,
    Request.semester_id,
    cast(Request.configurations, Text).label("configurations"),
    _window_edges(Window.start, "starts"),
    _window_edges(Window.end, "ends"),
)


async def requests_of_groups(session: ReadSession, group_ids: Collection[int]) -> dict[int, list[Any]]:
    """Return the requests of groups, in order, by group."""
    found: dict[int, list[Any]] = {group_id: [] for group_id in group_ids}
    if found:
        statement = select(*_REQUEST_COLUMNS).where(Request.group_id.in_(found)).order_by(Request.id)
        for row in await session.execute(statement):
            found[row.group_id].append(row)
    return found


_ORDERED_REQUESTS: dict[str, Any] = {"id": Request.id, "state": Request.state}


def _request_conditions(filters: RequestFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.state:
        conditions.append(Request.state == filters.state)
    if filters.telescope_class:
        conditions.append(Request.telescope_class.in_(filters.telescope_class))
    return conditions


def _requests(*columns: Any) -> Select[Any]:
    return select(*columns).select_from(Request).join(RequestGroup, RequestGroup.id == Request.group_id)


async def page_of_requests(
    session: ReadSession, principal: Principal, filters: RequestFilters, page: PageRequest
) -> tuple[int, list[Any]]:
    """Return how many requests a caller finds, and a page of them with their `observation_type`."""
    conditions = [visible(principal), *_request_conditions(filters)]
    count = int((await session.execute(_requests(func.count()).where(*conditions))).scalar_one())
    order = []
    for item in (filters.ordering or "").split(","):
        if (key := _ORDERED_REQUESTS.get(item.strip().removeprefix("-"))) is not None:
            order.append(key.desc() if item.strip().startswith("-") else key)
    statement = (
        _requests(*_REQUEST_COLUMNS, RequestGroup.observation_type)
        .where(*conditions)
        .order_by(*order, Request.id.desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return count, (await session.execute(statement)).all()


async def find_request(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters
) -> Any:
    """Return a request the caller may see, with the `observation_type` of its group."""
    statement = _requests(*_REQUEST_COLUMNS, RequestGroup.observation_type).where(
        Request.id == request_id, visible(principal), *_request_conditions(filters)
    )
    return (await session.execute(statement)).one_or_none()


async def full_requests(
    session: ReadSession, *conditions: ColumnElement[bool], lock: bool = False
) -> list[Any]:
    """Return requests together with the columns of their groups (`group_...`)."""
    statement = (
        _requests(
            *_REQUEST_COLUMNS,
            RequestGroup.name.label("group_name"),
            RequestGroup.state.label("group_state"),
            RequestGroup.proposal_id,
            RequestGroup.submitter_id,
            RequestGroup.observation_type,
            RequestGroup.operator,
            RequestGroup.ipp_value,
            _USERS.c.username.label("submitter"),
            _USERS.c.is_staff.label("submitter_is_staff"),
        )
        .outerjoin(_USERS, _USERS.c.id == RequestGroup.submitter_id)
        .where(*conditions)
        .order_by(Request.id)
    )
    return list(await session.execute(statement.with_for_update(of=Request) if lock else statement))


async def schedulable_groups(
    session: ReadSession, start: datetime, end: datetime, telescope_classes: Collection[str]
) -> list[Any]:
    """Return the open groups of active proposals with a window that starts in [start, end]."""
    starting = exists(
        select(literal(1))
        .select_from(Window)
        .join(Request, Request.id == Window.request_id)
        .where(Request.group_id == RequestGroup.id, Window.start.between(start, end))
    )
    statement = (
        _groups()
        .join(_PROPOSALS, _PROPOSALS.c.id == RequestGroup.proposal_id)
        .where(
            RequestGroup.state == State.PENDING,
            RequestGroup.observation_type.in_(_SCHEDULED),
            _PROPOSALS.c.active,
            starting,
        )
        .order_by(RequestGroup.id)
    )
    if telescope_classes:
        statement = statement.where(_has_request(Request.telescope_class.in_(sorted(telescope_classes))))
    return list(await session.execute(statement))


async def user_exists(session: ReadSession, user_id: int) -> bool:
    """Tell whether there is such a user."""
    return (
        await session.scalar(select(literal(1)).select_from(_USERS).where(_USERS.c.id == user_id)) is not None
    )


async def time_used_s(session: ReadSession, user_id: int, proposal_id: str, since: datetime) -> int:
    """Return the seconds of a caller's own requests on a proposal that are open or done."""
    alive = [State.PENDING, State.COMPLETED]
    statement = _requests(func.coalesce(func.sum(Request.duration), 0)).where(
        RequestGroup.submitter_id == user_id,
        RequestGroup.proposal_id == proposal_id,
        RequestGroup.created >= since,
        RequestGroup.state.in_(alive),
        Request.state.in_(alive),
    )
    return int((await session.execute(statement)).scalar_one())


# --- writing


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request to store: its columns, windows, and configurations that still lack ids."""

    columns: Mapping[str, Any]
    windows: Sequence[tuple[datetime, datetime]]
    configurations: Sequence[Mapping[str, Any]]


async def insert_group(
    session: WriteSession, columns: Mapping[str, Any], requests: Sequence[NewRequest], now: datetime
) -> tuple[int, list[dict[str, Any]], list[int]]:
    """Store a group and all it has.

    Returns
    -------
    tuple of int, list of dict and list of int
        Id of the group, the columns of its requests as stored, and the ids of all configurations in order.
    """
    count = sum(len(request.configurations) for request in requests)
    request_ids, configuration_ids = await _new_ids(session, len(requests), count)
    names = {
        piece for item in requests for c in item.configurations for piece in grams("t", c["target"]["name"])
    }
    group_id = (
        await session.execute(
            insert(RequestGroup).returning(RequestGroup.id),
            {
                **columns,
                "state": State.PENDING,
                "created": now,
                "modified": now,
                "grams": sorted(names | grams("n", columns["name"])),
            },
        )
    ).scalar_one()
    next_id = iter(configuration_ids)
    stored = []
    references = []
    for request_id, request in zip(request_ids, requests, strict=True):
        documents = [{"id": next(next_id), **configuration} for configuration in request.configurations]
        stored.append(
            {
                **request.columns,
                "id": request_id,
                "group_id": group_id,
                "state": State.PENDING,
                "created": now,
                "modified": now,
                "configurations": documents,
            }
        )
        references += [
            {
                "id": document["id"],
                "request_id": request_id,
                "position": position,
                "instrument_type": document["instrument_type"],
                "type": document["type"],
                "target_name": document["target"]["name"],
            }
            for position, document in enumerate(documents, start=1)
        ]
    await session.execute(insert(Request), stored)
    windows = [
        {"request_id": request_id, "start": start, "end": end}
        for request_id, request in zip(request_ids, requests, strict=True)
        for start, end in request.windows
    ]
    if windows:
        await session.execute(insert(Window), windows)
    if references:
        await session.execute(insert(Configuration), references)
    return group_id, stored, configuration_ids


async def _new_ids(session: WriteSession, requests: int, configurations: int) -> tuple[list[int], list[int]]:
    def ids(kind: int, sequence: str, count: int) -> Any:
        series = func.generate_series(1, count).table_valued("n")
        return select(literal(kind).label("kind"), func.nextval(sequence).label("id")).select_from(series)

    both = union_all(
        ids(0, "requests.request_id_seq", requests), ids(1, "requests.configuration_id_seq", configurations)
    )
    found: tuple[list[int], list[int]] = ([], [])
    for row in await session.execute(both):
        found[row.kind].append(row.id)
    return sorted(found[0]), sorted(found[1])


async def lock_groups_of(session: WriteSession, request_ids: Collection[int]) -> list[Any]:
    """Lock the groups that requests belong to, in the order of their ids."""
    mine = select(Request.group_id).where(Request.id.in_(request_ids))
    return await _lock_groups(session, RequestGroup.id.in_(mine))


async def lock_groups(session: WriteSession, group_ids: Collection[int]) -> list[Any]:
    """Lock groups, in the order of their ids."""
    return await _lock_groups(session, RequestGroup.id.in_(group_ids))


async def _lock_groups(session: WriteSession, condition: ColumnElement[bool]) -> list[Any]:
    columns = _GROUP_COLUMNS[:-2]
    statement = select(*columns).where(condition).order_by(RequestGroup.id).with_for_update()
    return list(await session.execute(statement))


async def lock_requests(session: WriteSession, group_ids: Collection[int]) -> list[Any]:
    """Lock all requests of groups, in the order of their ids."""
    statement = (
        select(
            Request.id,
            Request.group_id,
            Request.state,
            Request.telescope_class,
            Request.type_seconds,
            Request.semester_id,
        )
        .where(Request.group_id.in_(group_ids))
        .order_by(Request.id)
        .with_for_update()
    )
    return list(await session.execute(statement))


_SET_STATES = text(
    """
    WITH moved AS (
      UPDATE requests.request SET state = new.state, modified = :now
      FROM unnest(CAST(:request_ids AS bigint[]), CAST(:request_states AS text[])) AS new(id, state)
      WHERE request.id = new.id)
    UPDATE requests.request_group SET state = new.state, modified = :now
    FROM unnest(CAST(:group_ids AS bigint[]), CAST(:group_states AS text[])) AS new(id, state)
    WHERE request_group.id = new.id
    """
)


async def set_states(
    session: WriteSession, requests: Mapping[int, State], groups: Mapping[int, State], now: datetime
) -> None:
    """Write new states of requests and groups by id, in one statement."""
    if requests or groups:
        values = {
            "request_ids": list(requests),
            "request_states": [str(state) for state in requests.values()],
            "group_ids": list(groups),
            "group_states": [str(state) for state in groups.values()],
            "now": now,
        }
        await session.execute(_SET_STATES, values)


async def expired_requests(session: ReadSession, now: datetime) -> list[int]:
    """Return the open requests whose last window is over."""
    open_window = exists(select(literal(1)).where(Window.request_id == Request.id, Window.end >= now))
    any_window = exists(select(literal(1)).where(Window.request_id == Request.id))
    statement = (
        select(Request.id)
        .where(Request.state == State.PENDING, any_window, ~open_window)
        .order_by(Request.id)
    )
    return list((await session.scalars(statement)).all())


async def last_window_ends(session: ReadSession, group_ids: Collection[int]) -> dict[int, datetime]:
    """Return when the last window of any request of a group ends, by group."""
    statement = (
        select(Request.group_id, func.max(Window.end))
        .join(Window, Window.request_id == Request.id)
        .where(Request.group_id.in_(group_ids))
        .group_by(Request.group_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def delete_group(session: WriteSession, group_id: int) -> None:
    """Remove a group and all it has."""
    await session.execute(delete(RequestGroup).where(RequestGroup.id == group_id))


async def replace_window(session: WriteSession, request_id: int, start: datetime, end: datetime) -> None:
    """Give a request one window in place of those it has."""
    await session.execute(delete(Window).where(Window.request_id == request_id))
    await session.execute(insert(Window), [{"request_id": request_id, "start": start, "end": end}])


async def suspend(session: WriteSession, request_id: int, until: datetime | None) -> None:
    """Write until when a request is suspended."""
    await session.execute(
        update(Request)
        .where(Request.id == request_id)
        .values(suspend_until=until)
        .execution_options(synchronize_session=False)
    )


# --- planning


async def open_requests(
    session: ReadSession, start: datetime, end: datetime, instrument_type: str = ""
) -> list[Any]:
    """Return the open, scheduled requests with a window that overlaps [start, end] and a configuration."""
    conditions = [
        Request.state == State.PENDING,
        RequestGroup.observation_type.in_(_SCHEDULED),
        exists(
            select(literal(1)).where(
                Window.request_id == Request.id, Window.start <= end, Window.end >= start
            )
        ),
    ]
    if instrument_type:
        conditions.append(
            exists(
                select(literal(1)).where(
                    Configuration.request_id == Request.id, Configuration.instrument_type == instrument_type
                )
            )
        )
    return await full_requests(session, *conditions)


async def events(session: ReadSession, start: datetime, end: datetime) -> list[Event]:
    """Return what telescopes reported in [start, end], with the last report before, by time."""
    table_ = TelescopeEvent
    place = (table_.site, table_.enclosure, table_.telescope)
    latest = (
        select(table_)
        .where(table_.observed_at < start)
        .ext(distinct_on(*place))
        .order_by(*place, table_.observed_at.desc())
    )
    during = select(table_).where(table_.observed_at >= start, table_.observed_at <= end)
    found = [*await session.scalars(latest), *await session.scalars(during.order_by(table_.observed_at))]
    return [
        Event(f"{row.site}.{row.enclosure}.{row.telescope}", row.observed_at, row.reason) for row in found
    ]


async def page_of_events(
    session: ReadSession, model: type[TelescopeEvent] | type[Seeing], page: PageRequest
) -> tuple[int, list[Any]]:
    """Return how many reports there are, and a page of them, latest first."""
    count = int((await session.execute(select(func.count()).select_from(model))).scalar_one())
    statement = (
        select(model)
        .order_by(model.observed_at.desc(), model.site, model.enclosure, model.telescope)
        .limit(page.limit)
        .offset(page.offset)
    )
    return count, list(await session.scalars(statement))


async def store_reports(
    session: WriteSession, model: type[TelescopeEvent] | type[Seeing], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Store reports of telescopes; one of the same telescope and time is replaced."""
    if not rows:
        return
    statement = pg_insert(model).values(list(rows))
    value = "reason" if model is TelescopeEvent else "seeing_arcsec"
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["site", "enclosure", "telescope", "observed_at"],
            set_={value: statement.excluded[value]},
        )
    )


# --- drafts


def _own_drafts(principal: Principal) -> ColumnElement[bool]:
    if principal.sees_everything:
        return true()
    return Draft.proposal_id.in_(sorted(principal.proposal_ids))


_DRAFT_COLUMNS = (
    Draft.id,
    _USERS.c.username.label("author"),
    Draft.proposal_id.label("proposal"),
    Draft.title,
    Draft.content,
    Draft.created,
    Draft.modified,
)


async def page_of_drafts(
    session: ReadSession, principal: Principal, page: PageRequest
) -> tuple[int, list[Any]]:
    """Return how many drafts a caller may see, and a page of them, last changed first."""
    mine = _own_drafts(principal)
    count = int((await session.execute(select(func.count()).select_from(Draft).where(mine))).scalar_one())
    statement = (
        select(*_DRAFT_COLUMNS)
        .outerjoin(_USERS, _USERS.c.id == Draft.author_id)
        .where(mine)
        .order_by(Draft.modified.desc(), Draft.id.desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return count, list(await session.execute(statement))


async def find_draft(session: ReadSession, principal: Principal, draft_id: int) -> Any:
    """Return a draft the caller may see."""
    statement = (
        select(*_DRAFT_COLUMNS, Draft.author_id)
        .outerjoin(_USERS, _USERS.c.id == Draft.author_id)
        .where(Draft.id == draft_id, _own_drafts(principal))
    )
    return (await session.execute(statement)).one_or_none()


async def insert_draft(session: WriteSession, values: Mapping[str, Any]) -> int | None:
    """Store a draft; None if its author has one of this title in the proposal."""
    statement = pg_insert(Draft).values(**values).on_conflict_do_nothing().returning(Draft.id)
    return (await session.execute(statement)).scalar_one_or_none()


async def draft_exists(session: ReadSession, author_id: int, proposal: str, title: str, *, but: int) -> bool:
    """Tell whether another draft of an author has this title in the proposal."""
    statement = select(Draft.id).where(
        Draft.author_id == author_id, Draft.proposal_id == proposal, Draft.title == title, Draft.id != but
    )
    return await session.scalar(statement) is not None


async def update_draft(session: WriteSession, draft_id: int, values: Mapping[str, Any]) -> None:
    """Change a draft."""
    await session.execute(update(Draft).where(Draft.id == draft_id).values(**values))


async def delete_draft(session: WriteSession, draft_id: int) -> None:
    """Remove a draft."""
    await session.execute(delete(Draft).where(Draft.id == draft_id))


# --- repeated submissions


async def lock_submissions(session: WriteSession, user_id: int, key: str) -> None:
    """Let one submission with a key go on at a time."""
    await session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"submission {user_id} {key}", 0)))
    )


async def find_submission(session: ReadSession, user_id: int, key: str, since: datetime) -> Any:
    """Return what an earlier submission with this key was answered."""
    statement = select(Submission).where(
        Submission.user_id == user_id, Submission.key == key, Submission.created >= since
    )
    return (await session.scalars(statement)).one_or_none()


async def find_duplicate(session: ReadSession, user_id: int, digest: bytes, since: datetime) -> int | None:
    """Return the latest group that came from the same body."""
    statement = (
        select(Submission.group_id)
        .where(
            Submission.user_id == user_id,
            Submission.body_digest == digest,
            Submission.created >= since,
            Submission.group_id.is_not(None),
        )
        .order_by(Submission.id.desc())
        .limit(1)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def store_submission(session: WriteSession, values: Mapping[str, Any]) -> None:
    """Keep what a submission was answered; an expired one with the same key makes way."""
    statement = pg_insert(Submission).values(**values)
    if values["key"] is not None:
        statement = statement.on_conflict_do_update(
            index_elements=["user_id", "key"],
            index_where=Submission.key.is_not(None),
            set_={name: statement.excluded[name] for name in values if name not in {"user_id", "key"}},
        )
    await session.execute(statement)


async def forget_submissions(session: WriteSession, before: datetime) -> None:
    """Remove what nobody can ask for any more."""
    await session.execute(delete(Submission).where(Submission.created < before))
