"""Damaged and hostile files (F4, F5): one clear error, quickly, in little memory."""

from __future__ import annotations

import gzip
import io
import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ocs.ingest.fits import (
    BrokenArchiveError,
    FileTooComplexError,
    IngestFileError,
    Limits,
    MalformedFitsError,
    TruncatedFitsError,
    read_record,
)

from .fits_samples import fits_bytes, header, pixels, tan, write_tar


def two_images() -> bytes:
    buffer = io.BytesIO()
    second = fits.CompImageHDU(pixels(), header=header(RLEVEL=91))
    fits.HDUList([fits.PrimaryHDU(pixels(), header=header(**tan(10, 20))), second]).writeto(buffer)
    return buffer.getvalue()


GOOD = two_images()


def set_card(data: bytes, keyword: bytes, value: object) -> bytes:
    at = data.index(keyword.ljust(8) + b"=")
    return data[: at + 10] + str(value).rjust(20).encode() + data[at + 30 :]


DAMAGE = {
    "negative axis": (set_card(GOOD, b"NAXIS1", -1), MalformedFitsError),
    "axis of 2^63": (set_card(GOOD, b"NAXIS1", 2**63), MalformedFitsError),
    "axis of 10^19": (set_card(GOOD, b"NAXIS1", 10**19), MalformedFitsError),
    "axis of 2^31": (set_card(GOOD, b"NAXIS1", 2**31), TruncatedFitsError),
    "999 axes": (set_card(GOOD, b"NAXIS", 999), MalformedFitsError),
    "-3 axes": (set_card(GOOD, b"NAXIS", -3), MalformedFitsError),
    "BITPIX 7": (set_card(GOOD, b"BITPIX", 7), MalformedFitsError),
    "BITPIX 0": (set_card(GOOD, b"BITPIX", 0), MalformedFitsError),
    "BITPIX text": (set_card(GOOD, b"BITPIX", "'16'"), MalformedFitsError),
    "SIMPLE F": (set_card(GOOD, b"SIMPLE", "F"), MalformedFitsError),
    "no END": (GOOD.replace(b"END" + b" " * 77, b" " * 80, 1), IngestFileError),
    "nul in a card": (GOOD.replace(b"'tst     '", b"'t\0t     '", 1), MalformedFitsError),
    "open quote": (GOOD.replace(b"'tst     '", b"'tst      ", 1), MalformedFitsError),
    "bare word": (set_card(GOOD, b"BLKUID", "five"), MalformedFitsError),
    "lower case keyword": (GOOD.replace(b"SITEID  =", b"siteid  =", 1), MalformedFitsError),
    "bytes behind": (GOOD + b"x" * 2880, IngestFileError),
    "half a block behind": (GOOD + b"XTENSION= 'IMAGE   '".ljust(1000), TruncatedFitsError),
    "compressed whole": (gzip.compress(GOOD), MalformedFitsError),
    "empty": (b"", MalformedFitsError),
    "html": (b"<html>404</html>", MalformedFitsError),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_F4_damage_is_named(name: str, tmp_path: Path) -> None:
    data, error = DAMAGE[name]
    path = tmp_path / "a.fits"
    path.write_bytes(data)
    with pytest.raises(error, match=r"^a\.fits: .+\. .+"):
        read_record(path)


def test_F4_every_cut_is_noticed(tmp_path: Path) -> None:
    ends_of_hdus = {GOOD.index(b"XTENSION="), len(GOOD)}
    path = tmp_path / "a.fits"
    for length in sorted(
        {*range(0, len(GOOD), 997), *range(2880, len(GOOD), 2880), len(GOOD) - 1} - ends_of_hdus
    ):
        path.write_bytes(GOOD[:length])
        with pytest.raises(MalformedFitsError):
            read_record(path)


def mutate(rng: random.Random) -> bytes:
    data = bytearray(GOOD)
    how = rng.randrange(5)
    if how == 0:
        del data[rng.randrange(len(data)) :]
    elif how == 1:
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(5760)] = rng.randrange(256)
    elif how == 2:
        card = rng.randrange(36) * 80
        data[card : card + 80] = rng.randbytes(80)
    elif how == 3:
        return rng.randbytes(rng.randrange(1, 6000))
    else:
        start = data.index(b"XTENSION=")
        for _ in range(rng.randrange(1, 10)):
            data[start + rng.randrange(5760)] = rng.choice(b" 0123456789=/'ETXZ")
    return bytes(data)


def check_random_damage(count: int, seed: int, path: Path) -> None:
    """No class but ours comes out; what still parses is JSON; nothing takes 100 ms of processor time."""
    rng = random.Random(seed)
    path.write_bytes(GOOD)
    read_record(path)  # imports
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reasons: list[str] = []
    for index in range(count):
        data = mutate(rng)
        path.write_bytes(data)
        started = time.process_time()
        try:
            read_record(path)
        except IngestFileError as error:
            reasons.append(str(error))
        except Exception as error:
            raise AssertionError(f"seed {seed}, file {index}: {error!r}") from error
        assert time.process_time() - started < 0.1, f"seed {seed}, file {index} was slow"
    assert all(reason.startswith("a.fits: ") for reason in reasons)
    assert len(reasons) > count * 0.8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_F4_random_damage(tmp_path: Path) -> None:
    check_random_damage(500, 1, tmp_path / "a.fits")


@pytest.mark.nightly
def test_F4_ten_thousand_damaged_files(tmp_path: Path) -> None:
    check_random_damage(10_000, 2, tmp_path / "a.fits")


def test_F5_header_of_a_hundred_thousand_cards(tmp_path: Path) -> None:
    cards = b"".join(f"K{n:07d}= {n:20d}".encode().ljust(80) for n in range(100_000))
    start = b"".join(c.ljust(80) for c in (b"SIMPLE  = T", b"BITPIX  = 8", b"NAXIS   = 0"))
    data = start + cards + b"END".ljust(80)
    path = tmp_path / "a.fits"
    path.write_bytes(data + b" " * (-len(data) % 2880))
    with pytest.raises(FileTooComplexError, match="too many cards") as caught:
        read_record(path)
    assert caught.value.status == 413


def test_F5_gzip_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    huge = fits_bytes(header()) + b"\0" * 2880 * 70_000
    write_tar(path, {"x.fits": huge})
    assert path.stat().st_size < 1_000_000
    started = time.process_time()
    with pytest.raises(FileTooComplexError, match="unpacks to more than"):
        read_record(path, limits=Limits(unpacked_floor_bytes=8 * 1024**2))
    assert time.process_time() - started < 1.0


def test_F5_false_size_of_a_compressed_image(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(set_card(GOOD, b"ZNAXIS1", 10**12))
    with pytest.raises(FileTooComplexError, match="unpacks to more than"):
        read_record(path)


def test_F5_packed_file_that_was_cut(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).bytes(20_000)
    whole = write_tar(tmp_path / "a.tar.gz", {"x.fits": fits_bytes(header()), "noise": noise}).read_bytes()
    cut = tmp_path / "b.tar.gz"
    for length in (0, 5, len(whole) // 2, len(whole) - 4):
        cut.write_bytes(whole[:length])
        with pytest.raises(BrokenArchiveError):
            read_record(cut)
    damaged = bytearray(whole)
    damaged[-6] ^= 1  # checksum
    cut.write_bytes(damaged)
    with pytest.raises(BrokenArchiveError):
        read_record(cut)
