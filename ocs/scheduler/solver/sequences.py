"""A feasible schedule that can be changed quickly: one ordered list of observations per block.

For each list two arrays are kept: the earliest end of everything before a position and the latest start of
everything from it on. A row fits between two neighbours exactly when ``max(lo, earliest_end) <= min(hi,
latest_start - d)``; the neighbours slide inside their slack, no start is fixed until the timing pass. Plain
lists, because the lists are short (tens of observations) and are searched one position at a time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import sub

import numpy as np

from ocs.scheduler.problem import FloatArray, IntArray, Operator, Problem


@dataclass(frozen=True, slots=True)
class _Undo:
    objective: float
    row: dict[int, int]
    block: dict[int, tuple[list[int], list[int], list[int], int]]


class Sequences:
    """Which row each scheduled request uses and in which order a block observes them.

    Attributes
    ----------
    row : list of int, length N
        Row used by each request, -1 when it is not scheduled.
    order : list of list of int, length B
        Requests of each block in order.
    objective : float
        Sum of the priorities of the scheduled requests.
    work : int
        Positions looked at, the unit of work in deterministic mode.
    """

    def __init__(self, problem: Problem) -> None:
        n, blocks = len(problem.priority), len(problem.block_telescope)
        self.priority: list[float] = problem.priority.tolist()
        self.duration: list[int] = problem.duration_s.tolist()
        self.row_request: list[int] = problem.row_request.tolist()
        self.row_block: list[int] = problem.row_block.tolist()
        self.row_lo: list[int] = problem.row_lo_s.tolist()
        self.row_hi: list[int] = problem.row_hi_s.tolist()
        first = np.searchsorted(problem.row_request, np.arange(n + 1)).tolist()
        self.rows: list[Sequence[int]] = [range(first[r], first[r + 1]) for r in range(n)]
        self.operator: list[int] = problem.operator[problem.group].tolist()
        self.group: list[int] = problem.group.tolist()
        self.members: list[list[int]] = [[] for _ in range(len(problem.operator))]
        for request, group in enumerate(self.group):
            self.members[group].append(request)
        self.row: list[int] = [-1] * n
        self.order: list[list[int]] = [[] for _ in range(blocks)]
        self._start: list[int] = problem.block_start_s.tolist()
        self._end: list[int] = problem.block_end_s.tolist()
        self.earliest_end: list[list[int]] = [[s] for s in self._start]
        self.latest_start: list[list[int]] = [[e] for e in self._end]
        # Longest observation each block could still take anywhere: most attempts end at this comparison.
        self.room: list[int] = [e - s for s, e in zip(self._start, self._end, strict=True)]
        self.objective = 0.0
        self.work = 0
        self._undo: _Undo | None = None

    # -- reading
    # ------------------------------------------------------------------------------------------------

    def assignment(self) -> tuple[list[int], list[list[int]]]:
        """Copy of the whole schedule, for :meth:`restore`."""
        return list(self.row), [list(o) for o in self.order]

    def restore(self, saved: tuple[list[int], list[list[int]]]) -> None:
        """Go back to a copy."""
        self.row, self.order = list(saved[0]), [list(o) for o in saved[1]]
        for block in range(len(self.order)):
            self._slide(block)
        self.objective = sum(p for p, k in zip(self.priority, self.row, strict=True) if k >= 0)

    def free(self, request: int) -> bool:
        """Whether the request is unscheduled and its group would allow it alone."""
        if self.row[request] >= 0 or self.operator[request] == Operator.AND:
            return False
        if self.operator[request] != Operator.ONEOF:
            return True
        return all(self.row[m] < 0 for m in self.members[self.group[request]])

    def insertable(self, request: int) -> bool:
        """Whether no other member of a ``oneof`` group is scheduled."""
        return self.operator[request] == Operator.AND or self.free(request)

    def group_begun(self, request: int) -> bool:
        """Whether another member of the request's ``and`` group is scheduled."""
        return self.operator[request] == Operator.AND and any(
            self.row[m] >= 0 for m in self.members[self.group[request]]
        )

    def position(self, row: int) -> int:
        """First position of its block at which the row fits, -1 when there is none."""
        block, lo, hi = self.row_block[row], self.row_lo[row], self.row_hi[row]
        duration = self.duration[self.row_request[row]]
        earliest, latest = self.earliest_end[block], self.latest_start[block]
        begin, end = bisect_left(latest, lo + duration), bisect_right(earliest, hi)
        for i in range(begin, end):
            start = earliest[i]
            if (lo if lo > start else start) <= latest[i] - duration:
                self.work += i - begin
                return i
        self.work += max(end - begin, 1)
        return -1

    # -- changing
    # -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Remember what :meth:`put` and :meth:`remove` change from here on."""
        self._undo = _Undo(self.objective, {}, {})

    def commit(self) -> None:
        """Keep the changes since :meth:`begin`."""
        self._undo = None

    def roll_back(self) -> None:
        """Take back the changes since :meth:`begin`."""
        undo, self._undo = self._undo, None
        if undo is None:
            return
        self.objective = undo.objective
        for request, row in undo.row.items():
            self.row[request] = row
        for block, (order, earliest, latest, room) in undo.block.items():
            self.order[block], self.earliest_end[block], self.latest_start[block] = order, earliest, latest
            self.room[block] = room

    def _remember(self, block: int, request: int) -> None:
        if self._undo is not None:
            self._undo.row.setdefault(request, self.row[request])
            if block not in self._undo.block:
                self._undo.block[block] = (
                    list(self.order[block]),
                    self.earliest_end[block],
                    self.latest_start[block],
                    self.room[block],
                )

    def put(self, row: int, position: int) -> None:
        """Insert the row at a position of its block where it fits."""
        block, request = self.row_block[row], self.row_request[row]
        self._remember(block, request)
        self.row[request] = row
        self.order[block].insert(position, request)
        self.objective += self.priority[request]
        self._slide(block)

    def remove(self, request: int) -> None:
        """Take a request out; the caller keeps its group consistent."""
        block = self.row_block[self.row[request]]
        self._remember(block, request)
        self.order[block].remove(request)
        self.row[request] = -1
        self.objective -= self.priority[request]
        self._slide(block)

    def append(self, row: int) -> bool:
        """Put a row after everything in its block, if it fits there."""
        block, position = self.row_block[row], len(self.order[self.row_block[row]])
        start = max(self.row_lo[row], self.earliest_end[block][position])
        if start > min(self.row_hi[row], self._end[block] - self.duration[self.row_request[row]]):
            return False
        self.put(row, position)
        return True

    def insert(self, request: int, rows: Iterable[int]) -> bool:
        """Put a request into the first of the rows that has room."""
        duration, room, block = self.duration[request], self.room, self.row_block
        for row in rows:
            if duration <= room[block[row]]:
                position = self.position(row)
                if position >= 0:
                    self.put(row, position)
                    return True
        self.work += 1
        return False

    def insert_group(self, request: int, rows: list[Sequence[int]]) -> bool:
        """Insert a request, and with it its whole group when the operator is ``and``.

        Parameters
        ----------
        request : int
        rows : list of sequences, length N
            Rows of every request in order of preference.
        """
        if self.operator[request] != Operator.AND:
            return self.free(request) and self.insert(request, rows[request])
        placed: list[int] = []
        for member in self.members[self.group[request]]:
            if self.row[member] >= 0:
                continue
            if not self.insert(member, rows[member]):
                for undo in placed:
                    self.remove(undo)
                return False
            placed.append(member)
        return bool(placed)

    def replace(self, content: dict[int, list[int]]) -> None:
        """Give some blocks new content: rows in the order in which they are observed."""
        for block in content:
            for request in self.order[block]:
                self.objective -= self.priority[request]
                self.row[request] = -1
        for block, sequence in content.items():
            self.order[block] = [self.row_request[row] for row in sequence]
            for row in sequence:
                request = self.row_request[row]
                self.row[request] = row
                self.objective += self.priority[request]
            self._slide(block)

    def drop_incomplete_groups(self) -> None:
        """Take out ``and`` groups of which a member is missing and all but the best of a ``oneof`` group."""
        for members in self.members:
            placed = [m for m in members if self.row[m] >= 0]
            if not placed:  # nothing to take out, or a group whose members were all detached
                continue
            if self.operator[members[0]] == Operator.AND and len(placed) < len(members):
                drop = placed
            elif self.operator[members[0]] == Operator.ONEOF and len(placed) > 1:
                drop = sorted(placed, key=lambda m: -self.priority[m])[1:]
            else:
                continue
            for member in drop:
                self.remove(member)

    def _slide(self, block: int) -> None:
        """Recompute earliest ends and latest starts of a block."""
        order, row, duration = self.order[block], self.row, self.duration
        lo, hi = self.row_lo, self.row_hi
        end = self._start[block]
        earliest = [end]
        for request in order:
            start = lo[row[request]]
            end = (start if start > end else end) + duration[request]
            earliest.append(end)
        begin = self._end[block]
        latest = [begin]
        for request in reversed(order):
            last = hi[row[request]]
            begin -= duration[request]
            if last < begin:
                begin = last
            latest.append(begin)
        latest.reverse()
        self.earliest_end[block], self.latest_start[block] = earliest, latest
        self.room[block] = max(map(sub, latest, earliest))
        self.work += len(order)


def preferred_rows(problem: Problem, price: FloatArray) -> list[Sequence[int]]:
    """Rows of each request, cheapest telescope time first, then earliest."""
    order: IntArray = np.lexsort((problem.row_lo_s, price, problem.row_request))
    first = np.searchsorted(problem.row_request, np.arange(len(problem.priority) + 1)).tolist()
    flat = order.tolist()
    return [flat[first[r] : first[r + 1]] for r in range(len(problem.priority))]
