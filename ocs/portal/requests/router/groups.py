"""Submitting, listing and changing request groups and requests."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Request

from ocs.kernel import changes
from ocs.kernel.errors import InvalidInput
from ocs.kernel.security import PortalCaller, PortalStaff, PortalUser
from ocs.kernel.wire.limits import Limit
from ocs.kernel.wire.pages import Page, limit_anonymous, page_bytes, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, OcsRoute, Reading, SettingsDep, Writing
from ocs.kernel.wire.types import iso_z, parse_utc
from ocs.portal.requests import service, submissions
from ocs.portal.requests.router.answers import DryRun, Id, json_answer, or_empty
from ocs.portal.requests.schemas import (
    Documented,
    GroupFilters,
    LastChangeOut,
    RequestFilters,
    RequestGroupIn,
    RequestGroupOut,
    RequestOut,
    SchedulableFilters,
    SchedulableGroupOut,
    SuspensionOut,
    ValidationOut,
)

router = APIRouter(route_class=OcsRoute)

_CREATE = Limit("requestgroups.create", "5000/day")
_VALIDATE = Limit("requestgroups.validate", "20000/day")
_CANCEL = Limit("requestgroups.cancel", "2000/day")
PageDep = page_of(10)
GroupBody = Annotated[Any, Documented(RequestGroupIn), Body()]


@router.get("/api/requestgroups/", summary="List request groups", response_model=Page[RequestGroupOut])
async def list_requestgroups(
    request: Request,
    session: Reading,
    caller: PortalCaller,
    filters: Annotated[GroupFilters, Query()],
    page: PageDep,  # type: ignore[valid-type]
) -> JsonBytes:
    """Return the request groups the caller may see, newest first unless ordered otherwise."""
    limit_anonymous(request, page, is_authenticated=caller.is_authenticated)
    count, rows = await service.list_groups(session, caller, filters, page)
    return page_bytes(request, page, count, rows)


@router.post(
    "/api/requestgroups/",
    summary="Submit a request group",
    status_code=201,
    response_model=RequestGroupOut,
    dependencies=[Depends(_CREATE.per_user)],
)
async def create_requestgroup(
    session: Writing,
    caller: PortalUser,
    clock: ClockDep,
    settings: SettingsDep,
    sent: GroupBody = None,
    atomic: Annotated[bool, Query(description="Of a list, store all or nothing")] = False,
    dry_run: DryRun = False,
    idempotency_key: Annotated[str | None, Header(description="Makes a repetition harmless")] = None,
) -> JsonBytes:
    """Check a request group and store it for scheduling.

    A list of groups is answered per item: `num_created`, `errors` by place, and `results`. The same
    `Idempotency-Key` with the same body gets the same answer for a day; without a key, a body that was sent
    before is stored again and `X-OCS-Possible-Duplicate` names the earlier group.
    """
    answer = await submissions.submit(
        session,
        caller,
        settings,
        clock.now(),
        or_empty(sent),
        key=idempotency_key,
        atomic=atomic,
        dry_run=dry_run,
    )
    return JsonBytes(answer.body, answer.status, dict(answer.headers))


@router.post(
    "/api/requestgroups/validate/",
    summary="Check a request group",
    response_model=ValidationOut,
    dependencies=[Depends(_VALIDATE.per_user)],
)
async def validate_requestgroup(
    session: Reading, caller: PortalUser, clock: ClockDep, settings: SettingsDep, sent: GroupBody = None
) -> JsonBytes:
    """Check a request group as submission does, store nothing; answers 200 whatever is found."""
    group, errors, rules = await service.validate(session, caller, settings, clock.now(), or_empty(sent))
    report = {} if group is None else service.duration_report(group, rules)
    return json_answer({"request_durations": report, "errors": errors or {}})


@router.post(
    "/api/requestgroups/max_allowable_ipp/",
    summary="Ask for the range of priorities",
    response_model=dict[str, Any],
)
async def max_allowable_ipp(
    session: Reading, caller: PortalUser, clock: ClockDep, settings: SettingsDep, sent: GroupBody = None
) -> JsonBytes:
    """Return the intra-proposal priorities a group could have, by semester and instrument type."""
    return json_answer(
        await service.max_allowable_ipp(session, caller, settings, clock.now(), or_empty(sent))
    )


@router.get(
    "/api/requestgroups/schedulable_requests/",
    summary="List what may be scheduled",
    response_model=list[SchedulableGroupOut],
)
async def schedulable_requests(
    session: Reading,
    _caller: PortalStaff,
    clock: ClockDep,
    settings: SettingsDep,
    filters: Annotated[SchedulableFilters, Query()],
) -> JsonBytes:
    """Return the open groups with time left and a window that starts in the given range, for schedulers."""
    return JsonBytes(await service.schedulable_page(session, filters, settings, clock.now()))


@router.get("/api/requestgroups/{id}/", summary="Show a request group", response_model=RequestGroupOut)
async def show_requestgroup(session: Reading, caller: PortalCaller, id: Id) -> JsonBytes:  # noqa: A002
    """Return one request group."""
    return json_answer(await service.show_group(session, caller, id))


@router.post(
    "/api/requestgroups/{id}/cancel/",
    summary="Cancel a request group",
    response_model=RequestGroupOut,
    dependencies=[Depends(_CANCEL.per_user)],
)
async def cancel_requestgroup(
    session: Writing,
    caller: PortalUser,
    clock: ClockDep,
    id: Id,  # noqa: A002
    dry_run: DryRun = False,
) -> JsonBytes:
    """Cancel a group and its open requests; doing so twice is no error."""
    shown = await service.cancel(session, caller, id, clock.now())
    if dry_run:
        await submissions.discard(session)
    return json_answer(shown)


@router.get("/api/requests/", summary="List requests", response_model=Page[RequestOut])
async def list_requests(
    request: Request,
    session: Reading,
    caller: PortalCaller,
    filters: Annotated[RequestFilters, Query()],
    page: PageDep,  # type: ignore[valid-type]
) -> JsonBytes:
    """Return the requests the caller may see, newest first unless ordered otherwise."""
    limit_anonymous(request, page, is_authenticated=caller.is_authenticated)
    count, rows = await service.list_requests(session, caller, filters, page)
    return page_bytes(request, page, count, rows)


@router.get("/api/requests/{id}/", summary="Show a request", response_model=RequestOut)
async def show_request(
    session: Reading,
    caller: PortalCaller,
    id: Id,  # noqa: A002
    filters: Annotated[RequestFilters, Query()],
) -> JsonBytes:
    """Return one request."""
    return json_answer(await service.show_request(session, caller, id, filters))


@router.patch("/api/requests/{id}/", summary="Suspend a request", response_model=SuspensionOut)
async def suspend_request(
    session: Writing,
    caller: PortalStaff,
    clock: ClockDep,
    id: Id,  # noqa: A002
    filters: Annotated[RequestFilters, Query()],
    sent: Annotated[dict[str, Any], Body()],
    dry_run: DryRun = False,
) -> JsonBytes:
    """Keep a pending request from being scheduled until `suspend_until`; null lets it be scheduled again."""
    if "suspend_until" not in sent:
        raise InvalidInput.whole("Only suspend_until can be changed; send it.")
    try:
        until = None if sent["suspend_until"] is None else parse_utc(sent["suspend_until"])
    except ValueError as error:
        raise InvalidInput.fields(suspend_until=str(error)) from error
    await service.suspend(session, caller, id, filters, until, clock.now())
    if dry_run:
        await submissions.discard(session)
    return json_answer({"suspend_until": until and iso_z(until)})


@router.get("/api/last_changed/", summary="Ask when requests last changed", response_model=LastChangeOut)
async def last_changed(
    session: Reading, _caller: PortalStaff, telescope_class: Annotated[list[str] | None, Query()] = None
) -> JsonBytes:
    """Return the time of the latest change that concerns schedulers, of some telescope classes or of all."""
    keys = [item for item in telescope_class or [] if item] or ["all"]
    moment, _ = await changes.last_change(session, "requests", keys)
    return json_answer({"last_change_time": moment})
