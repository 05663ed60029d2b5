"""Satellites by TLE and ephemeris tables, against skyfield and against the orbit a table was made from."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from skyfield.api import EarthSatellite, load, wgs84

from ocs.visibility import Constraints, TargetBatch, observable, samples, to_datetime, total
from tests.visibility.helpers import NO_LIMITS, elements, icrs, place, seen, us
from tests.visibility.test_astropy import LINES, with_checksums

SATELLITE = {"type": "SATELLITE", "extra_params": {"tle": with_checksums(LINES)}}
HERE = place(48.0, 11.0, horizon_deg=10.0)


def test_satellite_places_agree_with_skyfield() -> None:
    timescale = load.timescale(builtin=True)
    satellite = EarthSatellite(*SATELLITE["extra_params"]["tle"], ts=timescale)
    times = us("2027-01-09T00:00") + np.arange(0, 86_400, 617) * 1_000_000
    got = samples(TargetBatch.from_wire([SATELLITE]), HERE, times)
    for k, instant in enumerate(times):
        when = timescale.from_datetime(to_datetime(int(instant)))
        altitude, azimuth, _ = (satellite - wgs84.latlon(48.0, 11.0)).at(when).altaz()
        assert got.altitude_deg[0, k] == pytest.approx(altitude.degrees, abs=0.01)
        off = (got.azimuth_deg[0, k] - azimuth.degrees + 180) % 360 - 180
        assert abs(off) * np.cos(altitude.radians) < 0.01


def test_satellite_passes_are_found_to_the_second() -> None:
    window = "2027-01-24T00:00", "2027-01-27T00:00"
    found = seen(SATELLITE, HERE, *window)
    batch = TargetBatch.from_wire([SATELLITE])
    assert len(found) >= 3
    around = (found[:, :, None] + np.array([-1_000_000, 1_000_000])).reshape(-1)
    got = samples(batch, HERE, around)
    is_seen = (got.altitude_deg[0] > 10) & (got.sun_altitude_deg < -12)
    assert is_seen.reshape(-1, 4).tolist() == [[False, True, True, False]] * len(found)
    every = us(window[0]) + np.arange(0, 3 * 86_400, 20) * 1_000_000
    got = samples(batch, HERE, every)
    length = np.count_nonzero((got.altitude_deg[0] > 10) & (got.sun_altitude_deg < -12)) * 20e6
    assert total(found) == pytest.approx(length, rel=0.05)


def test_a_tle_holds_for_thirty_days_around_its_epoch() -> None:
    batch = TargetBatch.from_wire([SATELLITE, icrs(110.0, 20.0)])
    first, last = us("2026-12-10T12:25"), us("2027-02-08T12:26")
    answer = observable(batch, [HERE], us("2026-11-01T00:00"), us("2027-04-01T00:00"), NO_LIMITS)
    assert answer.errors == (None, None)
    found = answer.intervals(0)
    assert len(found)
    assert first < found[0, 0]
    assert found[-1, 1] < last
    late = observable(batch, [HERE], last, last + 86_400_000_000, NO_LIMITS)
    assert late.errors[0] is not None
    assert late.errors[0].code == "outside_ephemeris"
    assert len(late.intervals(1))
    assert samples(batch, HERE, [last]).errors[0] is not None


def test_a_decayed_satellite_is_an_error() -> None:
    lines = with_checksums(
        (LINES[0].replace(".00016717", ".99999999").replace("10270-3", "99999-0"), LINES[1])
    )
    batch = TargetBatch.from_wire([{"type": "SATELLITE", "extra_params": {"tle": lines}}])
    answer = observable(batch, [HERE], us("2027-01-09T12:00"), us("2027-02-08T00:00"), NO_LIMITS)
    assert answer.errors[0] is not None
    assert answer.errors[0].code == "not_computable"
    assert not len(answer.intervals(0))


def test_a_satellite_without_tle_is_static() -> None:
    assert len(seen({"type": "SATELLITE"}, HERE, "2027-01-09T00:00", "2027-01-10T00:00")) == 2


ASTEROID = elements(
    "MPC_MINOR_PLANET", epochofel=61400.0, orbinc=10.0, longascnode=60.0, argofperih=30.0, meandist=2.2,
    eccentricity=0.2, meananom=10.0,
)  # fmt: skip


def table(step: timedelta, count: int, ra_dec: Any) -> dict[str, Any]:
    """Return a target with an ephemeris table."""
    start = to_datetime(us("2027-01-09T12:00"))
    rows = [[(start + k * step).isoformat(), *ra_dec(k)] for k in range(count)]
    return {**icrs(0.0, 0.0), "extra_params": {"ephemeris": rows}}


def test_a_table_of_a_fixed_star_is_that_star() -> None:
    star, site = icrs(110.0, 20.0), place(48.0, 11.0, horizon_deg=20.0, ha_limit_neg_h=-3.0)
    tabled = table(timedelta(days=1), 5, lambda _: (110.0, 20.0))
    limits = Constraints(2.0, 30.0, 1.0)
    window = "2027-01-09T12:00", "2027-01-13T00:00"
    expected, found = (seen(target, site, *window, limits) for target in (star, tabled))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 50_000


def test_rows_of_a_table_are_lists_or_objects() -> None:
    listed = table(timedelta(days=1), 5, lambda k: (110.0 + k, 20.0))
    named = [
        dict(zip(("time", "ra", "dec"), row, strict=True)) for row in listed["extra_params"]["ephemeris"]
    ]
    site, window = place(48.0, 11.0, horizon_deg=20.0), ("2027-01-09T12:00", "2027-01-13T00:00")
    found = seen({"type": "EPHEMERIS", "name": "x", "extra_params": {"ephemeris": named}}, site, *window)
    assert len(found)
    assert np.array_equal(found, seen(listed, site, *window))


def test_a_table_passes_through_right_ascension_zero_and_is_never_extrapolated() -> None:
    moving = table(timedelta(hours=3), 12, lambda k: ((358.0 + k) % 360, 10.0))
    batch, site = TargetBatch.from_wire([moving]), place(20.0, -150.0, horizon_deg=10.0)
    start = us("2027-01-09T12:00")
    last = start + 33 * 3_600_000_000
    got = samples(
        batch, site, [start - 1_000_000, start + 5_400_000_000, start + 7 * 3_600_000_000, last + 1]
    )
    assert np.isnan(got.altitude_deg[0, [0, 3]]).all()
    apparent_shift = 0.36  # precession of 27 years
    assert got.ra_deg[0, 1] == pytest.approx(358.5 + apparent_shift, abs=0.02)
    assert got.ra_deg[0, 2] == pytest.approx(0.333 + apparent_shift, abs=0.02)
    found = seen(moving, site, "2027-01-05T00:00", "2027-01-20T00:00")
    assert len(found)
    assert found[0, 0] >= start
    assert found[-1, 1] <= last
    answer = observable(batch, [site], us("2027-02-05T00:00"), us("2027-02-06T00:00"), NO_LIMITS)
    assert answer.errors[0] is not None
    assert answer.errors[0].code == "outside_ephemeris"


@pytest.mark.parametrize(
    "rows",
    [
        [["2027-01-09T00:00:00", 1, 1]] * 4,
        [[f"2027-01-0{k}T00:00:00", 1, 1] for k in (4, 3, 2, 1)],
        [[f"2027-01-0{k}T00:00:00", 1, 1] for k in (1, 2, 3)],
        [[f"2027-01-0{k}T00:00:00", 1, 91] for k in (1, 2, 3, 4)],
        [[f"2027-01-0{k}T00:00:00", float("nan"), 1] for k in (1, 2, 3, 4)],
        [{"time": f"2027-01-0{k}T00:00:00", "ra": 1} for k in (1, 2, 3, 4)],
        "abcd",
    ],
)
def test_a_table_must_make_sense(rows: Any) -> None:
    batch = TargetBatch.from_wire([{**icrs(0.0, 0.0), "extra_params": {"ephemeris": rows}}])
    assert batch.errors[0] is not None
    assert batch.errors[0].code == "bad_ephemeris"


@pytest.mark.parametrize(
    "tle",
    [
        [LINES[0], LINES[1][:-1] + "9"],
        with_checksums((LINES[1], LINES[0])),
        ["x" * 69, "y" * 69],
        [*with_checksums(LINES), ""],
        "lines",
    ],
)
def test_a_tle_must_make_sense(tle: Any) -> None:
    batch = TargetBatch.from_wire([{"type": "SATELLITE", "extra_params": {"tle": tle}}])
    assert batch.errors[0] is not None
    assert batch.errors[0].code == "bad_tle"
