"""Run the benches that need nothing but this checkout: ``make bench``.

Each can also be run alone, with options of its own: ``python -m bench.scheduler.run 1000x10 --budget 10``.
"""

import subprocess
import sys

BENCHES: tuple[tuple[str, ...], ...] = (
    ("-m", "bench.start"),
    ("bench/visibility/bench_visibility.py",),
    ("-m", "bench.configdb"),
    ("-m", "bench.observations"),
    ("-m", "bench.planning"),
    ("-m", "bench.scheduler.run", "100x1", "500x3", "--budget", "10"),
)

for bench in BENCHES:
    print("==", " ".join(bench), flush=True)
    subprocess.run([sys.executable, *bench], check=True)
