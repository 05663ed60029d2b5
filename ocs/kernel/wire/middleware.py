"""Plain ASGI layers around the routes: request id and log line, readiness, slashes, CORS."""

import ipaddress
import logging
import secrets
import time
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocs.kernel.errors import TooLarge
from ocs.kernel.logging import request_id
from ocs.kernel.metrics import REQUEST_SECONDS

access_log = logging.getLogger("ocs.access")

CORS_METHODS = "DELETE, GET, OPTIONS, PATCH, POST, PUT"
CORS_HEADERS = (
    "accept, authorization, content-type, idempotency-key, if-match, if-none-match, user-agent, x-csrftoken, "
    "x-requested-with"
)
MAX_BODY_BYTES = 16 * 1024 * 1024


class RequestLog:
    """Give each request an id, and log one line when it is answered."""

    def __init__(self, app: ASGIApp, trusted_proxies: Iterable[str]) -> None:
        self.app = app
        self._trusted = [ipaddress.ip_network(peer, strict=False) for peer in trusted_proxies]

    def _client(self, scope: Scope, headers: Headers) -> str:
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = headers.get("x-forwarded-for")
        hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
        # A client may send the header too; what our proxies added is on its right.
        while hops and self._is_trusted(peer):
            peer = hops.pop()
        return str(peer)

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        if headers.get("x-forwarded-proto") in {"http", "https"} and self._is_trusted(peer):
            scope["scheme"] = headers["x-forwarded-proto"]
        scope["ocs.client"] = self._client(scope, headers)
        identifier = secrets.token_hex(8)
        token = request_id.set(identifier)
        started_s = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = identifier
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            elapsed_s = time.perf_counter() - started_s
            route = getattr(scope.get("route"), "path", "unrouted")
            REQUEST_SECONDS.labels(scope["method"], route, f"{status // 100}xx").observe(elapsed_s)
            access_log.log(
                logging.WARNING if status >= 500 else logging.INFO,
                "%s %s %d",
                scope["method"],
                scope["path"],
                status,
                extra={
                    "ip": scope["ocs.client"],
                    "duration_ms": round(elapsed_s * 1000, 2),
                    "username": scope.get("ocs.username", "anonymous"),
                },
            )
            request_id.reset(token)


class BodyLimit:
    """Refuse bodies that are larger than any route reads."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.max_bytes:
            await Response(
                b'{"detail":"The request body is too large."}', 413, media_type="application/json"
            )(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise TooLarge
            return message

        await self.app(scope, limited, send)


class Readiness:
    """Answer 503 while the process is still starting, except where the state itself is asked for."""

    _ALWAYS = ("/health", "/ready", "/metrics", "/robots.txt")

    def __init__(self, app: ASGIApp, waiting_for: Callable[[], str | None]) -> None:
        self.app = app
        self._waiting_for = waiting_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not scope["path"].startswith(self._ALWAYS) and self._waiting_for():
            await Response(
                b'{"detail":"The service is starting; GET /ready tells why it waits."}',
                503,
                {"Retry-After": "1"},
                media_type="application/json",
            )(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Slashes:
    """Accept addresses without the final slash.

    Under a prefix of `redirected`, GET and HEAD are sent to the canonical address with 301 and everything
    else is served directly, because a redirected POST loses its body. Under a prefix of `served` both
    spellings are the same address.
    """

    def __init__(self, app: ASGIApp, redirected: Iterable[str], served: Iterable[str]) -> None:
        self.app = app
        self._redirected = tuple(redirected)
        self._served = tuple(served)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "/")
        if scope["type"] == "http" and not path.endswith("/"):
            slashed = path + "/"
            if slashed.startswith(self._redirected) and scope["method"] in {"GET", "HEAD"}:
                raw: bytes = scope.get("raw_path") or path.encode()
                query: bytes = scope["query_string"]
                location = raw.decode("latin-1") + "/" + ("?" + query.decode("latin-1") if query else "")
                # A path that begins with two slashes would be read as another host.
                location = "/" + location.lstrip("/")
                await Response(status_code=301, headers={"Location": location})(scope, receive, send)
                return
            if slashed.startswith(self._redirected + self._served):
                scope = {**scope, "path": slashed}
        await self.app(scope, receive, send)


class Methods:
    """Answer HEAD wherever GET is, and OPTIONS with what an address allows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_question = scope["type"] == "http" and scope["method"] == "OPTIONS"
        if is_question and (allowed := _allowed_methods(scope)):
            headers = {"Allow": ", ".join(sorted(allowed | {"HEAD", "OPTIONS"}))}
            await Response(status_code=200, headers=headers)(scope, receive, send)
            return
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_without_body)


def _allowed_methods(scope: Scope) -> set[str]:
    """Return the methods of all routes that an address has, none for one we do not know."""
    found: set[str] = set()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        for route in scope["app"].routes:
            if route.matches({**scope, "method": method})[0] is Match.FULL:
                found.add(method)
                break
    return found


class Cors:
    """Let any origin call us without cookies, and the configured origins with them."""

    def __init__(self, app: ASGIApp, credentialed_origins: Iterable[str]) -> None:
        self.app = app
        self._credentialed = frozenset(credentialed_origins)

    def _headers(self, origin: str) -> dict[str, str]:
        if origin in self._credentialed:
            return {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Credentials": "true",
                "Vary": "Origin",
            }
        return {"Access-Control-Allow-Origin": "*"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None:
            await self.app(scope, receive, send)
            return
        allowed = self._headers(origin)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope):
            preflight = {
                **allowed,
                "Access-Control-Allow-Methods": CORS_METHODS,
                "Access-Control-Allow-Headers": CORS_HEADERS,
                "Access-Control-Max-Age": "86400",
            }
            await Response(status_code=200, headers=preflight)(scope, receive, send)
            return

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in allowed.items():
                    if name == "Vary":
                        headers.add_vary_header(value)
                    else:
                        headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_cors)
