"""Milliseconds and memory of whole answers of ``POST /api/visibility/``, computed without a server.

Each answer has intervals, total and the seven steps of the budget for every target and site, as ready bytes;
the intervals alone are timed beside it. Parts of an answer are dropped when they are made, as they are when
they are sent. One thread per library, CPU time, median::

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.planning
"""

import resource
from datetime import UTC, datetime, timedelta

from bench.visibility.bench_visibility import cpu_s, stars
from ocs.portal.planning.answers import Question, pieces
from ocs.visibility import Constraints, Site, TargetBatch, from_datetime, observable

START = datetime(2027, 1, 10, 16, tzinfo=UTC)
SITES = [Site(-35.0 + 7 * k, -160.0 + 33 * k, 2000.0, 15.0, -4.6, 4.6) for k in range(10)]
CONSTRAINTS = {"max_airmass": 2.0, "min_lunar_distance": 30.0}


def question(targets: int, days: float) -> Question:
    """Return a question about stars all over the sky from ten sites."""
    return Question(
        sites=[(f"s{index:02d}", site) for index, site in enumerate(SITES)],
        targets=stars(targets),
        constraints=[CONSTRAINTS] * targets,
        start_us=from_datetime(START),
        end_us=from_datetime(START + timedelta(days=days)),
    )


def answer(asked: Question) -> int:
    """Return the length of the answer in bytes."""
    return sum(len(piece.text()) + 1 for piece in pieces(asked))


def intervals(asked: Question) -> object:
    """Compute the intervals alone, as arrays."""
    batch = TargetBatch.from_wire(asked.targets)
    limits = Constraints.from_wire(asked.constraints)
    return observable(batch, SITES, asked.start_us, asked.end_us, limits)


def peak_mb() -> float:
    """Return the largest memory this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one line per question."""
    idle_mb = peak_mb()
    for targets, days, repetitions in ((1, 1, 50), (1, 5, 50), (1000, 5, 5), (10_000, 5, 3)):
        asked = question(targets, days)
        _, whole_s = cpu_s(lambda asked=asked: answer(asked), repetitions)  # type: ignore[misc]
        _, alone_s = cpu_s(lambda asked=asked: intervals(asked), repetitions)  # type: ignore[misc]
        print(
            f"{targets:6d} targets x 10 sites x {days} d, warm: answer {whole_s * 1e3:8.1f} ms, "
            f"intervals alone {alone_s * 1e3:7.1f} ms, {answer(asked) / 1e6:6.2f} MB, "
            f"peak {peak_mb():4.0f} MB (at rest {idle_mb:.0f} MB)",
            flush=True,
        )


if __name__ == "__main__":
    main()
