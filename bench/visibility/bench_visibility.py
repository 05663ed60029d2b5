"""Visibility throughput, and its ratio to ``ocs-rise-set`` where that can be imported.

Run with one thread per library, for example::

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python bench/visibility/bench_visibility.py

All figures are CPU time of this process. The work: latitude -30, five days, airmass < 2, Moon > 30 deg, hour
angle within 4.6 h, nautical night, targets all over the sky. ``ocs-rise-set`` compiles Fortran when it is
installed, so it is an extra of the bench only; without it the absolute times are printed.
"""

import importlib.util
import resource
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ocs.visibility import Constraints, Site, TargetBatch, clear_cache, from_datetime, observable

START = datetime(2027, 1, 10, 16, tzinfo=UTC)
END = START + timedelta(days=5)
REFERENCE_RUNS = 3
SITE = Site(-30.1673, -70.8047, 2198.0, 15.0, -4.6, 4.6)
CONSTRAINTS = Constraints(max_airmass=2.0, min_lunar_distance_deg=30.0, max_lunar_phase=1.0)


def cpu_s(work: Callable[[], object], repetitions: int) -> tuple[float, float]:
    """Return the least and the median CPU time of one repetition."""
    work()
    times = []
    for _ in range(repetitions):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return min(times), statistics.median(times)


def stars(count: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    ra, sin_dec = rng.uniform(0, 360, count), rng.uniform(-1, 1, count)
    return [
        {"type": "ICRS", "ra": float(a), "dec": float(d)}
        for a, d in zip(ra, np.degrees(np.arcsin(sin_dec)), strict=True)
    ]


def minor_planets(count: int, seed: int = 2) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "type": "ORBITAL_ELEMENTS",
            "scheme": "MPC_MINOR_PLANET",
            "epochofel": 61200.0,
            "orbinc": float(rng.uniform(0, 30)),
            "longascnode": float(rng.uniform(0, 360)),
            "argofperih": float(rng.uniform(0, 360)),
            "meandist": float(rng.uniform(2, 3.3)),
            "eccentricity": float(rng.uniform(0, 0.3)),
            "meananom": float(rng.uniform(0, 360)),
        }
        for _ in range(count)
    ]


def reference(targets: list[dict[str, Any]], one_calculator: bool) -> float | None:
    """Return seconds of ``ocs-rise-set`` for the same work, or None where it is not installed."""
    if importlib.util.find_spec("rise_set") is None:
        return None
    from rise_set.angle import Angle
    from rise_set.astrometry import make_minor_planet_target, make_ra_dec_target
    from rise_set.visibility import Visibility

    place = {
        "latitude": Angle(degrees=SITE.latitude_deg),
        "longitude": Angle(degrees=SITE.longitude_deg),
        "horizon": Angle(degrees=SITE.horizon_deg),
        "altitude": SITE.altitude_m,
        "ha_limit_neg": Angle(degrees=SITE.ha_limit_neg_h * 15),
        "ha_limit_pos": Angle(degrees=SITE.ha_limit_pos_h * 15),
        "zenith_blind_spot": Angle(degrees=0),
    }

    def calculator() -> Any:
        return Visibility(
            place, START.replace(tzinfo=None), END.replace(tzinfo=None), SITE.horizon_deg, "nautical",
            SITE.ha_limit_neg_h, SITE.ha_limit_pos_h, 0.0,
        )  # fmt: skip

    def theirs(t: dict[str, Any]) -> Any:
        if t["type"] == "ICRS":
            return make_ra_dec_target(Angle(degrees=t["ra"]), Angle(degrees=t["dec"]))
        return make_minor_planet_target(
            "MPC_MINOR_PLANET", t["epochofel"], t["orbinc"], t["longascnode"], t["argofperih"], t["meandist"],
            t["eccentricity"], t["meananom"],
        )  # fmt: skip

    made = [theirs(target) for target in targets]
    before = time.process_time()
    shared = calculator()
    for target in made:
        one = shared if one_calculator else calculator()
        one.get_observable_intervals(target, airmass=2.0, moon_distance=Angle(degrees=30), moon_phase=1.0)
    return time.process_time() - before


def show(what: str, ours: tuple[float, float], theirs_s: float | None) -> None:
    """Print least and median time; the ratio is of the least times, which other load disturbs least."""
    ratio = "" if theirs_s is None else f"   reference {theirs_s:6.3f} s   {theirs_s / ours[0]:5.0f} x"
    print(f"{what:42s} least {ours[0] * 1e3:7.2f} ms  median {ours[1] * 1e3:7.2f} ms{ratio}")


def main() -> None:
    start, end = from_datetime(START), from_datetime(END)
    thousand, hundred = stars(1000), minor_planets(100)
    batch, orbits, one = (TargetBatch.from_wire(t) for t in (thousand, hundred, thousand[:1]))
    ten = [Site(-60 + 13.0 * k, -180 + 36.0 * k, 1000.0, 15.0, -4.6, 4.6) for k in range(10)]

    def run(targets: TargetBatch, sites: list[Site], cold: bool = False) -> Callable[[], object]:
        def work() -> object:
            if cold:
                clear_cache()
            return observable(targets, sites, start, end, CONSTRAINTS)

        return work

    def least(work: Callable[[], float | None]) -> float | None:
        times = [work() for _ in range(REFERENCE_RUNS)]
        return None if None in times else min(t for t in times if t is not None)

    shared = least(lambda: reference(thousand, True))
    portal = least(lambda: reference(thousand, False))
    planets = least(lambda: reference(hundred, True))
    cold, warm = cpu_s(run(batch, [SITE], cold=True), 100), cpu_s(run(batch, [SITE]), 100)
    show("1000 stars, cold; one calculator", cold, shared)
    show("1000 stars, warm; one calculator", warm, shared)
    show("1000 stars, cold; calculator per target", cold, portal)
    show("1000 stars, warm; calculator per target", warm, portal)
    show("100 minor planets, cold", cpu_s(run(orbits, [SITE], cold=True), 50), planets)
    show("100 minor planets, warm", cpu_s(run(orbits, [SITE]), 50), planets)
    show("1 star, 1 site, cold", cpu_s(run(one, [SITE], cold=True), 100), None)
    show("1 star, 10 sites, warm", cpu_s(run(one, ten), 100), None)
    show("1000 stars from the wire", cpu_s(lambda: TargetBatch.from_wire(thousand), 10), None)
    many = TargetBatch.from_wire(stars(10_000))
    show("10000 stars, 10 sites, cold", cpu_s(run(many, ten, cold=True), 1), None)
    print(f"largest resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
