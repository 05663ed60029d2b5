"""The door of the configuration for other modules."""

from datetime import datetime
from importlib.resources import files
from typing import Any

from ocs.configdb import bootstrap, document, repository, service
from ocs.configdb.document import SECTIONS, FileResult
from ocs.configdb.document import dump as dump_file
from ocs.configdb.document import json_schema as file_schema
from ocs.configdb.observatory import (
    Camera,
    CameraGeometry,
    CameraType,
    ConfigurationType,
    ElementGroup,
    Enclosure,
    Instrument,
    InstrumentType,
    Mode,
    ModeGroup,
    Observatory,
    OpticalElement,
    OpticalElementGroup,
    Overheads,
    Site,
    Telescope,
    telescope_class,
)
from ocs.configdb.service import Author
from ocs.configdb.validation import SchemaValidator, schema_problems
from ocs.kernel.database import ReadSession, WriteSession

__all__ = [
    "SECTIONS",
    "Camera",
    "CameraGeometry",
    "CameraType",
    "ConfigurationType",
    "ElementGroup",
    "Enclosure",
    "FileResult",
    "Instrument",
    "InstrumentType",
    "Mode",
    "ModeGroup",
    "Observatory",
    "OpticalElement",
    "OpticalElementGroup",
    "Overheads",
    "SchemaValidator",
    "Site",
    "Telescope",
    "apply_file",
    "create_test_observatory",
    "dump_file",
    "export_file",
    "file_schema",
    "observatory",
    "schema_problems",
    "telescope_class",
    "template",
    "template_names",
]


async def observatory(session: ReadSession) -> Observatory:
    """Return the whole configuration as frozen objects.

    It is kept in the process as long as it is unchanged, so this costs one small statement. A transaction
    that changed the configuration itself sees its own changes.
    """
    return (await service.snapshot(session)).observatory


async def apply_file(
    session: WriteSession, sections: dict[str, Any], *, now: datetime, username: str = "observatory file"
) -> FileResult:
    """Bring the configuration into line with the sections of an observatory file that are ours.

    Parameters
    ----------
    sections
        The parsed file; other modules' sections are left alone.
    now
        Time of the revision.
    username
        Who the history says it was.

    Returns
    -------
    FileResult
        What changed. With problems nothing is written; for a dry run the caller rolls back.
    """
    editor = await repository.edit(session, now)
    result = document.apply(editor, sections)
    if not result.problems:
        await service.store(session, Author(username, now, "observatory file"), editor)
    return result


async def export_file(session: ReadSession) -> dict[str, Any]:
    """Return the configuration as the sections of an observatory file; `dump_file` makes YAML of it.

    Raises
    ------
    NotExportable
        When things share the name by which a file refers to them.
    """
    return document.export((await service.snapshot(session)).state)


def template_names() -> tuple[str, ...]:
    """Return the names of the observatory files to start from."""
    folder = files("ocs.configdb") / "templates"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir()))


def template(name: str) -> str:
    """Return an observatory file to start from, as YAML."""
    return (files("ocs.configdb") / "templates" / f"{name}.yaml").read_text("utf-8")


async def create_test_observatory(
    session: WriteSession,
    *,
    now: datetime,
    site: str,
    lat_deg: float,
    long_deg: float,
    instrument_state: str = "MANUAL",
) -> FileResult:
    """Make the small observatory that end-to-end tests of clients start from; again changes nothing."""
    sections = bootstrap.document(site, lat_deg, long_deg, instrument_state)
    return await apply_file(session, sections, now=now, username="init_e2e_data")
