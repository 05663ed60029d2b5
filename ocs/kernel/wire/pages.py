"""Pages of results: limit and offset as the reference reads them, envelopes as ready bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import Depends, Query, Request
from pydantic import BaseModel

from ocs.kernel.errors import InvalidInput
from ocs.kernel.wire.route import JsonBytes, runtime_of

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A page of results."""

    count: int
    next: str | None
    previous: str | None
    results: list[T]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which rows are asked for."""

    limit: int
    offset: int


def _positive(value: str | None, default: int, *, zero: bool) -> int:
    try:
        number = int(value or "")
    except ValueError:
        return default
    return number if number > 0 or (zero and number == 0) else default


def page_of(default_limit: int, maximum: int | None = None) -> type[PageRequest]:
    """Return the dependency type for ``limit`` and ``offset``; junk in either means the default."""

    async def read(
        limit: Annotated[str | None, Query(description=f"Rows a page; default {default_limit}")] = None,
        offset: Annotated[str | None, Query(description="Rows to skip; default 0")] = None,
    ) -> PageRequest:
        rows = _positive(limit, default_limit, zero=False)
        # Beyond 8 bytes the database would refuse; no list is that long.
        return PageRequest(min(rows, maximum or 2**62), min(_positive(offset, 0, zero=True), 2**62))

    return Annotated[PageRequest, Depends(read)]  # type: ignore[return-value]


def limit_anonymous(request: Request, page: PageRequest, *, is_authenticated: bool) -> None:
    """Refuse large pages and offsets to anonymous callers, as the portal does."""
    settings = runtime_of(request).settings
    if not is_authenticated and (
        page.limit > settings.anonymous_limit or page.offset > settings.anonymous_offset
    ):
        raise InvalidInput(
            f"Log in to read more than {settings.anonymous_limit} rows a page "
            f"or beyond row {settings.anonymous_offset}."
        )


def base_url(request: Request) -> str:
    """Return scheme and host the client used, or the configured public address."""
    public: str | None = runtime_of(request).settings.public_url
    return public or f"{request.url.scheme}://{request.headers.get('host') or request.url.netloc}"


def _link(request: Request, limit: int, offset: int) -> str:
    query = parse_qsl(request.url.query, keep_blank_values=True)
    parameters = [(name, value) for name, value in query if name not in {"limit", "offset"}]
    parameters.append(("limit", str(limit)))
    if offset > 0:
        parameters.append(("offset", str(offset)))
    return f"{base_url(request)}{request.url.path}?{urlencode(sorted(parameters, key=lambda item: item[0]))}"


def page_links(request: Request, page: PageRequest, *, more: bool) -> tuple[str | None, str | None]:
    """Return the addresses of the next and the previous page."""
    following = _link(request, page.limit, page.offset + page.limit) if more else None
    previous = _link(request, page.limit, max(0, page.offset - page.limit)) if page.offset > 0 else None
    return following, previous


def page_bytes(
    request: Request, page: PageRequest, count: int, rows: Sequence[bytes] | Iterable[bytes]
) -> JsonBytes:
    """Return the envelope around rows that are JSON already."""
    following, previous = page_links(request, page, more=page.offset + page.limit < count)
    return JsonBytes(
        orjson.dumps(
            {
                "count": count,
                "next": following,
                "previous": previous,
                "results": [orjson.Fragment(row) for row in rows],
            }
        )
    )
