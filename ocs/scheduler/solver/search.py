"""Which stage runs when, on what, and for how long."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ocs.scheduler.problem import (
    FloatArray,
    IntArray,
    Operator,
    Problem,
    Schedule,
    StageReport,
    rows_of,
    violations,
)
from ocs.scheduler.solver.annealing import Annealer
from ocs.scheduler.solver.budget import Budget
from ocs.scheduler.solver.cells import CellPrices
from ocs.scheduler.solver.neighbourhood import Improvement, Neighbourhood
from ocs.scheduler.solver.relaxation import ALL_COLUMNS, Prices, Relaxation
from ocs.scheduler.solver.sequences import Sequences, preferred_rows
from ocs.scheduler.solver.timing import start_times

OPTIMAL_GAP = 1e-6
SUBGRADIENT_STEPS = 150
RELAXATION_SHARE = 0.35
FAR = 1.08
TIMING_SHARE = 0.04
CANDIDATES = 20
BLOCK_SECONDS, LONGEST_BLOCK_SECONDS = 0.2, 3.0
WHOLE_ROWS = 2_000
CYCLE_SHARE = 0.2
HOT = 0.3
REPRODUCIBLE_BATCH = 4
POSITION_SECONDS = 3e-7


def solve(
    problem: Problem,
    budget_s: float,
    seed: int = 0,
    *,
    workers: int = 1,
    deterministic: bool = False,
    quick: bool = False,
    target_gap: float = 0.0,
) -> Schedule:
    """Schedule as much priority as possible.

    Parameters
    ----------
    problem : Problem
    budget_s : float
        Seconds; the answer comes within this time plus what placing every request once costs.
    seed : int
        Of every random choice.
    workers : int
        Threads that improve blocks at the same time.
    deterministic : bool
        Count work instead of looking at the clock: same inputs and seed, same schedule, on any machine.
    quick : bool
        Stop after insertion and a bound by subgradient steps; for rapid responses.
    target_gap : float
        Stop when the relative gap is proven to be at most this.

    Returns
    -------
    Schedule
    """
    search = _Search(problem, Budget(budget_s, deterministic), seed, workers, target_gap)
    search.repair()
    search.fill()
    search.keep("insertion")
    if len(problem.row_request):
        search.price(quick)
        if not quick:
            search.improve()
    return search.finish()


class _Search:
    def __init__(self, problem: Problem, budget: Budget, seed: int, workers: int, target_gap: float) -> None:
        self.problem = problem
        self.budget = budget
        self.seed = seed
        self.workers = workers
        self.target_gap = max(target_gap, OPTIMAL_GAP)
        self.random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.schedule = Sequences(problem)
        self.best = self.schedule.assignment()
        self.best_objective = 0.0
        self.floor = 0.0
        rows = len(problem.row_request)
        worth = float(problem.priority[np.unique(problem.row_request)].sum())
        self.prices = Prices(worth, np.zeros(rows), np.zeros(rows))
        self.preferred = preferred_rows(problem, self.prices.row_price)
        self.relaxation = Relaxation(problem)
        self.stages: list[StageReport] = []
        self._settled: set[tuple[frozenset[int], frozenset[int]]] = set()
        self._work_seen = 0

    # -- bookkeeping
    # --------------------------------------------------------------------------------------------

    def keep(self, stage: str | None = None) -> None:
        """Remember the schedule if it is the best so far; report when a stage ends."""
        if self.schedule.objective > self.best_objective * (1 + 1e-12) + 1e-9:
            self.best, self.best_objective = self.schedule.assignment(), self.schedule.objective
        self.budget.spend((self.schedule.work - self._work_seen) * POSITION_SECONDS)
        self._work_seen = self.schedule.work
        if stage:
            self.stages.append(
                StageReport(stage, self.budget.elapsed_s, self.best_objective, self.prices.bound)
            )

    @property
    def left_s(self) -> float:
        """Seconds left before the timing pass must begin."""
        return self.budget.left_s - TIMING_SHARE * self.budget.seconds

    @property
    def done(self) -> bool:
        """Out of time, or close enough to the bound."""
        return self.left_s <= 0 or self.best_objective >= self.prices.bound * (1 - self.target_gap)

    # -- stages
    # -------------------------------------------------------------------------------------------------

    def repair(self) -> None:
        """What is still possible of the current schedule."""
        current = self.problem.current
        row = rows_of(self.problem, current.request, current.telescope, current.start_s)
        order = np.argsort(current.start_s, kind="stable")
        for i in order[row[order] >= 0].tolist():
            if self.schedule.row[int(current.request[i])] < 0 and not self.schedule.append(int(row[i])):
                self.schedule.insert(int(current.request[i]), [int(row[i])])
        for i in order[row[order] < 0].tolist():
            request = int(current.request[i])
            if self.schedule.row[request] < 0:
                self.schedule.insert(request, self.preferred[request])
        self.schedule.drop_incomplete_groups()
        self.keep("repair")
        self.floor = self.best_objective

    def fill(self, requests: Iterable[int] | None = None) -> None:
        """Insert whatever fits, worth per second first."""
        problem = self.problem
        if requests is None:
            order: Sequence[int] = np.argsort(-problem.priority / problem.duration_s, kind="stable").tolist()
        else:
            order = sorted(requests, key=lambda r: (-problem.priority[r] / problem.duration_s[r], r))
        schedule = self.schedule
        for request in order:
            if schedule.row[request] < 0 and schedule.rows[request]:
                schedule.insert_group(request, self.preferred)

    def price(self, quick: bool) -> None:
        """Bound, prices, and the schedule that follows the relaxed solution."""
        self.prices = self.relaxation.ascend(self.best_objective, 30 if quick else SUBGRADIENT_STEPS)
        self.budget.spend(1e-8 * SUBGRADIENT_STEPS * len(self.problem.row_request))
        self.keep("prices")
        if quick or self.done:
            return
        share_s = RELAXATION_SHARE * self.budget.seconds
        crowded = self.prices.bound > FAR * self.best_objective
        if crowded:
            cells = CellPrices(self.relaxation)
            self.prices = cells.ascend(self.prices, self.best_objective, self.budget, share_s)
            self.keep("cells")
        if not crowded or len(self.problem.row_request) <= ALL_COLUMNS:
            self.prices = self.relaxation.solve(self.prices, self.budget, share_s)
            self.keep("relaxation")
        self.preferred = preferred_rows(self.problem, self.prices.row_price)
        if self.done:
            return
        self.schedule.restore(([-1] * len(self.schedule.row), [[] for _ in self.schedule.order]))
        value = self.prices.value
        likely = np.flatnonzero(value > 0.05)
        density = self.problem.priority / self.problem.duration_s
        likely = likely[np.lexsort((-density[self.problem.row_request[likely]], -np.round(value[likely], 2)))]
        for row in likely.tolist():
            request = self.schedule.row_request[row]
            if self.schedule.row[request] < 0 and self.schedule.insertable(request):
                self.schedule.insert(request, [row])
        self.complete_groups()
        self.fill()
        self.keep("rounding")

    def complete_groups(self) -> None:
        """Find room for the missing members of ``and`` groups, give up those without."""
        for request, row in enumerate(self.schedule.row):
            if row < 0 and self.schedule.group_begun(request):
                self.schedule.insert(request, self.preferred[request])
        self.schedule.drop_incomplete_groups()

    def improve(self) -> None:
        """Annealing and CP-SAT on sets of blocks in turn, until time is up or the gap is closed."""
        cycle = 0
        with ThreadPoolExecutor(self.workers) as pool:
            while not self.done:
                self.anneal(min(max(0.3, CYCLE_SHARE * self.budget.seconds), self.left_s), cycle)
                self.schedule.restore(self.best)
                self.sweep(pool, 1, self.left_s, BLOCK_SECONDS * 2**cycle)
                if not cycle and len(self.problem.row_request) <= WHOLE_ROWS and not self.done:
                    self.whole()
                self.sweep(
                    pool, 2 + cycle % 3, CYCLE_SHARE * self.budget.seconds, 2 * BLOCK_SECONDS * 2**cycle
                )
                cycle += 1
                self.keep(f"cycle {cycle}")

    def anneal(self, seconds: float, cycle: int) -> None:
        """One cycle of ejection moves from the best schedule."""
        annealer = Annealer(self.problem, self.schedule, self.preferred, self.prices.row_price, self.random)
        begin = self.budget.elapsed_s

        def progress() -> float:
            self.keep()
            return 1.0 if self.done else (self.budget.elapsed_s - begin) / seconds

        annealer.run(progress, self.keep, HOT / (1 + cycle))
        self.keep()

    def sweep(self, pool: ThreadPoolExecutor, size: int, seconds: float, each_s: float) -> None:
        """Improve every set of blocks once, some at a time, for so many seconds in all and each."""
        until = self.budget.elapsed_s + seconds
        queue = self.block_sets(size)
        batch_size = REPRODUCIBLE_BATCH if self.budget.deterministic else self.workers
        while queue and not self.done and self.budget.elapsed_s < until:
            batch: list[tuple[Neighbourhood, tuple[frozenset[int], frozenset[int]], float]] = []
            used_blocks: set[int] = set()
            used_requests: set[int] = set()
            later: list[list[int]] = []
            free = self.free_mask()
            while queue and len(batch) < batch_size:
                blocks = queue.pop(0)
                if used_blocks & set(blocks):
                    later.append(blocks)
                    continue
                candidates = [r for r in self.candidates(blocks, free) if r not in used_requests]
                content = [r for b in blocks for r in self.schedule.order[b]]
                key = (frozenset(content), frozenset(candidates))
                if key in self._settled or not candidates:
                    continue
                used_blocks |= set(blocks)
                for request in candidates:
                    if self.schedule.operator[request] == Operator.ONEOF:
                        used_requests.update(self.schedule.members[self.schedule.group[request]])
                    else:
                        used_requests.add(request)
                worth = sum(self.schedule.priority[r] for r in content)
                batch.append((Neighbourhood(self.schedule, blocks, candidates), key, worth))
            queue = later + queue
            limit = min(each_s, LONGEST_BLOCK_SECONDS, self.left_s)
            if limit <= 0:
                break
            futures = [
                pool.submit(model.solve, limit, self.seed, self.budget.deterministic) for model, _, _ in batch
            ]
            losers: set[int] = set()
            for (_, key, worth), future in zip(batch, futures, strict=True):
                answer = future.result()
                self.budget.spend(answer.work_s)
                if answer.proven:
                    self._settled.add(key)
                losers |= self.accept(answer, worth)
            self.fill(losers)
            self.keep()

    def accept(self, answer: Improvement, worth: float) -> set[int]:
        """Apply an answer that is worth more; the requests that lost their place."""
        rows = [row for sequence in answer.content.values() for row in sequence]
        if sum(self.schedule.priority[self.schedule.row_request[k]] for k in rows) <= worth + 1e-6:
            return set()
        before = {r for block in answer.content for r in self.schedule.order[block]}
        self.schedule.replace(answer.content)
        return {r for r in before if self.schedule.row[r] < 0}

    def whole(self) -> None:
        """Small problems: everything at once, which may also prove optimality."""
        self.schedule.restore(self.best)
        model = Neighbourhood(
            self.schedule, range(len(self.schedule.order)), np.unique(self.problem.row_request).tolist()
        )
        answer = model.solve(
            0.6 * self.left_s,
            self.seed,
            self.budget.deterministic,
            1 if self.budget.deterministic else self.workers,
        )
        self.budget.spend(answer.work_s)
        self.accept(answer, self.schedule.objective)
        self.prices = Prices(min(self.prices.bound, answer.bound), self.prices.row_price, self.prices.value)
        self.keep("whole")

    # -- choices
    # ------------------------------------------------------------------------------------------------

    def block_sets(self, size: int) -> list[list[int]]:
        """Every block once; with larger sizes, blocks that requests without a place could choose between."""
        blocks = np.unique(self.problem.row_block).tolist()
        self.random.shuffle(blocks)
        if size == 1:
            return [[b] for b in blocks]
        price, priority = self.prices.row_price, self.problem.priority
        sets: list[list[int]] = []
        for block in blocks:
            rows = self.relaxation.rows_in(block)
            request = self.problem.row_request[rows]
            # The neighbours a block shares most of its nearly indifferent requests with.
            near = request[np.abs(priority[request] - price[rows]) <= 0.5 * priority[request]]
            shared = np.isin(self.problem.row_request, near)
            count = np.bincount(self.problem.row_block[shared], minlength=len(self.problem.block_telescope))
            count[block] = 0
            total = int(count.sum())
            if not total:
                continue
            others = self.random.choices(range(len(count)), weights=count.tolist(), k=size - 1)
            sets.append([block, *others])
        return sets

    def free_mask(self) -> IntArray:
        """1 for requests that may be offered to a block, shape (N,)."""
        schedule = self.schedule
        return np.array([schedule.free(r) for r in range(len(schedule.row))], dtype=np.int64)

    def candidates(self, blocks: Iterable[int], free: IntArray) -> list[int]:
        """The unscheduled requests with the best reduced value in the blocks."""
        chosen: set[int] = set()
        for block in blocks:
            rows = self.relaxation.rows_in(block)
            rows = rows[free[self.problem.row_request[rows]] > 0]
            request = self.problem.row_request[rows]
            reduced: FloatArray = self.problem.priority[request] - self.prices.row_price[rows]
            best = np.argsort(-reduced, kind="stable")[:CANDIDATES]
            chosen |= set(request[best].tolist())
        return sorted(chosen)

    # -- result
    # -------------------------------------------------------------------------------------------------

    def finish(self) -> Schedule:
        """Fix the start seconds of the best schedule."""
        self.schedule.restore(self.best)
        order = self.schedule.order
        starts = start_times(self.problem, self.schedule)
        block = np.repeat(np.arange(len(order)), [len(o) for o in order]).astype(np.int64)
        request = np.array([r for o in order for r in o], dtype=np.int64)
        start_s = np.array([s for o in starts for s in o], dtype=np.int64)
        telescope = self.problem.block_telescope[block]
        sort = np.lexsort((start_s, telescope))
        broken = violations(self.problem, request, telescope, start_s)
        if broken:
            raise RuntimeError(f"the solver broke its own rules: {'; '.join(broken[:5])}")
        objective = float(self.problem.priority[np.sort(request)].sum())
        bound = max(self.prices.bound, objective)
        self.stages.append(StageReport("timing", self.budget.elapsed_s, objective, bound))
        return Schedule(
            request=request[sort],
            telescope=telescope[sort],
            block=block[sort],
            start_s=start_s[sort],
            objective=objective,
            bound=bound,
            status="optimal" if bound - objective <= OPTIMAL_GAP * bound else "feasible",
            floor=min(self.floor, objective),
            row_price=self.prices.row_price,
            stages=tuple(self.stages),
            seed=self.seed,
        )
