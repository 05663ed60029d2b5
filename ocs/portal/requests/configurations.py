"""The rules of one configuration, in their order: the first that fails ends the check.

All functions work on the plain form of a configuration (what was sent, with what validation fills) and change
it in place; they raise `ValueError` for the configuration as a whole or a structured error.
"""

from collections.abc import Mapping
from typing import Any

from ocs.configdb.api import ConfigurationType, InstrumentType
from ocs.portal.requests import durations, refusals, schema_rules
from ocs.portal.requests.catalog import Catalog, SchemaOwner

Plain = dict[str, Any]

DITHER_PATTERNS = ("line", "grid", "spiral", "custom")


def check(catalog: Catalog, configuration: Plain) -> None:
    """Check a configuration whose fields are fine, and fill what depends on its instrument."""
    instrument = catalog.observatory.instrument_types[configuration["instrument_type"]]
    guiding = configuration["guiding_config"]
    _choose_mode(catalog, instrument, "guiding", guiding, guiding, "mode")
    rules = instrument.configuration_types.get(configuration["type"])
    _check_type(instrument, rules, configuration["type"])
    assert rules is not None
    _acquisition(catalog, instrument, rules, configuration["acquisition_config"])
    _apply_schema(catalog, instrument, configuration)
    _apply_schema(catalog, rules, configuration)
    for instrument_config in configuration["instrument_configs"]:
        _instrument_config(catalog, instrument, rules, instrument_config)
    _script(configuration)
    _repeat(catalog, configuration)
    _dither(configuration)


def _check_type(instrument: InstrumentType, rules: ConfigurationType | None, code: str) -> None:
    if rules is None or not rules.schedulable:
        usable = [item.code for item in instrument.configuration_types.values() if item.schedulable]
        raise ValueError(
            f"configuration type {code} is not available for instrument type {instrument.code}; "
            f"use one of {', '.join(usable) or 'no type'}."
        )


def _choose_mode(
    catalog: Catalog, instrument: InstrumentType, kind: str, whole: Plain, holder: Plain, key: str
) -> None:
    """Choose the mode if none is given, check a given one, and apply its schema.

    Parameters
    ----------
    whole
        The object the mode's schema describes.
    holder, key
        Where the code of the mode is.
    """
    group = instrument.modes(kind)
    code = holder.get(key) or ""
    if not code:
        if len(group.modes) == 1:
            code = group.modes[0].code
        elif group.default is not None:
            code = group.default.code
        elif group.modes:
            raise ValueError(
                f"{instrument.code} has several {kind} modes and no default; choose {key} from "
                f"{', '.join(mode.code for mode in group.modes)}."
            )
        else:
            return
        holder[key] = code
        mode = group.mode(code)
    else:
        mode = group.mode(code)
        if mode is None and not group.modes and code == "OFF":
            return
        if mode is None or not mode.schedulable:
            usable = ", ".join(item.code for item in group.modes if item.schedulable)
            raise ValueError(
                f"{kind} mode {code} is not available for instrument type {instrument.code}; "
                f"use one of {usable or 'no mode'}."
            )
    if mode is None:
        return
    filled, errors = catalog.schema(mode).apply(whole)
    if errors:
        faults = "; ".join(schema_rules.sentences(errors))
        raise ValueError(f"{kind} mode {mode.code} of {instrument.code} does not allow this: {faults}")
    whole |= filled


def _acquisition(
    catalog: Catalog, instrument: InstrumentType, rules: ConfigurationType, acquisition: Plain
) -> None:
    if rules.force_acquisition_off:
        acquisition["mode"] = "OFF"
        return
    _choose_mode(catalog, instrument, "acquisition", acquisition, acquisition, "mode")
    acquisition["mode"] = acquisition.get("mode") or "OFF"


def _apply_schema(catalog: Catalog, owner: SchemaOwner, configuration: Plain) -> None:
    filled, errors = catalog.schema(owner).apply(configuration)
    if errors:
        raise refusals.structured(schema_rules.structure(errors))
    configuration |= filled


def _instrument_config(
    catalog: Catalog, instrument: InstrumentType, rules: ConfigurationType, sent: Plain
) -> None:
    _choose_mode(catalog, instrument, "readout", sent, sent, "mode")
    if "rotator" in instrument.mode_groups:
        _choose_mode(catalog, instrument, "rotator", sent, sent, "rotator_mode")
    _elements(catalog, instrument, rules, sent)
    if sent.get("rois"):
        _regions(catalog, instrument, sent["rois"])
    if "exposure" in instrument.mode_groups:
        extra_params = sent.setdefault("extra_params", {})
        _choose_mode(catalog, instrument, "exposure", sent, extra_params, "exposure_mode")


def _elements(catalog: Catalog, instrument: InstrumentType, rules: ConfigurationType, sent: Plain) -> None:
    groups = catalog.elements(instrument.code)
    # Forms of clients send the groups of all instruments, empty where they do not apply.
    chosen = {key: code for key, code in (sent.get("optical_elements") or {}).items() if code}
    for key, code in chosen.items():
        group = groups.get(f"{key}s")
        if group is None:
            known = ", ".join(item.removesuffix("s") for item in groups)
            raise ValueError(f"{instrument.code} has no {key}; its optical elements are: {known or 'none'}.")
        element = group.element(code)
        if element is None:
            known = ", ".join(item.code for item in group.elements)
            raise ValueError(f"{instrument.code} has no {key} {code}; choose from {known}.")
        chosen[key] = element.code
    if rules.requires_optical_elements:
        missing = [name.removesuffix("s") for name in groups if name.removesuffix("s") not in chosen]
        if missing:
            raise ValueError(f"{instrument.code} needs optical_elements for: {', '.join(missing)}.")
    if "optical_elements" in sent:
        sent["optical_elements"] = chosen


def _regions(catalog: Catalog, instrument: InstrumentType, regions: list[Plain]) -> None:
    camera = catalog.geometry(instrument.code)
    if camera is None or len(regions) > camera.max_rois:
        most = camera.max_rois if camera else 0
        raise ValueError(f"{instrument.code} reads out at most {most} regions of interest.")
    for region in regions:
        if all(bound is None for bound in region.values()):
            raise ValueError("A region of interest needs at least one of x1, x2, y1, y2.")
        edges = {"x1": 0, "x2": camera.pixels_x, "y1": 0, "y2": camera.pixels_y}
        bounds = {name: edge if region.get(name) is None else region[name] for name, edge in edges.items()}
        region |= bounds
        if bounds["x1"] >= bounds["x2"] or bounds["y1"] >= bounds["y2"]:
            raise ValueError("A region of interest needs x1 < x2 and y1 < y2.")
        if bounds["x2"] > camera.pixels_x or bounds["y2"] > camera.pixels_y:
            raise ValueError(
                f"A region of interest must lie on the detector of {instrument.code}, "
                f"{camera.pixels_x} x {camera.pixels_y} pixels."
            )


def _script(configuration: Plain) -> None:
    if configuration["type"] == "SCRIPT" and not (configuration.get("extra_params") or {}).get("script_name"):
        raise ValueError("A SCRIPT configuration needs extra_params.script_name.")


def _repeat(catalog: Catalog, configuration: Plain) -> None:
    duration_s = configuration.get("repeat_duration")
    if not durations.is_repeat(configuration):
        if duration_s is not None:
            raise ValueError(
                f"repeat_duration does not apply to configurations of type {configuration['type']}."
            )
        return
    overheads = catalog.overheads(configuration["instrument_type"])
    shortest_s = sum(durations.exposures_s(overheads, item) for item in configuration["instrument_configs"])
    if duration_s is None or duration_s < shortest_s:
        raise ValueError(
            f"A {configuration['type']} configuration needs a repeat_duration of at least {shortest_s} s, "
            "the time to take its exposures once."
        )


def has_offsets(configuration: Mapping[str, Any]) -> bool:
    """Tell whether an instrument configuration is offset from the target."""
    return any(
        (item.get("extra_params") or {}).get(name)
        for item in configuration["instrument_configs"]
        for name in ("offset_ra", "offset_dec")
    )


def _dither(configuration: Plain) -> None:
    extra_params: Plain = configuration.get("extra_params") or {}
    pattern = extra_params.get("dither_pattern")
    if pattern is None:
        if has_offsets(configuration):
            configuration["extra_params"] = {**extra_params, "dither_pattern": "custom"}
    elif not has_offsets(configuration):
        raise ValueError("A dither_pattern needs offset_ra or offset_dec in some instrument configuration.")
    elif pattern not in DITHER_PATTERNS:
        raise ValueError(f"dither_pattern {pattern} is unknown; use one of {', '.join(DITHER_PATTERNS)}.")
