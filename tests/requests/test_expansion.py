"""What the expansions make can be submitted, whatever they were asked for."""

from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.requests import GROUPS, configuration, group, request

patient = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GRID = {"num_rows": st.integers(1, 4), "num_columns": st.integers(1, 4), "line_spacing": st.floats(0, 60)}
POINTS = {
    "num_points": st.integers(1, 9),
    "point_spacing": st.floats(0, 120),
    "orientation": st.floats(0, 360),
    "center": st.booleans(),
}


def asked(*patterns: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return what may be asked of the given patterns."""
    return st.sampled_from(patterns).flatmap(
        lambda name: st.fixed_dictionaries(
            {"pattern": st.just(name)} | POINTS | (GRID if name == "grid" else {})
        )
    )


async def assert_valid(alice: httpx.AsyncClient, payload: dict[str, Any]) -> None:
    answer = (await alice.post(f"{GROUPS}validate/", json=payload)).json()
    assert answer["errors"] == {}, payload
    assert answer["request_durations"]["duration"] > 0


@patient
@given(sent=asked("line", "grid", "spiral"))
async def test_what_a_dither_makes_is_valid(alice: httpx.AsyncClient, sent: dict[str, Any]) -> None:
    made = await alice.post("/api/configurations/dither/", json=sent | {"configuration": configuration()})
    assert made.status_code == 200, made.text
    await assert_valid(alice, group(requests=[request(configurations=[made.json()])]))


@patient
@given(sent=asked("line", "grid"))
async def test_what_a_mosaic_makes_is_valid(alice: httpx.AsyncClient, sent: dict[str, Any]) -> None:
    made = await alice.post("/api/requests/mosaic/", json=sent | {"request": request()})
    assert made.status_code == 200, made.text
    await assert_valid(alice, group(requests=[made.json()]))


@patient
@given(period=st.floats(1, 100), jitter=st.floats(0.02, 100), day=st.integers(3, 20))
async def test_what_a_cadence_makes_is_valid(
    alice: httpx.AsyncClient, period: float, jitter: float, day: int
) -> None:
    asked_for = request(
        cadence={
            "start": "2016-09-01T21:12:18Z",
            "end": f"2016-09-{day:02d}T00:00:00Z",
            "period": period,
            "jitter": jitter,
        }
    )
    del asked_for["windows"]
    made = await alice.post(f"{GROUPS}cadence/", json=group(requests=[asked_for]))
    if made.status_code == 400:  # no window, or not enough time
        assert list(made.json()) in (["errors"], ["requests"], ["non_field_errors"])
    else:
        await assert_valid(alice, made.json())
