"""Finding observations, and knowing when there is something new."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.observations.test_cancelling import cancel
from tests.support.accounts import create_user
from tests.support.app import NOW, TestApp
from tests.support.observations import OBSERVATIONS, SCHEDULE, START, place, requested, submit, z

Asked = dict[str, Any]


async def last_scheduled(client: httpx.AsyncClient, **parameters: str) -> datetime:
    """Return when a site got something new."""
    answer = await client.get("/api/last_scheduled/", params=parameters)
    return datetime.fromisoformat(answer.json()["last_schedule_time"])


async def test_B53_sites_learn_of_new_observations(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    assert (await alice.get("/api/last_scheduled/")).status_code == 403
    initial = await last_scheduled(staff)
    assert await last_scheduled(staff, site="nowhere") == initial
    later = NOW + timedelta(days=400)  # beyond any other test's stamps, which survive as the sequence does
    app.clock.set(later)  # type: ignore[attr-defined]
    await place(staff, asked)
    assert await last_scheduled(staff, site="tst") == later
    assert await last_scheduled(staff) == later
    assert await last_scheduled(staff, site="nowhere") == initial
    app.clock.set(NOW)  # type: ignore[attr-defined]
    with app.statements() as statements:
        await last_scheduled(staff, site="tst")
    assert len(statements) == 2  # who asks, and the one row


async def test_B53_cancelling_is_not_announced_to_sites(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    before = await last_scheduled(staff, site="tst")
    app.clock.set(NOW + timedelta(hours=1))  # type: ignore[attr-defined]
    await cancel(staff, ids=[1])
    assert await last_scheduled(staff, site="tst") == before


async def test_B59_both_lists_are_the_schedule_form(staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    listed = (await staff.get(OBSERVATIONS)).json()
    assert (await staff.get(SCHEDULE)).json() == listed
    assert listed["count"] == 1
    request = asked["requests"][0]
    configuration = request["configurations"][0]
    assert listed["results"][0] == {
        "id": 1,
        "request": {
            "id": 1,
            "observation_note": "",
            "optimization_type": "TIME",
            "state": "PENDING",
            "suspend_until": None,
            "acceptability_threshold": 90.0,
            "configuration_repeats": 1,
            "extra_params": {},
            "modified": "2016-09-01T00:00:00Z",
            "duration": 226,
            "configurations": [
                {
                    "id": 1,
                    "instrument_type": "1M0-CAM-A",
                    "type": "EXPOSE",
                    "repeat_duration": None,
                    "extra_params": {},
                    "priority": 1,
                    "instrument_configs": [{**configuration["instrument_configs"][0], "rois": []}],
                    "constraints": {
                        "max_airmass": 2.0,
                        "min_lunar_distance": 30.0,
                        "max_lunar_phase": 1.0,
                        "extra_params": {},
                    },
                    "acquisition_config": {"mode": "OFF", "extra_params": {}},
                    "guiding_config": configuration["guiding_config"],
                    "target": {**configuration["target"], "hour_angle": None},
                    "configuration_status": 1,
                    "state": "PENDING",
                    "instrument_name": "xx03",
                    "guide_camera_name": "ef03",
                    "summary": {},
                }
            ],
        },
        "site": "tst",
        "enclosure": "domb",
        "telescope": "1m0a",
        "start": "2016-09-05T22:35:39Z",
        "end": "2016-09-05T23:35:40Z",
        "priority": 10,
        "state": "PENDING",
        "proposal": "temp",
        "submitter": "alice",
        "name": "test group",
        "ipp_value": 1.0,
        "observation_type": "NORMAL",
        "request_group_id": 1,
        "created": "2016-09-01T00:00:00Z",
        "modified": "2016-09-01T00:00:00Z",
    }
    detail = (await staff.get(f"{SCHEDULE}1/")).json()
    assert set(detail) == {
        "id", "request", "site", "enclosure", "telescope", "start", "end", "priority", "state", "modified",
        "proposal", "submitter", "name", "ipp_value", "observation_type", "request_group_id",
    }  # fmt: skip
    shown = detail["request"]["configurations"][0]
    assert "hour_angle" not in shown["target"]
    assert shown["constraints"]["max_seeing"] is None
    assert (shown["configuration_status"], shown["summary"], shown["state"]) == (1, None, "PENDING")
    assert not {"location", "windows"} & set(detail["request"])


FOUND = [
    ({"start_after": "2016-09-05"}, 1),
    ({"start_after": "2016-09-05 00:00:00"}, 1),
    ({"start_after": "2016-09-05T00:00:00.000"}, 1),
    ({"start_after": "2016-09-05T00:00:00+00:00"}, 1),
    ({"start_after": "09/05/2016"}, 1),
    ({"start_after": z(START)}, 1),
    ({"start_before": z(START)}, 0),
    ({"end_before": "2016-09-05T23:35:40Z"}, 0),
    ({"end_after": "2016-09-05T23:35:40Z"}, 1),
    ({"user": "alice"}, 1),
    ({"user": "ali"}, 0),
    ({"user": "Alice"}, 0),
    ({"proposal": "temp"}, 1),
    ({"proposal": "unknown"}, 0),
    ({"site": "tst"}, 1),
    ({"site": "lco"}, 0),
    ({"site": ["tst", "lco"]}, 1),
    ({"enclosure": "domb", "telescope": "1m0a"}, 1),
    ({"state": "PENDING"}, 1),
    ({"state": ["FAILED", "PENDING"]}, 1),
    ({"state": "FAILED"}, 0),
    ({"observation_type": "NORMAL"}, 1),
    ({"observation_type": "DIRECT"}, 0),
    ({"request_state": "PENDING"}, 1),
    ({"request_state": "COMPLETED"}, 0),
    ({"instrument_type": "1M0-CAM-A"}, 1),
    ({"instrument_type": "2M0-SPEC-A"}, 0),
    ({"configuration_type": "EXPOSE"}, 1),
    ({"configuration_type": "BIAS"}, 0),
    ({"request_id": "1"}, 1),
    ({"request_group_id": "2"}, 0),
    ({"priority": "10"}, 1),
    ({"time_span": "today"}, 0),
    ({"time_span": "month"}, 1),
    ({"time_span": "year"}, 1),
    ({"modified_after": "2016-09-01"}, 1),
    ({"created_before": "2016-09-01"}, 0),
    ({"site": "", "start_after": ""}, 1),
    ({"id": "77", "modified_before": "2000-01-01", "nonsense": "1"}, 1),
]


async def test_B60_filters(staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    for parameters, count in FOUND:
        for path in (OBSERVATIONS, SCHEDULE):
            response = await staff.get(path, params=parameters)
            assert response.status_code == 200, (parameters, response.text)
            assert response.json()["count"] == count, parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_after", "foo"),
        ("site", "zzz"),
        ("instrument_type", "zzz"),
        ("state", "BOGUS"),
        ("ordering", "id"),
        ("request_id", "x"),
        ("time_span", "decade"),
    ],
)
async def test_B60_what_no_filter_can_be(staff: httpx.AsyncClient, name: str, value: str) -> None:
    response = await staff.get(OBSERVATIONS, params={name: value})
    assert response.status_code == 400
    assert list(response.json()) == [name]


async def test_orderings_and_pages(alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked) -> None:
    for hours in (2, 0, 1):
        start = START + timedelta(hours=hours)
        await place(staff, asked, start=z(start), end=z(start + timedelta(hours=1)))

    async def ids(**parameters: Any) -> list[int]:
        return [item["id"] for item in (await alice.get(SCHEDULE, params=parameters)).json()["results"]]

    assert await ids() == [3, 2, 1]
    assert await ids(ordering="start") == [2, 3, 1]
    assert await ids(ordering="-start") == [1, 3, 2]
    page = (await alice.get(SCHEDULE, params={"limit": 1, "offset": 1, "ordering": "start"})).json()
    assert (page["count"], [item["id"] for item in page["results"]]) == (3, [3])
    assert page["next"].endswith("limit=1&offset=2&ordering=start")
    page = (await alice.get(SCHEDULE, params={"offset": 10})).json()
    assert (page["count"], page["results"]) == (3, [])


async def test_who_sees_what(
    app: TestApp,
    alice: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    staff: httpx.AsyncClient,
    asked: Asked,
) -> None:
    await place(staff, asked)
    async with app.client(token=await create_user(app, "stranger")) as stranger:
        for client, count in ((alice, 1), (staff, 1), (stranger, 0), (anonymous, 0)):
            assert (await client.get(OBSERVATIONS)).json()["count"] == count
            response = await client.get(f"{OBSERVATIONS}1/")
            assert response.status_code == (200 if count else 404)
            assert (await client.get(f"{SCHEDULE}1/")).status_code == response.status_code
        assert response.json() == {"detail": "No Observation matches the given query."}
    assert (await anonymous.get(SCHEDULE, params={"limit": 101})).status_code == 400


async def test_available_filters(anonymous: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    answer = (await anonymous.get(f"{OBSERVATIONS}filters/")).json()
    assert answer["fields"][:3] == ["priority", "start_after", "start_before"]
    options = {item["name"]: item["options"] for item in answer["choice_fields"]}
    assert options["site"] == [["lco", "lco"], ["tst", "tst"]]
    assert options["time_span"][0] == ["", "---------"]
    assert options["ordering"][:3] == [
        ["", "---------"],
        ["start", "Start"],
        ["-start", "Start (descending)"],
    ]


async def test_a_page_takes_four_statements(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await place(staff, await submit(alice, requested()))
    for client in (alice, staff):
        with app.statements() as statements:
            answer = await client.get(SCHEDULE, params={"site": "tst", "state": "PENDING", "limit": 50})
        assert answer.json()["count"] == 3
        assert len(statements) <= 4, "\n".join(statements)
