"""The server that all workers of a test run share."""

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil

from tests.support.postgres import (
    connection,
    create_database,
    drop_database,
    shared_server,
    template_database,
)

USER = """
import asyncio, json, sys
from tests.support.postgres import connection, shared_server
async def main():
    async with connection(shared_server()) as c:
        started = await c.fetchval("SELECT pg_postmaster_start_time()::text")
        print(json.dumps([shared_server(), started]), flush=True)
asyncio.run(main())
sys.stdin.read()
"""


def test_workers_of_one_run_share_a_server_that_ends_with_the_last() -> None:
    run = uuid.uuid4().hex
    environment = os.environ | {"PYTEST_XDIST_TESTRUNUID": run, "OCS_TEST_DATABASE_URL": ""}
    users = [
        subprocess.Popen(
            [sys.executable, "-c", USER],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [json.loads(user.stdout.readline()) for user in users if user.stdout is not None]
    assert len({tuple(answer) for answer in answers}) == 1
    folder = Path(tempfile.gettempdir()) / f"ocs-tests-{run}"
    postmaster = psutil.Process(int((folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0]))
    users[0].kill()
    for user in users[1:]:
        user.communicate("")
    users[0].communicate()
    deadline = time.monotonic() + 20
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not postmaster.is_running()


async def test_a_template_is_filled_once_and_copied() -> None:
    server = shared_server()
    fills = []

    async def fill(url: str) -> None:
        fills.append(url)
        async with connection(url) as filled:
            await filled.execute("CREATE TABLE filled (); ")

    for _ in range(2):
        await template_database(server, "template_of_a_test", fill)
    assert len(fills) <= 1  # none if another worker did it
    url = await create_database(server, "template_of_a_test")
    async with connection(url) as copy:
        assert await copy.fetchval("SELECT count(*) FROM filled") == 0
    await drop_database(url, server)
