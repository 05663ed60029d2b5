"""What clients send to the observations, and what they are sent."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel, WireText, text
from ocs.portal.observations.states import ObservationState, StatusState
from ocs.portal.requests.api import ObservationType, State
from ocs.portal.requests.schemas import ConfigurationIn, RawObject, Sent

_MAX_INT = 2**31 - 1
BigInt = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Code = text(10)
Priority = Annotated[int, Field(ge=0, le=_MAX_INT, description="Lower wins; advice for the site")]

ORDERED = ("start", "end", "modified", "created", "state")


# --- filters


def _known_orderings(value: str) -> str:
    for name in value.split(","):
        if name.strip().removeprefix("-") not in ORDERED:
            raise ValueError(f"Select a valid choice. {name} is not one of the available choices.")
    return value


class ObservationFilters(FilterModel):
    """Which observations are listed; several values of one parameter mean any of them."""

    site: list[WireText] = Field(default_factory=list)
    enclosure: list[WireText] = Field(default_factory=list)
    telescope: list[WireText] = Field(default_factory=list)
    priority: float | None = None
    state: list[ObservationState] = Field(default_factory=list)
    time_span: Literal["today", "yesterday", "week", "month", "year"] | None = Field(
        None, description="When it starts; UTC"
    )
    start_after: FilterDatetime | None = Field(None, description="Starts at or after this")
    start_before: FilterDatetime | None = Field(None, description="Starts before this")
    end_after: FilterDatetime | None = Field(None, description="Ends at or after this")
    end_before: FilterDatetime | None = Field(None, description="Ends before this")
    modified_after: FilterDatetime | None = None
    created_after: FilterDatetime | None = None
    created_before: FilterDatetime | None = None
    request_id: BigInt | None = None
    request_group_id: BigInt | None = None
    user: WireText | None = Field(None, description="User name of the submitter, exactly")
    proposal: WireText | None = None
    observation_type: list[ObservationType] = Field(default_factory=list)
    request_state: list[State] = Field(default_factory=list)
    instrument_type: list[WireText] = Field(default_factory=list)
    configuration_type: list[WireText] = Field(default_factory=list)
    ordering: Annotated[str, AfterValidator(_known_orderings)] | None = None


class StatusFilters(FilterModel):
    """Which configuration statuses are listed."""

    site: WireText | None = None
    instrument_name: WireText | None = None
    guide_camera_name: WireText | None = None
    state: list[StatusState] = Field(default_factory=list)


class RequestObservationFilters(FilterModel):
    """Which observations of a request are listed."""

    exclude_canceled: bool = False


class ChoiceField(BaseModel):
    """A filter with a fixed set of values: (value, what to show)."""

    name: str
    options: list[tuple[str, str]]


class AvailableFilters(BaseModel):
    """The filters there are."""

    fields: list[str]
    choice_fields: list[ChoiceField]


# --- what is sent to us


class StatusIn(WireModel):
    """One configuration of a new observation."""

    configuration: BigInt
    instrument_name: text(255)  # type: ignore[valid-type]
    guide_camera_name: text(255) = ""  # type: ignore[valid-type]


class ObservationIn(WireModel):
    """A request placed at a telescope.

    `configuration_statuses` has one entry per configuration and round: c1, c2, c1, c2 for two rounds.
    """

    request: BigInt
    site: Code  # type: ignore[valid-type]
    enclosure: Code  # type: ignore[valid-type]
    telescope: Code  # type: ignore[valid-type]
    start: UtcDatetime
    end: UtcDatetime
    priority: Priority = 10
    configuration_statuses: list[StatusIn]


class ObservationUpdate(WireModel):
    """What can be changed of an observation."""

    end: UtcDatetime | None = None
    state: ObservationState | None = Field(None, description="BAD_DATA only")


class SummaryIn(WireModel):
    """What the telescope did for one configuration."""

    start: UtcDatetime
    end: UtcDatetime
    state: text(50)  # type: ignore[valid-type]
    reason: text(200, blank=True) = ""  # type: ignore[valid-type]
    time_completed: Annotated[float, Field(description="Seconds of exposure")]
    events: Any = Field(default_factory=list)


class StatusUpdate(WireModel):
    """A telescope's report of one configuration."""

    state: StatusState | None = None
    summary: SummaryIn | None = None
    end: UtcDatetime | None = Field(None, description="When this configuration will end")
    exposures_start_at: UtcDatetime | None = Field(None, description="When its exposures will begin")


class Cancellation(WireModel):
    """What is taken back: some observations by id, or what overlaps a stretch of time."""

    ids: Annotated[list[BigInt], Field(min_length=1)] | None = None
    start: UtcDatetime | None = None
    end: UtcDatetime | None = None
    site: WireText | None = None
    enclosure: WireText | None = None
    telescope: WireText | None = None
    include_normal: bool = True
    include_rr: bool = False
    include_direct: bool = False
    preemption_enabled: bool = Field(False, description="Also abort what is in progress")


class DirectConfigurationIn(ConfigurationIn):
    """One target with one instrument, which may be named."""

    instrument_name: text(255, blank=True) = ""  # type: ignore[valid-type]
    guide_camera_name: text(255, blank=True) = ""  # type: ignore[valid-type]


class DirectRequestIn(Sent):
    """What is observed."""

    observation_note: text(255, blank=True) = ""  # type: ignore[valid-type]
    optimization_type: Literal["TIME", "AIRMASS"] = "TIME"
    acceptability_threshold: Annotated[float | None, Field(ge=0, le=100)] = None
    configuration_repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    extra_params: RawObject = Field(default_factory=dict)
    configurations: Annotated[list[DirectConfigurationIn], Field(min_length=1)]


class DirectIn(WireModel):
    """A request and its place at a telescope."""

    site: Code  # type: ignore[valid-type]
    enclosure: Code  # type: ignore[valid-type]
    telescope: Code  # type: ignore[valid-type]
    start: UtcDatetime
    end: UtcDatetime
    name: text(50)  # type: ignore[valid-type]
    proposal: WireText
    priority: Priority = 10
    request: DirectRequestIn


class SessionIn(WireModel):
    """A real-time session to book."""

    proposal: WireText
    name: text(50)  # type: ignore[valid-type]
    site: Code  # type: ignore[valid-type]
    enclosure: Code  # type: ignore[valid-type]
    telescope: Code  # type: ignore[valid-type]
    start: UtcDatetime
    end: UtcDatetime
    priority: Priority = 10


# --- what we send


class SummaryOut(BaseModel):
    """What the telescope did for one configuration."""

    start: UtcDatetime
    end: UtcDatetime
    state: str
    reason: str
    time_completed: float
    events: Any


class StatusOut(BaseModel):
    """How one configuration goes."""

    id: int
    summary: SummaryOut | None
    instrument_name: str
    guide_camera_name: str
    state: StatusState
    configuration: int | None


class _Place(BaseModel):
    site: str
    enclosure: str
    telescope: str
    start: UtcDatetime
    end: UtcDatetime
    priority: int
    state: ObservationState


class FlatObservation(_Place):
    """An observation with its statuses and the number of its request."""

    id: int
    configuration_statuses: list[StatusOut]
    request: int
    modified: UtcDatetime
    created: UtcDatetime


class _Owned(_Place):
    id: int
    modified: UtcDatetime
    proposal: str
    submitter: str
    name: str
    ipp_value: float
    observation_type: ObservationType
    request_group_id: int


class ScheduledObservation(_Owned):
    """An observation with its request; one configuration per configuration and round."""

    request: dict[str, Any]
    created: UtcDatetime


class DirectObservation(_Owned):
    """An observation with its request; each configuration once, with its last round's status."""

    request: dict[str, Any]


class Session(_Owned):
    """A real-time session."""

    configuration_status_id: int | None


class ListedStatus(BaseModel):
    """How one configuration goes; the summary is empty before there is one."""

    id: int
    configuration: int | None
    instrument_name: str
    guide_camera_name: str
    state: StatusState
    summary: dict[str, Any]


class ListedObservation(_Place):
    """An observation in the list at its request."""

    id: int
    request: int
    configuration_statuses: list[ListedStatus]


class Created(BaseModel):
    """What became of a list of observations; errors by position."""

    num_created: int
    errors: dict[str, Any]


class Canceled(BaseModel):
    """How many observations were taken back."""

    canceled: int


class LastScheduled(BaseModel):
    """When the schedule last got something new."""

    last_schedule_time: UtcDatetime
