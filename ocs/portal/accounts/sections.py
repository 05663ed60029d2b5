"""The sections `users` and `oauth_applications` of an observatory file."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import func, select

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.security import Passwords, Vault, token_hash
from ocs.kernel.wire.types import UtcDatetime
from ocs.portal.accounts import repository
from ocs.portal.accounts.models import ApiToken, OAuthApplication, User
from ocs.portal.accounts.secrets import client_secret_hash
from ocs.portal.sections import Row, Section, assign


class ProfileRow(Row):
    """Key `profile` of a user."""

    institution: str = Field("", max_length=200)
    title: str = Field("", max_length=200)
    education_user: bool = False
    notifications_enabled: bool = False
    notifications_on_authored_only: bool = False
    simple_interface: bool = False
    view_authored_requests_only: bool = False
    staff_view: bool = False
    terms_accepted: UtcDatetime | None = None
    password_expiration: UtcDatetime | None = None


class UserRow(Row):
    """A row of `users`."""

    username: str = Field(pattern=r"^[\w.@+-]{1,150}$")
    password: str | None = Field(None, min_length=1, max_length=128)
    token: str | None = Field(None, pattern=r"^[!-~]{40}$", description="40 characters without blanks")
    email: str = Field("", max_length=254)
    first_name: str = Field("", max_length=150)
    last_name: str = Field("", max_length=150)
    is_active: bool = True
    is_staff: bool = False
    is_superuser: bool = False
    profile: ProfileRow = ProfileRow()


class ApplicationRow(Row):
    """A row of `oauth_applications`."""

    name: str = Field(max_length=255)
    client_id: str = Field(min_length=1, max_length=100)
    client_secret: str | None = Field(None, min_length=1)
    client_type: Literal["public", "confidential"] = "confidential"
    grant_type: Literal["password", "authorization-code", "client-credentials"]
    redirect_uris: list[str] = Field([])
    skip_authorization: bool = False
    owner: str | None = None


_RENAMED = {"terms_accepted": "terms_accepted_at", "password_expiration": "password_expires_at"}


def _columns(row: UserRow) -> dict[str, Any]:
    given = row.model_dump(exclude_unset=True, exclude={"password", "token", "profile"})
    profile = row.profile.model_dump(exclude_unset=True)
    return given | {_RENAMED.get(name, name): value for name, value in profile.items()}


async def apply_users(
    session: WriteSession, raw: Sequence[Any], *, passwords: Passwords, vault: Vault, now: datetime
) -> Section:
    """Create or change users; see `ocs.portal.accounts.api`."""
    section = Section("users")
    rows = list(section.rows(raw, UserRow, "username"))
    known = {
        user.username: user
        for user in await session.scalars(
            select(User).where(User.username.in_([row.username for _, row in rows]))
        )
    }
    addresses = await session.execute(select(func.lower(User.email), User.username).where(User.email != ""))
    emails: dict[str, str] = dict(addresses.all())
    hashes = await asyncio.gather(
        *(_new_hash(passwords, row.password, known.get(row.username)) for _, row in rows)
    )
    accepted: list[tuple[int, UserRow, User]] = []
    for (index, row), new_hash in zip(rows, hashes, strict=True):
        email = row.email.lower()
        if email and emails.setdefault(email, row.username) != row.username:
            section.problem(index, "email", f"belongs to {emails[email]} already")
            continue
        user = known.get(row.username)
        values = _columns(row) | ({"password_hash": new_hash} if new_hash else {})
        if user is None:
            user = User(joined_at=now, **values)
            session.add(user)
            section.changes.append(f"user {row.username} created")
        elif assign(user, values):
            section.changes.append(f"user {row.username} changed")
        accepted.append((index, row, user))
    await session.flush()
    await _set_tokens(session, section, accepted, vault, now)
    if section.changes:
        changes.stamp(session, "accounts")
    return section


async def _new_hash(passwords: Passwords, password: str | None, user: User | None) -> str | None:
    """Return the hash to store; None when there is no password or it is the user's already."""
    if password is None:
        return None
    if user is not None and user.password_hash:
        ok, better = await passwords.verify(password, user.password_hash)
        if ok:
            return better
    return await passwords.hash(password)


async def _set_tokens(
    session: WriteSession,
    section: Section,
    accepted: Sequence[tuple[int, UserRow, User]],
    vault: Vault,
    now: datetime,
) -> None:
    tokens = list(await session.scalars(select(ApiToken)))
    by_user = {token.user_id: token for token in tokens}
    owners = {token.key_hash: token.user_id for token in tokens}
    for index, row, user in accepted:
        if row.token is None:
            continue
        key_hash = token_hash(row.token)
        if owners.setdefault(key_hash, user.id) != user.id:
            section.problem(index, "token", "belongs to another user already")
            continue
        values = {"key_hash": key_hash, "key_encrypted": vault.encrypt(row.token), "created_at": now}
        token = by_user.get(user.id)
        if token is None:
            session.add(ApiToken(user_id=user.id, **values))
        elif token.key_hash != key_hash:
            assign(token, values)
            section.changes.append(f"token of {user.username} changed")
    await session.flush()


async def apply_oauth_applications(
    session: WriteSession, raw: Sequence[Any], *, vault: Vault, now: datetime
) -> Section:
    """Register or change OAuth applications; see `ocs.portal.accounts.api`."""
    section = Section("oauth_applications")
    rows = list(section.rows(raw, ApplicationRow, "client_id"))
    known = {item.client_id: item for item in await session.scalars(select(OAuthApplication))}
    wanted = [row.owner for _, row in rows if row.owner is not None]
    owners = {user.username: user.id for user in await repository.users(session, usernames=wanted)}
    for index, row in rows:
        if row.owner is not None and row.owner not in owners:
            section.problem(index, "owner", f"there is no user {row.owner}")
            continue
        application = known.get(row.client_id)
        if row.client_type == "confidential" and row.client_secret is None and application is None:
            section.problem(index, "client_secret", "a confidential application needs a secret")
            continue
        if row.grant_type == "authorization-code" and not row.redirect_uris:
            section.problem(index, "redirect_uris", "the authorization code needs somewhere to go")
            continue
        values = row.model_dump(exclude={"client_secret", "owner"}) | {
            "owner_id": None if row.owner is None else owners[row.owner]
        }
        if row.client_secret is not None:
            values["secret_hash"] = client_secret_hash(vault, row.client_id, row.client_secret)
        if application is None:
            session.add(OAuthApplication(created_at=now, **values))
            section.changes.append(f"OAuth application {row.name} registered")
        elif assign(application, values):
            section.changes.append(f"OAuth application {row.name} changed")
    await session.flush()
    return section
