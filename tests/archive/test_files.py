"""Bytes in and out; numbers are those of the archive and ingest contracts' behaviours."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from astropy.io import fits

from ocs.archive import api
from tests.archive.conftest import Member
from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.archive import post, record, write_to_store

PLACE = "coj/fa02/20240101/raw/{}.fits.fz"


@pytest_asyncio.fixture
async def stranger(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client without any header of ours, as those that follow a frame's `url`."""
    async with app.client() as client:
        yield client


async def store(
    app: TestApp, client: httpx.AsyncClient, name: str, content: bytes, **changes: Any
) -> dict[str, Any]:
    write_to_store(app, PLACE.format(name), content)
    return await post(client, name, content=content, **changes)


def versions_in(app: TestApp) -> set[str]:
    root = app.runtime.settings.objects_dir
    assert root is not None
    return {path.name for path in (root / ".versions").rglob("*") if path.is_file()}


async def test_A35_every_version_downloads_its_own_bytes_without_credentials(
    app: TestApp, ingester: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    await store(app, ingester, "a1", b"first" * 1000, public_date="2099-01-01T00:00:00Z")
    frame = await store(app, ingester, "a1", b"second" * 1000, public_date="2099-01-01T00:00:00Z")
    new, old = frame["version_set"]
    assert frame["url"] == new["url"]
    for version, content in ((new, b"second" * 1000), (old, b"first" * 1000)):
        answer = await stranger.get(version["url"])
        assert answer.content == content
        assert hashlib.md5(answer.content).hexdigest() == version["md5"]
        assert answer.headers["etag"] == f'"{version["md5"]}"'
        assert "content-encoding" not in answer.headers
        assert answer.headers["content-disposition"] == 'attachment; filename="a1.fits.fz"'


async def test_A35_an_in_place_overwrite_by_the_client_cannot_change_an_old_version(
    app: TestApp, ingester: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    frame = await store(app, ingester, "a1", b"accepted")
    write_to_store(app, PLACE.format("a1"), b"refused later")
    assert (await stranger.get(frame["url"])).content == b"accepted"


async def test_downloads_can_be_continued_and_are_not_repeated(
    app: TestApp, ingester: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    frame = await store(app, ingester, "a1", bytes(range(256)) * 100)
    part = await stranger.get(frame["url"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, (bytes(range(256)) * 2)[100:200])
    assert part.headers["content-range"] == "bytes 100-199/25600"
    tail = await stranger.get(frame["url"], headers={"Range": "bytes=-10"})
    assert tail.content == bytes(range(246, 256))
    known = await stranger.get(frame["url"], headers={"If-None-Match": part.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    head = await stranger.head(frame["url"])
    assert (head.status_code, head.headers["content-length"]) == (200, "25600")


async def test_S4_addresses_cannot_be_forged_and_end(
    app: TestApp, ingester: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    first = await store(app, ingester, "a1", b"one")
    second = await store(app, ingester, "b1", b"two")
    url = httpx.URL(first["url"])
    other = httpx.URL(second["url"])
    forged = [
        url.copy_with(path=other.path),
        url.copy_set_param("signature", "0" * 32),
        url.copy_set_param("expires", str(int(url.params["expires"]) + 3600)),
        url.copy_remove_param("signature"),
        url.copy_with(path=url.path.replace("versions", "thumbnails")),
    ]
    for address in forged:
        assert (await stranger.get(address)).status_code == 404, address
    lifetime_s = app.runtime.settings.download_url_lifetime_s
    assert int(url.params["expires"]) <= app.clock.now().timestamp() + lifetime_s
    app.clock.advance(lifetime_s - 3600)  # type: ignore[attr-defined]
    assert (await stranger.get(url)).status_code == 200
    app.clock.advance(3601)  # type: ignore[attr-defined]
    assert (await stranger.get(url)).status_code == 404


async def test_a_record_whose_bytes_are_not_there_is_refused(
    app: TestApp, ingester: httpx.AsyncClient
) -> None:
    answer = await ingester.post("/frames/", json=record("absent", content=b"never written"))
    assert answer.status_code == 400
    assert "coj/fa02/20240101/raw/absent.fits.fz" in answer.json()["version_set"][0]
    write_to_store(app, PLACE.format("absent"), b"something else")
    answer = await ingester.post("/frames/", json=record("absent", content=b"never written"))
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    app.runtime.settings.archive_requires_files = False
    try:
        frame = await post(ingester, "b1", content=b"kept elsewhere")
    finally:
        app.runtime.settings.archive_requires_files = True
    assert frame["url"] == ""


async def test_I34_files_are_found_where_the_posted_headers_put_them(
    app: TestApp, ingester: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    places = {
        "dashes": ("coj/fa02/2024-01-01/raw/dashes.fits.fz", {"DAY-OBS": "2024-01-01"}, 0),
        "mask": ("coj/fa02/bpm/mask.fits.fz", {"EXTNAME": "BPM"}, 0),
        "bpm-x": ("coj/fa02/bpm/bpm-x.fits.fz", {}, 0),
        "reduced": ("coj/fa02/20240101/processed/reduced.fits.fz", {"DAY-OBS": "20240101"}, 91),
    }
    for name, (path, headers, level) in places.items():
        content = name.encode()
        write_to_store(app, path, content)
        frame = await post(ingester, name, content=content, headers=headers, reduction_level=level)
        assert (await stranger.get(frame["url"])).content == content


async def test_A36_many_frames_come_as_one_zip(
    app: TestApp, ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient, member: Member
) -> None:
    contents = {"a1": b"a" * 300_000, "b1": b"b" * 10}
    secret = "2099-01-01T00:00:00Z"
    ids = [(await store(app, ingester, n, c, public_date=secret))["id"] for n, c in contents.items()]
    token = await create_user(app, "owner", is_superuser=True)
    form = {"frame_ids[0]": ids[0], "frame_ids[1]": ids[1], "uncompress": "false", "auth_token": token}
    answer = await anonymous.post("/frames/zip/", data=form)
    assert answer.status_code == 200
    assert answer.headers["set-cookie"] == "fileDownload=true; path=/"
    assert answer.headers["content-disposition"] == "attachment; filename=ocs_archive_data-20260101-2.zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"ocs_archive_data-20260101-2/{name}.fits.fz": content for name, content in contents.items()
        }
    assert (await anonymous.post("/frames/zip/", json={"frame_ids": ids})).status_code == 404
    assert (
        await anonymous.post("/frames/zip/", json={"frame_ids": ids, "auth_token": "x"})
    ).status_code == 404
    assert (await anonymous.post("/frames/zip/", json={"frame_ids": []})).status_code == 404
    missing = await anonymous.post("/frames/zip/", json={})
    assert missing.json() == {"frame_ids": ["This field is required."]}
    text = await anonymous.post("/frames/zip/", json={"frame_ids": ["x"]})
    assert text.json() == {"frame_ids": {"0": ["A valid integer is required."]}}
    many = await anonymous.post("/frames/zip/", json={"frame_ids": list(range(1, 12)), "uncompress": True})
    assert (many.status_code, list(many.json())) == (400, ["non_field_errors"])
    assert (await anonymous.get("/frames/zip/")).status_code in {404, 405}


def packed_image() -> tuple[bytes, Any]:
    pixels = np.arange(64 * 48, dtype=np.int16).reshape(48, 64)
    table = fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=np.array([1.0, 2.0]))], name="CAT")
    header = fits.Header({"OBJECT": "M51"})
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, header=header, name="SCI"), table])
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue(), pixels


async def test_packed_images_come_unpacked_and_catalogs_alone(
    app: TestApp, ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    content, pixels = packed_image()
    frame = await store(app, ingester, "a1", content)
    write_to_store(app, "coj/fa02/20240101/processed/r1.fits.fz", content + b"\0" * 2880)
    reduced = await post(ingester, "r1", content=content + b"\0" * 2880, reduction_level=91)
    plain = await anonymous.get(f"/frame-funpack/{frame['id']}/funpack/")
    assert plain.headers["content-type"] == "application/octet-stream"
    with fits.open(io.BytesIO(plain.content)) as hdus:
        assert isinstance(hdus[1], fits.ImageHDU)
        assert (hdus[1].data == pixels).all()
        assert hdus[1].header["OBJECT"] == "M51"
    catalog = await anonymous.get(f"/frame-catalog/{frame['id']}/catalog/")
    assert 'filename="a1-catalog.fits"' in catalog.headers["content-disposition"]
    with fits.open(io.BytesIO(catalog.content)) as hdus:
        assert hdus[0].header["OBJECT"] == "M51"
        assert list(hdus["CAT"].data["ra"]) == [1.0, 2.0]
    ids = [frame["id"], reduced["id"]]
    for options, names in (
        ({"uncompress": True}, ["a1.fits", "r1.fits"]),
        ({"catalog_only": True}, ["a1.fits.fz", "r1-catalog.fits"]),
    ):
        answer = await anonymous.post("/frames/zip/", json={"frame_ids": ids} | options)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert [name.rpartition("/")[2] for name in archive.namelist()] == names


async def test_A41_a_deleted_frame_is_gone_with_its_files(app: TestApp, ingester: httpx.AsyncClient) -> None:
    other = await post(ingester, "b1", related_frame_filenames=["a1"])
    frame = await store(app, ingester, "a1", b"to be deleted")
    md5 = frame["version_set"][0]["md5"]
    assert md5 in versions_in(app)
    assert (await ingester.delete(f"/frames/{frame['id']}/")).status_code == 204
    assert md5 not in versions_in(app)
    assert (await ingester.get("/versions/", params={"md5": md5})).json()["count"] == 0
    assert (await ingester.get(f"/frames/{other['id']}/")).json()["related_frames"] == []
    assert (await ingester.get(f"/frames/{frame['id']}/")).status_code == 404
    assert (await ingester.delete(f"/frames/{frame['id']}/")).status_code == 404
    assert (await store(app, ingester, "a1", b"to be deleted"))["id"] != frame["id"]


async def test_columns_can_be_corrected_and_versions_not(
    app: TestApp, ingester: httpx.AsyncClient, member: Member
) -> None:
    frame = await post(ingester, "a1")
    address = f"/frames/{frame['id']}/"
    answer = await ingester.patch(address, json={"target_name": "M31", "exposure_time": None})
    assert (answer.status_code, answer.json()["target_name"]) == (200, "M31")
    assert answer.json()["exposure_time"] is None
    assert (await ingester.patch(address, json={"version_set": []})).status_code == 400
    assert (await ingester.patch(address, json={"configuration_type": "NOPE"})).status_code == 400
    assert (await ingester.patch(address, json={"area": {"type": "Odd"}})).status_code == 400
    assert (await ingester.patch(address, json={"site_id": None})).status_code == 400
    assert (await (await member("plain")).patch(address, json={})).status_code == 403
    assert (await ingester.put(address, json={"target_name": "M33"})).json()["target_name"] == "M33"


async def test_I42_cleaning_removes_what_nobody_refers_to(app: TestApp, ingester: httpx.AsyncClient) -> None:
    frame = await store(app, ingester, "a1", b"wanted")
    kept = frame["version_set"][0]["md5"]
    root = app.runtime.settings.objects_dir
    assert root is not None
    orphan = "0" * 32
    write_to_store(app, f".versions/00/{orphan}", b"orphan")
    write_to_store(app, ".versions/00/.new-abc", b"half")
    unknown = write_to_store(app, "coj/never-accepted.fits", b"somebody's data")
    copied = root / PLACE.format("a1")
    assert copied.exists()
    await api.clean_store(app.runtime, older_than_s=3600)
    assert orphan in versions_in(app)
    await api.clean_store(app.runtime, older_than_s=-1)
    assert versions_in(app) == {kept}
    assert not copied.exists()
    assert unknown.exists()
    unknown.unlink()


async def test_I40_many_files_at_once(app: TestApp, ingester: httpx.AsyncClient) -> None:
    contents = [f"content {number}".encode() for number in range(20)]
    for number, content in enumerate(contents):
        write_to_store(app, PLACE.format(f"n{number}"), content)
    answers = await asyncio.gather(
        *(ingester.post("/frames/", json=record(f"n{n}", content=c)) for n, c in enumerate(contents))
    )
    assert [answer.status_code for answer in answers] == [201] * 20
    body = record("same", content=b"same")
    write_to_store(app, PLACE.format("same"), b"same")
    answers = await asyncio.gather(*(ingester.post("/frames/", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 19


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", ".versions/../../outside"])
async def test_the_store_does_not_leave_its_folder(app: TestApp, tmp_path: Path, path: str) -> None:
    assert await app.runtime.objects.adopt(path, "k", "0" * 32) is None
