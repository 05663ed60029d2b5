"""What callers find."""

from datetime import datetime

from ocs.configdb.api import Observatory, observatory
from ocs.kernel import changes
from ocs.kernel.database import ReadSession
from ocs.kernel.errors import InvalidInput, NotFound
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.observations import documents
from ocs.portal.observations.records import Observation, Status
from ocs.portal.observations.repository import lists
from ocs.portal.observations.schemas import (
    ORDERED,
    AvailableFilters,
    ChoiceField,
    ObservationFilters,
    RequestObservationFilters,
    StatusFilters,
)
from ocs.portal.observations.states import ObservationState
from ocs.portal.requests import api as requests
from ocs.portal.requests.api import EmbeddedRequest, ObservationType, State

_PLAIN = [
    "priority",
    "start_after",
    "start_before",
    "end_after",
    "end_before",
    "modified_after",
    "created_after",
    "created_before",
    "request_id",
    "request_group_id",
    "user",
    "proposal",
]
_BLANK = ("", "---------")
_SPANS = [
    _BLANK,
    ("today", "Today"),
    ("yesterday", "Yesterday"),
    ("week", "Past 7 days"),
    ("month", "This month"),
    ("year", "This year"),
]


def _codes(everything: Observatory) -> dict[str, list[str]]:
    """Return the values of the filters that name parts of the observatory."""
    return {
        "site": sorted({item.code for item in everything.sites}),
        "enclosure": sorted({item.code for item in everything.enclosures}),
        "telescope": sorted({item.code for item in everything.telescopes}),
        "instrument_type": sorted(everything.instrument_types),
        "configuration_type": sorted(everything.configuration_type_codes),
    }


async def _check_codes(session: ReadSession, filters: ObservationFilters | StatusFilters) -> None:
    """Refuse codes the observatory does not have."""
    asked = {
        name: [value] if isinstance(value, str) else value
        for name in ("site", "enclosure", "telescope", "instrument_type", "configuration_type")
        if (value := getattr(filters, name, None))
    }
    if not asked:
        return
    codes = _codes(await observatory(session))
    wrong = {
        name: f"Select a valid choice. {value} is not one of the available choices."
        for name, values in asked.items()
        for value in values
        if value not in codes[name]
    }
    if wrong:
        raise InvalidInput.fields(**wrong)


async def available_filters(session: ReadSession) -> AvailableFilters:
    """Return the filters of the lists."""
    codes = {
        name: [(code, code) for code in values] for name, values in _codes(await observatory(session)).items()
    }
    orderings = [_BLANK]
    for name in ORDERED:
        orderings += [(name, name.capitalize()), (f"-{name}", f"{name.capitalize()} (descending)")]
    options = {
        "site": codes["site"],
        "enclosure": codes["enclosure"],
        "telescope": codes["telescope"],
        "state": [(item.value, item.value) for item in ObservationState],
        "time_span": _SPANS,
        "observation_type": [(item.value, item.value) for item in ObservationType],
        "request_state": [(item.value, item.value) for item in State],
        "instrument_type": codes["instrument_type"],
        "configuration_type": codes["configuration_type"],
        "ordering": orderings,
    }
    return AvailableFilters(
        fields=_PLAIN,
        choice_fields=[ChoiceField(name=name, options=values) for name, values in options.items()],
    )


async def list_observations(
    session: ReadSession,
    principal: Principal,
    filters: ObservationFilters,
    page: PageRequest,
    now: datetime,
) -> tuple[int, list[bytes]]:
    """Return how many observations a caller finds, and a page of them in schedule-form, as JSON."""
    await _check_codes(session, filters)
    found = await lists.page_of_observations(session, principal, filters, page, now)
    ids = {item.request_id for item in found.observations}
    known = await requests.embedded_requests(session, ids) if ids else {}
    return found.count, [documents.schedule_form(item, known[item.request_id]) for item in found.observations]


async def find(session: ReadSession, principal: Principal, id_: int) -> Observation:
    """Return an observation the caller may see."""
    observation = await lists.find_observation(session, principal, id_)
    if observation is None:
        raise NotFound.of("Observation")
    return observation


async def embedded(session: ReadSession, observation: Observation) -> EmbeddedRequest:
    """Return what is shown of an observation's request."""
    return (await requests.embedded_requests(session, [observation.request_id]))[observation.request_id]


async def of_request(
    session: ReadSession, principal: Principal, request_id: int, filters: RequestObservationFilters
) -> list[Observation]:
    """Return the observations of a request the caller may see."""
    if not await requests.visible_request(session, principal, request_id):
        raise NotFound.of("Request")
    return await lists.observations_of_request(session, request_id, exclude_canceled=filters.exclude_canceled)


async def list_statuses(
    session: ReadSession, filters: StatusFilters, page: PageRequest
) -> tuple[int, list[Status]]:
    """Return how many statuses there are, and a page of them."""
    await _check_codes(session, filters)
    return await lists.page_of_statuses(session, filters, page)


async def find_status(session: ReadSession, id_: int) -> Status:
    """Return a status."""
    status = await lists.find_status(session, id_)
    if status is None:
        raise NotFound.of("ConfigurationStatus")
    return status


async def last_scheduled(session: ReadSession, site: str | None) -> datetime:
    """Return when a site, or any, last got something new to do."""
    return (await changes.last_change(session, "observations", [site or "all"]))[0]
