"""What can be done with request groups."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import orjson
from pydantic import TypeAdapter

from ocs.configdb import api as configdb
from ocs.downtime import api as downtime
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, NotFound
from ocs.kernel.security import Principal
from ocs.kernel.settings import Settings
from ocs.kernel.wire.pages import PageRequest
from ocs.kernel.wire.types import parse_free_date, parse_utc
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import documents, durations, lifecycle, plugins, repository, sight
from ocs.portal.requests.catalog import PLACE_PARTS, Catalog, catalog_of
from ocs.portal.requests.errors import NotCancellable, NotPending
from ocs.portal.requests.repository import NewRequest
from ocs.portal.requests.rules import (
    ACCOUNTS,
    CheckedGroup,
    CheckedRequest,
    Limits,
    ProposalFacts,
    Rules,
    allocations_by_key,
    largest_ipp,
    place_of,
    validated,
)
from ocs.portal.requests.schemas import REQUEST_GROUP, GroupFilters, RequestFilters, SchedulableFilters
from ocs.portal.requests.states import ObservationType, State

_NO_CHOICE = "Select a valid choice. {} is not one of the available choices."
_MOVING = {"ORBITAL_ELEMENTS", "SATELLITE", "EPHEMERIS"}


# --- what the rules need


async def load_catalog(session: ReadSession) -> Catalog:
    """Return the catalog of the present configuration."""
    return catalog_of(await configdb.observatory(session))


async def load_rules(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> Rules:
    """Gather all that the rules need to know about what was sent, in a fixed number of statements."""
    catalog = await load_catalog(session)
    name = sent.get("proposal") if isinstance(sent, dict) else None
    if not isinstance(name, str) or "\x00" in name:
        name = ""
    standing = await proposals.standing(session, principal.user_id or 0, name.strip())
    requests = sent.get("requests") if isinstance(sent, dict) else None
    span = _span(requests if isinstance(requests, list) else [sent])
    return Rules(
        catalog,
        now,
        standing.semesters,
        await _facts(session, principal, standing, now),
        await downtime.downtimes(session, *span) if span else (),
        is_staff=principal.is_staff,
        limits=Limits(settings.min_ipp, settings.max_ipp, settings.time_overuse_allowance),
    )


async def _facts(
    session: ReadSession, principal: Principal, standing: proposals.Standing, now: datetime
) -> ProposalFacts | None:
    proposal, limit_s = standing.proposal, standing.time_limit_s
    if proposal is None:
        return None
    if limit_s is None or principal.user_id is None:
        return ProposalFacts(proposal.id, proposal.active, is_member=False)
    used_s = 0
    if limit_s >= 0:
        current = proposals.semester_containing(standing.semesters, now)
        if current and any(item.semester_id == current.id for item in standing.allocations):
            used_s = await repository.time_used_s(session, principal.user_id, proposal.id, current.start_utc)
    return ProposalFacts(
        proposal.id,
        proposal.active,
        is_member=True,
        direct_submission=proposal.direct_submission,
        time_limit_s=limit_s,
        time_used_s=used_s,
        allocations=allocations_by_key(standing.allocations),
    )


def _span(requests: Sequence[Any]) -> tuple[datetime, datetime] | None:
    """Return the time that the windows of unchecked requests cover."""
    moments = []
    for request in requests:
        windows = request.get("windows") if isinstance(request, dict) else None
        cadence = request.get("cadence") if isinstance(request, dict) else None
        for window in [*(windows if isinstance(windows, list) else []), cadence]:
            for edge in ("start", "end"):
                try:
                    moments.append(parse_utc(window.get(edge)))
                except (AttributeError, ValueError):
                    continue
    if not moments:
        return None
    return min(moments), max(moments)


async def run_rules(adapter: TypeAdapter[Any], sent: Any, rules: Rules) -> tuple[Any, Any]:
    """Validate what was sent, in a thread when that may take long."""
    if _is_heavy(sent):
        return await asyncio.to_thread(validated, adapter, sent, rules)
    return validated(adapter, sent, rules)


def packed(sent: Any) -> bytes:
    """Return what was sent as canonical JSON.

    Raises
    ------
    InvalidInput
        When it is nested deeper than anybody writes by intention.
    """
    try:
        return orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise InvalidInput("The request is nested too deeply.") from error


def _is_heavy(sent: Any) -> bool:
    """Tell whether the visibility of what was sent may take more than some milliseconds."""
    requests = sent.get("requests", [sent]) if isinstance(sent, dict) else []
    if not isinstance(requests, list) or len(requests) > 3:
        return True
    span = _span(requests)
    if span and (span[1] - span[0]).days > 60:
        return True
    text = packed(sent)
    return len(text) > 20_000 or any(f'"{kind}"'.encode() in text for kind in _MOVING)


# --- validation and submission


async def validate(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> tuple[CheckedGroup | None, Any, Rules]:
    """Check a group; return what was checked or what is wrong with it."""
    rules = await load_rules(session, principal, settings, now, sent)
    group, errors = await run_rules(REQUEST_GROUP, sent, rules)
    if group is not None and (found := plugins.errors_of(group)):
        return None, found, rules
    return group, errors, rules


def duration_report(group: CheckedGroup, rules: Rules) -> dict[str, Any]:
    """Return how long everything in a checked group takes, in seconds."""
    requests = []
    for request in group.requests:
        configurations = []
        for item in request.plain["configurations"]:
            overheads = rules.catalog.overheads(item["instrument_type"])
            configurations.append(
                {
                    "instrument_configs": [
                        {"duration": durations.exposures_s(overheads, config)}
                        for config in item["instrument_configs"]
                    ],
                    "duration": durations.configuration_s(overheads, item),
                }
            )
        requests.append(
            {
                "duration": request.duration.total_s,
                "configurations": configurations,
                "largest_interval": request.longest_ever_s,
            }
        )
    return {"requests": requests, "duration": sum(item["duration"] for item in requests)}


def new_request(request: CheckedRequest) -> NewRequest:
    """Return a checked request as it is stored."""
    plain = request.plain
    place = place_of(plain["location"])
    return NewRequest(
        {
            "observation_note": plain.get("observation_note", ""),
            "optimization_type": plain.get("optimization_type", "TIME"),
            "acceptability_threshold": plain["acceptability_threshold"],
            "configuration_repeats": plain.get("configuration_repeats", 1),
            "suspend_until": plain.get("suspend_until"),
            "extra_params": plain.get("extra_params") or {},
            "telescope_class": place.telescope_class,
            "site": place.site,
            "enclosure": place.enclosure,
            "telescope": place.telescope,
            "duration": request.duration.total_s,
            "type_seconds": dict(request.duration.by_type_s),
            "semester_id": request.semester_id,
        },
        request.windows,
        [documents.stored_configuration(item) for item in plain["configurations"]],
    )


async def store(
    session: WriteSession, principal: Principal, group: CheckedGroup, now: datetime
) -> dict[str, Any]:
    """Store a checked group, debit its priority, tell the schedulers; return it in detail-form."""
    assert principal.user_id is not None
    columns = {
        "name": group.name,
        "proposal_id": group.proposal,
        "submitter_id": principal.user_id,
        "observation_type": group.observation_type,
        "operator": group.operator,
        "ipp_value": group.ipp_value,
    }
    new = [new_request(item) for item in group.requests]
    group_id, stored, _ = await repository.insert_group(session, columns, new, now)
    row = SimpleNamespace(
        **columns, id=group_id, state=State.PENDING, created=now, modified=now, submitter=principal.username
    )
    targets = [
        target
        for values in stored
        for target in lifecycle.ipp_targets(row, SimpleNamespace(**values), State.PENDING)
        if target.hours
    ]
    if targets:
        await proposals.settle_ipp(session, targets, cause="request group created", now=now, strict=True)
    lifecycle.announce(session, {values["telescope_class"] for values in stored})
    requests = []
    for values, request in zip(stored, group.requests, strict=True):
        texts = {name: orjson.dumps(values[name]) for name in ("configurations", "extra_params")}
        edges = {
            "starts": [start for start, _ in request.windows],
            "ends": [end for _, end in request.windows],
        }
        requests.append(documents.detailed_request(SimpleNamespace(**(values | texts | edges)), placed=False))
    return documents.group(row, requests)


async def submit(
    session: WriteSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> dict[str, Any]:
    """Check and store a group; return it in detail-form."""
    group, errors, _ = await validate(session, principal, settings, now, sent)
    if group is None:
        raise InvalidInput(body=errors)
    return await store(session, principal, group, now)


async def max_allowable_ipp(
    session: ReadSession, principal: Principal, settings: Settings, now: datetime, sent: Any
) -> dict[str, Any]:
    """Return the range of priorities a group could have, or what is wrong with it."""
    if isinstance(sent, dict):
        sent = {**sent, "ipp_value": 1.0}
    group, errors, rules = await validate(session, principal, settings, now, sent)
    if group is None:
        return {"errors": errors}
    assert rules.facts is not None
    result: dict[str, Any] = {}
    for (semester, code), seconds in durations.group_sums_s(group.shares).items():
        allocation = rules.facts.allocations[(semester, code)]
        hours = seconds / 3600
        result.setdefault(semester, {})[code] = {
            "ipp_time_available": allocation.ipp_available_h,
            "ipp_limit": allocation.ipp_limit_h,
            "request_duration": hours,
            "max_allowable_ipp_value": largest_ipp(allocation.ipp_available_h, hours, settings.max_ipp),
            "min_allowable_ipp_value": settings.min_ipp,
        }
    return result


@dataclass(frozen=True, slots=True)
class PlacedGroup:
    """A group with one request that was placed directly; ids of its configurations in their order."""

    group_id: int
    request_id: int
    configuration_ids: tuple[int, ...]


async def place_group(
    session: WriteSession,
    principal: Principal,
    *,
    name: str,
    proposal_id: str,
    observation_type: ObservationType,
    location: Mapping[str, str],
    start: datetime,
    end: datetime,
    request: Mapping[str, Any],
    now: datetime,
) -> PlacedGroup:
    """Store a group that people placed themselves, with the place and time of its observation.

    Parameters
    ----------
    location
        All four parts.
    request
        A request in plain form, checked by the caller; empty for a session without content.
    """
    assert principal.user_id is not None
    catalog = await load_catalog(session)
    plains = [
        {**item, "priority": position} for position, item in enumerate(request.get("configurations", ()), 1)
    ]
    threshold = request.get("acceptability_threshold")
    if threshold is None:
        thresholds = [
            catalog.overheads(item["instrument_type"]).instrument_type.default_acceptability_threshold_percent
            for item in plains
        ]
        threshold = max(thresholds, default=90.0)
    stored = [documents.stored_configuration(item) for item in plains]
    repeats = request.get("configuration_repeats", 1)
    duration = durations.request_duration(catalog, stored, repeats, sight.separation_arcsec(start))
    semester = proposals.semester_containing(await proposals.semesters(session), start, end)
    columns = {
        "name": name,
        "proposal_id": proposal_id,
        "submitter_id": principal.user_id,
        "observation_type": observation_type,
        "operator": "SINGLE",
        "ipp_value": 1.0,
    }
    new = NewRequest(
        {
            "observation_note": request.get("observation_note", ""),
            "optimization_type": request.get("optimization_type", "TIME"),
            "acceptability_threshold": threshold,
            "configuration_repeats": repeats,
            "suspend_until": request.get("suspend_until"),
            "extra_params": request.get("extra_params") or {},
            **{part: location[part] for part in PLACE_PARTS},
            "duration": duration.total_s,
            "type_seconds": dict(duration.by_type_s),
            "semester_id": semester.id if semester else None,
        },
        [(start, end)],
        stored,
    )
    group_id, (values,), configuration_ids = await repository.insert_group(session, columns, [new], now)
    lifecycle.announce(session, [location["telescope_class"]])
    return PlacedGroup(group_id, values["id"], tuple(configuration_ids))


# --- reading


def _is_placed(observation_type: str) -> bool:
    return not ObservationType(observation_type).is_scheduled


async def _check_filters(session: ReadSession, filters: GroupFilters | RequestFilters) -> None:
    """Refuse filter values that name nothing."""
    if filters.telescope_class:
        known = {place.telescope_class for place in (await load_catalog(session)).places}
        for name in filters.telescope_class:
            if name not in known:
                raise InvalidInput.fields(telescope_class=_NO_CHOICE.format(name))
    if not isinstance(filters, GroupFilters):
        return
    if filters.proposal and not await proposals.get_proposals(session, [filters.proposal]):
        raise InvalidInput.fields(proposal=_NO_CHOICE.format("That choice"))
    if filters.submitter is not None and not await repository.user_exists(session, filters.submitter):
        raise InvalidInput.fields(submitter=_NO_CHOICE.format("That choice"))


async def list_groups(
    session: ReadSession, principal: Principal, filters: GroupFilters, page: PageRequest
) -> tuple[int, list[bytes]]:
    """Return how many groups a caller finds, and a page of them in list-form as JSON."""
    await _check_filters(session, filters)
    count = await repository.count_groups(session, principal, filters)
    groups = await repository.page_of_groups(session, principal, filters, page)
    requests = await repository.requests_of_groups(session, [row.id for row in groups])
    rows = []
    for row in groups:
        placed = _is_placed(row.observation_type)
        listed = [documents.listed_request(item, placed=placed) for item in requests[row.id]]
        rows.append(documents.dumps(documents.group(row, listed)))
    return count, rows


async def show_group(session: ReadSession, principal: Principal, group_id: int) -> dict[str, Any]:
    """Return a group in detail-form."""
    row = await repository.find_group(session, principal, group_id)
    if row is None:
        raise NotFound.of("RequestGroup")
    placed = _is_placed(row.observation_type)
    requests = (await repository.requests_of_groups(session, [group_id]))[group_id]
    return documents.group(row, [documents.detailed_request(item, placed=placed) for item in requests])


async def list_requests(
    session: ReadSession, principal: Principal, filters: RequestFilters, page: PageRequest
) -> tuple[int, list[bytes]]:
    """Return how many requests a caller finds, and a page of them in list-form as JSON."""
    await _check_filters(session, filters)
    count, found = await repository.page_of_requests(session, principal, filters, page)
    return count, [
        documents.dumps(documents.listed_request(row, placed=_is_placed(row.observation_type)))
        for row in found
    ]


async def find_request(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters
) -> Any:
    """Return the row of a request the caller may see."""
    await _check_filters(session, filters)
    row = await repository.find_request(session, principal, request_id, filters)
    if row is None:
        raise NotFound.of("Request")
    return row


async def show_request(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestFilters
) -> dict[str, Any]:
    """Return a request in detail-form."""
    row = await find_request(session, principal, request_id, filters)
    return documents.detailed_request(row, placed=_is_placed(row.observation_type))


# --- for schedulers


async def schedulable(
    session: ReadSession,
    start: datetime,
    end: datetime,
    telescope_classes: Collection[str],
    *,
    now: datetime,
    overuse: float,
) -> list[tuple[Any, list[Any]]]:
    """Return the rows of groups that may be scheduled, each with its requests that are not suspended.

    A group needs time left for at least one of its semesters and instrument types.
    """
    groups = await repository.schedulable_groups(session, start, end, telescope_classes)
    requests = await repository.requests_of_groups(session, [row.id for row in groups])
    allocations = {
        (item.proposal_id, item.semester_id, code): item
        for item in await proposals.allocations(session, {row.proposal_id for row in groups})
        for code in item.instrument_types
    }
    found = []
    for group in groups:
        shares = [(item.semester_id or "", item.type_seconds) for item in requests[group.id]]
        account = ACCOUNTS[group.observation_type]
        for (semester, code), seconds in durations.group_totals_s(group.operator, shares).items():
            allocation = allocations.get((group.proposal_id, semester, code))
            if allocation is None:
                continue
            left_h = allocation.allocated_h(account) - allocation.used_h(account)
            if left_h * overuse >= seconds / 3600:
                active = [
                    item
                    for item in requests[group.id]
                    if item.suspend_until is None or item.suspend_until <= now
                ]
                if active:
                    found.append((group, active))
                break
    return found


async def schedulable_page(
    session: ReadSession, filters: SchedulableFilters, settings: Settings, now: datetime
) -> bytes:
    """Return the groups a scheduler asks for, in list-form with `is_staff`, as JSON."""
    span: list[datetime | None] = []
    for name in ("start", "end"):
        value = getattr(filters, name)
        try:
            span.append(parse_free_date(value) if value else None)
        except ValueError as error:
            raise InvalidInput.fields(**{name: str(error)}) from error
    current = proposals.semester_containing(await proposals.semesters(session), now)
    start = span[0] or (current.start_utc if current else None)
    end = span[1] or (current.end_utc if current else None)
    if start is None or end is None:
        return b"[]"
    found = await schedulable(
        session, start, end, filters.telescope_class, now=now, overuse=settings.time_overuse_allowance
    )
    rows = []
    for group, requests in found:
        document = documents.group(group, [documents.listed_request(item, placed=False) for item in requests])
        document["is_staff"] = bool(group.submitter_is_staff)
        rows.append(document)
    return documents.dumps(rows)


# --- changing


async def cancel(session: WriteSession, principal: Principal, group_id: int, now: datetime) -> dict[str, Any]:
    """Cancel a group and its open requests; return it in detail-form."""
    row = await repository.find_group(session, principal, group_id)
    if row is None:
        raise NotFound.of("RequestGroup")
    await lifecycle.move(session, {}, now=now, cause="request group canceled", cancel_groups=[group_id])
    shown = await show_group(session, principal, group_id)
    if shown["state"] != State.CANCELED:
        raise NotCancellable(shown["state"])
    return shown


async def suspend(
    session: WriteSession,
    principal: Principal,
    request_id: int,
    filters: RequestFilters,
    until: datetime | None,
    now: datetime,
) -> None:
    """Keep a request from being scheduled until a time, or let it be scheduled again."""
    row = await find_request(session, principal, request_id, filters)
    if until is not None and until <= now:
        raise InvalidInput.fields(suspend_until="Must lie in the future.")
    if row.state != State.PENDING:
        raise NotPending(row.state)
    await repository.suspend(session, request_id, until)
    lifecycle.announce(session, [row.telescope_class])
