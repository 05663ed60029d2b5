"""The database schema's version: migrate, compare, refuse.

Each module has a branch of migrations of its own (`migrations/<module>/`), so that an installation can leave
modules out and modules can grow without waiting for each other.
"""

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

if TYPE_CHECKING:
    from alembic.config import Config

_ASSIGNMENT = re.compile(r"^(revision|down_revision|depends_on) = (.+)$", re.MULTILINE)
MIGRATION_LOCK = 0x6F6373_02


class SchemaError(Exception):
    """The database has a schema this version cannot work with; the text says what to do."""


def _migrations_dir() -> Path:
    package = find_spec("ocs")
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent / "_migrations"
    return installed if installed.is_dir() else installed.parents[1] / "migrations"


@cache
def _revisions() -> dict[str, tuple[str, ...]]:
    """Return what each revision of this version stands on, read without importing Alembic, which is slow."""
    revisions: dict[str, tuple[str, ...]] = {}
    for file in _migrations_dir().glob("*/[0-9]*.py"):
        values = {name: ast.literal_eval(value) for name, value in _ASSIGNMENT.findall(file.read_text())}
        below = (values["down_revision"], *(values["depends_on"] or ()))
        revisions[values["revision"]] = tuple(name for name in below if name is not None)
    return revisions


def _with_all_below(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _revisions()[name]
    return found


async def is_current(connection: AsyncConnection) -> bool:
    """Tell whether the database has exactly this version's schema.

    Raises
    ------
    SchemaError
        When the database is newer than this version.
    """
    exists = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    rows = (await connection.scalars(text("SELECT version_num FROM alembic_version"))).all() if exists else ()
    if unknown := set(rows) - set(_revisions()):
        raise SchemaError(
            f"The database was written by a newer version of ocs (schema {', '.join(sorted(unknown))}); "
            "install that version or restore a backup."
        )
    # A row stands for everything below it, also in other branches.
    return _with_all_below(rows) == set(_revisions())


def alembic_config() -> "Config":
    """Return the configuration of the migrations this package carries."""
    from alembic.config import Config  # slow to import, and rarely needed

    root = _migrations_dir()
    config = Config()
    config.set_main_option("script_location", str(root))
    config.set_main_option("path_separator", "newline")
    branches = sorted(path for path in root.iterdir() if path.is_dir() and any(path.glob("[0-9]*.py")))
    config.set_main_option("version_locations", "\n".join(map(str, branches)))
    config.set_main_option("file_template", "%%(rev)s")
    return config


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


async def migrate(engine: AsyncEngine) -> bool:
    """Bring the database to this version's schema; safe to call on several replicas at once.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    SchemaError
        When the database is newer than this version, or older than Postgres 15.
    """
    async with engine.connect() as connection:
        version: str = (await connection.execute(text("SHOW server_version_num"))).scalar_one()
        if int(version) < 150000:
            raise SchemaError(f"Postgres {int(version) // 10000} is too old; ocs needs 15 or newer.")
        if await is_current(connection):
            return False
        # Held by the session, so that it outlives the transactions of the migrations.
        await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        await connection.commit()
        try:
            if await is_current(connection):
                return False
            await connection.run_sync(_upgrade)
            await connection.commit()
            return True
        finally:
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            await connection.commit()
