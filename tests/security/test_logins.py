"""Logging in costs the others nothing, and tells nobody who has an account."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.accounts import create_user
from tests.support.app import TestApp

LOGIN = "/api/api-token-auth/"


async def test_S8_eight_parallel_logins_leave_the_event_loop_to_the_others(app: TestApp) -> None:
    names = [f"user{number}" for number in range(8)]
    started_s = time.perf_counter()
    stored = await app.runtime.passwords.hash("correct horse")
    hash_s = time.perf_counter() - started_s
    for name in names:
        await create_user(app, name, password_hash=stored)
    async with app.client() as client:

        async def log_in(name: str) -> int:
            answer = await client.post(LOGIN, json={"username": name, "password": "correct horse"})
            return answer.status_code

        logins = asyncio.gather(*(log_in(name) for name in names))
        started_s = time.perf_counter()
        waits_s: list[float] = []
        while not logins.done():
            asked_s = time.perf_counter()
            await asyncio.sleep(0)
            assert (await client.get("/api/clock/")).status_code == 200
            waits_s.append(time.perf_counter() - asked_s)
        took_s = time.perf_counter() - started_s
        assert await logins == [200] * 8
    # Hashes on the event loop would make the others wait for one after another, nearly all the time.
    assert sum(wait_s for wait_s in waits_s if wait_s > hash_s / 2) < took_s / 2


async def test_S8_a_wrong_name_costs_as_many_hashes_as_a_wrong_password(
    app: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_user(app, "known", password="correct horse")
    await create_user(app, "inactive", password="correct horse", is_active=False)
    await create_user(app, "unusable", password_hash="!")
    passwords = app.runtime.passwords
    verify = passwords._hash.verify_and_update
    hashes: list[str] = []

    def spy(password: str, stored: str) -> Any:
        hashes.append(stored)
        return verify(password, stored)

    monkeypatch.setattr(passwords._hash, "verify_and_update", spy)
    cost: dict[str, int] = {}
    bodies = set()
    async with app.client() as client:
        for name in ("known", "unknown", "inactive", "unusable", "known@example.org", "un@example.org"):
            hashes.clear()
            answer = await client.post(LOGIN, json={"username": name, "password": "wrong horse"})
            bodies.add((answer.status_code, answer.content))
            cost[name] = sum(stored.startswith("$argon2id$") for stored in hashes)
    assert len(bodies) == 1
    assert cost == dict.fromkeys(cost, 1)
