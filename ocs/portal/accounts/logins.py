"""Checking passwords: the same time for everybody, few tries an hour, and never while a connection waits.

Each step is a short transaction of its own, before the request's unit of work begins: a counted failure stays
counted when the request is refused, and the half second of argon2 holds no connection.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update

from ocs.kernel.clock import Clock
from ocs.kernel.database import Database, WriteSession
from ocs.kernel.errors import TooManyRequests
from ocs.kernel.security import Passwords
from ocs.portal.accounts import repository
from ocs.portal.accounts.models import User

TRIES_PER_NAME = 10
TRIES_PER_ADDRESS = 200
MAX_PASSWORD_LENGTH = 128
PASSWORD_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Login:
    """An active user who gave the right password."""

    user_id: int
    username: str
    password_expired: bool


def _key(kind: str, value: str) -> bytes:
    # Hashed, because people type their password into the name field.
    return hashlib.sha256(f"{kind}:{value.lower()}".encode()).digest()


class Logins:
    """Checks names and passwords.

    Parameters
    ----------
    passwords
        Hashes off the event loop.
    clock
        Tells when a password has expired.
    database
        Where users and failed tries are kept.
    """

    def __init__(self, passwords: Passwords, clock: Clock, database: Database) -> None:
        self._passwords = passwords
        self._clock = clock
        self._database = database

    async def check(self, name: str, password: str, *, address: str = "") -> Login | None:
        """Return who this is; None when name or password are wrong or the account is not active.

        Parameters
        ----------
        name
            Username or e-mail address.
        address
            Where the try comes from; '' when that is not known.

        Raises
        ------
        TooManyRequests
            After 10 failed tries of a name, or 200 from an address, within an hour.
        """
        limits = {_key("name", name): TRIES_PER_NAME}
        if address:
            limits[_key("address", address)] = TRIES_PER_ADDRESS
        await self._admit(limits)
        async with self._database.read() as session:
            row = None if "\x00" in name else await repository.login_row(session, name)
        usable = row is not None and row.is_active and len(password) <= MAX_PASSWORD_LENGTH
        stored = row.password_hash or "" if row is not None and usable else None
        ok, better = await self._passwords.verify(password[:MAX_PASSWORD_LENGTH], stored)
        if row is None or not ok:
            return None
        await self._succeed(limits, row.id, better)
        expires: datetime | None = row.password_expires_at
        return Login(row.id, row.username, expires is not None and expires <= self._clock.now())

    async def _admit(self, limits: dict[bytes, int]) -> None:
        now = self._clock.now()

        async def count(session: WriteSession) -> dict[bytes, tuple[int, datetime]]:
            return await repository.admit(session, limits, now)

        for key, (tries, started_at) in (await self._database.run(count)).items():
            if tries > limits[key]:
                left = started_at + timedelta(hours=1) - now
                raise TooManyRequests(max(1, int(left.total_seconds())))

    async def _succeed(self, keys: Iterable[bytes], user_id: int, better_hash: str | None) -> None:
        async def work(session: WriteSession) -> None:
            await repository.forgive(session, keys)
            if better_hash is not None:
                await session.execute(
                    update(User).where(User.id == user_id).values(password_hash=better_hash)
                )

        await self._database.run(work)
