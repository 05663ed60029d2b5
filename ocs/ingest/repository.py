"""All SQL of the ingest queue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ocs.ingest.folder import Seen
from ocs.ingest.models import ARCHIVED, DUPLICATE, VANISHED, WAITING, QueuedFile
from ocs.ingest.schemas import QueueFilters
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.security import Principal


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the queue as the service works with it."""

    id: int
    path: str
    seen: Seen
    state: str
    attempts: int
    next_try_at: datetime


def visible(principal: Principal, filters: QueueFilters) -> Select[QueuedFile]:
    """Return the files `principal` may see: staff all, others none."""
    statement = select(QueuedFile)
    if not principal.is_staff:
        return statement.where(QueuedFile.id < 0)
    if filters.state is not None:
        statement = statement.where(QueuedFile.state == filters.state)
    if filters.reason is not None:
        statement = statement.where(QueuedFile.reason.icontains(filters.reason, autoescape=True))
    if filters.path is not None:
        statement = statement.where(QueuedFile.path.icontains(filters.path, autoescape=True))
    return statement


async def page(
    session: ReadSession, statement: Select[QueuedFile], limit: int, offset: int
) -> tuple[list[QueuedFile], int]:
    """Return rows, newest first, and the number of all."""
    rows = await session.scalars(statement.order_by(QueuedFile.id.desc()).limit(limit).offset(offset))
    count = (await session.scalars(select(func.count()).select_from(statement.subquery()))).one()
    return list(rows), count


async def uncleared(session: ReadSession) -> list[Entry]:
    """Return the files that are, as far as we know, still in the watch folder."""
    rows = await session.scalars(select(QueuedFile).where(~QueuedFile.cleared).order_by(QueuedFile.id))
    return [
        Entry(row.id, row.path, Seen(row.size, row.mtime_ns), row.state, row.attempts, row.next_try_at)
        for row in rows
    ]


async def add(session: WriteSession, files: Iterable[tuple[str, Seen]], now_utc: datetime) -> None:
    """Put files into the queue."""
    rows = [
        {
            "path": path,
            "size": seen.size,
            "mtime_ns": seen.mtime_ns,
            "state": WAITING,
            "next_try_at": now_utc,
            "created": now_utc,
            "modified": now_utc,
        }
        for path, seen in files
    ]
    if rows:
        await session.execute(insert(QueuedFile).values(rows).on_conflict_do_nothing())


async def change(session: WriteSession, ids: Sequence[int], **values: Any) -> None:
    """Set columns of rows."""
    if ids:
        await session.execute(update(QueuedFile).where(QueuedFile.id.in_(ids)).values(**values))


async def finish(session: WriteSession, identifier: int, now_utc: datetime, **values: Any) -> bool:
    """Decide on a waiting file; False if that was done already."""
    statement = (
        update(QueuedFile)
        .where(QueuedFile.id == identifier, QueuedFile.state == WAITING)
        .values(modified=now_utc, **values)
        .returning(QueuedFile.id)
    )
    return (await session.scalars(statement)).one_or_none() is not None


async def locked(session: WriteSession, identifier: int) -> QueuedFile | None:
    """Return a row for changing."""
    return await session.get(QueuedFile, identifier, with_for_update=True)


async def forget(session: WriteSession, before_utc: datetime) -> None:
    """Remove rows of files that went well, and are old."""
    await session.execute(
        delete(QueuedFile).where(
            QueuedFile.cleared,
            QueuedFile.state.in_((ARCHIVED, DUPLICATE, VANISHED)),
            QueuedFile.modified < before_utc,
        )
    )
