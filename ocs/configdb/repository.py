"""All SQL of the configuration: it is loaded whole, and stored set by set.

Rows travel as JSON in both directions (`to_jsonb`, `jsonb_populate_recordset`), so Postgres itself converts
between columns and values.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement, cast, exists, func, or_, select, text
from sqlalchemy.orm import aliased

from ocs.configdb.kinds import KINDS, Kind
from ocs.configdb.models import SCHEMA, Revision, Version
from ocs.configdb.state import Change, Editor, Key, Row, State
from ocs.kernel.database import ReadSession, WriteSession

_WRITERS_LOCK = 0x6F6373_02


def _select(kind: Kind) -> str:
    lists = "".join(
        f" || jsonb_build_object('{name}', ARRAY(SELECT m.{members.member} FROM {members.table.fullname} m"  # noqa: S608
        f" WHERE m.{members.owner} = t.id ORDER BY 1))"
        for name, members in kind.members.items()
    )
    order = kind.key if kind.has_serial_key else "ordinal"
    return (
        f"SELECT '{kind.name}', coalesce(json_agg(to_jsonb(t) - 'ordinal'{lists} ORDER BY t.{order}), '[]')"  # noqa: S608
        f"::text FROM {kind.table.fullname} t"
    )


_LOAD = text(" UNION ALL ".join(_select(kind) for kind in KINDS.values()))
_LAST_IDS = text(
    " UNION ALL ".join(
        f"SELECT '{kind.name}', coalesce(pg_sequence_last_value('{kind.table.fullname}_id_seq'), 0)"
        for kind in KINDS.values()
        if kind.has_serial_key
    )
)
_SET_LAST_ID = text(
    "SELECT setval(name::regclass, id)"
    " FROM unnest(CAST(:names AS text[]), CAST(:ids AS bigint[])) AS last(name, id)"
)


def _upsert(kind: Kind) -> Any:
    names = [column.name for column in kind.columns]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names)
    return text(
        f"INSERT INTO {kind.table.fullname} ({', '.join(names)}) SELECT {', '.join(names)}"  # noqa: S608
        f" FROM jsonb_populate_recordset(NULL::{kind.table.fullname}, CAST(:rows AS jsonb))"
        f" ON CONFLICT ({kind.key}) DO UPDATE SET {changed}"
    )


_UPSERT = {kind.name: _upsert(kind) for kind in KINDS.values()}


async def load(session: ReadSession) -> State:
    """Return the whole configuration; one statement."""
    rows: dict[str, dict[Key, Row]] = {}
    for name, document in await session.execute(_LOAD):
        kind = KINDS[name]
        found: list[Row] = orjson.loads(document)
        for row in found:
            for column in kind.floats:
                row[column] = float(row[column])
        rows[name] = {row[kind.key]: row for row in found}
    return State(rows)


async def edit(session: WriteSession, now_utc: datetime) -> Editor:
    """Wait for our turn to write, and return an editor of what is there now."""
    await session.execute(select(func.pg_advisory_xact_lock(_WRITERS_LOCK)))
    state = await load(session)
    last_ids = {row[0]: row[1] for row in await session.execute(_LAST_IDS)}
    return Editor(state, last_ids, now_utc)


async def store(session: WriteSession, editor: Editor, username: str, comment: str) -> list[Change]:
    """Write what an editor gathered, as one revision.

    Returns
    -------
    list of Change
        What changed; nothing is written when this is empty.
    """
    changes = editor.changes
    if not changes:
        return []
    by_kind = {name: [change for change in changes if change.kind == name] for name in KINDS}
    gone = {name: [item.key for item in items if item.after is None] for name, items in by_kind.items()}
    kept = {name: [item.after for item in items if item.after is not None] for name, items in by_kind.items()}
    for name, kind in KINDS.items():  # pairs first, so that no member is missed while rows go away
        owners = [item.key for item in by_kind[name]]
        for members in kind.members.values():
            if owners:
                await session.execute(
                    members.table.delete().where(members.table.columns[members.owner].in_(owners))
                )
    for name in reversed(list(KINDS)):
        if gone[name]:
            table = KINDS[name].table
            await session.execute(table.delete().where(table.columns[KINDS[name].key].in_(gone[name])))
    for name, rows in kept.items():
        if rows:
            await session.execute(_UPSERT[name], {"rows": orjson.dumps(rows).decode()})
            await _store_members(session, KINDS[name], rows)
    numbered = [name for name, items in by_kind.items() if items and KINDS[name].has_serial_key]
    await session.execute(
        _SET_LAST_ID,
        {
            "names": [f"{SCHEMA}.{name}_id_seq" for name in numbered if editor.last_ids[name]],
            "ids": [editor.last_ids[name] for name in numbered if editor.last_ids[name]],
        },
    )
    await _store_revision(session, editor, changes, username, comment)
    return changes


async def _store_members(session: WriteSession, kind: Kind, rows: Sequence[Row]) -> None:
    for name, members in kind.members.items():
        pairs = [{members.owner: row["id"], members.member: key} for row in rows for key in row[name]]
        if pairs:
            await session.execute(members.table.insert(), pairs)


async def _store_revision(
    session: WriteSession, editor: Editor, changes: Sequence[Change], username: str, comment: str
) -> None:
    revision = Revision(created=editor.now_utc, username=username, comment=comment)
    session.add(revision)
    await session.flush()
    session.add_all(
        Version(
            revision_id=revision.id,
            kind=change.kind,
            object_id=str(change.key),
            before=change.before,
            after=change.after,
        )
        for change in changes
    )
    await session.flush()


# --- history ------------------------------------------------------------------------------------------------


async def revisions(
    session: ReadSession, chosen: dict[str, Any], *, limit: int, offset: int
) -> tuple[int, Sequence[Revision]]:
    """Return how many revisions there are, and a page of them, newest first.

    Parameters
    ----------
    chosen
        `kind`, `object_id`, `username`, `deleted`, `created_after`; what is None does not limit.
    """
    conditions: list[ColumnElement[bool]] = []
    of_version: list[ColumnElement[bool]] = []
    if chosen.get("username"):
        conditions.append(Revision.username == chosen["username"])
    if chosen.get("created_after"):
        conditions.append(Revision.created >= chosen["created_after"])
    of_version += [
        column == chosen[name]
        for name, column in (("kind", Version.kind), ("object_id", Version.object_id))
        if chosen.get(name)
    ]
    if chosen.get("deleted"):
        later = aliased(Version)
        of_version += [
            Version.after.is_(None),
            ~exists().where(
                later.kind == Version.kind, later.object_id == Version.object_id, later.id > Version.id
            ),
        ]
    if of_version:
        conditions.append(exists().where(Version.revision_id == Revision.id, *of_version))
    count = await session.scalar(select(func.count()).select_from(Revision).where(*conditions))
    rows = await session.scalars(
        select(Revision).where(*conditions).order_by(Revision.id.desc()).limit(limit).offset(offset)
    )
    return count or 0, rows.all()


async def versions(session: ReadSession, revision_ids: Sequence[int]) -> Sequence[Version]:
    """Return the versions of some revisions."""
    statement = select(Version).where(Version.revision_id.in_(revision_ids)).order_by(Version.id)
    return (await session.scalars(statement)).all()


async def version(session: ReadSession, key: int) -> Version | None:
    """Return one version."""
    return await session.get(Version, key) if abs(key) < 2**63 else None


async def instrument_moments(
    session: ReadSession, *, keys: Sequence[Key] = (), telescope_id: Key | None = None
) -> dict[Key, list[tuple[datetime, Row | None]]]:
    """Return, for instruments by key or all that were ever on a telescope, when they became what."""
    fields = (Version.after, Version.before)
    return await _moments(
        session,
        "instrument",
        Version.object_id.in_([str(key) for key in keys])
        if telescope_id is None
        else or_(*(cast(item["telescope_id"], BigInteger) == telescope_id for item in fields)),
    )


async def telescope_moments(session: ReadSession, key: Key) -> list[tuple[datetime, Row | None]]:
    """Return when a telescope became what."""
    return (await _moments(session, "telescope", Version.object_id == str(key))).get(key, [])


async def _moments(
    session: ReadSession, kind: str, condition: ColumnElement[bool]
) -> dict[Key, list[tuple[datetime, Row | None]]]:
    statement = (
        select(Version.object_id, Revision.created, Version.after)
        .join(Revision, Revision.id == Version.revision_id)
        .where(Version.kind == kind, condition)
        .order_by(Revision.created, Version.id)
    )
    found: dict[Key, list[tuple[datetime, Row | None]]] = {}
    for key, created, after in await session.execute(statement):
        found.setdefault(int(key), []).append((created, after))
    return found
