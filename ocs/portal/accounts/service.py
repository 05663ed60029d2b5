"""Rules of the accounts: profiles, tokens, browser sessions."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, update

from ocs.kernel import changes
from ocs.kernel.clock import Clock
from ocs.kernel.database import Database, ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput
from ocs.kernel.security import Passwords, Principal, Vault, new_token, token_hash
from ocs.kernel.wire.types import iso_z
from ocs.portal.accounts import repository
from ocs.portal.accounts.errors import PasswordExpired, WrongPassword
from ocs.portal.accounts.logins import Login, Logins
from ocs.portal.accounts.models import BrowserSession, User
from ocs.portal.accounts.secrets import archive_token

SESSION_LIFETIME = timedelta(days=14)
ARCHIVE_TOKEN_LIFETIME = timedelta(days=30)
_PROFILE_COLUMNS = (
    "education_user",
    "notifications_enabled",
    "notifications_on_authored_only",
    "simple_interface",
    "view_authored_requests_only",
    "title",
    "staff_view",
    "institution",
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of an installation, for one request or command.

    Attributes
    ----------
    passwords, vault, clock, database
        What the runtime has at hand.
    """

    passwords: Passwords
    vault: Vault
    clock: Clock
    database: Database

    @property
    def logins(self) -> Logins:
        """The check of names and passwords."""
        return Logins(self.passwords, self.clock, self.database)

    # --- logging in

    async def log_in(self, name: str, password: str, address: str) -> Login:
        """Return who gives this name and password, to hand out a token.

        Raises
        ------
        WrongPassword
            Or `PasswordExpired`, or `TooManyRequests` after too many tries.
        """
        login = await self.logins.check(name, password, address=address)
        if login is None:
            raise WrongPassword
        if login.password_expired:
            raise PasswordExpired
        return login

    async def start_session(self, session: WriteSession, user_id: int) -> str:
        """Open a browser session; return its key."""
        key, now = secrets.token_urlsafe(32), self.clock.now()
        session.add(
            BrowserSession(
                key_hash=token_hash(key), user_id=user_id, created_at=now, expires_at=now + SESSION_LIFETIME
            )
        )
        await session.execute(update(User).where(User.id == user_id).values(last_login_at=now))
        return key

    async def end_session(self, session: WriteSession, key: str) -> None:
        """Close a browser session."""
        await session.execute(delete(BrowserSession).where(BrowserSession.key_hash == token_hash(key)))

    # --- tokens

    async def api_token(self, session: WriteSession, user_id: int) -> str:
        """Return the user's API token, made now if there is none."""
        key = new_token()
        await repository.set_api_token(
            session, user_id, token_hash(key), self.vault.encrypt(key), self.clock.now(), replace=False
        )
        stored = await repository.api_token(session, user_id)
        assert stored is not None
        return self.vault.decrypt(stored)

    async def replace_api_token(self, session: WriteSession, user_id: int) -> str:
        """Make a new API token; the old one is dead when this commits."""
        key = new_token()
        await repository.set_api_token(
            session, user_id, token_hash(key), self.vault.encrypt(key), self.clock.now(), replace=True
        )
        changes.stamp(session, "accounts")
        return key

    # --- profile

    async def profile(self, session: ReadSession, caller: Principal) -> dict[str, Any] | None:
        """Return what the caller sees of themselves; None when a token has to be made first."""
        assert caller.user_id is not None
        row = await repository.profile(session, caller.user_id, self.clock.now())
        if row.key_encrypted is None or (row.has_archive and row.archive_token_created_at is None):
            return None
        return self._shown(row, caller)

    async def add_current_time(self, session: ReadSession, caller: Principal, shown: dict[str, Any]) -> None:
        """Add limit, use and allocations of the current semester to the proposals of a profile."""
        assert caller.user_id is not None
        current = await repository.current_time(session, caller.user_id, self.clock.now())
        for proposal in shown["proposals"]:
            proposal.update(current.get(proposal["id"], {}))

    async def make_tokens(self, session: WriteSession, caller: Principal) -> None:
        """Make the tokens the profile shows, where they are missing."""
        assert caller.user_id is not None
        await self.api_token(session, caller.user_id)
        now = self.clock.now()
        key = archive_token(self.vault, caller.user_id, now)
        await repository.create_archive_token(
            session, caller.user_id, token_hash(key), now, now + ARCHIVE_TOKEN_LIFETIME
        )

    def _shown(self, row: Row[Any], caller: Principal) -> dict[str, Any]:
        tokens = {"archive": "", "api_token": ""}
        if not caller.read_only:  # a token that may only read must not lead to one that may write
            tokens["api_token"] = self.vault.decrypt(row.key_encrypted)
            if row.has_archive:
                tokens["archive"] = archive_token(self.vault, row.id, row.archive_token_created_at)
        profile = {name: getattr(row, name) for name in _PROFILE_COLUMNS}
        return {
            "username": row.username,
            "first_name": row.first_name,
            "last_name": row.last_name,
            "email": row.email,
            "profile": profile
            | {
                "api_quota": {"used": 0, "allowed": "unlimited"},
                "terms_accepted": _iso(row.terms_accepted_at),
                "sciencecollaborationallocation": row.sca,
                "password_expiration": _iso(row.password_expires_at),
            },
            "is_staff": row.is_staff,
            "is_superuser": row.is_superuser,
            "proposals": row.proposals,
            "available_instrument_types": row.instrument_types,
            "tokens": tokens,
            "proposal_notifications": row.proposal_notifications,
        }

    async def change_profile(
        self, session: WriteSession, caller: Principal, fields: Mapping[str, Any], profile: Mapping[str, Any]
    ) -> None:
        """Store what users change about themselves.

        Raises
        ------
        InvalidInput
            When the e-mail address belongs to somebody else, or a user who is not staff sets `staff_view`.
        """
        assert caller.user_id is not None
        problems: dict[str, Any] = {}
        if "email" in fields and await repository.email_is_taken(session, fields["email"], caller.user_id):
            problems["email"] = ["User with this email already exists."]
        if profile.get("staff_view") and not caller.is_staff:
            problems["profile"] = {"staff_view": ["Must be staff to set staff_view."]}
        if problems:
            raise InvalidInput(body=problems)
        if values := dict(fields) | dict(profile):
            await session.execute(update(User).where(User.id == caller.user_id).values(**values))
            changes.stamp(session, "accounts")

    async def accept_terms(self, session: WriteSession, caller: Principal) -> None:
        """Note that the caller accepts the terms now."""
        await session.execute(
            update(User).where(User.id == caller.user_id).values(terms_accepted_at=self.clock.now())
        )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso_z(moment)
