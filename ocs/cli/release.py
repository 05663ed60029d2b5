"""Work that is done once for a release of ocs, not by observatories."""

from importlib.resources import files
from pathlib import Path

import click

from ocs import visibility
from ocs.cli.command import CommandError


@click.command("release-data")
@click.argument("kernel", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("finals2000a", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
def release_data(kernel: Path, finals2000a: Path, into: Path | None) -> None:
    """Make the packaged ephemeris and UT1 table anew from a JPL KERNEL and the IERS table FINALS2000A."""
    folder = into or Path(str(files("ocs.visibility") / "data"))
    try:
        visibility.refresh_data(kernel, finals2000a, folder, click.echo)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None
