"""Cost of request groups: checking, submitting and listing them, and what schedulers ask for.

CPU milliseconds of the application in this process (median and least; Postgres works beside it), and SQL
statements::

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.requests [--profile NAME]
"""

import argparse
import asyncio
import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tests.support import postgres
from tests.support.accounts import create_user
from tests.support.app import TestApp, migrate, running_app
from tests.support.requests import GROUPS, create_observatory, group, many, multiply

GROUPS_STORED = 2000


async def call(app: TestApp, token: str, method: str, path: str, body: Any = None) -> int:
    """Give the application one request, without the cost of a client; return the length of the answer."""
    path, _, query = path.partition("?")
    content = b"" if body is None else orjson.dumps(body)
    headers = [
        (b"host", b"testserver"),
        (b"authorization", f"Token {token}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app.app(scope, receive, send)
    assert sent[0]["status"] in {200, 201}, sent
    return sum(len(message.get("body", b"")) for message in sent)


def variants() -> Callable[[int], dict[str, Any]]:
    """Return what makes the n-th payload, each with a target of its own."""

    def nth(index: int) -> dict[str, Any]:
        payload = group(name=f"bench {index}")
        payload["requests"][0]["configurations"][0]["target"]["ra"] = 20 + index % 200 * 0.1
        return payload

    return nth


async def main() -> None:
    """Measure on a fresh database."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", default="")
    wanted = parser.parse_args().profile
    url = await postgres.create_database(postgres.shared_server())
    await migrate(url)
    nth = variants()
    with tempfile.TemporaryDirectory() as folder:
        async with running_app(url, Path(folder)) as app:
            alice = await create_observatory(app)
            staff = await create_user(app, "boss", is_staff=True, staff_view=True)
            await call(app, alice, "POST", GROUPS, group())
            await multiply(app, GROUPS_STORED - 1)
            for name, token, method, path, body, repeats in (
                ("validate", alice, "POST", f"{GROUPS}validate/", nth, 60),
                ("submit a group", alice, "POST", GROUPS, nth, 60),
                ("submit a group of 10 requests", alice, "POST", GROUPS, lambda _: many(10), 10),
                ("list of 100 groups", alice, "GET", f"{GROUPS}?limit=100", None, 30),
                (
                    "schedulable_requests of 2000 groups",
                    staff,
                    "GET",
                    f"{GROUPS}schedulable_requests/",
                    None,
                    7,
                ),
            ):
                seconds = []
                profile = cProfile.Profile() if wanted and wanted in name else None
                for index in range(repeats + 3):
                    sent = body(index) if body else None
                    if profile and index == 3:
                        profile.enable()
                    start = time.process_time()
                    with app.statements() as statements:
                        length = await call(app, token, method, path, sent)
                    seconds.append(time.process_time() - start)
                if profile:
                    profile.disable()
                    pstats.Stats(profile).sort_stats("tottime").print_stats(35)
                median_ms, least_ms = statistics.median(seconds[3:]) * 1e3, min(seconds) * 1e3
                print(
                    f"{name:36} {median_ms:7.2f} ms (at best {least_ms:6.2f}) "
                    f"{len(statements):3} statements {length:8} bytes"
                )


if __name__ == "__main__":
    asyncio.run(main())
