"""The database schema's version: migrate, compare, refuse.

Each module has a branch of migrations of its own (`migrations/<module>/`), so that an installation can leave
modules out and modules can grow without waiting for each other.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATION_LOCK = 0x6F6373_02


class SchemaError(Exception):
    """The database has a schema this version cannot work with; the text says what to do."""


def _migrations_dir() -> Path:
    package = find_spec("ocs")
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent / "_migrations"
    return installed if installed.is_dir() else installed.parents[1] / "migrations"


def alembic_config() -> Config:
    """Return the configuration of the migrations this package carries."""
    root = _migrations_dir()
    config = Config()
    config.set_main_option("script_location", str(root))
    config.set_main_option("path_separator", "newline")
    branches = sorted(path for path in root.iterdir() if path.is_dir() and any(path.glob("[0-9]*.py")))
    config.set_main_option("version_locations", "\n".join(map(str, branches)))
    config.set_main_option("file_template", "%%(rev)s")
    return config


def _is_current(connection: Connection) -> bool:
    script = ScriptDirectory.from_config(alembic_config())
    current = MigrationContext.configure(connection).get_current_heads()
    if unknown := set(current) - {revision.revision for revision in script.walk_revisions()}:
        raise SchemaError(
            f"The database was written by a newer version of ocs (schema {', '.join(sorted(unknown))}); "
            "install that version or restore a backup."
        )
    # The database does not name a head that another one depends on, so what is applied is everything below.
    applied = {revision.revision for revision in script.iterate_revisions(current, "base")}
    return applied >= set(script.get_heads())


def _upgrade(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


async def is_current(engine: AsyncEngine) -> bool:
    """Tell whether the database has exactly this version's schema."""
    async with engine.connect() as connection:
        return await connection.run_sync(_is_current)


async def migrate(engine: AsyncEngine) -> Sequence[str]:
    """Bring the database to this version's schema; safe to call on several replicas at once.

    Returns
    -------
    sequence of str
        The schema's heads.

    Raises
    ------
    SchemaError
        When the database is newer than this version, or older than Postgres 15.
    """
    async with engine.connect() as connection:
        version: str = (await connection.execute(text("SHOW server_version_num"))).scalar_one()
        if int(version) < 150000:
            raise SchemaError(f"Postgres {int(version) // 10000} is too old; ocs needs 15 or newer.")
        await connection.commit()
        if not await connection.run_sync(_is_current):
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.commit()
            try:
                if not await connection.run_sync(_is_current):
                    await connection.rollback()
                    await connection.run_sync(_upgrade)
                    await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
                await connection.commit()
        return sorted(ScriptDirectory.from_config(alembic_config()).get_heads())
