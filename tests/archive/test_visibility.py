"""Who sees which frames; numbers are those of the archive contract's behaviours."""

import io
import zipfile

import httpx

from tests.archive.conftest import Member
from tests.support.app import TestApp
from tests.support.archive import names, post, record, thumbnail, write_to_store

LATER = "2099-01-01T00:00:00Z"


async def test_A25_proprietary_frames_are_their_proposals(
    app: TestApp, ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient, member: Member
) -> None:
    write_to_store(app, "coj/fa02/20240101/raw/secret.fits.fz", b"secret bytes")
    frame = await post(ingester, "secret", content=b"secret bytes", public_date=LATER)
    identifier = frame["id"]
    owner, other = await member("owner", "prop1"), await member("other", "prop2")
    for client in (anonymous, other):
        assert await names(client) == []
        assert (await client.get("/frames/", params={"force_count": 1})).json()["count"] == 0
        for part in ("", "headers/", "related/"):
            answer = await client.get(f"/frames/{identifier}/{part}")
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
        for address in (f"/frame-funpack/{identifier}/funpack/", f"/frame-catalog/{identifier}/catalog/"):
            assert (await client.get(address)).status_code == 404
        packed = await client.post("/frames/zip/", json={"frame_ids": [identifier]})
        assert (packed.status_code, packed.content) == (404, b"")
        menus = (await client.get("/frames/aggregate/")).json()
        assert menus["proposals"] == menus["sites"] == []
    for client in (owner, ingester):
        assert await names(client) == ["secret"]
        assert (await client.get(f"/frames/{identifier}/headers/")).status_code == 200
        packed = await client.post("/frames/zip/", json={"frame_ids": [identifier]})
        (entry,) = zipfile.ZipFile(io.BytesIO(packed.content)).infolist()
        assert entry.filename.endswith("/secret.fits.fz")


async def test_S4_the_public_date_is_exact(
    app: TestApp, ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    now = app.clock.now()
    await post(ingester, "a1", public_date=now.isoformat())
    assert await names(anonymous) == []
    app.clock.advance(0.000001)  # type: ignore[attr-defined]
    assert await names(anonymous) == ["a1"]


async def test_A26_without_a_public_date_only_members_see_a_frame(
    ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient, member: Member
) -> None:
    await post(ingester, "a1", public_date=None)
    assert await names(anonymous) == []
    assert await names(await member("other", "prop2")) == []
    assert await names(await member("owner", "prop1")) == ["a1"]
    assert await names(ingester) == ["a1"]


async def test_A27_public_false_means_my_own_or_not_yet_public(
    ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient, member: Member
) -> None:
    await post(ingester, "mine-public")
    await post(ingester, "mine-secret", public_date=LATER)
    await post(ingester, "other-public", proposal_id="prop2")
    await post(ingester, "other-undated", proposal_id="prop2", public_date=None)
    owner = await member("owner", "prop1")
    assert await names(owner, public="false") == ["mine-public", "mine-secret"]
    assert await names(owner, public="true") == ["mine-public", "mine-secret", "other-public"]
    assert await names(await member("nobody"), public="false") == ["mine-public", "other-public"]
    assert await names(anonymous, public="false") == []
    assert await names(ingester, public="false") == ["mine-secret", "other-undated"]


async def test_A38_a_thumbnail_may_come_before_its_frame(
    ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    answer = await ingester.post("/thumbnails/", json=thumbnail("a1-small", "a1"))
    assert answer.status_code == 201
    assert list(answer.json()) == ["frame", "size", "basename", "url", "key", "extension"]
    identifier = answer.json()["frame"]["id"]
    assert await names(ingester) == []
    detail = (await ingester.get(f"/frames/{identifier}/")).json()
    assert (detail["url"], detail["filename"]) == (None, None)
    assert (await post(ingester, "a1"))["id"] == identifier
    (row,) = (await anonymous.get("/frames/?include_thumbnails=true")).json()["results"]
    assert [picture["basename"] for picture in row["thumbnails"]] == ["a1-small"]
    assert "thumbnails" not in (await anonymous.get("/frames/")).json()["results"][0]


async def test_A39_thumbnails_are_as_proprietary_as_their_frame(
    ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient, member: Member
) -> None:
    await post(ingester, "a1", public_date=LATER)
    await ingester.post("/thumbnails/", json=thumbnail("a1-small", "a1", public_date=LATER))
    assert (await anonymous.get("/thumbnails/")).json()["results"] == []
    owner = await member("owner", "prop1")
    (picture,) = (await owner.get("/thumbnails/?frame_basename=a1&size=small")).json()["results"]
    assert (await owner.get(f"/thumbnails/{picture['id']}/")).json() == picture
    assert (await anonymous.get(f"/thumbnails/{picture['id']}/")).status_code == 404
    assert (await owner.delete(f"/thumbnails/{picture['id']}/")).status_code == 403
    assert (await ingester.delete(f"/thumbnails/{picture['id']}/")).status_code == 204
    assert (await owner.get("/thumbnails/")).json()["count"] == 0


async def test_I36_a_thumbnail_of_the_same_name_is_overwritten(
    app: TestApp, ingester: httpx.AsyncClient
) -> None:
    await post(ingester, "a1")
    for content in (b"first picture", b"second picture"):
        write_to_store(app, "coj/fa02/20240101/thumbnails/a1-small.jpg", content)
        body = thumbnail("a1-small", "a1", content=content)
        assert (await ingester.post("/thumbnails/", json=body)).status_code == 201
    (picture,) = (await ingester.get("/thumbnails/")).json()["results"]
    answer = await ingester.get(picture["url"])
    assert (answer.content, answer.headers["content-type"]) == (b"second picture", "image/jpeg")
    wrong = await ingester.post("/thumbnails/", json=thumbnail("x", "a1", size="giant"))
    assert wrong.json() == {"size": ['"giant" is not a valid choice.']}
    wrong = await ingester.get("/thumbnails/?size=giant")
    assert wrong.json() == {"size": ["Select a valid choice. giant is not one of the available choices."]}
    body = record("x", frame_basename="a1")
    assert (await ingester.post("/thumbnails/", json=body)).json() == {"size": ["This field is required."]}


async def test_A40_profiles_tell_who_one_is(anonymous: httpx.AsyncClient, member: Member) -> None:
    answer = await anonymous.get("/profile/")
    assert (answer.status_code, answer.json()) == (200, {"username": "", "profile": {}, "is_staff": False})
    frodo = await member("frodo", "prop1")
    assert (await frodo.get("/profile/")).json() == {
        "username": "frodo",
        "profile": {"proposals": ["prop1"]},
        "is_staff": False,
    }


async def test_A37_menus_answer_always(ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    empty = (await anonymous.get("/frames/aggregate/")).json()
    assert [
        empty[kind] for kind in ("sites", "telescopes", "filters", "instruments", "obstypes", "proposals")
    ] == [[]] * 6
    await post(ingester, "a1")
    await post(ingester, "b1", site_id="ogg", proposal_id="prop2", public_date=LATER)
    menus = (await anonymous.get("/frames/aggregate/")).json()
    assert (menus["sites"], menus["proposals"]) == (["coj"], ["prop1"])
    assert sorted((await ingester.get("/frames/aggregate/")).json()["sites"]) == ["coj", "ogg"]
    span = {"start": "2023-12-01", "end": "2024-02-01"}
    public = await anonymous.get("/frames/aggregate/", params=span | {"public": "true"})
    assert public.json()["sites"] == ["coj"]
    assert "max-age=86400" in public.headers["Cache-Control"]
    assert (await anonymous.get("/frames/aggregate/", params=span)).json()["sites"] == []
    everything = await ingester.get("/frames/aggregate/", params=span | {"site_id": "ogg"})
    assert (everything.json()["sites"], everything.json()["proposals"]) == (["ogg"], ["prop2"])
    for wrong in ({"start": "2024-01-01"}, {"start": "2022-01-01", "end": "2024-01-01"}):
        answer = await anonymous.get("/frames/aggregate/", params=wrong)
        assert answer.status_code == 400
        assert isinstance(answer.json(), str)
    limit = await anonymous.get("/frames/aggregate/?query_timeout=20001")
    assert limit.json() == {"query_timeout": ["Ensure this value is less than or equal to 20000."]}


async def test_menus_forget_what_is_gone(ingester: httpx.AsyncClient) -> None:
    first = await post(ingester, "a1")
    await post(ingester, "b1", site_id="ogg")
    await ingester.patch(f"/frames/{first['id']}/", json={"site_id": "cpt"})
    assert sorted((await ingester.get("/frames/aggregate/")).json()["sites"]) == ["cpt", "ogg"]
    await ingester.delete(f"/frames/{first['id']}/")
    assert (await ingester.get("/frames/aggregate/")).json()["sites"] == ["ogg"]


async def test_the_root_names_the_lists(anonymous: httpx.AsyncClient) -> None:
    root = (await anonymous.get("/", headers={"Accept": "application/json"})).json()
    assert root == {
        "frames": "http://testserver/frames/",
        "versions": "http://testserver/versions/",
        "thumbnails": "http://testserver/thumbnails/",
    }
    assert (await anonymous.get("/robots.txt")).text == "User-agent: *\nDisallow: /\n"
