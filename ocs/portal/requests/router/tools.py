"""Tools to plan with."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from ocs.kernel.security import PortalCaller, PortalUser
from ocs.kernel.wire.route import ClockDep, JsonBytes, OcsRoute, Reading, SettingsDep
from ocs.portal.requests import tools
from ocs.portal.requests.router.answers import Id, json_answer, or_empty
from ocs.portal.requests.schemas import (
    CadenceGroupIn,
    DitherIn,
    Documented,
    InstrumentFilters,
    MosaicIn,
    RequestFilters,
    RequestIn,
)

router = APIRouter(route_class=OcsRoute)

Filters = Annotated[RequestFilters, Query()]
AnyObject = dict[str, Any]


@router.post("/api/requestgroups/cadence/", summary="Expand a cadence", response_model=AnyObject)
async def expand_cadence(
    session: Reading,
    caller: PortalUser,
    clock: ClockDep,
    settings: SettingsDep,
    sent: Annotated[Any, Documented(CadenceGroupIn), Body()] = None,
) -> JsonBytes:
    """Return the group with one request for each window in which it can be observed; nothing is stored."""
    return json_answer(await tools.cadence(session, caller, settings, clock.now(), or_empty(sent)))


@router.post("/api/requests/mosaic/", summary="Expand a mosaic", response_model=AnyObject)
async def expand_mosaic(
    session: Reading,
    caller: PortalUser,
    clock: ClockDep,
    settings: SettingsDep,
    sent: Annotated[Any, Documented(MosaicIn), Body()] = None,
) -> JsonBytes:
    """Return the request with one configuration for each pointing; nothing is stored."""
    return json_answer(await tools.mosaic(session, caller, settings, clock.now(), or_empty(sent)))


@router.post("/api/configurations/dither/", summary="Expand a dither", response_model=AnyObject)
async def expand_dither(
    session: Reading,
    caller: PortalUser,
    clock: ClockDep,
    settings: SettingsDep,
    sent: Annotated[Any, Documented(DitherIn), Body()] = None,
) -> JsonBytes:
    """Return the configuration with its exposures at each point of a pattern; nothing is stored."""
    return json_answer(await tools.dither(session, caller, settings, clock.now(), or_empty(sent)))


@router.post("/api/airmass/", summary="Airmass of a request", response_model=AnyObject)
async def airmass(
    session: Reading,
    caller: PortalCaller,
    clock: ClockDep,
    settings: SettingsDep,
    sent: Annotated[Any, Documented(RequestIn), Body()] = None,
) -> JsonBytes:
    """Return the airmass while a request could be observed; what is wrong with it is told with 200, too."""
    return json_answer(await tools.airmass(session, caller, settings, clock.now(), or_empty(sent)))


@router.get("/api/requests/{id}/airmass/", summary="Airmass of a stored request", response_model=AnyObject)
async def request_airmass(
    session: Reading,
    caller: PortalCaller,
    id: Id,  # noqa: A002
    filters: Filters,
) -> JsonBytes:
    """Return the airmass while the request can be observed, by site."""
    return json_answer(await tools.airmass_of(session, caller, id, filters))


@router.get("/api/requests/{id}/why/", summary="Why a request is not observed", response_model=AnyObject)
async def request_why(
    session: Reading,
    caller: PortalCaller,
    clock: ClockDep,
    id: Id,  # noqa: A002
    filters: Filters,
) -> JsonBytes:
    """Return how many seconds each limit in turn leaves of the request's windows, by site."""
    return json_answer(await tools.why(session, caller, id, filters, clock.now()))


@router.get(
    "/api/requests/{id}/telescope_states/", summary="Telescopes of a request", response_model=AnyObject
)
async def request_telescope_states(
    session: Reading,
    caller: PortalCaller,
    id: Id,  # noqa: A002
    filters: Filters,
) -> JsonBytes:
    """Return the states of telescopes while the request could be observed."""
    return json_answer(await tools.telescope_states_of(session, caller, id, filters))


@router.get("/api/instruments/", summary="Instruments", response_model=AnyObject)
async def instruments(
    session: Reading, caller: PortalCaller, filters: Annotated[InstrumentFilters, Query()]
) -> JsonBytes:
    """Return what can be asked for, by instrument type."""
    return json_answer(await tools.instruments(session, caller, filters))


@router.get("/api/contention/{instrument_type}/", summary="Contention", response_model=AnyObject)
async def contention(
    session: Reading, caller: PortalCaller, clock: ClockDep, instrument_type: str
) -> JsonBytes:
    """Return the seconds asked for by hour of right ascension; only staff see whose they are."""
    return json_answer(await tools.contention(session, caller, instrument_type, clock.now()))


@router.get("/api/pressure/", summary="Pressure", response_model=AnyObject)
async def pressure(
    session: Reading, caller: PortalCaller, clock: ClockDep, instrument: str = "", site: str = ""
) -> JsonBytes:
    """Return how much is asked of each telescope in the coming day; only staff see by whom."""
    return json_answer(await tools.pressure(session, caller, instrument, site, clock.now()))
