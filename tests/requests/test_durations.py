"""How long requests take; the numbers are those measured on the reference system."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ocs.portal.requests import durations, service
from ocs.portal.requests.catalog import Catalog
from tests.support.app import TestApp
from tests.support.configdb import build_fix_a
from tests.support.requests import configuration, group, request


@pytest.fixture
async def catalog(app: TestApp) -> Catalog:
    await build_fix_a(app)
    async with app.runtime.database.read() as session:
        return await service.load_catalog(session)


def camera(ra: float = 34.4, **changes: Any) -> dict[str, Any]:
    made = configuration(**changes)
    made["target"]["ra"] = ra
    made["instrument_configs"][0]["mode"] = "cam_2"
    return made


def total(catalog: Catalog, *configurations: Any, repeats: int = 1) -> int:
    return durations.request_duration(catalog, configurations, repeats).total_s


def test_one_exposure(catalog: Catalog) -> None:
    overheads = catalog.overheads("1M0-CAM-A")
    assert durations.exposures_s(overheads, camera()["instrument_configs"][0]) == 115.5
    assert durations.configuration_s(overheads, camera()) == 131.5
    assert total(catalog, camera()) == 226


def test_two_targets_with_one_filter(catalog: Catalog) -> None:
    assert total(catalog, camera(), camera(ra=35.0)) == 359


def test_one_target_three_times(catalog: Catalog) -> None:
    assert total(catalog, camera(), camera(), repeats=3) == 891


def test_a_repeat_has_no_padding_of_its_own(catalog: Catalog) -> None:
    assert total(catalog, camera(type="REPEAT_EXPOSE", repeat_duration=250)) == 344


def test_a_spectrum_with_acquisition(catalog: Catalog) -> None:
    spectrum = configuration(
        instrument_type="2M0-SPEC-A",
        type="SPECTRUM",
        acquisition_config={"mode": "WCS"},
        instrument_configs=[
            {
                "exposure_time": 1800,
                "exposure_count": 1,
                "mode": "spec",
                "optical_elements": {"slit": "slit_1.2as"},
            }
        ],
    )
    assert total(catalog, spectrum) == 2204
    guided = spectrum | {"guiding_config": {"mode": "ON", "optional": False}}
    assert total(catalog, guided) == 2209
    assert total(catalog, spectrum | {"guiding_config": {"mode": "ON"}}) == 2204
    exposed = spectrum | {"acquisition_config": {"mode": "WCS", "exposure_time": 10.0}}
    assert total(catalog, exposed) == 2184


def test_changes_of_elements_and_types_cost_where_they_happen(catalog: Catalog) -> None:
    blue = camera()
    blue["instrument_configs"][0]["optical_elements"] = {"filter": "blue"}
    assert total(catalog, camera(), blue) == 359
    assert total(catalog, camera(), blue, camera()) == 359 + 134 - 0
    arc = configuration(
        instrument_type="2M0-SPEC-A",
        type="ARC",
        instrument_configs=[{"exposure_time": 10, "exposure_count": 1, "mode": "spec"}],
    )
    lamp = arc | {"type": "LAMP_FLAT"}
    once = 10 + 25.5 + 16
    assert total(catalog, arc, arc, lamp) == durations.whole(3 * once + 20 + 60 + 2 + 240)


def test_the_padding_of_two_instruments_is_shared_by_their_time(catalog: Catalog) -> None:
    spectrum = configuration(
        instrument_type="2M0-SPEC-A",
        type="SPECTRUM",
        instrument_configs=[{"exposure_time": 100, "exposure_count": 1, "mode": "spec"}],
    )
    found = durations.request_duration(catalog, [camera(), spectrum], 1).by_type_s
    first, second = 131.5 + 4, 100 + 25.5 + 16
    assert found["1M0-CAM-A"] == pytest.approx(first + first / (first + second) * 90)
    assert found["2M0-SPEC-A"] == pytest.approx(second + second / (first + second) * 240)


@pytest.mark.parametrize(
    ("priority", "repeat", "after", "with_current"),
    [(1, 1, 665.5, 783.0), (2, 1, 534.0, 649.5), (1, 2, 398.5, 516.0), (2, 3, 0.0, 115.5)],
)
def test_what_remains_of_two_configurations_three_times(
    catalog: Catalog, priority: int, repeat: int, after: float, with_current: float
) -> None:
    def remaining(**options: bool) -> float:
        return durations.remaining_s(
            catalog, [camera(), camera()], 3, priority=priority, repeat=repeat, **options
        )

    assert remaining() == after
    assert remaining(include_current=True) == with_current


def test_an_instrument_that_is_gone_costs_its_exposures(catalog: Catalog) -> None:
    assert total(catalog, camera(instrument_type="GONE")) == 100


def test_long_and_absurd_exposures_have_a_duration(catalog: Catalog) -> None:
    absurd = camera()
    absurd["instrument_configs"][0] |= {"exposure_time": 1e308, "exposure_count": 2**31 - 1}
    assert total(catalog, absurd) == 2**53


def test_a_slew_lasts_between_its_limits(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(
        catalog.overheads("1M0-CAM-A"),
        slew_rate_s_per_arcsec=0.001,
        minimum_slew_overhead_s=5.0,
        maximum_slew_overhead_s=60.0,
    )
    monkeypatch.setitem(catalog._overheads, "1M0-CAM-A", slow)

    def slew(arcsec: float) -> float:
        steps = durations.steps(catalog, [camera(), camera(ra=35.0)], lambda *_: arcsec)
        return steps[1].added_s

    assert [slew(way) for way in (0.0, 30_000.0, 1e6)] == [5.0, 30.0, 60.0]
    hour_angle = camera() | {"target": {"type": "HOUR_ANGLE", "hour_angle": 0.0, "dec": 0.0}}
    assert durations.steps(catalog, [camera(), hour_angle])[1].added_s == 60.0


def test_what_a_group_needs_per_semester_and_type() -> None:
    shares = [("A", {"X": 225.5}), ("A", {"X": 300.2, "Y": 10.0})]
    totals: Callable[[str], Any] = lambda operator: durations.group_totals_s(operator, shares)  # noqa: E731
    assert totals("MANY") == {("A", "X"): 301, ("A", "Y"): 10}
    assert totals("SINGLE") == {("A", "X"): 525.7, ("A", "Y"): 10.0}


async def test_fill_window_leaves_a_second(alice: httpx.AsyncClient) -> None:
    repeat = configuration(type="REPEAT_EXPOSE", repeat_duration=250, fill_window=True)
    answer = await alice.post(
        "/api/requestgroups/validate/", json=group(requests=[request(configurations=[repeat])])
    )
    report = answer.json()["request_durations"]["requests"][0]
    assert report["duration"] == int(report["largest_interval"])
    (only,) = report["configurations"]
    assert only["duration"] == pytest.approx(report["largest_interval"] - 344 + 250 - 1)
