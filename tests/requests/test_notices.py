"""Mail about requests: to whom it goes, and once for each transition."""

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select

from ocs.portal.accounts.models import Mail
from ocs.portal.requests import lifecycle
from ocs.portal.requests.states import State
from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.proposals import create_membership
from tests.support.requests import group, many, submit


@pytest_asyncio.fixture
async def readers(app: TestApp, alice: httpx.AsyncClient) -> None:
    """Members of alice's proposal: bob wants all mail, cy only about his own groups, dora none."""
    for name, columns in (
        ("bob", {"notifications_enabled": True}),
        ("cy", {"notifications_enabled": True, "notifications_on_authored_only": True}),
        ("dora", {}),
    ):
        await create_user(app, name, first_name=name.title(), **columns)
        await create_membership(app, name, role="CI")


async def move(app: TestApp, *, fails: bool = False, bad_data: bool = False, **states: State) -> None:
    async with app.runtime.database.write() as session:
        wanted = {int(name[1:]): state for name, state in states.items()}
        await lifecycle.move(session, wanted, now=app.clock.now(), cause="test", bad_data=bad_data)
        if fails:
            await session.rollback()


async def mail(app: TestApp) -> list[tuple[str, str]]:
    async with app.runtime.database.read() as session:
        rows = await session.execute(select(Mail.recipient, Mail.subject).order_by(Mail.id))
        return [tuple(row) for row in rows]


@pytest.mark.usefixtures("readers")
async def test_a_completed_group_is_told_once(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice, many(2))
    await move(app, r1=State.COMPLETED)
    assert await mail(app) == []
    await move(app, r2=State.COMPLETED, fails=True)
    assert await mail(app) == []
    await move(app, r2=State.COMPLETED)
    await move(app, r2=State.COMPLETED)
    assert await mail(app) == [("bob@example.org", "Request group test group is completed")]
    await move(app, r2=State.PENDING, bad_data=True)
    await move(app, r2=State.COMPLETED)
    assert len(await mail(app)) == 2


@pytest.mark.usefixtures("readers")
async def test_a_request_that_failed_too_often_is_told(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice, group(name="two\nlines"))
    await move(app, r1=State.FAILURE_LIMIT_REACHED)
    assert await mail(app) == [("bob@example.org", "Request 1 of two lines failed too often")]


@pytest.mark.usefixtures("readers")
async def test_other_changes_are_not_told(alice: httpx.AsyncClient, app: TestApp) -> None:
    await submit(alice)
    await submit(alice)
    await move(app, r1=State.WINDOW_EXPIRED, r2=State.CANCELED)
    assert await mail(app) == []
