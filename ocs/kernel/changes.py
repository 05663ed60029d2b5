"""One monotonic sequence of changes, committed with the data it announces.

A write names what it changed (`stamp`); the commit then takes the next number of the sequence and keeps, per
(topic, key), the number and time of the last change. The number is taken in the transaction's last statement
under a row lock, so numbers become visible in their order and without gaps. Everything that asks "has
something changed?" reads these rows: `last_changed`, `last_scheduled`, ETags, and the scheduler's trigger.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import text

if TYPE_CHECKING:
    from ocs.kernel.database import ReadSession, WriteSession

logger = logging.getLogger("ocs.changes")
CHANNEL = "ocs_changes"

_WRITE = text(
    """
    WITH next AS (UPDATE kernel.change_counter SET value = value + 1 RETURNING value)
    INSERT INTO kernel.change AS old (topic, key, sequence, changed_at)
    SELECT stamp.topic, stamp.key, next.value, :now
    FROM next, unnest(CAST(:topics AS text[]), CAST(:keys AS text[])) AS stamp(topic, key)
    ON CONFLICT (topic, key) DO UPDATE
      SET sequence = excluded.sequence, changed_at = greatest(old.changed_at, excluded.changed_at)
    RETURNING pg_notify(:channel, topic || ' ' || key)
    """
)
_LAST = text(
    """
    SELECT coalesce(max(change.changed_at), min(installation.installed_at) - CAST(:age AS interval)),
           coalesce(max(change.sequence), 0)
    FROM kernel.installation
    LEFT JOIN kernel.change ON change.topic = :topic AND change.key = ANY(CAST(:keys AS text[]))
    """
)


def stamp(session: "WriteSession", topic: str, *keys: str) -> None:
    """Announce, with the commit of `session`, that `keys` of `topic` changed."""
    session.info.setdefault("stamps", set()).update((topic, key) for key in keys or ("all",))


async def write_stamps(session: "WriteSession", now_utc: datetime) -> None:
    """Store the stamps gathered in `session`; the transaction's last statement."""
    stamps = sorted(session.info.pop("stamps", ()))
    if stamps:
        topics, keys = zip(*stamps, strict=True)
        await session.execute(
            _WRITE, {"now": now_utc, "topics": list(topics), "keys": list(keys), "channel": CHANNEL}
        )


async def last_change(
    session: "ReadSession", topic: str, keys: Iterable[str] = ("all",)
) -> tuple[datetime, int]:
    """Return time and sequence number of the latest change of any of `keys`.

    Before the first change the time is seven days before the installation, a value that never moves, so that
    a poller which compares times is not set off by every poll.
    """
    row = (await session.execute(_LAST, {"topic": topic, "keys": list(keys), "age": timedelta(days=7)})).one()
    return row[0], row[1]


class ChangeListener:
    """Hears of commits, on this replica and on others, through LISTEN/NOTIFY."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._subscribers: list[tuple[frozenset[str], Callable[[], None]]] = []

    def subscribe(self, topics: Iterable[str], callback: Callable[[], None]) -> None:
        """Call `callback` after each commit that changed one of `topics`, and after each reconnect."""
        self._subscribers.append((frozenset(topics), callback))

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        topic = str(payload).partition(" ")[0]
        for topics, callback in self._subscribers:
            if topic in topics:
                callback()

    async def run(self) -> None:
        """Listen until cancelled; reconnect for ever."""
        while True:
            lost = asyncio.Event()
            try:
                connection = await asyncpg.connect(self._dsn, timeout=10)
            except (OSError, asyncpg.PostgresError, TimeoutError):
                await asyncio.sleep(0.5)
                continue
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, self._hear)
                for _, callback in self._subscribers:  # something may have changed while nobody listened
                    callback()
                await lost.wait()
                logger.warning("change listener lost its connection")
            finally:
                with contextlib.suppress(
                    OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError
                ):
                    await connection.close(timeout=2)
