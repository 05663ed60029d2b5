"""The kernel's own tables."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ocs.kernel.database import Base


class ChangeCounter(Base):
    """The last number of the change sequence; exactly one row."""

    __tablename__ = "change_counter"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), {"schema": "kernel"})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


class Change(Base):
    """The latest change of each (topic, key)."""

    __tablename__ = "change"
    __table_args__ = ({"schema": "kernel"},)

    topic: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    changed_at: Mapped[datetime]


class Installation(Base):
    """Facts about this installation; exactly one row, written at the first start."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), {"schema": "kernel"})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    installed_at: Mapped[datetime]
    is_demo: Mapped[bool]


class RateCount(Base):
    """Calls of one subject that replicas took in one window of a rate limit."""

    __tablename__ = "rate_count"
    __table_args__ = ({"schema": "kernel"},)

    window_start: Mapped[datetime] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
