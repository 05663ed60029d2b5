"""What is on the wire: what may be written, what is read, and by what is filtered."""

import re
from datetime import time
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, create_model

from ocs.configdb.validation import schema_problems
from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel

InstrumentState = Literal["DISABLED", "MANUAL", "COMMISSIONING", "STANDBY", "SCHEDULABLE"]
AutoguiderType = Literal["InCamera", "OffAxis", "SelfGuide"]

_TIME_FORMAT = "Time has wrong format. Use one of these formats instead: hh:mm[:ss[.uuuuuu]]."


def _place_code(code: str) -> str:
    if re.search(r"[.\s]", code):
        raise ValueError("A code may have neither dots nor blanks: clients write site.enclosure.telescope.")
    return code


def _time(value: object) -> str:
    try:
        return time.fromisoformat(str(value)).replace(microsecond=0, tzinfo=None).isoformat()
    except ValueError as error:
        raise ValueError(_TIME_FORMAT) from error


def _object(value: object) -> object:
    """Read JSON that came as a form field."""
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise ValueError("Value must be valid JSON.") from error
    return value


def _usable(schema: dict[str, Any]) -> dict[str, Any]:
    if problems := schema_problems(schema):
        raise ValueError("Invalid validation schema: " + "; ".join(problems))
    return schema


def _plural(name: str) -> str:
    if not name.endswith("s"):
        raise ValueError("The type is a plural and ends in s, e.g. filters; requests name the singular.")
    return name


def _between(lowest: float, highest: float, default: float | None = None) -> Any:
    return Field(ge=lowest, le=highest) if default is None else Field(default, ge=lowest, le=highest)


def _seconds(default: float = 0.0) -> Any:
    return Field(default, ge=0, description="Seconds")


SiteCode = Annotated[str, StringConstraints(max_length=3, min_length=1), AfterValidator(_place_code)]
PlaceCode = Annotated[str, StringConstraints(max_length=200, min_length=1), AfterValidator(_place_code)]
InstrumentCode = Annotated[str, StringConstraints(max_length=200), AfterValidator(_place_code)]
Name = Annotated[str, StringConstraints(max_length=200, min_length=1)]
OptionalName = Annotated[str, StringConstraints(max_length=200)]
SerialNumber = Annotated[str, StringConstraints(max_length=50)]
TimeZone = Annotated[str, StringConstraints(max_length=64, min_length=1)]
Key = Annotated[str, StringConstraints(max_length=64, min_length=1, pattern=r"^[^/]*$")]
ModeTypeKey = Annotated[str, StringConstraints(max_length=200, min_length=1, pattern=r"^[^/]*$")]
Restart = Annotated[str, BeforeValidator(_time)]
Schema = Annotated[dict[str, Any], BeforeValidator(_object), AfterValidator(_usable)]
Pixels = Annotated[int, Field(ge=0, le=2**31 - 1)]
Reference = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


# --- what may be written ------------------------------------------------------------------------------------


class SiteWrite(WireModel):
    """A site."""

    code: SiteCode
    name: OptionalName = ""
    active: bool = True
    timezone: int = Field(ge=-12, le=14, description="Hours from UTC")
    restart: Restart = "00:00:00"
    tz: TimeZone = "Etc/UTC"
    lat: float = _between(-90.0, 90.0, 0.0)
    long: float = _between(-180.0, 180.0, 0.0)
    elevation: int = Field(ge=-500, le=100_000, description="Metres")


class EnclosureFields(WireModel):
    """An enclosure by itself."""

    code: PlaceCode
    name: OptionalName = ""
    active: bool = True


class EnclosureWrite(EnclosureFields):
    """An enclosure."""

    site_id: Reference


class TelescopeFields(WireModel):
    """A telescope by itself."""

    code: PlaceCode
    name: OptionalName = ""
    serial_number: SerialNumber = ""
    active: bool = True
    aperture: float = Field(0.0, ge=0, le=1000, description="Metres")
    lat: float = _between(-90.0, 90.0)
    long: float = _between(-180.0, 180.0)
    horizon: float = _between(0.0, 90.0)
    ha_limit_pos: float = _between(0.0, 12.0)
    ha_limit_neg: float = _between(-12.0, 0.0)
    zenith_blind_spot: float = _between(0.0, 180.0, 0.0)
    telescope_front_padding: float = _seconds(90.0)
    slew_rate: float = Field(0.0, ge=0, description="Seconds per arcsecond")
    minimum_slew_overhead: float = _seconds()
    maximum_slew_overhead: float = Field(0.0, ge=0, description="Seconds; 0 is no cap")
    instrument_change_overhead: float = _seconds()


class TelescopeWrite(TelescopeFields):
    """A telescope."""

    enclosure_id: Reference


class CameraTypeWrite(WireModel):
    """A camera type."""

    name: Name
    code: Name
    size: Name
    pscale: float = Field(ge=0.0, description="Arcseconds per pixel")
    pixels_x: Pixels = 0
    pixels_y: Pixels = 0
    max_rois: Pixels = 0


class OpticalElementWrite(WireModel):
    """An optical element."""

    name: Name
    code: Name
    schedulable: bool = True


class OpticalElementGroupWrite(WireModel):
    """A group of optical elements.

    `optical_elements` are found by code, or made; `optical_element_ids` exist. `default` is a code.
    """

    name: Name
    type: Annotated[Name, AfterValidator(_plural)]
    element_change_overhead: float = _seconds()
    optical_elements: list[OpticalElementWrite] = Field([])
    optical_element_ids: list[Reference] = Field([])
    default: str | None = ""


class CameraFields(WireModel):
    """A camera by itself."""

    code: Name
    orientation: float = _between(0.0, 360.0, 0.0)
    host: OptionalName = ""


class CameraWrite(CameraFields):
    """A camera."""

    camera_type_id: Reference
    optical_element_group_ids: list[Reference]


class ConfigurationTypeWrite(WireModel):
    """A configuration type."""

    code: Key
    name: Name


class InstrumentCategoryWrite(WireModel):
    """An instrument category."""

    code: Key


class ModeTypeWrite(WireModel):
    """A mode type."""

    id: ModeTypeKey


class GenericModeWrite(WireModel):
    """A mode."""

    name: Name
    code: Name
    overhead: float = _seconds()
    schedulable: bool = True
    validation_schema: Schema = Field({})


class ConfigurationTypeUse(WireModel):
    """How an instrument type does a configuration type."""

    configuration_type: str
    config_change_overhead: float = _seconds()
    schedulable: bool = True
    force_acquisition_off: bool = False
    requires_optical_elements: bool = True
    validation_schema: Schema = Field({})


class InstrumentTypeWrite(WireModel):
    """An instrument type; `configuration_types` replaces all it does."""

    name: Name
    code: Name
    instrument_category: str | None = None
    fixed_overhead_per_exposure: float = _seconds(1.0)
    observation_front_padding: float = _seconds(90.0)
    config_front_padding: float = _seconds()
    acquire_exposure_time: float = _seconds()
    default_configuration_type: str | None = None
    default_acceptability_threshold: float = _between(0.0, 100.0, 90.0)
    allow_self_guiding: bool = True
    configuration_types: list[ConfigurationTypeUse] = Field([])
    validation_schema: Schema = Field({})


class ConfigurationTypePropertiesWrite(ConfigurationTypeUse):
    """How an instrument type does a configuration type."""

    instrument_type: Reference


class GenericModeGroupWrite(WireModel):
    """The modes of one type of an instrument type; `default` is a code."""

    instrument_type: Reference
    type: str
    modes: list[GenericModeWrite] = Field([])
    mode_ids: list[Reference] = Field([])
    default: str | None = ""


class InstrumentFields(WireModel):
    """An instrument by itself."""

    code: InstrumentCode = ""
    state: InstrumentState
    autoguider_type: AutoguiderType = "OffAxis"


class InstrumentWrite(InstrumentFields):
    """An instrument."""

    telescope_id: Reference
    instrument_type_id: Reference
    science_cameras_ids: list[Reference] = Field(min_length=1)
    autoguider_camera_id: Reference


WRITE: dict[str, type[WireModel]] = {
    "site": SiteWrite,
    "enclosure": EnclosureWrite,
    "telescope": TelescopeWrite,
    "camera_type": CameraTypeWrite,
    "optical_element": OpticalElementWrite,
    "optical_element_group": OpticalElementGroupWrite,
    "camera": CameraWrite,
    "configuration_type": ConfigurationTypeWrite,
    "instrument_category": InstrumentCategoryWrite,
    "mode_type": ModeTypeWrite,
    "generic_mode": GenericModeWrite,
    "instrument_type": InstrumentTypeWrite,
    "configuration_type_properties": ConfigurationTypePropertiesWrite,
    "generic_mode_group": GenericModeGroupWrite,
    "instrument": InstrumentWrite,
}


def _partial(model: type[WireModel]) -> type[WireModel]:
    """Return `model` with every field optional; what is sent must still be right."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        checks = Annotated[field.annotation, Field(), *field.metadata]  # type: ignore[name-defined]
        fields[name] = (checks, None if field.is_required() else field.get_default())
    return create_model(model.__name__.replace("Write", "Patch"), __base__=WireModel, **fields)


PATCH = {name: _partial(model) for name, model in WRITE.items()}


# --- what is read -------------------------------------------------------------------------------------------


class OpticalElement(BaseModel):
    """An optical element."""

    id: int
    name: str
    code: str
    schedulable: bool


class OpticalElementGroup(BaseModel):
    """A group of optical elements; an unset default is ''."""

    id: int
    name: str
    type: str
    optical_elements: list[OpticalElement]
    element_change_overhead: float
    default: str


class CameraType(BaseModel):
    """A camera type."""

    id: int
    size: str
    pscale: float
    name: str
    code: str
    pixels_x: int
    pixels_y: int
    max_rois: int


class Camera(BaseModel):
    """A camera; `optical_elements` are joined codes by group type."""

    id: int
    code: str
    camera_type: CameraType
    orientation: float
    optical_elements: dict[str, str]
    optical_element_groups: list[OpticalElementGroup]
    host: str


class GenericMode(BaseModel):
    """A mode."""

    id: int
    name: str
    overhead: float
    code: str
    schedulable: bool
    validation_schema: dict[str, Any]


class GenericModeGroup(BaseModel):
    """The modes of one type; an unset default is ''."""

    id: int
    type: str
    modes: list[GenericMode]
    default: str


class ConfigurationTypeOfInstrument(BaseModel):
    """How an instrument type does a configuration type."""

    name: str
    code: str
    config_change_overhead: float
    schedulable: bool
    force_acquisition_off: bool
    requires_optical_elements: bool
    validation_schema: dict[str, Any]


class InstrumentType(BaseModel):
    """An instrument type with all it can do."""

    id: int
    name: str
    code: str
    fixed_overhead_per_exposure: float
    instrument_category: str | None
    observation_front_padding: float
    acquire_exposure_time: float
    default_configuration_type: str | None
    mode_types: list[GenericModeGroup]
    default_acceptability_threshold: float
    config_front_padding: float
    allow_self_guiding: bool
    configuration_types: list[ConfigurationTypeOfInstrument]
    validation_schema: dict[str, Any]


class Instrument(BaseModel):
    """An instrument with its type and cameras."""

    id: int
    code: str
    state: InstrumentState
    telescope: str
    autoguider_camera: Camera
    autoguider_type: AutoguiderType
    science_cameras: list[Camera]
    instrument_type: InstrumentType
    path: str = Field(alias="__str__")


class Telescope(BaseModel):
    """A telescope with its instruments."""

    id: int
    serial_number: str
    name: str
    code: str
    active: bool
    aperture: float
    lat: float
    slew_rate: float
    minimum_slew_overhead: float
    maximum_slew_overhead: float
    instrument_change_overhead: float
    long: float
    enclosure: str
    horizon: float
    ha_limit_pos: float
    ha_limit_neg: float
    telescope_front_padding: float
    zenith_blind_spot: float
    instrument_set: list[Instrument]
    path: str = Field(alias="__str__")


class Enclosure(BaseModel):
    """An enclosure with its telescopes."""

    id: int
    name: str
    code: str
    active: bool
    site: str
    telescope_set: list[Telescope]
    path: str = Field(alias="__str__")


class Site(BaseModel):
    """A site with everything on it."""

    id: int
    name: str
    code: str
    active: bool
    timezone: int
    restart: str
    tz: str
    lat: float
    long: float
    elevation: int
    enclosure_set: list[Enclosure]
    path: str = Field(alias="__str__")


class ConfigurationType(BaseModel):
    """A configuration type."""

    name: str
    code: str


class InstrumentCategory(BaseModel):
    """An instrument category."""

    code: str


class ModeType(BaseModel):
    """A mode type."""

    id: str


class ConfigurationTypeProperties(BaseModel):
    """How an instrument type does a configuration type."""

    id: int
    configuration_type: str
    instrument_type: int
    config_change_overhead: float
    schedulable: bool
    force_acquisition_off: bool
    requires_optical_elements: bool
    validation_schema: dict[str, Any]


READ: dict[str, type[BaseModel]] = {
    "site": Site,
    "enclosure": Enclosure,
    "telescope": Telescope,
    "camera_type": CameraType,
    "optical_element": OpticalElement,
    "optical_element_group": OpticalElementGroup,
    "camera": Camera,
    "configuration_type": ConfigurationType,
    "instrument_category": InstrumentCategory,
    "mode_type": ModeType,
    "generic_mode": GenericMode,
    "instrument_type": InstrumentType,
    "configuration_type_properties": ConfigurationTypeProperties,
    "generic_mode_group": GenericModeGroup,
    "instrument": Instrument,
}


# --- filters ------------------------------------------------------------------------------------------------


def _boolean(value: object) -> object:
    """Read a boolean filter; other text is no filter."""
    return {"true": True, "false": False}.get(str(value).lower())


FilterBool = Annotated[bool | None, BeforeValidator(_boolean)]


class SiteFilter(FilterModel):
    """Filters of sites."""

    name: str | None = None
    code: str | None = None
    active: FilterBool = None


class EnclosureFilter(FilterModel):
    """Filters of enclosures; `site` is an id."""

    name: str | None = None
    code: str | None = None
    active: FilterBool = None
    site: str | None = None


class TelescopeFilter(FilterModel):
    """Filters of telescopes; `enclosure` and `site` are ids."""

    name: str | None = None
    code: str | None = None
    active: FilterBool = None
    lat: float | None = None
    long: float | None = None
    horizon: float | None = None
    aperture: float | None = None
    enclosure: str | None = None
    site: str | None = None


class CameraTypeFilter(FilterModel):
    """Filters of camera types."""

    name: str | None = None
    pscale: float | None = None


class OpticalElementFilter(FilterModel):
    """Filters of optical elements."""

    id: int | None = None
    name: str | None = None
    code: str | None = None
    schedulable: FilterBool = None


class OpticalElementGroupFilter(FilterModel):
    """Filters of groups; with several `optical_elements` (ids) any of them counts."""

    name: str | None = None
    type: str | None = None
    optical_elements: list[str] | None = None


class CameraFilter(FilterModel):
    """Filters of cameras; `camera_type` is an id."""

    code: str | None = None
    camera_type: str | None = None


class GenericModeFilter(FilterModel):
    """Filters of modes."""

    name: str | None = None
    code: str | None = None
    schedulable: FilterBool = None


class InstrumentTypeFilter(FilterModel):
    """Filters of instrument types."""

    name: str | None = None
    code: str | None = None
    instrument_category: str | None = None
    allow_self_guiding: FilterBool = None


class ConfigurationTypePropertiesFilter(FilterModel):
    """Filters of what instrument types do; `instrument_type` is an id."""

    schedulable: FilterBool = None
    configuration_type: str | None = None
    instrument_type: str | None = None


class GenericModeGroupFilter(FilterModel):
    """Filters of mode groups; `instrument_type` is an id."""

    type: str | None = None
    instrument_type: str | None = None


class InstrumentFilter(FilterModel):
    """Filters of instruments: places and types by code, cameras by id, several states are alternatives."""

    telescope: str | None = None
    enclosure: str | None = None
    site: str | None = None
    instrument_type: str | None = None
    camera_type: str | None = None
    science_cameras: list[str] | None = None
    autoguider_camera: str | None = None
    state: list[InstrumentState] | None = None
    ordering: str | None = None


class NoFilter(FilterModel):
    """These are few; there is nothing to filter by."""


FILTER: dict[str, type[FilterModel]] = {
    "site": SiteFilter,
    "enclosure": EnclosureFilter,
    "telescope": TelescopeFilter,
    "camera_type": CameraTypeFilter,
    "optical_element": OpticalElementFilter,
    "optical_element_group": OpticalElementGroupFilter,
    "camera": CameraFilter,
    "configuration_type": NoFilter,
    "instrument_category": NoFilter,
    "mode_type": NoFilter,
    "generic_mode": GenericModeFilter,
    "instrument_type": InstrumentTypeFilter,
    "configuration_type_properties": ConfigurationTypePropertiesFilter,
    "generic_mode_group": GenericModeGroupFilter,
    "instrument": InstrumentFilter,
}


# --- history and administration -----------------------------------------------------------------------------


class Interval(BaseModel):
    """A time of availability, naive UTC."""

    start: str
    end: str


class AvailabilityHistory(BaseModel):
    """When something was available, newest first."""

    availability_intervals: list[Interval]


class FieldChange(BaseModel):
    """One field before and after."""

    before: Any
    after: Any


class Version(BaseModel):
    """One thing before and after a write."""

    id: int
    kind: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changed: dict[str, FieldChange]


class Revision(BaseModel):
    """One write: who, when, what."""

    id: int
    created: UtcDatetime
    username: str
    comment: str
    versions: list[Version]


class RevisionFilter(FilterModel):
    """Filters of the history."""

    kind: str | None = Field(None, description="Such as site, instrument, generic_mode_group")
    object_id: str | None = None
    username: str | None = None
    deleted: FilterBool = Field(None, description="Only what was deleted and is still gone")
    created_after: FilterDatetime | None = None


class StateSwitch(WireModel):
    """A new state for several instruments."""

    instrument_ids: list[Reference] = Field(min_length=1)
    state: InstrumentState


class InstrumentClone(WireModel):
    """What differs in the copy of an instrument."""

    code: InstrumentCode
    telescope_id: Reference | None = None
    state: InstrumentState = "DISABLED"


class AppliedFile(BaseModel):
    """What applying an observatory file did, or would do."""

    dry_run: bool
    changes: list[str]
    warnings: list[str]
