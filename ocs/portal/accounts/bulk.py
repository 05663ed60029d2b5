"""Creating many users at once, and asking to be removed."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, PermissionDenied, reference_body
from ocs.kernel.runtime import Runtime
from ocs.kernel.security import Principal
from ocs.portal.accounts import mail, registration, repository
from ocs.portal.accounts.models import User
from ocs.portal.accounts.schemas import NewUser, NewUsers


async def check_may_create(session: ReadSession, caller: Principal) -> None:
    """Refuse who neither is staff nor leads a proposal."""
    if not caller.is_staff and not await repository.leads_any(session, caller.user_id):
        raise PermissionDenied


async def create_users(
    session: WriteSession, runtime: Runtime, caller: Principal, body: Any
) -> list[dict[str, Any]]:
    """Create users with their memberships from invitations; each gets a link to set a password.

    Raises
    ------
    InvalidInput
        With problems by row; then nobody is created.
    """
    rows = _read(body)
    await _refuse_known(session, rows)
    now = runtime.clock.now()
    hashes = await asyncio.gather(
        *(runtime.passwords.hash(row.password or secrets.token_urlsafe(24)) for row in rows)
    )
    users = [
        User(
            **row.model_dump(exclude={"password"}),
            password_hash=password_hash,
            joined_at=now,
            password_expires_at=now,
            created_by_id=caller.user_id,
        )
        for row, password_hash in zip(rows, hashes, strict=True)
    ]
    session.add_all(users)
    await session.flush()
    links = registration.Registrations(session, runtime)
    for user in users:
        await repository.accept_invitations(session, user.id, user.email, now)
        await links.send_reset(user.email)
    changes.stamp(session, "accounts")
    changes.stamp(session, "proposals")
    return [row.model_dump(exclude={"password"}) for row in rows]


def _read(body: Any) -> Sequence[NewUser]:
    try:
        rows = NewUsers.model_validate(body).users
    except ValidationError as error:
        problems = reference_body(error.errors(), body)
        if isinstance(problems.get("users"), list) and any(
            isinstance(row, dict) for row in problems["users"]
        ):
            problems["users"] = {str(index): row for index, row in enumerate(problems["users"]) if row}
        raise InvalidInput(body=problems) from error
    for key in ("username", "email"):
        counts = Counter(getattr(row, key).lower() for row in rows)
        if twice := [value for value, count in counts.items() if count > 1]:
            raise InvalidInput.fields(users=[f"{key} '{value}' provided multiple times" for value in twice])
    return rows


async def _refuse_known(session: WriteSession, rows: Sequence[NewUser]) -> None:
    names = set(
        await session.scalars(select(User.username).where(User.username.in_([row.username for row in rows])))
    )
    found = await repository.users(session, emails=[row.email.lower() for row in rows]) if rows else []
    addresses = {user.email.lower() for user in found}
    problems: dict[str, dict[str, list[str]]] = {}
    for index, row in enumerate(rows):
        if row.username in names:
            problems.setdefault(str(index), {})["username"] = ["A user with this name exists."]
        if row.email.lower() in addresses:
            problems.setdefault(str(index), {})["email"] = ["A user with this address exists."]
    if problems:
        raise InvalidInput(body={"users": problems})


async def request_removal(session: WriteSession, runtime: Runtime, caller: Principal, reason: str) -> None:
    """Write to the support that a user wants to be removed, and why."""
    assert caller.user_id is not None
    user = (await repository.users(session, ids=[caller.user_id]))[0]
    mail.queue(
        session,
        runtime.vault,
        [mail.support_address(runtime.settings)],
        "Account removal request",
        f"{user.username} ({user.email}) asks for the removal of the account:\n\n{reason}\n",
        runtime.clock.now(),
    )
