"""Tables of the accounts.

What the wire calls a profile are columns of the user, so that no user can be without one. Of every secret
only a hash is stored; the API token alone, which the profile must show again, is also kept encrypted.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from ocs.kernel.database import Base

_FALSE = text("false")
_EMPTY = text("''")
_USER = "accounts.user.id"
_APPLICATION = "accounts.oauth_application.id"


class User(Base):
    """A person or a service, with profile."""

    __tablename__ = "user"
    __table_args__ = (
        Index("uq_user_email_lower", text("lower(email)"), unique=True, postgresql_where=text("email <> ''")),
        {"schema": "accounts"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    first_name: Mapped[str] = mapped_column(server_default=_EMPTY)
    last_name: Mapped[str] = mapped_column(server_default=_EMPTY)
    email: Mapped[str] = mapped_column(server_default=_EMPTY)
    password_hash: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_staff: Mapped[bool] = mapped_column(server_default=_FALSE)
    is_superuser: Mapped[bool] = mapped_column(server_default=_FALSE)
    joined_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]

    institution: Mapped[str] = mapped_column(server_default=_EMPTY)
    title: Mapped[str] = mapped_column(server_default=_EMPTY)
    education_user: Mapped[bool] = mapped_column(server_default=_FALSE)
    notifications_enabled: Mapped[bool] = mapped_column(server_default=_FALSE)
    notifications_on_authored_only: Mapped[bool] = mapped_column(server_default=_FALSE)
    simple_interface: Mapped[bool] = mapped_column(server_default=_FALSE)
    view_authored_requests_only: Mapped[bool] = mapped_column(server_default=_FALSE)
    staff_view: Mapped[bool] = mapped_column(server_default=_FALSE)
    terms_accepted_at: Mapped[datetime | None]
    password_expires_at: Mapped[datetime | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(_USER, ondelete="SET NULL"))


class ApiToken(Base):
    """The one API token of a user."""

    __tablename__ = "api_token"
    __table_args__ = ({"schema": "accounts"},)

    user_id: Mapped[int] = mapped_column(
        ForeignKey(_USER, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    key_encrypted: Mapped[bytes]
    created_at: Mapped[datetime]


class BrowserSession(Base):
    """A login in a browser."""

    __tablename__ = "browser_session"
    __table_args__ = ({"schema": "accounts"},)

    key_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class OAuthApplication(Base):
    """A service that logs its users in through us. The secret is a keyed hash."""

    __tablename__ = "oauth_application"
    __table_args__ = (
        CheckConstraint("client_type IN ('public', 'confidential')", name="client_type"),
        CheckConstraint(
            "grant_type IN ('password', 'authorization-code', 'client-credentials')", name="grant_type"
        ),
        CheckConstraint("client_type = 'public' OR secret_hash IS NOT NULL", name="secret"),
        {"schema": "accounts"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(server_default=_EMPTY)
    client_id: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[str | None]
    client_type: Mapped[str]
    grant_type: Mapped[str]
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    skip_authorization: Mapped[bool] = mapped_column(server_default=_FALSE)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(_USER, ondelete="SET NULL"))
    created_at: Mapped[datetime]


class BearerToken(Base):
    """An access token of an application, or a personal token.

    `kind` is ``oauth``, ``personal`` (its first characters are kept as `prefix` so that its owner knows it
    again), or ``archive``: the token the profile hands to the archive's pages, at most one a user, which is
    derived from the row and the installation's key and therefore needs no stored value either.
    """

    __tablename__ = "bearer_token"
    __table_args__ = (
        CheckConstraint("kind IN ('oauth', 'personal', 'archive')", name="kind"),
        Index("uq_bearer_token_archive", "user_id", unique=True, postgresql_where=text("kind = 'archive'")),
        {"schema": "accounts"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    kind: Mapped[str]
    user_id: Mapped[int | None] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"), index=True)
    application_id: Mapped[int | None] = mapped_column(
        ForeignKey(_APPLICATION, ondelete="CASCADE"), index=True
    )
    grant_id: Mapped[int | None] = mapped_column(
        ForeignKey("accounts.oauth_grant.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(server_default=_EMPTY)
    prefix: Mapped[str] = mapped_column(server_default=_EMPTY)
    scope: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]


class OAuthGrant(Base):
    """What a user let an application do: the family that a code or login and all later tokens belong to."""

    __tablename__ = "oauth_grant"
    __table_args__ = ({"schema": "accounts"},)

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey(_APPLICATION, ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"), index=True)
    scope: Mapped[str]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class AuthorizationCode(Base):
    """A code on its way through the browser; used once."""

    __tablename__ = "authorization_code"
    __table_args__ = ({"schema": "accounts"},)

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    grant_id: Mapped[int] = mapped_column(
        ForeignKey("accounts.oauth_grant.id", ondelete="CASCADE"), index=True
    )
    redirect_uri: Mapped[str]
    code_challenge: Mapped[str]
    nonce: Mapped[str | None]
    authenticated_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class RefreshToken(Base):
    """A refresh token; used once. Its second use revokes the grant."""

    __tablename__ = "refresh_token"
    __table_args__ = ({"schema": "accounts"},)

    key_hash: Mapped[bytes] = mapped_column(primary_key=True)
    grant_id: Mapped[int] = mapped_column(
        ForeignKey("accounts.oauth_grant.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class SigningKey(Base):
    """The key that signs identity tokens, encrypted; exactly one row."""

    __tablename__ = "signing_key"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), {"schema": "accounts"})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key_encrypted: Mapped[bytes]
    created_at: Mapped[datetime]


class LoginAttempts(Base):
    """Failed and running logins of one name or address in the current hour; the key is a hash."""

    __tablename__ = "login_attempts"
    __table_args__ = ({"schema": "accounts"},)

    key: Mapped[bytes] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]


class Mail(Base):
    """A message that waits to be sent. Its text is encrypted, since it may carry a link that logs in."""

    __tablename__ = "mail"
    __table_args__ = (
        Index("ix_mail_due_at", "due_at", postgresql_where=text("sent_at IS NULL")),
        {"schema": "accounts"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    subject: Mapped[str]
    body_encrypted: Mapped[bytes | None]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(server_default=_EMPTY)
