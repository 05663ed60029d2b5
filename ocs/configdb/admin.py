"""Routes of the administration: history, availability, many at once, and the configuration as a file."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import Body, Query, Request, Response
from starlette.responses import PlainTextResponse

from ocs.configdb import document, history, repository, rules, service
from ocs.configdb.dependencies import Base, StaffAuthor
from ocs.configdb.errors import InvalidConfiguration
from ocs.configdb.models import Revision, Version
from ocs.configdb.schemas import (
    AppliedFile,
    AvailabilityHistory,
    Instrument,
    InstrumentClone,
    RevisionFilter,
    StateSwitch,
)
from ocs.configdb.schemas import Revision as RevisionShape
from ocs.configdb.shapes import Shapes
from ocs.configdb.state import Editor, Row, State
from ocs.kernel.errors import NotAuthenticated, NotFound
from ocs.kernel.security import ConfigdbCaller, ConfigdbStaff
from ocs.kernel.wire.pages import Page, page_bytes, page_of
from ocs.kernel.wire.route import ClockDep, JsonBytes, Reading, Writing, make_router
from ocs.kernel.wire.types import iso_z, parse_free_date

router = make_router("configdb")

HistoryPage = page_of(50, 1000)


# --- availability -------------------------------------------------------------------------------------------


@router.get(
    "/api/availability_history/",
    summary="When an instrument or a telescope was available",
    response_model=AvailabilityHistory,
)
async def availability_history(
    session: Reading,
    _caller: ConfigdbCaller,
    clock: ClockDep,
    instrument_id: Annotated[str, Query(description="Code of an instrument")] = "",
    site_id: Annotated[str, Query(description="Code of the site")] = "",
    enclosure_id: Annotated[str, Query(description="Code of the enclosure")] = "",
    telescope_id: Annotated[str, Query(description="Code of the telescope")] = "",
    start: Annotated[str, Query(description="Default 2010-01-01")] = "",
    end: Annotated[str, Query(description="Default now")] = "",
) -> Response:
    """Tell when an instrument was schedulable, or a telescope active with one; newest first, whole spans."""
    now = clock.now()
    state = (await service.snapshot(session)).state
    place = (site_id, enclosure_id, telescope_id)
    if not instrument_id and not all(place):
        return PlainTextResponse("Give instrument_id, or site_id, enclosure_id and telescope_id.", 400)
    try:
        limits = parse_free_date(start or "2010-01-01"), parse_free_date(end) if end else now
    except ValueError as error:
        return PlainTextResponse(str(error), 400)
    telescopes = list(state.all("telescope"))
    if all(place):
        telescopes = [row for row in telescopes if _is_at(state, "telescope", row, ".".join(place))]
        if not telescopes:
            return PlainTextResponse(f"No telescope found with code {'.'.join(place)}", 404)
    if instrument_id:
        keys = {row["id"] for row in telescopes}
        instruments = [
            row
            for row in state.all("instrument")
            if row["code"].lower() == instrument_id.lower() and row["telescope_id"] in keys
        ]
        if not instruments:
            return PlainTextResponse(f"No instrument found with code {instrument_id}", 404)
        found = await history.instrument_spans(session, instruments, now)
    else:
        found = await history.telescope_spans(session, telescopes[0], now)
    return JsonBytes(orjson.dumps({"availability_intervals": history.printed(found, *limits)}))


def _is_at(state: State, kind: str, row: Row, path: str) -> bool:
    return rules.path(state, kind, row).lower() == path.lower()


# --- history ------------------------------------------------------------------------------------------------


def _version(version: Version) -> dict[str, Any]:
    changed = history.changed_fields(version.before, version.after)
    return {
        "id": version.id,
        "kind": version.kind,
        "object_id": version.object_id,
        "before": version.before,
        "after": version.after,
        "changed": {name: {"before": old, "after": new} for name, (old, new) in changed.items()},
    }


def _revision(revision: Revision, versions: Sequence[Version]) -> bytes:
    return orjson.dumps(
        {
            "id": revision.id,
            "created": iso_z(revision.created),
            "username": revision.username,
            "comment": revision.comment,
            "versions": [_version(item) for item in versions if item.revision_id == revision.id],
        }
    )


@router.get("/api/admin/revisions/", summary="The history", response_model=Page[RevisionShape])
async def list_revisions(
    request: Request,
    session: Reading,
    _staff: ConfigdbStaff,
    page: HistoryPage,  # type: ignore[valid-type]
    chosen: Annotated[RevisionFilter, Query()],
) -> Response:
    """List who changed what and when, newest first; `deleted=true` finds what can be recovered."""
    count, revisions = await repository.revisions(
        session,
        chosen.model_dump(),
        limit=page.limit,  # type: ignore[attr-defined]
        offset=page.offset,  # type: ignore[attr-defined]
    )
    versions = await repository.versions(session, [revision.id for revision in revisions])
    return page_bytes(request, page, count, [_revision(revision, versions) for revision in revisions])


@router.post(
    "/api/admin/versions/{key}/revert/",
    summary="Bring a thing back to a version",
    response_model=dict[str, Any],
)
async def revert(session: Writing, author: StaffAuthor, base: Base, key: int) -> Response:
    """Restore the fields a thing had after a write, or what a write deleted; this is a new version."""
    version = await repository.version(session, key)
    if version is None:
        raise NotFound.of("Version")
    row, editor = await service.write(session, author, lambda editor: history.restore(editor, version))
    return JsonBytes(orjson.dumps(Shapes(editor.state, base).draw(version.kind, row)))


# --- instruments --------------------------------------------------------------------------------------------


@router.post(
    "/api/admin/instruments/state/",
    summary="Switch the state of several instruments",
    response_model=list[Instrument],
)
async def switch_instruments(
    session: Writing, author: StaffAuthor, base: Base, switch: StateSwitch
) -> Response:
    """Give several instruments a new state in one revision."""

    def work(editor: Editor) -> list[Row]:
        unknown = [key for key in switch.instrument_ids if editor.state.get("instrument", key) is None]
        if unknown:
            raise InvalidConfiguration.fields(
                instrument_ids=[f'Invalid pk "{key}" - object does not exist.' for key in unknown]
            )
        return [editor.update("instrument", key, {"state": switch.state}) for key in switch.instrument_ids]

    rows, editor = await service.write(session, author, work)
    shapes = Shapes(editor.state, base)
    return JsonBytes(orjson.dumps([shapes.draw("instrument", row) for row in rows]))


@router.post(
    "/api/admin/instruments/{key}/clone/",
    summary="Copy an instrument",
    status_code=201,
    response_model=Instrument,
)
async def clone_instrument(
    session: Writing, author: StaffAuthor, base: Base, key: int, clone: InstrumentClone
) -> Response:
    """Make an instrument like another one, under a new code."""

    def work(editor: Editor) -> Row:
        original = service.existing(editor.state, "instrument", key)
        given = clone.model_dump(exclude_none=True)
        return rules.create(editor, "instrument", {**original, **given})

    row, editor = await service.write(session, author, work)
    return JsonBytes(orjson.dumps(Shapes(editor.state, base).draw("instrument", row)), 201)


# --- the configuration as a file ----------------------------------------------------------------------------


@router.get("/api/admin/file/", summary="The configuration as a file", response_model=dict[str, Any])
async def export_file(
    session: Reading, _staff: ConfigdbStaff, form: Literal["json", "yaml"] = "json"
) -> Response:
    """Return the configuration as the observatory file that would make it."""
    sections = document.export((await service.snapshot(session)).state)
    if form == "yaml":
        return Response(document.dump(sections), media_type="application/yaml")
    return JsonBytes(orjson.dumps(sections))


@router.post("/api/admin/file/", summary="Apply a configuration file", response_model=AppliedFile)
async def apply_file(
    session: Writing,
    author: StaffAuthor,
    sections: Annotated[dict[str, Any], Body()],
    dry_run: Annotated[bool, Query(description="Only tell what would change")] = False,
) -> Response:
    """Bring the configuration into line with a file: all of it or, with any problem, nothing."""
    editor = await repository.edit(session, author.now_utc)
    result = document.apply(editor, sections)
    problems: dict[str, list[str]] = {
        name: ["This is not a section of the configuration."]
        for name in sections
        if name not in document.SECTIONS
    }
    for where, sentence in result.problems:
        problems.setdefault(".".join(map(str, where)), []).append(sentence)
    if problems:
        raise InvalidConfiguration(body=problems)
    if not dry_run:
        await service.store(session, author, editor)
    warnings = [f"{'.'.join(map(str, where))}: {sentence}" for where, sentence in result.warnings]
    return JsonBytes(orjson.dumps({"dry_run": dry_run, "changes": result.changes, "warnings": warnings}))


@router.get("/api/admin/file/schema/", summary="JSON Schema of the file", response_model=dict[str, Any])
async def file_schema() -> Response:
    """Return the schema with which editors complete and check an observatory file."""
    return JsonBytes(orjson.dumps(document.json_schema()))


@router.post("/authprofile/addupdateuser/", include_in_schema=False)
async def receive_user() -> None:
    """Refuse users from outside: this installation keeps its users in one place, so no key is configured."""
    error = NotAuthenticated("No server key is configured.", headers={"WWW-Authenticate": "Server"})
    error.status = 401
    raise error
