"""Bringing the configuration into line with a file, entry by entry, with all problems told at once."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from ocs.configdb import rules
from ocs.configdb.document.shape import CHILDREN, NAMES, SECTION_KINDS, InstrumentEntry
from ocs.configdb.document.tree import from_tree, is_tree
from ocs.configdb.errors import InvalidConfiguration
from ocs.configdb.kinds import KINDS
from ocs.configdb.schemas import WRITE, GenericModeWrite
from ocs.configdb.state import Change, Editor, Key, Row, State

Where = tuple[str | int, ...]
Problem = tuple[Where, str]


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
        The parsed file; sections that are not ours are left alone. `sites` may also be nested as clients
        read them.

    Returns
    -------
    FileResult
        Every problem of the file at once; the changes are only meaningful without any.
    """
    applier = _Applier(editor)
    if is_tree(document.get("sites")):
        try:
            document = {**document, **from_tree(document["sites"])}
        except (KeyError, TypeError) as error:
            applier.problem(("sites",), f"is not a tree of sites as GET /sites/ answers: {error!r}")
            return applier.result
    for section, kind, model, bare in SECTION_KINDS:
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
        self._left_out: dict[Where, list[int]] = {}

    @property
    def state(self) -> State:
        """The configuration as the file has changed it so far."""
        return self.editor.state

    def problem(self, where: Where, sentence: str) -> None:
        """Note a problem."""
        self.result.problems.append((self._written(where), sentence))

    def _written(self, where: Where) -> Where:
        """Return where something stands in the file, of which malformed parts were left out."""
        place: Where = ()
        for step in where:
            if isinstance(step, int):
                for index in sorted(self._left_out.get(place, ())):
                    step = step + 1 if index <= step else step
            place = (*place, step)
        return place

    def entry(self, where: Where, kind: str, model: type[BaseModel], data: Any) -> None:
        """Apply one entry of a section, without those of its parts that are malformed."""
        name = data.get(NAMES.get(kind, "code")) if isinstance(data, dict) else None
        data = copy.deepcopy(data)
        found = _malformed(model, data)
        for item in found:
            self.problem((*where, *item["loc"]), _sentence(item))
        while found:
            parts = {_part(item["loc"]) for item in found}
            if () in parts:  # the entry itself is malformed: what refers to it is no problem of its own
                self._broken.add((kind, str(name).lower()))
                if kind == "site":
                    self._unplaced(where, data)
                return
            for part in sorted(parts, reverse=True):
                self._unplaced((*where, *part), _taken(data, part))
                *above, last = self._written((*where, *part))
                self._left_out.setdefault(tuple(above), []).append(int(last))
            found = _malformed(model, data)
        data = model.model_validate(data).model_dump(exclude_unset=True)
        if kind == "site":
            self._place(where, kind, data, {})
        else:
            getattr(self, f"_{kind}", self._plain)(where, kind, data)

    def _plain(self, where: Where, kind: str, data: dict[str, Any]) -> Row | None:
        name = NAMES.get(kind, "code")
        return self._put(where, kind, data, {name: data[name]})

    def _put(self, where: Where, kind: str, data: dict[str, Any], identity: dict[str, Any]) -> Row | None:
        """Make or change the thing that `identity` names; None if that is not possible."""
        place = (kind, *(str(value).lower() for value in identity.values()))
        if (first := self._seen.setdefault(place, where)) != where:
            self.problem(where, f"is the same as {'.'.join(map(str, self._written(first)))}")
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
            for part, sentence in _problems(where, error.body):
                self.problem(part, sentence)
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
            row = self._find(kind, {NAMES.get(kind, "code"): name})
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
        section, child = CHILDREN[kind]
        children = data.pop(section, [])
        row = self._put(where, kind, {**data, **owner}, {"code": data["code"], **owner})
        owner = {f"{kind}_id": row["id"] if row else -len(self._seen)}
        for index, entry in enumerate(children):
            place = (*where, section, index)
            if child == "instrument":
                self._instrument(place, entry, owner, is_placed=row is not None)
            elif row is not None:
                self._place(place, child, entry, owner)
            else:
                self._unplaced(place, entry)

    def _unplaced(self, where: Where, data: Any) -> None:
        """Check what instruments refer to where they stand in something that is refused."""
        for section, _ in CHILDREN.values():
            entries = data.get(section) if isinstance(data, dict) else None
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                place = (*where, section, index)
                if section != "instruments":
                    self._unplaced(place, entry)
                elif not _malformed(InstrumentEntry, entry):
                    known = InstrumentEntry.model_validate(entry).model_dump(exclude_unset=True)
                    self._instrument(place, known, {}, is_placed=False)

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


def _taken(data: Any, part: Where) -> Any:
    """Take a part out of its list."""
    *above, last = part
    for step in above:
        data = data[step]
    return data.pop(last)


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
        str(row.get(NAMES.get(target.kind, "code"), key)) if row else str(key)
        for row, key in zip(rows, keys, strict=True)
    ]
    return f"[{', '.join(names)}]" if isinstance(value, list) else names[0]
