"""What telescopes report, and what became of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from ocs.kernel.security import PortalCaller, PortalStaff
from ocs.kernel.wire.pages import Page, page_bytes, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, OcsRoute, Reading, Writing
from ocs.portal.requests import documents, repository, tools
from ocs.portal.requests.errors import UnreadableDate
from ocs.portal.requests.models import Seeing, TelescopeEvent
from ocs.portal.requests.router.answers import DryRun, json_answer
from ocs.portal.requests.schemas import EventIn, EventsIn, SeeingIn, TelescopeFilters
from ocs.portal.requests.submissions import discard

router = APIRouter(route_class=OcsRoute)

PageDep = page_of(100)
Filters = Annotated[TelescopeFilters, Query()]
AnyObject = dict[str, Any]


@router.get("/api/telescope_states/", summary="States of telescopes", response_model=AnyObject)
async def telescope_states(
    session: Reading, _caller: PortalCaller, clock: ClockDep, filters: Filters
) -> Response:
    """Return whether telescopes were ready to observe, and why not."""
    try:
        return json_answer(await tools.telescope_states(session, filters, clock.now()))
    except UnreadableDate as error:
        return Response(error.detail, 400, media_type="text/plain")


@router.get("/api/telescope_availability/", summary="Availability of telescopes", response_model=AnyObject)
async def telescope_availability(
    session: Reading, _caller: PortalCaller, clock: ClockDep, filters: Filters
) -> Response:
    """Return the part of each night in which telescopes were ready to observe."""
    try:
        return json_answer(await tools.telescope_availability(session, filters, clock.now()))
    except UnreadableDate as error:
        return Response(error.detail, 400, media_type="text/plain")


@router.post("/api/telescope_events/", summary="Report events", status_code=201, response_model=AnyObject)
async def create_telescope_events(
    session: Writing, _caller: PortalStaff, sent: EventsIn, dry_run: DryRun = False
) -> JsonBytes:
    """Store reports of telescopes; one of the same telescope and time is replaced."""
    report = await tools.report(session, TelescopeEvent, sent.events)
    if dry_run:
        await discard(session)
    return json_answer(report, 201)


@router.get("/api/telescope_events/", summary="List events", response_model=Page[EventIn])
async def list_telescope_events(
    request: Request,
    session: Reading,
    _caller: PortalCaller,
    page: PageDep,  # type: ignore[valid-type]
) -> JsonBytes:
    """Return what telescopes reported, latest first."""
    count, rows = await repository.page_of_events(session, TelescopeEvent, page)
    listed = [
        documents.dumps(
            {
                "site": row.site,
                "observatory": row.enclosure,
                "telescope": row.telescope,
                "timestamp": row.observed_at,
                "value_string": row.reason,
            }
        )
        for row in rows
    ]
    return page_bytes(request, page, count, listed)


@router.post("/api/seeing/", summary="Report seeing", status_code=201, response_model=AnyObject)
async def create_seeing(
    session: Writing, _caller: PortalStaff, sent: Annotated[list[Any], Body()], dry_run: DryRun = False
) -> JsonBytes:
    """Store measured seeing; one of the same telescope and time is replaced."""
    report = await tools.report(session, Seeing, sent)
    if dry_run:
        await discard(session)
    return json_answer(report, 201)


@router.get("/api/seeing/", summary="List seeing", response_model=Page[SeeingIn])
async def list_seeing(
    request: Request,
    session: Reading,
    _caller: PortalCaller,
    page: PageDep,  # type: ignore[valid-type]
) -> JsonBytes:
    """Return measured seeing, latest first."""
    count, rows = await repository.page_of_events(session, Seeing, page)
    listed = [
        documents.dumps(
            {
                "site": row.site,
                "enclosure": row.enclosure,
                "telescope": row.telescope,
                "timestamp": row.observed_at,
                "seeing": row.seeing_arcsec,
            }
        )
        for row in rows
    ]
    return page_bytes(request, page, count, listed)
