"""Submitting request groups."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from ocs.kernel.wire.limits import parse_rate
from ocs.portal.requests import plugins
from tests.support.app import TestApp
from tests.support.requests import GROUPS, group, many, multiply, submit


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
    await submit(alice)
    await multiply(app, 49)
    with app.statements() as statements:
        page = (await alice.get(GROUPS, params={"limit": 50})).json()
    assert page["count"] == len(page["results"]) == 50
    assert len(statements) <= 4, statements


# --- more than one, and more than once


async def count(client: httpx.AsyncClient) -> int:
    return int((await client.get(GROUPS)).json()["count"])


async def test_a_key_makes_a_repetition_harmless(alice: httpx.AsyncClient, app: TestApp) -> None:
    key = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(alice.post(GROUPS, json=group(), headers=key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count(alice) == 1
    other = await alice.post(GROUPS, json=group(name="other"), headers=key)
    assert other.status_code == 422
    app.clock.set(app.clock.now() + timedelta(hours=25))  # type: ignore[attr-defined]
    assert (await alice.post(GROUPS, json=group(name="other"), headers=key)).status_code == 201
    assert await count(alice) == 2


async def test_a_refused_submission_does_not_use_its_key_up(alice: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k1"}
    assert (await alice.post(GROUPS, json=group(name=""), headers=key)).status_code == 400
    assert (await alice.post(GROUPS, json=group(), headers=key)).status_code == 201
    assert (await alice.post(GROUPS, json=group(), headers={"Idempotency-Key": "k" * 256})).status_code == 400


async def test_a_body_that_was_sent_before_earns_a_hint(alice: httpx.AsyncClient) -> None:
    first = await alice.post(GROUPS, json=group())
    again = await alice.post(GROUPS, json=group())
    assert "x-ocs-possible-duplicate" not in first.headers
    assert again.status_code == 201
    assert again.headers["x-ocs-possible-duplicate"] == "1"
    assert await count(alice) == 2


async def test_a_list_is_answered_item_by_item(alice: httpx.AsyncClient) -> None:
    sent = [group(), group(name=""), group(ipp_value=1.5), "x"]
    response = await alice.post(GROUPS, json=sent)
    assert response.status_code == 201
    answer = response.json()
    assert answer["num_created"] == 2
    assert list(answer["errors"]) == ["1", "3"]
    assert list(answer["errors"]["1"]) == ["name"]
    assert [item and item["name"] for item in answer["results"]] == ["test group", None, "test group", None]
    assert await count(alice) == 2


async def test_an_atomic_list_is_all_or_nothing(alice: httpx.AsyncClient) -> None:
    response = await alice.post(GROUPS, params={"atomic": "true"}, json=[group(), group(name="")])
    assert response.status_code == 400
    assert response.json()[0] == {}
    assert list(response.json()[1]) == ["name"]
    assert await count(alice) == 0
    await alice.post(GROUPS, params={"atomic": "true"}, json=[group(), group()])
    assert await count(alice) == 2


async def test_a_dry_run_stores_nothing(alice: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    trial = {"dry_run": "true"}
    response = await alice.post(GROUPS, params=trial, json=group(ipp_value=1.5))
    assert response.status_code == 201
    assert response.json()["state"] == "PENDING"
    assert await count(alice) == 0
    created = await submit(alice)
    cancelled = await alice.post(f"{GROUPS}{created['id']}/cancel/", params=trial)
    assert cancelled.json()["state"] == "CANCELED"
    assert (await alice.get(f"{GROUPS}{created['id']}/")).json()["state"] == "PENDING"
    draft = {"proposal": "temp", "title": "t", "content": "{}"}
    assert (await alice.post("/api/drafts/", params=trial, json=draft)).status_code == 201
    assert (await alice.get("/api/drafts/")).json()["count"] == 0
    before = (await staff.get("/api/last_changed/")).json()
    request_id = created["requests"][0]["id"]
    sent = {"suspend_until": "2016-09-02T00:00:00Z"}
    assert (await staff.patch(f"/api/requests/{request_id}/", params=trial, json=sent)).json() == sent
    assert (await alice.get(f"/api/requests/{request_id}/")).json()["suspend_until"] is None
    assert (await staff.get("/api/last_changed/")).json() == before


async def test_an_observatory_adds_rules_of_its_own(
    alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dark_time_only(sent: Mapping[str, Any]) -> dict[str, Any]:
        constraints = sent["requests"][0]["configurations"][0]["constraints"]
        if constraints["max_lunar_phase"] < 0.5:
            return {}
        fault = {"constraints": {"max_lunar_phase": ["We observe in dark time only."]}}
        return {"requests": [{"configurations": [fault]}]}

    def busy(_sent: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": ["We are busy."]}

    monkeypatch.setattr(plugins, "validators", lambda: [dark_time_only, busy])
    response = await alice.post(GROUPS, json=group())
    assert (response.status_code, response.json()) == (
        400,
        {
            "requests": [
                {"configurations": [{"constraints": {"max_lunar_phase": ["We observe in dark time only."]}}]}
            ],
            "name": ["We are busy."],
        },
    )


@pytest.mark.parametrize(
    ("scope", "default", "path"),
    [
        ("requestgroups.create", "5000/day", ""),
        ("requestgroups.validate", "20000/day", "validate/"),
        ("requestgroups.cancel", "2000/day", "1/cancel/"),
    ],
)
async def test_R69_too_many_calls_are_told_when_to_come_back(
    alice: httpx.AsyncClient,
    app: TestApp,
    monkeypatch: pytest.MonkeyPatch,
    scope: str,
    default: str,
    path: str,
) -> None:
    await submit(alice)
    path = f"{GROUPS}{path}"
    await alice.post(path, json=group())
    async with app.runtime.database.read() as session:
        statement = text("SELECT count FROM kernel.rate_count WHERE scope = :scope")
        counted = await session.scalar(statement, {"scope": scope})
    assert counted == parse_rate(default).block
    app.runtime.limits.give_up_blocks()
    monkeypatch.setattr(app.runtime.limits, "_configured", {scope: f"{counted + 2}/day"})
    for _ in range(2):
        assert (await alice.post(path, json=group())).is_success
    response = await alice.post(path, json=group())
    assert response.status_code == 429
    wait_s = response.headers["retry-after"]
    assert response.json() == {"detail": f"Request was throttled. Expected available in {wait_s} seconds."}
