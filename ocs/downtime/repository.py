"""All SQL of the downtimes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from ocs.downtime.models import DowntimeRow
from ocs.kernel.database import ReadSession


async def overlapping(session: ReadSession, start_utc: datetime, end_utc: datetime) -> Sequence[DowntimeRow]:
    """Return what overlaps an interval, by start."""
    statement = (
        select(DowntimeRow)
        .where(DowntimeRow.end > start_utc, DowntimeRow.start < end_utc)
        .order_by(DowntimeRow.start, DowntimeRow.id)
    )
    return (await session.scalars(statement)).all()
