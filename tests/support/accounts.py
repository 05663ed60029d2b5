"""Users for tests, who log in with an API token; a password costs half a second, so only if it is given."""

import asyncio
import email
import email.policy
from typing import Any

from sqlalchemy import select

from ocs.kernel.security import new_token, token_hash
from ocs.portal.accounts.models import ApiToken, Mail, User
from tests.support.app import TestApp


async def create_user(
    app: TestApp,
    username: str = "alice",
    *,
    token: str | None = None,
    password: str | None = None,
    **columns: Any,
) -> str:
    """Create an active user and return an API token; `columns` are those of the table."""
    key = token or new_token()
    now = app.clock.now()
    columns = {"email": f"{username}@example.org", "joined_at": now} | columns
    if password is not None:
        columns["password_hash"] = await app.runtime.passwords.hash(password)
    async with app.runtime.database.write() as session:
        user = User(username=username, **columns)
        session.add(user)
        await session.flush()
        session.add(
            ApiToken(
                user_id=user.id,
                key_hash=token_hash(key),
                key_encrypted=app.runtime.vault.encrypt(key),
                created_at=now,
            )
        )
    return key


async def user_id(app: TestApp, username: str) -> int:
    """Return the id of a user."""
    async with app.runtime.database.read() as session:
        return (await session.scalars(select(User.id).where(User.username == username))).one()


async def sent_mail(app: TestApp) -> list[tuple[str, str]]:
    """Wait until nothing is due, and return recipient and text of every message, in order."""
    async with asyncio.timeout(20):
        while True:
            async with app.runtime.database.read() as session:
                rows = list(await session.scalars(select(Mail).order_by(Mail.id)))
            if all(row.sent_at is not None for row in rows):
                break
            await asyncio.sleep(0.02)
    found = []
    for row in rows:
        content = (app.runtime.settings.data_dir / "mail" / f"{row.id:08d}.eml").read_bytes()
        message = email.message_from_bytes(content, policy=email.policy.default)
        found.append((str(message["To"]), str(message.get_content())))
    return found
