"""Our own scheduler's schedule."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import IntegrityError

from ocs.portal.observations.api import (
    PlannedObservation,
    ScheduleChange,
    replace_schedule,
    running_and_planned,
)
from ocs.portal.observations.records import NewObservation, NewStatus, TelescopeKey
from ocs.portal.observations.repository import writes
from tests.observations.test_cancelling import state_of
from tests.observations.test_reporting import report
from tests.support.app import NOW, TestApp
from tests.support.observations import END, START, place, requested, submit, z

Asked = dict[str, Any]
DOMB = ("tst", "domb", "1m0a")
XX03 = [("xx03", "ef03")]
UNTIL = NOW + timedelta(days=30)


def planned(request_id: int, hours: float = 0, instruments: Any = XX03) -> PlannedObservation:
    """Return a plan of half an hour, so many hours after START."""
    start = START + timedelta(hours=hours)
    return PlannedObservation(request_id, start, start + timedelta(minutes=30), instruments)


async def replan(
    app: TestApp, *plans: PlannedObservation, from_utc: datetime = NOW, now: datetime = NOW
) -> ScheduleChange:
    """Replace the schedule of the telescope."""
    async with app.runtime.database.write() as session:
        return await replace_schedule(
            session, telescope=DOMB, from_utc=from_utc, until_utc=UNTIL, planned=plans, now=now
        )


@pytest.fixture
async def three(alice: httpx.AsyncClient) -> list[Asked]:
    """Three submitted groups of one request each; request ids are 1, 2, 3."""
    return [await submit(alice, requested()) for _ in range(3)]


async def test_what_is_planned_again_keeps_its_id(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    first = await replan(app, planned(1), planned(2, 1))
    assert (first.kept, first.created, first.cancelled, first.refused) == ((), (1, 2), (), ())
    second = await replan(app, planned(1), planned(2, 2), planned(3, 1))
    assert (second.kept, second.created, second.cancelled) == ((1,), (3, 4), (2,))
    assert await state_of(staff, 2) == "GONE"
    answer = (await staff.get("/api/schedule/", params={"ordering": "start"})).json()
    assert [(item["id"], item["request"]["id"]) for item in answer["results"]] == [(1, 1), (3, 3), (4, 2)]
    third = await replan(app, planned(1), planned(2, 2), planned(3, 1))
    assert (third.kept, third.created, third.cancelled) == ((1, 3, 4), (), ())


async def test_sites_hear_only_of_real_changes(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    async def sequence() -> int:
        from ocs.kernel import changes

        async with app.runtime.database.read() as session:
            return (await changes.last_change(session, "observations", ["tst"]))[1]

    start = await sequence()
    await replan(app, planned(1))
    first = await sequence()
    assert first > start
    await replan(app, planned(1))
    assert await sequence() == first
    await replan(app)
    assert await sequence() > first


async def test_other_instruments_are_another_observation(app: TestApp, three: list[Asked]) -> None:
    await replan(app, planned(1))
    change = await replan(app, planned(1, instruments=[("xx03", "")]))
    assert (change.kept, change.created, change.cancelled) == ((), (2,), (1,))


async def test_rounds_get_a_status_each(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    await submit(alice, requested(configuration_repeats=3))
    await replan(app, planned(1))
    change = await replan(app, planned(1))
    assert change.kept == (1,)
    shown = (await staff.get("/api/observations/1/")).json()["configuration_statuses"]
    assert [item["configuration"] for item in shown] == [1, 1, 1]


async def test_what_is_near_leaves_a_trace(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    await replan(app, planned(1))
    now = START - timedelta(hours=2)
    assert (await replan(app, now=now)).cancelled == (1,)
    assert await state_of(staff, 1) == "CANCELED"


async def test_nothing_is_planned_over_what_runs_or_others_placed(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    await replan(app, planned(1))
    await report(staff, 1, state="ATTEMPTED")
    await place(staff, three[1], start=z(START + timedelta(hours=1)), end=z(START + timedelta(hours=2)))
    change = await replan(app, planned(2, 0.25), planned(2, 1.25), planned(3, 3))
    assert [item.planned.start for item in change.refused] == [
        START + timedelta(hours=0.25),
        START + timedelta(hours=1.25),
    ]
    assert (change.created, change.cancelled) == ((3,), ())
    assert await state_of(staff, 1) == "IN_PROGRESS"


async def test_what_began_before_the_range_stays(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    await replan(app, planned(1))
    change = await replan(app, planned(2, 1), from_utc=START + timedelta(minutes=5))
    assert (change.created, change.cancelled) == ((2,), ())
    assert await state_of(staff, 1) == "PENDING"


async def test_requests_that_are_not_open_are_refused(
    app: TestApp, alice: httpx.AsyncClient, three: list[Asked]
) -> None:
    await alice.post(f"/api/requestgroups/{three[0]['id']}/cancel/")
    change = await replan(app, planned(1), planned(99, 1), planned(2, 2, []), planned(2, 3), planned(3, 3.25))
    assert [item.reason for item in change.refused] == [
        "the request is CANCELED",
        "the request does not exist",
        "the instruments do not fit the configurations",
        "the telescope is taken by another observation",
    ]
    assert len(change.created) == 1


async def test_a_telescope_is_never_double_booked_by_us(app: TestApp, three: list[Asked]) -> None:
    telescope = TelescopeKey(*DOMB)
    new = NewObservation(1, "temp", "NORMAL", telescope, START, END, [NewStatus(1, "xx03")])
    async with app.runtime.database.write() as session:
        await writes.insert(session, [new, new], NOW)  # what is posted may overlap
        await writes.insert(session, [new], NOW, ours=True)
    with pytest.raises(IntegrityError, match="ex_observation_telescope_period"):
        async with app.runtime.database.write() as session:
            await writes.insert(session, [new], NOW, ours=True)


async def test_parallel_schedules_of_a_telescope_take_turns(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    plans = [planned(1), planned(2, 0.1), planned(3, 0.2)]
    changes = await asyncio.gather(*(replan(app, plan) for plan in plans))
    assert sum(len(change.created) for change in changes) == 3
    assert sum(len(change.cancelled) for change in changes) == 2
    assert (await staff.get("/api/schedule/")).json()["count"] == 1


async def test_an_end_over_a_rapid_response_gives_the_observation_away(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    payload = requested(observation_type="RAPID_RESPONSE")
    payload["requests"][0]["windows"] = [{"start": z(START), "end": z(START + timedelta(hours=20))}]
    app.clock.set(START)  # type: ignore[attr-defined]
    rapid = (await submit(alice, payload))["requests"][0]["id"]
    await replan(app, planned(1), planned(rapid, 1), now=START)
    await report(staff, 1, state="ATTEMPTED")
    response = await staff.patch("/api/observations/1/", json={"end": z(START + timedelta(hours=1.2))})
    assert response.status_code == 200
    async with app.runtime.database.read() as session:
        rows = await running_and_planned(session, START, UNTIL)
    assert [(row.id, row.state, row.ours) for row in rows] == [
        (1, "IN_PROGRESS", False),
        (2, "PENDING", True),
    ]


async def test_the_scheduler_sees_all_that_takes_up_a_telescope(
    app: TestApp, staff: httpx.AsyncClient, three: list[Asked]
) -> None:
    await replan(app, planned(1), planned(2, 1))
    await place(staff, three[2], start=z(START + timedelta(hours=2)), end=z(START + timedelta(hours=3)))
    await report(staff, 1, state="ATTEMPTED")
    await report(staff, 2, state="FAILED")
    async with app.runtime.database.read() as session:
        rows = await running_and_planned(session, NOW, UNTIL)
        assert await running_and_planned(session, NOW, START) == []
    assert [(row.id, row.request_id, row.state, row.ours, row.any_failed) for row in rows] == [
        (1, 1, "IN_PROGRESS", True, False),
        (3, 3, "PENDING", False, False),
    ]
    assert (rows[0].site, rows[0].enclosure, rows[0].telescope) == DOMB
    assert (rows[0].start, rows[0].observation_type) == (START, "NORMAL")
