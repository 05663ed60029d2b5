"""Addresses for planning; open to everybody, limited by address."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import StreamingResponse

from ocs.kernel.wire.limits import Limit
from ocs.kernel.wire.route import JsonBytes, Reading, SettingsDep, make_router
from ocs.portal.planning import service
from ocs.portal.planning.schemas import (
    NightsOut,
    SkyFilters,
    SkyMapOut,
    SpanFilters,
    VisibilityIn,
    VisibilityOut,
)

router = make_router("planning")

LIMITED = [Depends(Limit("visibility", "600/minute").per_address)]


@router.post(
    "/api/visibility/",
    summary="Ask when targets are observable, and why not",
    response_model=VisibilityOut,
    dependencies=LIMITED,
)
async def ask_visibility(session: Reading, settings: SettingsDep, body: VisibilityIn) -> StreamingResponse:
    """Compute the observable intervals of every target from every site.

    `budget` tells how many seconds each constraint in turn leaves of the window. A target that cannot be
    computed has an `error` in its own results; the others are answered.
    """
    parts = service.answer(await service.ask(session, settings, body))
    first = await anext(parts)  # what concerns the whole question fails here, before the answer begins

    async def send() -> AsyncIterator[bytes]:
        yield first
        async for part in parts:
            yield part

    return StreamingResponse(send(), media_type="application/json")


@router.get(
    "/api/sites/{site}/nights/",
    summary="List the nights of a site",
    response_model=NightsOut,
    dependencies=LIMITED,
)
async def list_nights(
    session: Reading, settings: SettingsDep, site: str, span: Annotated[SpanFilters, Query()]
) -> JsonBytes:
    """Return Sun, Moon and twilights of the nights whose mean solar midnight lies between start and end."""
    return JsonBytes(await service.nights(session, settings, site, span))


@router.get(
    "/api/skymap/",
    summary="Map how long each part of the sky is up",
    response_model=SkyMapOut,
    dependencies=LIMITED,
)
async def show_skymap(
    session: Reading, settings: SettingsDep, asked: Annotated[SkyFilters, Query()]
) -> JsonBytes:
    """Return a HEALPix map (ICRS) of the fraction of dark time each pixel is above the limit."""
    return JsonBytes(await service.sky_map(session, settings, asked))
