"""What is on the wire."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel


def whole_seconds(moment: datetime) -> str:
    """Print a datetime as both consumers parse it: always `YYYY-MM-DDTHH:MM:SSZ`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


WholeSeconds = Annotated[
    datetime,
    PlainSerializer(whole_seconds, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "example": "2026-12-03T02:00:00Z"}),
]


class DowntimeWrite(WireModel):
    """A new downtime; without `instrument_type` it is the whole telescope."""

    start: UtcDatetime
    end: UtcDatetime
    site: str
    enclosure: str
    telescope: str
    instrument_type: str = ""
    reason: str = Field("", max_length=3000)


class Downtime(BaseModel):
    """When a telescope, or instruments of one type on it, are not to be used."""

    id: int
    start: WholeSeconds
    end: WholeSeconds
    site: str
    enclosure: str
    telescope: str
    instrument_type: str
    reason: str


class DowntimeFilter(FilterModel):
    """Filters; limits are inclusive, repeated places are alternatives."""

    starts_after: FilterDatetime | None = None
    starts_before: FilterDatetime | None = None
    ends_after: FilterDatetime | None = None
    ends_before: FilterDatetime | None = None
    created_after: FilterDatetime | None = None
    created_before: FilterDatetime | None = None
    modified_after: FilterDatetime | None = None
    modified_before: FilterDatetime | None = None
    site: list[str] = Field([])
    enclosure: list[str] = Field([])
    telescope: list[str] = Field([])
    instrument_type: list[str] = Field([], description="'' means downtimes of the whole telescope")
    reason: str | None = Field(None, description="Part of the reason, ignoring case")
    reason_exact: str | None = None
    order: str | None = Field(None, description="start, end, modified or created, with - to reverse")
    ordering: str | None = Field(None, description="Any field of the answer, with - to reverse")
