"""Tables of the proposals.

Hours are NUMERIC: a refund restores exactly what a debit took, and each total equals the sum of its ledger.
"""

from datetime import datetime
from typing import Annotated

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from ocs.kernel.database import Base

_FALSE = text("false")
_EMPTY = text("''")
_ZERO = text("0")
_USER = "accounts.user.id"
_PROPOSAL = "proposals.proposal.id"

Hours = Annotated[float, mapped_column(Numeric(asdecimal=False), server_default=_ZERO)]


class Semester(Base):
    """A span of time in which allocations hold. Two semesters may touch, never overlap."""

    __tablename__ = "semester"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="order"),
        ExcludeConstraint(
            (func.tstzrange(text("starts_at"), text("ends_at")), "&&"), name="ex_semester_overlap"
        ),
        {"schema": "proposals"},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]


class Sca(Base):
    """A science collaboration that brings in proposals."""

    __tablename__ = "sca"
    __table_args__ = ({"schema": "proposals"},)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(server_default=_EMPTY)
    admin_id: Mapped[int | None] = mapped_column(ForeignKey(_USER, ondelete="SET NULL"), unique=True)


class CollaborationAllocation(Base):
    """Hours of a science collaboration on the telescopes with one name."""

    __tablename__ = "collaboration_allocation"
    __table_args__ = (UniqueConstraint("sca_id", "telescope_name"), {"schema": "proposals"})

    id: Mapped[int] = mapped_column(primary_key=True)
    sca_id: Mapped[str] = mapped_column(ForeignKey("proposals.sca.id", ondelete="CASCADE"))
    telescope_name: Mapped[str]
    allocation_h: Mapped[Hours]


class Proposal(Base):
    """A programme of observations."""

    __tablename__ = "proposal"
    __table_args__ = (
        CheckConstraint("tac_priority >= 0 AND tac_rank >= 0", name="rank"),
        Index("ix_proposal_tags", "tags", postgresql_using="gin"),
        {"schema": "proposals"},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    sca_id: Mapped[str] = mapped_column(ForeignKey("proposals.sca.id"), index=True)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    title: Mapped[str] = mapped_column(server_default=_EMPTY)
    abstract: Mapped[str] = mapped_column(server_default=_EMPTY)
    tac_priority: Mapped[int] = mapped_column(server_default=_ZERO)
    tac_rank: Mapped[int] = mapped_column(server_default=_ZERO)
    public: Mapped[bool] = mapped_column(server_default=_FALSE)
    non_science: Mapped[bool] = mapped_column(server_default=_FALSE)
    direct_submission: Mapped[bool] = mapped_column(server_default=_FALSE)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    notes: Mapped[str] = mapped_column(server_default=_EMPTY)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]


class Membership(Base):
    """A user's part in a proposal. A negative time limit is none."""

    __tablename__ = "membership"
    __table_args__ = (
        UniqueConstraint("user_id", "proposal_id"),
        CheckConstraint("role IN ('PI', 'CI')", name="role"),
        {"schema": "proposals"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    proposal_id: Mapped[str] = mapped_column(ForeignKey(_PROPOSAL, ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"))
    role: Mapped[str]
    time_limit_s: Mapped[int] = mapped_column(server_default=text("-1"))


class Invitation(Base):
    """A place in a proposal for whoever registers with this e-mail address."""

    __tablename__ = "invitation"
    __table_args__ = (
        Index("uq_invitation_proposal_id_email", "proposal_id", text("lower(email)"), unique=True),
        Index("ix_invitation_email", text("lower(email)")),
        CheckConstraint("role IN ('PI', 'CI')", name="role"),
        {"schema": "proposals"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    proposal_id: Mapped[str] = mapped_column(ForeignKey(_PROPOSAL, ondelete="CASCADE"))
    role: Mapped[str]
    email: Mapped[str]
    time_limit_s: Mapped[int] = mapped_column(server_default=text("-1"))
    sent_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class Notification(Base):
    """A user's wish for mail about a proposal's requests."""

    __tablename__ = "notification"
    __table_args__ = ({"schema": "proposals"},)

    proposal_id: Mapped[str] = mapped_column(ForeignKey(_PROPOSAL, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey(_USER, ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )


class TimeAllocation(Base):
    """Hours a proposal has in a semester on a set of instrument types. Use may exceed the allocation."""

    __tablename__ = "time_allocation"
    __table_args__ = (
        CheckConstraint("ipp_available_h >= 0", name="ipp"),
        UniqueConstraint("id", "proposal_id", "semester_id"),
        Index("ix_time_allocation_proposal_id_semester_id", "proposal_id", "semester_id"),
        {"schema": "proposals"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    proposal_id: Mapped[str] = mapped_column(ForeignKey(_PROPOSAL, ondelete="CASCADE"))
    semester_id: Mapped[str] = mapped_column(ForeignKey("proposals.semester.id"), index=True)
    std_allocation_h: Mapped[Hours]
    std_used_h: Mapped[Hours]
    rr_allocation_h: Mapped[Hours]
    rr_used_h: Mapped[Hours]
    tc_allocation_h: Mapped[Hours]
    tc_used_h: Mapped[Hours]
    realtime_allocation_h: Mapped[Hours]
    realtime_used_h: Mapped[Hours]
    ipp_limit_h: Mapped[Hours]
    ipp_available_h: Mapped[Hours]


class AllocatedType(Base):
    """An instrument type of an allocation.

    The key makes two allocations of one proposal and semester that share a type impossible, and finds the
    allocation of a (proposal, semester, type) directly.
    """

    __tablename__ = "allocated_type"
    __table_args__ = (
        Index("ix_allocated_type_allocation_id", "allocation_id"),
        {"schema": "proposals"},
    )

    proposal_id: Mapped[str] = mapped_column(primary_key=True)
    semester_id: Mapped[str] = mapped_column(primary_key=True)
    instrument_type: Mapped[str] = mapped_column(primary_key=True)
    allocation_id: Mapped[int] = mapped_column(ForeignKey("proposals.time_allocation.id", ondelete="CASCADE"))
    position: Mapped[int]


class LedgerEntry(Base):
    """One debit or credit of an allocation, and its cause.

    `hours` is added to ``<account>_used_h``, or to ``ipp_available_h`` when the account is ``ipp``. The ids
    name rows of other modules, which may be gone while the ledger stays.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint("account IN ('std', 'rr', 'tc', 'realtime', 'ipp')", name="account"),
        Index("ix_ledger_entry_request_id", "request_id", postgresql_where=text("request_id IS NOT NULL")),
        Index(
            "ix_ledger_entry_configuration_status_id",
            "configuration_status_id",
            postgresql_where=text("configuration_status_id IS NOT NULL"),
        ),
        Index(
            "ix_ledger_entry_request_group_id",
            "request_group_id",
            postgresql_where=text("request_group_id IS NOT NULL"),
        ),
        {"schema": "proposals"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    allocation_id: Mapped[int] = mapped_column(
        ForeignKey("proposals.time_allocation.id", ondelete="CASCADE"), index=True
    )
    account: Mapped[str]
    hours: Mapped[float] = mapped_column(Numeric(asdecimal=False))
    cause: Mapped[str]
    request_group_id: Mapped[int | None]
    request_id: Mapped[int | None]
    configuration_status_id: Mapped[int | None]
    recorded_at: Mapped[datetime]
