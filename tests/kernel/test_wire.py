"""The conventions all routes share, on a small application of routes made for the purpose."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import Query
from fastapi import Request as HttpRequest
from pydantic import Field, model_validator
from sqlalchemy import text

from ocs.kernel.errors import reference_body
from ocs.kernel.security import PortalStaff
from ocs.kernel.wire.pages import Page, limit_anonymous, page_bytes, page_of
from ocs.kernel.wire.route import JsonBytes, Reading, Writing, make_router
from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel
from ocs.kernel.wire.types import text as text_of
from tests.support import postgres
from tests.support.app import TestApp, running_app

router = make_router("wire")
PageDep = page_of(10)
attempts = {"count": 0}


class Window(WireModel):
    start: UtcDatetime
    end: UtcDatetime

    @model_validator(mode="after")
    def ordered(self) -> "Window":
        if self.end <= self.start:
            raise ValueError("The end must come after the start.")
        return self


class Request(WireModel):
    name: text_of(5)  # type: ignore[valid-type]
    count: int = Field(ge=1, le=14)
    ratio: float = 0.5
    windows: list[Window]
    emails: list[text_of(5)] = Field(default_factory=list)  # type: ignore[valid-type]
    extra_params: dict[str, Any] = Field(default_factory=dict)


class Filters(FilterModel):
    start: FilterDatetime | None = None
    number: float | None = None
    state: list[str] = Field(default_factory=list)


@router.post("/api/echo/")
async def echo(body: Request) -> Request:
    return body


@router.post("/api/guarded/")
async def guarded(body: Request, caller: PortalStaff) -> Request:
    return body


@router.get("/api/filtered/")
async def filtered(filters: Annotated[Filters, Query()]) -> Filters:
    return filters


@router.get("/api/rows/", response_model=Page[int])
async def rows(request: HttpRequest, page: PageDep) -> JsonBytes:  # type: ignore[valid-type]
    limit_anonymous(request, page, is_authenticated=False)
    wanted = range(25)[page.offset : page.offset + page.limit]  # type: ignore[attr-defined]
    return page_bytes(request, page, 25, [str(number).encode() for number in wanted])


@router.get("/api/text/")
async def big() -> dict[str, str]:
    return {"text": "x" * 5000}


@router.post("/api/store/")
async def store(body: dict[str, str], session: Writing) -> dict[str, str]:
    await session.execute(
        text("INSERT INTO kernel.change VALUES ('test', :key, 1, '2016-01-01Z')"), {"key": body["key"]}
    )
    return body


@router.get("/api/write-in-get/")
async def write_in_get(session: Reading) -> None:
    await session.execute(text("DELETE FROM kernel.change"))


@router.post("/api/flaky/")
async def flaky(session: Writing) -> dict[str, int]:
    attempts["count"] += 1
    await session.execute(text("INSERT INTO kernel.change VALUES ('flaky', 'x', 1, '2016-01-01Z')"))
    if attempts["count"] < 3:
        await session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"))
    return attempts


@pytest_asyncio.fixture(scope="module")
async def wire_app(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestApp]:
    url = await postgres.create_database(postgres_url, migrated_template)
    async with running_app(
        url, tmp_path_factory.mktemp("data"), cors_origins="https://portal.example"
    ) as app:
        app.app.include_router(router)
        yield app
    await postgres.drop_database(url, postgres_url)


@pytest_asyncio.fixture
async def client(wire_app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    async with wire_app.client() as client:
        yield client


WINDOW = {"start": "2016-09-01 00:00", "end": "2016-09-02T00:00:00+02:00"}


async def test_numbers_may_be_text_and_times_are_printed_in_utc(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/echo/", json={"name": 12, "count": "3", "ratio": "1.5", "windows": [WINDOW]}
    )
    assert answer.json() == {
        "name": "12",
        "count": 3,
        "ratio": 1.5,
        "windows": [{"start": "2016-09-01T00:00:00Z", "end": "2016-09-01T22:00:00Z"}],
        "emails": [],
        "extra_params": {},
    }


async def test_errors_mirror_the_input_and_are_collected(client: httpx.AsyncClient) -> None:
    body = {
        "name": "too long",
        "count": 1.5,
        "ratio": "x",
        "windows": [WINDOW, {"start": "bad"}, {"start": WINDOW["end"], "end": WINDOW["start"]}, 7],
        "emails": ["ok", ""],
        "extra_params": [],
    }
    answer = await client.post("/api/echo/", json=body)
    assert answer.status_code == 400
    assert answer.json() == {
        "name": ["Ensure this field has no more than 5 characters."],
        "count": ["A valid integer is required."],
        "ratio": ["A valid number is required."],
        "windows": [
            {},
            {
                "start": [
                    "Datetime has wrong format. Use one of these formats instead: "
                    "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
                ],
                "end": ["This field is required."],
            },
            {"non_field_errors": ["The end must come after the start."]},
            {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]},
        ],
        "emails": {"1": ["This field may not be blank."]},
        "extra_params": ['Expected a dictionary of items but got type "list".'],
    }


async def test_missing_null_blank_and_wrong_containers_have_the_reference_words(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/api/echo/", json={"name": "  ", "count": None, "windows": {}})
    assert answer.json() == {
        "name": ["This field may not be blank."],
        "count": ["This field may not be null."],
        "windows": {"non_field_errors": ['Expected a list of items but got type "dict".']},
    }
    assert (await client.post("/api/echo/", json=[])).json() == {
        "non_field_errors": ["Invalid data. Expected a dictionary, but got list."]
    }
    assert (await client.post("/api/echo/", json={"count": 15})).json()["count"] == [
        "Ensure this value is less than or equal to 14."
    ]


async def test_no_body_is_an_empty_one(client: httpx.AsyncClient) -> None:
    assert set((await client.post("/api/echo/")).json()) == {"name", "count", "windows"}


async def test_list_bodies_get_a_list_of_errors() -> None:
    errors = [{"type": "missing", "loc": (1, "end"), "input": {}}]
    assert reference_body(errors, [{}, {}, {}]) == [{}, {"end": ["This field is required."]}, {}]


@pytest.mark.parametrize("body", [b"{", b'{"a": NaN}', b"\xff", b'{"a": 1e999}' * 2, b"[" * 100_000])
async def test_malformed_json_is_a_400_that_says_so(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/echo/", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


async def test_who_may_not_write_learns_nothing_about_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/guarded/", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (
        403,
        {"detail": "Authentication credentials were not provided."},
    )


async def test_other_media_types_are_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/echo/", content=b"x", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()) == (
        415,
        {"detail": 'Unsupported media type "text/plain" in request.'},
    )


@pytest.mark.parametrize("as_file", [False, True])
async def test_forms_are_read_like_json(client: httpx.AsyncClient, as_file: bool) -> None:
    fields = {
        "name": "m31",
        "count": "2",
        "windows[0]start": "2016-09-01",
        "windows[0]end": "2016-09-02",
        "emails": ["a", "b"],
    }
    multipart = {"files": {"ignored": ("x.txt", b"x")}} if as_file else {}
    answer = await client.post("/api/echo/", data=fields, **multipart)
    assert answer.status_code == 200, answer.text
    assert answer.json()["windows"] == [{"start": "2016-09-01T00:00:00Z", "end": "2016-09-02T00:00:00Z"}]
    assert answer.json()["emails"] == ["a", "b"]


async def test_problem_json_points_at_the_fields(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/echo/",
        json={"name": "m", "count": 1, "windows": [WINDOW, {}]},
        headers={"accept": "application/problem+json"},
    )
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert {"pointer": "/windows/1/start", "detail": "This field is required."} in problem["errors"]


async def test_empty_filters_are_no_filters_and_bad_ones_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/filtered/?start=&number=&state=&state=A&unknown=1")
    assert answer.json() == {"start": None, "number": None, "state": ["A"]}
    answer = await client.get("/api/filtered/?start=nope&number=x")
    assert answer.status_code == 400
    assert answer.json() == {"start": ["Enter a valid date/time."], "number": ["Enter a number."]}
    for spelling in ("2016-09-05", "2016-09-05 10:00:00", "2016-09-05T10:00:00.000", "09/05/2016"):
        assert (await client.get("/api/filtered/", params={"start": spelling})).status_code == 200


async def test_repeated_reads_cost_no_body(client: httpx.AsyncClient) -> None:
    first = await client.get("/api/text/")
    again = await client.get("/api/text/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/api/text/", headers={"if-none-match": '"other"'})
    assert other.status_code == 200


async def test_answers_are_compressed_for_who_can_read_that(client: httpx.AsyncClient) -> None:
    packed = await client.get("/api/text/", headers={"accept-encoding": "gzip"})
    plain = await client.get("/api/text/", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 500
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


async def test_cookies_cross_origins_only_where_the_operator_says(client: httpx.AsyncClient) -> None:
    stranger = await client.get("/api/text/", headers={"origin": "https://evil.example"})
    assert stranger.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in stranger.headers
    friend = await client.get("/api/text/", headers={"origin": "https://portal.example"})
    assert friend.headers["access-control-allow-origin"] == "https://portal.example"
    assert friend.headers["access-control-allow-credentials"] == "true"
    preflight = await client.options(
        "/api/text/", headers={"origin": "https://x.example", "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-max-age"] == "86400"


async def test_writes_without_slash_are_served_directly(client: httpx.AsyncClient) -> None:
    body = {"name": "m31", "count": 1, "windows": []}
    answer = await client.post("/api/echo", json=body)
    assert answer.status_code == 200
    assert answer.json()["name"] == "m31"


async def test_a_redirect_never_leads_to_another_host(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api//evil.example")
    assert answer.status_code in {301, 404}
    assert not answer.headers.get("location", "").startswith("//")


async def test_text_the_database_cannot_hold_is_the_callers_error(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/store/", json={"key": "a\u0000b"})
    assert answer.status_code == 400


async def test_a_get_cannot_write(client: httpx.AsyncClient, wire_app: TestApp) -> None:
    assert (await client.post("/api/store/", json={"key": "kept"})).status_code == 200
    assert (await client.get("/api/write-in-get/")).status_code >= 500
    async with wire_app.runtime.database.read() as session:
        assert (
            await session.execute(text("SELECT count(*) FROM kernel.change WHERE key = 'kept'"))
        ).scalar() == 1


async def test_what_the_database_rolls_back_is_repeated_as_a_whole(
    client: httpx.AsyncClient, wire_app: TestApp
) -> None:
    attempts["count"] = 0
    assert (await client.post("/api/flaky/")).json() == {"count": 3}
    async with wire_app.runtime.database.read() as session:
        rows = await session.execute(text("SELECT count(*) FROM kernel.change WHERE topic = 'flaky'"))
        assert rows.scalar() == 1


async def test_a_lost_connection_is_not_the_callers_problem(
    client: httpx.AsyncClient, wire_app: TestApp
) -> None:
    await client.post("/api/store/", json={"key": "before"})
    async with wire_app.runtime.database.write() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()"
            )
        )
    answers = await asyncio.gather(
        *(client.post("/api/store/", json={"key": f"after {n}"}) for n in range(5))
    )
    assert [answer.status_code for answer in answers] == [200] * 5


async def test_a_failed_commit_is_no_2xx(client: httpx.AsyncClient) -> None:
    await client.post("/api/store/", json={"key": "twice"})
    answer = await client.post("/api/store/", json={"key": "twice"})
    assert answer.status_code == 409


async def test_bodies_beyond_the_limit_are_413(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/store/", content=b" " * (17 * 1024 * 1024))
    assert answer.status_code == 413


async def test_pages_link_to_each_other_and_keep_the_query(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/rows/?z=1&a=x")).json()
    assert (page["count"], page["results"], page["previous"]) == (25, list(range(10)), None)
    assert page["next"] == "http://testserver/api/rows/?a=x&limit=10&offset=10&z=1"
    page = (await client.get(page["next"])).json()
    assert page["previous"] == "http://testserver/api/rows/?a=x&limit=10&z=1"
    assert (await client.get(page["next"])).json()["next"] is None


async def test_junk_in_limit_and_offset_means_the_default(client: httpx.AsyncClient) -> None:
    for query in ("limit=0", "limit=-1", "limit=x", "offset=x", "offset=-5", "offset=" + "9" * 30):
        answer = await client.get(f"/api/rows/?{query}")
        assert answer.status_code == (400 if "999" in query else 200)


async def test_anonymous_callers_get_small_pages_only(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/rows/?limit=100")).status_code == 200
    assert (await client.get("/api/rows/?limit=101")).status_code == 400
    assert (await client.get("/api/rows/?offset=10001")).status_code == 400


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    got, headed = await client.get("/api/text/"), await client.head("/api/text/")
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["etag"] == got.headers["etag"]
    assert (await client.head("/api/echo/")).status_code == 405


async def test_options_tells_what_is_allowed(client: httpx.AsyncClient) -> None:
    answer = await client.options("/api/echo/")
    assert (answer.status_code, answer.headers["allow"]) == (200, "HEAD, OPTIONS, POST")
    assert (await client.options("/api/nowhere/")).status_code == 404
