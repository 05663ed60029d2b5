"""Start seconds for a decided set: first better gaps, then the best start inside the slack of each order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from ocs.scheduler.problem import AirmassTable, FloatArray, IntArray, Optimisation, Problem
from ocs.scheduler.solver.sequences import Sequences

AIRMASS_GRID_S = 30
DELAY_COST_PER_S = 0.1 / 3600.0
KEEP_COST_PER_S = 1.0
AIRMASS_WORTH_MOVING = 0.001
PASSES = 5


class AirmassCurves:
    """Mean airmass over an observation as a function of its start."""

    def __init__(self, table: AirmassTable) -> None:
        self.table = table
        self.index = {
            pair: i
            for i, pair in enumerate(zip(table.request.tolist(), table.telescope.tolist(), strict=True))
        }

    def mean(self, request: int, telescope: int, start_s: IntArray, duration_s: int) -> FloatArray | None:
        """Mean over [start, start + duration), linear between samples; None without samples."""
        i = self.index.get((request, telescope))
        if i is None or self.table.offset[i] == self.table.offset[i + 1]:
            return None
        part = slice(int(self.table.offset[i]), int(self.table.offset[i + 1]))
        time_s, airmass = self.table.time_s[part].astype(np.float64), self.table.airmass[part]
        first, last = int(start_s.min()), int(start_s.max()) + duration_s
        # Integrating a polyline is exact when its corners are among the nodes.
        inner = time_s[(time_s > first) & (time_s < last)]
        node = np.unique(np.concatenate((np.arange(first, last, AIRMASS_GRID_S), inner, [last])))
        level = np.interp(node, time_s, airmass)
        area = np.concatenate(([0.0], np.cumsum(np.diff(node) * (level[1:] + level[:-1]) / 2.0)))
        upto = np.interp(start_s + duration_s, node, area) - np.interp(start_s, node, area)
        mean: FloatArray = upto / duration_s
        return mean

    def lowest(
        self, request: int, telescope: int, first_s: int, last_s: int, duration_s: int
    ) -> float | None:
        """Least mean airmass over the starts in [first, last], to the minute."""
        start = np.append(np.arange(first_s, last_s, 60, dtype=np.int64), last_s)
        mean = self.mean(request, telescope, start, duration_s)
        return None if mean is None else float(mean.min())


def start_times(problem: Problem, schedule: Sequences) -> list[list[int]]:
    """Start of every observation, block by block in the order of `schedule.order`, which it may improve.

    Observations move into gaps where they start earlier (TIME) or have less airmass (AIRMASS), on any
    telescope, then inside the slack that is left. Nothing is delayed for it and nothing loses its place.
    """
    curves = AirmassCurves(problem.airmass) if problem.airmass is not None else None
    kept = {
        (r, t): s
        for r, t, s in zip(
            problem.current.request.tolist(),
            problem.current.telescope.tolist(),
            problem.current.start_s.tolist(),
            strict=True,
        )
        if s < problem.keep_until_s
    }
    for _ in range(PASSES):
        if not _use_gaps(problem, schedule, curves, kept):
            break
    starts = []
    for block in range(len(schedule.order)):
        telescope = int(problem.block_telescope[block])
        order = schedule.order[block]
        airmass = curves is not None and any(
            problem.optimisation[r] == Optimisation.AIRMASS and (r, telescope) in curves.index for r in order
        )
        if airmass or any((r, telescope) in kept for r in order):
            starts.append(_least_cost(problem, schedule, block, curves, kept))
        else:
            starts.append(_earliest(schedule, block))
    return starts


def _use_gaps(
    problem: Problem, schedule: Sequences, curves: AirmassCurves | None, kept: dict[tuple[int, int], int]
) -> bool:
    """Give every observation the best gap, first come first served; whether anything moved."""
    telescope: list[int] = problem.block_telescope.tolist()
    optimisation: list[int] = problem.optimisation.tolist()
    queue = []
    for block, order in enumerate(schedule.order):
        for i, request in enumerate(order):
            if (request, telescope[block]) not in kept:
                queue.append((schedule.earliest_end[block][i + 1] - schedule.duration[request], request))
    moved = False
    for _, request in sorted(queue):
        here = schedule.row[request]
        block = schedule.row_block[here]
        i = schedule.order[block].index(request)
        start = schedule.earliest_end[block][i + 1] - schedule.duration[request]
        if optimisation[request] == Optimisation.AIRMASS and curves is not None:
            better = _lower_airmass(schedule, request, telescope, curves)
        else:
            better = _earlier_gap(schedule, request, start)
        if better is not None:
            schedule.remove(request)
            row, position = better
            # The list lost an element: positions behind it in the same block moved up.
            position -= schedule.row_block[row] == block and position > i
            schedule.put(row, position)
            moved = True
    return moved


def _earlier_gap(schedule: Sequences, request: int, start_s: int) -> tuple[int, int] | None:
    """Row and position of the earliest gap before `start_s` that delays nobody."""
    duration, best = schedule.duration[request], None
    for row in schedule.rows[request]:
        if schedule.row_lo[row] >= start_s:
            continue
        block, lo = schedule.row_block[row], schedule.row_lo[row]
        last = min(schedule.row_hi[row], start_s - 1)
        ends, order = schedule.earliest_end[block], schedule.order[block]
        for i in range(max(bisect_right(ends, lo) - 1, 0), bisect_right(ends, last)):
            start = max(lo, ends[i])
            after = (
                ends[i + 1] - schedule.duration[order[i]]
                if i < len(order)
                else schedule.latest_start[block][-1]
            )
            if start <= last and start + duration <= after and (i == len(order) or order[i] != request):
                start_s, best = start, (row, i)
                break
    return best


def _lower_airmass(
    schedule: Sequences, request: int, telescope: list[int], curves: AirmassCurves
) -> tuple[int, int] | None:
    """Row and position where sliding neighbours leave room at clearly less airmass than where it is."""
    here = schedule.row[request]
    home, duration = schedule.row_block[here], schedule.duration[request]
    i = schedule.order[home].index(request)
    first = max(schedule.earliest_end[home][i], schedule.row_lo[here])
    slack = schedule.latest_start[home][i]
    now = curves.lowest(request, telescope[home], first, slack, duration)
    best, found = (np.inf if now is None else now) - AIRMASS_WORTH_MOVING, None
    for row in schedule.rows[request]:
        block, lo, hi = schedule.row_block[row], schedule.row_lo[row], schedule.row_hi[row]
        ends, latest = schedule.earliest_end[block], schedule.latest_start[block]
        for j in range(bisect_left(latest, lo + duration), bisect_right(ends, hi)):
            begin, end = max(lo, ends[j]), min(hi, latest[j] - duration)
            if begin > end or (block == home and j in (i, i + 1)):
                continue
            level = curves.lowest(request, telescope[block], begin, end, duration)
            if level is not None and level < best:
                best, found = level, (row, j)
    return found


def _windows(schedule: Sequences, request: int, block: int) -> list[tuple[int, int]]:
    return [
        (schedule.row_lo[k], schedule.row_hi[k])
        for k in schedule.rows[request]
        if schedule.row_block[k] == block
    ]


def _earliest(schedule: Sequences, block: int) -> list[int]:
    starts, now = [], schedule.earliest_end[block][0]
    for request in schedule.order[block]:
        # Any row of the block will do when it comes earlier than the one the search settled on.
        start = next(max(lo, now) for lo, hi in _windows(schedule, request, block) if hi >= now)
        starts.append(start)
        now = start + schedule.duration[request]
    return starts


def _least_cost(
    problem: Problem,
    schedule: Sequences,
    block: int,
    curves: AirmassCurves | None,
    kept: dict[tuple[int, int], int],
) -> list[int]:
    """Exact dynamic programme over whole seconds: least sum of the observations' costs in the given order."""
    order, telescope = schedule.order[block], int(problem.block_telescope[block])
    earliest = _earliest(schedule, block)
    latest: list[int] = []
    then = int(problem.block_end_s[block])
    for request in reversed(order):
        last = then - schedule.duration[request]
        then = max(min(hi, last) for lo, hi in _windows(schedule, request, block) if lo <= last)
        latest.append(then)
    latest.reverse()
    best_before: list[tuple[IntArray, IntArray]] = []
    total: FloatArray = np.zeros(1)
    reach: IntArray = np.zeros(1, dtype=np.int64)
    for i, request in enumerate(order):
        start = np.arange(earliest[i], latest[i] + 1, dtype=np.int64)
        allowed = np.zeros(len(start), dtype=np.bool_)
        for lo, hi in _windows(schedule, request, block):
            allowed[max(lo - earliest[i], 0) : max(hi - earliest[i] + 1, 0)] = True
        cost = np.where(allowed, _cost(problem, request, telescope, start, curves, kept), np.inf)
        if i:
            before = np.searchsorted(reach, start, "right") - 1
            cost = cost + np.minimum.accumulate(total)[before]
        best_before.append((start, _running_argmin(cost)))
        total, reach = cost, start + schedule.duration[request]
    starts: list[int] = []
    limit = int(problem.block_end_s[block])
    for i in range(len(order) - 1, -1, -1):
        start, argmin = best_before[i]
        last = int(np.searchsorted(start, limit - schedule.duration[order[i]], "right")) - 1
        limit = int(start[argmin[last]])
        starts.append(limit)
    starts.reverse()
    return starts


def _running_argmin(cost: FloatArray) -> IntArray:
    """Index of the first minimum of cost[: i + 1] for every i."""
    low = np.minimum.accumulate(cost)
    new = np.concatenate(([True], cost[1:] < low[:-1]))
    index: IntArray = np.maximum.accumulate(np.where(new, np.arange(len(cost)), 0))
    return index


def _cost(
    problem: Problem,
    request: int,
    telescope: int,
    start_s: IntArray,
    curves: AirmassCurves | None,
    kept: dict[tuple[int, int], int],
) -> FloatArray:
    stay = kept.get((request, telescope))
    if stay is not None:
        distance: FloatArray = np.abs(start_s - stay) * KEEP_COST_PER_S
        return distance
    if curves is not None and problem.optimisation[request] == Optimisation.AIRMASS:
        mean = curves.mean(request, telescope, start_s, int(problem.duration_s[request]))
        if mean is not None:
            return mean
    delay: FloatArray = (start_s - start_s[0]) * DELAY_COST_PER_S
    return delay
