"""What is on the wire."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel

LARGEST_ID = 2**63 - 1
LARGEST_LEVEL = 32_767
LARGEST_INDEXED_BYTES = 2_000


def _blank_is_null(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


_BlankIsNull = BeforeValidator(_blank_is_null)


def _read_day(value: Any) -> Any:
    match = re.fullmatch(r"(\d{4})(-?)(\d\d)\2(\d\d)", value.strip()) if isinstance(value, str) else None
    if match is None:
        if value is None:
            return value
        raise ValueError("Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD.")
    return _date(match.group(1), match.group(3), match.group(4))


def _date(year: str, month: str, day: str) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError as error:
        raise ValueError(
            "Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD."
        ) from error


def _read_filter_day(value: Any) -> date:
    for pattern in ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y"):
        try:
            return datetime.strptime(str(value).strip(), pattern).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise ValueError("Enter a valid date.")


def without_nul(value: Any) -> Any:
    """Return a JSON value without NUL characters, which the database cannot hold."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


Day = Annotated[date, BeforeValidator(_read_day), WithJsonSchema({"type": "string", "format": "date"})]
# Any, because a refusal names the area as a whole, not the part of it that is wrong; the service checks it.
Area = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [{"type": "object"}, {"type": "null"}],
            "description": "GeoJSON Polygon in degrees, or null",
        }
    ),
]


def _plain(value: str) -> str:
    if "\x00" in value:
        raise ValueError("Null characters are not allowed.")
    if len(value.encode()) > LARGEST_INDEXED_BYTES:
        raise ValueError(f"Ensure this field has no more than {LARGEST_INDEXED_BYTES} bytes.")
    return value


_Plain = AfterValidator(_plain)
ShortText = Annotated[str, StringConstraints(max_length=200), _Plain]
LongText = Annotated[str, StringConstraints(max_length=1000), _Plain]
ShortName = Annotated[str, StringConstraints(min_length=1, max_length=200), _Plain]
LongName = Annotated[str, StringConstraints(min_length=1, max_length=1000), _Plain]
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=1024), _Plain]
Md5 = Annotated[str, StringConstraints(min_length=1, max_length=32), _Plain]
JsonObject = Annotated[dict[str, Any], AfterValidator(without_nul)]


# --- what comes in ---------------------------------------------------------------------------------------


class VersionIn(WireModel):
    """One file of a frame."""

    key: KeyName
    md5: Md5
    extension: ShortName


class FrameFields(WireModel):
    """The columns of a frame that may be given and changed."""

    observation_date: UtcDatetime | None = None
    observation_day: Day
    proposal_id: ShortText = ""
    instrument_id: ShortText = ""
    target_name: LongText = ""
    reduction_level: Annotated[int, Field(ge=0, le=LARGEST_LEVEL)] = 0
    site_id: ShortText = ""
    telescope_id: ShortText = ""
    exposure_time: Annotated[float | None, _BlankIsNull] = None
    primary_optical_element: ShortText = ""
    public_date: Annotated[UtcDatetime | None, _BlankIsNull] = None
    configuration_type: ShortName
    observation_id: Annotated[Annotated[int, Field(ge=0, le=LARGEST_ID)] | None, _BlankIsNull] = None
    request_id: Annotated[Annotated[int, Field(ge=0, le=LARGEST_ID)] | None, _BlankIsNull] = None


class FrameIn(FrameFields):
    """The record of a frame, as an ingester sends it."""

    basename: LongName
    area: Area
    headers: JsonObject
    related_frame_filenames: list[LongName]
    version_set: list[VersionIn]


class ThumbnailIn(FrameIn):
    """The record of a small picture; all but its name, size and file describe the frame."""

    frame_basename: LongName
    size: ShortName


class FramePatch(WireModel):
    """Columns to change; those left out stay."""

    basename: LongName | None = None
    area: Area = None
    observation_date: UtcDatetime | None = None
    observation_day: Day | None = None
    proposal_id: ShortText | None = None
    instrument_id: ShortText | None = None
    target_name: LongText | None = None
    reduction_level: Annotated[int, Field(ge=0, le=LARGEST_LEVEL)] | None = None
    site_id: ShortText | None = None
    telescope_id: ShortText | None = None
    exposure_time: Annotated[float | None, _BlankIsNull] = None
    primary_optical_element: ShortText | None = None
    public_date: Annotated[UtcDatetime | None, _BlankIsNull] = None
    configuration_type: ShortName | None = None
    observation_id: Annotated[Annotated[int, Field(ge=0, le=LARGEST_ID)] | None, _BlankIsNull] = None
    request_id: Annotated[Annotated[int, Field(ge=0, le=LARGEST_ID)] | None, _BlankIsNull] = None
    version_set: Any = None


class ThumbnailPatch(WireModel):
    """What can be changed of a picture."""

    size: ShortName


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) and value else value


class ZipIn(WireModel):
    """Frames to pack into one file."""

    frame_ids: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST_ID)]], BeforeValidator(_as_list)]
    uncompress: bool = False
    catalog_only: bool = False
    auth_token: str = ""


_Day = Annotated[
    date, BeforeValidator(_read_filter_day), WithJsonSchema({"type": "string", "format": "date"})
]
_Id = Annotated[int, Field(ge=-LARGEST_ID, le=LARGEST_ID)]


class FrameFilters(FilterModel):
    """Conditions on frames; all must hold. Upper-case names are the old spellings."""

    start: FilterDatetime | None = None
    end: FilterDatetime | None = None
    DATE_OBS: FilterDatetime | None = None
    L1PUBDAT: FilterDatetime | None = None
    DAY_OBS: _Day | None = None
    dayobs: _Day | None = None
    basename: str | None = None
    basename_exact: str | None = None
    OBJECT: str | None = None
    target_name: str | None = None
    target_name_exact: str | None = None
    empty_target_name: str | None = None
    public: str | None = None
    exposure_time: float | None = None
    EXPTIME: float | None = None
    configuration_type: str | None = None
    OBSTYPE: str | None = None
    include_configuration_type: list[str] = Field([])
    exclude_configuration_type: list[str] = Field([])
    exclude_OBSTYPE: list[str] = Field([])  # noqa: N815 - its name on the wire
    exclude_calibrations: str | None = None
    proposal_id: str | None = None
    PROPID: str | None = None
    instrument_id: str | None = None
    INSTRUME: str | None = None
    site_id: str | None = None
    SITEID: str | None = None
    telescope_id: str | None = None
    TELID: str | None = None
    primary_optical_element: str | None = None
    FILTER: str | None = None
    observation_id: _Id | None = None
    BLKUID: _Id | None = None
    request_id: _Id | None = None
    REQNUM: _Id | None = None
    reduction_level: _Id | None = None
    RLEVEL: _Id | None = None
    submitter: str | None = None
    covers: str | None = None
    intersects: str | None = None
    include_related_frames: str | None = None
    include_thumbnails: str | None = None
    force_count: str | None = None
    pagination_style: str | None = None
    ordering: str | None = None
    cursor: str | None = None


class VersionFilters(FilterModel):
    """Conditions on versions."""

    md5: str | None = None


class ThumbnailFilters(FilterModel):
    """Conditions on thumbnails."""

    frame_basename: str | None = None
    proposal_id: str | None = None
    observation_id: _Id | None = None
    request_id: _Id | None = None
    size: str | None = None


class RowOptions(FilterModel):
    """What a frame is shown with."""

    include_related_frames: str | None = None
    include_thumbnails: str | None = None


class AggregateFilters(FilterModel):
    """Which frames the menus are made for."""

    start: UtcDatetime | None = None
    end: UtcDatetime | None = None
    public: str | None = None
    site_id: str | None = None
    telescope_id: str | None = None
    primary_optical_element: str | None = None
    instrument_id: str | None = None
    configuration_type: str | None = None
    proposal_id: str | None = None
    query_timeout: Annotated[int, Field(ge=0, le=20_000)] = 2_000


# --- what goes out ---------------------------------------------------------------------------------------


class VersionOut(BaseModel):
    """One file of a frame."""

    id: int
    key: str
    md5: str
    extension: str
    url: str
    created: UtcDatetime


class ThumbnailOut(BaseModel):
    """A small picture of a frame."""

    id: int
    frame: int
    size: str
    basename: str
    extension: str
    key: str
    url: str


class FrameBase(BaseModel):
    """What both shapes of a frame have."""

    id: int
    basename: str
    observation_date: UtcDatetime | None
    observation_day: date | None
    proposal_id: str
    instrument_id: str
    target_name: str
    reduction_level: int
    site_id: str
    telescope_id: str
    exposure_time: float | None
    primary_optical_element: str
    public_date: UtcDatetime | None
    configuration_type: str
    observation_id: int | None
    request_id: int | None
    version_set: list[VersionOut]
    url: str | None
    filename: str | None


class FrameRow(FrameBase):
    """A frame in lists and on its own page; the upper-case names repeat the others."""

    thumbnails: list[ThumbnailOut] | None = Field(None, description="Only with include_thumbnails=true")
    DATE_OBS: UtcDatetime | None
    DAY_OBS: date | None
    PROPID: str
    INSTRUME: str
    OBJECT: str
    RLEVEL: int
    SITEID: str
    TELID: str
    EXPTIME: float | None
    FILTER: str
    L1PUBDAT: UtcDatetime | None
    OBSTYPE: str
    BLKUID: int | None
    REQNUM: int | None
    area: dict[str, Any] | None = Field(None, description="GeoJSON Polygon; absent when there is none")
    related_frames: list[int] | None = Field(None, description="Absent with include_related_frames=false")


class FrameModel(FrameBase):
    """A frame as it was written; answer to POST and PATCH."""

    area: dict[str, Any] | None
    related_frames: list[int]


class ThumbnailWritten(BaseModel):
    """Answer to a new picture."""

    frame: FrameModel
    size: str
    basename: str
    url: str
    key: str
    extension: str


class FramePage(BaseModel):
    """A page of frames. With `pagination_style=cursor` there is no `count`."""

    count: int | None = None
    next: str | None
    previous: str | None
    results: list[FrameRow]
    count_estimated: bool | None = None


class VersionPage(BaseModel):
    """A page of versions."""

    count: int
    next: str | None
    previous: str | None
    results: list[VersionOut]
    count_estimated: bool


class ThumbnailPage(BaseModel):
    """A page of thumbnails."""

    count: int
    next: str | None
    previous: str | None
    results: list[ThumbnailOut]
    count_estimated: bool


class HeadersOut(BaseModel):
    """All headers of a frame."""

    data: dict[str, Any]


class Aggregate(BaseModel):
    """Distinct values, for menus."""

    sites: list[str]
    telescopes: list[str]
    filters: list[str]
    instruments: list[str]
    obstypes: list[str]
    proposals: list[str]
    generated_at: UtcDatetime


class ProfileProposals(BaseModel):
    """The caller's proposals; an empty object for who is not logged in."""

    proposals: list[str] | None = None


class ArchiveProfile(BaseModel):
    """Who the archive takes the caller for."""

    username: str
    profile: ProfileProposals
    is_staff: bool


class Root(BaseModel):
    """Where things are."""

    frames: str
    versions: str
    thumbnails: str
