"""What the proposals send and read."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from ocs.kernel.wire.types import (
    FilterDatetime,
    FilterFlag,
    FilterModel,
    UtcDatetime,
    WireModel,
    WireText,
    parse_free_date,
)
from ocs.portal.accounts.schemas import Email


def _free_date(value: object) -> object:
    """Read a date; what is no date is no filter."""
    try:
        return parse_free_date(str(value))
    except ValueError:
        return None


def _choice(value: object) -> object:
    """Read a filter that is true or false and, unlike a flag, nothing else."""
    try:
        return {"true": True, "false": False}[str(value).lower()]
    except KeyError:
        raise ValueError(f"Select a valid choice. {value} is not one of the available choices.") from None


class SemesterFilters(FilterModel):
    """Filters of the list of semesters."""

    semester_contains: Annotated[UtcDatetime | None, BeforeValidator(_free_date)] = Field(
        None, description="Semesters that contain this time, both ends included"
    )
    start: FilterDatetime | None = Field(None, description="Earliest start")
    start_lte: FilterDatetime | None = Field(None, description="Latest start")
    end: FilterDatetime | None = Field(None, description="Ends before this time")
    end_gt: FilterDatetime | None = Field(None, description="Ends after this time")
    id: WireText | None = Field(None, description="Part of the id, in any case")
    ordering: WireText | None = Field(None, description="id, start or end, with - for descending")


class ProposalFilters(FilterModel):
    """Filters of the list of proposals."""

    id: list[WireText] = Field([], description="Existing ids")
    semester: WireText | None = Field(None, description="Has time in this semester")
    active: Annotated[bool | None, BeforeValidator(_choice), WithJsonSchema({"type": "boolean"})] = None
    tags: WireText | None = Field(None, description="Has any of these, separated by commas")
    tac_rank: int | None = None
    tac_priority: int | None = None
    public: FilterFlag = None
    title: WireText | None = Field(None, description="The whole title")
    ordering: WireText | None = Field(None, description="Any plain field, with - for descending")


class MembershipFilters(FilterModel):
    """Filters of the list of memberships; texts are parts, in any case."""

    first_name: WireText | None = None
    last_name: WireText | None = None
    username: WireText | None = None
    email: WireText | None = None
    proposal: WireText | None = Field(None, description="An existing id")
    role: Literal["PI", "CI"] | None = None
    ordering: WireText | None = None


class InvitationFilters(FilterModel):
    """Filters of the list of invitations."""

    proposal: WireText | None = Field(None, description="An existing id")
    pending: FilterFlag = Field(None, description="Not yet used")
    ordering: WireText | None = None


class SemesterShown(BaseModel):
    """A semester."""

    id: str
    start: UtcDatetime
    end: UtcDatetime


class Person(BaseModel):
    """Who leads a proposal."""

    first_name: str
    last_name: str
    username: str
    email: str
    institution: str


class AllocationShown(BaseModel):
    """Hours of a proposal in a semester."""

    id: int
    ipp_limit: float
    ipp_time_available: float
    std_allocation: float
    std_time_used: float
    rr_allocation: float
    rr_time_used: float
    tc_allocation: float
    tc_time_used: float
    realtime_allocation: float
    realtime_time_used: float
    semester: str
    proposal: str
    instrument_types: list[str]


class ProposalShown(BaseModel):
    """A proposal."""

    id: str
    active: bool
    title: str
    abstract: str
    tac_priority: int
    tac_rank: int
    sca: str
    public: bool
    non_science: bool
    direct_submission: bool
    tags: list[str]
    pis: list[Person]
    requestgroup_count: int
    coi_count: int
    timeallocation_set: list[AllocationShown]


class MembershipShown(BaseModel):
    """A user's part in a proposal; times in seconds, a negative limit is none."""

    username: str
    first_name: str
    last_name: str
    email: str
    role: Literal["PI", "CI"]
    proposal: str
    time_limit: int
    time_used_by_user: int
    simple_interface: bool
    id: int


class InvitationShown(BaseModel):
    """An invitation to somebody who has no account yet."""

    id: int
    role: Literal["PI", "CI"]
    email: str
    time_limit: int
    sent: UtcDatetime | None
    used: UtcDatetime | None
    proposal: str


class SemesterPerson(BaseModel):
    """Who leads a proposal, as the public sees it."""

    first_name: str
    last_name: str
    institution: str


class SemesterHours(BaseModel):
    """Hours on one set of instrument types."""

    std: float
    rr: float
    tc: float
    realtime: float


class SemesterProposal(BaseModel):
    """A proposal with time in a semester, as the public sees it."""

    id: str
    title: str
    abstract: str
    allocation: dict[str, SemesterHours]
    pis: list[SemesterPerson]
    sca_id: str
    sca_name: str
    semesters: list[str]


class AllocatedPerson(BaseModel):
    """Who leads a proposal, by name."""

    first_name: str
    last_name: str


class AllocatedProposal(BaseModel):
    """A proposal beside its allocation."""

    notes: str
    id: str
    tac_priority: int
    num_users: int
    tags: list[str]
    pis: list[AllocatedPerson]


class SemesterAllocation(BaseModel):
    """An allocation of a semester, with its proposal."""

    id: int
    ipp_limit: float
    ipp_time_available: float
    std_allocation: float
    std_time_used: float
    rr_allocation: float
    rr_time_used: float
    tc_allocation: float
    tc_time_used: float
    realtime_allocation: float
    realtime_time_used: float
    proposal: AllocatedProposal
    instrument_types: list[str]


class NotificationChange(WireModel):
    """Whether mail is wanted about a proposal."""

    enabled: bool


class LimitChange(WireModel):
    """A limit of observing time; any negative number is none."""

    time_limit_hours: float = Field(le=1e6, ge=-1e6)


class Invite(WireModel):
    """Whom to invite, and the limit in seconds of each; -1 is none."""

    emails: list[Email]
    time_limit: int = Field(-1, ge=-1, le=2**40)
