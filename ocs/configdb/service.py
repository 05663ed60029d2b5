"""What can be done with the configuration: read the copy that the process keeps, and write with history."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import orjson
from sqlalchemy import Pool

from ocs.configdb import repository, rules
from ocs.configdb.kinds import KINDS
from ocs.configdb.observatory import Observatory, build
from ocs.configdb.shapes import Shapes
from ocs.configdb.state import Editor, Key, Row, State
from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import NotFound, PreconditionFailed

T = TypeVar("T")

TOPIC = "configdb"
_PAGES_KEPT = 64


class Page:
    """An answer as bytes, with its ETag; packed when first asked for."""

    __slots__ = ("_packed", "body", "etag")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.etag = etag(body)
        self._packed: bytes | None = None

    def packed(self) -> bytes:
        """Return the gzipped body."""
        if self._packed is None:
            self._packed = gzip.compress(self.body, 6)
        return self._packed


def etag(body: bytes) -> str:
    """Return the weak ETag of a body; replicas agree because it is made from the content."""
    return f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


@dataclass(slots=True)
class Snapshot:
    """The configuration as of change number `sequence`, and the pages drawn of it so far."""

    sequence: int
    state: State
    observatory: Observatory
    _pages: dict[str, Page] = field(default_factory=dict)

    def page(self, address: str, draw: Callable[[], bytes]) -> Page:
        """Return the page at `address`, drawn if this is the first time."""
        page = self._pages.get(address)
        if page is None:
            if len(self._pages) >= _PAGES_KEPT:  # addresses are the callers': they must not fill the memory
                self._pages.clear()
            page = self._pages[address] = Page(draw())
        return page


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


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, when, and in what words the history tells it."""

    username: str
    now_utc: datetime
    comment: str = ""


async def write(session: WriteSession, author: Author, work: Callable[[Editor], T]) -> tuple[T, Editor]:
    """Run `work` on an editor and store what it changed as one revision.

    Writers take turns until their transaction ends, so `work` sees the configuration as it is.
    """
    editor = await repository.edit(session, author.now_utc)
    result = work(editor)
    await store(session, author, editor)
    return result, editor


async def store(session: WriteSession, author: Author, editor: Editor) -> None:
    """Write what an editor gathered, and announce it."""
    if await repository.store(session, editor, author.username, author.comment):
        changes.stamp(session, TOPIC)
        changes.stamp(session, "schedule_inputs")


async def create(session: WriteSession, author: Author, kind: str, data: Any, base: str) -> Page:
    """Make a thing and return it as clients read it.

    Raises
    ------
    InvalidConfiguration
        With the reason by field.
    """
    row, editor = await write(session, author, lambda editor: rules.create(editor, kind, data))
    return _drawn(editor.state, kind, row, base)


async def change(
    session: WriteSession,
    author: Author,
    kind: str,
    key: Key,
    data: Any,
    base: str,
    *,
    partial: bool,
    if_match: str | None = None,
) -> Page:
    """Change a thing and return it as clients read it.

    Parameters
    ----------
    if_match
        ETag of the thing as the caller knows it; None if the caller does not mind.

    Raises
    ------
    NotFound, PreconditionFailed, InvalidConfiguration
        When it is not there, when somebody else changed it, when the change is not valid.
    """

    def work(editor: Editor) -> Row:
        _check_match(editor.state, kind, key, base, if_match)
        return rules.change(editor, kind, key, data, partial=partial)

    row, editor = await write(session, author, work)
    return _drawn(editor.state, kind, row, base)


async def remove(
    session: WriteSession,
    author: Author,
    kind: str,
    key: Key,
    base: str,
    *,
    force: bool,
    if_match: str | None = None,
) -> None:
    """Delete a thing.

    Raises
    ------
    NotFound, PreconditionFailed, StillInUse
        When it is not there, when somebody else changed it, when others need it.
    """

    def work(editor: Editor) -> None:
        _check_match(editor.state, kind, key, base, if_match)
        rules.delete(editor, kind, key, force=force)

    await write(session, author, work)


def existing(state: State, kind: str, key: Key) -> Row:
    """Return a row.

    Raises
    ------
    NotFound
        When it is not there.
    """
    row = state.get(kind, key)
    if row is None:
        raise NotFound.of(KINDS[kind].title)
    return row


def _drawn(state: State, kind: str, row: Row, base: str) -> Page:
    return Page(orjson.dumps(Shapes(state, base).draw(kind, row)))


def _check_match(state: State, kind: str, key: Key, base: str, if_match: str | None) -> None:
    row = existing(state, kind, key)
    if if_match is None or if_match.strip() == "*":
        return
    sent = {part.strip().removeprefix("W/") for part in if_match.split(",")}
    if _drawn(state, kind, row, base).etag.removeprefix("W/") not in sent:
        raise PreconditionFailed
