"""Real-time sessions: a telescope that is reserved for somebody, without a request for the scheduler."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from ocs.configdb.api import Observatory, Telescope, observatory
from ocs.downtime import api as downtime
from ocs.downtime.api import Downtime
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, NotFound, OcsError
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.observations import documents
from ocs.portal.observations.errors import DowntimeRefused
from ocs.portal.observations.records import NewObservation, NewStatus, Observation, TelescopeKey
from ocs.portal.observations.repository import sessions, writes
from ocs.portal.observations.repository.sessions import Busy
from ocs.portal.observations.schemas import SessionIn
from ocs.portal.observations.service import posting
from ocs.portal.observations.states import ObservationState
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import api as requests
from ocs.portal.requests.api import ObservationType
from ocs.portal.requests.catalog import Place, catalog_of
from ocs.visibility import engine
from ocs.visibility.intervals import Intervals, as_intervals, subtract
from ocs.visibility.timebase import from_datetime, to_datetime

_UNTOUCHED = timedelta(hours=8)
"""Observations under way block what starts within this time."""

AVAILABLE_FROM = timedelta(minutes=60)
AVAILABLE_UNTIL = timedelta(days=7)
_BLOCKING = {ObservationType.TIME_CRITICAL, ObservationType.RAPID_RESPONSE, ObservationType.DIRECT}


def _us(start: datetime, end: datetime) -> tuple[int, int]:
    return from_datetime(start), from_datetime(end)


def open_times(
    everything: Observatory,
    telescope: Telescope,
    start: datetime,
    end: datetime,
    closed: Collection[tuple[datetime, datetime]],
) -> Intervals:
    """Return when it is dark at a telescope and nothing is closed; microseconds, shape (n, 2)."""
    site = catalog_of(everything).viewpoints[Place.of(telescope)]
    return subtract(
        engine.dark(site, *_us(start, end), "nautical"), as_intervals([_us(*item) for item in closed])
    )


def _closed_by(downtimes: Sequence[Downtime], telescope: Telescope) -> list[tuple[datetime, datetime]]:
    return [(item.start_utc, item.end_utc) for item in downtimes if item.resource == telescope.resource]


async def book(session: WriteSession, principal: Principal, sent: SessionIn, now: datetime) -> dict[str, Any]:
    """Reserve a telescope; return the session.

    Raises
    ------
    InvalidInput
        With the first reason against it.
    """
    key = TelescopeKey(sent.site, sent.enclosure, sent.telescope)
    await writes.lock_telescope(session, key)
    everything = await observatory(session)
    try:
        telescope, types = await _allowed(session, principal, sent, key, everything, now)
        downtimes = await downtime.downtimes(session, sent.start, sent.end)
        free = await asyncio.to_thread(
            open_times, everything, telescope, sent.start, sent.end, _closed_by(downtimes, telescope)
        )
        if len(subtract(as_intervals([_us(sent.start, sent.end)]), free)):
            raise ValueError("It is not dark all the time there, or the telescope is down.")
        _check_free(await sessions.busy(session, sent.start, sent.end), principal, key, sent.start, now)
    except ValueError as error:
        raise InvalidInput.whole(str(error)) from error
    return await _store(session, principal, sent, key, telescope.telescope_class, types, now)


async def _allowed(
    session: ReadSession,
    principal: Principal,
    sent: SessionIn,
    key: TelescopeKey,
    everything: Observatory,
    now: datetime,
) -> tuple[Telescope, set[str]]:
    """Return the telescope and the instrument types on it, if the caller may have it for so long."""
    proposal = (await proposals.get_proposals(session, [sent.proposal])).get(sent.proposal)
    if proposal is None:
        raise ValueError(f"Proposal {sent.proposal} does not exist.")
    if not proposal.active:
        raise ValueError(f"Proposal {sent.proposal} is not active.")
    if proposal.id not in principal.proposal_ids:
        raise ValueError(f"You are not a member of proposal {sent.proposal}.")
    if sent.end <= sent.start:
        raise ValueError("End time must be after start time.")
    if sent.start < now:
        raise ValueError("A session must start in the future.")
    telescope = everything.telescope(*key)
    there = everything.find_instruments(**key._asdict(), only_schedulable=True)
    if telescope is None or not there:
        raise ValueError(f"No instrument at {'.'.join(key)} can be used now.")
    types = {item.instrument_type.code for item in there}
    hours = (sent.end - sent.start).total_seconds() / 3600
    if hours > await _free_hours(session, proposal.id, types, now):
        raise ValueError(f"Proposal {proposal.id} has not enough real-time hours left there.")
    return telescope, types


async def _free_hours(session: ReadSession, proposal_id: str, types: set[str], now: datetime) -> float:
    semester = proposals.semester_containing(await proposals.semesters(session), now)
    if semester is None:
        return 0.0
    found = await proposals.allocations(session, [proposal_id], semester_ids=[semester.id])
    free = [
        item.allocated_h("realtime") - item.used_h("realtime")
        for item in found
        if types & set(item.instrument_types)
    ]
    return max(free, default=0.0)


def _check_free(
    busy: Sequence[Busy], principal: Principal, key: TelescopeKey, start: datetime, now: datetime
) -> None:
    for item in busy:
        if item.observation_type is ObservationType.REAL_TIME and item.submitter_id == principal.user_id:
            raise ValueError("You have another session at that time.")
    for item in (item for item in busy if item.telescope == key):
        if item.state is ObservationState.IN_PROGRESS and start < now + _UNTOUCHED:
            raise ValueError("The telescope is observing at that time.")
        if item.observation_type in _BLOCKING or item.observation_type is ObservationType.REAL_TIME:
            raise ValueError(f"The telescope has a {item.observation_type} observation at that time.")


async def _store(
    session: WriteSession,
    principal: Principal,
    sent: SessionIn,
    key: TelescopeKey,
    telescope_class: str,
    types: set[str],
    now: datetime,
) -> dict[str, Any]:
    group = await requests.place_group(
        session,
        principal,
        name=sent.name,
        proposal_id=sent.proposal,
        observation_type=ObservationType.REAL_TIME,
        location={"telescope_class": telescope_class, **key._asdict()},
        start=sent.start,
        end=sent.end,
        request={},
        now=now,
    )
    new = NewObservation(
        request_id=group.request_id,
        proposal_id=sent.proposal,
        observation_type=ObservationType.REAL_TIME,
        telescope=key,
        start=sent.start,
        end=sent.end,
        priority=sent.priority,
        statuses=[NewStatus(None, "")],
    )
    stored = (await writes.insert(session, [new], now))[0]
    booked = await proposals.book_realtime(
        session,
        proposal_id=sent.proposal,
        at_utc=now,
        instrument_types=types,
        hours=(sent.end - sent.start).total_seconds() / 3600,
        request_group_id=group.group_id,
        now=now,
    )
    if not booked:
        raise InvalidInput.whole(f"Proposal {sent.proposal} has not enough real-time hours left there.")
    try:
        await downtime.book(
            session,
            **key._asdict(),
            start_utc=sent.start,
            end_utc=sent.end,
            reason=str(stored.id),
            created_by=principal.username,
            now=now,
        )
    except OcsError as error:
        raise DowntimeRefused(error.detail) from error
    posting.announce(session, [new])
    head = (await requests.embedded_requests(session, [group.request_id]))[group.request_id]
    return documents.realtime_form(posting.stored_observation(new, stored, now), head)


async def release(
    session: WriteSession,
    observation_id: int,
    telescope: TelescopeKey,
    start: datetime,
    end: datetime,
    group_id: int,
    now: datetime,
) -> None:
    """Give back the telescope and the hours of a session."""
    for item in await downtime.downtimes(session, start, end):
        if (item.site, item.enclosure, item.telescope, item.reason) == (*telescope, str(observation_id)):
            await downtime.release(session, item.id)
    await proposals.release_realtime(session, group_id, now=now)


async def list_sessions(
    session: ReadSession, principal: Principal, page: PageRequest
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many sessions a caller has (staff: there are), and a page of them."""
    found = await sessions.page_of_sessions(session, principal, page)
    heads = await requests.embedded_requests(session, {item.request_id for item in found.observations})
    return found.count, [documents.realtime_form(item, heads[item.request_id]) for item in found.observations]


async def _find(session: ReadSession, principal: Principal, id_: int) -> Observation:
    found = await sessions.find_session(session, principal, id_)
    if found is None:
        raise NotFound.of("Observation")
    return found


async def show_session(session: ReadSession, principal: Principal, id_: int) -> dict[str, Any]:
    """Return one session."""
    found = await _find(session, principal, id_)
    heads = await requests.embedded_requests(session, [found.request_id])
    return documents.realtime_form(found, heads[found.request_id])


async def delete_session(session: WriteSession, principal: Principal, id_: int, now: datetime) -> None:
    """Delete a session with its group and its downtime, and give back its hours."""
    found = await _find(session, principal, id_)
    group_id = (await requests.embedded_requests(session, [found.request_id]))[found.request_id].group_id
    await writes.hold_groups(session, [found.request_id])
    await release(session, found.id, found.telescope, found.start, found.end, group_id, now)
    await writes.delete(session, found.id)
    await requests.remove_group(session, group_id)


async def availability(
    session: ReadSession, principal: Principal, only: str | None, now: datetime
) -> dict[str, list[list[str]]]:
    """Return when the caller could have which telescope (``telescope.enclosure.site``) in the next days."""
    everything = await observatory(session)
    types = await _allocated_types(session, principal, now)
    there = [
        item.telescope
        for item in everything.find_instruments(only_schedulable=True)
        if item.instrument_type.code in types
    ]
    start, end = now + AVAILABLE_FROM, now + AVAILABLE_UNTIL
    telescopes = [item for item in dict.fromkeys(there) if only is None or item.resource == only.lower()]
    if not telescopes:
        return {}
    downtimes = await downtime.downtimes(session, start, end)
    busy = await sessions.busy(session, start, end)
    result = {}
    for telescope in telescopes:
        key = TelescopeKey(telescope.site.code, telescope.enclosure.code, telescope.code)
        closed = _closed_by(downtimes, telescope) + [
            (item.start, item.end)
            for item in busy
            if (
                item.telescope == key
                and (item.state is ObservationState.IN_PROGRESS or item.observation_type in _BLOCKING)
            )
            or (item.observation_type is ObservationType.REAL_TIME and item.submitter_id == principal.user_id)
        ]
        free = await asyncio.to_thread(open_times, everything, telescope, start, end, closed)
        result[telescope.resource] = [
            [to_datetime(edge).isoformat() for edge in span] for span in free.tolist()
        ]
    return result


async def _allocated_types(session: ReadSession, principal: Principal, now: datetime) -> set[str]:
    """Return the instrument types on which the caller's active proposals have real-time hours left."""
    semester = proposals.semester_containing(await proposals.semesters(session), now)
    if semester is None or not principal.proposal_ids:
        return set()
    own = await proposals.get_proposals(session, principal.proposal_ids)
    active = [item.id for item in own.values() if item.active]
    found = await proposals.allocations(session, active, semester_ids=[semester.id])
    return {
        code
        for item in found
        if item.used_h("realtime") < item.allocated_h("realtime")
        for code in item.instrument_types
    }
