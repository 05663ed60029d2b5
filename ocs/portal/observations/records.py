"""Plain values of the observations: what passes the door, and what the rules work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ocs.portal.observations.states import ObservationState, StatusState
from ocs.portal.requests.states import ObservationType, Operator, State


class TelescopeKey(NamedTuple):
    """The full name of a telescope."""

    site: str
    enclosure: str
    telescope: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its observations need it.

    `configurations` are the documents lists send, in the order of their priority. `windows` are (start, end);
    `class_` is the telescope class, empty for requests people placed themselves, as are unnamed parts of
    `place`.
    """

    id: int
    state: State
    group_id: int
    group_state: State
    proposal_id: str
    submitter_id: int
    observation_type: ObservationType
    operator: Operator
    ipp_value: float
    telescope_class: str
    place: TelescopeKey
    repeats: int
    threshold_percent: float
    type_seconds: Mapping[str, float]
    semester_id: str | None
    configurations: Sequence[Mapping[str, Any]]
    windows: Sequence[tuple[datetime, datetime]]

    @property
    def configuration_ids(self) -> tuple[int, ...]:
        """Ids of the configurations, by priority."""
        return tuple(item["id"] for item in self.configurations)

    @property
    def last_end(self) -> datetime | None:
        """End of the last window; None without windows."""
        return max((end for _, end in self.windows), default=None)


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
        """Hours from start to end."""
        return (self.end - self.start).total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class Status:
    """One configuration of an observation, as stored."""

    id: int
    observation_id: int
    configuration_id: int | None
    instrument_name: str
    guide_camera_name: str
    state: StatusState
    time_charged_h: float
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class Placed:
    """An observation, as stored."""

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
