"""Exact improvement of a few blocks at a time with CP-SAT.

Everything observed in the chosen blocks, plus candidates nobody observes, is placed anew at will; the rest of
the schedule stands. With all blocks and requests chosen this is the whole problem, and its bound is a proof.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ocs.scheduler.problem import Operator
from ocs.scheduler.solver.sequences import Sequences

WEIGHT_SCALE = 1e4


@dataclass(frozen=True, slots=True)
class Improvement:
    """Answer for one neighbourhood.

    Attributes
    ----------
    content : dict of int to list of int
        For each block the rows to observe, in order. Empty when no solution was found in time.
    proven : bool
        No better content exists for these blocks and candidates.
    bound : float
        Upper bound on the worth of the blocks' content.
    work_s : float
        Deterministic time spent.
    """

    content: dict[int, list[int]]
    proven: bool
    bound: float
    work_s: float


@dataclass(frozen=True, slots=True)
class _Placement:
    row_options: Sequence[int]
    start: Any
    present: Any


class Neighbourhood:
    """CP-SAT model of some blocks; build it while the schedule stands still, solve it in any thread.

    Parameters
    ----------
    schedule : Sequences
    blocks : iterable of int
    candidates : iterable of int
        Unscheduled requests that may come in. Members of ``and`` groups only count when all of the group is
        offered.
    """

    def __init__(self, schedule: Sequences, blocks: Iterable[int], candidates: Iterable[int]) -> None:
        from ortools.sat.python import cp_model

        self.blocks = sorted(set(blocks))
        self.model = cp_model.CpModel()
        self.placements: dict[tuple[int, int], _Placement] = {}
        self._row_lo, self._row_hi = schedule.row_lo, schedule.row_hi
        inside = set(self.blocks)
        content = {r for b in self.blocks for r in schedule.order[b]}
        offered = sorted(content | set(candidates))
        available = set(offered)
        intervals: dict[int, list[Any]] = defaultdict(list)
        energy: dict[int, list[tuple[int, Any, int, int]]] = defaultdict(list)
        taken: dict[int, Any] = {}
        for request in offered:
            options: dict[int, list[int]] = defaultdict(list)
            for row in schedule.rows[request]:
                if schedule.row_block[row] in inside:
                    options[schedule.row_block[row]].append(row)
            duration = schedule.duration[request]
            here: list[Any] = []
            for block, rows in options.items():
                lo, hi = schedule.row_lo[rows[0]], schedule.row_hi[rows[-1]]
                domain = cp_model.Domain.from_intervals(
                    [[schedule.row_lo[k], schedule.row_hi[k]] for k in rows]
                )
                start = self.model.new_int_var_from_domain(domain, "")
                present = self.model.new_bool_var("")
                intervals[block].append(
                    self.model.new_optional_fixed_size_interval_var(start, duration, present, "")
                )
                energy[block].append((duration, present, lo, hi + duration))
                self.placements[request, block] = _Placement(rows, start, present)
                here.append(present)
                if request in content and schedule.row_block[schedule.row[request]] == block:
                    self.model.add_hint(present, 1)
                    self.model.add_hint(start, self._current_start(schedule, request, block))
                else:
                    self.model.add_hint(present, 0)
            if len(here) == 1:
                taken[request] = here[0]
            elif here:
                taken[request] = self.model.new_bool_var("")
                self.model.add(sum(here) == taken[request])
        for block, items in intervals.items():
            self.model.add_no_overlap(items)
            self._add_energy(energy[block])
        self._add_groups(schedule, taken, available)
        self.model.maximize(
            sum(math.ceil(schedule.priority[r] * WEIGHT_SCALE) * literal for r, literal in taken.items())
        )

    def _current_start(self, schedule: Sequences, request: int, block: int) -> int:
        i = schedule.order[block].index(request)
        return max(schedule.earliest_end[block][i], schedule.row_lo[schedule.row[request]])

    def _add_energy(self, items: list[tuple[int, Any, int, int]]) -> None:
        """What lies wholly inside an interval fits into it: the block, its beginnings, its ends."""
        first, last = min(i[2] for i in items), max(i[3] for i in items)
        step = max((last - first) // 8, 1)
        spans = {(first, last)}
        spans |= {(first, t) for t in range(first + step, last, step)}
        spans |= {(t, last) for t in range(first + step, last, step)}
        for begin, end in sorted(spans):
            inner = [(d, p) for d, p, lo, hi in items if lo >= begin and hi <= end]
            if sum(d for d, _ in inner) > end - begin:
                self.model.add(sum(d * p for d, p in inner) <= end - begin)

    def _add_groups(self, schedule: Sequences, taken: dict[int, Any], available: set[int]) -> None:
        for group in sorted({schedule.group[r] for r in available}):
            members = schedule.members[group]
            operator = schedule.operator[members[0]]
            if operator <= Operator.MANY:
                continue
            elsewhere = any(schedule.row[m] >= 0 and m not in available for m in members)
            offered = [taken[m] for m in members if m in taken]
            if operator == Operator.ONEOF:
                self.model.add(sum(offered) <= (0 if elsewhere else 1))
            elif elsewhere:
                self.model.add_bool_and(offered)
            elif len(offered) < len(members):
                self.model.add_bool_and([literal.negated() for literal in offered])
            else:
                for literal in offered[1:]:
                    self.model.add(literal == offered[0])

    def solve(self, seconds: float, seed: int, deterministic: bool, workers: int = 1) -> Improvement:
        """Run CP-SAT for at most the given (wall or deterministic) seconds."""
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.num_workers = workers
        solver.parameters.random_seed = seed
        if deterministic:
            solver.parameters.max_deterministic_time = seconds
        else:
            solver.parameters.max_time_in_seconds = seconds
        status = solver.solve(self.model)
        work_s = float(solver.response_proto.deterministic_time)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Improvement({}, False, math.inf, work_s)
        chosen: dict[int, list[tuple[int, int]]] = {b: [] for b in self.blocks}
        for (_, block), placement in self.placements.items():
            if solver.boolean_value(placement.present):
                start = solver.value(placement.start)
                row = next(k for k in placement.row_options if self._row_lo[k] <= start <= self._row_hi[k])
                chosen[block].append((start, row))
        content = {block: [row for _, row in sorted(items)] for block, items in chosen.items()}
        return Improvement(
            content, status == cp_model.OPTIMAL, solver.best_objective_bound / WEIGHT_SCALE, work_s
        )
