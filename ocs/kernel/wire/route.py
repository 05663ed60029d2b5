"""The route: one unit of work a request, bodies of any accepted type, ETag, gzip."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from ocs.kernel.clock import Clock
from ocs.kernel.database import ReadSession, UnitOfWork, WriteSession, in_unit_of_work
from ocs.kernel.errors import InvalidInput, OcsError, UnsupportedMediaType
from ocs.kernel.settings import Settings

if TYPE_CHECKING:
    from ocs.kernel.runtime import Runtime

_GZIP_MIN_BYTES = 1024
_GZIP_THREAD_BYTES = 256 * 1024
Handler = TypeVar("Handler", bound=Callable[..., Any])
_BRACKETS = re.compile(r"[^\[\]]+")
_BODY_ERRORS = "ocs.body_errors"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class JsonBytes(Response):
    """An answer that is JSON already."""

    media_type = "application/json"


def unit_of_work(request: Request) -> UnitOfWork:
    """Return the unit of work this request runs in."""
    unit: UnitOfWork = request.state.unit_of_work
    return unit


async def _read(request: Request) -> ReadSession:
    return await unit_of_work(request).read()


async def _write(request: Request) -> WriteSession:
    return await unit_of_work(request).write()


def runtime_of(request: Request) -> "Runtime":
    """Return the runtime of the application that serves `request`."""
    runtime: Runtime = request.app.state.runtime
    return runtime


# Dependencies are coroutines throughout: FastAPI would run plain functions in a thread each.
async def _clock(request: Request) -> Clock:
    return runtime_of(request).clock


async def _settings(request: Request) -> Settings:
    return runtime_of(request).settings


Reading = Annotated[ReadSession, Depends(_read)]
Writing = Annotated[WriteSession, Depends(_write)]
ClockDep = Annotated[Clock, Depends(_clock)]
SettingsDep = Annotated[Settings, Depends(_settings)]


def form_to_json(form: FormData) -> dict[str, Any]:
    """Nest form fields as clients write them.

    ``a=1&a=2`` and ``a[0]=x`` give a list, ``a[0]b=y`` and ``a[0][b]=y`` a list of objects, ``a.b=z`` and
    ``a[b]=z`` an object. A repeated plain key wins over the bracketed spelling.
    """
    result: dict[str, Any] = {}
    for key in dict.fromkeys(form.keys()):
        values = [value for value in form.getlist(key) if isinstance(value, str)]
        head, *path = _BRACKETS.findall(key.replace(".", "[")) or [key]
        if not path:
            result[head] = values if len(values) > 1 else next(iter(values), None)
        elif head not in form:
            _nest(result, head, path, values[-1] if values else None)
    return {key: _as_list(value) for key, value in result.items()}


def _nest(node: dict[str, Any], head: str, path: list[str], value: Any) -> None:
    child = node.setdefault(head, {})
    if len(path) == 1:
        child[path[0]] = value
    elif isinstance(child, dict):
        _nest(child, path[0], path[1:], value)


def _as_list(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    value = {key: _as_list(child) for key, child in value.items()}
    if value and all(key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


class _JsonRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        try:
            return orjson.loads(await self.body())
        except orjson.JSONDecodeError as error:
            self.scope[_BODY_ERRORS].append(InvalidInput(f"JSON parse error - {error}"))
            return None


def without_snapshot(endpoint: Handler) -> Handler:
    """Mark a GET whose statements need not see the same moment: it is spared BEGIN and ROLLBACK."""
    endpoint.without_snapshot = True  # type: ignore[attr-defined]
    return endpoint


class OcsRoute(APIRoute):
    """A route in one unit of work, with the reference's ideas of bodies, and cheap repeated reads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler with ours around it."""
        handle = super().get_route_handler()
        reads_body = self.body_field is not None
        snapshot = not getattr(self.endpoint, "without_snapshot", False)
        raw_form = reads_body and type(self.body_field.field_info).__name__ in {"Form", "File"}  # type: ignore[union-attr]

        async def handler(request: Request) -> Response:
            if reads_body and not raw_form:
                request = await _prepare_body(request)

            async def attempt(unit: UnitOfWork) -> Response:
                request.state.unit_of_work = unit
                try:
                    response = await handle(request)
                except (InvalidInput, RequestValidationError):
                    _check_body_was_read(request)
                    raise
                _check_body_was_read(request)
                return response

            safe = request.method in {"GET", "HEAD"}
            response = await in_unit_of_work(
                runtime_of(request).database, attempt, writes=not safe, snapshot=snapshot, repeatable=safe
            )
            return await _finish(request, response) if safe else response

        return handler


def _check_body_was_read(request: Request) -> None:
    unread: list[OcsError] = request.scope.get(_BODY_ERRORS, [])
    if unread:
        raise unread[0]


async def _prepare_body(request: Request) -> Request:
    """Let FastAPI see JSON whatever accepted type was sent.

    What cannot be read is no body at first, and told after the caller is known: who may not write learns
    nothing about the body.
    """
    content_type = request.headers.get("content-type", "application/json")
    media_type = content_type.partition(";")[0].strip().lower()
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    receive = request.receive
    unread: list[OcsError] = []
    if not has_body:
        receive = _receive(b"{}")
    elif media_type in _FORMS:
        try:
            async with request.form() as form:
                receive = _receive(orjson.dumps(form_to_json(form)))
        except HTTPException as error:
            unread.append(InvalidInput(f"Form parse error - {error.detail}"))
    elif media_type != "application/json" and not media_type.endswith("+json"):
        unread.append(UnsupportedMediaType(f'Unsupported media type "{content_type}" in request.'))
    if unread:
        receive = _receive(b"null")
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    request.scope[_BODY_ERRORS] = unread
    headers.append((b"content-type", b"application/json"))
    return _JsonRequest({**request.scope, "headers": headers}, receive)


def _receive(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _finish(request: Request, response: Response) -> Response:
    """Answer 304 to whoever has this body already; compress it for whoever can read that."""
    body = getattr(response, "body", None)
    if response.status_code != 200 or not isinstance(body, bytes) or "content-encoding" in response.headers:
        return response
    etag = response.headers.get("etag")
    if etag is None:
        etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        response.headers["etag"] = etag
    response.headers.setdefault("cache-control", "private, no-cache")
    if etag_matches(request, etag):
        kept = {
            key: response.headers[key] for key in ("etag", "cache-control", "vary") if key in response.headers
        }
        return Response(status_code=304, headers=kept)
    if len(body) >= _GZIP_MIN_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        if len(body) >= _GZIP_THREAD_BYTES:
            packed = await asyncio.to_thread(gzip.compress, body, 4)
        else:
            packed = gzip.compress(body, 4)
        response.body = packed
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(packed))
    response.headers.add_vary_header("Accept-Encoding")
    return response


def etag_matches(request: Request, etag: str) -> bool:
    """Tell whether the caller's If-None-Match names `etag` (weak comparison)."""
    sent = request.headers.get("if-none-match", "")
    return sent.strip() == "*" or etag.removeprefix("W/") in {
        part.strip().removeprefix("W/") for part in sent.split(",")
    }


def make_router(tag: str) -> APIRouter:
    """Return a router whose routes are `OcsRoute`s, with `tag` in the OpenAPI document."""
    return APIRouter(route_class=OcsRoute, tags=[tag], redirect_slashes=False)
