"""The configuration as one file that an astronomer can write: sections, nested places, references by code.

`apply` brings the configuration into line with a file: what the file names is made or changed, a field that
is left out takes its default, what the file does not name stays. Applying twice changes nothing. `export`
writes the file of what is there.
"""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from ocs.configdb import rules
from ocs.configdb.errors import InvalidConfiguration, NotExportable
from ocs.configdb.kinds import KINDS
from ocs.configdb.schemas import (
    WRITE,
    CameraFields,
    CameraTypeWrite,
    ConfigurationTypeUse,
    ConfigurationTypeWrite,
    EnclosureFields,
    GenericModeWrite,
    InstrumentCategoryWrite,
    InstrumentFields,
    InstrumentTypeWrite,
    ModeTypeWrite,
    Name,
    OpticalElementGroupWrite,
    OpticalElementWrite,
    SiteWrite,
    TelescopeFields,
)
from ocs.configdb.state import Change, Editor, Key, Row, State

Where = tuple[str | int, ...]
Problem = tuple[Where, str]


# --- the shape of the file ----------------------------------------------------------------------------------


class InstrumentEntry(InstrumentFields, extra="forbid"):
    """An instrument; its type and its cameras are named by code."""

    instrument_type: Name
    science_cameras: list[Name] = Field(min_length=1)
    autoguider_camera: Name


class TelescopeEntry(TelescopeFields, extra="forbid"):
    """A telescope: aperture in m, angles in deg, hour angle limits in h, overheads in s."""

    instruments: list[InstrumentEntry] = Field([])


class EnclosureEntry(EnclosureFields, extra="forbid"):
    """A dome or clamshell."""

    telescopes: list[TelescopeEntry] = Field([])


class SiteEntry(SiteWrite, extra="forbid"):
    """A site: latitude and longitude (east positive) in deg, elevation in m, timezone in h from UTC."""

    enclosures: list[EnclosureEntry] = Field([])


class CameraEntry(CameraFields, extra="forbid"):
    """A camera; its type is named by code, its groups of optical elements by name."""

    camera_type: Name
    optical_element_groups: list[Name] = Field([])


class CameraTypeEntry(CameraTypeWrite, extra="forbid"):
    """A camera type: size is text in arcmin, pscale in arcsec per pixel."""


class OpticalElementEntry(OpticalElementWrite, extra="forbid"):
    """A filter, slit or the like."""


class OpticalElementGroupEntry(OpticalElementGroupWrite, extra="forbid"):
    """Optical elements, named by code, of which one is in the beam; the type is a plural."""

    optical_elements: list[Name] = Field([])  # type: ignore[assignment]
    optical_element_ids: None = Field(None, exclude=True)  # type: ignore[assignment]


class ModeEntry(GenericModeWrite, extra="forbid"):
    """A mode."""


class ModeGroupEntry(BaseModel, extra="forbid"):
    """The modes of one type; default is the code of one of them."""

    type: Name
    default: str = ""
    modes: list[ModeEntry] = Field(min_length=1)


class ConfigurationTypeUseEntry(ConfigurationTypeUse, extra="forbid"):
    """How the instrument type does a configuration type."""


class InstrumentTypeEntry(InstrumentTypeWrite, extra="forbid"):
    """An instrument type, which is what requests name; overheads and paddings in s."""

    configuration_types: list[ConfigurationTypeUseEntry] = Field([])  # type: ignore[assignment]
    generic_mode_groups: list[ModeGroupEntry] = Field([])


class ConfigurationTypeEntry(ConfigurationTypeWrite, extra="forbid"):
    """What a telescope can be asked to do."""


class InstrumentCategoryEntry(InstrumentCategoryWrite, extra="forbid"):
    """A category of instruments."""


class ModeTypeEntry(ModeTypeWrite, extra="forbid"):
    """What a mode is a mode of."""


class ConfigurationFile(BaseModel):
    """The sections of an observatory file that describe the observatory itself."""

    mode_types: list[str | ModeTypeEntry] = Field([])
    instrument_categories: list[str | InstrumentCategoryEntry] = Field([])
    configuration_types: list[ConfigurationTypeEntry] = Field([])
    optical_elements: list[OpticalElementEntry] = Field([])
    optical_element_groups: list[OpticalElementGroupEntry] = Field([])
    camera_types: list[CameraTypeEntry] = Field([])
    cameras: list[CameraEntry] = Field([])
    instrument_types: list[InstrumentTypeEntry] = Field([])
    sites: list[SiteEntry] = Field([])


# In the order in which they refer to each other: (section, kind, entry, field of a bare text)
_SECTIONS: tuple[tuple[str, str, type[BaseModel], str], ...] = (
    ("mode_types", "mode_type", ModeTypeEntry, "id"),
    ("instrument_categories", "instrument_category", InstrumentCategoryEntry, "code"),
    ("configuration_types", "configuration_type", ConfigurationTypeEntry, ""),
    ("optical_elements", "optical_element", OpticalElementEntry, ""),
    ("optical_element_groups", "optical_element_group", OpticalElementGroupEntry, ""),
    ("camera_types", "camera_type", CameraTypeEntry, ""),
    ("cameras", "camera", CameraEntry, ""),
    ("instrument_types", "instrument_type", InstrumentTypeEntry, ""),
    ("sites", "site", SiteEntry, ""),
)
SECTIONS = tuple(section for section, *_ in _SECTIONS)

# What names a thing in the file.
_NAMES = {"optical_element_group": "name", "mode_type": "id"}
_CHILDREN = {"site": ("enclosures", "enclosure"), "enclosure": ("telescopes", "telescope")}
_CHILDREN["telescope"] = ("instruments", "instrument")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the sections, with which editors complete and check a file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ConfigurationFile.model_json_schema(),
        "title": "Observatory file",
    }


# --- applying -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class FileResult:
    """What applying a file did or would do; with problems, nothing may be kept.

    Places are paths into the file, such as ``("sites", 0, "lat")``.
    """

    changes: list[str] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def apply(editor: Editor, document: dict[str, Any]) -> FileResult:
    """Bring the editor's configuration into line with a file.

    Parameters
    ----------
    document
        The parsed file; sections that are not ours are left alone.

    Returns
    -------
    FileResult
        Every problem of the file at once; the changes are only meaningful without any.
    """
    applier = _Applier(editor)
    for section, kind, model, bare in _SECTIONS:
        entries = document.get(section)
        if entries is None:
            continue
        if not isinstance(entries, list):
            applier.problem((section,), f"must be a list, not {type(entries).__name__}")
            continue
        for index, entry in enumerate(entries):
            data = {bare: entry} if bare and isinstance(entry, str) else entry
            applier.entry((section, index), kind, model, data)
    applier.result.changes = [sentence for change in editor.changes for sentence in _told(editor, change)]
    return applier.result


class _Applier:
    """Applies entry by entry, and goes on after problems to find them all."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.result = FileResult()
        self._seen: dict[tuple[Any, ...], Where] = {}
        self._broken: set[tuple[str, str]] = set()

    @property
    def state(self) -> State:
        """The configuration as the file has changed it so far."""
        return self.editor.state

    def problem(self, where: Where, sentence: str) -> None:
        """Note a problem."""
        self.result.problems.append((where, sentence))

    def entry(self, where: Where, kind: str, model: type[BaseModel], data: Any) -> None:
        """Apply one entry of a section, without those of its parts that are malformed."""
        name = data.get(_NAMES.get(kind, "code")) if isinstance(data, dict) else None
        data = copy.deepcopy(data)
        found = _malformed(model, data)
        for item in found:
            self.problem((*where, *item["loc"]), _sentence(item))
        while found:
            parts = {_part(item["loc"]) for item in found}
            if () in parts:  # the entry itself is malformed: what refers to it is no problem of its own
                self._broken.add((kind, str(name).lower()))
                return
            for part in sorted(parts, reverse=True):
                _drop(data, part)
            found = _malformed(model, data)
        if kind == "site":
            self._place(where, kind, data, {})
        else:
            getattr(self, f"_{kind}", self._plain)(where, kind, data)

    def _plain(self, where: Where, kind: str, data: dict[str, Any]) -> Row | None:
        name = _NAMES.get(kind, "code")
        return self._put(where, kind, data, {name: data[name]})

    def _put(self, where: Where, kind: str, data: dict[str, Any], identity: dict[str, Any]) -> Row | None:
        """Make or change the thing that `identity` names; None if that is not possible."""
        place = (kind, *(str(value).lower() for value in identity.values()))
        if (first := self._seen.setdefault(place, where)) != where:
            self.problem(where, f"is the same as {'.'.join(map(str, first))}")
            return None
        try:
            found = self._find(kind, identity)
            if found is None:
                return rules.create(self.editor, kind, data)
            defaults = {
                name: item.get_default(call_default_factory=True)
                for name, item in WRITE[kind].model_fields.items()
                if not item.is_required()
            }
            key = found[KINDS[kind].key]
            return rules.change(self.editor, kind, key, {**defaults, **data}, partial=False)
        except InvalidConfiguration as error:
            self.result.problems += _problems(where, error.body)
        except _Ambiguous as error:
            self.problem(where, str(error))
        self._broken.add((kind, place[1]))
        return None

    def _find(self, kind: str, identity: dict[str, Any]) -> Row | None:
        wanted = {name: _fold(kind, value) for name, value in identity.items()}
        found = [
            row
            for row in self.state.all(kind)
            if all(_fold(kind, row[name]) == value for name, value in wanted.items())
        ]
        if len(found) > 1:
            name = next(iter(identity.values()))
            raise _Ambiguous(f"several things of kind {KINDS[kind].label} are called {name}; rename them")
        return found[0] if found else None

    def _reference(self, where: Where, kind: str, name: str) -> Key | None:
        """Return the key of the thing that is called `name`; a missing one is a problem."""
        try:
            row = self._find(kind, {_NAMES.get(kind, "code"): name})
        except _Ambiguous as error:
            self.problem(where, str(error))
            return None
        if row is not None:
            key: Key = row[KINDS[kind].key]
            return key
        if (kind, name.lower()) not in self._broken:
            self.problem(where, f"there is no {KINDS[kind].label} {name}")
        return None

    def _references(self, where: Where, kind: str, names: Sequence[str]) -> list[Key] | None:
        keys = [self._reference((*where, index), kind, name) for index, name in enumerate(names)]
        return None if None in keys else [key for key in keys if key is not None]

    def _optical_element_group(self, where: Where, kind: str, data: dict[str, Any]) -> None:
        elements = data.pop("optical_elements", [])
        keys = self._references((*where, "optical_elements"), "optical_element", elements)
        if keys is None:
            self._broken.add((kind, data["name"].lower()))
        else:
            self._plain(where, kind, {**data, "optical_element_ids": keys})

    def _camera(self, where: Where, kind: str, data: dict[str, Any]) -> None:
        camera_type = self._reference((*where, "camera_type"), "camera_type", data.pop("camera_type"))
        groups = data.pop("optical_element_groups", [])
        keys = self._references((*where, "optical_element_groups"), "optical_element_group", groups)
        if camera_type is None or keys is None:
            self._broken.add((kind, data["code"].lower()))
            return
        ids = {"camera_type_id": camera_type, "optical_element_group_ids": keys}
        self._plain(where, kind, {**data, **ids})

    def _instrument_type(self, where: Where, kind: str, data: dict[str, Any]) -> None:
        groups = data.pop("generic_mode_groups", [])
        row = self._plain(where, kind, data)
        if row is None:
            return
        for index, group in enumerate(groups):
            self._mode_group((*where, "generic_mode_groups", index), row, group)

    def _mode_group(self, where: Where, instrument_type: Row, data: dict[str, Any]) -> None:
        codes = [str(mode["code"]).lower() for mode in data["modes"]]
        for index, code in enumerate(codes):
            if code in codes[:index]:
                self.problem((*where, "modes", index, "code"), f"{code} is the code of another mode here")
                return
        identity = {"instrument_type": instrument_type["id"], "type": data["type"]}
        group = self._find("generic_mode_group", identity)
        own: list[Key] = group["mode_ids"] if group else []
        keys = [self._mode(mode, own) for mode in data["modes"]]
        values = {**identity, "default": data.get("default", ""), "mode_ids": keys}
        self._put(where, "generic_mode_group", values, identity)

    def _mode(self, data: dict[str, Any], own: list[Key]) -> Key:
        """Return the mode that is as described; other groups' modes are shared, but never changed."""
        wanted = GenericModeWrite.model_validate(data).model_dump()
        same = list(self.state.where("generic_mode", **wanted))
        same.sort(key=lambda row: row["id"] not in own)
        if same:
            return int(same[0]["id"])
        for key in own:
            row = self.state.get("generic_mode", key) or {}
            if row["code"] == wanted["code"] and self._uses(key) == 1:
                return int(self.editor.update("generic_mode", key, wanted)["id"])
        return int(self.editor.insert("generic_mode", wanted)["id"])

    def _uses(self, mode: Key) -> int:
        return sum(mode in group["mode_ids"] for group in self.state.all("generic_mode_group"))

    def _place(self, where: Where, kind: str, data: dict[str, Any], owner: dict[str, Any]) -> None:
        """Apply a site, enclosure or telescope with all that stands in it."""
        section, child = _CHILDREN[kind]
        children = data.pop(section, [])
        row = self._put(where, kind, {**data, **owner}, {"code": data["code"], **owner})
        owner = {f"{kind}_id": row["id"] if row else -len(self._seen)}
        for index, entry in enumerate(children):
            place = (*where, section, index)
            if child == "instrument":
                self._instrument(place, entry, owner, is_placed=row is not None)
            elif row is not None:
                self._place(place, child, entry, owner)

    def _instrument(
        self, where: Where, data: dict[str, Any], owner: dict[str, Any], *, is_placed: bool
    ) -> None:
        names = {name: data.pop(name) for name in ("instrument_type", "science_cameras", "autoguider_camera")}
        kind = self._reference((*where, "instrument_type"), "instrument_type", names["instrument_type"])
        cameras = self._references((*where, "science_cameras"), "camera", names["science_cameras"])
        guider = self._reference((*where, "autoguider_camera"), "camera", names["autoguider_camera"])
        if kind is None or cameras is None or guider is None or not is_placed:
            return
        values = {
            **data,
            **owner,
            "instrument_type_id": kind,
            "science_cameras_ids": cameras,
            "autoguider_camera_id": guider,
        }
        self._put(where, "instrument", values, {"code": data.get("code", ""), **owner})


class _Ambiguous(Exception):
    """Several things have the name that should tell them apart."""


def _fold(kind: str, value: Any) -> Any:
    return value.lower() if KINDS[kind].folds_case and isinstance(value, str) else value


def _malformed(model: type[BaseModel], data: Any) -> list[Any]:
    try:
        model.model_validate(data)
    except ValidationError as error:
        return list(error.errors(include_url=False))
    return []


def _drop(data: Any, part: Where) -> None:
    *above, last = part
    for step in above:
        data = data[step]
    del data[last]


def _part(location: Sequence[str | int]) -> Where:
    """Return the innermost list item that holds a place; () when there is none."""
    indices = [index for index, step in enumerate(location) if isinstance(step, int)]
    return tuple(location[: indices[-1] + 1]) if indices else ()


def _sentence(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a field here"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


# The fields that rules know, as they are called in the file.
_FILE_FIELDS = {
    "camera_type_id": "camera_type",
    "optical_element_group_ids": "optical_element_groups",
    "optical_element_ids": "optical_elements",
    "mode_ids": "modes",
    "default_id": "default",
    "telescope_id": "telescope",
    "enclosure_id": "enclosure",
    "site_id": "site",
    "instrument_type_id": "instrument_type",
    "science_cameras_ids": "science_cameras",
    "autoguider_camera_id": "autoguider_camera",
}


def _problems(where: Where, body: Any) -> Iterator[Problem]:
    """Turn an error body of the rules into problems with places."""
    if isinstance(body, dict):
        for name, found in body.items():
            inner = () if name == "non_field_errors" else (_FILE_FIELDS.get(name, name),)
            yield from _problems((*where, *inner), found)
    elif isinstance(body, list):
        for index, found in enumerate(body):
            yield from _problems(where if isinstance(found, str) else (*where, index), found)
    else:
        yield where, str(body)


# --- telling ------------------------------------------------------------------------------------------------


def _told(editor: Editor, change: Change) -> Iterator[str]:
    """Give one sentence for each field that changed, or one for the whole thing."""
    state = editor.state
    if change.after is None:
        yield f"{KINDS[change.kind].label} {change.key}: deleted"
        return
    thing = rules.describe(state, change.kind, change.after)
    if change.before is None:
        yield f"{thing}: created"
        return
    for name, value in change.after.items():
        if name != "modified" and change.before[name] != value:
            before, after = (_named(state, change.kind, name, item) for item in (change.before[name], value))
            yield f"{thing}: {_FILE_FIELDS.get(name, name)} {before} -> {after}"


def _named(state: State, kind: str, column: str, value: Any) -> str:
    """Print a value; keys of other things as these are called."""
    definition = KINDS[kind]
    target = definition.references.get(column) or definition.members.get(column)
    if target is None or value is None:
        return "none" if value is None else repr(value)
    keys = value if isinstance(value, list) else [value]
    rows = [state.get(target.kind, key) for key in keys]
    names = [
        str(row.get(_NAMES.get(target.kind, "code"), key)) if row else str(key)
        for row, key in zip(rows, keys, strict=True)
    ]
    return f"[{', '.join(names)}]" if isinstance(value, list) else names[0]


# --- exporting ----------------------------------------------------------------------------------------------


def export(state: State) -> dict[str, Any]:
    """Return the file of a configuration; fields that have their default are left out.

    Raises
    ------
    NotExportable
        When things share the name by which a file refers to them.
    """
    for kind in ("optical_element_group", "camera_type"):
        names = [str(row[_NAMES.get(kind, "code")]) for row in state.all(kind)]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise NotExportable(
                f"Several things of kind {KINDS[kind].label} are called {', '.join(doubled)}; rename them."
            )
    return {
        section: [_EXPORT[kind](state, row) for row in _sorted(state, kind)]
        for section, kind, _, _ in _SECTIONS
        if state.count(kind)
    }


def _sorted(state: State, kind: str) -> list[Row]:
    rows = list(state.all(kind))
    return sorted(rows, key=lambda row: str(row["code"])) if kind in {"site", "camera"} else rows


def _fields(kind: str, row: Row, model: type[BaseModel], **named: Any) -> dict[str, Any]:
    """Return the fields of an entry, the code first, without defaults."""
    found: dict[str, Any] = {}
    for name, item in sorted(model.model_fields.items(), key=lambda pair: pair[0] != "code"):
        value = named[name] if name in named else row.get(name)
        default = None if item.is_required() else item.get_default(call_default_factory=True)
        if item.is_required() or ((name in named or name in row) and value != default):
            found[name] = value
    return found


def _code(state: State, kind: str, key: Key | None) -> str:
    row = None if key is None else state.get(kind, key)
    return str(row[_NAMES.get(kind, "code")]) if row else ""


def _export_group(state: State, row: Row) -> dict[str, Any]:
    return _fields(
        "optical_element_group",
        row,
        OpticalElementGroupEntry,
        optical_elements=[_code(state, "optical_element", key) for key in row["optical_element_ids"]],
        default=_code(state, "optical_element", row["default_id"]),
        optical_element_ids=None,
    )


def _export_camera(state: State, row: Row) -> dict[str, Any]:
    groups = [_code(state, "optical_element_group", key) for key in row["optical_element_group_ids"]]
    return _fields(
        "camera",
        row,
        CameraEntry,
        camera_type=_code(state, "camera_type", row["camera_type_id"]),
        optical_element_groups=groups,
    )


def _export_instrument_type(state: State, row: Row) -> dict[str, Any]:
    uses = state.where("configuration_type_properties", instrument_type=row["id"])
    groups = sorted(
        state.where("generic_mode_group", instrument_type=row["id"]), key=lambda group: str(group["type"])
    )
    return _fields(
        "instrument_type",
        row,
        InstrumentTypeEntry,
        configuration_types=[
            _fields("configuration_type_properties", use, ConfigurationTypeUseEntry) for use in uses
        ],
        generic_mode_groups=[
            {
                "type": group["type"],
                **({"default": code} if (code := _code(state, "generic_mode", group["default_id"])) else {}),
                "modes": [_fields("generic_mode", mode, ModeEntry) for mode in _modes(state, group)],
            }
            for group in groups
            if group["mode_ids"]
        ],
    )


def _modes(state: State, group: Row) -> list[Row]:
    """Return the modes of a group by code, an order that does not depend on where the file is applied."""
    rows = [row for key in group["mode_ids"] if (row := state.get("generic_mode", key))]
    return sorted(rows, key=lambda row: str(row["code"]))


def _export_site(state: State, row: Row) -> dict[str, Any]:
    return _fields(
        "site",
        row,
        SiteEntry,
        enclosures=[_export_enclosure(state, child) for child in state.where("enclosure", site_id=row["id"])],
    )


def _export_enclosure(state: State, row: Row) -> dict[str, Any]:
    children = state.where("telescope", enclosure_id=row["id"])
    return _fields(
        "enclosure", row, EnclosureEntry, telescopes=[_export_telescope(state, child) for child in children]
    )


def _export_telescope(state: State, row: Row) -> dict[str, Any]:
    children = state.where("instrument", telescope_id=row["id"])
    return _fields(
        "telescope",
        row,
        TelescopeEntry,
        instruments=[
            _fields(
                "instrument",
                child,
                InstrumentEntry,
                instrument_type=_code(state, "instrument_type", child["instrument_type_id"]),
                science_cameras=sorted(_code(state, "camera", key) for key in child["science_cameras_ids"]),
                autoguider_camera=_code(state, "camera", child["autoguider_camera_id"]),
            )
            for child in children
        ],
    )


def _flat(kind: str, model: type[BaseModel]) -> Callable[[State, Row], dict[str, Any]]:
    return lambda _state, row: _fields(kind, row, model)


_EXPORT: dict[str, Callable[[State, Row], Any]] = {
    "mode_type": lambda _state, row: row["id"],
    "instrument_category": lambda _state, row: row["code"],
    "configuration_type": _flat("configuration_type", ConfigurationTypeEntry),
    "optical_element": _flat("optical_element", OpticalElementEntry),
    "optical_element_group": _export_group,
    "camera_type": _flat("camera_type", CameraTypeEntry),
    "camera": _export_camera,
    "instrument_type": _export_instrument_type,
    "site": _export_site,
}


class _Dumper(yaml.SafeDumper):
    """Writes YAML as a person would, and quotes what other readers would take for a number."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out; anchors are for people who write by hand."""
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)

_COMMENTS = {
    "mode_types": "What a mode is a mode of.",
    "instrument_categories": "Categories of instruments.",
    "configuration_types": "What a telescope can be asked to do.",
    "optical_elements": "Filters, slits and the like.",
    "optical_element_groups": "Wheels and slides. `type` is a plural; requests name the singular.",
    "camera_types": "Models of cameras: size is text in arcmin, pscale in arcsec per pixel.",
    "cameras": "Cameras: their type by code, their groups of optical elements by name.",
    "instrument_types": "What requests name. Overheads, paddings and exposure times in s, thresholds in %.",
    "sites": "Places and what stands there. Angles in deg (longitude east positive), hour angle limits in\n"
    "# h, elevation and aperture in m, overheads in s, slew_rate in s per arcsec, timezone in h from UTC.",
}


def dump(document: dict[str, Any]) -> str:
    """Return a file as YAML with a comment above each section."""
    parts = [
        "# The configuration of the observatory. A field that is left out has its default.\n",
    ]
    for section, entries in document.items():
        text = yaml.dump(
            {section: entries},
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
            width=110,
        )
        parts.append(f"# {_COMMENTS[section]}\n{text}")
    return "\n".join(parts)
