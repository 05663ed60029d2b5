"""From the watch folder to the archive, in steps that can each be interrupted.

A file is first put into the queue, then read in a worker process, checked against the archive's rules,
copied to the object store, and at last recorded: frame and end of the queue entry in one transaction. Only
after that commit the file leaves the watch folder. Whatever is cut off in between is done again, and doing it
again has no further effect.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from ocs.archive import api as archive
from ocs.archive.errors import DuplicateVersion
from ocs.ingest import folder, repository
from ocs.ingest.errors import NothingToRetry, QueuedFileNotFound
from ocs.ingest.fits import (
    FrameRecord,
    HeaderRules,
    IngestFileError,
    TruncatedFitsError,
    read_record,
    with_proposal_tags,
)
from ocs.ingest.folder import Seen
from ocs.ingest.models import ARCHIVED, DUPLICATE, QUARANTINED, VANISHED, WAITING, QueuedFile
from ocs.ingest.repository import Entry
from ocs.ingest.schemas import QueueFilters
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import OcsError
from ocs.kernel.runtime import Runtime
from ocs.kernel.security import Principal
from ocs.portal.proposals import api as proposals

logger = logging.getLogger("ocs.ingest")

JOB = "ingest.watch"
SCAN_EVERY_S = 1.0
READ_TIMEOUT_S = 10.0
AT_ONCE = 4
BATCH = 200
DOUBTFUL_ATTEMPTS = 5
"""After so many tries a file that is cut off, or that no worker survives, is taken to be bad."""
LONGEST_PAUSE_S = 300.0
KEPT = timedelta(days=7)
FORGET_EVERY_S = 3600.0

_Outcome = tuple[str, str, str]


class Watcher:
    """Ingests what appears in the watch folder; runs on the leader only."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.root = runtime.settings.incoming_dir
        self.rules = HeaderRules(days_until_public=runtime.settings.days_until_public)
        self._previous: dict[str, Seen] = {}
        self._nothing_open = False
        self._reading = asyncio.Lock()

    async def tick(self) -> None:
        """Look into the folder once, and work on everything that is due."""
        found = await asyncio.to_thread(folder.scan, self.root)
        # A file that is the same as a scan ago is complete: renamed into the folder, or no longer written to.
        settled = {path: seen for path, seen in found.items() if self._previous.get(path) == seen}
        self._previous = found
        if not found and self._nothing_open:
            return
        entries = await self.runtime.database.run(lambda session: self._update(session, found, settled))
        self._nothing_open = not entries
        slots = asyncio.Semaphore(AT_ONCE)

        async def work(entry: Entry) -> None:
            async with slots:
                await self._work_on(entry)

        now = self.runtime.clock.now()
        due = [entry for entry in entries if entry.state != WAITING or entry.next_try_at <= now]
        await asyncio.gather(*(work(entry) for entry in due[:BATCH]))

    async def _update(
        self, session: WriteSession, found: Mapping[str, Seen], settled: Mapping[str, Seen]
    ) -> list[Entry]:
        """Bring the queue up to date with the folder; return what is open."""
        now = self.runtime.clock.now()
        entries = await repository.uncleared(session)
        places = {entry.path for entry in entries}
        new = [(path, seen) for path, seen in settled.items() if path not in places]
        await repository.add(session, new, now)
        gone = [entry.id for entry in entries if entry.state == WAITING and entry.path not in found]
        await repository.change(session, gone, state=VANISHED, cleared=True, modified=now)
        rewritten = [
            entry
            for entry in entries
            if entry.state == WAITING and settled.get(entry.path, entry.seen) != entry.seen
        ]
        for entry in rewritten:
            await repository.change(
                session,
                [entry.id],
                **asdict(settled[entry.path]),
                attempts=0,
                next_try_at=now,
                modified=now,
            )
        return await repository.uncleared(session) if new or gone or rewritten else entries

    async def _work_on(self, entry: Entry) -> None:
        try:
            if entry.state == WAITING:
                outcome = await self._ingest(entry)
                if outcome is None:
                    return
                state, code, reason = outcome
                if state != ARCHIVED:
                    await self._decide(entry, state, code, reason)
            else:
                state = entry.state
            await self._clear(entry, state)
        except OcsError as error:  # the database is away; the entry stays as it is
            logger.warning("ingest waits", extra={"path": entry.path, "reason": error.detail})

    async def _ingest(self, entry: Entry) -> _Outcome | None:
        """Do all steps up to the commit; return what became of the file, None if it is to be tried again."""
        try:
            record = await self._read(entry)
            try:
                return await self._store(entry, record)
            except DuplicateVersion:
                return await self._duplicate(record)
        except TruncatedFitsError as error:  # perhaps somebody still writes, with a long pause
            return await self._doubt(entry, error.code, str(error))
        except IngestFileError as error:
            return QUARANTINED, error.code, str(error)
        except TimeoutError:
            return await self._doubt(entry, "too_slow", f"Reading takes more than {READ_TIMEOUT_S:g} s.")
        except BrokenProcessPool:
            return await self._doubt(entry, "reader_died", "The process that reads the file dies of it.")
        except OcsError as error:
            if error.status >= 500:
                raise
            return QUARANTINED, error.code, _sentence(error.body)
        except OSError as error:
            if not (self.root / entry.path).exists():
                return VANISHED, "", ""
            await self._postpone(entry, "trouble", str(error))
            return None

    async def _read(self, entry: Entry) -> FrameRecord:
        async with self._reading:  # so that the time-out measures this file alone
            return await self.runtime.reader_pool.run(
                read_record, self.root / entry.path, self.rules, timeout_s=READ_TIMEOUT_S
            )

    async def _store(self, entry: Entry, record: FrameRecord) -> _Outcome:
        runtime = self.runtime
        async with runtime.database.read() as session:
            found = await proposals.get_proposals(session, [record.proposal_id])
        tags = {tag for proposal in found.values() for tag in proposal.tags}
        record = with_proposal_tags(record, tags, self.rules)
        body = archive.read_record(
            {
                **asdict(record),
                "version_set": [{"key": record.md5, "md5": record.md5, "extension": record.extension}],
            }
        )
        async with runtime.database.read() as session:
            (file,) = await archive.check_record(session, runtime.settings, body)
        source = self.root / entry.path
        stored = await runtime.objects.put(
            file.path, source, md5=record.md5, content_type=record.content_type
        )

        async def commit(session: WriteSession) -> bool:
            frame_id = await archive.add_frame(session, runtime.settings, body, stored, runtime.clock.now())
            decided = await repository.finish(
                session, entry.id, runtime.clock.now(), state=ARCHIVED, frame_id=frame_id, code="", reason=""
            )
            if not decided:
                raise DuplicateVersion([])
            return True

        await runtime.database.run(commit)
        if not await runtime.objects.exists(stored):  # a deletion of the same bytes came between
            await runtime.objects.put(file.path, source, md5=record.md5, content_type=record.content_type)
        return ARCHIVED, "", ""

    async def _duplicate(self, record: FrameRecord) -> _Outcome:
        """Keep the file if the archive knows of it but does not have its bytes."""
        async with self.runtime.database.read() as session:
            stored = await archive.stored_file(session, record.md5)
        if stored is None or not await self.runtime.objects.exists(stored):
            return QUARANTINED, "bytes_missing", "The archive has a record of this file, but not its bytes."
        return DUPLICATE, DuplicateVersion.code, DuplicateVersion.detail

    async def _doubt(self, entry: Entry, code: str, reason: str) -> _Outcome | None:
        if entry.attempts + 1 >= DOUBTFUL_ATTEMPTS:
            return QUARANTINED, code, reason
        await self._postpone(entry, code, reason)
        return None

    async def _postpone(self, entry: Entry, code: str, reason: str) -> None:
        clock = self.runtime.clock
        pause_s = min(LONGEST_PAUSE_S, 2.0**entry.attempts) * clock.rate

        async def work(session: WriteSession) -> None:
            await repository.finish(
                session,
                entry.id,
                clock.now(),
                attempts=entry.attempts + 1,
                code=code,
                reason=_plain(reason),
                next_try_at=clock.now() + timedelta(seconds=pause_s),
            )

        logger.warning("ingest postponed", extra={"path": entry.path, "reason": reason})
        await self.runtime.database.run(work)

    async def _decide(self, entry: Entry, state: str, code: str, reason: str) -> None:
        async def work(session: WriteSession) -> None:
            await repository.finish(
                session,
                entry.id,
                self.runtime.clock.now(),
                state=state,
                attempts=entry.attempts + 1,
                code=code,
                reason=_plain(reason),
            )

        if state == QUARANTINED:
            logger.warning("file quarantined", extra={"path": entry.path, "reason": reason})
        await self.runtime.database.run(work)

    async def _clear(self, entry: Entry, state: str) -> None:
        """Take the file out of the watch folder, unless somebody has put another one in its place."""
        if await asyncio.to_thread(folder.is_there, self.root, entry.path, entry.seen):
            if state == QUARANTINED:
                await asyncio.to_thread(folder.put_aside, self.root, entry.id, entry.path)
            elif state in {ARCHIVED, DUPLICATE}:
                await asyncio.to_thread(folder.remove, self.root, entry.path)
        await self.runtime.database.run(lambda session: repository.change(session, [entry.id], cleared=True))

    async def forget(self) -> None:
        """Forget files that went well long ago."""
        before = self.runtime.clock.now() - KEPT
        await self.runtime.database.run(lambda session: repository.forget(session, before))


def _plain(reason: str) -> str:
    return reason.replace("\x00", "")


def _sentence(body: Any) -> str:
    """Return an error body as one line of text."""
    if isinstance(body, Mapping):
        return " ".join(f"{key}: {_sentence(value)}" for key, value in body.items())
    if isinstance(body, Sequence) and not isinstance(body, str):
        return " ".join(_sentence(item) for item in body if item)
    return str(body)


async def queue(
    session: ReadSession, principal: Principal, filters: QueueFilters, *, limit: int, offset: int
) -> tuple[list[QueuedFile], int]:
    """Return a page of the queue, newest first, and the number of all."""
    return await repository.page(session, repository.visible(principal, filters), limit, offset)


async def retry(session: WriteSession, runtime: Runtime, identifier: int) -> QueuedFile:
    """Let a file be tried again now; a quarantined one goes back to where it was found.

    Raises
    ------
    QueuedFileNotFound
        When there is no such file.
    NothingToRetry
        When the file is archived, or another one is at its place.
    """
    row = await repository.locked(session, identifier)
    if row is None:
        raise QueuedFileNotFound
    now = runtime.clock.now()
    if row.state == QUARANTINED:
        root = runtime.settings.incoming_dir
        if not await asyncio.to_thread(folder.take_back, root, row.id, row.path):
            raise NothingToRetry(
                f"The file is not in the quarantine any more, or another {row.path} is in the watch folder."
            )
    elif row.state != WAITING:
        raise NothingToRetry
    row.state, row.cleared, row.attempts, row.code, row.reason = WAITING, False, 0, "", ""
    row.next_try_at = row.modified = now
    await session.flush()
    return row
