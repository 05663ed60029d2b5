"""Submitting: one group or many, at most once, on trial or in earnest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ocs.kernel.database import WriteSession
from ocs.kernel.errors import InvalidInput
from ocs.kernel.security import Principal
from ocs.kernel.settings import Settings
from ocs.portal.requests import documents, repository, service
from ocs.portal.requests.errors import KeyReused

REPLAYED_FOR = timedelta(hours=24)
DUPLICATE_HEADER = "X-OCS-Possible-Duplicate"
MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a submission is answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]


async def discard(session: WriteSession) -> None:
    """Take back all that was written, and what would have been announced with it."""
    await session.rollback()
    session.info.pop("stamps", None)
    session.info.pop("after_commit", None)


async def submit(
    session: WriteSession,
    principal: Principal,
    settings: Settings,
    now: datetime,
    sent: Any,
    *,
    key: str | None,
    atomic: bool,
    dry_run: bool,
) -> Answer:
    """Check and store what was sent: a group, or a list of groups.

    Parameters
    ----------
    key
        A repetition with the same key and body gets the same answer for a day and stores nothing.
    atomic
        Of a list, store all or nothing.
    dry_run
        Answer as usual and store nothing.

    Raises
    ------
    InvalidInput
        When a single group, or one of an atomic list, is refused.
    KeyReused
        When the key came with another body before.
    """
    assert principal.user_id is not None
    digest = hashlib.blake2b(service.packed(sent), digest_size=32).digest()
    headers: dict[str, str] = {}
    if key is not None:
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise InvalidInput(f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters.")
        await repository.lock_submissions(session, principal.user_id, key)
        earlier = await repository.find_submission(session, principal.user_id, key, now - REPLAYED_FOR)
        if earlier is not None:
            if earlier.body_digest != digest:
                raise KeyReused
            return Answer(earlier.status, earlier.answer, {"Idempotent-Replayed": "true"})
    else:
        twin = await repository.find_duplicate(session, principal.user_id, digest, now - REPLAYED_FOR)
        if twin is not None:
            headers[DUPLICATE_HEADER] = str(twin)
    group_id = None
    if sent == []:  # nothing to do is what nobody means: the recorded answer
        raise InvalidInput.whole("Invalid data. Expected a dictionary, but got list.")
    if isinstance(sent, list):
        body = documents.dumps(await _submit_all(session, principal, settings, now, sent, atomic=atomic))
    else:
        shown = await service.submit(session, principal, settings, now, sent)
        group_id = shown["id"]
        body = documents.dumps(shown)
    if dry_run:
        await discard(session)
        return Answer(201, body, headers)
    await repository.store_submission(
        session,
        {
            "user_id": principal.user_id,
            "key": key,
            "body_digest": digest,
            "group_id": group_id,
            "status": 201,
            "answer": body if key is not None else b"",
            "created": now,
        },
    )
    return Answer(201, body, headers)


async def _submit_all(
    session: WriteSession,
    principal: Principal,
    settings: Settings,
    now: datetime,
    sent: list[Any],
    *,
    atomic: bool,
) -> dict[str, Any]:
    """Store the groups of a list that pass; return them by place, and the errors of the others."""
    results: list[Any] = []
    errors: dict[str, Any] = {}
    for position, item in enumerate(sent):
        try:
            async with session.begin_nested():
                results.append(await service.submit(session, principal, settings, now, item))
        except InvalidInput as error:
            results.append(None)
            errors[str(position)] = error.body
    if atomic and errors:
        raise InvalidInput(body=[errors.get(str(position), {}) for position in range(len(sent))])
    return {"num_created": len(sent) - len(errors), "errors": errors, "results": results}


async def forget(session: WriteSession, now: datetime) -> None:
    """Forget the submissions that nobody can repeat any more."""
    await repository.forget_submissions(session, now - REPLAYED_FOR)
