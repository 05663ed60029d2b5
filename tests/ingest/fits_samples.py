"""Small data products with the keywords a telescope control system writes."""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

REQUIRED: dict[str, Any] = {
    "DATE-OBS": "2024-03-15T04:01:00.123",
    "DAY-OBS": "20240315",
    "PROPID": "P1",
    "INSTRUME": "fa01",
    "SITEID": "tst",
    "TELID": "1m0a",
    "OBSTYPE": "EXPOSE",
    "BLKUID": 5,
}
FIELD_DEG_PER_PIXEL = 0.25 / 64


def header(**cards: Any) -> fits.Header:
    """Required keywords, overridden or completed by `cards` (``__`` for ``-``; None leaves a keyword out)."""
    result = fits.Header()
    for key, value in {**REQUIRED, **{k.replace("__", "-"): v for k, v in cards.items()}}.items():
        if value is not None:
            result[key] = value
    return result


def tan(ra_deg: float, dec_deg: float, nx: int = 64, ny: int = 48, turn_deg: float = 0.0) -> dict[str, Any]:
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    scale = FIELD_DEG_PER_PIXEL
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
        "EQUINOX": 2000.0,
        "CRPIX1": (nx + 1) / 2,
        "CRPIX2": (ny + 1) / 2,
        "CRVAL1": ra_deg,
        "CRVAL2": dec_deg,
        "CD1_1": -scale * c,
        "CD1_2": scale * s,
        "CD2_1": scale * s,
        "CD2_2": scale * c,
    }


def pixels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(900, 1100, size=(48, 64)).astype(np.uint16)


def write(path: Path, head: fits.Header, *, bare: bool = False) -> Path:
    """One image: in the primary HDU, or tile-compressed behind an empty one for ``.fits.fz``."""
    data = None if bare else pixels()
    if path.name.endswith(".fz"):
        hdus = fits.HDUList(
            [fits.PrimaryHDU(), fits.CompImageHDU(data, header=head, name=head.get("EXTNAME", "SCI"))]
        )
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(data, header=head)])
    hdus.writeto(path)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def fits_bytes(head: fits.Header) -> bytes:
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels(), header=head).writeto(buffer)
    return buffer.getvalue()


# --- the products whose records the client library posted, see client_library_records.json -----------------


def recorded_header(number: int, second: int = 0, **cards: Any) -> fits.Header:
    h = fits.Header()
    h["DATE-OBS"] = f"2024-03-15T04:{number:02d}:{second:02d}.123"
    h["DAY-OBS"] = "20240315"
    h["UTSTART"], h["UTSTOP"] = f"04:{number:02d}:{second:02d}", f"04:{number:02d}:{second + 30:02d}.500"
    h["EXPTIME"], h["FILTER"] = 30.123456, "rp"
    h["INSTRUME"], h["SITEID"], h["TELID"], h["ENCID"] = "fa01", "tst", "1m0a", "doma"
    h["OBSTYPE"], h["OBJECT"] = "EXPOSE", "M 31 field"
    h["PROPID"], h["USERID"] = "PROPRIETARY2024-001", "demo.user"
    h["BLKUID"], h["REQNUM"], h["TRACKNUM"], h["MOLUID"] = 1000123, 2000123, 3000123, 4000123
    h["GAIN"], h["CONFMODE"], h["SEEING"], h["AIRMASS"], h["TRACKING"] = (
        1.0,
        "full_frame",
        "N/A",
        1.2345678,
        True,
    )
    h["HISTORY"] = "must not be archived"
    h["COMMENT"] = "must not be archived"
    for key, value in cards.items():
        h[key] = value
    return h


def write_recorded_products(folder: Path) -> dict[str, tuple[Path, dict[str, Any] | None]]:
    """Write them all; returns name in the recording -> (file, metadata beside it)."""
    made: dict[str, tuple[Path, dict[str, Any] | None]] = {}

    def name(number: int, suffix: str) -> str:
        return f"tst1m123-fa01-20240315-0123{number:02d}-{suffix}"

    def save(filename: str, hdus: list[Any], recorded_as: str = "") -> None:
        path = folder / (recorded_as.replace(" ", "_") or "first") / filename
        path.parent.mkdir(exist_ok=True)
        fits.HDUList(hdus).writeto(path)
        made[recorded_as or filename] = (path, None)

    raw = name(1, "e00")
    h = recorded_header(1, **tan(150.0, 2.2, turn_deg=30.0), ORIGNAME=raw + ".fits")
    save(raw + ".fits", [fits.PrimaryHDU(), fits.ImageHDU(pixels(), header=h, name="SCI")])
    h["OBJECT"] = "M 31 revised"
    save(
        raw + ".fits",
        [fits.PrimaryHDU(), fits.ImageHDU(pixels(), header=h, name="SCI")],
        raw + ".fits revised",
    )
    h = recorded_header(1, 1, RLEVEL=91, L1PUBDAT="2025-03-15T04:01:01.000", **tan(0.02, -10.0))
    h["L1IDBIAS"], h["L1IDFLAT"] = "tst123-fa01-20240315-bias-bin1x1.fits.fz", "N/A"
    h["ORIGNAME"] = raw + ".fits"
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name="ra", format="D", array=np.array([0.01]))], name="CAT"
    )
    save(
        name(1, "e91") + ".fits.fz",
        [fits.PrimaryHDU(), fits.CompImageHDU(pixels(), header=h, name="SCI"), table],
    )
    h = recorded_header(3, OBSTYPE="UNKNOWN", PROPID="calibrate", REQNUM="N/A", TRACKNUM="NONE")
    h["OBJECT"], h["EXPTIME"] = "UNSPECIFIED", 0.0
    save(name(3, "b00") + ".fits.fz", [fits.PrimaryHDU(), fits.CompImageHDU(pixels(), header=h, name="SCI")])
    save(name(4, "e00") + ".fits", [fits.PrimaryHDU(pixels(), header=recorded_header(4, **tan(37.0, 89.95)))])
    h = recorded_header(5, OBSTYPE="SPECTRUM", RADIUS=15.0, RA="10:00:00.0", DEC="-30:00:00.0")
    save(name(5, "e00") + ".fits", [fits.PrimaryHDU(pixels(), header=h)])
    packed = name(6, "e91")
    member = fits_bytes(recorded_header(6, OBSTYPE="SPECTRUM", RLEVEL=91))
    made[packed + ".tar.gz"] = (
        write_tar(folder / (packed + ".tar.gz"), {f"{packed}/{packed}.fits": member}),
        None,
    )
    h = recorded_header(10, OBSTYPE="SPECTRUM", RLEVEL=92)
    del h["HISTORY"], h["COMMENT"]
    summary = folder / (name(10, "e92") + "-summary.pdf")
    summary.write_bytes(b"%PDF-1.4\n%%EOF\n")
    made[summary.name] = (summary, dict(h))
    preview = folder / (raw + "-small.jpg")
    preview.write_bytes(b"\xff\xd8\xff\xd9")
    h = recorded_header(1)
    copied = (
        "DATE-OBS",
        "DAY-OBS",
        "INSTRUME",
        "SITEID",
        "TELID",
        "PROPID",
        "OBSTYPE",
        "BLKUID",
        "REQNUM",
        "OBJECT",
    )
    metadata = {"frame_basename": raw, "RLEVEL": 0, "size": "small"}
    made[preview.name] = (preview, metadata | {key: h[key] for key in (*copied, "EXPTIME", "FILTER")})
    return made
