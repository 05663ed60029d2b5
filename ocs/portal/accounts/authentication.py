"""How the kernel learns who a caller is: one statement each, proposals included."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import update

from ocs.kernel.clock import Clock
from ocs.kernel.database import Database, ReadSession, WriteSession
from ocs.kernel.security import Passwords, Principal, token_hash
from ocs.portal.accounts import repository
from ocs.portal.accounts.logins import Logins
from ocs.portal.accounts.models import BearerToken

_NOTE_USE_EVERY = timedelta(minutes=5)


class AccountsAuthenticator:
    """The users of this installation, as the kernel's `Authenticator`.

    Parameters
    ----------
    passwords
        Hashes off the event loop.
    clock
        Tells what has expired.
    database
        Where tries and uses are noted.
    """

    def __init__(self, passwords: Passwords, clock: Clock, database: Database) -> None:
        self._clock = clock
        self._database = database
        self._logins = Logins(passwords, clock, database)
        self._notes: set[asyncio.Task[None]] = set()

    async def by_token(self, session: ReadSession, key: str) -> Principal | None:
        """Return the owner of an API token."""
        return await repository.principal_by_token(session, token_hash(key))

    async def by_bearer(self, session: ReadSession, key: str) -> Principal | None:
        """Return the owner of an OAuth access token or personal token."""
        now = self._clock.now()
        bearer = await repository.principal_by_bearer(session, token_hash(key), now)
        if bearer is None:
            return None
        if (
            bearer.kind == "personal"
            and (bearer.last_used_at or now - _NOTE_USE_EVERY) <= now - _NOTE_USE_EVERY
        ):
            note = asyncio.create_task(self._note_use(bearer.token_id, now))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        return bearer.principal

    async def by_session(self, session: ReadSession, key: str) -> Principal | None:
        """Return the owner of a browser session."""
        return await repository.principal_by_session(session, token_hash(key), self._clock.now())

    async def by_password(self, session: ReadSession, username: str, password: str) -> Principal | None:
        """Return the user with this name (or e-mail address) and password; an expired one is no use."""
        await session.rollback()  # hold no connection while the password is checked
        login = await self._logins.check(username, password)
        if login is None or login.password_expired:
            return None
        return await repository.principal_by_id(session, login.user_id)

    async def _note_use(self, token_id: int, now: datetime) -> None:
        async def work(session: WriteSession) -> None:
            await session.execute(
                update(BearerToken).where(BearerToken.id == token_id).values(last_used_at=now)
            )

        await self._database.run(work)
