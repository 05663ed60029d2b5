"""The `ocs` command."""

import click

from ocs.cli import observatory, people, release, running
from ocs.openapi import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ocs")
def main() -> None:
    """Observatory Control System: requests, schedules, time accounting and archive in one process."""


for _command in (
    running.serve,
    running.demo,
    observatory.init,
    observatory.config,
    observatory.create_downtime,
    observatory.init_e2e_data,
    running.migrate,
    running.doctor,
    people.user,
    release.release_data,
):
    main.add_command(_command)
