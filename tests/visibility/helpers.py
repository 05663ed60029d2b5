"""What the visibility tests share."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from ocs.visibility import Constraints, Intervals, Site, TargetBatch, from_datetime, observable, to_datetime

NO_LIMITS = Constraints(max_airmass=None, min_lunar_distance_deg=0.0, max_lunar_phase=1.0)


def us(text: str) -> int:
    """Return an ISO time, UTC unless it says otherwise, as microseconds."""
    instant = datetime.fromisoformat(text)
    return from_datetime(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def place(latitude_deg: float, longitude_deg: float, **limits: float) -> Site:
    """Return a site without hour-angle limits unless given."""
    return Site(latitude_deg, longitude_deg, **{"ha_limit_neg_h": -12.0, "ha_limit_pos_h": 12.0, **limits})


def icrs(ra: float, dec: float, **more: float) -> dict[str, Any]:
    return {"type": "ICRS", "ra": ra, "dec": dec, **more}


def elements(scheme: str, **values: float) -> dict[str, Any]:
    return {"type": "ORBITAL_ELEMENTS", "scheme": scheme, **values}


def seen(
    target: dict[str, Any],
    site: Site,
    start: str,
    end: str,
    constraints: Constraints = NO_LIMITS,
    twilight: str = "nautical",
) -> Intervals:
    """Return the intervals of one target at one site; it must have no error."""
    answer = observable(TargetBatch.from_wire([target]), [site], us(start), us(end), constraints, twilight)
    assert answer.errors == (None,)
    return answer.intervals(0)


def assert_edges(found: Intervals, expected: list[tuple[str, str]], tolerance_s: float = 1.0) -> None:
    """Compare intervals with ISO times."""
    told = [[f"{to_datetime(t):%Y-%m-%dT%H:%M:%S.%f}" for t in pair] for pair in found]
    assert len(found) == len(expected), told
    for pair, texts in zip(found, expected, strict=True):
        for instant, text in zip(pair, texts, strict=True):
            assert abs(instant - us(text)) <= tolerance_s * 1e6, (told, expected)


JUPITER = elements(
    "JPL_MAJOR_PLANET",
    epochofel=55959.0,
    orbinc=1.303884172546506,
    longascnode=100.5093329813755,
    argofperih=274.0516181838379,
    meandist=5.204023536751508,
    eccentricity=0.0491076899608479,
    meananom=26.60707699766562,
    dailymot=0.08306200006467207,
)
COMET = elements(
    "MPC_COMET",
    epochofel=55776.0,
    epochofperih=55776.8910902,
    orbinc=28.96687278723059,
    longascnode=250.6264098390235,
    argofperih=196.0253968913816,
    perihdist=0.748287467144728,
    eccentricity=0.9189810923126022,
)
SHORT_NIGHT = us("2027-01-10T00:00:00"), us("2027-01-11T00:00:00")


def is_clean(found: Intervals, start_us: int, end_us: int) -> bool:
    """Whether intervals are sorted, disjoint, non-empty and inside the window."""
    flat = found.ravel()
    return bool((np.diff(flat) > 0).all() and (not len(flat) or (flat[0] >= start_us and flat[-1] <= end_us)))
