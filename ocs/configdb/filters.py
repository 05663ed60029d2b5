"""Which things a list shows, and in which order."""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from ocs.configdb.errors import InvalidConfiguration
from ocs.configdb.kinds import KINDS
from ocs.configdb.state import Row, State

Test = Callable[[Row], bool]

_NO_CHOICE = "Select a valid choice. That choice is not one of the available choices."

# Filters by the key of another thing: (kind of the list, parameter) -> (field of the row, kind it must be).
_KEYS = {
    ("enclosure", "site"): ("site_id", "site"),
    ("telescope", "enclosure"): ("enclosure_id", "enclosure"),
    ("telescope", "site"): ("site", "site"),
    ("camera", "camera_type"): ("camera_type_id", "camera_type"),
    ("instrument", "autoguider_camera"): ("autoguider_camera_id", "camera"),
    ("instrument", "science_cameras"): ("science_cameras_ids", "camera"),
    ("optical_element_group", "optical_elements"): ("optical_element_ids", "optical_element"),
    ("instrument_type", "instrument_category"): ("instrument_category", "instrument_category"),
    ("configuration_type_properties", "configuration_type"): ("configuration_type", "configuration_type"),
    ("configuration_type_properties", "instrument_type"): ("instrument_type", "instrument_type"),
    ("generic_mode_group", "type"): ("type", "mode_type"),
    ("generic_mode_group", "instrument_type"): ("instrument_type", "instrument_type"),
}


def _site_of_telescope(row: Row, state: State) -> Any:
    enclosure = state.get("enclosure", row["enclosure_id"])
    return enclosure and enclosure["site_id"]


def _codes_of_instrument(row: Row, state: State) -> dict[str, set[str]]:
    telescope = state.get("telescope", row["telescope_id"]) or {}
    enclosure = state.get("enclosure", telescope["enclosure_id"]) or {}
    site = state.get("site", enclosure["site_id"]) or {}
    kind = state.get("instrument_type", row["instrument_type_id"]) or {}
    cameras = [state.get("camera", key) or {} for key in row["science_cameras_ids"]]
    types = [state.get("camera_type", camera["camera_type_id"]) or {} for camera in cameras]
    return {
        "telescope": {telescope["code"]},
        "enclosure": {enclosure["code"]},
        "site": {site["code"]},
        "instrument_type": {kind["code"]},
        "camera_type": {camera_type["code"] for camera_type in types},
    }


def select(state: State, kind: str, filters: dict[str, Any]) -> list[Row]:
    """Return the rows that pass `filters`, in the order of the list.

    Raises
    ------
    InvalidConfiguration
        When a filter names a thing that does not exist.
    """
    tests = list(_tests(state, kind, filters))
    rows = [row for row in state.all(kind) if all(test(row) for test in tests)]
    if kind in {"site", "camera"}:
        rows.sort(key=lambda row: str(row["code"]))
    for field in reversed((filters.get("ordering") or "").split(",")):
        name = field.strip().removeprefix("-")
        if rows and isinstance(rows[0].get(name), int | float | str):
            rows.sort(key=itemgetter(name), reverse=field.strip().startswith("-"))
    return rows


def _tests(state: State, kind: str, filters: dict[str, Any]) -> Iterator[Test]:
    for name, value in filters.items():
        if value is None or name == "ordering":
            continue
        values = value if isinstance(value, list) else [value]
        if (kind, name) in _KEYS:
            field, target = _KEYS[kind, name]
            keys = {_existing(state, name, target, item) for item in values}
            yield _has_site(state, keys) if field == "site" else _has(field, keys)
        elif kind == "instrument" and name != "state":
            yield _has_code(state, name, value)
        else:
            yield _has(name, set(values))


def _has(field: str, allowed: set[Any]) -> Test:
    """Test a field, or whether a list field has any of `allowed`."""

    def test(row: Row) -> bool:
        value = row[field]
        return not allowed.isdisjoint(value) if isinstance(value, list) else value in allowed

    return test


def _has_site(state: State, sites: set[Any]) -> Test:
    return lambda row: _site_of_telescope(row, state) in sites


def _has_code(state: State, name: str, code: str) -> Test:
    return lambda row: code in _codes_of_instrument(row, state)[name]


def _existing(state: State, name: str, target: str, value: str) -> Any:
    key: Any = value
    if KINDS[target].has_serial_key:
        key = int(value) if value.isdecimal() else None
    if state.get(target, key) is None:
        raise InvalidConfiguration.fields(**{name: _NO_CHOICE})
    return key
