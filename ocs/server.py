"""Run the application under uvicorn, as `ocs serve` and `ocs demo` do."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from ocs.kernel.clock import Clock
from ocs.kernel.datafolder import StartError
from ocs.kernel.logging import configure_logging
from ocs.kernel.settings import Settings
from ocs.main import create_app


class ServerEndedError(Exception):
    """The server came to its end, by a signal or a failure, while somebody relied on it."""


def first_cause(error: BaseException) -> BaseException:
    """Return the first plain exception in groups of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Uvicorn(uvicorn.Server):
    """uvicorn that ends with code 0 when it is asked to end, instead of dying of the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the server; a second one ends it at once."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


class Server:
    """A uvicorn server around one application.

    Attributes
    ----------
    app
        The application; `app.state.boot` tells how far its start is.
    url
        Where it listens.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None, demo: bool = False) -> None:
        self.boot_error: BaseException | None = None
        self.app: FastAPI = create_app(settings, clock=clock, demo=demo, on_boot_error=self._boot_failed)
        self._ended = asyncio.Event()
        self._socket = _listen(settings)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self.app,
                log_config=None,
                access_log=False,
                proxy_headers=False,  # X-Forwarded-* are believed from trusted peers only, by our middleware
                server_header=False,
                timeout_keep_alive=65,
                timeout_graceful_shutdown=10,
            )
        )

    def _boot_failed(self, error: BaseException) -> None:
        self.boot_error = error
        self._uvicorn.should_exit = True

    async def run(self) -> None:
        """Serve until a signal comes or the start fails.

        Raises
        ------
        StartError, SchemaError
            When the start failed.
        """
        try:
            await self._uvicorn.serve(sockets=[self._socket])
        finally:
            self._ended.set()
        if self.boot_error is not None:
            raise self.boot_error

    def stop(self) -> None:
        """Ask the server to end."""
        self._uvicorn.should_exit = True

    async def ended(self) -> None:
        """Wait for the server's end, then raise `ServerEndedError`."""
        await self._ended.wait()
        raise ServerEndedError

    async def until_ready(self) -> None:
        """Wait until requests are answered.

        Raises
        ------
        StartError, SchemaError
            When the start failed.
        """
        boot = self.app.state.boot
        while boot.waiting_for is not None:
            if self.boot_error is not None:
                raise self.boot_error
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        """Serve in the background for the length of the block."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.run())
            await self.until_ready()
            try:
                yield self
            finally:
                self.stop()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"Port {settings.port} of {settings.host} cannot be used ({error.strerror}); "
            "choose another with OCS_PORT or OCS_HOST."
        ) from error
    listener.set_inheritable(False)
    return listener


async def serve(settings: Settings) -> None:
    """Run the observatory until a signal comes."""
    configure_logging(settings.log_level)
    await Server(settings).run()
