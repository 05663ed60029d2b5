"""Start seconds for a decided set and order: the earliest possible, or the least airmass."""

from __future__ import annotations

import numpy as np

from ocs.scheduler.problem import AirmassTable, FloatArray, IntArray, Optimisation, Problem
from ocs.scheduler.solver.sequences import Sequences

AIRMASS_GRID_S = 30
DELAY_COST_PER_S = 0.1 / 3600.0
KEEP_COST_PER_S = 1.0


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


def start_times(problem: Problem, schedule: Sequences) -> list[list[int]]:
    """Start of every observation, block by block in the order of `schedule.order`."""
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
