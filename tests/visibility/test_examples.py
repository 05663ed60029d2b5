"""The twenty worked examples of the contract: intervals and intermediate samples."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocs.visibility import Constraints, Site, TargetBatch, observable, samples
from tests.visibility.helpers import us

EXAMPLES = json.loads((Path(__file__).parent / "data" / "visibility_examples.json").read_text())["cases"]
ARCSEC = 1 / 3600


def site_of(case: dict[str, Any]) -> Site:
    site = case["site"]
    return Site(
        site["latitude"],
        site["longitude"],
        site["altitude"],
        site["horizon"],
        site["ha_limit_neg"],
        site["ha_limit_pos"],
        site["zenith_blind_spot"],
    )


@pytest.mark.parametrize("case", EXAMPLES, ids=[case["id"] for case in EXAMPLES])
def test_intervals_of_the_example(case: dict[str, Any]) -> None:
    answer = observable(
        TargetBatch.from_wire([case["target"]]),
        [site_of(case)],
        us(case["window"]["start"]),
        us(case["window"]["end"]),
        Constraints.from_wire([case["constraints"]]),
        case["twilight"],
    )
    assert answer.errors == (None,)
    found = answer.intervals(0)
    assert len(found) == len(case["intervals"])
    for (start, end), expected in zip(found, case["intervals"], strict=True):
        assert abs(start - us(expected["start"])) <= expected["start_tolerance_s"] * 1e6
        assert abs(end - us(expected["end"])) <= expected["end_tolerance_s"] * 1e6
    length_s = float((answer.end - answer.start).sum()) * 1e-6
    assert length_s == pytest.approx(case["total_seconds"], abs=2.0 * max(len(found), 1))


SAMPLED = [case for case in EXAMPLES if case.get("samples")]


@pytest.mark.parametrize("case", SAMPLED, ids=[case["id"] for case in SAMPLED])
def test_samples_of_the_example(case: dict[str, Any]) -> None:
    rows = case["samples"]
    got = samples(TargetBatch.from_wire([case["target"]]), site_of(case), [us(row["time"]) for row in rows])
    for k, row in enumerate(rows):
        assert got.sun_altitude_deg[k] == pytest.approx(row["sun_altitude_deg"], abs=ARCSEC)
        assert got.moon_altitude_deg[k] == pytest.approx(row["moon_altitude_deg"], abs=2 * ARCSEC)
        assert got.moon_phase[k] == pytest.approx(row["moon_phase_elongation"], abs=2e-4)
        if "altitude_deg" not in row:
            continue
        assert got.altitude_deg[0, k] == pytest.approx(row["altitude_deg"], abs=ARCSEC)
        assert got.dec_deg[0, k] == pytest.approx(row["apparent_dec_deg"], abs=ARCSEC)
        assert got.ra_deg[0, k] == pytest.approx(row["apparent_ra_deg"], abs=ARCSEC)
        assert got.hour_angle_h[0, k] == pytest.approx(row["hour_angle_h"], abs=1e-4)
        assert got.moon_distance_deg[0, k] == pytest.approx(row["moon_distance_deg"], abs=2 * ARCSEC)
        if row["airmass_secz"] is not None and row["airmass_secz"] < 3:
            assert got.airmass[0, k] == pytest.approx(row["airmass_secz"], rel=2e-4)
        if row["airmass_display"] is not None:
            assert got.displayed_airmass[0, k] == pytest.approx(row["airmass_display"], rel=2e-3)
