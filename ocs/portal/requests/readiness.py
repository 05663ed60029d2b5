"""Whether telescopes were ready to observe, told from what they report; pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ocs.kernel.wire.types import iso_z
from ocs.visibility.intervals import Intervals
from ocs.visibility.timebase import to_datetime

_KINDS = (
    ("Site Agent: ", "SITE_AGENT_UNRESPONSIVE"),
    ("Weather: ", "NOT_OK_TO_OPEN"),
    ("Sequencer: ", "SEQUENCER_DISABLED"),
    ("Enclosure: ", "ENCLOSURE_INTERLOCK"),
    ("Enclosure Shutter Mode: ", "ENCLOSURE_DISABLED"),
)
NEW_NIGHT_AFTER = timedelta(hours=4)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """What a telescope (`site.enclosure.telescope`) reported."""

    telescope: str
    observed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a telescope's state did not change."""

    telescope: str
    event_type: str
    event_reason: str
    start: datetime
    end: datetime

    def wire(self) -> dict[str, str]:
        """Return it as it is sent."""
        return {
            "telescope": self.telescope,
            "event_type": self.event_type,
            "event_reason": self.event_reason,
            "start": iso_z(self.start),
            "end": iso_z(self.end),
        }


def interpret(reason: str) -> tuple[str, str]:
    """Return type and text of a report; an empty one means that the telescope is available."""
    if not reason:
        return "AVAILABLE", "Available for scheduling"
    for mark, kind in _KINDS:
        if mark in reason:
            return kind, reason
    return "NOT_AVAILABLE", "Unknown"


def stretches(events: Sequence[Event], start: datetime, end: datetime) -> dict[str, list[Stretch]]:
    """Return the states of telescopes within [start, end], equal neighbours as one.

    Parameters
    ----------
    events
        In the order of time for each telescope; the last one before `start` belongs to them.
    """
    found: dict[str, list[Stretch]] = {}
    by_telescope: dict[str, list[Event]] = {}
    for event in events:
        by_telescope.setdefault(event.telescope, []).append(event)
    for telescope, reports in sorted(by_telescope.items()):
        mine: list[Stretch] = []
        for index, event in enumerate(reports):
            until = min(reports[index + 1].observed_at if index + 1 < len(reports) else end, end)
            since = max(event.observed_at, start)
            kind, reason = interpret(event.reason)
            if since >= until:
                continue
            if mine and (mine[-1].event_type, mine[-1].event_reason) == (kind, reason):
                since = mine.pop().start
            mine.append(Stretch(telescope, kind, reason, since, until))
        if mine:
            found[telescope] = mine
    return found


def within(mine: Sequence[Stretch], intervals: Intervals) -> list[Stretch]:
    """Return the parts of stretches that lie in intervals."""
    found = []
    for low, high in intervals:
        start, end = to_datetime(int(low)), to_datetime(int(high))
        for item in mine:
            since, until = max(item.start, start), min(item.end, end)
            if since < until:
                found.append(Stretch(item.telescope, item.event_type, item.event_reason, since, until))
    return found


def availability(mine: Sequence[Stretch], dark: Intervals) -> list[tuple[str, float]]:
    """Return, by night, the part of the dark time in which a telescope was available.

    A night is named after the date of its first dark moment; a gap of more than four hours begins a new one.
    """
    nights: list[tuple[str, int, int]] = []
    last_end: datetime | None = None
    for low, high in dark:
        start, end = to_datetime(int(low)), to_datetime(int(high))
        open_us = sum(
            (item.end - item.start) // _MICROSECOND
            for item in within(mine, dark[dark[:, 0] == low])
            if item.event_type == "AVAILABLE"
        )
        dark_us = int(high - low)
        if last_end is None or start - last_end > NEW_NIGHT_AFTER:
            nights.append((f"{start:%Y-%m-%d}", open_us, dark_us))
        else:
            name, opened, length = nights.pop()
            nights.append((name, opened + open_us, length + dark_us))
        last_end = end
    return [(name, opened / length) for name, opened, length in nights]


def combined(found: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, list[tuple[str, float]]]:
    """Return the mean of all telescopes of a site, by site."""
    sites: dict[str, dict[str, list[float]]] = {}
    for telescope, nights in found.items():
        mine = sites.setdefault(telescope.partition(".")[0], {})
        for name, fraction in nights:
            mine.setdefault(name, []).append(fraction)
    return {
        site: [(name, sum(values) / len(values)) for name, values in sorted(nights.items())]
        for site, nights in sites.items()
    }
