"""Time scales: UTC on the outside, TT within, UT1 for the turn of the Earth.

Outside, an instant is an int64 count of microseconds since 1970-01-01T00:00 UTC, in the civil count that has
no leap seconds. Within, it is the same count on Terrestrial Time, which runs evenly: intervals are found on
TT and only then read off as UTC, so that a window over a leap second needs no care anywhere else.

Leap seconds come from ERFA; UT1 from the packaged table (`ocs.visibility.ephemeris.earth_orientation`), which
lists UT1-TAI because that does not jump. The barycentric TDB differs from TT by < 2 ms and is taken as equal.

Source: IERS Conventions (2010), chapters 5 and 10.
"""

from datetime import UTC, datetime, timedelta
from functools import cache

import erfa
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["from_datetime", "from_tt", "mjd_tt", "mjd_utc", "to_datetime", "to_tt"]

US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S
MJD_UNIX = 40587
JD_UNIX = 2440587.5
TT_MINUS_TAI_US = 32_184_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

Int64 = NDArray[np.int64]
Float = NDArray[np.float64]


def from_datetime(instant: datetime) -> int:
    """Return an aware datetime as microseconds since the Unix epoch.

    Raises
    ------
    ValueError
        If the datetime is naive.

    Examples
    --------
    >>> from_datetime(datetime(2027, 1, 10, tzinfo=UTC))
    1799539200000000
    """
    if instant.tzinfo is None:
        raise ValueError("A datetime without a time zone is ambiguous; give it one, for example UTC.")
    return (instant - _EPOCH) // _US


def to_datetime(instant_us: int) -> datetime:
    """Return microseconds since the Unix epoch as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=int(instant_us))


@cache
def _leaps() -> tuple[Int64, Int64]:
    """Return the UTC instants of the steps of TAI-UTC and the value from each on, both in microseconds."""
    table = erfa.leap_seconds.get()
    table = table[table["year"] >= 1972]  # before that UTC was stretched; no ephemeris reaches back there
    days = np.array(
        [np.datetime64(f"{y:04d}-{m:02d}-01") for y, m in zip(table["year"], table["month"], strict=True)]
    )
    return days.astype("datetime64[us]").astype(np.int64), np.round(table["tai_utc"]).astype(
        np.int64
    ) * US_PER_S


def to_tt(utc_us: ArrayLike) -> Int64:
    """Return UTC instants on TT, both in microseconds; any shape."""
    utc = np.asarray(utc_us, np.int64)
    since, offset = _leaps()
    return utc + (offset[np.maximum(np.searchsorted(since, utc, side="right") - 1, 0)] + TT_MINUS_TAI_US)


def from_tt(tt_us: ArrayLike) -> Int64:
    """Return TT instants as UTC, both in microseconds; any shape.

    The inserted second itself has no name in this count: all of it reads as the midnight that follows.
    """
    tt = np.asarray(tt_us, np.int64)
    since, offset = _leaps()
    step = np.maximum(np.searchsorted(since + offset + TT_MINUS_TAI_US, tt, side="right") - 1, 0)
    following = np.append(since[1:], np.iinfo(np.int64).max)
    return np.asarray(np.minimum(tt - (offset[step] + TT_MINUS_TAI_US), following[step]))


def mjd_utc(utc_us: ArrayLike) -> Float:
    """Return Modified Julian Dates (UTC days) of UTC instants.

    Examples
    --------
    >>> float(mjd_utc(from_datetime(datetime(1988, 3, 20, tzinfo=UTC))))
    47240.0
    """
    return np.asarray(utc_us, np.int64) / US_PER_DAY + MJD_UNIX


def mjd_tt(utc_us: ArrayLike) -> Float:
    """Return Modified Julian Dates (TT days) of UTC instants."""
    return to_tt(utc_us) / US_PER_DAY + MJD_UNIX
