"""Reading the nested tree that `GET /sites/` answers as if it were a file, e.g. of another observatory."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from ocs.configdb.document.shape import (
    CameraEntry,
    CameraTypeEntry,
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

Json = Mapping[str, Any]


def is_tree(sites: Any) -> bool:
    """Tell whether `sites` are nested as clients read them."""
    return isinstance(sites, list) and any(
        isinstance(site, dict) and "enclosure_set" in site for site in sites
    )


def from_tree(sites: Iterable[Json]) -> dict[str, Any]:
    """Return the sections of the file that makes `sites`.

    Raises
    ------
    KeyError, TypeError
        When it is not such a tree.
    """
    file = _Sections()
    placed = [file.site(site) for site in sites]
    return {**{name: list(entries.values()) for name, entries in file.sections.items()}, "sites": placed}


def _kept(model: type[BaseModel], found: Json, **replaced: Any) -> dict[str, Any]:
    """Return the fields of `found` that the file has too."""
    return {name: found[name] for name in model.model_fields if name in found} | replaced


class _Sections:
    """Gathers what is nested, each thing once."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, Any]] = {
            name: {}
            for name in (
                "mode_types",
                "instrument_categories",
                "configuration_types",
                "optical_elements",
                "optical_element_groups",
                "camera_types",
                "cameras",
                "instrument_types",
            )
        }

    def site(self, found: Json) -> dict[str, Any]:
        """Return the entry of a site."""
        return _kept(SiteEntry, found, enclosures=[self._enclosure(item) for item in found["enclosure_set"]])

    def _enclosure(self, found: Json) -> dict[str, Any]:
        return _kept(
            EnclosureEntry, found, telescopes=[self._telescope(item) for item in found["telescope_set"]]
        )

    def _telescope(self, found: Json) -> dict[str, Any]:
        return _kept(
            TelescopeEntry, found, instruments=[self._instrument(item) for item in found["instrument_set"]]
        )

    def _instrument(self, found: Json) -> dict[str, Any]:
        return _kept(
            InstrumentEntry,
            found,
            instrument_type=self._instrument_type(found["instrument_type"]),
            science_cameras=[self._camera(camera) for camera in found["science_cameras"]],
            autoguider_camera=self._camera(found["autoguider_camera"]),
        )

    def _camera(self, found: Json) -> str:
        code = str(found["code"])
        camera_type = found["camera_type"]
        self.sections["camera_types"][camera_type["code"]] = _kept(CameraTypeEntry, camera_type)
        groups = [self._group(group) for group in found["optical_element_groups"]]
        self.sections["cameras"][code] = _kept(
            CameraEntry, found, camera_type=camera_type["code"], optical_element_groups=groups
        )
        return code

    def _group(self, found: Json) -> str:
        for element in found["optical_elements"]:
            self.sections["optical_elements"][element["code"]] = _kept(OpticalElementEntry, element)
        codes = [element["code"] for element in found["optical_elements"]]
        entry = _kept(OpticalElementGroupEntry, found, optical_elements=codes)
        known = self.sections["optical_element_groups"]
        if known.get(entry["name"], entry) != entry:  # the tree may have two groups of one name
            entry["name"] = f"{entry['name']} {found['id']}"
        known[entry["name"]] = entry
        return str(entry["name"])

    def _instrument_type(self, found: Json) -> str:
        code = str(found["code"])
        if code in self.sections["instrument_types"]:
            return code
        if category := found["instrument_category"]:
            self.sections["instrument_categories"][category] = category
        uses = []
        for use in found["configuration_types"]:
            name = use["code"]
            self.sections["configuration_types"][name] = {"code": name, "name": use["name"]}
            uses.append(_kept(ConfigurationTypeUseEntry, use, configuration_type=name))
        groups = []
        for group in found["mode_types"]:
            self.sections["mode_types"][group["type"]] = group["type"]
            modes = [_kept(ModeEntry, mode) for mode in group["modes"]]
            groups.append({"type": group["type"], "default": group["default"], "modes": modes})
        self.sections["instrument_types"][code] = _kept(
            InstrumentTypeEntry, found, configuration_types=uses, generic_mode_groups=groups
        )
        return code
