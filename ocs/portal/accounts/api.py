"""The accounts' door for other modules."""

from collections.abc import Iterable
from dataclasses import dataclass

from ocs.kernel.database import ReadSession
from ocs.kernel.runtime import Runtime
from ocs.portal.accounts import mail, repository
from ocs.portal.accounts.administration import create_user, make_token, set_password
from ocs.portal.accounts.authentication import AccountsAuthenticator
from ocs.portal.accounts.django_hashes import PASSWORD_HASHERS
from ocs.portal.accounts.mail import portal_url
from ocs.portal.accounts.mail import queue as queue_mail
from ocs.portal.accounts.models import User as _User
from ocs.portal.accounts.sections import apply_oauth_applications, apply_users

__all__ = [
    "PASSWORD_HASHERS",
    "AccountsAuthenticator",
    "User",
    "apply_oauth_applications",
    "apply_users",
    "create_user",
    "list_users",
    "make_token",
    "portal_url",
    "queue_mail",
    "register",
    "set_password",
    "users_by_email",
    "users_by_id",
    "users_by_username",
]


_MAIL_EVERY_S = 30.0


def register(runtime: Runtime) -> None:
    """Add the accounts' background jobs."""
    runtime.jobs.add("mail", lambda: mail.send_due(runtime), every_s=_MAIL_EVERY_S, topics=("mail",))


@dataclass(frozen=True, slots=True)
class User:
    """A user as other modules see them."""

    id: int
    username: str
    first_name: str
    last_name: str
    email: str
    institution: str
    title: str
    is_active: bool
    is_staff: bool
    is_superuser: bool
    simple_interface: bool
    notifications_enabled: bool
    notifications_on_authored_only: bool


def _user(row: _User) -> User:
    return User(
        id=row.id,
        username=row.username,
        first_name=row.first_name,
        last_name=row.last_name,
        email=row.email,
        institution=row.institution,
        title=row.title,
        is_active=row.is_active,
        is_staff=row.is_staff,
        is_superuser=row.is_superuser,
        simple_interface=row.simple_interface,
        notifications_enabled=row.notifications_enabled,
        notifications_on_authored_only=row.notifications_on_authored_only,
    )


async def users_by_id(session: ReadSession, ids: Iterable[int]) -> dict[int, User]:
    """Return the users with these ids; unknown ids are missing from the answer."""
    rows = await repository.users(session, ids=list(ids))
    return {row.id: _user(row) for row in rows}


async def users_by_username(session: ReadSession, usernames: Iterable[str]) -> dict[str, User]:
    """Return the users with these names; unknown names are missing from the answer."""
    rows = await repository.users(session, usernames=list(usernames))
    return {row.username: _user(row) for row in rows}


async def users_by_email(session: ReadSession, emails: Iterable[str]) -> dict[str, User]:
    """Return the users with these addresses, in any case of letters, by the address in lower case."""
    rows = await repository.users(session, emails=[email.lower() for email in emails])
    return {row.email.lower(): _user(row) for row in rows}


async def list_users(session: ReadSession) -> list[User]:
    """Return all users by name."""
    return [_user(row) for row in await repository.all_users(session)]
