"""The scheduling problem as arrays: priorities, filters, allowed start intervals.

Times are whole seconds from an origin the caller chooses (the semester start). Intervals are half open,
``[start_s, end_s)``; start intervals ``[lo_s, hi_s]`` are closed. A *block* is one uninterrupted availability
interval of one telescope, normally a night. A *row* says: this request may start anywhere in ``[lo_s, hi_s]``
inside this block. Nothing here knows slices, SQL or the clock, and numpy is the only import.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PRIORITY_CAP = 320_000.0
TIME_CRITICAL_FACTOR = 100.0 * 60.0
PRIORITY_SPREAD = 0.005


class Operator(IntEnum):
    """How the requests of one group belong together."""

    SINGLE = 0
    MANY = 1
    AND = 2
    ONEOF = 3


class Optimisation(IntEnum):
    """What the timing pass minimises once the set of observations is decided."""

    TIME = 0
    AIRMASS = 1


class ObservationType(IntEnum):
    """The observation types that are scheduled, and everything else."""

    NORMAL = 0
    TIME_CRITICAL = 1
    RAPID_RESPONSE = 2
    OTHER = 3


# ------------------------------------------------------------------------------
# Effective priority


def priority_factor(request_id: ArrayLike) -> FloatArray:
    """Reproducible factor in [0.995, 1.005) that breaks ties between equal requests.

    The splitmix64 finaliser of the request id, its upper 53 bits read as a fraction: the same id gives the
    same factor on every run and machine, and no generator state is shared.

    Parameters
    ----------
    request_id : array_like of int, shape (N,)

    Returns
    -------
    ndarray of float, shape (N,)
    """
    x = np.asarray(request_id, dtype=np.int64).astype(np.uint64)
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    fraction = (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return 1.0 - PRIORITY_SPREAD + 2.0 * PRIORITY_SPREAD * fraction


def effective_priority(
    request_id: ArrayLike,
    tac_priority: ArrayLike,
    ipp_value: ArrayLike,
    duration_s: ArrayLike,
    observation_type: ArrayLike,
    *,
    ignore_ipp: bool = False,
) -> FloatArray:
    """Worth of scheduling each request, in the units people tuned their proposals to.

    NORMAL: ``tac * ipp * duration_s / 60``; TIME_CRITICAL: ``tac * 6000``; RAPID_RESPONSE: ``tac``; others 0.
    Capped at 320 000 and then multiplied by :func:`priority_factor`.

    Parameters
    ----------
    request_id, tac_priority, ipp_value, duration_s : array_like, shape (N,)
        Duration in seconds.
    observation_type : array_like of ObservationType, shape (N,)
    ignore_ipp : bool
        Use 1 for every ``ipp_value``.

    Returns
    -------
    ndarray of float, shape (N,)
    """
    tac = np.asarray(tac_priority, dtype=np.float64)
    ipp = np.ones_like(tac) if ignore_ipp else np.asarray(ipp_value, dtype=np.float64)
    kind = np.asarray(observation_type, dtype=np.int64)
    value = np.select(
        [
            kind == ObservationType.NORMAL,
            kind == ObservationType.TIME_CRITICAL,
            kind == ObservationType.RAPID_RESPONSE,
        ],
        [tac * ipp * np.asarray(duration_s, dtype=np.float64) / 60.0, tac * TIME_CRITICAL_FACTOR, tac],
        default=0.0,
    )
    capped: FloatArray = np.minimum(value, PRIORITY_CAP)
    return capped * priority_factor(request_id)


# ------------------------------------------------------------------------------
# Intervals


def _ints(values: ArrayLike) -> IntArray:
    return np.atleast_1d(np.asarray(values, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Half-open intervals of many owners, sorted by (owner, start), disjoint within an owner.

    Attributes
    ----------
    owner : ndarray of int, shape (K,)
        Index of whatever the interval belongs to: a request, a telescope, a (request, telescope) pair.
    start_s, end_s : ndarray of int, shape (K,)
        Seconds from the origin.
    """

    owner: IntArray
    start_s: IntArray
    end_s: IntArray

    @classmethod
    def of(cls, owner: ArrayLike, start_s: ArrayLike, end_s: ArrayLike) -> Intervals:
        """Sort, drop empty intervals and unite overlapping ones (touching ones stay apart)."""
        own, start, end = _ints(owner), _ints(start_s), _ints(end_s)
        keep = end > start
        own, start, end = own[keep], start[keep], end[keep]
        order = np.lexsort((end, start, own))
        own, start, end = own[order], start[order], end[order]
        if len(own) < 2:
            return cls(own, start, end)
        origin, span = _timeline(start, end)
        reach = np.maximum.accumulate(own * span + end - origin)
        first = np.concatenate(([True], (own * span + start - origin)[1:] >= reach[:-1]))
        last = np.concatenate((first[1:], [True]))
        return cls(own[first], start[first], reach[last] - own[last] * span + origin)

    @classmethod
    def empty(cls) -> Intervals:
        """No interval at all."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, none)

    def __len__(self) -> int:
        return len(self.owner)

    def where(self, keep: BoolArray) -> Intervals:
        """Only the intervals for which the mask of shape (K,) is true."""
        return Intervals(self.owner[keep], self.start_s[keep], self.end_s[keep])

    def for_owners(self, of: ArrayLike) -> tuple[Intervals, IntArray]:
        """Copies of the intervals of owner ``of[p]`` under the new owner ``p``, and where each came from."""
        wanted = _ints(of)
        begin, end = np.searchsorted(self.owner, wanted, "left"), np.searchsorted(self.owner, wanted, "right")
        owner, source = index_ranges(begin, end)
        return Intervals(owner, self.start_s[source], self.end_s[source]), source

    def intersect(self, other: Intervals) -> tuple[Intervals, IntArray, IntArray]:
        """Pieces common to both, owner by owner, with the indices they come from in each."""
        origin, span = _timeline(self.start_s, self.end_s, other.start_s, other.end_s)
        base, other_base = self.owner * span - origin, other.owner * span - origin
        start, end = self.start_s + base, self.end_s + base
        begin = np.searchsorted(other.end_s + other_base, start, "right")
        mine, theirs = index_ranges(begin, np.searchsorted(other.start_s + other_base, end, "left"))
        lo = np.maximum(self.start_s[mine], other.start_s[theirs])
        hi = np.minimum(self.end_s[mine], other.end_s[theirs])
        return Intervals(self.owner[mine], lo, hi), mine, theirs

    def subtract(self, other: Intervals) -> Intervals:
        """What remains of each interval outside the other's intervals of the same owner."""
        if len(other) == 0 or len(self) == 0:
            return self
        origin, span = _timeline(self.start_s, self.end_s, other.start_s, other.end_s)
        base, other_base = self.owner * span - origin, other.owner * span - origin
        # On the common timeline the gaps between the removed intervals form one sorted list; no interval of
        # ours reaches from one owner into the next, so gaps that do are harmless.
        edge = np.array([np.iinfo(np.int64).min]), np.array([np.iinfo(np.int64).max])
        gap_start = np.concatenate((edge[0], other.end_s + other_base))
        gap_end = np.concatenate((other.start_s + other_base, edge[1]))
        start, end = self.start_s + base, self.end_s + base
        mine, gap = index_ranges(
            np.searchsorted(gap_end, start, "right"), np.searchsorted(gap_start, end, "left")
        )
        lo, hi = np.maximum(start[mine], gap_start[gap]), np.minimum(end[mine], gap_end[gap])
        keep = hi > lo
        back = base[mine][keep]
        return Intervals(self.owner[mine][keep], lo[keep] - back, hi[keep] - back)

    def seconds(self, owners: int) -> IntArray:
        """Total length per owner, shape (owners,)."""
        total = np.bincount(
            self.owner, weights=(self.end_s - self.start_s).astype(np.float64), minlength=owners
        )
        return total.astype(np.int64)

    def has_any(self, owners: int) -> BoolArray:
        """Whether each owner has an interval at all, shape (owners,)."""
        found = np.zeros(owners, dtype=np.bool_)
        found[self.owner] = True
        return found


def _timeline(*times: IntArray) -> tuple[int, int]:
    """Origin and length of a span that contains all times, so that owner * span + time sorts globally."""
    filled = [t for t in times if len(t)]
    if not filled:
        return 0, 1
    origin = min(int(t.min()) for t in filled)
    return origin, max(int(t.max()) for t in filled) - origin + 2


def index_ranges(begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """For every i all j in [begin[i], end[i]): the repeated i and the j, both flat."""
    count = np.maximum(end - begin, 0)
    index = np.repeat(np.arange(len(count), dtype=np.int64), count)
    offset = np.arange(len(index), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    return index, np.asarray(begin, dtype=np.int64)[index] + offset


# ------------------------------------------------------------------------------
# What is solved


@dataclass(frozen=True, slots=True, eq=False)
class Placements:
    """Observations: request, telescope, start second. Used for the current schedule.

    Attributes
    ----------
    request, telescope : ndarray of int, shape (S,)
    start_s : ndarray of int, shape (S,)
    """

    request: IntArray
    telescope: IntArray
    start_s: IntArray

    @classmethod
    def empty(cls) -> Placements:
        """No observation."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, none)


@dataclass(frozen=True, slots=True, eq=False)
class AirmassTable:
    """Mean airmass of a request's targets, sampled in time per (request, telescope).

    Attributes
    ----------
    request, telescope : ndarray of int, shape (A,)
        Sampled pairs.
    offset : ndarray of int, shape (A + 1,)
        Samples of pair i are ``[offset[i], offset[i + 1])``.
    time_s : ndarray of int, shape (M,)
        Increasing within a pair.
    airmass : ndarray of float, shape (M,)
    """

    request: IntArray
    telescope: IntArray
    offset: IntArray
    time_s: IntArray
    airmass: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Everything the solver needs, in arrays that pickle as bytes.

    Attributes
    ----------
    priority : ndarray of float, shape (N,)
        Effective priority, >= 0.
    duration_s : ndarray of int, shape (N,)
    group : ndarray of int, shape (N,)
        Index into `operator`.
    operator : ndarray of Operator, shape (G,)
    optimisation : ndarray of Optimisation, shape (N,)
    block_telescope, block_start_s, block_end_s : ndarray of int, shape (B,)
        Disjoint within a telescope.
    row_request, row_block, row_lo_s, row_hi_s : ndarray of int, shape (K,)
        Allowed start intervals ``[lo, hi]`` with ``block_start <= lo <= hi <= block_end - duration``; sorted
        by (request, block, lo), disjoint within (request, block).
    current : Placements
        The schedule in force; what of it is still allowed is the floor of the answer.
    keep_until_s : int
        Current observations starting before this second keep telescope and start unless that costs priority.
    airmass : AirmassTable or None
        Needed only for requests with `Optimisation.AIRMASS`; without samples they are placed earliest.
    """

    priority: FloatArray
    duration_s: IntArray
    group: IntArray
    operator: IntArray
    optimisation: IntArray
    block_telescope: IntArray
    block_start_s: IntArray
    block_end_s: IntArray
    row_request: IntArray
    row_block: IntArray
    row_lo_s: IntArray
    row_hi_s: IntArray
    current: Placements = field(default_factory=Placements.empty)
    keep_until_s: int = 0
    airmass: AirmassTable | None = None


@dataclass(frozen=True, slots=True)
class StageReport:
    """State after one stage: seconds since the start, worth of the best schedule, best proven bound."""

    stage: str
    seconds: float
    objective: float
    bound: float


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A feasible schedule and what is proven about it.

    Attributes
    ----------
    request, telescope, block, start_s : ndarray of int, shape (S,)
        Sorted by (telescope, start).
    objective : float
        Sum of the priorities of the scheduled requests.
    bound : float
        No schedule can be worth more; never below `objective`.
    status : {"optimal", "feasible"}
        "optimal" when bound and objective agree within 1e-6 of the bound.
    floor : float
        Worth of the current schedule after repair against the new inputs; never above `objective`.
    row_price : ndarray of float, shape (K,)
        What the telescope time a row would take is worth to others; ``priority - row_price`` is the row's
        reduced value, negative when the request is outpriced there.
    stages : tuple of StageReport
    seed : int
    """

    request: IntArray
    telescope: IntArray
    block: IntArray
    start_s: IntArray
    objective: float
    bound: float
    status: Literal["optimal", "feasible"]
    floor: float
    row_price: FloatArray
    stages: tuple[StageReport, ...]
    seed: int

    @property
    def gap(self) -> float:
        """Relative distance to the bound, ``(bound - objective) / bound``; 0 when there is nothing to do."""
        return (self.bound - self.objective) / self.bound if self.bound > 0 else 0.0

    def __len__(self) -> int:
        return len(self.request)


def violations(problem: Problem, request: IntArray, telescope: IntArray, start_s: IntArray) -> list[str]:
    """Every rule a set of observations breaks, as sentences; empty when it is feasible.

    Parameters
    ----------
    problem : Problem
    request, telescope, start_s : ndarray of int, shape (S,)

    Returns
    -------
    list of str
    """
    found: list[str] = []
    count = np.bincount(request, minlength=len(problem.priority))
    found += [f"request {r} is scheduled {count[r]} times" for r in np.flatnonzero(count > 1)]
    scheduled = count > 0
    row_index = rows_of(problem, request, telescope, start_s)
    found += [
        f"request {r} may not start at {s} on telescope {t}"
        for r, t, s in zip(
            request[row_index < 0], telescope[row_index < 0], start_s[row_index < 0], strict=True
        )
    ]
    order = np.lexsort((start_s, telescope))
    r, t, s = request[order], telescope[order], start_s[order]
    clash = (t[1:] == t[:-1]) & (s[1:] < s[:-1] + problem.duration_s[r[:-1]])
    found += [f"requests {r[i]} and {r[i + 1]} overlap on telescope {t[i]}" for i in np.flatnonzero(clash)]
    groups = len(problem.operator)
    size = np.bincount(problem.group, minlength=groups)
    filled = np.bincount(problem.group, weights=scheduled.astype(np.float64), minlength=groups).astype(
        np.int64
    )
    found += [
        f"group {g} allows one of its requests"
        for g in np.flatnonzero((problem.operator == Operator.ONEOF) & (filled > 1))
    ]
    partial = (problem.operator == Operator.AND) & (filled > 0) & (filled < size)
    found += [f"group {g} needs all of its requests or none" for g in np.flatnonzero(partial)]
    return found


def rows_of(problem: Problem, request: IntArray, telescope: IntArray, start_s: IntArray) -> IntArray:
    """Index of the row that allows each observation, -1 where none does; shape (S,)."""
    begin = np.searchsorted(problem.row_request, request, "left")
    end = np.searchsorted(problem.row_request, request, "right")
    which, row = index_ranges(begin, end)
    fits = (
        (problem.block_telescope[problem.row_block[row]] == telescope[which])
        & (problem.row_lo_s[row] <= start_s[which])
        & (start_s[which] <= problem.row_hi_s[row])
    )
    found = np.full(len(request), -1, dtype=np.int64)
    found[which[fits]] = row[fits]
    return found


# ------------------------------------------------------------------------------
# Filters


@dataclass(frozen=True, slots=True, eq=False)
class RequestTable:
    """The requests of all groups under consideration.

    Attributes
    ----------
    priority : ndarray of float, shape (N,)
    duration_s : ndarray of int, shape (N,)
    group : ndarray of int, shape (N,)
    operator : ndarray of Operator, shape (G,)
    optimisation : ndarray of Optimisation, shape (N,)
    pending : ndarray of bool, shape (N,)
        False for requests in any other state than PENDING.
    running : ndarray of bool, shape (N,)
        An observation of the request is running and can complete.
    """

    priority: FloatArray
    duration_s: IntArray
    group: IntArray
    operator: IntArray
    optimisation: IntArray
    pending: BoolArray
    running: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """One step that keeps or removes time of (request, telescope) pairs.

    Attributes
    ----------
    name : str
        Shown in explanations: "dark", "airmass", "downtime", ...
    intervals : Intervals
    keyed_by : {"pair", "telescope"}
        What `intervals.owner` indexes.
    removes : bool
        False: only time inside the intervals remains. True: time inside them is removed.
    """

    name: str
    intervals: Intervals
    keyed_by: Literal["pair", "telescope"]
    removes: bool


REQUEST_FILTERS = ("running", "state", "expired", "past", "horizon", "too_small", "group")


@dataclass(frozen=True, slots=True, eq=False)
class FilterReport:
    """What each filter left, kept so that "why was it not scheduled" needs no second run.

    Attributes
    ----------
    request_removed_by : ndarray of int, shape (N,)
        Index into `REQUEST_FILTERS` of the filter that removed the request before any telescope was looked
        at, else -1.
    windows_removed : dict of str to int
        Windows removed per request filter.
    pair_request, pair_telescope : ndarray of int, shape (P,)
    pair_filters : tuple of str, length F
        "window" first, then the caller's filters, then "duration", "availability" and "group".
    remaining_s : ndarray of int, shape (F, P)
        Seconds left to each pair after each of them ("availability" and "group": seconds of the usable
        pieces). The first zero of a column names the filter that emptied the pair.
    """

    request_removed_by: IntArray
    windows_removed: dict[str, int]
    pair_request: IntArray
    pair_telescope: IntArray
    pair_filters: tuple[str, ...]
    remaining_s: IntArray


def filter_windows(
    requests: RequestTable,
    windows: Intervals,
    *,
    now_s: int,
    horizon_s: int,
    semester_end_s: int,
    allow_exact_fit: bool = False,
) -> tuple[Intervals, IntArray, dict[str, int]]:
    """User windows that remain once running, finished, expired, past and too distant ones are gone.

    ``and`` and ``oneof`` groups may use windows beyond the horizon; nothing may end after the semester. A
    window must be longer than the duration, or as long with `allow_exact_fit`. An ``and`` group needs a
    window or a running observation for every member. A ``oneof`` group with a running member has made its
    choice.

    Parameters
    ----------
    requests : RequestTable
    windows : Intervals
        Owner = request.
    now_s : int
        The second from which the new schedule applies.
    horizon_s : int
        Absolute second of the horizon's end.
    semester_end_s : int

    Returns
    -------
    windows : Intervals
        Owner = request.
    removed_by : ndarray of int, shape (N,)
        Index into `REQUEST_FILTERS`, -1 for requests that remain.
    windows_removed : dict of str to int
    """
    n, groups = len(requests.duration_s), len(requests.operator)
    removed_by = np.full(n, -1, dtype=np.int64)
    counts: dict[str, int] = {}
    operator = requests.operator[requests.group]

    latest = np.full(groups, np.iinfo(np.int64).min)
    np.maximum.at(latest, requests.group[windows.owner], windows.end_s)
    expires = np.minimum(latest, semester_end_s)[requests.group]
    running_group = np.zeros(groups, dtype=np.bool_)
    running_group[requests.group[requests.running]] = True
    chosen = (operator == Operator.ONEOF) & running_group[requests.group]
    compound = (operator == Operator.AND) | (operator == Operator.ONEOF)
    bound = np.where(compound, expires, np.minimum(expires, horizon_s))

    def apply(name: str, kept: Intervals) -> Intervals:
        counts[name] = len(windows) - len(kept)
        emptied = ~kept.has_any(n) & (removed_by < 0)
        removed_by[emptied] = REQUEST_FILTERS.index(name)
        return kept

    windows = apply("running", windows.where(~(requests.running | chosen)[windows.owner]))
    windows = apply("state", windows.where(requests.pending[windows.owner]))
    windows = apply("expired", windows.where((expires > now_s)[windows.owner]))
    windows = apply("past", windows.where(windows.end_s > now_s))
    windows = apply("horizon", windows.where(windows.start_s < bound[windows.owner]))
    windows = Intervals(
        windows.owner, np.maximum(windows.start_s, now_s), np.minimum(windows.end_s, bound[windows.owner])
    )
    windows = apply(
        "too_small", windows.where(_long_enough(windows, requests.duration_s[windows.owner], allow_exact_fit))
    )
    possible = _completable(requests, windows.has_any(n))
    windows = apply("group", windows.where(possible[requests.group[windows.owner]]))
    return windows, removed_by, counts


def build_problem(
    requests: RequestTable,
    windows: Intervals,
    pair_request: ArrayLike,
    pair_telescope: ArrayLike,
    filters: Sequence[Filter],
    availability: Intervals,
    *,
    now_s: int,
    horizon_s: int,
    semester_end_s: int,
    allow_exact_fit: bool = False,
    current: Placements | None = None,
    keep_until_s: int = 0,
    airmass: AirmassTable | None = None,
) -> tuple[Problem, FilterReport]:
    """Turn windows, visibility and availability into rows, and record what each filter cost.

    Parameters
    ----------
    requests : RequestTable
    windows : Intervals
        User windows, owner = request.
    pair_request, pair_telescope : array_like of int, shape (P,)
        Combinations whose instruments and location fit.
    filters : sequence of Filter
        Applied in order: visibility, downtime of instrument types, seeing, ...
    availability : Intervals
        Owner = telescope. Dark time minus what blocks the whole telescope (downtime, running observations,
        rapid responses); each interval becomes a block.
    now_s, horizon_s, semester_end_s, allow_exact_fit
        See `filter_windows`.
    current, keep_until_s, airmass
        Passed on to `Problem`.

    Returns
    -------
    Problem, FilterReport

    Raises
    ------
    ValueError
        When a priority is negative or not finite, or a duration is not positive.
    """
    if not np.isfinite(requests.priority).all() or (requests.priority < 0).any():
        raise ValueError("priorities must be finite and not negative")
    if (requests.duration_s <= 0).any():
        raise ValueError("durations must be positive")
    request, telescope = _ints(pair_request), _ints(pair_telescope)
    pairs = len(request)
    windows, removed_by, windows_removed = filter_windows(
        requests,
        windows,
        now_s=now_s,
        horizon_s=horizon_s,
        semester_end_s=semester_end_s,
        allow_exact_fit=allow_exact_fit,
    )
    left, _ = windows.for_owners(request)
    names, remaining = ["window"], [left.seconds(pairs)]
    for step in filters:
        by_pair = step.intervals if step.keyed_by == "pair" else step.intervals.for_owners(telescope)[0]
        left = left.subtract(by_pair) if step.removes else left.intersect(by_pair)[0]
        names.append(step.name)
        remaining.append(left.seconds(pairs))
    duration_s = requests.duration_s[request]
    left = left.where(_long_enough(left, duration_s[left.owner], allow_exact_fit))
    names.append("duration")
    remaining.append(left.seconds(pairs))

    dark, source = availability.for_owners(telescope)
    pieces, _, dark_index = left.intersect(dark)
    block = source[dark_index]
    usable = pieces.end_s - pieces.start_s >= duration_s[pieces.owner]
    pieces, block = pieces.where(usable), block[usable]
    names.append("availability")
    remaining.append(pieces.seconds(pairs))

    alive = np.zeros(len(requests.duration_s), dtype=np.bool_)
    alive[request[pieces.owner]] = True
    whole = _completable(requests, alive)[requests.group[request[pieces.owner]]]
    pieces, block = pieces.where(whole), block[whole]
    names.append("group")
    remaining.append(pieces.seconds(pairs))

    row_request = request[pieces.owner]
    hi = pieces.end_s - duration_s[pieces.owner]
    order = np.lexsort((pieces.start_s, block, row_request))
    # A running member of an ``and`` group is done as far as this plan goes; the others form a group of their
    # own.
    group, operator = _detach_running(requests)
    problem = Problem(
        priority=requests.priority,
        duration_s=requests.duration_s,
        group=group,
        operator=operator,
        optimisation=requests.optimisation,
        block_telescope=availability.owner,
        block_start_s=availability.start_s,
        block_end_s=availability.end_s,
        row_request=row_request[order],
        row_block=block[order],
        row_lo_s=pieces.start_s[order],
        row_hi_s=hi[order],
        current=current or Placements.empty(),
        keep_until_s=keep_until_s,
        airmass=airmass,
    )
    report = FilterReport(
        removed_by, windows_removed, request, telescope, tuple(names), np.array(remaining, dtype=np.int64)
    )
    return problem, report


def _long_enough(pieces: Intervals, duration_s: IntArray, allow_exact_fit: bool) -> BoolArray:
    length = pieces.end_s - pieces.start_s
    return length >= duration_s if allow_exact_fit else length > duration_s


def _completable(requests: RequestTable, alive: BoolArray) -> BoolArray:
    """Groups that can still be completed, shape (G,): all members for ``and``, any member for the others."""
    groups = len(requests.operator)
    usable = (alive | requests.running).astype(np.float64)
    size = np.bincount(requests.group, minlength=groups)
    count = np.bincount(requests.group, weights=usable, minlength=groups)
    enough: BoolArray = np.where(requests.operator == Operator.AND, count == size, count > 0)
    return enough


def _detach_running(requests: RequestTable) -> tuple[IntArray, IntArray]:
    running = np.flatnonzero(requests.running)
    group = requests.group.copy()
    group[running] = len(requests.operator) + np.arange(len(running))
    return group, np.concatenate((requests.operator, np.full(len(running), Operator.SINGLE, dtype=np.int64)))
