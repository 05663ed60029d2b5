"""Ejection moves under a falling temperature.

An unscheduled request takes the place of the consecutive run of observations that is cheapest to lose; those
look for room elsewhere, and what is still free may fill the rest. A move that loses worth is kept with a
probability that falls with the temperature.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from ocs.scheduler.problem import FloatArray, Operator, Problem
from ocs.scheduler.solver.sequences import Sequences

ROWS_TRIED = 8
FILLERS = 6
COLD = 0.002
STEPS_PER_LOOK = 32


class Annealer:
    """Moves on one schedule.

    Parameters
    ----------
    problem : Problem
    schedule : Sequences
        Changed in place.
    preferred : list of sequences, length N
        Rows of every request, cheapest first.
    row_price : ndarray of float, shape (K,)
    rng : random.Random
    """

    def __init__(
        self,
        problem: Problem,
        schedule: Sequences,
        preferred: list[Sequence[int]],
        row_price: FloatArray,
        rng: random.Random,
    ) -> None:
        self.schedule = schedule
        self.preferred = preferred
        self.random = rng
        self.loss: list[float] = _loss(problem, row_price).tolist()
        self.scale = float(np.median(problem.priority[np.unique(problem.row_request)]))

    def run(self, progress: Callable[[], float], keep: Callable[[], None], hot: float) -> None:
        """Move until `progress` reaches 1; `keep` is told after every gain.

        Parameters
        ----------
        progress : callable
            Share of the cycle that is over; decides the temperature.
        keep : callable
        hot : float
            First temperature, in medians of the priorities.
        """
        schedule, rng = self.schedule, self.random
        outside = [r for r, row in enumerate(schedule.row) if row < 0 and schedule.rows[r]]
        best = schedule.objective
        while outside:
            share = progress()
            if share >= 1.0:
                break
            temperature = self.scale * hot * (COLD / hot) ** share
            for _ in range(STEPS_PER_LOOK):
                slot = rng.randrange(len(outside))
                request = outside[slot]
                if schedule.row[request] >= 0:
                    outside[slot] = outside[-1]
                    outside.pop()
                    if not outside:
                        break
                    continue
                before = schedule.objective
                schedule.begin()
                ejected = self._force(request)
                if ejected is None:
                    schedule.roll_back()
                    continue
                ejected.sort(key=lambda r: -schedule.priority[r])
                for loser in ejected:
                    if schedule.row[loser] < 0:
                        schedule.insert_group(loser, self.preferred)
                for _ in range(min(FILLERS, len(outside))):
                    filler = outside[rng.randrange(len(outside))]
                    if schedule.row[filler] < 0:
                        schedule.insert_group(filler, self.preferred)
                gain = schedule.objective - before
                if gain < 0 and rng.random() >= math.exp(gain / temperature):
                    schedule.roll_back()
                    continue
                schedule.commit()
                outside += [r for r in ejected if schedule.row[r] < 0]
                if schedule.objective > best + 1e-9:
                    best = schedule.objective
                    keep()

    def _force(self, request: int) -> list[int] | None:
        """Make room for a request and its ``and`` group; who lost their place, None if it cannot be."""
        schedule = self.schedule
        members = schedule.members[schedule.group[request]]
        ejected: list[int] = []
        if schedule.operator[request] == Operator.ONEOF:
            for sibling in members:
                if schedule.row[sibling] >= 0:
                    schedule.remove(sibling)
                    ejected.append(sibling)
        wanted = members if schedule.operator[request] == Operator.AND else [request]
        for member in wanted:
            lost = self._place(member, set(wanted))
            if lost is None:
                return None
            ejected += lost
        return ejected

    def _place(self, request: int, protected: set[int]) -> list[int] | None:
        schedule, rng = self.schedule, self.random
        rows = self.preferred[request]
        if len(rows) > ROWS_TRIED:
            rows = [rows[0], *(rows[rng.randrange(len(rows))] for _ in range(ROWS_TRIED - 1))]
        best, choice = math.inf, None
        for row in rows:
            for first, last, loss in self._runs(row):
                loss *= 0.7 + 0.6 * rng.random()
                if loss < best:
                    best, choice = loss, (row, first, last)
        if choice is None:
            return None
        row, first, last = choice
        lost: list[int] = []
        for loser in schedule.order[schedule.row_block[row]][first:last]:
            if loser in protected:
                return None
            if schedule.row[loser] < 0:
                continue
            leaving = (
                schedule.members[schedule.group[loser]]
                if schedule.operator[loser] == Operator.AND
                else [loser]
            )
            for member in leaving:
                if schedule.row[member] >= 0:
                    schedule.remove(member)
                    lost.append(member)
        position = schedule.position(row)
        if position < 0:
            return None
        schedule.put(row, position)
        return lost

    def _runs(self, row: int) -> list[tuple[int, int, float]]:
        """For each first position the shortest run whose removal lets the row fit, with its loss."""
        schedule = self.schedule
        block, lo, hi = schedule.row_block[row], schedule.row_lo[row], schedule.row_hi[row]
        duration = schedule.duration[schedule.row_request[row]]
        earliest, latest = schedule.earliest_end[block], schedule.latest_start[block]
        order, used, loss = schedule.order[block], schedule.row, self.loss
        found: list[tuple[int, int, float]] = []
        j, total = 0, 0.0
        begin = max(bisect_right(earliest, lo) - 1, 0)
        end = bisect_right(earliest, hi)
        j = begin
        for i in range(begin, end):
            start = earliest[i] if earliest[i] > lo else lo
            while j < len(order) and (j < i or latest[j] < start + duration):
                total += loss[used[order[j]]]
                j += 1
            if latest[j] < start + duration:
                break
            found.append((i, j, total))
            if i < j:
                total -= loss[used[order[i]]]
        schedule.work += end - begin + 1
        return found


def _loss(problem: Problem, row_price: FloatArray) -> FloatArray:
    """What losing each row costs, shape (K,): the price of the request's time in its best other block.

    Never more than its priority, and never nothing, so that of equal runs the less valuable one goes.
    """
    request, block = problem.row_request, problem.row_block
    priority = problem.priority[request]
    first = np.flatnonzero(np.diff(request, prepend=-1))
    count = np.diff(np.append(first, len(request)))
    cheapest = np.repeat(np.minimum.reduceat(row_price, first), count)
    # The block of the cheapest row: the smallest index among the rows at that price.
    home = np.repeat(
        np.minimum.reduceat(np.where(row_price <= cheapest, block, np.iinfo(np.int64).max), first), count
    )
    second = np.repeat(np.minimum.reduceat(np.where(block != home, row_price, np.inf), first), count)
    elsewhere = np.where(block == home, second, cheapest)
    loss: FloatArray = np.minimum(priority, elsewhere) + 0.05 * priority
    return loss
