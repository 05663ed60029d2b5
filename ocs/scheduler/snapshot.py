"""What one scheduling run knows: plain values, read in one go and never changed.

Instants are aware UTC datetimes; the arrays made of them count whole seconds.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ocs.scheduler.problem import ObservationType, Operator, Optimisation
from ocs.visibility import Site

SCHEDULABLE = "SCHEDULABLE"
DISABLED = "DISABLED"

Elements = frozenset[tuple[str, str]]
"""(kind, code) pairs in lower case, the kind in the singular: ``("filter", "rp")``."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument, and the optical elements in front of its science and guide cameras that may be used."""

    code: str
    instrument_type: str
    state: str
    allows_self_guiding: bool
    guide_camera: str
    science_elements: Elements
    guide_elements: Elements


@dataclass(frozen=True, slots=True)
class Telescope:
    """A telescope; `place` is None and `closed` tells why when it cannot be used in this run."""

    site: str
    enclosure: str
    telescope: str
    telescope_class: str
    place: Site | None
    instruments: tuple[Instrument, ...]
    closed: str = ""

    @property
    def resource(self) -> str:
        """`telescope.enclosure.site` in lower case."""
        return f"{self.telescope}.{self.enclosure}.{self.site}".lower()

    @property
    def key(self) -> tuple[str, str, str]:
        """Codes of site, enclosure and telescope."""
        return self.site, self.enclosure, self.telescope


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the scheduler has to know of a configuration."""

    instrument_type: str
    target: Mapping[str, Any]
    constraints: Mapping[str, Any]
    science_elements: Elements
    guide_elements: Elements
    is_guided: bool
    guides_itself: bool

    @property
    def needs(self) -> Hashable:
        """What decides which instruments can do it."""
        return (
            self.instrument_type,
            self.science_elements,
            self.guide_elements,
            self.is_guided,
            self.guides_itself,
        )

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> "Configuration":
        """Read a configuration as requests store it."""
        guiding = document.get("guiding_config") or {}
        extra = {**(document.get("extra_params") or {}), **(guiding.get("extra_params") or {})}
        chosen = (item.get("optical_elements") for item in document.get("instrument_configs") or ())
        return cls(
            instrument_type=str(document["instrument_type"]).lower(),
            target=document["target"],
            constraints=document.get("constraints") or {},
            science_elements=frozenset(pair for item in chosen for pair in _elements(item)),
            guide_elements=_elements(guiding.get("optical_elements")),
            is_guided=str(guiding.get("mode") or "OFF").upper() != "OFF",
            guides_itself=bool(extra.get("self_guide")),
        )


def _elements(chosen: Mapping[str, Any] | None) -> Elements:
    return frozenset((str(kind).lower(), str(code).lower()) for kind, code in (chosen or {}).items() if code)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a request may be observed, in lower case; empty parts do not limit."""

    telescope_class: str = ""
    site: str = ""
    enclosure: str = ""
    telescope: str = ""

    @property
    def is_full(self) -> bool:
        """Whether it names one telescope and its class."""
        return all((self.telescope_class, self.site, self.enclosure, self.telescope))

    def admits(self, telescope: Telescope) -> bool:
        """Tell whether a telescope lies within it."""
        return (
            self.telescope_class in ("", telescope.telescope_class.lower())
            and self.site in ("", telescope.site.lower())
            and self.enclosure in ("", telescope.enclosure.lower())
            and self.telescope in ("", telescope.telescope.lower())
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `configurations` by priority, `windows` as (start, end) UTC."""

    id: int
    is_pending: bool
    duration_s: int
    optimisation: Optimisation
    location: Location
    windows: tuple[tuple[datetime, datetime], ...]
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A request group; `is_staff` is its submitter."""

    id: int
    operator: Operator
    observation_type: ObservationType
    tac_priority: float
    ipp_value: float
    is_staff: bool
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Downtime:
    """Time in which a telescope, or one instrument type on it (lower case), is not to be used."""

    resource: str
    instrument_type: str
    start_utc: datetime
    end_utc: datetime


@dataclass(frozen=True, slots=True)
class Observation:
    """An open observation; `is_ours` tells whether this scheduler may plan it anew."""

    id: int
    request_id: int
    site: str
    enclosure: str
    telescope: str
    start_utc: datetime
    end_utc: datetime
    is_pending: bool
    is_ours: bool
    has_failed: bool

    @property
    def resource(self) -> str:
        """`telescope.enclosure.site` in lower case."""
        return f"{self.telescope}.{self.enclosure}.{self.site}".lower()

    @property
    def key(self) -> tuple[str, str, str]:
        """Codes of site, enclosure and telescope."""
        return self.site, self.enclosure, self.telescope


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All inputs of a run, of one database snapshot.

    Attributes
    ----------
    now_utc
        When it was read.
    horizon_utc
        End of what is planned.
    semester_start_utc, semester_end_utc
        Seconds count from the start; nothing ends after the end.
    """

    now_utc: datetime
    horizon_utc: datetime
    semester_start_utc: datetime
    semester_end_utc: datetime
    telescopes: tuple[Telescope, ...]
    groups: tuple[Group, ...]
    downtimes: tuple[Downtime, ...]
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a dry run shall take to be otherwise than it is.

    Attributes
    ----------
    now_utc, horizon_days
        None: as it is.
    closed
        Telescopes (`Telescope.resource`) that cannot be used.
    tac_priority
        By proposal.
    """

    now_utc: datetime | None = None
    horizon_days: float | None = None
    closed: frozenset[str] = frozenset()
    tac_priority: Mapping[str, float] = field(default_factory=dict)
