"""Going through long lists; numbers are those of the archive contract's behaviours."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import insert, text

from ocs.archive.models import Frame, Related, Version
from tests.support.app import TestApp
from tests.support.archive import post

START = datetime(2020, 1, 1, tzinfo=UTC)


async def fill(app: TestApp, number: int, *, same_date: bool = False) -> None:
    """Store frames directly: posting thousands would take minutes."""
    now = app.clock.now()
    frames = [
        {
            "id": i,
            "basename": f"f{i:05d}",
            "observation_date": START + timedelta(seconds=0 if same_date else i),
            "public_date": START,
            "exposure_time": None if i % 7 == 0 else float(i % 5),
            "request_id": 9,
            "has_version": True,
            "created": now,
            "modified": now,
        }
        for i in range(1, number + 1)
    ]
    versions = [
        {
            "frame_id": i,
            "key": f"k{i:031x}",
            "md5": f"f{i:031x}",
            "extension": ".fits",
            "path": f"p/{i}",
            "size": 1,
            "created": now,
        }
        for i in range(1, number + 1)
    ]
    related = [{"frame_id": i, "related_id": i % number + 1} for i in range(1, number + 1)]
    async with app.runtime.database.write() as session:
        for model, rows in ((Frame, frames), (Version, versions), (Related, related)):
            await session.execute(insert(model), rows)
        for table in ("frame", "version"):
            await session.execute(text(f"SELECT setval('archive.{table}_id_seq', :last)"), {"last": number})


async def follow(client: httpx.AsyncClient, address: str | None) -> list[list[int]]:
    pages = []
    while address:
        body = (await client.get(address)).json()
        pages.append([row["id"] for row in body["results"]])
        address = body["next"]
    return pages


@pytest_asyncio.fixture
async def many(app: TestApp) -> int:
    await fill(app, 2500)
    return 2500


async def test_A28_pages_have_a_largest_size_and_a_default(anonymous: httpx.AsyncClient, many: int) -> None:
    body = (await anonymous.get("/frames/?limit=5000")).json()
    assert len(body["results"]) == 1000
    assert body["next"] is not None
    assert (body["count"], body["count_estimated"]) == (many, False)
    for junk in ("0", "abc", "-1", ""):
        body = (await anonymous.get(f"/frames/?limit={junk}&offset=junk")).json()
        assert len(body["results"]) == 100
    second = (await anonymous.get("/frames/?limit=10&offset=10")).json()
    assert "offset" not in second["previous"]
    beyond = (await anonymous.get("/frames/?offset=99999")).json()
    assert (beyond["results"], beyond["next"], beyond["count"]) == ([], None, many)


async def test_A29_following_next_gives_each_frame_once(anonymous: httpx.AsyncClient, many: int) -> None:
    pages = await follow(anonymous, "/frames/?REQNUM=9&limit=1000")
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert len({identifier for page in pages for identifier in page}) == many


async def test_A30_cursors_are_not_disturbed_by_new_frames(
    app: TestApp, anonymous: httpx.AsyncClient, ingester: httpx.AsyncClient, many: int
) -> None:
    first = (await anonymous.get("/frames/?pagination_style=cursor&limit=1000")).json()
    assert list(first) == ["next", "previous", "results"]
    await fill_one(ingester)
    pages = [[row["id"] for row in first["results"]], *await follow(anonymous, first["next"])]
    assert sorted(identifier for page in pages for identifier in page) == list(range(1, many + 1))
    wrong = await anonymous.get("/frames/?pagination_style=cursor&cursor=bogus")
    assert (wrong.status_code, wrong.json()) == (404, {"detail": "Invalid cursor"})


async def fill_one(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "zz-new", observation_date="2025-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "ordering", ["exposure_time", "-exposure_time", "exposure_time,-basename", "-id", ""]
)
async def test_A30_cursors_go_both_ways_in_any_order(
    app: TestApp, anonymous: httpx.AsyncClient, ordering: str
) -> None:
    await fill(app, 60, same_date=True)
    query = f"ordering={ordering}&limit=7"
    whole = [row["id"] for row in (await anonymous.get(f"/frames/?ordering={ordering}")).json()["results"]]
    pages, address = [], f"/frames/?pagination_style=cursor&{query}"
    while True:
        body = (await anonymous.get(address)).json()
        pages.append([row["id"] for row in body["results"]])
        if body["next"] is None:
            break
        address = body["next"]
    assert [identifier for page in pages for identifier in page] == whole
    backwards = [pages[-1]]
    while body["previous"] is not None:
        body = (await anonymous.get(body["previous"])).json()
        backwards.append([row["id"] for row in body["results"]])
    assert backwards == pages[::-1]


async def test_A31_order_is_what_was_asked_for_and_total(app: TestApp, anonymous: httpx.AsyncClient) -> None:
    await fill(app, 200, same_date=True)
    rows = (await anonymous.get("/frames/?ordering=-exposure_time,basename&limit=200")).json()["results"]
    keys = [(row["exposure_time"] is not None, -(row["exposure_time"] or 0), row["basename"]) for row in rows]
    assert keys == sorted(keys)
    ascending = (await anonymous.get("/frames/?ordering=exposure_time&limit=200")).json()["results"]
    assert ascending[-1]["exposure_time"] is None
    default = await follow(anonymous, "/frames/?limit=200")
    assert await follow(anonymous, "/frames/?limit=200&ordering=bogus,site_id") == default
    pages = await follow(anonymous, "/frames/?limit=30")
    assert [identifier for page in pages for identifier in page] == default[0]


async def test_A32_a_page_is_a_few_statements(app: TestApp, anonymous: httpx.AsyncClient, many: int) -> None:
    for query, most in (
        ("limit=1000", 4),
        ("limit=1000&include_related_frames=False", 3),
        ("limit=1000&include_thumbnails=true", 5),
        ("limit=1000&start=2020-01-01&offset=2000", 3),
    ):
        with app.statements() as statements:
            answer = await anonymous.get(f"/frames/?{query}")
        assert answer.status_code == 200
        assert len(statements) <= most, statements
    assert (
        "related_frames"
        not in (await anonymous.get("/frames/?include_related_frames=False")).json()["results"][0]
    )
    assert "related_frames" in (await anonymous.get("/frames/?include_related_frames=0")).json()["results"][0]


async def test_counts_beyond_the_exact_ones_are_marked(
    app: TestApp, anonymous: httpx.AsyncClient, ingester: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocs.archive.repository.EXACT_COUNT", 50)
    await fill(app, 200)
    body = (await anonymous.get("/frames/?limit=10")).json()
    assert body["count_estimated"] is True
    assert body["count"] > 50
    forced = (await ingester.get("/frames/?limit=10&force_count=true")).json()
    assert (forced["count"], forced["count_estimated"]) == (200, False)
    last = (await anonymous.get("/frames/?limit=10&offset=190")).json()
    assert (last["next"], last["count"], last["count_estimated"]) == (None, 200, False)


async def test_an_unchanged_list_is_not_sent_twice(app: TestApp, anonymous: httpx.AsyncClient) -> None:
    await fill(app, 3)
    first = await anonymous.get("/frames/")
    app.clock.advance(1)  # type: ignore[attr-defined]
    again = await anonymous.get("/frames/", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert "private" in first.headers["Cache-Control"]
