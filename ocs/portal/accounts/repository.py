"""SQL of the accounts.

Memberships are read here by SQL, not through the proposals' door: who somebody is includes their proposals,
and one statement answers both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.sql.expression import bindparam

from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.security import Principal
from ocs.portal.accounts.models import User

_CALLER = """
    SELECT u.id, u.username, u.is_staff, u.is_superuser, u.staff_view, u.view_authored_requests_only,
           ARRAY(SELECT m.proposal_id FROM proposals.membership m WHERE m.user_id = u.id) AS proposal_ids
           {columns}
    FROM accounts.user u {source}
    WHERE u.is_active AND {condition}
"""
_BY_ID = text(_CALLER.format(columns="", source="", condition="u.id = :user_id"))
_BY_TOKEN = text(
    _CALLER.format(
        columns="",
        source="JOIN accounts.api_token t ON t.user_id = u.id",
        condition="t.key_hash = :key_hash",
    )
)
_BY_SESSION = text(
    _CALLER.format(
        columns="",
        source="JOIN accounts.browser_session s ON s.user_id = u.id",
        condition="s.key_hash = :key_hash AND s.expires_at > :now",
    )
)
_BY_BEARER = text(
    _CALLER.format(
        columns=", t.id AS token_id, t.kind, t.scope, t.last_used_at",
        source="JOIN accounts.bearer_token t ON t.user_id = u.id",
        condition="t.key_hash = :key_hash AND (t.expires_at IS NULL OR t.expires_at > :now)",
    )
)
_LOGIN = text(
    """
    SELECT id, username, password_hash, is_active, password_expires_at
    FROM accounts.user
    WHERE username = :name OR (email <> '' AND lower(email) = lower(:name))
    ORDER BY (lower(email) = lower(:name)) = :is_email DESC
    LIMIT 1
    """
)
_ADMIT = text(
    """
    INSERT INTO accounts.login_attempts AS old (key, started_at, count)
    SELECT key, :now, 1 FROM unnest(:keys) AS key ORDER BY key
    ON CONFLICT (key) DO UPDATE
      SET count = CASE WHEN old.started_at <= :hour_ago THEN 1 ELSE old.count + 1 END,
          started_at = CASE WHEN old.started_at <= :hour_ago THEN :now ELSE old.started_at END
    RETURNING key, count, started_at
    """
).bindparams(bindparam("keys", type_=ARRAY(BYTEA)))
_FORGIVE = text(
    "UPDATE accounts.login_attempts SET count = greatest(count - 1, 0) WHERE key = ANY(:keys)"
).bindparams(bindparam("keys", type_=ARRAY(BYTEA)))


@dataclass(frozen=True, slots=True)
class Bearer:
    """The owner of a bearer token, and what is needed to note its use."""

    principal: Principal
    token_id: int
    kind: str
    last_used_at: datetime | None


def _principal(row: Row[Any], *, read_only: bool = False) -> Principal:
    return Principal(
        user_id=row.id,
        username=row.username,
        is_staff=row.is_staff,
        is_superuser=row.is_superuser,
        staff_view=row.staff_view,
        view_authored_requests_only=row.view_authored_requests_only,
        proposal_ids=frozenset(row.proposal_ids),
        read_only=read_only,
    )


async def principal_by_id(session: ReadSession, user_id: int) -> Principal | None:
    """Return an active user."""
    row = (await session.execute(_BY_ID, {"user_id": user_id})).one_or_none()
    return None if row is None else _principal(row)


async def principal_by_token(session: ReadSession, key_hash: bytes) -> Principal | None:
    """Return the active owner of an API token."""
    row = (await session.execute(_BY_TOKEN, {"key_hash": key_hash})).one_or_none()
    return None if row is None else _principal(row)


async def principal_by_session(session: ReadSession, key_hash: bytes, now: datetime) -> Principal | None:
    """Return the active owner of a browser session."""
    row = (await session.execute(_BY_SESSION, {"key_hash": key_hash, "now": now})).one_or_none()
    return None if row is None else _principal(row)


async def principal_by_bearer(session: ReadSession, key_hash: bytes, now: datetime) -> Bearer | None:
    """Return the active owner of a bearer token."""
    row = (await session.execute(_BY_BEARER, {"key_hash": key_hash, "now": now})).one_or_none()
    if row is None:
        return None
    read_only = "write" not in row.scope.split()
    return Bearer(_principal(row, read_only=read_only), row.token_id, row.kind, row.last_used_at)


async def login_row(session: ReadSession, name: str) -> Row[Any] | None:
    """Return who a login name (username or e-mail address) means, active or not."""
    result = await session.execute(_LOGIN, {"name": name, "is_email": "@" in name})
    return result.one_or_none()


async def admit(
    session: WriteSession, keys: Iterable[bytes], now: datetime
) -> dict[bytes, tuple[int, datetime]]:
    """Count a login attempt of each key; return the count in its hour, and when that hour began."""
    rows = await session.execute(
        _ADMIT, {"keys": sorted(keys), "now": now, "hour_ago": now - timedelta(hours=1)}
    )
    return {key: (count, started_at) for key, count, started_at in rows}


async def forgive(session: WriteSession, keys: Iterable[bytes]) -> None:
    """Take one attempt of each key back: it succeeded."""
    await session.execute(_FORGIVE, {"keys": sorted(keys)})


async def users(
    session: ReadSession, *, ids: Sequence[int] = (), usernames: Sequence[str] = ()
) -> Sequence[User]:
    """Return users by id or name, in no order."""
    wanted = User.id.in_(ids) if ids else User.username.in_(usernames)
    return (await session.scalars(select(User).where(wanted))).all()
