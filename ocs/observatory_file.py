"""The observatory file: one YAML or JSON document that describes an installation.

Sections may be missing, applying twice changes nothing, and either everything is applied or nothing. Each
section belongs to a module; this file reads the document, keeps the line numbers for the messages, and calls
the doors in the order in which sections refer to each other.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ocs import configdb, portal
from ocs.kernel.database import WriteSession
from ocs.kernel.datafolder import StartError

Where = tuple[str | int, ...]

PEOPLE = (
    "users",
    "oauth_applications",
    "semesters",
    "scas",
    "proposals",
    "memberships",
    "time_allocations",
)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of plain values: OFF, NO, 12:00:00 and dates are text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
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
    """Read a YAML or JSON file.

    Raises
    ------
    FileProblems
        When it is not there, not YAML, or not a mapping of sections.
    """
    try:
        text = path.read_text(encoding="utf-8")
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
