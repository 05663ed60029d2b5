"""People and a request on FIX-A."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from tests.support.app import TestApp
from tests.support.observations import create_observatory, create_staff, requested, submit


@pytest_asyncio.fixture
async def alice(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of alice, PI of proposal `temp`; FIX-A is there."""
    async with app.client(token=await create_observatory(app)) as client:
        yield client


@pytest_asyncio.fixture
async def staff(app: TestApp, alice: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of somebody who is staff and sees everything."""
    async with app.client(token=await create_staff(app)) as client:
        yield client


@pytest_asyncio.fixture
async def asked(alice: httpx.AsyncClient) -> dict[str, Any]:
    """Request R's group, as submitted by alice."""
    return await submit(alice, requested())
