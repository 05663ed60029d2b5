"""The observatory as the rules of requests see it: look-ups that validation and durations need, made once.

A `Catalog` belongs to one version of the configuration. It is only read, from any thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ocs.configdb.api import (
    CameraGeometry,
    ConfigurationType,
    ElementGroup,
    Instrument,
    InstrumentType,
    Mode,
    Observatory,
    Overheads,
    Telescope,
)
from ocs.portal.requests.schema_rules import Schema
from ocs.visibility.frame import Site

PLACE_PARTS = ("telescope_class", "site", "enclosure", "telescope")
SchemaOwner = InstrumentType | ConfigurationType | Mode


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instrument is, in the spelling of requests; `telescope_class` is that of its telescope."""

    telescope_class: str
    site: str
    enclosure: str
    telescope: str

    @classmethod
    def of(cls, telescope: Telescope) -> "Place":
        """Return the place of a telescope."""
        return cls(telescope.telescope_class, telescope.site.code, telescope.enclosure.code, telescope.code)

    @property
    def resource(self) -> str:
        """`telescope.enclosure.site` in lower case, as downtimes name it."""
        return f"{self.telescope}.{self.enclosure}.{self.site}".lower()

    def matches(self, location: Mapping[str, Any]) -> bool:
        """Tell whether every part that `location` names is this place's."""
        return all(not location.get(part) or location[part] == getattr(self, part) for part in PLACE_PARTS)


@dataclass(frozen=True, slots=True)
class Station:
    """An instrument that is there: its type, its place, and whether everybody may use it."""

    instrument: Instrument
    type_code: str
    place: Place
    is_schedulable: bool


class Catalog:
    """What can be asked for.

    Parameters
    ----------
    observatory
        The configuration; instruments that are disabled, or stand in something inactive, are not seen.
    """

    def __init__(self, observatory: Observatory) -> None:
        self.observatory = observatory
        self.stations = tuple(
            Station(item, item.instrument_type.code, Place.of(item.telescope), item.is_schedulable)
            for item in observatory.find_instruments()
        )
        self.viewpoints: dict[Place, Site] = {
            Place.of(item): _viewpoint(item) for item in observatory.telescopes if item.is_active
        }
        self.places = frozenset(Place.of(item) for item in observatory.telescopes)
        self.configuration_types = frozenset(observatory.configuration_type_codes)
        self._overheads: dict[str, Overheads] = {}
        self._elements: dict[str, dict[str, ElementGroup]] = {}
        self._geometry: dict[str, CameraGeometry | None] = {}
        self._schemas: dict[SchemaOwner, Schema] = {}

    def usable(self, *, only_schedulable: bool) -> list[Station]:
        """Return the instruments in operation, or all that are there."""
        return [item for item in self.stations if item.is_schedulable or not only_schedulable]

    def usable_types(self, *, only_schedulable: bool) -> list[str]:
        """Return the codes of the types that have a usable instrument, sorted."""
        return sorted({item.type_code for item in self.usable(only_schedulable=only_schedulable)})

    def overheads(self, instrument_type: str) -> Overheads:
        """Return what using an instrument type costs; nothing if it is not, or no longer, known."""
        found = self._overheads.get(instrument_type)
        if found is None:
            found = self.observatory.overheads(instrument_type) or _NO_OVERHEADS
            self._overheads[instrument_type] = found
        return found

    def elements(self, instrument_type: str) -> dict[str, ElementGroup]:
        """Return the optical elements of an instrument type by kind (plural)."""
        if instrument_type not in self._elements:
            self._elements[instrument_type] = self.observatory.optical_elements(instrument_type)
        return self._elements[instrument_type]

    def geometry(self, instrument_type: str) -> CameraGeometry | None:
        """Return what the cameras of an instrument type see."""
        if instrument_type not in self._geometry:
            self._geometry[instrument_type] = self.observatory.camera_geometry(instrument_type)
        return self._geometry[instrument_type]

    def schema(self, owner: SchemaOwner) -> Schema:
        """Return the validation schema of an instrument type, a configuration type or a mode."""
        if owner not in self._schemas:
            self._schemas[owner] = Schema(owner.validation_schema)
        return self._schemas[owner]


@lru_cache(maxsize=2)
def catalog_of(observatory: Observatory) -> Catalog:
    """Return the catalog of a configuration; the same one as long as the configuration is the same."""
    return Catalog(observatory)


def _viewpoint(telescope: Telescope) -> Site:
    return Site(
        latitude_deg=telescope.lat_deg,
        longitude_deg=telescope.lon_deg,
        altitude_m=float(telescope.site.elevation_m),
        horizon_deg=telescope.horizon_deg,
        ha_limit_neg_h=telescope.ha_limit_neg_h,
        ha_limit_pos_h=telescope.ha_limit_pos_h,
        zenith_blind_spot_deg=telescope.zenith_blind_spot_deg,
    )


_NO_OVERHEADS = Overheads(
    instrument_type=InstrumentType(
        id=0,
        code="",
        name="",
        category=None,
        fixed_overhead_per_exposure_s=0.0,
        observation_front_padding_s=0.0,
        config_front_padding_s=0.0,
        acquire_exposure_time_s=0.0,
        default_acceptability_threshold_percent=90.0,
        default_configuration_type=None,
        allow_self_guiding=False,
        validation_schema={},
        configuration_types={},
        mode_groups={},
    ),
    slew_rate_s_per_arcsec=0.0,
    minimum_slew_overhead_s=0.0,
    maximum_slew_overhead_s=0.0,
    instrument_change_overhead_s=0.0,
    element_change_overhead_s={},
)
