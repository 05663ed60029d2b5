"""The `ocs` command."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ocs.kernel.datafolder import DataFolder, StartError
from ocs.kernel.logging import configure_logging
from ocs.kernel.schema import SchemaError
from ocs.kernel.settings import Settings, SettingsError, load_settings
from ocs.openapi import VERSION


class CommandError(click.ClickException):
    """What ends a command: printed as it is, exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print the sentence without a prefix."""
        click.echo(self.message, err=True)


def run(work: Callable[[], Awaitable[int | None]]) -> None:
    """Run a command's coroutine; known failures end it with one sentence."""
    try:
        code = asyncio.run(_main(work))
    except (StartError, SettingsError, SchemaError) as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        code = 130
    sys.exit(code or 0)


async def _main(work: Callable[[], Awaitable[int | None]]) -> int | None:
    return await work()


def settings_or_exit(**overrides: Any) -> Settings:
    """Read the settings; a wrong one ends the command."""
    try:
        return load_settings(**{name: value for name, value in overrides.items() if value is not None})
    except SettingsError as error:
        raise CommandError(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ocs")
def main() -> None:
    """Observatory Control System: requests, schedules, time accounting and archive in one process."""


@main.command()
@click.option("--host", help="Address to listen on (OCS_HOST).")
@click.option("--port", type=int, help="TCP port; 0 takes a free one (OCS_PORT).")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder for all data (OCS_DATA_DIR).")
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Run the observatory."""
    from ocs.server import serve as serve_app

    settings = settings_or_exit(host=host, port=port, data_dir=data_dir)
    run(lambda: serve_app(settings))
