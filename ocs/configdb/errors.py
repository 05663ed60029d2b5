"""What can go wrong with the configuration."""

from ocs.kernel.errors import Conflict, InvalidInput


class InvalidConfiguration(InvalidInput):
    """What was sent does not make a valid configuration; the body names the fields."""

    code = "invalid_configuration"


class StillInUse(Conflict):
    """Other things need what is to be deleted."""

    code = "still_in_use"


class CannotRevert(Conflict):
    """The configuration has moved on, so that an old version does not fit any more."""

    code = "cannot_revert"


class NotExportable(Conflict):
    """The configuration has things that a file could not tell apart."""

    code = "not_exportable"
