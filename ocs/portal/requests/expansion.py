"""Making several pointings or several requests of one: dithers, mosaics, cadences."""

import copy
from datetime import timedelta
from typing import Any

import numpy as np

from ocs.portal.requests import patterns, sight
from ocs.portal.requests.configurations import has_offsets
from ocs.portal.requests.errors import NothingVisible, TooManyWindows
from ocs.portal.requests.rules import Plain, Rules
from ocs.portal.requests.schemas import CadenceIn, DitherIn, MosaicIn, PatternIn
from ocs.visibility.intervals import intersect, largest

MAX_WINDOWS = 2000


def _offsets(sent: PatternIn, pattern: str, point_arcsec: float, line_arcsec: float) -> list[patterns.Offset]:
    match pattern:
        case "line":
            return patterns.line(sent.num_points or 0, point_arcsec, sent.orientation, center=sent.center)
        case "spiral":
            return patterns.spiral(sent.num_points or 0, point_arcsec)
        case _:
            return patterns.grid(
                sent.num_rows or 0,
                sent.num_columns or 0,
                point_arcsec,
                line_arcsec,
                sent.orientation,
                center=sent.center,
            )


def _default(value: float | None, other: float) -> float:
    return other if value is None else value


def dither(sent: DitherIn) -> Plain:
    """Return the configuration with all its exposures taken at each point of a pattern, in plan-form."""
    configuration: Any = sent.configuration
    line_arcsec = _default(sent.line_spacing, sent.point_spacing)
    instrument_configs = []
    for x, y in _offsets(sent, sent.pattern, sent.point_spacing, line_arcsec):
        for item in configuration["instrument_configs"]:
            moved = copy.deepcopy(item)
            offset = {"offset_ra": round(x, 3), "offset_dec": round(y, 3)}
            moved["extra_params"] = (moved.get("extra_params") or {}) | offset
            instrument_configs.append(moved)
    extra_params = dict(configuration.get("extra_params") or {})
    extra_params.pop("dither_pattern", None)
    made = {**configuration, "instrument_configs": instrument_configs, "extra_params": extra_params}
    if has_offsets(made):  # points that all lie on the target are no pattern, and would be refused as one
        extra_params["dither_pattern"] = sent.pattern
    return made


def mosaic(sent: MosaicIn, known: Rules) -> Plain:
    """Return the request with a configuration for each point of a pattern, in plan-form.

    Raises
    ------
    ValueError
        When the camera's field is not known, or the pattern reaches beyond a pole.
    """
    checked: Any = sent.request
    request: Plain = checked.plain
    (configuration,) = request["configurations"]
    point_arcsec = sent.point_spacing
    line_arcsec = sent.line_spacing
    if sent.point_overlap_percent is not None and point_arcsec is None:
        camera = known.catalog.geometry(configuration["instrument_type"])
        if camera is None or not camera.pixels_x * camera.pixels_y * camera.pixel_scale_arcsec:
            raise ValueError("The field of view of this camera is not configured; give point_spacing.")
        point_arcsec, line_by_overlap = patterns.mosaic_spacing_arcsec(
            camera.pixels_x,
            camera.pixels_y,
            camera.pixel_scale_arcsec,
            camera.orientation_deg,
            point_overlap_percent=sent.point_overlap_percent,
            line_overlap_percent=_default(sent.line_overlap_percent, sent.point_overlap_percent),
            orientation_deg=sent.orientation,
        )
        line_arcsec = _default(line_arcsec, line_by_overlap)
    assert point_arcsec is not None
    made = []
    for offset in _offsets(sent, sent.pattern, point_arcsec, _default(line_arcsec, point_arcsec)):
        pointing = copy.deepcopy(configuration)
        target = pointing["target"]
        target["ra"], target["dec"] = patterns.shifted(target["ra"], target["dec"], offset)
        pointing.setdefault("extra_params", {})
        made.append(pointing)
    extra_params = (request.get("extra_params") or {}) | {"mosaic_pattern": sent.pattern}
    return {**request, "configurations": made, "extra_params": extra_params}


def cadence(plain: Plain, sent: CadenceIn, known: Rules) -> list[Plain]:
    """Return a request for each window of a cadence in which it can be observed, in plan-form.

    Raises
    ------
    TooManyWindows
        When there are more windows than a group may have.
    NothingVisible
        When it can be observed in none of them.
    """
    period, jitter = timedelta(hours=sent.period), timedelta(hours=sent.jitter)
    if (sent.end - sent.start) / period > MAX_WINDOWS:
        raise TooManyWindows(MAX_WINDOWS)
    try:
        intervals = known.intervals(plain, [(sent.start, sent.end)])
    except ValueError as error:
        raise NothingVisible(str(error)) from error
    needed_us = known.duration(plain, [(sent.start, sent.end)]).total_s * 1_000_000
    made = []
    for start, end in patterns.cadence_windows(sent.start, sent.end, period, jitter):
        window = np.array([sight.span_us(start, end)], np.int64)
        longest = max((largest(intersect(found, window)) for found in intervals.values()), default=0)
        if longest > needed_us and end > known.now:
            made.append({**copy.deepcopy(plain), "windows": [{"start": start, "end": end}]})
    if not made:
        raise NothingVisible
    return made
