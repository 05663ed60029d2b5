"""Writing the file of a configuration, as YAML that a person would write."""

import re
from collections.abc import Callable
from typing import Any

import yaml
from pydantic import BaseModel

from ocs.configdb.document.shape import (
    NAMES,
    SECTION_KINDS,
    CameraEntry,
    CameraTypeEntry,
    ConfigurationTypeEntry,
    ConfigurationTypeUseEntry,
    EnclosureEntry,
    InstrumentEntry,
    InstrumentTypeEntry,
    ModeEntry,
    OpticalElementEntry,
    OpticalElementGroupEntry,
    SiteEntry,
    TelescopeEntry,
)
from ocs.configdb.errors import NotExportable
from ocs.configdb.kinds import KINDS
from ocs.configdb.state import Key, Row, State


def export(state: State) -> dict[str, Any]:
    """Return the file of a configuration; fields that have their default are left out.

    Raises
    ------
    NotExportable
        When things share the name by which a file refers to them.
    """
    for kind in ("optical_element_group", "camera_type"):
        names = [str(row[NAMES.get(kind, "code")]) for row in state.all(kind)]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise NotExportable(
                f"Several things of kind {KINDS[kind].label} are called {', '.join(doubled)}; rename them."
            )
    return {
        section: [_EXPORT[kind](state, row) for row in _sorted(state, kind)]
        for section, kind, _, _ in SECTION_KINDS
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
    return str(row[NAMES.get(kind, "code")]) if row else ""


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
