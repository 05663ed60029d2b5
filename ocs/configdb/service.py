"""Rules of the configuration, and the copy of it that the process keeps."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import Pool

from ocs.configdb import repository
from ocs.configdb.observatory import Observatory, build
from ocs.configdb.state import State
from ocs.kernel import changes
from ocs.kernel.database import ReadSession

TOPIC = "configdb"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The configuration as of change number `sequence`."""

    sequence: int
    state: State
    observatory: Observatory


# One snapshot a database; a process normally has one database, a test run may have more.
_snapshots: WeakKeyDictionary[Pool, Snapshot] = WeakKeyDictionary()


async def snapshot(session: ReadSession) -> Snapshot:
    """Return the configuration: one small statement while it is unchanged, two after a change."""
    if any(topic == TOPIC for topic, _ in session.info.get("stamps", ())):
        # This very transaction changed it: nobody else may see that yet.
        return await _load(session, 0)
    _, sequence = await changes.last_change(session, TOPIC)
    pool = session.sync_session.get_bind().engine.pool
    kept = _snapshots.get(pool)
    if kept is None or kept.sequence != sequence:
        kept = _snapshots[pool] = await _load(session, sequence)
    return kept


async def _load(session: ReadSession, sequence: int) -> Snapshot:
    state = await repository.load(session)
    return Snapshot(sequence, state, build(state, sequence))
