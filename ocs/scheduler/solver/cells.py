"""Bound and prices with a price of its own for every cell of time, for sky that is crowded at certain hours.

Where most requests want the same hours of a night, one price per night proves little. Here each block is
cut into cells with a price per second each. A request pays for the seconds it takes, at the cheapest start
its row allows; that start is found exactly, because the cost is linear between starts at which either end of
the observation meets the edge of a cell.
"""

from __future__ import annotations

import numpy as np

from ocs.scheduler.problem import FloatArray, IntArray, index_ranges
from ocs.scheduler.solver.budget import Budget
from ocs.scheduler.solver.relaxation import Prices, Relaxation

CELLS_S = (900, 1800, 3600, 7200)
STARTS = 1_500_000
START_SECONDS = 3e-8


class CellPrices:
    """Subgradient ascent over the prices of cells.

    Parameters
    ----------
    relaxation : Relaxation
        Gives the problem and the part of each block that can be used.
    """

    def __init__(self, relaxation: Relaxation) -> None:
        self.relaxation = relaxation
        problem = relaxation.problem
        self.span = int(problem.block_end_s.max() - problem.block_start_s.min()) + 2
        self.base = problem.row_block * self.span - int(problem.block_start_s.min())
        for cell_s in CELLS_S:
            self._cut(cell_s)
            if len(self.start) <= STARTS:
                break

    def _cut(self, cell_s: int) -> None:
        problem, base = self.relaxation.problem, self.base
        lo, hi = problem.row_lo_s + base, problem.row_hi_s + base
        duration: IntArray = problem.duration_s[problem.row_request]
        edges, used = [], []
        for block in np.unique(problem.row_block).tolist():
            rows = self.relaxation.rows_in(block)
            inner = np.arange(int(lo[rows].min()), int((hi + duration)[rows].max()), cell_s)
            edges.append(np.append(inner, (hi + duration)[rows].max()))
            used.append(np.append(np.ones(len(inner)), 0.0))
        self.edge: IntArray = np.concatenate(edges)
        # The stretch from the end of one block to the next is no cell: never priced.
        self.used: FloatArray = np.concatenate(used)
        self.length: FloatArray = np.append(np.diff(self.edge), 0).astype(np.float64)
        row, meets = index_ranges(
            np.searchsorted(self.edge, lo, "right"), np.searchsorted(self.edge, hi, "left")
        )
        row_end, meets_end = index_ranges(
            np.searchsorted(self.edge, lo + duration, "right"),
            np.searchsorted(self.edge, hi + duration, "left"),
        )
        every = np.arange(len(lo))
        of_row = np.concatenate((every, every, row, row_end))
        start = np.concatenate((lo, hi, self.edge[meets], self.edge[meets_end] - duration[row_end]))
        order = np.argsort(of_row, kind="stable")
        self.of_row, self.start = of_row[order], start[order]
        self.end = self.start + duration[self.of_row]
        self.first = np.searchsorted(self.of_row, every)
        self.start_cell = np.searchsorted(self.edge, self.start, "right") - 1
        self.end_cell = np.searchsorted(self.edge, self.end, "right") - 1

    def ascend(self, best: Prices, floor: float, budget: Budget, seconds: float) -> Prices:
        """Better prices than the given ones, or those.

        Parameters
        ----------
        best : Prices
        floor : float
            Worth of a known schedule; sets the step length.
        budget : Budget
        seconds : float
            At most this much of the budget.
        """
        relaxation, problem = self.relaxation, self.relaxation.problem
        until = budget.elapsed_s + seconds
        price = np.zeros(len(self.edge))
        ceiling = float((problem.priority / problem.duration_s).max())
        scale, stalled, lowest = 1.0, 0, float("inf")
        while budget.elapsed_s < until and lowest - floor > 1e-9:
            budget.spend(START_SECONDS * len(self.start))
            paid = np.concatenate(([0.0], np.cumsum(price * self.length)[:-1]))
            cost = paid[self.end_cell] + price[self.end_cell] * (self.end - self.edge[self.end_cell])
            cost -= paid[self.start_cell] + price[self.start_cell] * (self.start - self.edge[self.start_cell])
            row_price = np.maximum(np.minimum.reduceat(cost, self.first), 0.0)
            bound, taken = relaxation.bound(row_price, float(np.dot(price, self.length)))
            stalled += 1
            if bound < lowest - 1e-9:
                lowest, stalled = bound, 0
                if bound < best.bound:
                    best = Prices(bound, row_price, best.value)
            elif stalled == 8:
                scale, stalled = scale * 0.7, 0
            reduced = problem.priority[problem.row_request] - row_price
            top = np.full(len(problem.priority), np.inf)
            top[relaxation.requests_with_rows] = np.maximum.reduceat(reduced, relaxation.first_row)
            pick = taken[problem.row_request] & (reduced >= top[problem.row_request])
            chosen = np.flatnonzero(pick[self.of_row] & (cost <= row_price[self.of_row] + 1e-9))
            request = problem.row_request[self.of_row[chosen]]
            share = 1.0 / np.bincount(request, minlength=len(problem.priority))[request]
            item, cell = index_ranges(self.start_cell[chosen], self.end_cell[chosen] + 1)
            stop = np.minimum(self.end[chosen][item], self.edge[cell] + self.length[cell])
            overlap = np.maximum(stop - np.maximum(self.start[chosen][item], self.edge[cell]), 0.0)
            load = np.bincount(cell, weights=overlap * share[item], minlength=len(self.edge))
            slope = (load - self.length) * self.used
            slope[(price <= 0) & (slope < 0)] = 0.0
            norm = float(np.dot(slope, slope))
            if norm == 0.0:
                break
            price = np.clip(price + scale * (bound - floor) / norm * slope, 0.0, ceiling)
        return best
