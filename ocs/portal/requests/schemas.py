"""What clients send to the request groups, and what they are sent.

Each object is checked field by field here. What depends on the observatory, the clock or the caller is asked
of the `Rules` in the validation context (see `rules`), object by object from the inside out: an object's rule
runs only if its fields are fine, its parent's only if all children are. A rule may replace the object by what
it found.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel, WireText, text

CONFIGURATION_TYPES = frozenset(
    {
        "EXPOSE",
        "REPEAT_EXPOSE",
        "SKY_FLAT",
        "SKY",
        "STANDARD",
        "ARC",
        "LAMP_FLAT",
        "SPECTRUM",
        "REPEAT_SPECTRUM",
        "AUTO_FOCUS",
        "TRIPLE",
        "NRES_TEST",
        "NRES_SPECTRUM",
        "REPEAT_NRES_SPECTRUM",
        "NRES_EXPOSE",
        "NRES_DARK",
        "NRES_BIAS",
        "ENGINEERING",
        "SCRIPT",
        "BIAS",
        "DARK",
    }
)
_MAX_DEPTH = 32
_EXACT_FLOAT = 2.0**53
_MAX_INT = 2**31 - 1


def _ask(name: str, *arguments: str) -> AfterValidator:
    """Return a validator that puts the question `name` to the rules in the context."""

    def ask(value: Any, info: ValidationInfo) -> Any:
        if info.context is None:
            return value
        question: Callable[..., Any] = getattr(info.context, name)
        return question(value, *arguments)

    return AfterValidator(ask)


def _plain(value: Any, depth: int = 0) -> None:
    """Refuse JSON that the database cannot keep."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"Nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("Null characters are not allowed.")
    elif isinstance(value, dict):
        for key, child in value.items():
            _plain(key, depth + 1)
            _plain(child, depth + 1)
    elif isinstance(value, list):
        for child in value:
            _plain(child, depth + 1)


def _object(value: dict[str, Any]) -> dict[str, Any]:
    _plain(value)
    return value


def coerce(value: Any) -> Any:
    """Return a value of extra_params as the portal keeps it: texts that are numbers or truths become such.

    Examples
    --------
    >>> [coerce(value) for value in ("1e3", "1.15", 2.0, "True", "nan", "", None)]
    [1000, 1.15, 2, True, 'nan', '', None]
    """
    if isinstance(value, bool) or value is None:
        return value
    if value in ("true", "True"):
        return True
    if value in ("false", "False"):
        return False
    if isinstance(value, str | int | float):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return value
        if not math.isfinite(number):
            return value
        if number.is_integer() and abs(number) < _EXACT_FLOAT:
            return int(number)
        return value if isinstance(value, int) else number
    return value


def _coerced(value: dict[str, Any]) -> dict[str, Any]:
    _plain(value)
    return {key: coerce(item) for key, item in value.items()}


def _not_blank(value: Any) -> Any:
    return None if value == "" else value


def _false_if_blank(value: Any) -> Any:
    return False if value == "" else value


RawObject = Annotated[dict[str, Any], AfterValidator(_object)]
ExtraParams = Annotated[dict[str, Any], AfterValidator(_coerced)]
Angle = Annotated[float | None, Field(ge=0, le=360)]
Number = float | None
Count = Annotated[int, Field(ge=1, le=_MAX_INT)]
MAX_POINTS = 1000
PatternCount = Annotated[int, Field(ge=1, le=MAX_POINTS)]
Spacing = Annotated[float, Field(ge=0, le=3_600_000)]
Pixel = Annotated[int | None, Field(ge=0, le=_MAX_INT)]
NotNegative = Annotated[float, Field(ge=0)]


class Sent(WireModel):
    """An object that knows what was sent of it."""

    def sent(self) -> dict[str, Any]:
        """Return the fields that were sent, checked, in the order of the declaration."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }


class RegionOfInterestIn(Sent):
    """A part of the detector, in pixels; what is left out reaches to the edge."""

    x1: Pixel = None
    x2: Pixel = None
    y1: Pixel = None
    y2: Pixel = None


class InstrumentConfigIn(Sent):
    """How the instrument is set for a run of exposures."""

    optical_elements: Annotated[dict[str, str | None], AfterValidator(_object)] = Field(default_factory=dict)
    mode: text(50, blank=True) = ""  # type: ignore[valid-type]
    exposure_time: Annotated[float, Field(ge=0, description="s")]
    exposure_count: Count
    rotator_mode: text(50, blank=True) = ""  # type: ignore[valid-type]
    extra_params: ExtraParams = Field(default_factory=dict)
    rois: list[RegionOfInterestIn] = Field(default_factory=list)


class ConstraintsIn(Sent):
    """Limits on the sky."""

    max_airmass: Annotated[float, Field(ge=1, le=25)] = 1.6
    min_lunar_distance: Annotated[float, Field(ge=0, le=180, description="degrees")] = 30.0
    max_lunar_phase: Annotated[float, Field(ge=0, le=1)] = 1.0
    max_seeing: Annotated[float | None, Field(ge=0, description="arcsec")] = None
    min_transparency: float | None = None
    extra_params: RawObject = Field(default_factory=dict)


class AcquisitionConfigIn(Sent):
    """How the target is put into its place."""

    mode: text(50, blank=True) = ""  # type: ignore[valid-type]
    exposure_time: Annotated[float | None, Field(ge=0, le=60, description="s")] = None
    extra_params: ExtraParams = Field(default_factory=dict)


class GuidingConfigIn(Sent):
    """How the telescope is guided."""

    optional: bool = True
    mode: text(50, blank=True) = ""  # type: ignore[valid-type]
    optical_elements: RawObject = Field(default_factory=dict)
    exposure_time: Annotated[float | None, Field(ge=0, le=120, description="s")] = None
    extra_params: ExtraParams = Field(default_factory=dict)


class TargetIn(Sent):
    """What is pointed at. Angles in degrees, proper motions in mas/yr, parallax in mas, lengths in au."""

    type: Literal["ICRS", "ORBITAL_ELEMENTS", "HOUR_ANGLE", "SATELLITE", "EPHEMERIS"]
    name: text(50)  # type: ignore[valid-type]
    ra: Angle = None
    dec: Annotated[float | None, Field(ge=-90, le=90)] = None
    hour_angle: Number = None
    proper_motion_ra: Annotated[float | None, Field(le=20000)] = None
    proper_motion_dec: Annotated[float | None, Field(le=20000)] = None
    parallax: Annotated[float | None, Field(le=2000)] = None
    epoch: Annotated[float | None, Field(le=2100)] = None
    altitude: Annotated[float | None, Field(ge=0, le=90)] = None
    azimuth: Angle = None
    diff_altitude_rate: Number = None
    diff_azimuth_rate: Number = None
    diff_epoch: Number = None
    diff_altitude_acceleration: Number = None
    diff_azimuth_acceleration: Number = None
    scheme: (
        Literal[
            "ASA_MAJOR_PLANET",
            "ASA_MINOR_PLANET",
            "ASA_COMET",
            "JPL_MAJOR_PLANET",
            "JPL_MINOR_PLANET",
            "MPC_MINOR_PLANET",
            "MPC_COMET",
            "",
        ]
        | None
    ) = None
    epochofel: Annotated[float | None, Field(ge=10000, le=100000)] = None
    orbinc: Annotated[float | None, Field(ge=0, le=180)] = None
    longascnode: Angle = None
    longofperih: Angle = None
    argofperih: Angle = None
    meandist: Number = None
    perihdist: Number = None
    eccentricity: Annotated[float | None, Field(ge=0)] = None
    meanlong: Number = None
    meananom: Angle = None
    dailymot: Number = None
    epochofperih: Annotated[float | None, Field(ge=361, le=240000)] = None
    extra_params: ExtraParams = Field(default_factory=dict)


class ConfigurationIn(Sent):
    """One target with one instrument."""

    instrument_type: Annotated[text(255), _ask("instrument_type")]  # type: ignore[valid-type]
    type: Annotated[text(50), _ask("configuration_type")]  # type: ignore[valid-type]
    repeat_duration: Annotated[float | None, Field(ge=0, description="s")] = None
    fill_window: bool | None = None
    extra_params: ExtraParams = Field(default_factory=dict)
    constraints: Annotated[ConstraintsIn, _ask("constraints")]
    instrument_configs: Annotated[list[InstrumentConfigIn], Field(min_length=1)]
    acquisition_config: AcquisitionConfigIn
    guiding_config: GuidingConfigIn
    target: Annotated[TargetIn, _ask("target")]


class LocationIn(Sent):
    """Where a request may be observed."""

    telescope_class: Annotated[text(20, blank=True), _ask("place", "telescope_class")]  # type: ignore[valid-type]
    site: Annotated[text(20, blank=True), _ask("place", "site")] = ""  # type: ignore[valid-type]
    enclosure: Annotated[text(20, blank=True), _ask("place", "enclosure")] = ""  # type: ignore[valid-type]
    telescope: Annotated[text(20, blank=True), _ask("place", "telescope")] = ""  # type: ignore[valid-type]


class WindowIn(Sent):
    """A stretch of time; without a start it begins now."""

    start: UtcDatetime | None = None
    end: Annotated[UtcDatetime, _ask("window_end")]


class CadenceIn(Sent):
    """Windows at regular times; period and jitter in hours."""

    start: UtcDatetime
    end: Annotated[UtcDatetime, _ask("window_end")]
    period: Annotated[float, Field(ge=0.02)]
    jitter: Annotated[float, Field(ge=0.02)]


class RequestIn(Sent):
    """One observation to be made."""

    observation_note: text(255, blank=True) = ""  # type: ignore[valid-type]
    optimization_type: Literal["TIME", "AIRMASS"] = "TIME"
    acceptability_threshold: Annotated[float | None, Field(ge=0, le=100), BeforeValidator(_not_blank)] = None
    configuration_repeats: Count = 1
    suspend_until: UtcDatetime | None = None
    extra_params: RawObject = Field(default_factory=dict)
    location: Annotated[LocationIn, _ask("location")]
    configurations: Annotated[
        list[Annotated[ConfigurationIn, _ask("configuration")]], Field(min_length=1), _ask("configurations")
    ]
    windows: Annotated[list[Annotated[WindowIn, _ask("window")]], Field(min_length=1), _ask("windows")]
    cadence: Annotated[CadenceIn | None, _ask("cadence")] = None


def _no_windows(value: list[Any]) -> list[Any]:
    if value:
        raise ValueError("A request with a cadence has no windows of its own.")
    return value


class CadenceRequestIn(RequestIn):
    """A request whose windows are still to be laid out."""

    windows: Annotated[list[Any], AfterValidator(_no_windows)] = Field(default_factory=list)
    cadence: Annotated[CadenceIn, _ask("cadence_given")]


class GroupHead(Sent):
    """A request group without its requests."""

    name: text(50)  # type: ignore[valid-type]
    proposal: Annotated[text(255), _ask("proposal")]  # type: ignore[valid-type]
    observation_type: Annotated[
        Literal["NORMAL", "RAPID_RESPONSE", "TIME_CRITICAL", "DIRECT", "REAL_TIME"], _ask("observation_type")
    ]
    operator: Literal["SINGLE", "MANY"]
    ipp_value: NotNegative


class RequestGroupIn(GroupHead):
    """What an astronomer submits at once."""

    requests: Annotated[list[Annotated[RequestIn, _ask("request")]], Field(min_length=1)]


class CadenceGroupIn(GroupHead):
    """A group whose one request has a cadence."""

    requests: Annotated[list[Annotated[CadenceRequestIn, _ask("cadence_request")]], Field(min_length=1)]

    @model_validator(mode="after")
    def _only_one(self) -> "CadenceGroupIn":
        if len(self.requests) > 1:
            raise ValueError("A cadence is expanded for one request at a time.")
        return self


class PatternIn(Sent):
    """Points on the sky; spacings in arcsec, orientation in degrees."""

    num_points: PatternCount | None = None
    num_rows: PatternCount | None = None
    num_columns: PatternCount | None = None
    line_spacing: Spacing | None = None
    orientation: Annotated[float, Field(ge=0, le=360)] = 0.0
    center: Annotated[bool, BeforeValidator(_false_if_blank)] = False

    def check_points(self, pattern: str) -> None:
        """Check that the number of points is given."""
        if pattern == "grid":
            if self.num_rows is None or self.num_columns is None:
                raise ValueError("A grid needs num_rows and num_columns.")
            if self.num_rows * self.num_columns > MAX_POINTS:
                raise ValueError(f"A pattern has at most {MAX_POINTS} points.")
        elif self.num_points is None:
            raise ValueError(f"A {pattern} needs num_points.")


class DitherIn(PatternIn):
    """A configuration to be taken at several offsets."""

    configuration: Annotated[ConfigurationIn, _ask("configuration")]
    pattern: Literal["line", "grid", "spiral"]
    point_spacing: Spacing

    @model_validator(mode="after")
    def _check(self) -> "DitherIn":
        self.check_points(self.pattern)
        return self


class MosaicIn(PatternIn):
    """A request to be taken at several pointings."""

    request: Annotated[RequestIn, _ask("request"), _ask("mosaic_request")]
    pattern: Literal["line", "grid"]
    point_spacing: Spacing | None = None
    point_overlap_percent: Annotated[float | None, Field(ge=0, le=100)] = None
    line_overlap_percent: Annotated[float | None, Field(ge=0, le=100)] = None

    @model_validator(mode="after")
    def _check(self) -> "MosaicIn":
        self.check_points(self.pattern)
        if self.point_spacing is None and self.point_overlap_percent is None:
            raise ValueError("A mosaic needs point_spacing or point_overlap_percent.")
        return self


REQUEST_GROUP: TypeAdapter[Any] = TypeAdapter(Annotated[RequestGroupIn, _ask("group")])
CADENCE_GROUP: TypeAdapter[Any] = TypeAdapter(CadenceGroupIn)
REQUEST: TypeAdapter[Any] = TypeAdapter(Annotated[RequestIn, _ask("request_plain")])
DITHER: TypeAdapter[Any] = TypeAdapter(DitherIn)
MOSAIC: TypeAdapter[Any] = TypeAdapter(MosaicIn)


# --- filters

StateName = Literal["PENDING", "COMPLETED", "WINDOW_EXPIRED", "FAILURE_LIMIT_REACHED", "CANCELED"]
BigInt = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class GroupFilters(FilterModel):
    """Which request groups are listed."""

    id: BigInt | None = None
    ipp_value: float | None = None
    submitter: BigInt | None = Field(None, description="Id of the user")
    proposal: WireText | None = None
    user: WireText | None = Field(None, description="Part of the submitter's user name")
    name: WireText | None = Field(None, description="Part of the name")
    target: WireText | None = Field(None, description="Part of a target's name")
    observation_type: Literal["NORMAL", "RAPID_RESPONSE", "TIME_CRITICAL", "DIRECT", "REAL_TIME"] | None = (
        None
    )
    operator: Literal["SINGLE", "MANY", "AND", "ONEOF"] | None = None
    state: list[StateName] = Field(default_factory=list)
    exclude_state: list[StateName] = Field(default_factory=list)
    telescope_class: list[WireText] = Field(default_factory=list)
    created_after: FilterDatetime | None = None
    created_before: FilterDatetime | None = None
    modified_after: FilterDatetime | None = Field(None, description="Some request changed at or after this")
    modified_before: FilterDatetime | None = None
    request_id: BigInt | None = None
    order: Literal["name", "-name", "modified", "-modified", "created", "-created", "end", "-end"] | None = (
        None
    )
    ordering: WireText | None = Field(
        None, description="Fields, with - for descending; unknown ones are ignored"
    )


class RequestFilters(FilterModel):
    """Which requests are listed."""

    state: StateName | None = None
    telescope_class: list[WireText] = Field(default_factory=list)
    ordering: WireText | None = None


class SchedulableFilters(FilterModel):
    """Which groups a scheduler asks for; both times default to the current semester's."""

    start: WireText | None = None
    end: WireText | None = None
    telescope_class: list[WireText] = Field(default_factory=list)


class InstrumentFilters(FilterModel):
    """Which instruments are listed; parts of a location may be parts of the code."""

    site: WireText = ""
    enclosure: WireText = ""
    telescope: WireText = ""
    telescope_class: WireText = ""
    instrument_type: WireText = ""
    only_schedulable: WireText = Field(
        "", description="For staff: any value leaves out what is not in operation"
    )


class TelescopeFilters(FilterModel):
    """Which telescopes, and when; dates as people write them, UTC."""

    start: WireText = ""
    end: WireText = ""
    site: list[WireText] = Field(default_factory=list)
    telescope: list[WireText] = Field(default_factory=list)
    combine: WireText = Field("", description="Any value gives the mean of each site")


# --- what telescopes report


class EventIn(Sent):
    """A telescope's report; an empty reason means that it is available."""

    site: text(20)  # type: ignore[valid-type]
    observatory: text(20)  # type: ignore[valid-type]
    telescope: text(20)  # type: ignore[valid-type]
    timestamp: UtcDatetime
    value_string: text(1000, blank=True) = ""  # type: ignore[valid-type]

    def row(self) -> dict[str, Any]:
        """Return the columns to store."""
        return {
            "site": self.site,
            "enclosure": self.observatory,
            "telescope": self.telescope,
            "observed_at": self.timestamp,
            "reason": self.value_string,
        }


class EventsIn(WireModel):
    """Reports of telescopes."""

    events: list[Any]


class SeeingIn(Sent):
    """A measured seeing in arcsec."""

    site: text(20)  # type: ignore[valid-type]
    enclosure: text(20)  # type: ignore[valid-type]
    telescope: text(20)  # type: ignore[valid-type]
    timestamp: UtcDatetime
    seeing: Annotated[float, Field(ge=0, le=100)]

    def row(self) -> dict[str, Any]:
        """Return the columns to store."""
        return {
            "site": self.site,
            "enclosure": self.enclosure,
            "telescope": self.telescope,
            "observed_at": self.timestamp,
            "seeing_arcsec": self.seeing,
        }


EVENT: TypeAdapter[Any] = TypeAdapter(EventIn)
SEEING: TypeAdapter[Any] = TypeAdapter(SeeingIn)


# --- drafts


def _is_json(value: str) -> str:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"The content must be JSON text: {error}.") from error
    return value


class DraftIn(Sent):
    """An unfinished request group; `content` is JSON as text."""

    proposal: text(255)  # type: ignore[valid-type]
    title: text(50)  # type: ignore[valid-type]
    content: Annotated[WireText, AfterValidator(_is_json)]


class DraftPatch(Sent):
    """What is to be changed of a draft."""

    proposal: text(255) | None = None  # type: ignore[valid-type]
    title: text(50) | None = None  # type: ignore[valid-type]
    content: Annotated[WireText, AfterValidator(_is_json)] | None = None


class DraftOut(WireModel):
    """A draft."""

    id: int
    author: str
    proposal: str
    title: str
    content: str
    created: UtcDatetime
    modified: UtcDatetime


# --- what is sent back


class Documented:
    """Marks a raw body: the OpenAPI document shows `model`, the handler gets what was sent."""

    def __init__(self, model: type[WireModel]) -> None:
        self.model = model

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: Any) -> Any:
        return handler(self.model.__pydantic_core_schema__)


class ConfigurationOut(WireModel):
    """A configuration; `repeat_duration` only where it applies, in lists always."""

    id: int
    instrument_type: str
    type: str
    repeat_duration: float | None = None
    extra_params: dict[str, Any]
    priority: int
    instrument_configs: list[dict[str, Any]]
    constraints: dict[str, Any]
    acquisition_config: dict[str, Any]
    guiding_config: dict[str, Any]
    target: dict[str, Any]


class WindowOut(WireModel):
    """A stretch of time."""

    start: UtcDatetime
    end: UtcDatetime


class RequestOut(WireModel):
    """A request; lists leave out `created`, and location and windows of what people placed themselves."""

    id: int
    observation_note: str
    optimization_type: str
    state: StateName
    suspend_until: UtcDatetime | None
    acceptability_threshold: float
    configuration_repeats: int
    extra_params: dict[str, Any]
    modified: UtcDatetime
    created: UtcDatetime | None = None
    duration: int
    configurations: list[ConfigurationOut]
    location: dict[str, str] | None = None
    windows: list[WindowOut] = Field(default_factory=list)


class RequestGroupOut(WireModel):
    """A request group."""

    id: int
    submitter: str
    proposal: str
    name: str
    observation_type: str
    operator: str
    ipp_value: float
    state: StateName
    created: UtcDatetime
    modified: UtcDatetime
    requests: list[RequestOut]


class SchedulableGroupOut(RequestGroupOut):
    """A request group for a scheduler; `is_staff` tells whether the submitter may use every instrument."""

    is_staff: bool


class ValidationOut(WireModel):
    """Durations in seconds, or the errors in the structure of the input."""

    request_durations: dict[str, Any]
    errors: dict[str, Any]


class SuspensionOut(WireModel):
    """Until when a request is suspended."""

    suspend_until: UtcDatetime | None


class LastChangeOut(WireModel):
    """When something last changed that concerns a scheduler."""

    last_change_time: UtcDatetime
