"""Seeded telescope-network instances as arrays; the same (n, m, seed, family) always gives the same problem.

Telescopes stand on up to seven sites spread in longitude over both hemispheres. Nights come from a mean Sun,
targets are drawn on the accessible sky and are up above an altitude limit and within an hour angle limit.
Durations are log-normal, 5 min to 2 h, in whole seconds. Priorities are a log-normal base times minutes, as
for NORMAL requests.

Families: ``std`` one telescope class; ``cls`` three classes, each request tied to one; ``tc`` 2 %
time-critical requests in narrow windows; ``dense`` half of the targets in a 3 h strip of right ascension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ocs.scheduler.problem import (
    Filter,
    Intervals,
    Operator,
    Placements,
    Problem,
    RequestTable,
    build_problem,
)

LATITUDE_DEG = np.array([-30.2, -32.4, -31.3, 30.7, 28.3, 30.6, 20.7])
LONGITUDE_DEG = np.array([-70.8, 20.8, 149.1, -104.0, -16.5, 34.8, -156.3])
STEP_S = 60
SIDEREAL = 1.00273790935
FAMILIES = ("std", "cls", "tc", "dense")


@dataclass(frozen=True)
class Instance:
    """A problem and the intervals it was made from, for checks that do not trust the problem's rows."""

    problem: Problem
    windows: dict[tuple[int, int], list[tuple[int, int]]]
    available: dict[int, list[tuple[int, int]]]


def _runs(mask: np.ndarray, owner: int) -> list[tuple[int, int, int]]:
    edge = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    return [
        (owner, int(s) * STEP_S, int(e) * STEP_S)
        for s, e in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1), strict=True)
    ]


def _altitude(latitude: float, dec: float, hour_angle_h: np.ndarray) -> np.ndarray:
    lat, dec = np.radians(latitude), np.radians(dec)
    cosine = np.cos(np.radians(15.0 * hour_angle_h))
    return np.degrees(np.arcsin(np.sin(lat) * np.sin(dec) + np.cos(lat) * np.cos(dec) * cosine))


def _user_windows(
    rng: np.random.Generator, horizon: int, duration: int, critical: bool
) -> list[tuple[int, int]]:
    if critical:
        start = int(rng.uniform(0, horizon - 4 * duration))
        return [(start, start + int(duration * rng.uniform(1.05, 2.5)))]
    draw = rng.random()
    if draw < 0.60:
        return [(0, horizon)]
    if draw < 0.85:
        start = int(rng.uniform(0, horizon - 86400))
        return [(start, min(horizon, start + int(rng.uniform(1, 2) * 86400)))]
    if draw < 0.95:
        starts = sorted(rng.uniform(0, horizon, int(rng.integers(1, 3))).astype(int).tolist())
        return [(s, min(horizon, s + int(rng.uniform(6, 12) * 3600))) for s in starts]
    start = int(rng.uniform(0, horizon - 5 * duration))
    return [(start, start + int(duration * rng.uniform(1.5, 4)))]


def make(n: int, m: int, seed: int, family: str = "std") -> Instance:
    """n requests on m telescopes."""
    rng = np.random.default_rng([seed, n, m, FAMILIES.index(family)])
    horizon = int(rng.integers(3, 6)) * 86400
    t = np.arange(0, horizon, STEP_S)
    lst0, ut0, sun_dec = rng.uniform(0, 24), rng.uniform(0, 24), rng.uniform(-23.4, 23.4)
    sun_ra = rng.uniform(0, 24)
    sidereal = [(lst0 + lon / 15 + (t / 3600 + ut0) * SIDEREAL) % 24 for lon in LONGITUDE_DEG]
    site = np.arange(m) % len(LATITUDE_DEG)
    classes = np.zeros(m, dtype=int)
    if family == "cls":
        classes = np.repeat([0, 1, 2], [max(1, m // 2), max(1, m // 10), m])[:m]

    dark, darkness = [], []
    for s in range(min(m, len(LATITUDE_DEG))):
        hour_angle = (sidereal[s] - sun_ra + 12) % 24 - 12
        darkness.append(_altitude(LATITUDE_DEG[s], sun_dec, hour_angle) < -12)
    for telescope in range(m):
        usable = darkness[site[telescope]].copy()
        for _ in range(rng.poisson(horizon / 86400 * 0.12)):
            begin = int(rng.integers(0, horizon))
            usable[begin // STEP_S : (begin + int(rng.uniform(1, 10) * 3600)) // STEP_S] = False
        if rng.random() < 0.25:
            usable[: int(rng.uniform(300, 5400)) // STEP_S] = False
        dark += _runs(usable, telescope)
    availability = Intervals.of(*np.array(dark).T)

    operator: list[int] = []
    group, priority, duration, user, visible, pairs = [], [], [], [], [], []
    while len(group) < n:
        draw, left = rng.random(), n - len(group)
        kind, size = Operator.SINGLE, 1
        if draw < 0.04:
            kind, size = Operator.MANY, int(rng.integers(2, 7))
        elif draw < 0.08:
            kind, size = Operator.ONEOF, int(rng.integers(2, 5))
        elif draw < 0.11:
            kind, size = Operator.AND, int(rng.integers(2, 5))
        if size > left:
            kind, size = Operator.SINGLE, 1
        base = float(np.exp(rng.normal(np.log(15.0), 0.6)))
        critical = family == "tc" and rng.random() < 0.02
        wanted = int(classes[rng.integers(0, m)])
        for _ in range(size):
            request = len(group)
            for _attempt in range(500):
                strip = family == "dense" and rng.random() < 0.5
                ra = (lst0 + rng.uniform(0, 3)) % 24 if strip else rng.uniform(0, 24)
                dec = float(np.degrees(np.arcsin(rng.uniform(-0.9, 0.9))))
                length = int(np.clip(np.exp(rng.normal(np.log(1100), 0.75)), 300, 7200))
                limit = float(rng.choice([30.0, 38.7, 45.6], p=[0.5, 0.35, 0.15]))
                window = _user_windows(rng, horizon, length, critical)
                asked = np.zeros(len(t), dtype=bool)
                for begin, end in window:
                    asked[-(-begin // STEP_S) : end // STEP_S] = True
                found = []
                for s in range(len(darkness)):
                    hour_angle = (sidereal[s] - ra + 12) % 24 - 12
                    up = (np.abs(hour_angle) < 4.6) & (_altitude(LATITUDE_DEG[s], dec, hour_angle) > limit)
                    if (up & darkness[s] & asked).sum() * STEP_S > length:
                        runs = _runs(up & darkness[s], 0)
                        found += [(k, runs) for k in np.flatnonzero((site == s) & (classes == wanted))]
                if found:
                    break
            for telescope, runs in found:
                visible += [(len(pairs), s, e) for _, s, e in runs]
                pairs.append((request, int(telescope)))
            user += [(request, s, e) for s, e in window]
            group.append(len(operator))
            duration.append(length)
            worth = min(base * (6000.0 if critical else length / 60), 320_000.0)
            priority.append(worth * float(rng.uniform(0.995, 1.005)))
        operator.append(kind)

    requests = RequestTable(
        priority=np.array(priority),
        duration_s=np.array(duration, dtype=np.int64),
        group=np.array(group, dtype=np.int64),
        operator=np.array(operator, dtype=np.int64),
        optimisation=np.zeros(n, dtype=np.int64),
        pending=np.ones(n, dtype=bool),
        running=np.zeros(n, dtype=bool),
    )
    windows, up = Intervals.of(*np.array(user).T), Intervals.of(*np.array(visible).T)
    pair_request, pair_telescope = np.array(pairs).T
    problem, _ = build_problem(
        requests,
        windows,
        pair_request,
        pair_telescope,
        [Filter("visible", up, "pair", removes=False)],
        availability,
        now_s=0,
        horizon_s=horizon,
        semester_end_s=horizon,
        current=Placements.empty(),
    )
    allowed: dict[tuple[int, int], list[tuple[int, int]]] = {}
    asked_for: dict[int, list[tuple[int, int]]] = {}
    for r, s, e in zip(windows.owner.tolist(), windows.start_s.tolist(), windows.end_s.tolist(), strict=True):
        asked_for.setdefault(r, []).append((s, e))
    for p, s, e in visible:
        r, telescope = pairs[p]
        pieces = [(max(s, a), min(e, b)) for a, b in asked_for[r] if max(s, a) < min(e, b)]
        allowed.setdefault((r, telescope), []).extend(pieces)
    nights: dict[int, list[tuple[int, int]]] = {}
    for k, s, e in dark:
        nights.setdefault(k, []).append((s, e))
    return Instance(problem, allowed, nights)
