"""What can go wrong with observations."""

from ocs.kernel.errors import InvalidInput


class InProgress(InvalidInput):
    """What is being observed is only taken back on demand."""

    def __init__(self) -> None:
        super().__init__(
            body={
                "error": "Some of these observations are in progress; send preemption_enabled to abort them."
            }
        )


class NotOver(InvalidInput):
    """Only what is over can have bad data."""

    def __init__(self, state: str) -> None:
        super().__init__(body=[f"Cannot update observation state from {state} to BAD_DATA."])


class DowntimeRefused(InvalidInput):
    """The telescope could not be set aside."""

    def __init__(self, reason: str) -> None:
        super().__init__(body=[reason])
