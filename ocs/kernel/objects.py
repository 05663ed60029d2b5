"""Where the bytes of frames live: a folder, or an S3 bucket."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ocs.kernel.settings import Settings

BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One stored version of a file.

    `key` names the version within its path; `md5` is in lower-case hex.
    """

    path: str
    key: str
    md5: str
    size: int


class ObjectStore(Protocol):
    """A store that keeps every version of every path."""

    async def put(self, path: str, source: Path, *, md5: str) -> StoredObject:
        """Store the bytes of `source` durably as a new version of `path`; refuse if their md5 differs."""

    async def stat(self, path: str, key: str) -> StoredObject | None:
        """Return what is stored, None if nothing is."""

    def read(self, path: str, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes of a version in blocks."""

    async def delete(self, path: str, key: str) -> None:
        """Remove a version; a missing one is no error."""

    async def check(self) -> None:
        """Raise `OSError` with a reason when the store cannot be used."""


class FolderStore:
    """A store in a folder: the newest bytes at `<root>/<path>`, every version at `<root>/.versions/<md5>`.

    Both names are hard links of one file, so a version costs no second copy and a client library that writes
    `<root>/<path>` itself cannot change an older version that was replaced by a new file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _version(self, key: str) -> Path:
        return self.root / ".versions" / key[:2] / key

    async def put(self, path: str, source: Path, *, md5: str) -> StoredObject:
        """Store the bytes of `source` durably as a new version of `path`; refuse if their md5 differs."""
        return await asyncio.to_thread(self._put, path, source, md5)

    def _put(self, path: str, source: Path, md5: str) -> StoredObject:
        version = self._version(md5)
        version.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with (
            source.open("rb") as reader,
            tempfile.NamedTemporaryFile(dir=version.parent, delete=False) as writer,
        ):
            try:
                while block := reader.read(BLOCK_BYTES):
                    digest.update(block)
                    writer.write(block)
                writer.flush()
                os.fsync(writer.fileno())
                if digest.hexdigest() != md5:
                    raise OSError(f"{source} changed while it was stored")
                os.chmod(writer.name, 0o644)
                size = os.fstat(writer.fileno()).st_size
                os.replace(writer.name, version)
            except BaseException:
                os.unlink(writer.name)
                raise
        newest = self.root / path
        newest.parent.mkdir(parents=True, exist_ok=True)
        draft = newest.with_name(f".{newest.name}.{md5}")
        draft.unlink(missing_ok=True)
        os.link(version, draft)
        os.replace(draft, newest)
        return StoredObject(path, md5, md5, size)

    async def stat(self, path: str, key: str) -> StoredObject | None:
        """Return what is stored, None if nothing is."""
        try:
            found = self._version(key).stat()
        except FileNotFoundError:
            return None
        return StoredObject(path, key, key, found.st_size)

    async def read(
        self, path: str, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of a version in blocks."""
        with self._version(key).open("rb") as reader:
            reader.seek(start)
            left = length
            while left is None or left > 0:
                block = await asyncio.to_thread(reader.read, min(BLOCK_BYTES, left or BLOCK_BYTES))
                if not block:
                    return
                left = None if left is None else left - len(block)
                yield block

    async def delete(self, path: str, key: str) -> None:
        """Remove a version; a missing one is no error."""
        version, newest = self._version(key), self.root / path
        if newest.exists() and version.exists() and newest.samefile(version):
            newest.unlink()
        version.unlink(missing_ok=True)

    async def check(self) -> None:
        """Raise `OSError` with a reason when the store cannot be used."""
        if not os.access(self.root, os.W_OK):
            raise OSError(f"{self.root} cannot be written")
        if shutil.disk_usage(self.root).free < 64 * 1024 * 1024:
            raise OSError(f"{self.root} has less than 64 MB left")


async def open_object_store(settings: Settings) -> ObjectStore:
    """Return the store the settings name."""
    root = settings.objects_dir
    if root is None:
        raise OSError("no S3 yet")
    root.mkdir(parents=True, exist_ok=True)
    return FolderStore(root)
