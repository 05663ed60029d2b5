"""The table of downtimes."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from ocs.kernel.database import Base


class DowntimeRow(Base):
    """A time in which a telescope is not to be used; with `instrument_type` only instruments of that type.

    Places are kept by code: a downtime outlives the configuration it was made for. Downtimes may overlap.
    """

    __tablename__ = "downtime"
    __table_args__ = (
        CheckConstraint('"end" > start', name="end_after_start"),
        Index(None, "site", "enclosure", "telescope", "start", "end"),
        Index(None, "end", "start"),
        {"schema": "downtime"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[datetime]
    end: Mapped[datetime]
    site: Mapped[str]
    enclosure: Mapped[str]
    telescope: Mapped[str]
    instrument_type: Mapped[str]
    reason: Mapped[str]
    created: Mapped[datetime]
    modified: Mapped[datetime]
    created_by: Mapped[str]
