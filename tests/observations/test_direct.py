"""Direct submissions."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.observations.test_cancelling import cancel, state_of
from tests.observations.test_reporting import report, summary, used
from tests.support.app import NOW, TestApp
from tests.support.observations import DOMB, END, SCHEDULE, START, z
from tests.support.proposals import create_proposal
from tests.support.requests import configuration


@pytest_asyncio.fixture
async def dora(app: TestApp, alice: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of alice, whose proposal now allows direct submission."""
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.proposal SET direct_submission = true"))
    yield alice


def submission(*configurations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a direct submission."""
    request = {"configurations": list(configurations or [configuration()])} | changes.pop("request", {})
    return {
        **DOMB,
        "start": z(START),
        "end": z(END),
        "name": "direct",
        "proposal": "temp",
        "request": request,
    } | changes


async def refused(client: httpx.AsyncClient, sent: Any) -> Any:
    """Submit what must be refused; return why."""
    response = await client.post(SCHEDULE, json=sent)
    assert response.status_code == 400, response.text
    assert (await client.get(SCHEDULE)).json()["count"] == 0
    return response.json()


async def accepted(client: httpx.AsyncClient, sent: Any) -> Any:
    """Submit what must be accepted; return the answer."""
    response = await client.post(SCHEDULE, json=sent)
    assert response.status_code == 201, response.text
    assert (await client.get(SCHEDULE)).status_code == 200
    return response.json()


async def test_B40_a_direct_submission_is_placed_at_once(dora: httpx.AsyncClient) -> None:
    sent = submission(observation_type="NORMAL", state="COMPLETED", ipp_value=2.0, operator="MANY")
    answer = await accepted(dora, sent)
    assert answer["observation_type"] == "DIRECT"
    assert (answer["state"], answer["ipp_value"], answer["submitter"]) == ("PENDING", 1.0, "alice")
    shown = answer["request"]["configurations"][0]
    assert shown["configuration_status"] == 1
    assert (shown["instrument_name"], shown["guide_camera_name"]) == ("xx03", "")
    assert (shown["summary"], shown["state"]) == (None, "PENDING")
    assert shown["target"] == {
        "type": "ICRS",
        "name": "t",
        "ra": 34.4,
        "dec": 20.0,
        "scheme": "",
        "extra_params": {},
    }
    assert shown["instrument_configs"][0]["mode"] == ""
    assert (await dora.get(f"{SCHEDULE}1/")).json() == answer
    group = (await dora.get("/api/requestgroups/1/")).json()
    assert (group["observation_type"], group["operator"]) == ("DIRECT", "SINGLE")
    assert (group["requests"][0]["location"], group["requests"][0]["windows"]) == (None, [])
    listed = (await dora.get("/api/requestgroups/")).json()["results"][0]["requests"][0]
    assert listed["location"] == DOMB
    assert listed["windows"] == [{"start": z(START), "end": z(END)}]


async def test_B41_the_guide_camera_is_chosen(dora: httpx.AsyncClient) -> None:
    def guided(**changes: Any) -> dict[str, Any]:
        return submission(configuration(guiding_config={"mode": "ON"}, **changes))

    assert list(await refused(dora, guided(guide_camera_name="ef01"))) == ["non_field_errors"]
    chosen = [
        (await accepted(dora, sent))["request"]["configurations"][0]["guide_camera_name"]
        for sent in (
            guided(),
            guided(extra_params={"self_guide": True}),
            guided(guide_camera_name="ef03"),
            submission(configuration(guide_camera_name="zz")),
        )
    ]
    assert chosen == ["ef03", "xx03", "ef03", ""]


async def test_B42_of_several_instruments_one_must_be_named(dora: httpx.AsyncClient) -> None:
    place = {"enclosure": "clma", "telescope": "2m0a"}
    twin = configuration(instrument_type="2M0-CAM-T")
    reasons = (await refused(dora, submission(twin, **place)))["non_field_errors"]
    assert "fl02" in reasons[0]
    assert "fl03" in reasons[0]
    assert list(await refused(dora, submission({**twin, "instrument_name": "xx03"}, **place))) == [
        "non_field_errors"
    ]
    answer = await accepted(dora, submission({**twin, "instrument_name": "fl03"}, **place))
    assert answer["request"]["configurations"][0]["instrument_name"] == "fl03"


async def test_B43_only_the_sky_needs_a_complete_target(dora: httpx.AsyncClient) -> None:
    nowhere = {"type": "ICRS", "name": "none"}
    faults = await refused(dora, submission(configuration(), configuration(target=nowhere)))
    assert faults == {
        "request": {
            "configurations": [
                {},
                {"ra": ["This field is required"], "dec": ["This field is required"]},
            ]
        }
    }
    await accepted(dora, submission(configuration(type="BIAS", target=nowhere)))
    hour_angle = {"type": "HOUR_ANGLE", "name": "zenith", "hour_angle": 0, "dec": 20}
    answer = await accepted(dora, submission(configuration(target=hour_angle)))
    assert answer["request"]["configurations"][0]["target"]["hour_angle"] == 0


async def test_B44_proposals_must_allow_it(
    app: TestApp, dora: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    await create_proposal(app, "indirect")
    assert list(await refused(dora, submission(proposal="indirect"))) == ["proposal"]
    assert await refused(dora, submission(proposal="nope")) == {
        "proposal": ['Invalid pk "nope" - object does not exist.']
    }
    assert list(await refused(staff, submission())) == ["non_field_errors"]
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.proposal SET active = false WHERE id = 'temp'"))
    assert list(await refused(dora, submission())) == ["non_field_errors"]


async def test_B45_a_list_is_stored_whole_or_not_at_all(app: TestApp, dora: httpx.AsyncClient) -> None:
    faults = await refused(dora, [submission(), submission(site="zzz")])
    assert faults == [{}, {"site": ['"zzz" is not a valid choice.']}]
    faults = await refused(dora, [submission(), submission(end=z(START))])
    assert [list(item) for item in faults] == [[], ["non_field_errors"]]
    answer = await accepted(dora, [submission(), submission(name="second")])
    assert [item["name"] for item in answer] == ["direct", "second"]


async def test_B46_rounds_get_a_status_each_and_time_limits_do_not_hold(
    app: TestApp, dora: httpx.AsyncClient
) -> None:
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.membership SET time_limit_s = 100000"))
    await accepted(dora, submission(request={"configuration_repeats": 2}))
    shown = (await dora.get(SCHEDULE)).json()["results"][0]["request"]["configurations"]
    assert [(item["configuration_status"], item["priority"]) for item in shown] == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": z(NOW - timedelta(hours=1))}, "end"),
        ({"start": z(END), "end": z(START)}, "non_field_errors"),
        ({"site": "lco", "enclosure": "clma"}, "non_field_errors"),
        ({"enclosure": "clma", "telescope": "2m0a"}, "non_field_errors"),
        ({"name": ""}, "name"),
        ({"request": {"configurations": []}}, "request"),
        ({"request": None}, "request"),
    ],
)
async def test_faults_name_the_field(dora: httpx.AsyncClient, changes: dict[str, Any], field: str) -> None:
    assert list(await refused(dora, submission() | changes)) == [field]


@pytest.mark.parametrize(
    "changes",
    [
        {"instrument_type": "FAKE"},
        {"type": "SPECTRUM"},
        {"type": "NONSENSE"},
        {"instrument_configs": []},
        {"extra_params": []},
    ],
)
async def test_faults_of_configurations_keep_their_place(
    dora: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    faults = await refused(dora, submission(configuration(), configuration(**changes)))
    assert faults["request"]["configurations"][0] == {}
    assert faults["request"]["configurations"][1]


async def test_fill_window_is_ignored(dora: httpx.AsyncClient) -> None:
    await accepted(dora, submission(configuration(fill_window=True)))


async def test_who_may_submit(anonymous: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    assert (await anonymous.post(SCHEDULE, json=submission())).status_code == 403
    assert (await alice.post(SCHEDULE, json=submission())).status_code == 403


async def test_B39_cancelling_the_observation_cancels_the_request(
    app: TestApp, dora: httpx.AsyncClient
) -> None:
    await accepted(dora, submission())
    assert await cancel(dora, ids=[1], include_direct=True) == 1
    assert await state_of(dora, 1) == "GONE"
    group = (await dora.get("/api/requestgroups/1/")).json()
    assert (group["state"], group["requests"][0]["state"]) == ("CANCELED", "CANCELED")


async def test_cancelling_the_request_takes_the_observation_back(dora: httpx.AsyncClient) -> None:
    await accepted(dora, submission())
    assert (await dora.post("/api/requestgroups/1/cancel/")).status_code == 200
    assert await state_of(dora, 1) == "GONE"


async def test_B55_direct_observations_cost_nothing(
    app: TestApp, dora: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    await accepted(dora, submission())
    await report(staff, 1, state="COMPLETED", summary=summary())
    assert await used(app) == 0
    assert await state_of(dora, 1) == "COMPLETED"
    assert (await dora.get("/api/requestgroups/1/")).json()["state"] == "COMPLETED"
