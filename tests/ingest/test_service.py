"""The way of a file from the watch folder into the archive."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from ocs.ingest.service import Watcher
from tests.ingest.fits_samples import header, tan, write
from tests.support.accounts import create_user
from tests.support.app import TestApp

NAME = "tst1m001-fa01-20240315-{:04d}-e00"


@pytest.fixture
def incoming(app: TestApp, tmp_path: Path) -> Path:
    """A watch folder of this test's own."""
    app.runtime.settings.watch_dir = tmp_path / "incoming"
    app.runtime.settings.watch_dir.mkdir()
    return app.runtime.settings.watch_dir


@pytest.fixture
def watcher(app: TestApp, incoming: Path) -> Watcher:
    """A watcher that works only when it is told to."""
    return Watcher(app.runtime)


@pytest_asyncio.fixture
async def staff(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    token = await create_user(app, "staff", is_staff=True, is_superuser=True)
    async with app.client(token) as client:
        yield client


async def settle(watcher: Watcher) -> None:
    """Two scans: the first sees the files, the second knows that they are complete."""
    await watcher.tick()
    await watcher.tick()


async def queue(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/ingest/", params=query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def left(incoming: Path) -> list[str]:
    return sorted(
        path.name for path in incoming.rglob("*") if path.is_file() and ".quarantine" not in path.parts
    )


@pytest.mark.parametrize("extension", [".fits", ".fits.fz"])
async def test_a_file_in_the_watch_folder_becomes_a_frame_with_identical_bytes(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient, extension: str
) -> None:
    file = write(incoming / (NAME.format(1) + extension), header(USERID="alice", **tan(150.0, 2.2)))
    content = file.read_bytes()
    await settle(watcher)
    (frame,) = (await staff.get("/frames/")).json()["results"]
    assert frame["filename"] == file.name
    assert frame["version_set"][0]["md5"] == hashlib.md5(content).hexdigest()
    async with httpx.AsyncClient(transport=staff._transport) as anybody:
        assert (await anybody.get(frame["url"])).content == content
    assert (await staff.get("/frames/", params={"covers": "POINT(150 2.2)"})).json()["count"] == 1
    assert (await staff.get(f"/frames/{frame['id']}/headers/")).json()["data"]["USERID"] == "alice"
    assert left(incoming) == []
    (row,) = await queue(staff)
    assert (row["state"], row["frame_id"]) == ("archived", frame["id"])


async def test_a_file_that_is_still_written_to_is_left_alone(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient, tmp_path: Path
) -> None:
    whole = write(tmp_path / (NAME.format(1) + ".fits"), header()).read_bytes()
    target = incoming / (NAME.format(1) + ".fits")
    for end in (1000, 3000, len(whole)):
        target.write_bytes(whole[:end])
        await watcher.tick()
        assert await queue(staff) == []
    await watcher.tick()
    assert [row["state"] for row in await queue(staff)] == ["archived"]


async def test_names_that_say_unfinished_are_left_alone(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    for name in (".hidden.fits", "x.fits.part", "x.fits.tmp"):
        (incoming / name).write_bytes(b"x")
    await settle(watcher)
    assert await queue(staff) == []


async def test_bad_files_are_quarantined_with_their_reason(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    (incoming / "notes.txt").write_text("no image")
    (incoming / "garbage.fits").write_bytes(b"garbage")
    write(incoming / "incomplete.fits", header(PROPID=None))
    write(incoming / "strange.fits", header(OBSTYPE="NOPE"))
    write(incoming / "longsite.fits", header(SITEID="saaao"))
    await settle(watcher)
    rows = {row["path"]: row for row in await queue(staff, state="quarantined")}
    assert {path: row["code"] for path, row in rows.items()} == {
        "notes.txt": "unsupported_file_type",
        "garbage.fits": "malformed_fits",
        "incomplete.fits": "missing_headers",
        "strange.fits": "invalid_frame",
        "longsite.fits": "invalid_frame",
    }
    assert "PROPID" in rows["incomplete.fits"]["reason"]
    assert '"NOPE" is not a valid choice.' in rows["strange.fits"]["reason"]
    assert [row["path"] for row in await queue(staff, reason="propid")] == ["incomplete.fits"]
    assert left(incoming) == []
    assert len(list((incoming / ".quarantine").iterdir())) == 5
    assert (await staff.get("/frames/")).json()["count"] == 0


async def test_a_file_cut_off_is_doubted_before_it_is_given_up(
    app: TestApp, watcher: Watcher, incoming: Path, staff: httpx.AsyncClient, tmp_path: Path
) -> None:
    whole = write(tmp_path / (NAME.format(1) + ".fits"), header()).read_bytes()
    target = incoming / (NAME.format(1) + ".fits")
    target.write_bytes(whole[:-2880])
    await settle(watcher)
    (row,) = await queue(staff)
    assert (row["state"], row["attempts"], row["code"]) == ("waiting", 1, "truncated_fits")
    target.write_bytes(whole)
    await settle(watcher)
    assert [row["state"] for row in await queue(staff)] == ["archived"]
    target.write_bytes(whole[:-2880])
    await settle(watcher)
    for _ in range(5):
        app.clock.advance(60)  # type: ignore[attr-defined]
        await watcher.tick()
    assert [row["state"] for row in await queue(staff)] == ["quarantined", "archived"]


async def test_I25_the_same_bytes_again_are_a_duplicate_and_go(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    file = write(incoming / (NAME.format(1) + ".fits"), header())
    content = file.read_bytes()
    await settle(watcher)
    file.write_bytes(content)
    await settle(watcher)
    assert [row["state"] for row in await queue(staff)] == ["duplicate", "archived"]
    assert left(incoming) == []
    assert (await staff.get("/frames/")).json()["count"] == 1


async def test_I33_new_bytes_of_a_known_frame_are_a_second_version(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    contents = []
    for target in ("M31", "M32"):
        contents.append(write(incoming / (NAME.format(1) + ".fits"), header(OBJECT=target)).read_bytes())
        await settle(watcher)
    (frame,) = (await staff.get("/frames/")).json()["results"]
    assert frame["target_name"] == "M32"
    for version, content in zip(frame["version_set"], reversed(contents), strict=True):
        assert (await staff.get(version["url"])).content == content


async def test_I40_the_same_bytes_under_many_names_are_one_frame(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    content = write(incoming / (NAME.format(0) + ".fits"), header()).read_bytes()
    for number in range(1, 8):
        (incoming / (NAME.format(number) + ".fits")).write_bytes(content)
    await settle(watcher)
    states = sorted(row["state"] for row in await queue(staff))
    assert states == ["archived"] + ["duplicate"] * 7
    assert (await staff.get("/frames/")).json()["count"] == 1


async def test_I41_blank_values_are_null(watcher: Watcher, incoming: Path, staff: httpx.AsyncClient) -> None:
    write(incoming / "a1.fits", header(EXPTIME="N/A", L1PUBDAT="N/A", REQNUM=""))
    await settle(watcher)
    (frame,) = (await staff.get("/frames/")).json()["results"]
    assert (frame["exposure_time"], frame["public_date"], frame["request_id"]) == (None, None, None)


async def test_I34_files_lie_where_their_headers_say(
    app: TestApp, watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    write(incoming / "dashes.fits", header(DAY__OBS="2024-03-15"))
    write(incoming / "mask.fits.fz", header(EXTNAME="BPM"))
    write(incoming / "n-e91.fits.fz", header(RLEVEL=91))
    await settle(watcher)
    from sqlalchemy import text

    async with app.runtime.database.read() as session:
        paths = set(await session.scalars(text("SELECT path FROM archive.version")))
    assert paths == {
        "tst/fa01/2024-03-15/raw/dashes.fits",
        "tst/fa01/bpm/mask.fits.fz",
        "tst/fa01/20240315/processed/n-e91.fits.fz",
    }


async def test_trouble_with_the_store_is_waited_out(
    app: TestApp, watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    root = app.runtime.settings.objects_dir
    assert root is not None
    write(incoming / "a1.fits", header())
    hidden = root / ".versions"
    aside = root.parent / "aside"
    if hidden.exists():
        hidden.rename(aside)
    hidden.write_text("a file where the store wants a folder")
    try:
        await settle(watcher)
        (row,) = await queue(staff)
        assert (row["state"], row["code"], row["attempts"]) == ("waiting", "trouble", 1)
        assert left(incoming) == ["a1.fits"]
    finally:
        hidden.unlink()
        if aside.exists():
            aside.rename(hidden)
    app.clock.advance(2)  # type: ignore[attr-defined]
    await watcher.tick()
    assert [row["state"] for row in await queue(staff)] == ["archived"]


async def test_staff_retry_a_quarantined_file_once_its_cause_is_gone(
    app: TestApp, watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    write(incoming / "sub.fits", header(SITEID="saaao"))
    await settle(watcher)
    (row,) = await queue(staff, state="quarantined")
    app.runtime.settings.site_code_length = 5
    try:
        answer = await staff.post(f"/api/ingest/{row['id']}/retry/")
        assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
        await settle(watcher)
    finally:
        app.runtime.settings.site_code_length = 3
    assert [row["state"] for row in await queue(staff)] == ["archived"]
    again = await staff.post(f"/api/ingest/{row['id']}/retry/")
    assert again.status_code == 409
    assert (await staff.post("/api/ingest/999/retry/")).status_code == 404


async def test_the_queue_is_for_staff(app: TestApp, anonymous: httpx.AsyncClient) -> None:
    async with app.client(await create_user(app, "plain")) as plain:
        for client in (anonymous, plain):
            assert (await client.get("/api/ingest/")).status_code == 403
            assert (await client.post("/api/ingest/1/retry/")).status_code == 403


async def test_a_file_taken_away_is_forgotten(
    watcher: Watcher, incoming: Path, staff: httpx.AsyncClient
) -> None:
    file = write(incoming / "a1.fits", header())
    (incoming / "b.fits").write_bytes(file.read_bytes()[:-2880])
    await settle(watcher)
    (incoming / "b.fits").unlink()
    await watcher.tick()
    assert sorted(row["state"] for row in await queue(staff)) == ["archived", "vanished"]


async def test_the_running_application_ingests_by_itself(app: TestApp, staff: httpx.AsyncClient) -> None:
    incoming = app.runtime.settings.data_dir / "incoming"
    app.runtime.settings.watch_dir = None
    write(incoming / "deep.fits", header())
    async with asyncio.timeout(30):
        while not (await queue(staff, state="archived")):
            await asyncio.sleep(0.1)
    assert (await staff.get("/frames/")).json()["count"] == 1
