"""Rules of the archive: what a record must be, what storing it means, who gets which frames."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError

from ocs.archive import paths, repository, rows, sky
from ocs.archive.addresses import Addresses, stored_thumbnail, stored_version
from ocs.archive.errors import (
    DuplicateVersion,
    FileMissing,
    FrameNotFound,
    InvalidCursor,
    InvalidFrame,
    InvalidGeometry,
    QueryTookTooLong,
    StoreBusy,
)
from ocs.archive.models import Frame, Thumbnail
from ocs.archive.schemas import (
    AggregateFilters,
    FrameFields,
    FrameFilters,
    FrameIn,
    FramePatch,
    RowOptions,
    ThumbnailFilters,
    ThumbnailIn,
)
from ocs.configdb import api as configdb
from ocs.kernel import changes
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import InvalidInput, Unavailable, sqlstate
from ocs.kernel.objects import ObjectChanged, ObjectStore, StoredObject
from ocs.kernel.security import Principal
from ocs.kernel.settings import Settings

TOPIC = "frames"
DEFAULT_TYPES = frozenset(
    (
        *("BIAS", "DARK", "EXPOSE", "SPECTRUM", "LAMPFLAT", "SKYFLAT"),
        *("STANDARD", "TRAILED", "GUIDE", "EXPERIMENTAL", "CATALOG"),
    )
)
SCIENCE_TYPES = ("EXPOSE", "TARGET", "SPECTRUM", "CATALOG", "OBJECT")
THUMBNAIL_SIZES = ("small", "medium", "large")
LONGEST_SUBMITTER = 200
MENU_KINDS = tuple(repository.MENUS)
LONGEST_AGGREGATE = timedelta(days=365)
_TIMED_OUT = "57014"


# --- reading ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FrameList:
    """A page of frames; `cursors` (next, previous) in place of a count in cursor style."""

    rows: list[rows.Row]
    more: bool
    count: int = 0
    estimated: bool = False
    next_cursor: str | None = None
    previous_cursor: str | None = None


async def configuration_types(session: ReadSession) -> frozenset[str]:
    """Return the configuration types a frame may have: the usual ones and those of the instruments."""
    return DEFAULT_TYPES.union((await configdb.observatory(session)).configuration_type_codes)


async def frame_list(
    session: ReadSession,
    principal: Principal,
    filters: FrameFilters,
    addresses: Addresses,
    *,
    limit: int,
    offset: int,
) -> FrameList:
    """Return a page of the listed frames that meet `filters`."""
    await _check_types(session, filters)
    statement = repository.filtered(
        repository.listed(principal, addresses.now_utc), filters, principal, addresses.now_utc, SCIENCE_TYPES
    )
    statement = await _on_the_sky(session, statement, filters)
    orders = repository.read_ordering(filters.ordering)
    by_cursor = filters.pagination_style == "cursor"
    reverse = False
    page = statement
    if by_cursor and filters.cursor:
        try:
            page, reverse = repository.from_cursor(statement, orders, filters.cursor)
        except repository.BadCursor as error:
            raise InvalidCursor from error
    page = repository.ordered(page, orders, reverse=reverse).limit(limit + 1)
    if not by_cursor:
        page = page.offset(offset)
    found = await repository.frames(session, page)
    more, found = len(found) > limit, found[:limit]
    if reverse:
        found.reverse()
    shown = await _flat_rows(session, found, addresses, filters)
    if by_cursor:
        ahead, behind = (True, more) if reverse else (more, bool(filters.cursor))
        return FrameList(
            shown,
            more,
            next_cursor=repository.write_cursor(found[-1], orders, reverse=False)
            if found and ahead
            else None,
            previous_cursor=repository.write_cursor(found[0], orders, reverse=True)
            if found and behind
            else None,
        )
    if not more and (found or offset == 0):
        return FrameList(shown, more, count=offset + len(found))
    exact = filters.force_count is not None and principal.is_authenticated
    count, estimated = await repository.count(session, statement, exact=exact)
    reached = offset + len(found) + more if found else 0
    return FrameList(shown, more, max(count, reached), estimated)


async def _check_types(session: ReadSession, filters: FrameFilters) -> None:
    for name in ("include_configuration_type", "exclude_configuration_type", "exclude_OBSTYPE"):
        values: list[str] = getattr(filters, name)
        if values:
            known = await configuration_types(session)
            wrong = [
                f"Select a valid choice. {value} is not one of the available choices."
                for value in values
                if value not in known
            ]
            if wrong:
                raise InvalidInput(body={name: wrong})


async def _on_the_sky(session: ReadSession, statement: Any, filters: FrameFilters) -> Any:
    """Keep the frames whose area meets `covers` and `intersects`: boxes first, exact edges second."""
    shapes: dict[str, list[sky.Shape]] = {"covers": [], "intersects": []}
    for name, found in shapes.items():
        value: str | None = getattr(filters, name)
        if value is None:
            continue
        try:
            read = sky.read_shapes(value)
        except ValueError as error:
            raise InvalidGeometry(name, str(error)) from error
        if read is None:
            return repository.among(statement, [])
        found += read
        # What covers a shape lies near its every part; what intersects it near one of them.
        boxes = [sky.boxes(shape.rings[0]) for shape in read]
        groups = [[box] for box in boxes] if name == "covers" else [boxes]
        for group in groups:
            statement = repository.near(statement, group)
    if not any(shapes.values()):
        return statement
    candidates = await repository.areas(session, statement)
    ids = await asyncio.to_thread(sky.select_matching, candidates, shapes["covers"], shapes["intersects"])
    return repository.among(statement, ids)


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _is_false(value: str | None) -> bool:
    return value is not None and value.lower() == "false"


async def _flat_rows(
    session: ReadSession, frames: Sequence[Frame], addresses: Addresses, options: RowOptions | FrameFilters
) -> list[rows.Row]:
    if not frames:
        return []
    ids = [frame.id for frame in frames]
    versions = await repository.versions_of(session, ids)
    related = None if _is_false(options.include_related_frames) else await repository.related_of(session, ids)
    pictures = await repository.thumbnails_of(session, ids) if _is_true(options.include_thumbnails) else None
    return [
        rows.flat_row(
            frame,
            versions.get(frame.id, ()),
            addresses,
            related=None if related is None else related.get(frame.id, ()),
            thumbnails=None if pictures is None else pictures.get(frame.id, ()),
        )
        for frame in frames
    ]


async def visible_frame(
    session: ReadSession, principal: Principal, now_utc: datetime, frame_id: int
) -> Frame:
    """Return one frame.

    Raises
    ------
    FrameNotFound
        When there is none, or the caller may not see it.
    """
    found = await repository.frames(
        session, repository.among(repository.visible(principal, now_utc), [frame_id])
    )
    if not found:
        raise FrameNotFound
    return found[0]


async def frame_detail(
    session: ReadSession, principal: Principal, frame_id: int, addresses: Addresses, options: RowOptions
) -> rows.Row:
    """Return one frame in the form of the lists."""
    frame = await visible_frame(session, principal, addresses.now_utc, frame_id)
    return (await _flat_rows(session, [frame], addresses, options))[0]


async def frame_headers(
    session: ReadSession, principal: Principal, now_utc: datetime, frame_id: int
) -> dict[str, Any]:
    """Return all headers of a frame."""
    frame = await visible_frame(session, principal, now_utc, frame_id)
    return await repository.headers_of(session, frame.id)


async def related_frames(
    session: ReadSession, principal: Principal, frame_id: int, addresses: Addresses
) -> list[rows.Row]:
    """Return the visible frames related to a frame."""
    frame = await visible_frame(session, principal, addresses.now_utc, frame_id)
    found = await repository.frames(session, repository.related_to(principal, addresses.now_utc, frame.id))
    return await _model_rows(session, found, addresses)


async def _model_rows(session: ReadSession, frames: Sequence[Frame], addresses: Addresses) -> list[rows.Row]:
    ids = [frame.id for frame in frames]
    versions = await repository.versions_of(session, ids)
    related = await repository.related_of(session, ids)
    return [
        rows.model_row(frame, versions.get(frame.id, ()), related.get(frame.id, ()), addresses)
        for frame in frames
    ]


async def version_list(
    session: ReadSession, md5: str | None, addresses: Addresses, *, limit: int, offset: int
) -> FrameList:
    """Return a page of versions, newest first, with an exact count."""
    statement = repository.all_versions(md5).limit(limit + 1).offset(offset)
    found = [(row[0], row[1]) for row in await session.execute(statement)]
    more = len(found) > limit
    shown = [rows.version_row(version, basename, addresses) for version, basename in found[:limit]]
    complete = not more and (bool(found) or offset == 0)
    count = offset + len(found) if complete else await repository.count_versions(session, md5)
    return FrameList(shown, more, count)


async def one_version(session: ReadSession, version_id: int, addresses: Addresses) -> rows.Row:
    """Return one version."""
    found = await repository.version(session, version_id)
    if found is None:
        raise FrameNotFound
    return rows.version_row(*found, addresses)


async def thumbnail_list(
    session: ReadSession,
    principal: Principal,
    filters: ThumbnailFilters,
    addresses: Addresses,
    *,
    limit: int,
    offset: int,
) -> FrameList:
    """Return a page of thumbnails of visible frames, with an exact count."""
    if filters.size is not None and filters.size not in THUMBNAIL_SIZES:
        raise InvalidInput.fields(
            size=f"Select a valid choice. {filters.size} is not one of the available choices."
        )
    statement = repository.visible_thumbnails(principal, addresses.now_utc, filters)
    found = await repository.thumbnails(session, statement.limit(limit + 1).offset(offset))
    more = len(found) > limit
    shown = [rows.thumbnail_row(thumbnail, addresses) for thumbnail in found[:limit]]
    complete = not more and (bool(found) or offset == 0)
    count = offset + len(found) if complete else await repository.count_rows(session, statement)
    return FrameList(shown, more, count)


async def visible_thumbnail(
    session: ReadSession, principal: Principal, now_utc: datetime, thumbnail_id: int
) -> Thumbnail:
    """Return one thumbnail of a visible frame.

    Raises
    ------
    FrameNotFound
        When there is none, or the caller may not see its frame.
    """
    statement = repository.visible_thumbnails(principal, now_utc, ThumbnailFilters())
    found = await repository.thumbnails(session, statement.where(Thumbnail.id == thumbnail_id))
    if not found:
        raise FrameNotFound
    return found[0]


async def thumbnail_detail(
    session: ReadSession, principal: Principal, thumbnail_id: int, addresses: Addresses
) -> rows.Row:
    """Return one thumbnail of a visible frame."""
    thumbnail = await visible_thumbnail(session, principal, addresses.now_utc, thumbnail_id)
    return rows.thumbnail_row(thumbnail, addresses)


@dataclass(frozen=True, slots=True)
class Menus:
    """Distinct values, and for how long they may be kept."""

    values: dict[str, list[str]]
    max_age_s: int


async def menus(
    session: ReadSession, principal: Principal, now_utc: datetime, filters: AggregateFilters
) -> Menus:
    """Return the distinct values of the frames the caller may see."""
    asked = filters.model_dump(exclude_unset=True, exclude={"query_timeout", "public"})
    if not asked:
        return Menus(await repository.choices(session, principal, now_utc), 0)
    if filters.start is None or filters.end is None:
        raise InvalidInput(body="both start & end must be specified")
    start, end = (moment.replace(second=0, microsecond=0) for moment in (filters.start, filters.end))
    if end - start > LONGEST_AGGREGATE:
        raise InvalidInput(body="start and end must be at most 365 days apart")
    try:
        values = await repository.choices_between(
            session, principal, now_utc, filters.model_copy(update={"start": start, "end": end})
        )
    except DBAPIError as error:
        if sqlstate(error) == _TIMED_OUT:
            raise QueryTookTooLong from error
        raise
    if principal.is_authenticated:
        return Menus(values, 300)
    return Menus(values, 86_400 if end < now_utc else 3_600)


# --- storing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file as its record names it, and where its bytes belong."""

    key: str
    md5: str
    extension: str
    path: str
    size: int | None = None


async def check_fields(
    session: ReadSession, settings: Settings, fields: FrameIn | FramePatch, *, basename: str = ""
) -> None:
    """Check what depends on the installation, the area, and names that become part of a path.

    Raises
    ------
    InvalidFrame
        With one text for each wrong field.
    """
    wrong: dict[str, list[str]] = {}
    longest = settings.site_code_length
    if fields.site_id is not None and len(fields.site_id) > longest:
        wrong["site_id"] = [f"Ensure this field has no more than {longest} characters."]
    kind = fields.configuration_type
    if kind is not None and kind not in await configuration_types(session):
        wrong["configuration_type"] = [f'"{kind}" is not a valid choice.']
    if fields.area is not None:
        try:
            fields.area = sky.read_polygon(fields.area)
        except ValueError as error:
            wrong["area"] = [str(error)]
    for name in ("site_id", "instrument_id"):
        if reason := paths.unsafe(getattr(fields, name) or ""):
            wrong.setdefault(name, []).append(reason)
    if reason := paths.unsafe(basename):
        wrong["basename"] = [reason]
    if wrong:
        raise InvalidFrame(body=wrong)


def files_of(body: FrameIn, *, picture: bool = False) -> list[NewFile]:
    """Return the files of a record with their paths.

    Raises
    ------
    InvalidFrame
        When a name cannot be part of a path, or the same md5 or key is named twice.
    """
    day = paths.day_text(body.headers, body.observation_day)
    if reason := paths.unsafe(day):
        raise InvalidFrame(body={"headers": [f"{paths.DAY_KEY}: {reason}"]})
    found: list[NewFile] = []
    problems: list[dict[str, list[str]]] = [{} for _ in body.version_set]
    for version, problem in zip(body.version_set, problems, strict=True):
        if reason := paths.unsafe(version.extension):
            problem["extension"] = [reason]
        if any(version.key == other.key for other in found):
            problem["key"] = ["version with this key already exists."]
        if any(version.md5 == other.md5 for other in found):
            problem["md5"] = ["version with this md5 already exists."]
        place = {
            "site": body.site_id,
            "instrument": body.instrument_id,
            "day": day,
            "basename": body.basename,
            "extension": version.extension,
        }
        path = (
            paths.thumbnail_path(**place)
            if picture
            else paths.frame_path(
                **place,
                reduction_level=body.reduction_level,
                headers=body.headers,
                configuration_type=body.configuration_type,
            )
        )
        found.append(NewFile(version.key, version.md5, version.extension, path))
    if any(problems):
        raise DuplicateVersion(problems)
    return found


async def refuse_duplicates(session: ReadSession, files: Sequence[NewFile]) -> None:
    """Refuse files that are stored already.

    Raises
    ------
    DuplicateVersion
        With the md5s and keys that are known.
    """
    if not files:
        return
    md5s, keys = await repository.taken(session, (file.md5 for file in files), (file.key for file in files))
    problems: list[dict[str, list[str]]] = []
    for file in files:
        problem = {}
        if file.key in keys:
            problem["key"] = ["version with this key already exists."]
        if file.md5 in md5s:
            problem["md5"] = ["version with this md5 already exists."]
        problems.append(problem)
    if any(problems):
        raise DuplicateVersion(problems)


async def adopt(store: ObjectStore, settings: Settings, file: NewFile) -> NewFile:
    """Take over the bytes that a client wrote to the store before it sent the record.

    A file that is not there is refused if its key claims that it is in our store; otherwise the key names a
    version in a store of the client's own, and the record is kept alone.

    Raises
    ------
    FileMissing
        When the client says the bytes are in our store, and they are not.
    StoreBusy
        When other bytes are there: a second upload of the same name came between.
    """
    claimed = store.claims(file.key, file.md5)
    try:
        stored = await store.adopt(file.path, file.key, file.md5)
    except ObjectChanged as error:
        if claimed:
            raise StoreBusy from error
        stored = None
    except OSError as error:
        raise Unavailable("The object store does not answer; try again shortly.") from error
    if stored is None:
        if claimed and settings.archive_requires_files:
            raise FileMissing(file.path)
        return file
    return NewFile(file.key, file.md5, file.extension, file.path, stored.size)


async def new_frame(
    session: WriteSession,
    settings: Settings,
    store: ObjectStore,
    addresses: Addresses,
    body: FrameIn,
) -> rows.Row:
    """Store the record of a frame whose files a client wrote to the store."""
    await check_fields(session, settings, body, basename=body.basename)
    files = files_of(body)
    await refuse_duplicates(session, files)
    files = [await adopt(store, settings, file) for file in files]
    frame = await store_frame(session, body, files, addresses.now_utc)
    return (await _model_rows(session, [frame], addresses))[0]


async def store_frame(
    session: WriteSession, body: FrameIn, files: Sequence[NewFile], now_utc: datetime
) -> Frame:
    """Write a frame with its versions, headers and relations; the bytes are in the store already.

    Raises
    ------
    DuplicateVersion
        When another writer stored one of the files meanwhile.
    """
    names = [name for name in body.related_frame_filenames if name != body.basename]
    ids = await repository.ids_of_names(session, [body.basename, *names], now_utc)
    before = await repository.locked(session, ids[body.basename])
    was_listed = before is not None and before.observation_date is not None and before.has_version
    if before is not None:
        session.expunge(before)
    frame = await repository.change(
        session,
        ids[body.basename],
        {
            **_columns(body, now_utc),
            **_area_columns(body.area),
            "submitter": _text(body.headers.get("USERID"))[:LONGEST_SUBMITTER],
            "has_version": Frame.has_version if not files else True,
        },
    )
    await repository.replace_headers(session, frame.id, body.headers)
    if files:
        new = [
            {
                "frame_id": frame.id,
                "key": file.key,
                "md5": file.md5,
                "extension": file.extension,
                "path": file.path,
                "size": file.size,
                "created": now_utc,
            }
            for file in files
        ]
        if not await repository.add_versions(session, new):
            await refuse_duplicates(session, files)
            raise DuplicateVersion([{"md5": ["version with this md5 already exists."]} for _ in files])
    await repository.relate(session, frame.id, {ids[name] for name in names})
    if before is not None and was_listed and not repository.same_choices(before, frame):
        await repository.recount_choices(session, before)
    if frame.has_version and frame.observation_date is not None:
        await repository.add_choices(session, frame)
    changes.stamp(session, TOPIC)
    return frame


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _columns(fields: FrameFields, now_utc: datetime) -> dict[str, Any]:
    return {name: getattr(fields, name) for name in FrameFields.model_fields} | {"modified": now_utc}


def _area_columns(area: Mapping[str, Any] | None) -> dict[str, Any]:
    if area is None:
        return {"area": None, "sky_xy": None, "sky_yz": None}
    xy, yz = sky.boxes(sky.unit_vectors(area["coordinates"][0]))
    return {"area": dict(area), "sky_xy": xy, "sky_yz": yz}


async def change_frame(
    session: WriteSession, settings: Settings, addresses: Addresses, frame_id: int, body: FramePatch
) -> rows.Row:
    """Change columns of a frame."""
    await check_fields(session, settings, body, basename=body.basename or "")
    given = body.model_dump(exclude_unset=True)
    if "version_set" in given:
        raise InvalidFrame(
            body={"version_set": ["Versions cannot be changed; POST the frame again to add one."]}
        )
    nullable = {"area", "observation_date", "exposure_time", "public_date", "observation_id", "request_id"}
    if nulls := [name for name, value in given.items() if value is None and name not in nullable]:
        raise InvalidFrame(body={name: ["This field may not be null."] for name in nulls})
    before = await repository.locked(session, frame_id)
    if before is None or before.observation_date is None:
        raise FrameNotFound
    name = given.get("basename", before.basename)
    if name != before.basename and await repository.frame_named(session, name) is not None:
        raise InvalidFrame(body={"basename": ["frame with this basename already exists."]})
    session.expunge(before)
    if "area" in given:
        given |= _area_columns(given["area"])
    frame = await repository.change(session, frame_id, given | {"modified": addresses.now_utc})
    if not repository.same_choices(before, frame):
        await repository.recount_choices(session, before)
        await repository.recount_choices(session, frame)
    changes.stamp(session, TOPIC)
    return (await _model_rows(session, [frame], addresses))[0]


async def remove_frame(session: WriteSession, frame_id: int) -> list[StoredObject]:
    """Remove a frame; return the files to delete once that is committed."""
    frame = await repository.locked(session, frame_id)
    if frame is None or frame.observation_date is None:
        raise FrameNotFound
    versions = (await repository.versions_of(session, [frame_id])).get(frame_id, [])
    pictures = (await repository.thumbnails_of(session, [frame_id])).get(frame_id, [])
    session.expunge_all()
    await repository.remove_frame(session, frame_id)
    await repository.recount_choices(session, frame)
    changes.stamp(session, TOPIC)
    stored = [*map(stored_version, versions), *map(stored_thumbnail, pictures)]
    return [item for item in stored if item is not None]


async def new_thumbnail(
    session: WriteSession,
    settings: Settings,
    store: ObjectStore,
    addresses: Addresses,
    body: ThumbnailIn,
) -> tuple[rows.Row, StoredObject | None]:
    """Store a picture, and its frame if that is not there yet.

    Returns
    -------
    tuple
        The answer, and the file of a picture that this one took the place of.
    """
    await check_fields(session, settings, body, basename=body.basename)
    if body.size not in THUMBNAIL_SIZES:
        raise InvalidFrame(body={"size": [f'"{body.size}" is not a valid choice.']})
    if not body.version_set:
        raise InvalidFrame(body={"version_set": ["This list may not be empty."]})
    files = files_of(body, picture=True)
    await refuse_duplicates(session, files)
    file = await adopt(store, settings, files[0])
    frame = await repository.frame_named(session, body.frame_basename)
    if frame is None or frame.observation_date is None:
        alone = body.model_copy(update={"basename": body.frame_basename, "version_set": []})
        frame = await store_frame(session, alone, (), addresses.now_utc)
    before = await repository.thumbnail_named(session, body.basename)
    replaced = None if before is None or before.md5 == file.md5 else stored_thumbnail(before)
    thumbnail = await repository.put_thumbnail(
        session,
        {
            "frame_id": frame.id,
            "size": body.size,
            "basename": body.basename,
            "extension": file.extension,
            "key": file.key,
            "md5": file.md5,
            "path": file.path,
            "stored_bytes": file.size,
        },
    )
    changes.stamp(session, TOPIC)
    answer = {
        "frame": (await _model_rows(session, [frame], addresses))[0],
        "size": thumbnail.size,
        "basename": thumbnail.basename,
        "url": addresses.of_thumbnail(thumbnail),
        "key": thumbnail.key,
        "extension": thumbnail.extension,
    }
    return answer, replaced


async def resize_thumbnail(
    session: WriteSession, principal: Principal, thumbnail_id: int, size: str, addresses: Addresses
) -> rows.Row:
    """Correct the size class of a picture."""
    if size not in THUMBNAIL_SIZES:
        raise InvalidFrame(body={"size": [f'"{size}" is not a valid choice.']})
    thumbnail = await visible_thumbnail(session, principal, addresses.now_utc, thumbnail_id)
    thumbnail.size = size
    changes.stamp(session, TOPIC)
    return rows.thumbnail_row(thumbnail, addresses)


async def remove_thumbnail(
    session: WriteSession, principal: Principal, now_utc: datetime, thumbnail_id: int
) -> list[StoredObject]:
    """Remove a picture; return the files to delete once that is committed."""
    thumbnail = await visible_thumbnail(session, principal, now_utc, thumbnail_id)
    stored = stored_thumbnail(thumbnail)
    await repository.remove_thumbnail(session, thumbnail_id)
    changes.stamp(session, TOPIC)
    return [] if stored is None else [stored]


# --- files -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FrameFile:
    """The newest file of a frame, with what decides how it is packed."""

    frame: Frame
    stored: StoredObject
    filename: str


async def newest_files(
    session: ReadSession, principal: Principal, now_utc: datetime, frame_ids: Sequence[int]
) -> list[FrameFile]:
    """Return the newest file of each of the visible frames with these ids, in the order of the ids."""
    frames = await repository.frames(
        session, repository.among(repository.visible(principal, now_utc), frame_ids).order_by(Frame.id)
    )
    versions = await repository.versions_of(session, [frame.id for frame in frames])
    return [
        FrameFile(frame, stored, frame.basename + newest[0].extension)
        for frame in frames
        if (newest := versions.get(frame.id)) and (stored := stored_version(newest[0])) is not None
    ]


async def any_visible(
    session: ReadSession, principal: Principal, now_utc: datetime, frame_ids: Sequence[int]
) -> bool:
    """Tell whether the caller may see one of the frames."""
    statement = repository.among(repository.visible(principal, now_utc), frame_ids)
    return bool(await repository.frames(session, statement.limit(1)))


async def file_of_version(session: ReadSession, version_id: int) -> tuple[StoredObject, str]:
    """Return a version's file and its name."""
    found = await repository.version(session, version_id)
    if found is None or (stored := stored_version(found[0])) is None:
        raise FrameNotFound
    return stored, found[1] + found[0].extension


async def file_of_thumbnail(session: ReadSession, thumbnail_id: int) -> tuple[StoredObject, str]:
    """Return a thumbnail's file and its name."""
    thumbnail = await session.get(Thumbnail, thumbnail_id)
    if thumbnail is None or (stored := stored_thumbnail(thumbnail)) is None:
        raise FrameNotFound
    return stored, thumbnail.basename + thumbnail.extension
