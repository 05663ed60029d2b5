"""The real application on a real database, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ocs.kernel import schema
from ocs.kernel.clock import Clock, FrozenClock
from ocs.kernel.runtime import Runtime
from ocs.kernel.settings import Settings
from ocs.main import all_metadata, create_app

NOW = datetime(2016, 9, 1, tzinfo=UTC)
KEPT = {"kernel.change_counter", "kernel.installation"}


async def migrate(url: str) -> None:
    """Bring the empty database at `url` to the schema of this version."""
    engine = create_async_engine(url)
    try:
        await schema.migrate(engine)
    finally:
        await engine.dispose()


class TestApp:
    """One application for a test worker; its database is emptied between tests."""

    __test__ = False

    def __init__(self, app: FastAPI, clock: Clock, seeds: dict[str, list[dict[str, Any]]]) -> None:
        self.app = app
        self.clock = clock
        self._seeds = seeds

    @property
    def runtime(self) -> Runtime:
        """What the handlers work on."""
        runtime: Runtime = self.app.state.runtime
        return runtime

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """Return a client; with `token` it is logged in with an API token."""
        if token is not None:
            headers["Authorization"] = f"Token {token}"
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)

    async def reset(self) -> None:
        """Empty all tables and put the seeds back; the change sequence goes on, so no cache can lie."""
        tables = [table for table in all_metadata().metadata.sorted_tables if table.fullname not in KEPT]
        async with self.runtime.database.engine.begin() as connection:
            await connection.execute(
                text(
                    "TRUNCATE " + ", ".join(table.fullname for table in tables) + " RESTART IDENTITY CASCADE"
                )
            )
            for table in tables:
                if rows := self._seeds.get(table.fullname):
                    await connection.execute(table.insert(), rows)
        self.runtime.limits.give_up_blocks()
        if isinstance(self.clock, FrozenClock):
            self.clock.set(NOW)

    @contextlib.contextmanager
    def statements(self) -> Any:
        """Collect the SQL statements that are executed in the block (BEGIN and COMMIT are not among them)."""
        collected: list[str] = []

        def collect(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            collected.append(statement)

        engine = self.runtime.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", collect)
        try:
            yield collected
        finally:
            event.remove(engine, "before_cursor_execute", collect)


async def _seeds(engine: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    seeds: dict[str, list[dict[str, Any]]] = {}
    async with engine.connect() as connection:
        for table in all_metadata().metadata.sorted_tables:
            if table.fullname not in KEPT:
                rows = (await connection.execute(table.select())).mappings().all()
                seeds[table.fullname] = [dict(row) for row in rows]
    return seeds


@asynccontextmanager
async def running_app(
    url: str, data_dir: Path, clock: Clock | None = None, **overrides: Any
) -> AsyncIterator[TestApp]:
    """Run the application on the database at `url` until the block ends."""
    options: dict[str, Any] = {
        "data_dir": data_dir,
        "database_url": url.replace("postgresql+asyncpg://", "postgresql://", 1),
        "secret_key": "test-key-" + "0123456789abcdef" * 3,
        "log_level": "WARNING",
        "scheduler_enabled": False,
        "database_pool_size": 5,
    }
    clock = clock or FrozenClock(NOW)
    app = create_app(Settings(**(options | overrides)), clock=clock)
    async with app.router.lifespan_context(app):
        boot = app.state.boot
        async with asyncio.timeout(60):
            while boot.waiting_for is not None:
                if boot.error is not None:
                    raise boot.error
                await asyncio.sleep(0.01)
        yield TestApp(app, clock, await _seeds(boot.runtime.database.engine))
