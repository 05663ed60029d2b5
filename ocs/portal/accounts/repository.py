"""SQL of the accounts.

The proposals' tables are read here by SQL: who somebody is includes their proposals, and one statement
answers both. Their module stands on this one, so its door cannot be used; nor when an invitation is accepted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.sql.expression import bindparam

from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.security import Principal
from ocs.portal.accounts.models import ApiToken, BearerToken, User
from ocs.portal.sql import ALLOCATION, USED, as_hours

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

_PROFILE = text(
    """
    SELECT u.*, t.key_encrypted,
      (SELECT max(b.created_at) FROM accounts.bearer_token b
       WHERE b.user_id = u.id AND b.kind = 'archive' AND b.expires_at > :now) AS archive_token_created_at,
      EXISTS (SELECT FROM accounts.oauth_application a WHERE a.name = 'Archive') AS has_archive,
      (SELECT coalesce(jsonb_agg(jsonb_build_object(
           'id', p.id, 'title', p.title, 'current', p.active AND EXISTS (
             SELECT FROM proposals.time_allocation ta JOIN proposals.semester s ON s.id = ta.semester_id
             WHERE ta.proposal_id = p.id AND s.ends_at >= :now)) ORDER BY p.title, p.id), '[]')
       FROM proposals.membership m JOIN proposals.proposal p ON p.id = m.proposal_id
       WHERE m.user_id = u.id) AS proposals,
      ARRAY(SELECT DISTINCT at.instrument_type
            FROM proposals.membership m JOIN proposals.proposal p ON p.id = m.proposal_id AND p.active
            JOIN proposals.allocated_type at ON at.proposal_id = p.id
            WHERE m.user_id = u.id ORDER BY 1) AS instrument_types,
      ARRAY(SELECT n.proposal_id FROM proposals.notification n
            WHERE n.user_id = u.id ORDER BY 1) AS proposal_notifications,
      (SELECT jsonb_build_object('name', sca.name, 'id', sca.id, 'collaborationallocation_set', (
           SELECT coalesce(jsonb_agg(jsonb_build_object(
               'allocation', CAST(ca.allocation_h AS float8), 'telescope_name', lower(ca.telescope_name),
               'raw_telescope_name', ca.telescope_name) ORDER BY ca.id), '[]')
           FROM proposals.collaboration_allocation ca WHERE ca.sca_id = sca.id))
       FROM proposals.sca sca WHERE sca.admin_id = u.id) AS sca
    FROM accounts.user u LEFT JOIN accounts.api_token t ON t.user_id = u.id
    WHERE u.id = :user_id
    """
)
_CURRENT_TIME = text(
    f"""
    SELECT m.proposal_id, m.time_limit_s AS time_limit, {USED} AS time_used,
      (SELECT coalesce(jsonb_agg(jsonb_build_object({ALLOCATION}) - 'id' ORDER BY a.id), '[]')
       FROM proposals.time_allocation a JOIN proposals.semester s ON s.id = a.semester_id
       WHERE a.proposal_id = m.proposal_id AND s.starts_at <= :now AND :now <= s.ends_at) AS time_allocations
    FROM proposals.membership m WHERE m.user_id = :user_id
    """  # noqa: S608 - our own column names
)
_ACCEPT_INVITATIONS = text(
    """
    WITH used AS (
      UPDATE proposals.invitation SET used_at = :now
      WHERE lower(email) = lower(:email) AND used_at IS NULL
      RETURNING proposal_id, role, time_limit_s
    )
    INSERT INTO proposals.membership (proposal_id, user_id, role, time_limit_s)
    SELECT proposal_id, :user_id, role, time_limit_s FROM used ON CONFLICT DO NOTHING
    """
)
_LEADS_ANY = text("SELECT EXISTS (SELECT FROM proposals.membership WHERE user_id = :user_id AND role = 'PI')")
_CREATE_API_TOKEN = text(
    """
    INSERT INTO accounts.api_token (user_id, key_hash, key_encrypted, created_at)
    VALUES (:user_id, :key_hash, :key_encrypted, :now) ON CONFLICT (user_id) DO NOTHING
    """
)
_REPLACE_API_TOKEN = text(
    """
    INSERT INTO accounts.api_token (user_id, key_hash, key_encrypted, created_at)
    VALUES (:user_id, :key_hash, :key_encrypted, :now) ON CONFLICT (user_id) DO UPDATE
      SET key_hash = excluded.key_hash, key_encrypted = excluded.key_encrypted,
          created_at = excluded.created_at
    """
)
_CREATE_ARCHIVE_TOKEN = text(
    """
    INSERT INTO accounts.bearer_token AS old
      (key_hash, kind, user_id, application_id, name, scope, created_at, expires_at)
    SELECT :key_hash, 'archive', :user_id, min(a.id), 'Archive', 'read write', :now, :expires_at
    FROM accounts.oauth_application a WHERE a.name = 'Archive'
    ON CONFLICT (user_id) WHERE kind = 'archive' DO UPDATE
      SET key_hash = excluded.key_hash, created_at = excluded.created_at, expires_at = excluded.expires_at
      WHERE old.expires_at <= excluded.created_at
    """
)


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
    if row is None or not {"read", "write"} & set(row.scope.split()):
        return None  # a token that only tells who somebody is opens no door
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
    session: ReadSession,
    *,
    ids: Sequence[int] = (),
    usernames: Sequence[str] = (),
    emails: Sequence[str] = (),
) -> Sequence[User]:
    """Return users by ids, by names or by addresses in lower case, in no order."""
    if emails:
        wanted = [User.email != "", func.lower(User.email).in_(emails)]  # as the index has it
    else:
        wanted = [User.id.in_(ids) if ids else User.username.in_(usernames)]
    return (await session.scalars(select(User).where(*wanted))).all()


async def profile(session: ReadSession, user_id: int, now: datetime) -> Row[Any]:
    """Return a user with everything the profile shows."""
    return (await session.execute(_PROFILE, {"user_id": user_id, "now": now})).one()


async def set_api_token(
    session: WriteSession,
    user_id: int,
    key_hash: bytes,
    key_encrypted: bytes,
    now: datetime,
    *,
    replace: bool,
) -> None:
    """Store an API token; an existing one is replaced or stays."""
    statement = _REPLACE_API_TOKEN if replace else _CREATE_API_TOKEN
    values = {"user_id": user_id, "key_hash": key_hash, "key_encrypted": key_encrypted, "now": now}
    await session.execute(statement, values)


async def api_token(session: ReadSession, user_id: int) -> bytes | None:
    """Return a user's API token, encrypted."""
    return await session.scalar(select(ApiToken.key_encrypted).where(ApiToken.user_id == user_id))


async def create_archive_token(
    session: WriteSession, user_id: int, key_hash: bytes, now: datetime, expires_at: datetime
) -> None:
    """Store an archive token if there is no valid one."""
    values = {"user_id": user_id, "key_hash": key_hash, "now": now, "expires_at": expires_at}
    await session.execute(_CREATE_ARCHIVE_TOKEN, values)


async def email_is_taken(session: ReadSession, email: str, by_other_than: int | None = None) -> bool:
    """Tell whether somebody else has this address, in any case of letters."""
    found = await session.scalar(
        select(User.id).where(User.email != "", func.lower(User.email) == email.lower())
    )
    return found is not None and found != by_other_than


async def all_users(session: ReadSession) -> Sequence[User]:
    """Return all users by name."""
    return (await session.scalars(select(User).order_by(User.username))).all()


async def bearer_owner(session: ReadSession, key_hash: bytes, now: datetime) -> tuple[User, str] | None:
    """Return the active owner of a bearer token, and its scope."""
    row = (
        await session.execute(
            select(User, BearerToken.scope)
            .join(BearerToken, BearerToken.user_id == User.id)
            .where(User.is_active, BearerToken.key_hash == key_hash)
            .where((BearerToken.expires_at.is_(None)) | (BearerToken.expires_at > now))
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def current_time(session: ReadSession, user_id: int, now: datetime) -> dict[str, dict[str, Any]]:
    """Return limit, use and current allocations of a user's proposals, by proposal."""
    rows = await session.execute(_CURRENT_TIME, {"user_id": user_id, "now": now})
    shown = {}
    for row in rows.mappings():
        values = dict(row)
        shown[values.pop("proposal_id")] = values | {
            "time_used": int(row["time_used"]),
            "time_allocations": [as_hours(item) for item in row["time_allocations"]],
        }
    return shown


async def accept_invitations(session: WriteSession, user_id: int, email: str, now: datetime) -> None:
    """Make a user a member wherever this address is invited; the invitations are used."""
    await session.execute(_ACCEPT_INVITATIONS, {"user_id": user_id, "email": email, "now": now})


async def leads_any(session: ReadSession, user_id: int | None) -> bool:
    """Tell whether a user is principal investigator of a proposal."""
    return bool(await session.scalar(_LEADS_ANY, {"user_id": user_id}))
