"""An observatory, and clients who may and may not write downtimes."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.configdb import build_fix_a


@pytest_asyncio.fixture
async def staff(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a staff member; FIX-A exists."""
    await build_fix_a(app)
    async with app.client(token=await create_user(app, "boss", is_staff=True)) as client:
        yield client


@pytest_asyncio.fixture
async def user(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an ordinary user."""
    async with app.client(token=await create_user(app, "alice")) as client:
        yield client
