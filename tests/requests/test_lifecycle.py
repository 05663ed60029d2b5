"""What becomes of a group: priorities, cancelling, expiry, suspension (checklist R41 to R63)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from ocs.kernel.security import Principal
from ocs.portal.requests import api, lifecycle
from ocs.portal.requests.states import Operator, State, group_state, may_become
from tests.support.accounts import create_user, user_id
from tests.support.app import NOW, TestApp
from tests.support.proposals import create_allocation, create_membership, create_proposal
from tests.support.requests import GROUPS, configuration, group, many, multiply, request, submit

LATER = "2016-09-02T00:00:00Z"


async def ipp_left(client: httpx.AsyncClient) -> float:
    answer = await client.post(f"{GROUPS}max_allowable_ipp/", json=group())
    return float(answer.json()["2016B"]["1M0-CAM-A"]["ipp_time_available"])


async def move(app: TestApp, **states: State) -> None:
    """Move requests, given as r1=State.X, as observations would."""
    wanted = {int(name[1:]): state for name, state in states.items()}
    async with app.runtime.database.write() as session:
        await lifecycle.move(session, wanted, now=app.clock.now(), cause="test")


async def states(client: httpx.AsyncClient, group_id: int) -> tuple[str, list[str]]:
    shown = (await client.get(f"{GROUPS}{group_id}/")).json()
    return shown["state"], [item["state"] for item in shown["requests"]]


# --- pure rules


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_the_transition_table(before: State, after: State) -> None:
    allowed = {
        State.COMPLETED: set(State) - {State.COMPLETED},
        State.WINDOW_EXPIRED: {State.PENDING},
        State.CANCELED: {State.PENDING},
        State.FAILURE_LIMIT_REACHED: {State.PENDING},
        State.PENDING: set(),
    }
    assert may_become(before, after) is (before in allowed[after])
    reopens = before is State.COMPLETED and after is State.PENDING
    assert may_become(before, after, bad_data=True) is (reopens or before in allowed[after])


def test_the_state_of_a_group_is_the_first_that_is_present() -> None:
    pending, completed, expired = State.PENDING, State.COMPLETED, State.WINDOW_EXPIRED
    assert group_state(Operator.SINGLE, [expired]) is expired
    assert group_state(Operator.AND, [pending, expired]) is expired
    assert group_state(Operator.MANY, [expired, pending]) is pending
    assert group_state(Operator.MANY, [expired, completed]) is completed
    assert group_state(Operator.MANY, [expired, State.CANCELED, State.FAILURE_LIMIT_REACHED]) is expired
    assert group_state(Operator.MANY, [State.CANCELED, State.FAILURE_LIMIT_REACHED]) is (
        State.FAILURE_LIMIT_REACHED
    )


# --- priorities


async def test_R41_a_high_priority_costs_and_cancelling_gives_back_exactly(alice: httpx.AsyncClient) -> None:
    created = await submit(alice, group(ipp_value=1.5))
    assert await ipp_left(alice) == pytest.approx(5 - 0.5 * 226 / 3600, abs=1e-12)
    await alice.post(f"{GROUPS}{created['id']}/cancel/")
    assert await ipp_left(alice) == 5.0


async def test_R42_only_normal_groups_pay_for_priority(alice: httpx.AsyncClient) -> None:
    await submit(alice, group(ipp_value=1.5, observation_type="TIME_CRITICAL"))
    assert await ipp_left(alice) == 5.0


async def test_R43_a_low_priority_earns_when_it_is_done_up_to_the_limit(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    await submit(alice, group(ipp_value=0.5))
    await move(app, r1=State.COMPLETED)
    assert await ipp_left(alice) == pytest.approx(5.0313889, abs=1e-6)
    await create_proposal(app, "full")
    await create_membership(app, proposal="full")
    await create_allocation(app, "full", ipp_available_h=9.999)
    await submit(alice, group(ipp_value=0.5, proposal="full"))
    await move(app, r2=State.COMPLETED)
    answer = await alice.post(f"{GROUPS}max_allowable_ipp/", json=group(proposal="full"))
    assert answer.json()["2016B"]["1M0-CAM-A"]["ipp_time_available"] == 10.0


async def test_R44_what_is_done_after_its_end_is_paid_again(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice, group(ipp_value=1.5))
    paid = await ipp_left(alice)
    await move(app, r1=State.WINDOW_EXPIRED)
    assert await ipp_left(alice) == 5.0
    await move(app, r1=State.COMPLETED)
    assert await ipp_left(alice) == paid


async def test_the_priority_of_all_requests_together_must_be_affordable(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    await create_proposal(app, "poor")
    await create_membership(app, proposal="poor")
    await create_allocation(app, "poor", ipp_available_h=0.05)
    response = await alice.post(GROUPS, json=many(6) | {"ipp_value": 1.5, "proposal": "poor"})
    assert response.status_code == 400
    assert "IPP" in response.json()["non_field_errors"][0]


# --- cancelling


async def test_R56_cancelling_ends_what_is_open(alice: httpx.AsyncClient, app: TestApp) -> None:
    created = await submit(alice, many(3))
    await move(app, r1=State.COMPLETED)
    response = await alice.post(f"{GROUPS}{created['id']}/cancel/")
    assert response.status_code == 200
    assert response.json()["state"] == "CANCELED"
    assert [item["state"] for item in response.json()["requests"]] == ["COMPLETED", "CANCELED", "CANCELED"]
    again = await alice.post(f"{GROUPS}{created['id']}/cancel/")
    assert (again.status_code, again.json()["state"]) == (200, "CANCELED")


async def test_R56_a_group_that_is_over_is_not_cancelled(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)
    await move(app, r1=State.COMPLETED)
    response = await alice.post(f"{GROUPS}1/cancel/")
    assert response.status_code == 400
    assert len(response.json()["errors"]) == 1
    assert await states(alice, 1) == ("COMPLETED", ["COMPLETED"])


async def test_only_who_sees_a_group_cancels_it(
    alice: httpx.AsyncClient, app: TestApp, anonymous: httpx.AsyncClient
) -> None:
    await submit(alice)
    async with app.client(token=await create_user(app, "bob")) as bob:
        response = await bob.post(f"{GROUPS}1/cancel/")
    assert (response.status_code, response.json()) == (
        404,
        {"detail": "No RequestGroup matches the given query."},
    )
    assert (await anonymous.post(f"{GROUPS}1/cancel/")).status_code == 403
    assert (await states(alice, 1))[0] == "PENDING"


async def test_who_listens_hears_of_cancelled_requests_in_the_same_transaction(
    alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    async def listen(_session: Any, ids: Any, _now: datetime) -> None:
        heard.extend(ids)

    monkeypatch.setattr(lifecycle, "_cancel_listeners", [listen])
    await submit(alice, many(2))
    await alice.post(f"{GROUPS}1/cancel/")
    assert heard == [1, 2]


# --- suspension


async def test_R58_staff_suspend_pending_requests(alice: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    await submit(alice)
    url = "/api/requests/1/"
    response = await staff.patch(url, json={"suspend_until": LATER})
    assert (response.status_code, response.json()) == (200, {"suspend_until": LATER})
    past = await staff.patch(url, json={"suspend_until": "2016-08-01T00:00:00Z"})
    assert (past.status_code, list(past.json())) == (400, ["suspend_until"])
    assert list((await staff.patch(url, json={})).json()) == ["non_field_errors"]
    assert (await staff.patch(url, json={"suspend_until": None})).json() == {"suspend_until": None}
    assert (await alice.patch(url, json={"suspend_until": LATER})).status_code == 403
    hidden = await staff.patch(f"{url}?telescope_class=2m0", json={"suspend_until": LATER})
    assert hidden.status_code == 404
    await alice.post(f"{GROUPS}1/cancel/")
    over = await staff.patch(url, json={"suspend_until": LATER})
    assert over.status_code == 400
    assert isinstance(over.json(), list)


async def schedulable(client: httpx.AsyncClient) -> Any:
    response = await client.get(f"{GROUPS}schedulable_requests/")
    assert response.status_code == 200, response.text
    return response.json()


async def test_R59_suspended_requests_are_not_scheduled(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, app: TestApp
) -> None:
    await submit(alice, many(2))
    await staff.patch("/api/requests/1/", json={"suspend_until": LATER})
    assert [[item["id"] for item in found["requests"]] for found in await schedulable(staff)] == [[2]]
    await staff.patch("/api/requests/2/", json={"suspend_until": LATER})
    assert await schedulable(staff) == []
    app.clock.set(NOW + timedelta(days=2))  # type: ignore[attr-defined]
    assert [len(found["requests"]) for found in await schedulable(staff)] == [2]


async def test_R60_what_may_be_scheduled(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, app: TestApp
) -> None:
    for name in ("closing", "unallocated"):
        await create_proposal(app, name)
        await create_membership(app, proposal=name)
        await create_allocation(app, name)
    await submit(alice, many(2))
    await submit(alice, group(name="over"))
    await submit(alice, group(name="closing", proposal="closing"))
    await submit(alice, group(name="unallocated", proposal="unallocated"))
    await move(app, r1=State.COMPLETED, r3=State.COMPLETED)
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.proposal SET active = false WHERE id = 'closing'"))
        await session.execute(text("DELETE FROM proposals.time_allocation WHERE proposal_id = 'unallocated'"))
    (found,) = await schedulable(staff)
    assert [item["state"] for item in found["requests"]] == ["COMPLETED", "PENDING"]
    assert found["is_staff"] is False
    assert (await alice.get(f"{GROUPS}schedulable_requests/")).status_code == 403
    bad = await staff.get(f"{GROUPS}schedulable_requests/", params={"start": "someday"})
    assert (bad.status_code, list(bad.json())) == (400, ["start"])
    late = await staff.get(f"{GROUPS}schedulable_requests/", params={"start": "2016-10-01"})
    assert late.json() == []
    other = await staff.get(f"{GROUPS}schedulable_requests/", params={"telescope_class": "2m0"})
    assert other.json() == []


async def test_schedulable_requests_of_many_groups_take_at_most_6_statements(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, app: TestApp
) -> None:
    await submit(alice)
    await multiply(app, 499)
    with app.statements() as statements:
        found = await schedulable(staff)
    assert [item["requests"][0]["configurations"][0]["id"] for item in found] == list(range(1, 501))
    assert len(statements) <= 6, statements


async def test_our_scheduler_gets_the_open_requests_as_records(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    await submit(alice, many(2))
    await move(app, r1=State.COMPLETED)
    async with app.runtime.database.read() as session:
        (record,) = await api.schedulable(
            session, NOW, NOW + timedelta(days=100), now=app.clock.now(), overuse=1.1
        )
        assert await api.remaining_seconds(session, record, priority=1, repeat=1) == 0.0
        assert await api.configuration_seconds(session, record) == {2: (131.5, 90.0)}
    assert (record.id, record.duration_s, record.proposal_id) == (2, 226, "temp")
    assert record.configurations[0]["id"] == 2
    assert record.windows == (
        (datetime(2016, 9, 29, 21, 12, 18, tzinfo=UTC), datetime(2016, 10, 29, 21, 12, 19, tzinfo=UTC)),
    )
    assert record.location == {"telescope_class": "1m0"}


# --- expiry


async def expire(app: TestApp) -> None:
    async with app.runtime.database.write() as session:
        await lifecycle.expire(session, app.clock.now())


async def test_R61_what_is_past_its_windows_expires(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)
    await submit(alice, many(2))
    await submit(alice)
    await submit(alice)
    late = request(windows=[{"start": "2016-09-29T21:12:18Z", "end": "2016-12-01T00:00:00Z"}])
    await submit(alice, group(requests=[late]))
    await move(app, r2=State.COMPLETED, r4=State.COMPLETED, r5=State.CANCELED)
    app.clock.set(datetime(2016, 10, 29, 21, 12, 20, tzinfo=UTC))  # type: ignore[attr-defined]
    await expire(app)
    assert [await states(alice, number) for number in (1, 2, 3, 4, 5)] == [
        ("WINDOW_EXPIRED", ["WINDOW_EXPIRED"]),
        ("COMPLETED", ["COMPLETED", "WINDOW_EXPIRED"]),
        ("COMPLETED", ["COMPLETED"]),
        ("CANCELED", ["CANCELED"]),
        ("PENDING", ["PENDING"]),
    ]


async def test_R61_the_end_of_a_window_still_belongs_to_it(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)
    app.clock.set(datetime(2016, 10, 29, 21, 12, 19, tzinfo=UTC))  # type: ignore[attr-defined]
    await expire(app)
    assert (await states(alice, 1))[0] == "PENDING"


async def test_an_outcome_moves_request_and_group(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice, many(2))

    async def outcome(request_id: int, **result: bool) -> None:
        async with app.runtime.database.write() as session:
            await api.apply_outcome(session, request_id, now=app.clock.now(), **result)

    await outcome(1, is_complete=False)
    assert await states(alice, 1) == ("PENDING", ["PENDING", "PENDING"])
    await outcome(1, is_complete=True)
    await outcome(2, is_complete=False, is_failed_for_good=True)
    assert await states(alice, 1) == ("COMPLETED", ["COMPLETED", "FAILURE_LIMIT_REACHED"])
    async with app.runtime.database.write() as session:
        await api.reopen(session, 1, now=app.clock.now())
    assert await states(alice, 1) == ("PENDING", ["PENDING", "FAILURE_LIMIT_REACHED"])


async def test_a_late_outcome_expires_a_request(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)
    app.clock.set(datetime(2016, 11, 1, tzinfo=UTC))  # type: ignore[attr-defined]
    async with app.runtime.database.write() as session:
        await api.apply_outcome(session, 1, is_complete=False, now=app.clock.now())
    assert await states(alice, 1) == ("WINDOW_EXPIRED", ["WINDOW_EXPIRED"])
    async with app.runtime.database.write() as session:
        await api.apply_outcome(session, 1, is_complete=True, now=app.clock.now())
        assert await api.reopen(session, 1, now=app.clock.now()) == []
    assert await states(alice, 1) == ("COMPLETED", ["COMPLETED"])


# --- last_changed


async def test_R63_last_changed_moves_with_what_concerns_schedulers(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, app: TestApp
) -> None:
    async def last_change(*classes: str) -> datetime:
        answer = await staff.get("/api/last_changed/", params={"telescope_class": list(classes)})
        return datetime.fromisoformat(answer.json()["last_change_time"])

    before = await last_change("1m0")
    assert before == await last_change()
    assert before < await last_change() + timedelta(seconds=1)
    app.clock.set(NOW + timedelta(hours=1))  # type: ignore[attr-defined]
    await submit(alice)
    assert await last_change("1m0") == await last_change() == app.clock.now()
    assert await last_change("2m0") == before
    assert await last_change("nope") == before
    app.clock.set(NOW + timedelta(hours=2))  # type: ignore[attr-defined]
    await staff.patch("/api/requests/1/", json={"suspend_until": LATER})
    assert await last_change("1m0") == app.clock.now()
    assert (await alice.get("/api/last_changed/")).status_code == 403


# --- what people place themselves


async def place(app: TestApp, start: datetime, end: datetime) -> api.PlacedGroup:

    principal = Principal(await user_id(app, "alice"), "alice", proposal_ids=frozenset({"temp"}))
    async with app.runtime.database.write() as session:
        return await api.place_group(
            session,
            principal,
            name="placed",
            proposal_id="temp",
            observation_type=api.ObservationType.DIRECT,
            location={"telescope_class": "1m0", "site": "tst", "enclosure": "domb", "telescope": "1m0a"},
            start=start,
            end=end,
            request={"configurations": [configuration()]},
            now=app.clock.now(),
        )


async def test_a_placed_request_has_the_place_and_time_of_its_observation(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    start, end = datetime(2016, 9, 5, 22, tzinfo=UTC), datetime(2016, 9, 5, 23, tzinfo=UTC)
    assert await place(app, start, end) == api.PlacedGroup(1, 1, (1,))
    shown = (await alice.get("/api/requests/1/")).json()
    assert (shown["location"], shown["windows"], shown["duration"]) == (None, [], 226)
    listed = (await alice.get("/api/requests/")).json()["results"][0]
    assert listed["location"] == {"site": "tst", "enclosure": "domb", "telescope": "1m0a"}
    assert listed["windows"] == [{"start": "2016-09-05T22:00:00Z", "end": "2016-09-05T23:00:00Z"}]
    async with app.runtime.database.write() as session:
        await api.replace_window(session, 1, start, end + timedelta(hours=1))
        assert (await api.detailed_requests(session, [1]))[1]["id"] == 1
    listed = (await alice.get("/api/requests/")).json()["results"][0]
    assert listed["windows"][0]["end"] == "2016-09-06T00:00:00Z"
    async with app.runtime.database.write() as session:
        await api.remove_group(session, 1)
    assert (await alice.get("/api/requests/")).json()["count"] == 0


async def test_R62_a_placed_request_without_observation_does_not_stop_the_expiry(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    start, end = datetime(2016, 9, 5, 22, tzinfo=UTC), datetime(2016, 9, 5, 23, tzinfo=UTC)
    await place(app, start, end)
    await place(app, start, end)
    await submit(alice)
    async with app.runtime.database.write() as session:
        await session.execute(text("DELETE FROM requests.window WHERE request_id = 1"))
    app.clock.set(datetime(2016, 12, 1, tzinfo=UTC))  # type: ignore[attr-defined]
    await expire(app)
    assert [(await states(alice, number))[0] for number in (1, 2, 3)] == [
        "PENDING",
        "WINDOW_EXPIRED",
        "WINDOW_EXPIRED",
    ]
    orphan = (await alice.get("/api/requests/", params={"ordering": "id"})).json()["results"][0]
    assert "windows" not in orphan
    assert "location" not in orphan
