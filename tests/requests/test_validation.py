"""What is refused, where the fault is told, and what is filled (checklist R5 to R40)."""

import copy
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ocs.configdb import repository
from ocs.kernel import changes
from tests.support.accounts import create_user
from tests.support.app import NOW, TestApp
from tests.support.proposals import create_allocation, create_membership, create_proposal, create_semester
from tests.support.requests import GROUPS, configuration, group, group_with, request, submit

REQUIRED = ["This field is required."]


async def errors_of(client: httpx.AsyncClient, payload: Any) -> Any:
    """Return the errors of a payload, which submission and validation must agree on."""
    response = await client.post(GROUPS, json=payload)
    assert response.status_code == 400, response.text
    checked = await client.post(f"{GROUPS}validate/", json=payload)
    assert checked.status_code == 200
    assert checked.json() == {"request_durations": {}, "errors": response.json()}
    return response.json()


async def request_errors(client: httpx.AsyncClient, payload: Any) -> Any:
    """Return the errors of the only request."""
    body = await errors_of(client, payload)
    assert list(body) == ["requests"], body
    (only,) = body["requests"]
    return only


async def configuration_errors(client: httpx.AsyncClient, payload: Any) -> Any:
    """Return the errors of the only configuration."""
    body = await request_errors(client, payload)
    assert list(body) == ["configurations"], body
    (only,) = body["configurations"]
    return only


async def general_error(client: httpx.AsyncClient, payload: Any) -> str:
    """Return the only error about the group as a whole."""
    body = await errors_of(client, payload)
    assert list(body) == ["non_field_errors"], body
    (only,) = body["non_field_errors"]
    return str(only)


def set_config(**changes: Any) -> dict[str, Any]:
    return group_with(lambda c: c["instrument_configs"][0].update(changes))


def set_target(**target: Any) -> dict[str, Any]:
    return group_with(lambda c: c.update(target={"name": "t", **target}))


async def stored_configuration(client: httpx.AsyncClient, payload: Any) -> Any:
    return (await submit(client, payload))["requests"][0]["configurations"][0]


# --- the group's fields


async def test_R5_an_empty_group_misses_every_required_field(alice: httpx.AsyncClient) -> None:
    names = ("requests", "name", "observation_type", "operator", "ipp_value", "proposal")
    assert await errors_of(alice, {}) == dict.fromkeys(names, REQUIRED)


@pytest.mark.parametrize("name", ["n" * 51, ""])
async def test_R6_the_name_has_1_to_50_characters(alice: httpx.AsyncClient, name: str) -> None:
    assert list(await errors_of(alice, group(name=name))) == ["name"]


async def test_R7_the_proposal_must_exist(alice: httpx.AsyncClient) -> None:
    assert list(await errors_of(alice, group(proposal=None))) == ["proposal"]
    assert await errors_of(alice, group(proposal="nope")) == {
        "proposal": ['Invalid pk "nope" - object does not exist.']
    }


async def test_R8_errors_stand_where_their_request_stands(alice: httpx.AsyncClient) -> None:
    payload = group(operator="MANY", requests=[request(), {"configurations": []}])
    body = await errors_of(alice, payload)
    assert body["requests"][0] == {}
    assert set(body["requests"][1]) == {"location", "configurations", "windows"}


async def test_R9_the_priority_has_a_range_and_a_price(alice: httpx.AsyncClient, app: TestApp) -> None:
    assert "0.5" in await general_error(alice, group(ipp_value=0.1))
    assert await errors_of(alice, group(ipp_value=-1)) == {
        "ipp_value": ["Ensure this value is greater than or equal to 0.0."]
    }
    await create_proposal(app, "poor")
    await create_membership(app, proposal="poor")
    await create_allocation(app, "poor", ipp_available_h=0.01)
    assert "1.159" in await general_error(alice, group(proposal="poor", ipp_value=2.0))


@pytest.mark.parametrize(("operator", "count"), [("SINGLE", 2), ("MANY", 1)])
async def test_R10_the_operator_fits_the_number_of_requests(
    alice: httpx.AsyncClient, operator: str, count: int
) -> None:
    payload = group(operator=operator, requests=[request() for _ in range(count)])
    assert operator in await general_error(alice, payload)


async def test_R11_only_members_of_active_proposals_submit(alice: httpx.AsyncClient, app: TestApp) -> None:
    await create_proposal(app, "others")
    assert "member" in await general_error(alice, group(proposal="others"))
    await create_proposal(app, "closed", active=False)
    await create_membership(app, proposal="closed")
    assert "not active" in await general_error(alice, group(proposal="closed"))


@pytest.mark.parametrize("observation_type", ["DIRECT", "REAL_TIME"])
async def test_R65_what_is_not_scheduled_is_not_submitted_here(
    alice: httpx.AsyncClient, observation_type: str
) -> None:
    assert list(await errors_of(alice, group(observation_type=observation_type))) == ["observation_type"]


async def test_R64_nobody_submits_in_the_name_of_somebody_else(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    await create_user(app, "bob")
    assert (await submit(alice, group(submitter_id="2", submitter="bob")))["submitter"] == "alice"


# --- windows and location


async def test_R12_windows_end_in_the_future_after_their_start_in_one_semester(
    alice: httpx.AsyncClient,
) -> None:
    async def window_errors(start: str, end: str) -> Any:
        payload = group(requests=[request(windows=[{"start": start, "end": end}])])
        return (await request_errors(alice, payload))["windows"][0]

    assert list(await window_errors("2016-08-01T00:00:00Z", "2016-08-31T00:00:00Z")) == ["end"]
    assert list(await window_errors("2016-10-02T00:00:00Z", "2016-10-01T00:00:00Z")) == ["non_field_errors"]
    assert list(await window_errors("2016-10-02T00:00:00Z", "2017-10-01T00:00:00Z")) == ["non_field_errors"]


async def test_R13_a_window_without_start_begins_now(alice: httpx.AsyncClient) -> None:
    windows = [*request()["windows"], {"end": "2016-12-01T00:00:00Z"}]
    answer = await submit(alice, group(requests=[request(windows=windows)]))
    assert answer["requests"][0]["windows"][1] == {
        "start": "2016-09-01T00:00:00Z",
        "end": "2016-12-01T00:00:00Z",
    }


async def test_R14_all_windows_lie_in_one_semester(alice: httpx.AsyncClient, app: TestApp) -> None:
    await create_semester(app, "2017A", datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 6, 30, tzinfo=UTC))
    windows = [*request()["windows"], {"start": "2017-02-01T00:00:00Z", "end": "2017-03-01T00:00:00Z"}]
    assert list(await request_errors(alice, group(requests=[request(windows=windows)]))) == ["windows"]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ({}, {"telescope_class": REQUIRED}),
        ({"telescope_class": "9m9"}, {"telescope_class": ['"9m9" is not a valid choice.']}),
        ({"telescope_class": "1m0", "site": ""}, {"site": ['"" is not a valid choice.']}),
        ({"telescope_class": "1m0", "site": None}, {"site": ["This field may not be null."]}),
    ],
)
async def test_R15_the_location_names_what_there_is(
    alice: httpx.AsyncClient, location: dict[str, Any], expected: Any
) -> None:
    body = await request_errors(alice, group(requests=[request(location=location)]))
    assert body == {"location": expected}


@pytest.mark.parametrize(
    "location",
    [{"enclosure": "domb"}, {"site": "tst", "telescope": "1m0a"}, {"site": "lco", "enclosure": "domb"}],
)
async def test_R15_the_parts_of_a_location_belong_together(
    alice: httpx.AsyncClient, location: dict[str, Any]
) -> None:
    sent = {"telescope_class": "1m0", **location}
    body = await request_errors(alice, group(requests=[request(location=sent)]))
    assert list(body["location"]) == ["non_field_errors"]


# --- the configuration


async def test_R16_the_instrument_type_must_be_known(alice: httpx.AsyncClient) -> None:
    body = await configuration_errors(alice, group_with(lambda c: c.update(instrument_type="FAKE")))
    assert list(body) == ["instrument_type"]
    assert "1M0-CAM-A" in body["instrument_type"][0]


async def test_R16_the_instrument_type_is_stored_in_the_configurations_spelling(
    alice: httpx.AsyncClient,
) -> None:
    sent = group_with(lambda c: c.update(instrument_type="1m0-cam-a"))
    assert (await stored_configuration(alice, sent))["instrument_type"] == "1M0-CAM-A"


async def test_R17_instruments_out_of_operation_are_for_staff_who_say_where(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, app: TestApp
) -> None:
    await create_membership(app, "boss")
    await create_allocation(app, instrument_types=("1M0-CAM-M",))
    payload = group_with(lambda c: c.update(instrument_type="1M0-CAM-M"))
    assert list(await configuration_errors(alice, payload)) == ["instrument_type"]
    assert list(await request_errors(staff, payload)) == ["non_field_errors"]
    payload["requests"][0]["location"] |= {"site": "tst", "enclosure": "doma", "telescope": "1m0a"}
    await submit(staff, payload)


async def test_R18_configuration_types_are_spelled_exactly_and_schedulable(alice: httpx.AsyncClient) -> None:
    body = await configuration_errors(alice, group_with(lambda c: c.update(type="expose")))
    assert body == {"type": ['"expose" is not a valid choice.']}
    body = await configuration_errors(alice, group_with(lambda c: c.update(type="BIAS")))
    assert list(body) == ["non_field_errors"]


async def test_R19_exposures_are_needed_and_positive(alice: httpx.AsyncClient) -> None:
    body = await configuration_errors(alice, group_with(lambda c: c.update(instrument_configs=[])))
    assert list(body) == ["instrument_configs"]
    body = await configuration_errors(alice, set_config(exposure_time=-1, exposure_count=0))
    assert body == {
        "instrument_configs": [
            {
                "exposure_time": ["Ensure this value is greater than or equal to 0.0."],
                "exposure_count": ["Ensure this value is greater than or equal to 1."],
            }
        ]
    }


async def test_R20_an_exposure_may_last_no_time(alice: httpx.AsyncClient) -> None:
    await submit(alice, set_config(exposure_time=0))


async def test_R21_a_schema_error_stands_where_the_value_stands(alice: httpx.AsyncClient) -> None:
    def two(c: dict[str, Any]) -> None:
        c["instrument_configs"].append(copy.deepcopy(c["instrument_configs"][0]))
        c["instrument_configs"][1]["extra_params"] = {"defocus": 9}

    assert await configuration_errors(alice, group_with(two)) == {
        "instrument_configs": [{}, {"extra_params": {"defocus": ["max value is 5.0"]}}]
    }


async def test_R22_a_mode_error_is_one_sentence_that_names_all(alice: httpx.AsyncClient) -> None:
    body = await configuration_errors(alice, set_config(mode="cam_2", extra_params={"bin_x": 5}))
    assert list(body) == ["non_field_errors"]
    (sentence,) = body["non_field_errors"]
    assert all(
        part in sentence for part in ("readout", "cam_2", "extra_params", "bin_x", "unallowed value 5")
    )


async def test_R23_optical_elements_are_found_in_any_case_and_all_needed(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    stored = await stored_configuration(alice, set_config(optical_elements={"filter": "AiR"}))
    assert stored["instrument_configs"][0]["optical_elements"] == {"filter": "air"}
    for elements in ({"filter": "zz"}, {}, {"filter": ""}, {"slit": "slit_1.2as"}):
        body = await configuration_errors(alice, set_config(optical_elements=elements))
        assert list(body) == ["non_field_errors"], elements
    await create_allocation(app, instrument_types=("1M0-CAM-B",))
    bare = configuration(
        instrument_type="1M0-CAM-B",
        instrument_configs=[{"exposure_time": 10, "exposure_count": 1, "mode": "fast"}],
        guiding_config={"mode": "OFF"},
    )
    await submit(alice, group(requests=[request(configurations=[bare])]))


async def test_R23_empty_elements_of_other_instruments_are_ignored(alice: httpx.AsyncClient) -> None:
    sent = set_config(optical_elements={"filter": "air", "slit": "", "grating": None})
    stored = await stored_configuration(alice, sent)
    assert stored["instrument_configs"][0]["optical_elements"] == {"filter": "air"}


async def test_R24_modes_are_schedulable_and_chosen_where_there_is_no_default(
    alice: httpx.AsyncClient,
) -> None:
    body = await configuration_errors(alice, group_with(lambda c: c.update(guiding_config={"mode": "ENG"})))
    assert "ENG" in body["non_field_errors"][0]
    payload = group_with(
        lambda c: c.update(
            instrument_type="1M0-CAM-B",
            guiding_config={"mode": "OFF"},
            instrument_configs=[{"exposure_time": 1, "exposure_count": 1}],
        )
    )
    (sentence,) = (await configuration_errors(alice, payload))["non_field_errors"]
    assert "fast" in sentence
    assert "slow" in sentence


async def test_R25_some_types_switch_the_acquisition_off(alice: httpx.AsyncClient) -> None:
    payload = group_with(lambda c: c.update(type="SKY_FLAT", acquisition_config={"mode": "WCS"}))
    assert (await stored_configuration(alice, payload))["acquisition_config"]["mode"] == "OFF"


async def test_R26_a_script_has_a_name(alice: httpx.AsyncClient) -> None:
    payload = group_with(lambda c: c.update(type="SCRIPT"))
    assert list(await configuration_errors(alice, payload)) == ["non_field_errors"]
    await submit(alice, group_with(lambda c: c.update(type="SCRIPT", extra_params={"script_name": "focus"})))


async def test_R27_repeat_duration_is_for_repeats_and_long_enough(alice: httpx.AsyncClient) -> None:
    for sent in ({"type": "REPEAT_EXPOSE"}, {"type": "REPEAT_EXPOSE", "repeat_duration": 1.0}):
        body = await configuration_errors(alice, group_with(lambda c, sent=sent: c.update(sent)))
        assert "115.5" in body["non_field_errors"][0]
    body = await configuration_errors(alice, group_with(lambda c: c.update(repeat_duration=300)))
    assert list(body) == ["non_field_errors"]


async def test_R28_fill_window_takes_what_is_visible(alice: httpx.AsyncClient) -> None:
    repeat = configuration(type="REPEAT_EXPOSE", repeat_duration=250, fill_window=True)
    visible = {"start": "2016-09-30T22:00:00Z", "end": "2016-09-30T22:09:01Z"}
    payload = group(requests=[request(configurations=[repeat], windows=[visible])])
    payload["requests"][0]["configurations"][0]["target"] |= {"ra": 300.0, "dec": -30.0}
    assert (await stored_configuration(alice, payload))["repeat_duration"] == 446.0
    both = group(requests=[request(configurations=[repeat, repeat])])
    assert list(await request_errors(alice, both)) == ["configurations"]


async def test_R29_regions_of_interest_lie_on_the_detector(alice: httpx.AsyncClient) -> None:
    stored = await stored_configuration(alice, set_config(rois=[{"x1": 100}]))
    assert stored["instrument_configs"][0]["rois"] == [{"x1": 100, "x2": 1000, "y1": 0, "y2": 1000}]
    for rois in ([{}], [{"x1": 1}, {"x1": 2}], [{"x2": 2000}], [{"x1": 9, "x2": 9}]):
        body = await configuration_errors(alice, set_config(rois=rois))
        assert list(body) == ["non_field_errors"], rois


async def test_R30_offsets_make_a_dither_pattern(alice: httpx.AsyncClient) -> None:
    stored = await stored_configuration(alice, set_config(extra_params={"offset_ra": 1, "offset_dec": 0}))
    assert stored["extra_params"] == {"dither_pattern": "custom"}
    for pattern, offset in (("line", 0), ("mountain", 1)):
        payload = set_config(extra_params={"offset_ra": offset})
        payload["requests"][0]["configurations"][0]["extra_params"] = {"dither_pattern": pattern}
        assert list(await configuration_errors(alice, payload)) == ["non_field_errors"]


# --- targets


async def test_R31_sidereal_targets_have_a_place(alice: httpx.AsyncClient) -> None:
    body = await configuration_errors(alice, set_target(type="ICRS", dec=20.0))
    assert body == {"target": {"ra": ["This field is required"]}}
    stored = await stored_configuration(alice, set_target(type="ICRS", ra=34.4, dec=20.0, longascnode=3.0))
    assert "longascnode" not in stored["target"]


ORBIT = {
    "type": "ORBITAL_ELEMENTS",
    "epochofel": 57660.0,
    "orbinc": 9.0,
    "longascnode": 188.0,
    "argofperih": 65.0,
    "eccentricity": 0.1,
}


async def test_R32_only_comets_are_very_eccentric(alice: httpx.AsyncClient) -> None:
    minor = {**ORBIT, "scheme": "MPC_MINOR_PLANET", "meandist": 2.0, "meananom": 120.0, "eccentricity": 0.95}
    assert list((await configuration_errors(alice, set_target(**minor)))["target"]) == ["scheme"]
    comet = {**ORBIT, "scheme": "MPC_COMET", "perihdist": 1.0, "epochofperih": 57800.0, "eccentricity": 0.99}
    body = (await alice.post(f"{GROUPS}validate/", json=set_target(**comet))).json()["errors"]
    assert "configurations" not in body.get("requests", [{}])[0]


@pytest.mark.parametrize(
    ("scheme", "fields"),
    [
        ("ASA_MAJOR_PLANET", {"longofperih": 10.0, "meandist": 2.0, "meanlong": 200.0, "dailymot": 0.3}),
        ("ASA_MINOR_PLANET", {"meandist": 2.0, "meananom": 100.0}),
        ("ASA_COMET", {"perihdist": 1.0, "epochofperih": 57800.0}),
        ("JPL_MINOR_PLANET", {"perihdist": 1.0, "epochofperih": 57800.0}),
        ("JPL_MAJOR_PLANET", {"meandist": 2.0, "meananom": 100.0, "dailymot": 0.3}),
    ],
)
async def test_every_orbital_scheme_is_computed(
    alice: httpx.AsyncClient, scheme: str, fields: dict[str, float]
) -> None:
    response = await alice.post(f"{GROUPS}validate/", json=set_target(**ORBIT, scheme=scheme, **fields))
    assert response.status_code == 200
    assert "configurations" not in response.json()["errors"].get("requests", [{}])[0]


SATELLITE = {
    "type": "SATELLITE",
    "altitude": 60.0,
    "azimuth": 10.0,
    "diff_altitude_rate": 0.0,
    "diff_azimuth_rate": 0.0,
    "diff_epoch": 57660.0,
    "diff_altitude_acceleration": 0.0,
    "diff_azimuth_acceleration": 0.0,
}


async def test_R33_a_satellite_needs_all_its_fields(alice: httpx.AsyncClient) -> None:
    await submit(alice, set_target(**SATELLITE))
    incomplete = {key: value for key, value in SATELLITE.items() if key not in {"altitude", "diff_epoch"}}
    body = await configuration_errors(alice, set_target(**incomplete))
    assert set(body["target"]) == {"altitude", "diff_epoch"}


async def test_R34_hour_angles_are_not_scheduled(alice: httpx.AsyncClient) -> None:
    assert "HOUR_ANGLE" in await general_error(alice, set_target(type="HOUR_ANGLE", hour_angle=0, dec=0))


async def test_an_ephemeris_table_is_a_target(alice: httpx.AsyncClient) -> None:
    table = [{"time": f"2016-10-{day:02d}T00:00:00Z", "ra": 34.0, "dec": 20.0} for day in range(1, 29)]
    await submit(alice, set_target(type="EPHEMERIS", extra_params={"ephemeris": table}))
    for broken in (table[:2], "table", [{"time": "no", "ra": 1, "dec": 1}] * 5):
        body = await configuration_errors(
            alice, set_target(type="EPHEMERIS", extra_params={"ephemeris": broken})
        )
        assert list(body["target"]) == ["extra_params"]


# --- visibility and time


async def test_R35_a_request_must_be_visible_for_long_enough(alice: httpx.AsyncClient) -> None:
    hidden = group_with(lambda c: c["target"].update(dec=89.0))
    hidden["requests"][0]["location"]["site"] = "tst"
    assert "visible" in (await request_errors(alice, hidden))["non_field_errors"][0]
    long = await request_errors(alice, set_config(exposure_time=99999))
    assert "27.81 hours" in long["non_field_errors"][0]


async def test_R36_what_is_over_does_not_count(alice: httpx.AsyncClient, app: TestApp) -> None:
    window = {"start": "2016-10-01T00:00:00Z", "end": "2016-10-01T06:00:00Z"}
    payload = group(requests=[request(windows=[window], location={"telescope_class": "1m0", "site": "tst"})])
    assert (await alice.post(f"{GROUPS}validate/", json=payload)).json()["errors"] == {}
    app.clock.set(datetime(2016, 10, 1, 5, 0, tzinfo=UTC))  # type: ignore[attr-defined]
    assert list(await request_errors(alice, payload)) == ["non_field_errors"]


async def test_R37_rapid_responses_start_now_and_end_tomorrow(alice: httpx.AsyncClient) -> None:
    def rapid(start: str, end: str) -> dict[str, Any]:
        window = {"start": start, "end": end}
        payload = group(observation_type="RAPID_RESPONSE", requests=[request(windows=[window])])
        payload["requests"][0]["configurations"][0]["target"] |= {"ra": 300.0, "dec": 0.0}
        return payload

    assert "now" in await general_error(alice, rapid("2016-09-01T01:00:00Z", "2016-09-01T23:00:00Z"))
    assert "24 hours" in await general_error(alice, rapid("2016-09-01T00:00:00Z", "2016-09-02T01:00:00Z"))
    await submit(alice, rapid("2016-09-01T00:00:00Z", "2016-09-01T23:00:00Z"))


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ({"std_allocation_h": 100.0, "std_used_h": 120.0}, "no NORMAL time left"),
        ({"std_allocation_h": 100.0, "std_used_h": 99.99}, "Not enough"),
        ({"std_allocation_h": 100.0, "std_used_h": 99.94}, None),
        (None, "no time allocation"),
    ],
)
async def test_R38_a_group_needs_time_left(
    alice: httpx.AsyncClient, app: TestApp, hours: dict[str, float] | None, expected: str | None
) -> None:
    await create_proposal(app, "other")
    await create_membership(app, proposal="other")
    if hours is not None:
        await create_allocation(app, "other", **hours)
    if expected is None:
        await submit(alice, group(proposal="other"))
    else:
        assert expected in await general_error(alice, group(proposal="other"))


async def test_R39_a_member_may_have_a_time_limit(alice: httpx.AsyncClient, app: TestApp) -> None:
    for name, limit_s in (("none", 0), ("some", 300)):
        await create_proposal(app, name)
        await create_membership(app, proposal=name, time_limit_s=limit_s)
        await create_allocation(app, name)
    assert "time limit" in await general_error(alice, group(proposal="none"))
    await submit(alice, group(proposal="some"))
    assert "time limit" in await general_error(alice, group(proposal="some"))


async def test_R40_texts_in_extra_params_become_what_they_mean(alice: httpx.AsyncClient) -> None:
    sent = {"a": "1.5", "b": "true", "c": None, "d": "", "e": "1e3", "f": 2.0, "g": "nan", "h": [1, "2"]}
    stored = await stored_configuration(alice, group_with(lambda c: c.update(extra_params=sent)))
    assert stored["extra_params"] == {
        "a": 1.5,
        "b": True,
        "c": None,
        "d": "",
        "e": 1000,
        "f": 2,
        "g": "nan",
        "h": [1, "2"],
    }


async def test_R45_validation_answers_200_whatever_it_finds(alice: httpx.AsyncClient) -> None:
    payload = group()
    del payload["operator"]
    response = await alice.post(f"{GROUPS}validate/", json=payload)
    assert response.status_code == 200
    assert response.json() == {"request_durations": {}, "errors": {"operator": REQUIRED}}
    report = (await alice.post(f"{GROUPS}validate/", json=group())).json()
    (only,) = report["request_durations"].pop("requests")
    assert only.pop("largest_interval") > 3600
    assert only == {
        "duration": 226,
        "configurations": [{"instrument_configs": [{"duration": 115.5}], "duration": 131.5}],
    }
    assert report == {"request_durations": {"duration": 226}, "errors": {}}


async def test_R46_the_largest_priority_is_cut_to_three_decimals(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    await create_proposal(app, "one")
    await create_membership(app, proposal="one")
    await create_allocation(app, "one", ipp_available_h=1.0)
    payload = set_config(exposure_time=2700, exposure_count=2) | {"proposal": "one", "ipp_value": 99}
    answer = (await alice.post(f"{GROUPS}max_allowable_ipp/", json=payload)).json()
    assert answer["2016B"]["1M0-CAM-A"] == {
        "ipp_time_available": 1.0,
        "ipp_limit": 10.0,
        "request_duration": 5541 / 3600,
        "max_allowable_ipp_value": 1.649,
        "min_allowable_ipp_value": 0.5,
    }


async def test_R70_no_schema_error_loses_a_configuration(alice: httpx.AsyncClient, app: TestApp) -> None:
    async with app.runtime.database.write() as session:
        editor = await repository.edit(session, NOW)
        (row,) = [item for item in editor.state.all("instrument_type") if item["code"] == "1M0-CAM-A"]
        editor.update(
            "instrument_type",
            row["id"],
            {"validation_schema": {"repeat_duration": {"type": "float", "max": 200}}},
        )
        await repository.store(session, editor, "tests", "limit")
        changes.stamp(session, "configdb", "all")
    payload = group_with(lambda c: c.update(type="REPEAT_EXPOSE", repeat_duration=500))
    assert await configuration_errors(alice, payload) == {"repeat_duration": ["max value is 200"]}
