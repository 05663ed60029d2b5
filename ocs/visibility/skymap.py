"""How much of the dark time each part of the sky is up, as a HEALPix map.

Source: Gorski et al. 2005, ApJ 622, 759, sections 4.1 and 5.3 for the pixel centres.
"""

import numpy as np
from numpy.typing import NDArray

from ocs.visibility import airmass
from ocs.visibility.engine import dark
from ocs.visibility.errors import InvalidArgument
from ocs.visibility.frame import Site, dot, segments, site_frame, window_frame
from ocs.visibility.timebase import to_tt

Float = NDArray[np.float64]

MAX_NSIDE = 512
_SAMPLES_AT_ONCE = 64


def sky_fraction(
    site: Site,
    start_us: int,
    end_us: int,
    nside: int = 64,
    nest: bool = False,
    max_airmass: float | None = None,
    step_s: float = 1800.0,
    twilight: str = "nautical",
) -> Float:
    """Return the fraction of dark time each sky pixel is above the limit.

    Parameters
    ----------
    site
        Place and horizon; its other limits do not matter.
    start_us, end_us
        Window, microseconds UTC.
    nside
        HEALPix resolution, a power of two up to 512.
    nest
        NESTED instead of RING order.
    max_airmass
        Plane-parallel limit; None or 0: the horizon. Compared with the refracted altitude.
    step_s
        Each dark interval is sampled at ``max(1, round(length / step_s) + 1)`` evenly spaced times, both ends
        included.
    twilight
        Kind of twilight.

    Returns
    -------
    ndarray
        (12 nside^2,) from 0 to 1, ICRS pixels; zeros if it is never dark.

    Raises
    ------
    InvalidArgument
        If the window is empty, nside no power of two, the step not positive, or the airmass below 1.
    """
    if not start_us < end_us:
        raise InvalidArgument("start must be before end.")
    if not (isinstance(nside, int) and 1 <= nside <= MAX_NSIDE and nside & (nside - 1) == 0):
        raise InvalidArgument(f"nside must be a power of two from 1 to {MAX_NSIDE}, not {nside!r}.")
    if not 1.0 <= step_s < np.inf:
        raise InvalidArgument(f"step_s must be at least 1 second, not {step_s!r}.")
    if max_airmass and not 1.0 <= max_airmass < np.inf:
        raise InvalidArgument(f"max_airmass must be at least 1, not {max_airmass!r}.")
    pixels = pixel_directions(nside, nest)
    limit_deg = float(airmass.minimum_altitude_deg(site.horizon_deg, max_airmass or 0.0, sidereal=False))
    sin_limit = np.sin(np.radians(_unrefracted_deg(limit_deg)))
    seen, count = np.zeros(len(pixels)), 0
    nights = to_tt(dark(site, start_us, end_us, twilight))
    times = [
        np.linspace(start, end, max(1, round((end - start) * 1e-6 / step_s) + 1))
        for start, end in nights.tolist()
    ]
    if not times:
        return seen
    tt = np.concatenate(times)
    for low, high in segments(int(to_tt(start_us)), int(to_tt(end_us))):
        frame = site_frame(site, window_frame(low, high))
        inside = tt[(tt >= low) & ((tt < high) | (high == int(to_tt(end_us))))]
        for first in range(0, len(inside), _SAMPLES_AT_ONCE):
            sky = frame.at((inside[first : first + _SAMPLES_AT_ONCE] - frame.window.zero_tt_us) * 1e-6)
            # aberrated n + b is above the limit where (n + b).zenith >= sin_limit (1 + n.b)
            level = sin_limit - dot(sky.beta, sky.zenith)
            seen += np.count_nonzero(pixels @ (sky.zenith - sin_limit * sky.beta) >= level, axis=1)
            count += len(level)
    return seen / count


def _unrefracted_deg(refracted_deg: float) -> float:
    true = np.linspace(-3.0, 90.0, 9301)
    return float(np.interp(refracted_deg, 90 - np.degrees(airmass.refracted_zenith_distance(true)), true))


def pixel_directions(nside: int, nest: bool = False) -> Float:
    """Return the centres of all HEALPix pixels as unit vectors (12 nside^2, 3)."""
    z, phi = _nested(nside) if nest else _ring(nside)
    rho = np.sqrt((1 - z) * (1 + z))
    return np.stack((rho * np.cos(phi), rho * np.sin(phi), z), axis=1)


def _ring(nside: int) -> tuple[Float, Float]:
    ring = np.arange(1, 4 * nside)
    from_pole = np.minimum(ring, 4 * nside - ring)
    length = 4 * np.minimum(from_pole, nside)
    z = np.where(from_pole < nside, 1 - from_pole**2 / (3 * nside**2), 2 * (2 * nside - ring) / (3 * nside))
    z = np.where((from_pole < nside) & (ring > 2 * nside), -z, z)
    shift = np.where((from_pole < nside) | ((ring - nside) % 2 == 0), 0.5, 0.0)
    place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.repeat(z, length), (place + np.repeat(shift, length)) * 2 * np.pi / np.repeat(length, length)


def _nested(nside: int) -> tuple[Float, Float]:
    index = np.arange(12 * nside * nside)
    face, within = np.divmod(index, nside * nside)
    x, y = np.zeros_like(within), np.zeros_like(within)
    for bit in range(nside.bit_length()):
        x |= ((within >> (2 * bit)) & 1) << bit
        y |= ((within >> (2 * bit + 1)) & 1) << bit
    row, column = face // 4, face % 4
    ring = (row + 2) * nside - x - y - 1
    from_pole = np.minimum(np.minimum(ring, 4 * nside - ring), nside)
    z = np.where(from_pole < nside, 1 - from_pole**2 / (3 * nside**2), 2 * (2 * nside - ring) / (3 * nside))
    z = np.where((from_pole < nside) & (ring > 2 * nside), -z, z)
    eighth = np.where(row == 1, 2 * column, 2 * column + 1)  # the face's centre, in eighths of a turn
    return z, ((eighth * from_pole + x - y) * np.pi / (4 * from_pole)) % (2 * np.pi)
