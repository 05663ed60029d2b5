"""The solver keeps the rules, never falls below the schedule in force, and proves what it says."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scheduler.instances import make
from ocs.scheduler.problem import AirmassTable, Operator, Optimisation, Placements, Problem, Schedule
from ocs.scheduler.solver import solve, warm_up


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """As in the worker, the time to import the solvers is nobody's budget."""
    warm_up()


def problem_of(
    requests: list[tuple[float, int]],
    rows: list[tuple[int, int, int, int]],
    blocks: list[tuple[int, int, int]],
    *,
    groups: list[int] | None = None,
    operators: list[Operator] | None = None,
    **more: object,
) -> Problem:
    """Requests (priority, duration); rows (request, block, lo, hi); blocks (telescope, start, end)."""
    n = len(requests)
    group = list(range(n)) if groups is None else groups
    rows = sorted(rows)
    column = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    block = np.array(blocks, dtype=np.int64).reshape(-1, 3).T
    values = {
        "priority": np.array([p for p, _ in requests], dtype=np.float64),
        "duration_s": np.array([d for _, d in requests], dtype=np.int64),
        "group": np.array(group, dtype=np.int64),
        "operator": np.array(operators or [Operator.SINGLE] * (max(group, default=-1) + 1), dtype=np.int64),
        "optimisation": np.zeros(n, dtype=np.int64),
        "block_telescope": block[0],
        "block_start_s": block[1],
        "block_end_s": block[2],
        "row_request": column[0],
        "row_block": column[1],
        "row_lo_s": column[2],
        "row_hi_s": column[3],
    }
    return Problem(**{**values, **more})


def check(problem: Problem, schedule: Schedule) -> None:
    """Independent of the solver's own test: loops and sets instead of arrays."""
    placed = list(
        zip(schedule.request.tolist(), schedule.telescope.tolist(), schedule.start_s.tolist(), strict=True)
    )
    assert len({r for r, _, _ in placed}) == len(placed), "a request is scheduled twice"
    allowed: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for r, b, lo, hi in zip(
        problem.row_request.tolist(), problem.row_block.tolist(), problem.row_lo_s.tolist(),
        problem.row_hi_s.tolist(), strict=True,
    ):  # fmt: skip
        allowed.setdefault((r, int(problem.block_telescope[b])), []).append((lo, hi))
    for r, t, s in placed:
        assert any(lo <= s <= hi for lo, hi in allowed.get((r, t), [])), (
            f"request {r} may not start at {s} on {t}"
        )
    for (r1, t1, s1), (_, t2, s2) in itertools.pairwise(sorted(placed, key=lambda x: (x[1], x[2]))):
        assert t1 != t2 or s1 + int(problem.duration_s[r1]) <= s2, f"overlap at {s2} on {t1}"
    there = {r for r, _, _ in placed}
    for g, operator in enumerate(problem.operator.tolist()):
        members = set(np.flatnonzero(problem.group == g).tolist())
        if operator == Operator.ONEOF:
            assert len(members & there) <= 1
        if operator == Operator.AND:
            assert not members & there or members <= there
    worth = sum(float(problem.priority[r]) for r in there)
    assert schedule.objective == pytest.approx(worth)
    assert schedule.bound >= schedule.objective >= schedule.floor
    assert schedule.gap == pytest.approx((schedule.bound - worth) / schedule.bound if schedule.bound else 0.0)
    assert (schedule.status == "optimal") == (schedule.gap <= 1e-6)


def best_by_enumeration(problem: Problem) -> float:
    """Try every set of requests, every block of each and every order in each block."""
    n = len(problem.priority)
    options = [sorted(set(problem.row_block[problem.row_request == r].tolist())) for r in range(n)]
    best = 0.0
    for choice in itertools.product(*[[-1, *o] for o in options]):
        there = {r for r in range(n) if choice[r] >= 0}
        worth = float(sum(problem.priority[list(there)])) if there else 0.0
        if worth <= best or not groups_kept(problem, there):
            continue
        if all(
            any(
                fits(problem, b, order)
                for order in itertools.permutations([r for r in there if choice[r] == b])
            )
            for b in set(choice) - {-1}
        ):
            best = worth
    return best


def groups_kept(problem: Problem, there: set[int]) -> bool:
    for g, operator in enumerate(problem.operator.tolist()):
        members = set(np.flatnonzero(problem.group == g).tolist())
        if operator == Operator.ONEOF and len(members & there) > 1:
            return False
        if operator == Operator.AND and members & there and not members <= there:
            return False
    return True


def fits(problem: Problem, block: int, order: tuple[int, ...]) -> bool:
    now = -(10**9)
    for r in order:
        mine = (problem.row_request == r) & (problem.row_block == block)
        starts = [
            max(lo, now)
            for lo, hi in zip(problem.row_lo_s[mine], problem.row_hi_s[mine], strict=True)
            if hi >= now
        ]
        if not starts:
            return False
        now = int(min(starts)) + int(problem.duration_s[r])
    return True


@st.composite
def small_problems(draw: st.DrawFn) -> Problem:
    blocks = [(0, 0, 60), (0, 80, 120), (1, 10, 70)][: draw(st.integers(1, 3))]
    n = draw(st.integers(0, 6))
    requests, rows, groups, operators = [], [], [], []
    for r in range(n):
        requests.append((float(draw(st.integers(0, 9))), draw(st.integers(5, 35))))
        if groups and draw(st.booleans()):
            groups.append(groups[-1])
        else:
            groups.append(len(operators))
            operators.append(draw(st.sampled_from(list(Operator)[1:])))
        for b, (_, start, end) in enumerate(blocks):
            last = end - requests[r][1]
            if last < start or not draw(st.booleans()):
                continue
            cut = sorted(draw(st.lists(st.integers(start, last), min_size=2, max_size=4)))
            rows += [(r, b, lo, hi) for lo, hi in zip(cut[::2], cut[1::2], strict=False)]
            if len(cut) == 4 and cut[1] >= cut[2]:
                rows[-2:] = [(r, b, cut[0], cut[3])]
    return problem_of(requests, rows, blocks, groups=groups, operators=operators)


def assert_optimal(problem: Problem) -> None:
    schedule = solve(problem, 2.0)
    check(problem, schedule)
    best = best_by_enumeration(problem)
    assert schedule.objective == pytest.approx(best)
    assert schedule.bound == pytest.approx(best)
    assert schedule.status == "optimal"


@settings(max_examples=60, deadline=None)
@given(small_problems())
def test_small_problems_are_solved_and_proven(problem):
    assert_optimal(problem)


@pytest.mark.nightly
@settings(max_examples=2000, deadline=None)
@given(small_problems())
def test_many_small_problems_are_solved_and_proven(problem):
    assert_optimal(problem)


@pytest.mark.parametrize("family", ["std", "cls", "tc", "dense"])
def test_R52_generated_instances_are_feasible_in_their_original_windows(family):
    instance = make(120, 3, 5, family)
    problem = instance.problem
    schedule = solve(problem, 2.0, seed=3)
    check(problem, schedule)
    assert schedule.gap < 0.05
    for r, t, s in zip(
        schedule.request.tolist(), schedule.telescope.tolist(), schedule.start_s.tolist(), strict=True
    ):
        end = s + int(problem.duration_s[r])
        assert any(a <= s and end <= b for a, b in instance.windows[r, t])
        assert any(a <= s and end <= b for a, b in instance.available[t])


def test_R53_every_stage_reports_a_bound_above_its_objective():
    schedule = solve(make(150, 2, 4).problem, 2.0)
    assert {"repair", "insertion", "prices", "timing"} <= {s.stage for s in schedule.stages}
    assert all(s.bound >= s.objective - 1e-6 for s in schedule.stages)
    bounds, worths = [s.bound for s in schedule.stages], [s.objective for s in schedule.stages]
    assert worths == sorted(worths)
    assert bounds[-1] <= bounds[0]


def test_R23_of_two_requests_for_one_slot_the_more_valuable_is_placed():
    problem = problem_of([(1.0, 100), (1.01, 100)], [(0, 0, 0, 50), (1, 0, 0, 50)], [(0, 0, 150)])
    assert solve(problem, 1.0).request.tolist() == [1]


def test_R24_two_singles_beat_an_and_pair_worth_less():
    rows = [(0, 0, 0, 0), (1, 1, 0, 0), (2, 0, 0, 0), (3, 1, 0, 0)]
    problem = problem_of(
        [(1.0, 100), (1.0, 100), (2.0, 100), (2.0, 100)],
        rows,
        [(0, 0, 100), (1, 0, 100)],
        groups=[0, 0, 1, 2],
        operators=[Operator.AND, Operator.SINGLE, Operator.SINGLE],
    )
    assert solve(problem, 1.0).request.tolist() == [2, 3]
    dearer = dataclasses.replace(problem, priority=np.array([1.0, 4.0, 2.0, 2.0]))
    assert solve(dearer, 1.0).request.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("operator", "expected"), [(Operator.ONEOF, [1]), (Operator.MANY, [0, 1]), (Operator.AND, [])]
)
def test_R25_group_rules(operator, expected):
    rows = [(0, 0, 0, 100), (1, 0, 0, 100)] + ([(2, 0, 0, 0)] if operator != Operator.AND else [])
    problem = problem_of(
        [(1.0, 100), (2.0, 100), (0.5, 150)], rows, [(0, 0, 200)], groups=[0, 0, 0], operators=[operator]
    )
    assert sorted(solve(problem, 1.0).request.tolist()) == expected


def test_R26_a_gap_nobody_else_can_use_is_filled():
    rows = [(0, 0, 0, 10), (1, 0, 100, 120)]
    problem = problem_of([(100.0, 80), (0.1, 80)], rows, [(0, 0, 200)])
    assert sorted(solve(problem, 1.0).request.tolist()) == [0, 1]


def test_R27_R28_observations_fit_to_the_second_back_to_back():
    rows = [(0, 0, 0, 310), (1, 0, 0, 310)]
    schedule = solve(problem_of([(1.0, 310), (1.0, 310)], rows, [(0, 0, 620)]), 1.0)
    assert schedule.start_s.tolist() == [0, 310]
    tight = problem_of([(1.0, 310), (1.0, 310)], [(0, 0, 0, 309), (1, 0, 0, 309)], [(0, 0, 619)])
    assert len(solve(tight, 1.0)) == 1


def test_a_slack_of_one_second_is_enough():
    # Three observations in 301 s; only the order 2, 0, 1 keeps every window, with one second to spare.
    rows = [(0, 0, 100, 101), (1, 0, 200, 201), (2, 0, 0, 1)]
    schedule = solve(problem_of([(1.0, 100)] * 3, rows, [(0, 0, 301)]), 1.0)
    assert schedule.request.tolist() == [2, 0, 1]
    assert schedule.status == "optimal"


@pytest.mark.parametrize("requests", [[], [(5.0, 100)]])
def test_nothing_to_schedule_is_an_optimal_empty_schedule(requests):
    schedule = solve(problem_of(requests, [], [(0, 0, 50)] if requests else []), 1.0)
    assert len(schedule) == 0
    assert (schedule.objective, schedule.bound, schedule.gap, schedule.status) == (0.0, 0.0, 0.0, "optimal")


def as_current(schedule: Schedule) -> Placements:
    return Placements(schedule.request, schedule.telescope, schedule.start_s)


def test_R43_a_millisecond_still_gives_at_least_the_schedule_in_force():
    problem = make(300, 3, 2).problem
    good = solve(problem, 4.0)
    for options in ({"budget_s": 0.001}, {"budget_s": 0.0}, {"budget_s": 1.0, "quick": True}):
        again = solve(dataclasses.replace(problem, current=as_current(good)), **options)
        check(problem, again)
        assert again.objective >= good.objective - 1e-6
        assert again.floor == pytest.approx(good.objective)


def test_the_schedule_in_force_is_repaired_when_inputs_change():
    problem = make(300, 3, 2).problem
    current = as_current(solve(problem, 2.0))
    closed = int(problem.block_telescope[problem.row_block[0]])
    keep = problem.block_telescope[problem.row_block] != closed
    names = ("row_request", "row_block", "row_lo_s", "row_hi_s")
    smaller = dataclasses.replace(problem, current=current, **{k: getattr(problem, k)[keep] for k in names})
    schedule = solve(smaller, 0.001)
    check(smaller, schedule)
    assert closed not in schedule.telescope
    assert schedule.floor > 0


def test_R40_unchanged_inputs_keep_every_observation():
    problem = make(60, 3, 1).problem
    first = solve(problem, 3.0)
    assert first.status == "optimal"
    again = solve(dataclasses.replace(problem, current=as_current(first)), 3.0, seed=99)
    assert again.request.tolist() == first.request.tolist()
    assert again.start_s.tolist() == first.start_s.tolist()


def test_R50_same_seed_same_schedule_in_deterministic_mode():
    problem = make(250, 3, 6).problem
    one = solve(problem, 1.0, seed=4, deterministic=True, workers=1)
    two = solve(problem, 1.0, seed=4, deterministic=True, workers=2)
    for field in ("request", "telescope", "start_s", "row_price"):
        assert np.array_equal(getattr(one, field), getattr(two, field))
    assert (one.objective, one.bound, one.stages) == (two.objective, two.bound, two.stages)


@pytest.mark.parametrize("size", [(200, 2), (2000, 6)])
def test_the_budget_is_kept(size):
    problem = make(*size, 3).problem
    begin = time.perf_counter()
    schedule = solve(problem, 1.5)
    assert time.perf_counter() - begin < 1.5 + 2.0
    check(problem, schedule)


def test_a_rapid_response_answer_is_quick_and_bounded():
    problem = make(1000, 6, 3).problem
    schedule = solve(problem, 10.0, quick=True)
    check(problem, schedule)
    assert schedule.gap < 0.15
    assert schedule.stages[-1].seconds < 3.0


# -- timing
# ------------------------------------------------------------------------------


def test_R29_time_starts_at_the_first_possible_second_on_any_telescope():
    rows = [(0, 0, 500, 900), (0, 1, 120, 900), (0, 2, 300, 900)]
    schedule = solve(problem_of([(1.0, 100)], rows, [(0, 0, 1000), (1, 0, 1000), (2, 0, 1000)]), 1.0)
    assert (schedule.telescope[0], schedule.start_s[0]) == (1, 120)


def parabola(
    request: int, telescope: int, minimum_s: int, best: float = 1.0
) -> tuple[int, int, np.ndarray, np.ndarray]:
    time_s = np.arange(0, 36001, 1800)
    return request, telescope, time_s, best + ((time_s - minimum_s) / 18000.0) ** 2


def airmass_table(*curves: tuple[int, int, np.ndarray, np.ndarray]) -> AirmassTable:
    return AirmassTable(
        request=np.array([c[0] for c in curves]),
        telescope=np.array([c[1] for c in curves]),
        offset=np.cumsum([0, *[len(c[2]) for c in curves]]),
        time_s=np.concatenate([c[2] for c in curves]),
        airmass=np.concatenate([c[3] for c in curves]),
    )


def test_R29_airmass_starts_within_a_minute_of_the_least_mean_airmass():
    rows = [(0, 0, 0, 35000), (0, 1, 0, 35000)]
    problem = problem_of(
        [(1.0, 1000)],
        rows,
        [(0, 0, 36000), (1, 0, 36000)],
        optimisation=np.array([Optimisation.AIRMASS]),
        airmass=airmass_table(parabola(0, 0, 9000, 1.3), parabola(0, 1, 18000)),
    )
    schedule = solve(problem, 1.0)
    assert schedule.telescope[0] == 1
    assert abs(int(schedule.start_s[0]) + 500 - 18000) <= 60


def test_airmass_timing_is_exact_for_competing_observations():
    # Both are best at the same moment; in either order the shared optimum is back to back around it.
    problem = problem_of(
        [(1.0, 3000), (1.0, 3000)],
        [(0, 0, 0, 33000), (1, 0, 0, 33000)],
        [(0, 0, 36000)],
        optimisation=np.array([Optimisation.AIRMASS, Optimisation.AIRMASS]),
        airmass=airmass_table(parabola(0, 0, 18000), parabola(1, 0, 18000)),
    )
    schedule = solve(problem, 1.0)
    first, second = sorted(schedule.start_s.tolist())
    assert second == first + 3000
    assert abs(second - 18000) <= 60


def test_observations_about_to_start_stay_where_they_are():
    rows = [(0, 0, 0, 900)]
    current = Placements(np.array([0]), np.array([0]), np.array([400]))
    problem = problem_of([(1.0, 100)], rows, [(0, 0, 1000)], current=current, keep_until_s=3600)
    assert solve(problem, 1.0).start_s.tolist() == [400]
    later = dataclasses.replace(problem, keep_until_s=300)
    assert solve(later, 1.0).start_s.tolist() == [0]


def test_a_schedule_travels_as_bytes():
    schedule = solve(make(40, 2, 1).problem, 1.0)
    copy = pickle.loads(pickle.dumps(schedule, protocol=5))
    assert copy.request.tolist() == schedule.request.tolist()
    assert copy.stages == schedule.stages


def test_a_group_whose_requests_are_all_running_is_no_obstacle():
    problem = problem_of(
        [(5.0, 100)], [(0, 0, 0, 800)], [(0, 0, 1000)], groups=[1], operators=[Operator.AND] * 2
    )
    assert len(solve(problem, 1.0)) == 1
