"""What is on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ocs.kernel.wire.types import FilterModel, UtcDatetime

State = Literal["waiting", "archived", "duplicate", "quarantined", "vanished"]


class QueueFilters(FilterModel):
    """Conditions on files; all must hold."""

    state: State | None = None
    reason: str | None = None
    path: str | None = None


class QueuedFileOut(BaseModel):
    """A file and what became of it. `size` is in bytes."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    path: str
    size: int
    state: State
    attempts: int
    code: str
    reason: str
    next_try_at: UtcDatetime
    frame_id: int | None
    created: UtcDatetime
    modified: UtcDatetime
