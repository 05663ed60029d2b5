"""Pictures of a sky that does not exist, with coordinates that are right.

Stars come from a pseudo-catalogue: the sky is cut into cells, and each cell has its own seed. So two frames
that overlap show the same stars, whoever takes them and whenever.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Image = NDArray[np.uint16]

BIAS_COUNTS = 1000.0
READ_NOISE_COUNTS = 6.0
ZERO_POINT_MAG = 21.0
"""Magnitude of a star that gives one count per second."""
SKY_COUNTS_PER_S = 2.0
CELL_DEG = 0.5
STARS_PER_SQUARE_DEG = 1500
FAINTEST_MAG, BRIGHTEST_MAG = 18.0, 7.0
STAMP_PX = 8
MOFFAT_BETA = 3.0
SATURATION = 65_535


@dataclass(frozen=True)
class Camera:
    """Detector as the demo reads it out: heavily binned, so that files stay small.

    Attributes
    ----------
    width_px, height_px : int
    pixel_scale_arcsec : float
        Size of a binned pixel on the sky.
    turn_deg : float
        Angle of the detector's y axis from north through east.
    """

    width_px: int = 512
    height_px: int = 512
    pixel_scale_arcsec: float = 3.1
    turn_deg: float = 0.0


def wcs_cards(ra_deg: float, dec_deg: float, camera: Camera) -> dict[str, Any]:
    """FITS keywords of the tangent plane centred on a pointing."""
    scale = camera.pixel_scale_arcsec / 3600.0
    c, s = math.cos(math.radians(camera.turn_deg)), math.sin(math.radians(camera.turn_deg))
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
        "EQUINOX": 2000.0,
        "CRPIX1": (camera.width_px + 1) / 2.0,
        "CRPIX2": (camera.height_px + 1) / 2.0,
        "CRVAL1": ra_deg,
        "CRVAL2": dec_deg,
        "CD1_1": -scale * c,
        "CD1_2": scale * s,
        "CD2_1": scale * s,
        "CD2_2": scale * c,
    }


def sky_to_pixel(
    ra_deg: Floats, dec_deg: Floats, pointing_deg: tuple[float, float], camera: Camera
) -> tuple[Floats, Floats]:
    """Project to pixels, counted from 1 at the centre of the first; NaN on the far half of the sky."""
    ra0, dec0 = np.radians(pointing_deg)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    towards = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    towards = np.where(towards > 0.0, towards, np.nan)
    east = np.cos(dec) * np.sin(ra - ra0) / towards
    north = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra - ra0)) / towards
    cards = wcs_cards(*pointing_deg, camera)
    matrix = np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]])
    x, y = np.linalg.solve(matrix, np.degrees(np.stack([east, north])))
    return x + cards["CRPIX1"], y + cards["CRPIX2"]


def stars_near(ra_deg: float, dec_deg: float, radius_deg: float) -> Floats:
    """Stars of the pseudo-catalogue in all cells that touch a circle.

    Returns
    -------
    array, shape (n, 3)
        RA and Dec in degrees, magnitude.
    """
    found = []
    if abs(dec_deg) + radius_deg < 90.0:
        reach = math.degrees(math.asin(math.sin(math.radians(radius_deg)) / math.cos(math.radians(dec_deg))))
    else:
        reach = 180.0
    for band in range(_band(dec_deg - radius_deg), _band(dec_deg + radius_deg) + 1):
        south = -90.0 + band * CELL_DEG
        cells = max(1, round(360.0 * math.cos(math.radians(south + CELL_DEG / 2)) / CELL_DEG))
        width = 360.0 / cells
        first, last = math.floor((ra_deg - reach) / width), math.floor((ra_deg + reach) / width)
        for cell in {index % cells for index in range(first, min(last, first + cells) + 1)}:
            found.append(_cell_stars(band, cell, south, width))
    return np.concatenate(found)


def _band(dec_deg: float) -> int:
    return min(max(math.floor((dec_deg + 90.0) / CELL_DEG), 0), round(180.0 / CELL_DEG) - 1)


def _cell_stars(band: int, cell: int, south_deg: float, width_deg: float) -> Floats:
    rng = np.random.default_rng([band, cell])
    sin_south, sin_north = np.sin(np.radians([south_deg, south_deg + CELL_DEG]))
    area = math.degrees(sin_north - sin_south) * width_deg
    count = rng.poisson(STARS_PER_SQUARE_DEG * area)
    ra = (cell + rng.random(count)) * width_deg
    dec = np.degrees(np.arcsin(sin_south + (sin_north - sin_south) * rng.random(count)))
    # Twice as many stars per magnitude, about as real counts grow.
    span = FAINTEST_MAG - BRIGHTEST_MAG
    mag = BRIGHTEST_MAG + np.log2(1.0 + rng.random(count) * (2.0**span - 1.0))
    return np.stack([ra, dec, mag], axis=1)


def star_field(
    ra_deg: float,
    dec_deg: float,
    camera: Camera,
    exposure_time_s: float,
    *,
    seed: int,
    fwhm_px: float = 2.4,
    target_mag: float = 9.5,
) -> Image:
    """Exposure of a field, with the target itself as a star in the middle.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Centre of the field, ICRS.
    camera : Camera
    exposure_time_s : float
    seed : int
        Of the noise only; the stars depend on the pointing alone.
    fwhm_px : float
        Seeing.
    target_mag : float
        Brightness of the star in the centre.

    Returns
    -------
    array of uint16, shape (height_px, width_px)
    """
    rng = np.random.default_rng(seed)
    radius_deg = math.hypot(camera.width_px, camera.height_px) / 2 * camera.pixel_scale_arcsec / 3600.0
    stars = np.vstack([stars_near(ra_deg, dec_deg, radius_deg), [[ra_deg, dec_deg, target_mag]]])
    x, y = sky_to_pixel(stars[:, 0], stars[:, 1], (ra_deg, dec_deg), camera)
    inside = (
        (x > -STAMP_PX)
        & (x < camera.width_px + STAMP_PX)
        & (y > -STAMP_PX)
        & (y < camera.height_px + STAMP_PX)
    )
    x, y, mag = x[inside], y[inside], stars[inside, 2]
    counts = exposure_time_s * 10.0 ** (0.4 * (ZERO_POINT_MAG - mag))
    light = np.full(
        (camera.height_px + 4 * STAMP_PX, camera.width_px + 4 * STAMP_PX), SKY_COUNTS_PER_S * exposure_time_s
    )
    # All stamps at once: a Moffat profile around each star's place between the pixels.
    offsets = np.arange(-STAMP_PX, STAMP_PX + 1)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    dx = offsets[None, :] - (x - column)[:, None]
    dy = offsets[None, :] - (y - row)[:, None]
    alpha = fwhm_px / 2.0 / math.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0)
    profile = (1.0 + (dx[:, None, :] ** 2 + dy[:, :, None] ** 2) / alpha**2) ** -MOFFAT_BETA
    profile *= (counts / profile.sum(axis=(1, 2)))[:, None, None]
    rows = row[:, None, None] - 1 + 2 * STAMP_PX + offsets[None, :, None]
    columns = column[:, None, None] - 1 + 2 * STAMP_PX + offsets[None, None, :]
    np.add.at(light, (np.broadcast_to(rows, profile.shape), np.broadcast_to(columns, profile.shape)), profile)
    margin = slice(2 * STAMP_PX, -2 * STAMP_PX)
    return _read_out(light[margin, margin], rng)


def spectrum(
    exposure_time_s: float, *, seed: int, lamp: bool = False, shape: tuple[int, int] = (256, 1024)
) -> Image:
    """Long-slit exposure: a tilted trace with absorption lines, or the emission lines of an arc lamp."""
    rng = np.random.default_rng(seed)
    height, width = shape
    along, across = np.arange(width), np.arange(height)[:, None]
    lines = np.random.default_rng(2).uniform(0, width, 25)
    shapes = np.exp(-0.5 * ((along[:, None] - lines) / 2.5) ** 2)
    if lamp:
        light = np.broadcast_to(shapes.sum(axis=1) * 200.0 * exposure_time_s, shape).copy()
    else:
        continuum = np.exp(-0.5 * ((along - 0.45 * width) / (0.35 * width)) ** 2) * (
            1.0 - 0.4 * shapes.max(axis=1)
        )
        centre = height / 2 + 0.01 * (along - width / 2)
        light = 40.0 * exposure_time_s * continuum * np.exp(-0.5 * ((across - centre) / 2.2) ** 2)
        light += SKY_COUNTS_PER_S * exposure_time_s
    return _read_out(light, rng)


def _read_out(light: Floats, rng: np.random.Generator) -> Image:
    """Photon and read noise, bias, and the limits of the converter. Counts are electrons."""
    noise = rng.standard_normal(light.shape) * np.sqrt(light + READ_NOISE_COUNTS**2)
    image: Image = np.clip(light + noise + BIAS_COUNTS, 0, SATURATION).astype(np.uint16)
    return image


def local_night(moment: datetime, longitude_deg: float) -> date:
    """Date on which the night began at a site: the local mean solar date half a day earlier."""
    return (moment + timedelta(hours=longitude_deg / 15.0 - 12.0)).date()


def airmass(
    ra_deg: float, dec_deg: float, moment: datetime, latitude_deg: float, longitude_deg: float
) -> float:
    """Airmass after Pickering (2002, DIO 12, 1, 20); 40 below the horizon."""
    days = (moment - datetime(2000, 1, 1, 12, tzinfo=moment.tzinfo)).total_seconds() / 86400.0
    sidereal_deg = 280.46061837 + 360.98564736629 * days + longitude_deg
    hour_angle, dec, lat = (math.radians(angle) for angle in (sidereal_deg - ra_deg, dec_deg, latitude_deg))
    sin_altitude = math.sin(dec) * math.sin(lat) + math.cos(dec) * math.cos(lat) * math.cos(hour_angle)
    altitude_deg = math.degrees(math.asin(max(-1.0, min(1.0, sin_altitude))))
    if altitude_deg <= 0.0:
        return 40.0
    return 1.0 / math.sin(math.radians(altitude_deg + 244.0 / (165.0 + 47.0 * altitude_deg**1.1)))


def sexagesimal(ra_deg: float, dec_deg: float) -> tuple[str, str]:
    """RA in hours and Dec in degrees as headers write them."""
    ra_units = round(ra_deg * 240_000) % 86_400_000
    dec_units = round(abs(dec_deg) * 360_000)
    return _clock_text(ra_units, 3), ("-" if dec_deg < 0 else "+") + _clock_text(dec_units, 2)


def _clock_text(units: int, digits: int) -> str:
    whole, rest = divmod(units, 10**digits)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{rest:0{digits}d}"


def write_frame(path: Path, image: Image, cards: dict[str, Any]) -> Path:
    """Write one image under a temporary name; `publish` gives it its own.

    A ``.fits.fz`` is tile-compressed behind an empty primary HDU, as fpack writes it.

    Returns
    -------
    Path
        The temporary file, in the same folder, hidden and with an extension nobody ingests.
    """
    from astropy.io import fits  # heavy, and needed only where frames are made

    header = fits.Header()
    for key, value in cards.items():
        header[key] = value
    hdus: list[Any] = [fits.PrimaryHDU(image, header=header)]
    if path.name.endswith(".fz"):
        hdus = [
            fits.PrimaryHDU(),
            fits.CompImageHDU(image, header=header, name="SCI", compression_type="RICE_1"),
        ]
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as stream:
        fits.HDUList(hdus).writeto(stream)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def publish(temporary: Path) -> Path:
    """Rename a file of `write_frame` into place, all at once."""
    return temporary.replace(temporary.with_name(temporary.name.removeprefix(".").removesuffix(".part")))
