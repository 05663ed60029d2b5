"""Fixtures every module's tests build on."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support import postgres
from tests.support.app import TestApp, migrate, running_app


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Address of the run's Postgres server."""
    return postgres.shared_server()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A fresh data folder that every user can reach: as root, Postgres runs as somebody else."""
    parent = Path(tempfile.mkdtemp(prefix="ocs-test-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


@pytest_asyncio.fixture(scope="session")
async def migrated_template(postgres_url: str) -> str:
    """Name of a database with our schema and nothing in it, to copy from."""
    return await postgres.template_database(postgres_url, "ocs_migrated", migrate)


@pytest_asyncio.fixture
async def database_url(postgres_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Address of a migrated database of this test's own."""
    url = await postgres.create_database(postgres_url, migrated_template)
    yield url
    await postgres.drop_database(url, postgres_url)


@pytest_asyncio.fixture(scope="session")
async def worker_app(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestApp]:
    """The application of this test worker."""
    url = await postgres.create_database(postgres_url, migrated_template)
    data_dir: Path = tmp_path_factory.mktemp("data")
    async with running_app(url, data_dir) as app:
        yield app
    await postgres.drop_database(url, postgres_url)


@pytest_asyncio.fixture
async def app(worker_app: TestApp) -> TestApp:
    """The application with an empty database and the clock at its start."""
    await worker_app.reset()
    return worker_app


@pytest_asyncio.fixture
async def anonymous(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is not logged in."""
    async with app.client() as client:
        yield client
