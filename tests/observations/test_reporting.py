"""Reports of telescopes: states, times, charges."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.app import NOW, TestApp
from tests.support.observations import (
    END,
    OBSERVATIONS,
    START,
    observation,
    place,
    requested,
    submit,
    z,
)
from tests.support.requests import configuration

Asked = dict[str, Any]
STATUS = "/api/configurationstatus/"
TEN_MINUTES_H = 1 / 6


def summary(minutes: float = 10, **changes: Any) -> dict[str, Any]:
    """Return a telescope's summary of so many minutes from 22:36 on."""
    start = datetime(2016, 9, 5, 22, 36, tzinfo=UTC)
    return {
        "start": z(start),
        "end": z(start + timedelta(minutes=minutes)),
        "state": "COMPLETED",
        "time_completed": 100,
        "reason": "",
        "events": [],
    } | changes


async def used(app: TestApp, column: str = "std_used_h") -> float:
    """Return hours of the only allocation."""
    async with app.runtime.database.read() as session:
        statement = text(f"SELECT CAST({column} AS float8) FROM proposals.time_allocation")
        return float((await session.execute(statement)).scalar_one())


async def states(client: httpx.AsyncClient, of: Asked, observation_id: int = 1) -> tuple[str, str, str]:
    """Return the states of an observation, its request and its group."""
    seen = (await client.get(f"{OBSERVATIONS}{observation_id}/")).json()
    group = (await client.get(f"/api/requestgroups/{of['id']}/")).json()
    state = next(item["state"] for item in group["requests"] if item["id"] == seen["request"])
    return seen["state"], state, group["state"]


async def last_changed(client: httpx.AsyncClient) -> datetime:
    """Return when requests changed last."""
    answer = (await client.get("/api/last_changed/")).json()
    return datetime.fromisoformat(answer["last_change_time"])


async def report(client: httpx.AsyncClient, status_id: int = 1, **body: Any) -> dict[str, Any]:
    """Send a report that must be accepted."""
    response = await client.patch(f"{STATUS}{status_id}/", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_B12_attempted_means_in_progress(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    before = await last_changed(staff)
    app.clock.set(NOW + timedelta(hours=1))  # type: ignore[attr-defined]
    answer = await report(staff, state="ATTEMPTED")
    assert answer == {
        "id": 1,
        "summary": None,
        "instrument_name": "xx03",
        "guide_camera_name": "ef03",
        "state": "ATTEMPTED",
        "configuration": 1,
    }
    assert await states(staff, asked) == ("IN_PROGRESS", "PENDING", "PENDING")
    assert await last_changed(staff) == before


async def test_B13_completed_completes_and_charges(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    with app.statements() as statements:
        answer = await report(staff, state="COMPLETED", summary=summary())
    assert len(statements) <= 12, "\n".join(statements)
    assert answer["summary"] == summary()
    assert await states(staff, asked) == ("COMPLETED", "COMPLETED", "COMPLETED")
    assert await used(app) == pytest.approx(TEN_MINUTES_H)


async def test_B14_a_failure_charges_and_leaves_the_request_open(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    app.clock.set(NOW + timedelta(hours=1))  # type: ignore[attr-defined]
    await report(staff, state="FAILED", summary=summary(time_completed=50))
    assert await states(staff, asked) == ("FAILED", "PENDING", "PENDING")
    assert await used(app) == pytest.approx(TEN_MINUTES_H)
    assert await last_changed(staff) == NOW + timedelta(hours=1)


async def test_B15_a_failure_after_all_exposures_completes(staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    await report(staff, state="FAILED", summary=summary())
    assert await states(staff, asked) == ("FAILED", "COMPLETED", "COMPLETED")


@pytest.mark.parametrize(("completed_s", "state"), [(1080, "COMPLETED"), (920, "PENDING")])
async def test_B16_the_threshold_itself_is_enough(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, completed_s: float, state: str
) -> None:
    exposures = [{"exposure_time": 400, "exposure_count": 3, "optical_elements": {"filter": "air"}}]
    asked = await submit(
        alice,
        requested(configurations=[configuration(instrument_configs=exposures)], acceptability_threshold=90),
    )
    await place(staff, asked)
    await report(staff, state="FAILED", summary=summary(time_completed=completed_s))
    assert (await states(staff, asked))[1] == state


@pytest.mark.parametrize(("seconds", "state"), [(900, "COMPLETED"), (899, "PENDING")])
async def test_B17_repeated_exposures_count_by_the_clock(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, seconds: float, state: str
) -> None:
    repeated = configuration(type="REPEAT_EXPOSE", repeat_duration=1000)
    asked = await submit(alice, requested(configurations=[repeated], acceptability_threshold=90))
    await place(staff, asked)
    await report(staff, state="FAILED", summary=summary(seconds / 60, time_completed=0))
    assert (await states(staff, asked))[1] == state


async def test_B18_B19_what_is_final_or_not_the_telescope_s_stays(
    staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    done = await report(staff, state="COMPLETED")
    assert await report(staff, state="FAILED") == done
    assert await report(staff, instrument_name="zz", guide_camera_name="zz", configuration=99) == done
    assert await report(staff) == done
    response = await staff.patch(f"{STATUS}1/", json={"state": "ABORTED"})
    assert response.status_code == 400
    assert response.json() == {"state": ['"ABORTED" is not a valid choice.']}


async def test_B20_a_bad_summary_changes_nothing(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    body = {"state": "COMPLETED", "summary": {"start": "2016-09-05T22:36:00Z", "time_completed": 1}}
    response = await staff.patch(f"{STATUS}1/", json=body)
    assert response.status_code == 400
    assert response.json() == {
        "end": ["This field is required."],
        "state": ["This field is required."],
    }
    response = await staff.patch(f"{STATUS}1/", json={"summary": summary(time_completed="x")})
    assert response.json() == {"summary": {"time_completed": ["A valid number is required."]}}
    assert (await states(staff, asked))[0] == "PENDING"
    assert await used(app) == 0


async def test_B21_a_corrected_summary_charges_the_difference(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary(10))
    answer = await report(staff, summary=summary(20, events={"any": [1]}))
    assert answer["summary"] == summary(20, events={"any": [1]})
    assert await used(app) == pytest.approx(2 * TEN_MINUTES_H)


async def test_B22_an_end_of_the_last_configuration_is_the_observation_s(
    staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await report(staff, end="2016-09-05T23:47:22Z")
    assert (await staff.get(f"{OBSERVATIONS}1/")).json()["end"] == "2016-09-05T23:47:22Z"


@pytest.mark.parametrize(
    ("index", "key", "end"),
    [
        (0, "end", "23:11:05.500000"),
        (0, "exposures_start_at", "23:13:03"),
        (2, "end", "23:06:38.500000"),
        (4, "exposures_start_at", "23:04:09"),
        (5, "end", "23:00:00"),
        (5, "exposures_start_at", "23:01:55.500000"),
    ],
)
async def test_B23_the_rest_of_the_observation_is_added(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, index: int, key: str, end: str
) -> None:
    asked = await submit(
        alice, requested(configurations=[configuration(), configuration()], configuration_repeats=3)
    )
    await place(staff, asked)
    await report(staff, index + 1, **{key: "2016-09-05T23:00:00Z"})
    assert (await staff.get(f"{OBSERVATIONS}1/")).json()["end"] == f"2016-09-05T{end}Z"


@pytest.mark.parametrize(
    "body",
    [
        {"end": "2016-08-31T00:00:00Z"},
        {"exposures_start_at": "2016-09-05T22:00:00Z"},
        {"end": "2016-09-05T23:00:00Z", "exposures_start_at": "2016-09-05T22:40:00Z"},
    ],
)
async def test_B24_impossible_times_are_refused(
    staff: httpx.AsyncClient, asked: Asked, body: dict[str, str]
) -> None:
    await place(staff, asked)
    response = await staff.patch(f"{STATUS}1/", json={"state": "ATTEMPTED", **body})
    assert response.status_code == 400
    assert list(response.json()) == ["non_field_errors"]
    assert (await states(staff, asked))[0] == "PENDING"


SEQUENCES = [
    (["ATTEMPTED", None], "IN_PROGRESS", "PENDING"),
    (["COMPLETED", None], "PENDING", "PENDING"),
    (["FAILED", None], "FAILED", "PENDING"),
    (["FAILED", "COMPLETED"], "FAILED", "PENDING"),
    (["NOT_ATTEMPTED", None], "PENDING", "PENDING"),
    (["NOT_ATTEMPTED", "NOT_ATTEMPTED"], "NOT_ATTEMPTED", "PENDING"),
    (["COMPLETED", "NOT_ATTEMPTED"], "FAILED", "PENDING"),
    (["ATTEMPTED", "NOT_ATTEMPTED"], "FAILED", "PENDING"),
    (["COMPLETED", "COMPLETED"], "COMPLETED", "COMPLETED"),
]


@pytest.mark.parametrize(("reports", "observed", "request_state"), SEQUENCES)
async def test_states_follow_from_two_configurations(
    alice: httpx.AsyncClient,
    staff: httpx.AsyncClient,
    reports: list[str | None],
    observed: str,
    request_state: str,
) -> None:
    asked = await submit(alice, requested(configurations=[configuration(), configuration()]))
    await place(staff, asked)
    for status_id, state in enumerate(reports, 1):
        if state is not None:
            await report(staff, status_id, state=state)
    assert (await states(staff, asked))[:2] == (observed, request_state)


@pytest.mark.parametrize(("completed_s", "state"), [(100, "PENDING"), (190, "COMPLETED")])
async def test_enough_exposures_complete_before_the_end(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, completed_s: float, state: str
) -> None:
    asked = await submit(alice, requested(configurations=[configuration(), configuration()]))
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary(time_completed=completed_s))
    assert (await states(staff, asked))[:2] == ("PENDING", state)


async def test_a_canceled_observation_still_completes_its_request(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    soon = NOW + timedelta(hours=47)
    await place(staff, asked, start=z(soon), end=z(soon + timedelta(hours=1)))
    answer = await staff.post(f"{OBSERVATIONS}cancel/", json={"ids": [1]})
    assert answer.json() == {"canceled": 1}
    await report(staff, state="COMPLETED", summary=summary())
    assert await states(staff, asked) == ("CANCELED", "COMPLETED", "COMPLETED")
    assert await used(app) == pytest.approx(TEN_MINUTES_H)


async def test_B30_bad_data_reopens_and_refunds_while_a_window_is_open(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary())
    response = await staff.patch(f"{OBSERVATIONS}1/", json={"state": "BAD_DATA"})
    assert response.status_code == 200
    assert response.json()["state"] == "BAD_DATA"
    assert [item["state"] for item in response.json()["configuration_statuses"]] == ["BAD_DATA"]
    assert await states(staff, asked) == ("BAD_DATA", "PENDING", "PENDING")
    assert await used(app) == 0


async def test_B30_bad_data_after_the_windows_leave_the_request_done(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary())
    app.clock.set(datetime(2016, 10, 2, tzinfo=UTC))  # type: ignore[attr-defined]
    await staff.patch(f"{OBSERVATIONS}1/", json={"state": "BAD_DATA"})
    assert await states(staff, asked) == ("BAD_DATA", "COMPLETED", "COMPLETED")
    assert await used(app) == 0


@pytest.mark.parametrize("ipp", [0.5, 1.05])
async def test_B31_bad_data_take_back_what_low_priority_earned(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, ipp: float
) -> None:
    asked = await submit(alice, requested(ipp_value=ipp))
    before = await used(app, "ipp_available_h")
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary())
    assert (await used(app, "ipp_available_h") != before) == (ipp < 1)
    await staff.patch(f"{OBSERVATIONS}1/", json={"state": "BAD_DATA"})
    assert await used(app, "ipp_available_h") == pytest.approx(before, abs=1e-12)


async def test_bad_data_of_one_configuration(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    asked = await submit(alice, requested(configurations=[configuration(), configuration()]))
    await place(staff, asked)
    await report(staff, 1, state="COMPLETED", summary=summary())
    await report(staff, 2, state="COMPLETED", summary=summary())
    assert await used(app) == pytest.approx(2 * TEN_MINUTES_H)
    await report(staff, 1, state="BAD_DATA")
    assert await states(staff, asked) == ("BAD_DATA", "PENDING", "PENDING")
    assert await used(app) == pytest.approx(TEN_MINUTES_H)


async def test_B32_nothing_is_refunded_twice(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary())
    await report(staff, state="BAD_DATA")
    assert await used(app) == 0
    response = await staff.patch(f"{OBSERVATIONS}1/", json={"state": "BAD_DATA"})
    assert response.status_code == 400
    assert await used(app) == 0


@pytest.mark.parametrize(("minutes", "charged_s"), [(10, 221.5), (1, 60)])
async def test_B54_rapid_responses_pay_at_most_what_they_asked_for(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, minutes: float, charged_s: float
) -> None:
    now = datetime(2016, 9, 5, 22, 30, tzinfo=UTC)
    app.clock.set(now)  # type: ignore[attr-defined]
    payload = requested(observation_type="RAPID_RESPONSE")
    payload["requests"][0]["windows"] = [{"start": z(now), "end": z(now + timedelta(hours=20))}]
    asked = await submit(alice, payload)
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary(minutes))
    assert await used(app, "rr_used_h") == pytest.approx(charged_s / 3600)
    assert await used(app) == 0


async def test_B55_time_critical_pays_its_own_account(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    asked = await submit(alice, requested(observation_type="TIME_CRITICAL"))
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary())
    assert await used(app, "tc_used_h") == pytest.approx(TEN_MINUTES_H)
    assert (await used(app), await used(app, "rr_used_h")) == (0, 0)


async def test_B57_parallel_equal_reports_charge_once(
    app: TestApp, staff: httpx.AsyncClient, asked: Asked
) -> None:
    await place(staff, asked)
    body = {"state": "COMPLETED", "summary": summary()}
    answers = await asyncio.gather(*(staff.patch(f"{STATUS}1/", json=body) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
    assert await used(app) == pytest.approx(TEN_MINUTES_H)
    assert await states(staff, asked) == ("COMPLETED", "COMPLETED", "COMPLETED")


async def test_B61_a_request_without_exposure_time_is_done_when_its_observation_is(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    nothing = [{"exposure_time": 0, "exposure_count": 1, "optical_elements": {"filter": "air"}}]
    asked = await submit(alice, requested(configurations=[configuration(instrument_configs=nothing)]))
    await place(staff, asked)
    await report(staff, state="ATTEMPTED")
    assert (await states(staff, asked))[1] == "PENDING"
    await report(staff, state="COMPLETED")
    assert (await states(staff, asked))[1] == "COMPLETED"


async def test_only_staff_report(alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    for path in (STATUS, f"{STATUS}1/"):
        assert (await alice.get(path)).status_code == 403
    assert (await alice.patch(f"{STATUS}1/", json={"state": "ATTEMPTED"})).status_code == 403
    assert (await staff.patch(f"{STATUS}2/", json={"state": "ATTEMPTED"})).status_code == 404
    assert (await staff.put(f"{STATUS}1/", json={})).status_code == 405
    assert (await staff.get(STATUS, params={"site": "tst", "state": "PENDING"})).json()["count"] == 1
    assert (await staff.get(STATUS, params={"instrument_name": "zz"})).json()["count"] == 0


async def test_statement_budgets(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    sent = [observation(asked, start=z(START + timedelta(minutes=i))) for i in range(20)]
    await staff.post(OBSERVATIONS, json=sent)
    reports = (
        {"state": "ATTEMPTED"},
        {"end": z(END + timedelta(minutes=1))},
        {"state": "FAILED", "summary": summary(time_completed=1)},
    )
    for body in reports:
        with app.statements() as statements:
            await report(staff, 20, **body)
        assert len(statements) <= 12, "\n".join(statements)
    parameters = {"site": "tst", "state": ["PENDING", "IN_PROGRESS"], "end_after": "2016-09-05 00:00:00"}
    with app.statements() as statements:
        page = (await staff.get("/api/schedule/", params=parameters)).json()
    assert page["count"] == 19
    assert len(statements) <= 4, "\n".join(statements)
