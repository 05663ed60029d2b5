"""Rules of the proposals: who invites whom, limits, and mail about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.errors import InvalidInput, NotFound, PermissionDenied, reference_body
from ocs.kernel.security import Principal, Vault
from ocs.kernel.wire.types import WireModel
from ocs.portal.accounts import api as accounts
from ocs.portal.proposals import reading
from ocs.portal.proposals.models import Invitation, Membership, Notification, Proposal
from ocs.portal.proposals.schemas import Invite, LimitChange, NotificationChange

M = TypeVar("M", bound=WireModel)


def read_body(model: type[M], body: Mapping[str, Any], *, wrapped: bool = True) -> M:
    """Read the body of an action, after it is known that the caller may act.

    Raises
    ------
    InvalidInput
        In the reference's shape, below the key `errors` if `wrapped`.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        problems = reference_body(error.errors(), body)
        raise InvalidInput(body={"errors": problems} if wrapped else problems) from error


@dataclass(frozen=True, slots=True)
class Proposals:
    """Actions on proposals by one caller.

    Attributes
    ----------
    public_url
        Where people reach the portal, without final slash.
    """

    session: WriteSession
    caller: Principal
    vault: Vault
    now: datetime
    public_url: str

    async def _led(self, proposal_id: str) -> None:
        """Make sure the caller leads the proposal: 404 if they cannot see it, 403 if they only see it."""
        visible = reading.visible_proposals(self.caller).where(Proposal.id == proposal_id)
        if await self.session.scalar(visible) is None:
            raise NotFound.of("Proposal")
        if not await self._leads(proposal_id):
            raise PermissionDenied

    async def _leads(self, proposal_id: str) -> bool:
        led = reading.led_by(self.caller).where(Membership.proposal_id == proposal_id)
        return await self.session.scalar(led) is not None

    async def notify(self, proposal_id: str, body: Mapping[str, Any]) -> None:
        """Switch the caller's mail about a proposal on or off."""
        visible = reading.visible_proposals(self.caller).where(Proposal.id == proposal_id)
        if await self.session.scalar(visible) is None:
            raise NotFound.of("Proposal")
        key = {"proposal_id": proposal_id, "user_id": self.caller.user_id}
        if read_body(NotificationChange, body).enabled:
            await self.session.execute(insert(Notification).values(**key).on_conflict_do_nothing())
        else:
            await self.session.execute(delete(Notification).filter_by(**key))

    async def limit_all(self, proposal_id: str, body: Mapping[str, Any]) -> float:
        """Set the limit of all co-investigators; return it in hours."""
        await self._led(proposal_id)
        hours = read_body(LimitChange, body).time_limit_hours
        await self.session.execute(
            update(Membership)
            .where(Membership.proposal_id == proposal_id, Membership.role == "CI")
            .values(time_limit_s=int(hours * 3600))
        )
        return hours

    async def _led_membership(self, membership_id: int) -> Membership:
        visible = reading.visible_memberships(self.caller).where(Membership.id == membership_id)
        if await self.session.scalar(visible) is None:
            raise NotFound.of("Membership")
        membership = await self.session.get_one(Membership, membership_id, with_for_update=True)
        if not await self._leads(membership.proposal_id):
            raise PermissionDenied
        return membership

    async def limit_one(self, membership_id: int, body: Mapping[str, Any]) -> tuple[str, float]:
        """Set the limit of a co-investigator; return the name and the hours."""
        membership = await self._led_membership(membership_id)
        hours = read_body(LimitChange, body).time_limit_hours
        if membership.role == "PI":
            sentence = "The time of a principal investigator cannot be limited."
            raise InvalidInput(body={"errors": {"non_field_errors": [sentence]}})
        membership.time_limit_s = int(hours * 3600)
        user = (await accounts.users_by_id(self.session, [membership.user_id]))[membership.user_id]
        return f"{user.first_name} {user.last_name}".strip() or user.username, hours

    async def remove_member(self, membership_id: int) -> None:
        """End a co-investigator's membership; a principal investigator's stays."""
        membership = await self._led_membership(membership_id)
        if membership.role == "CI":
            await self.session.delete(membership)
            changes.stamp(self.session, "proposals")

    async def withdraw_invitation(self, invitation_id: int) -> None:
        """Delete an invitation; a used one stays."""
        visible = reading.visible_invitations(self.caller).where(Invitation.id == invitation_id)
        invitation = await self.session.scalar(visible.with_for_update())
        if invitation is None:
            raise NotFound.of("ProposalInvite")
        if not await self._leads(invitation.proposal_id):
            raise PermissionDenied
        if invitation.used_at is None:
            await self.session.delete(invitation)

    async def invite(self, proposal_id: str, body: Mapping[str, Any]) -> None:
        """Add people who have an account as co-investigators, and write to those who have none.

        Raises
        ------
        InvalidInput
            When an address is the caller's own or a member's.
        """
        await self._led(proposal_id)
        wish = read_body(Invite, body, wrapped=False)
        emails = list(dict.fromkeys(email.lower() for email in wish.emails))
        users = await accounts.users_by_email(self.session, emails)
        members = set(
            await self.session.scalars(
                select(Membership.user_id).where(
                    Membership.proposal_id == proposal_id,
                    Membership.user_id.in_([user.id for user in users.values()]),
                )
            )
        )
        problems = [
            "You cannot invite yourself."
            if user.id == self.caller.user_id
            else f"User with email {user.email} is already a member of this proposal."
            for user in users.values()
            if user.id in members or user.id == self.caller.user_id
        ]
        if problems:
            raise InvalidInput.fields(emails=problems)
        title = (await self.session.get_one(Proposal, proposal_id)).title
        for user in users.values():
            await self._add(proposal_id, title, user, wish.time_limit)
        spelling = {email.lower(): email for email in reversed(wish.emails)}
        for email in emails:
            if email not in users:
                await self._write_to(proposal_id, title, spelling[email], wish.time_limit)
        changes.stamp(self.session, "proposals")

    async def _add(self, proposal_id: str, title: str, user: accounts.User, time_limit_s: int) -> None:
        added = await self.session.scalar(
            insert(Membership)
            .values(proposal_id=proposal_id, user_id=user.id, role="CI", time_limit_s=time_limit_s)
            .on_conflict_do_nothing()
            .returning(Membership.id)
        )
        if added is not None:
            accounts.queue_mail(
                self.session,
                self.vault,
                [user.email],
                f"You were added to the proposal {proposal_id}",
                f"Dear {user.first_name} {user.last_name},\n\n{self.caller.username} added you to the "
                f"proposal {proposal_id} ({title}).\nSubmit your requests at {self.public_url}/\n",
                self.now,
            )

    async def _write_to(self, proposal_id: str, title: str, email: str, time_limit_s: int) -> None:
        values = {"role": "CI", "time_limit_s": time_limit_s, "sent_at": self.now, "used_at": None}
        await self.session.execute(
            insert(Invitation)
            .values(proposal_id=proposal_id, email=email, **values)
            .on_conflict_do_update(
                index_elements=[Invitation.proposal_id, func.lower(Invitation.email)], set_=values
            )
        )
        accounts.queue_mail(
            self.session,
            self.vault,
            [email],
            f"Invitation to the proposal {proposal_id}",
            f"{self.caller.username} invites you to the proposal {proposal_id} ({title}).\n"
            f"Register at {self.public_url}/accounts/register/?email={quote(email)}\n",
            self.now,
        )
