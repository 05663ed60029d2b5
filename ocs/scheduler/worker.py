"""What runs in the solver's process: pure functions of arrays that travel as bytes."""

from ocs.scheduler.problem import Problem, Schedule

SMALL_ROWS = 20_000


def solve_problem(problem: Problem, budget_s: float, seed: int) -> Schedule:
    """Solve one pass; where there is room for everybody, without ever loading the optimiser.

    Parameters
    ----------
    problem
        What is asked.
    budget_s
        Real seconds.
    seed
        Of every random choice.
    """
    from ocs.scheduler.solver import solve

    if len(problem.row_request) <= SMALL_ROWS:
        found = solve(problem, budget_s, seed, quick=True)
        if found.status == "optimal":
            return found
    return solve(problem, budget_s, seed)


def solve_quickly(problem: Problem, budget_s: float, seed: int) -> Schedule:
    """Solve one pass by insertion only: an answer within a fraction of a second, with a rougher bound."""
    from ocs.scheduler.solver import solve

    return solve(problem, budget_s, seed, quick=True)
