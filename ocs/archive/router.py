"""Addresses of the archive."""

import mimetypes
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse

from ocs.archive import bundle, service
from ocs.archive.addresses import Addresses, Kind, is_valid
from ocs.archive.errors import AddressNotValid, FrameNotFound
from ocs.archive.schemas import (
    LARGEST_ID,
    Aggregate,
    AggregateFilters,
    ArchiveProfile,
    FrameFilters,
    FrameIn,
    FrameModel,
    FramePage,
    FramePatch,
    FrameRow,
    HeadersOut,
    Root,
    RowOptions,
    ThumbnailFilters,
    ThumbnailIn,
    ThumbnailOut,
    ThumbnailPage,
    ThumbnailPatch,
    ThumbnailWritten,
    VersionFilters,
    VersionOut,
    VersionPage,
    ZipIn,
)
from ocs.kernel.errors import InvalidInput
from ocs.kernel.objects import ObjectStore, StoredObject
from ocs.kernel.runtime import Runtime, RuntimeDep
from ocs.kernel.security import ArchiveCaller, ArchiveStaff, ArchiveSuperuser
from ocs.kernel.wire.pages import PageRequest, base_url, page_links, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, Reading, Writing, etag_matches, make_router

router = make_router("archive")

LARGEST_PLAIN_ZIP = 10
Id = Annotated[int, Path(le=LARGEST_ID)]
if TYPE_CHECKING:
    ArchivePage = PageRequest
else:
    ArchivePage = page_of(100, maximum=1000)


def _addresses(request: Request, runtime: RuntimeDep) -> Addresses:
    return Addresses(
        base_url(request),
        runtime.vault,
        runtime.objects,
        runtime.clock.now(),
        runtime.settings.download_url_lifetime_s,
    )


AddressesDep = Annotated[Addresses, Depends(_addresses)]


def _json(value: Any, status: int = 200) -> JsonBytes:
    return JsonBytes(orjson.dumps(value), status)


def _envelope(request: Request, page: PageRequest, found: service.FrameList) -> JsonBytes:
    following, previous = page_links(request, page, more=found.more)
    return _json(
        {
            "count": found.count,
            "next": following,
            "previous": previous,
            "results": found.rows,
            "count_estimated": found.estimated,
        }
    )


@router.get("/", response_model=Root, summary="Where things are")
async def root(request: Request) -> Root:
    """Name the lists of the archive."""
    base = base_url(request)
    return Root(frames=f"{base}/frames/", versions=f"{base}/versions/", thumbnails=f"{base}/thumbnails/")


@router.get("/robots.txt/", include_in_schema=False)
@router.get("/robots.txt", response_class=PlainTextResponse, summary="For crawlers")
async def robots() -> PlainTextResponse:
    """Ask crawlers to stay away."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


@router.get("/profile/", response_model=ArchiveProfile, summary="Who am I?")
async def profile(caller: ArchiveCaller) -> JsonBytes:
    """Tell whom the archive takes the caller for, and whose data they see; never an error."""
    proposals = {"proposals": sorted(caller.proposal_ids)} if caller.is_authenticated else {}
    return _json({"username": caller.username, "profile": proposals, "is_staff": caller.is_staff})


# --- frames ----------------------------------------------------------------------------------------------


@router.get("/frames/", response_model=FramePage, summary="Find frames")
async def list_frames(
    request: Request,
    session: Reading,
    caller: ArchiveCaller,
    addresses: AddressesDep,
    page: ArchivePage,
    filters: Annotated[FrameFilters, Query()],
) -> JsonBytes:
    """Give a page of the frames the caller may see, newest observation first.

    `next` tells whether there is more; `count` is exact for lists of up to 10 000 frames, and beyond that an
    estimate (`count_estimated`) unless a logged-in caller asks with `force_count`.
    """
    found = await service.frame_list(
        session, caller, filters, addresses, limit=page.limit, offset=page.offset
    )
    if filters.pagination_style != "cursor":
        return _envelope(request, page, found)
    following, previous = (
        None if cursor is None else str(request.url.include_query_params(cursor=cursor))
        for cursor in (found.next_cursor, found.previous_cursor)
    )
    return _json({"next": following, "previous": previous, "results": found.rows})


@router.post(
    "/frames/", response_model=FrameModel, status_code=201, summary="Register a frame whose file is stored"
)
async def create_frame(
    session: Writing, caller: ArchiveSuperuser, runtime: RuntimeDep, addresses: AddressesDep, body: FrameIn
) -> JsonBytes:
    """Store a frame, or a new version of it if its name is known.

    The file must be in the object store before: at the path that site, instrument, night, reduction level
    and name make, or as an S3 version named by `key`.
    """
    return _json(await service.new_frame(session, runtime.settings, runtime.objects, addresses, body), 201)


@router.get("/frames/aggregate/", response_model=Aggregate, summary="Distinct values, for menus")
async def aggregate(
    session: Reading, caller: ArchiveCaller, clock: ClockDep, filters: Annotated[AggregateFilters, Query()]
) -> Response:
    """Give the distinct values among the frames the caller may see, optionally of a time span."""
    menus = await service.menus(session, caller, clock.now(), filters)
    response = Response(
        Aggregate(
            **{kind: menus.values.get(kind, []) for kind in service.MENU_KINDS}, generated_at=clock.now()
        ).model_dump_json(),
        media_type="application/json",
    )
    if menus.max_age_s:
        scope = "private" if caller.is_authenticated else "public"
        response.headers["Cache-Control"] = f"{scope}, max-age={menus.max_age_s}"
        response.headers["Vary"] = "Authorization, Cookie"
    return response


@router.post("/frames/zip/", response_class=StreamingResponse, summary="Download many frames as one ZIP")
async def zip_frames(
    session: Reading, caller: ArchiveCaller, runtime: RuntimeDep, clock: ClockDep, body: ZipIn
) -> Response:
    """Send the newest files of the frames the caller may see; the others are left out silently."""
    if body.auth_token:
        principal = await runtime.authenticator.by_token(session, body.auth_token)
        if principal is None:
            return Response(status_code=404)
        caller = principal
    if body.uncompress and len(body.frame_ids) > LARGEST_PLAIN_ZIP:
        raise InvalidInput.whole(
            f"With uncompress at most {LARGEST_PLAIN_ZIP} frames can be packed; name fewer frame_ids."
        )
    now = clock.now()
    if not await service.any_visible(session, caller, now, body.frame_ids):
        return Response(status_code=404)
    files = await service.newest_files(session, caller, now, body.frame_ids)
    name = f"ocs_archive_data-{now:%Y%m%d}-{len(files)}"
    blocks = bundle.zip_blocks(
        runtime.objects,
        runtime.reader_pool,
        files,
        name,
        bundle.Packing(uncompress=body.uncompress, catalog_only=body.catalog_only),
        now,
    )
    headers = {
        "Content-Disposition": f"attachment; filename={name}.zip",
        "Set-Cookie": "fileDownload=true; path=/",
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(blocks, headers=headers, media_type="application/zip")


@router.get("/frames/{frame_id}/", response_model=FrameRow, summary="One frame")
async def get_frame(
    session: Reading,
    caller: ArchiveCaller,
    addresses: AddressesDep,
    frame_id: Id,
    options: Annotated[RowOptions, Query()],
) -> JsonBytes:
    """Give a frame as it stands in the lists."""
    return _json(await service.frame_detail(session, caller, frame_id, addresses, options))


@router.patch("/frames/{frame_id}/", response_model=FrameModel, summary="Correct a frame")
async def patch_frame(
    session: Writing,
    caller: ArchiveSuperuser,
    runtime: RuntimeDep,
    addresses: AddressesDep,
    frame_id: Id,
    body: FramePatch,
) -> JsonBytes:
    """Change columns of a frame; its files cannot be changed."""
    return _json(await service.change_frame(session, runtime.settings, addresses, frame_id, body))


@router.put("/frames/{frame_id}/", response_model=FrameModel, summary="Correct a frame")
async def put_frame(
    session: Writing,
    caller: ArchiveSuperuser,
    runtime: RuntimeDep,
    addresses: AddressesDep,
    frame_id: Id,
    body: FramePatch,
) -> JsonBytes:
    """Change columns of a frame; those left out stay."""
    return _json(await service.change_frame(session, runtime.settings, addresses, frame_id, body))


@router.delete("/frames/{frame_id}/", status_code=204, summary="Remove a frame and its files")
async def delete_frame(
    session: Writing, caller: ArchiveSuperuser, runtime: RuntimeDep, frame_id: Id
) -> Response:
    """Remove a frame with its versions, pictures, headers and links; the files go after the commit."""
    stored = await service.remove_frame(session, frame_id)
    return Response(status_code=204, background=BackgroundTask(_delete_files, runtime.objects, stored))


async def _delete_files(store: ObjectStore, files: list[StoredObject]) -> None:
    for stored in files:
        await store.delete(stored)


@router.get("/frames/{frame_id}/headers/", response_model=HeadersOut, summary="All headers of a frame")
async def get_headers(session: Reading, caller: ArchiveCaller, clock: ClockDep, frame_id: Id) -> JsonBytes:
    """Give the FITS headers as they were ingested."""
    return _json({"data": await service.frame_headers(session, caller, clock.now(), frame_id)})


@router.get("/frames/{frame_id}/related/", response_model=list[FrameModel], summary="Related frames")
async def get_related(
    session: Reading, caller: ArchiveCaller, addresses: AddressesDep, frame_id: Id
) -> JsonBytes:
    """Give the frames this one was made from or with, as far as the caller may see them."""
    return _json(await service.related_frames(session, caller, frame_id, addresses))


@router.get("/frame-funpack/{frame_id}/funpack/", response_class=FileResponse, summary="A frame, unpacked")
async def funpack(session: Reading, caller: ArchiveCaller, runtime: RuntimeDep, frame_id: Id) -> Response:
    """Send the newest file of a frame with its images uncompressed."""
    file = await _newest_file(session, caller, runtime, frame_id)
    path = await bundle.unpacked(runtime.objects, runtime.reader_pool, file.stored)
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=file.filename.removesuffix(".fz"),
        background=BackgroundTask(path.unlink),
    )


@router.get("/frame-catalog/{frame_id}/catalog/", response_class=FileResponse, summary="A frame's sources")
async def get_catalog(session: Reading, caller: ArchiveCaller, runtime: RuntimeDep, frame_id: Id) -> Response:
    """Send the table of sources of a frame with the header of its image."""
    file = await _newest_file(session, caller, runtime, frame_id)
    try:
        path = await bundle.catalog(runtime.objects, runtime.reader_pool, file.stored)
    except bundle.NoCatalog as error:
        raise FrameNotFound("This frame has no catalog.") from error
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=f"{file.frame.basename}-catalog.fits",
        background=BackgroundTask(path.unlink),
    )


async def _newest_file(
    session: Reading, caller: ArchiveCaller, runtime: Runtime, frame_id: Id
) -> service.FrameFile:
    files = await service.newest_files(session, caller, runtime.clock.now(), [frame_id])
    if not files:
        raise FrameNotFound
    return files[0]


# --- versions and thumbnails -----------------------------------------------------------------------------


@router.get("/versions/", response_model=VersionPage, summary="Find file versions")
async def list_versions(
    request: Request,
    session: Reading,
    caller: ArchiveStaff,
    addresses: AddressesDep,
    page: ArchivePage,
    filters: Annotated[VersionFilters, Query()],
) -> JsonBytes:
    """Give file versions, newest first; with `md5` the one with exactly these bytes, if there is one."""
    found = await service.version_list(session, filters.md5, addresses, limit=page.limit, offset=page.offset)
    return _envelope(request, page, found)


@router.get("/versions/{version_id}/", response_model=VersionOut, summary="One file version")
async def get_version(
    session: Reading, caller: ArchiveStaff, addresses: AddressesDep, version_id: Id
) -> JsonBytes:
    """Give one file version."""
    return _json(await service.one_version(session, version_id, addresses))


@router.get("/thumbnails/", response_model=ThumbnailPage, summary="Find thumbnails")
async def list_thumbnails(
    request: Request,
    session: Reading,
    caller: ArchiveCaller,
    addresses: AddressesDep,
    page: ArchivePage,
    filters: Annotated[ThumbnailFilters, Query()],
) -> JsonBytes:
    """Give the pictures of the frames the caller may see, newest first."""
    found = await service.thumbnail_list(
        session, caller, filters, addresses, limit=page.limit, offset=page.offset
    )
    return _envelope(request, page, found)


@router.post("/thumbnails/", response_model=ThumbnailWritten, status_code=201, summary="Register a thumbnail")
async def create_thumbnail(
    session: Writing,
    caller: ArchiveSuperuser,
    runtime: RuntimeDep,
    addresses: AddressesDep,
    body: ThumbnailIn,
) -> Response:
    """Store a picture whose file is in the object store; the one of the same name is overwritten."""
    answer, replaced = await service.new_thumbnail(
        session, runtime.settings, runtime.objects, addresses, body
    )
    response = _json(answer, 201)
    if replaced is not None:
        response.background = BackgroundTask(runtime.objects.delete, replaced)
    return response


@router.get("/thumbnails/{thumbnail_id}/", response_model=ThumbnailOut, summary="One thumbnail")
async def get_thumbnail(
    session: Reading, caller: ArchiveCaller, addresses: AddressesDep, thumbnail_id: Id
) -> JsonBytes:
    """Give one picture's record."""
    return _json(await service.thumbnail_detail(session, caller, thumbnail_id, addresses))


@router.patch("/thumbnails/{thumbnail_id}/", response_model=ThumbnailOut, summary="Correct a thumbnail")
async def patch_thumbnail(
    session: Writing,
    caller: ArchiveSuperuser,
    addresses: AddressesDep,
    thumbnail_id: Id,
    body: ThumbnailPatch,
) -> JsonBytes:
    """Change the size class of a picture."""
    return _json(await service.resize_thumbnail(session, caller, thumbnail_id, body.size, addresses))


@router.put("/thumbnails/{thumbnail_id}/", response_model=ThumbnailOut, summary="Correct a thumbnail")
async def put_thumbnail(
    session: Writing,
    caller: ArchiveSuperuser,
    addresses: AddressesDep,
    thumbnail_id: Id,
    body: ThumbnailPatch,
) -> JsonBytes:
    """Change the size class of a picture."""
    return _json(await service.resize_thumbnail(session, caller, thumbnail_id, body.size, addresses))


@router.delete("/thumbnails/{thumbnail_id}/", status_code=204, summary="Remove a thumbnail")
async def delete_thumbnail(
    session: Writing, caller: ArchiveSuperuser, runtime: RuntimeDep, thumbnail_id: Id
) -> Response:
    """Remove a picture; its file goes after the commit."""
    stored = await service.remove_thumbnail(session, caller, runtime.clock.now(), thumbnail_id)
    return Response(status_code=204, background=BackgroundTask(_delete_files, runtime.objects, stored))


# --- files -----------------------------------------------------------------------------------------------


@router.head("/versions/{version_id}/file/{filename}/", include_in_schema=False)
@router.get(
    "/versions/{version_id}/file/{filename}/",
    response_class=FileResponse,
    summary="Download a file by its signed address",
)
async def download_version(
    request: Request,
    session: Reading,
    runtime: RuntimeDep,
    version_id: Id,
    filename: str,
    expires: int = 0,
    signature: str = "",
) -> Response:
    """Send exactly the bytes that were stored. The address is the permission; credentials are not read."""
    _check_address(runtime, "version", version_id, expires, signature)
    return _file(request, runtime, *await service.file_of_version(session, version_id))


@router.head("/thumbnails/{thumbnail_id}/file/{filename}/", include_in_schema=False)
@router.get(
    "/thumbnails/{thumbnail_id}/file/{filename}/",
    response_class=FileResponse,
    summary="Download a picture by its signed address",
)
async def download_thumbnail(
    request: Request,
    session: Reading,
    runtime: RuntimeDep,
    thumbnail_id: Id,
    filename: str,
    expires: int = 0,
    signature: str = "",
) -> Response:
    """Send the picture. The address is the permission; credentials are not read."""
    _check_address(runtime, "thumbnail", thumbnail_id, expires, signature)
    return _file(request, runtime, *await service.file_of_thumbnail(session, thumbnail_id))


def _check_address(runtime: Runtime, kind: Kind, identifier: int, expires_s: int, signature: str) -> None:
    if not is_valid(runtime.vault, runtime.clock.now(), kind, identifier, expires_s, signature):
        raise AddressNotValid


def _file(request: Request, runtime: Runtime, stored: StoredObject, filename: str) -> Response:
    path = runtime.objects.local(stored)
    if path is None:
        raise FrameNotFound("The file is not in the object store.")
    headers = {"ETag": f'"{stored.md5}"', "Cache-Control": "private, no-cache"}
    if etag_matches(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, filename=filename, media_type=media_type(filename), headers=headers)


def media_type(filename: str) -> str:
    """Return the media type a file is sent with."""
    if ".fits" in filename:
        return "image/fits"
    return mimetypes.guess_type(filename, strict=False)[0] or "application/octet-stream"
