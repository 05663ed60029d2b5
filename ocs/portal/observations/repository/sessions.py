"""Real-time sessions, and what stands in their way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, text

from ocs.kernel.database import ReadSession
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.observations.records import Observation, TelescopeKey
from ocs.portal.observations.repository import lists
from ocs.portal.observations.repository.lists import Found
from ocs.portal.observations.states import ObservationState
from ocs.portal.requests.api import ObservationType

_BUSY = text(
    """
    SELECT o.site, o.enclosure, o.telescope, o.start, o."end", o.state, o.observation_type, g.submitter_id
    FROM observations.observation o
    JOIN requests.request r ON r.id = o.request_id
    JOIN requests.request_group g ON g.id = r.group_id
    WHERE o.state IN ('PENDING', 'IN_PROGRESS') AND o.start < :end AND o."end" > :start
    """
)


@dataclass(frozen=True, slots=True)
class Busy:
    """A time at which a telescope, or a person, has something to do."""

    telescope: TelescopeKey
    start: datetime
    end: datetime
    state: ObservationState
    observation_type: ObservationType
    submitter_id: int


async def busy(session: ReadSession, start: datetime, end: datetime) -> Sequence[Busy]:
    """Return what is open and overlaps a stretch of time, everywhere."""
    rows = await session.execute(_BUSY, {"start": start, "end": end})
    return [
        Busy(
            TelescopeKey(row.site, row.enclosure, row.telescope),
            row.start,
            row.end,
            ObservationState(row.state),
            ObservationType(row.observation_type),
            row.submitter_id,
        )
        for row in rows
    ]


def _own(principal: Principal) -> list[ColumnElement[bool]]:
    """Return the condition for the sessions that are a caller's; staff have all."""
    conditions = [lists.of_type(ObservationType.REAL_TIME)]
    return conditions if principal.is_staff else [*conditions, lists.submitted_by(principal)]


async def page_of_sessions(session: ReadSession, principal: Principal, page: PageRequest) -> Found:
    """Return a page of a caller's sessions, the latest first."""
    return await lists.page_where(session, _own(principal), None, page)


async def find_session(session: ReadSession, principal: Principal, id_: int) -> Observation | None:
    """Return a caller's session."""
    return await lists.find_where(session, id_, _own(principal))
