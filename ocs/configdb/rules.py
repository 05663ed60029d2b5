"""Rules of the configuration: what may be made, changed and deleted, and what else that means.

Pure functions on an `Editor`; every door (API, observatory file, history, bootstrap) goes through them. All
that is wrong with the fields is told at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from ocs.configdb.errors import InvalidConfiguration, StillInUse
from ocs.configdb.kinds import KINDS, Kind, OnDelete, listing, referring
from ocs.configdb.schemas import PATCH, WRITE, ConfigurationTypeUse
from ocs.configdb.state import Editor, Key, Row, State
from ocs.kernel.errors import reference_body

Values = dict[str, Any]
Errors = dict[str, Any]

# Groups: field of member keys, field of members to be found or made, kind of the members.
_GROUPS = {
    "optical_element_group": ("optical_element_ids", "optical_elements", "optical_element"),
    "generic_mode_group": ("mode_ids", "modes", "generic_mode"),
}


def create(editor: Editor, kind: str, data: Any) -> Row:
    """Make a thing of `kind` from what was sent.

    Raises
    ------
    InvalidConfiguration
        With the reason by field.
    """
    values, errors = _read(kind, data, WRITE)
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in WRITE[kind].model_fields.items()
        if not field.is_required()
    }
    checked = _check(editor, kind, {**defaults, **values} if not errors else values, errors, None)
    row = editor.insert(kind, checked.values)
    _set_uses(editor, row, checked.configuration_types)
    return row


def change(editor: Editor, kind: str, key: Key, data: Any, *, partial: bool) -> Row:
    """Change a thing; fields that are not sent stay as they are.

    Parameters
    ----------
    partial
        Whether required fields may be missing.

    Raises
    ------
    InvalidConfiguration
        With the reason by field.
    """
    row = editor.state.get(kind, key)
    assert row is not None
    values, errors = _read(kind, data, PATCH if partial else WRITE)
    name = KINDS[kind].key
    if not KINDS[kind].has_serial_key and values.get(name, key) != key:
        errors[name] = ["The key of a thing cannot be changed; make a new one and delete this one."]
        del values[name]
    checked = _check(editor, kind, values, errors, row)
    row = editor.update(kind, key, checked.values)
    _set_uses(editor, row, checked.configuration_types)
    return row


def check_row(state: State, kind: str, values: Values) -> None:
    """Check a whole row, as an old version of a thing is one.

    Raises
    ------
    InvalidConfiguration
        When what it refers to is not there, or its codes are taken.
    """
    errors: Errors = {}
    general: list[str] = []
    row = state.get(kind, values[KINDS[kind].key])
    _check_references(state, KINDS[kind], values, errors)
    _check_one_group_a_type(state, kind, values, errors, row)
    _check_unique(state, KINDS[kind], values, errors, general, row)
    if general:
        errors["non_field_errors"] = general
    if errors:
        raise InvalidConfiguration(body=errors)


class _Checked:
    """Values that may be stored, and what an instrument type does."""

    def __init__(self, values: Values, configuration_types: list[Values]) -> None:
        self.values = values
        self.configuration_types = configuration_types


def _read(kind: str, data: Any, models: Mapping[str, Any]) -> tuple[Values, Errors]:
    """Return the well-formed fields that were sent, and what is wrong with the others."""
    try:
        return models[kind].model_validate(data).model_dump(exclude_unset=True), {}
    except ValidationError as error:
        errors: Errors = reference_body(error.errors(include_url=False), data)
        _schemas_as_fields(errors)
        if not isinstance(data, dict):
            raise InvalidConfiguration(body=errors) from error
        good = {name: value for name, value in data.items() if name not in errors}
        return PATCH[kind].model_validate(good).model_dump(exclude_unset=True), errors


def _schemas_as_fields(errors: Any) -> None:
    """A validation schema is a field to its owner, although it is an object by itself."""
    if isinstance(errors, list):
        for item in errors:
            _schemas_as_fields(item)
    elif isinstance(errors, dict):
        for name, found in errors.items():
            if name == "validation_schema" and isinstance(found, dict):
                errors[name] = found["non_field_errors"]
            else:
                _schemas_as_fields(found)


def _check(editor: Editor, kind: str, values: Values, errors: Errors, row: Row | None) -> _Checked:
    """Check what needs the rest of the configuration; raise all that was found."""
    general: list[str] = []
    configuration_types: list[Values] = values.pop("configuration_types", None) or []
    _check_references(editor.state, KINDS[kind], values, errors)
    if configuration_types:
        _check_uses(editor.state, configuration_types, errors)
    if kind in _GROUPS:
        _check_group(editor, kind, values, errors, general, row)
    _check_one_group_a_type(editor.state, kind, values, errors, row)
    _check_unique(editor.state, KINDS[kind], values, errors, general, row)
    if errors:
        raise InvalidConfiguration(body=errors)
    if general:
        raise InvalidConfiguration(body={"non_field_errors": general})
    return _Checked(values, configuration_types)


def _unknown(key: Any) -> str:
    return f'Invalid pk "{key}" - object does not exist.'


def _check_references(state: State, kind: Kind, values: Values, errors: Errors) -> None:
    for column, reference in kind.references.items():
        key = values.get(column)
        if key is not None and state.get(reference.kind, key) is None:
            errors[column] = [_unknown(key)]
    for column, members in kind.members.items():
        if column in values:
            values[column] = sorted(set(values[column]))
            unknown = [key for key in values[column] if state.get(members.kind, key) is None]
            if unknown:
                errors[column] = [_unknown(key) for key in unknown]


def _check_uses(state: State, uses: Iterable[Values], errors: Errors) -> None:
    rows: list[Errors] = []
    seen: set[str] = set()
    for use in uses:
        code = use["configuration_type"]
        if state.get("configuration_type", code) is None:
            rows.append({"configuration_type": [_unknown(code)]})
        elif code in seen:
            rows.append({"configuration_type": ["Each configuration type may be listed once."]})
        else:
            rows.append({})
        seen.add(code)
    if any(rows):
        errors["configuration_types"] = rows


def _set_uses(editor: Editor, row: Row, uses: list[Values]) -> None:
    """Let an instrument type do exactly `uses`; an empty list changes nothing."""
    if not uses:
        return
    old = {
        use["configuration_type"]: use
        for use in editor.state.where("configuration_type_properties", instrument_type=row["id"])
    }
    for use in uses:
        known = old.pop(use["configuration_type"], None)
        if known is None:
            values = ConfigurationTypeUse.model_validate(use).model_dump()
            editor.insert("configuration_type_properties", {**values, "instrument_type": row["id"]})
        else:
            editor.update("configuration_type_properties", known["id"], use)
    for gone in old.values():
        editor.delete("configuration_type_properties", gone["id"])


def _check_group(
    editor: Editor, kind: str, values: Values, errors: Errors, general: list[str], row: Row | None
) -> None:
    """Resolve the members and the default of a group; codes mean members of this group."""
    field, nested, member_kind = _GROUPS[kind]
    current: list[Key] = row[field] if row else []
    members = set(values.pop(field, None) or ())
    for item in values.pop(nested, None) or ():
        key = _find_or_make(editor, member_kind, item, current, errors, nested)
        if key is not None:
            members.add(key)
    if members or row is None:
        values[field] = sorted(members)
    members = members or set(current)
    if "default" not in values:
        if row is not None and row["default_id"] not in members:
            values["default_id"] = None  # a default outside its group would mean nothing
        return
    code = values.pop("default")
    if not code:
        values["default_id"] = None
        return
    state = editor.state
    found = [key for key in members if (state.get(member_kind, key) or {}).get("code") == code]
    if len(found) == 1:
        values["default_id"] = found[0]
    elif found:
        errors["default"] = [f"Several members have the code {code}; rename all but one first."]
    elif any(state.where(member_kind, code=code)):
        label = KINDS[member_kind].label
        general.append(f"The default {label} {code} must be one of the members of this group.")
    else:
        errors["default"] = [f"Object with code={code} does not exist."]


def _find_or_make(
    editor: Editor, kind: str, item: Values, current: list[Key], errors: Errors, field: str
) -> Key | None:
    """Return the member that `item` describes.

    Elements are known by their code. Modes share codes, so a mode is a member with that code, else one that
    agrees in everything that was said.
    """
    state = editor.state
    matches = [row for row in state.where(kind, code=item["code"]) if row["id"] in current]
    if not matches:
        same = {"code": item["code"]} if kind == "optical_element" else item
        matches = list(state.where(kind, **same))
    if len(matches) > 1:
        errors.setdefault(field, []).append(
            f"Several {KINDS[kind].label}s are {item['code']}; name the right one by its id."
        )
        return None
    if matches:
        return int(matches[0]["id"])
    return int(editor.insert(kind, WRITE[kind].model_validate(item).model_dump())["id"])


def _check_one_group_a_type(state: State, kind: str, values: Values, errors: Errors, row: Row | None) -> None:
    """A camera may see through one group of each type only."""
    if kind == "camera" and "optical_element_group_ids" not in errors:
        keys = values.get("optical_element_group_ids", ())
        types = [group["type"] for key in keys if (group := state.get("optical_element_group", key))]
        if doubled := sorted({name for name in types if types.count(name) > 1}):
            errors["optical_element_group_ids"] = [f"There may be one group of {', '.join(doubled)} only."]
    elif (
        kind == "optical_element_group" and row is not None and values.get("type", row["type"]) != row["type"]
    ):
        for camera in state.all("camera"):
            if row["id"] in camera["optical_element_group_ids"]:
                others = set(camera["optical_element_group_ids"]) - {row["id"]}
                types = [(state.get("optical_element_group", key) or {}).get("type") for key in others]
                if values["type"] in types:
                    errors["type"] = [f"Camera {camera['code']} has a group of {values['type']} already."]


def _check_unique(
    state: State, kind: Kind, values: Values, errors: Errors, general: list[str], row: Row | None
) -> None:
    for group in kind.unique:
        candidate = {**(row or {}), **values}
        if not any(name in values for name in group) or any(
            name in errors or name not in candidate for name in group
        ):
            continue
        wanted = [_folded(kind, candidate[name]) for name in group]
        if "" in wanted:  # an instrument without a code is like no other
            continue
        own = None if row is None else row[kind.key]
        taken = any(
            other[kind.key] != own and [_folded(kind, other[name]) for name in group] == wanted
            for other in state.all(kind.name)
        )
        if not taken:
            continue
        if len(group) == 1:
            errors[group[0]] = [f"{kind.label} with this {group[0]} already exists."]
        elif "code" in group:
            place = group[1].removesuffix("_id").replace("_", " ")
            errors["code"] = [f"{kind.label} with this code already exists in this {place}."]
        else:
            general.append(f"The fields {', '.join(group)} must make a unique set.")


def _folded(kind: Kind, value: Any) -> Any:
    return value.lower() if kind.folds_case and isinstance(value, str) else value


# --- deletion -----------------------------------------------------------------------------------------------


def delete(editor: Editor, kind: str, key: Key, *, force: bool = False) -> None:
    """Delete a thing with its parts, and if forced with what stands on it.

    Raises
    ------
    StillInUse
        With the things that need it.
    """
    state = editor.state
    doomed: dict[tuple[str, Key], None] = {}
    standing: dict[str, None] = {}
    protected: list[tuple[str, Row]] = []

    def doom(name: str, identifier: Key) -> None:
        if (name, identifier) in doomed:
            return
        doomed[name, identifier] = None
        for other, column, reference in referring(name):
            for row in list(state.where(other.name, **{column: identifier})):
                if reference.on_delete is OnDelete.REFUSE:
                    protected.append((other.name, row))
                    continue
                if reference.on_delete is OnDelete.FORCE:
                    standing[describe(state, other.name, row)] = None
                doom(other.name, row[other.key])
        for other, column, members in listing(name):
            for row in state.all(other.name):
                if members.keep_one and identifier in row[column]:
                    standing[describe(state, other.name, row)] = None
                    if all((members.kind, member) in doomed for member in row[column]):
                        doom(other.name, row[other.key])

    doom(kind, key)
    users = [
        describe(state, name, row) for name, row in protected if (name, row[KINDS[name].key]) not in doomed
    ]
    target = describe(state, kind, state.get(kind, key) or {})
    if users:
        raise StillInUse(f"{target} is needed by {', '.join(dict.fromkeys(users))}; change these first.")
    if standing and not force:
        raise StillInUse(
            f"{target} is used by {', '.join(standing)}; add ?force=true to delete these as well."
        )
    for name, identifier in doomed:
        for other, column, _ in listing(name):
            for row in list(state.all(other.name)):
                if identifier in row[column] and (other.name, row[other.key]) not in doomed:
                    kept = [member for member in row[column] if member != identifier]
                    editor.update(other.name, row[other.key], {column: kept})
    for name, identifier in doomed:
        editor.delete(name, identifier)


def describe(state: State, kind: str, row: Row) -> str:
    """Return how people call a thing."""
    match kind:
        case "enclosure" | "telescope" | "instrument":
            return f"{kind} {path(state, kind, row)}"
        case "generic_mode_group":
            owner = state.get("instrument_type", row["instrument_type"]) or {}
            return f"the {row['type']} modes of {owner.get('code')}"
        case "configuration_type_properties":
            owner = state.get("instrument_type", row["instrument_type"]) or {}
            return f"{row['configuration_type']} of {owner.get('code')}"
        case "optical_element_group" | "camera_type":
            return f"{KINDS[kind].label} {row['name']}"
        case "mode_type":
            return f"mode type {row['id']}"
        case _:
            return f"{KINDS[kind].label} {row['code']}"


def path(state: State, kind: str, row: Row) -> str:
    """Return the codes of a place from the site down, joined by dots."""
    owner = {"enclosure": "site", "telescope": "enclosure", "instrument": "telescope"}.get(kind)
    if owner is None:
        return str(row["code"])
    above = state.get(owner, row[f"{owner}_id"])
    return f"{path(state, owner, above)}.{row['code']}" if above else str(row["code"])
