"""Failures of a whole call. What is wrong with one target is a `RowError` in the answer instead."""


class VisibilityError(ValueError):
    """Base: the call as a whole has no answer. `code` is stable, the text is for the astronomer."""

    code = "visibility"


class OutsideEphemeris(VisibilityError):
    """A time lies outside the packaged positions of Sun, Moon and Earth."""

    code = "outside_ephemeris"


class InvalidSite(VisibilityError):
    """A site value is not a number or outside its range."""

    code = "invalid_site"


class InvalidArgument(VisibilityError):
    """An argument that belongs to the whole call is not acceptable."""

    code = "invalid_argument"
