"""The turning sky over a site for a few days, tabulated once and shared by all targets.

`WindowFrame` is what all sites share: precession-nutation and sidereal time at daily nodes, Earth, Sun and
Moon at 3-hour nodes. `SiteFrame` adds the place: the sky on a 30-minute grid and the dark intervals. Between
nodes everything is interpolated to better than 0.02 arcsec. Frames cover whole blocks of days, so that
different windows meet the same frames; a process-wide cache holds them, bounded in bytes.

Directions are in GCRS axes. Times within a frame are seconds of TT since the frame's zero.

Sources: IAU 2006/2000B precession-nutation and Greenwich sidereal time through ERFA; WGS 84 for the place.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import erfa
import numpy as np
from numpy.typing import NDArray

from ocs.visibility import crossings
from ocs.visibility.ephemeris import AU_KM, check_covered, solar_system, ut1_minus_tai_s
from ocs.visibility.errors import InvalidArgument, InvalidSite
from ocs.visibility.intervals import Intervals
from ocs.visibility.timebase import JD_UNIX, TT_MINUS_TAI_US, US_PER_DAY

Float = NDArray[np.float64]

TWILIGHT_DEG = {"sunrise": -5 / 6, "sunset": -5 / 6, "civil": -6.0, "nautical": -12.0, "astronomical": -18.0}
LIGHT_AU_PER_DAY = 173.144632674
EARTH_RATE = 2 * np.pi * 1.00273781191135 / 86400  # rad per second
MOON_RADIUS_AU = 1737.4 / AU_KM
MOON_REFRACTION_DEG = 0.5666667

NODE_S = 10_800.0
GRID_S = 1_800.0
BLOCK_DAYS = 2
SEGMENT_DAYS = 32
NIGHT_PIECE_S = 16 * 3600.0
CACHE_BYTES = 64_000_000


@dataclass(frozen=True)
class Site:
    """A telescope's place and limits.

    Parameters
    ----------
    latitude_deg
        Geodetic, [-90, 90].
    longitude_deg
        East positive, [-180, 360].
    altitude_m
        Height above the ellipsoid.
    horizon_deg
        Least pointing altitude, [0, 90].
    ha_limit_neg_h, ha_limit_pos_h
        Hour-angle limits, [-12, 0] and [0, 12]; mirrored for sidereal targets at southern latitudes.
    zenith_blind_spot_deg
        Radius of the hole around the zenith, [0, 180]; 0 means none.

    Raises
    ------
    InvalidSite
        If a value is not a number in its range.
    """

    latitude_deg: float
    longitude_deg: float
    altitude_m: float = 0.0
    horizon_deg: float = 0.0
    ha_limit_neg_h: float = -4.9
    ha_limit_pos_h: float = 4.9
    zenith_blind_spot_deg: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("latitude_deg", -90, 90),
            ("longitude_deg", -180, 360),
            ("altitude_m", -12_000, 100_000),
            ("horizon_deg", 0, 90),
            ("ha_limit_neg_h", -12, 0),
            ("ha_limit_pos_h", 0, 12),
            ("zenith_blind_spot_deg", 0, 180),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise InvalidSite(f"{name} must be a number from {low} to {high}, not {value!r}.")


class Sky(NamedTuple):
    """The sky over a place at N instants; vectors have their components first, so that each is contiguous.

    Attributes
    ----------
    turn
        (3, 3, N) turns an apparent direction into (cos dec cos HA, cos dec sin HA, sin dec), true equator of
        date.
    zenith
        (3, N) direction of the geodetic zenith.
    observer, sun_bary
        (3, N) barycentric positions, au.
    beta
        (3, N) barycentric velocity of the observer in units of light: adds aberration to a direction.
    sun, moon
        (3, N) topocentric directions with light time, without aberration.
    moon_distance_au
        (N,) topocentric.
    sidereal
        (N,) local apparent sidereal time, radians.
    """

    turn: Float
    zenith: Float
    observer: Float
    sun_bary: Float
    beta: Float
    sun: Float
    moon: Float
    moon_distance_au: Float
    sidereal: Float

    def pick(self, columns: slice | NDArray[np.intp]) -> "Sky":
        """Return the sky at some of the instants."""
        return Sky(*(field[..., columns] for field in self))

    def sin_altitude(self, astrometric: Float) -> Float:
        """Return sin(altitude), (N,), of directions (3, N) to which aberration is yet to be added."""
        seen = astrometric + self.beta
        return dot(seen, self.zenith) / np.sqrt(dot(seen, seen))

    def moon_margin(self) -> Float:
        """Return a function, (N,), that is positive while the refracted upper limb of the Moon is up."""
        lowest = -np.radians(MOON_REFRACTION_DEG) - np.arcsin(MOON_RADIUS_AU / self.moon_distance_au)
        return np.asarray(self.sin_altitude(self.moon) - np.sin(lowest))

    def moon_phase(self) -> Float:
        """Return (1 - cos elongation) / 2, (N,), of the apparent topocentric Moon: 0 new, 1 full."""
        half = (1 - dot(self.sun, self.moon)) / 2
        return np.asarray(half / ((1 + dot(self.beta, self.sun)) * (1 + dot(self.beta, self.moon))))


def dot(a: Float, b: Float) -> Float:
    """Return the scalar products of vectors with their components first."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def lagrange(x: Float, count: int) -> tuple[NDArray[np.intp], Float]:
    """Return the first of four neighbouring nodes and their weights (4, N) for `x` in units of nodes."""
    index = np.clip(np.floor(x).astype(np.intp) - 1, 0, count - 4)
    u = x - index
    u1, u2, u3 = u - 1, u - 2, u - 3
    return index, np.stack((-u1 * u2 * u3 / 6, u * u2 * u3 / 2, -u * u1 * u3 / 2, u * u1 * u2 / 6))


class WindowFrame:
    """What all sites share over whole days.

    Parameters
    ----------
    first_day
        Days since the Unix epoch, TT; the frame's zero.
    days
        Length.

    Raises
    ------
    OutsideEphemeris
        If the days leave the packaged ephemeris.
    """

    def __init__(self, first_day: int, days: int) -> None:
        self.zero_tt_us = first_day * US_PER_DAY
        self.days = days
        count = int(days * 86400 / NODE_S) + 5
        self._node_first_s = -2 * NODE_S
        node_us = self.zero_tt_us + ((np.arange(count) - 2) * int(NODE_S * 1e6)).astype(np.int64)
        self._nodes = solar_system(node_us)
        day = np.arange(-1, days + 2)
        tt = JD_UNIX + first_day + day
        tt_us = self.zero_tt_us + day * US_PER_DAY
        tai_us = tt_us - TT_MINUS_TAI_US
        ut1_s = ut1_minus_tai_s(tai_us) - TT_MINUS_TAI_US * 1e-6  # UT1-TT
        matrix = erfa.pnm00b(tt, 0.0)
        gast = erfa.gst06(tt, ut1_s / 86400, tt, 0.0, matrix)
        residual = gast - EARTH_RATE * 86400.0 * day
        residual = residual[0] + (residual - residual[0] + np.pi) % (2 * np.pi) - np.pi
        self._orientation = np.column_stack((matrix.reshape(-1, 9), residual))
        self.grid_s: Float = np.arange(-2.0, int(days * 86400 / GRID_S) + 3) * GRID_S
        self.nbytes = int(self._nodes.nbytes + self._orientation.nbytes + self.grid_s.nbytes)

    def bodies(self, seconds: Float) -> Float:
        """Return the rows of `ephemeris.solar_system` at times (N,), shape (15, N)."""
        index, weight = lagrange((seconds - self._node_first_s) / NODE_S, len(self._nodes))
        result = weight[0][:, None] * self._nodes[index]
        for k in (1, 2, 3):
            result += weight[k][:, None] * self._nodes[index + k]
        return np.ascontiguousarray(result.T)

    def orientation(self, seconds: Float) -> tuple[Float, Float]:
        """Return GCRS to true equator of date (3, 3, N) and Greenwich apparent sidereal time (N,)."""
        x = seconds / 86400.0 + 1
        index = np.clip(x.astype(np.intp), 0, len(self._orientation) - 2)
        before = self._orientation[index]
        nodes = before + (x - index)[:, None] * (self._orientation[index + 1] - before)
        nodes = np.ascontiguousarray(nodes.T)
        return nodes[:9].reshape(3, 3, -1), nodes[9] + EARTH_RATE * seconds


@dataclass(frozen=True)
class Nights:
    """Dark pieces of a frame, none longer than 16 h so that aberration can stand still within one.

    Attributes
    ----------
    pieces
        (N, 2) microseconds since the frame's zero; pieces of one night touch.
    middle_s
        (N,) seconds.
    sky
        The sky at the middles.
    """

    pieces: Intervals
    middle_s: Float
    sky: Sky


class SiteFrame:
    """A window frame over one place; limits of the telescope do not enter."""

    def __init__(
        self, window: WindowFrame, latitude_deg: float, longitude_deg: float, altitude_m: float
    ) -> None:
        self.window = window
        self.latitude = float(np.radians(latitude_deg))
        self._longitude = float(np.radians(longitude_deg))
        x, _, z = erfa.gd2gc(1, 0.0, self.latitude, altitude_m)
        self._axis_distance_au, self._height_au = x / 1000 / AU_KM, z / 1000 / AU_KM
        self._nights: dict[str, Nights] = {}
        self.nbytes = 450 * len(window.grid_s)

    def at(self, seconds: Float) -> Sky:
        """Return the sky at times (N,), seconds since the frame's zero."""
        bodies = self.window.bodies(seconds)
        matrix, gast = self.window.orientation(seconds)
        sidereal = gast + self._longitude
        cos, sin = np.cos(sidereal), np.sin(sidereal)
        turn = np.empty_like(matrix)
        turn[0] = cos * matrix[0] + sin * matrix[1]
        turn[1] = sin * matrix[0] - cos * matrix[1]
        turn[2] = matrix[2]
        offset = self._axis_distance_au * turn[0] + self._height_au * turn[2]
        drift = -(EARTH_RATE * 86400 * self._axis_distance_au) * turn[1]
        earth, earth_rate, sun, moon, moon_rate = bodies.reshape(5, 3, -1)
        sun_bary = earth + sun
        sun = sun - offset
        moon = moon - offset
        moon_distance = np.sqrt(dot(moon, moon))
        moon = moon - (moon_distance / LIGHT_AU_PER_DAY) * (earth_rate + moon_rate)
        return Sky(
            turn=turn,
            zenith=np.cos(self.latitude) * turn[0] + np.sin(self.latitude) * turn[2],
            observer=earth + offset,
            sun_bary=sun_bary,
            beta=(earth_rate + drift) / LIGHT_AU_PER_DAY,
            sun=sun / np.sqrt(dot(sun, sun)),
            moon=moon / np.sqrt(dot(moon, moon)),
            moon_distance_au=moon_distance,
            sidereal=sidereal,
        )

    @cached_property
    def grid(self) -> Sky:
        """The sky on the window's 30-minute grid."""
        return self.at(self.window.grid_s)

    @cached_property
    def grid_phase(self) -> Float:
        """Moon phase on the grid."""
        return self.grid.moon_phase()

    @cached_property
    def moon_up(self) -> Intervals:
        """When the Moon's upper limb is up, microseconds since the frame's zero."""
        return self._positive(self.grid.moon_margin(), lambda _, t: self.at(t).moon_margin())

    def sun_below(self, altitude_deg: float) -> Intervals:
        """Return when the Sun's centre is below an altitude, microseconds since the frame's zero."""
        limit = np.sin(np.radians(altitude_deg))

        def margin(sky: Sky) -> Float:
            return np.asarray(limit - sky.sin_altitude(sky.sun))

        return self._positive(margin(self.grid), lambda _, t: margin(self.at(t)))

    def nights(self, twilight: str) -> Nights:
        """Return the dark pieces, cached per kind of twilight."""
        if twilight not in self._nights:
            dark = self.sun_below(twilight_deg(twilight))
            count = np.ceil((dark[:, 1] - dark[:, 0]) / (NIGHT_PIECE_S * 1e6)).astype(np.int64)
            night = np.repeat(np.arange(len(dark)), count)
            part = np.arange(len(night)) - np.repeat(np.cumsum(count) - count, count)
            length, parts = (dark[:, 1] - dark[:, 0])[night], count[night]
            pieces = dark[night, :1] + np.stack(
                (length * part // parts, length * (part + 1) // parts), axis=1
            )
            middle_s: Float = pieces.sum(axis=1) / 2e6
            self._nights[twilight] = Nights(pieces, middle_s, self.at(middle_s))
        return self._nights[twilight]

    def _positive(self, values: Float, exact: crossings.Exact) -> Intervals:
        active = np.ones(len(values), bool)
        active[:1] = active[-1:] = False
        return crossings.positive(values[None], self.window.grid_s, active, exact)


def twilight_deg(twilight: str) -> float:
    """Return the Sun's altitude that ends a kind of twilight.

    Raises
    ------
    InvalidArgument
        If there is no such kind.
    """
    if twilight not in TWILIGHT_DEG:
        raise InvalidArgument(f"twilight must be one of {', '.join(TWILIGHT_DEG)}, not {twilight!r}.")
    return TWILIGHT_DEG[twilight]


class _Sized(Protocol):
    nbytes: int


T = TypeVar("T", bound=_Sized)


@dataclass
class _Cache:
    """Least recently used frames, bounded in bytes; two threads may at worst build the same frame."""

    limit_bytes: int
    _entries: "OrderedDict[Hashable, _Sized]" = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                return entry  # type: ignore[return-value]
        made = build()
        with self._lock:
            if key not in self._entries:
                self._entries[key] = made
                self._bytes += made.nbytes
                while self._bytes > self.limit_bytes and len(self._entries) > 1:
                    self._bytes -= self._entries.popitem(last=False)[1].nbytes
        return made

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0


_cache = _Cache(CACHE_BYTES)


def clear_cache() -> None:
    """Forget all frames; for measurements from cold."""
    _cache.clear()


def window_frame(start_tt_us: int, end_tt_us: int) -> WindowFrame:
    """Return the cached frame over a span of at most `SEGMENT_DAYS`, microseconds TT.

    Raises
    ------
    OutsideEphemeris
        If the span leaves the packaged ephemeris.
    """
    check_covered(start_tt_us, end_tt_us)
    block_us = BLOCK_DAYS * US_PER_DAY
    first = start_tt_us // block_us
    count = -(-end_tt_us // block_us) - first
    days = max(int(count), 1) * BLOCK_DAYS
    return _cache.get((int(first), days), lambda: WindowFrame(int(first) * BLOCK_DAYS, days))


def site_frame(site: Site, window: WindowFrame) -> SiteFrame:
    """Return the cached frame of a site."""
    place = (site.latitude_deg, site.longitude_deg, site.altitude_m)
    return _cache.get((window.zero_tt_us, window.days, place), lambda: SiteFrame(window, *place))


def segments(start_tt_us: int, end_tt_us: int) -> list[tuple[int, int]]:
    """Return a span cut into pieces of at most `SEGMENT_DAYS` that start on block borders."""
    block_us = BLOCK_DAYS * US_PER_DAY
    step = SEGMENT_DAYS * US_PER_DAY
    border = start_tt_us // block_us * block_us + step
    cuts = [start_tt_us, *range(border, end_tt_us, step), end_tt_us]
    return list(pairwise(cuts))
