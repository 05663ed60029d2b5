"""All SQL of the archive."""

import base64
import binascii
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import Executable
from sqlalchemy.sql.expression import ClauseElement

from ocs.archive.models import BoxType, Choice, Frame, Headers, Related, Thumbnail, Version
from ocs.archive.schemas import AggregateFilters, FrameFilters, ThumbnailFilters
from ocs.archive.sky import Box
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.security import Principal

EXACT_COUNT = 10_000
"""Lists are counted exactly up to here; beyond it only on request."""

MENUS: dict[str, InstrumentedAttribute[str]] = {
    "sites": Frame.site_id,
    "telescopes": Frame.telescope_id,
    "filters": Frame.primary_optical_element,
    "instruments": Frame.instrument_id,
    "obstypes": Frame.configuration_type,
    "proposals": Frame.proposal_id,
}
ORDERINGS: dict[str, InstrumentedAttribute[Any]] = {
    column.key: column
    for column in (
        *(Frame.id, Frame.basename, Frame.observation_date, Frame.primary_optical_element),
        *(Frame.configuration_type, Frame.proposal_id, Frame.instrument_id, Frame.target_name),
        *(Frame.reduction_level, Frame.exposure_time),
    )
}
_EQUAL: dict[str, InstrumentedAttribute[Any]] = {
    **dict.fromkeys(("proposal_id", "PROPID"), Frame.proposal_id),
    **dict.fromkeys(("instrument_id", "INSTRUME"), Frame.instrument_id),
    **dict.fromkeys(("site_id", "SITEID"), Frame.site_id),
    **dict.fromkeys(("telescope_id", "TELID"), Frame.telescope_id),
    **dict.fromkeys(("primary_optical_element", "FILTER"), Frame.primary_optical_element),
    **dict.fromkeys(("observation_id", "BLKUID"), Frame.observation_id),
    **dict.fromkeys(("request_id", "REQNUM"), Frame.request_id),
    **dict.fromkeys(("reduction_level", "RLEVEL"), Frame.reduction_level),
    **dict.fromkeys(("configuration_type", "OBSTYPE"), Frame.configuration_type),
    **dict.fromkeys(("DAY_OBS", "dayobs"), Frame.observation_day),
    "DATE_OBS": Frame.observation_date,
    "L1PUBDAT": Frame.public_date,
    "basename_exact": Frame.basename,
    "target_name_exact": Frame.target_name,
}


def _in(column: InstrumentedAttribute[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """Compare with one array parameter, so that the statement's text does not depend on the number."""
    items = list(values)
    kind = BigInteger() if items and isinstance(items[0], int) else Text()
    if not items and isinstance(column.type, BigInteger):
        kind = BigInteger()
    return column == any_(literal(items, ARRAY(kind)))


# --- who sees what ---------------------------------------------------------------------------------------


def visible(principal: Principal, now_utc: datetime) -> Select[Frame]:
    """Return the frames `principal` may see at `now_utc`."""
    statement = select(Frame).where(Frame.observation_date.is_not(None))
    if principal.is_superuser:
        return statement
    return statement.where(_public_or_mine(Frame.public_date, Frame.proposal_id, principal, now_utc))


def _public_or_mine(
    public_from: ColumnElement[Any] | InstrumentedAttribute[Any],
    proposal: InstrumentedAttribute[str],
    principal: Principal,
    now_utc: datetime,
) -> ColumnElement[bool]:
    public = public_from < now_utc
    return or_(public, _in(proposal, principal.proposal_ids)) if principal.proposal_ids else public


def listed(principal: Principal, now_utc: datetime) -> Select[Frame]:
    """Return the visible frames that have a file."""
    return visible(principal, now_utc).where(Frame.has_version)


# --- conditions ------------------------------------------------------------------------------------------


def ascii_only(value: str) -> str:
    """Return `value` without accents and without what has no ASCII letter."""
    return unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()


def _contains(column: InstrumentedAttribute[str], value: str) -> ColumnElement[bool]:
    found = column.icontains(value, autoescape=True)
    plain = ascii_only(value)
    return or_(found, column.icontains(plain, autoescape=True)) if plain and plain != value else found


def filtered(
    statement: Select[Any],
    filters: FrameFilters,
    principal: Principal,
    now_utc: datetime,
    science_types: Iterable[str],
) -> Select[Any]:
    """Add the conditions of `filters`, those on the sky excepted."""
    given = filters.model_dump(exclude_unset=True)
    conditions: list[ColumnElement[bool]] = [
        column == given[name] for name, column in _EQUAL.items() if given.get(name) is not None
    ]
    if filters.start is not None:
        conditions.append(Frame.observation_date >= filters.start)
    if filters.end is not None:
        conditions.append(Frame.observation_date <= filters.end)
    if filters.basename is not None:
        conditions.append(Frame.basename.icontains(filters.basename, autoescape=True))
    conditions += [_contains(Frame.target_name, v) for v in (filters.OBJECT, filters.target_name) if v]
    if filters.empty_target_name is not None:
        conditions.append(Frame.target_name == "")
    conditions += [
        Frame.exposure_time >= v for v in (filters.exposure_time, filters.EXPTIME) if v is not None
    ]
    if filters.include_configuration_type:
        conditions.append(_in(Frame.configuration_type, filters.include_configuration_type))
    if excluded := [*filters.exclude_configuration_type, *filters.exclude_OBSTYPE]:
        conditions.append(~_in(Frame.configuration_type, excluded))
    if filters.exclude_calibrations in {"true", "True", "1"}:
        conditions.append(_in(Frame.configuration_type, science_types))
    if filters.submitter is not None:
        conditions.append(_in(Frame.submitter, {filters.submitter, ascii_only(filters.submitter)} - {""}))
    if filters.public in {"false", "False", "0"}:
        if principal.is_superuser or not principal.is_authenticated:
            conditions.append(or_(Frame.public_date.is_(None), Frame.public_date >= now_utc))
        elif principal.proposal_ids:
            conditions.append(_in(Frame.proposal_id, principal.proposal_ids))
    return statement.where(*conditions)


def near(statement: Select[Any], areas: Sequence[tuple[Box, Box]]) -> Select[Any]:
    """Keep the frames whose boxes meet one of the pairs in `areas`."""
    return statement.where(
        or_(
            *(
                and_(
                    Frame.sky_xy.bool_op("&&")(literal(xy, BoxType())),
                    Frame.sky_yz.bool_op("&&")(literal(yz, BoxType())),
                )
                for xy, yz in areas
            )
        )
    )


async def areas(session: ReadSession, statement: Select[Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return id and area of the frames of `statement`."""
    rows = await session.execute(statement.with_only_columns(Frame.id, Frame.area))
    return [(row[0], row[1]) for row in rows if row[1] is not None]


def among(statement: Select[Any], ids: Sequence[int]) -> Select[Any]:
    """Keep the frames with these ids."""
    return statement.where(_in(Frame.id, ids))


# --- pages -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by. Nulls come last ascending and first descending."""

    name: str
    descending: bool

    @property
    def column(self) -> InstrumentedAttribute[Any]:
        """Return the column."""
        return ORDERINGS[self.name]


def read_ordering(value: str | None) -> list[Order]:
    """Read ``ordering=a,-b``; unknown names are ignored, and the id is the last word."""
    names = [part.strip() for part in (value or "").split(",")]
    orders = [Order(n.lstrip("-"), n.startswith("-")) for n in names if n.removeprefix("-") in ORDERINGS]
    orders = list({order.name: order for order in reversed(orders)}.values())[::-1]
    orders = orders or [Order("observation_date", descending=True)]
    if all(order.name != "id" for order in orders):
        last = orders[-1]  # as in the index that serves the default order
        orders.append(Order("id", last.descending and last.name == "observation_date"))
    return orders


def ordered(statement: Select[Any], orders: Sequence[Order], *, reverse: bool = False) -> Select[Any]:
    """Sort, the other way round with `reverse`."""
    return statement.order_by(
        *(o.column.desc() if o.descending != reverse else o.column.asc() for o in orders)
    )


class BadCursor(ValueError):
    """The cursor is not one of ours."""


def write_cursor(frame: Frame, orders: Sequence[Order], *, reverse: bool) -> str:
    """Return the place of `frame` in the order, for the next or (reverse) the previous page."""
    values = [getattr(frame, order.name) for order in orders]
    return base64.urlsafe_b64encode(orjson.dumps([int(reverse), *values])).decode().rstrip("=")


def from_cursor(statement: Select[Any], orders: Sequence[Order], cursor: str) -> tuple[Select[Any], bool]:
    """Keep what comes after (or, in reverse, before) the cursor's place.

    Raises
    ------
    BadCursor
        When the cursor cannot be read.
    """
    try:
        reverse, *values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if len(values) != len(orders):
            raise ValueError("another order")
        values = [_as_column(order, value) for order, value in zip(orders, values, strict=True)]
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCursor(cursor) from error
    branches: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for order, value in zip(orders, values, strict=True):
        column, descending = order.column, order.descending != bool(reverse)
        after: ColumnElement[bool] | None
        if descending:
            after = column.is_not(None) if value is None else column < value
        else:
            after = None if value is None else or_(column > value, column.is_(None))
        if after is not None:
            branches.append(and_(*equal, after))
        equal.append(column.is_(None) if value is None else column == value)
    statement = statement.where(or_(*branches))
    first = values[0]
    if orders[0].name == "observation_date" and first is not None:
        # Never null in a list, so this bound lets the index start at the right place.
        column = orders[0].column
        descending = orders[0].descending != bool(reverse)
        statement = statement.where(column <= first if descending else column >= first)
    return statement, bool(reverse)


def _as_column(order: Order, value: Any) -> Any:
    if value is None:
        return None
    kind = order.column.type.python_type
    if kind is datetime:
        return datetime.fromisoformat(value)
    if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
        raise ValueError("another type")
    return value


async def frames(session: ReadSession, statement: Select[Any]) -> list[Frame]:
    """Return the frames of `statement`."""
    return list(await session.scalars(statement))


class _Explain(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explain, "postgresql")
def _compile_explain(element: _Explain, compiler: Any, **options: Any) -> str:
    return "EXPLAIN (FORMAT JSON) " + str(compiler.process(element.statement, **options))


async def count(session: ReadSession, statement: Select[Any], *, exact: bool) -> tuple[int, bool]:
    """Count the frames of `statement`.

    Returns
    -------
    tuple of int and bool
        The number, and whether it is the planner's estimate: beyond `EXACT_COUNT`, unless `exact`.
    """
    plain = statement.with_only_columns(Frame.id).order_by(None)
    bounded = plain if exact else plain.limit(EXACT_COUNT + 1)
    number = (await session.scalars(select(func.count()).select_from(bounded.subquery()))).one()
    if exact or number <= EXACT_COUNT:
        return number, False
    plan = (await session.execute(_Explain(plain))).scalar_one()
    plan = orjson.loads(plan) if isinstance(plan, str | bytes) else plan
    return max(number, int(plan[0]["Plan"]["Plan Rows"])), True


# --- what belongs to a frame -----------------------------------------------------------------------------


async def versions_of(session: ReadSession, frame_ids: Sequence[int]) -> dict[int, list[Version]]:
    """Return the versions of each frame, newest first."""
    found: dict[int, list[Version]] = {}
    statement = select(Version).where(_in(Version.frame_id, frame_ids)).order_by(Version.id.desc())
    for version in await session.scalars(statement):
        found.setdefault(version.frame_id, []).append(version)
    return found


async def related_of(session: ReadSession, frame_ids: Sequence[int]) -> dict[int, list[int]]:
    """Return the ids of the frames related to each frame."""
    found: dict[int, list[int]] = {}
    statement = (
        select(Related.frame_id, Related.related_id)
        .where(_in(Related.frame_id, frame_ids))
        .order_by(Related.frame_id, Related.related_id)
    )
    for frame_id, related_id in await session.execute(statement):
        found.setdefault(frame_id, []).append(related_id)
    return found


async def thumbnails_of(session: ReadSession, frame_ids: Sequence[int]) -> dict[int, list[Thumbnail]]:
    """Return the pictures of each frame."""
    found: dict[int, list[Thumbnail]] = {}
    statement = select(Thumbnail).where(_in(Thumbnail.frame_id, frame_ids)).order_by(Thumbnail.id)
    for thumbnail in await session.scalars(statement):
        found.setdefault(thumbnail.frame_id, []).append(thumbnail)
    return found


def related_to(principal: Principal, now_utc: datetime, frame_id: int) -> Select[Frame]:
    """Return the visible frames related to a frame."""
    ids = select(Related.related_id).where(Related.frame_id == frame_id)
    return visible(principal, now_utc).where(Frame.id.in_(ids)).order_by(Frame.id)


async def headers_of(session: ReadSession, frame_id: int) -> dict[str, Any]:
    """Return the headers of a frame."""
    data = (await session.scalars(select(Headers.data).where(Headers.frame_id == frame_id))).one_or_none()
    return data or {}


# --- versions and thumbnails -----------------------------------------------------------------------------


def all_versions(md5: str | None) -> Select[Version, str]:
    """Return the versions and the names of their frames, newest first."""
    statement = select(Version, Frame.basename).join(Frame, Frame.id == Version.frame_id)
    if md5 is not None:
        statement = statement.where(Version.md5 == md5)
    return statement.order_by(Version.id.desc())


async def count_versions(session: ReadSession, md5: str | None) -> int:
    """Count versions."""
    statement = select(func.count()).select_from(Version)
    return (await session.scalars(statement if md5 is None else statement.where(Version.md5 == md5))).one()


async def version(session: ReadSession, version_id: int) -> tuple[Version, str] | None:
    """Return a version and the name of its frame."""
    row = (await session.execute(all_versions(None).where(Version.id == version_id))).one_or_none()
    return None if row is None else (row[0], row[1])


async def version_with(session: ReadSession, md5: str) -> Version | None:
    """Return the version with these bytes."""
    return (await session.scalars(select(Version).where(Version.md5 == md5))).one_or_none()


def visible_thumbnails(
    principal: Principal, now_utc: datetime, filters: ThumbnailFilters
) -> Select[Thumbnail]:
    """Return the thumbnails of visible frames."""
    frames_seen = visible(principal, now_utc)
    if filters.frame_basename is not None:
        frames_seen = frames_seen.where(Frame.basename == filters.frame_basename)
    if filters.proposal_id is not None:
        frames_seen = frames_seen.where(Frame.proposal_id == filters.proposal_id)
    if filters.observation_id is not None:
        frames_seen = frames_seen.where(Frame.observation_id == filters.observation_id)
    if filters.request_id is not None:
        frames_seen = frames_seen.where(Frame.request_id == filters.request_id)
    statement = select(Thumbnail).where(Thumbnail.frame_id.in_(frames_seen.with_only_columns(Frame.id)))
    if filters.size is not None:
        statement = statement.where(Thumbnail.size == filters.size)
    return statement.order_by(Thumbnail.id.desc())


async def count_rows(session: ReadSession, statement: Select[Any]) -> int:
    """Count the rows of `statement`."""
    return (
        await session.scalars(select(func.count()).select_from(statement.order_by(None).subquery()))
    ).one()


async def thumbnails(session: ReadSession, statement: Select[Any]) -> list[Thumbnail]:
    """Return the thumbnails of `statement`."""
    return list(await session.scalars(statement))


# --- menus -----------------------------------------------------------------------------------------------


async def choices(session: ReadSession, principal: Principal, now_utc: datetime) -> dict[str, list[str]]:
    """Return the distinct values of the frames `principal` may see."""
    statement = select(Choice.kind, func.array_agg(Choice.value.distinct())).group_by(Choice.kind)
    if not principal.is_superuser:
        statement = statement.where(
            _public_or_mine(Choice.public_from, Choice.proposal_id, principal, now_utc)
        )
    return {row[0]: list(row[1]) for row in await session.execute(statement)}


async def choices_between(
    session: ReadSession, principal: Principal, now_utc: datetime, filters: AggregateFilters
) -> dict[str, list[str]]:
    """Return the distinct values of the visible frames that meet `filters`."""
    statement = listed(principal, now_utc).where(
        Frame.observation_date >= filters.start, Frame.observation_date < filters.end
    )
    for column in MENUS.values():
        if (value := getattr(filters, column.key)) is not None:
            statement = statement.where(column == value)
    if filters.public not in {"true", "True", "1"} and not principal.is_superuser:
        statement = statement.where(_in(Frame.proposal_id, principal.proposal_ids))
    await session.execute(
        text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": str(filters.query_timeout)}
    )
    found = statement.with_only_columns(*MENUS.values()).distinct().subquery()
    row = (
        await session.execute(
            select(*(func.array_agg(found.c[column.key].distinct()) for column in MENUS.values()))
        )
    ).one()
    return {kind: [v for v in values or () if v] for kind, values in zip(MENUS, row, strict=True)}


async def add_choices(session: WriteSession, frame: Frame) -> None:
    """Put the values of `frame` into the menus; nothing is locked when they are there already."""
    values = _choices_of(frame)
    if not values:
        return
    await session.execute(
        text(
            """
            INSERT INTO archive.choice AS old (kind, value, proposal_id, public_from)
            SELECT new.kind, new.value, CAST(:proposal AS text), CAST(:public_from AS timestamptz)
            FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS new(kind, value)
            WHERE NOT EXISTS (
              SELECT 1 FROM archive.choice AS c
              WHERE c.kind = new.kind AND c.value = new.value AND c.proposal_id = CAST(:proposal AS text)
                AND (c.public_from <= CAST(:public_from AS timestamptz)
                     OR CAST(:public_from AS timestamptz) IS NULL))
            ON CONFLICT (kind, value, proposal_id) DO UPDATE
              SET public_from = least(old.public_from, excluded.public_from)
            """
        ),
        {
            "proposal": frame.proposal_id,
            "public_from": frame.public_date,
            "kinds": list(values),
            "values": list(values.values()),
        },
    )


def _choices_of(frame: Frame) -> dict[str, str]:
    values = {kind: getattr(frame, column.key) for kind, column in MENUS.items()}
    return {kind: value for kind, value in values.items() if value}


def same_choices(one: Frame, other: Frame) -> bool:
    """Tell whether two states of a frame mean the same to the menus."""
    return (_choices_of(one), one.public_date) == (_choices_of(other), other.public_date)


async def recount_choices(session: WriteSession, frame: Frame) -> None:
    """Bring the menu entries that `frame` had a part in up to date with the frames there are."""
    for kind, value in _choices_of(frame).items():
        same = (
            Choice.kind == kind,
            Choice.value == value,
            Choice.proposal_id == frame.proposal_id,
        )
        await session.execute(delete(Choice).where(*same))
        found = select(
            literal(kind), literal(value), literal(frame.proposal_id), func.min(Frame.public_date)
        ).where(
            MENUS[kind] == value,
            Frame.proposal_id == frame.proposal_id,
            Frame.has_version,
            Frame.observation_date.is_not(None),
        )
        await session.execute(
            insert(Choice).from_select(
                ["kind", "value", "proposal_id", "public_from"], found.having(func.count() > 0)
            )
        )


# --- writing ---------------------------------------------------------------------------------------------


async def taken(session: ReadSession, md5s: Iterable[str], keys: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return which of the md5s and keys are stored already."""
    md5s, keys = set(md5s), set(keys)
    rows = await session.execute(
        select(Version.md5, Version.key).where(or_(_in(Version.md5, md5s), _in(Version.key, keys)))
    )
    found = [(row[0], row[1]) for row in rows]
    return {md5 for md5, _ in found} & md5s, {key for _, key in found} & keys


async def known_md5s(session: ReadSession, md5s: Iterable[str]) -> set[str]:
    """Return which of the md5s belong to a version or a thumbnail."""
    wanted = list(md5s)
    versions = select(Version.md5).where(_in(Version.md5, wanted))
    pictures = select(Thumbnail.md5).where(_in(Thumbnail.md5, wanted))
    return set(await session.scalars(versions.union_all(pictures)))


async def ids_of_names(session: WriteSession, basenames: Iterable[str], now_utc: datetime) -> dict[str, int]:
    """Return the ids of frames by name, creating placeholders for names that are new."""
    names = sorted(set(basenames))
    statement = select(Frame.basename, Frame.id).where(_in(Frame.basename, names))
    ids = {row[0]: row[1] for row in await session.execute(statement)}
    if missing := [name for name in names if name not in ids]:
        # Sorted, so that two writers that name each other's frames wait instead of blocking each other.
        rows = [{"basename": name, "created": now_utc, "modified": now_utc} for name in missing]
        await session.execute(upsert(Frame).values(rows).on_conflict_do_nothing(index_elements=["basename"]))
        ids = {row[0]: row[1] for row in await session.execute(statement)}
    return ids


async def frame_named(session: ReadSession, basename: str) -> Frame | None:
    """Return the frame, or placeholder, of this name."""
    return (await session.scalars(select(Frame).where(Frame.basename == basename))).one_or_none()


async def thumbnail_named(session: ReadSession, basename: str) -> Thumbnail | None:
    """Return the thumbnail of this name."""
    found = await session.scalars(select(Thumbnail).where(Thumbnail.basename == basename).with_for_update())
    thumbnail = found.one_or_none()
    if thumbnail is not None:
        session.expunge(thumbnail)
    return thumbnail


async def locked(session: WriteSession, frame_id: int) -> Frame | None:
    """Return a frame for changing."""
    statement = select(Frame).where(Frame.id == frame_id).with_for_update()
    return (await session.scalars(statement.execution_options(populate_existing=True))).one_or_none()


async def change(session: WriteSession, frame_id: int, values: Mapping[str, Any]) -> Frame:
    """Set columns of a frame and return it."""
    statement = update(Frame).where(Frame.id == frame_id).values(**values).returning(Frame)
    options = {"synchronize_session": False, "populate_existing": True}
    return (await session.scalars(statement, execution_options=options)).one()


async def replace_headers(session: WriteSession, frame_id: int, data: Mapping[str, Any]) -> None:
    """Store the headers of a frame."""
    statement = upsert(Headers).values(frame_id=frame_id, data=data)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["frame_id"], set_={"data": statement.excluded.data})
    )


async def add_versions(session: WriteSession, rows: list[dict[str, Any]]) -> bool:
    """Insert versions; False if one of them turned out to be there."""
    statement = upsert(Version).values(rows).on_conflict_do_nothing().returning(Version.id)
    return len((await session.scalars(statement)).all()) == len(rows)


async def relate(session: WriteSession, frame_id: int, others: Iterable[int]) -> None:
    """Link a frame with others, both ways."""
    pairs = sorted({pair for other in others for pair in ((frame_id, other), (other, frame_id))})
    if pairs:
        rows = [{"frame_id": a, "related_id": b} for a, b in pairs]
        await session.execute(upsert(Related).values(rows).on_conflict_do_nothing())


async def put_thumbnail(session: WriteSession, values: Mapping[str, Any]) -> Thumbnail:
    """Insert a thumbnail, or overwrite the one of the same name."""
    statement = upsert(Thumbnail).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=["basename"], set_={name: statement.excluded[name] for name in values}
    )
    found = await session.scalars(
        statement.returning(Thumbnail), execution_options={"populate_existing": True}
    )
    return found.one()


async def remove_frame(session: WriteSession, frame_id: int) -> None:
    """Remove a frame with all that belongs to it."""
    await session.execute(delete(Frame).where(Frame.id == frame_id))


async def remove_thumbnail(session: WriteSession, thumbnail_id: int) -> None:
    """Remove a thumbnail."""
    await session.execute(delete(Thumbnail).where(Thumbnail.id == thumbnail_id))
