"""Where Earth, Sun and Moon are, and how far the Earth has turned: the packaged tables.

Both tables lie in `ocs/visibility/data` (see the README there for origin and licence) and are read once per
process; the kernel is mapped into memory, not loaded. `refresh_data` makes them anew from given files, for a
release. Nothing here ever uses the network.

Sources: JPL DE421 (Folkner, Williams, Boggs 2009, IPN Progress Report 42-178); IERS finals2000A.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from jplephem.excerpter import write_excerpt
from jplephem.spk import SPK
from numpy.typing import NDArray

from ocs.visibility.errors import OutsideEphemeris
from ocs.visibility.timebase import JD_UNIX, MJD_UNIX, TT_MINUS_TAI_US, US_PER_DAY, to_datetime, to_tt

__all__ = ["DataExpiry", "data_expiry", "refresh_data"]

AU_KM = 149_597_870.7
KERNEL_NAME = "de421_2000_2050.bsp"
UT1_NAME = "ut1.npz"
KERNEL_JD = (
    2451536.5,
    2470187.5,
)  # 1999-12-24 to 2051-01-18: the years 2000 to 2050 and room for interpolation
UT1_FIRST_MJD = 51526  # 1999-12-14
_SUN, _EMB, _MOON, _EARTH = (0, 10), (0, 3), (3, 301), (3, 399)
_MARGIN_DAYS = 8  # frames look this far beyond a window

Float = NDArray[np.float64]
_open_files = ExitStack()


@dataclass(frozen=True)
class DataExpiry:
    """Up to when the packaged tables hold.

    Attributes
    ----------
    ephemeris_start, ephemeris_end
        First and last day a window may touch.
    ut1_measured_until, ut1_predicted_until
        Last day of measured and of predicted UT1-UTC. Later days keep the last value: about 0.3 s of error
        per year, in time.
    """

    ephemeris_start: date
    ephemeris_end: date
    ut1_measured_until: date
    ut1_predicted_until: date


@cache
def _kernel() -> SPK:
    return SPK.open(str(_open_files.enter_context(as_file(files("ocs.visibility") / "data" / KERNEL_NAME))))


@cache
def _ut1() -> tuple[int, int, Float]:
    """Return first MJD (UTC), last measured MJD, and UT1-TAI in seconds for each day from the first on."""
    with (files("ocs.visibility") / "data" / UT1_NAME).open("rb") as stream, np.load(stream) as table:
        return int(table["first_mjd"]), int(table["measured_until_mjd"]), table["ut1_minus_tai_us"] * 1e-6


def _day(mjd: float) -> date:
    return date(1858, 11, 17) + timedelta(days=int(mjd))


def data_expiry() -> DataExpiry:
    """Return the days between which the packaged tables hold, for readiness checks and the doctor."""
    first_mjd, measured_until_mjd, ut1 = _ut1()
    segment = _kernel()[_EMB]
    return DataExpiry(
        ephemeris_start=_day(segment.start_jd - 2400000.5 + _MARGIN_DAYS),
        ephemeris_end=_day(segment.end_jd - 2400000.5 - _MARGIN_DAYS),
        ut1_measured_until=_day(measured_until_mjd),
        ut1_predicted_until=_day(first_mjd + len(ut1) - 1),
    )


def check_covered(start_us: int, end_us: int) -> None:
    """Refuse a span that leaves the packaged ephemeris.

    Parameters
    ----------
    start_us, end_us
        UTC or TT, microseconds since the Unix epoch.

    Raises
    ------
    OutsideEphemeris
        Naming the days that are possible.
    """
    expiry = data_expiry()
    first_us = (expiry.ephemeris_start - date(1970, 1, 1)).days * US_PER_DAY
    last_us = (expiry.ephemeris_end - date(1970, 1, 1)).days * US_PER_DAY
    if start_us < first_us or end_us > last_us:
        raise OutsideEphemeris(
            f"Positions of Sun and Moon are known from {expiry.ephemeris_start} to {expiry.ephemeris_end}; "
            f"choose a window within."
        )


def solar_system(tt_us: NDArray[np.int64]) -> Float:
    """Return positions of Earth, Sun and Moon at TT instants.

    Parameters
    ----------
    tt_us
        (N,) microseconds since the Unix epoch, TT.

    Returns
    -------
    ndarray
        (N, 15), GCRS/ICRS axes, au and au/day: barycentric Earth position, Earth velocity; geocentric Sun,
        Moon, and velocity of the Moon. All geometric, that is without light time.
    """
    emb, emb_rate = _chebyshev(_EMB, tt_us)
    earth, earth_rate = _chebyshev(_EARTH, tt_us)
    moon, moon_rate = _chebyshev(_MOON, tt_us)
    sun, _ = _chebyshev(_SUN, tt_us)
    return np.concatenate(
        (emb + earth, emb_rate + earth_rate, sun - emb - earth, moon - earth, moon_rate - earth_rate), axis=1
    )


@cache
def _records(segment: tuple[int, int]) -> tuple[float, float, Float]:
    """Return the first epoch (JD), the days per record and the coefficients (records, 3, degree + 1)."""
    start_jd, days, coefficients = _kernel()[segment].load_array()
    return start_jd, days, coefficients.transpose(1, 0, 2)


def _chebyshev(segment: tuple[int, int], tt_us: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return positions and velocities of a kernel segment, both (N, 3), in au and au/day."""
    start_jd, days, coefficients = _records(segment)
    x = ((JD_UNIX - start_jd) + tt_us / US_PER_DAY) / days
    record = np.floor(x).astype(np.intp)
    if len(record) and not (record.min() >= 0 and record.max() < len(coefficients)):
        raise OutsideEphemeris(f"No positions of Sun and Moon at {to_datetime(int(tt_us[0]))}.")
    x = 2 * (x - record) - 1
    degree = coefficients.shape[2]
    value, rate = np.ones((degree, len(x))), np.zeros((degree, len(x)))
    value[1], rate[1] = x, 1
    twice = 2 * x
    for k in range(2, degree):
        value[k] = twice * value[k - 1] - value[k - 2]
        rate[k] = twice * rate[k - 1] + 2 * value[k - 1] - rate[k - 2]
    of = coefficients[record]
    position = np.einsum("nck,kn->nc", of, value) / AU_KM
    return position, np.einsum("nck,kn->nc", of, rate) * (2 / (days * AU_KM))


def ut1_minus_tai_s(tai_us: NDArray[np.int64]) -> Float:
    """Return UT1-TAI in seconds at TAI instants (N,); beyond the table its last value holds."""
    first_mjd, _, ut1 = _ut1()
    days = (
        (tai_us - 37_000_000) / US_PER_DAY + MJD_UNIX - first_mjd
    )  # the table steps at UTC midnights; 37 s is near enough
    return np.interp(days, np.arange(len(ut1)), ut1)


def refresh_data(
    kernel: Path, finals2000a: Path, into: Path, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Make the packaged tables anew from given files; used once per release.

    Parameters
    ----------
    kernel
        A JPL SPK kernel with Sun, Earth-Moon barycentre, Earth and Moon, for example ``de421.bsp``.
    finals2000a
        The IERS table ``finals2000A.all``.
    into
        Folder to write to, normally ``ocs/visibility/data``.
    progress
        Receives a sentence per file written.

    Raises
    ------
    ValueError
        If a file lacks what is needed; nothing is replaced then.
    """
    rows = [
        (int(float(line[7:15])), round(float(line[58:68]) * 1e6), line[57] == "I")
        for line in finals2000a.read_text("ascii").splitlines()
        if len(line) > 68 and line[58:68].strip() and float(line[7:15]) >= UT1_FIRST_MJD
    ]
    mjds = np.array([mjd for mjd, _, _ in rows])
    if len(rows) < 365 or mjds[0] != UT1_FIRST_MJD or (np.diff(mjds) != 1).any():
        raise ValueError(f"{finals2000a} must list UT1-UTC for every day from MJD {UT1_FIRST_MJD} on.")
    midnight_us = (mjds - MJD_UNIX) * US_PER_DAY
    tai_minus_utc_us = to_tt(midnight_us) - midnight_us - TT_MINUS_TAI_US
    source = SPK.open(str(kernel))
    try:
        wanted = {_SUN, _EMB, _MOON, _EARTH}
        summaries = [
            (name, values)
            for name, values in source.daf.summaries()
            if (int(values[3]), int(values[2])) in wanted
        ]
        if len(summaries) != len(wanted):
            raise ValueError(f"{kernel} must contain Sun, Earth-Moon barycentre, Moon and Earth.")
        with (into / KERNEL_NAME).open("w+b") as stream:
            write_excerpt(source, stream, *KERNEL_JD, summaries)
    finally:
        source.close()
    progress(f"wrote {into / KERNEL_NAME}")
    np.savez_compressed(
        into / UT1_NAME,
        first_mjd=np.int64(UT1_FIRST_MJD),
        measured_until_mjd=np.int64(max(mjd for mjd, _, measured in rows if measured)),
        ut1_minus_tai_us=np.array([ut1 for _, ut1, _ in rows], np.int64) - tai_minus_utc_us,
    )
    progress(f"wrote {into / UT1_NAME}")
