"""The history of the configuration: what was, how to get it back, and when things were available."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from ocs.configdb import repository, rules
from ocs.configdb.errors import CannotRevert, InvalidConfiguration
from ocs.configdb.kinds import KINDS
from ocs.configdb.models import Version
from ocs.configdb.observatory import SCHEDULABLE
from ocs.configdb.state import Editor, Key, Row
from ocs.kernel.database import ReadSession

Span = tuple[datetime, datetime]


def changed_fields(before: Row | None, after: Row | None) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two versions: field to (before, after)."""
    old, new = before or {}, after or {}
    names = [name for name in {**old, **new} if name != "modified"]
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def key_of(version: Version) -> Key:
    """Return the key of the thing a version is about."""
    return int(version.object_id) if KINDS[version.kind].has_serial_key else version.object_id


def restore(editor: Editor, version: Version) -> Row:
    """Bring a thing back to a version; for a deletion, to what was deleted.

    Raises
    ------
    CannotRevert
        When what the version refers to is gone, or its codes are taken.
    """
    kind = KINDS[version.kind]
    wanted = version.after or version.before or {}
    values = {name: value for name, value in wanted.items() if name != "modified"}
    for name in [*(column.name for column in kind.columns), *kind.members]:
        if name not in wanted:
            raise CannotRevert(f"The version is older than the field {name}.")
    try:
        rules.check_row(editor.state, version.kind, values)
    except InvalidConfiguration as error:
        raise CannotRevert(body={"detail": CannotRevert.detail, "reasons": error.body}) from error
    key = key_of(version)
    if editor.state.get(version.kind, key) is None:
        return editor.insert(version.kind, values)
    return editor.update(version.kind, key, values)


# --- availability -------------------------------------------------------------------------------------------


def union(groups: Iterable[Span]) -> list[Span]:
    """Return the union of spans, oldest first."""
    found: list[Span] = []
    for start, end in sorted(groups):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def intersection(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return when both held."""
    return [
        (max(start, other_start), min(end, other_end))
        for start, end in some
        for other_start, other_end in others
        if max(start, other_start) < min(end, other_end)
    ]


async def instrument_spans(session: ReadSession, instruments: Sequence[Row], now_utc: datetime) -> list[Span]:
    """Return when any of `instruments` was schedulable."""
    moments = await repository.instrument_moments(session, keys=[row["id"] for row in instruments])
    return union(
        span
        for row in instruments
        for span in _spans(moments.get(row["id"]) or _since_change(row), _is_schedulable, now_utc)
    )


async def telescope_spans(session: ReadSession, telescope: Row, now_utc: datetime) -> list[Span]:
    """Return when a telescope was active and an instrument on it schedulable."""

    def is_here(row: Row) -> bool:
        return _is_schedulable(row) and row["telescope_id"] == telescope["id"]

    moments = await repository.telescope_moments(session, telescope["id"]) or _since_change(telescope)
    active = _spans(moments, lambda row: bool(row["active"]), now_utc)
    instruments = await repository.instrument_moments(session, telescope_id=telescope["id"])
    available = union(span for found in instruments.values() for span in _spans(found, is_here, now_utc))
    return intersection(active, available)


def _is_schedulable(row: Row) -> bool:
    return bool(row["state"] == SCHEDULABLE)


def _since_change(row: Row) -> list[tuple[datetime, Row | None]]:
    """Return the only moment we know of a thing without history."""
    return [(datetime.fromisoformat(row["modified"]), row)]


def _spans(
    moments: Sequence[tuple[datetime, Row | None]], holds: Callable[[Row], bool], now_utc: datetime
) -> list[Span]:
    """Return when a row fulfilled `holds`, oldest first; what holds at the end holds until now."""
    found: list[Span] = []
    begun: datetime | None = None
    for at_utc, row in moments:
        does = row is not None and holds(row)
        if does and begun is None:
            begun = at_utc
        elif not does and begun is not None:
            found.append((begun, at_utc))
            begun = None
    if begun is not None:
        found.append((begun, now_utc))
    return [span for span in found if span[1] > span[0]]


def printed(found: Sequence[Span], start_utc: datetime, end_utc: datetime) -> list[dict[str, str]]:
    """Return the spans that overlap an interval, whole, newest first, as naive UTC."""
    return [
        {"start": _naive(start), "end": _naive(end)}
        for start, end in sorted(found, reverse=True)
        if start <= end_utc and end >= start_utc
    ]


def _naive(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()
