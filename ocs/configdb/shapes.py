"""How the configuration looks on the wire: rows become the nested objects that clients read."""

from typing import Any

from ocs.configdb.rules import path
from ocs.configdb.state import Key, Row, State

Json = dict[str, Any]


class Shapes:
    """Draws rows of one state; what many things share is drawn once.

    Parameters
    ----------
    state
        What is drawn.
    base
        Scheme, host and path under which the configuration answers, without the final slash.
    """

    def __init__(self, state: State, base: str) -> None:
        self._state = state
        self._base = base
        self._drawn: dict[tuple[str, Key], Json] = {}
        self._by_owner: dict[tuple[str, str], dict[Key, list[Row]]] = {}

    def draw(self, kind: str, row: Row) -> Json:
        """Return the object that stands for `row`."""
        place = (kind, row["code"] if "id" not in row else row["id"])
        drawn = self._drawn.get(place)
        if drawn is None:
            drawn = self._drawn[place] = getattr(self, f"_{kind}", self._plain)(row)
        return drawn

    def _get(self, kind: str, key: Key) -> Json:
        row = self._state.get(kind, key)
        assert row is not None
        return self.draw(kind, row)

    def _owned(self, kind: str, column: str, key: Key) -> list[Row]:
        """Return the rows of `kind` whose `column` is `key`."""
        index = self._by_owner.get((kind, column))
        if index is None:
            index = self._by_owner[kind, column] = {}
            for row in self._state.all(kind):
                index.setdefault(row[column], []).append(row)
        return index.get(key, [])

    def _code(self, kind: str, key: Key | None) -> str:
        row = None if key is None else self._state.get(kind, key)
        return "" if row is None else str(row["code"])

    def _plain(self, row: Row) -> Json:
        return {name: value for name, value in row.items() if name != "modified"}

    def _configuration_type(self, row: Row) -> Json:
        return {"name": row["name"], "code": row["code"]}

    def _optical_element(self, row: Row) -> Json:
        return {
            "id": row["id"],
            "name": row["name"],
            "code": row["code"],
            "schedulable": row["schedulable"],
        }

    def _optical_element_group(self, row: Row) -> Json:
        return {
            "id": row["id"],
            "name": row["name"],
            "type": row["type"],
            "optical_elements": [self._get("optical_element", key) for key in row["optical_element_ids"]],
            "element_change_overhead": row["element_change_overhead"],
            "default": self._code("optical_element", row["default_id"]),
        }

    def _camera_type(self, row: Row) -> Json:
        fields = ("id", "size", "pscale", "name", "code", "pixels_x", "pixels_y", "max_rois")
        return {name: row[name] for name in fields}

    def _camera(self, row: Row) -> Json:
        groups = [self._get("optical_element_group", key) for key in row["optical_element_group_ids"]]
        return {
            "id": row["id"],
            "code": row["code"],
            "camera_type": self._get("camera_type", row["camera_type_id"]),
            "orientation": row["orientation"],
            "optical_elements": {
                group["type"]: ",".join(element["code"] for element in group["optical_elements"])
                for group in groups
            },
            "optical_element_groups": groups,
            "host": row["host"],
        }

    def _generic_mode(self, row: Row) -> Json:
        fields = ("id", "name", "overhead", "code", "schedulable", "validation_schema")
        return {name: row[name] for name in fields}

    def _generic_mode_group(self, row: Row) -> Json:
        return {
            "id": row["id"],
            "type": row["type"],
            "modes": [self._get("generic_mode", key) for key in row["mode_ids"]],
            "default": self._code("generic_mode", row["default_id"]),
        }

    def _configuration_type_properties(self, row: Row) -> Json:
        fields = (
            "id",
            "configuration_type",
            "instrument_type",
            "config_change_overhead",
            "schedulable",
            "force_acquisition_off",
            "requires_optical_elements",
            "validation_schema",
        )
        return {name: row[name] for name in fields}

    def _instrument_type(self, row: Row) -> Json:
        key = row["id"]
        groups = self._owned("generic_mode_group", "instrument_type", key)
        uses = self._owned("configuration_type_properties", "instrument_type", key)
        return {
            "id": key,
            "name": row["name"],
            "code": row["code"],
            "fixed_overhead_per_exposure": row["fixed_overhead_per_exposure"],
            "instrument_category": row["instrument_category"],
            "observation_front_padding": row["observation_front_padding"],
            "acquire_exposure_time": row["acquire_exposure_time"],
            "default_configuration_type": row["default_configuration_type"],
            "mode_types": [self.draw("generic_mode_group", group) for group in groups],
            "default_acceptability_threshold": row["default_acceptability_threshold"],
            "config_front_padding": row["config_front_padding"],
            "allow_self_guiding": row["allow_self_guiding"],
            "configuration_types": [self._use(use) for use in uses],
            "validation_schema": row["validation_schema"],
        }

    def _use(self, row: Row) -> Json:
        code = row["configuration_type"]
        return {
            "name": self._get("configuration_type", code)["name"],
            "code": code,
            "config_change_overhead": row["config_change_overhead"],
            "schedulable": row["schedulable"],
            "force_acquisition_off": row["force_acquisition_off"],
            "requires_optical_elements": row["requires_optical_elements"],
            "validation_schema": row["validation_schema"],
        }

    def _instrument(self, row: Row) -> Json:
        cameras = [self._get("camera", key) for key in row["science_cameras_ids"]]
        return {
            "id": row["id"],
            "code": row["code"],
            "state": row["state"],
            "telescope": f"{self._base}/telescopes/{row['telescope_id']}/",
            "autoguider_camera": self._get("camera", row["autoguider_camera_id"]),
            "autoguider_type": row["autoguider_type"],
            "science_cameras": sorted(cameras, key=lambda camera: str(camera["code"])),
            "instrument_type": self._get("instrument_type", row["instrument_type_id"]),
            "__str__": path(self._state, "instrument", row),
        }

    def _telescope(self, row: Row) -> Json:
        return {
            "id": row["id"],
            "serial_number": row["serial_number"],
            "name": row["name"],
            "code": row["code"],
            "active": row["active"],
            "aperture": row["aperture"],
            "lat": row["lat"],
            "slew_rate": row["slew_rate"],
            "minimum_slew_overhead": row["minimum_slew_overhead"],
            "maximum_slew_overhead": row["maximum_slew_overhead"],
            "instrument_change_overhead": row["instrument_change_overhead"],
            "long": row["long"],
            "enclosure": f"{self._base}/enclosures/{row['enclosure_id']}/",
            "horizon": row["horizon"],
            "ha_limit_pos": row["ha_limit_pos"],
            "ha_limit_neg": row["ha_limit_neg"],
            "telescope_front_padding": row["telescope_front_padding"],
            "zenith_blind_spot": row["zenith_blind_spot"],
            "instrument_set": [
                self.draw("instrument", child)
                for child in self._owned("instrument", "telescope_id", row["id"])
            ],
            "__str__": path(self._state, "telescope", row),
        }

    def _enclosure(self, row: Row) -> Json:
        return {
            "id": row["id"],
            "name": row["name"],
            "code": row["code"],
            "active": row["active"],
            "site": f"{self._base}/sites/{row['site_id']}/",
            "telescope_set": [
                self.draw("telescope", child) for child in self._owned("telescope", "enclosure_id", row["id"])
            ],
            "__str__": path(self._state, "enclosure", row),
        }

    def _site(self, row: Row) -> Json:
        fields = ("id", "name", "code", "active", "timezone", "restart", "tz", "lat", "long", "elevation")
        return {name: row[name] for name in fields} | {
            "enclosure_set": [
                self.draw("enclosure", child) for child in self._owned("enclosure", "site_id", row["id"])
            ],
            "__str__": row["code"],
        }
