"""Table of the ingest queue."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from ocs.kernel.database import Base

WAITING = "waiting"
ARCHIVED = "archived"
DUPLICATE = "duplicate"
QUARANTINED = "quarantined"
VANISHED = "vanished"
STATES = (WAITING, ARCHIVED, DUPLICATE, QUARANTINED, VANISHED)


class QueuedFile(Base):
    """A file that was seen in the watch folder, and what became of it.

    `path` is relative to the watch folder. `cleared` says that the file has left the place where it was
    found; until then no other row may speak of that place.
    """

    __tablename__ = "file"
    __table_args__ = (
        Index("uq_file_uncleared_path", "path", unique=True, postgresql_where=text("NOT cleared")),
        Index("ix_file_state", "state", "id"),
        CheckConstraint(
            "state IN ('waiting', 'archived', 'duplicate', 'quarantined', 'vanished')", name="state"
        ),
        {"schema": "ingest"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]
    size: Mapped[int]
    mtime_ns: Mapped[int]
    state: Mapped[str] = mapped_column(default=WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    code: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    next_try_at: Mapped[datetime]
    frame_id: Mapped[int | None]
    cleared: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime]
    modified: Mapped[datetime]
