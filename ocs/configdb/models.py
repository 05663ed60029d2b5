"""Tables of the configuration.

Fields bear the names they have on the wire. Codes that people and programs compare ignoring case are unique
ignoring case. Foreign keys never cascade: what a deletion takes along is decided and recorded by the service.
"""

from datetime import datetime, time
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from ocs.kernel.database import Base

SCHEMA = "configdb"


def _reference(target: str, *, nullable: bool = False) -> Any:
    return mapped_column(ForeignKey(f"{SCHEMA}.{target}"), index=True, nullable=nullable)


class _Kind:
    """What all configured things share."""

    modified: Mapped[datetime]


def _arguments(*constraints: SchemaItem) -> Any:
    return (*constraints, {"schema": SCHEMA})


def _unique_code(table: str, *scope: str) -> Index:
    """Return the index that keeps `code` unique, ignoring case, among rows with equal `scope`."""
    return Index("_".join(["uq", table, *scope, "code"]), *scope, text("lower(code)"), unique=True)


class Site(_Kind, Base):
    """A place on Earth: `lat` and `long` (east positive) in deg, `elevation` in m, `timezone` in h."""

    __tablename__ = "site"
    __table_args__ = _arguments(_unique_code("site"))

    id: Mapped[int] = mapped_column(primary_key=True)
    active: Mapped[bool]
    code: Mapped[str]
    name: Mapped[str]
    lat: Mapped[float]
    long: Mapped[float]
    elevation: Mapped[int]
    timezone: Mapped[int]
    tz: Mapped[str]
    restart: Mapped[time]


class Enclosure(_Kind, Base):
    """A dome or clamshell of a site."""

    __tablename__ = "enclosure"
    __table_args__ = _arguments(_unique_code("enclosure", "site_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    active: Mapped[bool]
    code: Mapped[str]
    name: Mapped[str]
    site_id: Mapped[int] = _reference("site.id")


class Telescope(_Kind, Base):
    """A telescope: `aperture` in m, angles in deg, hour angle limits in h, overheads in s.

    `slew_rate` is in s per arcsec; a `maximum_slew_overhead` of 0 means no cap.
    """

    __tablename__ = "telescope"
    __table_args__ = _arguments(_unique_code("telescope", "enclosure_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    active: Mapped[bool]
    code: Mapped[str]
    name: Mapped[str]
    serial_number: Mapped[str]
    aperture: Mapped[float]
    lat: Mapped[float]
    long: Mapped[float]
    horizon: Mapped[float]
    ha_limit_neg: Mapped[float]
    ha_limit_pos: Mapped[float]
    zenith_blind_spot: Mapped[float]
    telescope_front_padding: Mapped[float]
    slew_rate: Mapped[float]
    minimum_slew_overhead: Mapped[float]
    maximum_slew_overhead: Mapped[float]
    instrument_change_overhead: Mapped[float]
    enclosure_id: Mapped[int] = _reference("enclosure.id")


class CameraType(_Kind, Base):
    """A model of camera: `size` is text in arcmin, `pscale` in arcsec per pixel."""

    __tablename__ = "camera_type"
    __table_args__ = _arguments(UniqueConstraint("name"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    code: Mapped[str]
    size: Mapped[str]
    pscale: Mapped[float]
    pixels_x: Mapped[int]
    pixels_y: Mapped[int]
    max_rois: Mapped[int]


class OpticalElement(_Kind, Base):
    """A filter, slit or the like."""

    __tablename__ = "optical_element"
    __table_args__ = _arguments(UniqueConstraint("code"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    code: Mapped[str]
    schedulable: Mapped[bool]


class OpticalElementGroup(_Kind, Base):
    """Elements of which one is in the beam; `type` is a plural, `element_change_overhead` in s."""

    __tablename__ = "optical_element_group"
    __table_args__ = _arguments()

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    type: Mapped[str]
    element_change_overhead: Mapped[float]
    default_id: Mapped[int | None] = _reference("optical_element.id", nullable=True)


class OpticalElementGroupMember(Base):
    """Which elements a group has."""

    __tablename__ = "optical_element_group_member"
    __table_args__ = _arguments()

    group_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.optical_element_group.id"), primary_key=True)
    element_id: Mapped[int] = mapped_column(
        ForeignKey(f"{SCHEMA}.optical_element.id"), primary_key=True, index=True
    )


class Camera(_Kind, Base):
    """A camera; `orientation` in deg counter-clockwise from north."""

    __tablename__ = "camera"
    __table_args__ = _arguments(_unique_code("camera"))

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    orientation: Mapped[float]
    host: Mapped[str]
    camera_type_id: Mapped[int] = _reference("camera_type.id")


class CameraGroup(Base):
    """Which groups of optical elements a camera sees through."""

    __tablename__ = "camera_group"
    __table_args__ = _arguments()

    camera_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.camera.id"), primary_key=True)
    group_id: Mapped[int] = mapped_column(
        ForeignKey(f"{SCHEMA}.optical_element_group.id"), primary_key=True, index=True
    )


class _Ordered(_Kind):
    """Things whose key is text are listed in the order they were made."""

    ordinal: Mapped[int] = mapped_column(BigInteger, Identity())


class ConfigurationType(_Ordered, Base):
    """What a telescope can be asked to do: EXPOSE, SPECTRUM, BIAS."""

    __tablename__ = "configuration_type"
    __table_args__ = _arguments()

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class InstrumentCategory(_Ordered, Base):
    """IMAGE, SPECTRA and the like."""

    __tablename__ = "instrument_category"
    __table_args__ = _arguments()

    code: Mapped[str] = mapped_column(primary_key=True)


class ModeType(_Ordered, Base):
    """What a mode is a mode of: readout, guiding, acquisition, exposure, rotator."""

    __tablename__ = "mode_type"
    __table_args__ = _arguments()

    id: Mapped[str] = mapped_column(primary_key=True)


class GenericMode(_Kind, Base):
    """A mode; `overhead` in s. Codes repeat: each instrument type may have its own OFF."""

    __tablename__ = "generic_mode"
    __table_args__ = _arguments()

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    code: Mapped[str]
    overhead: Mapped[float]
    schedulable: Mapped[bool]
    validation_schema: Mapped[dict[str, Any]] = mapped_column(JSONB)


class InstrumentType(_Kind, Base):
    """A model of instrument, which is what requests name; overheads and paddings in s."""

    __tablename__ = "instrument_type"
    __table_args__ = _arguments(_unique_code("instrument_type"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    code: Mapped[str]
    fixed_overhead_per_exposure: Mapped[float]
    observation_front_padding: Mapped[float]
    config_front_padding: Mapped[float]
    acquire_exposure_time: Mapped[float]
    default_acceptability_threshold: Mapped[float]
    allow_self_guiding: Mapped[bool]
    validation_schema: Mapped[dict[str, Any]] = mapped_column(JSONB)
    instrument_category: Mapped[str | None] = _reference("instrument_category.code", nullable=True)
    default_configuration_type: Mapped[str | None] = _reference("configuration_type.code", nullable=True)


class GenericModeGroup(_Kind, Base):
    """The modes of one type that an instrument type has."""

    __tablename__ = "generic_mode_group"
    __table_args__ = _arguments(UniqueConstraint("instrument_type", "type"))

    id: Mapped[int] = mapped_column(primary_key=True)
    instrument_type: Mapped[int] = _reference("instrument_type.id")
    type: Mapped[str] = _reference("mode_type.id")
    default_id: Mapped[int | None] = _reference("generic_mode.id", nullable=True)


class GenericModeGroupMember(Base):
    """Which modes a group has."""

    __tablename__ = "generic_mode_group_member"
    __table_args__ = _arguments()

    group_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.generic_mode_group.id"), primary_key=True)
    mode_id: Mapped[int] = mapped_column(
        ForeignKey(f"{SCHEMA}.generic_mode.id"), primary_key=True, index=True
    )


class ConfigurationTypeProperties(_Kind, Base):
    """How an instrument type does a configuration type; `config_change_overhead` in s."""

    __tablename__ = "configuration_type_properties"
    __table_args__ = _arguments(
        UniqueConstraint(
            "configuration_type", "instrument_type", name="uq_configuration_type_properties_pair"
        )
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    configuration_type: Mapped[str] = _reference("configuration_type.code")
    instrument_type: Mapped[int] = _reference("instrument_type.id")
    config_change_overhead: Mapped[float]
    schedulable: Mapped[bool]
    force_acquisition_off: Mapped[bool]
    requires_optical_elements: Mapped[bool]
    validation_schema: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Instrument(_Kind, Base):
    """An instrument at a telescope."""

    __tablename__ = "instrument"
    __table_args__ = _arguments(
        Index(
            "uq_instrument_telescope_id_code",
            "telescope_id",
            text("lower(code)"),
            unique=True,
            postgresql_where=text("code <> ''"),
        )
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    state: Mapped[str]
    autoguider_type: Mapped[str]
    telescope_id: Mapped[int] = _reference("telescope.id")
    instrument_type_id: Mapped[int] = _reference("instrument_type.id")
    autoguider_camera_id: Mapped[int] = _reference("camera.id")


class InstrumentCamera(Base):
    """Which cameras an instrument takes science data with."""

    __tablename__ = "instrument_camera"
    __table_args__ = _arguments()

    instrument_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.instrument.id"), primary_key=True)
    camera_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.camera.id"), primary_key=True, index=True)


class Revision(Base):
    """One write of the configuration, from whichever door: who, when, why."""

    __tablename__ = "revision"
    __table_args__ = _arguments()

    id: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[datetime]
    username: Mapped[str]
    comment: Mapped[str]


class Version(Base):
    """One thing before and after a revision; no `before`: it was made, no `after`: it was deleted."""

    __tablename__ = "version"
    __table_args__ = _arguments(Index(None, "kind", "object_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = _reference("revision.id")
    kind: Mapped[str]
    object_id: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
