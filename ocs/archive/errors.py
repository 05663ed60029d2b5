"""What the archive refuses.

::

    InvalidInput          400
    ├── InvalidFrame          the record breaks a rule; the body names the field
    ├── DuplicateVersion      these bytes, or this key, are stored already
    ├── FileMissing           the bytes are not where the client says it put them
    └── InvalidGeometry       `covers` or `intersects` cannot be read
    FrameNotFound         404
    ├── InvalidCursor         the cursor is not one of ours
    └── AddressNotValid       a download address that is not ours, or whose time is over
    StoreBusy             503   the bytes at the place changed meanwhile; upload again
    QueryTookTooLong      599   a menu over too many frames for the caller's time limit
"""

from ocs.kernel.errors import InvalidInput, NotFound, OcsError, Unavailable


class InvalidFrame(InvalidInput):
    """The record breaks a rule of the archive."""

    code = "invalid_frame"
    detail = "The frame's record is not valid."


class DuplicateVersion(InvalidInput):
    """The bytes or the key of a version are stored already; nothing is to be done."""

    code = "duplicate_version"
    detail = "This file is in the archive already."

    def __init__(self, versions: list[dict[str, list[str]]]) -> None:
        super().__init__(body={"version_set": versions})


class FileMissing(InvalidInput):
    """The bytes of a version are not in the store."""

    code = "file_missing"
    detail = "The file is not in the object store; write it there before its record is sent."

    def __init__(self, path: str) -> None:
        super().__init__(
            body={
                "version_set": [
                    f"There is no file {path} in the object store; write it there, then send its record."
                ]
            }
        )


class InvalidGeometry(InvalidInput):
    """A geometry in the query cannot be read."""

    code = "invalid_geometry"
    detail = "The geometry cannot be read."

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(
            body=[
                f"Invalid {parameter}: {reason}. Write POINT(RA DEC) or POLYGON((RA DEC, ...)), in degrees."
            ]
        )


class StoreBusy(Unavailable):
    """The bytes in the store are not, or no longer, those of the record."""

    code = "store_busy"
    detail = "The file in the object store is not the one of this record; upload it again."


class FrameNotFound(NotFound):
    """No such frame, or not the caller's to see."""

    code = "frame_not_found"


class InvalidCursor(NotFound):
    """The cursor is not one of ours."""

    code = "invalid_cursor"
    detail = "Invalid cursor"


class AddressNotValid(NotFound):
    """A download address that is not ours, or whose time is over."""

    code = "address_not_valid"
    detail = "This download address is not valid, or no longer; read the frame again for a new one."


class QueryTookTooLong(OcsError):
    """The query was ended at the time limit the caller set."""

    status = 599
    code = "query_took_too_long"
    detail = "The query took longer than its limit; ask for a shorter time, or raise query_timeout."
