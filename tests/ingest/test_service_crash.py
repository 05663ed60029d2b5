"""C1: the service is killed while it ingests; nothing is lost, nothing is there twice."""

import asyncio
import hashlib
import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from ocs.kernel.objects import FolderStore
from tests.ingest.crash_child import serve
from tests.ingest.fits_samples import header, write

FILES_PER_KILL = 6


class Service:
    """A process that ingests; it starts fast because it is forked from one that has imported everything."""

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["tests.ingest.crash_child"])

    def __init__(self, url: str, data_dir: Path) -> None:
        started, sender = self._context.Pipe(duplex=False)
        self._process = self._context.Process(target=serve, args=(url, data_dir, sender))
        self._process.start()
        assert started.poll(60), "the service did not start"
        assert started.recv() == "working"

    def kill(self) -> None:
        """Kill the service with all its processes."""
        assert self._process.pid is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.nightly)])
async def test_C1_service_killed_during_ingest(database_url: str, tmp_path: Path, kills: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    contents: dict[str, bytes] = {}
    for kill in range(kills):
        for number in range(FILES_PER_KILL):
            name = f"a{kill:03d}-{number}.fits"
            contents[name] = write(incoming / name, header(BLKUID=kill * 10 + number)).read_bytes()
        done, moment_s = chance.randrange(FILES_PER_KILL), chance.uniform(0.0, 0.06)
        print(f"kill {kill} after {done} files and {moment_s:.3f} s")
        enough = len(_waiting(incoming)) - done
        service = await asyncio.to_thread(Service, database_url, tmp_path)
        async with asyncio.timeout(60):
            while len(_waiting(incoming)) > enough:
                await asyncio.sleep(0.001)
        await asyncio.sleep(moment_s)  # the moment of the kill, from the seed
        service.kill()
        await _check_nothing_unreadable(database_url, tmp_path / "objects")
    engine = create_async_engine(database_url)
    service = await asyncio.to_thread(Service, database_url, tmp_path)
    try:
        async with asyncio.timeout(120 + kills):
            while _waiting(incoming):
                await asyncio.sleep(0.05)
    finally:
        service.kill()
    async with engine.connect() as connection:
        rows = (
            await connection.execute(
                text(
                    "SELECT f.basename || v.extension, v.md5 "
                    "FROM archive.frame f JOIN archive.version v ON v.frame_id = f.id"
                )
            )
        ).all()
    await engine.dispose()
    assert sorted(tuple(row) for row in rows) == sorted(
        (name, hashlib.md5(content).hexdigest()) for name, content in contents.items()
    )
    await _check_nothing_unreadable(database_url, tmp_path / "objects")
    await _check_no_orphans(tmp_path / "objects", {row[1] for row in rows})


def _waiting(incoming: Path) -> list[Path]:
    return list(incoming.glob("*.fits"))


async def _check_nothing_unreadable(url: str, objects: Path) -> None:
    """I5: every frame has its file, of the recorded size and md5."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT md5, size FROM archive.version"))).all()
    await engine.dispose()
    for md5, size in rows:
        content = (objects / ".versions" / md5[:2] / md5).read_bytes()
        assert (hashlib.md5(content).hexdigest(), len(content)) == (md5, size)


async def _check_no_orphans(objects: Path, wanted: set[str]) -> None:
    async def known(md5s: list[str]) -> set[str]:
        return set(md5s) & wanted

    await FolderStore(objects).clean(known, older_than_s=-1)
    left = {path.name for path in objects.rglob("*") if path.is_file()}
    assert left == wanted
