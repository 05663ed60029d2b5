"""Direct submissions: a request and its observation at once, placed by people who know what they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ocs.configdb.api import Instrument, Observatory, observatory
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, reference_body
from ocs.portal.observations import documents
from ocs.portal.observations.records import NewObservation, NewStatus, Observation, TelescopeKey
from ocs.portal.observations.repository import writes
from ocs.portal.observations.schemas import DirectConfigurationIn, DirectIn
from ocs.portal.observations.service import posting
from ocs.portal.observations.service.posting import Placer
from ocs.portal.proposals.api import Proposal, get_proposals
from ocs.portal.requests import api as requests
from ocs.portal.requests import schema_rules
from ocs.portal.requests.api import ObservationType
from ocs.portal.requests.rules import target_fields
from ocs.portal.requests.schemas import CONFIGURATION_TYPES, Sent, TargetIn

_WITHOUT_TARGET = {"BIAS", "DARK", "SKY_FLAT", "NRES_BIAS", "NRES_DARK"}
_CONSTRAINTS = ("max_airmass", "min_lunar_distance", "max_lunar_phase")

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A submission that passed: its request, and an (instrument, guide camera) per configuration."""

    sent: DirectIn
    request: Plain
    instruments: Sequence[tuple[str, str]]
    telescope_class: str


def _plain(value: Any) -> Any:
    """Return checked objects as dictionaries of what was sent."""
    if isinstance(value, Sent):
        return {name: _plain(item) for name, item in value.sent().items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _missing(configuration: DirectConfigurationIn) -> Plain:
    """Return what lacks of a target; calibrations need none."""
    target: TargetIn = configuration.target
    if configuration.type in _WITHOUT_TARGET or (
        target.type == "SATELLITE" and target.extra_params.get("tle") is not None
    ):
        return {}
    sent = target.sent()
    needed = target_fields({**sent, "scheme": target.scheme})
    return {name: ["This field is required"] for name in needed if sent.get(name) in (None, "")}


def _configuration(everything: Observatory, sent: DirectConfigurationIn) -> tuple[Plain, Plain]:
    """Return a configuration to store, and what is wrong with it."""
    faults: Plain = {}
    instrument_type = everything.instrument_type(sent.instrument_type)
    if instrument_type is None or not everything.find_instruments(instrument_type=instrument_type.code):
        usable = ", ".join(everything.instrument_type_codes(only_schedulable=False))
        faults["instrument_type"] = [
            f"Instrument type {sent.instrument_type} is not available; use one of {usable or 'none'}."
        ]
    if sent.type not in CONFIGURATION_TYPES and sent.type not in everything.configuration_type_codes:
        faults["type"] = [f'"{sent.type}" is not a valid choice.']
    if faults or instrument_type is None:
        return {}, faults
    if faults := _missing(sent):
        return {}, faults
    rules = instrument_type.configuration_types.get(sent.type)
    if rules is None:
        usable = ", ".join(instrument_type.configuration_types)
        reason = (
            f"Configuration type {sent.type} is not valid for instrument type {instrument_type.code}; "
            f"use one of {usable or 'none'}."
        )
        return {}, {"non_field_errors": [reason]}
    plain: Plain = _plain(sent)
    for name in ("fill_window", "instrument_name", "guide_camera_name"):
        plain.pop(name, None)
    plain["instrument_type"] = instrument_type.code
    plain["acquisition_config"].setdefault("mode", "OFF")
    plain["constraints"] = {name: getattr(sent.constraints, name) for name in _CONSTRAINTS} | plain[
        "constraints"
    ]
    filled, errors = schema_rules.Schema(rules.validation_schema).apply(plain)
    if errors:
        return {}, schema_rules.structure(errors)
    return plain | filled, {}


def _field_faults(
    sent: DirectIn, everything: Observatory, proposals: Mapping[str, Proposal], now: datetime
) -> tuple[list[Plain], Plain]:
    """Return the configurations to store, and what is wrong with the fields."""
    faults: Plain = {}
    places = {
        "site": {item.code for item in everything.sites},
        "enclosure": {item.code for item in everything.enclosures},
        "telescope": {item.code for item in everything.telescopes},
    }
    for name, codes in places.items():
        if (code := getattr(sent, name)) not in codes:
            faults[name] = [f'"{code}" is not a valid choice.']
    proposal = proposals.get(sent.proposal)
    if proposal is None:
        faults["proposal"] = [f'Invalid pk "{sent.proposal}" - object does not exist.']
    elif not proposal.direct_submission:
        faults["proposal"] = [f"Proposal {sent.proposal} does not allow direct submissions."]
    if sent.end < now:
        faults["end"] = ["The end must be in the future."]
    pairs = [_configuration(everything, item) for item in sent.request.configurations]
    if any(wrong for _, wrong in pairs):
        faults["request"] = {"configurations": [wrong for _, wrong in pairs]}
    return [plain for plain, _ in pairs], faults


def _instrument(there: Sequence[Instrument], code: str, instrument_type: str, place: str) -> Instrument:
    """Return the instrument that is named, or the only one of its type.

    Raises
    ------
    ValueError
        When there is none, or several to choose from.
    """
    usable = [item for item in there if item.instrument_type.code == instrument_type]
    names = ", ".join(item.code for item in usable)
    if not usable:
        raise ValueError(f"Instrument type {instrument_type} is not available at {place}.")
    if code:
        found = next((item for item in usable if item.code.lower() == code.lower()), None)
        if found is None:
            raise ValueError(f"{code} is not a {instrument_type} at {place}; there is: {names}.")
        return found
    if len(usable) > 1:
        raise ValueError(f"Choose instrument_name for {instrument_type} at {place} from {names}.")
    return usable[0]


def _guide_camera(sent: DirectConfigurationIn, plain: Plain, instrument: Instrument) -> str:
    """Return the camera that guides; '' when nothing does.

    Raises
    ------
    ValueError
        When a camera is named that cannot.
    """
    modes = (plain["guiding_config"].get("mode") or "OFF", plain["acquisition_config"].get("mode") or "OFF")
    if all(mode.upper() == "OFF" for mode in modes):
        return ""
    chosen: str = sent.guide_camera_name
    if not chosen:
        itself = sent.extra_params.get("self_guide")
        chosen = instrument.code if itself else instrument.autoguider_camera.code
    if chosen.lower() not in {code.lower() for code in instrument.guide_cameras}:
        raise ValueError(f"{chosen} is not a valid guide camera for {instrument.code}.")
    return chosen


def _object_fault(
    sent: DirectIn,
    configurations: Sequence[Plain],
    everything: Observatory,
    proposal: Proposal,
    by: Placer,
) -> _Checked:
    """Return the checked submission.

    Raises
    ------
    ValueError
        With what is wrong with it as a whole.
    """
    if sent.end <= sent.start:
        raise ValueError("End time must be after start time.")
    key = TelescopeKey(sent.site, sent.enclosure, sent.telescope)
    place = ".".join(key)
    telescope = everything.telescope(*key)
    if telescope is None:
        raise ValueError(f"There is no telescope {place}.")
    there = everything.find_instruments(**key._asdict())
    instruments = []
    for item, plain in zip(sent.request.configurations, configurations, strict=True):
        instrument = _instrument(there, item.instrument_name, plain["instrument_type"], place)
        instruments.append((instrument.code, _guide_camera(item, plain, instrument)))
    if proposal.id not in by.principal.proposal_ids:
        raise ValueError(f"You are not a member of proposal {proposal.id}.")
    if not proposal.active:
        raise ValueError(f"Proposal {proposal.id} is not active.")
    request = {**_plain(sent.request), "configurations": list(configurations)}
    return _Checked(sent, request, instruments, telescope.telescope_class)


async def _check_all(
    session: ReadSession, by: Placer, sent: Sequence[Any], now: datetime
) -> tuple[list[_Checked], list[Any]]:
    """Return what passed, and the error body of each element (empty for what passed)."""
    faults: list[Any] = [{} for _ in sent]
    parsed: dict[int, DirectIn] = {}
    for position, item in enumerate(sent):
        try:
            parsed[position] = DirectIn.model_validate(item)
        except ValidationError as error:
            faults[position] = reference_body(error.errors(include_url=False), item)
    everything = await observatory(session)
    proposals = await get_proposals(session, {item.proposal for item in parsed.values()})
    fine = {}
    for position, item in parsed.items():
        configurations, faults[position] = _field_faults(item, everything, proposals, now)
        if not faults[position]:
            fine[position] = configurations
    checked = []
    for position, configurations in fine.items():
        item = parsed[position]
        try:
            checked.append(_object_fault(item, configurations, everything, proposals[item.proposal], by))
        except ValueError as error:
            faults[position] = {"non_field_errors": [str(error)]}
    return checked, faults


async def submit(session: WriteSession, by: Placer, sent: Any, now: datetime) -> Any:
    """Store one submission, or all of a list; return the answer in direct-form.

    Raises
    ------
    InvalidInput
        When anything is wrong with any of them; then nothing is stored.
    """
    elements = sent if isinstance(sent, list) else [sent]
    checked, faults = await _check_all(session, by, elements, now)
    if any(faults):
        raise InvalidInput(body=faults if isinstance(sent, list) else faults[0])
    new = [await _place(session, by, item, now) for item in checked]
    stored = await writes.insert(session, new, now)
    if new:
        posting.announce(session, new)
    observations = [posting.stored_observation(item, ids, now) for item, ids in zip(new, stored, strict=True)]
    answer = await show(session, observations)
    return answer if isinstance(sent, list) else answer[0]


async def _place(session: WriteSession, by: Placer, item: _Checked, now: datetime) -> NewObservation:
    sent = item.sent
    key = TelescopeKey(sent.site, sent.enclosure, sent.telescope)
    group = await requests.place_group(
        session,
        by.principal,
        name=sent.name,
        proposal_id=sent.proposal,
        observation_type=ObservationType.DIRECT,
        location={"telescope_class": item.telescope_class, **key._asdict()},
        start=sent.start,
        end=sent.end,
        request=item.request,
        now=now,
    )
    statuses = [
        NewStatus(configuration_id, *cameras)
        for configuration_id, cameras in zip(group.configuration_ids, item.instruments, strict=True)
    ]
    return NewObservation(
        request_id=group.request_id,
        proposal_id=sent.proposal,
        observation_type=ObservationType.DIRECT,
        telescope=key,
        start=sent.start,
        end=sent.end,
        priority=sent.priority,
        statuses=statuses * sent.request.configuration_repeats,
    )


async def show(session: ReadSession, observations: Sequence[Observation]) -> list[Plain]:
    """Return observations in direct-form."""
    ids = {item.request_id for item in observations}
    heads = await requests.embedded_requests(session, ids)
    details = await requests.detailed_requests(session, ids)
    return [
        documents.direct_form(item, heads[item.request_id], details[item.request_id]) for item in observations
    ]
