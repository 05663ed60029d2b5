"""Lists, forms and filters (checklist R3, R4, R53 to R55)."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.proposals import create_allocation, create_membership, create_proposal
from tests.support.requests import GROUPS, group, group_with, many, request, submit


async def ids(client: httpx.AsyncClient, **filters: Any) -> list[int]:
    response = await client.get(GROUPS, params=filters)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["results"]]


async def test_R3_a_wrong_token_is_told(alice: httpx.AsyncClient, app: TestApp) -> None:
    async with app.client(token="wrong") as wrong:
        response = await wrong.get(GROUPS)
    assert (response.status_code, response.json()) == (403, {"detail": "Invalid token."})


async def test_R4_an_address_without_slash_is_redirected_with_its_query(
    anonymous: httpx.AsyncClient,
) -> None:
    response = await anonymous.get("/api/requestgroups?request_id=1")
    assert response.status_code == 301
    assert response.headers["location"] == "/api/requestgroups/?request_id=1"


async def test_R53_lists_and_single_objects_have_their_own_forms(alice: httpx.AsyncClient) -> None:
    await submit(alice)
    listed = (await alice.get(GROUPS)).json()["results"][0]["requests"][0]
    shown = (await alice.get(f"{GROUPS}1/")).json()["requests"][0]
    assert (await alice.get("/api/requests/")).json()["results"] == [listed]
    assert (await alice.get("/api/requests/1/")).json() == shown
    in_list, alone = listed.pop("configurations")[0], shown.pop("configurations")[0]
    assert shown.pop("created") == "2016-09-01T00:00:00Z"
    assert listed == shown
    assert set(in_list["constraints"]) == {
        "max_airmass",
        "min_lunar_distance",
        "max_lunar_phase",
        "extra_params",
    }
    assert len(alone["constraints"]) == 6
    assert in_list["instrument_configs"][0]["rois"] == []
    assert "rois" not in alone["instrument_configs"][0]
    assert in_list["target"]["hour_angle"] is None
    assert "hour_angle" not in alone["target"]
    assert in_list["repeat_duration"] is None
    assert "repeat_duration" not in alone
    assert "exposure_time" not in in_list["acquisition_config"]
    assert alone["acquisition_config"]["exposure_time"] is None
    assert in_list["guiding_config"] == alone["guiding_config"]


async def test_R54_strangers_read_small_pages(anonymous: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    response = await anonymous.get(GROUPS, params={"limit": 101})
    assert response.status_code == 400
    for _ in range(11):
        await submit(alice)
    assert len(await ids(alice, limit=0)) == 10
    assert len(await ids(alice, limit=11)) == 11


async def test_R55_filters_are_checked_and_combined(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)
    await submit(alice, many(2) | {"name": "Second Group", "ipp_value": 1.5})
    await submit(alice, group_with(lambda c: c["target"].update(name="M 31 core")) | {"name": "third"})
    await alice.post(f"{GROUPS}1/cancel/")
    assert (await alice.get(GROUPS, params={"state": "BOGUS"})).json() == {
        "state": ["Select a valid choice. BOGUS is not one of the available choices."]
    }
    assert await ids(alice, state=["PENDING", "CANCELED"]) == [3, 2, 1]
    assert await ids(alice, exclude_state=["CANCELED"]) == [3, 2]
    assert await ids(alice, ordering="bogus") == [3, 2, 1]
    assert await ids(alice, ordering="id") == [1, 2, 3]
    assert (await alice.get(GROUPS, params={"order": "bogus"})).status_code == 400
    assert await ids(alice, order="name") == [2, 1, 3]
    assert await ids(alice, order="-name") == [3, 1, 2]
    assert await ids(alice, order="end") == [3, 2, 1]
    assert await ids(alice, name="cond gr") == [2]
    assert await ids(alice, name="_") == []
    assert await ids(alice, target="m 31") == [3]
    assert await ids(alice, target="31") == [3]
    assert await ids(alice, user="LIC") == [3, 2, 1]
    assert await ids(alice, user="bob") == []
    assert await ids(alice, request_id=3) == [2]
    assert await ids(alice, ipp_value="1.5") == [2]
    assert await ids(alice, operator="MANY", observation_type="NORMAL") == [2]
    assert await ids(alice, telescope_class=["1m0", "2m0"]) == [3, 2, 1]
    assert await ids(alice, telescope_class="2m0") == []
    assert (await alice.get(GROUPS, params={"telescope_class": "9m9"})).status_code == 400
    assert await ids(alice, created_after="2016-09-01", modified_before="2016-09-01T00:00") == [3, 2, 1]
    assert await ids(alice, created_after="2016-09-02") == []
    assert await ids(alice, proposal="temp", id=2, unknown="x", name="") == [2]
    assert (await alice.get(GROUPS, params={"proposal": "nope"})).json() == {
        "proposal": ["Select a valid choice. That choice is not one of the available choices."]
    }
    assert (await alice.get(GROUPS, params={"submitter": "99"})).status_code == 400
    assert (await alice.get(GROUPS, params={"id": "x"})).json() == {"id": ["Enter a number."]}
    assert (await alice.get(GROUPS, params={"id": str(2**70)})).status_code == 400


async def test_requests_are_filtered_by_state_and_class(alice: httpx.AsyncClient) -> None:
    await submit(alice, many(2))
    found = await alice.get("/api/requests/", params={"ordering": "id", "state": ["CANCELED", "PENDING"]})
    assert [item["id"] for item in found.json()["results"]] == [1, 2]
    assert (await alice.get("/api/requests/", params={"telescope_class": "2m0"})).json()["count"] == 0
    assert (await alice.get("/api/requests/1/", params={"telescope_class": "2m0"})).status_code == 404
    assert (await alice.post("/api/requests/", json={})).status_code == 405


@pytest.mark.parametrize("path", ["requestgroups/99/", "requests/99/", "requests/99999999999999999999/"])
async def test_what_is_not_there_is_not_found(alice: httpx.AsyncClient, path: str) -> None:
    assert (await alice.get(f"/api/{path}")).status_code == 404


async def test_an_id_that_is_no_number_is_not_found(alice: httpx.AsyncClient) -> None:
    response = await alice.get(f"{GROUPS}abc/")
    assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


async def test_who_sees_what(alice: httpx.AsyncClient, app: TestApp, anonymous: httpx.AsyncClient) -> None:
    await create_proposal(app, "open", public=True)
    await create_membership(app, proposal="open")
    await create_allocation(app, "open")
    await submit(alice)
    await submit(alice, group(proposal="open"))
    tokens = {
        "stranger": await create_user(app, "stranger"),
        "member": await create_user(app, "member"),
        "pupil": await create_user(app, "pupil", view_authored_requests_only=True),
        "staff": await create_user(app, "staff", is_staff=True),
        "boss": await create_user(app, "boss", is_staff=True, staff_view=True),
    }
    for name in ("member", "pupil"):
        await create_membership(app, name, role="CI")
    seen = {"anonymous": await ids(anonymous)}
    for name, token in tokens.items():
        async with app.client(token=token) as client:
            seen[name] = await ids(client)
            if name == "pupil":
                await submit(client)
                seen["pupil later"] = await ids(client)
    assert seen == {
        "anonymous": [2],
        "stranger": [2],
        "member": [2, 1],
        "pupil": [],
        "pupil later": [3],
        "staff": [2],
        "boss": [3, 2, 1],
    }


async def test_a_list_is_not_sent_twice(alice: httpx.AsyncClient) -> None:
    await submit(alice)
    first = await alice.get(GROUPS)
    again = await alice.get(GROUPS, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_only_the_listed_methods_exist(alice: httpx.AsyncClient) -> None:
    await submit(alice)
    for method in ("PUT", "PATCH", "DELETE"):
        response = await alice.request(method, f"{GROUPS}1/", json={})
        assert (response.status_code, response.json()) == (
            405,
            {"detail": f'Method "{method}" not allowed.'},
        )


async def test_pages_hold_while_groups_are_added(alice: httpx.AsyncClient) -> None:
    await asyncio.gather(*(submit(alice, group(requests=[request()])) for _ in range(3)))
    page = (await alice.get(GROUPS, params={"limit": 2})).json()
    assert page["count"] == 3
    assert page["previous"] is None
    assert "offset=2" in page["next"]
    rest = (await alice.get(page["next"])).json()
    assert {item["id"] for item in page["results"] + rest["results"]} == {1, 2, 3}
