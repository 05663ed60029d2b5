"""The data folder: one owner at a time, secrets generated once, demo mark."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ocs.kernel.datafolder import DataFolder, Owner, StartError

SERVER = """
import asyncio, os, sys
from pathlib import Path
from ocs.kernel.datafolder import DataFolder
async def main():
    folder = DataFolder(Path(sys.argv[1]))
    async with folder.own("ocs serve", is_server=True):
        folder.publish("postgresql+asyncpg://first")
        if os.fork() == 0:
            print(os.getpid(), flush=True)
        os.read(0, 1)
asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def test_a_secret_is_made_once_and_only_we_can_read_it(folder: DataFolder) -> None:
    first = folder.secret("key")
    path = folder.path / "secrets" / "key"
    assert len(first) == 64
    assert DataFolder(folder.path).secret("key") == first == path.read_text()
    assert folder.secret("other") != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(file.name for file in path.parent.iterdir()) == ["key", "other"]


def test_all_who_race_for_a_secret_get_the_same(folder: DataFolder) -> None:
    folder.create()
    with ThreadPoolExecutor(16) as pool:
        for n in range(20):
            found = list(pool.map(lambda _, n=n: DataFolder(folder.path).secret(f"key-{n}"), range(16)))
            assert len(set(found)) == 1
            assert len(found[0]) == 64


def test_a_demo_folder_stays_one(folder: DataFolder) -> None:
    assert not folder.is_demo
    folder.mark_demo()
    folder.mark_demo()
    assert DataFolder(folder.path).is_demo


def test_a_path_that_cannot_be_a_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"tmp.*file/data cannot be used .*OCS_DATA_DIR"):
        DataFolder(tmp_path / "file" / "data").create()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away as root")
async def test_root_leaves_only_files_that_the_owner_of_the_folder_can_use(folder: DataFolder) -> None:
    folder.create()
    os.chown(folder.path, 1234, 1234)
    async with folder.own("ocs user"):
        folder.secret("key")
    for path in folder.path.rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1234), path


async def test_the_owner_is_known_while_it_owns(folder: DataFolder) -> None:
    assert folder.owner() is None
    async with folder.own("ocs migrate"):
        assert DataFolder(folder.path).owner() == Owner(os.getpid(), "ocs migrate", is_server=False)
        folder.publish("postgresql+asyncpg://here")
        owner = DataFolder(folder.path).owner()
        assert owner is not None
        assert owner.database_url == "postgresql+asyncpg://here"
        assert stat.S_IMODE((folder.path / "lock").stat().st_mode) == 0o600
    assert folder.owner() is None


async def test_a_server_waits_for_a_command_and_says_for_which(folder: DataFolder) -> None:
    waited_for: list[Owner | None] = []
    waits = asyncio.Event()

    def waiting(owner: Owner | None) -> None:
        waited_for.append(owner)
        waits.set()

    async def serve() -> str:
        async with DataFolder(folder.path).own("ocs serve", is_server=True, waiting=waiting):
            return "owns"

    async with asyncio.timeout(20):
        async with folder.own("ocs init"):
            server = asyncio.create_task(serve())
            await waits.wait()
            assert not server.done()
        assert await server == "owns"
    assert waited_for == [Owner(os.getpid(), "ocs init", is_server=False)]


async def test_a_second_server_is_refused_with_the_name_of_the_first(folder: DataFolder) -> None:
    async with folder.own("ocs demo", is_server=True):
        with pytest.raises(StartError, match=rf"`ocs demo` \(process {os.getpid()}\) already runs on"):
            async with DataFolder(folder.path).own("ocs serve", is_server=True, server_patience_s=0.1):
                pass
    async with DataFolder(folder.path).own("ocs serve", is_server=True):
        pass


async def test_commands_take_turns(folder: DataFolder) -> None:
    inside = 0

    async def command() -> None:
        nonlocal inside
        async with DataFolder(folder.path).connect_or_own("ocs user") as server:
            assert server is None
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(command() for _ in range(5)))


async def test_a_command_waits_until_a_starting_server_tells_its_database(folder: DataFolder) -> None:
    waits = asyncio.Event()

    async def command() -> str | None:
        async with DataFolder(folder.path).connect_or_own(
            "ocs user", waiting=lambda _: waits.set()
        ) as server:
            return server and server.database_url

    async with asyncio.timeout(20), folder.own("ocs serve", is_server=True):
        running = asyncio.create_task(command())
        await waits.wait()
        folder.publish("postgresql+asyncpg://here")
        assert await running == "postgresql+asyncpg://here"


async def test_a_killed_server_owns_nothing_even_if_its_children_live_on(folder: DataFolder) -> None:
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", SERVER, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    child = int(server.stdout.readline())
    try:
        owner = folder.owner()
        assert owner is not None
        assert owner.pid == server.pid
        server.kill()
        server.wait()
        os.kill(child, 0)
        assert folder.owner() is None
        async with asyncio.timeout(5), folder.connect_or_own("ocs user") as found:
            assert found is None
    finally:
        os.kill(child, signal.SIGKILL)
        server.communicate()
