"""What the engine promises beyond the numbered behaviours: budget, requests, nights, sky map, cache, door."""

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import ocs.visibility
from ocs.visibility import (
    BUDGET_STEPS,
    Constraints,
    InvalidArgument,
    Site,
    TargetBatch,
    budget,
    clear_cache,
    dark,
    intersect,
    moon_up,
    nights,
    observable,
    samples,
    separation_arcsec,
    sky_fraction,
    together,
    total,
    union,
)
from ocs.visibility import frame as frame_module
from ocs.visibility.skymap import pixel_directions
from ocs.visibility.targets import _universal
from tests.visibility.helpers import COMET, JUPITER, NO_LIMITS, elements, icrs, place, seen, us

SITE = Site(-30.1673, -70.8047, 2198.0, 15.0, -4.6, 4.6, 3.0)
WINDOW = us("2027-02-10T00:00"), us("2027-02-20T00:00")
LIMITS = Constraints(max_airmass=2.0, min_lunar_distance_deg=40.0, max_lunar_phase=0.5)
TARGETS = [icrs(140.0, -25.0), icrs(100.0, -30.5), JUPITER, COMET, {"type": "HOUR_ANGLE"}]


def test_all_names_of_the_door_exist_and_are_told() -> None:
    assert sorted(ocs.visibility.__all__) == ocs.visibility.__all__
    for name in ocs.visibility.__all__:
        assert hasattr(ocs.visibility, name)
        if name not in ("BUDGET_STEPS", "Intervals"):
            assert getattr(ocs.visibility, name).__doc__


def test_budget_falls_step_by_step_to_what_is_observable() -> None:
    batch = TargetBatch.from_wire([*TARGETS, icrs(400.0, 0.0)])
    left = budget(batch, SITE, *WINDOW, LIMITS)
    answer = observable(batch, [SITE], *WINDOW, LIMITS)
    assert left.shape == (len(batch), len(BUDGET_STEPS))
    assert (left[:, 0] == 10 * 86400).all()
    assert left[:, 1] == pytest.approx(total(dark(SITE, *WINDOW)) * 1e-6)
    assert (np.diff(left, axis=1) <= 1e-5).all()
    for row in range(len(batch)):
        assert left[row, -1] == pytest.approx(total(answer.intervals(row)) * 1e-6)
    assert (left[-1, 2:] == 0).all()


def test_budget_names_the_constraint_that_takes_the_time() -> None:
    window = us("2027-02-17T00:00"), us("2027-02-18T00:00")
    batch = TargetBatch.from_wire([icrs(110.0, -20.0)])
    taken = {
        "altitude": budget(batch, replace(SITE, horizon_deg=89.0), *window, NO_LIMITS),
        "hour_angle": budget(
            batch, replace(SITE, ha_limit_neg_h=0.0, ha_limit_pos_h=0.0), *window, NO_LIMITS
        ),
        "zenith": budget(batch, replace(SITE, zenith_blind_spot_deg=180.0), *window, NO_LIMITS),
        "moon_distance": budget(batch, SITE, *window, replace(NO_LIMITS, min_lunar_distance_deg=180.0)),
        "moon_phase": budget(batch, SITE, *window, replace(NO_LIMITS, max_lunar_phase=0.0)),
    }
    for name, left in taken.items():
        column = BUDGET_STEPS.index(name)
        assert left[0, column] < left[0, column - 1], name


def test_all_targets_of_a_request_must_be_up_at_once_and_bad_ones_are_left_out() -> None:
    batch = TargetBatch.from_wire([TARGETS[0], TARGETS[1], {**JUPITER, "eccentricity": 2.0}])
    days = [(WINDOW[0], WINDOW[0] + 86_400_000_000), (WINDOW[0] + 3 * 86_400_000_000, WINDOW[1])]
    other = replace(SITE, longitude_deg=20.0)
    found = together(batch, [SITE, other], days, LIMITS)
    for index, site in enumerate((SITE, other)):
        first, second = (
            union(
                *(seen(target, site, *map(str, map(ocs.visibility.to_datetime, day)), LIMITS) for day in days)
            )
            for target in TARGETS[:2]
        )
        assert found[index].tolist() == intersect(first, second).tolist()
        assert len(found[index])


def test_a_long_window_is_the_union_of_short_ones() -> None:
    start = us("2027-01-01T07:00")
    cuts = [start + day * 86_400_000_000 for day in (0, 11, 13, 40, 61, 100)]
    batch = TargetBatch.from_wire(TARGETS)
    site = replace(SITE, latitude_deg=-65.0)
    whole = observable(batch, [site], cuts[0], cuts[-1], LIMITS)
    parts = [observable(batch, [site], low, high, LIMITS) for low, high in pairwise(cuts)]
    for row in range(len(batch)):
        joined = union(*(part.intervals(row) for part in parts))
        assert joined.shape == whole.intervals(row).shape
        assert np.abs(joined - whole.intervals(row)).max(initial=0) < 100_000


def test_answers_are_sorted_by_target_then_site_then_time() -> None:
    sites = [SITE, replace(SITE, longitude_deg=20.0), replace(SITE, longitude_deg=149.0)]
    answer = observable(TargetBatch.from_wire(TARGETS), sites, *WINDOW, LIMITS)
    order = np.lexsort((answer.start, answer.owner[:, 1], answer.owner[:, 0]))
    assert order.tolist() == list(range(len(answer.start)))
    assert answer.owner.dtype == np.int32
    assert set(answer.owner[:, 1].tolist()) == {0, 1, 2}


def test_a_close_approach_to_the_moon_between_grid_points_is_found() -> None:
    """A limit just above the least separation leaves a gap of minutes only."""
    site = place(-30.0, -70.0)
    batch = TargetBatch.from_wire([target := icrs(140.0, 14.0)])
    window = us("2027-02-20T00:00"), us("2027-02-20T09:00")
    times = np.arange(*window, 10_000_000)
    distance = samples(batch, site, times).moon_distance_deg[0]
    is_dark = samples(batch, site, times).sun_altitude_deg < -12
    nearest = int(np.argmin(np.where(is_dark, distance, 999)))
    if not is_dark[[nearest - 60, nearest + 60]].all():
        pytest.fail("the geometry of this test no longer has its minimum in the dark")
    limit = float(distance[nearest]) + 1e-4
    texts = [str(ocs.visibility.to_datetime(t)) for t in window]
    open_, cut = (seen(target, site, *texts, Constraints(None, d, 1.0)) for d in (0.0, limit))
    assert len(cut) == len(open_) + 1
    gap = ocs.visibility.subtract(open_, cut)
    assert 0 < total(gap) < 1800e6
    assert samples(batch, site, gap[0]).moon_distance_deg[0] == pytest.approx(limit, abs=2 / 3600)


def test_moon_up_follows_its_upper_limb() -> None:
    site = place(-30.0, -70.0)
    edges = moon_up(site, *WINDOW).ravel()
    inner = edges[(edges > WINDOW[0]) & (edges < WINDOW[1])]
    altitude = samples(TargetBatch.from_wire([]), site, inner).moon_altitude_deg
    assert ((altitude < -0.5667 - 0.24) & (altitude > -0.5667 - 0.29)).all()


def test_nights_list_sun_twilights_and_moon() -> None:
    found = nights(SITE, *WINDOW)
    assert len(found) == 10
    for night in found:
        order = [night.dusk_us[kind] for kind in ("sunset", "civil", "nautical", "astronomical")]
        order += [night.dawn_us[kind] for kind in ("astronomical", "nautical", "civil", "sunset")]
        assert order == sorted(order)
        assert night.dark_s["nautical"] == pytest.approx((order[5] - order[2]) * 1e-6)
        assert 0 <= night.moon_phase <= 1
        assert 0 <= night.moon_up_dark_s <= night.dark_s["nautical"] + 1e-6
    sunset = samples(TargetBatch.from_wire([]), SITE, [found[0].dusk_us["sunset"]]).sun_altitude_deg[0]
    assert sunset == pytest.approx(-5 / 6, abs=1 / 3600)
    assert nights(SITE, WINDOW[0], WINDOW[0]) == []


def test_polar_nights_have_no_dusk() -> None:
    (night,) = nights(place(80.0, 15.0), us("2026-12-21T00:00"), us("2026-12-22T00:00"))
    assert night.dusk_us["sunset"] is None
    assert night.dawn_us["sunset"] is None
    assert night.dark_s["sunset"] == 86400
    (day,) = nights(place(80.0, 15.0), us("2027-06-21T00:00"), us("2027-06-22T00:00"))
    assert day.dusk_us["sunset"] is None
    assert day.dark_s["sunset"] == 0


def test_apparent_separation_of_two_stars() -> None:
    a = TargetBatch.from_wire([icrs(10.0, 20.0), icrs(10.0, 20.0), icrs(0.0, 90.0), JUPITER])
    b = TargetBatch.from_wire([icrs(10.0, 21.0), icrs(10.0, 20.0), icrs(0.0, 0.0), icrs(0.0, 0.0)])
    found = separation_arcsec(a, b, WINDOW[0])
    assert found[:3] == pytest.approx([3600.0, 0.0, 324_000.0], abs=30.0)
    assert found[0] != 3600.0, "aberration changes angles by up to 0.01 %"
    assert found[1] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(found[3])


def test_sky_map_agrees_with_samples() -> None:
    window = us("2027-02-10T12:00"), us("2027-02-11T12:00")
    nside = 4
    by_ring = sky_fraction(SITE, *window, nside=nside, max_airmass=2.0)
    (night,) = dark(SITE, *window)
    times = np.linspace(night[0], night[1], max(1, round((night[1] - night[0]) / 1.8e9) + 1)).astype(np.int64)
    x, y, z = pixel_directions(nside).T
    pixels = [
        icrs(float(a), float(d))
        for a, d in zip(np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z)), strict=True)
    ]
    altitude = samples(TargetBatch.from_wire(pixels), SITE, times).altitude_deg
    expected = (altitude > 30.0 - 104.3 / 3600).mean(axis=1)  # refraction lifts by 104.3 arcsec there
    assert by_ring == pytest.approx(expected, abs=1e-9)
    nested = sky_fraction(SITE, *window, nside=nside, nest=True, max_airmass=2.0)
    order = [int(np.argmax(pixel_directions(nside) @ v)) for v in pixel_directions(nside, nest=True)]
    assert sorted(order) == list(range(12 * nside**2))
    assert nested.tolist() == by_ring[order].tolist()


def test_known_healpix_centres() -> None:
    """Centres of nside 2 as the HEALPix paper numbers them: RING and NESTED."""
    ring, nest = pixel_directions(2), pixel_directions(2, nest=True)
    for vector, z, phi_deg in (
        (ring[0], 11 / 12, 45.0),
        (ring[4], 2 / 3, 22.5),
        (ring[12], 1 / 3, 0.0),
        (ring[20], 0.0, 22.5),
        (nest[3], 11 / 12, 45.0),
        (nest[0], 1 / 3, 45.0),
        (nest[16], -1 / 3, 0.0),
    ):
        assert vector[2] == pytest.approx(z)
        assert np.degrees(np.arctan2(vector[1], vector[0])) == pytest.approx(phi_deg, abs=1e-9)
    assert np.linalg.norm(pixel_directions(8), axis=1) == pytest.approx(np.ones(768))


def test_sky_map_of_a_polar_day_is_empty_and_bad_arguments_are_refused() -> None:
    polar = place(80.0, 0.0)
    june = us("2027-06-21T00:00"), us("2027-06-22T00:00")
    assert not sky_fraction(polar, *june, nside=2).any()
    for wrong in ({"nside": 3}, {"nside": 0}, {"nside": 1024}, {"step_s": 0.0}, {"max_airmass": 0.5}):
        with pytest.raises(InvalidArgument):
            sky_fraction(polar, *june, **wrong)
    with pytest.raises(InvalidArgument, match="before"):
        sky_fraction(polar, june[1], june[0])


def test_the_cache_is_bounded_and_shared_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = frame_module._Cache(1_500_000)
    monkeypatch.setattr(frame_module, "_cache", cache)
    batch = TargetBatch.from_wire(TARGETS)
    expected = observable(batch, [SITE], *WINDOW, LIMITS)
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(12):
            site = replace(SITE, longitude_deg=float(rng.integers(0, 8)) * 20)
            observable(batch, [site], *WINDOW, LIMITS)
            again = observable(batch, [SITE], *WINDOW, LIMITS)
            if again.start.tolist() != expected.start.tolist() or again.end.tolist() != expected.end.tolist():
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache._bytes <= 1_500_000
    assert cache._bytes == sum(entry.nbytes for entry in cache._entries.values())
    assert len(cache._entries) > 1


def test_clearing_the_cache_changes_no_answer() -> None:
    batch = TargetBatch.from_wire(TARGETS)
    before = observable(batch, [SITE], *WINDOW, LIMITS)
    clear_cache()
    assert observable(batch, [SITE], *WINDOW, LIMITS).start.tolist() == before.start.tolist()


@pytest.mark.parametrize("eccentricity", [0.05, 0.5, 0.97, 0.985, 0.9999])
def test_both_ways_to_solve_an_ellipse_agree(eccentricity: float) -> None:
    values = {
        "epochofperih": 61400.0,
        "orbinc": 20.0,
        "longascnode": 30.0,
        "argofperih": 40.0,
        "perihdist": 0.9,
    }
    comet = TargetBatch.from_wire([elements("MPC_COMET", eccentricity=eccentricity, **values)])
    axis = 0.9 / (1 - eccentricity)
    values = {"epochofel": 61400.0, "orbinc": 20.0, "longascnode": 30.0, "argofperih": 40.0, "meandist": axis}
    ellipse = elements("MPC_MINOR_PLANET", eccentricity=eccentricity, meananom=0.0, **values)
    planet = TargetBatch.from_wire([ellipse])
    days = 61400.0 + np.array([-3000.0, -200.0, -1e-3, 0.0, 5.0, 1000.0, 40_000.0])
    first, second = comet.conics.states(days), planet.conics.states(days)
    assert first == pytest.approx(second, abs=1e-8)


def test_orbits_are_regular_through_the_parabola() -> None:
    days = np.array([[-400.0, -10.0, 0.0, 30.0, 2000.0]])
    q = np.array([[1.1]])
    below, at, above = (np.array(_universal(days, q, np.array([[1.0 + de]]))) for de in (-1e-9, 0.0, 1e-9))
    assert below == pytest.approx(at, abs=1e-6)
    assert above == pytest.approx(at, abs=1e-6)


def test_the_four_other_schemes_match_those_they_are_like() -> None:
    comet = {key: value for key, value in COMET.items() if key != "scheme"}
    minor = {
        "type": "ORBITAL_ELEMENTS", "epochofel": 61400.0, "orbinc": 5.0, "longascnode": 20.0,
        "argofperih": 50.0, "meandist": 2.5, "eccentricity": 0.1, "meananom": 80.0,
    }  # fmt: skip
    major = {**minor, "longofperih": 70.0, "meanlong": 150.0, "dailymot": 0.2}
    for same in (
        [{**comet, "scheme": name} for name in ("MPC_COMET", "ASA_COMET", "JPL_MINOR_PLANET")],
        [{**minor, "scheme": name} for name in ("MPC_MINOR_PLANET", "ASA_MINOR_PLANET")],
        [{**major, "scheme": name} for name in ("JPL_MAJOR_PLANET", "ASA_MAJOR_PLANET")],
    ):
        states = TargetBatch.from_wire(same).conics.states(np.array([61_450.0]))
        assert states == pytest.approx(np.repeat(states[:, :1], len(same), axis=1), abs=1e-12)


def test_targets_without_a_known_or_complete_type_are_static() -> None:
    night = dark(SITE, *WINDOW).tolist()
    for target in (
        {},
        {"type": None},
        {"type": "ICRS", "ra": 10.0},
        {"type": "ORBITAL_ELEMENTS", "scheme": "MPC_COMET"},
    ):
        answer = observable(TargetBatch.from_wire([target]), [SITE], *WINDOW, NO_LIMITS)
        assert answer.errors == (None,)
        assert answer.intervals(0).tolist() == night
