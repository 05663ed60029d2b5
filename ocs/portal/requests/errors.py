"""What can go wrong with request groups."""

from ocs.kernel.errors import InvalidInput


class NotCancellable(InvalidInput):
    """A group that is over cannot be cancelled."""

    def __init__(self, state: str) -> None:
        super().__init__(body={"errors": [f"This request group is {state} and cannot be canceled."]})


class NotPending(InvalidInput):
    """Only what is pending can be suspended."""

    def __init__(self, state: str) -> None:
        super().__init__(body=[f"This request is {state}; only PENDING requests can be suspended."])


class NothingVisible(InvalidInput):
    """No window of a cadence can be observed."""

    def __init__(self, reason: str = "No window of this cadence is long enough and visible.") -> None:
        super().__init__(body={"errors": reason})


class TooManyWindows(InvalidInput):
    """A cadence has more windows than a group may have requests."""

    def __init__(self, most: int) -> None:
        super().__init__(body={"errors": f"This cadence has more than {most} windows; use a longer period."})


class UnreadableDate(InvalidInput):
    """A date in the address cannot be read; told as plain text."""


class KeyReused(InvalidInput):
    """An Idempotency-Key came with another body before."""

    status = 422
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used for another body; use a new key for each submission."
