"""Every write is kept: who, when, what; and what was can come back."""

import asyncio
from typing import Any

import httpx
import pytest

from ocs.configdb import api
from tests.configdb.test_configuration import SITE, _make, _results, _tree
from tests.support.app import NOW, TestApp
from tests.support.configdb import build_fix_a

REVISIONS = "/api/admin/revisions/"


async def test_each_write_is_one_revision_with_all_it_touched(staff: httpx.AsyncClient) -> None:
    await _tree(staff)
    before = (await staff.get(REVISIONS)).json()["count"]
    await staff.delete("/sites/1/?force=true")
    body = (await staff.get(REVISIONS)).json()
    assert body["count"] == before + 1
    revision = body["results"][0]
    assert (revision["username"], revision["created"]) == ("boss", "2016-09-01T00:00:00Z")
    assert revision["comment"] == "DELETE /configdb/sites/1/"
    touched = {(version["kind"], version["after"]) for version in revision["versions"]}
    assert touched == {(kind, None) for kind in ("site", "enclosure", "telescope", "instrument")}


async def test_a_write_that_changes_nothing_leaves_no_trace(staff: httpx.AsyncClient) -> None:
    await _make(staff, "sites", **SITE)
    etag = (await staff.get("/sites/")).headers["etag"]
    assert (await staff.patch("/sites/1/", json={"lat": 0})).status_code == 200
    assert (await staff.get(REVISIONS)).json()["count"] == 1
    assert (await staff.get("/sites/")).headers["etag"] == etag


async def test_a_refused_write_leaves_no_trace(staff: httpx.AsyncClient) -> None:
    body = {
        "name": "wheel",
        "type": "filters",
        "optical_elements": [{"code": "new", "name": "new"}],
        "default": "other",
    }
    assert (await staff.post("/opticalelementgroups/", json=body)).status_code == 400
    assert (await staff.get(REVISIONS)).json()["count"] == 0
    assert await _results(staff, "/opticalelements/") == []


async def test_what_was_deleted_can_be_found_and_recovered(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    tree = (await staff.get("/sites/")).json()
    await staff.delete(f"/telescopes/{ids['telescope']}/?force=true")
    (revision,) = await _results(staff, f"{REVISIONS}?deleted=true")
    versions = {version["kind"]: version["id"] for version in revision["versions"]}
    answer = await staff.post(f"/api/admin/versions/{versions['instrument']}/revert/")
    assert answer.status_code == 409
    assert "telescope_id" in answer.json()["reasons"]
    for kind in ("telescope", "instrument"):
        answer = await staff.post(f"/api/admin/versions/{versions[kind]}/revert/")
        assert answer.status_code == 200, answer.text
    assert (await staff.get("/sites/")).json() == tree
    assert await _results(staff, f"{REVISIONS}?deleted=true") == []


async def test_history_is_for_staff(user: httpx.AsyncClient, public: httpx.AsyncClient) -> None:
    assert (await user.get(REVISIONS)).status_code == 403
    assert (await public.get(REVISIONS)).status_code == 401
    assert (await user.post("/api/admin/versions/1/revert/")).status_code == 403


async def test_files_and_bootstrap_are_in_the_history_too(app: TestApp, staff: httpx.AsyncClient) -> None:
    async with app.runtime.database.write() as session:
        await api.create_test_observatory(session, now=NOW, site="ogg", lat_deg=20.7, long_deg=-156.2)
    (revision,) = await _results(staff, REVISIONS)
    assert revision["username"] == "init_e2e_data"
    assert {version["kind"] for version in revision["versions"]} >= {"site", "instrument", "generic_mode"}


# --- two at a time ------------------------------------------------------------------------------------------


async def test_who_saw_an_older_version_does_not_overwrite_a_newer(staff: httpx.AsyncClient) -> None:
    await _make(staff, "sites", **SITE)
    seen = (await staff.get("/sites/1/")).headers["etag"]
    mine = await staff.patch("/sites/1/", json={"lat": 1}, headers={"If-Match": seen})
    assert mine.status_code == 200
    for method, address in (("PATCH", "/sites/1/"), ("PUT", "/sites/1/"), ("DELETE", "/sites/1/")):
        theirs = await staff.request(method, address, json=SITE, headers={"If-Match": seen})
        assert theirs.status_code == 412
    again = await staff.patch("/sites/1/", json={"lat": 2}, headers={"If-Match": mine.headers["etag"]})
    assert again.json()["lat"] == 2.0


async def test_of_two_who_make_the_same_code_one_is_told(staff: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(staff.post("/sites/", json=SITE) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400]
    assert len(await _results(staff, "/sites/")) == 1


# --- administration -----------------------------------------------------------------------------------------


async def test_several_instruments_change_state_together(app: TestApp, staff: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    body: dict[str, Any] = {"instrument_ids": [1, 2], "state": "STANDBY"}
    answer = await staff.post("/api/admin/instruments/state/", json=body)
    assert [instrument["state"] for instrument in answer.json()] == ["STANDBY", "STANDBY"]
    assert len((await _results(staff, REVISIONS))[0]["versions"]) == 2
    body["instrument_ids"] = [1, 999]
    answer = await staff.post("/api/admin/instruments/state/", json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["instrument_ids"])


async def test_an_instrument_can_be_copied(app: TestApp, staff: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    original = (await staff.get("/instruments/2/")).json()
    answer = await staff.post("/api/admin/instruments/2/clone/", json={"code": "xx99"})
    copy = answer.json()
    assert answer.status_code == 201
    assert (copy["code"], copy["state"]) == ("xx99", "DISABLED")
    assert copy["science_cameras"] == original["science_cameras"]
    taken = await staff.post("/api/admin/instruments/2/clone/", json={"code": "XX03"})
    assert (taken.status_code, list(taken.json())) == (400, ["code"])


async def test_the_configuration_goes_out_and_in_as_a_file(app: TestApp, staff: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    sections = (await staff.get("/api/admin/file/")).json()
    same = await staff.post("/api/admin/file/", json=sections)
    assert same.json() == {"dry_run": False, "changes": [], "warnings": []}
    sections["sites"][0]["name"] = "Lake"
    change = ["site lco: name '' -> 'Lake'"]
    tried = await staff.post("/api/admin/file/?dry_run=true", json=sections)
    assert tried.json() == {"dry_run": True, "changes": change, "warnings": []}
    assert (await staff.get("/sites/?code=lco")).json()["results"][0]["name"] == ""
    assert (await staff.post("/api/admin/file/", json=sections)).json()["changes"] == change
    sections["sites"][0]["lat"] = 99
    refused = await staff.post("/api/admin/file/", json={**sections, "users": []})
    assert (refused.status_code, set(refused.json())) == (400, {"sites.0.lat", "users"})
    text = (await staff.get("/api/admin/file/?form=yaml")).text
    assert text.startswith("# The configuration of the observatory")


# --- groups -------------------------------------------------------------------------------------------------


async def test_modes_of_a_group_are_known_by_code_within_it(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    address = f"/genericmodegroups/{ids['modes']}/"
    modes = [{"code": "full", "name": "Full", "overhead": 99}, {"code": "bin", "name": "Binned"}]
    answer = await staff.patch(address, json={"modes": modes})
    found = [(mode["id"], mode["code"], mode["overhead"]) for mode in answer.json()["modes"]]
    assert found == [(1, "full", 28.0), (2, "bin", 0.0)]
    await _make(staff, "genericmodes", name="other", code="full")
    answer = await staff.patch(address, json={"default": "full"})
    assert (answer.status_code, answer.json()["default"]) == (200, "full")
    answer = await staff.patch(address, json={"mode_ids": [1, 3]})
    answer = await staff.patch(address, json={"default": "full"})
    assert (answer.status_code, list(answer.json())) == (400, ["default"])


async def test_a_mode_that_could_be_several_is_told(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    for _ in range(2):
        await _make(staff, "genericmodes", name="Off", code="OFF")
    body = {
        "instrument_type": ids["instrument_type"],
        "type": "guiding",
        "modes": [{"code": "OFF", "name": "Off"}],
    }
    answer = await staff.post("/genericmodegroups/", json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["modes"])


async def test_a_camera_sees_through_one_group_of_each_type(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    second = await _make(staff, "opticalelementgroups", name="second", type="filters")
    slits = await _make(staff, "opticalelementgroups", name="slits", type="slits")
    address = f"/cameras/{ids['camera']}/"
    answer = await staff.patch(address, json={"optical_element_group_ids": [ids["group"], second["id"]]})
    assert (answer.status_code, list(answer.json())) == (400, ["optical_element_group_ids"])
    answer = await staff.patch(address, json={"optical_element_group_ids": [ids["group"], slits["id"]]})
    assert answer.status_code == 200
    answer = await staff.patch(f"/opticalelementgroups/{slits['id']}/", json={"type": "filters"})
    assert (answer.status_code, list(answer.json())) == (400, ["type"])


@pytest.mark.parametrize(
    ("path", "values", "field"),
    [
        ("opticalelementgroups", {"name": "g", "type": "filter"}, "type"),
        ("configurationtypeproperties", {"validation_schema": {"a": "b"}}, "validation_schema"),
        ("instrumenttypes", {"validation_schema": {"x": {"regex": "("}}}, "validation_schema"),
        ("genericmodes", {"validation_schema": {"x": {"typ": "integer"}}}, "validation_schema"),
        ("sites", {"name": None}, "name"),
        ("sites", {"elevation": "high"}, "elevation"),
    ],
)
async def test_bad_values_are_told_by_field(
    staff: httpx.AsyncClient, path: str, values: dict[str, Any], field: str
) -> None:
    answer = await staff.post(f"/{path}/", json=values)
    assert answer.status_code == 400
    assert isinstance(answer.json()[field], list)


@pytest.mark.parametrize("body", ["[]", '"text"', "7", "null", "{"])
async def test_a_body_that_is_no_object_is_refused(staff: httpx.AsyncClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    for method, address in (("POST", "/sites/"), ("POST", "/api/admin/file/")):
        answer = await staff.request(method, address, content=body, headers=headers)
        assert answer.status_code == 400, (address, answer.text)


async def test_the_key_of_a_thing_cannot_be_changed(staff: httpx.AsyncClient) -> None:
    await _make(staff, "configurationtypes", code="EXPOSE", name="Expose")
    answer = await staff.put("/configurationtypes/EXPOSE/", json={"code": "OTHER", "name": "Expose"})
    assert (answer.status_code, list(answer.json())) == (400, ["code"])
    answer = await staff.put("/configurationtypes/EXPOSE/", json={"code": "EXPOSE", "name": "New"})
    assert answer.json() == {"name": "New", "code": "EXPOSE"}
    assert len(await _results(staff, "/configurationtypes/")) == 1


async def test_a_put_keeps_what_is_not_sent_and_needs_what_is_required(staff: httpx.AsyncClient) -> None:
    await _make(staff, "sites", **SITE, active=False, tz="Pacific/Honolulu")
    answer = await staff.put("/sites/1/", json={**SITE, "lat": 3})
    assert (answer.json()["active"], answer.json()["tz"]) == (False, "Pacific/Honolulu")
    answer = await staff.put("/sites/1/", json={"code": "tst"})
    assert set(answer.json()) == {"timezone", "elevation"}


# --- how it answers -----------------------------------------------------------------------------------------


async def test_the_tree_is_packed_for_who_can_unpack(app: TestApp, public: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    packed = await public.get("/sites/", headers={"Accept-Encoding": "gzip"})
    plain = await public.get("/sites/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert packed.headers["etag"] == plain.headers["etag"]


async def test_pages_for_browsers(app: TestApp, public: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    overview = await public.get("/")
    assert overview.headers["content-type"].startswith("text/html")
    assert "8 instruments" in overview.text
    for path in (
        "sites",
        "telescopes",
        "cameras",
        "instruments",
        "opticalelementgroups",
        "genericmodegroups",
    ):
        assert (await public.get(f"/html/{path}/")).status_code == 200
    assert "tst.domb.1m0a.xx03" in (await public.get("/html/instruments/")).text
    assert (await public.get("/html/nothing/")).status_code == 404


async def test_nobody_is_let_in_by_a_server_key(public: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Server "}):
        answer = await public.post("/authprofile/addupdateuser/", headers=headers, json={"username": "eve"})
        assert answer.status_code == 401


async def test_an_address_without_slash_is_redirected_within_the_prefix(public: httpx.AsyncClient) -> None:
    answer = await public.get("/sites")
    assert (answer.status_code, answer.headers["location"]) == (301, "/configdb/sites/")


async def test_a_write_costs_a_dozen_statements(app: TestApp, staff: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    with app.statements() as statements:
        await staff.patch("/instruments/1/", json={"state": "STANDBY"})
    assert len(statements) <= 12
