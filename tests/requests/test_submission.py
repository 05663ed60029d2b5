"""Submitting request groups."""

import httpx

from tests.support.app import TestApp
from tests.support.requests import GROUPS, group, many, submit


async def test_R1_a_valid_group_is_stored_with_its_defaults_filled(alice: httpx.AsyncClient) -> None:
    answer = await submit(alice)
    assert answer == {
        "id": 1,
        "requests": [
            {
                "id": 1,
                "location": {"telescope_class": "1m0"},
                "configurations": [
                    {
                        "id": 1,
                        "constraints": {
                            "max_airmass": 2.0,
                            "min_lunar_distance": 30.0,
                            "max_lunar_phase": 1.0,
                            "max_seeing": None,
                            "min_transparency": None,
                            "extra_params": {},
                        },
                        "instrument_configs": [
                            {
                                "optical_elements": {"filter": "air"},
                                "mode": "cam_2",
                                "exposure_time": 100.0,
                                "exposure_count": 1,
                                "rotator_mode": "",
                                "extra_params": {"bin_x": 2, "bin_y": 2},
                            }
                        ],
                        "acquisition_config": {"mode": "OFF", "exposure_time": None, "extra_params": {}},
                        "guiding_config": {
                            "optional": True,
                            "mode": "OFF",
                            "optical_elements": {},
                            "exposure_time": None,
                            "extra_params": {},
                        },
                        "target": {
                            "type": "ICRS",
                            "name": "t",
                            "ra": 34.4,
                            "dec": 20.0,
                            "proper_motion_ra": 0.0,
                            "proper_motion_dec": 0.0,
                            "parallax": 0.0,
                            "epoch": 2000.0,
                            "extra_params": {},
                        },
                        "instrument_type": "1M0-CAM-A",
                        "type": "EXPOSE",
                        "extra_params": {},
                        "priority": 1,
                    }
                ],
                "windows": [{"start": "2016-09-29T21:12:18Z", "end": "2016-10-29T21:12:19Z"}],
                "duration": 226,
                "observation_note": "",
                "optimization_type": "TIME",
                "state": "PENDING",
                "suspend_until": None,
                "modified": "2016-09-01T00:00:00Z",
                "created": "2016-09-01T00:00:00Z",
                "acceptability_threshold": 90.0,
                "configuration_repeats": 1,
                "extra_params": {},
            }
        ],
        "submitter": "alice",
        "name": "test group",
        "observation_type": "NORMAL",
        "operator": "SINGLE",
        "ipp_value": 1.0,
        "created": "2016-09-01T00:00:00Z",
        "state": "PENDING",
        "modified": "2016-09-01T00:00:00Z",
        "proposal": "temp",
    }
    assert (await alice.get(f"{GROUPS}1/")).json() == answer


async def test_R2_nobody_submits_without_a_login(alice: httpx.AsyncClient, app: TestApp) -> None:
    async with app.client() as anonymous:
        response = await anonymous.post(GROUPS, json=group())
    assert (response.status_code, response.json()) == (
        403,
        {"detail": "Authentication credentials were not provided."},
    )


async def test_a_group_of_ten_takes_at_most_25_statements(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)  # the configuration is in the process now
    with app.statements() as statements:
        await submit(alice, {**many(10), "ipp_value": 1.001})
    assert len(statements) <= 25, statements


async def test_a_list_of_fifty_groups_takes_at_most_4_statements(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    for _ in range(3):
        await submit(alice, many(2))
    with app.statements() as statements:
        page = (await alice.get(GROUPS, params={"limit": 50})).json()
    assert page["count"] == len(page["results"]) == 3
    assert len(statements) <= 4, statements
