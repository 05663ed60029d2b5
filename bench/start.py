"""Seconds to ready, first and second start, and memory (PSS) of the processes.

python -m bench.start
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil


def pss_mb(process: psutil.Process) -> float:
    """Return the proportional set size of a process, MB."""
    return float(process.memory_full_info().pss) / 1e6


def memory(pid: int) -> tuple[float, float]:
    """Return the memory of the server process, and of it with all its children, MB."""
    server = psutil.Process(pid)
    own = pss_mb(server)
    children = 0.0
    for child in server.children(recursive=True):
        try:
            children += pss_mb(child)
        except psutil.NoSuchProcess:
            continue
    return own, own + children


async def start(data_dir: Path, port: int) -> tuple[float, float, float]:
    """Start, measure, stop; return seconds to ready, MB of the server, MB with Postgres."""
    env = os.environ | {"OCS_DATA_DIR": str(data_dir), "OCS_PORT": str(port)}
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ocs", "serve", env=env, stderr=asyncio.subprocess.DEVNULL
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        while True:
            try:
                if (await client.get("/ready")).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
    seconds = time.perf_counter() - begin
    own, everything = memory(process.pid)
    process.send_signal(signal.SIGTERM)
    await process.wait()
    return seconds, own, everything


async def main() -> None:
    """Print one line per start."""
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o711)  # as root, Postgres runs as somebody else
        for name in ("first", "second", "third"):
            seconds, own, everything = await start(Path(parent) / "data", 8765)
            size = f"server {own:.0f} MB, with Postgres {everything:.0f} MB"
            print(f"{name} start: ready in {seconds:.2f} s; {size}")


if __name__ == "__main__":
    asyncio.run(main())
