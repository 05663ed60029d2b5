"""Models and migrations say the same, forward and back."""

import asyncio

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from ocs.kernel import schema
from ocs.main import all_metadata
from tests.support import postgres


def _differences(connection: Connection) -> list[object]:
    ours = all_metadata()
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_name": lambda name, type_, _: type_ != "schema" or name in ours.schemas,
            "compare_type": True,
        },
    )
    return list(compare_metadata(context, ours.metadata))


async def test_models_and_migrations_are_the_same(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


def _down_and_up(connection: Connection) -> None:
    config = schema.alembic_config()
    config.attributes["connection"] = connection
    command.downgrade(config, "base")
    command.upgrade(config, "heads")


async def test_migrations_go_back_and_forward_again(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        await connection.run_sync(_down_and_up)
        await connection.commit()
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


async def test_two_replicas_may_migrate_at_once(postgres_url: str) -> None:
    url = await postgres.create_database(postgres_url)
    engines = [create_async_engine(url) for _ in range(3)]
    did = await asyncio.gather(*(schema.migrate(engine) for engine in engines))
    assert sorted(did) == [False, False, True]
    async with engines[0].connect() as connection:
        assert await schema.is_current(connection)
    for engine in engines:
        await engine.dispose()
    await postgres.drop_database(url, postgres_url)


async def test_an_older_schema_is_noticed(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await schema.is_current(connection)
        await connection.execute(text("DELETE FROM alembic_version WHERE version_num LIKE 'archive%'"))
        assert not await schema.is_current(connection)
    await engine.dispose()


async def test_a_newer_schema_is_refused_with_its_name(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO alembic_version VALUES ('kernel_9999')"))
    with pytest.raises(schema.SchemaError, match="kernel_9999"):
        await schema.migrate(engine)
    await engine.dispose()
