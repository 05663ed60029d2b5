"""Changes of state: of requests, of the groups they belong to, and what follows from them.

Every change goes through `move`, in the caller's transaction: groups and requests are locked in the order of
their ids, what the transition table forbids is left as it is, priorities are settled in the ledger, and
schedulers and people are told.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.portal.proposals import api as proposals
from ocs.portal.requests import durations, notices, repository
from ocs.portal.requests.states import ObservationType, Operator, State, group_state, may_become

CancelListener = Callable[[WriteSession, Sequence[int], datetime], Awaitable[None]]
GroupListener = Callable[[WriteSession, "GroupChange"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A group that reached a new state, or one of whose requests did."""

    group_id: int
    name: str
    proposal_id: str
    submitter_id: int
    state: State
    changed: bool
    requests: Mapping[int, State]


_cancel_listeners: list[CancelListener] = []


def when_cancelled(listener: CancelListener) -> None:
    """Call `listener` with the ids of requests that are cancelled, in the same transaction."""
    if listener not in _cancel_listeners:
        _cancel_listeners.append(listener)


def ipp_effect_h(ipp_value: float, state: State, seconds: float) -> float:
    """Return what a request's priority has cost (negative) or earned, in hours of available IPP time.

    Above 1 it costs as long as the request is open or done; below 1 it earns once the request is done.
    """
    pays = state in {State.PENDING, State.COMPLETED} if ipp_value > 1 else state is State.COMPLETED
    return (1 - ipp_value) * durations.whole(seconds) / 3600 if pays else 0.0


def ipp_targets(group: Any, request: Any, state: State) -> list[proposals.IppTarget]:
    """Return what the ledger shall say about a request in `state`; nothing for what has no priority."""
    if (
        group.observation_type != ObservationType.NORMAL
        or group.ipp_value == 1
        or request.semester_id is None
    ):
        return []
    return [
        proposals.IppTarget(
            request.id,
            group.proposal_id,
            request.semester_id,
            code,
            ipp_effect_h(group.ipp_value, state, seconds),
        )
        for code, seconds in request.type_seconds.items()
    ]


def announce(session: WriteSession, telescope_classes: Iterable[str]) -> None:
    """Tell schedulers, ours and others, that requests changed."""
    changes.stamp(session, "requests", *{item for item in telescope_classes if item}, "all")
    changes.stamp(session, "schedule_inputs", "requests")


async def move(
    session: WriteSession,
    wanted: Mapping[int, State],
    *,
    now: datetime,
    cause: str,
    bad_data: bool = False,
    cancel_groups: Iterable[int] = (),
) -> list[GroupChange]:
    """Bring requests to new states, and their groups after them.

    Parameters
    ----------
    wanted
        New state by request id; what is not allowed from the present state is left out.
    cause
        Text of the ledger's entries.
    bad_data
        Whether completed requests may be opened again.
    cancel_groups
        Groups that are cancelled with all their open requests.

    Returns
    -------
    list of GroupChange
        The groups in which something changed.
    """
    cancelled = set(cancel_groups)
    groups = [*await repository.lock_groups(session, cancelled)] if cancelled else []
    if wanted:
        groups += [row for row in await repository.lock_groups_of(session, wanted) if row.id not in cancelled]
    by_group: dict[int, list[Any]] = {row.id: [] for row in groups}
    for request in await repository.lock_requests(session, by_group):
        by_group[request.group_id].append(request)
    request_states: dict[int, State] = {}
    group_states: dict[int, State] = {}
    targets: list[proposals.IppTarget] = []
    found: list[GroupChange] = []
    classes: set[str] = set()
    for group in groups:
        before = State(group.state)
        here = _children(group, by_group[group.id], wanted, bad_data=bad_data)
        after = group_state(Operator(group.operator), here.values()) if here else before
        if group.id in cancelled:
            after = State.CANCELED
        if not (may_become(before, after, bad_data=bad_data)):
            after = before
        if after is not before and after in {State.WINDOW_EXPIRED, State.CANCELED}:
            here = {id_: after if state is State.PENDING else state for id_, state in here.items()}
        moved = {
            request.id: here[request.id]
            for request in by_group[group.id]
            if here[request.id] != request.state
        }
        for request in by_group[group.id]:
            if request.id in moved:
                targets += ipp_targets(group, request, moved[request.id])
                classes.add(request.telescope_class)
        if moved or after is not before:
            request_states |= moved
            if after is not before:
                group_states[group.id] = after
            found.append(
                GroupChange(
                    group.id,
                    group.name,
                    group.proposal_id,
                    group.submitter_id,
                    after,
                    after is not before,
                    moved,
                )
            )
    await repository.set_states(session, request_states, group_states, now)
    if targets:
        await proposals.settle_ipp(session, targets, cause=cause, now=now)
    if found:
        announce(session, classes)
        await notices.tell(session, found, now)
    ended = [id_ for id_, state in request_states.items() if state is State.CANCELED]
    if ended:
        for listener in _cancel_listeners:
            await listener(session, ended, now)
    return found


def _children(
    group: Any, requests: Sequence[Any], wanted: Mapping[int, State], *, bad_data: bool
) -> dict[int, State]:
    """Return the states of a group's requests with the allowed changes made."""
    result = {}
    for request in requests:
        before = State(request.state)
        after = wanted.get(request.id, before)
        result[request.id] = after if may_become(before, after, bad_data=bad_data) else before
    return result


async def expire(session: WriteSession, now: datetime) -> int:
    """End the open requests whose windows are over; return how many."""
    ids = await repository.expired_requests(session, now)
    moved = await move(session, dict.fromkeys(ids, State.WINDOW_EXPIRED), now=now, cause="window expired")
    return sum(len(item.requests) for item in moved)
