"""One leader runs the jobs; changes wake them; CPU work runs in a process that is unloaded when idle."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress

import pytest

from ocs.kernel import changes
from ocs.kernel.changes import ChangeListener
from ocs.kernel.clock import Clock
from ocs.kernel.database import Database
from ocs.kernel.jobs import CpuPool, Jobs


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def replica(dsn: str, listener: ChangeListener, jobs: Jobs) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(listener.run()), asyncio.create_task(jobs.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def dsn_of(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


async def test_only_the_leader_runs_jobs_and_another_takes_over(database_url: str) -> None:
    dsn, runs = dsn_of(database_url), {"a": 0, "b": 0}

    def make(name: str) -> tuple[ChangeListener, Jobs]:
        listener = ChangeListener(dsn)
        jobs = Jobs(dsn, listener)

        async def run() -> None:
            runs[name] += 1

        jobs.add("count", run, every_s=0.02)
        return listener, jobs

    first, second = make("a"), make("b")
    async with replica(dsn, *second):
        async with replica(dsn, *first):
            await until(lambda: runs["a"] + runs["b"] > 3)
            assert [first[1].is_leader, second[1].is_leader].count(True) == 1
            assert 0 in runs.values()
        await until(lambda: second[1].is_leader)
        before = runs["b"]
        await until(lambda: runs["b"] > before)


async def test_a_commit_wakes_the_jobs_of_its_topic_once(database_url: str) -> None:
    dsn = dsn_of(database_url)
    database = Database(database_url, Clock())
    listener = ChangeListener(dsn)
    jobs = Jobs(dsn, listener)
    seen: list[int] = []

    async def run() -> None:
        async with database.read() as session:
            seen.append((await changes.last_change(session, "sky", ["m31", "m33"]))[1])

    async def other() -> None:
        raise RuntimeError("a failing job must not stop the others")

    jobs.add("sky", run, every_s=3600, topics=["sky"])
    jobs.add("other", other, every_s=0.05)
    async with database.write() as session:
        await session.execute(
            changes.text("INSERT INTO kernel.installation VALUES (1, '2016-01-08T00:00:00Z', false)")
        )
    async with replica(dsn, listener, jobs):
        await until(lambda: len(seen) >= 1)
        await asyncio.sleep(0.2)  # the listener's own first call may wake it once more
        calls = len(seen)
        async with database.write() as session:
            changes.stamp(session, "sky", "m31")
            changes.stamp(session, "sky", "m31", "m33")
        await until(lambda: len(seen) > calls)
        assert seen[-1] == 1
    await database.close()


async def test_change_numbers_have_no_gaps_and_rolled_back_changes_leave_none(database_url: str) -> None:
    database = Database(database_url, Clock())
    async with database.write() as session:
        await session.execute(
            changes.text("INSERT INTO kernel.installation VALUES (1, '2016-01-08T00:00:00Z', false)")
        )
    async with database.read() as session:
        moment, number = await changes.last_change(session, "sky")
        assert (moment.isoformat(), number) == ("2016-01-01T00:00:00+00:00", 0)

    async def change(fail: bool) -> None:
        with suppress(ZeroDivisionError):
            async with database.write() as session:
                changes.stamp(session, "sky")
                if fail:
                    raise ZeroDivisionError

    await asyncio.gather(*(change(number % 3 == 0) for number in range(12)))
    async with database.read() as session:
        assert (await changes.last_change(session, "sky"))[1] == 8
    await database.close()


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def die() -> None:
    os._exit(9)


def hang() -> None:
    time.sleep(600)


async def test_cpu_work_runs_in_another_process_that_is_unloaded_when_idle() -> None:
    pool = CpuPool(idle_s=0.2)
    results = await asyncio.gather(*(pool.run(square, number) for number in range(4)))
    assert [result for result, _ in results] == [0, 1, 4, 9]
    workers = {pid for _, pid in results}
    assert os.getpid() not in workers

    def gone() -> bool:
        return all(not os.path.exists(f"/proc/{pid}") for pid in workers)

    await until(gone)
    assert (await pool.run(square, 5))[0] == 25
    pool.close()


async def test_a_dead_or_hanging_worker_is_replaced() -> None:
    pool = CpuPool()
    with pytest.raises(BrokenProcessPool):
        await pool.run(die)
    assert (await pool.run(square, 2))[0] == 4
    with pytest.raises(TimeoutError):
        await pool.run(hang, timeout_s=0.2)
    assert (await pool.run(square, 3))[0] == 9
    pool.close()
