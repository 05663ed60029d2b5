"""Drafts: what astronomers compose and have not submitted yet."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, NotFound
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import repository
from ocs.portal.requests.schemas import DraftIn

Plain = dict[str, Any]


def _shown(row: Any) -> Plain:
    return {
        "id": row.id,
        "author": row.author,
        "title": row.title,
        "content": row.content,
        "created": row.created,
        "modified": row.modified,
        "proposal": row.proposal,
    }


async def _check_proposal(session: ReadSession, principal: Principal, proposal: str) -> None:
    if not await proposals.get_proposals(session, [proposal]):
        raise InvalidInput.fields(proposal=f'Invalid pk "{proposal}" - object does not exist.')
    if proposal not in principal.proposal_ids:
        raise InvalidInput.whole(f"You are not a member of proposal {proposal}.")


async def list_drafts(
    session: ReadSession, principal: Principal, page: PageRequest
) -> tuple[int, list[Plain]]:
    """Return how many drafts a caller may see, and a page of them."""
    count, rows = await repository.page_of_drafts(session, principal, page)
    return count, [_shown(row) for row in rows]


async def _find(session: ReadSession, principal: Principal, draft_id: int) -> Any:
    row = await repository.find_draft(session, principal, draft_id)
    if row is None:
        raise NotFound.of("DraftRequestGroup")
    return row


async def show(session: ReadSession, principal: Principal, draft_id: int) -> Plain:
    """Return a draft."""
    return _shown(await _find(session, principal, draft_id))


async def create(session: WriteSession, principal: Principal, sent: DraftIn, now: datetime) -> Plain:
    """Store a draft.

    Raises
    ------
    InvalidInput
        When the caller is no member of the proposal, or has a draft of this title in it.
    """
    await _check_proposal(session, principal, sent.proposal)
    draft_id = await repository.insert_draft(
        session,
        {
            "author_id": principal.user_id,
            "proposal_id": sent.proposal,
            "title": sent.title,
            "content": sent.content,
            "created": now,
            "modified": now,
        },
    )
    if draft_id is None:
        raise _same_title()
    return await show(session, principal, draft_id)


def _same_title() -> InvalidInput:
    return InvalidInput.whole("The fields author, proposal, title must make a unique set.")


async def change(
    session: WriteSession, principal: Principal, draft_id: int, changes: Mapping[str, Any], now: datetime
) -> Plain:
    """Change a draft; what is not named stays."""
    row = await _find(session, principal, draft_id)
    proposal = changes.get("proposal", row.proposal)
    title = changes.get("title", row.title)
    await _check_proposal(session, principal, proposal)
    if await repository.draft_exists(session, row.author_id, proposal, title, but=draft_id):
        raise _same_title()
    values = {
        "proposal_id": proposal,
        "title": title,
        "content": changes.get("content", row.content),
        "modified": now,
    }
    await repository.update_draft(session, draft_id, values)
    return await show(session, principal, draft_id)


async def remove(session: WriteSession, principal: Principal, draft_id: int) -> None:
    """Remove a draft."""
    await _find(session, principal, draft_id)
    await repository.delete_draft(session, draft_id)
