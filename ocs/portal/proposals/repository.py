"""SQL of the proposals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Numeric, Row, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from ocs.kernel.database import ReadSession, WriteSession
from ocs.portal.proposals import models
from ocs.portal.proposals.records import Allocation, Proposal, Recipient, Semester, Standing, TimeCharge
from ocs.portal.sql import TYPES

_HOURS = (
    "std_allocation_h",
    "std_used_h",
    "rr_allocation_h",
    "rr_used_h",
    "tc_allocation_h",
    "tc_used_h",
    "realtime_allocation_h",
    "realtime_used_h",
    "ipp_limit_h",
    "ipp_available_h",
)
_ALLOCATIONS = f"""
    SELECT a.id, a.proposal_id, a.semester_id, {TYPES} AS instrument_types,
           {", ".join(f"CAST(a.{column} AS float8) AS {column}" for column in _HOURS)}
    FROM proposals.time_allocation a
    WHERE a.proposal_id = ANY(CAST(:proposal_ids AS text[]))
      AND (CAST(:semester_ids AS text[]) IS NULL OR a.semester_id = ANY(CAST(:semester_ids AS text[])))
    ORDER BY a.id
"""  # noqa: S608 - our own column names
_PROPOSAL = (
    "id",
    "title",
    "active",
    "public",
    "non_science",
    "direct_submission",
    "tac_priority",
    "tac_rank",
    "sca_id",
    "tags",
)
_STANDING = text(
    f"""
    SELECT {", ".join(f"p.{column}" for column in _PROPOSAL)},
           (SELECT m.time_limit_s FROM proposals.membership m
            WHERE m.proposal_id = p.id AND m.user_id = :user_id) AS time_limit_s,
           (SELECT jsonb_agg(to_jsonb(mine)) FROM ({_ALLOCATIONS}) mine) AS allocations,
           s.ids, s.starts, s.ends
    FROM (SELECT array_agg(id ORDER BY starts_at) AS ids, array_agg(starts_at ORDER BY starts_at) AS starts,
                 array_agg(ends_at ORDER BY starts_at) AS ends FROM proposals.semester) s
    LEFT JOIN proposals.proposal p ON p.id = :proposal_id
    """  # noqa: S608 - our own column names
).columns(allocations=JSONB)
_POST = text(
    """
    WITH posted AS (
      INSERT INTO proposals.ledger_entry
        (allocation_id, account, hours, cause, request_group_id, request_id, configuration_status_id,
         recorded_at)
      SELECT e.allocation_id, e.account, e.hours, :cause, e.request_group_id, e.request_id, e.status_id, :now
      FROM unnest(CAST(:allocation_ids AS bigint[]), CAST(:accounts AS text[]), CAST(:hours AS numeric[]),
                  CAST(:request_group_ids AS bigint[]), CAST(:request_ids AS bigint[]),
                  CAST(:status_ids AS bigint[]))
        AS e(allocation_id, account, hours, request_group_id, request_id, status_id)
      RETURNING allocation_id, account, hours
    ), total AS (
      SELECT allocation_id,
             coalesce(sum(hours) FILTER (WHERE account = 'std'), 0) AS std,
             coalesce(sum(hours) FILTER (WHERE account = 'rr'), 0) AS rr,
             coalesce(sum(hours) FILTER (WHERE account = 'tc'), 0) AS tc,
             coalesce(sum(hours) FILTER (WHERE account = 'realtime'), 0) AS realtime,
             coalesce(sum(hours) FILTER (WHERE account = 'ipp'), 0) AS ipp
      FROM posted GROUP BY allocation_id
    )
    UPDATE proposals.time_allocation a
    SET std_used_h = a.std_used_h + total.std, rr_used_h = a.rr_used_h + total.rr,
        tc_used_h = a.tc_used_h + total.tc, realtime_used_h = a.realtime_used_h + total.realtime,
        ipp_available_h = a.ipp_available_h + total.ipp
    FROM total WHERE a.id = total.allocation_id
    """
)
_BY_KEY = text(
    """
    SELECT k.n, t.allocation_id
    FROM unnest(CAST(:proposal_ids AS text[]), CAST(:semester_ids AS text[]), CAST(:types AS text[]))
           WITH ORDINALITY AS k(proposal_id, semester_id, instrument_type, n)
    JOIN proposals.allocated_type t USING (proposal_id, semester_id, instrument_type)
    """
)
_BY_TIME = text(
    """
    SELECT DISTINCT ON (k.n) k.n, t.allocation_id
    FROM unnest(CAST(:proposal_ids AS text[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
                CAST(:types AS text[]))
           WITH ORDINALITY AS k(proposal_id, start_utc, end_utc, instrument_type, n)
    JOIN proposals.semester s ON s.starts_at <= k.start_utc AND k.end_utc <= s.ends_at
    JOIN proposals.allocated_type t
      ON t.proposal_id = k.proposal_id AND t.semester_id = s.id AND t.instrument_type = k.instrument_type
    ORDER BY k.n, s.starts_at DESC
    """
)
_LOCK = text(
    """
    SELECT id, semester_id, ipp_limit_h, ipp_available_h FROM proposals.time_allocation
    WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
    """
)
_REALTIME = text(
    """
    SELECT a.id FROM proposals.time_allocation a
    JOIN proposals.semester s ON s.id = a.semester_id
    WHERE a.proposal_id = :proposal_id AND s.starts_at <= :at AND :at <= s.ends_at
      AND EXISTS (SELECT FROM proposals.allocated_type t WHERE t.allocation_id = a.id
                  AND t.instrument_type = ANY(CAST(:types AS text[])))
      AND a.realtime_allocation_h - a.realtime_used_h >= :hours
    ORDER BY a.realtime_allocation_h - a.realtime_used_h DESC, a.id
    LIMIT 1 FOR UPDATE OF a
    """
)
_RECIPIENTS = text(
    """
    SELECT u.id, u.first_name, u.email FROM accounts.user u
    WHERE u.is_active AND u.email <> ''
      AND (EXISTS (SELECT FROM proposals.notification n
                   WHERE n.user_id = u.id AND n.proposal_id = :proposal_id)
           OR u.notifications_enabled AND EXISTS (SELECT FROM proposals.membership m
                   WHERE m.user_id = u.id AND m.proposal_id = :proposal_id))
      AND (u.id = :submitter_id OR NOT u.notifications_on_authored_only)
    ORDER BY u.id
    """
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger entry to post."""

    allocation_id: int
    account: str
    hours: Decimal
    request_group_id: int | None = None
    request_id: int | None = None
    configuration_status_id: int | None = None


@dataclass(frozen=True, slots=True)
class Net:
    """What one cause did to one account of one allocation, in all."""

    allocation_id: int
    account: str
    cause_id: int
    hours: Decimal


async def proposals_by_id(session: ReadSession, ids: Iterable[str]) -> list[Proposal]:
    """Return the proposals with these ids."""
    statement = select(models.Proposal).where(models.Proposal.id.in_(set(ids)))
    return [
        Proposal(
            id=row.id,
            title=row.title,
            active=row.active,
            public=row.public,
            non_science=row.non_science,
            direct_submission=row.direct_submission,
            tac_priority=row.tac_priority,
            tac_rank=row.tac_rank,
            sca_id=row.sca_id,
            tags=tuple(row.tags),
        )
        for row in await session.scalars(statement)
    ]


async def standing(session: ReadSession, user_id: int, proposal_id: str) -> Standing:
    """Return the semesters, a proposal, a user's time limit in it and its allocations, in one statement."""
    row = (
        await session.execute(
            _STANDING,
            {
                "user_id": user_id,
                "proposal_id": proposal_id,
                "proposal_ids": [proposal_id],
                "semester_ids": None,
            },
        )
    ).one()
    known = row._mapping
    return Standing(
        tuple(Semester(*item) for item in zip(row.ids or (), row.starts or (), row.ends or (), strict=True)),
        None
        if row.id is None
        else Proposal(**{name: known[name] for name in _PROPOSAL} | {"tags": tuple(row.tags)}),
        row.time_limit_s,
        tuple(
            Allocation(**{**item, "instrument_types": tuple(item["instrument_types"])})
            for item in row.allocations or ()
        ),
    )


async def semesters(session: ReadSession) -> list[Semester]:
    """Return all semesters by start."""
    rows = await session.scalars(select(models.Semester).order_by(models.Semester.starts_at))
    return [Semester(row.id, row.starts_at, row.ends_at) for row in rows]


async def allocations(
    session: ReadSession, proposal_ids: Iterable[str], semester_ids: Iterable[str] | None, *, lock: bool
) -> list[Allocation]:
    """Return the allocations of proposals by id."""
    statement = text(_ALLOCATIONS + (" FOR UPDATE OF a" if lock else ""))
    rows = await session.execute(
        statement,
        {
            "proposal_ids": sorted(set(proposal_ids)),
            "semester_ids": None if semester_ids is None else sorted(set(semester_ids)),
        },
    )
    return [
        Allocation(**{**row, "instrument_types": tuple(row["instrument_types"])}) for row in rows.mappings()
    ]


async def allocation_ids_by_key(
    session: ReadSession, keys: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], int]:
    """Return the allocation of each (proposal, semester, instrument type) that has one."""
    columns = list(zip(*keys, strict=True)) or [(), (), ()]
    rows = await session.execute(
        _BY_KEY,
        {"proposal_ids": list(columns[0]), "semester_ids": list(columns[1]), "types": list(columns[2])},
    )
    return {keys[n - 1]: allocation_id for n, allocation_id in rows}


async def allocation_ids_by_time(session: ReadSession, charges: Sequence[TimeCharge]) -> dict[int, int]:
    """Return, by index of `charges`, the allocation whose semester contains the time."""
    rows = await session.execute(
        _BY_TIME,
        {
            "proposal_ids": [charge.proposal_id for charge in charges],
            "starts": [charge.start_utc for charge in charges],
            "ends": [charge.end_utc for charge in charges],
            "types": [charge.instrument_type for charge in charges],
        },
    )
    return {n - 1: allocation_id for n, allocation_id in rows}


async def lock_allocations(session: WriteSession, ids: Iterable[int]) -> dict[int, Row[Any]]:
    """Lock allocations, always in the same order; return limit and available IPP by id."""
    rows = await session.execute(_LOCK, {"ids": sorted(set(ids))})
    return {row.id: row for row in rows}


async def realtime_allocation(
    session: WriteSession, proposal_id: str, at: datetime, types: Iterable[str], hours: Decimal
) -> int | None:
    """Lock and return the allocation with the most free real-time hours, if it has `hours`."""
    allocation_id: int | None = await session.scalar(
        _REALTIME, {"proposal_id": proposal_id, "at": at, "types": sorted(types), "hours": hours}
    )
    return allocation_id


async def nets(session: ReadSession, column: str, ids: Iterable[int], *, ipp: bool) -> list[Net]:
    """Return what the ledger says of each cause, IPP or time, without what was cancelled out.

    Parameters
    ----------
    column
        `request_id`, `request_group_id` or `configuration_status_id`.
    """
    entry = models.LedgerEntry
    cause, total = getattr(entry, column), func.sum(entry.hours, type_=Numeric())
    statement = (
        select(entry.allocation_id, entry.account, cause, total)
        .where(cause.in_(set(ids)), (entry.account == "ipp") == ipp)
        .group_by(entry.allocation_id, entry.account, cause)
        .having(total != 0)
        .order_by(cause, entry.allocation_id)
    )
    return [Net(*row) for row in await session.execute(statement)]


async def post(session: WriteSession, entries: Sequence[Entry], cause: str, now: datetime) -> None:
    """Write ledger entries and add them to the totals."""
    if entries:
        await session.execute(
            _POST,
            {
                "cause": cause,
                "now": now,
                "allocation_ids": [entry.allocation_id for entry in entries],
                "accounts": [entry.account for entry in entries],
                "hours": [entry.hours for entry in entries],
                "request_group_ids": [entry.request_group_id for entry in entries],
                "request_ids": [entry.request_id for entry in entries],
                "status_ids": [entry.configuration_status_id for entry in entries],
            },
        )


async def recipients(session: ReadSession, proposal_id: str, submitter_id: int | None) -> list[Recipient]:
    """Return who wants mail about a request of `submitter_id` in this proposal."""
    rows = await session.execute(_RECIPIENTS, {"proposal_id": proposal_id, "submitter_id": submitter_id})
    return [Recipient(*row) for row in rows]
