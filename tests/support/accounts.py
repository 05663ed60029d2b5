"""Users for tests, who log in with an API token; a password costs half a second, so only if it is given."""

from typing import Any

from sqlalchemy import select

from ocs.kernel.security import new_token, token_hash
from ocs.portal.accounts.models import ApiToken, User
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
