"""Proposals with time for tests. The defaults are the fixture of the request group checklist."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from ocs.portal.proposals.models import (
    AllocatedType,
    LedgerEntry,
    Membership,
    Proposal,
    Sca,
    Semester,
    TimeAllocation,
)
from tests.support.accounts import create_user, user_id
from tests.support.app import TestApp


async def create_semester(
    app: TestApp,
    id: str = "2016B",  # noqa: A002 - the wire name
    start: datetime = datetime(2016, 9, 1, tzinfo=UTC),
    end: datetime = datetime(2016, 12, 31, tzinfo=UTC),
) -> str:
    """Create a semester."""
    async with app.runtime.database.write() as session:
        session.add(Semester(id=id, starts_at=start, ends_at=end))
    return id


async def create_proposal(app: TestApp, id: str = "temp", *, sca: str = "tst", **columns: Any) -> str:  # noqa: A002
    """Create an active proposal, and its science collaboration if that is missing."""
    now = app.clock.now()
    columns = {"title": id, "tac_priority": 10} | columns
    async with app.runtime.database.write() as session:
        await session.execute(insert(Sca).values(id=sca, name=sca).on_conflict_do_nothing())
        session.add(Proposal(id=id, sca_id=sca, created_at=now, modified_at=now, **columns))
    return id


async def create_membership(
    app: TestApp, username: str = "alice", proposal: str = "temp", role: str = "PI", time_limit_s: int = -1
) -> int:
    """Make a user a member of a proposal."""
    owner = await user_id(app, username)
    async with app.runtime.database.write() as session:
        membership = Membership(proposal_id=proposal, user_id=owner, role=role, time_limit_s=time_limit_s)
        session.add(membership)
        await session.flush()
        return membership.id


async def create_allocation(
    app: TestApp,
    proposal: str = "temp",
    semester: str = "2016B",
    instrument_types: Sequence[str] = ("1M0-CAM-A",),
    **hours: float,
) -> int:
    """Give a proposal time: 100 h std, 10 h rr, 10 h tc, IPP 5 of 10 h, unless `hours` says otherwise."""
    defaults = {
        "std_allocation_h": 100.0,
        "rr_allocation_h": 10.0,
        "tc_allocation_h": 10.0,
        "ipp_limit_h": 10.0,
        "ipp_available_h": 5.0,
    }
    values = defaults | hours
    async with app.runtime.database.write() as session:
        allocation = TimeAllocation(proposal_id=proposal, semester_id=semester, **values)
        session.add(allocation)
        await session.flush()
        for position, instrument_type in enumerate(instrument_types):
            session.add(
                AllocatedType(
                    proposal_id=proposal,
                    semester_id=semester,
                    instrument_type=instrument_type,
                    allocation_id=allocation.id,
                    position=position,
                )
            )
        for account in ("std", "rr", "tc", "realtime", "ipp"):
            column = "ipp_available_h" if account == "ipp" else f"{account}_used_h"
            if values.get(column):
                session.add(
                    LedgerEntry(
                        allocation_id=allocation.id,
                        account=account,
                        hours=values[column],
                        cause="opening balance",
                        recorded_at=app.clock.now(),
                    )
                )
        return allocation.id


async def create_checklist_fixture(app: TestApp) -> str:
    """Create alice, PI of proposal `temp` with time in semester 2016B; return her token."""
    token = await create_user(app, "alice")
    await create_semester(app)
    await create_proposal(app)
    await create_membership(app)
    await create_allocation(app)
    return token
