"""What can go wrong with a downtime."""

from ocs.kernel.errors import InvalidInput, NotFound


class InvalidDowntime(InvalidInput):
    """What was sent does not make a downtime; the body names the fields."""

    code = "invalid_downtime"


class NoSuchDowntime(NotFound):
    """There is no such downtime."""

    code = "no_such_downtime"
    detail = "No Downtime matches the given query."
