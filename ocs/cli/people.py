"""Users, passwords and tokens from the command line."""

from pathlib import Path

import click

from ocs.cli.command import data_dir_option, in_transaction
from ocs.kernel.database import WriteSession
from ocs.kernel.runtime import Runtime
from ocs.portal.accounts import api as accounts


@click.group()
def user() -> None:
    """Make users, passwords and tokens."""


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

    in_transaction(data_dir, "ocs user", work)


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

    in_transaction(data_dir, "ocs user", work)


@user.command("token")
@click.argument("username")
@data_dir_option
def make_token(username: str, data_dir: Path | None) -> None:
    """Replace a user's API token and print the new one."""

    async def work(runtime: Runtime, session: WriteSession) -> str:
        return await accounts.make_token(session, runtime.vault, username=username, now=runtime.clock.now())

    in_transaction(data_dir, "ocs user", work)


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

    in_transaction(data_dir, "ocs user", work)
