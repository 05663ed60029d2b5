"""Tools to plan with: instruments, airmass, contention, pressure, and why a request is not observed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ocs.configdb.api import InstrumentType, ModeGroup
from ocs.downtime.api import Downtime
from ocs.kernel.wire.types import iso_z
from ocs.portal.requests import durations, sight
from ocs.portal.requests.catalog import Catalog, Station
from ocs.portal.requests.sight import Span
from ocs.visibility import engine
from ocs.visibility.errors import VisibilityError
from ocs.visibility.intervals import Intervals, as_intervals, subtract, total
from ocs.visibility.timebase import from_datetime, to_datetime

Plain = dict[str, Any]
Wire = Mapping[str, Any]

AIRMASS_STEP_US = 600 * 1_000_000
PRESSURE_BINS = 96
PRESSURE_STEP = timedelta(minutes=15)
ALL_PROPOSALS = "All Proposals"


# --- instruments


def instruments(catalog: Catalog, stations: Iterable[Station]) -> Plain:
    """Return what clients need to compose requests, by instrument type."""
    places: dict[str, Station] = {}
    for station in stations:
        places.setdefault(station.type_code, station)
    return {code: _instrument(catalog, station) for code, station in places.items()}


def _instrument(catalog: Catalog, station: Station) -> Plain:
    kind: InstrumentType = station.instrument.instrument_type
    geometry = catalog.geometry(kind.code)
    assert geometry is not None
    return {
        "type": kind.category,
        "class": station.place.telescope_class,
        "name": kind.name,
        "optical_elements": {
            name: [
                {
                    "id": element.id,
                    "name": element.name,
                    "code": element.code,
                    "schedulable": element.schedulable,
                    "default": group.default is not None and group.default.id == element.id,
                }
                for element in group.elements
            ]
            for name, group in catalog.elements(kind.code).items()
        },
        "modes": {name: _modes(group) for name, group in kind.mode_groups.items()},
        "validation_schema": kind.validation_schema,
        "default_acceptability_threshold": kind.default_acceptability_threshold_percent,
        "configuration_types": {
            code: {
                "name": item.name,
                "code": item.code,
                "config_change_overhead": item.config_change_overhead_s,
                "requires_optical_elements": item.requires_optical_elements,
                "force_acquisition_off": item.force_acquisition_off,
                "schedulable": item.schedulable,
                "validation_schema": item.validation_schema,
            }
            for code, item in kind.configuration_types.items()
        },
        "default_configuration_type": kind.default_configuration_type,
        "camera_type": {
            "science_field_of_view": geometry.science_fov_diagonal_arcmin,
            "autoguider_field_of_view": geometry.autoguider_fov_diagonal_arcmin,
            "pixel_scale": geometry.pixel_scale_arcsec,
            "pixels_x": geometry.pixels_x,
            "pixels_y": geometry.pixels_y,
            "orientation": geometry.orientation_deg,
        },
    }


def _modes(group: ModeGroup) -> Plain:
    return {
        "id": group.id,
        "type": group.type,
        "default": group.default.code if group.default else "",
        "modes": [
            {
                "id": mode.id,
                "name": mode.name,
                "overhead": mode.overhead_s,
                "code": mode.code,
                "schedulable": mode.schedulable,
                "validation_schema": mode.validation_schema,
            }
            for mode in group.modes
        ],
    }


# --- airmass


def airmass(
    catalog: Catalog,
    location: Wire,
    configurations: Sequence[Wire],
    windows: Sequence[Span],
    downtimes: Sequence[Downtime],
    *,
    only_schedulable: bool,
) -> Plain:
    """Return the airmass of a request's targets, every ten minutes while it can be observed, by site."""
    if any(item["target"]["type"] not in {"ICRS", "ORBITAL_ELEMENTS"} for item in configurations):
        return {"airmass_data": {}}
    try:
        intervals = sight.site_intervals(
            catalog, location, configurations, windows, downtimes, only_schedulable=only_schedulable
        )
    except VisibilityError:
        return {"airmass_data": {}}
    batch, constraints = sight.pairs(configurations)
    instrument_type = configurations[0]["instrument_type"]
    places = sight.telescopes(catalog, location, instrument_type, only_schedulable=only_schedulable)
    data: Plain = {}
    for site, found in intervals.items():
        times = [np.arange(start, end, AIRMASS_STEP_US) for start, end in found]
        if not times:
            continue
        moments = np.concatenate(times)
        shown = engine.displayed_airmass(batch, catalog.viewpoints[places[site][0]], moments)
        usable = shown[np.isfinite(shown).all(axis=1)]
        if len(usable):
            data[site] = {
                "times": [f"{to_datetime(int(moment)):%Y-%m-%dT%H:%M}" for moment in moments],
                "airmasses": usable.mean(axis=0).tolist(),
            }
    if not data:
        return {"airmass_data": {}}
    return {"airmass_data": data, "airmass_limit": float(np.mean(np.asarray(constraints.max_airmass)))}


# --- contention and pressure


def _anonymous(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{ALL_PROPOSALS: sum(row.values())} for row in rows]


def contention(
    catalog: Catalog, instrument_type: str, requests: Iterable[tuple[str, Sequence[Wire]]], *, named: bool
) -> list[dict[str, float]]:
    """Return the seconds asked for, by hour of right ascension and proposal.

    Parameters
    ----------
    requests
        Proposal and configurations of each request.
    named
        Whether the caller may see which proposals they are.
    """
    rows: list[dict[str, float]] = [{} for _ in range(24)]
    for proposal, configurations in requests:
        for item in configurations:
            ra = item["target"].get("ra")
            if (
                item["instrument_type"] == instrument_type
                and item["target"]["type"] == "ICRS"
                and ra is not None
            ):
                row = rows[int(ra // 15) % 24]
                seconds = durations.configuration_s(catalog.overheads(instrument_type), item)
                row[proposal] = row.get(proposal, 0.0) + seconds
    return rows if named else _anonymous(rows)


def pressure_bins(now: datetime) -> list[datetime]:
    """Return the starts of the bins of the coming day."""
    return [now + index * PRESSURE_STEP for index in range(PRESSURE_BINS)]


def pressure(
    catalog: Catalog,
    now: datetime,
    requests: Iterable[tuple[str, float, Wire, Sequence[Wire], Sequence[Span]]],
    downtimes: Sequence[Downtime],
    *,
    site: str,
    named: bool,
) -> list[dict[str, float]]:
    """Return how much is asked of each telescope in the bins of the coming day, by proposal.

    Parameters
    ----------
    requests
        Proposal, duration in s, location, configurations and windows of each request.
    site
        Only this site; all if empty.
    """
    bins = np.array([from_datetime(moment) for moment in pressure_bins(now)], np.int64)
    rows: list[dict[str, float]] = [{} for _ in range(PRESSURE_BINS)]
    for proposal, duration_s, location, configurations, windows in requests:
        cut = [(max(start, now), end) for start, end in windows if end > now]
        if not cut or any(item["target"]["type"] != "ICRS" for item in configurations):
            continue
        try:
            intervals = sight.site_intervals(catalog, location, configurations, cut, downtimes)
        except VisibilityError:
            continue
        places = sight.telescopes(catalog, {}, configurations[0]["instrument_type"], only_schedulable=True)
        kept = {
            code: found[(found[:, 1] - found[:, 0]) * 1e-6 >= duration_s]
            for code, found in intervals.items()
            if not site or code == site
        }
        seconds = sum(total(found) for found in kept.values()) * 1e-6
        if not seconds:
            continue
        telescopes = np.zeros(PRESSURE_BINS)
        for code, found in kept.items():
            telescopes += _during(found, bins) * len(places.get(code, ()))
        for index in np.flatnonzero(telescopes):
            row = rows[index]
            row[proposal] = row.get(proposal, 0.0) + duration_s / seconds / float(telescopes[index])
    return rows if named else _anonymous(rows)


def _during(intervals: Intervals, moments: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
    """Tell of each moment whether it lies in one of the intervals."""
    index = np.searchsorted(intervals[:, 0], moments, side="right") - 1
    inside = index >= 0
    inside[inside] = moments[inside] < intervals[index[inside], 1]
    return inside


def site_nights(catalog: Catalog, now: datetime, site: str) -> list[Plain]:
    """Return when it is dark in the coming day, in hours from now, by site."""
    nights: list[Plain] = []
    seen: set[str] = set()
    for station in catalog.usable(only_schedulable=True):
        code = station.place.site
        if code in seen or (site and code != site):
            continue
        seen.add(code)
        begin = from_datetime(now)
        dark = engine.dark(catalog.viewpoints[station.place], begin, begin + 86_400_000_000)
        hours = (dark - begin) / 3_600_000_000
        nights += [{"name": code, "start": float(start), "stop": float(stop)} for start, stop in hours]
    return nights


# --- why not


def why(
    catalog: Catalog,
    location: Wire,
    configurations: Sequence[Wire],
    windows: Sequence[Span],
    downtimes: Sequence[Downtime],
    *,
    now: datetime,
    duration_s: int,
    allocation_left_h: Mapping[str, float | None],
) -> Plain:
    """Return how many seconds each limit in turn leaves of a request's windows, by site.

    Parameters
    ----------
    allocation_left_h
        Hours left by instrument type, None where there is no allocation.
    """
    instrument_type = configurations[0]["instrument_type"]
    everywhere = sight.telescopes(catalog, location, instrument_type, only_schedulable=False)
    schedulable = sight.telescopes(catalog, location, instrument_type, only_schedulable=True)
    future = [(max(start, now), end) for start, end in windows if end > now]
    batch, constraints = sight.pairs(configurations)
    sites: Plain = {}
    for site, places in everywhere.items():
        chain = dict.fromkeys(engine.BUDGET_STEPS, 0.0)
        up = as_intervals([])
        for window in future:
            span = sight.span_us(*window)
            left = engine.budget(batch, catalog.viewpoints[places[0]], *span, constraints).min(axis=0)
            for step, seconds in zip(engine.BUDGET_STEPS, left, strict=True):
                chain[step] += float(seconds)
        if future:
            (up,) = engine.together(
                batch, [catalog.viewpoints[places[0]]], [sight.span_us(*item) for item in future], constraints
            )
        chain["together"] = total(up) * 1e-6
        chain["downtime"] = _open_s(up, places, downtimes, instrument_type)
        chain["instrument"] = _open_s(up, schedulable.get(site, []), downtimes, instrument_type)
        sites[site] = {"seconds_left": {step: round(left_s, 3) for step, left_s in chain.items()}}
    return {
        "now": iso_z(now),
        "duration": duration_s,
        "sites": sites,
        "allocation": {code: {"hours_left": left} for code, left in allocation_left_h.items()},
    }


def _open_s(
    up: Intervals, places: Sequence[Any], downtimes: Sequence[Downtime], instrument_type: str
) -> float:
    """Return the longest open time any of the telescopes has."""
    best = 0.0
    for place in places:
        closed = [
            sight.span_us(item.start_utc, item.end_utc)
            for item in downtimes
            if item.resource == place.resource and item.concerns(instrument_type)
        ]
        best = max(best, total(subtract(up, as_intervals(closed))) * 1e-6)
    return best
