"""Observations that schedulers post."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ocs.configdb.api import Observatory, observatory
from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, PermissionDenied, reference_body
from ocs.kernel.security import Principal
from ocs.portal.observations.records import (
    NewObservation,
    NewStatus,
    Observation,
    Status,
    Stored,
    TelescopeKey,
)
from ocs.portal.observations.repository import writes
from ocs.portal.observations.schemas import ObservationIn
from ocs.portal.observations.states import ObservationState, StatusState
from ocs.portal.proposals.api import get_proposals
from ocs.portal.requests import api as requests
from ocs.portal.requests.api import RequestRecord


@dataclass(frozen=True, slots=True)
class Placer:
    """Somebody who may place observations: staff, or a member of proposals with direct submission."""

    principal: Principal
    direct_proposal_ids: frozenset[str]


async def placer(session: ReadSession, principal: Principal) -> Placer:
    """Return the caller as somebody who may place observations.

    Raises
    ------
    PermissionDenied
        When neither staff nor a member of a proposal with direct submission.
    """
    own = await get_proposals(session, principal.proposal_ids) if principal.proposal_ids else {}
    direct = frozenset(item.id for item in own.values() if item.direct_submission)
    if not principal.is_staff and not direct:
        raise PermissionDenied
    return Placer(principal, direct)


def _statuses_fault(sent: ObservationIn, request: RequestRecord) -> Any:
    """Return what is wrong with the configurations that are named, None if nothing is."""
    expected = [item["id"] for item in request.configurations] * request.configuration_repeats
    named = [item.configuration for item in sent.configuration_statuses]
    unknown = [
        {} if id_ in expected else {"configuration": [f'Invalid pk "{id_}" - object does not exist.']}
        for id_ in named
    ]
    if any(unknown):
        return unknown
    if named != expected:
        return [
            f"Needs one entry for each configuration of the request in order, for each of its "
            f"{request.configuration_repeats} rounds: {', '.join(map(str, expected))}."
        ]
    return None


def may_guide(everything: Observatory, instrument_name: str, guide_camera: str) -> bool:
    """Tell whether a camera can guide an instrument, wherever that is; case does not matter."""
    found = next(
        (item for item in everything.find_instruments() if item.code.lower() == instrument_name.lower()),
        None,
    )
    return found is not None and guide_camera.lower() in {code.lower() for code in found.guide_cameras}


def _guiding_fault(sent: ObservationIn, everything: Observatory) -> Any:
    faults = [
        {}
        if not item.guide_camera_name or may_guide(everything, item.instrument_name, item.guide_camera_name)
        else {
            "non_field_errors": [
                f"{item.guide_camera_name} is not a valid guide camera for {item.instrument_name}."
            ]
        }
        for item in sent.configuration_statuses
    ]
    return faults if any(faults) else None


def _placing_fault(
    sent: ObservationIn, request: RequestRecord, everything: Observatory, by: Placer
) -> str | None:
    """Return why the request cannot be placed there and then, None if it can."""
    if not by.principal.is_staff and request.proposal_id not in by.direct_proposal_ids:
        return f"You may not place observations of proposal {request.proposal_id}."
    if sent.end <= sent.start:
        return "End time must be after start time."
    if not any(
        start.replace(microsecond=0) <= sent.start and sent.end <= end for start, end in request.windows
    ):
        return "The observation must lie within one window of the request."
    key = TelescopeKey(sent.site, sent.enclosure, sent.telescope)
    telescope = everything.telescope(*key)
    named = {**request.location}
    if (
        telescope is not None
        and named.pop("telescope_class", telescope.telescope_class) != telescope.telescope_class
    ):
        telescope = None
    if (
        telescope is None
        or ".".join(key) != telescope.path
        or any(getattr(key, part) != code for part, code in named.items())
    ):
        return f"{'.'.join(key)} does not match the location of the request."
    there = everything.find_instruments(**key._asdict())
    types = {item.instrument_type.code for item in there}
    for configuration in request.configurations:
        if configuration["instrument_type"] not in types:
            return f"Instrument type {configuration['instrument_type']} is not available at {'.'.join(key)}."
    codes = {item.code.lower() for item in there}
    for item in sent.configuration_statuses:
        if item.instrument_name.lower() not in codes:
            return f"Instrument {item.instrument_name} is not available at {'.'.join(key)}."
    return None


def _check(
    sent: ObservationIn, known: Mapping[int, RequestRecord], everything: Observatory, by: Placer
) -> NewObservation:
    """Return the observation to store.

    Raises
    ------
    InvalidInput
        When it cannot be there and then.
    """
    request = known.get(sent.request)
    faults: dict[str, Any] = {}
    if request is None:
        faults["request"] = [f'Invalid pk "{sent.request}" - object does not exist.']
    fault = _guiding_fault(sent, everything) or (_statuses_fault(sent, request) if request else None)
    if fault is not None:
        faults["configuration_statuses"] = fault
    if request is None or faults:
        raise InvalidInput(body=faults)
    if (reason := _placing_fault(sent, request, everything, by)) is not None:
        raise InvalidInput.whole(reason)
    return NewObservation(
        request_id=request.id,
        proposal_id=request.proposal_id,
        observation_type=request.observation_type,
        telescope=TelescopeKey(sent.site, sent.enclosure, sent.telescope),
        start=sent.start,
        end=sent.end,
        priority=sent.priority,
        statuses=[
            NewStatus(item.configuration, item.instrument_name, item.guide_camera_name)
            for item in sent.configuration_statuses
        ],
    )


def announce(session: WriteSession, observations: Sequence[NewObservation]) -> None:
    """Tell sites that they have something new to do, and our scheduler that telescopes are taken."""
    changes.stamp(session, "observations", *{item.telescope.site for item in observations}, "all")
    changes.stamp(session, "schedule_inputs", "observations")


def stored_observation(new: NewObservation, stored: Stored, now: datetime) -> Observation:
    """Return a new observation as it stands in the database."""
    return Observation(
        id=stored.id,
        request_id=new.request_id,
        proposal_id=new.proposal_id,
        observation_type=requests.ObservationType(new.observation_type),
        telescope=new.telescope,
        start=new.start,
        end=new.end,
        priority=new.priority,
        state=ObservationState.PENDING,
        ours=False,
        created=now,
        modified=now,
        statuses=tuple(
            Status(
                id_,
                item.configuration_id,
                item.instrument_name,
                item.guide_camera_name,
                StatusState.PENDING,
                0.0,
                None,
            )
            for id_, item in zip(stored.status_ids, new.statuses, strict=True)
        ),
    )


async def _checked(
    session: WriteSession, by: Placer, sent: Sequence[Any]
) -> tuple[dict[int, NewObservation], dict[int, Any]]:
    """Return what is fine and what is wrong, by position."""
    faults: dict[int, Any] = {}
    parsed: dict[int, ObservationIn] = {}
    for position, item in enumerate(sent):
        try:
            parsed[position] = ObservationIn.model_validate(item)
        except ValidationError as error:
            faults[position] = reference_body(error.errors(include_url=False), item)
    fine: dict[int, NewObservation] = {}
    if parsed:
        everything = await observatory(session)
        known = await requests.load_requests(session, {item.request for item in parsed.values()})
        for position, checked in parsed.items():
            try:
                fine[position] = _check(checked, known, everything, by)
            except InvalidInput as error:
                faults[position] = error.body
    return fine, faults


async def post_one(session: WriteSession, by: Placer, sent: Any, now: datetime) -> Observation:
    """Store one observation.

    Raises
    ------
    InvalidInput
        With the reference's structure.
    """
    fine, faults = await _checked(session, by, [sent])
    if faults:
        raise InvalidInput(body=faults[0])
    stored = await writes.insert(session, [fine[0]], now)
    announce(session, [fine[0]])
    return stored_observation(fine[0], stored[0], now)


async def post_list(
    session: WriteSession, by: Placer, sent: Sequence[Any], now: datetime
) -> tuple[int, dict[str, Any]]:
    """Store what is fine of a list; return how many that are, and what is wrong by position."""
    fine, faults = await _checked(session, by, sent)
    new = list(fine.values())
    if new:
        await writes.insert(session, new, now)
        announce(session, new)
    return len(new), {str(position): faults[position] for position in sorted(faults)}
