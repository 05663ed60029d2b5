"""Frames of the demo: the same stars in every picture, in the right place."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ocs.demo import sky

CAMERA = sky.Camera(turn_deg=25.0)
POINTINGS = [(150.0, 2.2), (0.02, -10.0), (37.0, 89.9), (201.0, -89.95), (83.6, -61.0)]


@pytest.mark.parametrize("pointing", POINTINGS)
def test_pixel_positions_agree_with_astropy(pointing: tuple[float, float]) -> None:
    stars = sky.stars_near(*pointing, 0.3)
    x, y = sky.sky_to_pixel(stars[:, 0], stars[:, 1], pointing, CAMERA)
    wcs = WCS(fits.Header(sky.wcs_cards(*pointing, CAMERA)))
    near = np.isfinite(x) & (np.hypot(x - 256, y - 256) < 600)
    expected = wcs.all_world2pix(stars[near, :2], 1)
    assert near.sum() > 50
    assert np.abs(np.stack([x, y], axis=1)[near] - expected).max() < 1e-6


@pytest.mark.parametrize("pointing", POINTINGS)
def test_stars_are_drawn_where_the_header_says(pointing: tuple[float, float]) -> None:
    image = sky.star_field(*pointing, CAMERA, 30.0, seed=1).astype(float) - sky.BIAS_COUNTS - 60.0
    wcs = WCS(fits.Header(sky.wcs_cards(*pointing, CAMERA)))
    stars = sky.stars_near(*pointing, 0.3)
    x, y = wcs.all_world2pix(stars[:, :2], 1).T
    inside = (np.abs(x - 256.5) < 240) & (np.abs(y - 256.5) < 240)
    bright = inside & (stars[:, 2] > 11.0) & (stars[:, 2] < 13.5)
    offsets = []
    for column, row in zip(x[bright], y[bright], strict=True):
        alone = np.hypot(x - column, y - row)
        if np.sort(alone)[1] < 9 or math.hypot(column - 256.5, row - 256.5) < 12:
            continue
        c, r = round(column), round(row)
        stamp = image[r - 5 : r + 4, c - 5 : c + 4]
        rows, columns = np.mgrid[r - 4 : r + 5, c - 4 : c + 5]
        offsets.append(
            ((stamp * columns).sum() / stamp.sum() - column, (stamp * rows).sum() / stamp.sum() - row)
        )
    assert len(offsets) > 3
    assert np.abs(np.median(offsets, axis=0)).max() < 0.1
    assert image[250:262, 250:262].max() > 1000  # the target itself


def test_overlapping_fields_show_the_same_stars() -> None:
    one, other = sky.stars_near(10.0, 20.0, 0.3), sky.stars_near(10.2, 20.1, 0.3)
    close = (np.abs(one[:, 0] - 10.1) < 0.1) & (np.abs(one[:, 1] - 20.05) < 0.1)
    assert close.sum() > 10
    assert {tuple(star) for star in one[close]} <= {tuple(star) for star in other}


def test_every_cell_around_the_pole_and_right_ascension_zero_is_found() -> None:
    around_pole = sky.stars_near(123.0, 90.0, 1.0)
    assert (np.histogram(around_pole[:, 0], bins=6, range=(0, 360))[0] > 300).all()
    assert len({tuple(star) for star in around_pole}) == len(around_pole)
    across_zero = sky.stars_near(0.0, 0.0, 0.4)
    assert ((across_zero[:, 0] < 0.4) | (across_zero[:, 0] > 359.6)).sum() > 500


def test_pictures_repeat_but_noise_does_not() -> None:
    first = sky.star_field(10.0, 20.0, CAMERA, 30.0, seed=1)
    assert (first == sky.star_field(10.0, 20.0, CAMERA, 30.0, seed=1)).all()
    assert (first != sky.star_field(10.0, 20.0, CAMERA, 30.0, seed=2)).any()
    assert first.dtype == np.uint16
    assert first.shape == (512, 512)


def test_spectra_and_lamps_differ() -> None:
    star, lamp = sky.spectrum(60.0, seed=1), sky.spectrum(60.0, seed=1, lamp=True)
    assert star[118:138].mean() > 1.3 * star[:40].mean()
    assert lamp.std(axis=0).mean() < 100
    assert lamp.mean(axis=0).std() > 500


@pytest.mark.parametrize("name", ["a-e00.fits", "a-e00.fits.fz"])
def test_frames_appear_all_at_once(name: str, tmp_path: Path) -> None:
    image = sky.star_field(10.0, 20.0, CAMERA, 30.0, seed=1)
    temporary = sky.write_frame(tmp_path / name, image, {"OBJECT": "M1"})
    assert [path.name for path in tmp_path.iterdir()] == [f".{name}.part"]
    path = sky.publish(temporary)
    assert list(tmp_path.iterdir()) == [tmp_path / name] == [path]
    with fits.open(path) as hdus:
        assert (hdus[-1].data == image).all()
        assert hdus[-1].header["OBJECT"] == "M1"


@pytest.mark.parametrize(
    ("moment", "longitude_deg", "night"),
    [
        ("2026-11-20T03:00", -104.0, "2026-11-19"),
        ("2026-11-20T20:00", 20.8, "2026-11-20"),
        ("2026-11-20T01:00", 20.8, "2026-11-19"),
        ("2026-11-20T10:00", 149.1, "2026-11-20"),
        ("2026-11-20T18:00", 149.1, "2026-11-20"),
    ],
)
def test_the_night_has_the_date_of_its_evening(moment: str, longitude_deg: float, night: str) -> None:
    start = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert sky.local_night(start, longitude_deg).isoformat() == night


def test_airmass_and_text_of_positions() -> None:
    # Greenwich sidereal time at 2000-01-01 12:00 is 18 h 41 m 50.5 s (280.46 deg).
    noon = datetime(2000, 1, 1, 12, tzinfo=UTC)
    assert sky.airmass(280.46, 30.0, noon, 30.0, 0.0) == pytest.approx(1.0, abs=1e-3)
    assert sky.airmass(280.46, -30.0, noon, 30.0, 0.0) == pytest.approx(1.99, abs=0.02)
    assert sky.airmass(100.46, 0.0, noon, 30.0, 0.0) == 40.0
    assert sky.sexagesimal(359.9999999, -0.5) == ("00:00:00.000", "-00:30:00.00")
    assert sky.sexagesimal(150.0, 2.2) == ("10:00:00.000", "+02:12:00.00")
