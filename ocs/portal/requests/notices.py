"""Mail about requests: when a group is done, and when a request failed too often.

It is written in the transaction of the change, so it goes out once for each transition, or not at all.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy.pool import Pool

from ocs.kernel.database import WriteSession
from ocs.kernel.runtime import Runtime
from ocs.kernel.security import Vault
from ocs.portal.accounts import api as accounts
from ocs.portal.proposals import api as proposals
from ocs.portal.requests.states import State

if TYPE_CHECKING:
    from ocs.portal.requests.lifecycle import GroupChange

# What a letter needs beside the session, by the session's database: a process may serve more than one.
_offices: WeakKeyDictionary[Pool, tuple[Vault, str]] = WeakKeyDictionary()


def register(runtime: Runtime) -> None:
    """Let the changes in a database be told by mail."""
    _offices[runtime.database.engine.pool] = (runtime.vault, accounts.portal_url(runtime.settings))


def _news(change: "GroupChange") -> list[tuple[str, str]]:
    """Return subject and text of what is worth a letter."""
    where = f"{change.name} (proposal {change.proposal_id})"
    news = []
    if change.changed and change.state is State.COMPLETED:
        news.append((f"Request group {change.name} is completed", f"The request group {where} is completed."))
    failed = [id_ for id_, state in change.requests.items() if state is State.FAILURE_LIMIT_REACHED]
    for request_id in failed:
        news.append(
            (
                f"Request {request_id} of {change.name} failed too often",
                f"Request {request_id} of the request group {where} failed too often "
                "and is not scheduled any more.",
            )
        )
    return news


async def tell(session: WriteSession, found: Iterable["GroupChange"], now: datetime) -> None:
    """Queue the mail about changes for all who want it; see `proposals.notification_recipients`."""
    office = _offices.get(session.sync_session.get_bind().engine.pool)
    if office is None:
        return
    vault, url = office
    for change in found:
        if not (news := _news(change)):
            continue
        readers = await proposals.notification_recipients(session, change.proposal_id, change.submitter_id)
        for reader in readers:
            for subject, sentence in news:
                greeting = f"Dear {reader.first_name}," if reader.first_name else "Hello,"
                body = f"{greeting}\n\n{sentence}\n\n{url}/api/requestgroups/{change.group_id}/\n"
                accounts.queue_mail(session, vault, [reader.email], subject, body, now)
