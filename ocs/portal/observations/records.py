"""Plain values of the observations: what passes the door, and what the rules work on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ocs.portal.observations.states import ObservationState, StatusState
from ocs.portal.requests.states import ObservationType


class TelescopeKey(NamedTuple):
    """The full name of a telescope."""

    site: str
    enclosure: str
    telescope: str


@dataclass(frozen=True, slots=True)
class NewStatus:
    """A configuration of a new observation."""

    configuration_id: int | None
    instrument_name: str
    guide_camera_name: str = ""


@dataclass(frozen=True, slots=True)
class NewObservation:
    """An observation to store; `statuses` has one entry per configuration and round."""

    request_id: int
    proposal_id: str
    observation_type: str
    telescope: TelescopeKey
    start: datetime
    end: datetime
    statuses: Sequence[NewStatus]
    priority: int = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """Ids an observation and its statuses got."""

    id: int
    status_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a telescope reports of a configuration."""

    start: datetime
    end: datetime
    state: str
    reason: str
    time_completed_s: float
    events: Any

    @property
    def duration_h(self) -> float:
        """Hours from start to end; 0 if the telescope confused them."""
        return max((self.end - self.start).total_seconds(), 0.0) / 3600


@dataclass(frozen=True, slots=True)
class Status:
    """One configuration of an observation, as stored."""

    id: int
    configuration_id: int | None
    instrument_name: str
    guide_camera_name: str
    state: StatusState
    time_charged_h: float
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation, as stored, with its statuses in order."""

    id: int
    request_id: int
    proposal_id: str
    observation_type: ObservationType
    telescope: TelescopeKey
    start: datetime
    end: datetime
    priority: int
    state: ObservationState
    ours: bool
    created: datetime
    modified: datetime
    statuses: tuple[Status, ...]


# --- what our own scheduler sees ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObservationRow:
    """An observation that is planned or under way.

    `any_failed` tells whether one of its configurations failed already; `ours` whether our own scheduler
    planned it and may replan it.
    """

    id: int
    request_id: int
    site: str
    enclosure: str
    telescope: str
    start: datetime
    end: datetime
    state: str
    observation_type: str
    any_failed: bool
    ours: bool


@dataclass(frozen=True, slots=True)
class PlannedObservation:
    """What shall be at a telescope; `instruments` has (instrument, guide camera) per configuration.

    The guide camera is empty where none is used. Rounds of repeated configurations are added here.
    """

    request_id: int
    start: datetime
    end: datetime
    instruments: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Refused:
    """A planned observation that was not stored, and why."""

    planned: PlannedObservation
    reason: str


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """What a new schedule changed: ids, by what happened to them, and what could not be had."""

    kept: tuple[int, ...]
    created: tuple[int, ...]
    cancelled: tuple[int, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class TimeDifference:
    """Hours of an allocation as the ledger has them, and as the telescopes' reports add up to."""

    allocation_id: int
    proposal_id: str
    semester_id: str
    account: str
    recorded_h: float
    counted_h: float
