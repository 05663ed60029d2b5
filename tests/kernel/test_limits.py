"""Rate limits: exact, shared between replicas, told in the reference's words."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends
from sqlalchemy import text

from ocs.kernel.clock import Clock, FrozenClock
from ocs.kernel.errors import InvalidInput, TooManyRequests
from ocs.kernel.security import PortalUser
from ocs.kernel.settings import SettingsError, load_settings
from ocs.kernel.wire.limits import Limit, RateCounts, address_subject, parse_rate
from ocs.kernel.wire.route import Writing, make_router
from ocs.kernel.wire.types import WireModel
from tests.support.accounts import create_user
from tests.support.app import NOW, TestApp, running_app

CREATE = Limit("things.create", "3/day")
LOOK = Limit("things.look", "2/minute")
router = make_router("limited")
calls = {"count": 0}


class Thing(WireModel):
    name: str


@router.post("/api/limited/", dependencies=[Depends(CREATE.per_caller)])
async def create_thing(session: Writing, body: Thing) -> Thing:
    if body.name == "bad":
        await session.execute(text("INSERT INTO kernel.change VALUES ('limited', 'bad', 0, '2016-01-01')"))
        raise InvalidInput.fields(name="Not this one.")
    return body


@router.get("/api/limited/look/", dependencies=[Depends(LOOK.per_address)])
async def look() -> str:
    return "seen"


@router.get("/api/limited/mine/", dependencies=[Depends(Limit("things.mine", "2/minute").per_user)])
async def mine(_caller: PortalUser) -> str:
    return "mine"


@router.get("/api/limited/flaky/", dependencies=[Depends(Limit("things.flaky", "2/minute").per_address)])
async def flaky() -> str:
    calls["count"] += 1
    if calls["count"] % 2:
        raise ConnectionError("lost")
    return "at last"


@pytest_asyncio.fixture
async def replicas(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[TestApp, TestApp]]:
    """Two processes' worth of application on one database and one clock."""
    clock = FrozenClock(NOW)
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(
                running_app(
                    database_url,
                    tmp_path_factory.mktemp("data"),
                    clock,
                    trusted_proxies=["127.0.0.1"],
                )
            )
            for _ in range(2)
        ]
        for app in apps:
            app.app.include_router(router)
        yield apps[0], apps[1]


@pytest_asyncio.fixture
async def counts(database_url: str) -> AsyncIterator[list[RateCounts]]:
    """The counts of three replicas, and nothing else of them."""
    dsn = database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    made = [RateCounts(dsn, FrozenClock(NOW), {"configured": "2/hour"}) for _ in range(3)]
    yield made
    for one in made:
        await one.close()


async def take_until_refused(counts: RateCounts, default: str, most: int = 10_000) -> int:
    for taken in range(most):
        try:
            await counts.take("scope", "user:1", default)
        except TooManyRequests:
            return taken
    return most


async def test_S13_the_answer_over_the_limit_names_the_seconds_to_wait(
    replicas: tuple[TestApp, TestApp],
) -> None:
    app = replicas[0]
    app.clock.set(NOW.replace(hour=23, minute=59, second=30))  # type: ignore[attr-defined]
    async with app.client() as client:
        statuses = [(await client.post("/api/limited/", json={"name": "a"})).status_code for _ in range(3)]
        refused = await client.post("/api/limited/", json={"name": "a"})
        app.clock.advance(30)  # type: ignore[attr-defined]
        afterwards = await client.post("/api/limited/", json={"name": "a"})
    assert statuses == [200, 200, 200]
    assert refused.status_code == 429
    assert refused.json() == {"detail": "Request was throttled. Expected available in 30 seconds."}
    assert refused.headers["retry-after"] == "30"
    assert afterwards.status_code == 200


async def test_S13_replicas_share_one_limit(replicas: tuple[TestApp, TestApp]) -> None:
    statuses = []
    for app in (*replicas, *replicas):
        async with app.client() as client:
            statuses.append((await client.post("/api/limited/", json={"name": "a"})).status_code)
    assert statuses == [200, 200, 200, 429]


async def test_a_refused_body_and_a_rolled_back_request_count(replicas: tuple[TestApp, TestApp]) -> None:
    async with replicas[0].client() as client:
        answers = [
            await client.post("/api/limited/", json=body)
            for body in ({}, {"name": "bad"}, {"name": "a"}, {"name": "a"})
        ]
    assert [answer.status_code for answer in answers] == [400, 400, 200, 429]


async def test_users_count_apart_wherever_they_call_from_and_superusers_not_at_all(
    replicas: tuple[TestApp, TestApp],
) -> None:
    app = replicas[0]
    first, second, ingest = [
        await create_user(app, name, is_superuser=name == "ingest") for name in ("first", "second", "ingest")
    ]

    async def status(token: str | None, address: str) -> int:
        async with app.client(token, **{"X-Forwarded-For": address}) as client:
            return (await client.post("/api/limited/", json={"name": "a"})).status_code

    assert [await status(first, f"192.0.2.{k}") for k in range(4)] == [200, 200, 200, 429]
    assert await status(second, "192.0.2.1") == 200
    assert await status(None, "192.0.2.1") == 200
    assert [await status(ingest, "192.0.2.9") for _ in range(6)] == [200] * 6


async def test_S13_addresses_count_apart_and_only_a_trusted_peer_may_name_them(
    replicas: tuple[TestApp, TestApp],
) -> None:
    async def status(address: str, peer: str = "127.0.0.1") -> int:
        transport = httpx.ASGITransport(app=replicas[0].app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            answer = await client.get("/api/limited/look/", headers={"X-Forwarded-For": address})
        return answer.status_code

    assert [await status("192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert await status("192.0.2.2") == 200
    stranger = [await status(f"192.0.2.{k}", "203.0.113.7") for k in range(3)]
    assert stranger == [200, 200, 429]


async def test_a_caller_is_authenticated_once_and_counting_opens_no_pool_connection(
    replicas: tuple[TestApp, TestApp],
) -> None:
    app = replicas[0]
    user = await create_user(app, "somebody")
    async with app.client(user) as client:
        with app.statements() as statements:
            assert (await client.get("/api/limited/mine/")).status_code == 200
        assert len(statements) == 1
        assert (await client.get("/api/limited/mine/")).status_code == 200
        assert (await client.get("/api/limited/mine/")).status_code == 429
    async with app.client() as client:
        assert (await client.get("/api/limited/mine/")).status_code == 403


async def test_a_repeated_request_counts_once(replicas: tuple[TestApp, TestApp]) -> None:
    async with replicas[0].client() as client:
        statuses = [(await client.get("/api/limited/flaky/")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_more_callers_than_pool_connections_do_not_block_each_other(
    replicas: tuple[TestApp, TestApp],
) -> None:
    app = replicas[0]
    users = [await create_user(app, f"user{k}") for k in range(12)]  # the pool has 5 + 2 connections

    async def status(token: str) -> int:
        async with app.client(token) as client:
            return (await client.get("/api/limited/mine/")).status_code

    async with asyncio.timeout(10):
        statuses = await asyncio.gather(*(status(user) for user in users))
    assert statuses == [200] * 12


async def test_no_replica_lets_more_through_than_the_limit(counts: list[RateCounts]) -> None:
    async def hammer(one: RateCounts) -> int:
        return sum(await asyncio.gather(*(take_until_refused(one, "1000/day") for _ in range(5))))

    assert sum(await asyncio.gather(*(hammer(one) for one in counts))) == 1000


async def test_what_other_replicas_still_hold_is_at_most_one_per_cent_each(counts: list[RateCounts]) -> None:
    await take_until_refused(counts[0], "1000/day", most=1)
    await take_until_refused(counts[1], "1000/day", most=1)
    assert await take_until_refused(counts[2], "1000/day") == 980
    assert await take_until_refused(counts[0], "1000/day") == 9


async def test_a_limit_below_200_is_exact_on_every_replica(counts: list[RateCounts]) -> None:
    taken = 0
    for turn in range(150):
        taken += await take_until_refused(counts[turn % 3], "150/day", most=1)
    assert taken == 150
    assert [await take_until_refused(one, "150/day") for one in counts] == [0, 0, 0]


async def test_a_used_up_limit_costs_no_statement(counts: list[RateCounts], database_url: str) -> None:
    assert await take_until_refused(counts[0], "3/day") == 3
    await counts[0].close()
    assert await take_until_refused(counts[0], "3/day") == 0
    assert counts[0]._connection is None


async def test_a_configured_limit_replaces_the_default(counts: list[RateCounts]) -> None:
    for _ in range(2):
        await counts[0].take("configured", "user:1", "5000/day")
    with pytest.raises(TooManyRequests):
        await counts[0].take("configured", "user:1", "5000/day")


async def test_in_a_faster_clock_the_wait_is_told_in_real_seconds(database_url: str) -> None:
    dsn = database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    fast = FrozenClock(NOW)
    fast.rate = 600.0
    counts = RateCounts(dsn, fast, {})
    await counts.take("scope", "user:1", "1/hour")
    with pytest.raises(TooManyRequests) as refused:
        await counts.take("scope", "user:1", "1/hour")
    assert refused.value.headers == {"Retry-After": "6"}
    await counts.close()


async def test_counting_goes_on_after_the_connection_was_lost(counts: list[RateCounts]) -> None:
    await counts[0].take("scope", "user:1", "3/day")
    with pytest.raises(ConnectionError):
        await counts[0]._run("fetchval", "SELECT pg_terminate_backend(pg_backend_pid())")
    assert await take_until_refused(counts[0], "3/day") == 2


async def test_old_counts_are_forgotten_and_current_ones_kept(counts: list[RateCounts]) -> None:
    clock: Clock = counts[0]._clock
    assert isinstance(clock, FrozenClock)
    await counts[0].take("scope", "user:1", "3/hour")
    clock.advance(25 * 3600)
    await counts[0].take("scope", "user:2", "3/hour")
    await counts[0].forget()
    left = await counts[0]._run("fetch", "SELECT subject FROM kernel.rate_count")
    assert [row["subject"] for row in left] == ["user:2"]


async def test_many_subjects_do_not_fill_the_memory(
    counts: list[RateCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocs.kernel.wire.limits._MOST_SHARES", 10)
    for number in range(30):
        await counts[0].take("scope", f"user:{number}", "1/day")
    assert len(counts[0]._shares) == 10
    with pytest.raises(TooManyRequests):
        await counts[0].take("scope", "user:0", "1/day")


async def test_a_call_costs_less_than_0_3_ms(counts: list[RateCounts]) -> None:
    await counts[0].take("scope", "user:1", "600/minute")
    start_s = time.process_time()
    for _ in range(500):
        await counts[0].take("scope", "user:1", "600/minute")
    assert (time.process_time() - start_s) / 500 < 0.3e-3


@pytest.mark.parametrize(
    ("client", "subject"),
    [
        ("192.0.2.1", "address:192.0.2.1"),
        ("::ffff:192.0.2.1", "address:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("", "address:unknown"),
        ("not an address", "address:unknown"),
    ],
)
def test_an_address_stands_for_one_host(client: str, subject: str) -> None:
    assert address_subject(client) == subject


@pytest.mark.parametrize("wrong", ["", "5000", "0/day", "-1/day", "5/week", "1.5/day", "x/day", "5/"])
def test_a_wrong_rate_is_refused_where_it_is_written(wrong: str) -> None:
    with pytest.raises(ValueError, match="not of the form 5000/day"):
        parse_rate(wrong)
    with pytest.raises(ValueError, match="not of the form 5000/day"):
        Limit("scope", wrong)
    with pytest.raises(SettingsError, match="OCS_RATE_LIMITS"):
        load_settings(rate_limits={"scope": wrong})
