"""The sections of an observatory file that say who may observe, and how much."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, field_validator
from sqlalchemy import select

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.wire.types import UtcDatetime
from ocs.portal.accounts import api as accounts
from ocs.portal.proposals import repository
from ocs.portal.proposals.models import AllocatedType, Membership, Proposal, Sca, Semester, TimeAllocation
from ocs.portal.proposals.repository import Entry
from ocs.portal.sections import Row, Section, assign

OPENING = "opening balance"


class SemesterRow(Row):
    """A row of `semesters`."""

    id: str = Field(min_length=1, max_length=20)
    start: UtcDatetime
    end: UtcDatetime


class ScaRow(Row):
    """A row of `scas`; `admin` is a username."""

    id: str = Field(min_length=1, max_length=20)
    name: str = Field("", max_length=255)
    admin: str | None = None


class ProposalRow(Row):
    """A row of `proposals`."""

    id: str = Field(pattern=r"^[^/\x00-\x1f]{1,255}$")
    sca: str
    title: str = Field("", max_length=255)
    abstract: str = ""
    active: bool = True
    public: bool = False
    non_science: bool = False
    direct_submission: bool = False
    tac_priority: int = Field(0, ge=0)
    tac_rank: int = Field(0, ge=0)
    tags: list[str] = Field([])
    notes: str = ""


class MembershipRow(Row):
    """A row of `memberships`; `time_limit` in seconds, negative for none."""

    user: str
    proposal: str
    role: Literal["PI", "CI"]
    time_limit: int = -1


class AllocationRow(Row):
    """A row of `time_allocations`, in hours. What was used counts only when the allocation is created."""

    proposal: str
    semester: str
    instrument_types: list[str] = Field(min_length=1)
    std_allocation: float = Field(0.0, ge=0)
    std_time_used: float = Field(0.0, ge=0)
    rr_allocation: float = Field(0.0, ge=0)
    rr_time_used: float = Field(0.0, ge=0)
    tc_allocation: float = Field(0.0, ge=0)
    tc_time_used: float = Field(0.0, ge=0)
    realtime_allocation: float = Field(0.0, ge=0)
    realtime_time_used: float = Field(0.0, ge=0)
    ipp_limit: float | None = Field(None, ge=0)
    ipp_time_available: float | None = Field(None, ge=0)

    @field_validator("instrument_types")
    @classmethod
    def _upper(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(item.upper() for item in value))


async def apply_semesters(session: WriteSession, raw: Sequence[Any]) -> Section:
    """Create or change semesters."""
    section = Section("semesters")
    known = {semester.id: semester for semester in await session.scalars(select(Semester))}
    for index, row in section.rows(raw, SemesterRow, "id"):
        if row.end <= row.start:
            section.problem(index, "end", "must be after the start")
            continue
        clash = [
            other.id
            for other in known.values()
            if other.id != row.id and other.starts_at < row.end and row.start < other.ends_at
        ]
        if clash:
            section.problem(index, "start", f"overlaps the semester {clash[0]}")
            continue
        values = {"starts_at": row.start, "ends_at": row.end}
        if row.id not in known:
            known[row.id] = Semester(id=row.id, **values)
            session.add(known[row.id])
            section.changes.append(f"semester {row.id} created")
        elif assign(known[row.id], values):
            section.changes.append(f"semester {row.id} changed")
    return await _finish(session, section)


async def apply_scas(session: WriteSession, raw: Sequence[Any]) -> Section:
    """Create or change science collaborations."""
    section = Section("scas")
    rows = list(section.rows(raw, ScaRow, "id"))
    known = {sca.id: sca for sca in await session.scalars(select(Sca))}
    admins = await accounts.users_by_username(session, [row.admin for _, row in rows if row.admin])
    for index, row in rows:
        if row.admin is not None and row.admin not in admins:
            section.problem(index, "admin", f"there is no user {row.admin}")
            continue
        values: dict[str, Any] = row.model_dump(exclude_unset=True, exclude={"id", "admin"})
        if row.admin is not None:
            values["admin_id"] = admins[row.admin].id
        if row.id not in known:
            session.add(Sca(id=row.id, **values))
            section.changes.append(f"science collaboration {row.id} created")
        elif assign(known[row.id], values):
            section.changes.append(f"science collaboration {row.id} changed")
    return await _finish(session, section)


async def apply_proposals(session: WriteSession, raw: Sequence[Any], *, now: datetime) -> Section:
    """Create or change proposals."""
    section = Section("proposals")
    rows = list(section.rows(raw, ProposalRow, "id"))
    scas = set(await session.scalars(select(Sca.id)))
    known = {
        proposal.id: proposal
        for proposal in await session.scalars(
            select(Proposal).where(Proposal.id.in_([row.id for _, row in rows]))
        )
    }
    for index, row in rows:
        if row.sca not in scas:
            section.problem(index, "sca", f"there is no science collaboration {row.sca}")
            continue
        values = row.model_dump(exclude_unset=True, exclude={"id", "sca"}) | {"sca_id": row.sca}
        if row.id not in known:
            session.add(Proposal(id=row.id, created_at=now, modified_at=now, **values))
            section.changes.append(f"proposal {row.id} created")
        elif assign(known[row.id], values):
            known[row.id].modified_at = now
            section.changes.append(f"proposal {row.id} changed")
    return await _finish(session, section)


async def apply_memberships(session: WriteSession, raw: Sequence[Any]) -> Section:
    """Create or change memberships."""
    section = Section("memberships")
    rows = list(section.rows(raw, MembershipRow, "user", "proposal"))
    users = await accounts.users_by_username(session, [row.user for _, row in rows])
    proposals = await _known_proposals(session, [row.proposal for _, row in rows])
    known = {
        (membership.user_id, membership.proposal_id): membership
        for membership in await session.scalars(
            select(Membership).where(Membership.proposal_id.in_(proposals))
        )
    }
    for index, row in rows:
        if row.user not in users:
            section.problem(index, "user", f"there is no user {row.user}")
        if row.proposal not in proposals:
            section.problem(index, "proposal", f"there is no proposal {row.proposal}")
        if row.user not in users or row.proposal not in proposals:
            continue
        key = (users[row.user].id, row.proposal)
        values = {"role": row.role, "time_limit_s": row.time_limit}
        if key not in known:
            session.add(Membership(user_id=key[0], proposal_id=key[1], **values))
            section.changes.append(f"{row.user} joined {row.proposal}")
        elif assign(known[key], values):
            section.changes.append(f"membership of {row.user} in {row.proposal} changed")
    return await _finish(session, section)


async def apply_time_allocations(
    session: WriteSession,
    raw: Sequence[Any],
    *,
    now: datetime,
    known_instrument_types: Collection[str] | None = None,
) -> Section:
    """Create allocations, or change their limits; used time and available IPP are never changed back.

    Parameters
    ----------
    known_instrument_types
        Codes the configuration has; others are accepted with a warning. None: do not compare.
    """
    section = Section("time_allocations")
    rows = list(section.rows(raw, AllocationRow))
    proposals = await _known_proposals(session, [row.proposal for _, row in rows])
    semesters = set(await session.scalars(select(Semester.id)))
    existing = {item.id: item for item in await repository.allocations(session, proposals, None, lock=True)}
    owner = {
        (item.proposal_id, item.semester_id, code): item.id
        for item in existing.values()
        for code in item.instrument_types
    }
    mentioned: dict[tuple[str, str, str], int] = {}
    opening: list[Entry] = []
    for index, row in rows:
        if row.proposal not in proposals:
            section.problem(index, "proposal", f"there is no proposal {row.proposal}")
        if row.semester not in semesters:
            section.problem(index, "semester", f"there is no semester {row.semester}")
        if row.proposal not in proposals or row.semester not in semesters:
            continue
        keys = [(row.proposal, row.semester, code) for code in row.instrument_types]
        if twice := [key for key in keys if key in mentioned]:
            section.problem(
                index,
                "instrument_types",
                f"{twice[0][2]} is in row {mentioned[twice[0]]} of this proposal too",
            )
            continue
        mentioned |= dict.fromkeys(keys, index)
        if known_instrument_types is not None:
            for code in sorted(set(row.instrument_types) - set(known_instrument_types)):
                section.warn(index, "instrument_types", f"{code} is not configured yet")
        ids = {owner.get(key) for key in keys}
        limits = _limits(row)
        if ids == {None}:
            opening += await _create(session, row, limits)
            section.changes.append(f"allocation of {row.proposal} in {row.semester} created")
        elif len(ids) > 1 or set(existing[next(iter(ids)) or 0].instrument_types) != set(
            row.instrument_types
        ):
            section.problem(
                index,
                "instrument_types",
                "shares types with another allocation of this proposal and semester; name the same types",
            )
        else:
            allocation = await session.get_one(TimeAllocation, next(iter(ids)))
            if assign(
                allocation,
                {name: hours for name, hours in limits.items() if name[:-2] in row.model_fields_set},
            ):
                section.changes.append(f"allocation of {row.proposal} in {row.semester} changed")
    await session.flush()
    await repository.post(session, opening, OPENING, now)
    return await _finish(session, section)


def _limits(row: AllocationRow) -> dict[str, float]:
    return {
        "std_allocation_h": row.std_allocation,
        "rr_allocation_h": row.rr_allocation,
        "tc_allocation_h": row.tc_allocation,
        "realtime_allocation_h": row.realtime_allocation,
        "ipp_limit_h": row.ipp_limit or 0.10 * row.std_allocation,
    }


async def _create(session: WriteSession, row: AllocationRow, limits: dict[str, float]) -> list[Entry]:
    """Create an allocation; return the entries of what it starts with."""
    allocation = TimeAllocation(proposal_id=row.proposal, semester_id=row.semester, **limits)
    session.add(allocation)
    await session.flush()
    session.add_all(
        AllocatedType(
            proposal_id=row.proposal,
            semester_id=row.semester,
            instrument_type=code,
            allocation_id=allocation.id,
            position=position,
        )
        for position, code in enumerate(row.instrument_types)
    )
    balances = {
        "std": row.std_time_used,
        "rr": row.rr_time_used,
        "tc": row.tc_time_used,
        "realtime": row.realtime_time_used,
        "ipp": row.ipp_time_available or 0.05 * row.std_allocation,
    }
    return [
        Entry(allocation.id, account, Decimal(str(hours))) for account, hours in balances.items() if hours
    ]


async def _known_proposals(session: WriteSession, ids: Sequence[str]) -> set[str]:
    return set(await session.scalars(select(Proposal.id).where(Proposal.id.in_(ids))))


async def _finish(session: WriteSession, section: Section) -> Section:
    await session.flush()
    if section.changes:
        changes.stamp(session, "proposals")
        changes.stamp(session, "schedule_inputs")
    return section
