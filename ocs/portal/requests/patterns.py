"""Where the points of dither and mosaic patterns lie; pure arithmetic.

Offsets are pairs (x, y) in arcsec, x towards increasing right ascension, y towards the north.
"""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

Offset = tuple[float, float]


def line(
    points: int, spacing_arcsec: float, orientation_deg: float = 0.0, *, center: bool = False
) -> list[Offset]:
    """Return `points` on a line that leaves the north by `orientation_deg` towards the west."""
    angle = math.radians(orientation_deg)
    first = -(points - 1) * spacing_arcsec / 2 if center else 0.0
    ways = [first + index * spacing_arcsec for index in range(points)]
    return [(-way * math.sin(angle), way * math.cos(angle)) for way in ways]


def spiral(points: int, spacing_arcsec: float) -> list[Offset]:
    """Return `points` on a spiral from the centre outwards."""
    radii = [math.sqrt(2 * spacing_arcsec * index) for index in range(points)]
    return [(radius * math.cos(radius), radius * math.sin(radius)) for radius in radii]


def grid(
    rows: int,
    columns: int,
    point_spacing_arcsec: float,
    line_spacing_arcsec: float,
    orientation_deg: float = 0.0,
    *,
    center: bool = False,
) -> list[Offset]:
    """Return a grid, column by column, up one and down the next."""
    angle = math.radians(orientation_deg)
    sine, cosine = math.sin(angle), math.cos(angle)
    first_row = -point_spacing_arcsec * (rows - 1) / 2 if center else 0.0
    first_column = -line_spacing_arcsec * (columns - 1) / 2 if center else 0.0
    result = []
    for column in range(columns):
        for row in range(rows) if column % 2 == 0 else range(rows - 1, -1, -1):
            along = first_row + row * point_spacing_arcsec
            across = first_column + column * line_spacing_arcsec
            result.append((across * cosine - along * sine, across * sine + along * cosine))
    return result


def shifted(ra_deg: float, dec_deg: float, offset: Offset) -> tuple[float, float]:
    """Return the place `offset` away from a place on the sky.

    Raises
    ------
    ValueError
        When it would lie beyond the pole.
    """
    dec = dec_deg + offset[1] / 3600
    if abs(dec) > 90:
        raise ValueError(
            "The pattern reaches beyond the celestial pole; use smaller spacings or fewer points."
        )
    ra = ra_deg + offset[0] / 3600 / max(math.cos(math.radians(dec)), 0.001)
    return ra % 360.0, dec


def mosaic_spacing_arcsec(
    pixels_x: int,
    pixels_y: int,
    scale_arcsec: float,
    camera_deg: float,
    *,
    point_overlap_percent: float,
    line_overlap_percent: float,
    orientation_deg: float,
) -> tuple[float, float]:
    """Return the spacings along and across the lines that make neighbouring fields overlap."""
    angle = math.radians(camera_deg)
    sine, cosine = math.sin(angle), math.cos(angle)
    width = abs(pixels_x * cosine + pixels_y * sine)
    height = abs(-pixels_x * sine + pixels_y * cosine)
    turn = orientation_deg % 360
    if 45 <= turn < 135 or 225 <= turn < 315:
        width, height = height, width
    point = height * scale_arcsec * (1 - point_overlap_percent / 100)
    return point, width * scale_arcsec * (1 - line_overlap_percent / 100)


def cadence_windows(
    start: datetime, end: datetime, period: timedelta, jitter: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Yield a window around each multiple of `period`, within [start, end]."""
    moment = start
    while moment < end:
        yield max(moment - jitter / 2, start), min(moment + jitter / 2, end)
        moment += period
