"""The optimiser: ``solve(problem, budget_s, seed)`` gives the best schedule it can prove something about.

Stages, each of which leaves a feasible schedule, so that the budget may end anywhere:

1. the current schedule, repaired against the new inputs: the answer is never worth less;
2. insertion by priority per second (all a rapid response needs);
3. relaxation: proven bound, price of telescope time, and an assignment to insert anew;
4. CP-SAT on one block after another, then on small sets of blocks, or on everything when the problem is
small; 5. timing: order fixed, starts moved inside their slack to the earliest second or the least airmass.
"""

from ocs.scheduler.solver.search import solve

__all__ = ["solve", "warm_up"]


def warm_up() -> None:
    """Import the solvers, seconds on a cold disk; the initializer of a long-lived worker process."""
    import ortools.math_opt.python.mathopt
    import ortools.sat.python.cp_model  # noqa: F401
