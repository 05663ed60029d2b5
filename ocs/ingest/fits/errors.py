"""Why a file cannot become an archive record.

::

    IngestFileError                400
    ├── UnsupportedFileTypeError   the extension belongs to no known kind of file
    ├── UnsafeNameError            a part of the storage path would leave its folder
    ├── MalformedFitsError         not FITS, damaged, or against the standard
    │   └── TruncatedFitsError     shorter than its own headers announce
    ├── BrokenArchiveError         a .tar.gz that cannot be unpacked or holds no FITS file
    ├── MissingHeadersError        no HDU holds every required keyword
    ├── BadHeaderValueError        a keyword is there, its value cannot be used
    └── FileTooComplexError        413: beyond the limits on unpacked bytes or header cards

Every text names the file, the header where there is one, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class IngestFileError(Exception):
    """A file that no retry will ingest.

    Parameters
    ----------
    filename : str
        Name of the offending file, without folders.
    problem : str
        What is wrong and what to do about it; one sentence each.
    """

    code: ClassVar[str] = "ingest_file_error"
    status: ClassVar[int] = 400

    def __init__(self, filename: str, problem: str) -> None:
        super().__init__(filename, problem)
        self.filename = filename
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.filename}: {self.problem}"


class UnsupportedFileTypeError(IngestFileError):
    """The part of the name after the first dot belongs to no known kind of file."""

    code = "unsupported_file_type"


class UnsafeNameError(IngestFileError):
    """Site, instrument, day or name would lead the storage path out of its folder."""

    code = "unsafe_name"


class MalformedFitsError(IngestFileError):
    """The bytes are not a FITS file as the standard describes it."""

    code = "malformed_fits"


class TruncatedFitsError(MalformedFitsError):
    """The file ends before the data its headers announce."""

    code = "truncated_fits"


class BrokenArchiveError(IngestFileError):
    """The packed file cannot be read to its end, or no FITS file is in it."""

    code = "broken_archive"


class MissingHeadersError(IngestFileError):
    """No HDU, with the metadata that came beside the file, holds every required keyword."""

    code = "missing_headers"


class BadHeaderValueError(IngestFileError):
    """A keyword whose value the archive cannot store."""

    code = "bad_header_value"


class FileTooComplexError(IngestFileError):
    """More unpacked bytes or header cards than one file may cost."""

    code = "file_too_complex"
    status = 413
