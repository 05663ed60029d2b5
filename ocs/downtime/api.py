"""The door of the downtimes for other modules."""

from dataclasses import dataclass
from datetime import datetime

from ocs.downtime import repository, service
from ocs.downtime.errors import InvalidDowntime
from ocs.downtime.models import DowntimeRow
from ocs.kernel.database import ReadSession, WriteSession

__all__ = ["Downtime", "InvalidDowntime", "book", "downtimes", "release"]


@dataclass(frozen=True, slots=True)
class Downtime:
    """When a telescope, or instruments of one type on it, are not to be used.

    `instrument_type` is empty when it is the whole telescope.
    """

    id: int
    start_utc: datetime
    end_utc: datetime
    site: str
    enclosure: str
    telescope: str
    instrument_type: str
    reason: str

    @property
    def resource(self) -> str:
        """`telescope.enclosure.site` in lower case, as `Telescope.resource` of the configuration."""
        return f"{self.telescope}.{self.enclosure}.{self.site}".lower()

    def concerns(self, instrument_type: str) -> bool:
        """Tell whether instruments of `instrument_type` are down; case does not matter."""
        return self.instrument_type == "" or self.instrument_type.lower() == instrument_type.lower()


async def downtimes(session: ReadSession, start_utc: datetime, end_utc: datetime) -> list[Downtime]:
    """Return the downtimes that overlap an interval, by start; they may overlap each other."""
    return [_frozen(row) for row in await repository.overlapping(session, start_utc, end_utc)]


async def book(
    session: WriteSession,
    *,
    site: str,
    enclosure: str,
    telescope: str,
    start_utc: datetime,
    end_utc: datetime,
    instrument_type: str = "",
    reason: str = "",
    created_by: str,
    now: datetime,
) -> Downtime:
    """Make a downtime in the caller's transaction, checked as any other.

    Raises
    ------
    InvalidDowntime
        When the place does not exist, or the end is not later than the start.
    """
    data = {
        "site": site,
        "enclosure": enclosure,
        "telescope": telescope,
        "start": start_utc,
        "end": end_utc,
        "instrument_type": instrument_type,
        "reason": reason,
    }
    return _frozen(await service.create(session, data, created_by=created_by, now=now))


async def release(session: WriteSession, downtime_id: int) -> bool:
    """Delete a downtime in the caller's transaction; tell whether it was there."""
    return await service.release(session, downtime_id)


def _frozen(row: DowntimeRow) -> Downtime:
    return Downtime(
        row.id,
        row.start,
        row.end,
        row.site,
        row.enclosure,
        row.telescope,
        row.instrument_type,
        row.reason,
    )
