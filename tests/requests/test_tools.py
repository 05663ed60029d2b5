"""Expansions, planning tools, drafts, telescope states (checklist R47 to R52, R66 to R68)."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ocs.portal.requests import patterns
from tests.support.app import TestApp
from tests.support.requests import GROUPS, configuration, group, request, submit

DITHER = "/api/configurations/dither/"
MOSAIC = "/api/requests/mosaic/"
CADENCE = f"{GROUPS}cadence/"


def cadence(**changes: Any) -> dict[str, Any]:
    sent = request()
    del sent["windows"]
    sent["cadence"] = {
        "start": "2016-09-01T21:12:18Z",
        "end": "2016-09-03T22:12:19Z",
        "period": 24.0,
        "jitter": 12.0,
    } | changes
    return group(requests=[sent])


# --- patterns


def test_R49_points_of_a_line_and_a_spiral() -> None:
    rounded = [(round(x, 3), round(y, 3)) for x, y in patterns.line(3, 2.0, 30.0)]
    assert rounded == [(0, 0), (-1.0, 1.732), (-2.0, 3.464)]
    rounded = [(round(x, 3), round(y, 3)) for x, y in patterns.spiral(3, 2.0)]
    assert rounded == [(0, 0), (-0.832, 1.819), (-2.691, 0.871)]
    assert patterns.line(3, 2.0, center=True) == [(0, -2), (0, 0), (0, 2)]


def test_a_grid_goes_up_and_down() -> None:
    assert patterns.grid(2, 3, 1.0, 10.0) == [(0, 0), (0, 1), (10, 1), (10, 0), (20, 0), (20, 1)]
    centred = patterns.grid(3, 3, 1.0, 2.0, center=True)
    assert centred[0] == (-2, -1)
    assert centred[4] == (0, 0)


def test_a_shifted_place_stays_on_the_sky() -> None:
    ra, dec = patterns.shifted(359.9, 0.0, (3600.0, 3600.0))
    assert ra == pytest.approx(0.900152, abs=1e-5)
    assert dec == 1.0
    with pytest.raises(ValueError, match="pole"):
        patterns.shifted(10.0, 89.9, (0.0, 3600.0))


# --- cadence


async def test_R47_a_cadence_becomes_requests_that_can_be_submitted(alice: httpx.AsyncClient) -> None:
    response = await alice.post(CADENCE, json=cadence())
    assert response.status_code == 200, response.text
    made = response.json()
    assert made["operator"] == "MANY"
    assert [item["windows"] for item in made["requests"]] == [
        [{"start": "2016-09-01T21:12:18Z", "end": "2016-09-02T03:12:18Z"}],
        [{"start": "2016-09-02T15:12:18Z", "end": "2016-09-03T03:12:18Z"}],
    ]
    assert "cadence" not in made["requests"][0]
    answer = await submit(alice, made)
    assert len(answer["requests"]) == 2


async def test_R48_what_is_wrong_with_a_cadence(alice: httpx.AsyncClient) -> None:
    async def errors(payload: Any) -> Any:
        response = await alice.post(CADENCE, json=payload)
        assert response.status_code == 400, response.text
        return response.json()

    assert list((await errors(cadence(jitter=0.001)))["requests"][0]["cadence"]) == ["jitter"]
    assert list((await errors(cadence(end="2016-08-01T00:00:00Z")))["requests"][0]["cadence"]) == ["end"]
    reversed_ = cadence(start="2016-09-05T00:00:00Z")
    assert list((await errors(reversed_))["requests"][0]["cadence"]) == ["non_field_errors"]
    windowed = cadence()
    windowed["requests"][0]["windows"] = request()["windows"]
    assert list((await errors(windowed))["requests"][0]) == ["windows"]
    without = group()
    del without["requests"][0]["windows"]
    assert (await errors(without))["requests"] == [{"cadence": ["This field is required."]}]
    two = cadence()
    two["requests"] *= 2
    assert list(await errors(two)) == ["non_field_errors"]
    hidden = cadence()
    hidden["requests"][0]["configurations"][0]["target"]["dec"] = 89.9
    hidden["requests"][0]["location"]["site"] = "tst"
    assert isinstance((await errors(hidden))["errors"], str)
    assert isinstance((await errors(cadence(period=0.02, end="2016-12-30T00:00:00Z")))["errors"], str)


async def test_a_cadence_inside_a_submission_is_refused(alice: httpx.AsyncClient) -> None:
    payload = cadence()
    payload["requests"][0]["windows"] = request()["windows"]
    response = await alice.post(GROUPS, json=payload)
    assert list(response.json()["requests"][0]) == ["cadence"]


# --- dither and mosaic


async def test_R49_a_dither_repeats_the_exposures_at_each_point(
    alice: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    sent = {
        "configuration": configuration(),
        "pattern": "line",
        "num_points": 3,
        "point_spacing": 2,
        "orientation": 30,
        "center": "",
    }
    response = await alice.post(DITHER, json=sent)
    assert response.status_code == 200, response.text
    made = response.json()
    offsets = [
        (item["extra_params"]["offset_ra"], item["extra_params"]["offset_dec"])
        for item in made["instrument_configs"]
    ]
    assert offsets == [(0, 0), (-1.0, 1.732), (-2.0, 3.464)]
    assert made["extra_params"] == {"dither_pattern": "line"}
    assert made["guiding_config"] == {"mode": "OFF"}
    assert "priority" not in made
    await submit(alice, group(requests=[request(configurations=[made])]))
    del sent["num_points"]
    assert list((await alice.post(DITHER, json=sent)).json()) == ["non_field_errors"]
    del sent["point_spacing"]
    assert list((await alice.post(DITHER, json=sent)).json()) == ["point_spacing"]
    assert (await anonymous.post(DITHER, json=sent)).status_code == 403


def mosaic(**changes: Any) -> dict[str, Any]:
    return {"request": request(), "pattern": "line", "num_points": 2} | changes


async def test_R50_a_mosaic_has_one_configuration_for_each_pointing(alice: httpx.AsyncClient) -> None:
    response = await alice.post(MOSAIC, json=mosaic(pattern="spiral", point_spacing=10))
    assert response.json() == {"pattern": ['"spiral" is not a valid choice.']}
    made = (await alice.post(MOSAIC, json=mosaic(num_points=4, point_overlap_percent=100))).json()
    places = {(item["target"]["ra"], item["target"]["dec"]) for item in made["configurations"]}
    assert (len(made["configurations"]), places) == (4, {(34.4, 20.0)})
    made = (await alice.post(MOSAIC, json=mosaic(point_overlap_percent=10))).json()
    # 1000 pixels of 0.4 arcsec, less a tenth
    assert made["configurations"][1]["target"]["dec"] == pytest.approx(20.1)
    assert made["extra_params"] == {"mosaic_pattern": "line"}
    assert made["acceptability_threshold"] == 90.0
    assert "observation_note" not in made
    await submit(alice, group(requests=[made]))


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (mosaic(), "non_field_errors"),
        (mosaic(point_spacing=1, num_points=None), "non_field_errors"),
        (mosaic(point_spacing=1, request=request(configurations=[configuration()] * 2)), "request"),
        (mosaic(point_spacing=3_000_000, num_points=3), "non_field_errors"),
        (mosaic(point_spacing=1, request={}), "request"),
    ],
)
async def test_what_is_wrong_with_a_mosaic(
    alice: httpx.AsyncClient, sent: dict[str, Any], where: str
) -> None:
    response = await alice.post(MOSAIC, json=sent)
    assert response.status_code == 400
    assert list(response.json()) == [where]


async def test_R68_an_orientation_of_315_degrees_is_as_good_as_any(alice: httpx.AsyncClient) -> None:
    sent = mosaic(point_overlap_percent=10, orientation=315)
    assert (await alice.post(MOSAIC, json=sent)).status_code == 200


# --- airmass, instruments, contention, pressure


async def test_R51_the_airmass_of_nothing_names_what_is_missing(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post("/api/airmass/", json={})
    assert response.status_code == 200
    assert set(response.json()) == {"location", "configurations", "windows"}


async def test_the_airmass_of_a_request_stored_or_not(alice: httpx.AsyncClient) -> None:
    await submit(alice)
    found = (await alice.get("/api/requests/1/airmass/")).json()
    assert found == (await alice.post("/api/airmass/", json=request())).json()
    assert found["airmass_limit"] == 2.0
    assert set(found["airmass_data"]) == {"tst", "lco"}
    for data in found["airmass_data"].values():
        assert len(data["times"]) == len(data["airmasses"]) > 100
        assert 1.0 <= min(data["airmasses"]) < max(data["airmasses"]) < 2.01
        assert len(data["times"][0]) == len("2016-09-29T22:16")
    hidden = request()
    hidden["configurations"][0]["target"]["dec"] = 89.9
    hidden["location"]["site"] = "tst"
    assert (await alice.post("/api/airmass/", json=hidden)).json() == {"airmass_data": {}}


async def test_R52_instruments_are_described(alice: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    async def codes(client: httpx.AsyncClient, **filters: str) -> set[str]:
        return set((await client.get("/api/instruments/", params=filters)).json())

    assert await codes(alice, instrument_type="1m0-cam-a") == {"1M0-CAM-A"}
    assert await codes(alice, only_schedulable="false") == {
        "1M0-CAM-A",
        "1M0-CAM-B",
        "2M0-SPEC-A",
        "2M0-CAM-T",
    }
    assert "1M0-CAM-M" in await codes(staff)
    assert "1M0-CAM-M" not in await codes(staff, only_schedulable="yes")
    assert await codes(alice, telescope_class="2m") == {"2M0-SPEC-A", "2M0-CAM-T"}
    assert await codes(alice, site="nowhere") == set()
    camera = (await alice.get("/api/instruments/")).json()["1M0-CAM-A"]
    assert (camera["class"], camera["type"], camera["default_configuration_type"]) == (
        "1m0",
        "IMAGE",
        "EXPOSE",
    )
    assert [(item["code"], item["default"]) for item in camera["optical_elements"]["filters"]] == [
        ("air", True),
        ("blue", False),
    ]
    assert camera["modes"]["readout"]["default"] == "cam_2"
    assert camera["configuration_types"]["BIAS"]["schedulable"] is False
    assert camera["camera_type"]["pixel_scale"] == 0.4


async def test_R67_contention_counts_every_right_ascension(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for ra in (360.0, 34.4):
        window = {"start": "2016-09-01T00:00:00Z", "end": "2016-10-29T00:00:00Z"}
        payload = group(requests=[request(windows=[window])])
        payload["requests"][0]["configurations"][0]["target"]["ra"] = ra
        await submit(alice, payload)
    data = (await staff.get("/api/contention/1M0-CAM-A/")).json()["contention_data"]
    assert [index for index, row in enumerate(data) if row] == [0, 2]
    assert data[0] == {"temp": 131.5}
    hidden = (await anonymous.get("/api/contention/1M0-CAM-A/")).json()["contention_data"]
    assert hidden[:3] == [{"All Proposals": 131.5}, {"All Proposals": 0}, {"All Proposals": 131.5}]


async def test_pressure_of_the_coming_day(alice: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    window = {"start": "2016-09-01T00:00:00Z", "end": "2016-09-02T00:00:00Z"}
    payload = group(requests=[request(windows=[window])])
    payload["requests"][0]["configurations"][0]["target"] |= {"ra": 0.0, "dec": 0.0}
    await submit(alice, payload)
    answer = (await staff.get("/api/pressure/", params={"x": "0", "instrument": "1M0-CAM-A"})).json()
    assert len(answer["time_bins"]) == len(answer["pressure_data"]) == 96
    assert {night["name"] for night in answer["site_nights"]} == {"tst", "lco"}
    assert any("temp" in row for row in answer["pressure_data"])
    assert {} in answer["pressure_data"]
    assert (answer["instrument_type"], answer["site"]) == ("1M0-CAM-A", "all")
    elsewhere = (await staff.get("/api/pressure/", params={"instrument": "2M0-SPEC-A"})).json()
    assert elsewhere["pressure_data"] == [{}] * 96


async def test_why_a_request_is_not_observed(alice: httpx.AsyncClient) -> None:
    await submit(alice)
    answer = (await alice.get("/api/requests/1/why/")).json()
    assert set(answer["sites"]) == {"tst", "lco"}
    chain = list(answer["sites"]["tst"]["seconds_left"].values())
    assert chain[0] == 30 * 86400 + 1
    assert chain == sorted(chain, reverse=True)
    assert answer["allocation"] == {"1M0-CAM-A": {"hours_left": 100.0}}


# --- drafts


async def test_R66_drafts_are_kept_for_the_members_of_a_proposal(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    url = "/api/drafts/"
    draft = {"proposal": "temp", "title": "first", "content": json.dumps(group())}
    assert list((await alice.post(url, json=draft | {"content": "no json"})).json()) == ["content"]
    assert set((await alice.post(url, json={})).json()) == {"proposal", "title", "content"}
    created = await alice.post(url, json=draft)
    assert created.status_code == 201
    assert created.json() | {"created": "", "modified": ""} == {
        "id": 1,
        "author": "alice",
        "created": "",
        "modified": "",
        **draft,
    }
    again = await alice.post(url, json=draft)
    assert (again.status_code, list(again.json())) == (400, ["non_field_errors"])
    assert list((await staff.post(url, json=draft)).json()) == ["non_field_errors"]
    assert (await staff.get(url)).json()["count"] == 1
    assert (await anonymous.get(url)).status_code == 403
    patched = await alice.patch(f"{url}1/", json={"title": "second"})
    assert (patched.status_code, patched.json()["title"]) == (200, "second")
    other = await alice.post(url, json=draft)
    assert other.status_code == 201
    assert (await alice.patch(f"{url}1/", json={"title": "first"})).status_code == 400
    assert (await alice.put(f"{url}1/", json=draft | {"title": "third"})).json()["title"] == "third"
    assert (await alice.delete(f"{url}1/")).status_code == 204
    assert (await alice.get(f"{url}1/")).status_code == 404


# --- telescope states

EVENTS = [
    ("2016-08-31T20:00:00", ""),
    ("2016-09-01T01:00:00", "Weather: wind"),
    ("2016-09-01T01:30:00", "Weather: wind"),
    ("2016-09-01T02:00:00Z", ""),
]


async def report(staff: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    events = [
        {"site": "tst", "observatory": "domb", "telescope": "1m0a", "timestamp": when, "value_string": why}
        | changes
        for when, why in EVENTS
    ]
    return await staff.post("/api/telescope_events/", json={"events": events})


async def test_states_of_telescopes_are_merged_and_cut(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    assert (await anonymous.get("/api/telescope_states/")).json() == {}
    for _ in range(2):  # the same report again changes nothing
        response = await report(staff)
        assert (response.status_code, response.json()) == (201, {"created": 4, "errors": {}})
    params = {"start": "2016-09-01", "end": "2016-09-01 12:00"}
    found = (await anonymous.get("/api/telescope_states/", params=params)).json()
    assert list(found) == ["tst.domb.1m0a"]
    assert [(item["event_type"], item["start"], item["end"]) for item in found["tst.domb.1m0a"]] == [
        ("AVAILABLE", "2016-09-01T00:00:00Z", "2016-09-01T01:00:00Z"),
        ("NOT_OK_TO_OPEN", "2016-09-01T01:00:00Z", "2016-09-01T02:00:00Z"),
        ("AVAILABLE", "2016-09-01T02:00:00Z", "2016-09-01T12:00:00Z"),
    ]
    assert found["tst.domb.1m0a"][0]["event_reason"] == "Available for scheduling"
    now = (await anonymous.get("/api/telescope_states/")).json()["tst.domb.1m0a"]
    assert [item["event_type"] for item in now] == ["AVAILABLE"]
    elsewhere = await anonymous.get("/api/telescope_states/", params={"site": "lco", **params})
    assert elsewhere.json() == {}
    bad = await anonymous.get("/api/telescope_states/", params={"start": "nonsense"})
    assert bad.status_code == 400
    assert bad.headers["content-type"].startswith("text/plain")
    listed = (await anonymous.get("/api/telescope_events/", params={"limit": 1})).json()
    assert (listed["count"], listed["results"][0]["timestamp"]) == (4, "2016-09-01T02:00:00Z")


async def test_reports_that_cannot_be_read_are_told_by_their_place(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    answer = (await report(staff, timestamp="someday")).json()
    assert answer["created"] == 0
    assert set(answer["errors"]) == {"0", "1", "2", "3"}
    assert list(answer["errors"]["0"]) == ["timestamp"]
    assert (await alice.post("/api/telescope_events/", json={"events": []})).status_code == 403
    seeing = {"site": "tst", "enclosure": "domb", "telescope": "1m0a", "seeing": 1.2}
    response = await staff.post(
        "/api/seeing/", json=[seeing | {"timestamp": "2016-09-01T00:00:00Z"}, seeing, "x"]
    )
    assert response.json()["created"] == 1
    assert set(response.json()["errors"]) == {"1", "2"}
    assert (await alice.get("/api/seeing/")).json()["results"][0]["seeing"] == 1.2


async def test_availability_is_a_part_of_each_night(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    await report(staff)
    params = {"start": "2016-09-01", "end": "2016-09-03"}
    found = (await anonymous.get("/api/telescope_availability/", params=params)).json()
    nights = found["tst.domb.1m0a"]
    assert [name for name, _ in nights] == ["2016-09-01", "2016-09-01", "2016-09-02"]
    assert nights[0][1] == pytest.approx(0.75, abs=0.1)
    assert nights[1][1] == nights[2][1] == 1.0
    combined = (await anonymous.get("/api/telescope_availability/", params=params | {"combine": "1"})).json()
    assert list(combined) == ["tst"]


async def test_states_of_the_telescopes_of_a_request(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, app: TestApp
) -> None:
    await submit(alice)
    await report(staff)
    found = (await alice.get("/api/requests/1/telescope_states/")).json()
    assert list(found) == ["tst.domb.1m0a"]
    assert {item["event_type"] for item in found["tst.domb.1m0a"]} == {"AVAILABLE"}
    first = datetime.fromisoformat(found["tst.domb.1m0a"][0]["start"])
    assert datetime(2016, 9, 29, 21, 12, 18, tzinfo=UTC) <= first
