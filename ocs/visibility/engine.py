"""When targets are observable: the public questions, answered for whole batches at once.

Sidereal targets have a closed form: within a night the apparent place stands still, so the time above an
altitude is transit +- H0. The other targets, and the Moon's distance, are sampled on a grid and their sign
changes refined (`ocs.visibility.crossings`). All intervals of all rows live on one integer line, where set
operations are a few binary searches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ocs.visibility import airmass, crossings
from ocs.visibility.crossings import ROW_BITS, ROW_MASK
from ocs.visibility.ephemeris import check_covered
from ocs.visibility.errors import InvalidArgument
from ocs.visibility.frame import (
    EARTH_RATE,
    GRID_S,
    LIGHT_AU_PER_DAY,
    NODE_S,
    Nights,
    Site,
    SiteFrame,
    Sky,
    dot,
    lagrange,
    segments,
    site_frame,
    twilight_deg,
    window_frame,
)
from ocs.visibility.intervals import (
    Intervals,
    coalesce,
    empty,
    intersect,
    intersect_many,
    subtract,
    total,
)
from ocs.visibility.targets import (
    CONIC,
    FAILED,
    SIDEREAL,
    STATIC,
    TRACK,
    RowError,
    TargetBatch,
    Track,
)
from ocs.visibility.timebase import MJD_UNIX, US_PER_DAY, from_tt, to_datetime, to_tt

Float = NDArray[np.float64]
Index = NDArray[np.intp]

MOON_DISTANCE_SKIP_DEG = 0.5
MOON_PHASE_SKIP = 0.99
SIDEREAL_DAY_S = 2 * np.pi / EARTH_RATE
BUDGET_STEPS = ("window", "dark", "altitude", "hour_angle", "zenith", "moon_distance", "moon_phase")

_COARSE = 3  # the first look at the Moon takes every third grid column,
_MOON_MARGIN_DEG = 1.6  # within which it moves less than this
_BLOCK_ELEMENTS = 16_000  # rows x nights per block: the temporaries stay in the CPU cache


@dataclass(frozen=True)
class Constraints:
    """Limits of a configuration, each one number for all targets or one per target.

    Parameters
    ----------
    max_airmass
        Plane-parallel; 0 or None: no limit but the telescope's horizon.
    min_lunar_distance_deg
        Applied whether or not the Moon is up; 0.5 or less: no limit.
    max_lunar_phase
        Applied while the Moon is up; 0.99 or more: no limit.
    """

    max_airmass: ArrayLike | None = 1.6
    min_lunar_distance_deg: ArrayLike = 30.0
    max_lunar_phase: ArrayLike = 1.0

    @classmethod
    def from_wire(cls, constraints: Sequence[Any]) -> "Constraints":
        """Return one row per wire `constraints` object; what is no number becomes NaN and so a row error."""

        def column(name: str, default: float, none: float) -> Float:
            return np.array([_wire_number(row, name, default, none) for row in constraints], np.float64)

        return cls(
            max_airmass=column("max_airmass", 1.6, 0.0),
            min_lunar_distance_deg=column("min_lunar_distance", 30.0, 0.0),
            max_lunar_phase=column("max_lunar_phase", 1.0, 1.0),
        )


def _wire_number(row: Any, name: str, default: float, none: float) -> float:
    if not isinstance(row, Mapping):
        return np.nan
    value = row.get(name, default)
    if value is None:
        return none
    try:
        return np.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


@dataclass(frozen=True, eq=False)
class Visibility:
    """Observable intervals of T targets at S sites.

    Attributes
    ----------
    owner
        (n, 2) int32: target and site of each interval.
    start, end
        (n,) int64 microseconds since the Unix epoch, UTC; sorted by owner, then start.
    errors
        T entries: why a target could not be computed, or None.
    """

    owner: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    errors: tuple[RowError | None, ...]

    def intervals(self, target: int, site: int = 0) -> Intervals:
        """Return the intervals of one target at one site, (n, 2)."""
        owner = (self.owner[:, 0].astype(np.int64) << 32) + self.owner[:, 1]
        first, last = np.searchsorted(owner, (target << 32) + site + np.arange(2))
        return np.stack((self.start[first:last], self.end[first:last]), axis=1)


@dataclass(frozen=True, eq=False)
class Samples:
    """What plots need, T targets x N times at one site.

    Attributes
    ----------
    altitude_deg, azimuth_deg, hour_angle_h, ra_deg, dec_deg
        (T, N) apparent and unrefracted, true equator of date; azimuth from north through east. NaN where the
        target has no computable place.
    airmass
        (T, N) sec z; NaN at or below 3 deg.
    displayed_airmass
        (T, N) refracted polynomial, at most 13.37.
    moon_distance_deg
        (T, N) topocentric.
    sun_altitude_deg, moon_altitude_deg, moon_phase
        (N,) centres, unrefracted; phase from 0 new to 1 full.
    errors
        T entries, None where the row is fine.
    """

    altitude_deg: Float
    azimuth_deg: Float
    hour_angle_h: Float
    ra_deg: Float
    dec_deg: Float
    airmass: Float
    displayed_airmass: Float
    moon_distance_deg: Float
    sun_altitude_deg: Float
    moon_altitude_deg: Float
    moon_phase: Float
    errors: tuple[RowError | None, ...]


class _Limits(NamedTuple):
    """Checked constraints, one value per target."""

    max_airmass: Float
    moon_distance_deg: Float
    moon_phase: Float
    errors: tuple[RowError | None, ...]
    kind: NDArray[np.int8]


def _limits(batch: TargetBatch, constraints: Constraints) -> _Limits:
    """Return constraints as rows; a row with an impossible value joins the failed ones."""
    count = len(batch)
    columns = []
    errors, kind = list(batch.errors), batch.kind
    for name, value, none, low, high in (
        ("max_airmass", constraints.max_airmass, 0.0, 1.0, np.inf),
        ("min_lunar_distance", constraints.min_lunar_distance_deg, 0.0, 0.0, 180.0),
        ("max_lunar_phase", constraints.max_lunar_phase, 1.0, 0.0, 1.0),
    ):
        column = np.asarray(none if value is None else value, np.float64)
        if column.shape not in ((), (count,)):
            raise InvalidArgument(
                f"{name} must be one number or one per target ({count}), not {column.shape}."
            )
        is_good = ((column >= low) & (column <= high)) | (column == none)
        if not is_good.all():
            kind = kind.copy()
            for row in np.flatnonzero(~np.broadcast_to(is_good, (count,)) & (kind != FAILED)):
                errors[row] = RowError("bad_constraint", f"{name} must be a number from {low:g} to {high:g}.")
                kind[row] = FAILED
            column = np.where(is_good, column, none)
        columns.append(np.broadcast_to(column, (count,)))
    max_airmass, moon_distance_deg, moon_phase = columns
    return _Limits(max_airmass, moon_distance_deg, moon_phase, tuple(errors), kind)


def observable(
    batch: TargetBatch,
    sites: Sequence[Site],
    start_us: int,
    end_us: int,
    constraints: Constraints,
    twilight: str = "nautical",
) -> Visibility:
    """Return when each target can be observed from each site.

    Parameters
    ----------
    batch
        T targets.
    sites
        S sites.
    start_us, end_us
        Window, microseconds since the Unix epoch, UTC. An empty or reversed window has no intervals.
    constraints
        Limits, scalars or (T,).
    twilight
        ``sunrise``/``sunset``, ``civil``, ``nautical`` or ``astronomical``: how dark it must be.

    Returns
    -------
    Visibility
        Dark, above the altitude limit, within the hour-angle limits, outside the zenith hole, far enough from
        the Moon and, while the Moon is up, with little enough of it lit. Static targets need only darkness
        and phase.

    Raises
    ------
    OutsideEphemeris
        If the window leaves the packaged ephemeris.
    InvalidArgument
        If twilight is unknown or the constraints do not match the batch.
    """
    limits = _limits(batch, constraints)
    twilight_deg(twilight)
    errors = list(limits.errors)
    start_tt, end_tt = int(to_tt(start_us)), int(to_tt(end_us))
    owners, pieces = [], []
    if start_us < end_us:
        check_covered(start_us, end_us)
        _check_tracks(batch, start_tt, end_tt, errors)
        for low, high in segments(start_tt, end_tt):
            window = window_frame(low, high)
            zero = window.zero_tt_us
            span = np.array([[low - zero, high - zero]], np.int64)
            for index, site in enumerate(sites):
                look = _Look(site_frame(site, window), site, batch, limits, span, twilight, errors)
                for first, found in look.blocks():
                    row = found[:, 0] >> ROW_BITS
                    owners.append((row + first) * len(sites) + index)
                    pieces.append((found & ROW_MASK) + zero)
    if not pieces:
        none = np.empty(0, np.int64)
        return Visibility(np.empty((0, 2), np.int32), none, none, tuple(errors))
    owner, piece = _in_order(np.concatenate(owners), np.concatenate(pieces), len(pieces) > 1)
    failed = [row for row, error in enumerate(errors) if error is not None]
    if failed:  # a row may have failed in one segment of the window only
        kept = ~np.isin(owner // max(len(sites), 1), failed)
        owner, piece = owner[kept], piece[kept]
    utc = from_tt(piece)
    split = np.stack(np.divmod(owner, max(len(sites), 1)), axis=1).astype(np.int32)
    return Visibility(split, utc[:, 0], utc[:, 1], tuple(errors))


def _check_tracks(batch: TargetBatch, start_tt: int, end_tt: int, errors: list[RowError | None]) -> None:
    """Tell of tracks that say nothing about the window."""
    for row, track in batch.tracks.items():
        first, last = track.span()
        if last <= start_tt or first >= end_tt:
            known = [f"{to_datetime(int(t)):%Y-%m-%dT%H:%M:%SZ}" for t in from_tt((first, last))]
            errors[row] = RowError(
                "outside_ephemeris",
                f"The positions given hold from {known[0]} to {known[1]} only, outside the window.",
            )


def _in_order(
    owner: NDArray[np.int64], piece: Intervals, is_mixed: bool
) -> tuple[NDArray[np.int64], Intervals]:
    """Return intervals sorted by owner and start, joined where a segment's border had cut them."""
    if is_mixed:
        order = np.lexsort((piece[:, 0], owner))
        owner, piece = owner[order], piece[order]
        starts_new = np.ones(len(owner), bool)
        starts_new[1:] = (owner[1:] != owner[:-1]) | (piece[1:, 0] > piece[:-1, 1])
        if not starts_new.all():
            ends = np.append(starts_new[1:], True)
            owner, piece = owner[starts_new], np.stack((piece[starts_new, 0], piece[ends, 1]), axis=1)
    return owner, piece


def together(
    batch: TargetBatch,
    sites: Sequence[Site],
    windows: Sequence[tuple[int, int]],
    constraints: Constraints,
    twilight: str = "nautical",
) -> list[Intervals]:
    """Return, per site, when all targets of one request can be observed at once.

    Parameters
    ----------
    batch, constraints
        The request's distinct (target, constraints) pairs, row by row. Rows that cannot be computed are left
        out; if none is left there is no interval.
    sites
        S sites.
    windows
        The request's windows, microseconds UTC.

    Returns
    -------
    list of ndarray
        S interval sets, (n, 2).
    """
    found: list[list[Intervals]] = [[] for _ in sites]
    for start_us, end_us in windows:
        answer = observable(batch, sites, start_us, end_us, constraints, twilight)
        usable = [row for row in range(len(batch)) if answer.errors[row] is None]
        for index in range(len(sites)):
            found[index].append(intersect_many([answer.intervals(row, index) for row in usable]))
    return [coalesce(np.concatenate(pieces)) if pieces else empty() for pieces in found]


def dark(site: Site, start_us: int, end_us: int, twilight: str = "nautical") -> Intervals:
    """Return when it is dark at a site: the Sun's centre, unrefracted, below the twilight altitude.

    Parameters
    ----------
    site
        Place; its limits do not matter.
    start_us, end_us
        Window, microseconds UTC.
    twilight
        Kind of twilight.

    Returns
    -------
    ndarray
        (n, 2) microseconds UTC.

    Raises
    ------
    OutsideEphemeris
        If the window leaves the packaged ephemeris.
    InvalidArgument
        If twilight is unknown.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from ocs.visibility.timebase import from_datetime
    >>> lsc = Site(-30.1673472222, -70.8046722222)
    >>> night = dark(lsc, *(from_datetime(datetime(2013, 12, d, tzinfo=UTC)) for d in (10, 11)))
    >>> [f"{to_datetime(t):%H:%M:%S}" for t in night.ravel()]
    ['00:37:37', '08:34:10']
    """
    level = twilight_deg(twilight)
    return _over_segments(site, start_us, end_us, lambda frame: frame.sun_below(level))


def moon_up(site: Site, start_us: int, end_us: int) -> Intervals:
    """Return when the refracted upper limb of the Moon is above the horizon, (n, 2) microseconds UTC."""
    return _over_segments(site, start_us, end_us, lambda frame: frame.moon_up)


def _over_segments(
    site: Site, start_us: int, end_us: int, find: Callable[[SiteFrame], Intervals]
) -> Intervals:
    if start_us >= end_us:
        return empty()
    check_covered(start_us, end_us)
    pieces = []
    for low, high in segments(int(to_tt(start_us)), int(to_tt(end_us))):
        frame = site_frame(site, window_frame(low, high))
        zero = frame.window.zero_tt_us
        pieces.append(intersect(find(frame), np.array([[low - zero, high - zero]], np.int64)) + zero)
    return from_tt(coalesce(np.concatenate(pieces)))


def budget(
    batch: TargetBatch,
    site: Site,
    start_us: int,
    end_us: int,
    constraints: Constraints,
    twilight: str = "nautical",
) -> Float:
    """Return how many seconds each constraint in turn leaves of the window: the answer to *why not*.

    Parameters
    ----------
    batch, site, start_us, end_us, constraints, twilight
        As for `observable`.

    Returns
    -------
    ndarray
        (T, 7) seconds left after `BUDGET_STEPS`: window, dark, altitude, hour_angle, zenith, moon_distance,
        moon_phase. Rows with an error keep the first two and have zeros after them.
    """
    seconds = np.zeros((len(batch), len(BUDGET_STEPS)))
    seconds[:, 0] = max(end_us - start_us, 0) * 1e-6
    seconds[:, 1] = total(dark(site, start_us, end_us, twilight)) * 1e-6
    bare = replace(site, ha_limit_neg_h=-12.0, ha_limit_pos_h=12.0, zenith_blind_spot_deg=0.0)
    with_ha = replace(site, zenith_blind_spot_deg=0.0)
    no_moon = replace(constraints, min_lunar_distance_deg=0.0, max_lunar_phase=1.0)
    no_phase = replace(constraints, max_lunar_phase=1.0)
    _limits(batch, constraints)
    steps = ((bare, no_moon), (with_ha, no_moon), (site, no_moon), (site, no_phase), (site, constraints))
    final = None
    for column, (place, limits) in enumerate(steps, start=2):
        final = observable(batch, [place], start_us, end_us, limits, twilight)
        length = (final.end - final.start) * 1e-6
        seconds[:, column] = np.bincount(final.owner[:, 0], weights=length, minlength=len(batch))
    failed = [row for row in range(len(batch)) if final is not None and final.errors[row] is not None]
    seconds[failed, 2:] = 0.0
    return seconds


class _Look:
    """One segment of a window, one site, all targets: finds keyed intervals block by block."""

    def __init__(
        self,
        frame: SiteFrame,
        site: Site,
        batch: TargetBatch,
        limits: _Limits,
        span: Intervals,
        twilight: str,
        errors: list[RowError | None],
    ) -> None:
        self.frame, self.site, self.batch, self.limits, self.errors = frame, site, batch, limits, errors
        self.span = span
        nights = frame.nights(twilight)
        kept = slice(
            int(np.searchsorted(nights.pieces[:, 1], span[0, 0], side="right")),
            int(np.searchsorted(nights.pieces[:, 0], span[0, 1], side="left")),
        )
        pieces = np.clip(nights.pieces[kept], span[0, 0], span[0, 1])
        self.nights = Nights(pieces, nights.middle_s[kept], nights.sky.pick(kept))
        self.dark = coalesce(pieces)
        self.sin_min = airmass.sin_minimum_altitude(site.horizon_deg, limits.max_airmass)
        self.sin_min_moving = airmass.sin_minimum_altitude(
            site.horizon_deg, limits.max_airmass, sidereal=False
        )
        self.sin_hole = np.sin(np.radians(90.0 - site.zenith_blind_spot_deg))
        self._columns: tuple[Index, NDArray[np.bool_]] | None = None

    def blocks(self) -> Iterator[tuple[int, Intervals]]:
        """Yield the first row of each block and its intervals, keyed from that row on."""
        if not len(self.dark):
            return
        size = int(np.clip(_BLOCK_ELEMENTS // len(self.nights.pieces), 64, 4096))
        for first in range(0, len(self.batch), size):
            yield first, self._block(np.arange(first, min(first + size, len(self.batch))))

    def _block(self, rows: Index) -> Intervals:
        kind = self.limits.kind[rows]
        parts = []
        for wanted, find in ((SIDEREAL, self._sidereal), (CONIC, self._conic), (TRACK, self._tracks)):
            local = np.flatnonzero(kind == wanted)
            if len(local):
                found = find(rows[local])
                parts.append(found if len(local) == len(rows) else crossings.relabel(found, local))
        local = np.flatnonzero(kind == STATIC)
        if len(local):
            parts.append(crossings.spread(self.dark, local))
        if not parts:
            return empty()
        found = parts[0] if len(parts) == 1 else coalesce(np.concatenate(parts))
        return self._without_moonlight(found, self.limits.moon_phase[rows])

    # --- sidereal targets

    def _sidereal(self, rows: Index) -> Intervals:
        nights, batch = self.nights, self.batch
        sky = nights.sky
        count = len(nights.middle_s)
        turn = sky.turn.transpose(0, 2, 1).reshape(3 * count, 3)
        x, y, z = local = (turn @ batch.unit[rows].T).reshape(3, count, len(rows))
        local += np.einsum("ijn,jn->in", sky.turn, sky.beta)[:, :, None]
        motion = batch.motion[rows]
        if motion.any():
            days = (self._mjd(nights.middle_s)[:, None] - batch.epoch_mjd[rows])[None]
            local += (turn @ motion.T).reshape(local.shape) * days
        parallax = batch.parallax[rows]
        if parallax.any():
            local -= np.einsum("ijn,jn->in", sky.turn, sky.observer)[:, :, None] * parallax
        axis2 = x * x + y * y
        length = np.sqrt(axis2 + z * z)
        reach = np.maximum(np.cos(self.frame.latitude) * np.sqrt(axis2), 1e-12)
        polar = np.sin(self.frame.latitude) * z
        transit = nights.middle_s[:, None] - np.arctan2(y, x) / EARTH_RATE
        half = _half_arc((self.sin_min[rows] * length - polar) / reach)
        neg, pos = self.site.ha_limit_neg_h, self.site.ha_limit_pos_h
        if self.frame.latitude < 0:
            neg, pos = -pos, -neg
        rise = fall = half
        if neg > -12 or pos < 12:
            rise = np.minimum(half, -neg * np.pi / 12 / EARTH_RATE)
            fall = np.minimum(half, pos * np.pi / 12 / EARTH_RATE)
        found = self._around_transits(transit, rise, fall)
        if self.site.zenith_blind_spot_deg >= 180:
            return empty()
        if self.site.zenith_blind_spot_deg > 0:
            hole = _half_arc((self.sin_hole * length - polar) / reach)
            found = subtract(found, self._around_transits(transit, hole, hole))
        return self._far_from_moon(found, rows)

    def _around_transits(self, transit: Float, before: Float, after: Float) -> Intervals:
        """Return [transit - before, transit + after], repeated each sidereal day, within the dark pieces."""
        night = self.nights.pieces[:, :, None] * 1e-6
        again = transit + np.array([-SIDEREAL_DAY_S, 0.0, SIDEREAL_DAY_S])[:, None, None]
        start = np.maximum(again - before, night[:, 0])
        end = np.minimum(again + after, night[:, 1])
        row, piece, turn = np.nonzero(np.ascontiguousarray((end > start).transpose(2, 1, 0)))
        return coalesce(crossings.keyed(row, start[turn, piece, row], end[turn, piece, row]))

    def _far_from_moon(self, found: Intervals, rows: Index) -> Intervals:
        """Cut sidereal intervals to where the Moon is far enough.

        Aberration is a Lorentz boost: with unaberrated n and m a seen separation s follows
        ``1 - cos s = (1 - n.m) / ((1 + b.n)(1 + b.m))``, so that no direction need be aberrated at each time.
        """
        limit = self.limits.moon_distance_deg[rows]
        row = found[:, 0] >> ROW_BITS
        is_limited = np.zeros(len(rows), bool)
        is_limited[row] = limit[row] > MOON_DISTANCE_SKIP_DEG
        if not is_limited.any():
            return found
        columns, active = self._night_columns()
        moon = self.frame.grid.moon[:, columns]
        middle_s = float(self.span.mean()) * 1e-6
        directions = self.batch.unit[rows]
        if self.batch.motion[rows].any() or self.batch.parallax[rows].any():
            observer = self.frame.at(np.array([middle_s])).observer[:, 0]
            directions = self.batch.directions(rows, float(self._mjd(middle_s)), observer)
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        coarse = np.unique(np.append(np.arange(0, len(columns), _COARSE), np.flatnonzero(~active)))
        cos = directions @ moon[:, coarse]
        near, far = np.radians(np.maximum(limit - _MOON_MARGIN_DEG, 0)), np.radians(limit + _MOON_MARGIN_DEG)
        is_far = cos.max(axis=1) < np.cos(np.minimum(far, np.pi))
        is_near = cos.min(axis=1) > np.cos(near)
        mixed = np.flatnonzero(is_limited & ~is_far & ~is_near)
        parts = [found[(is_far | ~is_limited)[row]]]
        if len(mixed):
            beta = self.frame.grid.beta[:, columns]
            weight = (1 - np.cos(np.radians(limit[mixed])))[:, None] * (1 + dot(beta, moon))
            n = directions[mixed]
            margin = 1 - n @ moon - weight * (1 + n @ beta)
            allowed = crossings.positive(margin, self.frame.window.grid_s[columns], active)
            parts.append(intersect(found, crossings.relabel(allowed, mixed)))
        return coalesce(np.concatenate(parts))

    # --- moving targets

    def _conic(self, rows: Index) -> Intervals:
        """Return intervals of orbits: two-body states at nodes, cubics between, light time at each sample."""
        conics, window = self.batch.conics, self.frame.window
        index = self.batch.conic_row[rows]
        daily_s: Float = np.arange(-1.0, window.days + 2) * 86400.0
        fast_s: Float = np.arange(-2.0, window.days * 86400 / NODE_S + 3) * NODE_S
        states = conics.states(self._mjd(daily_s), index)
        earth_sun = window.bodies(daily_s)[6:9, None]
        with np.errstate(all="ignore"):
            sun2 = (states[:3] ** 2).sum(axis=0).min(axis=1)
            earth2 = ((states[:3] + earth_sun) ** 2).sum(axis=0).min(axis=1)
            # size of the fourth difference of the orbit over a day, seen from the Earth
            is_fast = 8e-9 * sun2**-2.5 > 1e-7 * np.sqrt(earth2)
            is_fast |= earth2 < 0.1**2
        is_lost = ~np.isfinite(states).all(axis=(0, 2))
        self._fail(rows[is_lost], "not_computable", "The elements lead to no finite position in this window.")
        parts = []
        for chosen, node_s in (
            (~is_fast & ~is_lost, daily_s),
            (is_fast & ~is_lost, fast_s),
        ):
            local = np.flatnonzero(chosen)
            if len(local):
                nodes = (
                    states[:, local] if node_s is daily_s else conics.states(self._mjd(node_s), index[local])
                )
                moving = _Orbits(nodes, node_s)
                columns, active = self._night_columns()
                sky = self.frame.grid.pick(columns)
                seen = moving.on_grid(window.grid_s[columns], sky)
                exact = partial(moving.seen, frame=self.frame)
                found = self._moving(rows[local], self.dark, seen, sky, window.grid_s[columns], active, exact)
                parts.append(crossings.relabel(found, local))
        return coalesce(np.concatenate(parts)) if parts else empty()

    def _tracks(self, rows: Index) -> Intervals:
        """Return intervals of satellites and tables on a fine grid: night by night, to bound the memory."""
        parts = [empty()]
        zero = self.frame.window.zero_tt_us
        for piece in self.nights.pieces:
            grids: dict[float, tuple[Float, NDArray[np.bool_], Sky]] = {}
            for local, row in enumerate(rows):
                track = self.batch.tracks[int(row)]
                dark = intersect(piece[None], np.array([track.span()], np.int64) - zero)
                if not len(dark) or self.errors[int(row)] is not None:
                    continue
                if track.step_s not in grids:
                    times_s, active = _around(piece * 1e-6, track.step_s)
                    grids[track.step_s] = times_s, active, self.frame.at(times_s)
                times_s, active, sky = grids[track.step_s]

                def exact(_: Index, seconds: Float, track: Track = track) -> tuple[Float, Sky]:
                    at = self.frame.at(seconds)
                    return _seen_track(track, self.frame, seconds, at), at

                seen = _seen_track(track, self.frame, times_s, sky)
                if not np.isfinite(seen).all():
                    self._fail(
                        rows[[local]], "not_computable", "The orbit cannot be propagated to this window."
                    )
                    continue
                found = self._moving(rows[[local]], dark, seen[:, None], sky, times_s, active, exact)
                parts.append(crossings.relabel(found, np.array([local])))
        return coalesce(np.concatenate(parts))

    def _moving(
        self,
        rows: Index,
        dark: Intervals,
        seen: Float,
        sky: Sky,
        times_s: Float,
        active: NDArray[np.bool_],
        exact: "_Exact",
    ) -> Intervals:
        """Return intervals within `dark` of rows with sampled apparent directions (3, R, C)."""
        site, latitude = self.site, self.frame.latitude
        found = crossings.spread(dark, np.arange(len(rows)))
        sin_min = self.sin_min_moving[rows]
        margins: list[Callable[[Float, Float, Float, Sky, Index], Float]] = [
            lambda x, y, z, sky, row: np.cos(latitude) * x + np.sin(latitude) * z - sin_min[row]
        ]
        if site.ha_limit_neg_h > -12 or site.ha_limit_pos_h < 12:
            centre = (site.ha_limit_pos_h + site.ha_limit_neg_h) * np.pi / 24
            half = (site.ha_limit_pos_h - site.ha_limit_neg_h) * np.pi / 24
            margins.append(
                lambda x, y, z, sky, row: (
                    x * np.cos(centre) + y * np.sin(centre) - np.cos(half) * np.sqrt(x * x + y * y)
                )
            )
        if site.zenith_blind_spot_deg >= 180:
            return empty()
        if site.zenith_blind_spot_deg > 0:
            margins.append(
                lambda x, y, z, sky, row: self.sin_hole - np.cos(latitude) * x - np.sin(latitude) * z
            )
        local = _turned(seen, sky)
        grid_rows = np.arange(len(rows))[:, None]

        for margin in margins:

            def at(row: Index, seconds: Float, margin: Any = margin) -> Float:
                seen, sky = exact(row, seconds)
                return np.asarray(margin(*_turned(seen, sky), sky, row))

            found = intersect(found, crossings.positive(margin(*local, sky, grid_rows), times_s, active, at))
        limit = self.limits.moon_distance_deg[rows]
        if (limit > MOON_DISTANCE_SKIP_DEG).any() and len(found):
            cos_limit = np.where(limit > MOON_DISTANCE_SKIP_DEG, np.cos(np.radians(limit)), 2.0)

            def moon_margin(seen: Float, sky: Sky, row: Index) -> Float:
                moon = _unit(sky.moon + sky.beta)
                return np.asarray(cos_limit[row] - dot(seen, moon))

            def moon_at(row: Index, seconds: Float) -> Float:
                seen, sky = exact(row, seconds)
                return moon_margin(seen, sky, row)

            found = intersect(
                found, crossings.positive(moon_margin(seen, sky, grid_rows), times_s, active, moon_at)
            )
        return found

    # --- what all kinds share

    def _without_moonlight(self, found: Intervals, limit: Float) -> Intervals:
        """Cut intervals to when the Moon is down or faint enough."""
        is_limited = limit < MOON_PHASE_SKIP
        if not is_limited.any() or not len(found):
            return found
        rows = np.flatnonzero(is_limited)
        levels, level = np.unique(limit[rows], return_inverse=True)
        active = np.ones(len(self.frame.grid_phase), bool)
        active[:1] = active[-1:] = False
        values = self.frame.grid_phase - levels[:, None]
        bright = crossings.positive(values, self.frame.window.grid_s, active)
        bad = intersect(bright, crossings.spread(self.frame.moon_up, np.arange(len(levels))))
        return subtract(found, crossings.relabel(crossings.pick(bad, level), rows))

    def _mjd(self, seconds: Any) -> Any:
        return MJD_UNIX + self.frame.window.zero_tt_us / US_PER_DAY + seconds / 86400

    def _fail(self, rows: Index, code: str, message: str) -> None:
        for row in rows:
            self.errors[int(row)] = RowError(code, message)

    def _night_columns(self) -> tuple[Index, NDArray[np.bool_]]:
        """Return the columns around the dark pieces and one more on either side, and which are not that."""
        if self._columns is None:
            count = len(self.frame.window.grid_s)
            first = (self.dark[:, 0] // int(GRID_S * 1e6)) + 2
            last = -(-self.dark[:, 1] // int(GRID_S * 1e6)) + 2
            change = np.zeros(count + 1, np.int64)
            np.add.at(change, first, 1)
            np.add.at(change, last + 1, -1)
            active = np.cumsum(change[:-1]) > 0
            near = active.copy()
            near[1:] |= active[:-1]
            near[:-1] |= active[1:]
            columns = np.flatnonzero(near)
            self._columns = columns, active[columns]
        return self._columns


_Exact = Callable[[Index, Float], tuple[Float, Sky]]


def _around(piece_s: Float, step_s: float) -> tuple[Float, NDArray[np.bool_]]:
    """Return times at a step around a piece and one more on either side, and which are not that."""
    times_s = piece_s[0] + np.arange(-1.0, np.ceil((piece_s[1] - piece_s[0]) / step_s) + 2) * step_s
    active = np.ones(len(times_s), bool)
    active[[0, -1]] = False
    return times_s, active


def _half_arc(cos: Float) -> Float:
    """Return seconds from transit to the limit; 0 if never reached, over half a turn if always above."""
    return (np.arccos(np.clip(cos, -1.0, 1.0)) + (cos <= -1.0)) / EARTH_RATE


def _unit(vectors: Float) -> Float:
    return vectors / np.sqrt(dot(vectors, vectors))


def _turned(seen: Float, sky: Sky) -> tuple[Float, Float, Float]:
    """Return (cos dec cos HA, cos dec sin HA, sin dec) of apparent directions (3, ..., N)."""
    turn = sky.turn
    return dot(seen, turn[0]), dot(seen, turn[1]), dot(seen, turn[2])


def _seen_orbit(state: Float, sky: Sky) -> Float:
    """Return apparent directions (3, ..., N) of heliocentric states (6, ..., N)."""
    shape = (3,) + (1,) * (state.ndim - 2) + (-1,)
    sight = state[:3] + (sky.sun_bary - sky.observer).reshape(shape)
    distance = np.sqrt(dot(sight, sight))
    sight -= state[3:] * (distance / LIGHT_AU_PER_DAY)
    distance = np.sqrt(dot(sight, sight))
    seen = sight / distance + sky.beta.reshape(shape)
    return _unit(seen)


def _seen_track(track: Track, frame: SiteFrame, seconds: Float, sky: Sky) -> Float:
    """Return apparent directions (3, N) of a track."""
    window = frame.window
    positions = track.positions(np.rint(seconds * 1e6).astype(np.int64) + window.zero_tt_us)
    if not track.geocentric:
        return _unit(positions.T + sky.beta)
    matrix, _ = window.orientation(seconds)
    offset = sky.observer - window.bodies(seconds)[:3]
    return _unit(np.einsum("jin,nj->in", matrix, positions) - offset)


@dataclass(frozen=True, eq=False)
class _Orbits:
    """Heliocentric states (6, R, M) at M even nodes, read between them by the cubic through four."""

    nodes: Float
    node_s: Float

    def _weights(self, seconds: Float) -> tuple[Index, Float]:
        step = self.node_s[1] - self.node_s[0]
        return lagrange((seconds - self.node_s[0]) / step, len(self.node_s))

    def on_grid(self, seconds: Float, sky: Sky) -> Float:
        """Return apparent directions (3, R, N) of all rows at times (N,)."""
        index, weight = self._weights(seconds)
        spread = np.zeros((len(self.node_s), len(seconds)))
        for k in range(4):
            spread[index + k, np.arange(len(seconds))] = weight[k]
        return _seen_orbit(self.nodes @ spread, sky)

    def seen(self, row: Index, seconds: Float, frame: SiteFrame) -> tuple[Float, Sky]:
        """Return apparent directions (3, K) of rows (K,) at times (K,), and the sky there."""
        index, weight = self._weights(seconds)
        state = sum(self.nodes[:, row, index + k] * weight[k] for k in range(4))
        sky = frame.at(seconds)
        return _seen_orbit(np.asarray(state), sky), sky


def samples(batch: TargetBatch, site: Site, times_us: ArrayLike) -> Samples:
    """Return places, airmass, Moon distance and the Sun's and Moon's own at given times.

    Parameters
    ----------
    batch
        T targets.
    site
        Place; its limits do not matter.
    times_us
        (N,) microseconds UTC, any order.

    Returns
    -------
    Samples
        Arrays (T, N) and (N,).

    Raises
    ------
    OutsideEphemeris
        If a time leaves the packaged ephemeris.
    """
    times = np.asarray(times_us, np.int64).reshape(-1)
    errors = list(batch.errors)
    wide = np.full((8, len(batch), len(times)), np.nan)
    narrow = np.full((3, len(times)), np.nan)
    tt = to_tt(times)
    chunk = tt // (16 * US_PER_DAY)
    for value in np.unique(chunk):
        chosen = np.flatnonzero(chunk == value)
        part = tt[chosen]
        frame = site_frame(site, window_frame(int(part.min()), int(part.max()) + 1))
        seconds = np.asarray((part - frame.window.zero_tt_us) * 1e-6, np.float64)
        sky = frame.at(seconds)
        seen = _seen_all(batch, frame, seconds, sky)
        wide[:, :, chosen] = _describe(seen, frame, sky)
        narrow[:, chosen] = (
            np.degrees(np.arcsin(sky.sin_altitude(sky.sun))),
            np.degrees(np.arcsin(sky.sin_altitude(sky.moon))),
            sky.moon_phase(),
        )
    is_lost = np.isin(batch.kind, (CONIC, TRACK)) & ~np.isfinite(wide[0]).any(axis=1) & (len(times) > 0)
    for row in np.flatnonzero(is_lost):
        errors[row] = RowError("not_computable", "No place can be computed at these times.")
    names = [field.name for field in fields(Samples)]
    columns = dict(zip(names, (*wide, *narrow), strict=False))
    return Samples(**columns, errors=tuple(errors))


def _seen_all(batch: TargetBatch, frame: SiteFrame, seconds: Float, sky: Sky) -> Float:
    """Return apparent directions (3, T, N) of every kind of row, NaN where there is none."""
    seen = np.full((3, len(batch), len(seconds)), np.nan)
    mjd = MJD_UNIX + frame.window.zero_tt_us / US_PER_DAY + seconds / 86400
    rows = np.flatnonzero(batch.kind == SIDEREAL)
    if len(rows):
        days = mjd - batch.epoch_mjd[rows, None]
        moved = batch.unit[rows].T[:, :, None] + batch.motion[rows].T[:, :, None] * days
        moved -= batch.parallax[rows, None] * sky.observer[:, None]
        seen[:, rows] = _unit(_unit(moved) + sky.beta[:, None])
    rows = np.flatnonzero(batch.kind == CONIC)
    if len(rows):
        with np.errstate(all="ignore"):
            seen[:, rows] = _seen_orbit(batch.conics.states(mjd, batch.conic_row[rows]), sky)
    for row, track in batch.tracks.items():
        directions = _seen_track(track, frame, seconds, sky)
        tt, (first, last) = seconds * 1e6 + frame.window.zero_tt_us, track.span()
        directions[:, (tt < first) | (tt > last)] = np.nan
        seen[:, row] = directions
    return seen


def _describe(seen: Float, frame: SiteFrame, sky: Sky) -> Float:
    """Return the eight (T, N) columns of `Samples` in their order."""
    x, y, z = _turned(seen, sky)
    sin, cos = np.sin(frame.latitude), np.cos(frame.latitude)
    altitude = np.degrees(np.arcsin(np.clip(cos * x + sin * z, -1, 1)))
    azimuth = np.degrees(np.arctan2(-y, cos * z - sin * x)) % 360
    hour_angle = np.arctan2(y, x)
    moon = _unit(sky.moon + sky.beta)
    cos_moon = dot(seen, moon)
    shown = np.where(np.isfinite(altitude), airmass.displayed(altitude), np.nan)
    return np.stack(
        (
            altitude,
            azimuth,
            hour_angle * 12 / np.pi,
            np.degrees(sky.sidereal - hour_angle) % 360,
            np.degrees(np.arcsin(np.clip(z, -1, 1))),
            airmass.secz(altitude),
            shown,
            np.degrees(np.arccos(np.clip(cos_moon, -1, 1))),
        )
    )


def displayed_airmass(batch: TargetBatch, site: Site, times_us: ArrayLike) -> Float:
    """Return the airmass to show, (T, N): refracted, 13.37 below the horizon; NaN without a place."""
    return samples(batch, site, times_us).displayed_airmass


def separation_arcsec(a: TargetBatch, b: TargetBatch, time_us: int) -> Float:
    """Return the angle between the apparent places of sidereal targets, pair by pair.

    Parameters
    ----------
    a, b
        T targets each.
    time_us
        Microseconds UTC.

    Returns
    -------
    ndarray
        (T,) arcsec; NaN for pairs that are not both sidereal.
    """
    if len(a) != len(b):
        raise InvalidArgument(
            f"Both batches must have the same number of targets, not {len(a)} and {len(b)}."
        )
    tt = int(to_tt(time_us))
    window = window_frame(tt, tt + 1)
    earth, velocity = np.split(window.bodies(np.array([(tt - window.zero_tt_us) * 1e-6]))[:6, 0], 2)
    rows = np.flatnonzero((a.kind == SIDEREAL) & (b.kind == SIDEREAL))
    beta = velocity[:, None] / LIGHT_AU_PER_DAY
    mjd = MJD_UNIX + tt / US_PER_DAY
    first, second = (_unit(_unit(batch.directions(rows, mjd, earth).T) + beta) for batch in (a, b))
    cross = np.cross(first, second, axis=0)
    angle = np.full(len(a), np.nan)
    angle[rows] = np.degrees(np.arctan2(np.sqrt(dot(cross, cross)), dot(first, second))) * 3600
    return angle
