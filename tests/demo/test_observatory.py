"""The main job end to end: requests are scheduled, observed, accounted for, archived, whatever is killed."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ocs.demo import network
from tests.support.process import OCS, environment, free_port, kill_group, run, until_ready

PEOPLE = network.observatory_file(datetime.now(UTC))["users"]
TOKENS = {user["username"]: user["token"] for user in PEOPLE}


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


@asynccontextmanager
async def demo(data_dir: Path, port: int, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `ocs demo`, its people there; kill -9 the whole process group at the end of the block."""
    log = data_dir.parent / "demo.log"
    with log.open("a") as output:
        process = await asyncio.create_subprocess_exec(
            *OCS,
            *("demo", "--data-dir", str(data_dir), "--port", str(port), *options),
            env=environment(data_dir),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        await until_ready(f"http://127.0.0.1:{port}", process, log)
        async with client(port, "admin") as admin:

            async def has_people() -> bool:
                return (await admin.get("/api/profile/")).status_code == 200

            await until(has_people, 30)
        yield process
    finally:
        kill_group(process)
        await process.wait()


def client(port: int, username: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Token {TOKENS[username]}"},
        timeout=60,
        trust_env=False,
    )


async def rows(admin: httpx.AsyncClient, path: str, **params: str) -> list[dict[str, object]]:
    answer = await admin.get(path, params={**params, "limit": "1000"})
    answer.raise_for_status()
    found: list[dict[str, object]] = answer.json()["results"]
    return found


class Acknowledged:
    """Everything the server said it has, which no kill may take away."""

    def __init__(self) -> None:
        self.groups: set[int] = set()
        self.completed: set[int] = set()
        self.frames: dict[int, str] = {}

    async def note(self, admin: httpx.AsyncClient) -> None:
        self.groups |= {int(str(row["id"])) for row in await rows(admin, "/api/requestgroups/")}
        self.completed |= {
            int(str(row["id"])) for row in await rows(admin, "/api/requests/", state="COMPLETED")
        }
        for frame in await rows(admin, "/frames/"):
            versions = frame["version_set"]
            assert isinstance(versions, list)
            self.frames[int(str(frame["id"]))] = versions[0]["md5"]

    async def check(self, admin: httpx.AsyncClient) -> None:
        now = Acknowledged()
        await now.note(admin)
        assert now.groups >= self.groups
        assert now.completed >= self.completed
        assert now.frames.items() >= self.frames.items()


async def download_all(admin: httpx.AsyncClient) -> int:
    """Download every frame without a login and compare its md5; return how many there are."""
    frames = await rows(admin, "/frames/")
    async with httpx.AsyncClient(trust_env=False, timeout=60) as anybody:
        for frame in frames:
            versions = frame["version_set"]
            assert isinstance(versions, list)
            content = (await anybody.get(str(frame["url"]))).content
            assert hashlib.md5(content).hexdigest() == versions[0]["md5"]
    return len(frames)


async def test_ten_kills_lose_nothing_acknowledged_and_the_loop_goes_on(data_dir: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged, port = Acknowledged(), free_port()
    options = ("--rate", "120", "--requests", "40")
    for _ in range(10):
        async with demo(data_dir, port, *options), client(port, "admin") as admin:
            await acknowledged.check(admin)
            async with asyncio.timeout(60):
                loop = asyncio.get_running_loop()
                end = loop.time() + chance.uniform(0.5, 4.0)
                while loop.time() < end:
                    await acknowledged.note(admin)
                    await asyncio.sleep(0.05)
    async with demo(data_dir, port, *options), client(port, "admin") as admin:
        await acknowledged.check(admin)
        completed, frames = len(acknowledged.completed), len(acknowledged.frames)

        async def goes_on() -> bool:
            await acknowledged.note(admin)
            return len(acknowledged.completed) >= completed + 2 and len(acknowledged.frames) >= frames + 2

        await until(goes_on, 200)
        assert await download_all(admin) >= len(acknowledged.frames) > 0


async def test_once_completes_verifies_and_exits(data_dir: Path) -> None:
    code, output = await run(
        *("demo", "--data-dir", str(data_dir), "--port", "0", "--once", "--count", "4"),
        *("--deadline", "270", "--requests", "60"),
        env=environment(data_dir),
        timeout_s=280,
    )
    assert code == 0, output
    assert re.search(r"\d+ frames \(.* MB\) downloaded and equal", output)


async def test_once_fails_with_the_reason_when_nothing_gets_done(data_dir: Path) -> None:
    code, output = await run(
        *("demo", "--data-dir", str(data_dir), "--port", "0", "--once", "--deadline", "1", "--requests", "1"),
        env=environment(data_dir),
    )
    assert code == 1
    assert "of 20 requests were completed" in output


async def test_reset_spares_what_is_not_a_demo(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "precious").write_text("x")
    code, output = await run("demo", "--data-dir", str(data_dir), "--reset", env=environment(data_dir))
    assert (code, "does not belong to a demo" in output) == (1, True)
    assert (data_dir / "precious").exists()


@pytest.mark.nightly
async def test_twenty_requests_on_four_telescopes_within_five_minutes(data_dir: Path) -> None:
    code, output = await run(
        *("demo", "--data-dir", str(data_dir), "--port", "0", "--once"),
        env=environment(data_dir),
        timeout_s=400,
    )
    assert code == 0, output
