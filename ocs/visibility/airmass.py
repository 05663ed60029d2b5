"""Airmass and refraction.

Two airmasses are in use and must not be confused: *limits* use the plane-parallel sec z of the unrefracted
altitude; plots and tables *show* a polynomial in the refracted zenith distance.

Sources: ERFA `refco` for the refraction constants and ERFA `atioq` for their use near the horizon;
Hardie 1962 for the polynomial.
"""

from functools import cache

import erfa
import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

REFRACTED_AT_EXACT_ZERO_DEG = -0.5667
_PRESSURE_HPA, _TEMPERATURE_C, _HUMIDITY, _WAVELENGTH_UM = 1013.25, 0.0, 0.3, 0.55
_LARGEST_ZENITH_DISTANCE = 1.52  # rad


def minimum_altitude_deg(horizon_deg: float, max_airmass: ArrayLike, *, sidereal: bool = True) -> Float:
    """Return the unrefracted altitude a target must reach.

    Parameters
    ----------
    horizon_deg
        Least pointing altitude of the telescope.
    max_airmass
        Plane-parallel limit, any shape; 0 means none.
    sidereal
        A limit of exactly 0 becomes -0.5667 deg for sidereal targets only.

    Examples
    --------
    >>> pairs = (30, 0), (30, 3), (30, 1.2), (0, 25), (0, 0), (0.1, 0)
    >>> [round(float(minimum_altitude_deg(horizon, limit)), 5) for horizon, limit in pairs]
    [30.0, 30.0, 56.44269, 2.29244, -0.5667, 0.1]
    """
    sine = sin_minimum_altitude(horizon_deg, np.asarray(max_airmass, np.float64), sidereal=sidereal)
    return np.asarray(np.degrees(np.arcsin(sine)))


def sin_minimum_altitude(horizon_deg: float, max_airmass: Float, *, sidereal: bool = True) -> Float:
    """Return the sine of `minimum_altitude_deg`: of an airmass limit X that is simply 1/X."""
    horizon = np.sin(np.radians(horizon_deg))
    with np.errstate(divide="ignore"):
        sine = np.where(max_airmass > 0, np.maximum(1.0 / np.maximum(max_airmass, 1.0), horizon), horizon)
    if sidereal and horizon_deg == 0:
        sine = np.where(sine == 0, np.sin(np.radians(REFRACTED_AT_EXACT_ZERO_DEG)), sine)
    return sine


def secz(altitude_deg: Float) -> Float:
    """Return the plane-parallel airmass of unrefracted altitudes; NaN at or below 3 deg."""
    with np.errstate(divide="ignore"):
        return np.where(altitude_deg > 3.0, 1.0 / np.sin(np.radians(altitude_deg)), np.nan)


@cache
def _refraction_constants() -> tuple[float, float]:
    a, b = erfa.refco(_PRESSURE_HPA, _TEMPERATURE_C, _HUMIDITY, _WAVELENGTH_UM)
    return float(a), float(b)


def refracted_zenith_distance(altitude_deg: Float) -> Float:
    """Return the refracted zenith distance in radians for unrefracted altitudes in degrees.

    Notes
    -----
    ``A tan z + B tan^3 z`` with one Newton step from the true to the refracted place; below 2.9 deg of
    altitude the refraction stays at its value there.
    """
    a, b = _refraction_constants()
    cos_z, sin_z = np.sin(np.radians(altitude_deg)), np.cos(np.radians(altitude_deg))
    r, z = np.maximum(sin_z, 1e-6), np.maximum(cos_z, 0.05)
    tan = r / z
    w = b * tan * tan
    bend = (a + w) * tan / (1 + (a + 3 * w) / (z * z))
    cos = 1 - bend * bend / 2
    return np.asarray(np.arctan2(sin_z * (cos - bend * z / r), cos * cos_z + bend * r))


def displayed(altitude_deg: Float) -> Float:
    """Return the airmass to show for unrefracted altitudes; a target below the horizon shows 13.37.

    Examples
    --------
    >>> [round(float(x), 2) for x in displayed(np.array([90.0, 30.0, -40.0]))]
    [1.0, 1.99, 13.37]
    """
    s = 1 / np.cos(np.minimum(refracted_zenith_distance(altitude_deg), _LARGEST_ZENITH_DISTANCE)) - 1
    return np.asarray(1 + s * (0.9981833 - 0.002875 * s - 0.0008083 * s * s))
