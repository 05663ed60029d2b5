"""Frames packed for download: a ZIP that is written while it is sent, unpacked images, catalogues."""

import asyncio
import contextlib
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ocs.archive.service import FrameFile
from ocs.kernel.jobs import CpuPool
from ocs.kernel.objects import BLOCK_BYTES, ObjectStore, StoredObject

PACKED = ".fits.fz"
CATALOG_LEVEL = 91
WORK_TIMEOUT_S = 60.0


class NoCatalog(ValueError):
    """The file has no table of sources."""


def unpack(source: Path, target: Path) -> None:
    """Write `source` with its tile-compressed images as plain ones. Belongs in a worker process."""
    from astropy.io import fits  # only where it is needed: it is large

    with fits.open(source, memmap=True) as packed:
        plain = fits.HDUList()
        for hdu in packed:
            compressed = isinstance(hdu, fits.CompImageHDU)
            plain.append(fits.ImageHDU(hdu.data, hdu.header) if compressed else hdu.copy())
        plain.writeto(target, overwrite=True, output_verify="silentfix")


def extract_catalog(source: Path, target: Path) -> None:
    """Write the table of sources of `source`, under the header of its image. Belongs in a worker process.

    Raises
    ------
    NoCatalog
        When there is no table CAT.
    """
    from astropy.io import fits

    with fits.open(source, memmap=True) as hdus:
        if "CAT" not in hdus:
            raise NoCatalog(source.name)
        primary = fits.PrimaryHDU()
        if "SCI" in hdus:
            primary.header.extend(hdus["SCI"].header, strip=True, unique=True)
        fits.HDUList([primary, fits.BinTableHDU(hdus["CAT"].data, hdus["CAT"].header)]).writeto(
            target, overwrite=True, output_verify="silentfix"
        )


@contextlib.asynccontextmanager
async def local_file(store: ObjectStore, stored: StoredObject) -> AsyncIterator[Path]:
    """Give a file with the bytes, fetched if the store is elsewhere."""
    if (found := store.local(stored)) is not None:
        yield found
        return
    with tempfile.NamedTemporaryFile(suffix=".fits") as copy:
        async for block in store.read(stored):
            await asyncio.to_thread(copy.write, block)
        copy.flush()
        yield Path(copy.name)


async def unpacked(store: ObjectStore, pool: CpuPool, stored: StoredObject) -> Path:
    """Return a temporary file with plain images; the caller removes it."""
    return await _made(store, pool, stored, catalog=False)


async def catalog(store: ObjectStore, pool: CpuPool, stored: StoredObject) -> Path:
    """Return a temporary file with the table of sources; the caller removes it.

    Raises
    ------
    NoCatalog
        When the frame has none.
    """
    return await _made(store, pool, stored, catalog=True)


async def _made(store: ObjectStore, pool: CpuPool, stored: StoredObject, *, catalog: bool) -> Path:
    with tempfile.NamedTemporaryFile(suffix=".fits", delete=False) as file:
        target = Path(file.name)
    try:
        async with local_file(store, stored) as source:
            work = extract_catalog if catalog else unpack
            await pool.run(work, source, target, timeout_s=WORK_TIMEOUT_S)
    except BaseException:
        os.unlink(target)
        raise
    return target


class _Outbox:
    """Takes what the ZIP writer writes until it is sent; it cannot go back, so the writer need not."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing; `take` empties it."""

    def close(self) -> None:
        """Do nothing; there is nothing to free."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


@dataclass(frozen=True, slots=True)
class Packing:
    """How frames go into a ZIP."""

    uncompress: bool
    catalog_only: bool


async def zip_blocks(
    store: ObjectStore,
    pool: CpuPool,
    files: Sequence[FrameFile],
    folder: str,
    packing: Packing,
    now_utc: datetime,
) -> AsyncIterator[bytes]:
    """Yield a ZIP of the files, stored without compression, in constant memory."""
    outbox = _Outbox()
    date = now_utc.timetuple()[:6]
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            async for name, blocks in _entry(store, pool, file, packing):
                info = zipfile.ZipInfo(f"{folder}/{name}", date_time=date)
                info.external_attr = 0o644 << 16
                with archive.open(info, "w", force_zip64=True) as entry:
                    async for block in blocks:
                        entry.write(block)
                        yield outbox.take()
    yield outbox.take()


async def _entry(
    store: ObjectStore, pool: CpuPool, file: FrameFile, packing: Packing
) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    """Give name and bytes of what `file` becomes in the ZIP; nothing if it is left out."""
    made: Path | None = None
    name = file.filename
    frame = file.frame
    try:
        if (
            packing.catalog_only
            and frame.reduction_level == CATALOG_LEVEL
            and frame.configuration_type == "EXPOSE"
        ):
            name = f"{frame.basename}-catalog.fits"
            made = await catalog(store, pool, file.stored)
        elif packing.uncompress and name.endswith(PACKED):
            name = name.removesuffix(".fz")
            made = await unpacked(store, pool, file.stored)
        yield name, _blocks(made) if made is not None else store.read(file.stored)
    except (NoCatalog, FileNotFoundError):
        return
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as reader:
        while block := await asyncio.to_thread(reader.read, BLOCK_BYTES):
            yield block
