"""All SQL of the downtimes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select

from ocs.downtime.models import DowntimeRow
from ocs.kernel.database import ReadSession, WriteSession


@dataclass(frozen=True, slots=True)
class Selection:
    """Which downtimes are asked for, and in which order.

    Attributes
    ----------
    limits
        (column, "after" or "before", time); inclusive.
    places
        Allowed values by column.
    order
        Columns, with ``-`` to reverse; the id breaks ties.
    """

    limits: Sequence[tuple[str, str, datetime]] = ()
    places: dict[str, Collection[str]] = field(default_factory=dict)
    reason_part: str | None = None
    reason: str | None = None
    order: Sequence[str] = ("created",)


def _conditions(selection: Selection) -> list[ColumnElement[bool]]:
    columns = DowntimeRow.__table__.columns
    conditions: list[ColumnElement[bool]] = [
        columns[name] >= moment if side == "after" else columns[name] <= moment
        for name, side, moment in selection.limits
    ]
    conditions += [columns[name].in_(values) for name, values in selection.places.items()]
    if selection.reason_part is not None:
        conditions.append(DowntimeRow.reason.icontains(selection.reason_part, autoescape=True))
    if selection.reason is not None:
        conditions.append(DowntimeRow.reason == selection.reason)
    return conditions


def _ordered(statement: Select[Any], order: Sequence[str]) -> Select[Any]:
    columns = DowntimeRow.__table__.columns
    for name in order:
        column = columns[name.removeprefix("-")]
        statement = statement.order_by(column.desc() if name.startswith("-") else column.asc())
    return statement.order_by(DowntimeRow.id)


async def find(
    session: ReadSession, selection: Selection, *, limit: int, offset: int
) -> tuple[int, Sequence[DowntimeRow]]:
    """Return how many downtimes there are, and a page of them."""
    conditions = _conditions(selection)
    count = await session.scalar(select(func.count()).select_from(DowntimeRow).where(*conditions))
    statement = _ordered(select(DowntimeRow).where(*conditions), selection.order)
    return count or 0, (await session.scalars(statement.limit(limit).offset(offset))).all()


async def codes(session: ReadSession, column: str, values: Collection[str]) -> set[str]:
    """Return which of `values` occur in `column`."""
    found = DowntimeRow.__table__.columns[column]
    return set(await session.scalars(select(found).where(found.in_(values)).distinct()))


async def get(session: ReadSession, key: int) -> DowntimeRow | None:
    """Return one downtime."""
    return await session.get(DowntimeRow, key) if abs(key) < 2**63 else None


async def overlapping(session: ReadSession, start_utc: datetime, end_utc: datetime) -> Sequence[DowntimeRow]:
    """Return what overlaps an interval, by start."""
    statement = (
        select(DowntimeRow)
        .where(DowntimeRow.end > start_utc, DowntimeRow.start < end_utc)
        .order_by(DowntimeRow.start, DowntimeRow.id)
    )
    return (await session.scalars(statement)).all()


async def insert(session: WriteSession, row: DowntimeRow) -> DowntimeRow:
    """Store a downtime; it has its id afterwards."""
    session.add(row)
    await session.flush()
    return row


async def remove(session: WriteSession, key: int) -> bool:
    """Delete a downtime; tell whether it was there."""
    removed = await session.scalar(delete(DowntimeRow).where(DowntimeRow.id == key).returning(DowntimeRow.id))
    return removed is not None
