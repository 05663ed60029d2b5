"""The patch of sky a frame covers, from its headers.

Tangent-plane (TAN) coordinates after Calabretta & Greisen (2002, A&A 395, 1077), with the SIP polynomials of
Shupe et al. (2005, ASP Conf. 347, 491).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Polygon = dict[str, Any]
"""GeoJSON Polygon in degrees: one closed ring of RA, Dec pairs."""


def aperture_square(ra: object, dec: object, radius_arcsec: object) -> Polygon | None:
    """Square around a fibre or slit: RA in hours, Dec in degrees (sexagesimal or numbers), radius in arcsec.

    The square has sides of twice the radius in RA and Dec degrees, without a cos(Dec) factor. None when a
    value cannot be read.
    """
    try:
        ra_deg, dec_deg, r = _sexagesimal(ra) * 15.0, _sexagesimal(dec), float(str(radius_arcsec)) / 3600.0
    except ValueError:
        return None
    north, south = min(dec_deg + r, 90.0), max(dec_deg - r, -90.0)
    if not all(map(math.isfinite, (ra_deg, r))) or north < south:
        return None
    return _ring([(ra_deg - r, north), (ra_deg + r, north), (ra_deg + r, south), (ra_deg - r, south)])


def image_corners(headers: Mapping[str, Any]) -> Polygon | None:
    """Sky positions of the centres of the four corner pixels.

    Parameters
    ----------
    headers : mapping
        FITS keywords; NAXIS1 and NAXIS2, and CDi_j or CDELTi with PCi_j or CROTA2.

    Returns
    -------
    dict or None
        GeoJSON ring (1,1) (1,NAXIS2) (NAXIS1,NAXIS2) (NAXIS1,1); None for cubes, for projections other
        than TAN, and where a value is missing or not a number.
    """
    sizes = [headers.get("NAXIS1"), headers.get("NAXIS2")]
    if "" in sizes or None in sizes or headers.get("NAXIS3") not in (None, ""):
        return None
    try:
        nx, ny = (float(str(n)) for n in sizes)
        corners = np.array([(1.0, 1.0), (1.0, ny), (nx, ny), (nx, 1.0)])
        sky = pixel_to_sky(headers, corners)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    if not np.isfinite(sky).all() or np.abs(sky[:, 1]).max() > 90.0:
        return None
    return _ring([(float(ra), float(dec)) for ra, dec in sky])


def pixel_to_sky(headers: Mapping[str, Any], pixels: Floats) -> Floats:
    """RA and Dec of pixel positions.

    Parameters
    ----------
    headers : mapping
        FITS keywords of a TAN, TAN-SIP or linear (no CTYPE) celestial WCS in degrees.
    pixels : array, shape (n, 2)
        Positions counted from 1 at the centre of the first pixel.

    Returns
    -------
    array, shape (n, 2)
        RA in 0..360 and Dec, degrees.

    Raises
    ------
    KeyError, ValueError, TypeError
        If the headers have no matrix, or a projection or unit that is not supported.
    """
    ctypes = [str(headers.get(f"CTYPE{i}") or "") for i in (1, 2)]
    swapped = ctypes[0].startswith("DEC") and ctypes[1].startswith("RA")
    expected = ("RA---TAN", "DEC--TAN")[:: -1 if swapped else 1]
    tangent = all(c.removesuffix("-SIP") == e for c, e in zip(ctypes, expected, strict=True))
    if not tangent and any(ctypes):
        raise ValueError(f"projection {ctypes} is not supported")
    if any(str(headers.get(f"CUNIT{i}") or "deg").strip() not in ("deg", "degree") for i in (1, 2)):
        raise ValueError("only degrees are supported")
    if any(f"CPDIS{i}" in headers for i in (1, 2)):
        raise ValueError("distortion tables are not supported")
    offset = pixels - np.array([float(headers.get(f"CRPIX{i}") or 0.0) for i in (1, 2)])
    if "A_ORDER" in headers or "B_ORDER" in headers:
        offset = offset + np.stack([_sip(headers, axis, *offset.T) for axis in "AB"], axis=1)
    plane: Floats = offset @ _matrix(headers).T
    reference = np.array([float(headers.get(f"CRVAL{i}") or 0.0) for i in (1, 2)])
    if swapped:
        plane, reference = plane[:, ::-1], reference[::-1]
    sky: Floats = _deproject(headers, plane, reference) if tangent else plane + reference
    sky[:, 0] %= 360.0
    return sky


def _matrix(headers: Mapping[str, Any]) -> Floats:
    """Degrees per pixel: the CD matrix, or CDELT with PC or the older CROTA2."""
    keys = [[f"{i}_{j}" for j in (1, 2)] for i in (1, 2)]
    if any(headers.get(f"CD{k}") not in (None, "") for row in keys for k in row):
        return np.array([[float(headers[f"CD{k}"]) for k in row] for row in keys])
    scale = np.array([float(headers[f"CDELT{i}"]) for i in (1, 2)])
    turn = math.radians(float(headers.get("CROTA2") or 0.0))
    if turn and not any(f"PC{k}" in headers for row in keys for k in row):
        c, s = math.cos(turn), math.sin(turn)
        return np.array([[scale[0] * c, -scale[1] * s], [scale[0] * s, scale[1] * c]])
    unit = np.eye(2)
    pc = [[float(headers.get(f"PC{keys[i][j]}", unit[i, j])) for j in (0, 1)] for i in (0, 1)]
    matrix: Floats = np.diag(scale) @ np.array(pc)
    return matrix


def _sip(headers: Mapping[str, Any], axis: str, u: Floats, v: Floats) -> Floats:
    order = int(headers.get(f"{axis}_ORDER") or 0)
    if not 0 <= order <= 9:
        raise ValueError(f"{axis}_ORDER is out of range")
    terms = ((p, q, headers.get(f"{axis}_{p}_{q}")) for p in range(order + 1) for q in range(order + 1 - p))
    total = np.zeros_like(u)
    for p, q, c in terms:
        total += float(c or 0.0) * u**p * v**q
    return total


def _deproject(headers: Mapping[str, Any], plane_deg: Floats, reference_deg: Floats) -> Floats:
    """Gnomonic plane to sphere; the native pole is at the reference point."""
    ra0, dec0 = np.radians(reference_deg)
    pole_default = 0.0 if reference_deg[1] >= 90.0 else 180.0
    x, y = np.radians(plane_deg).T
    phi = np.arctan2(x, -y) - math.radians(float(headers.get("LONPOLE", pole_default)))
    theta = np.arctan2(1.0, np.hypot(x, y))
    up, sideways = np.sin(theta), np.cos(theta) * np.cos(phi)
    towards = up * np.cos(dec0) - sideways * np.sin(dec0)
    east, north = -np.cos(theta) * np.sin(phi), up * np.sin(dec0) + sideways * np.cos(dec0)
    ra = ra0 + np.arctan2(east, towards)
    dec = np.arctan2(north, np.hypot(towards, east))
    sky: Floats = np.degrees(np.stack([ra, dec], axis=1))
    return sky


def _sexagesimal(value: object) -> float:
    """Read ``12:34:56.7``, ``12 34 56.7`` or a number."""
    parts = str(value).replace(":", " ").split()
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"{value!r} is not an angle")
    sign = -1.0 if parts[0].startswith("-") else 1.0
    return sign * sum(abs(float(part)) / 60.0**n for n, part in enumerate(parts))


def _ring(corners: list[tuple[float, float]]) -> Polygon:
    return {"type": "Polygon", "coordinates": [[list(c) for c in [*corners, corners[0]]]]}
