"""Observations that are stored, changed and taken away."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from ocs.kernel.database import ReadSession, WriteSession
from ocs.portal.observations.records import (
    NewObservation,
    ObservationRow,
    Stored,
    TelescopeKey,
)
from ocs.portal.requests.api import ObservationType

KEEP_A_TRACE = timedelta(hours=72)
"""What is taken back later than this before its start leaves no trace."""

_INSERT = text(
    """
    WITH numbered AS (
      SELECT nextval('observations.observation_id_seq') AS id, o.*
      FROM unnest(CAST(:request_ids AS bigint[]), CAST(:proposal_ids AS text[]), CAST(:types AS text[]),
                  CAST(:sites AS text[]), CAST(:enclosures AS text[]), CAST(:telescopes AS text[]),
                  CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
                  CAST(:priorities AS bigint[]))
           WITH ORDINALITY AS o(request_id, proposal_id, observation_type, site, enclosure, telescope,
                                start, "end", priority, n)
    ), stored AS (
      INSERT INTO observations.observation
        (id, request_id, proposal_id, observation_type, site, enclosure, telescope, start, "end", priority,
         state, ours, created, modified)
      SELECT id, request_id, proposal_id, observation_type, site, enclosure, telescope, start, "end",
             priority, 'PENDING', :ours, :now, :now
      FROM numbered
    ), status AS (
      INSERT INTO observations.configuration_status
        (observation_id, configuration_id, instrument_name, guide_camera_name, state, created, modified)
      SELECT numbered.id, s.configuration_id, s.instrument_name, s.guide_camera_name, 'PENDING', :now, :now
      FROM unnest(CAST(:owners AS bigint[]), CAST(:configuration_ids AS bigint[]),
                  CAST(:instruments AS text[]), CAST(:guide_cameras AS text[]))
           WITH ORDINALITY AS s(owner, configuration_id, instrument_name, guide_camera_name, place)
      JOIN numbered ON numbered.n = s.owner
      ORDER BY s.place
      RETURNING id, observation_id
    )
    SELECT numbered.id, array_agg(status.id ORDER BY status.id) FILTER (WHERE status.id IS NOT NULL)
    FROM numbered LEFT JOIN status ON status.observation_id = numbered.id
    GROUP BY numbered.id, numbered.n ORDER BY numbered.n
    """
)
_REMOVE = text(
    """
    WITH gone AS (
      DELETE FROM observations.observation
      WHERE id = ANY(CAST(:ids AS bigint[])) AND state = ANY(CAST(:states AS text[]))
        AND start >= :trace_until AND "end" > :now
      RETURNING id, request_id, observation_type, site, enclosure, telescope, start, "end", 'DELETED' AS state
    ), kept AS (
      UPDATE observations.observation
      SET state = CASE WHEN start <= :now THEN 'ABORTED' ELSE 'CANCELED' END, modified = :now
      WHERE id = ANY(CAST(:ids AS bigint[])) AND state = ANY(CAST(:states AS text[]))
        AND start < :trace_until AND "end" > :now
      RETURNING id, request_id, observation_type, site, enclosure, telescope, start, "end", state
    )
    SELECT * FROM gone UNION ALL SELECT * FROM kept ORDER BY id
    """
)
_DELETE = text("DELETE FROM observations.observation WHERE id = :id")
_CLEAN_UP = text(
    """
    DELETE FROM observations.observation
    WHERE id IN (
      SELECT o.id FROM observations.observation o
      WHERE o.state = 'CANCELED' AND o."end" < :before AND o.start < :before
        AND NOT EXISTS (SELECT FROM observations.configuration_status s
                        WHERE s.observation_id = o.id AND s.state IN ('ATTEMPTED', 'FAILED', 'COMPLETED'))
      ORDER BY o."end" LIMIT :most FOR UPDATE SKIP LOCKED)
    """
)
_LOCK_TELESCOPE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_HOLD_REQUESTS = text(
    "SELECT id FROM requests.request WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR SHARE"
)
_HOLD_GROUPS = text(
    "SELECT id FROM requests.request_group "
    "WHERE id IN (SELECT group_id FROM requests.request WHERE id = ANY(CAST(:ids AS bigint[]))) "
    "ORDER BY id FOR NO KEY UPDATE"
)
_PENDING_OF = text(
    "SELECT id FROM observations.observation "
    "WHERE request_id = ANY(CAST(:ids AS bigint[])) AND state = 'PENDING' ORDER BY id"
)
_OPEN_AT = text(
    """
    SELECT id, request_id, start, "end", state, ours,
           ARRAY(SELECT s.instrument_name FROM observations.configuration_status s
                 WHERE s.observation_id = o.id ORDER BY s.id) AS instruments,
           ARRAY(SELECT s.guide_camera_name FROM observations.configuration_status s
                 WHERE s.observation_id = o.id ORDER BY s.id) AS guide_cameras
    FROM observations.observation o
    WHERE site = :site AND enclosure = :enclosure AND telescope = :telescope
      AND state IN ('PENDING', 'IN_PROGRESS') AND "end" > :from_utc AND start < :until_utc
    ORDER BY id FOR UPDATE
    """
)
_RUNNING_AND_PLANNED = text(
    """
    SELECT o.id, o.request_id, o.site, o.enclosure, o.telescope, o.start, o."end", o.state,
           o.observation_type,
           EXISTS (SELECT FROM observations.configuration_status s
                   WHERE s.observation_id = o.id AND s.state = 'FAILED') AS any_failed,
           o.ours
    FROM observations.observation o
    WHERE o.state IN ('PENDING', 'IN_PROGRESS') AND o."end" > :now AND o.start < :until
    ORDER BY o.site, o.enclosure, o.telescope, o.start, o.id
    """
)


@dataclass(frozen=True, slots=True)
class Removed:
    """An observation that was taken back; `state` is DELETED, CANCELED or ABORTED."""

    id: int
    request_id: int
    observation_type: ObservationType
    telescope: TelescopeKey
    start: datetime
    end: datetime
    state: str


@dataclass(frozen=True, slots=True)
class OpenObservation:
    """An observation at a telescope, with the (instrument, guide camera) of each status."""

    id: int
    request_id: int
    start: datetime
    end: datetime
    state: str
    ours: bool
    instruments: tuple[tuple[str, str], ...]


async def insert(
    session: WriteSession, observations: Sequence[NewObservation], now: datetime, *, ours: bool = False
) -> list[Stored]:
    """Store observations, all PENDING; return their ids in the order of `observations`."""
    if not observations:
        return []
    statuses = [(n, status) for n, item in enumerate(observations, 1) for status in item.statuses]
    rows = await session.execute(
        _INSERT,
        {
            "request_ids": [item.request_id for item in observations],
            "proposal_ids": [item.proposal_id for item in observations],
            "types": [str(item.observation_type) for item in observations],
            "sites": [item.telescope.site for item in observations],
            "enclosures": [item.telescope.enclosure for item in observations],
            "telescopes": [item.telescope.telescope for item in observations],
            "starts": [item.start for item in observations],
            "ends": [item.end for item in observations],
            "priorities": [item.priority for item in observations],
            "owners": [n for n, _ in statuses],
            "configuration_ids": [status.configuration_id for _, status in statuses],
            "instruments": [status.instrument_name for _, status in statuses],
            "guide_cameras": [status.guide_camera_name for _, status in statuses],
            "ours": ours,
            "now": now,
        },
    )
    return [Stored(id_, tuple(status_ids or ())) for id_, status_ids in rows]


async def remove(
    session: WriteSession, ids: Iterable[int], now: datetime, *, also_running: bool = False
) -> list[Removed]:
    """Take observations back: what is far ahead is deleted, what has begun is aborted, the rest canceled.

    What is over stays as it is, and what is not PENDING (with `also_running` nor IN_PROGRESS) any more.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return []
    rows = await session.execute(
        _REMOVE,
        {
            "ids": wanted,
            "states": ["PENDING", "IN_PROGRESS"] if also_running else ["PENDING"],
            "now": now,
            "trace_until": now + KEEP_A_TRACE,
        },
    )
    return [
        Removed(
            row.id,
            row.request_id,
            ObservationType(row.observation_type),
            TelescopeKey(row.site, row.enclosure, row.telescope),
            row.start,
            row.end,
            row.state,
        )
        for row in rows
    ]


async def delete(session: WriteSession, id_: int) -> None:
    """Delete an observation with its statuses."""
    await session.execute(_DELETE, {"id": id_})


async def clean_up(session: WriteSession, before: datetime, most: int) -> int:
    """Delete what was canceled, was never begun and is over since `before`; return how many rows."""
    result = await session.execute(_CLEAN_UP, {"before": before, "most": most})
    return int(getattr(result, "rowcount", 0))


async def lock_telescope(session: WriteSession, telescope: TelescopeKey) -> None:
    """Let nobody else replace the schedule of a telescope until the transaction ends."""
    await session.execute(_LOCK_TELESCOPE, {"name": "ocs schedule " + ".".join(telescope)})


async def hold_requests(session: WriteSession, ids: Iterable[int]) -> None:
    """Let the states of requests not change until the transaction ends.

    Whoever changes states locks in the order group, requests, observations, so nobody waits in a circle.
    """
    await session.execute(_HOLD_REQUESTS, {"ids": sorted(ids)})


async def hold_groups(session: WriteSession, request_ids: Iterable[int]) -> None:
    """Let nobody else change states in the groups of requests until the transaction ends."""
    if ids := sorted(set(request_ids)):
        await session.execute(_HOLD_GROUPS, {"ids": ids})


async def pending_of(session: ReadSession, request_ids: Iterable[int]) -> list[int]:
    """Return the PENDING observations of requests."""
    return list(await session.scalars(_PENDING_OF, {"ids": sorted(set(request_ids))}))


async def lock_open(
    session: WriteSession, telescope: TelescopeKey, from_utc: datetime, until_utc: datetime
) -> list[OpenObservation]:
    """Lock and return what is open at a telescope and overlaps a stretch of time."""
    rows = await session.execute(
        _OPEN_AT, {**telescope._asdict(), "from_utc": from_utc, "until_utc": until_utc}
    )
    return [
        OpenObservation(
            row.id,
            row.request_id,
            row.start,
            row.end,
            row.state,
            row.ours,
            tuple(zip(row.instruments, row.guide_cameras, strict=True)),
        )
        for row in rows
    ]


async def running_and_planned(session: ReadSession, now: datetime, until: datetime) -> list[ObservationRow]:
    """Return what is open and overlaps a stretch of time, by telescope and start."""
    rows = await session.execute(_RUNNING_AND_PLANNED, {"now": now, "until": until})
    return [ObservationRow(*row) for row in rows]
