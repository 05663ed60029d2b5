"""The `ocs` command."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from ocs import observatory_file, server
from ocs.kernel.database import WriteSession
from ocs.kernel.datafolder import StartError
from ocs.kernel.errors import OcsError
from ocs.kernel.runtime import Runtime
from ocs.kernel.schema import SchemaError
from ocs.kernel.settings import Settings, SettingsError, load_settings
from ocs.main import diagnose, standalone
from ocs.openapi import VERSION
from ocs.portal.accounts import api as accounts


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
        known, unknown = group.split((StartError, SettingsError, SchemaError))
        if known is None or unknown is not None:
            raise
        raise CommandError(str(_first(known))) from None
    except (StartError, SettingsError, SchemaError) as error:
        raise CommandError(str(error)) from None
    except KeyboardInterrupt:
        code = 130
    sys.exit(code or 0)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    inner: BaseException = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ocs")
def main() -> None:
    """Observatory Control System: requests, schedules, time accounting and archive in one process."""


@main.command()
@click.option("--host", help="Address to listen on (OCS_HOST).")
@click.option("--port", type=int, help="TCP port; 0 takes a free one (OCS_PORT).")
@data_dir_option
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Run the observatory."""
    settings = settings_or_exit(host=host, port=port, data_dir=data_dir)
    run(lambda: server.serve(settings))


@main.command()
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of the demo; ./ocs-demo if not given."
)
@click.option("--port", type=int, help="TCP port; 0 takes a free one (OCS_PORT).")
@click.option("--rate", type=click.FloatRange(1, 1000), help="Speed of time; 120, or 240 with --once.")
@click.option(
    "--requests", type=click.IntRange(1, 5000), default=150, show_default=True, help="Groups to submit."
)
@click.option("--once", is_flag=True, help="Stop after --count requests, verify their frames, exit.")
@click.option("--count", type=click.IntRange(1), default=20, show_default=True, help="Requests for --once.")
@click.option("--deadline", type=float, default=300.0, show_default=True, help="Seconds --once may take.")
@click.option("--reset", is_flag=True, help="Start over on an empty folder.")
def demo(
    data_dir: Path | None,
    port: int | None,
    rate: float | None,
    requests: int,
    once: bool,
    count: int,
    deadline: float,
    reset: bool,
) -> None:
    """Watch a whole observatory work, in fast-forward."""
    from ocs.demo import run as demo_run  # the demo's parts are heavy and no other command needs them

    folder = data_dir or Path(os.environ.get("OCS_DATA_DIR", "ocs-demo"))
    settings = settings_or_exit(data_dir=folder, port=port, scheduler_debounce_s=0.5)

    async def work() -> int:
        if reset:
            demo_run.reset(settings)
        return await demo_run.run(
            settings,
            rate=rate or (240.0 if once else 120.0),
            requests=requests,
            once=count if once else None,
            deadline_s=deadline,
        )

    run(work)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would change and change nothing.")
@data_dir_option
def init(file: Path, dry_run: bool, data_dir: Path | None) -> None:
    """Apply the observatory FILE (YAML or JSON): people, proposals, time, and the telescopes."""
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> None:
        document = observatory_file.read(file)
        async with standalone(settings, "ocs init", say) as runtime:
            report = await observatory_file.apply(runtime, document, dry_run=dry_run)
        for warning in report.warnings:
            say(f"warning: {warning}")
        for change in report.changes:
            click.echo(change)
        if not report.changes:
            click.echo("Nothing to change.")
        elif dry_run:
            click.echo(f"{len(report.changes)} changes; nothing was applied.")

    run(work)


@main.command()
@data_dir_option
def migrate(data_dir: Path | None) -> None:
    """Bring the database to this version's schema."""
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> None:
        async with standalone(settings, "ocs migrate", say):  # migrates before it gives the runtime
            click.echo("The database has this version's schema.")

    run(work)


@main.command()
@data_dir_option
def doctor(data_dir: Path | None) -> None:
    """Check everything this installation stands on."""
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> int:
        async with standalone(settings, "ocs doctor", say) as runtime:
            report = await diagnose(runtime)
        for name, check in report.checks.items():
            click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {name}: {check.detail}")
        for warning in report.warnings:
            click.echo(f"warn  {warning}")
        return 0 if report.ready else 1

    run(work)


@main.group()
def user() -> None:
    """Make users, passwords and tokens."""


def _as_command(data_dir: Path | None, work: Callable[[Runtime, WriteSession], Awaitable[str]]) -> None:
    """Run `work` in one transaction and print what it returns; a refusal is told in its own words."""
    settings = settings_or_exit(data_dir=data_dir)

    async def in_transaction() -> None:
        async with standalone(settings, "ocs user", say) as runtime:
            try:
                async with runtime.database.write() as session:
                    answer = await work(runtime, session)
            except OcsError as error:
                raise CommandError("; ".join(_sentences(error.body))) from None
        if answer:
            click.echo(answer)

    run(in_transaction)


def _sentences(body: Any) -> list[str]:
    if isinstance(body, dict):
        return [sentence for value in body.values() for sentence in _sentences(value)]
    if isinstance(body, list):
        return [sentence for value in body for sentence in _sentences(value)]
    return [str(body)]


@user.command("create")
@click.argument("username")
@click.argument("email")
@click.option(
    "--password", envvar="OCS_NEW_PASSWORD", help="Better set OCS_NEW_PASSWORD, which ps does not show."
)
@click.option("--first-name", default="")
@click.option("--last-name", default="")
@click.option("--staff", is_flag=True, help="May administer, schedule and report observations.")
@click.option("--superuser", is_flag=True, help="May ingest and change everything.")
@data_dir_option
def create_user(
    username: str,
    email: str,
    password: str | None,
    first_name: str,
    last_name: str,
    staff: bool,
    superuser: bool,
    data_dir: Path | None,
) -> None:
    """Create an active user; without a password only tokens let them in."""

    async def work(runtime: Runtime, session: WriteSession) -> str:
        await accounts.create_user(
            session,
            runtime.passwords,
            username=username,
            email=email,
            password=password,
            first_name=first_name,
            last_name=last_name,
            is_staff=staff,
            is_superuser=superuser,
            now=runtime.clock.now(),
        )
        return f"User {username} was created."

    _as_command(data_dir, work)


@user.command("password")
@click.argument("username")
@click.password_option(envvar="OCS_NEW_PASSWORD", help="Asked for if not given.")
@data_dir_option
def set_password(username: str, password: str, data_dir: Path | None) -> None:
    """Set a user's password."""

    async def work(runtime: Runtime, session: WriteSession) -> str:
        now = runtime.clock.now()
        await accounts.set_password(session, runtime.passwords, username=username, password=password, now=now)
        return f"The password of {username} was changed."

    _as_command(data_dir, work)


@user.command("token")
@click.argument("username")
@data_dir_option
def make_token(username: str, data_dir: Path | None) -> None:
    """Replace a user's API token and print the new one."""

    async def work(runtime: Runtime, session: WriteSession) -> str:
        return await accounts.make_token(session, runtime.vault, username=username, now=runtime.clock.now())

    _as_command(data_dir, work)


@user.command("list")
@data_dir_option
def list_users(data_dir: Path | None) -> None:
    """List all users with what they may do."""

    async def work(_runtime: Runtime, session: WriteSession) -> str:
        rows = []
        for account in await accounts.list_users(session):
            rights = {
                "staff": account.is_staff,
                "superuser": account.is_superuser,
                "inactive": not account.is_active,
            }
            rows.append(
                f"{account.username:<24} {account.email:<36} {' '.join(k for k, v in rights.items() if v)}"
            )
        return "\n".join(rows)

    _as_command(data_dir, work)
