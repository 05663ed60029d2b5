"""The almanac of a site: Sun, twilights and Moon, night by night."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ocs.visibility.engine import dark, moon_up, samples
from ocs.visibility.errors import InvalidArgument
from ocs.visibility.frame import Site
from ocs.visibility.intervals import Intervals, intersect, total
from ocs.visibility.targets import TargetBatch
from ocs.visibility.timebase import US_PER_DAY

KINDS = ("sunset", "civil", "nautical", "astronomical")
_HALF_DAY_US = US_PER_DAY // 2
MAX_NIGHTS = 4000


@dataclass(frozen=True)
class Night:
    """One night; instants in microseconds UTC.

    Attributes
    ----------
    middle_us
        Mean solar midnight; the night reaches 12 h to both sides.
    dusk_us, dawn_us
        Per kind (``sunset``, ``civil``, ``nautical``, ``astronomical``): when the Sun's centre passes that
        altitude going down and going up; None if it does not that night (polar day or night).
    dark_s
        Per kind, seconds below.
    moonrise_us, moonset_us
        First refracted rise and set of the upper limb in these 24 h, or None.
    moon_phase
        At the middle: 0 new, 1 full.
    moon_up_dark_s
        Seconds of nautical darkness with the Moon up.
    """

    middle_us: int
    dusk_us: Mapping[str, int | None]
    dawn_us: Mapping[str, int | None]
    dark_s: Mapping[str, float]
    moonrise_us: int | None
    moonset_us: int | None
    moon_phase: float
    moon_up_dark_s: float


def nights(site: Site, start_us: int, end_us: int) -> list[Night]:
    """Return the nights whose mean solar midnight lies in ``[start_us, end_us)``.

    Parameters
    ----------
    site
        Place; its limits do not matter.
    start_us, end_us
        Microseconds UTC.

    Raises
    ------
    OutsideEphemeris
        If a night leaves the packaged ephemeris.
    InvalidArgument
        For more than 4000 nights.
    """
    offset = round(-site.longitude_deg / 360 * US_PER_DAY)
    first = -(-(start_us - offset) // US_PER_DAY)
    middles = [day * US_PER_DAY + offset for day in range(first, -(-(end_us - offset) // US_PER_DAY))]
    if not middles:
        return []
    if len(middles) > MAX_NIGHTS:
        raise InvalidArgument(f"At most {MAX_NIGHTS} nights can be listed at once, not {len(middles)}.")
    span = middles[0] - _HALF_DAY_US, middles[-1] + _HALF_DAY_US
    below = {kind: dark(site, *span, kind) for kind in KINDS}
    moon = moon_up(site, *span)
    phases = samples(TargetBatch.from_wire([]), site, middles).moon_phase
    return [_night(middle, below, moon, float(phase)) for middle, phase in zip(middles, phases, strict=True)]


def _cut(intervals: Intervals, low: int, high: int) -> Intervals:
    inside = intervals[(intervals[:, 1] > low) & (intervals[:, 0] < high)]
    return np.clip(inside, low, high)


def _night(middle: int, below: Mapping[str, Intervals], moon: Intervals, phase: float) -> Night:
    low, high = middle - _HALF_DAY_US, middle + _HALF_DAY_US
    dusk: dict[str, int | None] = {}
    dawn: dict[str, int | None] = {}
    dark_s = {}
    for kind, intervals in below.items():
        cut = _cut(intervals, low, high)
        dark_s[kind] = total(cut) * 1e-6
        # an interval that reaches the border of these 24 h goes on beyond: no crossing there
        dusk[kind] = next((int(start) for start in cut[:, 0] if start > low), None)
        dawn[kind] = next((int(end) for end in cut[::-1, 1] if end < high), None)
    up = _cut(moon, low, high)
    return Night(
        middle_us=middle,
        dusk_us=dusk,
        dawn_us=dawn,
        dark_s=dark_s,
        moonrise_us=next((int(start) for start in up[:, 0] if start > low), None),
        moonset_us=next((int(end) for end in up[:, 1] if end < high), None),
        moon_phase=phase,
        moon_up_dark_s=total(intersect(_cut(below["nautical"], low, high), up)) * 1e-6,
    )
