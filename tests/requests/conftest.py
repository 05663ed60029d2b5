"""Fixtures of the request groups: FIX-A, and alice with a proposal."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.requests import create_observatory


@pytest_asyncio.fixture
async def alice(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a member of proposal `temp`."""
    async with app.client(token=await create_observatory(app)) as client:
        yield client


@pytest_asyncio.fixture
async def staff(app: TestApp, alice: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of staff that sees everything."""
    token = await create_user(app, "boss", is_staff=True, staff_view=True)
    async with app.client(token=token) as client:
        yield client
