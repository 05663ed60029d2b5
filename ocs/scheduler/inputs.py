"""From a snapshot to the arrays the solver works on: who may observe where and when. Pure numpy.

A cycle plans twice: rapid responses first, everything else around them. Both passes come through `build`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from ocs import visibility
from ocs.scheduler import candidates
from ocs.scheduler.problem import (
    AirmassTable,
    Filter,
    FilterReport,
    FloatArray,
    IntArray,
    Intervals,
    ObservationType,
    Operator,
    Optimisation,
    Placements,
    Problem,
    RequestTable,
    build_problem,
    effective_priority,
    filter_windows,
)
from ocs.scheduler.snapshot import Group, Instrument, Observation, Request, Snapshot, Telescope

NORMAL = frozenset({ObservationType.NORMAL, ObservationType.TIME_CRITICAL})
RAPID = frozenset({ObservationType.RAPID_RESPONSE})

KEEP_S = 3600
AIRMASS_STEP_S = 600
HIGHEST_AIRMASS = 40.0
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Reservation:
    """Time of a telescope (its number in the snapshot) that an earlier pass has given away."""

    telescope: int
    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The problem of one pass, and what its numbers stand for.

    Attributes
    ----------
    problem, report
        See `ocs.scheduler.problem`.
    requests
        Request i of the problem.
    telescopes
        Telescope i of the problem, all of the snapshot.
    chosen
        The instrument for each instrument type, by (request, telescope).
    rejected
        Why a request cannot be scheduled at all, by request.
    origin_utc
        Second 0.
    """

    problem: Problem
    report: FilterReport
    requests: tuple[Request, ...]
    telescopes: tuple[Telescope, ...]
    chosen: dict[tuple[int, int], dict[str, Instrument]]
    rejected: dict[int, str]
    origin_utc: datetime

    def utc(self, second: int) -> datetime:
        """Return a second of the problem as a time."""
        return self.origin_utc + timedelta(seconds=int(second))

    def cameras(self, request: int, telescope: int) -> list[tuple[str, str]]:
        """Return (instrument, guide camera) for each configuration of a request at a telescope."""
        return candidates.cameras(self.requests[request], self.chosen[request, telescope])


def is_replaceable(observation: Observation, from_utc: datetime) -> bool:
    """Tell whether a schedule that applies from `from_utc` may move or drop an observation."""
    return observation.is_ours and observation.is_pending and observation.start_utc >= from_utc


def build(
    snapshot: Snapshot,
    from_utc: datetime,
    kinds: Collection[ObservationType],
    reserved: Sequence[Reservation] = (),
) -> Inputs:
    """Make the problem of one pass.

    Parameters
    ----------
    snapshot
        What is known.
    from_utc
        The new schedule applies from here; what starts earlier stays as it is.
    kinds
        The observation types of this pass.
    reserved
        What earlier passes gave away.

    Raises
    ------
    ocs.visibility.VisibilityError
        When the sky cannot be computed for these dates at all.
    """
    clock = _Seconds(snapshot.semester_start_utc)
    groups = [group for group in snapshot.groups if group.observation_type in kinds]
    requests = tuple(request for group in groups for request in group.requests)
    number = {request.id: index for index, request in enumerate(requests)}
    telescope_number = {item.resource: index for index, item in enumerate(snapshot.telescopes)}
    fixed = [
        item for item in snapshot.observations if not is_replaceable(item, from_utc) and not item.has_failed
    ]
    rejected: dict[int, str] = {}
    table = _table(groups, requests, {item.request_id for item in fixed}, rejected)
    windows = _windows(requests, clock)
    bounds = _Bounds(
        clock.ceil(from_utc), clock.floor(snapshot.horizon_utc), clock.floor(snapshot.semester_end_utc)
    )
    alive = filter_windows(table, windows, **bounds._asdict())[0].has_any(len(requests))
    pairs = _Pairs.find(groups, requests, snapshot.telescopes, alive, rejected)
    dark = _dark(snapshot.telescopes, windows, clock, bounds)
    sky = _Sky(requests, snapshot.telescopes, pairs, table, clock, bounds)
    visible = sky.visible(windows, rejected)
    closed, partly_closed = _downtimes(snapshot, requests, pairs, telescope_number, clock)
    blocked = [
        (telescope_number[item.resource], clock.floor(item.start_utc), clock.ceil(item.end_utc))
        for item in fixed
        if item.resource in telescope_number
    ]
    blocked += [(item.telescope, item.start_s, item.end_s) for item in reserved]
    current = [
        (number[item.request_id], telescope_number[item.resource], clock.floor(item.start_utc))
        for item in snapshot.observations
        if is_replaceable(item, from_utc) and item.request_id in number and item.resource in telescope_number
    ]
    problem, report = build_problem(
        table,
        windows,
        pairs.request,
        pairs.telescope,
        (
            Filter("dark", dark, "telescope", removes=False),
            Filter("visible", visible, "pair", removes=False),
            Filter("downtime", partly_closed, "pair", removes=True),
        ),
        dark.subtract(closed).subtract(_intervals(blocked)),
        **bounds._asdict(),
        current=Placements(*_columns(current, 3)),
        keep_until_s=bounds.now_s + KEEP_S,
        airmass=sky.airmass(visible, dark),
    )
    used, group = np.unique(problem.group, return_inverse=True)  # a running request may leave its group empty
    problem = replace(problem, group=group.astype(np.int64), operator=problem.operator[used])
    return Inputs(
        problem, report, requests, snapshot.telescopes, pairs.chosen, rejected, snapshot.semester_start_utc
    )


class _Bounds(NamedTuple):
    """Seconds between which something may be planned."""

    now_s: int
    horizon_s: int
    semester_end_s: int


class _Seconds:
    """Times as whole seconds from the origin."""

    def __init__(self, origin_utc: datetime) -> None:
        self.origin_us = visibility.from_datetime(origin_utc)

    def floor(self, moment: datetime) -> int:
        return (visibility.from_datetime(moment) - self.origin_us) // _US

    def ceil(self, moment: datetime) -> int:
        return -((self.origin_us - visibility.from_datetime(moment)) // _US)

    def us(self, second: int) -> int:
        return self.origin_us + second * _US

    def inside(self, start_us: IntArray, end_us: IntArray) -> tuple[IntArray, IntArray]:
        """Return the whole seconds within intervals of microseconds."""
        return -((self.origin_us - start_us) // _US), (end_us - self.origin_us) // _US


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> tuple[IntArray, ...]:
    return tuple(np.array(rows, dtype=np.int64).reshape(-1, width).T)


def _intervals(rows: Sequence[tuple[int, int, int]]) -> Intervals:
    return Intervals.of(*_columns(rows, 3)) if rows else Intervals.empty()


def _table(
    groups: Sequence[Group], requests: Sequence[Request], running: set[int], rejected: dict[int, str]
) -> RequestTable:
    """Return the requests as arrays; impossible numbers are made harmless and told in `rejected`."""
    owner = [group for group in groups for _ in group.requests]
    priority = effective_priority(
        [request.id for request in requests],
        [group.tac_priority for group in owner],
        [group.ipp_value for group in owner],
        [request.duration_s for request in requests],
        [group.observation_type for group in owner],
    )
    duration_s = np.array([request.duration_s for request in requests], dtype=np.int64)
    for index in np.flatnonzero(duration_s <= 0):
        rejected[int(index)] = "It has no duration."
    for index in np.flatnonzero(~np.isfinite(priority) | (priority < 0)):
        rejected[int(index)] = "Its priority is not a number."
    return RequestTable(
        priority=np.maximum(np.nan_to_num(priority, nan=0.0, posinf=0.0, neginf=0.0), 0.0),
        duration_s=np.maximum(duration_s, 1),
        group=np.repeat(np.arange(len(groups)), [len(group.requests) for group in groups]).astype(np.int64),
        operator=np.array([group.operator for group in groups], dtype=np.int64),
        optimisation=np.array([request.optimisation for request in requests], dtype=np.int64),
        pending=np.array([request.is_pending for request in requests], dtype=np.bool_),
        running=np.array([request.id in running for request in requests], dtype=np.bool_),
    )


def _windows(requests: Sequence[Request], clock: _Seconds) -> Intervals:
    return _intervals(
        [
            (index, clock.ceil(start), clock.floor(end))
            for index, request in enumerate(requests)
            for start, end in request.windows
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Combinations of request and telescope that fit, request by request.

    `first[i]` is the first pair of request i; its pairs follow the order of `telescopes_of[i]`.
    """

    request: IntArray
    telescope: IntArray
    first: dict[int, int]
    telescopes_of: dict[int, tuple[int, ...]]
    chosen: dict[tuple[int, int], dict[str, Instrument]]

    @classmethod
    def find(
        cls,
        groups: Sequence[Group],
        requests: Sequence[Request],
        telescopes: Sequence[Telescope],
        alive: Any,
        rejected: dict[int, str],
    ) -> _Pairs:
        chosen: dict[tuple[int, int], dict[str, Instrument]] = {}
        first: dict[int, int] = {}
        telescopes_of: dict[int, tuple[int, ...]] = {}
        # Thousands of requests ask for a handful of different things.
        known: dict[Hashable, dict[int, dict[str, Instrument]]] = {}
        staff = [group.is_staff for group in groups for _ in group.requests]
        for index, request in enumerate(requests):
            if not alive[index] or index in rejected:
                continue
            first[index] = len(chosen)
            needs = frozenset(item.needs for item in request.configurations)
            fitting = known.get((request.location, staff[index], needs))
            if fitting is None:
                fitting = known[request.location, staff[index], needs] = {
                    number: found
                    for number, telescope in enumerate(telescopes)
                    if (found := candidates.instruments_for(request, telescope, is_staff=staff[index]))
                }
            chosen |= {(index, number): found for number, found in fitting.items()}
            telescopes_of[index] = tuple(fitting)
            if not telescopes_of[index]:
                rejected[index] = "No open telescope has the instruments and optical elements it asks for."
        request_index, telescope_index = _columns(list(chosen), 2)
        return cls(request_index, telescope_index, first, telescopes_of, chosen)


def _dark(telescopes: Sequence[Telescope], windows: Intervals, clock: _Seconds, bounds: _Bounds) -> Intervals:
    """Return nautical darkness by telescope, as far ahead as any request may reach."""
    end_s = _end(windows, bounds)
    rows: list[tuple[int, int, int]] = []
    known: dict[tuple[float, float, float], tuple[IntArray, IntArray]] = {}
    for number, telescope in enumerate(telescopes):
        place = telescope.place
        if place is None or end_s <= bounds.now_s:
            continue
        where = (place.latitude_deg, place.longitude_deg, place.altitude_m)
        if where not in known:
            found = visibility.dark(place, clock.us(bounds.now_s), clock.us(end_s))
            known[where] = clock.inside(found[:, 0], found[:, 1])
        rows += [
            (number, int(start), int(end)) for start, end in zip(*known[where], strict=True) if end > start
        ]
    return _intervals(rows)


def _end(windows: Intervals, bounds: _Bounds) -> int:
    """Return the last second that matters: groups that hang together may reach beyond the horizon."""
    last = int(windows.end_s.max(initial=bounds.horizon_s))
    return min(max(last, bounds.horizon_s), bounds.semester_end_s)


class _Sky:
    """Where the targets of requests are, for all pairs of one pass.

    Requests that may go to the same telescopes are computed together.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        telescopes: Sequence[Telescope],
        pairs: _Pairs,
        table: RequestTable,
        clock: _Seconds,
        bounds: _Bounds,
    ) -> None:
        self.telescopes, self.pairs, self.clock, self.bounds = telescopes, pairs, clock, bounds
        self.optimisation = table.optimisation
        operator = table.operator[table.group]
        self.rows = {index: _distinct(requests[index]) for index in pairs.first}
        self.batches: dict[tuple[tuple[int, ...], bool], list[int]] = {}
        for index, where in pairs.telescopes_of.items():
            if where:
                is_compound = operator[index] in (Operator.AND, Operator.ONEOF)
                self.batches.setdefault((where, is_compound), []).append(index)

    def visible(self, windows: Intervals, rejected: dict[int, str]) -> Intervals:
        """Return when all targets of a request can be observed, by pair; impossible targets are told."""
        pieces: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
        for (where, is_compound), members in self.batches.items():
            end_s = _end(windows, self.bounds) if is_compound else self.bounds.horizon_s
            end_s = min(end_s, self.bounds.semester_end_s)
            rows = [(index, n, row) for index in members for n, row in enumerate(self.rows[index])]
            answer = visibility.observable(
                visibility.TargetBatch.from_wire([target for _, _, (target, _) in rows]),
                [self._place(number) for number in where],
                self.clock.us(self.bounds.now_s),
                self.clock.us(end_s),
                visibility.Constraints.from_wire([constraints for _, _, (_, constraints) in rows]),
            )
            for (index, _, _), error in zip(rows, answer.errors, strict=True):
                if error is not None:
                    rejected[index] = error.message
            first = np.array([self.pairs.first[index] for index, _, _ in rows], dtype=np.int64)
            position = np.array([n for _, n, _ in rows], dtype=np.int64)
            good = np.array([index not in rejected for index, _, _ in rows], dtype=np.bool_)
            row = answer.owner[:, 0]
            start, end = self.clock.inside(answer.start, answer.end)
            keep = good[row] & (end > start)
            pair = first[row] + answer.owner[:, 1]
            pieces.append((pair[keep], position[row][keep], start[keep], end[keep]))
        if not pieces:
            return Intervals.empty()
        pair, position, start, end = (np.concatenate(column) for column in zip(*pieces, strict=True))
        counts = np.zeros(len(self.optimisation), dtype=np.int64)
        counts[list(self.rows)] = [len(rows) for rows in self.rows.values()]
        targets = counts[self.pairs.request]
        found = Intervals.empty()
        for n in range(int(targets.max(initial=0))):
            chosen = position == n
            single = Intervals.of(pair[chosen], start[chosen], end[chosen])
            if n == 0:
                found = single
                continue
            both = found.intersect(single)[0]
            rest = found.where(targets[found.owner] <= n)
            found = Intervals.of(
                np.concatenate((rest.owner, both.owner)),
                np.concatenate((rest.start_s, both.start_s)),
                np.concatenate((rest.end_s, both.end_s)),
            )
        return found

    def airmass(self, visible: Intervals, dark: Intervals) -> AirmassTable | None:
        """Sample the mean airmass of what is to be observed where it stands highest; None if nothing is."""
        pairs: list[tuple[int, int]] = []
        times: list[IntArray] = []
        values: list[FloatArray] = []
        for (where, _), members in self.batches.items():
            wanted = [index for index in members if self.optimisation[index] == Optimisation.AIRMASS]
            if not wanted:
                continue
            batch = visibility.TargetBatch.from_wire(
                [target for index in wanted for target, _ in self.rows[index]]
            )
            heads = np.cumsum([0] + [len(self.rows[index]) for index in wanted[:-1]])
            counts = np.array([len(self.rows[index]) for index in wanted])
            for place, number in enumerate(where):
                grid = _grid(dark, number)
                if not len(grid):
                    continue
                sampled = visibility.samples(batch, self._place(number), self.clock.us(0) + grid * _US)
                level = np.nan_to_num(sampled.airmass, nan=HIGHEST_AIRMASS)
                mean = np.add.reduceat(level, heads, axis=0) / counts[:, None]
                for index, curve in zip(wanted, mean, strict=True):
                    near = _near(grid, visible, self.pairs.first[index] + place)
                    pairs.append((index, number))
                    times.append(grid[near])
                    values.append(curve[near])
        if not pairs:
            return None
        request, telescope = _columns(pairs, 2)
        offset = np.concatenate(([0], np.cumsum([len(item) for item in times]))).astype(np.int64)
        return AirmassTable(request, telescope, offset, np.concatenate(times), np.concatenate(values))

    def _place(self, number: int) -> visibility.Site:
        place = self.telescopes[number].place
        assert place is not None, "closed telescopes have no pairs"
        return place


def _distinct(request: Request) -> list[tuple[Any, Any]]:
    """Return the different (target, constraints) of a request: a filter change needs no second look."""
    found: list[tuple[Any, Any]] = []
    for item in request.configurations:
        if (item.target, item.constraints) not in found:
            found.append((item.target, item.constraints))
    return found


def _grid(dark: Intervals, telescope: int) -> IntArray:
    nights = dark.where(dark.owner == telescope)
    pieces = [
        np.append(np.arange(start, end, AIRMASS_STEP_S), end)
        for start, end in zip(nights.start_s, nights.end_s, strict=True)
    ]
    return np.unique(np.concatenate(pieces)) if pieces else np.zeros(0, dtype=np.int64)


def _near(grid: IntArray, visible: Intervals, pair: int) -> IntArray:
    """Return the samples inside the intervals of a pair and one more on either side."""
    begin, end = np.searchsorted(visible.owner, [pair, pair + 1])
    low = np.searchsorted(grid, visible.start_s[begin:end], "right") - 1
    high = np.searchsorted(grid, visible.end_s[begin:end], "left") + 1
    runs = [np.arange(max(a, 0), min(b, len(grid))) for a, b in zip(low, high, strict=True)]
    return np.unique(np.concatenate(runs)) if runs else np.zeros(0, dtype=np.int64)


def _downtimes(
    snapshot: Snapshot,
    requests: Sequence[Request],
    pairs: _Pairs,
    telescope_number: dict[str, int],
    clock: _Seconds,
) -> tuple[Intervals, Intervals]:
    """Return closed time by telescope, and by pair that of the telescope or of any instrument type in use."""
    whole: list[tuple[int, int, int]] = []
    by_pair: list[tuple[int, int, int]] = []
    uses = [frozenset(item.instrument_type for item in request.configurations) for request in requests]
    pairs_at: dict[int, list[int]] = {}
    for pair, telescope in enumerate(pairs.telescope.tolist()):
        pairs_at.setdefault(telescope, []).append(pair)
    for item in snapshot.downtimes:
        number = telescope_number.get(item.resource)
        if number is None:
            continue
        start_s, end_s = clock.floor(item.start_utc), clock.ceil(item.end_utc)
        if not item.instrument_type:
            whole.append((number, start_s, end_s))
        by_pair += [
            (pair, start_s, end_s)
            for pair in pairs_at.get(number, ())
            if not item.instrument_type or item.instrument_type in uses[int(pairs.request[pair])]
        ]
    return _intervals(whole), _intervals(by_pair)
