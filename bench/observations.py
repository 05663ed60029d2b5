"""Cost of the schedule: placing 50 observations, the page sites poll, and a telescope's report.

python -m bench.observations
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx

from tests.support import postgres
from tests.support.app import TestApp, migrate, running_app
from tests.support.observations import (
    END,
    OBSERVATIONS,
    SCHEDULE,
    START,
    create_observatory,
    create_staff,
    observation,
    requested,
    submit,
    z,
)

REPEATS = 30
POLL = {"site": "tst", "state": ["PENDING", "IN_PROGRESS"], "start_before": "2016-09-20", "limit": "50"}


async def measure(
    app: TestApp, name: str, call: Callable[[int], Awaitable[httpx.Response]], repeats: int = REPEATS
) -> None:
    """Print the median time of a call, and its SQL statements."""
    seconds = []
    for index in range(repeats):
        start = time.perf_counter()
        with app.statements() as statements:
            answer = await call(index)
        seconds.append(time.perf_counter() - start)
        assert answer.is_success, answer.text
    print(f"{name:40} {statistics.median(seconds) * 1000:7.1f} ms  {len(statements):3} statements")


async def main() -> None:
    """Measure on a fresh database."""
    url = await postgres.create_database(postgres.shared_server())
    await migrate(url)
    with tempfile.TemporaryDirectory() as folder:
        async with running_app(url, Path(folder)) as app:
            alice = app.client(token=await create_observatory(app))
            staff = app.client(token=await create_staff(app))
            groups = [await submit(alice, requested()) for _ in range(50)]
            sent = [
                observation(group, start=z(START + timedelta(minutes=index)), end=z(END))
                for index, group in enumerate(groups)
            ]
            await measure(app, "place 50 observations", lambda _: staff.post(OBSERVATIONS, json=sent), 10)
            await measure(app, "page of 50 for a site", lambda _: staff.get(SCHEDULE, params=POLL))
            await measure(app, "last_scheduled", lambda _: staff.get("/api/last_scheduled/?site=tst"))
            report = {
                "state": "COMPLETED",
                "summary": {
                    "start": z(START),
                    "end": z(END),
                    "state": "COMPLETED",
                    "time_completed": 100,
                },
            }
            await measure(
                app,
                "report a completed configuration",
                lambda index: staff.patch(f"/api/configurationstatus/{index + 1}/", json=report),
            )
            for client in (alice, staff):
                await client.aclose()


if __name__ == "__main__":
    asyncio.run(main())
