"""Our own scheduler's schedule: replaced telescope by telescope, in one transaction each."""

from collections.abc import Sequence
from datetime import datetime

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.portal.observations.records import (
    NewObservation,
    NewStatus,
    PlannedObservation,
    Refused,
    ScheduleChange,
    TelescopeKey,
)
from ocs.portal.observations.repository import writes
from ocs.portal.requests import api as requests
from ocs.portal.requests.api import RequestRecord, State


def _same(planned: PlannedObservation, request: RequestRecord, there: writes.OpenObservation) -> bool:
    return (
        planned.request_id == there.request_id
        and planned.start == there.start
        and planned.end == there.end
        and tuple(planned.instruments) * request.configuration_repeats == there.instruments
    )


def _new(planned: PlannedObservation, request: RequestRecord, telescope: TelescopeKey) -> NewObservation:
    statuses = [
        NewStatus(configuration["id"], instrument, guide_camera)
        for configuration, (instrument, guide_camera) in zip(
            request.configurations, planned.instruments, strict=True
        )
    ]
    return NewObservation(
        request_id=request.id,
        proposal_id=request.proposal_id,
        observation_type=request.observation_type,
        telescope=telescope,
        start=planned.start,
        end=planned.end,
        statuses=statuses * request.configuration_repeats,
    )


def _fault(planned: PlannedObservation, request: RequestRecord | None) -> str | None:
    if planned.end <= planned.start:
        return "ends before it starts"
    if request is None:
        return "the request does not exist"
    if request.state is not State.PENDING:
        return f"the request is {request.state}"
    if len(planned.instruments) != len(request.configurations):
        return "the instruments do not fit the configurations"
    return None


async def replace_schedule(
    session: WriteSession,
    *,
    telescope: TelescopeKey,
    from_utc: datetime,
    until_utc: datetime,
    planned: Sequence[PlannedObservation],
    now: datetime,
) -> ScheduleChange:
    """Make `planned` the schedule of a telescope; see the door."""
    await writes.lock_telescope(session, telescope)
    ids = {item.request_id for item in planned}
    await writes.hold_requests(session, ids)  # before observations, like everybody who changes states
    known = await requests.load_requests(session, ids)
    there = await writes.lock_open(session, telescope, from_utc, until_utc)
    replaceable = {
        item.id: item for item in there if item.ours and item.state == "PENDING" and item.start >= from_utc
    }
    busy = [(item.start, item.end) for item in there if item.id not in replaceable]
    kept: list[int] = []
    created: list[NewObservation] = []
    refused: list[Refused] = []
    for item in sorted(planned, key=lambda item: item.start):
        request = known.get(item.request_id)
        fault = _fault(item, request)
        if fault is None and any(item.start < end and start < item.end for start, end in busy):
            fault = "the telescope is taken by another observation"
        if fault is not None or request is None:
            refused.append(Refused(item, fault or ""))
            continue
        busy.append((item.start, item.end))
        unchanged = next((id_ for id_, old in replaceable.items() if _same(item, request, old)), None)
        if unchanged is None:
            created.append(_new(item, request, telescope))
        else:
            kept.append(unchanged)
            del replaceable[unchanged]
    removed = await writes.remove(session, replaceable, now)
    stored = await writes.insert(session, created, now, ours=True)
    if removed or stored:
        changes.stamp(session, "observations", telescope.site, "all")
    return ScheduleChange(
        kept=tuple(kept),
        created=tuple(item.id for item in stored),
        cancelled=tuple(item.id for item in removed),
        refused=tuple(refused),
    )
