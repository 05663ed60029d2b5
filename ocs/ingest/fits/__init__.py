"""Reading FITS files into archive records: no database, no clock, no network."""

from .errors import (
    BadHeaderValueError,
    BrokenArchiveError,
    FileTooComplexError,
    IngestFileError,
    MalformedFitsError,
    MissingHeadersError,
    TruncatedFitsError,
    UnsafeNameError,
    UnsupportedFileTypeError,
)
from .record import FileKind, FrameRecord, HeaderRules, read_record, split_name, with_proposal_tags
from .structure import Limits

__all__ = [
    "BadHeaderValueError",
    "BrokenArchiveError",
    "FileKind",
    "FileTooComplexError",
    "FrameRecord",
    "HeaderRules",
    "IngestFileError",
    "Limits",
    "MalformedFitsError",
    "MissingHeadersError",
    "TruncatedFitsError",
    "UnsafeNameError",
    "UnsupportedFileTypeError",
    "read_record",
    "split_name",
    "with_proposal_tags",
]
