"""Clients who may and may not write the configuration."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.support.accounts import create_user
from tests.support.app import TestApp


@pytest_asyncio.fixture
async def staff(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a staff member."""
    token = await create_user(app, "boss", is_staff=True)
    async with app.client(token=token) as client:
        client.base_url = "http://testserver/configdb"
        yield client


@pytest_asyncio.fixture
async def user(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an ordinary user."""
    async with app.client(token=await create_user(app, "alice")) as client:
        client.base_url = "http://testserver/configdb"
        yield client


@pytest_asyncio.fixture
async def public(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is not logged in."""
    async with app.client() as client:
        client.base_url = "http://testserver/configdb"
        yield client
