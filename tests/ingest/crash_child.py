"""A service that is going to be killed."""

import asyncio
import os
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from ocs.ingest.service import Watcher
from ocs.kernel.clock import Clock
from ocs.kernel.settings import Settings
from ocs.main import assemble


async def _work(url: str, data_dir: Path, started: Connection) -> None:
    settings = Settings(
        data_dir=data_dir,
        database_url=url.replace("postgresql+asyncpg://", "postgresql://", 1),  # type: ignore[arg-type]
        secret_key="test-key-" + "0123456789abcdef" * 3,  # type: ignore[arg-type]
        database_pool_size=5,
    )
    async with AsyncExitStack() as stack:
        runtime = await assemble(settings, Clock(), url, demo=False, stack=stack)
        watcher = Watcher(runtime)
        started.send("working")
        while True:
            await watcher.tick()
            await asyncio.sleep(0.02)


def serve(url: str, data_dir: Path, started: Connection) -> None:
    """Ingest until killed, in a process group of its own."""
    os.setsid()
    asyncio.run(_work(url, data_dir, started))
