"""The kinds of session: which statements see one moment together, and what a connection remembers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event, text

from tests.support.app import TestApp

CHANGE = text("UPDATE kernel.change_counter SET value = value")


@contextmanager
def in_transaction(app: TestApp) -> Iterator[list[bool]]:
    """Collect, for each statement in the block, whether it ran in a transaction of the database."""
    collected: list[bool] = []

    def collect(connection: Any, *_: Any) -> None:
        collected.append(connection.connection.driver_connection.is_in_transaction())

    engine = app.runtime.database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", collect)
    try:
        yield collected
    finally:
        event.remove(engine, "after_cursor_execute", collect)


@pytest.mark.parametrize("snapshot", [True, False])
async def test_a_reader_has_a_transaction_only_for_a_snapshot(app: TestApp, snapshot: bool) -> None:
    with in_transaction(app) as found:
        async with app.runtime.database.read_session(snapshot=snapshot) as session:
            await session.execute(text("SELECT 1"))
            await session.execute(text("SELECT 1"))
    assert found == [snapshot, snapshot]


async def test_a_connection_forgets_that_it_had_no_transactions(app: TestApp) -> None:
    with in_transaction(app) as found:
        for _ in range(6):  # more often than the pool has connections
            async with app.runtime.database.read_session(snapshot=False) as session:
                await session.execute(text("SELECT 1"))
            async with app.runtime.database.write_session() as session:
                await session.execute(CHANGE)
    assert found == [False, True] * 6


async def test_the_tree_is_read_without_a_transaction_and_other_lists_with_one(
    app: TestApp, anonymous: httpx.AsyncClient
) -> None:
    with in_transaction(app) as found:
        await anonymous.get("/configdb/sites/")
    assert set(found) == {False}
    with in_transaction(app) as found:
        await anonymous.get("/downtime/api/")
    assert set(found) == {True}
