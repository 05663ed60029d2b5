"""States of observations and of their configurations, and what follows from them; pure rules.

::

    PENDING ──> IN_PROGRESS ──> COMPLETED, FAILED, NOT_ATTEMPTED   as the telescope reports
    PENDING ──> CANCELED                                           taken back before it began
    PENDING, IN_PROGRESS ──> ABORTED                               taken back while under way
    COMPLETED, FAILED, ABORTED ──> BAD_DATA                        the data turned out to be useless
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ObservationState(StrEnum):
    """Where an observation stands."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    NOT_ATTEMPTED = "NOT_ATTEMPTED"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    ABORTED = "ABORTED"
    FAILED = "FAILED"
    BAD_DATA = "BAD_DATA"

    @property
    def is_open(self) -> bool:
        """Whether the telescope still has to do with it."""
        return self in OPEN


OPEN = (ObservationState.PENDING, ObservationState.IN_PROGRESS)


class StatusState(StrEnum):
    """Where one configuration of an observation stands."""

    PENDING = "PENDING"
    ATTEMPTED = "ATTEMPTED"
    NOT_ATTEMPTED = "NOT_ATTEMPTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    BAD_DATA = "BAD_DATA"

    @property
    def is_final(self) -> bool:
        """Whether only bad data can change it any more."""
        return self in {StatusState.COMPLETED, StatusState.FAILED, StatusState.NOT_ATTEMPTED}


def next_status(current: StatusState, reported: StatusState) -> StatusState:
    """Return the state of a configuration after a report; a late report of a final one is ignored."""
    if current.is_final and reported is not StatusState.BAD_DATA:
        return current
    return reported


def next_state(current: ObservationState, statuses: Collection[StatusState]) -> ObservationState:
    """Return the state of an observation that follows from its configurations' states."""
    present = set(statuses)
    if not current.is_open or not present:
        return current
    if present == {StatusState.NOT_ATTEMPTED}:
        return ObservationState.NOT_ATTEMPTED
    if present <= {StatusState.PENDING, StatusState.NOT_ATTEMPTED}:
        return ObservationState.PENDING
    if present <= {StatusState.PENDING, StatusState.ATTEMPTED}:
        return ObservationState.IN_PROGRESS
    if StatusState.BAD_DATA in present:
        return ObservationState.BAD_DATA
    if present & {StatusState.NOT_ATTEMPTED, StatusState.FAILED}:
        return ObservationState.FAILED
    if present == {StatusState.COMPLETED}:
        return ObservationState.COMPLETED
    return current


@dataclass(frozen=True, slots=True)
class Execution:
    """What was asked of one configuration, and what the telescope did.

    `exposure_s` is the whole exposure time that was asked for; `repeat_s` is set where exposures are repeated
    for a given time instead. `completed_s`, `start` and `end` come from the telescope's summary, if there is
    one.
    """

    exposure_s: float
    repeat_s: float | None
    completed_s: float = 0.0
    start: datetime | None = None
    end: datetime | None = None

    @property
    def asked_s(self) -> float:
        """What counts as all of it."""
        return self.exposure_s if self.repeat_s is None else self.repeat_s

    @property
    def done_s(self) -> float:
        """What counts as done."""
        if self.repeat_s is None:
            return self.completed_s
        return max((self.end - self.start).total_seconds(), 0.0) if self.start and self.end else 0.0


def is_enough(executions: Sequence[Execution], threshold_percent: float) -> bool:
    """Tell whether what was done reaches the threshold, which is in percent of what was asked for.

    Where nothing was asked for (exposures of 0 s), nothing can be reached by exposing.
    """
    asked_s = sum(item.asked_s for item in executions)
    if asked_s <= 0:
        return False
    percent = 100 * sum(item.done_s for item in executions) / asked_s
    return percent >= threshold_percent or math.isclose(percent, threshold_percent)
