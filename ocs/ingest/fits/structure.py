"""Reading headers from bytes nobody has checked.

A FITS file is walked block by block first, with arithmetic only: every card must be legal, every HDU must
fit into the real length of the file, and the limits must hold. Only then does astropy see it, so a
malformed file is one clear error and costs no more than reading its headers.
"""

from __future__ import annotations

import gzip
import math
import re
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .errors import BrokenArchiveError, FileTooComplexError, MalformedFitsError, TruncatedFitsError

BLOCK_BYTES = 2880
CARD_BYTES = 80
SPOOL_BYTES = 32 * 1024 * 1024

_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?"
_TEXT = rb"'(?:[^']|'')*'"
_COMPLEX = rb"\( *" + _NUMBER + rb" *, *" + _NUMBER + rb" *\)"
_VALUE = rb" *(?:" + rb"|".join([_TEXT, rb"[TF]", _NUMBER, _COMPLEX]) + rb")? *(?:/.*)?"
_CARD = re.compile(
    rb"(?:COMMENT |HISTORY | {8}).*"  # free text
    rb"|CONTINUE  *" + _TEXT + rb" *(?:/.*)?"
    rb"|HIERARCH [^=]+="
    + _VALUE
    + rb"|(?!HIERARCH|CONTINUE)(?=[A-Z0-9_-]+ *[= ])[A-Z0-9_ -]{8}(?:= "
    + _VALUE
    + rb"|(?!= ).*)"
)
_PRINTABLE = re.compile(rb"[ -~]*")
_REMEDY = "It may be damaged: send it again."


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes
    ----------
    header_cards : int
        Cards in all headers of the file together.
    unpacked_bytes : int
        Size in bytes after unpacking, whatever the packed size.
    unpacked_ratio : float
        Unpacked over packed size of a ``.tar.gz``; applies above `unpacked_floor_bytes`.
    unpacked_floor_bytes : int
        Unpacked size in bytes that is always allowed.
    """

    header_cards: int = 20_000
    unpacked_bytes: int = 2 * 1024**3
    unpacked_ratio: float = 4.0
    unpacked_floor_bytes: int = 64 * 1024**2


def looks_like_fits(stream: IO[bytes]) -> bool:
    """Tell whether the stream starts as a FITS file does; leaves it at its start."""
    stream.seek(0)
    magic = stream.read(9)
    stream.seek(0)
    return magic == b"SIMPLE  ="


def read_headers(stream: IO[bytes], filename: str, limits: Limits) -> Iterator[dict[str, Any]]:
    """Headers of a FITS file, one dictionary for each HDU, in order.

    Parameters
    ----------
    stream : binary file
        Seekable; read from its start.
    filename : str
        For the texts of errors.
    limits : Limits
        What the file may cost.

    Yields
    ------
    dict
        Keyword to bool, int, float, complex, str or None (undefined). A repeated keyword keeps its first
        value, commentary keywords are joined by line breaks. Compressed images show the header of the image.

    Raises
    ------
    MalformedFitsError, TruncatedFitsError, FileTooComplexError
        Before the first header is yielded, if any HDU of the file is unacceptable.
    """
    check_structure(stream, filename, limits)
    from astropy.io import fits

    stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(stream, mode="readonly", memmap=False, lazy_load_hdus=True) as hdus:
                for hdu in hdus:
                    yield {key: _plain(hdu.header[key]) for key in hdu.header}
        # The reader raises many classes on the few inputs that the walk lets pass.
        except (OSError, LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
            raise MalformedFitsError(filename, f"its headers cannot be read ({error}). {_REMEDY}") from error
        except fits.VerifyError as error:
            raise MalformedFitsError(filename, f"a header is not valid ({error}). Repair it.") from error


def check_structure(stream: IO[bytes], filename: str, limits: Limits) -> None:
    """Walk every HDU without reading data; raise on the first thing that is wrong."""
    if not looks_like_fits(stream):
        raise MalformedFitsError(
            filename,
            "this is not a FITS file, it does not start with 'SIMPLE  ='. "
            "Send an uncompressed or tile-compressed FITS file, or metadata beside it.",
        )
    length = stream.seek(0, 2)
    position, cards_left = 0, limits.header_cards
    while position < length:
        stream.seek(position)
        cards = _header_cards(stream, filename, position, cards_left)
        cards_left -= len(cards)
        header_bytes = math.ceil((len(cards) + 1) * CARD_BYTES / BLOCK_BYTES) * BLOCK_BYTES
        data_bytes = _data_bytes(cards, filename, primary=position == 0, limits=limits)
        position += header_bytes + math.ceil(data_bytes / BLOCK_BYTES) * BLOCK_BYTES
    if position > length:
        raise TruncatedFitsError(
            filename,
            f"the headers announce at least {position} bytes, the file has {length}. "
            "It was cut off: copy it again, and rename it into place only when it is complete.",
        )


def _header_cards(stream: IO[bytes], filename: str, position: int, cards_left: int) -> list[bytes]:
    """Cards of the header at the stream's place, up to and without END."""
    cards: list[bytes] = []
    while True:
        block = stream.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise TruncatedFitsError(
                filename, f"the header at byte {position} has no END card. It was cut off: send it again."
            )
        for at in range(0, BLOCK_BYTES, CARD_BYTES):
            card = block[at : at + CARD_BYTES]
            if card.rstrip() == b"END":
                return cards
            if not _PRINTABLE.fullmatch(card) or not _CARD.fullmatch(card):
                shown = card[:30].decode("ascii", "replace").rstrip()
                raise MalformedFitsError(
                    filename,
                    f"card {len(cards) + 1} of the header at byte {position} ({shown!r}) is not legal FITS. "
                    "Repair the header: text values need quotes, and only ASCII is allowed.",
                )
            cards.append(card)
            if len(cards) > cards_left:
                raise FileTooComplexError(
                    filename,
                    "its headers have too many cards for one file. Split it, or drop unused keywords.",
                )


def _data_bytes(cards: list[bytes], filename: str, *, primary: bool, limits: Limits) -> int:
    """Size of the data behind a header, from its mandatory keywords in their mandatory order."""

    def fail(problem: str) -> MalformedFitsError:
        return MalformedFitsError(filename, f"{problem}. {_REMEDY}")

    def integer(keyword: str, index: int | None, *, least: int, most: int = 10**15) -> int:
        candidates = cards if index is None else cards[index : index + 1]
        card = next((card for card in candidates if _keyword(card) == keyword), b"")
        text = card[10:].split(b"/")[0].strip()
        if not re.fullmatch(rb"[+-]?\d{1,20}", text) or not least <= int(text) <= most:
            shown = text.decode("ascii", "replace") or "missing or out of its place"
            raise fail(f"the mandatory keyword {keyword} is {shown}")
        return int(text)

    if primary:
        if cards[0][10:].split(b"/")[0].strip() != b"T":
            raise fail("the keyword SIMPLE is not T, so the file does not claim to be standard FITS")
    elif not cards or not cards[0].startswith(b"XTENSION= '"):
        raise fail("what follows the last HDU is not an extension")
    bits = integer("BITPIX", 1, least=-64, most=64)
    if bits not in (8, 16, 32, 64, -32, -64):
        raise fail(f"BITPIX = {bits} is not a FITS data type")
    axes = [integer(f"NAXIS{n + 1}", 3 + n, least=0) for n in range(integer("NAXIS", 2, least=0, most=999))]
    named = {_keyword(card) for card in cards}
    groups = integer("GCOUNT", None, least=0) if "GCOUNT" in named else 1
    parameters = integer("PCOUNT", None, least=0) if "PCOUNT" in named else 0
    if "ZIMAGE" in named:
        image_axes = integer("ZNAXIS", None, least=0, most=999)
        pixels = math.prod(integer(f"ZNAXIS{n + 1}", None, least=0) for n in range(image_axes))
        if pixels * abs(integer("ZBITPIX", None, least=-64, most=64)) // 8 > limits.unpacked_bytes:
            raise FileTooComplexError(
                filename, f"its image unpacks to more than {limits.unpacked_bytes} bytes. Send it in parts."
            )
    if primary and axes[:1] == [0] and "GROUPS" in named:  # random groups, FITS standard section 6
        axes = axes[1:]
    elif not axes:
        return 0
    return abs(bits) // 8 * groups * (parameters + math.prod(axes))


def _keyword(card: bytes) -> str:
    return card[:8].decode("ascii").rstrip()


def _plain(value: Any) -> Any:
    """Turn what the FITS reader returns into a plain Python value; undefined becomes None."""
    if value is None or isinstance(value, bool | int | float | complex | str):
        return value
    return None if type(value).__name__ == "Undefined" else str(value)


class _Bounded:
    """A reader that stops a decompression bomb: at most `limit` bytes come out of it."""

    def __init__(self, stream: gzip.GzipFile, limit: int, filename: str) -> None:
        self._stream, self._left, self._filename, self._limit = stream, limit, filename, limit

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise FileTooComplexError(
                self._filename,
                f"it unpacks to more than {self._limit} bytes, too much for its size. Send it unpacked.",
            )
        return data


def first_fits_in_tar(path: Path, limits: Limits) -> IO[bytes]:
    """Unpack the first member whose name contains ``.fits``; the packed file is read to its end and checked.

    Returns
    -------
    binary file
        A spooled copy of the member; the caller closes it.

    Raises
    ------
    BrokenArchiveError, FileTooComplexError
    """
    limit = min(
        limits.unpacked_bytes,
        max(limits.unpacked_floor_bytes, int(path.stat().st_size * limits.unpacked_ratio)),
    )
    member: IO[bytes] | None = None
    try:
        with gzip.open(path) as unpacked:
            bounded = _Bounded(unpacked, limit, path.name)
            with tarfile.open(fileobj=bounded, mode="r|") as tar:  # type: ignore[call-overload]
                for entry in tar:
                    if member is None and entry.isreg() and ".fits" in entry.name.rsplit("/", 1)[-1]:
                        source = tar.extractfile(entry)
                        member = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115
                        while chunk := source.read(1 << 20):
                            member.write(chunk)
            while bounded.read(1 << 20):  # the checksum stands at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        if member is not None:
            member.close()
        raise BrokenArchiveError(
            path.name, f"the .tar.gz cannot be unpacked ({error}). It may be cut off: copy it again."
        ) from error
    except FileTooComplexError:
        if member is not None:
            member.close()
        raise
    if member is None:
        raise BrokenArchiveError(path.name, "no member of it is named .fits. Add the FITS file it describes.")
    return member
