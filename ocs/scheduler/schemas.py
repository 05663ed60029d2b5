"""What the scheduler sends and reads."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ocs.kernel.wire.types import UtcDatetime, WireModel, WireText
from ocs.scheduler.snapshot import Overrides


class RunOut(BaseModel):
    """A scheduling run, as in lists."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    trigger: str = Field(description="start, change, repeat or period")
    status: str = Field(description="optimal (nothing better is possible), feasible or failed")
    started: UtcDatetime = Field(validation_alias="started_at")
    finished: UtcDatetime = Field(validation_alias="finished_at")
    valid_from: UtcDatetime = Field(description="What begins earlier was left as it was")
    horizon_end: UtcDatetime
    requests: int = Field(description="Requests that were looked at")
    telescopes: int
    scheduled: int
    objective: float = Field(description="Sum of the priorities of what is scheduled")
    bound: float = Field(description="No schedule can be worth more; proven")
    gap: float = Field(description="(bound - objective) / bound")
    timings: dict[str, float] = Field(validation_alias="timings_s", description="Real seconds of each stage")
    error: str


class RunDetailOut(RunOut):
    """A scheduling run with what it changed."""

    changes: dict[str, Any] = Field(
        description="By site.enclosure.telescope: how many observations were kept, and the ids of those that "
        "were created and cancelled"
    )


class TelescopeExplanationOut(BaseModel):
    """What each filter left of a request's time at a telescope."""

    telescope: str = Field(description="site.enclosure.telescope")
    remaining: dict[str, int] = Field(description="Seconds left after each filter, in order")
    emptied_by: str | None = Field(description="The first filter that left nothing")
    reduced_value: float | None = Field(
        description="Priority minus the worth of the telescope's time to others, at its best; negative when "
        "it is outpriced"
    )


class OccupantOut(BaseModel):
    """A planned observation where the request could have been."""

    request: int | None = Field(description="Missing where it is not yours to see")
    telescope: str
    start: UtcDatetime
    end: UtcDatetime
    priority: float


class ExplanationOut(BaseModel):
    """What the latest scheduling run decided about a request, and why."""

    request: int
    run: int | None
    run_finished: UtcDatetime | None
    outcome: str = Field(description="scheduled, running, filtered, rejected, lost or not_considered")
    reason: str
    priority: float | None
    telescope: str | None
    start: UtcDatetime | None
    end: UtcDatetime | None
    telescopes: list[TelescopeExplanationOut]
    occupants: list[OccupantOut]


TelescopeName = Annotated[WireText, Field(pattern=r"^[^.]+\.[^.]+\.[^.]+$", max_length=200)]


class DryRunIn(WireModel):
    """What shall be taken to be otherwise than it is."""

    now: UtcDatetime | None = Field(None, description="Time of the run; the present when omitted")
    horizon_days: float | None = Field(None, gt=0, le=60, description="How far ahead is planned")
    closed_telescopes: list[TelescopeName] = Field(
        [], max_length=1000, description="site.enclosure.telescope"
    )
    priorities: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        {}, max_length=10_000, description="Priority of proposals, by id"
    )

    def overrides(self) -> Overrides:
        """Return them as the service takes them."""
        return Overrides(
            self.now,
            self.horizon_days,
            frozenset(".".join(reversed(name.lower().split("."))) for name in self.closed_telescopes),
            self.priorities,
        )


class PlannedOut(BaseModel):
    """An observation of a schedule."""

    request: int
    telescope: str
    start: UtcDatetime
    end: UtcDatetime
    priority: float


class RemovedOut(BaseModel):
    """An observation that would be taken back."""

    observation: int
    request: int
    telescope: str
    start: UtcDatetime
    end: UtcDatetime


class DryRunOut(BaseModel):
    """A schedule that was computed and not written."""

    now: UtcDatetime
    valid_from: UtcDatetime
    status: str
    requests: int
    objective: float
    bound: float
    gap: float
    timings: Mapping[str, float]
    schedule: list[PlannedOut]
    added: list[PlannedOut]
    removed: list[RemovedOut]
