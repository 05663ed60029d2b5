"""The observatory as other modules see it: frozen objects, and what is derived from them.

Things know what they belong to (`instrument.telescope.enclosure.site`); `Observatory` lists them in tree
order (sites by code, everything below by number), the order in which clients take "the first". Codes are
compared ignoring case. Units are in the names.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ocs.configdb.state import Row, State

T = TypeVar("T")

DISABLED = "DISABLED"
SCHEDULABLE = "SCHEDULABLE"


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A place on Earth; longitude east positive."""

    id: int
    code: str
    name: str
    active: bool
    lat_deg: float
    lon_deg: float
    elevation_m: int
    utc_offset_h: int
    tz: str


@dataclass(frozen=True, slots=True, eq=False)
class Enclosure:
    """A dome or clamshell."""

    id: int
    code: str
    name: str
    active: bool
    site: Site


@dataclass(frozen=True, slots=True, eq=False)
class Telescope:
    """A telescope, its limits and overheads.

    `maximum_slew_overhead_s` of 0 means no cap.
    """

    id: int
    code: str
    name: str
    serial_number: str
    active: bool
    aperture_m: float
    lat_deg: float
    lon_deg: float
    horizon_deg: float
    ha_limit_neg_h: float
    ha_limit_pos_h: float
    zenith_blind_spot_deg: float
    slew_rate_s_per_arcsec: float
    minimum_slew_overhead_s: float
    maximum_slew_overhead_s: float
    instrument_change_overhead_s: float
    enclosure: Enclosure

    @property
    def site(self) -> Site:
        """The site it stands on."""
        return self.enclosure.site

    @property
    def telescope_class(self) -> str:
        """Class that follows from the aperture: 1.0 m is `1m0`."""
        return telescope_class(self.aperture_m)

    @property
    def path(self) -> str:
        """`site.enclosure.telescope` as configured."""
        return f"{self.site.code}.{self.enclosure.code}.{self.code}"

    @property
    def resource(self) -> str:
        """`telescope.enclosure.site` in lower case, the name of the scheduler's resource."""
        return f"{self.code}.{self.enclosure.code}.{self.site.code}".lower()

    @property
    def is_active(self) -> bool:
        """Whether it, its enclosure and its site are active."""
        return self.active and self.enclosure.active and self.site.active


@dataclass(frozen=True, slots=True, eq=False)
class OpticalElement:
    """A filter, slit or the like."""

    id: int
    code: str
    name: str
    schedulable: bool


@dataclass(frozen=True, slots=True, eq=False)
class OpticalElementGroup:
    """Elements of which one is in the beam; `type` is a plural such as `filters`."""

    id: int
    name: str
    type: str
    element_change_overhead_s: float
    default: OpticalElement | None
    elements: tuple[OpticalElement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CameraType:
    """A model of camera."""

    id: int
    code: str
    name: str
    size: str
    pixel_scale_arcsec: float
    pixels_x: int
    pixels_y: int
    max_rois: int

    @property
    def fov_diagonal_arcmin(self) -> float:
        """Diagonal of the field of view."""
        return math.hypot(self.pixels_x, self.pixels_y) * self.pixel_scale_arcsec / 60


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A camera; `orientation_deg` counter-clockwise from north."""

    id: int
    code: str
    camera_type: CameraType
    orientation_deg: float
    groups: tuple[OpticalElementGroup, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """A readout, guiding, acquisition, exposure or rotator mode."""

    id: int
    code: str
    name: str
    overhead_s: float
    schedulable: bool
    validation_schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class ModeGroup:
    """The modes of one type that an instrument type has."""

    id: int
    type: str
    default: Mode | None
    modes: tuple[Mode, ...]

    def mode(self, code: str) -> Mode | None:
        """Return the mode with `code`, ignoring case."""
        return _first(mode for mode in self.modes if mode.code.lower() == code.lower())

    def overhead_s(self, code: str) -> float:
        """Return the overhead of a mode; of the default mode if `code` is unknown."""
        mode = self.mode(code) or self.default
        return mode.overhead_s if mode else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ConfigurationType:
    """How an instrument type does a configuration type."""

    code: str
    name: str
    config_change_overhead_s: float
    schedulable: bool
    force_acquisition_off: bool
    requires_optical_elements: bool
    validation_schema: Mapping[str, Any]


NO_MODES = ModeGroup(0, "", None, ())


@dataclass(frozen=True, slots=True, eq=False)
class InstrumentType:
    """What requests name."""

    id: int
    code: str
    name: str
    category: str | None
    fixed_overhead_per_exposure_s: float
    observation_front_padding_s: float
    config_front_padding_s: float
    acquire_exposure_time_s: float
    default_acceptability_threshold_percent: float
    default_configuration_type: str | None
    allow_self_guiding: bool
    validation_schema: Mapping[str, Any]
    configuration_types: Mapping[str, ConfigurationType]
    mode_groups: Mapping[str, ModeGroup]

    def modes(self, mode_type: str) -> ModeGroup:
        """Return the group of `mode_type`, one without modes if there is none."""
        return self.mode_groups.get(mode_type, NO_MODES)

    def exposure_overhead_s(self, readout_mode: str) -> float:
        """Return what each exposure costs beyond its exposure time."""
        return self.modes("readout").overhead_s(readout_mode) + self.fixed_overhead_per_exposure_s


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """An instrument at a telescope."""

    id: int
    code: str
    state: str
    autoguider_type: str
    telescope: Telescope
    instrument_type: InstrumentType
    science_cameras: tuple[Camera, ...]
    autoguider_camera: Camera

    @property
    def path(self) -> str:
        """`site.enclosure.telescope.instrument`."""
        return f"{self.telescope.path}.{self.code}"

    @property
    def is_enabled(self) -> bool:
        """Whether it is there: not DISABLED, and everything it stands in is active."""
        return self.state != DISABLED and self.telescope.is_active

    @property
    def is_schedulable(self) -> bool:
        """Whether everybody may use it."""
        return self.state == SCHEDULABLE and self.telescope.is_active

    @property
    def guide_cameras(self) -> tuple[str, ...]:
        """Codes that may be named as its guide camera: the autoguider first, then itself if it can."""
        itself = (self.code,) if self.instrument_type.allow_self_guiding else ()
        return (self.autoguider_camera.code, *itself)

    @property
    def schedulable_elements(self) -> dict[str, frozenset[str]]:
        """Lower-case codes of the schedulable elements of its science cameras, by group type."""
        found: dict[str, frozenset[str]] = {}
        for group in (group for camera in self.science_cameras for group in camera.groups):
            codes = frozenset(element.code.lower() for element in group.elements if element.schedulable)
            found[group.type] = found.get(group.type, frozenset()) | codes
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Overheads:
    """What it costs to use an instrument type, read from the first instrument of the type in tree order."""

    instrument_type: InstrumentType
    slew_rate_s_per_arcsec: float
    minimum_slew_overhead_s: float
    maximum_slew_overhead_s: float
    instrument_change_overhead_s: float
    element_change_overhead_s: Mapping[str, float]
    """By group type (plural)."""

    def config_change_overhead_s(self, configuration_type: str) -> float:
        """Return what changing to `configuration_type` costs, 0 if the instrument type does not do it."""
        found = self.instrument_type.configuration_types.get(configuration_type)
        return found.config_change_overhead_s if found else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class CameraGeometry:
    """Cameras of an instrument type: the first science camera and autoguider; mean orientation of all."""

    science_fov_diagonal_arcmin: float
    autoguider_fov_diagonal_arcmin: float
    pixel_scale_arcsec: float
    pixels_x: int
    pixels_y: int
    max_rois: int
    orientation_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class ElementGroup:
    """All elements of one group type that instruments of a type have."""

    type: str
    element_change_overhead_s: float
    default: OpticalElement | None
    elements: tuple[OpticalElement, ...]

    def element(self, code: str) -> OpticalElement | None:
        """Return the element with `code`, ignoring case."""
        return _first(element for element in self.elements if element.code.lower() == code.lower())


@dataclass(frozen=True, slots=True, eq=False)
class Observatory:
    """The whole configuration.

    `sequence` is the number of the last change in it. Tuples are in tree order.
    """

    sequence: int
    sites: tuple[Site, ...]
    enclosures: tuple[Enclosure, ...]
    telescopes: tuple[Telescope, ...]
    instruments: tuple[Instrument, ...]
    instrument_types: Mapping[str, InstrumentType]
    configuration_type_codes: tuple[str, ...]
    _types_by_lower_code: Mapping[str, InstrumentType]

    @property
    def telescope_classes(self) -> tuple[str, ...]:
        """Classes of all telescopes, sorted."""
        return tuple(sorted({telescope.telescope_class for telescope in self.telescopes}))

    def instrument_type(self, code: str) -> InstrumentType | None:
        """Return the instrument type with `code`, ignoring case."""
        return self._types_by_lower_code.get(code.lower())

    def site(self, code: str) -> Site | None:
        """Return the site with `code`, ignoring case."""
        return _first(site for site in self.sites if _same(site.code, code))

    def telescope(self, site: str, enclosure: str, telescope: str) -> Telescope | None:
        """Return the telescope at a full location, ignoring case."""
        return _first(iter(self.find_telescopes(site=site, enclosure=enclosure, telescope=telescope)))

    def find_telescopes(
        self,
        *,
        site: str | None = None,
        enclosure: str | None = None,
        telescope: str | None = None,
        telescope_class: str | None = None,
    ) -> tuple[Telescope, ...]:
        """Return the telescopes at a location; what is None does not limit."""
        return tuple(
            found
            for found in self.telescopes
            if _same(found.site.code, site)
            and _same(found.enclosure.code, enclosure)
            and _same(found.code, telescope)
            and _same(found.telescope_class, telescope_class)
        )

    def find_instruments(
        self,
        *,
        instrument_type: str | None = None,
        site: str | None = None,
        enclosure: str | None = None,
        telescope: str | None = None,
        telescope_class: str | None = None,
        only_schedulable: bool = False,
        include_disabled: bool = False,
    ) -> tuple[Instrument, ...]:
        """Return instruments by type and location; what is None does not limit.

        Without further flags everything that is there counts: not DISABLED, and all it stands in active.
        """
        return tuple(
            found
            for found in self.instruments
            if (include_disabled or (found.is_schedulable if only_schedulable else found.is_enabled))
            and _same(found.instrument_type.code, instrument_type)
            and _same(found.telescope.site.code, site)
            and _same(found.telescope.enclosure.code, enclosure)
            and _same(found.telescope.code, telescope)
            and _same(found.telescope.telescope_class, telescope_class)
        )

    def telescopes_with(self, instrument_type: str, *, only_schedulable: bool) -> tuple[Telescope, ...]:
        """Return the telescopes that have an instrument of a type, in tree order."""
        found = self.find_instruments(instrument_type=instrument_type, only_schedulable=only_schedulable)
        return tuple(dict.fromkeys(instrument.telescope for instrument in found))

    def instrument_type_codes(self, *, only_schedulable: bool) -> tuple[str, ...]:
        """Return the types of which there are instruments, sorted."""
        found = self.find_instruments(only_schedulable=only_schedulable)
        return tuple(sorted({instrument.instrument_type.code for instrument in found}))

    def pick_instruments(
        self, instrument_type: str, site: str, enclosure: str, telescope: str
    ) -> tuple[Instrument, ...]:
        """Return what may serve `instrument_type` at a telescope.

        The schedulable ones; if there are none, whatever is not DISABLED.
        """
        found = self.find_instruments(
            instrument_type=instrument_type, site=site, enclosure=enclosure, telescope=telescope
        )
        return tuple(instrument for instrument in found if instrument.is_schedulable) or found

    def first_instrument(self, instrument_type: str) -> Instrument | None:
        """Return the first instrument of a type in tree order, one that is there if possible."""
        everything = self.find_instruments(instrument_type=instrument_type, include_disabled=True)
        return _first(found for found in everything if found.telescope.is_active) or _first(iter(everything))

    def overheads(self, instrument_type: str) -> Overheads | None:
        """Return the overheads of an instrument type, None if no instrument of it is configured."""
        first = self.first_instrument(instrument_type)
        if first is None:
            return None
        groups = [group for camera in first.science_cameras for group in camera.groups]
        telescope = first.telescope
        return Overheads(
            instrument_type=first.instrument_type,
            slew_rate_s_per_arcsec=telescope.slew_rate_s_per_arcsec,
            minimum_slew_overhead_s=telescope.minimum_slew_overhead_s,
            maximum_slew_overhead_s=telescope.maximum_slew_overhead_s,
            instrument_change_overhead_s=telescope.instrument_change_overhead_s,
            element_change_overhead_s={
                group.type: group.element_change_overhead_s for group in reversed(groups)
            },
        )

    def optical_elements(self, instrument_type: str) -> dict[str, ElementGroup]:
        """Return, by group type, the union over all science cameras of instruments that are not DISABLED."""
        cameras = [
            camera
            for instrument in self.find_instruments(instrument_type=instrument_type)
            for camera in instrument.science_cameras
        ]
        found: dict[str, ElementGroup] = {}
        for group in (group for camera in cameras for group in camera.groups):
            known = found.get(group.type)
            found[group.type] = ElementGroup(
                group.type,
                known.element_change_overhead_s if known else group.element_change_overhead_s,
                (known.default if known else None) or group.default,
                tuple(
                    {
                        element.id: element
                        for element in (*(known.elements if known else ()), *group.elements)
                    }.values()
                ),
            )
        return found

    def camera_geometry(self, instrument_type: str) -> CameraGeometry | None:
        """Return what the cameras of an instrument type see, None if no instrument of it is configured."""
        first = self.first_instrument(instrument_type)
        if first is None:
            return None
        instruments = self.find_instruments(instrument_type=instrument_type) or (first,)
        orientations = [
            camera.orientation_deg for found in instruments for camera in found.science_cameras
        ] or [0.0]
        science = (first.science_cameras or (first.autoguider_camera,))[0].camera_type
        return CameraGeometry(
            science_fov_diagonal_arcmin=science.fov_diagonal_arcmin,
            autoguider_fov_diagonal_arcmin=first.autoguider_camera.camera_type.fov_diagonal_arcmin,
            pixel_scale_arcsec=science.pixel_scale_arcsec,
            pixels_x=science.pixels_x,
            pixels_y=science.pixels_y,
            max_rois=science.max_rois,
            orientation_deg=sum(orientations) / len(orientations),
        )


def telescope_class(aperture_m: float) -> str:
    """Return the class of an aperture: 0.4 is `0m4`, 0.96 is `1m0`."""
    metres, tenths = divmod(round(aperture_m * 10), 10)
    return f"{metres}m{tenths}"


def _same(code: str, wanted: str | None) -> bool:
    return wanted is None or code.lower() == wanted.lower()


def _first(items: Iterator[T]) -> T | None:
    return next(items, None)


def build(state: State, sequence: int) -> Observatory:
    """Return the frozen view of `state`."""
    elements = {
        row["id"]: OpticalElement(row["id"], row["code"], row["name"], row["schedulable"])
        for row in state.all("optical_element")
    }
    groups = {
        row["id"]: OpticalElementGroup(
            row["id"],
            row["name"],
            row["type"],
            row["element_change_overhead"],
            elements.get(row["default_id"]),
            tuple(elements[key] for key in row["optical_element_ids"]),
        )
        for row in state.all("optical_element_group")
    }
    camera_types = {
        row["id"]: CameraType(
            row["id"],
            row["code"],
            row["name"],
            row["size"],
            row["pscale"],
            row["pixels_x"],
            row["pixels_y"],
            row["max_rois"],
        )
        for row in state.all("camera_type")
    }
    cameras = {
        row["id"]: Camera(
            row["id"],
            row["code"],
            camera_types[row["camera_type_id"]],
            row["orientation"],
            tuple(groups[key] for key in row["optical_element_group_ids"]),
        )
        for row in state.all("camera")
    }
    types = _instrument_types(state)
    sites = {
        row["id"]: Site(
            row["id"],
            row["code"],
            row["name"],
            row["active"],
            row["lat"],
            row["long"],
            row["elevation"],
            row["timezone"],
            row["tz"],
        )
        for row in sorted(state.all("site"), key=lambda row: str(row["code"]))
    }
    site_order = {key: place for place, key in enumerate(sites)}
    enclosures = {
        row["id"]: Enclosure(row["id"], row["code"], row["name"], row["active"], sites[row["site_id"]])
        for row in sorted(state.all("enclosure"), key=lambda row: site_order[row["site_id"]])
    }
    enclosure_order = {key: place for place, key in enumerate(enclosures)}
    telescopes = {
        row["id"]: Telescope(
            id=row["id"],
            code=row["code"],
            name=row["name"],
            serial_number=row["serial_number"],
            active=row["active"],
            aperture_m=row["aperture"],
            lat_deg=row["lat"],
            lon_deg=row["long"],
            horizon_deg=row["horizon"],
            ha_limit_neg_h=row["ha_limit_neg"],
            ha_limit_pos_h=row["ha_limit_pos"],
            zenith_blind_spot_deg=row["zenith_blind_spot"],
            slew_rate_s_per_arcsec=row["slew_rate"],
            minimum_slew_overhead_s=row["minimum_slew_overhead"],
            maximum_slew_overhead_s=row["maximum_slew_overhead"],
            instrument_change_overhead_s=row["instrument_change_overhead"],
            enclosure=enclosures[row["enclosure_id"]],
        )
        for row in sorted(state.all("telescope"), key=lambda row: enclosure_order[row["enclosure_id"]])
    }
    telescope_order = {key: place for place, key in enumerate(telescopes)}
    instruments = tuple(
        Instrument(
            id=row["id"],
            code=row["code"],
            state=row["state"],
            autoguider_type=row["autoguider_type"],
            telescope=telescopes[row["telescope_id"]],
            instrument_type=types[row["instrument_type_id"]],
            science_cameras=tuple(
                sorted((cameras[key] for key in row["science_cameras_ids"]), key=lambda item: item.code)
            ),
            autoguider_camera=cameras[row["autoguider_camera_id"]],
        )
        for row in sorted(state.all("instrument"), key=lambda row: telescope_order[row["telescope_id"]])
    )
    return Observatory(
        sequence=sequence,
        sites=tuple(sites.values()),
        enclosures=tuple(enclosures.values()),
        telescopes=tuple(telescopes.values()),
        instruments=instruments,
        instrument_types={item.code: item for item in types.values()},
        configuration_type_codes=tuple(row["code"] for row in state.all("configuration_type")),
        _types_by_lower_code={item.code.lower(): item for item in types.values()},
    )


def _instrument_types(state: State) -> dict[int, InstrumentType]:
    modes = {
        row["id"]: Mode(
            row["id"],
            row["code"],
            row["name"],
            row["overhead"],
            row["schedulable"],
            row["validation_schema"],
        )
        for row in state.all("generic_mode")
    }
    mode_groups: dict[int, dict[str, ModeGroup]] = {}
    for row in sorted(state.all("generic_mode_group"), key=lambda row: str(row["type"])):
        mode_groups.setdefault(row["instrument_type"], {})[row["type"]] = ModeGroup(
            row["id"],
            row["type"],
            modes.get(row["default_id"]),
            tuple(modes[key] for key in row["mode_ids"]),
        )
    names: dict[str, Row] = {row["code"]: row for row in state.all("configuration_type")}
    properties: dict[int, dict[str, ConfigurationType]] = {}
    for row in state.all("configuration_type_properties"):
        code = row["configuration_type"]
        properties.setdefault(row["instrument_type"], {})[code] = ConfigurationType(
            code,
            names[code]["name"],
            row["config_change_overhead"],
            row["schedulable"],
            row["force_acquisition_off"],
            row["requires_optical_elements"],
            row["validation_schema"],
        )
    return {
        row["id"]: InstrumentType(
            id=row["id"],
            code=row["code"],
            name=row["name"],
            category=row["instrument_category"],
            fixed_overhead_per_exposure_s=row["fixed_overhead_per_exposure"],
            observation_front_padding_s=row["observation_front_padding"],
            config_front_padding_s=row["config_front_padding"],
            acquire_exposure_time_s=row["acquire_exposure_time"],
            default_acceptability_threshold_percent=row["default_acceptability_threshold"],
            default_configuration_type=row["default_configuration_type"],
            allow_self_guiding=row["allow_self_guiding"],
            validation_schema=row["validation_schema"],
            configuration_types=properties.get(row["id"], {}),
            mode_groups=mode_groups.get(row["id"], {}),
        )
        for row in state.all("instrument_type")
    }
