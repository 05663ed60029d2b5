"""The behaviours of the downtime contract, by number."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from ocs.downtime import api
from ocs.downtime.errors import InvalidDowntime
from ocs.kernel.settings import Settings
from tests.support.app import NOW, TestApp
from tests.support.configdb import build_fix_a

URL = "/downtime/api/"
GOOD = {
    "start": "2026-12-01T00:00:00Z",
    "end": "2026-12-02T00:00:00Z",
    "site": "tst",
    "enclosure": "domb",
    "telescope": "1m0a",
}
KEYS = {"id", "start", "end", "site", "enclosure", "telescope", "instrument_type", "reason"}


async def _make(client: httpx.AsyncClient, **values: Any) -> dict[str, Any]:
    answer = await client.post(URL, json={**GOOD, **values})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _refused(client: httpx.AsyncClient, **values: Any) -> dict[str, Any]:
    answer = await client.post(URL, json={**GOOD, **values})
    assert answer.status_code == 400, answer.text
    assert (await client.get(URL)).json()["count"] == 0
    body: dict[str, Any] = answer.json()
    return body


async def _ids(client: httpx.AsyncClient, query: str) -> list[int]:
    answer = await client.get(URL + query)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["results"]]


async def test_D1_the_list_is_public_and_a_page_holds_1000(
    app: TestApp, staff: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    async with app.runtime.database.write() as session:
        await session.execute(
            text(
                'INSERT INTO downtime.downtime (start, "end", site, enclosure, telescope, instrument_type,'
                " reason, created, modified, created_by) SELECT :now, CAST(:now AS timestamptz) +"
                " interval '1 h', 'tst', 'domb', '1m0a', '', '', :now, :now, ''"
                " FROM generate_series(1, 1001)"
            ),
            {"now": NOW},
        )
    body = (await anonymous.get(URL)).json()
    assert set(body) == {"count", "next", "previous", "results"}
    assert (body["count"], len(body["results"])) == (1001, 1000)


async def test_D2_writing_needs_credentials(anonymous: httpx.AsyncClient, app: TestApp) -> None:
    answer = await anonymous.post(URL, json=GOOD)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Token")
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
    async with app.client(token="bad") as client:
        answer = await client.post(URL, json=GOOD)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token."})


async def test_D3_an_empty_body_misses_five_fields(staff: httpx.AsyncClient) -> None:
    answer = await staff.post(URL, json={})
    assert answer.status_code == 400
    assert answer.json() == {
        name: ["This field is required."] for name in ("start", "end", "site", "enclosure", "telescope")
    }


async def test_D4_type_and_reason_may_be_left_out(staff: httpx.AsyncClient) -> None:
    made = await _make(staff, id=77, created="2001-01-01")
    assert set(made) == KEYS
    assert (made["id"], made["instrument_type"], made["reason"]) == (1, "", "")


async def test_D5_times_are_printed_in_whole_seconds_of_utc(staff: httpx.AsyncClient) -> None:
    made = await _make(staff, start="2026-12-01T00:00:00.123456Z", end="2026-12-02T02:00:00+02:00")
    assert (made["start"], made["end"]) == ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z")


async def test_D6_a_blank_instead_of_T_and_a_bare_date_are_read(staff: httpx.AsyncClient) -> None:
    made = await _make(staff, start="2026-12-01 00:00:00", end="2026-12-02")
    assert (made["start"], made["end"]) == ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z")


@pytest.mark.parametrize("end", [GOOD["start"], "2026-11-30T00:00:00Z"])
async def test_D7_D8_the_end_must_be_later_than_the_start(staff: httpx.AsyncClient, end: str) -> None:
    body = await _refused(staff, end=end)
    assert list(body) == ["non_field_errors"]
    assert len(body["non_field_errors"]) == 1


@pytest.mark.parametrize("code", ["nop", "TST"])
async def test_D9_a_code_must_be_configured_in_this_spelling(staff: httpx.AsyncClient, code: str) -> None:
    assert await _refused(staff, site=code) == {"site": [f'"{code}" is not a valid choice.']}


async def test_D10_all_bad_fields_are_told_at_once(staff: httpx.AsyncClient) -> None:
    body = await _refused(staff, site="nop", start="x")
    assert set(body) == {"site", "start"}
    assert body["start"] == [
        "Datetime has wrong format. Use one of these formats instead: "
        "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
    ]


async def test_D11_the_codes_must_belong_together(staff: httpx.AsyncClient) -> None:
    body = await _refused(staff, telescope="2m0a")
    assert list(body) == ["non_field_errors"]
    assert "tst.domb.2m0a" in body["non_field_errors"][0]


async def test_D12_the_instrument_type_must_be_on_the_telescope(staff: httpx.AsyncClient) -> None:
    assert list(await _refused(staff, instrument_type="2M0-SPEC-A")) == ["non_field_errors"]
    assert await _refused(staff, instrument_type="ODD") == {
        "instrument_type": ['"ODD" is not a valid choice.']
    }


async def test_D13_disabled_instruments_and_inactive_sites_can_be_down(
    app: TestApp, staff: httpx.AsyncClient
) -> None:
    await _make(staff, enclosure="aqwa", telescope="0m4a", instrument_type="0M4-CAM-X")
    site = (await staff.get("/configdb/sites/?code=tst")).json()["results"][0]
    answer = await staff.patch(f"/configdb/sites/{site['id']}/", json={"active": False})
    assert answer.status_code == 200
    await _make(staff)


async def test_D14_a_form_is_read_as_json_is(staff: httpx.AsyncClient) -> None:
    answer = await staff.post(URL, data={**GOOD, "reason": "Mirror"})
    assert answer.status_code == 201
    assert answer.json()["reason"] == "Mirror"


async def test_D15_how_long_a_reason_may_be(staff: httpx.AsyncClient) -> None:
    body = await _refused(staff, reason="x" * 3001)
    assert body == {"reason": ["Ensure this field has no more than 3000 characters."]}
    assert await _refused(staff, reason=None) == {"reason": ["This field may not be null."]}
    await _make(staff, reason="x" * 3000)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_D16_the_collection_cannot_be_edited(staff: httpx.AsyncClient, method: str) -> None:
    made = await _make(staff)
    answer = await staff.request(method, f"{URL}{made['id']}/", json=GOOD)
    assert (answer.status_code, answer.json()) == (405, {"detail": f'Method "{method}" not allowed.'})


async def test_D17_reading_and_deleting_one(staff: httpx.AsyncClient) -> None:
    made = await _make(staff)
    assert (await staff.get(f"{URL}{made['id']}/")).json() == made
    missing = {"detail": "No Downtime matches the given query."}
    assert (await staff.get(f"{URL}999/")).json() == missing
    assert (await staff.delete(f"{URL}999/")).status_code == 404
    answer = await staff.delete(f"{URL}{made['id']}/")
    assert (answer.status_code, answer.content) == (204, b"")
    gone = await staff.get(f"{URL}{made['id']}/")
    assert (gone.status_code, gone.json()) == (404, missing)


async def test_D18_only_staff_write_unless_the_setting_lets_every_user(
    app: TestApp, staff: httpx.AsyncClient, user: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bosses = await _make(staff)
    assert (await user.post(URL, json=GOOD)).status_code == 403
    assert (await user.delete(f"{URL}{bosses['id']}/")).status_code == 403
    monkeypatch.setattr(app.runtime.settings, "downtime_user_writes", True)
    own = await _make(user)
    assert (await user.delete(f"{URL}{bosses['id']}/")).status_code == 403
    assert (await user.delete(f"{URL}{own['id']}/")).status_code == 204
    assert Settings().downtime_user_writes is False


async def test_D19_repeated_places_are_alternatives(staff: httpx.AsyncClient) -> None:
    north = await _make(staff, site="lco", enclosure="doma")
    south = await _make(staff)
    assert await _ids(staff, "?site=lco&site=tst") == [north["id"], south["id"]]
    assert await _ids(staff, "?site=lco") == [north["id"]]
    answer = await staff.get(f"{URL}?site=nop")
    assert answer.status_code == 400
    assert answer.json() == {"site": ["Select a valid choice. nop is not one of the available choices."]}


async def test_D20_limits_are_inclusive(staff: httpx.AsyncClient) -> None:
    made = await _make(staff)
    assert await _ids(staff, "?ends_after=2026-12-02T00:00:00Z") == [made["id"]]
    assert await _ids(staff, "?ends_after=2026-12-02T00:00:01Z") == []
    assert await _ids(staff, "?starts_before=2026-12-01T00:00:00Z") == [made["id"]]
    assert await _ids(staff, "?starts_before=2026-11-30T23:59:59Z") == []


async def test_D21_the_schedulers_query_finds_what_overlaps(staff: httpx.AsyncClient) -> None:
    inside = await _make(staff, start="2026-12-02", end="2026-12-03")
    across = await _make(staff, start="2026-11-30", end="2026-12-10")
    await _make(staff, start="2026-11-01", end="2026-11-30")
    await _make(staff, start="2026-12-06", end="2026-12-07")
    query = "?ends_after=2026-12-01%2000:00:00&starts_before=2026-12-05%2000:00:00"
    assert await _ids(staff, query) == [inside["id"], across["id"]]


async def test_D22_a_bad_time_in_the_query_is_told(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"{URL}?starts_after=garbage")
    assert (answer.status_code, answer.json()) == (400, {"starts_after": ["Enter a valid date/time."]})


async def test_D23_reasons_by_part_and_exactly(staff: httpx.AsyncClient) -> None:
    made = await _make(staff, reason="Weather")
    assert await _ids(staff, "?reason=WEA") == [made["id"]]
    assert await _ids(staff, "?reason=%25") == []
    assert await _ids(staff, "?reason_exact=weather") == []
    assert await _ids(staff, "?reason_exact=Weather") == [made["id"]]


async def test_D24_orders(staff: httpx.AsyncClient) -> None:
    first = (await _make(staff, start="2026-12-01"))["id"]
    second = (await _make(staff, start="2026-11-01"))["id"]
    third = (await _make(staff, start="2026-12-01", end="2026-12-05"))["id"]
    assert await _ids(staff, "") == [first, second, third]
    assert await _ids(staff, "?order=-start") == [first, third, second]
    assert await _ids(staff, "?order=start,-end") == [second, third, first]
    assert await _ids(staff, "?ordering=-id") == [third, second, first]
    assert await _ids(staff, "?ordering=bad") == [first, second, third]
    answer = await staff.get(f"{URL}?order=bad")
    assert answer.status_code == 400
    assert answer.json() == {"order": ["Select a valid choice. bad is not one of the available choices."]}


async def test_D25_the_next_page_keeps_repeated_parameters(staff: httpx.AsyncClient) -> None:
    await _make(staff)
    await _make(staff, site="lco", enclosure="doma")
    following = (await staff.get(f"{URL}?limit=1&site=tst&site=lco")).json()["next"]
    assert following == "http://testserver/downtime/api/?limit=1&offset=1&site=tst&site=lco"
    assert len((await staff.get(following)).json()["results"]) == 1


async def test_D26_a_page_may_be_large(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get(f"{URL}?limit=10000")).status_code == 200


async def test_D27_a_new_place_can_be_down_at_once(staff: httpx.AsyncClient) -> None:
    await _refused(staff, site="new")
    site = (await staff.post("/configdb/sites/", json={"code": "new", "elevation": 1, "timezone": 0})).json()
    dome = (await staff.post("/configdb/enclosures/", json={"code": "domb", "site_id": site["id"]})).json()
    numbers = {"lat": 1, "long": 1, "horizon": 15, "ha_limit_neg": -4, "ha_limit_pos": 4}
    answer = await staff.post(
        "/configdb/telescopes/", json={"code": "1m0a", "enclosure_id": dome["id"], **numbers}
    )
    assert answer.status_code == 201
    await _make(staff, site="new")


async def test_D28_an_unconfigured_observatory_answers(app: TestApp, staff: httpx.AsyncClient) -> None:
    async with app.runtime.database.write() as session:
        await session.execute(text("TRUNCATE configdb.site, configdb.enclosure, configdb.telescope CASCADE"))
        await session.execute(text("DELETE FROM kernel.change WHERE topic = 'configdb'"))
    assert (await staff.get(URL)).json()["count"] == 0
    assert set(await _refused(staff)) == {"site", "enclosure", "telescope"}


async def test_D29_the_page_for_browsers(staff: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    await _make(staff, start="2016-01-01", end="2016-01-02", reason="<b>past</b>")
    await _make(staff, reason="to come")
    page = await anonymous.get("/downtime/")
    assert page.headers["content-type"].startswith("text/html")
    assert "to come" in page.text
    assert "past" not in page.text
    page = await anonymous.get("/downtime/?site=tst")
    assert "&lt;b&gt;past&lt;/b&gt;" in page.text
    assert (await anonymous.get("/downtime/?page=99")).status_code == 404
    page = await anonymous.get("/downtime/?site=bad")
    assert page.status_code == 200
    assert "bad is not one of the available choices" in page.text


@pytest.mark.parametrize("wrong", [{"site": "xxx"}, {"end_utc": NOW - timedelta(days=1)}])
async def test_D30_the_command_checks_as_the_api_does(app: TestApp, wrong: dict[str, Any]) -> None:
    await build_fix_a(app)
    values: dict[str, Any] = {
        "site": "tst",
        "enclosure": "domb",
        "telescope": "1m0a",
        "start_utc": NOW,
        "end_utc": NOW + timedelta(days=1),
    }
    with pytest.raises(InvalidDowntime):
        async with app.runtime.database.write() as session:
            await api.book(session, created_by="cli", now=NOW, **{**values, **wrong})
    async with app.runtime.database.write() as session:
        await api.book(session, created_by="cli", now=NOW, **values)
    async with app.runtime.database.read() as session:
        assert len(await api.downtimes(session, NOW, NOW + timedelta(days=2))) == 1


async def test_D32_D33_whom_a_downtime_concerns(app: TestApp, staff: httpx.AsyncClient) -> None:
    await _make(staff, instrument_type="1M0-CAM-A")
    await _make(staff)
    async with app.runtime.database.read() as session:
        camera, everything = await api.downtimes(
            session, datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)
        )
    assert camera.resource == "1m0a.domb.tst"
    assert camera.concerns("1m0-cam-a")
    assert not camera.concerns("1M0-CAM-B")
    assert everything.concerns("1M0-CAM-B")


async def test_D36_a_strict_client_parses_all_rows(staff: httpx.AsyncClient) -> None:
    await _make(staff, start="2026-12-01T00:00:00.999999+01:00")
    for row in (await staff.get(URL)).json()["results"]:
        for name in ("start", "end"):
            datetime.strptime(row[name], "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - as the clients do


async def test_D37_the_portals_query_finds_a_session(staff: httpx.AsyncClient) -> None:
    await _make(staff, reason="4711")
    await _make(staff, reason="47")
    query = f"{URL}?site=tst&enclosure=domb&telescope=1m0a&reason_exact=4711"
    assert (await staff.get(query)).json()["count"] == 1


async def test_D38_an_overlap_among_10000_rows_uses_an_index(app: TestApp) -> None:
    async with app.runtime.database.write() as session:
        await session.execute(
            text(
                'INSERT INTO downtime.downtime (start, "end", site, enclosure, telescope, instrument_type,'
                " reason, created, modified, created_by) SELECT CAST(:now AS timestamptz) + n * interval"
                " '1 h', CAST(:now AS timestamptz) + (n + 1) * interval '1 h', 'tst', 'domb', '1m0a', '', '',"
                " :now, :now, '' FROM generate_series(1, 10000) AS n"
            ),
            {"now": NOW},
        )
    async with app.runtime.database.write() as session:
        await session.execute(text("ANALYZE downtime.downtime"))
        plan = await session.execute(
            text(
                'EXPLAIN SELECT * FROM downtime.downtime WHERE "end" >= :start AND start <= :end'
                " ORDER BY created, id"
            ),
            {"start": NOW + timedelta(hours=9900), "end": NOW + timedelta(hours=9950)},
        )
    assert "ix_downtime_end_start" in "\n".join(row[0] for row in plan)


async def test_D39_nobody_is_let_in_by_a_server_key(anonymous: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Server wrong"}, {"Authorization": "Server "}):
        answer = await anonymous.post(
            "/downtime/authprofile/addupdateuser/", headers=headers, json={"username": "eve"}
        )
        assert answer.status_code == 401


async def test_D40_overlapping_downtimes_are_all_kept(staff: httpx.AsyncClient) -> None:
    await _make(staff)
    await _make(staff, start="2026-12-01T12:00:00Z")
    assert (await staff.get(URL)).json()["count"] == 2


async def test_an_empty_instrument_type_asks_for_whole_telescopes(staff: httpx.AsyncClient) -> None:
    whole = await _make(staff)
    await _make(staff, instrument_type="1M0-CAM-A")
    assert await _ids(staff, "?instrument_type=") == [whole["id"]]


async def test_a_type_that_is_gone_can_still_be_asked_for(app: TestApp, staff: httpx.AsyncClient) -> None:
    made = await _make(staff, instrument_type="1M0-CAM-A")
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE downtime.downtime SET instrument_type = 'GONE'"))
    assert await _ids(staff, "?instrument_type=GONE") == [made["id"]]


async def test_staff_may_change_a_downtime(staff: httpx.AsyncClient, user: httpx.AsyncClient) -> None:
    made = await _make(staff)
    answer = await staff.patch(f"{URL}admin/{made['id']}/", json={"reason": "Longer", "end": "2026-12-09"})
    assert answer.json() == {**made, "reason": "Longer", "end": "2026-12-09T00:00:00Z"}
    answer = await staff.patch(f"{URL}admin/{made['id']}/", json={"end": "2026-11-09"})
    assert list(answer.json()) == ["non_field_errors"]
    assert (await user.patch(f"{URL}admin/{made['id']}/", json={})).status_code == 403


async def test_a_list_costs_two_statements_and_a_write_few(app: TestApp, staff: httpx.AsyncClient) -> None:
    async with app.client() as anonymous:
        with app.statements() as statements:
            await anonymous.get(URL)
    assert len(statements) == 2
    with app.statements() as statements:
        await _make(staff)
    assert len(statements) <= 5  # token, configuration (unchanged: one), insert, stamps; two if it was read
