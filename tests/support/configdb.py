"""Configurations to test with."""

from typing import Any

from ocs.configdb import repository
from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from tests.support.app import NOW, TestApp

SITE = {"active": True, "name": "", "tz": "Etc/UTC", "restart": "00:00:00"}
TELESCOPE = {
    "active": True,
    "name": "",
    "serial_number": "",
    "horizon": 15.0,
    "ha_limit_neg": -4.6,
    "ha_limit_pos": 4.6,
    "zenith_blind_spot": 0.0,
    "telescope_front_padding": 90.0,
    "slew_rate": 0.0,
    "minimum_slew_overhead": 2.0,
    "maximum_slew_overhead": 2.0,
    "instrument_change_overhead": 0.0,
}
INSTRUMENT_TYPE = {
    "instrument_category": "IMAGE",
    "fixed_overhead_per_exposure": 1.0,
    "observation_front_padding": 90.0,
    "config_front_padding": 16.0,
    "acquire_exposure_time": 0.0,
    "default_acceptability_threshold": 90.0,
    "allow_self_guiding": True,
    "validation_schema": {},
    "default_configuration_type": "EXPOSE",
}
CONFIGURATION_TYPES = (
    "EXPOSE",
    "REPEAT_EXPOSE",
    "SKY_FLAT",
    "STANDARD",
    "SCRIPT",
    "AUTO_FOCUS",
    "BIAS",
    "DARK",
    "SPECTRUM",
    "REPEAT_SPECTRUM",
    "ARC",
    "LAMP_FLAT",
)


def binning(factor: int) -> dict[str, Any]:
    """Return the schema of a readout mode that bins by `factor`."""
    rule = {"type": "integer", "allowed": [factor], "default": factor}
    return {"extra_params": {"type": "dict", "default": {}, "schema": {"bin_x": rule, "bin_y": rule}}}


class Draft:
    """Puts things into an editor by code; rows get their defaults here."""

    def __init__(self, editor: Any) -> None:
        self.editor = editor

    def add(self, kind: str, **values: Any) -> Any:
        """Insert a row and return its key."""
        row = self.editor.insert(kind, values)
        return row.get("id", row.get("code"))

    def group(self, name: str, kind: str, codes: list[str], default: str, overhead_s: float) -> int:
        """Make a group of optical elements, and the elements."""
        ids = {code: self.add("optical_element", code=code, name=code, schedulable=True) for code in codes}
        key: int = self.add(
            "optical_element_group",
            name=name,
            type=kind,
            element_change_overhead=overhead_s,
            default_id=ids[default],
            optical_element_ids=sorted(ids.values()),
        )
        return key

    def camera(self, code: str, camera_type: int, *groups: int) -> int:
        """Make a camera."""
        key: int = self.add(
            "camera",
            code=code,
            camera_type_id=camera_type,
            orientation=0.0,
            host="",
            optical_element_group_ids=list(groups),
        )
        return key

    def telescope(self, enclosure: int, code: str, aperture: float, **values: Any) -> int:
        """Make a telescope."""
        key: int = self.add(
            "telescope", enclosure_id=enclosure, code=code, aperture=aperture, **{**TELESCOPE, **values}
        )
        return key

    def modes(
        self, instrument_type: int, mode_type: str, modes: list[dict[str, Any]], default: str | None = None
    ) -> None:
        """Give an instrument type a group of modes."""
        ids = {
            mode["code"]: self.add(
                "generic_mode",
                **{
                    "name": mode["code"],
                    "overhead": 0.0,
                    "schedulable": True,
                    "validation_schema": {},
                    **mode,
                },
            )
            for mode in modes
        }
        self.add(
            "generic_mode_group",
            instrument_type=instrument_type,
            type=mode_type,
            default_id=ids[default] if default else None,
            mode_ids=sorted(ids.values()),
        )

    def instrument_type(self, code: str, configuration_types: dict[str, Any], **values: Any) -> int:
        """Make an instrument type that does `configuration_types`."""
        key: int = self.add("instrument_type", code=code, name=code, **{**INSTRUMENT_TYPE, **values})
        for name, properties in configuration_types.items():
            self.add(
                "configuration_type_properties",
                configuration_type=name,
                instrument_type=key,
                **{
                    "config_change_overhead": 0.0,
                    "schedulable": True,
                    "force_acquisition_off": False,
                    "requires_optical_elements": True,
                    "validation_schema": {},
                    **properties,
                },
            )
        return key

    def instrument(
        self, telescope: int, code: str, instrument_type: int, cameras: list[int], guider: int, state: str
    ) -> None:
        """Put an instrument on a telescope."""
        self.add(
            "instrument",
            telescope_id=telescope,
            code=code,
            instrument_type_id=instrument_type,
            science_cameras_ids=sorted(cameras),
            autoguider_camera_id=guider,
            autoguider_type="OffAxis",
            state=state,
        )


async def build_fix_a(app: TestApp) -> None:
    """Create FIX-A, the observatory whose durations are known.

    ========================  ==================  ============================================================
    telescope                 instrument          what it is for
    ========================  ==================  ============================================================
    tst.doma.1m0a             xx01 MANUAL         1M0-CAM-M: only staff with a full location may use it
    tst.domb.1m0a             xx03 SCHEDULABLE    1M0-CAM-A, autoguider ef03: the camera of all figures
    tst.domb.1m0a             xx05 SCHEDULABLE    1M0-CAM-B: no optical elements, several modes, no defaults
    tst.clma.2m0a             fl01 SCHEDULABLE    2M0-SPEC-A: spectrograph with slits, acquisition, rotator
    tst.clma.2m0a             fl02, fl03          2M0-CAM-T: two instruments of one type; exposure modes
    tst.aqwa.0m4a             kb01 DISABLED       0M4-CAM-X: not there
    lco.doma.1m0a             xx06 SCHEDULABLE    1M0-CAM-A again, on the other hemisphere
    ========================  ==================  ============================================================

    1M0-CAM-A: readout overhead 14.5 s, fixed 1 s, paddings 16 and 90 s, filter change 2 s, slew 2 s; mode
    `cam_1` bins 1x1, `cam_2` (default) 2x2, `cam_eng` is not schedulable; elements `air`, `blue`; its schema
    limits `extra_params.defocus` to 5. BIAS is not schedulable, SKY_FLAT and DARK force the acquisition off,
    DARK and BIAS need no optical elements. Spectrograph: readout 25 s, fixed 0.5 s, paddings 16 and 240 s,
    acquisition 90 + 30 s.
    """
    async with app.runtime.database.write() as session:
        await add_fix_a(session)


async def add_fix_a(session: WriteSession) -> None:
    """Write FIX-A within a transaction; see `build_fix_a`."""
    editor = await repository.edit(session, NOW)
    draft = Draft(editor)
    for code in CONFIGURATION_TYPES:
        draft.add("configuration_type", code=code, name=code.replace("_", " ").capitalize())
    for code in ("IMAGE", "SPECTRA"):
        draft.add("instrument_category", code=code)

    camera_type = draft.add(
        "camera_type",
        code="SCI",
        name="Science",
        size="6.7x6.7",
        pscale=0.4,
        pixels_x=1000,
        pixels_y=1000,
        max_rois=1,
    )
    guider_type = draft.add(
        "camera_type",
        code="AG",
        name="Autoguider",
        size="5x5",
        pscale=0.5,
        pixels_x=600,
        pixels_y=600,
        max_rois=0,
    )
    filters = draft.group("filters", "filters", ["air", "blue"], "air", 2.0)
    slits = draft.group("slits", "slits", ["slit_1.2as", "slit_2.0as"], "slit_1.2as", 0.0)
    guiders = {
        code: draft.camera(code, guider_type) for code in ("ef01", "ef03", "ef05", "ef06", "ag01", "ag02")
    }

    off = {"code": "OFF"}
    guiding = [off, {"code": "ON", "overhead": 5.0}]
    no_sky = {"requires_optical_elements": False, "force_acquisition_off": True}
    imaging: dict[str, Any] = {
        "EXPOSE": {},
        "REPEAT_EXPOSE": {},
        "STANDARD": {},
        "AUTO_FOCUS": {},
        "SCRIPT": {},
        "SKY_FLAT": {"force_acquisition_off": True},
        "BIAS": {**no_sky, "schedulable": False},
        "DARK": no_sky,
    }
    defocus = {"extra_params": {"type": "dict", "schema": {"defocus": {"type": "float", "max": 5.0}}}}
    cam_a = draft.instrument_type(
        "1M0-CAM-A",
        imaging,
        validation_schema={
            "instrument_configs": {"type": "list", "schema": {"type": "dict", "schema": defocus}}
        },
    )
    cam_b = draft.instrument_type(
        "1M0-CAM-B", {**imaging, "EXPOSE": {"requires_optical_elements": False}}, allow_self_guiding=False
    )
    cam_m = draft.instrument_type("1M0-CAM-M", imaging)
    for key in (cam_a, cam_m):
        draft.modes(
            key,
            "readout",
            [
                {"code": "cam_1", "overhead": 14.5, "validation_schema": binning(1)},
                {"code": "cam_2", "overhead": 14.5, "validation_schema": binning(2)},
                {"code": "cam_eng", "overhead": 1.0, "schedulable": False},
            ],
            "cam_2",
        )
        draft.modes(key, "guiding", [*guiding, {"code": "ENG", "schedulable": False}], "OFF")
        draft.modes(key, "acquisition", [off, {"code": "WCS", "overhead": 30.0}], "OFF")
    draft.modes(cam_b, "readout", [{"code": "fast", "overhead": 5.0}, {"code": "slow", "overhead": 20.0}])
    draft.modes(cam_b, "guiding", guiding)
    spectrograph = draft.instrument_type(
        "2M0-SPEC-A",
        {
            "SPECTRUM": {},
            "REPEAT_SPECTRUM": {},
            "STANDARD": {},
            "SCRIPT": {},
            "ARC": {"config_change_overhead": 20.0, "force_acquisition_off": True},
            "LAMP_FLAT": {"config_change_overhead": 60.0, "force_acquisition_off": True},
        },
        instrument_category="SPECTRA",
        default_configuration_type="SPECTRUM",
        fixed_overhead_per_exposure=0.5,
        observation_front_padding=240.0,
        acquire_exposure_time=30.0,
        default_acceptability_threshold=100.0,
        allow_self_guiding=False,
    )
    draft.modes(spectrograph, "readout", [{"code": "spec", "overhead": 25.0}], "spec")
    draft.modes(spectrograph, "guiding", guiding, "OFF")
    draft.modes(spectrograph, "acquisition", [off, {"code": "WCS", "overhead": 90.0}], "WCS")
    angle = {"type": "float", "required": True, "min": -180.0, "max": 180.0}
    sky = {"extra_params": {"type": "dict", "required": True, "schema": {"rotator_angle": angle}}}
    draft.modes(
        spectrograph, "rotator", [{"code": "VFLOAT"}, {"code": "SKY", "validation_schema": sky}], "VFLOAT"
    )
    twins = draft.instrument_type("2M0-CAM-T", imaging)
    draft.modes(twins, "readout", [{"code": "full", "overhead": 10.0}], "full")
    draft.modes(twins, "guiding", guiding, "OFF")
    draft.modes(twins, "acquisition", [off], "OFF")
    draft.modes(twins, "exposure", [{"code": "SYNCHRONOUS"}, {"code": "ASYNCHRONOUS"}], "SYNCHRONOUS")
    absent = draft.instrument_type("0M4-CAM-X", imaging)
    draft.modes(absent, "readout", [{"code": "full", "overhead": 14.0}], "full")

    place = {"lat": -32.3805542, "long": 20.8101815}
    tst = draft.add("site", code="tst", elevation=1804, timezone=2, **place, **SITE)
    north = {"lat": 30.67983, "long": -104.015173}
    lco = draft.add("site", code="lco", elevation=2070, timezone=-6, **north, **SITE)
    domes = {
        code: draft.add("enclosure", code=code, name=code, active=True, site_id=tst)
        for code in ("doma", "domb", "clma", "aqwa")
    }
    lco_dome = draft.add("enclosure", code="doma", name="doma", active=True, site_id=lco)
    doma = draft.telescope(domes["doma"], "1m0a", 1.0, **place)
    domb = draft.telescope(domes["domb"], "1m0a", 1.0, **place)
    clma = draft.telescope(domes["clma"], "2m0a", 2.0, **place)
    aqwa = draft.telescope(domes["aqwa"], "0m4a", 0.4, **place)
    lco_doma = draft.telescope(lco_dome, "1m0a", 1.0, **north)

    def put(telescope: int, code: str, key: int, guider: str, state: str, *groups: int) -> None:
        camera = draft.camera(code, camera_type, *groups)
        draft.instrument(telescope, code, key, [camera], guiders[guider], state)

    put(doma, "xx01", cam_m, "ef01", "MANUAL", filters)
    put(domb, "xx03", cam_a, "ef03", "SCHEDULABLE", filters)
    put(domb, "xx05", cam_b, "ef05", "SCHEDULABLE")
    put(clma, "fl01", spectrograph, "ag01", "SCHEDULABLE", slits)
    put(clma, "fl02", twins, "ag02", "SCHEDULABLE", filters)
    put(clma, "fl03", twins, "ag02", "SCHEDULABLE", filters)
    put(aqwa, "kb01", absent, "ef01", "DISABLED", filters)
    put(lco_doma, "xx06", cam_a, "ef06", "SCHEDULABLE", filters)
    await repository.store(session, editor, "tests", "FIX-A")
    changes.stamp(session, "configdb", "all")
