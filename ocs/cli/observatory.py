"""Describing the observatory: the file of it, its configuration, and downtimes."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import click

from ocs import observatory_file
from ocs.cli.command import CommandError, data_dir_option, in_transaction, run, say, settings_or_exit
from ocs.configdb import api as configdb
from ocs.downtime import api as downtimes
from ocs.kernel.database import WriteSession
from ocs.kernel.runtime import Runtime
from ocs.kernel.wire.types import parse_utc
from ocs.main import standalone

file_argument = click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would change and change nothing.")


def _apply(file: Path, data_dir: Path | None, *, dry_run: bool, only: tuple[str, ...] = ()) -> None:
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> None:
        document = observatory_file.read(file)
        async with standalone(settings, "ocs init", say) as runtime:
            report = await observatory_file.apply(runtime, document, dry_run=dry_run, only=only)
        for warning in report.warnings:
            say(f"warning: {warning}")
        for change in report.changes:
            click.echo(change)
        if not report.changes:
            click.echo("Nothing to change.")
        elif dry_run:
            click.echo(f"{len(report.changes)} changes; nothing was applied.")

    run(work)


@click.command()
@file_argument
@dry_run_option
@data_dir_option
def init(file: Path, dry_run: bool, data_dir: Path | None) -> None:
    """Apply the observatory FILE (YAML or JSON): people, proposals, time, and the telescopes."""
    _apply(file, data_dir, dry_run=dry_run)


@click.group()
def config() -> None:
    """Describe sites, telescopes and instruments in one file."""


@config.command()
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@data_dir_option
def export(file: IO[str], data_dir: Path | None) -> None:
    """Write the whole configuration as YAML to FILE, or print it."""
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> None:
        async with (
            standalone(settings, "ocs config export", say) as runtime,
            runtime.database.read() as session,
        ):
            text = configdb.dump_file(await configdb.export_file(session))
        file.write(text)

    run(work)


@config.command()
@file_argument
@data_dir_option
def diff(file: Path, data_dir: Path | None) -> None:
    """Print what applying FILE would change as a diff; without output it changes nothing."""
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> None:
        document = observatory_file.read(file)
        async with standalone(settings, "ocs config diff", say) as runtime:
            text = await observatory_file.diff(runtime, document)
        click.echo(text, nl=False)

    run(work)


@config.command()
@file_argument
@dry_run_option
@data_dir_option
def apply(file: Path, dry_run: bool, data_dir: Path | None) -> None:
    """Bring the configuration into line with FILE, all of it or nothing; - reads standard input.

    What FILE names is made or changed, what it does not name stays. Sections about people and proposals are
    left to `ocs init`.
    """
    _apply(file, data_dir, dry_run=dry_run, only=configdb.SECTIONS)


@config.command()
@click.argument("name", type=click.Choice(configdb.template_names()))
def template(name: str) -> None:
    """Print a commented file to start from."""
    click.echo(configdb.template(name), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, with which editors complete and check it."""
    click.echo(json.dumps(configdb.file_schema(), indent=2))


@click.command("init-e2e-data")
@click.option("-s", "--site", required=True, help="Code of the site, three letters.")
@click.option("--latitude", type=float, required=True, help="deg")
@click.option("--longitude", type=float, required=True, help="deg, east positive")
@click.option("--instrument-state", default="MANUAL", show_default=True, help="State of both instruments.")
@data_dir_option
def init_e2e_data(
    site: str, latitude: float, longitude: float, instrument_state: str, data_dir: Path | None
) -> None:
    """Make the two-telescope observatory that end-to-end tests of clients start from."""

    async def work(runtime: Runtime, session: WriteSession) -> str:
        result = await configdb.create_test_observatory(
            session,
            now=runtime.clock.now(),
            site=site,
            lat_deg=latitude,
            long_deg=longitude,
            instrument_state=instrument_state,
        )
        if result.problems:
            raise CommandError(
                "\n".join(f"{'.'.join(map(str, where))}: {sentence}" for where, sentence in result.problems)
            )
        return "\n".join(result.changes) or "Nothing to change."

    in_transaction(data_dir, "ocs init-e2e-data", work)


def _moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    try:
        return None if value is None else parse_utc(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("create-downtime")
@click.option("-s", "--site", required=True)
@click.option("-e", "--enclosure", required=True)
@click.option("-t", "--telescope", required=True)
@click.option(
    "-i", "--instrument-type", default="", help="Only instruments of this type; else the telescope."
)
@click.option("-r", "--reason", default="")
@click.option("--start", callback=_moment, metavar="ISO", help="Begin, UTC; now if not given.")
@click.option("--end", callback=_moment, metavar="ISO", help="End, UTC; a day after the begin if not given.")
@click.option(
    "--offset-hours", type=click.FloatRange(-1e6, 1e6), default=0.0, help="Move the begin by so much."
)
@click.option("--duration-hours", type=click.FloatRange(0, 1e6), help="How long it lasts; wins over --end.")
@data_dir_option
def create_downtime(
    site: str,
    enclosure: str,
    telescope: str,
    instrument_type: str,
    reason: str,
    start: datetime | None,
    end: datetime | None,
    offset_hours: float,
    duration_hours: float | None,
    data_dir: Path | None,
) -> None:
    """Take a telescope, or instruments of one type on it, out of use for some time."""

    async def work(runtime: Runtime, session: WriteSession) -> str:
        now = runtime.clock.now()
        start_utc = (start or now).replace(second=0, microsecond=0) + timedelta(hours=offset_hours)
        end_utc = (end or start_utc + timedelta(days=1)).replace(second=0, microsecond=0)
        if duration_hours is not None:
            end_utc = start_utc + timedelta(hours=duration_hours)
        made = await downtimes.book(
            session,
            site=site,
            enclosure=enclosure,
            telescope=telescope,
            start_utc=start_utc,
            end_utc=end_utc,
            instrument_type=instrument_type,
            reason=reason,
            created_by="ocs create-downtime",
            now=now,
        )
        begin, until = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (made.start_utc, made.end_utc))
        return f"Downtime {made.id}: {made.resource} from {begin} to {until} UTC."

    in_transaction(data_dir, "ocs create-downtime", work)
