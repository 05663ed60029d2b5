"""What other modules derive from the configuration."""

import pytest

from ocs.configdb import api
from ocs.configdb.observatory import telescope_class
from tests.support.app import TestApp
from tests.support.configdb import build_fix_a


async def _observatory(app: TestApp) -> api.Observatory:
    async with app.runtime.database.read() as session:
        return await api.observatory(session)


@pytest.mark.parametrize(
    ("aperture_m", "expected"), [(0.4, "0m4"), (0.96, "1m0"), (1.0, "1m0"), (2.0, "2m0"), (1.25, "1m2")]
)
def test_C34_the_class_of_a_telescope_follows_from_its_aperture(aperture_m: float, expected: str) -> None:
    assert telescope_class(aperture_m) == expected


async def test_an_unchanged_configuration_costs_one_statement_and_a_changed_one_two(app: TestApp) -> None:
    await build_fix_a(app)
    with app.statements() as statements:
        first = await _observatory(app)
    assert len(statements) == 2
    with app.statements() as statements:
        assert await _observatory(app) is first
    assert len(statements) == 1


async def test_fix_a_has_what_the_duration_figures_are_made_of(app: TestApp) -> None:
    await build_fix_a(app)
    observatory = await _observatory(app)
    overheads = observatory.overheads("1m0-cam-a")
    assert overheads is not None
    kind = overheads.instrument_type
    assert kind.exposure_overhead_s("cam_2") == kind.exposure_overhead_s("nonsense") == 15.5
    assert (kind.config_front_padding_s, kind.observation_front_padding_s) == (16.0, 90.0)
    assert overheads.element_change_overhead_s == {"filters": 2.0}
    assert (overheads.minimum_slew_overhead_s, overheads.maximum_slew_overhead_s) == (2.0, 2.0)
    assert observatory.telescope_classes == ("0m4", "1m0", "2m0")


async def test_who_may_use_what(app: TestApp) -> None:
    await build_fix_a(app)
    observatory = await _observatory(app)
    assert observatory.instrument_type_codes(only_schedulable=True) == (
        "1M0-CAM-A",
        "1M0-CAM-B",
        "2M0-CAM-T",
        "2M0-SPEC-A",
    )
    assert "1M0-CAM-M" in observatory.instrument_type_codes(only_schedulable=False)
    assert "0M4-CAM-X" not in observatory.instrument_type_codes(only_schedulable=False)
    paths = [telescope.path for telescope in observatory.telescopes_with("1M0-CAM-A", only_schedulable=True)]
    assert paths == ["lco.doma.1m0a", "tst.domb.1m0a"]
    assert [found.code for found in observatory.pick_instruments("2M0-CAM-T", "tst", "clma", "2m0a")] == [
        "fl02",
        "fl03",
    ]
    assert [found.code for found in observatory.pick_instruments("1M0-CAM-M", "TST", "doma", "1m0a")] == [
        "xx01"
    ]
    (camera,) = observatory.pick_instruments("1M0-CAM-A", "tst", "domb", "1m0a")
    assert camera.guide_cameras == ("ef03", "xx03")
    assert camera.path == "tst.domb.1m0a.xx03"
    assert camera.telescope.resource == "1m0a.domb.tst"


async def test_optical_elements_and_geometry_of_a_type(app: TestApp) -> None:
    await build_fix_a(app)
    observatory = await _observatory(app)
    filters = observatory.optical_elements("1M0-CAM-A")["filters"]
    assert [element.code for element in filters.elements] == ["air", "blue"]
    assert filters.element("AiR") is filters.elements[0]
    assert observatory.optical_elements("0M4-CAM-X") == {}
    geometry = observatory.camera_geometry("1M0-CAM-A")
    assert geometry is not None
    assert geometry.science_fov_diagonal_arcmin == pytest.approx(9.428, abs=1e-3)
    assert (geometry.pixels_x, geometry.max_rois) == (1000, 1)
