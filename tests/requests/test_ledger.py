"""The priorities' ledger: whatever is done, in whatever order, its entries add up and nothing is lost."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ocs.portal.requests import lifecycle
from ocs.portal.requests.states import State
from tests.support.app import NOW, TestApp
from tests.support.proposals import create_allocation, create_membership, create_proposal
from tests.support.requests import GROUPS, group, request

PRIORITIES = (0.5, 0.75, 1.0, 1.001, 1.333, 1.5, 2.0)
GROUP_IDS, REQUEST_IDS = st.integers(1, 6), st.integers(1, 12)

operations = st.one_of(
    st.tuples(
        st.just("submit"),
        st.sampled_from(PRIORITIES),
        st.integers(1, 3),
        st.sampled_from([0.1, 7.7, 100.0, 3333.3]),
    ),
    st.tuples(st.just("cancel"), GROUP_IDS),
    st.tuples(st.just("move"), REQUEST_IDS, st.sampled_from([State.COMPLETED, State.FAILURE_LIMIT_REACHED])),
    st.tuples(st.just("bad data"), REQUEST_IDS),
    st.tuples(st.just("expire"), st.integers(0, 80)),
)


async def apply(app: TestApp, alice: httpx.AsyncClient, operation: tuple[Any, ...]) -> None:
    """Do one thing to the groups that are there."""
    kind, *values = operation
    now = app.clock.now()
    if kind == "submit":
        ipp_value, count, exposure_time = values
        asked = request()
        asked["configurations"][0]["instrument_configs"][0]["exposure_time"] = exposure_time
        operator = "MANY" if count > 1 else "SINGLE"
        payload = group(ipp_value=ipp_value, operator=operator, requests=[asked] * count)
        answer = await alice.post(GROUPS, json=payload)
        assert answer.status_code in {201, 400}, answer.text
    elif kind == "cancel":
        answer = await alice.post(f"{GROUPS}{values[0]}/cancel/")
        assert answer.status_code in {200, 400, 404}, answer.text
    else:
        async with app.runtime.database.write() as session:
            if kind == "expire":
                await lifecycle.expire(session, NOW + timedelta(days=values[0]))
            else:
                state = State.PENDING if kind == "bad data" else values[1]
                wanted = {values[0]: state}
                await lifecycle.move(session, wanted, now=now, cause=kind, bad_data=kind == "bad data")


async def check(app: TestApp) -> None:
    """Recount: totals are the sums of their entries, and each request has cost what its state says.

    Where the balance met a bound, a request may have been given or taken less than that, never more.
    """
    async with app.runtime.database.read() as session:
        balance = await session.execute(
            text(
                "SELECT a.id, a.ipp_available_h, a.ipp_limit_h, "
                "sum(e.hours) OVER (PARTITION BY a.id ORDER BY e.id) AS recounted "
                "FROM proposals.time_allocation a "
                "JOIN proposals.ledger_entry e ON e.allocation_id = a.id AND e.account = 'ipp' ORDER BY e.id"
            )
        )
        history = balance.all()
        assert all(row.ipp_available_h == row.recounted for row in {row.id: row for row in history}.values())
        assert all(0 <= row.recounted <= row.ipp_limit_h for row in history)
        met_bound = any(row.recounted in {0, row.ipp_limit_h} for row in history)
        effects = await session.execute(
            text(
                "SELECT g.ipp_value, r.state, r.duration, coalesce(sum(e.hours), 0) FROM requests.request r "
                "JOIN requests.request_group g ON g.id = r.group_id "
                "LEFT JOIN proposals.ledger_entry e ON e.request_id = r.id GROUP BY g.id, r.id"
            )
        )
        for ipp_value, state, duration_s, effect_h in effects:
            pays = state == State.COMPLETED or (ipp_value > 1 and state == State.PENDING)
            price_h = round(Decimal(str((1 - ipp_value) * duration_s / 3600)), 18)
            if met_bound:
                assert min(price_h, 0) <= effect_h <= max(price_h, 0)
            else:
                assert effect_h == (price_h if pays else 0)


async def run(app: TestApp, alice: httpx.AsyncClient, done: list[tuple[Any, ...]]) -> None:
    async with app.runtime.database.write() as session:
        await session.execute(
            text("TRUNCATE requests.request_group, requests.submission RESTART IDENTITY CASCADE")
        )
        await session.execute(text("DELETE FROM proposals.ledger_entry WHERE cause <> 'opening balance'"))
        await session.execute(
            text(
                "UPDATE proposals.time_allocation a SET ipp_available_h = (SELECT sum(hours) "
                "FROM proposals.ledger_entry e WHERE e.allocation_id = a.id AND e.account = 'ipp')"
            )
        )
    for operation in done:
        await apply(app, alice, operation)
        await check(app)


patient = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@patient
@given(done=st.lists(operations, min_size=1, max_size=8))
async def test_no_sequence_of_operations_upsets_the_ledger(
    app: TestApp, alice: httpx.AsyncClient, done: list[tuple[Any, ...]]
) -> None:
    await run(app, alice, done)


@pytest.mark.nightly
@settings(patient, max_examples=300)
@given(done=st.lists(operations, min_size=1, max_size=25))
async def test_no_long_sequence_of_operations_upsets_the_ledger(
    app: TestApp, alice: httpx.AsyncClient, done: list[tuple[Any, ...]]
) -> None:
    await run(app, alice, done)


async def test_one_of_fifty_at_once_gets_the_last_priority_time(
    alice: httpx.AsyncClient, app: TestApp
) -> None:
    await create_proposal(app, "poor")
    await create_membership(app, proposal="poor")
    await create_allocation(app, "poor", ipp_available_h=0.04)
    payload = group(proposal="poor", ipp_value=1.5)
    answers = await asyncio.gather(*(alice.post(GROUPS, json=payload) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 49
    refused = [answer.json() for answer in answers if answer.status_code == 400]
    assert all(list(body) == ["non_field_errors"] and "ipp" in str(body).lower() for body in refused)
    await check(app)
    free = await asyncio.gather(*(alice.post(GROUPS, json=group(proposal="poor")) for _ in range(50)))
    assert {answer.status_code for answer in free} == {201}
