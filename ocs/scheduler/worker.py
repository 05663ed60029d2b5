"""What runs in the solver's process: pure functions of arrays that travel as bytes."""

from ocs.scheduler.problem import Problem, Schedule


def solve_problem(problem: Problem, budget_s: float, seed: int, *, quick: bool = False) -> Schedule:
    """Solve one pass.

    Parameters
    ----------
    problem
        What is asked.
    budget_s
        Real seconds.
    seed
        Of every random choice.
    quick
        Only insert by priority: no optimiser is loaded, and the answer is there within a fraction of a
        second.
    """
    from ocs.scheduler.solver import solve  # the server itself never loads the optimiser

    return solve(problem, budget_s, seed, quick=quick)


def solve_quickly(problem: Problem, budget_s: float, seed: int) -> Schedule:
    """Solve one pass without the optimiser."""
    return solve_problem(problem, budget_s, seed, quick=True)
