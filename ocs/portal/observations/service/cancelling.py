"""Observations that are taken back, and what that means for their requests."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ocs.configdb.api import observatory
from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput
from ocs.portal.observations.errors import InProgress
from ocs.portal.observations.records import TelescopeKey
from ocs.portal.observations.repository import lists, writes
from ocs.portal.observations.schemas import Cancellation
from ocs.portal.observations.service import realtime
from ocs.portal.observations.service.posting import Placer
from ocs.portal.observations.states import ObservationState
from ocs.portal.requests import api as requests
from ocs.portal.requests.api import ObservationType, State

KEPT_FOR = timedelta(days=14)
_MOST_AT_ONCE = 100_000


def _types(cancellation: Cancellation) -> list[ObservationType]:
    """Return the types of observations a cancellation is about."""
    groups = (
        (cancellation.include_normal, (ObservationType.NORMAL, ObservationType.TIME_CRITICAL)),
        (cancellation.include_rr, (ObservationType.RAPID_RESPONSE,)),
        (cancellation.include_direct, (ObservationType.DIRECT, ObservationType.REAL_TIME)),
    )
    return [kind for included, kinds in groups if included for kind in kinds]


async def classes_of(session: ReadSession, telescopes: Iterable[TelescopeKey]) -> set[str]:
    """Return the classes of telescopes; those that are gone have none."""
    everything = await observatory(session)
    found = (everything.telescope(*key) for key in telescopes)
    return {telescope.telescope_class for telescope in found if telescope is not None}


async def cancel(session: WriteSession, by: Placer, cancellation: Cancellation, now: datetime) -> int:
    """Take back what the caller chose; return how many observations that are.

    Raises
    ------
    InProgress
        When something chosen is being observed and that was not to be aborted.
    """
    if cancellation.ids is None and (cancellation.start is None or cancellation.end is None):
        raise InvalidInput.whole("Name the observations by ids, or give both start and end.")
    limited_to = None if by.principal.is_staff else by.direct_proposal_ids
    chosen = await lists.candidates(
        session, by.principal, *lists.chosen(cancellation, _types(cancellation), limited_to)
    )
    if not cancellation.preemption_enabled and any(
        item.state is ObservationState.IN_PROGRESS for item in chosen
    ):
        raise InProgress
    placed = {item.request_id for item in chosen if not item.observation_type.is_scheduled}
    await writes.hold_groups(session, placed)
    removed = await writes.remove(
        session, [item.id for item in chosen], now, also_running=cancellation.preemption_enabled
    )
    await after_removal(session, removed, now)
    return len(removed)


async def after_removal(session: WriteSession, removed: Sequence[writes.Removed], now: datetime) -> None:
    """Let the requests people placed themselves follow their observations, and tell the schedulers."""
    if not removed:
        return
    await _release(session, removed, now)
    orphans = [item.request_id for item in removed if not item.observation_type.is_scheduled]
    if orphans:
        await requests.move(
            session, dict.fromkeys(orphans, State.CANCELED), now=now, cause="observation canceled"
        )
    aborted = {item.telescope for item in removed if item.state == ObservationState.ABORTED}
    if aborted:
        requests.announce(session, await classes_of(session, aborted))
    changes.stamp(session, "schedule_inputs", "observations")


async def _release(session: WriteSession, removed: Sequence[writes.Removed], now: datetime) -> None:
    """Give back what the real-time sessions among `removed` had reserved."""
    sessions = [item for item in removed if item.observation_type is ObservationType.REAL_TIME]
    known = await requests.load_requests(session, {item.request_id for item in sessions}) if sessions else {}
    for item in sessions:
        group_id = known[item.request_id].group_id
        await realtime.release(session, item.id, item.telescope, item.start, item.end, group_id, now)


async def request_cancelled(session: WriteSession, request_ids: Sequence[int], now: datetime) -> None:
    """Take back the PENDING observations of requests that were cancelled."""
    removed = await writes.remove(session, await writes.pending_of(session, request_ids), now)
    await _release(session, removed, now)
    if any(item.state == ObservationState.ABORTED for item in removed):
        changes.stamp(session, "schedule_inputs", "observations")


async def clean_up(session: WriteSession, now: datetime) -> int:
    """Delete old canceled observations nobody began; return how many."""
    return await writes.clean_up(session, now - KEPT_FOR, _MOST_AT_ONCE)
