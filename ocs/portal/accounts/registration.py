"""Becoming a user, and getting back in: links that prove who reads an address's mail.

No link is stored. A link is a signature over what it is good for and over what its use changes, so it dies
with its use: an activation with the first login, a reset with any login or change of password or address.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import Field as PydanticField
from pydantic import ValidationError, model_validator
from sqlalchemy import func, select

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.errors import reference_body
from ocs.kernel.runtime import Runtime
from ocs.kernel.wire.types import WireModel, text
from ocs.portal.accounts import administration, mail, repository
from ocs.portal.accounts.errors import UserExists, WeakPassword
from ocs.portal.accounts.models import User
from ocs.portal.accounts.schemas import Email

ACTIVATION_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(days=3)
_HEX = re.compile(r"^[0-9a-f]+$")


class Registration(WireModel):
    """What the registration form sends."""

    first_name: text(150)  # type: ignore[valid-type]
    last_name: text(150)  # type: ignore[valid-type]
    institution: text(200)  # type: ignore[valid-type]
    title: text(200)  # type: ignore[valid-type]
    email: Email
    username: str = PydanticField(pattern=r"^[\w.@+-]+$", min_length=1, max_length=50)
    password1: str = PydanticField(min_length=1)
    password2: str = PydanticField(min_length=1)
    simple_interface: bool = False
    tos: bool

    @model_validator(mode="after")
    def _agree(self) -> "Registration":
        if not self.tos:
            raise ValueError("You must accept the terms of service.")
        if self.password1 != self.password2:
            raise ValueError("The two password fields didn't match.")
        return self

    @classmethod
    def read(cls, form: Mapping[str, str]) -> tuple["Registration | None", Mapping[str, Sequence[str]]]:
        """Read a form; return the registration, or what is wrong by field ('' for the whole)."""
        try:
            return cls.model_validate(dict(form)), {}
        except ValidationError as error:
            problems = reference_body(error.errors(), dict(form))
            return None, {name if name != "non_field_errors" else "": said for name, said in problems.items()}


@dataclass(frozen=True, slots=True)
class Registrations:
    """Registration and passwords, in one transaction."""

    session: WriteSession
    runtime: Runtime

    @property
    def _now(self) -> datetime:
        return self.runtime.clock.now()

    async def register(self, registration: Registration) -> None:
        """Create an account that is not active yet, and write to its owner.

        Raises
        ------
        UserExists, WeakPassword
            By field of the form.
        """
        about = (registration.username, registration.email, registration.first_name, registration.last_name)
        try:
            administration.check_password(registration.password1, *about)
        except WeakPassword as error:
            raise WeakPassword(body={"password1": error.body["password"]}) from None
        taken = await self.session.scalar(
            select(User.id).where(func.lower(User.username) == registration.username.lower())
        )
        if taken is not None:
            raise UserExists.fields(username="A user with that username already exists.")
        if await repository.email_is_taken(self.session, registration.email):
            raise UserExists.fields(email="This address is in use; reset the password if it is yours.")
        user = User(
            username=registration.username,
            email=registration.email,
            first_name=registration.first_name,
            last_name=registration.last_name,
            institution=registration.institution,
            title=registration.title,
            simple_interface=registration.simple_interface,
            is_active=False,
            joined_at=self._now,
            terms_accepted_at=self._now,
            password_hash=await self.runtime.passwords.hash(registration.password1),
        )
        self.session.add(user)
        await self.session.flush()
        self._send_activation(user)

    def _send(self, user: User, subject: str, body: str) -> None:
        mail.queue(self.session, self.runtime.vault, [user.email], subject, body, self._now)

    # --- activation

    def _activation_state(self, user: User, since_s: int) -> str:
        return f"{user.id}:{since_s}:{user.password_hash}"

    def _send_activation(self, user: User) -> None:
        since_s = int(self._now.timestamp())
        signature = self.runtime.vault.sign("activation", self._activation_state(user, since_s))
        key = f"{user.id:016x}{since_s:016x}{signature}"
        link = f"{mail.portal_url(self.runtime.settings)}/accounts/activate/{key}/"
        self._send(user, "Activate your account", f"Dear {user.first_name},\n\nfollow this link:\n{link}\n")

    async def resend(self, email: str) -> None:
        """Write again to somebody whose account is not active yet."""
        user = await self._by_email(email)
        if user is not None and not user.is_active and user.last_login_at is None:
            self._send_activation(user)

    async def activate(self, key: str) -> bool:
        """Activate the account a link was made for, and accept its invitations; tell whether it is active."""
        if len(key) != 64 or not _HEX.match(key):
            return False
        user_id, since_s, signature = int(key[:16], 16), int(key[16:32], 16), key[32:]
        if not 0 <= self._now.timestamp() - since_s <= ACTIVATION_LIFETIME.total_seconds():
            return False
        user = await self.session.get(User, min(user_id, 2**62), with_for_update=True)
        if user is None or not self.runtime.vault.verify(
            "activation", self._activation_state(user, since_s), signature
        ):
            return False
        if not user.is_active and user.last_login_at is None:
            user.is_active = True
            await self.session.flush()
            await repository.accept_invitations(self.session, user.id, user.email, self._now)
            changes.stamp(self.session, "accounts")
            changes.stamp(self.session, "proposals")
        return user.is_active

    # --- passwords

    async def _by_email(self, email: str) -> User | None:
        found = await repository.users(self.session, emails=[email.strip().lower()]) if "@" in email else []
        return found[0] if found else None

    def _reset_state(self, user: User, since_s: int) -> str:
        return f"{user.id}:{since_s}:{user.password_hash}:{user.last_login_at}:{user.email}"

    async def send_reset(self, email: str) -> None:
        """Send a link to set a new password, if an active user has this address."""
        user = await self._by_email("" if "\x00" in email else email)
        if user is None or not user.is_active:
            return
        since_s = int(self._now.timestamp())
        signature = self.runtime.vault.sign("password reset", self._reset_state(user, since_s))
        name = base64.urlsafe_b64encode(str(user.id).encode()).decode().rstrip("=")
        link = (
            f"{mail.portal_url(self.runtime.settings)}/accounts/password/reset/confirm/"
            f"{name}/{since_s:x}-{signature}/"
        )
        self._send(
            user,
            "Set a new password",
            f"Your username is {user.username}. Follow this link to set a new password:\n{link}\n"
            "If you did not ask for it, do nothing.\n",
        )

    async def reset_user(self, name: str, token: str) -> int | None:
        """Return the user a link lets in, None when it is wrong, used or old."""
        try:
            user_id = int(base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)))
            since_s = int(token.partition("-")[0], 16)
        except ValueError:
            return None
        if not 0 <= self._now.timestamp() - since_s <= RESET_LIFETIME.total_seconds():
            return None
        user = await self.session.get(User, max(0, min(user_id, 2**62)))
        if user is None or not user.is_active:
            return None
        signature = token.partition("-")[2]
        good = self.runtime.vault.verify("password reset", self._reset_state(user, since_s), signature)
        return user.id if good else None

    async def set_password(self, user_id: int, password: str) -> None:
        """Store a new password; see `administration.store_password`."""
        user = await self.session.get_one(User, user_id, with_for_update=True)
        administration.check_password(password, user.username, user.email, user.first_name, user.last_name)
        await administration.store_password(
            self.session, self.runtime.passwords, user, password, self._now.astimezone(UTC)
        )
