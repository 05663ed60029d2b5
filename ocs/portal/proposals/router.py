"""Addresses of semesters, proposals, memberships and invitations."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Body, Depends, Query, Request, Response
from pydantic import BaseModel

from ocs.kernel.errors import NotFound
from ocs.kernel.runtime import RuntimeDep
from ocs.kernel.security import PortalCaller, PortalStaff, PortalUser
from ocs.kernel.wire.pages import Page, PageRequest, limit_anonymous, page_bytes, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, Reading, Writing, make_router
from ocs.portal.accounts.api import portal_url
from ocs.portal.accounts.schemas import Message
from ocs.portal.proposals import reading, schemas
from ocs.portal.proposals.service import Proposals

router = make_router("proposals")

PageDep = page_of(10)
Action = Annotated[dict[str, Any], Body()]


def _actions(caller: PortalUser, session: Writing, runtime: RuntimeDep) -> Proposals:
    return Proposals(session, caller, runtime.vault, runtime.clock.now(), portal_url(runtime.settings))


ActionsDep = Annotated[Proposals, Depends(_actions)]


def _reads(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the body of an action, which is read only when the caller is known to be allowed."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _found(row: Mapping[str, Any] | None, model: str) -> Response:
    if row is None:
        raise NotFound.of(model)
    return JsonBytes(orjson.dumps(row))


def _listed(request: Request, page: PageRequest, found: tuple[int, list[dict[str, Any]]]) -> Response:
    count, rows = found
    return page_bytes(request, page, count, [orjson.dumps(row) for row in rows])


# --- semesters ------------------------------------------------------------------------------------------


@router.get("/api/semesters/", summary="Semesters", response_model=Page[schemas.SemesterShown])
async def list_semesters(
    request: Request,
    caller: PortalCaller,
    filters: Annotated[schemas.SemesterFilters, Query()],
    page: PageDep,  # type: ignore[valid-type]
    session: Reading,
) -> Response:
    """List semesters, the latest first; for everybody."""
    limit_anonymous(request, page, is_authenticated=caller.is_authenticated)
    return _listed(request, page, await reading.semesters(session, filters, page))


@router.get("/api/semesters/{semester_id}/", summary="A semester", response_model=schemas.SemesterShown)
async def get_semester(semester_id: str, caller: PortalCaller, session: Reading) -> Response:
    """Return a semester; for everybody."""
    return _found(await reading.semester(session, semester_id), "Semester")


@router.get(
    "/api/semesters/{semester_id}/proposals/",
    summary="Proposals with time in a semester",
    response_model=list[schemas.SemesterProposal],
)
async def list_semester_proposals(semester_id: str, caller: PortalCaller, session: Reading) -> Response:
    """List the active scientific proposals of a semester; for everybody."""
    _found(await reading.semester(session, semester_id), "Semester")
    return JsonBytes(orjson.dumps(await reading.semester_proposals(session, semester_id)))


@router.get(
    "/api/semesters/{semester_id}/timeallocations/",
    summary="Time allocations of a semester",
    response_model=list[schemas.SemesterAllocation],
)
async def list_semester_allocations(semester_id: str, caller: PortalStaff, session: Reading) -> Response:
    """List the allocations of a semester with their proposals; for staff."""
    _found(await reading.semester(session, semester_id), "Semester")
    return JsonBytes(orjson.dumps(await reading.semester_allocations(session, semester_id)))


# --- proposals ------------------------------------------------------------------------------------------


@router.get("/api/proposals/", summary="Proposals", response_model=Page[schemas.ProposalShown])
async def list_proposals(
    request: Request,
    caller: PortalUser,
    filters: Annotated[schemas.ProposalFilters, Query()],
    page: PageDep,  # type: ignore[valid-type]
    session: Reading,
) -> Response:
    """List the caller's proposals; all of them for staff with the staff view."""
    return _listed(request, page, await reading.proposals(session, caller, filters, page))


@router.get("/api/proposals/tags/", summary="Tags of proposals", response_model=list[str])
async def list_tags(caller: PortalUser, session: Reading) -> Response:
    """List the tags of the proposals the caller may see."""
    return JsonBytes(orjson.dumps(await reading.tags(session, caller)))


@router.get("/api/proposals/{proposal_id}/", summary="A proposal", response_model=schemas.ProposalShown)
async def get_proposal(proposal_id: str, caller: PortalUser, session: Reading) -> Response:
    """Return a proposal the caller may see."""
    return _found(await reading.proposal(session, caller, proposal_id), "Proposal")


@router.post(
    "/api/proposals/{proposal_id}/notification/",
    summary="Switch mail about a proposal",
    response_model=Message,
    openapi_extra=_reads(schemas.NotificationChange),
)
async def notify(proposal_id: str, actions: ActionsDep, body: Action) -> Message:
    """Switch the caller's mail about a proposal's requests on or off."""
    await actions.notify(proposal_id, body)
    return Message(message="Preferences saved.")


@router.post(
    "/api/proposals/{proposal_id}/invite/",
    summary="Invite co-investigators",
    response_model=Message,
    openapi_extra=_reads(schemas.Invite),
)
async def invite(proposal_id: str, actions: ActionsDep, body: Action) -> Message:
    """Add or invite co-investigators by e-mail address; for a principal investigator."""
    await actions.invite(proposal_id, body)
    return Message(message="Co-investigators invited.")


@router.post(
    "/api/proposals/{proposal_id}/globallimit/",
    summary="Limit all co-investigators",
    response_model=Message,
    openapi_extra=_reads(schemas.LimitChange),
)
async def limit_all(proposal_id: str, actions: ActionsDep, body: Action) -> Message:
    """Set the time limit of all co-investigators; for a principal investigator."""
    return Message(message=f"All CI time limits set to {await actions.limit_all(proposal_id, body)} hours.")


# --- memberships and invitations ------------------------------------------------------------------------


@router.get("/api/memberships/", summary="Memberships", response_model=Page[schemas.MembershipShown])
async def list_memberships(
    request: Request,
    caller: PortalUser,
    filters: Annotated[schemas.MembershipFilters, Query()],
    page: PageDep,  # type: ignore[valid-type]
    session: Reading,
    clock: ClockDep,
) -> Response:
    """List the caller's memberships, the leaders of their proposals, and everybody in those they lead."""
    return _listed(request, page, await reading.memberships(session, caller, filters, page, clock.now()))


@router.get(
    "/api/memberships/{membership_id}/", summary="A membership", response_model=schemas.MembershipShown
)
async def get_membership(
    membership_id: int, caller: PortalUser, session: Reading, clock: ClockDep
) -> Response:
    """Return a membership the caller may see."""
    return _found(await reading.membership(session, caller, membership_id, clock.now()), "Membership")


@router.delete("/api/memberships/{membership_id}/", summary="End a membership", status_code=204)
async def remove_member(membership_id: int, actions: ActionsDep) -> None:
    """Remove a co-investigator; for a principal investigator, whose own membership stays."""
    await actions.remove_member(membership_id)


@router.post(
    "/api/memberships/{membership_id}/limit/",
    summary="Limit a co-investigator",
    response_model=Message,
    openapi_extra=_reads(schemas.LimitChange),
)
async def limit_one(membership_id: int, actions: ActionsDep, body: Action) -> Message:
    """Set the time limit of a co-investigator; for a principal investigator."""
    name, hours = await actions.limit_one(membership_id, body)
    return Message(message=f"Time limit for {name} set to {hours} hours.")


@router.get("/api/invitations/", summary="Invitations", response_model=Page[schemas.InvitationShown])
async def list_invitations(
    request: Request,
    caller: PortalUser,
    filters: Annotated[schemas.InvitationFilters, Query()],
    page: PageDep,  # type: ignore[valid-type]
    session: Reading,
) -> Response:
    """List the invitations to proposals the caller leads."""
    return _listed(request, page, await reading.invitations(session, caller, filters, page))


@router.get(
    "/api/invitations/{invitation_id}/", summary="An invitation", response_model=schemas.InvitationShown
)
async def get_invitation(invitation_id: int, caller: PortalUser, session: Reading) -> Response:
    """Return an invitation to a proposal the caller leads."""
    return _found(await reading.invitation(session, caller, invitation_id), "ProposalInvite")


@router.delete("/api/invitations/{invitation_id}/", summary="Withdraw an invitation", status_code=204)
async def withdraw_invitation(invitation_id: int, actions: ActionsDep) -> None:
    """Delete an invitation that nobody used yet; for a principal investigator."""
    await actions.withdraw_invitation(invitation_id)
