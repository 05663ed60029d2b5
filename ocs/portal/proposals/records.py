"""What passes the proposals' door: plain values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Account = Literal["std", "rr", "tc", "realtime"]
"""Which of an allocation's hours: standard, rapid response, time critical, real time."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as other modules see it."""

    id: str
    title: str
    active: bool
    public: bool
    non_science: bool
    direct_submission: bool
    tac_priority: int
    tac_rank: int
    sca_id: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Semester:
    """A span of time in which allocations hold."""

    id: str
    start_utc: datetime
    end_utc: datetime


@dataclass(frozen=True, slots=True)
class Allocation:
    """Hours of a proposal in a semester, shared by some instrument types."""

    id: int
    proposal_id: str
    semester_id: str
    instrument_types: tuple[str, ...]
    std_allocation_h: float
    std_used_h: float
    rr_allocation_h: float
    rr_used_h: float
    tc_allocation_h: float
    tc_used_h: float
    realtime_allocation_h: float
    realtime_used_h: float
    ipp_limit_h: float
    ipp_available_h: float

    def allocated_h(self, account: Account) -> float:
        """Return the hours given on `account`."""
        hours: float = getattr(self, f"{account}_allocation_h")
        return hours

    def used_h(self, account: Account) -> float:
        """Return the hours used on `account`; may exceed what was given."""
        hours: float = getattr(self, f"{account}_used_h")
        return hours


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody may spend of a proposal.

    `proposal` is None if there is none of that id, `time_limit_s` if they are not a member of it; a negative
    limit is none.
    """

    semesters: tuple[Semester, ...]
    proposal: Proposal | None
    time_limit_s: int | None
    allocations: tuple[Allocation, ...]


@dataclass(frozen=True, slots=True)
class IppTarget:
    """What a request's intra-proposal priority shall have cost or earned on one allocation.

    `hours` is the request's whole effect on the available IPP: negative is a debit, positive a credit.
    """

    request_id: int
    proposal_id: str
    semester_id: str
    instrument_type: str
    hours: float


@dataclass(frozen=True, slots=True)
class TimeCharge:
    """What one configuration status shall have been charged in all.

    The allocation is that of the semester which contains `start_utc` to `end_utc`, unless the status was
    charged before; then it stays where it was.
    """

    configuration_status_id: int
    request_id: int
    proposal_id: str
    instrument_type: str
    start_utc: datetime
    end_utc: datetime
    account: Account
    hours: float


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who gets mail about a proposal's requests."""

    user_id: int
    first_name: str
    email: str


def semester_containing(
    semesters: Iterable[Semester], start_utc: datetime, end_utc: datetime | None = None
) -> Semester | None:
    """Return the semester that contains an instant, or a whole interval; both ends belong to it.

    Where two semesters touch, the later one has the common instant.
    """
    end_utc = end_utc or start_utc
    found = [item for item in semesters if item.start_utc <= start_utc and end_utc <= item.end_utc]
    return max(found, key=lambda item: item.start_utc, default=None)
