"""The requests' door for other modules."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, select

from ocs.configdb import api as configdb
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.runtime import Runtime
from ocs.kernel.security import Principal
from ocs.kernel.wire.types import iso_z
from ocs.portal.requests import documents, durations, lifecycle, notices, repository, service, submissions
from ocs.portal.requests.catalog import Catalog, catalog_of
from ocs.portal.requests.lifecycle import GroupChange, announce, when_cancelled
from ocs.portal.requests.models import Request, RequestGroup
from ocs.portal.requests.service import PlacedGroup
from ocs.portal.requests.states import ObservationType, State

__all__ = [
    "Catalog",
    "EmbeddedRequest",
    "GroupChange",
    "ObservationType",
    "PlacedGroup",
    "RequestRecord",
    "State",
    "announce",
    "apply_outcome",
    "configuration_seconds",
    "detailed_requests",
    "embedded_requests",
    "last_window_ends",
    "load_requests",
    "move",
    "place_group",
    "register",
    "remaining_seconds",
    "remove_group",
    "reopen",
    "replace_window",
    "schedulable",
    "visible_request",
    "visible_request_ids",
    "when_cancelled",
]

move = lifecycle.move
place_group = service.place_group
remove_group = repository.delete_group
replace_window = repository.replace_window
last_window_ends = repository.last_window_ends


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request with its group, as observations and the scheduler need it.

    `configurations` are in list-form and in order, with their ids. `location` has only the parts that are
    given. `type_seconds` is the unrounded time per instrument type; `duration_s` its sum, rounded up.
    """

    id: int
    group_id: int
    group_name: str
    state: State
    group_state: State
    proposal_id: str
    submitter_id: int
    submitter: str
    submitter_is_staff: bool
    observation_type: ObservationType
    operator: str
    ipp_value: float
    observation_note: str
    optimization_type: str
    acceptability_threshold: float
    configuration_repeats: int
    suspend_until: datetime | None
    extra_params: Mapping[str, Any]
    location: Mapping[str, str]
    windows: tuple[tuple[datetime, datetime], ...]
    configurations: tuple[Mapping[str, Any], ...]
    duration_s: int
    type_seconds: Mapping[str, float]
    semester_id: str | None
    created: datetime
    modified: datetime


@dataclass(frozen=True, slots=True)
class EmbeddedRequest:
    """What lists of observations show of a request.

    `head` is the list-form without configurations, location and windows, ready for orjson; `configurations`
    are plain dictionaries to which the statuses are added.
    """

    id: int
    group_id: int
    group_name: str
    proposal_id: str
    submitter: str
    ipp_value: float
    observation_type: ObservationType
    head: Mapping[str, Any]
    configurations: Sequence[Mapping[str, Any]]


def _record(row: Any) -> RequestRecord:
    return RequestRecord(
        id=row.id,
        group_id=row.group_id,
        group_name=row.group_name,
        state=State(row.state),
        group_state=State(row.group_state),
        proposal_id=row.proposal_id,
        submitter_id=row.submitter_id,
        submitter=row.submitter or "",
        submitter_is_staff=bool(row.submitter_is_staff),
        observation_type=ObservationType(row.observation_type),
        operator=row.operator,
        ipp_value=row.ipp_value,
        observation_note=row.observation_note,
        optimization_type=row.optimization_type,
        acceptability_threshold=row.acceptability_threshold,
        configuration_repeats=row.configuration_repeats,
        suspend_until=row.suspend_until,
        extra_params=orjson.loads(row.extra_params),
        location=documents.location(row),
        windows=tuple(zip(row.starts, row.ends, strict=True)),
        configurations=tuple(orjson.loads(row.configurations)),
        duration_s=row.duration,
        type_seconds=row.type_seconds,
        semester_id=row.semester_id,
        created=row.created,
        modified=row.modified,
    )


async def load_requests(session: ReadSession, ids: Iterable[int]) -> dict[int, RequestRecord]:
    """Return requests by id, in one statement; unknown ids are missing from the answer."""
    rows = await repository.full_requests(session, Request.id.in_(set(ids)))
    return {row.id: _record(row) for row in rows}


def _texts(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the head of a request with its times as they are sent."""
    return {name: iso_z(item) if isinstance(item, datetime) else item for name, item in head.items()}


async def embedded_requests(session: ReadSession, ids: Iterable[int]) -> dict[int, EmbeddedRequest]:
    """Return what lists of observations show of requests, in one statement."""
    rows = await repository.full_requests(session, Request.id.in_(set(ids)))
    return {
        row.id: EmbeddedRequest(
            row.id,
            row.group_id,
            row.group_name,
            row.proposal_id,
            row.submitter or "",
            row.ipp_value,
            ObservationType(row.observation_type),
            _texts(documents.request_head(row)),
            orjson.loads(row.configurations),
        )
        for row in rows
    }


async def detailed_requests(session: ReadSession, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return requests in detail-form by id, ready for orjson, in one statement."""
    rows = await repository.full_requests(session, Request.id.in_(set(ids)))
    return {
        row.id: orjson.loads(
            documents.dumps(
                documents.detailed_request(row, placed=not ObservationType(row.observation_type).is_scheduled)
            )
        )
        for row in rows
    }


async def schedulable(
    session: ReadSession,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    overuse: float,
    telescope_classes: Collection[str] = (),
) -> list[RequestRecord]:
    """Return the requests a scheduler may place: what `schedulable_requests` lists, terminal ones left out.

    Parameters
    ----------
    start, end
        A group counts when some window of it starts in between.
    now
        Requests suspended beyond this are left out.
    overuse
        Factor on the time that is left.
    """
    found = await service.schedulable(session, start, end, telescope_classes, now=now, overuse=overuse)
    ids = {request.id for _, requests in found for request in requests if request.state == State.PENDING}
    return list((await load_requests(session, ids)).values())


def visible_request_ids(principal: Principal) -> Select[int]:
    """Return the statement that selects the ids of the requests a caller may see."""
    return (
        select(Request.id)
        .join(RequestGroup, RequestGroup.id == Request.group_id)
        .where(repository.visible(principal))
    )


async def visible_request(session: ReadSession, principal: Principal, request_id: int) -> bool:
    """Tell whether a caller may see a request."""
    return await session.scalar(visible_request_ids(principal).where(Request.id == request_id)) is not None


async def apply_outcome(
    session: WriteSession,
    request_id: int,
    *,
    is_complete: bool,
    is_failed_for_good: bool = False,
    now: datetime,
) -> list[GroupChange]:
    """Move a request, its group and its priority to where an observation of it brought them.

    Completed if `is_complete`; else ended if `is_failed_for_good`; else expired if the last window of the
    whole group is over. Whatever the transition table forbids is left as it is.
    """
    if is_complete:
        wanted, cause = State.COMPLETED, "request completed"
    elif is_failed_for_good:
        wanted, cause = State.FAILURE_LIMIT_REACHED, "failure limit reached"
    else:
        record = (await load_requests(session, [request_id])).get(request_id)
        if record is None or not record.observation_type.is_scheduled:
            return []
        ends = await last_window_ends(session, [record.group_id])
        if ends.get(record.group_id, now) >= now:
            return []
        wanted, cause = State.WINDOW_EXPIRED, "window expired"
    return await move(session, {request_id: wanted}, now=now, cause=cause)


async def reopen(session: WriteSession, request_id: int, *, now: datetime) -> list[GroupChange]:
    """Open a completed request again because its data are bad, if a window of it is still open."""
    record = (await load_requests(session, [request_id])).get(request_id)
    if record is None or max((end for _, end in record.windows), default=now) <= now:
        return []
    return await move(session, {request_id: State.PENDING}, now=now, cause="bad data", bad_data=True)


async def _catalog(session: ReadSession) -> Catalog:
    return catalog_of(await configdb.observatory(session))


async def remaining_seconds(
    session: ReadSession, request: RequestRecord, *, priority: int, repeat: int, include_current: bool = False
) -> float:
    """Return the time an observation of `request` still needs; see `durations.remaining_s`."""
    return durations.remaining_s(
        await _catalog(session),
        request.configurations,
        request.configuration_repeats,
        priority=priority,
        repeat=repeat,
        include_current=include_current,
    )


async def configuration_seconds(
    session: ReadSession, request: RequestRecord
) -> dict[int, tuple[float, float]]:
    """Return, by configuration id, its time alone and its share of the padding before the observation."""
    catalog = await _catalog(session)
    result = {}
    for configuration in request.configurations:
        overheads = catalog.overheads(configuration["instrument_type"])
        padding_s = overheads.instrument_type.observation_front_padding_s / len(request.configurations)
        result[configuration["id"]] = (durations.configuration_s(overheads, configuration), padding_s)
    return result


def register(runtime: Runtime) -> None:
    """Add the background jobs, and let people be told of changes."""
    notices.register(runtime)

    async def expire() -> None:
        await runtime.database.run(lambda session: lifecycle.expire(session, runtime.clock.now()))

    async def forget() -> None:
        await runtime.database.run(lambda session: submissions.forget(session, runtime.clock.now()))

    runtime.jobs.add("expire requests", expire, every_s=300.0)
    runtime.jobs.add("forget submissions", forget, every_s=3600.0)
