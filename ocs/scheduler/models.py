"""Tables of the scheduler: its runs, and what each run knew of every request."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from ocs.kernel.database import Base


class Run(Base):
    """One scheduling run.

    `sequence` is the change number its inputs had; `estimate_s` how many real seconds the next run is
    expected to take; `must_repeat` that something was in the way and another run shall follow.
    """

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("status IN ('optimal', 'feasible', 'failed')", name="status"),
        Index(None, "started_at"),
        {"schema": "scheduler"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    trigger: Mapped[str]
    status: Mapped[str]
    sequence: Mapped[int]
    must_repeat: Mapped[bool]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    valid_from: Mapped[datetime]
    horizon_end: Mapped[datetime]
    estimate_s: Mapped[float]
    timings_s: Mapped[dict[str, Any]]
    requests: Mapped[int]
    telescopes: Mapped[int]
    scheduled: Mapped[int]
    objective: Mapped[float]
    bound: Mapped[float]
    changes: Mapped[dict[str, Any]]
    error: Mapped[str]

    @property
    def gap(self) -> float:
        """Relative distance to the bound; 0 when there is nothing to do."""
        return (self.bound - self.objective) / self.bound if self.bound > 0 else 0.0


class Knowledge(Base):
    """What a run knew of every request, packed; see `ocs.scheduler.explain`."""

    __tablename__ = "knowledge"
    __table_args__ = ({"schema": "scheduler"},)

    run_id: Mapped[int] = mapped_column(
        ForeignKey("scheduler.run.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    content: Mapped[bytes]
