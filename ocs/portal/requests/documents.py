"""The forms in which requests are stored and sent.

Stored, and sent in lists, is the *list-form*; single objects are sent in the *detail-form*, and what is not
stored yet in the *plan-form*: what was sent with what validation filled. The forms differ in which empty keys
they show, and clients rely on each. Times in them are datetimes until `dumps` writes them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from ocs.portal.requests.rules import target_fields

Plain = dict[str, Any]
Wire = Mapping[str, Any]

_SIDEREAL = ("ra", "dec", "proper_motion_ra", "proper_motion_dec", "parallax", "epoch", "hour_angle")
_DEFAULT_CONSTRAINTS = {"max_airmass": 1.6, "min_lunar_distance": 30.0, "max_lunar_phase": 1.0}
_OPTIONAL_CONSTRAINTS = ("max_seeing", "min_transparency")


def stored_configuration(plain: Wire) -> Plain:
    """Return a checked configuration in list-form, without its id."""
    return {
        "instrument_type": plain["instrument_type"],
        "type": plain["type"],
        "repeat_duration": plain.get("repeat_duration"),
        "extra_params": plain.get("extra_params") or {},
        "priority": plain["priority"],
        "instrument_configs": [_instrument_config(item) for item in plain["instrument_configs"]],
        "constraints": _constraints(plain["constraints"]),
        "acquisition_config": _acquisition(plain["acquisition_config"]),
        "guiding_config": _guiding(plain["guiding_config"]),
        "target": _target(plain["target"]),
    }


def _instrument_config(plain: Wire) -> Plain:
    return {
        "optical_elements": plain.get("optical_elements") or {},
        "mode": plain.get("mode") or "",
        "exposure_time": plain["exposure_time"],
        "exposure_count": plain["exposure_count"],
        "rotator_mode": plain.get("rotator_mode") or "",
        "extra_params": plain.get("extra_params") or {},
        "rois": plain.get("rois") or [],
    }


def _constraints(plain: Wire) -> Plain:
    kept: Plain = {name: plain.get(name, default) for name, default in _DEFAULT_CONSTRAINTS.items()}
    kept["extra_params"] = plain.get("extra_params") or {}
    return kept | {name: plain[name] for name in _OPTIONAL_CONSTRAINTS if plain.get(name) is not None}


def _acquisition(plain: Wire) -> Plain:
    kept: Plain = {"mode": plain.get("mode") or "", "extra_params": plain.get("extra_params") or {}}
    if plain.get("exposure_time") is not None:
        kept["exposure_time"] = plain["exposure_time"]
    return kept


def _guiding(plain: Wire) -> Plain:
    return {
        "optional": plain.get("optional", True),
        "mode": plain.get("mode") or "",
        "optical_elements": plain.get("optical_elements") or {},
        "exposure_time": plain.get("exposure_time"),
        "extra_params": plain.get("extra_params") or {},
    }


def _target(plain: Wire) -> Plain:
    sidereal = plain["type"] in {"ICRS", "HOUR_ANGLE"}
    fields = _SIDEREAL if sidereal else target_fields(plain)
    kept: Plain = {"type": plain["type"], "name": plain["name"]}
    kept |= {name: plain.get(name) for name in fields}
    kept["extra_params"] = plain.get("extra_params") or {}
    return kept


def detailed_configuration(stored: Wire) -> Plain:
    """Return a stored configuration in detail-form."""
    constraints = stored["constraints"]
    acquisition = stored["acquisition_config"]
    detail: Plain = {
        "id": stored["id"],
        "constraints": {
            **{name: constraints[name] for name in _DEFAULT_CONSTRAINTS},
            **{name: constraints.get(name) for name in _OPTIONAL_CONSTRAINTS},
            "extra_params": constraints["extra_params"],
        },
        "instrument_configs": [
            {key: value for key, value in item.items() if key != "rois" or value}
            for item in stored["instrument_configs"]
        ],
        "acquisition_config": {
            "mode": acquisition["mode"],
            "exposure_time": acquisition.get("exposure_time"),
            "extra_params": acquisition["extra_params"],
        },
        "guiding_config": stored["guiding_config"],
        "target": {key: value for key, value in stored["target"].items() if value is not None},
        "instrument_type": stored["instrument_type"],
        "type": stored["type"],
        "extra_params": stored["extra_params"],
        "priority": stored["priority"],
    }
    if "REPEAT" in stored["type"]:
        detail["repeat_duration"] = stored["repeat_duration"]
    return detail


def location(row: Any) -> Plain:
    """Return the parts of a location that are given."""
    parts = {
        "telescope_class": row.telescope_class,
        "site": row.site,
        "enclosure": row.enclosure,
        "telescope": row.telescope,
    }
    return {name: value for name, value in parts.items() if value}


def windows(starts: Sequence[datetime], ends: Sequence[datetime]) -> list[Plain]:
    """Return windows as they are sent."""
    return [{"start": start, "end": end} for start, end in zip(starts, ends, strict=True)]


def request_head(row: Any) -> Plain:
    """Return what all forms of a request begin with."""
    return {
        "id": row.id,
        "observation_note": row.observation_note,
        "optimization_type": row.optimization_type,
        "state": row.state,
        "suspend_until": row.suspend_until,
        "acceptability_threshold": row.acceptability_threshold,
        "configuration_repeats": row.configuration_repeats,
        "extra_params": orjson.Fragment(row.extra_params),
        "modified": row.modified,
        "duration": row.duration,
    }


def listed_request(row: Any, *, placed: bool) -> Plain:
    """Return a row of a request in list-form.

    Parameters
    ----------
    row
        Columns of the request; the documents as JSON text, and `starts`, `ends` of its windows.
    placed
        Whether people placed it themselves: then location and window are those of its observation, and both
        are missing when it has none.
    """
    request = request_head(row)
    request["configurations"] = orjson.Fragment(row.configurations)
    if placed and not row.starts:
        return request
    request["location"] = location(row)
    if placed:
        request["location"].pop("telescope_class", None)
    request["windows"] = windows(row.starts, row.ends)
    return request


def detailed_request(row: Any, *, placed: bool) -> Plain:
    """Return a row of a request in detail-form; see `listed_request`."""
    request = request_head(row)
    request["created"] = row.created
    request["configurations"] = [detailed_configuration(item) for item in orjson.loads(row.configurations)]
    request["location"] = None if placed else location(row)
    request["windows"] = [] if placed else windows(row.starts, row.ends)
    return request


def group(row: Any, requests: Sequence[Any]) -> Plain:
    """Return a row of a group with its requests, which are in the form the group is sent in."""
    return {
        "id": row.id,
        "requests": requests,
        "submitter": row.submitter,
        "name": row.name,
        "observation_type": row.observation_type,
        "operator": row.operator,
        "ipp_value": row.ipp_value,
        "created": row.created,
        "state": row.state,
        "modified": row.modified,
        "proposal": row.proposal_id,
    }


def dumps(value: Any) -> bytes:
    """Return JSON; times, all of them UTC, in the wire's form."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def loads(text: str | bytes) -> Any:
    """Return what a stored document says."""
    return orjson.loads(text)
