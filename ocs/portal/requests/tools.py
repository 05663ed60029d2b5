"""The planning tools as the portal offers them: what they need is loaded here, what they do is elsewhere."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ocs.downtime import api as downtime
from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput
from ocs.kernel.security import Principal
from ocs.kernel.settings import Settings
from ocs.kernel.wire.types import iso_z, parse_free_date
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import documents, expansion, planning, readiness, repository, rules, service, sight
from ocs.portal.requests.catalog import Catalog, Place, Station
from ocs.portal.requests.errors import UnreadableDate
from ocs.portal.requests.models import Seeing, TelescopeEvent
from ocs.portal.requests.readiness import Stretch
from ocs.portal.requests.rules import Rules
from ocs.portal.requests.schemas import (
    CADENCE_GROUP,
    DITHER,
    EVENT,
    MOSAIC,
    REQUEST,
    REQUEST_GROUP,
    SEEING,
    InstrumentFilters,
    RequestFilters,
    TelescopeFilters,
)
from ocs.visibility import engine
from ocs.visibility.errors import VisibilityError

T = TypeVar("T")
Plain = dict[str, Any]


def _as_user(principal: Principal) -> Principal:
    """Return the caller without the rights of staff: plans are made for everybody's instruments."""
    return Principal(principal.user_id, principal.username, proposal_ids=principal.proposal_ids)


async def _expand(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any, part: str
) -> Rules:
    inner = sent.get(part) if isinstance(sent, dict) else None
    return await service.load_rules(session, _as_user(principal), settings, now, inner)


async def _make(function: Callable[..., T], *arguments: Any) -> T:
    """Run an expansion off the event loop; what it cannot do is the caller's to mend."""
    try:
        return await asyncio.to_thread(function, *arguments)
    except ValueError as error:
        raise InvalidInput.whole(str(error)) from error


async def dither(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> Plain:
    """Return a configuration taken at the points of a pattern."""
    known = await _expand(session, principal, settings, now, sent, "configuration")
    checked, errors = await service.run_rules(DITHER, sent, known)
    if checked is None:
        raise InvalidInput(body=errors)
    return await _make(expansion.dither, checked)


async def mosaic(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> Plain:
    """Return a request with one configuration for each point of a pattern."""
    known = await _expand(session, principal, settings, now, sent, "request")
    checked, errors = await service.run_rules(MOSAIC, sent, known)
    if checked is None:
        raise InvalidInput(body=errors)
    return await _make(expansion.mosaic, checked, known)


async def cadence(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> Plain:
    """Return a group with one request for each window of a cadence, checked as if it were submitted."""
    known = await service.load_rules(session, principal, settings, now, sent)
    checked, errors = await asyncio.to_thread(rules.validated, CADENCE_GROUP, sent, known)
    if checked is None:
        raise InvalidInput(body=errors)
    plain, wanted = checked.requests[0]
    requests = await asyncio.to_thread(expansion.cadence, plain, wanted, known)
    operator = "MANY" if len(requests) > 1 else sent["operator"]
    made = {**sent, "operator": operator, "requests": requests}
    _, errors = await asyncio.to_thread(rules.validated, REQUEST_GROUP, made, known)
    if errors is not None:
        raise InvalidInput(body=errors)
    return made


async def airmass(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> Plain:
    """Return the airmass of a request that is not stored, or what is wrong with it."""
    known = await service.load_rules(session, principal, settings, now, sent)
    checked, errors = await service.run_rules(REQUEST, sent, known)
    if checked is None:
        return dict(errors)
    return await asyncio.to_thread(
        lambda: planning.airmass(
            known.catalog,
            checked["location"],
            checked["configurations"],
            checked["windows"],
            known.downtimes,
            only_schedulable=known.only_schedulable(checked["location"]),
        )
    )


async def _downtimes(session: ReadSession, windows: Sequence[tuple[datetime, datetime]]) -> Sequence[Any]:
    if not windows:
        return ()
    return await downtime.downtimes(
        session, min(start for start, _ in windows), max(end for _, end in windows)
    )


async def _stored(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters
) -> tuple[Any, Catalog, list[Plain], list[tuple[datetime, datetime]], Sequence[Any]]:
    row = await service.find_request(session, principal, request_id, filters)
    windows = list(zip(row.starts, row.ends, strict=True))
    return (
        row,
        await service.load_catalog(session),
        documents.loads(row.configurations),
        windows,
        await _downtimes(session, windows),
    )


async def airmass_of(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters
) -> Plain:
    """Return the airmass of a stored request."""
    row, catalog, configurations, windows, downtimes = await _stored(session, principal, request_id, filters)
    if not configurations:
        return {"airmass_data": {}}
    return await asyncio.to_thread(
        lambda: planning.airmass(
            catalog, documents.location(row), configurations, windows, downtimes, only_schedulable=True
        )
    )


async def why(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters, now: datetime
) -> Plain:
    """Return what each limit leaves of a stored request's windows."""
    row, catalog, configurations, windows, downtimes = await _stored(session, principal, request_id, filters)
    group = await repository.find_group(session, principal, row.group_id)
    account = rules.ACCOUNTS.get(group.observation_type)
    left: dict[str, float | None] = {}
    if account and row.semester_id:
        found = rules.allocations_by_key(
            await proposals.allocations(session, [group.proposal_id], semester_ids=[row.semester_id])
        )
        for code in row.type_seconds:
            item = found.get((row.semester_id, code))
            left[code] = None if item is None else item.allocated_h(account) - item.used_h(account)
    if not configurations:
        return {"now": iso_z(now), "duration": row.duration, "sites": {}, "allocation": {}}
    try:
        return await asyncio.to_thread(
            lambda: planning.why(
                catalog,
                documents.location(row),
                configurations,
                windows,
                downtimes,
                now=now,
                duration_s=row.duration,
                allocation_left_h=left,
            )
        )
    except VisibilityError as error:
        raise InvalidInput.whole(str(error)) from error


async def instruments(session: ReadSession, principal: Principal, filters: InstrumentFilters) -> Plain:
    """Return the instrument types a caller may ask for."""
    catalog = await service.load_catalog(session)
    only_schedulable = not principal.is_staff or bool(filters.only_schedulable)
    stations: list[Station] = [
        item
        for item in catalog.usable(only_schedulable=only_schedulable)
        if filters.telescope_class.lower() in item.place.telescope_class.lower()
        and _fits(item.place, filters)
        and (not filters.instrument_type or item.type_code.lower() == filters.instrument_type.lower())
    ]
    return planning.instruments(catalog, stations)


def _fits(place: Place, filters: InstrumentFilters) -> bool:
    return all(
        getattr(filters, part).lower() in getattr(place, part).lower()
        for part in ("site", "enclosure", "telescope")
    )


async def contention(
    session: ReadSession, principal: Principal, instrument_type: str, now: datetime
) -> Plain:
    """Return how much is asked of an instrument type, by hour of right ascension."""
    catalog = await service.load_catalog(session)
    rows = await repository.open_requests(session, now, now + timedelta(days=1), instrument_type)
    wanted = [(row.proposal_id, documents.loads(row.configurations)) for row in rows]
    return {
        "ra_hours": list(range(24)),
        "instrument_type": instrument_type,
        "time_calculated": iso_z(now),
        "contention_data": planning.contention(catalog, instrument_type, wanted, named=principal.is_staff),
    }


async def pressure(
    session: ReadSession, principal: Principal, instrument_type: str, site: str, now: datetime
) -> Plain:
    """Return how much is asked of each telescope in the coming day."""
    catalog = await service.load_catalog(session)
    rows = await repository.open_requests(session, now, now + timedelta(days=1), instrument_type)
    wanted = [
        (
            row.proposal_id,
            float(row.duration),
            documents.location(row),
            documents.loads(row.configurations),
            list(zip(row.starts, row.ends, strict=True)),
        )
        for row in rows
    ]
    downtimes = await _downtimes(session, [window for item in wanted for window in item[4]])
    data = await asyncio.to_thread(
        lambda: planning.pressure(catalog, now, wanted, downtimes, site=site, named=principal.is_staff)
    )
    nights = await asyncio.to_thread(planning.site_nights, catalog, now, site)
    return {
        "site_nights": nights,
        "time_bins": [iso_z(moment) for moment in planning.pressure_bins(now)],
        "instrument_type": instrument_type or "all",
        "site": site or "all",
        "time_calculated": iso_z(now),
        "pressure_data": data,
    }


# --- telescopes


def _range(filters: TelescopeFilters, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    try:
        return (
            parse_free_date(filters.start) if filters.start else start,
            parse_free_date(filters.end) if filters.end else end,
        )
    except ValueError as error:
        raise UnreadableDate(str(error)) from error


def _named(filters: TelescopeFilters, place: Place) -> bool:
    return (not filters.site or place.site in filters.site) and (
        not filters.telescope or place.telescope in filters.telescope
    )


def _path(place: Place) -> str:
    return f"{place.site}.{place.enclosure}.{place.telescope}"


async def telescope_states(session: ReadSession, filters: TelescopeFilters, now: datetime) -> Plain:
    """Return the states of telescopes in a range of time."""
    start, end = _range(filters, now, now)
    catalog = await service.load_catalog(session)
    known = {
        _path(item.place) for item in catalog.usable(only_schedulable=False) if _named(filters, item.place)
    }
    found = await _stretches(session, start, end, known)
    return {name: [item.wire() for item in mine] for name, mine in found.items()}


async def _stretches(
    session: ReadSession, start: datetime, end: datetime, known: Collection[str]
) -> dict[str, list[Stretch]]:
    if end <= start:  # a moment: what holds now
        end = start + timedelta(microseconds=1)
    events = await repository.events(session, start, end)
    found = readiness.stretches(events, start, end)
    return {name: mine for name, mine in found.items() if name in known}


async def telescope_availability(session: ReadSession, filters: TelescopeFilters, now: datetime) -> Plain:
    """Return the part of each night in which telescopes were available."""
    start, end = _range(filters, now - timedelta(days=1), now)
    catalog = await service.load_catalog(session)
    places = {
        _path(item.place): item.place
        for item in catalog.usable(only_schedulable=True)
        if _named(filters, item.place)
    }
    found = await _stretches(session, start, end, places)

    def fractions() -> dict[str, list[tuple[str, float]]]:
        nights = {}
        for name, mine in found.items():
            dark = engine.dark(catalog.viewpoints[places[name]], *sight.span_us(start, end))
            nights[name] = readiness.availability(mine, dark)
        return nights

    try:
        result: Mapping[str, Any] = await asyncio.to_thread(fractions)
    except VisibilityError as error:
        raise UnreadableDate(str(error)) from error
    return readiness.combined(result) if filters.combine else dict(result)


async def telescope_states_of(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters
) -> Plain:
    """Return the states of telescopes while a stored request could be observed."""
    row, catalog, configurations, windows, downtimes = await _stored(session, principal, request_id, filters)
    if not windows or not configurations:
        return {}
    location = documents.location(row)
    places = sight.telescopes(catalog, location, configurations[0]["instrument_type"], only_schedulable=True)
    try:
        intervals = await asyncio.to_thread(
            lambda: sight.site_intervals(catalog, location, configurations, windows, downtimes)
        )
    except VisibilityError:
        return {}
    start, end = min(row.starts), max(row.ends)
    names = {_path(place): site for site, found in places.items() for place in found}
    result = {}
    for name, mine in (await _stretches(session, start, end, names)).items():
        if parts := readiness.within(mine, intervals[names[name]]):
            result[name] = [item.wire() for item in parts]
    return result


async def report(
    session: WriteSession, model: type[TelescopeEvent] | type[Seeing], sent: Sequence[Any]
) -> Plain:
    """Store what telescopes report; what cannot be read is told by its place in the list."""
    adapter = EVENT if model is TelescopeEvent else SEEING
    rows: dict[tuple[Any, ...], Plain] = {}
    errors: Plain = {}
    created = 0
    for index, item in enumerate(sent):
        checked, fault = rules.validated(adapter, item, None)
        if checked is None:
            errors[str(index)] = fault
            continue
        values = checked.row()
        rows[tuple(values[key] for key in ("site", "enclosure", "telescope", "observed_at"))] = values
        created += 1
    await repository.store_reports(session, model, list(rows.values()))
    if rows:
        changes.stamp(session, "schedule_inputs", "telescopes")
    return {"created": created, "errors": errors}
