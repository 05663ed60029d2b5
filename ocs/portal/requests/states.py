"""States, transitions and the state of a group; pure rules.

::

    PENDING ──> COMPLETED   <── WINDOW_EXPIRED, CANCELED, FAILURE_LIMIT_REACHED
            ──> WINDOW_EXPIRED
            ──> CANCELED
            ──> FAILURE_LIMIT_REACHED
    COMPLETED ──> PENDING   only when the data turn out to be bad
"""

from collections.abc import Collection, Iterable
from enum import StrEnum


class State(StrEnum):
    """Where a request, or a group of requests, stands."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    WINDOW_EXPIRED = "WINDOW_EXPIRED"
    FAILURE_LIMIT_REACHED = "FAILURE_LIMIT_REACHED"
    CANCELED = "CANCELED"

    @property
    def is_terminal(self) -> bool:
        """Whether the scheduler is done with it."""
        return self is not State.PENDING


class ObservationType(StrEnum):
    """How a group is scheduled and what its time is charged to."""

    NORMAL = "NORMAL"
    RAPID_RESPONSE = "RAPID_RESPONSE"
    TIME_CRITICAL = "TIME_CRITICAL"
    DIRECT = "DIRECT"
    REAL_TIME = "REAL_TIME"

    @property
    def is_scheduled(self) -> bool:
        """Whether the scheduler places it; the others are placed by people."""
        return self not in {ObservationType.DIRECT, ObservationType.REAL_TIME}


class Operator(StrEnum):
    """How the requests of a group relate; AND and ONEOF only occur in old rows."""

    SINGLE = "SINGLE"
    MANY = "MANY"
    AND = "AND"
    ONEOF = "ONEOF"


_ALLOWED_FROM: dict[State, frozenset[State]] = {
    State.COMPLETED: frozenset(State) - {State.COMPLETED},
    State.WINDOW_EXPIRED: frozenset({State.PENDING}),
    State.CANCELED: frozenset({State.PENDING}),
    State.FAILURE_LIMIT_REACHED: frozenset({State.PENDING}),
    State.PENDING: frozenset(),
}
_MANY_ORDER = (
    State.PENDING,
    State.COMPLETED,
    State.WINDOW_EXPIRED,
    State.FAILURE_LIMIT_REACHED,
    State.CANCELED,
)
_SINGLE_ORDER = (
    State.WINDOW_EXPIRED,
    State.PENDING,
    State.COMPLETED,
    State.FAILURE_LIMIT_REACHED,
    State.CANCELED,
)


def may_become(current: State, new: State, *, bad_data: bool = False) -> bool:
    """Tell whether a request or group in `current` may become `new`.

    Parameters
    ----------
    bad_data
        Whether the change comes from data found to be bad, which alone reopens what was completed.
    """
    if bad_data and current is State.COMPLETED and new is State.PENDING:
        return True
    return current in _ALLOWED_FROM[new]


def group_state(operator: Operator, requests: Iterable[State]) -> State:
    """Return the state a group's requests add up to.

    Raises
    ------
    ValueError
        For a group without requests.
    """
    present: Collection[State] = frozenset(requests)
    order = _MANY_ORDER if operator is Operator.MANY else _SINGLE_ORDER
    for state in order:
        if state in present:
            return state
    raise ValueError("a group has at least one request")
