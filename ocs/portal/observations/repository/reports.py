"""What telescopes report: rows locked, judged elsewhere, and written back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text

from ocs.kernel.database import ReadSession, WriteSession
from ocs.portal.observations.records import Observation, Status, Summary, TelescopeKey, TimeDifference
from ocs.portal.observations.repository.lists import status_of
from ocs.portal.observations.states import ObservationState
from ocs.portal.requests.api import ObservationType, State

# The order of the locks is that of everybody who changes states: group, request, observation.
_LOCK = """
    SELECT o.id, o.request_id, o.proposal_id, o.observation_type, o.site, o.enclosure, o.telescope, o.start,
           o."end", o.priority, o.state, o.ours, o.created, o.modified,
           r.group_id, r.state AS request_state, r.acceptability_threshold, r.configurations,
           r.telescope_class, g.ipp_value,
           (SELECT min(w.start) FROM requests.window w WHERE w.request_id = r.id) AS first_start,
           (SELECT max(w."end") FROM requests.window w WHERE w.request_id = r.id) AS last_end,
           s.id, s.configuration_id, s.instrument_name, s.guide_camera_name, s.state, s.time_charged_h,
           s.summary_start, s.summary_end, s.summary_state, s.summary_reason, s.summary_time_completed_s,
           s.summary_events
    FROM observations.observation o
    JOIN requests.request r ON r.id = o.request_id
    JOIN requests.request_group g ON g.id = r.group_id
    JOIN observations.configuration_status s ON s.observation_id = o.id
    WHERE o.id = {observation}
    ORDER BY s.id
    FOR NO KEY UPDATE OF g, r FOR UPDATE OF o, s
"""
_LOCK_BY_ID = text(_LOCK.format(observation=":id"))
_LOCK_BY_STATUS = text(
    _LOCK.format(
        observation="(SELECT m.observation_id FROM observations.configuration_status m WHERE m.id = :id)"
    )
)
_STATUS_COLUMNS = 12
_WRITE = text(
    """
    WITH status AS (
      UPDATE observations.configuration_status s
      SET state = n.state, time_charged_h = n.time_charged_h, summary_start = n.summary_start,
          summary_end = n.summary_end, summary_state = n.summary_state, summary_reason = n.summary_reason,
          summary_time_completed_s = n.summary_time_completed_s,
          summary_events = CAST(n.summary_events AS jsonb), modified = :now
      FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:charged AS numeric[]),
                  CAST(:summary_starts AS timestamptz[]), CAST(:summary_ends AS timestamptz[]),
                  CAST(:summary_states AS text[]), CAST(:summary_reasons AS text[]),
                  CAST(:completed AS float8[]), CAST(:events AS text[]))
           AS n(id, state, time_charged_h, summary_start, summary_end, summary_state, summary_reason,
                summary_time_completed_s, summary_events)
      WHERE s.id = n.id
    )
    UPDATE observations.observation o
    SET state = :state, "end" = :end, modified = :now,
        ours = o.ours AND NOT EXISTS (
          SELECT FROM observations.observation other
          WHERE other.ours AND other.state IN ('PENDING', 'IN_PROGRESS') AND other.id <> o.id
            AND other.site = o.site AND other.enclosure = o.enclosure AND other.telescope = o.telescope
            AND other.start < :end AND other."end" > o.start)
    WHERE o.id = :id AND (o.state <> :state OR o."end" <> :end)
    """
)
_IN_THE_WAY = text(
    """
    SELECT id FROM observations.observation
    WHERE site = :site AND enclosure = :enclosure AND telescope = :telescope AND state = 'PENDING'
      AND start BETWEEN :from_utc AND :until_utc AND id <> :id
      AND observation_type = ANY(CAST(:types AS text[]))
    """
)
_FAILURES = text(
    "SELECT count(*) FROM observations.observation "
    "WHERE request_id = :request_id AND state = 'FAILED' AND id <> :id"
)

_RECOUNT = text(
    """
    WITH counted AS (
      SELECT t.allocation_id,
             CASE o.observation_type WHEN 'NORMAL' THEN 'std' WHEN 'RAPID_RESPONSE' THEN 'rr' ELSE 'tc' END
               AS account,
             sum(greatest(extract(epoch FROM
               CASE WHEN o.observation_type = 'RAPID_RESPONSE' THEN least(s.summary_end, o."end")
                    ELSE s.summary_end END - s.summary_start), 0)) / 3600 AS hours
      FROM observations.observation o
      JOIN observations.configuration_status s ON s.observation_id = o.id
      JOIN requests.configuration c ON c.id = s.configuration_id
      JOIN proposals.semester m ON m.starts_at < o."end" AND m.ends_at > o.start
      JOIN proposals.allocated_type t
        ON t.proposal_id = o.proposal_id AND t.semester_id = m.id AND t.instrument_type = c.instrument_type
      WHERE o.observation_type IN ('NORMAL', 'RAPID_RESPONSE', 'TIME_CRITICAL')
        AND o.state NOT IN ('PENDING', 'BAD_DATA') AND s.state <> 'BAD_DATA' AND s.summary_start IS NOT NULL
      GROUP BY 1, 2
    )
    SELECT a.id, a.proposal_id, a.semester_id, account.name,
           CAST(account.hours AS float8), CAST(coalesce(counted.hours, 0) AS float8)
    FROM proposals.time_allocation a
    CROSS JOIN LATERAL (VALUES ('std', a.std_used_h), ('rr', a.rr_used_h), ('tc', a.tc_used_h))
      AS account(name, hours)
    LEFT JOIN counted ON counted.allocation_id = a.id AND counted.account = account.name
    WHERE abs(account.hours - coalesce(counted.hours, 0)) > 1e-6
    ORDER BY a.id, account.name
    """
)


@dataclass(frozen=True, slots=True)
class Case:
    """An observation that is locked, and what must be known of its request to judge it."""

    observation: Observation
    group_id: int
    request_state: State
    threshold_percent: float
    configurations: Mapping[int, Mapping[str, Any]]
    telescope_class: str
    ipp_value: float
    window_start: datetime | None
    window_end: datetime | None


async def lock_case(
    session: WriteSession, *, status_id: int | None = None, observation_id: int | None = None
) -> Case | None:
    """Lock an observation, its statuses, request and group, named by its own id or a status's."""
    statement, id_ = (_LOCK_BY_STATUS, status_id) if status_id is not None else (_LOCK_BY_ID, observation_id)
    rows = (await session.execute(statement, {"id": id_})).all()
    if not rows:
        return None
    row = rows[0]
    observation = Observation(
        id=row[0],
        request_id=row.request_id,
        proposal_id=row.proposal_id,
        observation_type=ObservationType(row.observation_type),
        telescope=TelescopeKey(row.site, row.enclosure, row.telescope),
        start=row.start,
        end=row.end,
        priority=row.priority,
        state=ObservationState(row[10]),
        ours=row.ours,
        created=row.created,
        modified=row.modified,
        statuses=tuple(status_of(item[-_STATUS_COLUMNS:]) for item in rows),
    )
    return Case(
        observation=observation,
        group_id=row.group_id,
        request_state=State(row.request_state),
        threshold_percent=row.acceptability_threshold,
        configurations={item["id"]: item for item in row.configurations},
        telescope_class=row.telescope_class,
        ipp_value=row.ipp_value,
        window_start=row.first_start,
        window_end=row.last_end,
    )


async def write(
    session: WriteSession,
    before: Observation,
    statuses: Sequence[Status],
    state: ObservationState,
    end: datetime,
    now: datetime,
) -> None:
    """Store what became of an observation.

    One that was moved over another of our own scheduler's is not the scheduler's any more.

    Parameters
    ----------
    statuses
        Those that changed.
    """
    summaries: list[Summary | None] = [status.summary for status in statuses]
    await session.execute(
        _WRITE,
        {
            "id": before.id,
            "state": state,
            "end": end,
            "now": now,
            "ids": [status.id for status in statuses],
            "states": [status.state for status in statuses],
            "charged": [status.time_charged_h for status in statuses],
            "summary_starts": [item and item.start for item in summaries],
            "summary_ends": [item and item.end for item in summaries],
            "summary_states": [item and item.state for item in summaries],
            "summary_reasons": [item and item.reason for item in summaries],
            "completed": [item and item.time_completed_s for item in summaries],
            "events": [item and orjson.dumps(item.events).decode() for item in summaries],
        },
    )


async def in_the_way(
    session: ReadSession, observation: Observation, until_utc: datetime, types: Sequence[ObservationType]
) -> list[int]:
    """Return the PENDING observations that start between an observation's end and a later one, inclusive."""
    rows = await session.scalars(
        _IN_THE_WAY,
        {
            **observation.telescope._asdict(),
            "id": observation.id,
            "from_utc": observation.end,
            "until_utc": until_utc,
            "types": list(types),
        },
    )
    return list(rows)


async def other_failures(session: ReadSession, observation: Observation) -> int:
    """Return how many other observations of the same request failed."""
    return int(
        (
            await session.execute(_FAILURES, {"request_id": observation.request_id, "id": observation.id})
        ).scalar_one()
    )


async def recount(session: ReadSession) -> list[TimeDifference]:
    """Return where the hours used differ from what the telescopes' reports add up to."""
    return [TimeDifference(*row) for row in await session.execute(_RECOUNT)]
