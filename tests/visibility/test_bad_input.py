"""Nonsense gets an error of its own row: no exception, no NaN, and the other rows stay right."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocs.visibility import (
    Constraints,
    InvalidArgument,
    InvalidSite,
    OutsideEphemeris,
    RowError,
    Site,
    TargetBatch,
    budget,
    dark,
    nights,
    observable,
    samples,
    separation_arcsec,
    sky_fraction,
    together,
)
from ocs.visibility.targets import _SCHEME_FIELDS
from tests.visibility.helpers import NO_LIMITS, SHORT_NIGHT, icrs, is_clean, place, us

GOOD = icrs(95.0, -30.0)
FIELDS = [
    *("ra", "dec", "proper_motion_ra", "proper_motion_dec", "parallax", "epoch", "epochofel", "epochofperih"),
    *("orbinc", "longascnode", "longofperih", "argofperih", "meandist", "perihdist", "eccentricity"),
    *("meanlong", "meananom", "dailymot", "hour_angle", "altitude", "azimuth"),
]
odd_numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0, 3),
    st.floats(-400, 400),
    st.floats(40_000, 70_000),
    st.sampled_from(
        [0, 1, -1, 0.0, -0.0, 1.0, 1 - 1e-16, 1 + 1e-15, 0.98, 90, -90, 360, 1e-300, 1e300, 10**400]
    ),
)
odd_values = st.one_of(
    odd_numbers, st.none(), st.booleans(), st.text(max_size=3), st.lists(st.none(), max_size=1)
)
odd_extras = st.one_of(
    odd_values,
    st.fixed_dictionaries(
        {},
        optional={
            "tle": st.one_of(odd_values, st.lists(st.text(max_size=80), min_size=2, max_size=2)),
            "ephemeris": st.one_of(
                odd_values, st.lists(st.tuples(st.text(max_size=20), odd_values, odd_values))
            ),
        },
    ),
)
odd_targets = st.one_of(
    odd_values,
    st.fixed_dictionaries(
        {
            "type": st.one_of(
                st.sampled_from(["ICRS", "ORBITAL_ELEMENTS", "ORBITAL_ELEMENTS", "SATELLITE", "HOUR_ANGLE"]),
                odd_values,
            )
        },
        optional={
            "scheme": st.one_of(st.sampled_from(sorted(_SCHEME_FIELDS)), odd_values),
            "extra_params": odd_extras,
            **dict.fromkeys(FIELDS, odd_values),
        },
    ),
    # complete but wild elements, which reach the solver
    st.fixed_dictionaries(
        {
            "type": st.just("ORBITAL_ELEMENTS"),
            "scheme": st.sampled_from(sorted(_SCHEME_FIELDS)),
            "eccentricity": st.one_of(
                st.floats(0, 1.2), st.sampled_from([1.0, 1 - 1e-12, 1 + 1e-12, 0.98, 1e4])
            ),
            "perihdist": st.one_of(st.floats(1e-6, 10), st.floats(1e-6, 1e5)),
            "meandist": st.one_of(st.floats(1e-6, 10), st.floats(1e-6, 1e5)),
            "dailymot": st.floats(1e-9, 1e5),
            **dict.fromkeys(["epochofel", "epochofperih"], st.floats(-90_000, 290_000)),
            **dict.fromkeys(["orbinc", "longascnode", "argofperih", "longofperih"], st.floats(-360, 360)),
            **dict.fromkeys(["meananom", "meanlong"], st.floats(-36_000, 36_000)),
        }
    ),
)
odd_sites = st.builds(
    Site,
    latitude_deg=st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 0.0])),
    longitude_deg=st.one_of(st.floats(-180, 180), st.sampled_from([180.0, -180.0])),
    horizon_deg=st.sampled_from([0.0, 15.0, 89.0, 90.0]),
    ha_limit_neg_h=st.sampled_from([-12.0, -4.6, 0.0]),
    ha_limit_pos_h=st.sampled_from([12.0, 4.6, 0.0]),
    zenith_blind_spot_deg=st.sampled_from([0.0, 3.0, 90.0, 179.0, 180.0]),
)
odd_constraints = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["max_airmass", "min_lunar_distance", "max_lunar_phase"], odd_values)
)
windows = st.tuples(
    st.sampled_from(["2027-01-10T00:00", "2016-12-31T20:00"]), st.sampled_from([-9, 0, 1, 7, 40])
)


any_batch = given(
    st.lists(st.tuples(odd_targets, st.one_of(odd_constraints, odd_values)), max_size=4),
    odd_sites,
    windows,
    st.sampled_from(["sunrise", "nautical"]),
)
SUPPRESS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def check_batch(pairs: list[tuple[Any, Any]], site: Site, window: tuple[str, int], twilight: str) -> None:
    start = us(window[0])
    end = start + window[1] * 6 * 3_600_000_000
    batch = TargetBatch.from_wire([*(target for target, _ in pairs), GOOD])
    limits = Constraints.from_wire([*(limit for _, limit in pairs), {}])
    answer = observable(batch, [site], start, end, limits, twilight)
    assert len(answer.errors) == len(batch) == len(pairs) + 1
    for row, error in enumerate(answer.errors):
        found = answer.intervals(row)
        assert is_clean(found, start, end)
        if error is not None:
            assert error.code
            assert error.message
            assert not len(found)
    alone = observable(TargetBatch.from_wire([GOOD]), [site], start, end, Constraints(), twilight)
    assert np.abs(alone.intervals(0) - answer.intervals(len(pairs))).max(initial=0) <= 1


@settings(max_examples=300, deadline=None, suppress_health_check=SUPPRESS)
@any_batch
def test_no_input_breaks_a_batch(
    pairs: list[tuple[Any, Any]], site: Site, window: tuple[str, int], twilight: str
) -> None:
    check_batch(pairs, site, window, twilight)


@pytest.mark.nightly
@settings(max_examples=100_000, deadline=None, suppress_health_check=SUPPRESS)
@any_batch
def test_no_input_breaks_a_batch_in_100_000_cases(
    pairs: list[tuple[Any, Any]], site: Site, window: tuple[str, int], twilight: str
) -> None:
    check_batch(pairs, site, window, twilight)


@given(odd_targets)
@settings(max_examples=150, deadline=None, suppress_health_check=SUPPRESS)
def test_samples_are_complete_or_explained(target: Any) -> None:
    batch = TargetBatch.from_wire([target])
    times = [us("2027-01-10T03:00"), us("2027-06-10T03:00")]
    got = samples(batch, place(-30.0, -70.0), times)
    has_place = np.isfinite(got.altitude_deg[0]).all()
    if batch.errors[0] is None and got.errors[0] is None and batch.kind[0] != 0:
        assert has_place
    assert np.isfinite(got.sun_altitude_deg).all()
    assert np.isfinite(got.displayed_airmass[0]).all() == has_place


def test_each_row_has_its_own_error() -> None:
    targets = [
        GOOD,
        icrs(math.nan, 1.0),
        icrs(10.0, 91.0),
        {"type": "ORBITAL_ELEMENTS", "scheme": "KEPLER", "eccentricity": 0.1},
        "M31",
        {"type": "SATELLITE", "extra_params": {"tle": ["1", "2"]}},
        {
            "type": "ICRS",
            "ra": 1.0,
            "dec": 1.0,
            "extra_params": {"ephemeris": [["2027-01-01T00:00:00", 1, 1]]},
        },
    ]
    answer = observable(TargetBatch.from_wire(targets), [place(-30.0, -70.0)], *SHORT_NIGHT, NO_LIMITS)
    codes = [error.code if error else None for error in answer.errors]
    assert codes == [
        None,
        "bad_value",
        "bad_value",
        "unknown_scheme",
        "bad_value",
        "bad_tle",
        "bad_ephemeris",
    ]
    assert len(answer.intervals(0))
    assert set(answer.owner[:, 0].tolist()) == {0}
    assert "ra" in (answer.errors[1] or RowError("", "")).message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_airmass", 0.5),
        ("max_airmass", math.nan),
        ("min_lunar_distance_deg", 181.0),
        ("max_lunar_phase", -0.1),
    ],
)
def test_a_bad_limit_is_an_error_of_its_row(name: str, value: float) -> None:
    limits = Constraints(**{name: np.array([value, 1.0])})
    answer = observable(TargetBatch.from_wire([GOOD, GOOD]), [place(-30.0, -70.0)], *SHORT_NIGHT, limits)
    assert answer.errors[0] is not None
    assert answer.errors[0].code == "bad_constraint"
    assert answer.errors[1] is None


def test_empty_batches() -> None:
    none = TargetBatch.from_wire([])
    site = place(-30.0, -70.0)
    assert not len(observable(none, [site], *SHORT_NIGHT, NO_LIMITS).start)
    assert not len(observable(TargetBatch.from_wire([GOOD]), [], *SHORT_NIGHT, NO_LIMITS).start)
    assert not len(together(none, [site], [SHORT_NIGHT], NO_LIMITS)[0])
    assert together(none, [site], [], NO_LIMITS)[0].shape == (0, 2)
    assert budget(none, site, *SHORT_NIGHT, NO_LIMITS).shape == (0, 7)
    assert samples(TargetBatch.from_wire([GOOD]), site, []).altitude_deg.shape == (1, 0)


@pytest.mark.parametrize("latitude", [90.0, -90.0])
def test_the_poles(latitude: float) -> None:
    site = place(latitude, 0.0, horizon_deg=15.0)
    window = (us("2026-12-01T00:00"), us("2027-01-01T00:00"))
    stars = TargetBatch.from_wire([icrs(10.0, math.copysign(40.0, latitude)), icrs(10.0, 0.0)])
    answer = observable(stars, [site], *window, NO_LIMITS)
    expected = dark(site, *window)
    assert len(expected) == (1 if latitude > 0 else 0)
    assert answer.intervals(0).tolist() == expected.tolist()
    assert not len(answer.intervals(1))


def test_ten_years_and_the_antimeridian() -> None:
    east, west = place(10.0, 180.0, horizon_deg=30.0), place(10.0, -180.0, horizon_deg=30.0)
    window = us("2027-01-01T00:00"), us("2037-01-01T00:00")
    answer = observable(TargetBatch.from_wire([GOOD]), [east, west], *window, NO_LIMITS)
    assert is_clean(answer.intervals(0, 0), *window)
    assert len(answer.intervals(0, 0)) > 2000
    assert np.abs(answer.intervals(0, 0) - answer.intervals(0, 1)).max() <= 1


@pytest.mark.parametrize(
    "window", [("1999-12-31T00:00", "2000-01-05T00:00"), ("2051-01-05T00:00", "2051-02-01T00:00")]
)
def test_windows_outside_the_ephemeris_are_refused(window: tuple[str, str]) -> None:
    start, end = us(window[0]), us(window[1])
    site = place(0.0, 0.0)
    batch = TargetBatch.from_wire([GOOD])
    for ask in (
        lambda: observable(batch, [site], start, end, NO_LIMITS),
        lambda: dark(site, start, end),
        lambda: samples(batch, site, [start, end]),
        lambda: nights(site, start, end),
        lambda: sky_fraction(site, start, end),
    ):
        with pytest.raises(OutsideEphemeris, match="from 2000-01-01 to 2051-01-08"):
            ask()


def test_arguments_of_the_whole_call_are_refused() -> None:
    batch, site = TargetBatch.from_wire([GOOD]), place(0.0, 0.0)
    with pytest.raises(InvalidArgument, match="twilight"):
        observable(batch, [site], *SHORT_NIGHT, NO_LIMITS, "noon")
    with pytest.raises(InvalidArgument, match="max_airmass"):
        observable(batch, [site], *SHORT_NIGHT, Constraints(max_airmass=np.ones(3)))
    with pytest.raises(InvalidArgument, match="same number"):
        separation_arcsec(batch, TargetBatch.from_wire([]), SHORT_NIGHT[0])
    for wrong in (math.nan, math.inf, 91.0, None, "30"):
        with pytest.raises(InvalidSite, match="latitude_deg"):
            Site(wrong, 0.0)  # type: ignore[arg-type]
