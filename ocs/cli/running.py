"""Running the observatory, and looking after its database."""

import os
from pathlib import Path

import click

from ocs import server
from ocs.cli.command import data_dir_option, run, say, settings_or_exit
from ocs.main import diagnose, standalone


@click.command()
@click.option("--host", help="Address to listen on (OCS_HOST).")
@click.option("--port", type=int, help="TCP port; 0 takes a free one (OCS_PORT).")
@data_dir_option
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Run the observatory."""
    settings = settings_or_exit(host=host, port=port, data_dir=data_dir)
    run(lambda: server.serve(settings))


@click.command()
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


@click.command()
@data_dir_option
def migrate(data_dir: Path | None) -> None:
    """Bring the database to this version's schema."""
    settings = settings_or_exit(data_dir=data_dir)

    async def work() -> None:
        async with standalone(settings, "ocs migrate", say):  # migrates before it gives the runtime
            click.echo("The database has this version's schema.")

    run(work)


@click.command()
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
