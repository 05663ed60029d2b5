"""How long requests take; pure functions on configurations in wire form.

All results are seconds. A configuration's time is made of exposures and of what its place in the sequence
costs: slews, changes of optical elements, instrument and type, acquisition and guiding.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ocs.configdb.api import Overheads
from ocs.portal.requests.catalog import Catalog

_LONGEST_S = 2.0**53  # sums of such times stay finite

Wire = Mapping[str, Any]
Separation = Callable[[Wire, Wire], float]


def exposures_s(overheads: Overheads, instrument_config: Wire) -> float:
    """Return the time of one instrument configuration: exposures with their readouts."""
    each_s = instrument_config["exposure_time"] + overheads.instrument_type.exposure_overhead_s(
        instrument_config.get("mode") or ""
    )
    return float(min(instrument_config["exposure_count"] * each_s, _LONGEST_S))


def is_repeat(configuration: Wire) -> bool:
    """Tell whether the configuration repeats its exposures for a given time."""
    return "REPEAT" in configuration["type"]


def configuration_s(overheads: Overheads, configuration: Wire, *, padded: bool = True) -> float:
    """Return the time of a configuration alone, without what its place in the sequence adds.

    Parameters
    ----------
    padded
        Whether the padding before a configuration counts; a repeated configuration has none.
    """
    if is_repeat(configuration) and configuration.get("repeat_duration"):
        return float(min(configuration["repeat_duration"], _LONGEST_S))
    total = sum(exposures_s(overheads, item) for item in configuration["instrument_configs"])
    return total + (overheads.instrument_type.config_front_padding_s if padded else 0.0)


@dataclass(slots=True)
class _Sequence:
    """What the next configuration starts from."""

    elements: Wire = field(default_factory=dict)
    target: Wire | None = None
    instrument_type: str = ""
    configuration_type: str = ""


def _element_changes_s(overheads: Overheads, configuration: Wire, before: Wire) -> tuple[float, Wire]:
    total = 0.0
    for item in configuration["instrument_configs"]:
        elements: Wire = item.get("optical_elements") or {}
        changed = [key for key, code in elements.items() if before.get(key) != code]
        costs_s = [overheads.element_change_overhead_s.get(f"{key}s", 0.0) for key in changed]
        total += max(costs_s, default=0.0)
        before = elements
    return total, before


def _slew_s(overheads: Overheads, before: Wire | None, target: Wire, separation: Separation) -> float:
    if before is None or before.get("type") != "ICRS" or target.get("type") != "ICRS":
        return overheads.maximum_slew_overhead_s
    if before == target:
        return 0.0
    rate = overheads.slew_rate_s_per_arcsec
    way_s = separation(before, target) * rate if rate else 0.0
    return min(max(way_s, overheads.minimum_slew_overhead_s), overheads.maximum_slew_overhead_s)


def _acquisition_s(overheads: Overheads, acquisition: Wire) -> float:
    mode = overheads.instrument_type.modes("acquisition").mode(acquisition.get("mode") or "OFF")
    if mode is None or mode.code == "OFF":
        return 0.0
    return mode.overhead_s + (
        acquisition.get("exposure_time") or overheads.instrument_type.acquire_exposure_time_s
    )


def _guiding_s(overheads: Overheads, guiding: Wire) -> float:
    if guiding.get("optional", True):
        return 0.0
    mode = overheads.instrument_type.modes("guiding").mode(guiding.get("mode") or "OFF")
    return mode.overhead_s if mode and mode.code != "OFF" else 0.0


def _no_way(_before: Wire, _target: Wire) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One configuration in its place: its own time, what its place adds, and the element changes in that."""

    instrument_type: str
    alone_s: float
    added_s: float
    element_changes_s: float

    @property
    def total_s(self) -> float:
        """Time from the end of the configuration before to the end of this one."""
        return self.alone_s + self.added_s


def steps(catalog: Catalog, configurations: Sequence[Wire], separation: Separation = _no_way) -> list[Step]:
    """Return the times of configurations that are observed one after the other.

    Parameters
    ----------
    catalog
        Has the overheads; a type it does not know costs nothing but its exposures.
    configurations
        In the order of their priority.
    separation
        Angle between two ICRS targets in arcsec; asked only where telescopes have a slew rate.
    """
    at = _Sequence()
    result = []
    for configuration in configurations:
        code: str = configuration["instrument_type"]
        overheads = catalog.overheads(code)
        target: Wire = configuration.get("target") or {}
        changes_s, elements = _element_changes_s(overheads, configuration, at.elements)
        added_s = changes_s + _slew_s(overheads, at.target, target, separation)
        added_s += _acquisition_s(overheads, configuration.get("acquisition_config") or {})
        added_s += _guiding_s(overheads, configuration.get("guiding_config") or {})
        if code != at.instrument_type:
            added_s += overheads.instrument_change_overhead_s
        if configuration["type"] != at.configuration_type:
            added_s += overheads.config_change_overhead_s(configuration["type"])
        result.append(Step(code, configuration_s(overheads, configuration), added_s, changes_s))
        at = _Sequence(elements, target, code, configuration["type"])
    return result


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a request takes; `by_type_s` is unrounded and sums up to what `total_s` rounds up."""

    by_type_s: Mapping[str, float]

    @property
    def total_s(self) -> int:
        """Whole seconds of the request."""
        return whole(sum(self.by_type_s.values()))


def whole(seconds: float) -> int:
    """Round up to whole seconds, forgiving the last bits of a sum of floats; at most 2**53."""
    return math.ceil(round(min(seconds, _LONGEST_S), 6))


def request_duration(
    catalog: Catalog, configurations: Sequence[Wire], repeats: int, separation: Separation = _no_way
) -> Duration:
    """Return the time of a request: all configurations, repeated, and the padding before the observation.

    With several instrument types the padding of each counts by its share of the time.
    """
    by_type: dict[str, float] = {}
    for step in steps(catalog, configurations, separation):
        by_type[step.instrument_type] = by_type.get(step.instrument_type, 0.0) + step.total_s * repeats
    total = sum(by_type.values())
    for code, seconds in by_type.items():
        share = seconds / total if total else 1 / len(by_type)
        by_type[code] = seconds + share * catalog.overheads(code).instrument_type.observation_front_padding_s
    return Duration(by_type)


def remaining_s(
    catalog: Catalog,
    configurations: Sequence[Wire],
    repeats: int,
    *,
    priority: int,
    repeat: int,
    include_current: bool = False,
    separation: Separation = _no_way,
) -> float:
    """Return the time an observation still needs.

    Parameters
    ----------
    priority
        Priority (1 to n) of the configuration that ends, or starts to expose, now.
    repeat
        Round it belongs to, from 1.
    include_current
        Whether its own exposures are still to come.
    """
    sequence = steps(catalog, configurations, separation)
    later_s = sum(step.total_s for step in sequence[priority:])
    rounds_s = max(repeats - repeat, 0) * sum(step.total_s for step in sequence)
    current_s = 0.0
    if include_current and 1 <= priority <= len(sequence):
        current = configurations[priority - 1]
        overheads = catalog.overheads(current["instrument_type"])
        current_s = (
            configuration_s(overheads, current, padded=False) + sequence[priority - 1].element_changes_s
        )
    return later_s + rounds_s + current_s


def group_totals_s(
    operator: str, requests: Sequence[tuple[str, Mapping[str, float]]]
) -> dict[tuple[str, str], float]:
    """Return what a group must have time for, per semester and instrument type.

    Parameters
    ----------
    operator
        MANY (and ONEOF) need time for the longest request only, AND for all of them.
    requests
        Semester and seconds per instrument type of each request.
    """
    totals: dict[tuple[str, str], float] = {}
    for semester, by_type in requests:
        for code, seconds in by_type.items():
            key = (semester, code)
            if operator in {"MANY", "ONEOF"}:
                totals[key] = max(totals.get(key, 0.0), whole(seconds))
            else:
                totals[key] = totals.get(key, 0.0) + seconds
    return totals


def group_sums_s(requests: Sequence[tuple[str, Mapping[str, float]]]) -> dict[tuple[str, str], float]:
    """Return the unrounded sum over all requests, per semester and instrument type."""
    return group_totals_s("AND", requests)
