"""When a request can be observed, from which site; pure functions on the visibility engine.

Times are integer microseconds since the Unix epoch, UTC, as in `ocs.visibility.intervals`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson

from ocs.downtime.api import Downtime
from ocs.portal.requests.catalog import Catalog, Place
from ocs.visibility import engine
from ocs.visibility.intervals import Intervals, as_intervals, intersect, largest, subtract, union
from ocs.visibility.targets import TargetBatch
from ocs.visibility.timebase import from_datetime

Wire = Mapping[str, Any]
Span = tuple[datetime, datetime]


def span_us(start: datetime, end: datetime) -> tuple[int, int]:
    """Return a stretch of time in microseconds."""
    return from_datetime(start), from_datetime(end)


def pairs(configurations: Iterable[Wire]) -> tuple[TargetBatch, engine.Constraints]:
    """Return the distinct (target, constraints) pairs of configurations as rows for the engine."""
    distinct = {
        orjson.dumps((item["target"], item["constraints"]), option=orjson.OPT_SORT_KEYS): item
        for item in configurations
    }.values()
    return (
        TargetBatch.from_wire([item["target"] for item in distinct]),
        engine.Constraints.from_wire([item["constraints"] for item in distinct]),
    )


def target_fault(target: Wire) -> str | None:
    """Return why a target's track cannot be read, None if it can."""
    error = TargetBatch.from_wire([target]).errors[0]
    return error.message if error else None


def telescopes(
    catalog: Catalog, location: Wire, instrument_type: str, *, only_schedulable: bool
) -> dict[str, list[Place]]:
    """Return the telescopes a request may go to, by site; the class is not looked at here."""
    asked = {**location, "telescope_class": ""}
    places: dict[str, list[Place]] = {}
    for item in catalog.usable(only_schedulable=only_schedulable):
        if item.type_code == instrument_type and item.place.matches(asked):
            found = places.setdefault(item.place.site, [])
            if item.place not in found:
                found.append(item.place)
    return places


def site_intervals(
    catalog: Catalog,
    location: Wire,
    configurations: Sequence[Wire],
    windows: Sequence[Span],
    downtimes: Sequence[Downtime],
    *,
    only_schedulable: bool = True,
) -> dict[str, Intervals]:
    """Return when all targets of a request can be observed at once, by site.

    Parameters
    ----------
    location
        Site, enclosure and telescope asked for; any of them may be missing.
    configurations
        The first one's instrument type decides about the telescopes.
    windows
        When it may be observed.
    downtimes
        When telescopes, or types of instrument on them, are not to be used.
    only_schedulable
        Whether only instruments in operation count.

    Raises
    ------
    ocs.visibility.errors.OutsideEphemeris
        If a window leaves the packaged ephemeris.
    """
    instrument_type = configurations[0]["instrument_type"]
    places = telescopes(catalog, location, instrument_type, only_schedulable=only_schedulable)
    if not places:
        return {}
    batch, constraints = pairs(configurations)
    sites = [catalog.viewpoints[found[0]] for found in places.values()]
    seen = engine.together(batch, sites, [span_us(*window) for window in windows], constraints)
    result = {}
    for (site, found), up in zip(places.items(), seen, strict=True):
        open_times = []
        for place in found:
            closed = [
                span_us(item.start_utc, item.end_utc)
                for item in downtimes
                if item.resource == place.resource and item.concerns(instrument_type)
            ]
            open_times.append(subtract(up, as_intervals(closed)) if closed else up)
        result[site] = union(*open_times) if len(open_times) > 1 else open_times[0]
    return result


def longest_s(intervals: Mapping[str, Intervals], since: datetime | None = None) -> float:
    """Return the length of the longest single interval in seconds, counted from `since` on."""
    if since is not None:
        future = np.array([[from_datetime(since), np.iinfo(np.int64).max]], np.int64)
        intervals = {site: intersect(found, future) for site, found in intervals.items()}
    return max((largest(found) for found in intervals.values()), default=0) * 1e-6


def separation_arcsec(at: datetime) -> Any:
    """Return the function that gives the angle between two sidereal targets at a time."""

    def separation(before: Wire, target: Wire) -> float:
        angle = engine.separation_arcsec(
            TargetBatch.from_wire([before]), TargetBatch.from_wire([target]), from_datetime(at)
        )[0]
        return float(angle) if np.isfinite(angle) else 0.0

    return separation
