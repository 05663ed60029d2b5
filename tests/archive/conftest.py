"""Callers of the archive: an ingest account, members of proposals, strangers."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.proposals import create_membership, create_proposal

Member = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def app(app: TestApp) -> TestApp:
    """The application at a time when the usual test frame is public, and nothing in the store's inbox."""
    app.clock.set(datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[attr-defined]
    assert app.runtime.settings.objects_dir is not None
    shutil.rmtree(app.runtime.settings.objects_dir / "coj", ignore_errors=True)
    return app


@pytest_asyncio.fixture
async def ingester(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the ingest account: superuser and staff."""
    token = await create_user(app, "ingester", is_staff=True, is_superuser=True)
    async with app.client(token) as client:
        yield client


@pytest_asyncio.fixture
async def member(app: TestApp) -> AsyncIterator[Member]:
    """Make a client of a new user who is a member of the named proposals."""
    async with AsyncExitStack() as stack:

        async def make(username: str, *proposals: str) -> httpx.AsyncClient:
            token = await create_user(app, username)
            for proposal in proposals:
                await create_proposal(app, proposal)
                await create_membership(app, username, proposal)
            return await stack.enter_async_context(app.client(token))

        yield make
