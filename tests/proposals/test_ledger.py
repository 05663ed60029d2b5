"""The time ledger: exact refunds, repeatable calls, no lost updates."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ocs.portal.proposals import api
from ocs.portal.proposals.errors import InsufficientIpp
from tests.support.app import TestApp
from tests.support.proposals import create_allocation, create_checklist_fixture, create_semester

START = datetime(2016, 9, 2, tzinfo=UTC)
END = datetime(2016, 9, 3, tzinfo=UTC)


def ipp(request_id: int, hours: float, instrument_type: str = "1M0-CAM-A") -> api.IppTarget:
    return api.IppTarget(request_id, "temp", "2016B", instrument_type, hours)


def charge(status_id: int, hours: float, account: api.Account = "std", **changes: object) -> api.TimeCharge:
    values: dict[str, object] = {
        "configuration_status_id": status_id,
        "request_id": 1,
        "proposal_id": "temp",
        "instrument_type": "1M0-CAM-A",
        "start_utc": START,
        "end_utc": END,
        "account": account,
        "hours": hours,
    }
    return api.TimeCharge(**(values | changes))  # type: ignore[arg-type]


async def settle(app: TestApp, *targets: api.IppTarget, strict: bool = False) -> float:
    async def work(session: object) -> None:
        await api.settle_ipp(session, targets, cause="test", now=app.clock.now(), strict=strict)  # type: ignore[arg-type]

    await app.runtime.database.run(work)
    return (await balance(app)).ipp_available_h


async def release(app: TestApp, *request_ids: int) -> float:
    async with app.runtime.database.write() as session:
        await api.release_ipp(session, request_ids, cause="test", now=app.clock.now())
    return (await balance(app)).ipp_available_h


async def charged(app: TestApp, *charges: api.TimeCharge) -> dict[int, float]:
    async def work(session: object) -> dict[int, float]:
        return await api.charge_time(session, charges, cause="test", now=app.clock.now())  # type: ignore[arg-type]

    return await app.runtime.database.run(work)


async def balance(app: TestApp) -> api.Allocation:
    async with app.runtime.database.read() as session:
        return (await api.allocations(session, ["temp"]))[0]


async def totals_equal_ledger(app: TestApp) -> bool:
    """Recount every allocation from its entries."""
    async with app.runtime.database.read() as session:
        wrong = await session.scalar(
            text(
                """
                SELECT count(*) FROM proposals.time_allocation a
                CROSS JOIN LATERAL (VALUES ('std', a.std_used_h), ('rr', a.rr_used_h), ('tc', a.tc_used_h),
                                           ('realtime', a.realtime_used_h), ('ipp', a.ipp_available_h))
                  AS total(account, hours)
                WHERE total.hours <> (SELECT coalesce(sum(e.hours), 0) FROM proposals.ledger_entry e
                                      WHERE e.allocation_id = a.id AND e.account = total.account)
                """
            )
        )
    return wrong == 0


async def test_a_cancelled_request_gets_back_exactly_what_it_cost(app: TestApp) -> None:
    await create_checklist_fixture(app)
    cost = 0.5 * 226 / 3600
    assert await settle(app, ipp(1, -cost)) == pytest.approx(5 - cost, abs=1e-12)
    assert await settle(app, ipp(1, -cost)) == pytest.approx(
        5 - cost, abs=1e-12
    )  # a repetition costs nothing
    assert await release(app, 1) == 5.0
    assert await release(app, 1) == 5.0
    assert await totals_equal_ledger(app)


async def test_a_credit_stops_at_the_limit_and_is_taken_back_as_it_was_given(app: TestApp) -> None:
    await create_checklist_fixture(app)
    assert await settle(app, ipp(1, 4.0)) == 9.0
    assert await settle(app, ipp(2, 4.0)) == 10.0
    assert await release(app, 2) == 9.0
    assert await release(app, 1) == 5.0


async def test_a_strict_debit_beyond_the_balance_changes_nothing_and_names_the_hours(app: TestApp) -> None:
    await create_checklist_fixture(app)
    with pytest.raises(InsufficientIpp) as caught:
        await settle(app, ipp(1, -3.0), ipp(2, -3.0), strict=True)
    assert (caught.value.available_h, caught.value.needed_h) == (5.0, 6.0)
    assert (await balance(app)).ipp_available_h == 5.0


async def test_a_late_debit_beyond_the_balance_stops_at_zero_and_returns_what_it_took(app: TestApp) -> None:
    await create_checklist_fixture(app)
    assert await settle(app, ipp(1, -7.0)) == 0.0
    assert await release(app, 1) == 5.0


async def test_of_parallel_debits_only_as_many_pass_as_there_is_ipp(app: TestApp) -> None:
    await create_checklist_fixture(app)
    results = await asyncio.gather(
        *(settle(app, ipp(number, -2.0), strict=True) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, InsufficientIpp) for result in results) == 6
    assert (await balance(app)).ipp_available_h == 1.0
    assert await totals_equal_ledger(app)


async def test_B56_refunds_lower_the_charge_and_a_new_summary_replaces_it(app: TestApp) -> None:
    await create_checklist_fixture(app)
    assert await charged(app, charge(1, 0.1), charge(2, 0.2)) == {1: 0.1, 2: 0.2}
    assert (await balance(app)).std_used_h == pytest.approx(0.3)
    await charged(app, charge(1, 0.04))
    await charged(app, charge(1, 0.04))
    assert (await balance(app)).std_used_h == pytest.approx(0.24)
    await charged(app, charge(1, 0.0), charge(2, 0.0))
    assert (await balance(app)).std_used_h == 0.0
    assert await totals_equal_ledger(app)


async def test_B55_each_kind_of_time_has_its_own_account_and_may_be_overdrawn(app: TestApp) -> None:
    await create_checklist_fixture(app)
    await charged(app, charge(1, 11.0, "tc"), charge(2, 1.0, "rr"))
    now = await balance(app)
    assert (now.std_used_h, now.tc_used_h, now.rr_used_h) == (0.0, 11.0, 1.0)


async def test_nothing_is_charged_without_an_allocation_for_type_and_time(app: TestApp) -> None:
    await create_checklist_fixture(app)
    outside = datetime(2018, 1, 1, tzinfo=UTC)
    assert await charged(app, charge(1, 1.0, instrument_type="OTHER"), charge(2, 1.0, end_utc=outside)) == {}
    assert (await balance(app)).std_used_h == 0.0


async def test_a_charge_stays_on_the_allocation_it_was_first_made_on(app: TestApp) -> None:
    await create_checklist_fixture(app)
    await create_semester(app, "2017A", datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 6, 30, tzinfo=UTC))
    await create_allocation(app, semester="2017A")
    await charged(app, charge(1, 1.0))
    later = datetime(2017, 2, 1, tzinfo=UTC)
    await charged(app, charge(1, 2.0, start_utc=later, end_utc=later))
    assert (await balance(app)).std_used_h == 2.0


async def test_B57_parallel_identical_charges_count_once(app: TestApp) -> None:
    await create_checklist_fixture(app)
    await asyncio.gather(*(charged(app, charge(1, 0.5)) for _ in range(4)))
    assert (await balance(app)).std_used_h == 0.5


async def test_B50_a_full_real_time_booking_is_credited_back_to_its_allocation(app: TestApp) -> None:
    await create_checklist_fixture(app)
    small = await create_allocation(app, instrument_types=["X"], realtime_allocation_h=1.0)
    async with app.runtime.database.write() as session:
        booked = [
            await api.book_realtime(
                session,
                proposal_id="temp",
                at_utc=START,
                instrument_types=["1M0-CAM-A", "X"],
                hours=1.0,
                request_group_id=group,
                now=START,
            )
            for group in (1, 2)
        ]
    assert booked == [True, False]
    async with app.runtime.database.write() as session:
        await api.release_realtime(session, 1, now=START)
        await api.release_realtime(session, 1, now=START)
    async with app.runtime.database.read() as session:
        used = {item.id: item.realtime_used_h for item in await api.allocations(session, ["temp"])}
    assert used[small] == 0.0
    assert await totals_equal_ledger(app)


STEPS = st.lists(
    st.tuples(st.integers(1, 3), st.one_of(st.none(), st.floats(-4, 4, allow_subnormal=False))), max_size=8
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_I3_the_balance_stays_in_bounds_and_equals_the_ledger(
    app: TestApp, steps: list[tuple[int, float | None]]
) -> None:
    await app.reset()
    await create_checklist_fixture(app)
    for request_id, hours in steps:
        if hours is None:
            available = await release(app, request_id)
        else:
            available = await settle(app, ipp(request_id, hours))
        assert 0.0 <= available <= 10.0
        assert await totals_equal_ledger(app)
