"""Posting observations."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.observations import (
    END,
    OBSERVATIONS,
    SCHEDULE,
    START,
    observation,
    place,
    requested,
    submit,
    z,
)
from tests.support.proposals import create_membership, create_proposal
from tests.support.requests import configuration

Asked = dict[str, Any]


async def test_B1_staff_place_an_observation(staff: httpx.AsyncClient, asked: Asked) -> None:
    answer = await place(staff, asked)
    assert answer == {
        "id": 1,
        "site": "tst",
        "enclosure": "domb",
        "telescope": "1m0a",
        "start": "2016-09-05T22:35:39Z",
        "end": "2016-09-05T23:35:40Z",
        "priority": 10,
        "configuration_statuses": [
            {
                "id": 1,
                "summary": None,
                "instrument_name": "xx03",
                "guide_camera_name": "ef03",
                "state": "PENDING",
                "configuration": 1,
            }
        ],
        "request": 1,
        "state": "PENDING",
        "modified": "2016-09-01T00:00:00Z",
        "created": "2016-09-01T00:00:00Z",
    }
    assert (await staff.get(f"{OBSERVATIONS}1/")).json() == answer


async def test_B2_who_may_place(
    app: TestApp, alice: httpx.AsyncClient, anonymous: httpx.AsyncClient, asked: Asked
) -> None:
    sent = observation(asked)
    response = await anonymous.post(OBSERVATIONS, json=sent)
    assert response.status_code == 403
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    response = await alice.post(OBSERVATIONS, json=sent)
    assert response.status_code == 403
    assert response.json() == {"detail": "You do not have permission to perform this action."}
    await create_proposal(app, "direct", direct_submission=True)
    async with app.client(token=await create_user(app, "dora")) as dora:
        await create_membership(app, "dora", "direct")
        response = await dora.post(OBSERVATIONS, json=sent)
        assert response.status_code == 400
        assert list(response.json()) == ["non_field_errors"]
    await create_membership(app, "alice", "direct")
    await _make_direct(app, "temp")
    assert (await alice.post(OBSERVATIONS, json=sent)).status_code == 201


async def _make_direct(app: TestApp, proposal: str) -> None:
    from sqlalchemy import update

    from ocs.portal.proposals.models import Proposal

    async with app.runtime.database.write() as session:
        await session.execute(update(Proposal).where(Proposal.id == proposal).values(direct_submission=True))


async def test_B3_a_list_may_have_equal_observations(staff: httpx.AsyncClient, asked: Asked) -> None:
    sent = observation(asked)
    response = await staff.post(OBSERVATIONS, json=[sent, sent])
    assert response.status_code == 201
    assert response.json() == {"num_created": 2, "errors": {}}
    response = await staff.post(OBSERVATIONS, json=[])
    assert (response.status_code, response.json()) == (201, {"num_created": 0, "errors": {}})


async def test_B4_the_good_ones_of_a_list_are_stored(staff: httpx.AsyncClient, asked: Asked) -> None:
    sent = [
        observation(asked),
        observation(asked, site="zzz"),
        observation(asked, request=99999),
        observation(asked, start="2016-09-01T23:00:00Z"),
    ]
    response = await staff.post(OBSERVATIONS, json=sent)
    assert response.status_code == 201
    answer = response.json()
    assert answer["num_created"] == 1
    assert list(answer["errors"]) == ["1", "2", "3"]
    assert answer["errors"]["2"] == {"request": ['Invalid pk "99999" - object does not exist.']}
    for position in ("1", "3"):  # as a single post would tell
        single = await staff.post(OBSERVATIONS, json=sent[int(position)])
        assert single.status_code == 400
        assert single.json() == answer["errors"][position]


async def test_B5_an_element_without_site_is_reported(staff: httpx.AsyncClient, asked: Asked) -> None:
    broken = observation(asked)
    del broken["site"]
    response = await staff.post(OBSERVATIONS, json=[broken, observation(asked), "nonsense"])
    assert response.status_code == 201
    assert response.json() == {
        "num_created": 1,
        "errors": {
            "0": {"site": ["This field is required."]},
            "2": {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]},
        },
    }


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (END, START),
        (START, START),
        (START - timedelta(days=5), END),
        (START, END + timedelta(days=60)),
        (START + timedelta(days=60), END + timedelta(days=60)),
        (START - timedelta(days=5), END - timedelta(days=5)),
    ],
)
async def test_B6_the_time_must_make_sense_and_lie_in_a_window(
    staff: httpx.AsyncClient, asked: Asked, start: Any, end: Any
) -> None:
    response = await staff.post(OBSERVATIONS, json=observation(asked, start=z(start), end=z(end)))
    assert response.status_code == 400
    assert list(response.json()) == ["non_field_errors"]


@pytest.mark.parametrize(
    "place_",
    [
        {"site": "lco", "enclosure": "doma"},
        {"enclosure": "doma"},
        {"enclosure": "clma", "telescope": "2m0a"},
        {"telescope": "9m9z"},
        {"site": "TST"},
    ],
)
async def test_B7_the_telescope_must_be_the_request_s(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, place_: dict[str, str]
) -> None:
    location = {"telescope_class": "1m0", "site": "tst", "enclosure": "domb", "telescope": "1m0a"}
    located = await submit(alice, requested(location=location))
    response = await staff.post(OBSERVATIONS, json=observation(located, **place_))
    assert response.status_code == 400
    assert list(response.json()) == ["non_field_errors"]


async def test_B8_instruments_and_guide_cameras_must_be_there(staff: httpx.AsyncClient, asked: Asked) -> None:
    def sent(**status: Any) -> dict[str, Any]:
        return observation(asked, configuration_statuses=[{"configuration": 1} | status])

    response = await staff.post(OBSERVATIONS, json=sent(instrument_name="zz"))
    assert (response.status_code, list(response.json())) == (400, ["non_field_errors"])
    response = await staff.post(OBSERVATIONS, json=sent(instrument_name="xx03", guide_camera_name="zz"))
    assert response.status_code == 400
    assert list(response.json()["configuration_statuses"][0]) == ["non_field_errors"]
    response = await staff.post(OBSERVATIONS, json=sent(instrument_name="xx03", guide_camera_name=""))
    assert response.status_code == 400
    assert response.json() == {
        "configuration_statuses": [{"guide_camera_name": ["This field may not be blank."]}]
    }
    response = await staff.post(OBSERVATIONS, json=sent(instrument_name="xx03", guide_camera_name=None))
    assert response.status_code == 400
    assert response.json() == {
        "configuration_statuses": [{"guide_camera_name": ["This field may not be null."]}]
    }
    for fine in ({}, {"guide_camera_name": "XX03"}):  # 1M0-CAM-A may guide itself
        response = await staff.post(OBSERVATIONS, json=sent(instrument_name="XX03", **fine))
        assert response.status_code == 201, response.text


async def test_B9_statuses_must_be_those_of_the_request(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    other = await submit(alice, requested())
    for statuses in (
        [],
        [{"configuration": None, "instrument_name": "xx03"}],
        [{"configuration": other["requests"][0]["configurations"][0]["id"], "instrument_name": "xx03"}],
        [{"configuration": 1}],
    ):
        response = await staff.post(OBSERVATIONS, json=observation(asked, configuration_statuses=statuses))
        assert response.status_code == 400
        assert list(response.json()) == ["configuration_statuses"]
    assert (await staff.get(OBSERVATIONS)).json()["count"] == 0


async def test_B10_rounds_go_on_counting_priorities(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    twice = await submit(alice, requested(configuration_repeats=2))
    await place(staff, twice)
    shown = (await staff.get(SCHEDULE)).json()["results"][0]["request"]["configurations"]
    assert [(item["id"], item["priority"], item["configuration_status"]) for item in shown] == [
        (1, 1, 1),
        (1, 2, 2),
    ]
    assert [item["summary"] for item in shown] == [{}, {}]


async def test_B11_neither_overlap_nor_the_request_s_state_matter(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await alice.post(f"/api/requestgroups/{asked['id']}/cancel/")
    await place(staff, asked)


async def test_what_is_not_the_poster_s_to_say_is_ignored(staff: httpx.AsyncClient, asked: Asked) -> None:
    sent = observation(asked, state="COMPLETED", id=77)
    sent["configuration_statuses"][0] |= {"state": "FAILED", "summary": {"x": 1}, "end": "2016-09-07"}
    answer = (await staff.post(OBSERVATIONS, json=sent)).json()
    assert (answer["id"], answer["state"]) == (1, "PENDING")
    assert answer["configuration_statuses"][0]["state"] == "PENDING"
    assert answer["configuration_statuses"][0]["summary"] is None


async def test_bad_fields_are_all_told_at_once(staff: httpx.AsyncClient, asked: Asked) -> None:
    sent = observation(asked, site="elevenchars", start="nonsense", priority=-1, request="x")
    response = await staff.post(OBSERVATIONS, json=sent)
    assert response.status_code == 400
    assert set(response.json()) == {"site", "start", "priority", "request"}
    response = await staff.post(OBSERVATIONS, content=b"{", headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("JSON parse error")
    assert (await staff.post(OBSERVATIONS, json=observation(asked, request=2**70))).status_code == 400


async def test_numbers_may_be_text(staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked, request="1", priority="3")


async def test_B62_fifty_observations_take_ten_statements(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    two = await submit(alice, requested(configurations=[configuration(), configuration()]))
    sent = [observation(two, start=z(START + timedelta(minutes=i))) for i in range(50)]
    with app.statements() as statements:
        response = await staff.post(OBSERVATIONS, json=sent)
    assert response.json() == {"num_created": 50, "errors": {}}
    assert len(statements) <= 10, statements
    shown = (await staff.get(SCHEDULE, params={"ordering": "start", "limit": 100})).json()["results"]
    assert [item["start"] for item in shown] == [item["start"] for item in sent]
    for item in shown:
        first, second = item["request"]["configurations"]
        assert first["configuration_status"] + 1 == second["configuration_status"]
        assert [first["id"], second["id"]] == [1, 2]
