"""How fast the watch folder is emptied: python -m bench.archive.ingest [FILES] [PIXELS]

Starts the application on an embedded Postgres in a temporary folder, puts FITS files of PIXELS x PIXELS into
the watch folder, and prints files a second until the last one is archived.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from astropy.io import fits

from ocs.ingest.service import Watcher
from ocs.kernel.clock import Clock
from ocs.kernel.datafolder import DataFolder
from ocs.kernel.postgres import EmbeddedPostgres
from ocs.kernel.settings import Settings
from ocs.main import assemble


def write_files(folder: Path, number: int, pixels: int) -> None:
    folder.mkdir(parents=True)
    data = np.random.default_rng(1).integers(900, 1100, size=(pixels, pixels)).astype(np.uint16)
    for index in range(number):
        header = fits.Header()
        header["DATE-OBS"], header["DAY-OBS"] = (
            f"2024-03-15T04:{index // 60 % 60:02d}:{index % 60:02d}",
            "20240315",
        )
        header["PROPID"], header["INSTRUME"], header["SITEID"], header["TELID"] = "P1", "fa01", "tst", "1m0a"
        header["OBSTYPE"], header["BLKUID"], header["NUMBER"] = "EXPOSE", index, index
        hdu = fits.CompImageHDU(data, header=header)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / f"bench-{index:05d}-e00.fits.fz")


async def main(number: int, pixels: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        data = DataFolder(Path(name) / "data")
        async with data.own("bench"), EmbeddedPostgres(data.path, log=lambda _: None) as postgres:
            settings = Settings(data_dir=data.path)
            async with AsyncExitStack() as stack:
                runtime = await assemble(settings, Clock(), postgres.dsn, demo=False, stack=stack)
                write_files(settings.incoming_dir, number, pixels)
                watcher = Watcher(runtime)
                started_s = time.perf_counter()
                while any(settings.incoming_dir.glob("*.fz")):
                    await watcher.tick()
                elapsed_s = time.perf_counter() - started_s
                print(f"{number} files of {pixels}x{pixels}: {number / elapsed_s:.1f} files/s")


if __name__ == "__main__":
    arguments = [int(value) for value in sys.argv[1:]]
    asyncio.run(main(*(arguments + [100, 512][len(arguments) :])))
