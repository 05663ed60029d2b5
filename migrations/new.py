"""Write the next migration of one module from its models.

    OCS_DATABASE_URL=postgresql://... python migrations/new.py configdb configdb_0002 "Add slew limits"

The database must be at the heads of all branches. Read and trim what comes out before committing it.
"""

import asyncio
import sys

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from ocs.kernel.schema import alembic_config
from ocs.kernel.settings import load_settings
from ocs.main import all_metadata


def write(connection: Connection, branch: str, revision: str, message: str) -> None:
    config = alembic_config()
    folder = f"{config.get_main_option('script_location')}/{branch}"
    locations = config.get_main_option("version_locations") or ""
    if folder not in locations.split("\n"):
        config.set_main_option("version_locations", f"{locations}\n{folder}")
    config.attributes["connection"] = connection
    config.attributes["only_schemas"] = all_metadata().branches[branch]
    script = ScriptDirectory.from_config(config)
    heads = [head for head in script.get_heads() if head.startswith(f"{branch}_")]
    command.revision(
        config,
        message,
        autogenerate=True,
        rev_id=revision,
        version_path=folder,
        head=heads[0] if heads else "base",
        splice=bool(heads),
        branch_label=None if heads else branch,
    )


async def main() -> None:
    branch, revision, message = sys.argv[1:]
    url = load_settings().database_url
    assert url is not None, "set OCS_DATABASE_URL"
    engine = create_async_engine(url.get_secret_value().replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.connect() as connection:
        await connection.run_sync(write, branch, revision, message)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
