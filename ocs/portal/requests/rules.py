"""The rules of request groups: what the fields cannot know by themselves.

`Rules` is the context in which `schemas` validates. It holds everything the rules need to know, so that they
are pure: no database, no clock, any thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from ocs.downtime.api import Downtime
from ocs.portal.proposals.api import Allocation, Semester, semester_containing
from ocs.portal.requests import configurations as configuration_rules
from ocs.portal.requests import durations, refusals, sight
from ocs.portal.requests.catalog import Catalog, Place
from ocs.portal.requests.durations import Duration
from ocs.portal.requests.schemas import (
    CONFIGURATION_TYPES,
    CadenceIn,
    ConfigurationIn,
    ConstraintsIn,
    LocationIn,
    RequestIn,
    Sent,
    TargetIn,
    WindowIn,
)
from ocs.portal.requests.sight import Span
from ocs.portal.requests.states import ObservationType
from ocs.visibility.errors import VisibilityError

Plain = dict[str, Any]

ACCOUNTS: dict[str, Any] = {"NORMAL": "std", "RAPID_RESPONSE": "rr", "TIME_CRITICAL": "tc"}
MOSAIC_PATTERNS = ("line", "grid", "custom")
_DEFAULT_MOTION = {"proper_motion_ra": 0.0, "proper_motion_dec": 0.0, "parallax": 0.0, "epoch": 2000.0}
_NEEDED = {
    "ICRS": ("ra", "dec"),
    "HOUR_ANGLE": ("hour_angle", "dec"),
    "ORBITAL_ELEMENTS": ("epochofel", "orbinc", "longascnode", "eccentricity", "scheme"),
    "SATELLITE": (
        "altitude",
        "azimuth",
        "diff_altitude_rate",
        "diff_azimuth_rate",
        "diff_epoch",
        "diff_altitude_acceleration",
        "diff_azimuth_acceleration",
    ),
    "EPHEMERIS": (),
}
_NEEDED_OF_SCHEME = {
    "ASA_MAJOR_PLANET": ("longofperih", "meandist", "meanlong", "dailymot"),
    "ASA_MINOR_PLANET": ("argofperih", "meandist", "meananom"),
    "MPC_MINOR_PLANET": ("argofperih", "meandist", "meananom"),
    "ASA_COMET": ("argofperih", "perihdist", "epochofperih"),
    "MPC_COMET": ("argofperih", "perihdist", "epochofperih"),
    "JPL_MINOR_PLANET": ("argofperih", "perihdist", "epochofperih"),
    "JPL_MAJOR_PLANET": ("argofperih", "meandist", "meananom", "dailymot"),
}


def target_fields(target: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields that describe a target of this type and scheme."""
    return _NEEDED[target["type"]] + _NEEDED_OF_SCHEME.get(target.get("scheme") or "", ())


@dataclass(frozen=True, slots=True)
class Limits:
    """What the installation allows."""

    min_ipp: float = 0.5
    max_ipp: float = 2.0
    overuse: float = 1.1


@dataclass(frozen=True, slots=True)
class ProposalFacts:
    """What the rules must know of the proposal a group names; `time_used_s` is what the caller used of it."""

    id: str
    is_active: bool
    is_member: bool
    direct_submission: bool = False
    time_limit_s: int = -1
    time_used_s: int = 0
    allocations: Mapping[tuple[str, str], Allocation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that passed.

    Attributes
    ----------
    plain
        What was sent, and what validation filled.
    windows
        Starts and ends.
    duration
        How long it takes.
    longest_s
        The longest single stretch in which it can be observed, from now on.
    semester_id
        Semester of its windows.
    longest_ever_s
        The same with the past.
    """

    plain: Plain
    windows: list[Span]
    duration: Duration
    longest_s: float
    longest_ever_s: float
    semester_id: str


@dataclass(frozen=True, slots=True)
class CheckedGroup:
    """A group that passed."""

    name: str
    proposal: str
    observation_type: ObservationType
    operator: str
    ipp_value: float
    requests: list[CheckedRequest]

    @property
    def shares(self) -> list[tuple[str, Mapping[str, float]]]:
        """Semester and seconds per instrument type of each request."""
        return [(item.semester_id, item.duration.by_type_s) for item in self.requests]


def _plain(value: Any) -> Any:
    """Return checked objects as dictionaries of what was sent."""
    if isinstance(value, Sent):
        return {name: _plain(item) for name, item in value.sent().items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class Rules:
    """What the caller may ask for, at this moment.

    Parameters
    ----------
    catalog
        The instruments.
    now
        The time.
    semesters
        All semesters.
    proposal
        The proposal the group names, None if there is no such proposal.
    downtimes
        When telescopes are not to be used.
    is_staff
        Whether the caller may use instruments that are not in operation.
    limits
        What the installation allows.
    """

    def __init__(
        self,
        catalog: Catalog,
        now: datetime,
        semesters: Sequence[Semester],
        proposal: ProposalFacts | None = None,
        downtimes: Sequence[Downtime] = (),
        *,
        is_staff: bool = False,
        limits: Limits = Limits(),
    ) -> None:
        self.catalog = catalog
        self.now = now
        self.semesters = semesters
        self.facts = proposal
        self.downtimes = downtimes
        self.is_staff = is_staff
        self.limits = limits

    # --- fields

    def proposal(self, value: str) -> str:
        """Check that the proposal exists."""
        if self.facts is None or self.facts.id != value:
            raise ValueError(f'Invalid pk "{value}" - object does not exist.')
        return value

    def observation_type(self, value: str) -> str:
        """Refuse what is not scheduled."""
        if not ObservationType(value).is_scheduled:
            raise ValueError(
                f"{value} observations are placed directly, at schedule/ or realtime/, not requested."
            )
        return value

    def configuration_type(self, value: str) -> str:
        """Check that there is such a type anywhere."""
        if value not in CONFIGURATION_TYPES and value not in self.catalog.configuration_types:
            raise ValueError(f'"{value}" is not a valid choice.')
        return value

    def instrument_type(self, value: str) -> str:
        """Return the type in the catalogue's spelling, if the caller may use it."""
        known = self.catalog.observatory.instrument_type(value)
        usable = self.catalog.usable_types(only_schedulable=not self.is_staff)
        if known is None or known.code not in usable:
            raise ValueError(
                f"Instrument type {value} is not available; use one of {', '.join(usable) or 'none'}."
            )
        return known.code

    def place(self, value: str, part: str) -> str:
        """Check that the observatory has such a class, site, enclosure or telescope."""
        if all(getattr(place, part) != value for place in self.catalog.places):
            raise ValueError(f'"{value}" is not a valid choice.')
        return value

    def window_end(self, value: datetime) -> datetime:
        """Refuse what is over."""
        if value < self.now:
            raise ValueError("Must end in the future.")
        return value

    # --- objects, from the inside out

    def window(self, value: WindowIn) -> Span:
        """Return start and end of a window in one semester."""
        start = value.start or self.now
        if value.end <= start:
            raise ValueError("A window must end after it starts.")
        if semester_containing(self.semesters, start, value.end) is None:
            raise ValueError("A window must lie inside one semester.")
        return start, value.end

    def windows(self, value: list[Any]) -> list[Span]:
        """Refuse windows of different semesters."""
        spans = cast("list[Span]", value)
        found = [semester_containing(self.semesters, *span) for span in spans]
        if len({item.id for item in found if item}) > 1:
            raise ValueError("All windows of a request must lie in the same semester.")
        return spans

    def location(self, value: LocationIn) -> Plain:
        """Check that the parts of a location belong together."""
        location = {name: part for name, part in value.sent().items() if part}
        if "enclosure" in location and "site" not in location:
            raise ValueError("An enclosure needs its site.")
        if "telescope" in location and "enclosure" not in location:
            raise ValueError("A telescope needs its enclosure.")
        fixed = {**location, "telescope_class": ""}
        if not any(place.matches(fixed) for place in self.catalog.places):
            raise ValueError(
                "There is no such telescope: site, enclosure and telescope do not belong together."
            )
        return location

    def constraints(self, value: ConstraintsIn) -> Plain:
        """Fill the defaults."""
        return {
            "max_airmass": value.max_airmass,
            "min_lunar_distance": value.min_lunar_distance,
            "max_lunar_phase": value.max_lunar_phase,
            **value.sent(),
        }

    def target(self, value: TargetIn) -> Plain:
        """Check that a target has what its type needs."""
        target = value.sent()
        extra_params = target.get("extra_params") or {}
        has_track = value.type == "EPHEMERIS" or (
            value.type == "SATELLITE" and extra_params.get("tle") is not None
        )
        needed = () if has_track else target_fields({**target, "scheme": value.scheme})
        missing = [name for name in needed if target.get(name) in (None, "")]
        if missing:
            raise refusals.structured({name: ["This field is required"] for name in missing})
        if value.type in {"ICRS", "HOUR_ANGLE"}:
            target |= {name: target.get(name) or default for name, default in _DEFAULT_MOTION.items()}
        eccentricity = target.get("eccentricity") or 0.0
        if value.type == "ORBITAL_ELEMENTS" and eccentricity > 0.9 and "COMET" not in (value.scheme or ""):
            raise refusals.field(
                "scheme", f"{value.scheme} is not meant for an eccentricity above 0.9; use MPC_COMET."
            )
        if has_track:
            if value.type == "EPHEMERIS" and extra_params.get("ephemeris") is None:
                raise refusals.structured({"extra_params": {"ephemeris": ["This field is required"]}})
            if fault := sight.target_fault(target):
                raise refusals.field("extra_params", fault)
        return target

    def configuration(self, value: ConfigurationIn) -> Plain:
        """Check a configuration against its instrument; see `configurations`."""
        plain: Plain = _plain(value)
        configuration_rules.check(self.catalog, plain)
        return plain

    def configurations(self, value: list[Any]) -> list[Plain]:
        """Number the configurations."""
        plains = cast("list[Plain]", value)
        if sum(bool(item.get("fill_window")) for item in plains) > 1:
            raise ValueError("Only one configuration of a request can have fill_window.")
        for position, item in enumerate(plains, start=1):
            item["priority"] = position
        return plains

    def cadence(self, value: CadenceIn | None) -> None:
        """Refuse a cadence where windows are asked for."""
        if value is not None:
            self.cadence_given(value)
            raise refusals.message("Expand it with requestgroups/cadence/ and submit what that returns.")

    def cadence_given(self, value: CadenceIn) -> CadenceIn:
        """Check the span of a cadence."""
        if value.start >= value.end:
            raise ValueError("A cadence must end after it starts.")
        return value

    def cadence_request(self, value: RequestIn) -> tuple[Plain, CadenceIn]:
        """Check a request whose windows are to be laid out; return it without them, and the cadence."""
        assert value.cadence is not None
        return self.request_plain(value), value.cadence

    def mosaic_request(self, value: Any) -> CheckedRequest:
        """Check that a mosaic can be made of a request that passed."""
        checked = cast("CheckedRequest", value)
        if len(checked.plain["configurations"]) != 1:
            raise refusals.message("A mosaic is made of a request with exactly one configuration.")
        if checked.plain["configurations"][0]["target"]["type"] != "ICRS":
            raise refusals.message("A mosaic is made of an ICRS target.")
        return checked

    def request(self, value: RequestIn) -> CheckedRequest:
        """Check that a request can be observed, and how long it takes."""
        plain = self.request_plain(value)
        windows = cast("list[Span]", value.windows)
        plain["windows"] = [{"start": start, "end": end} for start, end in windows]
        return self.timed_request(plain, windows)

    def request_plain(self, value: RequestIn) -> Plain:
        """Check all but the visibility; return the request with its windows as pairs."""
        plain = _plain(value)
        plain.pop("cadence", None)
        self._check_location(plain)
        if plain.get("acceptability_threshold") is None:
            plain["acceptability_threshold"] = self.default_threshold(plain["configurations"])
        pattern = (plain.get("extra_params") or {}).get("mosaic_pattern")
        if pattern is not None and pattern not in MOSAIC_PATTERNS:
            raise ValueError(f"mosaic_pattern {pattern} is unknown; use one of {', '.join(MOSAIC_PATTERNS)}.")
        return cast("Plain", plain)

    def default_threshold(self, configurations: Sequence[Mapping[str, Any]]) -> float:
        """Return the acceptability threshold of a request that names none."""
        return max(
            self.catalog.overheads(
                item["instrument_type"]
            ).instrument_type.default_acceptability_threshold_percent
            for item in configurations
        )

    def only_schedulable(self, location: Mapping[str, Any]) -> bool:
        """Tell whether a request may only go to instruments in operation; staff who say where need not."""
        return not (self.is_staff and len(location) == 4)

    def _check_location(self, plain: Plain) -> None:
        location = plain["location"]
        stations = self.catalog.usable(only_schedulable=self.only_schedulable(location))
        present = {item.type_code for item in stations if item.place.matches(location)}
        for configuration in plain["configurations"]:
            if configuration["instrument_type"] not in present:
                where = ".".join(location.values())
                raise ValueError(
                    f"Instrument type {configuration['instrument_type']} is not available at {where}."
                )

    def duration(self, plain: Plain, windows: Sequence[Span]) -> Duration:
        """Return how long a request takes; slews are measured at the start of its first window."""
        at = min((start for start, _ in windows), default=self.now)
        return durations.request_duration(
            self.catalog,
            plain["configurations"],
            plain.get("configuration_repeats", 1),
            sight.separation_arcsec(at),
        )

    def timed_request(self, plain: Plain, windows: list[Span]) -> CheckedRequest:
        """Check that a request fits into its windows."""
        intervals = self.intervals(plain, windows)
        longest_s = sight.longest_s(intervals, self.now)
        duration = self.duration(plain, windows)
        for configuration in plain["configurations"]:
            if configuration.pop("fill_window", False) and durations.is_repeat(configuration):
                spare_s = longest_s - duration.total_s + (configuration.get("repeat_duration") or 0.0) - 1
                if longest_s > duration.total_s:
                    configuration["repeat_duration"] = spare_s
        duration = self.duration(plain, windows)
        if longest_s <= 0:
            raise ValueError("The target is not visible from any telescope within the windows.")
        if longest_s <= duration.total_s:
            raise ValueError(
                f"The request takes {duration.total_s / 3600:.2f} hours, "
                f"but its longest visible interval is {longest_s / 3600:.2f} hours."
            )
        semester = semester_containing(self.semesters, *windows[0])
        assert semester is not None
        return CheckedRequest(plain, windows, duration, longest_s, sight.longest_s(intervals), semester.id)

    def intervals(self, plain: Plain, windows: Sequence[Span]) -> dict[str, Any]:
        """Return when a request can be observed, by site.

        Raises
        ------
        ValueError
            When that cannot be computed.
        """
        try:
            return sight.site_intervals(
                self.catalog,
                plain["location"],
                plain["configurations"],
                windows,
                self.downtimes,
                only_schedulable=self.only_schedulable(plain["location"]),
            )
        except VisibilityError as error:
            raise ValueError(f"The visibility cannot be computed: {error}") from error

    # --- the whole

    def group(self, value: Any) -> CheckedGroup:
        """Check a group whose requests all passed."""
        group = CheckedGroup(
            value.name,
            value.proposal,
            ObservationType(value.observation_type),
            value.operator,
            value.ipp_value,
            cast("list[CheckedRequest]", value.requests),
        )
        self.check_proposal(group.proposal, group.ipp_value)
        if group.operator == "SINGLE" and len(group.requests) != 1:
            raise ValueError("A SINGLE group has exactly one request; use MANY.")
        if group.operator == "MANY" and len(group.requests) < 2:
            raise ValueError("A MANY group has at least two requests; use SINGLE.")
        self._check_time_limit(group)
        if any(
            configuration["target"]["type"] == "HOUR_ANGLE"
            for item in group.requests
            for configuration in item.plain["configurations"]
        ):
            raise ValueError("HOUR_ANGLE targets can only be observed directly, at schedule/.")
        self._check_allocations(group)
        return group

    def check_proposal(self, proposal: str, ipp_value: float) -> None:
        """Check that the caller may use the proposal, and the range of the priority."""
        facts = self.facts
        assert facts is not None
        if not facts.is_member:
            raise ValueError(f"You are not a member of proposal {proposal}.")
        if not facts.is_active:
            raise ValueError(f"Proposal {proposal} is not active.")
        low, high = self.limits.min_ipp, self.limits.max_ipp
        if not low <= ipp_value <= high:
            raise ValueError(f"ipp_value must be from {low} to {high}, not {ipp_value}.")

    def _check_time_limit(self, group: CheckedGroup) -> None:
        assert self.facts is not None
        needed_s = sum(item.duration.total_s for item in group.requests)
        if 0 <= self.facts.time_limit_s < self.facts.time_used_s + needed_s:
            raise ValueError(
                f"This would exceed your time limit on proposal {group.proposal}: "
                f"{self.facts.time_used_s} of {self.facts.time_limit_s} s are used, {needed_s} s are needed."
            )

    def _check_allocations(self, group: CheckedGroup) -> None:
        assert self.facts is not None
        account = ACCOUNTS[group.observation_type]
        totals = durations.group_totals_s(group.operator, group.shares)
        for (semester, code), seconds in totals.items():
            allocation = self.facts.allocations.get((semester, code))
            where = f"{group.proposal} on {code} in {semester}"
            if allocation is None:
                raise ValueError(f"There is no time allocation for {where}.")
            if group.observation_type is ObservationType.RAPID_RESPONSE:
                self._check_rapid(group, seconds)
            left_h = allocation.allocated_h(account) - allocation.used_h(account)
            if left_h <= 0:
                raise ValueError(f"There is no {group.observation_type} time left for {where}.")
            if left_h * self.limits.overuse < seconds / 3600:
                raise ValueError(
                    f"Not enough {group.observation_type} time left for {where}: "
                    f"{seconds / 3600:.3f} hours are needed, {left_h:.3f} are left."
                )
        if group.observation_type is ObservationType.NORMAL and group.ipp_value > 1:
            self._check_ipp(group)

    def _check_rapid(self, group: CheckedGroup, seconds: float) -> None:
        latest = self.now + timedelta(days=1, seconds=seconds)
        for start, end in (window for item in group.requests for window in item.windows):
            if start > self.now:
                raise ValueError("The windows of a RAPID_RESPONSE group must start now.")
            if end > latest:
                raise ValueError("The windows of a RAPID_RESPONSE group must end within 24 hours.")

    def _check_ipp(self, group: CheckedGroup) -> None:
        # The reference asks for the longest request of a group but debits all; we ask for what we debit.
        assert self.facts is not None
        for (semester, code), seconds in durations.group_sums_s(group.shares).items():
            allocation = self.facts.allocations[(semester, code)]
            hours = seconds / 3600
            if (group.ipp_value - 1) * hours > allocation.ipp_available_h:
                most = largest_ipp(allocation.ipp_available_h, hours)
                raise ValueError(
                    f"Not enough IPP time left for {group.proposal} on {code} in {semester}; "
                    f"the largest ipp_value it allows is {most}."
                )


def largest_ipp(available_h: float, hours: float, at_most: float = float("inf")) -> float:
    """Return the largest priority that available IPP time allows, cut to three decimals."""
    value = available_h / hours + 1 if hours else at_most
    return int(round(min(value, at_most) * 1000, 6)) / 1000


def allocations_by_key(allocations: Sequence[Allocation]) -> dict[tuple[str, str], Allocation]:
    """Return allocations by semester and instrument type."""
    return {(item.semester_id, code): item for item in allocations for code in item.instrument_types}


def validated(adapter: TypeAdapter[Any], sent: Any, rules: Rules | None) -> tuple[Any, Any]:
    """Validate what was sent; return the checked object and the error body, one of them None."""
    try:
        return adapter.validate_python(sent, context=rules), None
    except ValidationError as error:
        return None, refusals.body_of(error, sent)


def place_of(location: Mapping[str, Any]) -> Place:
    """Return a location with all its parts, blank where nothing is asked."""
    return Place(*(location.get(part, "") for part in ("telescope_class", "site", "enclosure", "telescope")))
