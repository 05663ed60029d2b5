"""The numbered behaviours of the visibility contract."""

import numpy as np
import pytest

from ocs.visibility import (
    Constraints,
    InvalidSite,
    Site,
    TargetBatch,
    as_intervals,
    dark,
    displayed_airmass,
    intersect,
    inverse,
    minimum_altitude_deg,
    mjd_tt,
    mjd_utc,
    observable,
    samples,
    subtract,
    together,
    total,
)
from ocs.visibility.frame import SiteFrame, WindowFrame
from ocs.visibility.timebase import to_tt
from tests.visibility.helpers import (
    COMET,
    JUPITER,
    NO_LIMITS,
    assert_edges,
    elements,
    icrs,
    place,
    seen,
    us,
)

LSC = -30.1673472222, -70.8046722222
ELP = 30.6801, -104.015194444
BPL = 34.4332222222, -119.863045833
HAWAII = place(20.0, -150.0, horizon_deg=15.0)
HALEAKALA = Site(20.7069444444, -156.258055556, 3065.0)
SVALBARD = place(78.2, 15.829)


@pytest.mark.parametrize(
    ("number", "horizon", "limit", "expected"),
    [
        (1, 30, 0, 30.0),
        (2, 30, 3, 30.0),
        (3, 30, 1.2, 56.44269),
        (4, 15, 2.0, 30.0),
        (5, 20, 1.6, 38.68218),
        (6, 0, 25, 2.292443),
        (7, 15, 1.0, 90.0),
        (8, 15, 0, 15.0),
        (9, 0, 0, -0.5667),
        (9, 0.1, 0, 0.1),
    ],
)
def test_V01_to_V09_minimum_altitude(number: int, horizon: float, limit: float, expected: float) -> None:
    assert float(minimum_altitude_deg(horizon, limit)) == pytest.approx(expected, abs=1e-5), number


def test_V07_airmass_1_leaves_nothing() -> None:
    site = place(-30.0, -70.0, horizon_deg=15.0)
    limit = Constraints(max_airmass=1.0, min_lunar_distance_deg=0.0)
    assert not len(seen(icrs(95.0, -30.0), site, "2027-01-10T00:00", "2027-01-12T00:00", limit))


def test_V08_no_airmass_limit_is_zero_or_null() -> None:
    site = place(-30.0, -70.0, horizon_deg=15.0)
    with_zero, with_null = (
        seen(
            icrs(95.0, -10.0),
            site,
            "2027-01-10T00:00",
            "2027-01-12T00:00",
            Constraints.from_wire([{"max_airmass": none, "min_lunar_distance": 0}]),
        )
        for none in (0, None)
    )
    assert len(with_zero)
    assert with_zero.tolist() == with_null.tolist()


@pytest.mark.parametrize("limits", [(-13.0, 1.0), (1.0, 4.0), (-4.0, 13.0), (-4.0, -1.0)])
def test_V10_hour_angle_limits_out_of_range_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(InvalidSite, match="ha_limit"):
        Site(0.0, 0.0, ha_limit_neg_h=limits[0], ha_limit_pos_h=limits[1])


@pytest.mark.parametrize(
    ("number", "utc", "day", "seconds"),
    [
        (11, "2008-12-31T12:00", 54831.5, 65.184),
        (12, "2013-11-04T00:00", 56600.0, 67.184),
        (12, "2026-12-01T00:00", 61375.0, 69.184),
    ],
)
def test_V11_V12_terrestrial_time(number: int, utc: str, day: float, seconds: float) -> None:
    assert (float(mjd_tt(us(utc))) - day) * 86400 == pytest.approx(seconds, abs=1e-5), number


def test_V13_modified_julian_date() -> None:
    assert float(mjd_utc(us("1988-03-20T00:00"))) == 47240.0


@pytest.mark.parametrize(
    ("number", "ra", "longitude", "utc", "expected"),
    [
        (14, 30.0, -104.015194444, "2013-12-10T00:00", -55.12856),
        (15, 288.75, -104.015194444, "2014-07-18T07:00", 8.2509),
        (15, 108.75, 149.070593, "2014-01-12T14:00", 2.3088),
    ],
)
def test_V14_V15_hour_angle_of_an_apparent_place(
    number: int, ra: float, longitude: float, utc: str, expected: float
) -> None:
    sample = samples(TargetBatch.from_wire([icrs(10.0, 10.0)]), place(30.0, longitude), [us(utc)])
    sidereal = sample.ra_deg[0, 0] + sample.hour_angle_h[0, 0] * 15
    assert (sidereal - ra + 180) % 360 - 180 == pytest.approx(expected, abs=0.004), number


@pytest.mark.parametrize(
    ("number", "where", "twilight", "day", "expected"),
    [
        (16, LSC, "nautical", "2013-12-10", ("2013-12-10T00:37:37.1", "2013-12-10T08:34:10.1")),
        (17, ELP, "sunrise", "2012-05-11", ("2012-05-11T01:40:53.1", "2012-05-11T12:03:39.4")),
        (18, BPL, "sunset", "2011-02-09", ("2011-02-09T01:36:01.6", "2011-02-09T14:50:43.8")),
        (18, BPL, "sunset", "2011-02-10", ("2011-02-10T01:37:00.1", "2011-02-10T14:49:48.0")),
    ],
)
def test_V16_to_V18_dark_time(
    number: int, where: tuple[float, float], twilight: str, day: str, expected: tuple[str, str]
) -> None:
    start = us(f"{day}T00:00")
    assert_edges(dark(place(*where), start, start + 86_400_000_000, twilight), [expected], 0.5)


def test_V19_up_time_of_capella() -> None:
    capella = icrs(
        79.17233333, 45.998, proper_motion_ra=75.52, proper_motion_dec=-427.11, parallax=77.29, epoch=2000.0
    )
    batch, site = TargetBatch.from_wire([capella]), place(*BPL)
    edges = [
        "2011-02-09T13:06:34.5",
        "2011-02-09T18:52:14.3",
        "2011-02-10T13:02:38.6",
        "2011-02-10T18:48:18.4",
    ]
    lowest = -0.5667
    around = [us(edge) + side for edge in edges for side in (-1_000_000, 1_000_000)]
    is_up = samples(batch, site, around).altitude_deg[0] > lowest
    assert is_up.tolist() == [True, False, False, True, True, False, False, True]
    every_ten = us("2011-02-09T00:00") + np.arange(0, 288) * 600_000_000
    changes = np.count_nonzero(np.diff(samples(batch, site, every_ten).altitude_deg[0] > lowest))
    assert changes == len(edges)


V20_TARGET = icrs(172.962037037, -12.5255555556)
V20_WHERE = -30.1673306, -70.8046611


def test_V20_hour_angle_limits_alone() -> None:
    expected = [
        ("2015-03-16T00:06:46.8", "2015-03-16T09:17:16.4"),
        ("2015-03-17T00:02:50.9", "2015-03-17T09:13:20.5"),
        ("2015-03-17T23:58:55.0", "2015-03-18T09:09:24.6"),
        ("2015-03-18T23:54:59.1", "2015-03-19T09:05:28.7"),
        ("2015-03-19T23:51:03.2", "2015-03-20T09:01:32.8"),
        ("2015-03-20T23:47:07.3", "2015-03-21T08:57:36.8"),
    ]
    around = [us(edge) + side for pair in expected for edge in pair for side in (-1_000_000, 1_000_000)]
    hour_angle = samples(TargetBatch.from_wire([V20_TARGET]), place(*V20_WHERE), around).hour_angle_h[0]
    assert (np.abs(hour_angle) <= 4.6).reshape(-1, 4).tolist() == [[False, True, True, False]] * 6


def test_V21_all_limits() -> None:
    site = place(*V20_WHERE, horizon_deg=30.0, ha_limit_neg_h=-4.6, ha_limit_pos_h=4.6)
    found = seen(V20_TARGET, site, "2015-03-15T18:00", "2015-03-21T18:00", twilight="sunrise")
    assert len(found) == 6
    assert_edges(
        found[[0, -1]],
        [
            ("2015-03-16T00:32:55.2", "2015-03-16T08:51:07.9"),
            ("2015-03-21T00:13:15.7", "2015-03-21T08:31:28.4"),
        ],
    )


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((-31.273, 149.070593), ("2013-03-22T17:50:37.1", "2013-03-22T20:08:49.1")),
        ((-32.38059, 20.8101083333), ("2013-03-22T02:26:11.5", "2013-03-22T04:41:27.9")),
        ((-30.1673305556, -70.8046611111), ("2013-03-22T08:31:39.0", "2013-03-22T10:48:01.6")),
        ((30.68, -104.015), None),
    ],
)
def test_V22_three_southern_sites(where: tuple[float, float], expected: tuple[str, str] | None) -> None:
    site = place(*where, ha_limit_neg_h=-4.9, ha_limit_pos_h=4.9)
    found = seen(icrs(310.357958333, -60.0), site, "2013-03-22T00:00", "2013-03-23T00:00", twilight="sunrise")
    assert_edges(found, [expected] if expected else [])


def test_V23_hour_angle_limits_are_mirrored_in_the_south_for_stars_only() -> None:
    south = place(-30.0, -70.0, ha_limit_neg_h=-2.0, ha_limit_pos_h=4.5)
    star = icrs(110.0, -30.0)
    found = seen(star, south, "2027-01-10T00:00", "2027-01-12T00:00")
    reached = samples(TargetBatch.from_wire([star]), south, found.ravel()).hour_angle_h[0]
    assert reached.min() >= -4.5001
    assert reached.max() == pytest.approx(2.0, abs=1e-4)
    planet = elements(
        "MPC_MINOR_PLANET", epochofel=61400.0, orbinc=2.0, longascnode=100.0, argofperih=10.0, meandist=2.7,
        eccentricity=0.05, meananom=10.0,
    )  # fmt: skip
    found = seen(planet, south, "2027-01-10T00:00", "2027-01-12T00:00")
    reached = samples(TargetBatch.from_wire([planet]), south, found.ravel()).hour_angle_h[0]
    assert reached.min() >= -2.0001
    assert reached.max() <= 4.5001
    assert reached.max() > 2.1


def test_V23_one_open_limit_ends_at_twelve_hours_for_a_star_that_never_sets() -> None:
    north = place(69.0, 70.0, horizon_deg=15.0, ha_limit_pos_h=4.6)
    star = icrs(146.0, 47.0)
    found = seen(star, north, "2026-12-01T00:00", "2026-12-04T00:00")
    inside = np.linspace(found[:, 0] + 1_000_000, found[:, 1] - 1_000_000, 20).astype(np.int64)
    hour_angle = samples(TargetBatch.from_wire([star]), north, inside.ravel()).hour_angle_h[0]
    assert len(found)
    assert (hour_angle <= 4.6).all()


def test_V24_altitude_of_jupiter() -> None:
    times = [us(f"2012-02-01T{time}") for time in ("03:09", "03:10", "03:11", "03:31", "03:32")]
    altitude = samples(TargetBatch.from_wire([JUPITER]), HAWAII, times).altitude_deg[0]
    assert altitude == pytest.approx([80.9600, 81.0298, 81.0936, 81.0060, 80.9341], abs=3e-4)


def test_V25_zenith_hole_of_9_deg() -> None:
    batch = TargetBatch.from_wire([JUPITER])
    minutes = [us(f"2012-02-01T{time}") for time in ("03:09", "03:10", "03:31", "03:32")]
    assert (samples(batch, HAWAII, minutes).altitude_deg[0] > 81).tolist() == [False, True, True, False]
    # that passage is in daylight; a month earlier, through a hole of 10 deg, it is in the dark
    window = "2012-01-01T00:00", "2012-01-02T00:00"
    with_hole = place(20.0, -150.0, horizon_deg=15.0, zenith_blind_spot_deg=10.0)
    hole = subtract(seen(JUPITER, HAWAII, *window), seen(JUPITER, with_hole, *window))
    assert len(hole) == 1
    assert samples(batch, HAWAII, hole[0]).altitude_deg[0] == pytest.approx(80.0, abs=1e-3)
    assert samples(batch, HAWAII, [int(hole.mean())]).altitude_deg[0, 0] > 80.1


def test_V26_altitude_of_a_comet() -> None:
    times = [us(f"2012-07-22T{time}") for time in ("03:08", "03:09", "07:54", "07:55")]
    altitude = samples(TargetBatch.from_wire([COMET]), HAWAII, times).altitude_deg[0]
    assert altitude == pytest.approx([43.9532, 44.0039, 15.0069, 14.8121], abs=3e-4)


def test_V27_distance_of_jupiter_from_the_moon() -> None:
    times = [us("2012-02-01T03:09"), us("2012-02-01T03:32")]
    distance = samples(TargetBatch.from_wire([JUPITER]), HAWAII, times).moon_distance_deg[0]
    assert distance == pytest.approx([19.845, 19.959], abs=6e-4)


def test_V28_moon_distance_removes_the_morning_or_all() -> None:
    target = TargetBatch.from_wire([icrs(310.35795833, 20.0)])
    times = us("2012-01-02T00:00") + np.arange(0, 1440, 5) * 60_000_000
    sample = samples(target, HAWAII, times)
    up = sample.altitude_deg[0] > 15
    first, last = np.flatnonzero(up)[[0, -1]]
    assert up[0], "the target sets after the start of the UT day"
    split = np.flatnonzero(~up)[0]
    assert (sample.moon_distance_deg[0][first:split] < 70).all()
    evening = up & (np.arange(len(times)) > split)
    assert (sample.moon_distance_deg[0][evening] >= 70).all()
    assert (sample.moon_distance_deg[0][up] < 75).all()
    assert last > split


@pytest.mark.parametrize(
    ("number", "site", "ra", "dec", "utc", "expected"),
    [
        (29, HALEAKALA, 148.925583, 69.673889, "2016-05-20T23:12:32", 2.5011),
        (30, HALEAKALA, 68.9791666667, 16.5, "2016-05-20T20:12:32", 1.3287),
        (31, Site(-32.3805542, 20.8101815, 1804.0), 68.9791666667, 16.5, "2016-05-20T11:12:32", 1.5199),
        (31, Site(-32.3805542, 20.8101815, 1804.0), 5.392944, -69.756111, "2016-05-20T03:12:32", 1.5221),
        (32, Site(-32.3805542, 20.8101815, 1804.0), 148.925583, 69.673889, "2016-05-20T23:12:32", 13.37),
    ],
)
def test_V29_to_V32_displayed_airmass(
    number: int, site: Site, ra: float, dec: float, utc: str, expected: float
) -> None:
    shown = displayed_airmass(TargetBatch.from_wire([icrs(ra, dec)]), site, [us(utc)])[0, 0]
    assert shown == pytest.approx(expected, abs=2e-3 * expected), number


V33 = {
    "2016-04-20": 0.95857,
    "2016-04-22": 0.99892,
    "2016-04-25": 0.93006,
    "2016-04-28": 0.72000,
    "2016-04-30": 0.52291,
    "2016-05-06": 0.01219,
    "2016-05-07": 0.00190,
    "2016-05-10": 0.14482,
    "2016-05-15": 0.63416,
    "2016-05-20": 0.96835,
}


def test_V33_moon_phase() -> None:
    phase = samples(TargetBatch.from_wire([]), HALEAKALA, [us(f"{day}T00:00") for day in V33]).moon_phase
    assert phase == pytest.approx(list(V33.values()), abs=2e-4)


def test_V34_moon_phase_hardly_depends_on_the_site() -> None:
    times = [us(f"{day}T00:00") for day in V33]
    none = TargetBatch.from_wire([])
    here, there = samples(none, HALEAKALA, times), samples(none, Site(-32.4, 20.8), times)
    assert np.abs(here.moon_phase - there.moon_phase).max() < 0.02


def test_V35_topocentric_moon() -> None:
    first_day = 55929 - 40587
    frame = SiteFrame(WindowFrame(first_day, 2), -30.0, 0.0, 0.0)
    sky = frame.at(np.array([0.0]))
    x, y, z = (np.einsum("ijn,jn->in", sky.turn, sky.moon + sky.beta)).ravel()
    ra = np.degrees(sky.sidereal[0] - np.arctan2(y, x)) % 360
    dec = np.degrees(np.arctan2(z, np.hypot(x, y)))
    assert (ra, dec) == (pytest.approx(26.63848, abs=5 / 3600), pytest.approx(15.61778, abs=5 / 3600))


def test_V36_intersection() -> None:
    one = as_intervals([(12, 15)])
    assert intersect(one, as_intervals([(9, 14)])).tolist() == [[12, 14]]
    assert intersect(one, as_intervals([(0, 3)])).tolist() == []
    assert intersect(one, as_intervals([(15, 16)])).tolist() == []


def test_V37_inverse() -> None:
    assert inverse(as_intervals([(2, 3), (5, 6)]), 0, 10).tolist() == [[0, 2], [3, 5], [6, 10]]
    assert inverse(as_intervals([(0, 10)]), 0, 10).tolist() == []


@pytest.mark.parametrize("kind", ["HOUR_ANGLE", "SATELLITE"])
def test_V38_static_targets_need_darkness_only(kind: str) -> None:
    site = place(-30.0, -70.0, horizon_deg=15.0, zenith_blind_spot_deg=180.0)
    limits = Constraints(max_airmass=2.0, min_lunar_distance_deg=30.0, max_lunar_phase=1.0)
    found = seen({"type": kind}, site, "2027-01-10T00:00", "2027-01-13T00:00", limits)
    assert found.tolist() == dark(site, us("2027-01-10T00:00"), us("2027-01-13T00:00")).tolist()
    assert len(found) == 3


def test_V39_polar_day_has_no_dark_time() -> None:
    assert not len(dark(SVALBARD, us("2027-06-21T00:00"), us("2027-06-22T00:00")))


def test_V40_polar_night_is_dark_throughout() -> None:
    window = us("2026-12-21T00:00"), us("2026-12-22T00:00")
    assert dark(SVALBARD, *window, "sunrise").tolist() == [list(window)]


def test_V41_polar_nautical_night() -> None:
    found = dark(place(78.2023, 15.829), us("2026-12-21T00:00"), us("2026-12-22T00:00"))
    expected = [
        ("2026-12-21T00:00:00", "2026-12-21T09:55:58.1"),
        ("2026-12-21T11:53:27.7", "2026-12-22T00:00:00"),
    ]
    assert_edges(found, expected, 1.9)  # 2 arcsec of a Sun that sinks at 1.1 arcsec/s


@pytest.mark.parametrize("target", [icrs(95.0, -30.0), JUPITER, COMET], ids=["star", "planet", "comet"])
def test_V42_zenith_hole_of_180_deg_leaves_nothing(target: dict[str, object]) -> None:
    site = place(-30.0, -70.0, zenith_blind_spot_deg=180.0)
    assert not len(seen(target, site, "2027-01-10T00:00", "2027-01-13T00:00"))


@pytest.mark.parametrize(
    "bad", [{"eccentricity": 1.2}, {"eccentricity": -0.1}, {"meandist": 0.0}, {"meandist": -2.0}]
)
def test_V43_elements_that_are_no_ellipse(bad: dict[str, float]) -> None:
    values = {
        "epochofel": 61200.0, "orbinc": 10.0, "longascnode": 10.0, "argofperih": 10.0, "meandist": 2.5,
        "eccentricity": 0.1, "meananom": 10.0, **bad,
    }  # fmt: skip
    batch = TargetBatch.from_wire([elements("MPC_MINOR_PLANET", **values)])
    assert batch.errors[0] is not None
    assert batch.errors[0].code == "bad_elements"
    window = us("2027-01-10T00:00"), us("2027-01-13T00:00")
    assert total(together(batch, [place(-30.0, -70.0)], [window], NO_LIMITS)[0]) == 0


@pytest.mark.parametrize("eccentricity", [1.0, 1.0031, 3.36])
def test_V44_open_orbits(eccentricity: float) -> None:
    comet = {**COMET, "eccentricity": eccentricity, "epochofperih": 61500.0, "perihdist": 1.5}
    assert len(seen(comet, place(-30.0, -70.0), "2027-01-10T00:00", "2027-02-10T00:00"))


def test_V45_neptune() -> None:
    neptune = elements(
        "JPL_MAJOR_PLANET", epochofel=61400.0, orbinc=1.7717, longascnode=131.81, argofperih=275.2,
        meandist=30.07, eccentricity=0.0095, meananom=320.0, dailymot=0.00598,
    )  # fmt: skip
    assert len(seen(neptune, place(-30.0, -70.0), "2027-01-10T00:00", "2027-12-10T00:00"))


def test_V46_right_ascension_360_is_0() -> None:
    site = place(-30.0, -70.0, horizon_deg=15.0)
    full, none = (seen(icrs(ra, -20.0), site, "2027-09-10T00:00", "2027-09-12T00:00") for ra in (360.0, 0.0))
    assert len(full)
    assert np.abs(full - none).max() <= 1


def test_V47_phase_limits() -> None:
    site = place(-30.0, -70.0, horizon_deg=15.0)
    window = "2027-02-08T00:00", "2027-02-20T00:00"
    star = icrs(140.0, -25.0)
    nearly, full, none = (
        seen(star, site, *window, Constraints(2.0, 0.0, phase)) for phase in (0.99, 1.0, 0.0)
    )
    assert nearly.tolist() == full.tolist()
    assert 0 < total(none) < total(full)
    middles = none.mean(axis=1).astype(np.int64)
    assert (samples(TargetBatch.from_wire([star]), site, middles).moon_altitude_deg < 0).all()


def test_V48_lunar_distance_of_half_a_degree_is_no_limit() -> None:
    site = place(-30.0, -70.0)
    instant = us("2027-01-18T04:00")
    frame = SiteFrame(WindowFrame(mjd := int(mjd_utc(instant)) - 40587, 2), -30.0, -70.0, 0.0)
    x, y, z = frame.at(np.array([(int(to_tt(instant)) - mjd * 86_400_000_000) * 1e-6])).moon[:, 0]
    at_the_moon = icrs(float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arcsin(z))))
    assert samples(TargetBatch.from_wire([at_the_moon]), site, [instant]).moon_distance_deg[0, 0] < 0.001
    window = "2027-01-18T03:30", "2027-01-18T04:30"
    half, zero, one = (seen(at_the_moon, site, *window, Constraints(None, d, 1.0)) for d in (0.5, 0.0, 1.0))
    assert half.tolist() == zero.tolist() == [[us(window[0]), us(window[1])]]
    assert not len(one)


@pytest.mark.parametrize("end", ["2027-01-10T00:00", "2027-01-09T00:00"])
def test_V49_empty_and_reversed_windows(end: str) -> None:
    site = place(-30.0, -70.0)
    assert not len(seen(icrs(95.0, -30.0), site, "2027-01-10T00:00", end))
    assert not len(dark(site, us("2027-01-10T00:00"), us(end)))


def test_V50_order_and_batch_size_change_nothing() -> None:
    rng = np.random.default_rng(50)
    stars = [icrs(float(rng.uniform(0, 360)), float(rng.uniform(-90, 90))) for _ in range(150)]
    targets = [*stars, JUPITER, COMET, {"type": "SATELLITE"}]
    site = [place(-30.0, -70.0, horizon_deg=15.0, ha_limit_neg_h=-4.6)]
    window = us("2027-01-10T00:00"), us("2027-01-14T00:00")
    limits = Constraints(2.0, 40.0, 0.2)
    whole = observable(TargetBatch.from_wire(targets), site, *window, limits)
    again = observable(TargetBatch.from_wire(targets), site, *window, limits)
    assert whole.start.tolist() == again.start.tolist()
    assert whole.end.tolist() == again.end.tolist()
    order = rng.permutation(len(targets))
    shuffled = observable(TargetBatch.from_wire([targets[k] for k in order]), site, *window, limits)
    for place_in_batch, row in enumerate(order):
        alone = observable(TargetBatch.from_wire([targets[row]]), site, *window, limits).intervals(0)
        for other in (shuffled.intervals(place_in_batch), alone):
            expected = whole.intervals(int(row))
            assert other.shape == expected.shape
            assert np.abs(other - expected).max(initial=0) <= 1
