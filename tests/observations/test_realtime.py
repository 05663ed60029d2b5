"""Real-time sessions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.observations.test_cancelling import become, cancel, state_of
from tests.observations.test_reporting import report, used
from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.observations import DOMB, OBSERVATIONS, place, requested, submit, z
from tests.support.proposals import create_membership, create_proposal

REALTIME = "/api/realtime/"
START = datetime(2016, 9, 5, 22, 35, 39, tzinfo=UTC)
END = START + timedelta(seconds=3601)
HOURS = 3601 / 3600


async def execute(app: TestApp, statement: str, **parameters: Any) -> None:
    """Execute a statement and commit."""
    async with app.runtime.database.write() as session:
        await session.execute(text(statement), parameters)


@pytest_asyncio.fixture(autouse=True)
async def hours(app: TestApp, alice: httpx.AsyncClient) -> None:
    """Give alice's proposal ten real-time hours."""
    await execute(app, "UPDATE proposals.time_allocation SET realtime_allocation_h = 10")


def session_at(start: datetime = START, end: datetime = END, **changes: Any) -> dict[str, Any]:
    """Return a session to book."""
    return {"proposal": "temp", "name": "live", **DOMB, "start": z(start), "end": z(end)} | changes


async def booked(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """Book a session that must be possible."""
    response = await client.post(REALTIME, json=session_at(**changes))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def refused(client: httpx.AsyncClient, sent: Any) -> None:
    """Try to book what must be refused as a whole."""
    response = await client.post(REALTIME, json=sent)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["non_field_errors"]


async def downtimes(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return all downtimes."""
    answer = await client.get("/downtime/api/")
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


async def test_B47_a_session_reserves_the_telescope_and_costs_hours(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    answer = await booked(alice)
    assert answer == {
        **DOMB,
        "start": z(START),
        "end": z(END),
        "state": "PENDING",
        "priority": 10,
        "id": 1,
        "modified": "2016-09-01T00:00:00Z",
        "proposal": "temp",
        "submitter": "alice",
        "name": "live",
        "ipp_value": 1.0,
        "observation_type": "REAL_TIME",
        "request_group_id": 1,
        "configuration_status_id": 1,
    }
    assert [(item["reason"], item["start"], item["telescope"]) for item in await downtimes(alice)] == [
        ("1", z(START), "1m0a")
    ]
    assert await used(app, "realtime_used_h") == pytest.approx(HOURS)
    await refused(alice, session_at())
    assert await used(app, "realtime_used_h") == pytest.approx(HOURS)
    assert (await alice.get(f"{REALTIME}1/")).json() == answer
    assert (await alice.get(REALTIME)).json()["results"] == [answer]
    listed = (await alice.get(OBSERVATIONS)).json()["results"][0]["request"]
    assert listed["configurations"] == [{"configuration_status": 1, "state": "PENDING"}]
    assert listed["duration"] == 0


async def test_B48_what_cannot_be_booked(app: TestApp, alice: httpx.AsyncClient) -> None:
    day = datetime(2016, 9, 5, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    await refused(alice, session_at(day, day + hour))
    await refused(alice, session_at(START - 6 * hour, END))
    await refused(alice, session_at(END, START))
    await refused(alice, session_at(START - 10 * 24 * hour, END - 10 * 24 * hour))
    await refused(alice, session_at(site="zzz"))
    await refused(alice, session_at(enclosure="doma"))  # its instrument is MANUAL
    await refused(alice, session_at(proposal="nope"))
    await refused(alice, [session_at()])
    await create_proposal(app, "other")
    await refused(alice, session_at(proposal="other"))
    await create_membership(app, "alice", "other")
    await refused(alice, session_at(proposal="other"))  # it has no hours
    await execute(
        app,
        'INSERT INTO downtime.downtime (start, "end", site, enclosure, telescope, instrument_type, reason, '
        "created, modified, created_by) VALUES (:start, :end, 'tst', 'domb', '1m0a', '', '', :start, "
        ":start, '')",
        start=START - hour,
        end=START + timedelta(minutes=1),
    )
    await refused(alice, session_at())
    await execute(app, "DELETE FROM downtime.downtime")
    await execute(app, "UPDATE proposals.time_allocation SET realtime_used_h = 9.5")
    await refused(alice, session_at())
    await execute(app, "UPDATE proposals.time_allocation SET realtime_used_h = 0")
    await execute(app, "UPDATE proposals.proposal SET active = false")
    await refused(alice, session_at())
    assert (await alice.get(REALTIME)).json()["count"] == 0
    assert await downtimes(alice) == []


@pytest.mark.parametrize(
    ("kind", "state", "possible"),
    [
        ("NORMAL", "PENDING", True),
        ("TIME_CRITICAL", "PENDING", False),
        ("RAPID_RESPONSE", "PENDING", False),
        ("DIRECT", "PENDING", False),
        ("TIME_CRITICAL", "CANCELED", True),
        ("NORMAL", "IN_PROGRESS", False),
    ],
)
async def test_B49_what_blocks(
    app: TestApp,
    alice: httpx.AsyncClient,
    staff: httpx.AsyncClient,
    kind: str,
    state: str,
    possible: bool,
) -> None:
    app.clock.set(START - timedelta(hours=7))  # type: ignore[attr-defined]
    await place(staff, await submit(alice, requested()))
    await become(app, 1, kind)
    await execute(app, "UPDATE observations.observation SET state = :state", state=state)
    if possible:
        await booked(alice)
    else:
        await refused(alice, session_at())


async def test_B50_deleting_gives_everything_back(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    await execute(app, "UPDATE proposals.time_allocation SET realtime_allocation_h = :hours", hours=HOURS)
    await booked(alice)
    assert await used(app, "realtime_used_h") == pytest.approx(HOURS)
    async with app.client(token=await create_user(app, "stranger")) as stranger:
        assert (await stranger.delete(f"{REALTIME}1/")).status_code == 404
        assert (await stranger.get(REALTIME)).json()["count"] == 0
    assert (await staff.get(REALTIME)).json()["count"] == 1
    assert (await alice.delete(f"{REALTIME}1/")).status_code == 204
    assert await used(app, "realtime_used_h") == 0
    assert await downtimes(alice) == []
    assert await state_of(alice, 1) == "GONE"
    assert (await alice.get("/api/requestgroups/1/")).status_code == 404
    await booked(alice)
    assert (await staff.delete(f"{REALTIME}2/")).status_code == 204


async def test_cancelling_a_session_gives_everything_back(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    await booked(alice)
    assert await cancel(staff, ids=[1], include_direct=True) == 1
    assert await used(app, "realtime_used_h") == 0
    assert await downtimes(alice) == []
    assert (await alice.get("/api/requestgroups/1/")).json()["state"] == "CANCELED"


@pytest.mark.parametrize(("reported", "request_state"), [("COMPLETED", "COMPLETED"), ("FAILED", "PENDING")])
async def test_B51_sessions_end_as_reported(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, reported: str, request_state: str
) -> None:
    await booked(alice)
    await report(staff, 1, state="ATTEMPTED")
    assert await state_of(alice, 1) == "IN_PROGRESS"
    await report(staff, 1, state=reported)
    assert await state_of(alice, 1) == reported
    assert (await alice.get("/api/requestgroups/1/")).json()["state"] == request_state


async def test_B52_availability(app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    app.clock.set(START - timedelta(hours=24))  # type: ignore[attr-defined]

    async def spans(**parameters: str) -> dict[str, list[list[str]]]:
        answer = await alice.get(f"{REALTIME}availability/", params=parameters)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["cache-control"]
        found: dict[str, list[list[str]]] = answer.json()
        return found

    def free(found: dict[str, list[list[str]]], at: datetime) -> bool:
        edges = [[datetime.fromisoformat(edge) for edge in span] for span in found["1m0a.domb.tst"]]
        return any(start <= at < end for start, end in edges)

    before = await spans()
    assert set(before) == {"1m0a.domb.tst", "1m0a.doma.lco"}
    assert all(edge.endswith("+00:00") for span in before["1m0a.domb.tst"] for edge in span)
    middle = START + timedelta(minutes=30)
    assert free(before, middle)
    asked = await submit(alice, requested())
    await place(staff, asked, start=z(START), end=z(END))
    assert free(await spans(), middle)
    await become(app, 1, "TIME_CRITICAL")
    assert not free(await spans(), middle)
    await cancel(staff, ids=[1])
    await booked(alice)
    assert not free(await spans(), middle)
    assert set(await spans(telescope="1m0a.domb.tst")) == {"1m0a.domb.tst"}
    await execute(app, "UPDATE proposals.time_allocation SET realtime_used_h = 10")
    assert await spans() == {}


async def test_only_people_with_a_login(anonymous: httpx.AsyncClient) -> None:
    for path in (REALTIME, f"{REALTIME}1/", f"{REALTIME}availability/"):
        assert (await anonymous.get(path)).status_code == 403
    assert (await anonymous.post(REALTIME, json=session_at())).status_code == 403
