"""A small observatory to start from, for end-to-end tests of clients."""

from typing import Any

_TYPES = {
    "1M0-SCICAM-SINISTRO": ("doma", "1m0a", 1.0, "xx04"),
    "2M0-SCICAM-SINISTRO": ("clma", "2m0a", 2.0, "xx05"),
}
_CONFIGURATION_TYPES = ("EXPOSE", "REPEAT_EXPOSE", "AUTO_FOCUS", "SCRIPT", "STANDARD", "BIAS", "DARK")
_BINNING = {"type": "integer", "allowed": [1], "default": 1}


def _use(code: str) -> dict[str, Any]:
    use: dict[str, Any] = {"configuration_type": code}
    if code in {"STANDARD", "BIAS", "DARK"}:
        use["requires_optical_elements"] = False
    if code in {"BIAS", "DARK"}:
        use["schedulable"] = False
    return use


def _instrument_type(code: str) -> dict[str, Any]:
    schema = {
        "extra_params": {"type": "dict", "default": {}, "schema": {"bin_x": _BINNING, "bin_y": _BINNING}}
    }
    off = {"code": "OFF", "name": "Off"}
    return {
        "code": code,
        "name": code,
        "instrument_category": "IMAGE",
        "default_configuration_type": "EXPOSE",
        "configuration_types": [_use(name) for name in _CONFIGURATION_TYPES],
        "generic_mode_groups": [
            {
                "type": "readout",
                "default": "default",
                "modes": [{"code": "default", "name": "Default", "validation_schema": schema}],
            },
            {
                "type": "guiding",
                "default": "OFF",
                "modes": [off, {"code": "ON", "name": "On", "overhead": 5.0}],
            },
            {"type": "acquisition", "default": "OFF", "modes": [off]},
        ],
    }


def document(site: str, lat_deg: float, long_deg: float, instrument_state: str) -> dict[str, Any]:
    """Return the observatory file of a site with a 1 m and a 2 m telescope, an imager on each."""
    return {
        "instrument_categories": ["IMAGE", "SPECTRO"],
        "configuration_types": [
            {"code": code, "name": code.replace("_", " ").capitalize()} for code in _CONFIGURATION_TYPES
        ],
        "optical_elements": [{"code": code, "name": code} for code in ("r", "g", "b", "air")],
        "optical_element_groups": [
            {
                "name": "filters",
                "type": "filters",
                "optical_elements": ["r", "g", "b", "air"],
                "default": "air",
            }
        ],
        "camera_types": [
            {"code": code, "name": code, "size": "26x26", "pscale": 0.389, "pixels_x": 4096, "pixels_y": 4096}
            for code in _TYPES
        ],
        "cameras": [
            {"code": camera, "camera_type": code, "optical_element_groups": ["filters"]}
            for code, (_, _, _, camera) in _TYPES.items()
        ],
        "instrument_types": [_instrument_type(code) for code in _TYPES],
        "sites": [
            {
                "code": site,
                "name": site,
                "lat": lat_deg,
                "long": long_deg,
                "elevation": 0,
                "timezone": 0,
                "enclosures": [
                    {
                        "code": enclosure,
                        "name": enclosure,
                        "telescopes": [
                            {
                                "code": telescope,
                                "name": telescope,
                                "aperture": aperture_m,
                                "lat": lat_deg,
                                "long": long_deg,
                                "horizon": 15.0,
                                "ha_limit_neg": -4.6,
                                "ha_limit_pos": 4.6,
                                "instruments": [
                                    {
                                        "code": camera,
                                        "state": instrument_state,
                                        "instrument_type": code,
                                        "science_cameras": [camera],
                                        "autoguider_camera": camera,
                                    }
                                ],
                            }
                        ],
                    }
                    for code, (enclosure, telescope, aperture_m, camera) in _TYPES.items()
                ],
            }
        ],
    }
