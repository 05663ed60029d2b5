"""Rules of downtimes; places are checked against the configuration as it is now."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ocs.configdb.api import Observatory, observatory
from ocs.downtime import repository
from ocs.downtime.errors import InvalidDowntime, NoSuchDowntime
from ocs.downtime.models import DowntimeRow
from ocs.downtime.repository import Selection
from ocs.downtime.schemas import Downtime, DowntimeFilter, DowntimeWrite
from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import PermissionDenied, reference_body
from ocs.kernel.security import Principal

_ORDER = frozenset({"start", "end", "modified", "created"})
_PLACES: dict[str, Callable[[Observatory], set[str]]] = {
    "site": lambda found: {site.code for site in found.sites},
    "enclosure": lambda found: {enclosure.code for enclosure in found.enclosures},
    "telescope": lambda found: {telescope.code for telescope in found.telescopes},
    "instrument_type": lambda found: set(found.instrument_types),
}


async def validated(session: ReadSession, data: Any) -> DowntimeWrite:
    """Return what was sent as a downtime.

    Raises
    ------
    InvalidDowntime
        With all bad fields at once; if they are good, with what is wrong with their combination.
    """
    errors: dict[str, Any] = {}
    good = data if isinstance(data, dict) else {}
    try:
        wanted = DowntimeWrite.model_validate(data)
    except ValidationError as error:
        errors = reference_body(error.errors(include_url=False), data)
        good = {name: value for name, value in good.items() if name not in errors}
    found = await observatory(session)
    for name, codes in _PLACES.items():
        code = str(good.get(name, "")).strip()
        if name in good and code not in codes(found) and not (name == "instrument_type" and code == ""):
            errors[name] = [f'"{code}" is not a valid choice.']
    if errors:
        raise InvalidDowntime(body=errors)
    if wanted.end <= wanted.start:
        raise InvalidDowntime.whole("The end must be later than the start.")
    if not _exists(found, wanted):
        kind = f" with an instrument of type {wanted.instrument_type}" if wanted.instrument_type else ""
        raise InvalidDowntime.whole(
            f"There is no telescope {wanted.site}.{wanted.enclosure}.{wanted.telescope}{kind}."
        )
    return wanted


def _exists(found: Observatory, wanted: DowntimeWrite) -> bool:
    """Tell whether the place exists in this combination; states and activity do not matter."""
    path = f"{wanted.site}.{wanted.enclosure}.{wanted.telescope}"
    if not wanted.instrument_type:
        return any(telescope.path == path for telescope in found.telescopes)
    return any(
        instrument.telescope.path == path and instrument.instrument_type.code == wanted.instrument_type
        for instrument in found.instruments
    )


async def create(session: WriteSession, data: Any, *, created_by: str, now: datetime) -> DowntimeRow:
    """Store a downtime.

    Raises
    ------
    InvalidDowntime
        With the reason by field.
    """
    wanted = await validated(session, data)
    row = DowntimeRow(**wanted.model_dump(), created=now, modified=now, created_by=created_by)
    await repository.insert(session, row)
    _announce(session)
    return row


async def change(session: WriteSession, key: int, data: Any, *, now: datetime) -> DowntimeRow:
    """Change fields of a downtime; the result is checked as a new one is.

    Raises
    ------
    NoSuchDowntime, InvalidDowntime
        When it is not there, or would not be valid.
    """
    row = await existing(session, key)
    stored = {name: getattr(row, name) for name in DowntimeWrite.model_fields}
    wanted = await validated(session, {**stored, **data} if isinstance(data, dict) else data)
    for name, value in wanted.model_dump().items():
        setattr(row, name, value)
    row.modified = now
    await session.flush()
    _announce(session)
    return row


async def remove(session: WriteSession, key: int, principal: Principal) -> None:
    """Delete a downtime; who is not staff may delete what they made.

    Raises
    ------
    NoSuchDowntime
        When it is not there.
    PermissionDenied
        When it is somebody else's.
    """
    row = await existing(session, key)
    if not principal.is_staff and row.created_by != principal.username:
        raise PermissionDenied("You may delete only the downtimes that you made.")
    await release(session, key)


async def release(session: WriteSession, key: int) -> bool:
    """Delete a downtime; tell whether it was there."""
    was_there = await repository.remove(session, key)
    if was_there:
        _announce(session)
    return was_there


async def existing(session: ReadSession, key: int) -> DowntimeRow:
    """Return a downtime.

    Raises
    ------
    NoSuchDowntime
        When it is not there.
    """
    row = await repository.get(session, key)
    if row is None:
        raise NoSuchDowntime
    return row


def _announce(session: WriteSession) -> None:
    changes.stamp(session, "downtime")
    changes.stamp(session, "schedule_inputs")


async def selection(session: ReadSession, chosen: DowntimeFilter) -> Selection:
    """Return what a query asks for.

    Raises
    ------
    InvalidDowntime
        When a code is neither configured nor stored, or an order is unknown.
    """
    places: dict[str, list[str]] = {name: getattr(chosen, name) for name in _PLACES if getattr(chosen, name)}
    await _check_places(session, places)
    return Selection(
        limits=[
            (column, side, moment)
            for column, prefix in (
                ("start", "starts"),
                ("end", "ends"),
                ("created", "created"),
                ("modified", "modified"),
            )
            for side in ("after", "before")
            if (moment := getattr(chosen, f"{prefix}_{side}")) is not None
        ],
        places=dict(places),
        reason_part=chosen.reason,
        reason=chosen.reason_exact,
        order=_order(chosen),
    )


async def _check_places(session: ReadSession, places: dict[str, list[str]]) -> None:
    if not places:
        return
    found = await observatory(session)
    errors = {}
    for name, values in places.items():
        unknown = [value for value in values if value and value not in _PLACES[name](found)]
        if unknown:
            stored = await repository.codes(session, name, unknown)
            if bad := [value for value in unknown if value not in stored]:
                errors[name] = [f"Select a valid choice. {bad[0]} is not one of the available choices."]
    if errors:
        raise InvalidDowntime(body=errors)


def _order(chosen: DowntimeFilter) -> list[str]:
    wanted = [name.strip() for name in (chosen.order or "").split(",") if name.strip()]
    for name in wanted:
        if name.removeprefix("-") not in _ORDER:
            raise InvalidDowntime.fields(
                order=f"Select a valid choice. {name} is not one of the available choices."
            )
    others = [name.strip() for name in (chosen.ordering or "").split(",")]
    wanted += [name for name in others if name.removeprefix("-") in Downtime.model_fields]
    return wanted or ["created"]
