"""The ingest queue, for staff."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Path, Query, Request

from ocs.ingest import service
from ocs.ingest.schemas import QueuedFileOut, QueueFilters
from ocs.kernel.runtime import RuntimeDep
from ocs.kernel.security import PortalStaff
from ocs.kernel.wire.pages import Page, PageRequest, page_bytes, page_of
from ocs.kernel.wire.route import JsonBytes, Reading, Writing, make_router

router = make_router("ingest")

if TYPE_CHECKING:
    QueuePage = PageRequest
else:
    QueuePage = page_of(100, maximum=1000)


@router.get("/api/ingest/", response_model=Page[QueuedFileOut], summary="Files seen in the watch folder")
async def list_files(
    request: Request,
    session: Reading,
    caller: PortalStaff,
    page: QueuePage,
    filters: Annotated[QueueFilters, Query()],
) -> JsonBytes:
    """Give the files that wait, were archived or were quarantined, newest first, each with its reason."""
    rows, count = await service.queue(session, caller, filters, limit=page.limit, offset=page.offset)
    lines = [QueuedFileOut.model_validate(row).model_dump_json().encode() for row in rows]
    return page_bytes(request, page, count, lines)


@router.post("/api/ingest/{file_id}/retry/", response_model=QueuedFileOut, summary="Try a file again")
async def retry_file(
    session: Writing,
    caller: PortalStaff,
    runtime: RuntimeDep,
    file_id: Annotated[int, Path(le=2**63 - 1)],
) -> QueuedFileOut:
    """Let a waiting file be tried now, or put a quarantined one back into the watch folder."""
    return QueuedFileOut.model_validate(await service.retry(session, runtime, file_id))
