"""What telescopes report, and what follows: states, time charged, ends moved, requests completed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.errors import InvalidInput, NotFound, PermissionDenied, reference_body
from ocs.portal.observations.errors import NotOver
from ocs.portal.observations.records import Observation, Status, Summary
from ocs.portal.observations.repository import lists, reports, writes
from ocs.portal.observations.repository.reports import Case
from ocs.portal.observations.schemas import ObservationUpdate, StatusUpdate
from ocs.portal.observations.service import cancelling
from ocs.portal.observations.service.posting import Placer
from ocs.portal.observations.states import (
    Execution,
    ObservationState,
    StatusState,
    is_enough,
    next_state,
    next_status,
)
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import api as requests
from ocs.portal.requests.api import ObservationType, State

_ACCOUNTS: dict[ObservationType, proposals.Account] = {
    ObservationType.NORMAL: "std",
    ObservationType.RAPID_RESPONSE: "rr",
    ObservationType.TIME_CRITICAL: "tc",
}
_REOPENING = {ObservationState.FAILED, ObservationState.ABORTED, ObservationState.NOT_ATTEMPTED}


def read_update(sent: Any) -> StatusUpdate:
    """Check the fields of a report.

    What lacks in a summary is told at the top level, as the reference does; a wrong type inside it.
    """
    try:
        return StatusUpdate.model_validate(sent)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        missing = [
            item
            for item in errors
            if item["type"] == "missing" and item["loc"][0] == "summary" and len(item["loc"]) == 2
        ]
        wrong = [item for item in errors if item not in missing]
        if wrong:
            raise InvalidInput(body=reference_body(wrong, sent)) from error
        body = {str(item["loc"][1]): ["This field is required."] for item in missing}
        raise InvalidInput(body=body) from error


def _check_times(update: StatusUpdate, observation: Observation, now: datetime) -> None:
    if update.end is not None and update.end <= now:
        raise InvalidInput.whole("The end must be in the future.")
    if update.exposures_start_at is not None and update.exposures_start_at < observation.start:
        raise InvalidInput.whole("Exposures cannot start before the observation does.")
    if update.end is not None and update.exposures_start_at is not None:
        raise InvalidInput.whole("Give either end or exposures_start_at, not both.")


async def report(
    session: WriteSession, status_id: int, update: StatusUpdate, now: datetime, max_failures: int
) -> Status:
    """Take in a telescope's report of one configuration; everything in it, or nothing.

    Parameters
    ----------
    max_failures
        Failed observations after which a request is given up; 0 for never.
    """
    case = await reports.lock_case(session, status_id=status_id)
    if case is None:
        raise NotFound.of("ConfigurationStatus")
    before = case.observation
    _check_times(update, before, now)
    index = next(i for i, item in enumerate(before.statuses) if item.id == status_id)
    status = before.statuses[index]
    is_bad = update.state is StatusState.BAD_DATA and status.state is not StatusState.BAD_DATA
    if update.state is not None:
        status = replace(status, state=next_status(status.state, update.state))
    if update.summary is not None:
        summary = Summary(
            update.summary.start,
            update.summary.end,
            update.summary.state,
            update.summary.reason,
            update.summary.time_completed,
            [] if update.summary.events is None else update.summary.events,
        )
        status = await _charged(session, case, status, summary, now)
    if is_bad:
        status = (await _refunded(session, case, [status], 1.0, now))[0]
    end = await _new_end(session, case, index, update)
    statuses = [status if item.id == status_id else item for item in before.statuses]
    state = next_state(before.state, [item.state for item in statuses])
    if is_bad and before.state in {ObservationState.COMPLETED, *_REOPENING}:
        state = ObservationState.BAD_DATA
    await _move_end(session, before, end, now)
    if statuses != list(before.statuses) or state is not before.state or end != before.end:
        await reports.write(
            session, before, [status] if status != before.statuses[index] else [], state, end, now
        )
    if is_bad:
        await _reopen(session, case, now)
    else:
        await _conclude(session, case, statuses, state, now, max_failures)
    return status


# --- time


def _share_s(seconds: Mapping[int, tuple[float, float]], status: Status) -> float:
    """Return the longest time a rapid response is charged for one configuration."""
    alone_s, padding_s = seconds.get(status.configuration_id or 0, (0.0, 0.0))
    return alone_s + padding_s


async def _charged(
    session: WriteSession, case: Case, status: Status, summary: Summary, now: datetime
) -> Status:
    """Return the status with its summary, after the proposal was charged for the difference."""
    new = replace(status, summary=summary)
    observation = case.observation
    account = _ACCOUNTS.get(observation.observation_type)
    configuration = case.configurations.get(status.configuration_id or 0)
    if account is None or configuration is None or case.window_start is None or case.window_end is None:
        return new
    hours = summary.duration_h
    earlier = status.summary.duration_h if status.summary else 0.0
    if observation.observation_type is ObservationType.RAPID_RESPONSE:
        asked = (await requests.load_requests(session, [observation.request_id]))[observation.request_id]
        limit_h = _share_s(await requests.configuration_seconds(session, asked), status) / 3600
        hours, earlier = min(hours, limit_h), min(earlier, limit_h)
    if hours == earlier:
        return new
    charge = proposals.TimeCharge(
        configuration_status_id=status.id,
        request_id=observation.request_id,
        proposal_id=observation.proposal_id,
        instrument_type=configuration["instrument_type"],
        start_utc=case.window_start,
        end_utc=case.window_end,
        account=account,
        hours=hours,
    )
    charged = await proposals.charge_time(session, [charge], cause="observed", now=now)
    return replace(new, time_charged_h=charged.get(status.id, status.time_charged_h))


async def _refunded(
    session: WriteSession, case: Case, statuses: Sequence[Status], part: float, now: datetime
) -> list[Status]:
    """Return statuses after `part` (0 to 1) of what their observing cost was given back."""
    observation = case.observation
    account = _ACCOUNTS.get(observation.observation_type)
    targets: dict[int, float] = {}
    charges = []
    for status in statuses:
        configuration = case.configurations.get(status.configuration_id or 0)
        if account is None or configuration is None or status.summary is None:
            continue
        if case.window_start is None or case.window_end is None or not status.time_charged_h:
            continue
        used_h = status.summary.duration_h
        if observation.observation_type is ObservationType.RAPID_RESPONSE:
            asked = (await requests.load_requests(session, [observation.request_id]))[observation.request_id]
            seconds = await requests.configuration_seconds(session, asked)
            used_h = min(used_h, _share_s(seconds, status) / 3600)
        target_h = used_h * (1 - part)
        if target_h < status.time_charged_h:
            targets[status.id] = target_h
            charges.append(
                proposals.TimeCharge(
                    configuration_status_id=status.id,
                    request_id=observation.request_id,
                    proposal_id=observation.proposal_id,
                    instrument_type=configuration["instrument_type"],
                    start_utc=case.window_start,
                    end_utc=case.window_end,
                    account=account,
                    hours=target_h,
                )
            )
    if charges:
        await proposals.charge_time(session, charges, cause="refund", now=now)
    return [replace(item, time_charged_h=targets.get(item.id, item.time_charged_h)) for item in statuses]


# --- ends


async def _new_end(session: WriteSession, case: Case, index: int, update: StatusUpdate) -> datetime:
    """Return when the observation ends by what is reported of one of its configurations."""
    observation = case.observation
    base = update.end or update.exposures_start_at
    if base is None:
        return observation.end
    remaining_s = 0.0
    configuration = case.configurations.get(observation.statuses[index].configuration_id or 0)
    if configuration is not None:
        asked = (await requests.load_requests(session, [observation.request_id]))[observation.request_id]
        remaining_s = await requests.remaining_seconds(
            session,
            asked,
            priority=configuration["priority"],
            repeat=index // len(case.configurations) + 1,
            include_current=update.end is None,
        )
    end = base + timedelta(seconds=remaining_s)
    return end if end > observation.start else observation.end


async def _move_end(session: WriteSession, observation: Observation, end: datetime, now: datetime) -> None:
    """Make room for an observation that ends later, and tell the schedulers of a new end."""
    if end == observation.end:
        return
    if end > observation.end:
        types = [ObservationType.NORMAL, ObservationType.TIME_CRITICAL]
        if observation.observation_type is ObservationType.RAPID_RESPONSE:
            types.append(ObservationType.RAPID_RESPONSE)
        await writes.remove(session, await reports.in_the_way(session, observation, end, types), now)
    if not observation.observation_type.is_scheduled:  # its window is its own time
        await requests.replace_window(session, observation.request_id, observation.start, end)
    requests.announce(session, await cancelling.classes_of(session, [observation.telescope]))


# --- what follows


def _executions(case: Case, statuses: Sequence[Status]) -> list[Execution]:
    result = []
    for status in statuses:
        configuration = case.configurations.get(status.configuration_id or 0)
        if configuration is None:
            continue
        exposure_s = sum(
            item["exposure_count"] * item["exposure_time"] for item in configuration["instrument_configs"]
        )
        repeats = "REPEAT" in configuration["type"] and configuration["repeat_duration"] is not None
        asked = Execution(exposure_s, configuration["repeat_duration"] if repeats else None)
        if status.summary is not None and status.state is not StatusState.BAD_DATA:
            asked = replace(
                asked,
                completed_s=status.summary.time_completed_s,
                start=status.summary.start,
                end=status.summary.end,
            )
        result.append(asked)
    return result


def _is_complete(case: Case, statuses: Sequence[Status]) -> bool:
    if case.observation.observation_type is ObservationType.REAL_TIME:
        return statuses[0].state is StatusState.COMPLETED
    return all(item.state is StatusState.COMPLETED for item in statuses) or is_enough(
        _executions(case, statuses), case.threshold_percent
    )


async def _conclude(
    session: WriteSession,
    case: Case,
    statuses: Sequence[Status],
    state: ObservationState,
    now: datetime,
    max_failures: int,
) -> None:
    """Let the request follow its observation, once, and tell the schedulers."""
    before = case.observation
    if state is not before.state and not state.is_open:
        changes.stamp(session, "schedule_inputs", "observations")
        if state in _REOPENING:
            classes = {case.telescope_class} if case.telescope_class else set()
            requests.announce(session, classes or await cancelling.classes_of(session, [before.telescope]))
    if case.request_state is State.COMPLETED:
        return
    complete = _is_complete(case, statuses)
    if not complete and state.is_open:  # what is under way may still complete a request whose time is over
        return
    for_good = (
        not complete
        and max_failures > 0
        and state is ObservationState.FAILED
        and await reports.other_failures(session, before) + 1 >= max_failures
    )
    await requests.apply_outcome(
        session, before.request_id, is_complete=complete, is_failed_for_good=for_good, now=now
    )


async def _reopen(session: WriteSession, case: Case, now: datetime) -> None:
    """Open the request of useless data again; what its priority earned by being done is taken back."""
    changes.stamp(session, "schedule_inputs", "observations")
    if case.request_state is not State.COMPLETED:
        return
    request_id = case.observation.request_id
    if not await requests.reopen(session, request_id, now=now) and case.ipp_value < 1:
        await proposals.release_ipp(session, [request_id], cause="bad data", now=now)


# --- observations


async def update_observation(
    session: WriteSession, by: Placer, observation_id: int, update: ObservationUpdate, now: datetime
) -> Observation:
    """Move the end of an observation, or mark its data as bad.

    Raises
    ------
    NotOver
        When data are to be marked as bad that are not there yet.
    """
    seen = await lists.find_observation(session, by.principal, observation_id, to_change=True)
    case = await reports.lock_case(session, observation_id=observation_id) if seen else None
    if case is None:
        raise NotFound.of("Observation")
    before = case.observation
    if not by.principal.is_staff and before.proposal_id not in by.direct_proposal_ids:
        raise PermissionDenied
    if update.end is None and update.state is None:
        raise InvalidInput.whole("Give the new end, or the state BAD_DATA.")
    if update.end is not None and update.end <= now:
        raise InvalidInput.whole("The end must be in the future.")
    statuses, state, end = list(before.statuses), before.state, before.end
    if update.state is not None:
        if update.state is not ObservationState.BAD_DATA:
            raise InvalidInput.whole("The state of an observation can only be set to BAD_DATA.")
        if not by.principal.is_staff:
            raise InvalidInput.whole("Only staff can mark data as bad.")
        if before.state not in {
            ObservationState.COMPLETED,
            ObservationState.FAILED,
            ObservationState.ABORTED,
        }:
            raise NotOver(before.state)
        state = ObservationState.BAD_DATA
        refunded = await _refunded(session, case, statuses, 1.0, now)
        statuses = [replace(item, state=StatusState.BAD_DATA) for item in refunded]
    if update.end is not None and update.end > before.start:
        end = update.end
        await _move_end(session, before, end, now)
    if state is not before.state or end != before.end:
        changed = statuses if update.state is not None else []
        await reports.write(session, before, changed, state, end, now)
        before = replace(before, modified=now)
    if update.state is not None:
        await _reopen(session, case, now)
    return replace(before, state=state, end=end, statuses=tuple(statuses))


async def refund(session: WriteSession, observation_id: int, part: float, now: datetime) -> None:
    """Give back `part` (0 to 1) of what an observation cost; repeating it changes nothing."""
    case = await reports.lock_case(session, observation_id=observation_id)
    if case is None:
        raise NotFound.of("Observation")
    before = case.observation
    counted = [item for item in before.statuses if item.state is not StatusState.PENDING]
    refunded = await _refunded(session, case, counted, part, now)
    await reports.write(session, before, refunded, before.state, before.end, now)
