"""The proposals' door for other modules."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from ocs.kernel.database import ReadSession, WriteSession
from ocs.portal.proposals import ledger, repository
from ocs.portal.proposals.records import (
    Account,
    Allocation,
    IppTarget,
    Proposal,
    Recipient,
    Semester,
    Standing,
    TimeCharge,
    semester_containing,
)
from ocs.portal.proposals.sections import (
    apply_memberships,
    apply_proposals,
    apply_scas,
    apply_semesters,
    apply_time_allocations,
)

__all__ = [
    "Account",
    "Allocation",
    "IppTarget",
    "Proposal",
    "Recipient",
    "Semester",
    "Standing",
    "TimeCharge",
    "allocations",
    "apply_memberships",
    "apply_proposals",
    "apply_scas",
    "apply_semesters",
    "apply_time_allocations",
    "book_realtime",
    "charge_time",
    "get_proposals",
    "notification_recipients",
    "release_ipp",
    "release_realtime",
    "semester_containing",
    "semesters",
    "settle_ipp",
    "standing",
]


async def get_proposals(session: ReadSession, ids: Iterable[str]) -> dict[str, Proposal]:
    """Return the proposals with these ids; unknown ids are missing from the answer."""
    return {proposal.id: proposal for proposal in await repository.proposals_by_id(session, ids)}


async def standing(session: ReadSession, user_id: int, proposal_id: str) -> Standing:
    """Return what a user may spend of a proposal, and all semesters by start, in one statement."""
    return await repository.standing(session, user_id, proposal_id)


async def semesters(session: ReadSession) -> list[Semester]:
    """Return all semesters by start; `semester_containing` finds one among them."""
    return await repository.semesters(session)


async def allocations(
    session: ReadSession,
    proposal_ids: Iterable[str],
    *,
    semester_ids: Iterable[str] | None = None,
    lock: bool = False,
) -> list[Allocation]:
    """Return the time allocations of proposals, all semesters unless some are named.

    With `lock` (and a write session) nobody else can debit them until the transaction ends.
    """
    return await repository.allocations(session, proposal_ids, semester_ids, lock=lock)


async def settle_ipp(
    session: WriteSession,
    targets: Sequence[IppTarget],
    *,
    cause: str,
    now: datetime,
    strict: bool = False,
) -> None:
    """Bring the whole IPP effect of the requests named by `targets` to what `targets` say.

    A request's effects that no target names are taken back. Repeating a call changes nothing. A balance never
    falls below 0 nor is credited above its limit; the ledger has what was really moved. Targets without an
    allocation are ignored.

    Parameters
    ----------
    targets
        Negative hours are debits. Several for one request and allocation add up.
    cause
        Text of the ledger entries, e.g. ``request group created``.
    now
        Time of the ledger entries.
    strict
        Refuse a debit that is larger than the balance instead of taking what is there.

    Raises
    ------
    InsufficientIpp
        With `strict`.
    """
    await ledger.settle_ipp(session, targets, cause=cause, now=now, strict=strict)


async def release_ipp(
    session: WriteSession, request_ids: Iterable[int], *, cause: str, now: datetime
) -> None:
    """Take back every IPP debit and credit of these requests exactly (never above the limit)."""
    await ledger.release_ipp(session, request_ids, cause=cause, now=now)


async def charge_time(
    session: WriteSession, charges: Sequence[TimeCharge], *, cause: str, now: datetime
) -> dict[int, float]:
    """Bring the time charged for configuration statuses to what `charges` say, up or down.

    Repeating a call changes nothing; a refund is a call with fewer hours. An allocation may be overdrawn.

    Returns
    -------
    dict of int to float
        Hours now charged by configuration status id. A status for which no allocation exists is missing:
        nothing was charged.
    """
    return await ledger.charge_time(session, charges, cause=cause, now=now)


async def book_realtime(
    session: WriteSession,
    *,
    proposal_id: str,
    at_utc: datetime,
    instrument_types: Iterable[str],
    hours: float,
    request_group_id: int,
    now: datetime,
) -> bool:
    """Debit a real-time session from the allocation with the most free real-time hours.

    Considered are the proposal's allocations of the semester at `at_utc` that contain any of
    `instrument_types`. False: none of them has `hours` left, nothing was debited.
    """
    return await ledger.book_realtime(
        session,
        proposal_id=proposal_id,
        at_utc=at_utc,
        instrument_types=instrument_types,
        hours=hours,
        request_group_id=request_group_id,
        now=now,
    )


async def release_realtime(session: WriteSession, request_group_id: int, *, now: datetime) -> None:
    """Credit what a real-time session was debited, exactly and on the same allocation."""
    await ledger.release_realtime(session, request_group_id, now=now)


async def notification_recipients(
    session: ReadSession, proposal_id: str, submitter_id: int | None
) -> list[Recipient]:
    """Return who gets mail about a request of `submitter_id`: each active person once."""
    return await repository.recipients(session, proposal_id, submitter_id)
