"""Routes of the configuration: every kind has a list, its things, and the same five verbs."""

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import Body, Header, Query, Request, Response

from ocs.configdb import admin, filters, service
from ocs.configdb import pages as browser
from ocs.configdb.dependencies import Base, StaffAuthor
from ocs.configdb.kinds import KINDS, Kind
from ocs.configdb.schemas import FILTER, PATCH, READ, WRITE
from ocs.configdb.service import Page
from ocs.configdb.shapes import Shapes
from ocs.kernel.security import ConfigdbCaller
from ocs.kernel.wire import pages
from ocs.kernel.wire.pages import PageRequest, page_bytes, page_of
from ocs.kernel.wire.route import (
    JsonBytes,
    Reading,
    Writing,
    etag_matches,
    make_router,
    without_snapshot,
)

router = make_router("configdb")

ListPage = page_of(1000)
IfMatch = Annotated[
    str | None, Header(description="ETag of the thing as you read it; 412 if somebody changed it since")
]
Force = Annotated[bool, Query(description="Delete what stands on it as well")]
_PACK_IN_THREAD_BYTES = 256 * 1024


async def answer(request: Request, page: Page) -> Response:
    """Send a page, or 304 to whoever has it."""
    headers = {"ETag": page.etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if etag_matches(request, page.etag):
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", "") or len(page.body) < 1024:
        return JsonBytes(page.body, headers=headers)
    if len(page.body) > _PACK_IN_THREAD_BYTES:
        packed = await asyncio.to_thread(page.packed)
    else:
        packed = page.packed()
    return JsonBytes(packed, headers={**headers, "Content-Encoding": "gzip"})


def _body_schema(model: Any) -> dict[str, Any]:
    """Return the OpenAPI of a body that the rules read themselves, to tell all that is wrong at once."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(parts[node["$ref"].rpartition("/")[2]])
            return {name: inline(value) for name, value in node.items()}
        return [inline(item) for item in node] if isinstance(node, list) else node

    return {"requestBody": {"content": {"application/json": {"schema": inline(schema)}}}}


RawBody = Annotated[Any, Body()]


def _add(kind: Kind) -> None:
    """Add the routes of one kind."""
    name = kind.name
    key_type = int if kind.has_serial_key else str
    filter_type = FILTER[name]
    path, detail = f"/{kind.path}/", f"/{kind.path}/{{key}}/"

    @without_snapshot  # the snapshot that the process keeps needs no other
    async def list_(
        request: Request,
        session: Reading,
        _caller: ConfigdbCaller,
        base: Base,
        page: ListPage,  # type: ignore[valid-type]
        chosen: Annotated[filter_type, Query()],  # type: ignore[valid-type]
    ) -> Response:
        snapshot = await service.snapshot(session)
        sent: PageRequest = page

        def draw() -> bytes:
            rows = filters.select(snapshot.state, name, chosen.model_dump())  # type: ignore[attr-defined]
            shapes = Shapes(snapshot.state, base)
            shown = rows[sent.offset : sent.offset + sent.limit]
            drawn = [orjson.dumps(shapes.draw(name, row)) for row in shown]
            return bytes(page_bytes(request, sent, len(rows), drawn).body)

        return await answer(request, snapshot.page(f"{base}/{request.url.path}?{request.url.query}", draw))

    @without_snapshot
    async def get(
        request: Request,
        session: Reading,
        _caller: ConfigdbCaller,
        base: Base,
        key: key_type,  # type: ignore[valid-type]
    ) -> Response:
        snapshot = await service.snapshot(session)
        row = service.existing(snapshot.state, name, key)
        shapes = Shapes(snapshot.state, base)
        page = snapshot.page(f"{base}/{kind.path}/{key}/", lambda: orjson.dumps(shapes.draw(name, row)))
        return await answer(request, page)

    async def create(session: Writing, author: StaffAuthor, base: Base, body: RawBody) -> Response:
        page = await service.create(session, author, name, body, base)
        return JsonBytes(page.body, 201, {"ETag": page.etag})

    async def replace(
        session: Writing,
        author: StaffAuthor,
        base: Base,
        key: key_type,  # type: ignore[valid-type]
        body: RawBody,
        if_match: IfMatch = None,
    ) -> Response:
        page = await service.change(session, author, name, key, body, base, partial=False, if_match=if_match)
        return JsonBytes(page.body, headers={"ETag": page.etag})

    async def update(
        session: Writing,
        author: StaffAuthor,
        base: Base,
        key: key_type,  # type: ignore[valid-type]
        body: RawBody,
        if_match: IfMatch = None,
    ) -> Response:
        page = await service.change(session, author, name, key, body, base, partial=True, if_match=if_match)
        return JsonBytes(page.body, headers={"ETag": page.etag})

    async def delete(
        session: Writing,
        author: StaffAuthor,
        base: Base,
        key: key_type,  # type: ignore[valid-type]
        force: Force = False,
        if_match: IfMatch = None,
    ) -> None:
        await service.remove(session, author, name, key, base, force=force, if_match=if_match)

    read, one, many = READ[name], f"a {kind.label}", f"{kind.label}s"
    page_model = pages.Page[read]  # type: ignore[valid-type]
    for endpoint, method, where, title, options in (
        (list_, "GET", path, f"List {many}", {"response_model": page_model}),
        (
            create,
            "POST",
            path,
            f"Make {one}",
            {"response_model": read, "openapi_extra": _body_schema(WRITE[name])},
        ),
        (get, "GET", detail, f"Read {one}", {"response_model": read}),
        (
            replace,
            "PUT",
            detail,
            f"Replace {one}",
            {"response_model": read, "openapi_extra": _body_schema(WRITE[name])},
        ),
        (
            update,
            "PATCH",
            detail,
            f"Change {one}",
            {"response_model": read, "openapi_extra": _body_schema(PATCH[name])},
        ),
        (delete, "DELETE", detail, f"Delete {one}", {}),
    ):
        verb = endpoint.__name__.rstrip("_")
        noun = kind.path if endpoint is list_ else name
        router.add_api_route(
            where,
            endpoint,
            methods=[method],
            name=f"{verb}_{noun}",
            summary=title,
            status_code={"POST": 201, "DELETE": 204}.get(method, 200),
            **options,
        )


for _kind in KINDS.values():
    _add(_kind)


@router.get("/openapi/", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """Return the one document, where clients of this part look for it."""
    document: dict[str, Any] = request.app.openapi()
    return document


router.include_router(admin.router)
router.include_router(browser.router)
