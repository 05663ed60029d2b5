"""The observatory file: one YAML or JSON document that describes an installation.

Sections may be missing, applying twice changes nothing, and either everything is applied or nothing. Each
section belongs to a module; this file reads the document, keeps the line numbers for the messages, and calls
the doors in the order in which sections refer to each other.
"""

import difflib
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from ocs.configdb import api as configdb
from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.datafolder import StartError
from ocs.kernel.runtime import Runtime
from ocs.portal.accounts import api as accounts
from ocs.portal.proposals import api as proposals
from ocs.portal.sections import Section

Where = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of plain values: OFF, NO, 12:00:00 and dates are text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file with the line of every value."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Where, int]

    def line(self, where: Where) -> int | None:
        """Return the line (from 1) of the value at `where`, or of the nearest thing around it."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)


class FileProblems(StartError):
    """A file cannot be applied; the text lists every problem with its line."""


@dataclass(slots=True)
class Report:
    """What applying a file did, or would do."""

    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _positions(node: yaml.Node, where: Where = ()) -> Iterator[tuple[Where, int]]:
    yield where, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from ((place, line) for place, line in _positions(value, (*where, str(key.value))))
            yield (*where, str(key.value)), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _positions(value, (*where, index))


def _repeated_keys(node: yaml.Node, where: Where = ()) -> Iterator[tuple[Where, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*where, name), "is written twice"
            seen.add(name)
            yield from _repeated_keys(value, (*where, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, (*where, index))


def read(path: Path) -> Document:
    """Read a YAML or JSON file; `-` is the standard input.

    Raises
    ------
    FileProblems
        When it is not there, not YAML, or not a mapping of sections.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblems(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    try:
        # YAML contains JSON, except for tabs between tokens.
        loader = _Loader(text.replace("\t", " ") if path.suffix == ".json" else text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else {}
    except (yaml.YAMLError, RecursionError) as error:
        raise FileProblems(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(data, dict):
        raise FileProblems(f"{path} must be a mapping of sections, e.g. `users:` and `sites:`.")
    document = Document(path, data, dict(_positions(node)) if node is not None else {})
    if problems := list(_repeated_keys(node)) if node is not None else []:
        raise FileProblems(describe(document, problems))
    return document


def describe(document: Document, problems: Sequence[tuple[Where, str]]) -> str:
    """Return one line a problem: file, line, place, sentence."""
    found = sorted((document.line(where) or 0, where, sentence) for where, sentence in problems)
    rows = [
        f"{document.path}:{line}: {'.'.join(map(str, where))}: {sentence}" for line, where, sentence in found
    ]
    return "\n".join([*rows, f"{len(rows)} problem{'s' * (len(rows) != 1)}; nothing was applied."])


Apply = Callable[[WriteSession, Any], Awaitable[Section]]


def _people(runtime: Runtime) -> dict[str, Apply]:
    """Return what applies each section about people, in the order in which sections refer to each other."""
    now, vault = runtime.clock.now(), runtime.vault
    return {
        "users": lambda session, rows: accounts.apply_users(
            session, rows, passwords=runtime.passwords, vault=vault, now=now
        ),
        "oauth_applications": lambda session, rows: accounts.apply_oauth_applications(
            session, rows, vault=vault, now=now
        ),
        "semesters": proposals.apply_semesters,
        "scas": proposals.apply_scas,
        "proposals": lambda session, rows: proposals.apply_proposals(session, rows, now=now),
        "memberships": proposals.apply_memberships,
        "time_allocations": lambda session, rows: _apply_allocations(session, rows, now),
    }


async def _apply_allocations(session: WriteSession, rows: Any, now: datetime) -> Section:
    known = await _instrument_types(session)
    return await proposals.apply_time_allocations(session, rows, now=now, known_instrument_types=known)


async def _instrument_types(session: ReadSession) -> frozenset[str]:
    observatory = await configdb.observatory(session)
    return frozenset(observatory.instrument_types)


async def apply(
    runtime: Runtime, document: Document, *, dry_run: bool = False, only: Sequence[str] = ()
) -> Report:
    """Apply a file in one transaction.

    Parameters
    ----------
    dry_run
        Find all problems and say what would change, then roll back.
    only
        Names of the sections to apply; all if there are none.

    Raises
    ------
    FileProblems
        With every problem of the file; nothing was applied.
    """
    async with runtime.database.write_session() as session:
        report = await _apply(runtime, session, document, only)
        if not dry_run:
            await runtime.database.commit(session)
    return report


async def diff(runtime: Runtime, document: Document) -> str:
    """Return what applying the configuration of a file would change, and change nothing.

    Returns
    -------
    str
        A unified diff of the exported configuration before and after; empty if nothing would change.

    Raises
    ------
    FileProblems, NotExportable
        With every problem of the file; when the configuration cannot be exported.
    """
    async with runtime.database.write_session() as session:
        before = configdb.dump_file(await configdb.export_file(session))
        await _apply(runtime, session, document, configdb.SECTIONS)
        after = configdb.dump_file(await configdb.export_file(session))
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, "now", str(document.path)))


async def _apply(runtime: Runtime, session: WriteSession, document: Document, only: Sequence[str]) -> Report:
    people = _people(runtime)
    # A key with a plain sentence is a comment.
    sections = {name: rows for name, rows in document.data.items() if not isinstance(rows, str)}
    problems: list[tuple[Where, str]] = [
        ((name,), f"is not a section; sections are {', '.join([*configdb.SECTIONS, *people])}")
        for name in sections
        if name not in people and name not in configdb.SECTIONS
    ]
    sections = {name: rows for name, rows in sections.items() if not only or name in only}
    report = Report()
    done: list[configdb.FileResult | Section] = []
    if any(name in sections for name in configdb.SECTIONS):
        done.append(await configdb.apply_file(session, sections, now=runtime.clock.now()))
    for name, apply_section in people.items():
        if sections.get(name):
            done.append(await apply_section(session, sections[name]))
            await session.flush()
    for section in done:
        problems += section.problems
        report.changes += section.changes
        report.warnings += [
            f"{document.path}:{document.line(where) or 0}: {'.'.join(map(str, where))}: {sentence}"
            for where, sentence in section.warnings
        ]
    if problems:
        raise FileProblems(describe(document, problems))
    return report
