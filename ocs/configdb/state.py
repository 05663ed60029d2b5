"""The whole configuration in memory, and edits of it.

A configuration is small (some thousand rows) and is read much more often than written, so it is loaded whole
in one statement. Rules are checked on the loaded rows: writers take turns, so what they see is what there is.
An `Editor` gathers what a write changes; the repository then stores it set by set, with one revision.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocs.configdb.kinds import KINDS

Row = dict[str, Any]
Key = int | str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing before and after; None stands for not being there."""

    kind: str
    key: Key
    before: Row | None
    after: Row | None


class State:
    """All rows by kind and key, in the order in which they are listed."""

    def __init__(self, rows: Mapping[str, Mapping[Key, Row]]) -> None:
        self._rows = {name: dict(rows.get(name, {})) for name in KINDS}

    def all(self, kind: str) -> Iterable[Row]:
        """Return all rows of `kind`."""
        return self._rows[kind].values()

    def get(self, kind: str, key: Any) -> Row | None:
        """Return the row with `key`, None if there is none."""
        return self._rows[kind].get(key)

    def where(self, kind: str, **values: Any) -> Iterator[Row]:
        """Give the rows whose fields equal `values`."""
        for row in self._rows[kind].values():
            if all(row[name] == value for name, value in values.items()):
                yield row

    def count(self, kind: str) -> int:
        """Return how many rows of `kind` there are."""
        return len(self._rows[kind])

    def copy(self) -> "State":
        """Return a state that can be edited without touching this one."""
        return State(self._rows)

    def put(self, kind: str, row: Row) -> None:
        """Add or replace a row; rows themselves are never changed in place."""
        self._rows[kind][row[KINDS[kind].key]] = row

    def remove(self, kind: str, key: Key) -> None:
        """Take a row away."""
        del self._rows[kind][key]


class Editor:
    """Changes of one write, applied to a copy of the state at once and to the database later.

    Parameters
    ----------
    state
        The state that the writer found.
    last_ids
        The last number given out, by kind.
    now_utc
        Time that changed rows get.
    """

    def __init__(self, state: State, last_ids: Mapping[str, int], now_utc: datetime) -> None:
        self.state = state.copy()
        self.last_ids = dict(last_ids)
        self.now_utc = now_utc
        self._modified = now_utc.isoformat()
        self._before: dict[tuple[str, Key], Row | None] = {}

    def insert(self, kind: str, values: Mapping[str, Any]) -> Row:
        """Add a thing; without a key it gets the next number."""
        row = {**values, "modified": self._modified}
        if KINDS[kind].has_serial_key:
            if row.get("id") is None:
                self.last_ids[kind] = row["id"] = self.last_ids[kind] + 1
            else:
                self.last_ids[kind] = max(self.last_ids[kind], row["id"])
        self._remember(kind, row[KINDS[kind].key], None)
        self.state.put(kind, row)
        return row

    def update(self, kind: str, key: Key, values: Mapping[str, Any]) -> Row:
        """Change fields of a thing; equal values are no change."""
        old = self.state.get(kind, key)
        assert old is not None
        if all(old[name] == value for name, value in values.items()):
            return old
        self._remember(kind, key, old)
        row = {**old, **values, "modified": self._modified}
        self.state.put(kind, row)
        return row

    def delete(self, kind: str, key: Key) -> None:
        """Take a thing away."""
        self._remember(kind, key, self.state.get(kind, key))
        self.state.remove(kind, key)

    def _remember(self, kind: str, key: Key, row: Row | None) -> None:
        self._before.setdefault((kind, key), row)

    @property
    def changes(self) -> list[Change]:
        """What differs from the state at the start, kinds in the order of their creation."""
        order = list(KINDS)
        changes = (
            Change(kind, key, before, self.state.get(kind, key))
            for (kind, key), before in self._before.items()
        )
        return sorted(
            (change for change in changes if change.before is not change.after),
            key=lambda change: order.index(change.kind),
        )
