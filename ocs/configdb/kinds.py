"""What kinds of things a configuration is made of, and how they hang together.

The order is the order of creation: a kind refers to kinds above it only. Reading, writing, history and the
observatory file all work from this table, so that a new kind is one entry and its table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Column, Double, Table

from ocs.configdb import models
from ocs.kernel.database import Base


class OnDelete(Enum):
    """What the deletion of a thing means for those that refer to it."""

    REFUSE = "refuse"  # never while it is used
    FORCE = "force"  # refused, unless forced: then they go along
    OWNED = "owned"  # they are its parts and go along


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that holds the key of another thing."""

    kind: str
    on_delete: OnDelete


@dataclass(frozen=True, slots=True)
class Members:
    """A list of keys, kept in a table of pairs.

    `keep_one`: the list may not become empty, so its owner goes along with the last member.
    """

    kind: str
    table: Table
    owner: str
    member: str
    keep_one: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing.

    Attributes
    ----------
    name
        Name in our tables and the history.
    path
        Where it is found on the wire.
    title
        Name in "No ... matches the given query."
    key
        Field that identifies it.
    unique
        Groups of fields that no two share.
    folds_case
        Whether codes that differ in case only count as the same.
    """

    name: str
    path: str
    title: str
    model: type[Base]
    key: str = "id"
    references: Mapping[str, Reference] = field(default_factory=dict)
    members: Mapping[str, Members] = field(default_factory=dict)
    unique: tuple[tuple[str, ...], ...] = ()
    folds_case: bool = False

    @property
    def table(self) -> Table:
        """Where it is kept."""
        table = self.model.__table__
        assert isinstance(table, Table)
        return table

    @property
    def columns(self) -> list[Column[object]]:
        """Columns that belong to the thing itself."""
        return [column for column in self.table.columns if column.name != "ordinal"]

    @property
    def floats(self) -> list[str]:
        """Fields that are floating point numbers."""
        return [column.name for column in self.columns if isinstance(column.type, Double)]

    @property
    def label(self) -> str:
        """Name in a sentence."""
        return self.name.replace("_", " ")

    @property
    def has_serial_key(self) -> bool:
        """Whether the database numbers these things."""
        return self.table.columns[self.key].type.python_type is int


def _members(kind: str, model: type[Base], owner: str, member: str, *, keep_one: bool = False) -> Members:
    table = model.__table__
    assert isinstance(table, Table)
    return Members(kind, table, owner, member, keep_one)


REFUSE, FORCE, OWNED = OnDelete.REFUSE, OnDelete.FORCE, OnDelete.OWNED

_ALL = (
    Kind("site", "sites", "Site", models.Site, unique=(("code",),), folds_case=True),
    Kind(
        "enclosure",
        "enclosures",
        "Enclosure",
        models.Enclosure,
        references={"site_id": Reference("site", FORCE)},
        unique=(("code", "site_id"),),
        folds_case=True,
    ),
    Kind(
        "telescope",
        "telescopes",
        "Telescope",
        models.Telescope,
        references={"enclosure_id": Reference("enclosure", FORCE)},
        unique=(("code", "enclosure_id"),),
        folds_case=True,
    ),
    Kind("camera_type", "cameratypes", "CameraType", models.CameraType, unique=(("name",),)),
    Kind("optical_element", "opticalelements", "OpticalElement", models.OpticalElement, unique=(("code",),)),
    Kind(
        "optical_element_group",
        "opticalelementgroups",
        "OpticalElementGroup",
        models.OpticalElementGroup,
        references={"default_id": Reference("optical_element", REFUSE)},
        members={
            "optical_element_ids": _members(
                "optical_element", models.OpticalElementGroupMember, "group_id", "element_id"
            )
        },
    ),
    Kind(
        "camera",
        "cameras",
        "Camera",
        models.Camera,
        references={"camera_type_id": Reference("camera_type", FORCE)},
        members={
            "optical_element_group_ids": _members(
                "optical_element_group", models.CameraGroup, "camera_id", "group_id"
            )
        },
        unique=(("code",),),
        folds_case=True,
    ),
    Kind(
        "configuration_type",
        "configurationtypes",
        "ConfigurationType",
        models.ConfigurationType,
        key="code",
        unique=(("code",),),
    ),
    Kind(
        "instrument_category",
        "instrumentcategories",
        "InstrumentCategory",
        models.InstrumentCategory,
        key="code",
        unique=(("code",),),
    ),
    Kind("mode_type", "modetypes", "ModeType", models.ModeType, unique=(("id",),)),
    Kind("generic_mode", "genericmodes", "GenericMode", models.GenericMode),
    Kind(
        "instrument_type",
        "instrumenttypes",
        "InstrumentType",
        models.InstrumentType,
        references={
            "instrument_category": Reference("instrument_category", REFUSE),
            "default_configuration_type": Reference("configuration_type", REFUSE),
        },
        unique=(("code",),),
        folds_case=True,
    ),
    Kind(
        "configuration_type_properties",
        "configurationtypeproperties",
        "ConfigurationTypeProperties",
        models.ConfigurationTypeProperties,
        references={
            "configuration_type": Reference("configuration_type", FORCE),
            "instrument_type": Reference("instrument_type", OWNED),
        },
        unique=(("configuration_type", "instrument_type"),),
    ),
    Kind(
        "generic_mode_group",
        "genericmodegroups",
        "GenericModeGroup",
        models.GenericModeGroup,
        references={
            "instrument_type": Reference("instrument_type", OWNED),
            "type": Reference("mode_type", REFUSE),
            "default_id": Reference("generic_mode", REFUSE),
        },
        members={"mode_ids": _members("generic_mode", models.GenericModeGroupMember, "group_id", "mode_id")},
        unique=(("instrument_type", "type"),),
    ),
    Kind(
        "instrument",
        "instruments",
        "Instrument",
        models.Instrument,
        references={
            "telescope_id": Reference("telescope", FORCE),
            "instrument_type_id": Reference("instrument_type", FORCE),
            "autoguider_camera_id": Reference("camera", FORCE),
        },
        members={
            "science_cameras_ids": _members(
                "camera", models.InstrumentCamera, "instrument_id", "camera_id", keep_one=True
            )
        },
        unique=(("code", "telescope_id"),),
        folds_case=True,
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def referring(name: str) -> Iterable[tuple[Kind, str, Reference]]:
    """Give every (kind, column, reference) that points at kind `name`."""
    for kind in KINDS.values():
        for column, reference in kind.references.items():
            if reference.kind == name:
                yield kind, column, reference


def listing(name: str) -> Iterable[tuple[Kind, str, Members]]:
    """Give every (kind, list field, members) whose members are of kind `name`."""
    for kind in KINDS.values():
        for column, members in kind.members.items():
            if members.kind == name:
                yield kind, column, members
