"""Cost of the configuration tree: CPU of application and database, latency, and applying a large file.

python -m bench.configdb
"""

import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from ocs.configdb import api
from ocs.kernel.datafolder import DataFolder
from ocs.kernel.postgres import EmbeddedPostgres
from ocs.kernel.settings import Settings
from ocs.main import create_app

REPEATS = 300


def network(sites: int, telescopes: int, instruments: int) -> dict[str, Any]:
    """Return the file of a network of equal sites, made of the parts of a template."""
    document: dict[str, Any] = yaml.safe_load(api.template("imager_and_spectrograph"))
    telescope = document["sites"][0]["enclosures"][0]["telescopes"][0]
    counter = itertools.count()
    document["cameras"] = document["cameras"][2:]
    document["sites"] = []
    for site in range(sites):
        domes = []
        for dome in range(telescopes):
            codes = [f"c{next(counter):04}" for _ in range(instruments)]
            document["cameras"] += [
                {"code": code, "camera_type": "imager", "optical_element_groups": ["filter wheel"]}
                for code in codes
            ]
            fitted = [
                {
                    "code": code,
                    "state": "SCHEDULABLE",
                    "instrument_type": "1M0-IMAGER",
                    "science_cameras": [code],
                    "autoguider_camera": "guide1",
                }
                for code in codes
            ]
            domes.append({"code": f"dom{dome}", "telescopes": [{**telescope, "instruments": fitted}]})
        document["sites"].append(
            {"code": f"s{site:02}", "elevation": 2000, "timezone": 0, "enclosures": domes}
        )
    return document


async def get(app: Any, path: str, etag: str = "") -> tuple[int, dict[bytes, bytes], int]:
    """Call the application without a server; return status, headers and size."""
    headers = [(b"host", b"bench"), (b"accept-encoding", b"gzip"), (b"if-none-match", etag.encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("bench", 80),
        "root_path": "",
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sum(len(item.get("body", b"")) for item in sent[1:])


def cpu_s() -> float:
    """Return the CPU time of this process and of its Postgres, s."""
    own = psutil.Process()
    times = [own.cpu_times(), *(child.cpu_times() for child in own.children(recursive=True))]
    return sum(item.user + item.system for item in times)


async def measure(app: Any, title: str, etag: str = "") -> None:
    """Print CPU and latency of the tree."""
    status, _, size = await get(app, "/configdb/sites/", etag)
    begin_s = cpu_s()
    latencies_ms = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        await get(app, "/configdb/sites/", etag)
        latencies_ms.append((time.perf_counter() - start) * 1000)
    cpu_ms = (cpu_s() - begin_s) / REPEATS * 1000
    p99 = statistics.quantiles(latencies_ms, n=100)[98]
    print(
        f"{title}: {status}, {size} bytes sent, {cpu_ms:.2f} ms CPU (application and database), "
        f"median {statistics.median(latencies_ms):.2f} ms, p99 {p99:.2f} ms"
    )


async def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        Path(folder).chmod(0o711)
        data = DataFolder(Path(folder) / "data")
        async with data.own("bench"), EmbeddedPostgres(data.path, log=lambda _: None) as postgres:
            url = postgres.dsn.replace("postgresql+asyncpg://", "postgresql://", 1)
            settings = Settings(
                data_dir=data.path, database_url=url, log_level="ERROR", scheduler_enabled=False
            )
            app = create_app(settings)
            async with app.router.lifespan_context(app):
                while app.state.boot.waiting_for is not None:
                    await asyncio.sleep(0.01)
                runtime = app.state.runtime
                for title, document in (
                    ("three sites", yaml.safe_load(api.template("three_sites"))),
                    ("20 sites x 3 telescopes x 4 instruments", network(20, 3, 4)),
                ):
                    start = time.perf_counter()
                    async with runtime.database.write() as session:
                        result = await api.apply_file(session, document, now=runtime.clock.now())
                    assert not result.problems, result.problems[:3]
                    print(f"{title}: applied in {time.perf_counter() - start:.2f} s")
                    start = time.perf_counter()
                    _, headers, _ = await get(app, "/configdb/sites/")
                    print(f"{title}: first read after a change {(time.perf_counter() - start) * 1000:.0f} ms")
                    await measure(app, f"{title}, tree")
                    await measure(app, f"{title}, not modified", headers[b"etag"].decode())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
