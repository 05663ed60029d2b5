"""The demo's observatory file and the requests of its astronomers hang together."""

from __future__ import annotations

import itertools
import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocs.demo.network import observatory_file, semesters, telescope_names
from ocs.demo.targets import request_groups

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TIMES = [
    NOW,
    *(datetime(2027, month, 28, 7, tzinfo=UTC) for month in range(1, 13)),
    datetime(2027, 1, 31, 20, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def network() -> dict[str, Any]:
    return observatory_file(NOW)


def telescopes(network: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(s, t) for s in network["sites"] for e in s["enclosures"] for t in e["telescopes"]]


def test_every_reference_leads_somewhere(network: dict[str, Any]) -> None:
    codes = {section: {item["code"] for item in network[section]} for section in ("cameras", "camera_types")}
    elements = {element["code"] for element in network["optical_elements"]}
    groups = {group["name"]: group for group in network["optical_element_groups"]}
    kinds = {kind["code"] for kind in network["configuration_types"]}
    types = {kind["code"]: kind for kind in network["instrument_types"]}
    for group in groups.values():
        assert group["default"] in group["optical_elements"]
        assert set(group["optical_elements"]) <= elements
        assert group["type"].endswith("s")
    for camera in network["cameras"]:
        assert camera["camera_type"] in codes["camera_types"]
        assert set(camera.get("optical_element_groups", [])) <= set(groups)
    for kind in types.values():
        assert kind["instrument_category"] in network["instrument_categories"]
        assert {properties["configuration_type"] for properties in kind["configuration_types"]} <= kinds
        assert kind["default_configuration_type"] in kinds
        for modes in kind["generic_mode_groups"]:
            assert modes["default"] in {mode["code"] for mode in modes["modes"]}
    instruments = [i for _, telescope in telescopes(network) for i in telescope["instruments"]]
    assert len({instrument["code"] for instrument in instruments}) == len(instruments)
    for instrument in instruments:
        assert instrument["instrument_type"] in types
        assert {*instrument["science_cameras"], instrument["autoguider_camera"]} <= codes["cameras"]


def test_four_telescopes_of_two_classes_in_both_hemispheres(network: dict[str, Any]) -> None:
    assert sorted(telescope["aperture"] for _, telescope in telescopes(network)) == [0.4, 0.4, 1.0, 1.0]
    assert telescope_names(network) == ["elp.doma.1m0a", "elp.aqwa.0m4a", "cpt.doma.1m0a", "coj.clma.0m4a"]
    assert {math.copysign(1, site["lat"]) for site in network["sites"]} == {1.0, -1.0}
    assert {kind["instrument_category"] for kind in network["instrument_types"]} == {"IMAGE", "SPECTRA"}


def test_one_site_is_always_in_the_dark(network: dict[str, Any]) -> None:
    """Deeper than nautical twilight somewhere at every hour, but for an hour around the southern solstice."""
    for day in range(0, 365, 5):
        dark_hours = 0
        for half_hour in range(48):
            moment = NOW + timedelta(days=day, minutes=30 * half_hour)
            dark_hours += any(sun_altitude_deg(moment, s["lat"], s["long"]) < -12.0 for s in network["sites"])
        assert dark_hours >= 46


def sun_altitude_deg(moment: datetime, lat_deg: float, long_deg: float) -> float:
    days = (moment - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    longitude = math.radians(
        280.46 + 0.9856474 * days + 1.915 * math.sin(math.radians(357.528 + 0.9856003 * days))
    )
    dec = math.asin(math.sin(math.radians(23.44)) * math.sin(longitude))
    ra = math.atan2(math.cos(math.radians(23.44)) * math.sin(longitude), math.cos(longitude))
    hour_angle = math.radians(280.46061837 + 360.98564736629 * days + long_deg) - ra
    lat = math.radians(lat_deg)
    return math.degrees(
        math.asin(math.sin(lat) * math.sin(dec) + math.cos(lat) * math.cos(dec) * math.cos(hour_angle))
    )


def test_people_sections_have_the_keys_an_observatory_file_has(network: dict[str, Any]) -> None:
    assert {key for user in network["users"] for key in user} == {
        *("username", "password", "token", "email", "first_name", "last_name"),
        *("is_staff", "is_superuser", "is_active", "profile"),
    }
    users, proposals = (
        {item[key] for item in network[s]} for s, key in (("users", "username"), ("proposals", "id"))
    )
    for membership in network["memberships"]:
        assert membership["user"] in users
        assert membership["proposal"] in proposals
    for proposal in network["proposals"]:
        assert proposal["sca"] in {sca["id"] for sca in network["scas"]}
    assert len({proposal["tac_priority"] for proposal in network["proposals"]}) >= 4
    services = {user["username"]: user for user in network["users"]}
    assert services["telescopes"]["is_staff"]
    assert services["telescopes"]["profile"]["staff_view"]
    assert services["ingest"]["is_superuser"]
    assert not services["vera"]["is_staff"]
    json.dumps(network)


@pytest.mark.parametrize("now", TIMES)
def test_semesters_cover_the_clock_without_overlap(now: datetime) -> None:
    found = semesters(now)
    limits = [(datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"])) for s in found]
    assert any(start <= now <= end for start, end in limits)
    assert limits[-1][1] > now + timedelta(days=400)
    gaps = {later[0] - earlier[1] for earlier, later in itertools.pairwise(limits)}
    assert gaps == {timedelta(seconds=1)}
    assert found == semesters(now)


@pytest.mark.parametrize("now", TIMES)
def test_requests_fit_the_network_the_people_and_the_semester(now: datetime, network: dict[str, Any]) -> None:
    groups = request_groups(now, random.Random(7))
    requests = [request for _, group in groups for request in group["requests"]]
    assert len(requests) >= 100
    assert groups == request_groups(now, random.Random(7))
    members = {(m["user"], m["proposal"]) for m in network["memberships"]}
    allocated = {(a["proposal"], t) for a in network["time_allocations"] for t in a["instrument_types"]}
    types = {kind["code"]: kind for kind in network["instrument_types"]}
    limits = [(datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"])) for s in semesters(now)]
    element_codes = {element["code"] for element in network["optical_elements"]}
    for submitter, group in groups:
        assert (submitter, group["proposal"]) in members
        assert len(group["name"]) <= 50
        assert group["operator"] == ("SINGLE" if len(group["requests"]) == 1 else "MANY")
        for request in group["requests"]:
            (window,) = request["windows"]
            start, end = datetime.fromisoformat(window["start"]), datetime.fromisoformat(window["end"])
            assert now - timedelta(seconds=1) <= start < end
            assert any(first <= start and end <= last for first, last in limits)
            for configuration in request["configurations"]:
                kind = types[configuration["instrument_type"]]
                assert (group["proposal"], configuration["instrument_type"]) in allocated
                assert configuration["type"] in {c["configuration_type"] for c in kind["configuration_types"]}
                for config in configuration["instrument_configs"]:
                    assert set(config["optical_elements"].values()) <= element_codes
            assert 120 <= duration_s(request, types) <= 900
    assert {group["operator"] for _, group in groups} == {"SINGLE", "MANY"}
    assert {r["location"]["telescope_class"] for r in requests} == {"1m0", "0m4"}
    assert {c["type"] for r in requests for c in r["configurations"]} == {"EXPOSE", "SPECTRUM", "ARC"}


def duration_s(request: dict[str, Any], types: dict[str, Any]) -> float:
    """Exposures with their overheads, and the front padding; roughly what the server will charge."""
    total = 0.0
    for configuration in request["configurations"]:
        kind = types[configuration["instrument_type"]]
        modes = {m["code"]: m.get("overhead", 0.0) for g in kind["generic_mode_groups"] for m in g["modes"]}
        for config in configuration["instrument_configs"]:
            overhead = kind["fixed_overhead_per_exposure"] + modes[config["mode"]]
            total += config["exposure_count"] * (config["exposure_time"] + overhead)
    return total + float(kind["observation_front_padding"])
