"""Why a request is where it is, or nowhere: packed with every run, read without running again. Pure."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from ocs.scheduler.inputs import Inputs
from ocs.scheduler.problem import REQUEST_FILTERS, IntArray, Schedule

Outcome = Literal["scheduled", "running", "rejected", "filtered", "lost", "not_considered"]

REASONS = {
    "running": "It is being observed, or is about to be.",
    "state": "It is not pending.",
    "expired": "Its last window is over.",
    "past": "Its windows are over.",
    "horizon": "Its windows begin after the end of what is planned.",
    "too_small": "No window is longer than its duration.",
    "group": "Other requests of its group cannot be observed, and the group needs them.",
}


@dataclass(frozen=True, slots=True)
class Occupant:
    """A planned observation that stands where the request could have been.

    `request_id` is None where the reader may not know it.
    """

    request_id: int | None
    resource: str
    start_utc: datetime
    end_utc: datetime
    priority: float


@dataclass(frozen=True, slots=True)
class AtTelescope:
    """What the filters left at one telescope.

    `remaining_s` has the seconds left after each filter in turn; `emptied_by` is the first that left none.
    `reduced_value` is the priority minus what the telescope's time is worth to others, at its best; None
    where no start is possible.
    """

    resource: str
    remaining_s: dict[str, int]
    emptied_by: str | None
    reduced_value: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a run decided about a request, and why."""

    outcome: Outcome
    reason: str
    priority: float | None = None
    resource: str | None = None
    start_utc: datetime | None = None
    end_utc: datetime | None = None
    telescopes: tuple[AtTelescope, ...] = ()
    occupants: tuple[Occupant, ...] = ()


def pack(passes: Sequence[tuple[Inputs, Schedule]]) -> bytes:
    """Return what the passes of a run knew, compressed.

    Parameters
    ----------
    passes
        Of one snapshot, so that they have the same telescopes and the same origin.
    """
    content = io.BytesIO()
    arrays: dict[str, Any] = {}
    rejected: dict[int, str] = {}
    for number, (inputs, schedule) in enumerate(passes):
        problem, report = inputs.problem, inputs.report
        rejected |= {inputs.requests[index].id: reason for index, reason in inputs.rejected.items()}
        row_telescope = problem.block_telescope[problem.row_block]
        # Pairs are sorted by request, then telescope; each row belongs to one of them.
        row_pair = np.searchsorted(
            report.pair_request * len(inputs.telescopes) + report.pair_telescope,
            problem.row_request * len(inputs.telescopes) + row_telescope,
        )
        value = np.full(len(report.pair_request), -np.inf)
        np.maximum.at(value, row_pair, problem.priority[problem.row_request] - schedule.row_price)
        columns = {
            "id": np.array([request.id for request in inputs.requests], dtype=np.int64),
            "priority": problem.priority,
            "duration_s": problem.duration_s,
            "removed_by": report.request_removed_by.astype(np.int8),
            "pair_request": report.pair_request,
            "pair_telescope": report.pair_telescope,
            "remaining_s": report.remaining_s.astype(np.int32),
            "value": value.astype(np.float32),
            "row_request": problem.row_request,
            "row_telescope": row_telescope,
            "row_lo_s": problem.row_lo_s,
            "row_hi_s": problem.row_hi_s,
            "planned_request": schedule.request,
            "planned_telescope": schedule.telescope,
            "planned_start_s": schedule.start_s,
        }
        arrays |= {f"{number}/{name}": column for name, column in columns.items()}
    first = passes[0][0]
    words = {
        "passes": len(passes),
        "origin": first.origin_utc.isoformat(),
        "resources": [telescope.resource for telescope in first.telescopes],
        "filters": first.report.pair_filters,
        "rejected": rejected,
    }
    np.savez_compressed(
        content, words=np.frombuffer(json.dumps(words).encode(), dtype=np.uint8), **arrays, allow_pickle=False
    )
    return content.getvalue()


def explain(content: bytes, request_id: int) -> Explanation:
    """Return what a run decided about a request.

    Parameters
    ----------
    content
        What `pack` returned.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        words = json.loads(stored["words"].tobytes())
        passes = [_Pass(stored, number, words) for number in range(words["passes"])]
        for one in passes:
            index = np.flatnonzero(one["id"] == request_id)
            if len(index):
                return one.explain(int(index[0]), passes, words["rejected"].get(str(request_id)))
    return Explanation(
        "not_considered",
        "It was not among the requests to be scheduled: it is not pending, suspended, too far ahead, or its "
        "proposal is inactive or has no time left.",
    )


class _Pass:
    """One pass in a stored run."""

    def __init__(self, stored: Any, number: int, words: dict[str, Any]) -> None:
        self._stored, self._number = stored, number
        self._columns: dict[str, Any] = {}
        self.resources, self.filters = words["resources"], words["filters"]
        self.origin = datetime.fromisoformat(words["origin"])

    def __getitem__(self, name: str) -> Any:
        if name not in self._columns:
            self._columns[name] = self._stored[f"{self._number}/{name}"]
        return self._columns[name]

    def utc(self, second: int) -> datetime:
        return self.origin + timedelta(seconds=int(second))

    def explain(self, index: int, passes: Sequence[_Pass], rejected: str | None) -> Explanation:
        priority = float(self["priority"][index])
        telescopes = tuple(self._telescopes(index))
        planned = np.flatnonzero(self["planned_request"] == index)
        if len(planned):
            start_s = int(self["planned_start_s"][planned[0]])
            return Explanation(
                "scheduled",
                "It is in the schedule.",
                priority,
                self.resources[int(self["planned_telescope"][planned[0]])],
                self.utc(start_s),
                self.utc(start_s + int(self["duration_s"][index])),
                telescopes,
            )
        removed_by = int(self["removed_by"][index])
        if removed_by >= 0:
            name = REQUEST_FILTERS[removed_by]
            return Explanation("running" if name == "running" else "filtered", REASONS[name], priority)
        if rejected is not None:
            return Explanation("rejected", rejected, priority, telescopes=telescopes)
        if not (self["row_request"] == index).any():
            return Explanation(
                "filtered",
                "At no telescope is there a time for it; each one names the filter that left nothing.",
                priority,
                telescopes=telescopes,
            )
        return Explanation(
            "lost",
            "There are times for it, but the schedule is worth more with the observations listed here.",
            priority,
            telescopes=telescopes,
            occupants=tuple(item for one in passes for item in self._occupants(index, one)),
        )

    def _telescopes(self, index: int) -> Sequence[AtTelescope]:
        found = []
        for pair in np.flatnonzero(self["pair_request"] == index):
            left = self["remaining_s"][:, pair].tolist()
            value = float(self["value"][pair])
            emptied = next((name for name, s in zip(self.filters, left, strict=True) if s == 0), None)
            found.append(
                AtTelescope(
                    self.resources[int(self["pair_telescope"][pair])],
                    dict(zip(self.filters, left, strict=True)),
                    emptied,
                    value if np.isfinite(value) else None,
                )
            )
        return found

    def _occupants(self, index: int, other: _Pass) -> Sequence[Occupant]:
        mine = self["row_request"] == index
        duration_s = int(self["duration_s"][index])
        start_s: IntArray = other["planned_start_s"]
        end_s = start_s + other["duration_s"][other["planned_request"]]
        there = np.zeros(len(start_s), dtype=np.bool_)
        for telescope, lo, hi in zip(
            self["row_telescope"][mine], self["row_lo_s"][mine], self["row_hi_s"][mine], strict=True
        ):
            there |= (other["planned_telescope"] == telescope) & (start_s < hi + duration_s) & (end_s > lo)
        return [
            Occupant(
                int(other["id"][other["planned_request"][i]]),
                self.resources[int(other["planned_telescope"][i])],
                self.utc(start_s[i]),
                self.utc(end_s[i]),
                float(other["priority"][other["planned_request"][i]]),
            )
            for i in np.flatnonzero(there)
        ]
