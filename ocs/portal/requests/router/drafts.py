"""Drafts of request groups."""

from typing import Any

from fastapi import APIRouter, Request, Response

from ocs.kernel.security import PortalUser
from ocs.kernel.wire.pages import Page, page_bytes, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, OcsRoute, Reading, Writing
from ocs.portal.requests import documents, drafts
from ocs.portal.requests.router.answers import DryRun, Id, json_answer
from ocs.portal.requests.schemas import DraftIn, DraftOut, DraftPatch
from ocs.portal.requests.submissions import discard

router = APIRouter(route_class=OcsRoute)

PageDep = page_of(10)


async def _answer(session: Writing, shown: Any, status: int = 200, *, dry_run: bool) -> JsonBytes:
    if dry_run:
        await discard(session)
    return json_answer(shown, status)


@router.get("/api/drafts/", summary="List drafts", response_model=Page[DraftOut])
async def list_drafts(
    request: Request,
    session: Reading,
    caller: PortalUser,
    page: PageDep,  # type: ignore[valid-type]
) -> JsonBytes:
    """Return the drafts of the caller's proposals, last changed first."""
    count, rows = await drafts.list_drafts(session, caller, page)
    return page_bytes(request, page, count, [documents.dumps(row) for row in rows])


@router.post("/api/drafts/", summary="Keep a draft", status_code=201, response_model=DraftOut)
async def create_draft(
    session: Writing, caller: PortalUser, clock: ClockDep, sent: DraftIn, dry_run: DryRun = False
) -> JsonBytes:
    """Store a draft for a proposal the caller is a member of."""
    shown = await drafts.create(session, caller, sent, clock.now())
    return await _answer(session, shown, 201, dry_run=dry_run)


@router.get("/api/drafts/{id}/", summary="Show a draft", response_model=DraftOut)
async def show_draft(session: Reading, caller: PortalUser, id: Id) -> JsonBytes:  # noqa: A002
    """Return one draft."""
    return json_answer(await drafts.show(session, caller, id))


@router.put("/api/drafts/{id}/", summary="Replace a draft", response_model=DraftOut)
async def replace_draft(
    session: Writing,
    caller: PortalUser,
    clock: ClockDep,
    id: Id,  # noqa: A002
    sent: DraftIn,
    dry_run: DryRun = False,
) -> JsonBytes:
    """Replace a draft; any member of its proposal may do so."""
    shown = await drafts.change(session, caller, id, sent.sent(), clock.now())
    return await _answer(session, shown, dry_run=dry_run)


@router.patch("/api/drafts/{id}/", summary="Change a draft", response_model=DraftOut)
async def change_draft(
    session: Writing,
    caller: PortalUser,
    clock: ClockDep,
    id: Id,  # noqa: A002
    sent: DraftPatch,
    dry_run: DryRun = False,
) -> JsonBytes:
    """Change parts of a draft; any member of its proposal may do so."""
    changes = {name: value for name, value in sent.sent().items() if value is not None}
    shown = await drafts.change(session, caller, id, changes, clock.now())
    return await _answer(session, shown, dry_run=dry_run)


@router.delete("/api/drafts/{id}/", summary="Remove a draft", status_code=204)
async def delete_draft(session: Writing, caller: PortalUser, id: Id) -> Response:  # noqa: A002
    """Remove a draft; any member of its proposal may do so."""
    await drafts.remove(session, caller, id)
    return Response(status_code=204)
