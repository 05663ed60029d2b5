"""The scheduling cycle on a real database: what is written, what stays, and when nothing happens."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from ocs.scheduler import service
from tests.support.app import TestApp
from tests.support.requests import create_observatory
from tests.support.scheduler import ask, assert_feasible, open_observations, run


@pytest_asyncio.fixture
async def alice(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """The PI of the only proposal, at an observatory with two 1 m telescopes that have a camera."""
    async with app.client(await create_observatory(app)) as client:
        yield client


async def test_R52_a_run_writes_observations_that_can_be_made(app: TestApp, alice: httpx.AsyncClient) -> None:
    requests = await ask(alice, count=4)
    result = await run(app)
    written = await open_observations(app)
    assert {item.request_id for item in written} == set(requests)
    assert_feasible(written)
    assert (result.status, result.scheduled, result.objective) == ("optimal", 4, result.bound)
    assert all(item.start >= result.valid_from for item in written)


async def test_R40_a_second_run_without_changes_asks_nobody_and_writes_nothing(
    app: TestApp, alice: httpx.AsyncClient
) -> None:
    await ask(alice, count=2)
    await run(app)
    before = await open_observations(app)
    assert await service.cycle(app.runtime) is None
    assert await open_observations(app) == before
