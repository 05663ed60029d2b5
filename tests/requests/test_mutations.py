"""Whatever is sent is checked or refused, never a crash; what is refused is blamed where it stands."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocs.portal.proposals.api import Allocation, Semester
from ocs.portal.requests import documents, service
from ocs.portal.requests.rules import ProposalFacts, Rules, allocations_by_key, validated
from ocs.portal.requests.schemas import CADENCE_GROUP, DITHER, MOSAIC, REQUEST, REQUEST_GROUP
from tests.support.app import NOW, TestApp
from tests.support.configdb import build_fix_a
from tests.support.requests import configuration, group, request

SEMESTER = Semester("2016B", datetime(2016, 9, 1, tzinfo=UTC), datetime(2016, 12, 31, tzinfo=UTC))
FULL = group(
    requests=[
        request(
            observation_note="note",
            optimization_type="AIRMASS",
            acceptability_threshold=80,
            configuration_repeats=2,
            suspend_until=None,
            extra_params={"a": 1},
            configurations=[
                configuration(extra_params={"b": "2"}, repeat_duration=None, fill_window=False),
            ],
        )
    ]
)
FULL["requests"][0]["configurations"][0]["instrument_configs"][0] |= {
    "mode": "cam_1",
    "rotator_mode": "",
    "extra_params": {"defocus": 1.0},
    "rois": [{"x1": 1, "x2": 2, "y1": 1, "y2": 2}],
}
FULL["requests"][0]["configurations"][0]["guiding_config"] = {
    "optional": True,
    "mode": "ON",
    "exposure_time": 1,
    "optical_elements": {},
    "extra_params": {},
}
FULL["requests"][0]["configurations"][0]["acquisition_config"] = {"mode": "WCS", "exposure_time": 1}

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "\x00", "nan", "1e400", "x" * 300, "2016-09-30", "9999-12-31T23:59:59Z", "0001-01-01"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a payload."""
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(payload: Any, path: tuple[Any, ...], value: Any) -> Any:
    result = copy.deepcopy(payload)
    node = result
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return result


@pytest.fixture
async def rules(app: TestApp) -> Rules:
    await build_fix_a(app)
    async with app.runtime.database.read() as session:
        catalog = await service.load_catalog(session)
    allocation = Allocation(1, "temp", "2016B", ("1M0-CAM-A",), 100, 0, 10, 0, 10, 0, 0, 0, 10, 5)
    facts = ProposalFacts("temp", True, True, allocations=allocations_by_key([allocation]))
    return Rules(catalog, NOW, [SEMESTER], facts, is_staff=False)


quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_full_payload_is_fine(rules: Rules) -> None:
    checked, errors = validated(REQUEST_GROUP, FULL, rules)
    assert errors is None
    assert checked.requests[0].duration.total_s > 226


def test_any_value_anywhere_is_checked_or_refused(rules: Rules) -> None:
    @quick
    @given(st.sampled_from(sorted(places(FULL), key=str)), junk)
    def check(path: tuple[Any, ...], value: Any) -> None:
        sent = replaced(FULL, path, value)
        checked, errors = validated(REQUEST_GROUP, sent, rules)
        assert (checked is None) != (errors is None)
        if checked is None:
            assert isinstance(errors, dict)
            assert errors
            orjson.dumps(errors)
        else:
            stored = service.new_request(checked.requests[0]) if checked.requests else None
            assert stored is not None
            documents.dumps(stored.configurations)

    check()


def test_a_wrong_container_is_blamed_where_it_stands(rules: Rules) -> None:
    for path in sorted(places(FULL), key=str):
        sent = replaced(FULL, path, [[[]]])
        _, errors = validated(REQUEST_GROUP, sent, rules)
        if "extra_params" in path[:-1] or "optical_elements" in path[:-1]:
            continue  # free form
        assert errors is not None, path
        node = errors
        for key in path[:-1]:
            node = node[key]
        name = path[-1]
        assert (node[name] if isinstance(name, str) else node) not in ({}, []), (path, errors)


@pytest.mark.parametrize("adapter", [REQUEST_GROUP, CADENCE_GROUP, DITHER, MOSAIC, REQUEST])
def test_no_body_at_all_crashes_a_check(rules: Rules, adapter: Any) -> None:
    @settings(quick, max_examples=40)
    @given(junk | st.dictionaries(st.sampled_from(["requests", "request", "configuration", "windows"]), junk))
    def check(sent: Any) -> None:
        _, errors = validated(adapter, sent, rules)
        assert errors is not None

    check()


async def test_odd_bodies_are_answered_with_400(alice: Any) -> None:
    url = "/api/requestgroups/"
    deep = b"[" * 500 + b"]" * 500
    for body in (b"{", b"nan", b'{"name": NaN}', b'{"a": "\\ud800"}', b"[1, 2", deep, b'"text"', b"7"):
        response = await alice.post(url, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 201}, (body, response.text)
        assert response.status_code == 400 or response.json()["num_created"] == 0
    sent = replaced(
        FULL, ("requests", 0, "extra_params"), {"a": orjson.loads(b'{"a":' * 40 + b"1" + b"}" * 40)}
    )
    response = await alice.post(url, json=sent)
    assert list(response.json()["requests"][0]) == ["extra_params"]
    wrong_type = await alice.post(url, content=b"x", headers={"Content-Type": "text/plain"})
    assert wrong_type.status_code == 415
