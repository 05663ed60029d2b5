"""Taking observations back, and moving their ends over others."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.observations.test_reporting import report, states
from tests.support.accounts import create_user
from tests.support.app import NOW, TestApp
from tests.support.observations import (
    END,
    OBSERVATIONS,
    START,
    observation,
    place,
    requested,
    submit,
    z,
)
from tests.support.proposals import create_membership, create_proposal

Asked = dict[str, Any]
CANCEL = f"{OBSERVATIONS}cancel/"
SOON = NOW + timedelta(days=1, hours=1)


async def cancel(client: httpx.AsyncClient, **body: Any) -> int:
    """Cancel what must be accepted; return how many."""
    response = await client.post(CANCEL, json=body)
    assert response.status_code == 200, response.text
    return int(response.json()["canceled"])


async def state_of(client: httpx.AsyncClient, id_: int) -> str:
    """Return the state of an observation, GONE if it was deleted."""
    response = await client.get(f"{OBSERVATIONS}{id_}/")
    return str(response.json()["state"]) if response.status_code == 200 else "GONE"


async def become(app: TestApp, id_: int, observation_type: str) -> None:
    """Make an observation one of another type, as people place them."""
    async with app.runtime.database.write() as session:
        await session.execute(
            text("UPDATE observations.observation SET observation_type = :type WHERE id = :id"),
            {"type": observation_type, "id": id_},
        )


async def test_B22_B25_a_later_end_takes_the_place_of_what_follows(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    new_end = END + timedelta(minutes=12)
    await place(staff, asked)
    starts = [END, END + timedelta(minutes=6), new_end, new_end + timedelta(seconds=1)]
    for start in starts:
        await place(staff, asked, start=z(start), end=z(start + timedelta(hours=1)))
    await place(staff, asked, start=z(END + timedelta(minutes=1)), end=z(END + timedelta(hours=1)))
    await become(app, 6, "RAPID_RESPONSE")
    app.clock.set(NOW + timedelta(hours=1))  # type: ignore[attr-defined]
    response = await staff.patch(f"{OBSERVATIONS}1/", json={"end": z(new_end)})
    assert response.status_code == 200
    assert response.json()["end"] == z(new_end)
    assert [await state_of(staff, id_) for id_ in range(1, 7)] == [
        "PENDING",
        "GONE",
        "GONE",
        "GONE",
        "PENDING",
        "PENDING",
    ]
    answer = (await staff.get("/api/last_changed/", params={"telescope_class": "1m0"})).json()
    assert datetime.fromisoformat(answer["last_change_time"]) == NOW + timedelta(hours=1)


async def test_B25_what_is_near_leaves_a_trace(staff: httpx.AsyncClient, asked: Asked) -> None:
    end = SOON + timedelta(hours=1)
    await place(staff, asked, start=z(SOON), end=z(end))
    await place(staff, asked, start=z(end), end=z(end + timedelta(hours=1)))
    await report(staff, 1, end=z(end + timedelta(minutes=12)))
    assert await state_of(staff, 2) == "CANCELED"


async def test_B26_a_rapid_response_also_takes_the_place_of_others(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await place(staff, asked, start=z(END), end=z(END + timedelta(hours=1)))
    for id_ in (1, 2):
        await become(app, id_, "RAPID_RESPONSE")
    await staff.patch(f"{OBSERVATIONS}1/", json={"end": z(END + timedelta(minutes=12))})
    assert await state_of(staff, 2) == "GONE"


@pytest.mark.parametrize("kind", ["DIRECT", "REAL_TIME"])
async def test_B27_what_people_placed_stays(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked, kind: str
) -> None:
    await place(staff, asked)
    await place(staff, asked, start=z(END), end=z(END + timedelta(hours=1)))
    await become(app, 2, kind)
    await staff.patch(f"{OBSERVATIONS}1/", json={"end": z(END + timedelta(minutes=12))})
    assert await state_of(staff, 2) == "PENDING"


async def test_B28_ends_that_make_no_sense(staff: httpx.AsyncClient, asked: Asked) -> None:
    before = await place(staff, asked)
    response = await staff.patch(f"{OBSERVATIONS}1/", json={"end": z(START - timedelta(hours=1))})
    assert (response.status_code, response.json()) == (200, before)
    for body in ({"end": z(NOW - timedelta(hours=1))}, {}, {"priority": 3}):
        response = await staff.patch(f"{OBSERVATIONS}1/", json=body)
        assert response.status_code == 400
        assert list(response.json()) == ["non_field_errors"]
    assert (await staff.put(f"{OBSERVATIONS}1/", json={})).status_code == 405
    assert (await staff.delete(f"{OBSERVATIONS}1/")).status_code == 405


async def test_B29_only_bad_data_only_by_staff_only_when_over(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    response = await staff.patch(f"{OBSERVATIONS}1/", json={"state": "FAILED"})
    assert (response.status_code, list(response.json())) == (400, ["non_field_errors"])
    response = await staff.patch(f"{OBSERVATIONS}1/", json={"state": "BAD_DATA"})
    assert response.status_code == 400
    assert isinstance(response.json(), list)
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.proposal SET direct_submission = true"))
    async with app.client(token=await create_user(app, "dora")) as dora:
        await create_membership(app, "dora", "temp")
        response = await dora.patch(f"{OBSERVATIONS}1/", json={"state": "BAD_DATA"})
        assert (response.status_code, list(response.json())) == (400, ["non_field_errors"])
        assert (await dora.patch(f"{OBSERVATIONS}9/", json={"end": z(END)})).status_code == 404


async def test_B33_the_nearer_the_more_trace_is_left(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await place(staff, asked, start=z(SOON), end=z(SOON + timedelta(hours=1)))
    assert await cancel(staff, ids=[1, 2]) == 2
    assert [await state_of(staff, id_) for id_ in (1, 2)] == ["GONE", "CANCELED"]
    statuses = (await staff.get("/api/configurationstatus/")).json()["results"]
    assert [(item["id"], item["state"]) for item in statuses] == [(2, "PENDING")]
    await place(staff, asked)
    await place(staff, asked)
    app.clock.set(START + timedelta(minutes=1))  # type: ignore[attr-defined]
    assert await cancel(staff, ids=[3]) == 1
    assert await state_of(staff, 3) == "ABORTED"
    app.clock.set(END)  # type: ignore[attr-defined]
    assert await cancel(staff, ids=[4]) == 0
    assert await state_of(staff, 4) == "PENDING"


async def test_B34_what_is_in_progress_is_only_aborted_on_demand(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await place(staff, asked)
    await report(staff, 1, state="ATTEMPTED")
    app.clock.set(START + timedelta(minutes=1))  # type: ignore[attr-defined]
    response = await staff.post(CANCEL, json={"ids": [1, 2]})
    assert response.status_code == 400
    assert isinstance(response.json()["error"], str)
    assert await state_of(staff, 2) == "PENDING"
    assert await cancel(staff, ids=[1, 2], preemption_enabled=True) == 2
    assert await state_of(staff, 1) == "ABORTED"
    answer = (await staff.get("/api/last_changed/")).json()
    assert datetime.fromisoformat(answer["last_change_time"]) == START + timedelta(minutes=1)


async def test_B35_by_place_and_time(alice: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    asked = await submit(alice, requested())
    south = {"site": "lco", "enclosure": "doma", "telescope": "1m0a"}
    await place(staff, asked)
    await place(
        staff,
        asked,
        **south,
        configuration_statuses=[{"configuration": 1, "instrument_name": "xx06", "guide_camera_name": "ef06"}],
    )
    assert await cancel(staff, start=z(END), end=z(END + timedelta(hours=1)), **south) == 0  # only touches
    assert await cancel(staff, start=z(START), end=z(START + timedelta(minutes=1)), **south) == 1
    assert await state_of(staff, 1) == "PENDING"
    assert await cancel(staff, ids=[1], end=z(NOW)) == 1


async def test_B36_types_are_chosen(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    for id_, kind in enumerate(("NORMAL", "TIME_CRITICAL", "RAPID_RESPONSE", "DIRECT"), 1):
        await place(staff, asked)
        await become(app, id_, kind)
    period = {"start": z(START), "end": z(END)}
    assert await cancel(staff, **period, include_normal=False) == 0
    assert await cancel(staff, **period) == 2
    assert await cancel(staff, **period) == 0
    assert await cancel(staff, **period, include_rr=True) == 1
    assert await cancel(staff, **period, include_direct=True) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "non_field_errors"), ({"start": z(START)}, "non_field_errors"), ({"ids": []}, "ids")],
)
async def test_B37_something_must_be_named(
    staff: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    response = await staff.post(CANCEL, json=body)
    assert (response.status_code, list(response.json())) == (400, [field])


async def test_B38_who_may_cancel(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    assert (await alice.post(CANCEL, json={"ids": [1]})).status_code == 403
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.proposal SET public = true"))
    async with app.client(token=await create_user(app, "clerk", is_staff=True)) as clerk:
        assert await cancel(clerk, ids=[1]) == 0  # to see what is public is not to have it
        assert (await clerk.patch(f"{OBSERVATIONS}1/", json={"end": z(END)})).status_code == 404
    await create_proposal(app, "direct", direct_submission=True)
    async with app.client(token=await create_user(app, "dora")) as dora:
        await create_membership(app, "dora", "direct")
        assert await cancel(dora, ids=[1]) == 0
        await create_membership(app, "dora", "temp")
        assert await cancel(dora, ids=[1]) == 0
        async with app.runtime.database.write() as session:
            await session.execute(text("UPDATE proposals.proposal SET direct_submission = true"))
        assert await cancel(dora, ids=[1]) == 1


async def test_observations_follow_a_cancelled_request(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    running = NOW + timedelta(hours=50)
    for start in (START, SOON + timedelta(days=2), running, running):
        await place(staff, asked, start=z(start), end=z(start + timedelta(hours=1)))
    await report(staff, 4, state="ATTEMPTED")
    app.clock.set(running + timedelta(minutes=1))  # type: ignore[attr-defined]
    assert (await alice.post(f"/api/requestgroups/{asked['id']}/cancel/")).status_code == 200
    assert [await state_of(staff, id_) for id_ in range(1, 5)] == [
        "CANCELED",
        "CANCELED",
        "ABORTED",
        "IN_PROGRESS",
    ]
    assert (await states(staff, asked, 4))[1:] == ("CANCELED", "CANCELED")


async def test_the_list_at_a_request(
    alice: httpx.AsyncClient, anonymous: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked, start=z(SOON), end=z(SOON + timedelta(hours=1)))
    await place(staff, asked)
    await cancel(staff, ids=[1])
    path = "/api/requests/1/observations/"
    shown = (await alice.get(path)).json()
    assert [item["id"] for item in shown] == [1, 2]
    assert shown[1] == {
        "id": 2,
        "request": 1,
        "site": "tst",
        "enclosure": "domb",
        "telescope": "1m0a",
        "start": z(START),
        "end": z(END),
        "priority": 10,
        "state": "PENDING",
        "configuration_statuses": [
            {
                "id": 2,
                "configuration": 1,
                "instrument_name": "xx03",
                "guide_camera_name": "ef03",
                "state": "PENDING",
                "summary": {},
            }
        ],
    }
    for value, ids in (("true", [2]), ("1", [2]), ("false", [1, 2]), ("", [1, 2])):
        answer = await alice.get(path, params={"exclude_canceled": value})
        assert [item["id"] for item in answer.json()] == ids
    response = await anonymous.get(path)
    assert response.status_code == 404
    assert response.json() == {"detail": "No Request matches the given query."}


async def test_cancelling_takes_few_statements(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    await staff.post(OBSERVATIONS, json=[observation(asked) for _ in range(30)])
    with app.statements() as statements:
        assert await cancel(staff, start=z(START), end=z(END)) == 30
    assert len(statements) <= 6, "\n".join(statements)
