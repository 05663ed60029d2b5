"""Background work: one leader among the replicas, periodic and change-driven jobs, CPU work in a process.

The leader holds a Postgres advisory lock on a connection of its own; when that connection goes, so does the
lock, and another replica takes over. Jobs are coroutines without arguments that open their own transactions.
"""

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg

from ocs.kernel.changes import ChangeListener
from ocs.kernel.metrics import IS_LEADER, JOB_FAILURES, JOB_SECONDS

T = TypeVar("T")
logger = logging.getLogger("ocs.jobs")

LEADER_LOCK = 0x6F6373_01
Job = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """When a job runs.

    `every_s` are real seconds between two runs; `topics` are change topics after which it runs at once,
    gathered for `debounce_s` real seconds.
    """

    name: str
    run: Job
    every_s: float
    topics: frozenset[str] = frozenset()
    debounce_s: float = 0.0


class Jobs:
    """Runs jobs while this replica is the leader."""

    def __init__(self, dsn: str, listener: ChangeListener) -> None:
        self._dsn = dsn
        self._listener = listener
        self._specs: list[JobSpec] = []
        self._wake: dict[str, asyncio.Event] = {}
        self.is_leader = False

    def add(
        self, name: str, run: Job, *, every_s: float, topics: Iterable[str] = (), debounce_s: float = 0.0
    ) -> None:
        """Register a job before `run` is called."""
        wake = self._wake.setdefault(name, asyncio.Event())
        spec = JobSpec(name, run, every_s, frozenset(topics), debounce_s)
        self._specs.append(spec)
        if spec.topics:
            self._listener.subscribe(spec.topics, wake.set)

    def wake(self, name: str) -> None:
        """Let a job run now."""
        self._wake[name].set()

    async def run(self) -> None:
        """Compete for the leadership, and work while we have it, until cancelled."""
        while True:
            try:
                await self._lead()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                logger.info("no leadership while the database does not answer")
            await asyncio.sleep(0.5)

    async def _lead(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=10)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
                await asyncio.sleep(1.0)
            self.is_leader = True
            IS_LEADER.set(1)
            logger.info("leading")
            async with asyncio.TaskGroup() as tasks:
                workers = [tasks.create_task(self._repeat(spec), name=spec.name) for spec in self._specs]
                await lost.wait()
                for worker in workers:
                    worker.cancel()
        finally:
            self.is_leader = False
            IS_LEADER.set(0)
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)

    async def _repeat(self, spec: JobSpec) -> None:
        wake = self._wake[spec.name]
        while True:
            await run_once(spec)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), spec.every_s)
                if spec.debounce_s:
                    await asyncio.sleep(spec.debounce_s)
            wake.clear()


async def run_once(spec: JobSpec) -> None:
    """Run a job; a failure is logged and counted, never fatal."""
    with JOB_SECONDS.labels(spec.name).time():
        try:
            await spec.run()
        except Exception:
            JOB_FAILURES.labels(spec.name).inc()
            logger.exception("job failed", extra={"job": spec.name})


def _prepare_worker(niceness: int, modules: Sequence[str]) -> None:
    os.nice(niceness)
    for module in modules:
        importlib.import_module(module)


def _is_up() -> None:
    """Do nothing; whoever has the answer knows that the worker is up."""


class CpuPool:
    """A process for pure functions, started when needed and unloaded when idle.

    Everything goes through the `concurrent.futures.Executor` interface, so a cluster's executor can take the
    place of the local process.

    Parameters
    ----------
    idle_s
        Seconds without work after which the process is unloaded.
    niceness
        How much the process stands back behind the server.
    modules
        What it imports before its first work, outside any time limit.
    """

    def __init__(self, *, idle_s: float = 20.0, niceness: int = 0, modules: Sequence[str] = ()) -> None:
        self._idle_s = idle_s
        self._niceness = niceness
        self._modules = tuple(modules)
        self._executor: Executor | None = None
        self._busy = 0
        self._last_use_s = 0.0
        self._unloader: asyncio.Task[None] | None = None

    async def run(self, function: Callable[..., T], *arguments: Any, timeout_s: float | None = None) -> T:
        """Run `function` in the pool.

        Raises
        ------
        TimeoutError
            After `timeout_s`; the worker is killed, so nothing goes on in the background.
        BrokenProcessPool
            When the worker died; the next call starts a new one.
        """
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare_worker,
                initargs=(self._niceness, self._modules),
            )
        if self._unloader is None or self._unloader.done():
            self._unloader = asyncio.create_task(self._unload_when_idle())
        loop, executor = asyncio.get_running_loop(), self._executor
        self._busy += 1
        try:
            # The time limit is for the work, not for starting the process or for what waits before it.
            await loop.run_in_executor(executor, _is_up)
            return await asyncio.wait_for(loop.run_in_executor(executor, function, *arguments), timeout_s)
        except (BrokenProcessPool, TimeoutError, asyncio.CancelledError):
            self._kill()
            raise
        finally:
            self._busy -= 1
            self._last_use_s = time.monotonic()

    def _kill(self) -> None:
        executor, self._executor = self._executor, None
        if isinstance(executor, ProcessPoolExecutor):
            for process in list((executor._processes or {}).values()):
                process.kill()
            executor.shutdown(wait=False, cancel_futures=True)

    async def _unload_when_idle(self) -> None:
        while self._executor is not None:
            await asyncio.sleep(self._idle_s / 4)
            if not self._busy and time.monotonic() - self._last_use_s > self._idle_s:
                executor, self._executor = self._executor, None
                if executor is not None:
                    await asyncio.to_thread(executor.shutdown)

    def close(self) -> None:
        """End the worker at once."""
        if self._unloader is not None:
            self._unloader.cancel()
        self._kill()
