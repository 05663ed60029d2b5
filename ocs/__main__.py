"""`python -m ocs` is the `ocs` command."""

from ocs.cli import main

main(prog_name="ocs")
