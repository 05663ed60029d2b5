"""The archive's door for other modules."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ocs.archive import repository, service
from ocs.archive.addresses import stored_version
from ocs.archive.errors import InvalidFrame
from ocs.archive.schemas import FrameIn
from ocs.archive.service import NewFile
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import reference_body
from ocs.kernel.objects import StoredObject
from ocs.kernel.runtime import Runtime
from ocs.kernel.settings import Settings

__all__ = ["NewFile", "add_frame", "check_record", "clean_store", "read_record", "register", "stored_file"]

logger = logging.getLogger("ocs.archive")

CLEAN_EVERY_S = 3600.0
CLEAN_OLDER_THAN_S = 3600.0


def read_record(record: Mapping[str, Any]) -> FrameIn:
    """Read a record in the form of ``POST /frames/``.

    Raises
    ------
    InvalidFrame
        With the body that the POST would be answered with.
    """
    try:
        return FrameIn.model_validate(record)
    except ValidationError as error:
        raise InvalidFrame(body=reference_body(error.errors(), dict(record))) from error


async def check_record(session: ReadSession, settings: Settings, body: FrameIn) -> list[NewFile]:
    """Return the files of a record that keeps all rules, with the paths where they belong.

    Raises
    ------
    InvalidFrame
        When a rule is broken.
    DuplicateVersion
        When one of the files is stored already.
    """
    await service.check_fields(session, settings, body, basename=body.basename)
    files = service.files_of(body)
    await service.refuse_duplicates(session, files)
    return files


async def stored_file(session: ReadSession, md5: str) -> StoredObject | None:
    """Return where the bytes with this md5 are kept, None if they are not, or not by us."""
    version = await repository.version_with(session, md5)
    return None if version is None else stored_version(version)


async def add_frame(
    session: WriteSession, settings: Settings, body: FrameIn, stored: StoredObject, now_utc: datetime
) -> int:
    """Write the record of one file whose bytes are stored; return the frame's id.

    Raises
    ------
    InvalidFrame
        When a rule is broken.
    DuplicateVersion
        When the file is stored already.
    """
    (file,) = await check_record(session, settings, body)
    file = NewFile(stored.key, stored.md5, file.extension, stored.path, stored.size)
    return (await service.store_frame(session, body, [file], now_utc)).id


async def clean_store(runtime: Runtime, older_than_s: float = CLEAN_OLDER_THAN_S) -> None:
    """Remove what interrupted writes left in the object store; log files that nobody has told us about."""

    async def known(md5s: list[str]) -> set[str]:
        async with runtime.database.read() as session:
            return await repository.known_md5s(session, md5s)

    done = await runtime.objects.clean(known, older_than_s)
    if done.removed or done.strangers:
        logger.info(
            "object store cleaned",
            extra={
                "removed": done.removed,
                "strangers": len(done.strangers),
                "first_strangers": done.strangers[:10],
            },
        )


def register(runtime: Runtime) -> None:
    """Add the archive's background jobs."""

    async def clean() -> None:
        await clean_store(runtime)

    runtime.jobs.add("archive.clean", clean, every_s=CLEAN_EVERY_S)
