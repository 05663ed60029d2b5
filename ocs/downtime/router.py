"""Routes of the downtimes."""

from typing import Annotated, Any

import orjson
from fastapi import Body, Depends, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import HTMLResponse

from ocs.downtime import pages, repository, service
from ocs.downtime.errors import InvalidDowntime, NoSuchDowntime
from ocs.downtime.models import DowntimeRow
from ocs.downtime.repository import Selection
from ocs.downtime.schemas import Downtime, DowntimeFilter, DowntimeWrite, whole_seconds
from ocs.kernel.errors import NotAuthenticated, PermissionDenied, reference_body
from ocs.kernel.security import DowntimeCaller, DowntimeStaff, DowntimeUser, Principal
from ocs.kernel.wire.pages import Page, page_bytes, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, Reading, SettingsDep, Writing, make_router

router = make_router("downtime")

ListPage = page_of(1000)
RawBody = Annotated[Any, Body()]
# The rules read bodies themselves, so that they can tell all that is wrong at once.
_BODY = {"requestBody": {"content": {"application/json": {"schema": DowntimeWrite.model_json_schema()}}}}


async def _writer(principal: DowntimeUser, settings: SettingsDep) -> Principal:
    """Return who may make and delete downtimes: staff, with a setting every user."""
    if not principal.is_staff and not settings.downtime_user_writes:
        raise PermissionDenied
    return principal


Writer = Annotated[Principal, Depends(_writer)]


def _drawn(row: DowntimeRow) -> bytes:
    return orjson.dumps(
        {
            "id": row.id,
            "start": whole_seconds(row.start),
            "end": whole_seconds(row.end),
            "site": row.site,
            "enclosure": row.enclosure,
            "telescope": row.telescope,
            "instrument_type": row.instrument_type,
            "reason": row.reason,
        }
    )


@router.get("/api/", summary="List downtimes", response_model=Page[Downtime])
async def list_downtimes(
    request: Request,
    session: Reading,
    _caller: DowntimeCaller,
    page: ListPage,  # type: ignore[valid-type]
    chosen: Annotated[DowntimeFilter, Query()],
) -> Response:
    """List downtimes; what overlaps an interval is `ends_after=<start>&starts_before=<end>`."""
    # An empty value is no filter elsewhere; here it means downtimes of the whole telescope.
    chosen.instrument_type = request.query_params.getlist("instrument_type")
    selection = await service.selection(session, chosen)
    count, rows = await repository.find(
        session,
        selection,
        limit=page.limit,  # type: ignore[attr-defined]
        offset=page.offset,  # type: ignore[attr-defined]
    )
    return page_bytes(request, page, count, [_drawn(row) for row in rows])


@router.post(
    "/api/", summary="Make a downtime", status_code=201, response_model=Downtime, openapi_extra=_BODY
)
async def create_downtime(session: Writing, writer: Writer, clock: ClockDep, body: RawBody) -> Response:
    """Take a telescope, or instruments of one type on it, out of use for some time."""
    row = await service.create(session, body, created_by=writer.username, now=clock.now())
    return JsonBytes(_drawn(row), 201)


@router.get("/api/{key}/", summary="Read a downtime", response_model=Downtime)
async def get_downtime(session: Reading, _caller: DowntimeCaller, key: int) -> Response:
    """Return one downtime."""
    return JsonBytes(_drawn(await service.existing(session, key)))


@router.delete("/api/{key}/", summary="Delete a downtime", status_code=204)
async def delete_downtime(session: Writing, writer: Writer, key: int) -> None:
    """Delete a downtime."""
    await service.remove(session, key, writer)


@router.patch("/api/admin/{key}/", summary="Change a downtime", response_model=Downtime, openapi_extra=_BODY)
async def change_downtime(
    session: Writing, _staff: DowntimeStaff, clock: ClockDep, key: int, body: RawBody
) -> Response:
    """Change fields of a downtime."""
    return JsonBytes(_drawn(await service.change(session, key, body, now=clock.now())))


@router.get("/", summary="Downtimes as a page", response_class=HTMLResponse)
async def downtime_page(request: Request, session: Reading, clock: ClockDep) -> Response:
    """Show downtimes by start; without filters only those that are not over."""
    query = dict(request.query_params)
    selection = Selection(limits=[("end", "after", clock.now())], order=("start",))
    errors: dict[str, Any] = {}
    if any(name != "page" for name in query):
        try:
            repeated = {name: request.query_params.getlist(name) for name in query}
            chosen = DowntimeFilter.model_validate({**query, **_lists(repeated)})
            chosen.order = chosen.order or "start"
            selection = await service.selection(session, chosen)
        except ValidationError as error:
            errors = reference_body(error.errors(include_url=False), query, query=True)
        except InvalidDowntime as error:
            errors = error.body
    page = int(query["page"]) if query.get("page", "").isdecimal() else 1
    offset = (page - 1) * pages.ROWS_A_PAGE
    count, rows = await repository.find(
        session, selection, limit=pages.ROWS_A_PAGE, offset=min(max(0, offset), 2**62)
    )
    last_page = max(1, -(-count // pages.ROWS_A_PAGE))
    if not 1 <= page <= last_page:
        raise NoSuchDowntime("There is no such page.")
    api = f"{request.url.path}api/"
    return HTMLResponse(pages.table(rows, query, errors, page=page, last_page=last_page, api=api))


def _lists(repeated: dict[str, list[str]]) -> dict[str, list[str]]:
    names = ("site", "enclosure", "telescope", "instrument_type")
    return {name: values for name, values in repeated.items() if name in names}


@router.get("/openapi/", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """Return the one document, where clients of this part look for it."""
    document: dict[str, Any] = request.app.openapi()
    return document


@router.post("/authprofile/addupdateuser/", include_in_schema=False)
async def receive_user() -> None:
    """Refuse users from outside: this installation keeps its users in one place, so no key is configured."""
    error = NotAuthenticated("No server key is configured.", headers={"WWW-Authenticate": "Server"})
    error.status = 401
    raise error
