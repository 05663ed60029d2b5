"""Numbered behaviours of the ingest contract that concern reading a file (IGnn: section 9)."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ocs.ingest.fits import (
    BadHeaderValueError,
    BrokenArchiveError,
    FileKind,
    HeaderRules,
    IngestFileError,
    MalformedFitsError,
    MissingHeadersError,
    UnsafeNameError,
    UnsupportedFileTypeError,
    read_record,
    split_name,
    with_proposal_tags,
)
from ocs.ingest.fits.footprint import pixel_to_sky

from .fits_samples import REQUIRED, fits_bytes, header, pixels, tan, write, write_recorded_products, write_tar

RECORDED = json.loads((Path(__file__).parent / "client_library_records.json").read_text())


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any] | None]]:
    return write_recorded_products(tmp_path_factory.mktemp("products"))


@pytest.mark.parametrize("name", RECORDED)
def test_record_equals_what_the_client_library_posts(name: str, products: Any) -> None:
    path, metadata = products[name]
    record = dataclasses.asdict(read_record(path, file_metadata=metadata))
    expected = dict(RECORDED[name])
    area, expected_area = record.pop("area"), expected.pop("area")
    if expected_area is None:
        assert area is None
    else:
        assert np.allclose(area["coordinates"], expected_area["coordinates"], rtol=0, atol=2e-9)
    record["related_frame_filenames"] = list(record["related_frame_filenames"])
    headers, expected_headers = record.pop("headers"), expected.pop("headers")
    assert {key: record[key] for key in expected} == expected
    assert headers == expected_headers


def test_IG1_extension_starts_at_the_first_dot(tmp_path: Path) -> None:
    assert split_name("a.b.fits.fz") == ("a", ".b.fits.fz")
    with pytest.raises(UnsupportedFileTypeError, match=r"a\.b\.fits\.fz.*'\.b\.fits\.fz'"):
        read_record(tmp_path / "a.b.fits.fz")


def test_IG2_basename_and_extension(tmp_path: Path) -> None:
    record = read_record(write(tmp_path / "a-e00.fits.fz", header()))
    assert (record.basename, record.extension, record.filename) == ("a-e00", ".fits.fz", "a-e00.fits.fz")


@pytest.mark.parametrize("name", ["a.FITS", "a.fit", "noext", "a.txt"])
def test_IG3_other_extensions_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(fits_bytes(header()))
    with pytest.raises(UnsupportedFileTypeError, match="Rename it"):
        read_record(tmp_path / name)


def test_IG4_first_hdu_with_the_required_keywords_is_taken_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    primary = fits.PrimaryHDU()
    primary.header["ONLYHERE"] = 1
    fits.HDUList([primary, fits.ImageHDU(pixels(), header=header(), name="SCI")]).writeto(path)
    headers = read_record(path).headers
    assert (headers["EXTNAME"], headers["XTENSION"]) == ("SCI", "IMAGE")
    assert not {"ONLYHERE", "SIMPLE"} & set(headers)


def test_IG5_primary_wins_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    sci = fits.ImageHDU(pixels(), header=header(SITEID="oth"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(header=header()), sci]).writeto(path)
    assert read_record(path).site_id == "tst"


def test_IG6_required_keywords_must_be_present_but_may_be_empty(tmp_path: Path) -> None:
    with pytest.raises(MissingHeadersError, match=r"a\.fits.*lacks PROPID\."):
        read_record(write(tmp_path / "a.fits", header(PROPID=None)))
    assert read_record(write(tmp_path / "b.fits", header(PROPID=""))).proposal_id == ""


def test_IG7_metadata_complete_and_override_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", header(PROPID=None))
    record = read_record(path, file_metadata={"PROPID": "P9", "SITEID": "ogg", "GAIN": np.float32(1.5)})
    assert (record.proposal_id, record.site_id, record.headers["GAIN"]) == ("P9", "ogg", 1.5)


def test_IG8_garbage_needs_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(MalformedFitsError, match="not a FITS file"):
        read_record(path)
    record = read_record(path, file_metadata=REQUIRED)
    assert (record.site_id, record.area) == ("tst", None)


def test_IG9_commentary_and_ways_of_saying_nothing(tmp_path: Path) -> None:
    h = header(SEEING="N/A", REQNUM="N/A", TRACKNUM="NONE", OBJECT="UNSPECIFIED")
    h["HISTORY"], h["COMMENT"], h[""] = "made", "said", "blank"
    record = read_record(write(tmp_path / "a.fits", h))
    assert not {"HISTORY", "COMMENT", ""} & set(record.headers)
    assert record.headers["SEEING"] == ""
    assert record.headers["REQNUM"] is None
    assert record.headers["TRACKNUM"] is None
    assert (record.request_id, record.target_name) == (None, "")


def test_IG10_values_keep_their_types(tmp_path: Path) -> None:
    h = header(AIRMASS=1.2345678, TRACKING=True, NOTHING=fits.card.Undefined(), Z=complex(1, 2))
    h["HIERARCH ESO TEL NAME"] = "long name"
    h["NOTE"] = "x" * 150
    headers = read_record(write(tmp_path / "a.fits", h)).headers
    assert headers["NOTHING"] is None
    assert headers["AIRMASS"] == 1.2345678
    assert headers["TRACKING"] is True
    assert headers["ESO TEL NAME"] == "long name"
    assert headers["NOTE"] == "x" * 150
    assert json.loads(json.dumps(headers, allow_nan=False)) == headers


@pytest.mark.parametrize(
    ("name", "rlevel", "level", "folder"),
    [
        ("x-e91.fits", None, 0, "raw"),
        ("x-e91.fits.fz", None, 91, "processed"),
        ("x-e91.fits.fz", 0, 0, "raw"),
        ("y.fits", "91", 91, "processed"),
        ("y-full.fits.fz", None, 0, "raw"),
    ],
)
def test_IG11_reduction_level(name: str, rlevel: Any, level: int, folder: str, tmp_path: Path) -> None:
    record = read_record(write(tmp_path / name, header(RLEVEL=rlevel)))
    assert (record.reduction_level, record.path) == (level, f"tst/fa01/20240315/{folder}/{name}")


@pytest.mark.parametrize(
    ("name", "cards", "expected"),
    [
        ("tst1m001-fa01-20240315-0099-s00", {}, "STANDARD"),
        ("tst2m001-en01-20240315-0099-e00", {}, "SPECTRUM"),
        ("tst1m001-fa01-20240315-0099-e00", {}, "EXPOSE"),
        ("tst1m001-fa01-20240315-0099-e00", {"ENCID": "igla"}, "TARGET"),
        ("tst1m001-fa01-20240315-0099-a00", {"TELID": "igla"}, "DOUBLE"),
        ("tst1m001-fa01-20240315-0099-a00", {}, "ARC"),
        ("tst1m001-fa01-20240315-0099-w00", {}, "LAMPFLAT"),
        ("tst1m001-fa01-20240315-bpm-full_frame", {}, "BPM"),
        ("trace-fa01", {}, "TRACE"),
    ],
)
def test_IG12_type_from_the_name(name: str, cards: dict[str, Any], expected: str, tmp_path: Path) -> None:
    record = read_record(write(tmp_path / f"{name}.fits.fz", header(OBSTYPE="UNKNOWN", **cards)))
    assert (record.configuration_type, record.headers["OBSTYPE"]) == (expected, expected)


def test_IG12_type_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(BadHeaderValueError, match=r"weird\.fits\.fz.*OBSTYPE"):
        read_record(write(tmp_path / "weird.fits.fz", header(OBSTYPE="UNKNOWN")))


def test_IG13_catalogue_of_a_frame(tmp_path: Path) -> None:
    record = read_record(write(tmp_path / "tst1m0-fa01-20240315-0001-e91_cat.fits.fz", header()))
    assert (record.configuration_type, record.reduction_level) == ("CATALOG", 91)
    assert record.related_frame_filenames == ("tst1m0-fa01-20240315-0001-e91",)


def test_IG14_related_frames_lose_their_extension(tmp_path: Path) -> None:
    h = header(L1IDBIAS="b.fits.fz", ORIGNAME="r.fits", L1IDFLAT="N/A")
    record = read_record(write(tmp_path / "a.fits", h))
    assert record.related_frame_filenames == ("b", "r")
    assert (record.headers["L1IDBIAS"], record.headers["ORIGNAME"]) == ("b", "r")


DATE = REQUIRED["DATE-OBS"]


@pytest.mark.parametrize(
    ("name", "cards", "expected"),
    [
        ("a", {}, "2025-03-15T04:01:00.123000"),
        ("a", {"OBSTYPE": "BIAS"}, DATE),
        ("a", {"OBSTYPE": "LAMPFLAT"}, "2025-03-15T04:01:00.123000"),
        ("a", {"PROPID": "calibrate"}, DATE),
        ("a", {"PROPID": "MyEPOthing"}, DATE),
        ("a", {"PROPID": "LCOEngineering"}, "3022-07-17T04:01:00.123000"),
        ("a", {"PROPID": "LCOEngineering", "OBSTYPE": "BIAS"}, DATE),
        ("a-x00", {}, "3022-07-17T04:01:00.123000"),
        ("a-x00", {"OBSTYPE": "EXPERIMENTAL"}, DATE),
        ("a", {"L1PUBDAT": "2031-01-01T00:00:00"}, "2031-01-01T00:00:00"),
    ],
)
def test_IG15_public_date(name: str, cards: dict[str, Any], expected: str, tmp_path: Path) -> None:
    record = read_record(write(tmp_path / f"{name}.fits", header(**cards)))
    assert (record.public_date, record.headers["L1PUBDAT"]) == (expected, expected)


def test_IG15_proposal_tags_decide_unless_the_file_does(tmp_path: Path) -> None:
    rules = HeaderRules()
    record = read_record(write(tmp_path / "a.fits", header()))
    assert with_proposal_tags(record, {"public"}, rules).headers["L1PUBDAT"] == DATE
    assert (
        with_proposal_tags(record, {"internal", "public"}, rules).public_date == "3022-07-17T04:01:00.123000"
    )
    assert with_proposal_tags(record, {"planets"}, rules) == record
    given = read_record(write(tmp_path / "b.fits", header(L1PUBDAT="2031-01-01T00:00:00")))
    assert with_proposal_tags(given, {"public"}, rules) == given


def test_IG16_day_from_the_date(tmp_path: Path) -> None:
    record = read_record(write(tmp_path / "a.fits", header(DAY__OBS="")))
    assert (record.observation_day, record.headers["DAY-OBS"]) == ("20240315", "20240315")
    with pytest.raises(MissingHeadersError, match="DAY-OBS"):
        read_record(write(tmp_path / "b.fits", header(DAY__OBS=None)))


def ring(path: Path) -> Any:
    area = read_record(path).area
    assert area is not None
    (corners,) = area["coordinates"]
    assert corners[0] == corners[-1]
    assert len(corners) == 5
    return np.array(corners[:4])


def test_IG17_corners_of_a_turned_tangent_field(tmp_path: Path) -> None:
    corners = ring(write(tmp_path / "a.fits", header(**tan(150.0, 2.2, turn_deg=30.0))))
    expected = [
        (150.060702, 2.058977),
        (150.152574, 2.217967),
        (149.939286, 2.341020),
        (149.847430, 2.182017),
    ]
    assert np.allclose(corners, expected, rtol=0, atol=1e-6)


def test_IG18_no_area_for_cubes_and_without_a_matrix(tmp_path: Path) -> None:
    cube = tmp_path / "cube.fits"
    fits.PrimaryHDU(np.zeros((2, 48, 64), "i2"), header=header(**tan(10, 10))).writeto(cube)
    assert read_record(cube).area is None
    bare = {key: value for key, value in tan(10, 10).items() if not key.startswith("CD")}
    assert read_record(write(tmp_path / "b.fits", header(**bare))).area is None
    unknown = tan(10, 10) | {"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}
    assert read_record(write(tmp_path / "c.fits", header(**unknown))).area is None


def test_IG19_round_aperture(tmp_path: Path) -> None:
    h = header(RADIUS=15, RA="10:00:00", DEC="-30:00:00")
    west, east, north, south = 149.995833, 150.004167, -29.995833, -30.004167
    expected = [(west, north), (east, north), (east, south), (west, south)]
    assert np.allclose(ring(write(tmp_path / "a.fits", h)), expected, rtol=0, atol=1e-6)
    assert read_record(write(tmp_path / "b.fits", header(RADIUS=15, RA="ten", DEC=1))).area is None


def test_IG20_field_across_right_ascension_zero(tmp_path: Path) -> None:
    corners = ring(write(tmp_path / "a.fits", header(**tan(0.02, -10.0))))
    assert np.allclose(corners[:, 0], [0.144980, 0.144910, 359.895090, 359.895020], rtol=0, atol=1e-6)


def test_IG21_field_around_the_pole(tmp_path: Path) -> None:
    corners = ring(write(tmp_path / "a.fits", header(**tan(37.0, 89.95))))
    assert np.allclose(corners[:, 0], [77.950427, 145.761715, 288.238285, 356.049573], rtol=0, atol=1e-6)
    assert np.allclose(sorted(corners[:, 1]), [89.812259, 89.812259, 89.870048, 89.870048], rtol=0, atol=1e-6)


def variants() -> dict[str, dict[str, Any]]:
    base = tan(83.6, -61.0, turn_deg=20.0)
    no_matrix = {key: value for key, value in base.items() if not key.startswith("CD")}
    steps = {"CDELT1": -0.004, "CDELT2": 0.003}
    sip = {"A_ORDER": 2, "B_ORDER": 3, "A_2_0": 2e-5, "A_0_2": -1e-5, "B_1_1": 3e-5, "B_3_0": 1e-7}
    swapped = base | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -61.0, "CRVAL2": 83.6}
    return {
        "cd": base,
        "cdelt": no_matrix | steps,
        "pc": no_matrix | steps | {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
        "crota": no_matrix | steps | {"CROTA2": 33.0},
        "lonpole": base | {"LONPOLE": 150.0},
        "south pole": base | {"CRVAL2": -90.0},
        "north pole": base | {"CRVAL2": 90.0},
        "sip": base | sip | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
        "swapped": swapped,
    }


@pytest.mark.parametrize("name", variants())
@pytest.mark.filterwarnings("ignore::Warning")
def test_positions_agree_with_astropy_to_a_hundredth_of_an_arcsecond(name: str) -> None:
    cards = variants()[name]
    grid = np.array([(x, y) for x in (1.0, 20.0, 64.0) for y in (1.0, 30.5, 48.0)])
    ours = np.radians(pixel_to_sky(cards, grid))
    theirs = np.radians(WCS(fits.Header(cards)).all_pix2world(grid, 1))
    if name == "swapped":
        theirs = theirs[:, ::-1]
    separation = np.hypot((ours[:, 0] - theirs[:, 0]) * np.cos(ours[:, 1]), ours[:, 1] - theirs[:, 1])
    separation = np.minimum(separation, np.abs(separation - 2 * np.pi * np.cos(ours[:, 1])))
    assert np.degrees(separation).max() * 3600 < 0.01


def test_IG22_packed_files(tmp_path: Path) -> None:
    members = {"d/readme.txt": b"hello", "d/x.fits": fits_bytes(header(RLEVEL=91)), "d/y.fits": b"not read"}
    record = read_record(write_tar(tmp_path / "a.tar.gz", members))
    assert (record.extension, record.content_type, record.kind) == (
        ".tar.gz",
        "application/x-tar",
        FileKind.TAR,
    )
    assert (record.site_id, record.reduction_level) == ("tst", 91)
    with pytest.raises(BrokenArchiveError, match=r"no member of it is named \.fits"):
        read_record(write_tar(tmp_path / "b.tar.gz", {"d/readme.txt": b"hello"}))


def test_IG23_documents_come_with_all_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a-summary.pdf"
    path.write_bytes(b"%PDF")
    record = read_record(path, file_metadata=REQUIRED | {"RLEVEL": 92, "SEEING": "N/A"})
    assert (record.path, record.area) == ("tst/fa01/20240315/processed/a-summary.pdf", None)
    assert record.headers["SEEING"] == "N/A"
    with pytest.raises(MissingHeadersError, match="metadata lack PROPID"):
        read_record(path)


def test_IG34_day_as_written_and_masks_apart(tmp_path: Path) -> None:
    dashed = read_record(write(tmp_path / "a.fits", header(DAY__OBS="2024-03-15")))
    assert dashed.path == "tst/fa01/2024-03-15/raw/a.fits"
    for name, cards in {"m": {"EXTNAME": "BPM"}, "bpm-x": {}, "x_bpm": {}, "n": {"OBSTYPE": "BPM"}}.items():
        mask = read_record(write(tmp_path / f"{name}.fits.fz", header(**cards)))
        assert mask.path == f"tst/fa01/bpm/{name}.fits.fz"
    plain = read_record(write(tmp_path / "p_bpm.fits", header()))
    assert plain.path == "tst/fa01/20240315/raw/p_bpm.fits"


@pytest.mark.parametrize("key", ["SITEID", "INSTRUME", "DAY__OBS"])
@pytest.mark.parametrize("value", ["../../etc", "a/b", ".."])
def test_IG35_paths_stay_inside(key: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeNameError, match="cannot be part of a path"):
        read_record(write(tmp_path / "a.fits", header(**{key: value})))
    with pytest.raises(UnsafeNameError):
        read_record(write(tmp_path / "c.fits", header()), file_metadata={"SITEID": "t\nt"})


def test_IG36_thumbnails_need_their_size(tmp_path: Path) -> None:
    path = tmp_path / "a-small.jpg"
    path.write_bytes(b"\xff\xd8\xff\xd9")
    metadata = REQUIRED | {"frame_basename": "a", "REQNUM": "N/A", "OBJECT": "UNKNOWN"}
    record = read_record(path, file_metadata=metadata | {"size": "small"})
    assert (record.frame_basename, record.size) == ("a", "small")
    assert (record.path, record.content_type) == ("tst/fa01/20240315/thumbnails/a-small.jpg", "image/jpg")
    assert (record.request_id, record.target_name) == (None, "")
    with pytest.raises(MissingHeadersError, match="size"):
        read_record(path, file_metadata=metadata)


KEY_FIELDS = {
    "observation_date": "2024-01-01T00:00:00",
    "observation_day": "20240101",
    "reduction_level": 7,
    "exposure_time": 4.5,
    "instrument_id": "other",
    "site_id": "other",
    "telescope_id": "other",
    "observation_id": 77,
    "request_id": 78,
    "primary_optical_element": "other",
    "target_name": "other",
    "proposal_id": "other",
    "configuration_type": "other",
    "public_date": "2024-01-02T00:00:00",
}


@pytest.mark.parametrize("name", KEY_FIELDS)
def test_IG38_every_keyword_can_be_another(name: str, tmp_path: Path) -> None:
    rules = dataclasses.replace(HeaderRules(), **{f"{name}_key": "OTHERKEY"})
    record = read_record(write(tmp_path / "a.fits", header(OTHERKEY=KEY_FIELDS[name])), rules)
    assert getattr(record, name) == KEY_FIELDS[name]


def test_IG38_required_keywords_can_be_others(tmp_path: Path) -> None:
    rules = HeaderRules(site_id_key="OBSERVAT", required_headers=("OBSERVAT",))
    assert (
        read_record(write(tmp_path / "a.fits", header(SITEID=None, OBSERVAT="ogg")), rules).site_id == "ogg"
    )


def test_IG39_more_extensions_by_setting(tmp_path: Path) -> None:
    kinds = {**HeaderRules().file_kinds, ".fit": FileKind.FITS}
    path = tmp_path / "a.fit"
    path.write_bytes(fits_bytes(header()))
    record = read_record(path, HeaderRules(file_kinds=kinds))
    assert (record.extension, record.content_type) == (".fit", "image/fits")


def test_IG41_empty_numbers_and_dates_are_null(tmp_path: Path) -> None:
    h = header(EXPTIME="N/A", L1PUBDAT="N/A", REQNUM="", BLKUID="")
    record = read_record(write(tmp_path / "a.fits", h))
    values = (record.exposure_time, record.public_date, record.request_id, record.observation_id)
    assert values == (None, None, None, None)


@pytest.mark.parametrize(
    ("cards", "key"),
    [
        ({"RLEVEL": "high"}, "RLEVEL"),
        ({"RLEVEL": 40000}, "RLEVEL"),
        ({"EXPTIME": "long"}, "EXPTIME"),
        ({"BLKUID": -5}, "BLKUID"),
        ({"REQNUM": 1.5}, "REQNUM"),
        ({"REQNUM": 2**31}, "REQNUM"),
        ({"DATE__OBS": "yesterday"}, "DATE-OBS"),
        ({"DATE__OBS": "9999-12-31T00:00:00"}, "DATE-OBS"),
        ({"L1PUBDAT": "some day"}, "L1PUBDAT"),
    ],
)
def test_bad_values_name_file_and_keyword(cards: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(BadHeaderValueError, match=rf"a\.fits: {key} = "):
        read_record(write(tmp_path / "a.fits", header(**cards)))


def test_errors_and_records_cross_process_borders(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(MissingHeadersError("a.fits", "lacks PROPID. Add it.")))
    assert isinstance(error, IngestFileError)
    assert (str(error), error.code, error.status) == ("a.fits: lacks PROPID. Add it.", "missing_headers", 400)
    record = read_record(write(tmp_path / "a.fits", header()))
    assert pickle.loads(pickle.dumps(record)) == record


def test_importing_the_module_does_not_import_astropy() -> None:
    code = "import sys, ocs.ingest.fits; sys.exit('astropy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
