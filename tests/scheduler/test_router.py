"""What people and programs ask of the scheduler."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.requests import create_observatory
from tests.support.scheduler import ask, close, open_observations, run

RUNS = "/api/scheduler/runs/"
DRY_RUN = "/api/scheduler/dry-run/"


@pytest_asyncio.fixture
async def alice(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    async with app.client(await create_observatory(app)) as client:
        yield client


@pytest_asyncio.fixture
async def staff(app: TestApp, alice: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with app.client(await create_user(app, "root", is_staff=True, staff_view=True)) as client:
        yield client


def explanation(request: int) -> str:
    return f"/api/requests/{request}/schedule-explanation/"


async def test_runs_are_listed_for_staff_with_objective_bound_and_timings(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    (request,) = await ask(alice)
    done = await run(app)
    page = (await staff.get(RUNS)).json()
    assert page["count"] == 1
    (listed,) = page["results"]
    assert listed["id"] == done.id
    assert (listed["trigger"], listed["status"], listed["scheduled"]) == ("start", "optimal", 1)
    assert listed["objective"] == listed["bound"] > 0
    assert listed["gap"] == 0
    assert {"read", "inputs", "solve", "write", "total"} <= listed["timings"].keys()
    detail = (await staff.get(f"{RUNS}{done.id}/")).json()
    (written,) = await open_observations(app)
    assert detail["changes"][written.telescope]["created"] == [written.id]
    assert written.request_id == request
    assert (await alice.get(RUNS)).status_code == 403
    assert (await staff.get(f"{RUNS}999/")).status_code == 404


async def test_R49_a_scheduled_request_is_told_where_and_when(app: TestApp, alice: httpx.AsyncClient) -> None:
    (request,) = await ask(alice)
    assert (await alice.get(explanation(request))).json()["outcome"] == "not_considered"
    await run(app)
    (written,) = await open_observations(app)
    told = (await alice.get(explanation(request))).json()
    assert told["outcome"] == "scheduled"
    assert told["telescope"] == written.telescope
    assert told["start"] == f"{written.start:%Y-%m-%dT%H:%M:%SZ}"
    assert {item["telescope"] for item in told["telescopes"]} == {"tst.domb.1m0a", "lco.doma.1m0a"}


async def test_R49_a_request_without_a_time_is_told_the_filter_that_left_nothing(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    (request,) = await ask(alice, last_day=1.5, location={"site": "tst"})
    await close(app, "tst.domb.1m0a", 0, 1.5)
    await run(app)
    told = (await alice.get(explanation(request))).json()
    assert told["outcome"] == "filtered"
    (there,) = told["telescopes"]
    assert there["emptied_by"] == "downtime"
    assert there["remaining"]["dark"] > there["remaining"]["visible"] > there["remaining"]["downtime"] == 0


async def test_R49_a_request_that_lost_is_told_who_won(
    app: TestApp, alice: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    place = {"site": "tst", "enclosure": "domb", "telescope": "1m0a"}
    hour = {"first_day": 0.95, "last_day": 0.95 + 0.5 / 24, "location": place, "exposure_s": 1000}
    (weak,) = await ask(alice, **hour, group_changes={"ipp_value": 0.6})
    (strong,) = await ask(alice, **hour, group_changes={"ipp_value": 1.4})
    await run(app)
    told = (await alice.get(explanation(weak))).json()
    assert told["outcome"] == "lost"
    assert [item["request"] for item in told["occupants"]] == [strong]
    assert told["priority"] < told["occupants"][0]["priority"]
    assert (await anonymous.get(explanation(weak))).status_code == 404


async def test_R39_a_dry_run_answers_with_the_differences_and_changes_no_row(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    (request,) = await ask(alice)
    await run(app)
    before = await open_observations(app)
    same = (await staff.post(DRY_RUN)).json()
    assert (same["status"], same["added"], same["removed"]) == ("optimal", [], [])
    closed = await staff.post(DRY_RUN, json={"closed_telescopes": [before[0].telescope]})
    assert closed.status_code == 200, closed.text
    other = closed.json()
    assert [item["observation"] for item in other["removed"]] == [before[0].id]
    assert [item["request"] for item in other["added"]] == [request]
    assert other["added"][0]["telescope"] != before[0].telescope
    assert await open_observations(app) == before
    assert (await staff.get(RUNS)).json()["count"] == 1
    assert (await alice.post(DRY_RUN)).status_code == 403


async def test_a_dry_run_refuses_telescopes_that_do_not_exist_and_impossible_numbers(
    staff: httpx.AsyncClient,
) -> None:
    unknown = await staff.post(DRY_RUN, json={"closed_telescopes": ["tst.domz.1m0a"]})
    assert unknown.status_code == 400
    assert "tst.domz.1m0a" in unknown.json()["closed_telescopes"][0]
    for body in ({"horizon_days": -1}, {"closed_telescopes": ["tst"]}, {"priorities": {"temp": "x"}}):
        answer = await staff.post(DRY_RUN, json=body)
        assert answer.status_code == 400, body
        assert list(answer.json()) == list(body)
