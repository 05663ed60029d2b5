"""What all commands share: settings, the runtime, and how a failure is told."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import click

from ocs.kernel.database import WriteSession
from ocs.kernel.datafolder import StartError
from ocs.kernel.errors import OcsError
from ocs.kernel.runtime import Runtime
from ocs.kernel.schema import SchemaError
from ocs.kernel.settings import Settings, SettingsError, load_settings
from ocs.main import standalone

KNOWN = (StartError, SettingsError, SchemaError, OcsError)


class CommandError(click.ClickException):
    """What ends a command: printed as it is, exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print the sentence without a prefix."""
        click.echo(self.message, err=True)


def run(work: Callable[[], Coroutine[Any, Any, int | None]]) -> None:
    """Run a command's coroutine; what it is known to fail with ends it with one sentence."""
    try:
        code = asyncio.run(work())
    except BaseExceptionGroup as group:
        known, unknown = group.split(KNOWN)
        if known is None or unknown is not None:
            raise
        raise CommandError(_told(_first(known))) from None
    except KNOWN as error:
        raise CommandError(_told(error)) from None
    except KeyboardInterrupt:
        code = 130
    sys.exit(code or 0)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    inner: BaseException = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _told(error: BaseException) -> str:
    return "\n".join(_sentences(error.body)) if isinstance(error, OcsError) else str(error)


def _sentences(body: Any, field: str = "") -> Iterator[str]:
    if isinstance(body, dict):
        for name, value in body.items():
            yield from _sentences(value, "" if name in {"non_field_errors", "detail"} else str(name))
    elif isinstance(body, list):
        for value in body:
            yield from _sentences(value, field)
    else:
        yield f"{field}: {body}" if field else str(body)


def settings_or_exit(**overrides: Any) -> Settings:
    """Read the settings; a wrong one ends the command."""
    try:
        return load_settings(**{name: value for name, value in overrides.items() if value is not None})
    except SettingsError as error:
        raise CommandError(str(error)) from None


def say(sentence: str) -> None:
    """Tell the person at the terminal, not the pipe."""
    click.echo(sentence, err=True)


data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder for all data (OCS_DATA_DIR)."
)


def in_transaction(
    data_dir: Path | None, purpose: str, work: Callable[[Runtime, WriteSession], Awaitable[str]]
) -> None:
    """Run `work` in one transaction and print what it returns; a refusal is told in its own words."""
    settings = settings_or_exit(data_dir=data_dir)

    async def whole() -> None:
        async with standalone(settings, purpose, say) as runtime, runtime.database.write() as session:
            answer = await work(runtime, session)
        if answer:
            click.echo(answer)

    run(whole)
