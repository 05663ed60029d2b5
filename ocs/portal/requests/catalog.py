"""What can be asked for: the instruments as the rules of requests see them.

A `Catalog` is a frozen view on the observatory, with the look-ups that validation and durations need. It is
built once per version of the configuration and then only read, from any thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ocs.portal.requests.schema_rules import Schema

SCHEDULABLE = "SCHEDULABLE"
DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode an instrument can be used in."""

    id: int
    name: str
    code: str
    overhead_s: float = 0.0
    schedulable: bool = True
    schema: Schema = field(default_factory=Schema)


@dataclass(frozen=True, slots=True)
class ModeGroup:
    """The modes of one kind (readout, guiding, ...) of an instrument type; `by_code` has lower-case keys."""

    id: int
    type: str
    default: str
    by_code: Mapping[str, Mode]

    def overhead_s(self, code: str) -> float:
        """Return the overhead of a mode; that of the default mode for an unknown code, 0 without one."""
        mode = self.by_code.get(code.lower()) or self.by_code.get(self.default.lower())
        return mode.overhead_s if mode else 0.0


@dataclass(frozen=True, slots=True)
class ElementGroup:
    """Optical elements of one kind; `type` is plural, `by_code` maps lower case to the proper spelling."""

    type: str
    change_overhead_s: float
    by_code: Mapping[str, str]

    @property
    def key(self) -> str:
        """Name of the kind in a request: ``filter`` for ``filters``."""
        return self.type.removesuffix("s")


@dataclass(frozen=True, slots=True)
class ConfigurationRules:
    """How an instrument type takes one type of configuration."""

    code: str
    name: str
    change_overhead_s: float = 0.0
    schedulable: bool = True
    force_acquisition_off: bool = False
    requires_optical_elements: bool = True
    schema: Schema = field(default_factory=Schema)


@dataclass(frozen=True, slots=True)
class Camera:
    """The first science camera of an instrument type; `scale_arcsec` is the size of a pixel."""

    pixels_x: int
    pixels_y: int
    max_rois: int
    scale_arcsec: float


@dataclass(frozen=True, slots=True)
class InstrumentType:
    """A type of instrument; the overheads of its telescope are those of its first instrument."""

    code: str
    name: str
    category: str
    fixed_overhead_per_exposure_s: float
    config_front_padding_s: float
    observation_front_padding_s: float
    acquire_exposure_time_s: float
    default_acceptability_threshold: float
    default_configuration_type: str | None
    allow_self_guiding: bool
    schema: Schema
    configuration_types: Mapping[str, ConfigurationRules]
    modes: Mapping[str, ModeGroup]
    elements: Mapping[str, ElementGroup]
    camera: Camera
    camera_orientation_deg: float
    slew_rate_s_per_arcsec: float = 0.0
    minimum_slew_overhead_s: float = 0.0
    maximum_slew_overhead_s: float = 0.0
    instrument_change_overhead_s: float = 0.0

    def mode(self, kind: str, code: str) -> Mode | None:
        """Return the mode with this code, None if there is none."""
        group = self.modes.get(kind)
        return group.by_code.get(code.lower()) if group else None


_NO_OVERHEADS = InstrumentType(
    code="",
    name="",
    category="",
    fixed_overhead_per_exposure_s=0.0,
    config_front_padding_s=0.0,
    observation_front_padding_s=0.0,
    acquire_exposure_time_s=0.0,
    default_acceptability_threshold=90.0,
    default_configuration_type=None,
    allow_self_guiding=False,
    schema=Schema(),
    configuration_types={},
    modes={},
    elements={},
    camera=Camera(0, 0, 0, 0.0),
    camera_orientation_deg=0.0,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instrument is; `telescope_class` is that of its telescope."""

    site: str
    enclosure: str
    telescope: str
    telescope_class: str

    def matches(self, location: Mapping[str, Any]) -> bool:
        """Tell whether every part that `location` names is this place's."""
        return all(
            not location.get(part) or location[part] == getattr(self, part)
            for part in ("telescope_class", "site", "enclosure", "telescope")
        )


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument in an active telescope."""

    code: str
    type: str
    state: str
    place: Place


@dataclass(frozen=True, slots=True)
class Catalog:
    """All instruments; `types` has the codes of the types, `instruments` only those of active telescopes."""

    version: int
    types: Mapping[str, InstrumentType]
    instruments: tuple[Instrument, ...]
    places: frozenset[Place]
    configuration_types: frozenset[str]
    _canonical: Mapping[str, str] = field(default_factory=dict)

    @property
    def telescope_classes(self) -> list[str]:
        """Classes of telescopes there are."""
        return sorted({place.telescope_class for place in self.places})

    def instrument_type(self, code: str) -> InstrumentType | None:
        """Return a type by its code in any case."""
        return self.types.get(self._canonical.get(code.upper(), code))

    def overheads(self, code: str) -> InstrumentType:
        """Return a type by its code; one without any overhead if it is not, or no longer, known."""
        return self.instrument_type(code) or replace(_NO_OVERHEADS, code=code)

    def usable(self, *, only_schedulable: bool) -> list[Instrument]:
        """Return the instruments in operation, or all that are present."""
        return [
            item
            for item in self.instruments
            if (item.state == SCHEDULABLE if only_schedulable else item.state != DISABLED)
        ]

    def usable_types(self, *, only_schedulable: bool) -> list[str]:
        """Return the codes of the types that have a usable instrument, sorted."""
        return sorted({item.type for item in self.usable(only_schedulable=only_schedulable)})

    def classes_of(self, instrument_type: str) -> set[str]:
        """Return the telescope classes an instrument type is found at."""
        return {item.place.telescope_class for item in self.instruments if item.type == instrument_type}
