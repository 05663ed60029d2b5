"""Where the bytes of frames live: a folder, or an S3 bucket with versions."""

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from ocs.kernel.settings import Settings

BLOCK_BYTES = 256 * 1024
LEAST_FREE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One stored version of a file.

    Attributes
    ----------
    path
        Name in the store, `/` separated.
    key
        Names the version within its path.
    md5
        Of the bytes, in lower-case hex.
    size
        In bytes.
    """

    path: str
    key: str
    md5: str
    size: int


class ObjectChanged(OSError):
    """The bytes that were found are not the ones that were announced."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What a cleaning run did: files it removed, and names of files that nobody has told us about."""

    removed: int
    strangers: list[str]


Known = Callable[[list[str]], Awaitable[set[str]]]


class ObjectStore(Protocol):
    """A store that keeps every version of every path. Trouble with the store itself is an `OSError`."""

    async def put(self, path: str, source: Path, *, md5: str, content_type: str) -> StoredObject:
        """Store the bytes of `source` durably as a version of `path`.

        Raises
        ------
        ObjectChanged
            When their md5 is not `md5`; nothing is kept.
        """

    def claims(self, key: str, md5: str) -> bool:
        """Tell whether a client that sends this key says that it wrote the bytes to this store."""

    async def adopt(self, path: str, key: str, md5: str) -> StoredObject | None:
        """Take over bytes that a client wrote to `path` itself; None when there are none.

        Raises
        ------
        ObjectChanged
            When other bytes are there.
        """

    async def exists(self, stored: StoredObject) -> bool:
        """Tell whether the bytes of a version are there."""

    def read(self, stored: StoredObject) -> AsyncIterator[bytes]:
        """Yield the bytes of a version in blocks."""

    def local(self, stored: StoredObject) -> Path | None:
        """Return the file that holds the bytes, None if they are not on this machine."""

    def address(self, stored: StoredObject, filename: str, lifetime_s: int) -> str | None:
        """Return a signed address at the store itself, None if the store has none and we must serve."""

    async def delete(self, stored: StoredObject) -> None:
        """Remove a version; a missing one is no error."""

    async def clean(self, known: Known, older_than_s: float) -> Cleaning:
        """Remove what is left of interrupted writes.

        Parameters
        ----------
        known
            Gets md5s and returns those that are still wanted.
        older_than_s
            Age, in seconds of the machine's time, below which nothing is touched.
        """

    async def check(self) -> None:
        """Raise `OSError` with a reason when the store cannot be used."""

    async def close(self) -> None:
        """Give connections back."""


class FolderStore:
    """A store in a folder.

    Versions lie at `<root>/.versions/<two letters>/<md5>`; such a file is never written to again. Client
    libraries write `<root>/<path>` themselves, in place, so those files are an inbox: `adopt` copies them,
    and `clean` removes the copied ones later.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _version(self, md5: str) -> Path:
        if len(md5) != 32 or not md5.isalnum():
            raise FileNotFoundError(f"{md5[:40]!r} is no md5")
        return self.root / ".versions" / md5[:2] / md5

    async def put(self, path: str, source: Path, *, md5: str, content_type: str) -> StoredObject:
        """Store the bytes of `source` durably as a version of `path`."""
        size = await asyncio.to_thread(self._copy_in, source, md5)
        return StoredObject(path, md5, md5, size)

    def _copy_in(self, source: Path, md5: str) -> int:
        version = self._version(md5)
        version.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with (
            source.open("rb") as reader,
            tempfile.NamedTemporaryFile(dir=version.parent, prefix=".new-", delete=False) as writer,
        ):
            try:
                while block := reader.read(BLOCK_BYTES):
                    digest.update(block)
                    writer.write(block)
                writer.flush()
                os.fsync(writer.fileno())
                if digest.hexdigest() != md5:
                    raise ObjectChanged(f"{source.name} is not, or no longer, the file with md5 {md5}")
                os.fchmod(writer.fileno(), 0o444)
                size = os.fstat(writer.fileno()).st_size
                os.replace(writer.name, version)
            except BaseException:
                os.unlink(writer.name)
                raise
        _sync_folder(version.parent)
        return size

    def claims(self, key: str, md5: str) -> bool:
        """Tell whether the key is the md5, as it is for clients that write to a folder."""
        return key == md5

    async def adopt(self, path: str, key: str, md5: str) -> StoredObject | None:
        """Take over bytes that a client wrote to `<root>/<path>`; None when there are none."""
        size = await asyncio.to_thread(self._adopt, path, md5)
        return None if size is None else StoredObject(path, key, md5, size)

    def _adopt(self, path: str, md5: str) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return self._version(md5).stat().st_size
        inbox = (self.root / path).resolve()
        if not inbox.is_relative_to(self.root.resolve()) or not inbox.is_file():
            return None
        return self._copy_in(inbox, md5)

    async def exists(self, stored: StoredObject) -> bool:
        """Tell whether the bytes of a version are there."""
        return self.local(stored) is not None

    def local(self, stored: StoredObject) -> Path | None:
        """Return the file that holds the bytes, None if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            version = self._version(stored.md5)
            return version if version.is_file() else None
        return None

    def address(self, stored: StoredObject, filename: str, lifetime_s: int) -> str | None:
        """Return None: we serve the files of a folder ourselves."""
        return None

    async def read(self, stored: StoredObject) -> AsyncIterator[bytes]:
        """Yield the bytes of a version in blocks."""
        reader = await asyncio.to_thread(self._version(stored.md5).open, "rb")
        with reader:
            while block := await asyncio.to_thread(reader.read, BLOCK_BYTES):
                yield block

    async def delete(self, stored: StoredObject) -> None:
        """Remove a version, and the client's own copy if it still has these bytes."""
        await asyncio.to_thread(self._delete, stored)

    def _delete(self, stored: StoredObject) -> None:
        inbox = self.root / stored.path
        if inbox.is_file() and _md5_of(inbox) == stored.md5:
            inbox.unlink()
        with contextlib.suppress(FileNotFoundError):
            self._version(stored.md5).unlink(missing_ok=True)

    async def clean(self, known: Known, older_than_s: float) -> Cleaning:
        """Remove versions without an owner, and inbox files that were copied; list the other inbox files."""
        removed, strangers = 0, []
        versions, inbox = await asyncio.to_thread(self._old_files, time.time() - older_than_s)
        for start in range(0, len(versions), 1000):
            batch = versions[start : start + 1000]
            wanted = await known([file.name for file in batch])
            for file in batch:
                if file.name not in wanted:
                    file.unlink(missing_ok=True)
                    removed += 1
        for file in inbox:
            digest = await asyncio.to_thread(_md5_of, file)
            if await known([digest]):
                file.unlink(missing_ok=True)
                removed += 1
            else:
                strangers.append(str(file.relative_to(self.root)))
        return Cleaning(removed, strangers)

    def _old_files(self, before_s: float) -> tuple[list[Path], list[Path]]:
        versions: list[Path] = []
        inbox: list[Path] = []
        hidden = self.root / ".versions"
        for folder, _, names in os.walk(self.root):
            found = versions if Path(folder).is_relative_to(hidden) else inbox
            for name in names:
                file = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    if file.stat().st_mtime < before_s:
                        found.append(file)
        return versions, inbox

    async def check(self) -> None:
        """Raise `OSError` with a reason when the folder cannot be used."""
        if not os.access(self.root, os.W_OK):
            raise OSError(f"{self.root} cannot be written")
        if shutil.disk_usage(self.root).free < LEAST_FREE_BYTES:
            raise OSError(f"{self.root} has less than 64 MB left")

    async def close(self) -> None:
        """Do nothing: a folder holds no connections."""


def _md5_of(file: Path) -> str:
    with file.open("rb") as reader:
        return hashlib.file_digest(reader, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class S3Store:
    """A bucket with versioning; address, region and credentials come from the usual AWS_* variables.

    Each object is one PUT, so that its ETag is the md5 of its bytes.
    """

    def __init__(self, bucket: str, client: Any, signer: Any, resources: AsyncExitStack) -> None:
        self.bucket = bucket
        self._client = client
        self._signer = signer
        self._presigned = lru_cache(maxsize=5000)(self._presign)
        self._resources = resources

    @classmethod
    async def open(cls, bucket: str) -> "S3Store":
        """Return the store of `bucket`; this asks nothing of the network yet."""
        import aioboto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 3, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        resources = AsyncExitStack()
        try:
            signer = botocore.session.get_session().create_client("s3", config=config)
            client = await resources.enter_async_context(aioboto3.Session().client("s3", config=config))
        except (BotoCoreError, ValueError) as error:
            await resources.aclose()
            raise OSError(f"the S3 client cannot be set up: {error}") from error
        return cls(bucket, client, signer, resources)

    async def put(self, path: str, source: Path, *, md5: str, content_type: str) -> StoredObject:
        """Store the bytes of `source` as a new version of `path`; the server checks their md5."""
        filename = path.rpartition("/")[2]
        with source.open("rb") as body, _as_os_error():
            size = os.fstat(body.fileno()).st_size
            answer = await self._client.put_object(
                Bucket=self.bucket,
                Key=path,
                Body=body,
                ContentLength=size,
                ContentMD5=base64.b64encode(bytes.fromhex(md5)).decode(),
                ContentType=content_type,
                ContentDisposition=f"attachment; filename={filename}",
            )
        if not answer.get("VersionId"):
            raise OSError(f"the bucket {self.bucket} keeps no versions; switch versioning on")
        return StoredObject(path, answer["VersionId"], md5, size)

    def claims(self, key: str, md5: str) -> bool:
        """Tell that every key names a version in a bucket, which must be this one."""
        return True

    async def adopt(self, path: str, key: str, md5: str) -> StoredObject | None:
        """Look up the version a client has put itself; None when there is none."""
        head = await self._head(path, key)
        if head is None:
            return None
        if head["ETag"].strip('"') != md5:
            raise ObjectChanged(f"{path} has the md5 {head['ETag']}, not {md5}")
        return StoredObject(path, key, md5, head["ContentLength"])

    async def _head(self, path: str, key: str) -> dict[str, Any] | None:
        try:
            with _as_os_error():
                head: dict[str, Any] = await self._client.head_object(
                    Bucket=self.bucket, Key=path, VersionId=key
                )
                return head
        except FileNotFoundError:
            return None

    async def exists(self, stored: StoredObject) -> bool:
        """Tell whether the bytes of a version are there."""
        return await self._head(stored.path, stored.key) is not None

    def local(self, stored: StoredObject) -> Path | None:
        """Return None: the bytes are elsewhere."""
        return None

    def address(self, stored: StoredObject, filename: str, lifetime_s: int) -> str | None:
        """Return a presigned address; computed here, nobody is asked.

        It stays the same for a while, because signing costs a fifth of a millisecond.
        """
        return self._presigned(stored.path, stored.key, lifetime_s, time.time() // (lifetime_s / 48))

    def _presign(self, path: str, key: str, lifetime_s: int, _period: float) -> str:
        url: str = self._signer.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": path, "VersionId": key},
            ExpiresIn=lifetime_s,
        )
        return url

    async def read(self, stored: StoredObject) -> AsyncIterator[bytes]:
        """Yield the bytes of a version in blocks."""
        with _as_os_error():
            answer = await self._client.get_object(Bucket=self.bucket, Key=stored.path, VersionId=stored.key)
            body = answer["Body"]
            async with body:
                while block := await body.read(BLOCK_BYTES):
                    yield block

    async def delete(self, stored: StoredObject) -> None:
        """Remove a version; a missing one is no error."""
        with contextlib.suppress(FileNotFoundError), _as_os_error():
            await self._client.delete_object(Bucket=self.bucket, Key=stored.path, VersionId=stored.key)

    async def clean(self, known: Known, older_than_s: float) -> Cleaning:
        """List versions without an owner; the bucket may be shared, so none is removed."""
        strangers: list[str] = []
        with _as_os_error():
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket)
            async for page in pages:
                old = [
                    version
                    for version in page.get("Versions", ())
                    if time.time() - version["LastModified"].timestamp() > older_than_s
                ]
                wanted = await known([version["ETag"].strip('"') for version in old])
                strangers += [
                    f"{version['Key']}?versionId={version['VersionId']}"
                    for version in old
                    if version["ETag"].strip('"') not in wanted
                ]
        return Cleaning(0, strangers)

    async def check(self) -> None:
        """Raise `OSError` with a reason when the bucket cannot be used."""
        with _as_os_error():
            answer = await self._client.get_bucket_versioning(Bucket=self.bucket)
        if answer.get("Status") != "Enabled":
            raise OSError(f"the bucket {self.bucket} keeps no versions; switch versioning on")

    async def close(self) -> None:
        """Close the connections."""
        await self._resources.aclose()


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Turn the client's failures into `OSError`; what is not there into `FileNotFoundError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in {"404", "NoSuchKey", "NoSuchVersion", "400", "InvalidArgument"}:
            raise FileNotFoundError(f"S3: {code}") from error
        if code in {"BadDigest", "InvalidDigest"}:
            raise ObjectChanged(f"S3: {code}") from error
        raise OSError(f"S3: {code or error}") from error
    except BotoCoreError as error:
        raise OSError(f"S3: {error}") from error


async def open_object_store(settings: Settings) -> ObjectStore:
    """Return the store the settings name."""
    root = settings.objects_dir
    if root is None:
        return await S3Store.open(str(settings.object_store).removeprefix("s3://"))
    root.mkdir(parents=True, exist_ok=True)
    return FolderStore(root)
