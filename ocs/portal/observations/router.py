"""Paths of the observations."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request, Response
from pydantic import AfterValidator, SkipValidation

from ocs.kernel.security import PORTAL_DOOR, PortalCaller, PortalStaff, PortalUser
from ocs.kernel.wire.pages import Page, limit_anonymous, page_bytes, page_of
from ocs.kernel.wire.route import (
    ClockDep,
    JsonBytes,
    Reading,
    SettingsDep,
    Writing,
    make_router,
    unit_of_work,
)
from ocs.portal.observations import documents, schemas
from ocs.portal.observations.service import cancelling, direct, posting, reading, realtime, reporting

router = make_router("observations")
PageDep = page_of(10)
Id = Annotated[int, Path(ge=-(2**63), le=2**63 - 1)]


async def _placer(request: Request) -> posting.Placer:
    """Return the caller, who may place observations."""
    principal = await PORTAL_DOOR.user(request)
    return await posting.placer(await unit_of_work(request).read(), principal)


PlacerDep = Annotated[posting.Placer, Depends(_placer)]


def _something(value: Any) -> Any:
    if value is None:
        raise ValueError("No data provided")
    return value


# Checked element by element in the service, because each element of a list has an answer of its own.
SentObservations = Annotated[
    schemas.ObservationIn | list[schemas.ObservationIn], SkipValidation, AfterValidator(_something)
]

SentDirect = Annotated[schemas.DirectIn | list[schemas.DirectIn], SkipValidation, AfterValidator(_something)]
SentUpdate = Annotated[schemas.StatusUpdate, SkipValidation, AfterValidator(_something)]


@router.get(
    "/api/observations/", response_model=Page[schemas.ScheduledObservation], summary="List observations"
)
@router.get(
    "/api/schedule/",
    response_model=Page[schemas.ScheduledObservation],
    name="list_schedule",
    summary="List the schedule",
)
async def list_observations(
    request: Request,
    session: Reading,
    caller: PortalCaller,
    clock: ClockDep,
    page: PageDep,  # type: ignore[valid-type]
    filters: Annotated[schemas.ObservationFilters, Query()],
) -> Response:
    """List observations with their requests, the latest first."""
    limit_anonymous(request, page, is_authenticated=caller.is_authenticated)
    count, rows = await reading.list_observations(session, caller, filters, page, clock.now())
    return page_bytes(request, page, count, rows)


@router.post(
    "/api/observations/",
    status_code=201,
    response_model=schemas.FlatObservation | schemas.Created,
    summary="Place observations",
)
async def post_observations(
    session: Writing, caller: PlacerDep, clock: ClockDep, sent: SentObservations
) -> Response:
    """Place one observation, or a list of which the good ones are stored and the others reported."""
    body: Any = sent
    if isinstance(body, list):
        created, errors = await posting.post_list(session, caller, body, clock.now())
        return JsonBytes(orjson.dumps({"num_created": created, "errors": errors}), 201)
    observation = await posting.post_one(session, caller, body, clock.now())
    return JsonBytes(orjson.dumps(documents.flat_form(observation)), 201)


@router.post(
    "/api/schedule/",
    status_code=201,
    response_model=schemas.DirectObservation | list[schemas.DirectObservation],
    summary="Submit an observation directly",
)
async def post_schedule(session: Writing, caller: PlacerDep, clock: ClockDep, sent: SentDirect) -> Response:
    """Submit a request directly with its place at a telescope; of a list either all are stored or none."""
    return JsonBytes(orjson.dumps(await direct.submit(session, caller, sent, clock.now())), 201)


@router.get(
    "/api/schedule/{id}/",
    response_model=schemas.DirectObservation,
    summary="Read an observation with its request",
)
async def get_schedule(session: Reading, caller: PortalCaller, id: Id) -> Response:  # noqa: A002
    """Return one observation with its whole request."""
    found = await reading.find(session, caller, id)
    return JsonBytes(orjson.dumps((await direct.show(session, [found]))[0]))


@router.get("/api/observations/filters/", summary="Tell the filters of observations")
async def get_observation_filters(session: Reading) -> schemas.AvailableFilters:
    """Tell which filters the lists have."""
    return await reading.available_filters(session)


@router.get("/api/observations/{id}/", response_model=schemas.FlatObservation, summary="Read an observation")
async def get_observation(session: Reading, caller: PortalCaller, id: Id) -> Response:  # noqa: A002
    """Return one observation with its statuses."""
    return JsonBytes(orjson.dumps(documents.flat_form(await reading.find(session, caller, id))))


@router.patch(
    "/api/observations/{id}/",
    response_model=schemas.FlatObservation,
    summary="Move the end of an observation, or mark bad data",
)
async def patch_observation(
    session: Writing,
    caller: PlacerDep,
    clock: ClockDep,
    id: Id,  # noqa: A002
    update: schemas.ObservationUpdate,
) -> Response:
    """Move the end of an observation, or mark its data as bad."""
    changed = await reporting.update_observation(session, caller, id, update, clock.now())
    return JsonBytes(orjson.dumps(documents.flat_form(changed)))


@router.post("/api/observations/cancel/", summary="Take observations back")
async def cancel_observations(
    session: Writing, caller: PlacerDep, clock: ClockDep, sent: schemas.Cancellation
) -> schemas.Canceled:
    """Take observations back, by their ids or by place and time."""
    return schemas.Canceled(canceled=await cancelling.cancel(session, caller, sent, clock.now()))


@router.get("/api/realtime/", response_model=Page[schemas.Session], summary="List real-time sessions")
async def list_sessions(
    request: Request,
    session: Reading,
    caller: PortalUser,
    page: PageDep,  # type: ignore[valid-type]
) -> Response:
    """List one's own real-time sessions; staff see all."""
    count, found = await realtime.list_sessions(session, caller, page)
    return page_bytes(request, page, count, [orjson.dumps(item) for item in found])


@router.post(
    "/api/realtime/", status_code=201, response_model=schemas.Session, summary="Book a real-time session"
)
async def book_session(
    session: Writing, caller: PortalUser, clock: ClockDep, sent: schemas.SessionIn
) -> Response:
    """Reserve a telescope for a real-time session."""
    return JsonBytes(orjson.dumps(await realtime.book(session, caller, sent, clock.now())), 201)


@router.get(
    "/api/realtime/availability/",
    response_model=dict[str, list[list[str]]],
    summary="Tell when telescopes can be booked",
)
async def get_availability(
    session: Reading,
    caller: PortalUser,
    clock: ClockDep,
    telescope: Annotated[str | None, Query(description="telescope.enclosure.site")] = None,
) -> Response:
    """Tell when one could have which telescope in the next days."""
    free = await realtime.availability(session, caller, telescope or None, clock.now())
    return JsonBytes(orjson.dumps(free), headers={"Cache-Control": "no-store"})


@router.get("/api/realtime/{id}/", response_model=schemas.Session, summary="Read a real-time session")
async def get_session(session: Reading, caller: PortalUser, id: Id) -> Response:  # noqa: A002
    """Return one real-time session."""
    return JsonBytes(orjson.dumps(await realtime.show_session(session, caller, id)))


@router.delete("/api/realtime/{id}/", status_code=204, summary="Delete a real-time session")
async def delete_session(
    session: Writing,
    caller: PortalUser,
    clock: ClockDep,
    id: Id,  # noqa: A002
) -> None:
    """Delete a real-time session; its hours are given back."""
    await realtime.delete_session(session, caller, id, clock.now())


@router.get(
    "/api/requests/{id}/observations/",
    response_model=list[schemas.ListedObservation],
    summary="List the observations of a request",
)
async def list_observations_of_request(
    session: Reading,
    caller: PortalCaller,
    id: Id,  # noqa: A002
    filters: Annotated[schemas.RequestObservationFilters, Query()],
) -> Response:
    """List the observations of a request."""
    found = await reading.of_request(session, caller, id, filters)
    return JsonBytes(orjson.dumps([documents.summary_form(item) for item in found]))


@router.get(
    "/api/configurationstatus/", response_model=Page[schemas.StatusOut], summary="List configuration statuses"
)
async def list_configuration_statuses(
    request: Request,
    session: Reading,
    caller: PortalStaff,
    page: PageDep,  # type: ignore[valid-type]
    filters: Annotated[schemas.StatusFilters, Query()],
) -> Response:
    """List how configurations go, the latest first."""
    count, found = await reading.list_statuses(session, filters, page)
    return page_bytes(request, page, count, [orjson.dumps(documents.status_form(item)) for item in found])


@router.get(
    "/api/configurationstatus/{id}/", response_model=schemas.StatusOut, summary="Read a configuration status"
)
async def get_configuration_status(session: Reading, caller: PortalStaff, id: Id) -> Response:  # noqa: A002
    """Return how one configuration goes."""
    return JsonBytes(orjson.dumps(documents.status_form(await reading.find_status(session, id))))


@router.patch(
    "/api/configurationstatus/{id}/", response_model=schemas.StatusOut, summary="Report on a configuration"
)
async def patch_configuration_status(
    session: Writing,
    caller: PortalStaff,
    clock: ClockDep,
    settings: SettingsDep,
    id: Id,  # noqa: A002
    sent: SentUpdate,
) -> Response:
    """Take in a telescope's report of one configuration: state, summary, when it will end."""
    update = reporting.read_update(sent)
    status = await reporting.report(session, id, update, clock.now(), settings.max_failures_per_request)
    return JsonBytes(orjson.dumps(documents.status_form(status)))


@router.get("/api/last_scheduled/", summary="Tell when the schedule changed")
async def get_last_scheduled(
    session: Reading, caller: PortalStaff, site: Annotated[str | None, Query()] = None
) -> schemas.LastScheduled:
    """Tell when a site, or any, last got something new to do; one indexed read, made to be polled."""
    return schemas.LastScheduled(last_schedule_time=await reading.last_scheduled(session, site))
