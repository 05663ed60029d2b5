"""What operators do with users: create them, give them passwords and tokens."""

from datetime import datetime
from importlib.resources import files

from sqlalchemy import delete, select, update

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.errors import InvalidInput
from ocs.kernel.security import Passwords, Vault, new_token, token_hash
from ocs.portal.accounts import repository
from ocs.portal.accounts.errors import UnknownUser, UserExists, WeakPassword
from ocs.portal.accounts.logins import MAX_PASSWORD_LENGTH, PASSWORD_LIFETIME
from ocs.portal.accounts.models import BrowserSession, User

MIN_PASSWORD_LENGTH = 8
_FORM_OF_TOKENS = "A token is 40 characters without blanks."
_TAKEN = "This token belongs to another user."
_COMMON = frozenset(files(__package__).joinpath("common_passwords.txt").read_text("utf-8").split())


def check_password(password: str, *about: str) -> None:
    """Refuse a password that is easy to guess.

    Parameters
    ----------
    about
        Names and addresses of the person; a password made of one of them is refused.

    Raises
    ------
    WeakPassword
        With all reasons, below the key `password`.
    """
    reasons = []
    lower = password.lower()
    if len(password) < MIN_PASSWORD_LENGTH:
        reasons.append(
            f"This password is too short. It must contain at least {MIN_PASSWORD_LENGTH} characters."
        )
    if len(password) > MAX_PASSWORD_LENGTH:
        reasons.append(f"This password is too long; it may contain {MAX_PASSWORD_LENGTH} characters.")
    if password.isdecimal():
        reasons.append("This password is entirely numeric.")
    if lower in _COMMON:
        reasons.append("This password is too common.")
    parts = {part for text in about for part in (text.lower(), *text.lower().split("@"))}
    if any(
        len(part) >= 3 and (lower in part or (part in lower and len(part) > len(lower) // 2))
        for part in parts
    ):
        reasons.append("This password is too similar to your name or address.")
    if reasons:
        raise WeakPassword.fields(password=reasons)


async def create_user(
    session: WriteSession,
    passwords: Passwords,
    *,
    username: str,
    now: datetime,
    email: str = "",
    password: str | None = None,
    first_name: str = "",
    last_name: str = "",
    is_staff: bool = False,
    is_superuser: bool = False,
) -> int:
    """Create an active user; return the id.

    Raises
    ------
    UserExists
        When name or address belong to somebody.
    WeakPassword
        When the password is easy to guess.
    """
    if await repository.users(session, usernames=[username]):
        raise UserExists.fields(username=f"There is a user {username} already.")
    if email and await repository.email_is_taken(session, email):
        raise UserExists.fields(email=f"The address {email} belongs to another user.")
    if password is not None:
        check_password(password, username, email, first_name, last_name)
    user = User(
        username=username,
        email=email,
        first_name=first_name,
        last_name=last_name,
        is_staff=is_staff,
        is_superuser=is_superuser,
        joined_at=now,
        password_hash=None if password is None else await passwords.hash(password),
    )
    session.add(user)
    await session.flush()
    changes.stamp(session, "accounts")
    return user.id


async def _user(session: WriteSession, username: str) -> User:
    user = await session.scalar(select(User).where(User.username == username).with_for_update())
    if user is None:
        raise UnknownUser(username)
    return user


async def set_password(
    session: WriteSession, passwords: Passwords, *, username: str, password: str, now: datetime
) -> None:
    """Give a user a new password; it ends their browser sessions.

    Raises
    ------
    UnknownUser, WeakPassword
        When there is no such user, or the password is easy to guess.
    """
    user = await _user(session, username)
    check_password(password, user.username, user.email, user.first_name, user.last_name)
    await store_password(session, passwords, user, password, now)


async def store_password(
    session: WriteSession, passwords: Passwords, user: User, password: str, now: datetime
) -> None:
    """Store a checked password; an expiry moves on by a year."""
    new_hash = await passwords.hash(password)
    values: dict[str, object] = {"password_hash": new_hash}
    if user.password_expires_at is not None:
        values["password_expires_at"] = now + PASSWORD_LIFETIME
    await session.execute(update(User).where(User.id == user.id).values(**values))
    await session.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
    changes.stamp(session, "accounts")


async def make_token(
    session: WriteSession, vault: Vault, *, username: str, now: datetime, token: str | None = None
) -> str:
    """Replace a user's API token, by `token` (40 characters) if given; return the new one.

    Raises
    ------
    UnknownUser, InvalidInput
        When there is no such user, or the token is not 40 characters or belongs to somebody else.
    """
    user = await _user(session, username)
    key = token or new_token()
    if len(key) != 40 or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInput.fields(token=_FORM_OF_TOKENS)
    owner = await repository.principal_by_token(session, token_hash(key))
    if owner is not None and owner.user_id != user.id:
        raise InvalidInput.fields(token=_TAKEN)
    await repository.set_api_token(session, user.id, token_hash(key), vault.encrypt(key), now, replace=True)
    changes.stamp(session, "accounts")
    return key
