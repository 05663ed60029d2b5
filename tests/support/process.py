"""Run the product as its users do: as a process of its own."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

OCS = (sys.executable, "-m", "ocs")


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return a clean environment with the given settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OCS_")}
    return kept | {"OCS_DATA_DIR": str(data_dir), "OCS_LOG_LEVEL": "INFO"} | settings


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def run(
    *arguments: str, env: Mapping[str, str], program: tuple[str, ...] = OCS, timeout_s: float = 120
) -> tuple[int, str]:
    """Run a command to its end; return its exit code and everything it printed."""
    process = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    finally:
        kill_group(process)
    assert process.returncode is not None
    return process.returncode, output.decode()


def kill_group(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process and all its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)


async def until_ready(url: str, process: asyncio.subprocess.Process, log: Path, seconds: float = 60) -> None:
    """Wait until `/ready` is 200."""
    async with asyncio.timeout(seconds), httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while True:
            assert process.returncode is None, f"the server ended; see {log}"
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(
    data_dir: Path, *, program: tuple[str, ...] = OCS, cwd: Path | None = None, **settings: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run `ocs serve` on a data folder; give its address and process once it is ready."""
    port = free_port()
    log = data_dir.parent / f"serve-{port}.log"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *program,
            "serve",
            "--port",
            str(port),
            env=environment(data_dir, **settings),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await until_ready(url, process, log)
        yield url, process
        if process.returncode is None:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        kill_group(process)
        await process.wait()
