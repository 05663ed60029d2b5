"""Linear relaxation: proven upper bound, price of telescope time, and an assignment that is almost integral.

One variable per row. Each request (``oneof`` group) is taken at most once, members of an ``and`` group
equally often. Order inside a block is relaxed to *energy*: whatever a row must spend inside [t1, t2) however
it slides, summed over the rows taken, is at most t2 - t1. The interval of a whole block is there from the
start, others are added where the solution violates them. Any non-negative prices on the intervals prove a
bound (Lagrangian duality), so the bound never depends on how far or how exactly the linear program was
solved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from ocs.scheduler.problem import BoolArray, FloatArray, IntArray, Operator, Problem
from ocs.scheduler.solver.budget import Budget

ALL_COLUMNS = 8_000
INTERVAL_ENDS = 48
CUTS_PER_BLOCK = 6
STALLED_ROUNDS = 1
COLUMN_MARGIN = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """What the relaxation found.

    Attributes
    ----------
    bound : float
        No schedule can be worth more.
    row_price : ndarray of float, shape (K,)
        Price of the time each row must take.
    value : ndarray of float, shape (K,)
        Share of each row in the relaxed solution, 0 to 1; all 0 when the linear program was not solved.
    """

    bound: float
    row_price: FloatArray
    value: FloatArray


class Relaxation:
    """The energy relaxation of one problem.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.duration = problem.duration_s[problem.row_request].astype(np.float64)
        self.by_block: IntArray = np.argsort(problem.row_block, kind="stable")
        self.block_first = np.searchsorted(
            problem.row_block[self.by_block], np.arange(len(problem.block_telescope) + 1)
        )
        present = np.diff(problem.row_request, prepend=-1) != 0
        self.first_row = np.flatnonzero(present)
        self.requests_with_rows = problem.row_request[self.first_row]
        # The energy rows: block, interval, affected rows and what each must spend inside.
        self.cut_rhs: list[float] = []
        self.cut_rows: list[IntArray] = []
        self.cut_energy: list[FloatArray] = []
        self._known: set[tuple[int, int, int]] = set()
        for block in np.unique(problem.row_block).tolist():
            rows = self.rows_in(block)
            begin = int(problem.row_lo_s[rows].min())
            end = int((problem.row_hi_s[rows] + problem.duration_s[problem.row_request[rows]]).max())
            self._add_cut(block, begin, end)

    def rows_in(self, block: int) -> IntArray:
        """Indices of the rows of a block."""
        return self.by_block[self.block_first[block] : self.block_first[block + 1]]

    def _add_cut(self, block: int, begin_s: int, end_s: int) -> None:
        if (block, begin_s, end_s) in self._known:
            return
        self._known.add((block, begin_s, end_s))
        rows = self.rows_in(block)
        energy = self._energy(rows, np.float64(begin_s), np.float64(end_s))
        inside = energy > 0
        self.cut_rhs.append(float(end_s - begin_s))
        self.cut_rows.append(rows[inside])
        self.cut_energy.append(energy[inside])

    def _energy(self, rows: IntArray, begin_s: Any, end_s: Any) -> FloatArray:
        """Least time each row spends in [begin, end), reached at one end of its start interval."""
        lo, hi = self.problem.row_lo_s[rows], self.problem.row_hi_s[rows]
        duration = self.duration[rows]
        shape = (len(rows),) + (1,) * np.ndim(begin_s)
        lo, hi, duration = lo.reshape(shape), hi.reshape(shape), duration.reshape(shape)
        early = np.minimum(lo + duration, end_s) - np.maximum(lo, begin_s)
        late = np.minimum(hi + duration, end_s) - np.maximum(hi, begin_s)
        energy: FloatArray = np.maximum(np.minimum(early, late), 0.0)
        return energy

    # -- bound
    # --------------------------------------------------------------------------------------------------

    def bound(self, row_price: FloatArray, capacity_value: float) -> tuple[float, BoolArray]:
        """Lagrangian bound for the given prices, and which requests the priced problem would take.

        Parameters
        ----------
        row_price : ndarray of float, shape (K,)
        capacity_value : float
            Sum of price times length over all intervals.
        """
        problem = self.problem
        best = np.full(len(problem.priority), -np.inf)
        if len(self.first_row):
            reduced = problem.priority[problem.row_request] - row_price
            best[self.requests_with_rows] = np.maximum.reduceat(reduced, self.first_row)
        taken = best > 0
        operator = problem.operator[problem.group]
        total = float(best[taken & (operator <= Operator.MANY)].sum())
        both = np.flatnonzero(operator == Operator.AND)
        if len(both):
            worth = np.bincount(problem.group[both], weights=best[both], minlength=len(problem.operator))
            total += float(worth[worth > 0].sum())
            taken[both] = worth[problem.group[both]] > 0
        either = np.flatnonzero(operator == Operator.ONEOF)
        if len(either):
            top = np.zeros(len(problem.operator))
            np.maximum.at(top, problem.group[either], best[either])
            total += float(top.sum())
            taken[either] &= best[either] >= top[problem.group[either]]
        return total + capacity_value, taken

    def _priced(self, dual: FloatArray) -> tuple[FloatArray, float]:
        price = np.zeros(len(self.problem.row_request))
        for rows, energy, value in zip(self.cut_rows, self.cut_energy, dual.tolist(), strict=True):
            if value > 0:
                price[rows] += value * energy
        return price, float(np.dot(dual, self.cut_rhs))

    def ascend(self, floor: float, steps: int) -> Prices:
        """Prices by subgradient steps alone: no linear program, milliseconds per step.

        Parameters
        ----------
        floor : float
            Worth of a known schedule; sets the step length.
        steps : int
        """
        problem = self.problem
        blocks = len(problem.block_telescope)
        length = np.zeros(blocks)
        used = np.unique(problem.row_block)
        length[used] = self.cut_rhs[: len(used)]
        density = problem.priority[problem.row_request] / np.maximum(self.duration, 1.0)
        dual = np.zeros(blocks)
        best = Prices(float("inf"), np.zeros(len(self.duration)), np.zeros(len(self.duration)))
        scale, stalled = 1.0, 0
        for _ in range(steps):
            price = dual[problem.row_block] * self.duration
            bound, taken = self.bound(price, float(np.dot(dual, length)))
            if bound < best.bound - 1e-9:
                stalled = 0
                best = Prices(bound, price, best.value)
            else:
                stalled += 1
                if stalled == 10:
                    scale, stalled = scale * 0.7, 0
            reduced = problem.priority[problem.row_request] - price
            top = np.maximum.reduceat(reduced, self.first_row)
            choice = np.zeros(len(problem.priority))
            choice[self.requests_with_rows] = top
            pick = taken[problem.row_request] & (reduced >= choice[problem.row_request])
            # Requests indifferent between rows count in equal parts in each: the mean of subgradients is one.
            ties = np.bincount(problem.row_request[pick], minlength=len(problem.priority))
            share = self.duration[pick] / ties[problem.row_request[pick]]
            load = np.bincount(problem.row_block[pick], weights=share, minlength=blocks)
            slope = load - length
            slope[(dual <= 0) & (slope < 0)] = 0.0
            norm = float(np.dot(slope, slope))
            if norm == 0.0 or bound - floor <= 1e-9:
                break
            dual = np.clip(dual + scale * (bound - floor) / norm * slope, 0.0, density.max())
        return best

    # -- linear program
    # -----------------------------------------------------------------------------------------

    def solve(self, start: Prices, budget: Budget, seconds: float) -> Prices:
        """Solve the linear program, adding columns and energy rows while they help and time lasts.

        Parameters
        ----------
        start : Prices
            Choose the first columns; returned when nothing better is found.
        budget : Budget
        seconds : float
            At most this much of the budget.
        """
        problem = self.problem
        until = budget.elapsed_s + seconds
        columns = np.ones(len(self.duration), dtype=np.bool_)
        if len(columns) > ALL_COLUMNS:
            reduced = problem.priority[problem.row_request] - start.row_price
            best = np.maximum.reduceat(reduced, self.first_row)
            near = np.repeat(np.maximum(best, 0.0), np.diff(np.append(self.first_row, len(columns))))
            columns = reduced >= near - COLUMN_MARGIN * problem.priority[problem.row_request]
        prices, stalled = start, 0
        while stalled < STALLED_ROUNDS:
            left = until - budget.elapsed_s
            if left <= 0:
                break
            selected = np.flatnonzero(columns)
            answer = self._linear_program(selected, left, budget.deterministic)
            budget.spend(2e-5 * len(selected))
            if answer is None:
                break
            value, dual, request_price = answer
            price, capacity_value = self._priced(dual)
            bound, _ = self.bound(price, capacity_value)
            improved = prices.bound - bound
            prices = Prices(bound, price, value) if improved > 0 else replace(prices, value=value)
            gain = problem.priority[problem.row_request] - price - request_price
            missing = ~columns & (gain > 1e-6)
            if missing.any():
                columns |= missing
                continue
            stalled = stalled + 1 if improved < 1e-5 * bound else 0
            # In large problems another solve costs more than energy rows have been seen to gain.
            if len(columns) > ALL_COLUMNS or not self._separate(value):
                break
        return prices

    def _linear_program(
        self, selected: IntArray, seconds: float, deterministic: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Row values (K,), interval prices (cuts,), price of each row's request (K,); None if cut short."""
        from ortools.math_opt import model_pb2
        from ortools.math_opt.python import mathopt

        problem = self.problem
        request = problem.row_request[selected]
        operator = problem.operator[problem.group]
        requests = len(problem.priority)
        # Constraint of each request: its own, or the first member's for a ``oneof`` group.
        first_member = np.full(len(problem.operator), requests, dtype=np.int64)
        np.minimum.at(first_member, problem.group, np.arange(requests))
        anchor = first_member[problem.group]
        constraint = np.where(operator == Operator.ONEOF, anchor, np.arange(requests))
        follower = (operator == Operator.AND) & (anchor != np.arange(requests))
        upper = np.where(follower, 0.0, 1.0)
        lower = np.where(follower, 0.0, -np.inf)

        column_of = np.full(len(self.duration), -1, dtype=np.int64)
        column_of[selected] = np.arange(len(selected))
        row_parts, column_parts = [constraint[request]], [np.arange(len(selected))]
        weight_parts = [np.ones(len(selected))]
        for r in np.flatnonzero(follower).tolist():
            leading = np.flatnonzero(request == anchor[r])
            row_parts.append(np.full(len(leading), r))
            column_parts.append(leading)
            weight_parts.append(np.full(len(leading), -1.0))
        for c, (rows, energy) in enumerate(zip(self.cut_rows, self.cut_energy, strict=True)):
            column = column_of[rows]
            inside = column >= 0
            row_parts.append(np.full(int(inside.sum()), requests + c))
            column_parts.append(column[inside])
            weight_parts.append(energy[inside] / self.cut_rhs[c])
        entry_row, entry_column = np.concatenate(row_parts), np.concatenate(column_parts)
        entry_weight = np.concatenate(weight_parts)
        order = np.lexsort((entry_column, entry_row))

        model = model_pb2.ModelProto()
        scale = float(problem.priority[request].max()) or 1.0
        model.variables.ids.extend(range(len(selected)))
        model.variables.lower_bounds.extend([0.0] * len(selected))
        model.variables.upper_bounds.extend([np.inf] * len(selected))
        model.variables.integers.extend([False] * len(selected))
        model.objective.maximize = True
        model.objective.linear_coefficients.ids.extend(range(len(selected)))
        model.objective.linear_coefficients.values.extend((problem.priority[request] / scale).tolist())
        cuts = len(self.cut_rhs)
        model.linear_constraints.ids.extend(range(requests + cuts))
        model.linear_constraints.lower_bounds.extend([*lower.tolist(), *[-np.inf] * cuts])
        model.linear_constraints.upper_bounds.extend([*upper.tolist(), *[1.0] * cuts])
        model.linear_constraint_matrix.row_ids.extend(entry_row[order].tolist())
        model.linear_constraint_matrix.column_ids.extend(entry_column[order].tolist())
        model.linear_constraint_matrix.coefficients.extend(entry_weight[order].tolist())

        limit = None if deterministic else timedelta(seconds=seconds)
        linear = mathopt.Model.from_model_proto(model)
        result = mathopt.solve(
            linear, mathopt.SolverType.GLOP, params=mathopt.SolveParameters(time_limit=limit, threads=1)
        )
        if result.termination.reason != mathopt.TerminationReason.OPTIMAL:
            return None
        value = np.zeros(len(self.duration))
        value[selected] = result.variable_values(list(linear.variables()))
        dual = np.array(result.dual_values(list(linear.linear_constraints()))) * scale
        interval_price: FloatArray = np.maximum(dual[requests:], 0.0) / np.array(self.cut_rhs)
        paid = dual[constraint]
        for r in np.flatnonzero(follower).tolist():
            paid[anchor[r]] -= dual[r]
        request_price: FloatArray = paid[problem.row_request]
        return value, interval_price, request_price

    def _separate(self, value: FloatArray) -> bool:
        """Add the intervals the relaxed solution overfills most; False when there are none."""
        problem = self.problem
        before = len(self.cut_rhs)
        support = np.flatnonzero(value > 1e-6)
        support = support[np.argsort(problem.row_block[support], kind="stable")]
        edges = np.searchsorted(problem.row_block[support], np.arange(len(problem.block_telescope) + 1))
        for block in range(len(problem.block_telescope)):
            rows = support[edges[block] : edges[block + 1]]
            if len(rows) < 2:
                continue
            begin = _thinned(problem.row_lo_s[rows])
            end = _thinned(problem.row_hi_s[rows] + problem.duration_s[problem.row_request[rows]])
            energy = self._energy(rows, begin[:, None].astype(np.float64), end[None, :].astype(np.float64))
            length = end[None, :] - begin[:, None]
            excess = np.tensordot(value[rows], energy, axes=1) - length
            relative = np.where(length > 0, excess / np.maximum(length, 60), -1.0)
            for _ in range(CUTS_PER_BLOCK):
                i, j = np.unravel_index(int(relative.argmax()), relative.shape)
                if relative[i, j] < 1e-3:
                    break
                self._add_cut(block, int(begin[i]), int(end[j]))
                relative[i, :] = -1.0
                relative[:, j] = -1.0
        return len(self.cut_rhs) > before


def _thinned(times_s: IntArray) -> IntArray:
    unique: IntArray = np.unique(times_s)
    if len(unique) <= INTERVAL_ENDS:
        return unique
    chosen: IntArray = unique[np.linspace(0, len(unique) - 1, INTERVAL_ENDS).astype(np.int64)]
    return chosen
