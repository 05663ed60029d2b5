"""Objective, proven bound, gap and seconds of the scheduler on generated instances.

python -m bench.scheduler.run 100x1 500x3 --seeds 1 2 --budget 10 --workers 2
"""

from __future__ import annotations

import argparse
import resource
import time

from bench.scheduler.instances import FAMILIES, make
from ocs.scheduler.problem import violations
from ocs.scheduler.solver import solve, warm_up


def main() -> None:
    """Print one line per instance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="+", help="requests x telescopes, e.g. 500x3")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--family", choices=FAMILIES, default="std")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--stages", action="store_true", help="also print the state after every stage")
    options = parser.parse_args()
    warm_up()  # as the initializer of the long-lived worker process does
    for size in options.sizes:
        n, m = (int(part) for part in size.split("x"))
        for seed in options.seeds:
            problem = make(n, m, seed, options.family).problem
            begin = time.perf_counter()
            schedule = solve(
                problem,
                options.budget,
                seed,
                workers=options.workers,
                deterministic=options.deterministic,
                quick=options.quick,
            )
            seconds = time.perf_counter() - begin
            broken = violations(problem, schedule.request, schedule.telescope, schedule.start_s)
            print(
                f"{options.family} {n} x {m} seed {seed}: rows {len(problem.row_request)} "
                f"objective {schedule.objective:.0f} bound {schedule.bound:.0f} "
                f"gap {100 * schedule.gap:.3f} % {schedule.status} "
                f"scheduled {len(schedule)} {seconds:.2f} s "
                f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"
                + (f" INFEASIBLE {broken[:3]}" if broken else ""),
                flush=True,
            )
            if options.stages:
                for stage in schedule.stages:
                    print(
                        f"    {stage.stage:12s} {stage.seconds:7.2f} s "
                        f"{stage.objective:12.1f} {stage.bound:12.1f}"
                    )


if __name__ == "__main__":
    main()
