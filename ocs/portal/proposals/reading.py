"""SQL of what the proposals show: one page is a fixed number of statements, whatever is on it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, column, exists, func, or_, select, table, text
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.expression import ColumnElement

from ocs.kernel.database import ReadSession
from ocs.kernel.errors import InvalidInput
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.kernel.wire.types import iso_z
from ocs.portal.proposals import schemas
from ocs.portal.proposals.models import Invitation, Membership, Proposal, Semester, TimeAllocation
from ocs.portal.sql import ALLOCATION, USED, as_hours

_PROPOSALS = text(
    f"""
    SELECT p.id, p.active, p.title, p.abstract, p.tac_priority, p.tac_rank, p.sca_id AS sca, p.public,
      p.non_science, p.direct_submission, p.tags,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('first_name', u.first_name, 'last_name', u.last_name,
           'username', u.username, 'email', u.email, 'institution', u.institution) ORDER BY m.id), '[]')
       FROM proposals.membership m JOIN accounts.user u ON u.id = m.user_id
       WHERE m.proposal_id = p.id AND m.role = 'PI') AS pis,
      (SELECT count(*) FROM requests.request_group g WHERE g.proposal_id = p.id) AS requestgroup_count,
      (SELECT count(*) FROM proposals.membership m
       WHERE m.proposal_id = p.id AND m.role = 'CI') AS coi_count,
      (SELECT coalesce(jsonb_agg(jsonb_build_object({ALLOCATION},
           'semester', a.semester_id, 'proposal', a.proposal_id) ORDER BY a.semester_id DESC, a.id), '[]')
       FROM proposals.time_allocation a WHERE a.proposal_id = p.id) AS timeallocation_set
    FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS wanted(id, place)
    JOIN proposals.proposal p ON p.id = wanted.id
    ORDER BY wanted.place
    """  # noqa: S608 - our own column names
)
_MEMBERSHIPS = text(
    f"""
    SELECT u.username, u.first_name, u.last_name, u.email, m.role, m.proposal_id AS proposal,
      m.time_limit_s AS time_limit, {USED} AS time_used_by_user, u.simple_interface, m.id
    FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS wanted(id, place)
    JOIN proposals.membership m ON m.id = wanted.id JOIN accounts.user u ON u.id = m.user_id
    ORDER BY wanted.place
    """  # noqa: S608 - our own text
)
_SEMESTER_PROPOSALS = text(
    """
    SELECT p.id, p.title, p.abstract,
      (SELECT jsonb_object_agg(
           array_to_string(ARRAY(SELECT t.instrument_type FROM proposals.allocated_type t
                                 WHERE t.allocation_id = a.id ORDER BY t.position), ','),
           jsonb_build_object('std', CAST(a.std_allocation_h AS float8),
             'rr', CAST(a.rr_allocation_h AS float8),
             'tc', CAST(a.tc_allocation_h AS float8), 'realtime', CAST(a.realtime_allocation_h AS float8)))
       FROM proposals.time_allocation a
       WHERE a.proposal_id = p.id AND a.semester_id = :semester_id) AS allocation,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('first_name', u.first_name, 'last_name', u.last_name,
           'institution', u.institution) ORDER BY m.id), '[]')
       FROM proposals.membership m JOIN accounts.user u ON u.id = m.user_id
       WHERE m.proposal_id = p.id AND m.role = 'PI') AS pis,
      sca.id AS sca_id, sca.name AS sca_name,
      ARRAY(SELECT s.id FROM proposals.semester s
            WHERE EXISTS (SELECT FROM proposals.time_allocation a
                          WHERE a.proposal_id = p.id AND a.semester_id = s.id)
            ORDER BY s.starts_at DESC) AS semesters
    FROM proposals.proposal p JOIN proposals.sca sca ON sca.id = p.sca_id
    WHERE p.active AND NOT p.non_science
      AND EXISTS (SELECT FROM proposals.time_allocation a
                  WHERE a.proposal_id = p.id AND a.semester_id = :semester_id)
    ORDER BY sca.name, p.id
    """
)
_SEMESTER_ALLOCATIONS = text(
    f"""
    SELECT jsonb_build_object({ALLOCATION}, 'proposal', jsonb_build_object(
        'notes', p.notes, 'id', p.id, 'tac_priority', p.tac_priority,
        'num_users', (SELECT count(*) FROM proposals.membership m WHERE m.proposal_id = p.id),
        'tags', p.tags,
        'pis', (SELECT coalesce(jsonb_agg(jsonb_build_object('first_name', u.first_name,
                    'last_name', u.last_name) ORDER BY m.id), '[]')
                FROM proposals.membership m JOIN accounts.user u ON u.id = m.user_id
                WHERE m.proposal_id = p.id AND m.role = 'PI')))
    FROM proposals.time_allocation a JOIN proposals.proposal p ON p.id = a.proposal_id
    WHERE a.semester_id = :semester_id ORDER BY a.id
    """  # noqa: S608 - our own column names
)
_USER = table(
    "user",
    *(column(name) for name in ("id", "username", "first_name", "last_name", "email")),
    schema="accounts",
)
_CHOICE = "Select a valid choice. That choice is not one of the available choices."

Columns = Mapping[str, InstrumentedAttribute[Any] | ColumnElement[Any]]
_PROPOSAL_ORDER: Columns = {
    "id": Proposal.id,
    "title": Proposal.title,
    "active": Proposal.active,
    "abstract": Proposal.abstract,
    "tac_priority": Proposal.tac_priority,
    "tac_rank": Proposal.tac_rank,
    "sca": Proposal.sca_id,
    "public": Proposal.public,
    "non_science": Proposal.non_science,
    "direct_submission": Proposal.direct_submission,
}
_SEMESTER_ORDER: Columns = {"id": Semester.id, "start": Semester.starts_at, "end": Semester.ends_at}
_MEMBERSHIP_ORDER: Columns = {
    "id": Membership.id,
    "role": Membership.role,
    "proposal": Membership.proposal_id,
    "time_limit": Membership.time_limit_s,
    "username": _USER.c.username,
    "first_name": _USER.c.first_name,
    "last_name": _USER.c.last_name,
    "email": _USER.c.email,
}
_INVITATION_ORDER: Columns = {
    "id": Invitation.id,
    "role": Invitation.role,
    "email": Invitation.email,
    "sent": Invitation.sent_at,
    "used": Invitation.used_at,
    "proposal": Invitation.proposal_id,
}


def _ordered(
    statement: Select[Any],
    columns: Columns,
    ordering: str | None,
    default: Any,
    last: InstrumentedAttribute[Any],
) -> Select[Any]:
    """Order by the names of `ordering` that mean something, then by `last`, so that pages never overlap."""
    terms = []
    for name in (ordering or "").split(","):
        if (column := columns.get(name.strip().lstrip("-"))) is not None:
            terms.append(column.desc() if name.strip().startswith("-") else column.asc())
    return statement.order_by(*(terms or [default]), last)


async def _page(session: ReadSession, statement: Select[Any], page: PageRequest) -> tuple[int, list[Any]]:
    """Return the number of rows and the first column of those on the page."""
    count = await session.scalar(select(func.count()).select_from(statement.order_by(None).subquery()))
    rows = await session.scalars(statement.limit(page.limit).offset(page.offset))
    return count or 0, list(rows)


def _contains(text: Any, part: str) -> Any:
    return func.strpos(func.lower(text), part.lower()) > 0


# --- semesters ------------------------------------------------------------------------------------------


def _semester(row: Semester) -> dict[str, Any]:
    return {"id": row.id, "start": iso_z(row.starts_at), "end": iso_z(row.ends_at)}


async def semesters(
    session: ReadSession, filters: schemas.SemesterFilters, page: PageRequest
) -> tuple[int, list[dict[str, Any]]]:
    """Return count and rows of the list of semesters."""
    statement = select(Semester)
    if (moment := filters.semester_contains) is not None:
        statement = statement.where(Semester.starts_at <= moment, Semester.ends_at >= moment)
    if filters.start is not None:
        statement = statement.where(Semester.starts_at >= filters.start)
    if filters.start_lte is not None:
        statement = statement.where(Semester.starts_at <= filters.start_lte)
    if filters.end is not None:
        statement = statement.where(Semester.ends_at < filters.end)
    if filters.end_gt is not None:
        statement = statement.where(Semester.ends_at > filters.end_gt)
    if filters.id is not None:
        statement = statement.where(_contains(Semester.id, filters.id))
    ordered = _ordered(statement, _SEMESTER_ORDER, filters.ordering, Semester.starts_at.desc(), Semester.id)
    count, rows = await _page(session, ordered, page)
    return count, [_semester(row) for row in rows]


async def semester(session: ReadSession, semester_id: str) -> dict[str, Any] | None:
    """Return a semester."""
    row = await session.get(Semester, semester_id)
    return None if row is None else _semester(row)


async def semester_proposals(session: ReadSession, semester_id: str) -> list[dict[str, Any]]:
    """Return the scientific proposals with time in a semester, as the public sees them."""
    rows = await session.execute(_SEMESTER_PROPOSALS, {"semester_id": semester_id})
    return [
        {**row, "allocation": {types: as_hours(hours) for types, hours in row["allocation"].items()}}
        for row in rows.mappings()
    ]


async def semester_allocations(session: ReadSession, semester_id: str) -> list[dict[str, Any]]:
    """Return the allocations of a semester with their proposals."""
    rows = await session.scalars(_SEMESTER_ALLOCATIONS, {"semester_id": semester_id})
    return [as_hours(row) for row in rows]


# --- proposals ------------------------------------------------------------------------------------------


def visible_proposals(caller: Principal) -> Select[str]:
    """Return the ids of the proposals the caller may see."""
    statement = select(Proposal.id)
    return statement if caller.sees_everything else statement.where(Proposal.id.in_(caller.proposal_ids))


async def _require(session: ReadSession, name: str, found: Select[Any], wanted: Sequence[str]) -> None:
    """Refuse filter values that name nothing."""
    known = set(await session.scalars(found))
    missing = [value for value in wanted if value not in known]
    if missing:
        sentence = _CHOICE if name != "id" else _CHOICE.replace("That choice", missing[0])
        raise InvalidInput.fields(**{name: sentence})


async def proposals(
    session: ReadSession, caller: Principal, filters: schemas.ProposalFilters, page: PageRequest
) -> tuple[int, list[dict[str, Any]]]:
    """Return count and rows of the list of proposals."""
    statement = visible_proposals(caller)
    if filters.id:
        await _require(session, "id", select(Proposal.id).where(Proposal.id.in_(filters.id)), filters.id)
        statement = statement.where(Proposal.id.in_(filters.id))
    if filters.semester is not None:
        known = select(Semester.id).where(Semester.id == filters.semester)
        await _require(session, "semester", known, [filters.semester])
        statement = statement.where(
            exists().where(
                TimeAllocation.proposal_id == Proposal.id, TimeAllocation.semester_id == filters.semester
            )
        )
    if filters.active is not None:
        statement = statement.where(Proposal.active == filters.active)
    if filters.tags is not None:
        statement = statement.where(Proposal.tags.overlap(filters.tags.split(",")))
    if filters.tac_rank is not None:
        statement = statement.where(Proposal.tac_rank == filters.tac_rank)
    if filters.tac_priority is not None:
        statement = statement.where(Proposal.tac_priority == filters.tac_priority)
    if filters.public is not None:
        statement = statement.where(Proposal.public == filters.public)
    if filters.title is not None:
        statement = statement.where(Proposal.title == filters.title)
    ordered = _ordered(statement, _PROPOSAL_ORDER, filters.ordering, Proposal.id.desc(), Proposal.id)
    count, ids = await _page(session, ordered, page)
    return count, await _proposals(session, ids)


async def _proposals(session: ReadSession, ids: Sequence[str]) -> list[dict[str, Any]]:
    rows = await session.execute(_PROPOSALS, {"ids": list(ids)})
    return [
        {**row, "timeallocation_set": [as_hours(item) for item in row["timeallocation_set"]]}
        for row in rows.mappings()
    ]


async def proposal(session: ReadSession, caller: Principal, proposal_id: str) -> dict[str, Any] | None:
    """Return a proposal the caller may see."""
    ids = await session.scalars(visible_proposals(caller).where(Proposal.id == proposal_id))
    rows = await _proposals(session, list(ids))
    return rows[0] if rows else None


async def tags(session: ReadSession, caller: Principal) -> list[str]:
    """Return the tags of the proposals the caller may see."""
    visible = visible_proposals(caller).subquery()
    statement = (
        select(func.unnest(Proposal.tags).label("tag"))
        .where(Proposal.id.in_(select(visible.c.id)))
        .distinct()
        .order_by("tag")
    )
    return list(await session.scalars(statement))


# --- memberships and invitations ------------------------------------------------------------------------


def led_by(caller: Principal) -> Select[str]:
    """Return the ids of the proposals the caller is a principal investigator of."""
    return select(Membership.proposal_id).where(Membership.user_id == caller.user_id, Membership.role == "PI")


def visible_memberships(caller: Principal) -> Select[int]:
    """Return the ids of the memberships the caller may see."""
    statement = select(Membership.id).join(_USER, _USER.c.id == Membership.user_id)
    if caller.sees_everything:
        return statement
    return statement.where(
        or_(
            Membership.user_id == caller.user_id,
            (Membership.role == "PI") & Membership.proposal_id.in_(caller.proposal_ids),
            Membership.proposal_id.in_(led_by(caller)),
        )
    )


async def memberships(
    session: ReadSession,
    caller: Principal,
    filters: schemas.MembershipFilters,
    page: PageRequest,
    now: datetime,
) -> tuple[int, list[dict[str, Any]]]:
    """Return count and rows of the list of memberships."""
    statement = visible_memberships(caller)
    for name in ("first_name", "last_name", "username", "email"):
        if (part := getattr(filters, name)) is not None:
            statement = statement.where(_contains(_USER.c[name], part))
    if filters.proposal is not None:
        known = select(Proposal.id).where(Proposal.id == filters.proposal)
        await _require(session, "proposal", known, [filters.proposal])
        statement = statement.where(Membership.proposal_id == filters.proposal)
    if filters.role is not None:
        statement = statement.where(Membership.role == filters.role)
    ordered = _ordered(statement, _MEMBERSHIP_ORDER, filters.ordering, Membership.id, Membership.id)
    count, ids = await _page(session, ordered, page)
    return count, await _memberships(session, ids, now)


async def _memberships(session: ReadSession, ids: Sequence[int], now: datetime) -> list[dict[str, Any]]:
    rows = await session.execute(_MEMBERSHIPS, {"ids": list(ids), "now": now})
    return [{**row, "time_used_by_user": int(row["time_used_by_user"])} for row in rows.mappings()]


async def membership(
    session: ReadSession, caller: Principal, membership_id: int, now: datetime
) -> dict[str, Any] | None:
    """Return a membership the caller may see."""
    ids = await session.scalars(visible_memberships(caller).where(Membership.id == membership_id))
    rows = await _memberships(session, list(ids), now)
    return rows[0] if rows else None


def visible_invitations(caller: Principal) -> Select[Invitation]:
    """Return the invitations the caller may see."""
    statement = select(Invitation)
    return (
        statement if caller.sees_everything else statement.where(Invitation.proposal_id.in_(led_by(caller)))
    )


def _invitation(row: Invitation) -> dict[str, Any]:
    return {
        "id": row.id,
        "role": row.role,
        "email": row.email,
        "time_limit": row.time_limit_s,
        "sent": None if row.sent_at is None else iso_z(row.sent_at),
        "used": None if row.used_at is None else iso_z(row.used_at),
        "proposal": row.proposal_id,
    }


async def invitations(
    session: ReadSession, caller: Principal, filters: schemas.InvitationFilters, page: PageRequest
) -> tuple[int, list[dict[str, Any]]]:
    """Return count and rows of the list of invitations."""
    statement = visible_invitations(caller)
    if filters.proposal is not None:
        known = select(Proposal.id).where(Proposal.id == filters.proposal)
        await _require(session, "proposal", known, [filters.proposal])
        statement = statement.where(Invitation.proposal_id == filters.proposal)
    if filters.pending is not None:
        used = Invitation.used_at.is_not(None)
        statement = statement.where(~used if filters.pending else used)
    ordered = _ordered(statement, _INVITATION_ORDER, filters.ordering, Invitation.id, Invitation.id)
    count, rows = await _page(session, ordered, page)
    return count, [_invitation(row) for row in rows]


async def invitation(session: ReadSession, caller: Principal, invitation_id: int) -> dict[str, Any] | None:
    """Return an invitation the caller may see."""
    row = await session.scalar(visible_invitations(caller).where(Invitation.id == invitation_id))
    return None if row is None else _invitation(row)
