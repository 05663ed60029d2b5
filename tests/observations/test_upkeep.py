"""Refunds, recounts, failure limits and the hourly clean-up."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from ocs.portal.observations import api
from ocs.portal.observations.service import cancelling
from tests.observations.test_cancelling import cancel, state_of
from tests.observations.test_reporting import TEN_MINUTES_H, report, states, summary, used
from tests.support.app import NOW, TestApp
from tests.support.observations import place, requested, submit, z

Asked = dict[str, Any]


@pytest_asyncio.fixture
async def two_failures(app: TestApp) -> AsyncIterator[None]:
    """Let two failures end a request."""
    settings = app.runtime.settings
    app.runtime.settings = settings.model_copy(update={"max_failures_per_request": 2})
    yield
    app.runtime.settings = settings


async def test_B58_a_request_is_given_up_after_so_many_failures(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, two_failures: None
) -> None:
    before = await used(app, "ipp_available_h")
    asked = await submit(alice, requested(ipp_value=1.5))
    debited = await used(app, "ipp_available_h")
    assert debited < before
    for _ in range(3):
        await place(staff, asked)
    await report(staff, 1, state="FAILED")
    assert await states(staff, asked, 1) == ("FAILED", "PENDING", "PENDING")
    await report(staff, 2, state="FAILED")
    assert await states(staff, asked, 2) == ("FAILED", "FAILURE_LIMIT_REACHED", "FAILURE_LIMIT_REACHED")
    assert await used(app, "ipp_available_h") == pytest.approx(before)
    await report(staff, 3, state="COMPLETED", summary=summary())
    assert await states(staff, asked, 3) == ("COMPLETED", "COMPLETED", "COMPLETED")
    assert await used(app, "ipp_available_h") == pytest.approx(debited)


async def test_enough_exposures_count_more_than_failures(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked, two_failures: None
) -> None:
    for _ in range(2):
        await place(staff, asked)
    await report(staff, 1, state="FAILED")
    await report(staff, 2, state="FAILED", summary=summary())
    assert (await states(staff, asked, 2))[1] == "COMPLETED"


async def test_B56_refunds_do_not_add_up(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    await place(staff, asked)
    await report(staff, state="COMPLETED", summary=summary())
    for part, left in ((0.6, 0.4), (0.25, 0.4), (1.0, 0.0), (0.5, 0.0)):
        async with app.runtime.database.write() as session:
            await api.refund(session, 1, part, NOW)
        assert await used(app) == pytest.approx(left * TEN_MINUTES_H)


async def test_what_was_charged_can_be_counted_again(
    app: TestApp, alice: httpx.AsyncClient, staff: httpx.AsyncClient, asked: Asked
) -> None:
    async def differences() -> list[tuple[str, float, float]]:
        async with app.runtime.database.read() as session:
            return [(item.account, item.recorded_h, item.counted_h) for item in await api.recount(session)]

    critical = await submit(alice, requested(observation_type="TIME_CRITICAL"))
    await place(staff, asked)
    await place(staff, critical)
    await place(staff, asked)
    await report(staff, 1, state="COMPLETED", summary=summary())
    await report(staff, 2, state="FAILED", summary=summary(20))
    await report(staff, 3, state="COMPLETED", summary=summary(5))
    await report(staff, 3, state="BAD_DATA")
    assert await differences() == []
    async with app.runtime.database.write() as session:
        await api.refund(session, 1, 1.0, NOW)
    assert await differences() == [("std", 0.0, pytest.approx(TEN_MINUTES_H))]


async def test_old_canceled_observations_go(app: TestApp, staff: httpx.AsyncClient, asked: Asked) -> None:
    start = NOW + timedelta(hours=30)
    for _ in range(3):
        await place(staff, asked, start=z(start), end=z(start + timedelta(hours=1)))
    await report(staff, 2, state="ATTEMPTED")
    assert await cancel(staff, ids=[1, 2], preemption_enabled=True) == 2

    async def clean_up(days: float) -> int:
        async with app.runtime.database.write() as session:
            return await cancelling.clean_up(session, start + timedelta(days=days))

    assert await clean_up(13) == 0
    assert await clean_up(15) == 1
    assert [await state_of(staff, id_) for id_ in (1, 2, 3)] == ["GONE", "CANCELED", "PENDING"]
