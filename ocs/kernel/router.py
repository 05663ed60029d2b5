"""Probes, metrics and the clock."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from ocs.kernel.wire.route import ClockDep
from ocs.kernel.wire.types import UtcDatetime

router = APIRouter(tags=["kernel"], redirect_slashes=False)


class Check(BaseModel):
    """State of one thing we need."""

    ok: bool
    detail: str


class Readiness(BaseModel):
    """Whether the service can work, and what is in the way."""

    ready: bool
    checks: dict[str, Check]
    warnings: list[str]


class ClockReading(BaseModel):
    """The observatory's time."""

    now: UtcDatetime
    rate: float


async def _readiness(request: Request) -> Readiness:
    reading: Readiness = await request.app.state.readiness()
    return reading


@router.get("/health", summary="Is the process alive?", response_model=Literal["ok"])
@router.get("/health/", include_in_schema=False, response_model=Literal["ok"])
async def health() -> str:
    """Answer `"ok"` as long as the process can answer at all."""
    return "ok"


@router.get(
    "/ready",
    summary="Can the service work?",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something we need is missing"}},
)
@router.get("/ready/", include_in_schema=False, response_model=Readiness)
async def ready(reading: Annotated[Readiness, Depends(_readiness)], response: Response) -> Readiness:
    """Check the database, its schema and the object store; 503 says what is waited for."""
    if not reading.ready:
        response.status_code = 503
    return reading


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics() -> Response:
    """Give all metrics in the Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/clock/", summary="The observatory's time", response_model=ClockReading)
async def clock(clock: ClockDep) -> ClockReading:
    """Tell the time the observatory lives in, and how many of its seconds pass in a real one."""
    return ClockReading(now=clock.now(), rate=clock.rate)
