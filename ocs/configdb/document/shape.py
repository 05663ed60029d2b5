"""The shape of the file: what each section may hold; JSON Schema and error messages follow from it."""

from typing import Any

from pydantic import BaseModel, Field

from ocs.configdb.schemas import (
    CameraFields,
    CameraTypeWrite,
    ConfigurationTypeUse,
    ConfigurationTypeWrite,
    EnclosureFields,
    GenericModeWrite,
    InstrumentCategoryWrite,
    InstrumentFields,
    InstrumentTypeWrite,
    ModeTypeWrite,
    Name,
    OpticalElementGroupWrite,
    OpticalElementWrite,
    SiteWrite,
    TelescopeFields,
)


class InstrumentEntry(InstrumentFields, extra="forbid"):
    """An instrument; its type and its cameras are named by code."""

    instrument_type: Name
    science_cameras: list[Name] = Field(min_length=1)
    autoguider_camera: Name


class TelescopeEntry(TelescopeFields, extra="forbid"):
    """A telescope: aperture in m, angles in deg, hour angle limits in h, overheads in s."""

    instruments: list[InstrumentEntry] = Field([])


class EnclosureEntry(EnclosureFields, extra="forbid"):
    """A dome or clamshell."""

    telescopes: list[TelescopeEntry] = Field([])


class SiteEntry(SiteWrite, extra="forbid"):
    """A site: latitude and longitude (east positive) in deg, elevation in m, timezone in h from UTC."""

    enclosures: list[EnclosureEntry] = Field([])


class CameraEntry(CameraFields, extra="forbid"):
    """A camera; its type is named by code, its groups of optical elements by name."""

    camera_type: Name
    optical_element_groups: list[Name] = Field([])


class CameraTypeEntry(CameraTypeWrite, extra="forbid"):
    """A camera type: size is text in arcmin, pscale in arcsec per pixel."""


class OpticalElementEntry(OpticalElementWrite, extra="forbid"):
    """A filter, slit or the like."""


class OpticalElementGroupEntry(OpticalElementGroupWrite, extra="forbid"):
    """Optical elements, named by code, of which one is in the beam; the type is a plural."""

    optical_elements: list[Name] = Field([])  # type: ignore[assignment]
    optical_element_ids: None = Field(None, exclude=True)  # type: ignore[assignment]


class ModeEntry(GenericModeWrite, extra="forbid"):
    """A mode."""


class ModeGroupEntry(BaseModel, extra="forbid"):
    """The modes of one type; default is the code of one of them."""

    type: Name
    default: str = ""
    modes: list[ModeEntry] = Field(min_length=1)


class ConfigurationTypeUseEntry(ConfigurationTypeUse, extra="forbid"):
    """How the instrument type does a configuration type."""


class InstrumentTypeEntry(InstrumentTypeWrite, extra="forbid"):
    """An instrument type, which is what requests name; overheads and paddings in s."""

    configuration_types: list[ConfigurationTypeUseEntry] = Field([])  # type: ignore[assignment]
    generic_mode_groups: list[ModeGroupEntry] = Field([])


class ConfigurationTypeEntry(ConfigurationTypeWrite, extra="forbid"):
    """What a telescope can be asked to do."""


class InstrumentCategoryEntry(InstrumentCategoryWrite, extra="forbid"):
    """A category of instruments."""


class ModeTypeEntry(ModeTypeWrite, extra="forbid"):
    """What a mode is a mode of."""


class ConfigurationFile(BaseModel):
    """The sections of an observatory file that describe the observatory itself."""

    mode_types: list[str | ModeTypeEntry] = Field([])
    instrument_categories: list[str | InstrumentCategoryEntry] = Field([])
    configuration_types: list[ConfigurationTypeEntry] = Field([])
    optical_elements: list[OpticalElementEntry] = Field([])
    optical_element_groups: list[OpticalElementGroupEntry] = Field([])
    camera_types: list[CameraTypeEntry] = Field([])
    cameras: list[CameraEntry] = Field([])
    instrument_types: list[InstrumentTypeEntry] = Field([])
    sites: list[SiteEntry] = Field([])


# In the order in which they refer to each other: (section, kind, entry, field of a bare text)
SECTION_KINDS: tuple[tuple[str, str, type[BaseModel], str], ...] = (
    ("mode_types", "mode_type", ModeTypeEntry, "id"),
    ("instrument_categories", "instrument_category", InstrumentCategoryEntry, "code"),
    ("configuration_types", "configuration_type", ConfigurationTypeEntry, ""),
    ("optical_elements", "optical_element", OpticalElementEntry, ""),
    ("optical_element_groups", "optical_element_group", OpticalElementGroupEntry, ""),
    ("camera_types", "camera_type", CameraTypeEntry, ""),
    ("cameras", "camera", CameraEntry, ""),
    ("instrument_types", "instrument_type", InstrumentTypeEntry, ""),
    ("sites", "site", SiteEntry, ""),
)
SECTIONS = tuple(section for section, *_ in SECTION_KINDS)

# What names a thing in the file.
NAMES = {"optical_element_group": "name", "mode_type": "id"}
CHILDREN = {"site": ("enclosures", "enclosure"), "enclosure": ("telescopes", "telescope")}
CHILDREN["telescope"] = ("instruments", "instrument")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the sections, with which editors complete and check a file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ConfigurationFile.model_json_schema(),
        "title": "Observatory file",
    }
