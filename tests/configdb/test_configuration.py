"""The behaviours of the configuration contract, by number."""

import base64
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ocs.configdb import api
from ocs.kernel.clock import FrozenClock
from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.configdb import build_fix_a

SITE = {"code": "tst", "timezone": -7, "elevation": 1236}
TELESCOPE = {
    "code": "1m0a",
    "lat": 20.7,
    "long": -156.2,
    "horizon": 15,
    "ha_limit_neg": -4.6,
    "ha_limit_pos": 4.6,
    "aperture": 1.0,
}
CAMERA_TYPE = {"name": "A", "code": "A", "size": "26x26", "pscale": 0.389}
REQUIRED = ["This field is required."]


async def _make(client: httpx.AsyncClient, path: str, **values: Any) -> dict[str, Any]:
    answer = await client.post(f"/{path}/", json=values)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _refused(client: httpx.AsyncClient, path: str, **values: Any) -> dict[str, Any]:
    answer = await client.post(f"/{path}/", json=values)
    assert answer.status_code == 400, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def _results(client: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


async def _first(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    return (await _results(client, address))[0]


async def _tree(client: httpx.AsyncClient) -> dict[str, Any]:
    """Make one of everything; return ids by kind."""
    site = await _make(client, "sites", **SITE)
    enclosure = await _make(client, "enclosures", code="doma", site_id=site["id"])
    telescope = await _make(client, "telescopes", **TELESCOPE, enclosure_id=enclosure["id"])
    group = await _make(
        client,
        "opticalelementgroups",
        name="wheel",
        type="filters",
        optical_elements=[{"code": code, "name": code} for code in ("r", "g", "air")],
        default="air",
    )
    camera_type = await _make(client, "cameratypes", **CAMERA_TYPE)
    camera = await _make(
        client,
        "cameras",
        code="xx04",
        camera_type_id=camera_type["id"],
        optical_element_group_ids=[group["id"]],
    )
    await _make(client, "instrumentcategories", code="IMAGE")
    await _make(client, "configurationtypes", code="EXPOSE", name="Expose")
    instrument_type = await _make(
        client,
        "instrumenttypes",
        name="1m imager",
        code="1M0-SCICAM-A",
        instrument_category="IMAGE",
        default_configuration_type="EXPOSE",
        configuration_types=[{"configuration_type": "EXPOSE"}],
    )
    modes = await _make(
        client,
        "genericmodegroups",
        type="readout",
        instrument_type=instrument_type["id"],
        modes=[{"name": "Full", "code": "full", "overhead": 28.0}],
        default="full",
    )
    instrument = await _make(
        client,
        "instruments",
        code="xx04",
        state="SCHEDULABLE",
        telescope_id=telescope["id"],
        instrument_type_id=instrument_type["id"],
        science_cameras_ids=[camera["id"]],
        autoguider_camera_id=camera["id"],
    )
    return {
        "site": site["id"],
        "enclosure": enclosure["id"],
        "telescope": telescope["id"],
        "group": group["id"],
        "camera_type": camera_type["id"],
        "camera": camera["id"],
        "instrument_type": instrument_type["id"],
        "modes": modes["id"],
        "instrument": instrument["id"],
    }


async def test_C1_the_tree_has_exactly_the_promised_shape(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    ids = await _tree(staff)
    answer = await public.get("/sites/")
    host = "http://testserver/configdb"
    group = {
        "id": ids["group"],
        "name": "wheel",
        "type": "filters",
        "optical_elements": [
            {"id": number, "name": code, "code": code, "schedulable": True}
            for number, code in ((1, "r"), (2, "g"), (3, "air"))
        ],
        "element_change_overhead": 0.0,
        "default": "air",
    }
    camera_type = {"id": 1, **CAMERA_TYPE, "pixels_x": 0, "pixels_y": 0, "max_rois": 0}
    camera = {
        "id": 1,
        "code": "xx04",
        "camera_type": camera_type,
        "orientation": 0.0,
        "optical_elements": {"filters": "r,g,air"},
        "optical_element_groups": [group],
        "host": "",
    }
    mode = {
        "id": 1,
        "name": "Full",
        "overhead": 28.0,
        "code": "full",
        "schedulable": True,
        "validation_schema": {},
    }
    use = {
        "name": "Expose",
        "code": "EXPOSE",
        "config_change_overhead": 0.0,
        "schedulable": True,
        "force_acquisition_off": False,
        "requires_optical_elements": True,
        "validation_schema": {},
    }
    instrument = {
        "id": 1,
        "code": "xx04",
        "state": "SCHEDULABLE",
        "telescope": f"{host}/telescopes/1/",
        "autoguider_camera": camera,
        "autoguider_type": "OffAxis",
        "science_cameras": [camera],
        "instrument_type": {
            "id": 1,
            "name": "1m imager",
            "code": "1M0-SCICAM-A",
            "fixed_overhead_per_exposure": 1.0,
            "instrument_category": "IMAGE",
            "observation_front_padding": 90.0,
            "acquire_exposure_time": 0.0,
            "default_configuration_type": "EXPOSE",
            "mode_types": [{"id": 1, "type": "readout", "modes": [mode], "default": "full"}],
            "default_acceptability_threshold": 90.0,
            "config_front_padding": 0.0,
            "allow_self_guiding": True,
            "configuration_types": [use],
            "validation_schema": {},
        },
        "__str__": "tst.doma.1m0a.xx04",
    }
    telescope = {
        "id": 1,
        "serial_number": "",
        "name": "",
        "code": "1m0a",
        "active": True,
        "aperture": 1.0,
        "lat": 20.7,
        "slew_rate": 0.0,
        "minimum_slew_overhead": 0.0,
        "maximum_slew_overhead": 0.0,
        "instrument_change_overhead": 0.0,
        "long": -156.2,
        "enclosure": f"{host}/enclosures/1/",
        "horizon": 15.0,
        "ha_limit_pos": 4.6,
        "ha_limit_neg": -4.6,
        "telescope_front_padding": 90.0,
        "zenith_blind_spot": 0.0,
        "instrument_set": [instrument],
        "__str__": "tst.doma.1m0a",
    }
    enclosure = {
        "id": 1,
        "name": "",
        "code": "doma",
        "active": True,
        "site": f"{host}/sites/1/",
        "telescope_set": [telescope],
        "__str__": "tst.doma",
    }
    site = {
        "id": 1,
        "name": "",
        "code": "tst",
        "active": True,
        "timezone": -7,
        "restart": "00:00:00",
        "tz": "Etc/UTC",
        "lat": 0.0,
        "long": 0.0,
        "elevation": 1236,
        "enclosure_set": [enclosure],
        "__str__": "tst",
    }
    assert answer.json() == {"count": 1, "next": None, "previous": None, "results": [site]}
    assert (await public.get("/instruments/1/")).json() == instrument
    assert (await public.get("/telescopes/1/")).json() == telescope


async def test_C2_writing_needs_credentials(public: httpx.AsyncClient) -> None:
    answer = await public.post("/sites/", json=SITE)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Token")
    assert answer.json() == {"detail": "Authentication credentials were not provided."}


async def test_C3_wrong_credentials_are_refused_even_for_reading(app: TestApp) -> None:
    await create_user(app, "carol", password="right-and-long")
    async with app.client(token="bad") as client:
        for answer in (
            await client.post("/configdb/sites/", json=SITE),
            await client.get("/configdb/sites/"),
        ):
            assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token."})
    wrong = base64.b64encode(b"carol:wrong").decode()
    async with app.client(Authorization=f"Basic {wrong}") as client:
        answer = await client.get("/configdb/sites/")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid username/password."})


async def test_C4_an_empty_site_misses_three_fields(staff: httpx.AsyncClient) -> None:
    assert await _refused(staff, "sites") == dict.fromkeys(("code", "timezone", "elevation"), REQUIRED)


async def test_C5_all_limits_are_told_at_once(staff: httpx.AsyncClient) -> None:
    body = await _refused(
        staff, "sites", code="abcd", timezone=20, lat=100, long=-181, elevation=-600, restart="x"
    )
    assert set(body) == {"code", "timezone", "lat", "long", "elevation", "restart"}
    assert body["timezone"] == ["Ensure this value is less than or equal to 14."]
    assert body["code"] == ["Ensure this field has no more than 3 characters."]


async def test_C6_a_site_has_defaults(staff: httpx.AsyncClient) -> None:
    made = await _make(staff, "sites", **SITE)
    assert (made["tz"], made["restart"], made["__str__"]) == ("Etc/UTC", "00:00:00", "tst")
    assert made["enclosure_set"] == []


@pytest.mark.parametrize("code", ["tst", "TST"])
async def test_C7_codes_are_unique_ignoring_case(staff: httpx.AsyncClient, code: str) -> None:
    await _make(staff, "sites", **SITE)
    body = await _refused(staff, "sites", **{**SITE, "code": code, "timezone": 99})
    assert set(body) == {"code", "timezone"}
    assert body["code"] == ["site with this code already exists."]


async def test_C8_an_unknown_owner_is_a_field_error(staff: httpx.AsyncClient) -> None:
    assert await _refused(staff, "enclosures", code="doma") == {"site_id": REQUIRED}
    assert await _refused(staff, "enclosures", code="doma", site_id=999) == {
        "site_id": ['Invalid pk "999" - object does not exist.']
    }


async def test_C9_an_empty_telescope_misses_seven_fields(staff: httpx.AsyncClient) -> None:
    body = await _refused(staff, "telescopes")
    names = ("code", "lat", "long", "enclosure_id", "horizon", "ha_limit_pos", "ha_limit_neg")
    assert body == dict.fromkeys(names, REQUIRED)


async def test_C10_an_unknown_state_is_refused(staff: httpx.AsyncClient) -> None:
    body = await _refused(staff, "instruments", state="UNWELL")
    assert body["state"] == ['"UNWELL" is not a valid choice.']


async def test_C11_a_new_state_is_seen_at_once(
    app: TestApp, staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    ids = await _tree(staff)
    await public.get("/sites/")
    answer = await staff.patch(f"/instruments/{ids['instrument']}/", json={"state": "MANUAL"})
    assert (answer.status_code, answer.json()["state"]) == (200, "MANUAL")
    site = await _first(public, "/sites/")
    telescope = site["enclosure_set"][0]["telescope_set"][0]
    assert telescope["instrument_set"][0]["state"] == "MANUAL"
    async with app.runtime.database.read() as session:
        observatory = await api.observatory(session)
    assert observatory.instrument_type_codes(only_schedulable=True) == ()
    assert observatory.instrument_type_codes(only_schedulable=False) == ("1M0-SCICAM-A",)


async def test_C12_several_states_are_alternatives(app: TestApp, public: httpx.AsyncClient) -> None:
    await build_fix_a(app)
    found = await _results(public, "/instruments/?state=MANUAL&state=SCHEDULABLE")
    assert {row["state"] for row in found} == {"MANUAL", "SCHEDULABLE"}
    assert len(found) == 7
    answer = await public.get("/instruments/?state=BAD")
    assert answer.status_code == 400
    assert answer.json() == {"state": ["Select a valid choice. BAD is not one of the available choices."]}


async def test_C13_instruments_by_place_and_camera(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    ids = await _tree(staff)
    second = await _make(
        staff,
        "cameras",
        code="xx05",
        camera_type_id=ids["camera_type"],
        optical_element_group_ids=[ids["group"]],
    )
    both = [ids["camera"], second["id"]]
    answer = await staff.patch("/instruments/1/", json={"science_cameras_ids": both})
    assert [camera["code"] for camera in answer.json()["science_cameras"]] == ["xx04", "xx05"]
    assert len(await _results(public, "/instruments/?camera_type=A")) == 1
    assert len(await _results(public, f"/instruments/?science_cameras={both[0]}&science_cameras=2")) == 1
    assert len(await _results(public, "/instruments/?site=tst&telescope=1m0a&enclosure=doma")) == 1
    assert await _results(public, "/instruments/?site=tst&telescope=2m0a") == []
    assert await _results(public, "/instruments/?instrument_type=NOPE") == []


async def test_C14_bad_filters_are_told(public: httpx.AsyncClient) -> None:
    answer = await public.get("/telescopes/?enclosure=999")
    assert answer.status_code == 400
    assert answer.json() == {
        "enclosure": ["Select a valid choice. That choice is not one of the available choices."]
    }
    answer = await public.get("/telescopes/?aperture=abc")
    assert (answer.status_code, answer.json()) == (400, {"aperture": ["Enter a number."]})


async def test_C15_pages(staff: httpx.AsyncClient, public: httpx.AsyncClient) -> None:
    for code in ("ccc", "aaa", "bbb"):
        await _make(staff, "sites", **{**SITE, "code": code})
    body = (await public.get("/sites/?limit=1")).json()
    assert body["count"] == 3
    assert body["next"] == "http://testserver/configdb/sites/?limit=1&offset=1"
    assert [row["code"] for row in body["results"]] == ["aaa"]
    for number in range(12):
        await _make(staff, "opticalelements", code=f"e{number}", name="e")
    assert len(await _results(public, "/opticalelements/")) == 12


async def test_C16_five_mode_types_are_there_from_the_start(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    found = [row["id"] for row in await _results(public, "/modetypes/")]
    assert found == ["readout", "guiding", "acquisition", "exposure", "rotator"]
    assert await _refused(staff, "modetypes", id="readout") == {
        "id": ["mode type with this id already exists."]
    }


async def test_C17_a_mode_is_checked_in_all_its_fields(staff: httpx.AsyncClient) -> None:
    schema = {"x": {"type": "odd"}}
    body = await _refused(staff, "genericmodes", name="m", code="m", overhead=-1, validation_schema=schema)
    assert set(body) == {"overhead", "validation_schema"}
    assert "x.type: Unsupported types: odd" in body["validation_schema"][0]


async def test_C18_notes_in_schemas_are_welcome(staff: httpx.AsyncClient) -> None:
    schema = {"x": {"type": "integer", "label": "X", "show": True, "description": "a number"}}
    made = await _make(staff, "genericmodes", name="m", code="m", validation_schema=schema)
    assert made["validation_schema"] == schema


async def test_C19_one_mode_group_a_type_and_instrument_type(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    body = await _refused(staff, "genericmodegroups", instrument_type=ids["instrument_type"], type="readout")
    assert body == {"non_field_errors": ["The fields instrument_type, type must make a unique set."]}


async def test_C20_a_default_must_exist_and_be_a_member(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    await _make(staff, "opticalelements", code="zs", name="z")
    address = f"/opticalelementgroups/{ids['group']}/"
    answer = await staff.patch(address, json={"default": "zs"})
    assert (answer.status_code, list(answer.json())) == (400, ["non_field_errors"])
    answer = await staff.patch(address, json={"default": "zzz"})
    assert (answer.status_code, answer.json()) == (
        400,
        {"default": ["Object with code=zzz does not exist."]},
    )


async def test_C21_known_elements_are_reused_as_they_are(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    elements = [{"code": "rp", "name": "r prime"}, {"code": "V", "name": "Bessell V"}]
    first = await _make(staff, "opticalelementgroups", name="a", type="filters", optical_elements=elements)
    elements[0]["name"] = "another name"
    second = await _make(staff, "opticalelementgroups", name="b", type="filters", optical_elements=elements)
    assert first["optical_elements"] == second["optical_elements"]
    assert len(await _results(public, "/opticalelements/")) == 2


async def test_C22_a_default_never_stays_outside_its_group(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    address = f"/opticalelementgroups/{ids['group']}/"
    answer = await staff.patch(address, json={"optical_element_ids": []})
    assert answer.json()["default"] == "air"
    answer = await staff.patch(address, json={"optical_element_ids": [1, 2]})
    assert answer.status_code == 200
    assert [element["id"] for element in answer.json()["optical_elements"]] == [1, 2]
    assert answer.json()["default"] == ""


async def test_C23_an_unset_default_is_an_empty_text_and_can_be_set_again(
    staff: httpx.AsyncClient,
) -> None:
    ids = await _tree(staff)
    address = f"/opticalelementgroups/{ids['group']}/"
    for empty in (None, ""):
        assert (await staff.patch(address, json={"default": "r"})).json()["default"] == "r"
        assert (await staff.patch(address, json={"default": empty})).json()["default"] == ""


async def test_C24_what_one_type_does_is_its_own_affair(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    for code in ("BIAS", "DARK"):
        await _make(staff, "configurationtypes", code=code, name=code.title())
    uses = [{"configuration_type": "BIAS"}, {"configuration_type": "DARK", "config_change_overhead": 5}]
    first = await _make(staff, "instrumenttypes", name="A", code="A", configuration_types=uses)
    second = await _make(staff, "instrumenttypes", name="B", code="B", configuration_types=uses)
    answer = await staff.patch(
        f"/instrumenttypes/{first['id']}/",
        json={"configuration_types": [{"configuration_type": "DARK", "schedulable": False}]},
    )
    (dark,) = answer.json()["configuration_types"]
    assert (dark["code"], dark["schedulable"], dark["config_change_overhead"]) == ("DARK", False, 5.0)
    other = (await public.get(f"/instrumenttypes/{second['id']}/")).json()
    assert [use["code"] for use in other["configuration_types"]] == ["BIAS", "DARK"]
    assert (await public.get("/configurationtypes/BIAS/")).status_code == 200


async def test_C25_a_type_is_made_with_all_it_does(staff: httpx.AsyncClient) -> None:
    for code in ("BIAS", "DARK"):
        await _make(staff, "configurationtypes", code=code, name=code.title())
    uses: list[dict[str, Any]] = [
        {"configuration_type": "BIAS", "config_change_overhead": 3},
        {"configuration_type": "DARK"},
    ]
    made = await _make(staff, "instrumenttypes", name="A", code="A", configuration_types=uses)
    found = [(use["name"], use["code"], use["config_change_overhead"]) for use in made["configuration_types"]]
    assert found == [("Bias", "BIAS", 3.0), ("Dark", "DARK", 0.0)]
    uses[1]["configuration_type"] = "NOPE"
    body = await _refused(staff, "instrumenttypes", name="B", code="B", configuration_types=uses)
    assert body == {
        "configuration_types": [
            {},
            {"configuration_type": ['Invalid pk "NOPE" - object does not exist.']},
        ]
    }


async def test_C26_a_pair_of_types_exists_once(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    pair = {"configuration_type": "EXPOSE", "instrument_type": ids["instrument_type"]}
    body = await _refused(staff, "configurationtypeproperties", **pair)
    assert body == {
        "non_field_errors": ["The fields configuration_type, instrument_type must make a unique set."]
    }


async def test_C27_what_is_needed_is_not_deleted(staff: httpx.AsyncClient, public: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    answer = await staff.delete("/opticalelements/3/")
    assert answer.status_code == 409
    assert "wheel" in answer.json()["detail"]
    for address in (
        "/genericmodes/1/",
        "/modetypes/readout/",
        "/instrumentcategories/IMAGE/",
        "/configurationtypes/EXPOSE/",
    ):
        for query in ("", "?force=true"):
            assert (await staff.delete(address + query)).status_code == 409
        assert (await public.get(address)).status_code == 200
    answer = await staff.delete(f"/cameras/{ids['camera']}/")
    assert answer.status_code == 409
    assert "tst.doma.1m0a.xx04" in answer.json()["detail"]
    answer = await staff.delete(f"/cameras/{ids['camera']}/?force=true")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await _results(public, "/instruments/") == []


async def test_C27_a_place_goes_with_all_that_stands_there_only_if_forced(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    ids = await _tree(staff)
    assert (await staff.delete(f"/sites/{ids['site']}/")).status_code == 409
    assert (await staff.delete(f"/sites/{ids['site']}/?force=true")).status_code == 204
    for path in ("sites", "enclosures", "telescopes", "instruments"):
        assert await _results(public, f"/{path}/") == []
    assert len(await _results(public, "/cameras/")) == 1
    answer = await staff.delete(f"/instrumenttypes/{ids['instrument_type']}/")
    assert answer.status_code == 204
    assert await _results(public, "/genericmodegroups/") == []
    assert await _results(public, "/configurationtypeproperties/") == []


async def test_C28_only_staff_write(user: httpx.AsyncClient, staff: httpx.AsyncClient) -> None:
    await _make(staff, "sites", **SITE)
    refusal = {"detail": "You do not have permission to perform this action."}
    for method, address in (
        ("POST", "/sites/"),
        ("PUT", "/sites/1/"),
        ("PATCH", "/sites/1/"),
        ("DELETE", "/sites/1/"),
    ):
        answer = await user.request(method, address, json={"lat": "nonsense"})
        assert (answer.status_code, answer.json()) == (403, refusal)


async def test_C29_the_type_of_autoguider_can_be_read_and_written(staff: httpx.AsyncClient) -> None:
    ids = await _tree(staff)
    address = f"/instruments/{ids['instrument']}/"
    assert (await staff.get(address)).json()["autoguider_type"] == "OffAxis"
    answer = await staff.patch(address, json={"autoguider_type": "SelfGuide"})
    assert answer.json()["autoguider_type"] == "SelfGuide"
    answer = await staff.patch(address, json={"autoguider_type": "None"})
    assert answer.status_code == 400


def _at(app: TestApp, *date: int) -> None:
    assert isinstance(app.clock, FrozenClock)
    app.clock.set(datetime(*date, tzinfo=UTC))  # type: ignore[arg-type,misc]


async def _instrument_with_history(app: TestApp, staff: httpx.AsyncClient) -> None:
    _at(app, 2023, 1, 1)
    await _tree(staff)
    for month, state in ((2, "MANUAL"), (3, "SCHEDULABLE")):
        _at(app, 2023, month, 1)
        await staff.patch("/instruments/1/", json={"state": state})
    _at(app, 2024, 1, 1)


AVAILABLE = [
    {"start": "2023-03-01T00:00:00", "end": "2024-01-01T00:00:00"},
    {"start": "2023-01-01T00:00:00", "end": "2023-02-01T00:00:00"},
]
HISTORY = "/api/availability_history/"
PLACE = "site_id=tst&enclosure_id=doma&telescope_id=1m0a"


async def test_C30_when_an_instrument_was_available(
    app: TestApp, staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    await _instrument_with_history(app, staff)
    for query in ("instrument_id=xx04", PLACE, f"{PLACE}&instrument_id=xx04"):
        answer = await public.get(f"{HISTORY}?{query}")
        assert answer.json() == {"availability_intervals": AVAILABLE}


async def test_C31_spans_that_overlap_are_shown_whole(
    app: TestApp, staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    await _instrument_with_history(app, staff)
    answer = await public.get(f"{HISTORY}?instrument_id=xx04&start=2023-04-01")
    assert answer.json() == {"availability_intervals": AVAILABLE[:1]}


async def test_C32_a_bad_question_about_availability_is_answered_in_plain_text(
    staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    await _tree(staff)
    for query, status in (
        ("", 400),
        ("instrument_id=zz", 404),
        ("instrument_id=xx04&start=notadate", 400),
        ("site_id=tst&enclosure_id=domx&telescope_id=1m0a", 404),
        ("site_id=tst&telescope_id=1m0a", 400),
    ):
        answer = await public.get(f"{HISTORY}?{query}")
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/plain")
    assert "tst.domx.1m0a" in (await public.get(f"{HISTORY}?{query}&enclosure_id=domx")).text


async def test_C33_an_inactive_telescope_is_not_available(
    app: TestApp, staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    _at(app, 2023, 1, 1)
    await _tree(staff)
    _at(app, 2023, 2, 10)
    await staff.patch("/telescopes/1/", json={"active": False})
    _at(app, 2023, 3, 10)
    await staff.patch("/telescopes/1/", json={"active": True})
    _at(app, 2024, 1, 1)
    answer = await public.get(f"{HISTORY}?{PLACE}")
    assert answer.json()["availability_intervals"] == [
        {"start": "2023-03-10T00:00:00", "end": "2024-01-01T00:00:00"},
        {"start": "2023-01-01T00:00:00", "end": "2023-02-10T00:00:00"},
    ]


async def test_C36_a_readout_schema_fills_and_refuses() -> None:
    rule = {"type": "integer", "allowed": [1], "default": 1}
    schema = {"extra_params": {"type": "dict", "default": {}, "schema": {"bin_x": rule}}}
    validator = api.SchemaValidator(schema)
    assert validator.validate({"mode": "full", "exposure_time": 3})
    assert validator.document["extra_params"] == {"bin_x": 1}
    assert not validator.validate({"extra_params": {"bin_x": 2}})
    assert validator.errors == {"extra_params": [{"bin_x": ["unallowed value 2"]}]}


async def test_C37_the_tree_costs_the_same_few_statements_at_any_size(
    app: TestApp, staff: httpx.AsyncClient, public: httpx.AsyncClient
) -> None:
    counts = []
    for number in (1, 10):
        async with app.runtime.database.write() as session:
            document = network(sites=number, telescopes=3, instruments=4)
            result = await api.apply_file(session, document, now=app.clock.now())
            assert result.problems == []
        with app.statements() as statements:
            answer = await public.get("/sites/")
        counts.append(len(statements))
        assert len(answer.json()["results"]) == number
    assert counts == [2, 2]
    with app.statements() as statements:
        same = await public.get("/sites/", headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert len(statements) == 1
    await staff.patch("/opticalelements/1/", json={"schedulable": False})
    changed = await public.get("/sites/", headers={"If-None-Match": answer.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != answer.headers["etag"]


def network(*, sites: int, telescopes: int, instruments: int) -> dict[str, Any]:
    """Return the file of a network of equal sites."""
    document = _fix_a_document()
    place = {"lat": 10.0, "long": 20.0, "horizon": 15.0, "ha_limit_neg": -4.6, "ha_limit_pos": 4.6}
    names = [
        [[f"c{s:02}{t}{i}" for i in range(instruments)] for t in range(telescopes)] for s in range(sites)
    ]
    document["cameras"] = [
        {"code": code, "camera_type": "SCI", "optical_element_groups": ["filters"]}
        for site in names
        for telescope in site
        for code in telescope
    ]
    document["sites"] = [
        {
            "code": f"s{s:02}",
            "elevation": 1000,
            "timezone": 0,
            "enclosures": [
                {
                    "code": f"dom{t}",
                    "telescopes": [
                        {
                            "code": "1m0a",
                            "aperture": 1.0,
                            **place,
                            "instruments": [
                                {
                                    "code": code,
                                    "state": "SCHEDULABLE",
                                    "instrument_type": "1M0-CAM-A",
                                    "science_cameras": [code],
                                    "autoguider_camera": code,
                                }
                                for code in telescope
                            ],
                        }
                    ],
                }
                for t, telescope in enumerate(site)
            ],
        }
        for s, site in enumerate(names)
    ]
    return document


def _fix_a_document() -> dict[str, Any]:
    off = {"code": "OFF", "name": "Off"}
    return {
        "instrument_categories": ["IMAGE"],
        "configuration_types": [{"code": "EXPOSE", "name": "Expose"}],
        "optical_elements": [{"code": code, "name": code} for code in ("air", "B", "V", "rp", "ip")],
        "optical_element_groups": [
            {"name": "filters", "type": "filters", "optical_elements": ["air", "B", "V", "rp", "ip"]}
        ],
        "camera_types": [{"code": "SCI", "name": "Science", "size": "10x10", "pscale": 0.4}],
        "instrument_types": [
            {
                "code": "1M0-CAM-A",
                "name": "1 m camera",
                "instrument_category": "IMAGE",
                "configuration_types": [{"configuration_type": "EXPOSE"}],
                "generic_mode_groups": [
                    {"type": "readout", "modes": [{"code": "full", "name": "Full"}]},
                    {"type": "guiding", "modes": [off]},
                    {"type": "acquisition", "modes": [off]},
                ],
            }
        ],
    }


async def test_C38_what_the_adaptive_scheduler_reads_is_there(
    app: TestApp, public: httpx.AsyncClient
) -> None:
    await build_fix_a(app)
    telescopes = {}
    for site in await _results(public, "/sites/"):
        for enclosure in site["enclosure_set"]:
            for telescope in enclosure["telescope_set"]:
                name = f"{telescope['code']}.{enclosure['code']}.{site['code']}"
                telescopes[name] = telescope["active"] and enclosure["active"] and site["active"]
                assert telescope["horizon"] == 15.0
    assert telescopes["1m0a.domb.tst"] is True
    wanted = [
        instrument["code"]
        for instrument in await _results(public, "/instruments/")
        if instrument["state"] == "SCHEDULABLE"
        and instrument["__str__"].startswith("tst.domb.1m0a.")
        and instrument["instrument_type"]["code"].upper() == "1M0-CAM-A"
        and {"air"}
        <= {
            element["code"]
            for camera in instrument["science_cameras"]
            for group in camera["optical_element_groups"]
            for element in group["optical_elements"]
            if group["type"] == "filters" and element["schedulable"]
        }
    ]
    assert wanted == ["xx03"]


async def test_C39_an_old_version_comes_back_as_a_new_one(staff: httpx.AsyncClient) -> None:
    await _make(staff, "sites", **SITE)
    await staff.patch("/sites/1/", json={"name": "Changed", "lat": 5})
    history = await _results(staff, "/api/admin/revisions/?kind=site&object_id=1")
    assert [revision["username"] for revision in history] == ["boss", "boss"]
    changed = history[0]["versions"][0]["changed"]
    assert changed == {
        "name": {"before": "", "after": "Changed"},
        "lat": {"before": 0.0, "after": 5.0},
    }
    first = history[1]["versions"][0]["id"]
    answer = await staff.post(f"/api/admin/versions/{first}/revert/")
    assert (answer.status_code, answer.json()["name"], answer.json()["lat"]) == (200, "", 0.0)
    assert len(await _results(staff, "/api/admin/revisions/?kind=site")) == 3


@pytest.mark.parametrize("code", ["a.b", "a b", ""])
async def test_C40_a_code_of_a_place_has_no_dots_and_blanks(staff: httpx.AsyncClient, code: str) -> None:
    assert list(await _refused(staff, "sites", **{**SITE, "code": code})) == ["code"]
    site = await _make(staff, "sites", **SITE)
    assert list(await _refused(staff, "enclosures", code=code, site_id=site["id"])) == ["code"]
