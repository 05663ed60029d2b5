"""What a downtime does to the portal, at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import event, text

from tests.support.app import TestApp
from tests.support.observations import DOMB, z
from tests.support.proposals import create_checklist_fixture
from tests.support.requests import request, submit

URL = "/downtime/api/"
WINDOW = {"start": "2016-09-29T21:00:00Z", "end": "2016-10-29T22:00:00Z"}
START = datetime(2016, 9, 5, 22, 35, 39, tzinfo=UTC)
SESSION = {
    "proposal": "temp",
    "name": "live",
    **DOMB,
    "start": z(START),
    "end": z(START + timedelta(hours=1)),
}


@pytest_asyncio.fixture
async def alice(app: TestApp, staff: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The PI of a proposal with real-time hours, at FIX-A."""
    async with app.client(token=await create_checklist(app)) as client:
        yield client


async def create_checklist(app: TestApp) -> str:
    """Create alice and her proposal; return her token."""
    token = await create_checklist_fixture(app)
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.time_allocation SET realtime_allocation_h = 10"))
    return token


async def _close(staff: httpx.AsyncClient, **values: Any) -> None:
    answer = await staff.post(URL, json={**DOMB, **WINDOW, **values})
    assert answer.status_code == 201, answer.text


async def _sites(client: httpx.AsyncClient, asked: dict[str, Any]) -> set[str]:
    return set((await client.post("/api/airmass/", json=asked)).json()["airmass_data"])


async def test_D31_a_downtime_takes_its_telescope_away_at_once(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    await submit(alice)
    address = "/api/requests/1/airmass/"
    assert set((await alice.get(address)).json()["airmass_data"]) == {"tst", "lco"}
    await _close(staff)
    assert set((await alice.get(address)).json()["airmass_data"]) == {"lco"}
    (made,) = (await staff.get(URL)).json()["results"]
    await staff.delete(f"{URL}{made['id']}/")
    assert set((await alice.get(address)).json()["airmass_data"]) == {"tst", "lco"}


async def test_D32_D33_a_type_is_blocked_in_any_spelling_and_other_types_are_not(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    asked = request()
    await _close(staff, instrument_type="1M0-CAM-B")
    assert await _sites(alice, asked) == {"tst", "lco"}
    await _close(staff, instrument_type="1M0-CAM-A")
    assert await _sites(alice, asked) == {"lco"}
    asked["configurations"][0]["instrument_type"] = "1m0-cam-a"
    assert await _sites(alice, asked) == {"lco"}


async def test_D34_a_session_has_one_downtime_that_goes_with_it(alice: httpx.AsyncClient) -> None:
    made = await alice.post("/api/realtime/", json=SESSION)
    assert made.status_code == 201, made.text
    (found,) = (await alice.get(f"{URL}?reason_exact={made.json()['id']}")).json()["results"]
    assert (found["start"], found["end"]) == (SESSION["start"], SESSION["end"])
    assert (await alice.delete(f"/api/realtime/{made.json()['id']}/")).status_code == 204
    assert (await alice.get(URL)).json()["count"] == 0


async def test_D34_a_failure_between_the_steps_leaves_neither(app: TestApp, alice: httpx.AsyncClient) -> None:
    failed = []

    def fail(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO downtime.downtime"):
            failed.append(statement)
            raise RuntimeError("between the steps")

    engine = app.runtime.database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", fail)
    try:
        assert (await alice.post("/api/realtime/", json=SESSION)).status_code == 500
    finally:
        event.remove(engine, "after_cursor_execute", fail)
    assert len(failed) == 1
    for address in (URL, "/api/realtime/", "/api/requestgroups/"):
        assert (await alice.get(address)).json()["count"] == 0


async def test_D35_of_two_who_book_the_same_time_one_gets_it(alice: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(alice.post("/api/realtime/", json=SESSION) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 400]
    assert (await alice.get(URL)).json()["count"] == 1


async def test_the_root_allows_what_it_does_and_nothing_else(anonymous: httpx.AsyncClient) -> None:
    asked = await anonymous.options(URL)
    assert asked.status_code == 200
    assert set(asked.headers["allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}
    head = await anonymous.head(URL)
    assert (head.status_code, head.content) == (200, b"")


async def test_the_schema_is_the_one_document(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/downtime/openapi/")
    assert answer.json() == (await anonymous.get("/openapi.json")).json()
