"""Leap seconds, the packaged tables, no network, and a small and fast start."""

import subprocess
import sys
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.time import Time
from astropy_iers_data import IERS_A_FILE

import ocs.visibility
from ocs.visibility import (
    Site,
    TargetBatch,
    dark,
    data_expiry,
    from_datetime,
    observable,
    refresh_data,
    samples,
    to_datetime,
)
from ocs.visibility.ephemeris import KERNEL_NAME, UT1_NAME
from ocs.visibility.timebase import from_tt, to_tt
from tests.visibility.helpers import NO_LIMITS, icrs, place, us

LEAP = us("2017-01-01T00:00:00")
DATA = Path(ocs.visibility.__file__).parent / "data"


def test_terrestrial_time_agrees_with_astropy() -> None:
    for text in ("2000-01-01T00:00:00", "2005-12-31T23:59:59", "2016-12-31T23:59:59", "2017-01-01T00:00:01"):
        tt = Time(text, scale="utc").tt
        expected = round((tt.jd1 - 2440587.5) * 86_400_000_000) + round(tt.jd2 * 86_400_000_000)
        assert int(to_tt(us(text))) == pytest.approx(expected, abs=2)


def test_utc_and_tt_go_back_and_forth_over_a_leap_second() -> None:
    utc = LEAP + np.array([-2_000_000, -1, 0, 1, 1_000_000])
    tt = to_tt(utc)
    assert from_tt(tt).tolist() == utc.tolist()
    assert int(tt[2] - tt[1]) == 1_000_001
    inserted = int(tt[2]) - 500_000
    assert int(from_tt(inserted)) == LEAP


def test_a_window_over_a_leap_second_has_the_edges_of_the_windows_beside_it() -> None:
    site = place(0.0, -70.0, horizon_deg=20.0)
    batch = TargetBatch.from_wire([icrs(60.0, 10.0), icrs(150.0, -20.0)])
    days = [us(f"2016-12-{day}T12:00") for day in (29, 30, 31)] + [
        us(f"2017-01-0{day}T12:00") for day in (1, 2, 3)
    ]
    whole = observable(batch, [site], days[0], days[-1], NO_LIMITS)
    for row in range(2):
        parts = [
            observable(batch, [site], low, high, NO_LIMITS).intervals(row) for low, high in pairwise(days)
        ]
        assert np.abs(whole.intervals(row) - np.concatenate(parts)).max() <= 1000


def test_the_sky_does_not_jump_at_a_leap_second() -> None:
    """At UTC midnight 2017 the Earth had turned for one second longer than civil time tells."""
    times = [LEAP - 2_000_000, LEAP - 1_000_000, LEAP, LEAP + 1_000_000]
    got = samples(TargetBatch.from_wire([icrs(60.0, 10.0)]), place(0.0, -70.0), times)
    steps = np.diff(got.hour_angle_h[0]) * 3600 / 1.0027379
    assert steps == pytest.approx([1.0, 2.0, 1.0], abs=1e-3)


def test_datetimes_round_trip_and_must_be_aware() -> None:
    instant = datetime(2027, 1, 10, 3, 4, 5, 678901, tzinfo=UTC)
    assert to_datetime(from_datetime(instant)) == instant
    with pytest.raises(ValueError, match="time zone"):
        from_datetime(instant.replace(tzinfo=None))


def test_the_tables_tell_when_they_end() -> None:
    expiry = data_expiry()
    assert expiry.ephemeris_start == date(2000, 1, 1)
    assert expiry.ephemeris_end >= date(2051, 1, 1)
    assert date(2026, 1, 1) < expiry.ut1_measured_until < expiry.ut1_predicted_until


def test_the_packaged_tables_are_small() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 5_000_000


def test_refreshing_from_given_files_makes_the_same_tables(tmp_path: Path) -> None:
    told: list[str] = []
    refresh_data(DATA / KERNEL_NAME, Path(IERS_A_FILE), tmp_path, told.append)
    assert len(told) == 2
    with np.load(tmp_path / UT1_NAME) as table:
        assert int(table["first_mjd"]) == 51526
        assert len(table["ut1_minus_tai_us"]) > 10_000
        assert np.abs(np.diff(table["ut1_minus_tai_us"])).max() < 4000, "UT1-TAI never jumps"
    assert abs((tmp_path / KERNEL_NAME).stat().st_size - (DATA / KERNEL_NAME).stat().st_size) < 100_000


def test_refreshing_refuses_files_without_what_is_needed(tmp_path: Path) -> None:
    empty = tmp_path / "finals"
    empty.write_text("")
    with pytest.raises(ValueError, match="UT1-UTC"):
        refresh_data(DATA / KERNEL_NAME, empty, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["finals"]


ALONE = """
import socket, sys, time
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import numpy, erfa, jplephem, sgp4.api
before = time.process_time()
from ocs.visibility import *
site = Site(-30.0, -70.0, horizon_deg=15.0)
batch = TargetBatch.from_wire([{"type": "ICRS", "ra": 95.0, "dec": -30.0}])
start = 1799539200000000
found = observable(batch, [site], start, start + 86_400_000_000, Constraints())
assert len(found.start) and len(nights(site, start, start + 86_400_000_000)) and data_expiry()
assert sky_fraction(site, start, start + 86_400_000_000, nside=4).max() > 0
spent = time.process_time() - before
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
resident_mb = int(status["VmHWM"].split()[0]) / 1024
heavy = [name for name in ("astropy", "skyfield", "fastapi", "sqlalchemy", "scipy") if name in sys.modules]
print(spent, resident_mb, heavy)
"""


def test_it_works_without_sockets_and_starts_fast_and_small() -> None:
    run = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    spent, resident_mb, heavy = run.stdout.split(maxsplit=2)
    assert float(spent) < 0.3
    assert float(resident_mb) < 100
    assert heavy.strip() == "[]"


def test_dark_at_the_ends_of_the_ephemeris() -> None:
    site = Site(0.0, 0.0)
    assert len(dark(site, us("2000-01-01T00:00"), us("2000-01-03T00:00"))) == 3
    assert len(dark(site, us("2050-12-30T00:00"), us("2051-01-01T00:00"))) == 3
