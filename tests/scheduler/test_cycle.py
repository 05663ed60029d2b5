"""The scheduling cycle on a real database: what is written, what stays, and when nothing happens."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from ocs.configdb import repository as configuration
from ocs.kernel import changes
from ocs.scheduler import service
from tests.support.app import TestApp, running_app
from tests.support.requests import create_observatory
from tests.support.scheduler import START, ask, assert_feasible, close, open_observations, run, star

DOMB = {"site": "tst", "enclosure": "domb", "telescope": "1m0a"}


async def execute(app: TestApp, statement: str, topic: str = "schedule_inputs", **values: object) -> None:
    """Change rows as other modules do, with the stamp that tells of it."""
    async with app.runtime.database.write() as session:
        await session.execute(text(statement), values)
        changes.stamp(session, topic)


async def test_R46_the_background_job_schedules_what_is_submitted_and_takes_back_what_is_cancelled(
    database_url: str, tmp_path: Path
) -> None:
    options = {"scheduler_enabled": True, "scheduler_debounce_s": 0.05}
    async with (
        running_app(database_url, tmp_path, **options) as own,
        own.client(await create_observatory(own)) as alice,
        asyncio.timeout(60),
    ):
        (request,) = await ask(alice)
        while not (written := await open_observations(own)):
            await asyncio.sleep(0.05)
        assert [item.request_id for item in written] == [request]
        await alice.post(f"/api/requestgroups/{written[0].group_id}/cancel/")
        while await open_observations(own):
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def alice(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """The PI of the only proposal, at an observatory with two 1 m telescopes that have a camera."""
    async with app.client(await create_observatory(app)) as client:
        yield client


async def test_R52_a_run_writes_observations_that_can_be_made(app: TestApp, alice: httpx.AsyncClient) -> None:
    requests = await ask(alice, count=4)
    result = await run(app)
    written = await open_observations(app)
    assert {item.request_id for item in written} == set(requests)
    assert_feasible(written)
    assert (result.status, result.scheduled, result.objective) == ("optimal", 4, result.bound)
    assert all(item.start >= result.valid_from for item in written)


async def test_R40_a_second_run_without_changes_asks_nobody_and_writes_nothing(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, count=2)
    await run(app)
    before = await open_observations(app)
    assert await service.cycle(app.runtime) is None
    assert await open_observations(app) == before


async def test_its_own_writes_do_not_set_it_off(app: TestApp, alice: httpx.AsyncClient) -> None:
    await ask(alice, count=2)
    first = await run(app)
    app.clock.advance(300)
    assert await service.cycle(app.runtime) is None
    app.clock.advance(app.runtime.settings.scheduler_interval_s)
    again = await run(app)
    assert (first.trigger, again.trigger) == ("start", "period")


async def test_R46_a_cancelled_group_loses_its_observation_and_the_others_keep_theirs(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    (gone,), (stays,) = await ask(alice), await ask(alice)
    await run(app)
    before = {item.request_id: item for item in await open_observations(app)}
    cancelled = await alice.post(f"/api/requestgroups/{before[gone].group_id}/cancel/")
    assert cancelled.status_code == 200, cancelled.text
    assert (await run(app)).trigger == "change"
    after = await open_observations(app)
    assert [item.request_id for item in after] == [stays]
    assert_feasible(after)


async def test_a_downtime_moves_what_it_hits(app: TestApp, alice: httpx.AsyncClient) -> None:
    requests = await ask(alice, count=2, location=DOMB)
    await run(app)
    before = await open_observations(app)
    assert {item.start.day for item in before} == {1}
    await close(app, "tst.domb.1m0a", 0, 1.5)
    await run(app)
    after = await open_observations(app)
    assert {item.request_id for item in after} == set(requests)
    assert all(item.start >= START + timedelta(days=1.5) for item in after)
    assert_feasible(after)


async def test_R11_a_downtime_of_an_instrument_type_blocks_only_requests_that_use_it(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, location=DOMB, last_day=1.5)
    await close(app, "tst.domb.1m0a", 0, 3, "1m0-cam-b")
    await run(app)
    assert len(await open_observations(app)) == 1
    await close(app, "tst.domb.1m0a", 0, 3, "1m0-cam-A")
    await run(app)
    assert await open_observations(app) == []


async def test_R12_a_downtime_in_the_middle_leaves_two_pieces(app: TestApp, alice: httpx.AsyncClient) -> None:
    await ask(alice, count=2, location=DOMB, exposure_s=1000, first_day=0.95, last_day=0.95 + 1 / 24)
    await close(app, "tst.domb.1m0a", 0.95 + 21 / 1440, 0.95 + 39 / 1440)
    await run(app)
    one, two = await open_observations(app)
    assert one.end <= START + timedelta(days=0.95, minutes=21)
    assert two.start >= START + timedelta(days=0.95, minutes=39)


async def test_R23_priorities_decide_who_gets_a_place_that_is_too_small_for_all(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    hour = {"first_day": 0.95, "last_day": 0.95 + 0.5 / 24, "location": DOMB, "exposure_s": 1000}
    for ipp in (0.6, 1.4, 1.0):
        await ask(alice, **hour, group_changes={"ipp_value": ipp, "name": f"{ipp}"})
    await run(app)
    (written,) = await open_observations(app)
    shown = await alice.get(f"/api/requestgroups/{written.group_id}/")
    assert shown.json()["ipp_value"] == 1.4


async def test_R47_a_new_priority_of_a_proposal_counts(app: TestApp, alice: httpx.AsyncClient) -> None:
    await ask(alice)
    first = await run(app)
    await execute(app, "UPDATE proposals.proposal SET tac_priority = 20", topic="proposals")
    second = await run(app)
    assert second.trigger == "change"
    assert second.objective == pytest.approx(2 * first.objective)


async def test_what_stands_on_an_inactive_site_moves_and_nothing_new_comes_there(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    requests = await ask(alice, count=3)
    await run(app)
    assert {item.site for item in await open_observations(app)} == {"tst"}
    async with app.runtime.database.write() as session:
        editor = await configuration.edit(session, app.clock.now())
        site = next(editor.state.where("site", code="tst"))
        editor.update("site", site["id"], {"active": False})
        await configuration.store(session, editor, "tests", "closed")
        changes.stamp(session, "configdb")
    await run(app)
    after = await open_observations(app)
    assert {(item.site, item.request_id) for item in after} == {("lco", request) for request in requests}
    assert_feasible(after)


async def test_R17_only_schedulable_instruments_are_used_and_R45_they_are_named(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, location=DOMB)
    await run(app)
    (written,) = await open_observations(app)
    assert [(name, guide) for _, name, guide in written.statuses] == [("xx03", "")]
    async with app.runtime.database.write() as session:
        editor = await configuration.edit(session, app.clock.now())
        camera = next(editor.state.where("instrument", code="xx03"))
        editor.update("instrument", camera["id"], {"state": "MANUAL"})
        await configuration.store(session, editor, "tests", "repair")
        changes.stamp(session, "configdb")
    await run(app)
    assert await open_observations(app) == []


async def test_R44_repeats_of_configurations_are_statuses_in_order(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, location=DOMB, targets=[star(), star(35.0)], configuration_repeats=3)
    await run(app)
    (written,) = await open_observations(app)
    first, second = (part["id"] for part in written.configurations)
    assert [part for part, _, _ in written.statuses] == [first, second] * 3
    assert_feasible([written])


async def test_R30_a_running_observation_stays_and_is_not_scheduled_again(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    requests = await ask(alice, count=3, location=DOMB, exposure_s=1000)
    await run(app)
    running = (await open_observations(app))[0]
    app.clock.set(running.start + timedelta(seconds=60))
    await execute(
        app, "UPDATE observations.observation SET state = 'IN_PROGRESS' WHERE id = :id", id=running.id
    )
    await run(app)
    after = await open_observations(app)
    assert {item.request_id for item in after} == set(requests)
    assert running.id in {item.id for item in after}
    assert_feasible(after)


async def test_an_overdue_observation_is_waited_for_and_one_that_never_began_is_not(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    (late,), (missed,) = await ask(alice, location=DOMB), await ask(alice, location=DOMB)
    await run(app)
    stand = {item.request_id: item for item in await open_observations(app)}
    app.clock.set(max(item.end for item in stand.values()) + timedelta(seconds=30))
    await execute(
        app, "UPDATE observations.observation SET state = 'IN_PROGRESS' WHERE id = :id", id=stand[late].id
    )
    await run(app)
    new = [item for item in await open_observations(app) if item.start > app.clock.now()]
    assert [item.request_id for item in new] == [missed]
    app.clock.advance(15 * 60)
    await execute(app, "SELECT 1")
    await run(app)
    new = [item for item in await open_observations(app) if item.start > app.clock.now()]
    assert late in [item.request_id for item in new]


async def test_a_failed_observation_is_made_again_later(app: TestApp, alice: httpx.AsyncClient) -> None:
    (request,) = await ask(alice, location=DOMB)
    await run(app)
    (first,) = await open_observations(app)
    app.clock.set(first.start + timedelta(seconds=60))
    await execute(
        app,
        "WITH failed AS (UPDATE observations.configuration_status SET state = 'FAILED') "
        "UPDATE observations.observation SET state = 'FAILED'",
    )
    await run(app)
    (again,) = await open_observations(app)
    assert (again.request_id, again.id != first.id) == (request, True)
    assert again.start > app.clock.now()
    assert_feasible([again])


async def test_what_others_posted_is_left_alone_and_planned_around(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, location=DOMB)
    await run(app)
    await execute(app, "UPDATE observations.observation SET ours = false")
    (posted,) = await open_observations(app)
    await ask(alice, location=DOMB)
    assert (await run(app)).scheduled == 1
    after = await open_observations(app)
    assert posted in after
    assert len(after) == 2
    assert_feasible(after)


async def test_R33_a_rapid_response_goes_before_everything_that_is_only_planned(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, count=3, location=DOMB, exposure_s=1000)
    await run(app)
    (urgent,) = await ask(
        alice,
        location=DOMB,
        exposure_s=1000,
        last_day=0.999,
        group_changes={"observation_type": "RAPID_RESPONSE"},
    )
    result = await run(app)
    after = await open_observations(app)
    assert (after[0].request_id, after[0].start) == (urgent, result.valid_from)
    assert len(after) == 4
    assert_feasible(after)


async def test_R42_the_death_of_the_solver_is_survived_by_the_quick_way(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    requests = await ask(alice, count=2)
    cycle = asyncio.create_task(service.cycle(app.runtime))
    async with asyncio.timeout(20):
        while not (workers := multiprocessing.active_children()):
            await asyncio.sleep(0.002)
    for worker in workers:
        worker.kill()
    result = await cycle
    assert result is not None
    assert result.status != "failed"
    written = await open_observations(app)
    assert {item.request_id for item in written} == set(requests)
    assert_feasible(written)


async def test_a_run_without_a_result_leaves_the_schedule_and_is_made_up_for(
    app: TestApp, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(alice, count=2)
    await run(app)
    before = await open_observations(app)
    await ask(alice)
    with monkeypatch.context() as broken:
        broken.setattr(service, "LONGEST_SOLVE_FACTOR", 0.0)
        broken.setattr(service, "SOLVE_GRACE_S", 0.0)
        result = await service.cycle(app.runtime)
    assert result is not None
    assert (result.status, await open_observations(app)) == ("failed", before)
    again = await run(app)
    assert (again.trigger, again.scheduled) == ("repeat", 3)


async def test_outside_all_semesters_nothing_happens(app: TestApp, alice: httpx.AsyncClient) -> None:
    await ask(alice)
    app.clock.set(START - timedelta(days=1))
    assert await service.cycle(app.runtime) is None
    assert await open_observations(app) == []


async def test_a_late_result_is_used_from_when_it_is_there(
    app: TestApp, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(alice, count=3, location=DOMB, exposure_s=1000)
    make_plan = service.make_plan

    async def slow(*arguments: object) -> service.Plan:
        plan = await make_plan(*arguments)  # type: ignore[arg-type]
        app.clock.set(min(item.observation.start for item in plan.observations()) + timedelta(seconds=5))
        return plan

    with monkeypatch.context() as late:
        late.setattr(service, "make_plan", slow)
        result = await run(app)
    written = await open_observations(app)
    assert len(written) == 2
    assert all(item.start >= app.clock.now() for item in written)
    assert result.must_repeat
    again = await run(app)
    assert (again.trigger, len(await open_observations(app))) == ("repeat", 3)
