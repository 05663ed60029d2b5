"""The door of the configuration for other modules."""

from ocs.configdb import service
from ocs.configdb.observatory import (
    Camera,
    CameraGeometry,
    CameraType,
    ConfigurationType,
    ElementGroup,
    Enclosure,
    Instrument,
    InstrumentType,
    Mode,
    ModeGroup,
    Observatory,
    OpticalElement,
    OpticalElementGroup,
    Overheads,
    Site,
    Telescope,
    telescope_class,
)
from ocs.kernel.database import ReadSession

__all__ = [
    "Camera",
    "CameraGeometry",
    "CameraType",
    "ConfigurationType",
    "ElementGroup",
    "Enclosure",
    "Instrument",
    "InstrumentType",
    "Mode",
    "ModeGroup",
    "Observatory",
    "OpticalElement",
    "OpticalElementGroup",
    "Overheads",
    "Site",
    "Telescope",
    "observatory",
    "telescope_class",
]


async def observatory(session: ReadSession) -> Observatory:
    """Return the whole configuration as frozen objects.

    It is kept in the process as long as it is unchanged, so this costs one small statement. A transaction
    that changed the configuration itself sees its own changes.
    """
    return (await service.snapshot(session)).observatory
