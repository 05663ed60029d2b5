"""Requests as observations see them."""

from collections.abc import Iterable

from sqlalchemy import text

from ocs.kernel.database import ReadSession, WriteSession
from ocs.portal.observations.records import Asked, TelescopeKey
from ocs.portal.requests.states import ObservationType, Operator, State

_ASKED = """
    SELECT r.id, r.state, r.group_id, g.state AS group_state, g.proposal_id, g.submitter_id,
           g.observation_type, g.operator, g.ipp_value, r.telescope_class, r.site, r.enclosure, r.telescope,
           r.configuration_repeats, r.acceptability_threshold, r.type_seconds, r.semester_id,
           r.configurations,
           ARRAY(SELECT w.start FROM requests.window w WHERE w.request_id = r.id ORDER BY w.id) AS starts,
           ARRAY(SELECT w."end" FROM requests.window w WHERE w.request_id = r.id ORDER BY w.id) AS ends
    FROM requests.request r JOIN requests.request_group g ON g.id = r.group_id
    WHERE r.id = ANY(CAST(:ids AS bigint[]))
    ORDER BY r.id
"""
_LOCK_GROUP = text(
    "SELECT g.id FROM requests.request_group g JOIN requests.request r ON r.group_id = g.id "
    "WHERE r.id = :request_id FOR UPDATE OF g"
)


async def asked(session: ReadSession, ids: Iterable[int], *, share: bool = False) -> dict[int, Asked]:
    """Return requests by id; unknown ids are missing.

    With `share` (and a write session) their states cannot change until the transaction ends.
    """
    statement = text(_ASKED + (" FOR SHARE OF r" if share else ""))
    rows = await session.execute(statement, {"ids": sorted(set(ids))})
    return {
        row.id: Asked(
            id=row.id,
            state=State(row.state),
            group_id=row.group_id,
            group_state=State(row.group_state),
            proposal_id=row.proposal_id,
            submitter_id=row.submitter_id,
            observation_type=ObservationType(row.observation_type),
            operator=Operator(row.operator),
            ipp_value=row.ipp_value,
            telescope_class=row.telescope_class,
            place=TelescopeKey(row.site, row.enclosure, row.telescope),
            repeats=row.configuration_repeats,
            threshold_percent=row.acceptability_threshold,
            type_seconds=row.type_seconds,
            semester_id=row.semester_id,
            configurations=sorted(row.configurations, key=lambda item: int(item["priority"])),
            windows=list(zip(row.starts, row.ends, strict=True)),
        )
        for row in rows
    }


async def lock_group(session: WriteSession, request_id: int) -> None:
    """Let nobody else change states in the group of a request until the transaction ends.

    Whoever changes states locks in the order group, requests, observations, so nobody waits in a circle.
    """
    await session.execute(_LOCK_GROUP, {"request_id": request_id})
