"""One Postgres for a whole test run, however many workers it has.

The first worker that needs it starts a process of its own that runs the embedded server; each worker holds a
shared lock while it lives, and the server ends when nobody holds it any more, however the workers ended.
`OCS_TEST_DATABASE_URL` names an outside server to test against instead (the role must be allowed to create
databases).
"""

import asyncio
import contextlib
import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO

import asyncpg
from sqlalchemy import make_url

from ocs.kernel.datafolder import DataFolder
from ocs.kernel.postgres import EmbeddedPostgres

# Tests may lose data on a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}

_in_use: list[IO[str]] = []


@functools.cache
def shared_server() -> str:
    """Return the SQLAlchemy URL of the run's server, started by the first who asks."""
    if outside := os.environ.get("OCS_TEST_DATABASE_URL"):
        return make_url(outside).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"ocs-tests-{run}"
    folder.mkdir(mode=0o711, exist_ok=True)
    in_use = (folder / "in-use").open("w")
    fcntl.flock(in_use, fcntl.LOCK_SH)
    _in_use.append(in_use)
    answer = folder / "url"
    with (folder / "starting").open("w") as starting, (folder / "log").open("a") as log:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not answer.exists():
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.postgres", str(folder)],
                cwd=Path(__file__).parents[2],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            while not answer.exists():
                if server.poll() is not None:
                    raise RuntimeError(f"the test server did not start: {(folder / 'log').read_text()}")
                time.sleep(0.02)
    return answer.read_text()


async def _serve(folder: Path) -> None:
    data = DataFolder(folder / "data")
    async with data.own("tests"), EmbeddedPostgres(data.path, log=print, settings=FAST) as postgres:
        draft = folder / "url.draft"
        draft.touch(mode=0o600)
        draft.write_text(postgres.dsn)
        draft.rename(folder / "url")
        with (folder / "in-use").open("w") as in_use:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                await asyncio.sleep(0.1)
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def connection(url: str, database: str | None = None) -> AsyncIterator[asyncpg.Connection]:
    """Connect to a database of the server that a SQLAlchemy URL names."""
    dsn = make_url(url).set(drivername="postgresql")
    if database is not None:
        dsn = dsn.set(database=database)
    opened = await asyncpg.connect(dsn.render_as_string(hide_password=False))
    try:
        yield opened
    finally:
        with contextlib.suppress(OSError):  # the server was killed meanwhile
            await opened.close()


async def create_database(url: str, template: str = "template0") -> str:
    """Create a database of a fresh name, as a copy of `template`; return its URL."""
    name = f"ocs_test_{uuid.uuid4().hex}"
    async with connection(url) as admin:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def drop_database(url: str, of_server: str) -> None:
    """Drop a database made by `create_database`, with the connections that are still open."""
    async with connection(of_server) as admin:
        await admin.execute(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')


async def template_database(url: str, name: str, fill: Callable[[str], Awaitable[None]]) -> str:
    """Make a template once per run: `fill` gets the URL of the empty database; return the template's name."""
    async with connection(url) as admin:
        await admin.execute("SELECT pg_advisory_lock(hashtext($1))", name)
        if not await admin.fetchval("SELECT datistemplate FROM pg_database WHERE datname = $1", name):
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            await fill(make_url(url).set(database=name).render_as_string(hide_password=False))
            await admin.execute(f'ALTER DATABASE "{name}" WITH IS_TEMPLATE true')
    return name


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
