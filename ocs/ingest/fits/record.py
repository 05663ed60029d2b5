"""From a file in a watch folder to the record the archive stores."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from .errors import BadHeaderValueError, MissingHeadersError, UnsafeNameError, UnsupportedFileTypeError
from .footprint import Polygon, aperture_square, image_corners
from .structure import Limits, first_fits_in_tar, looks_like_fits, read_headers

LARGEST_ID = 2_147_483_647
LARGEST_REDUCTION_LEVEL = 32_767
NEVER_PUBLIC = timedelta(days=365 * 999)
INTEGER_KEYS = ("request_id_key", "requestgroup_id_key", "observation_id_key", "configuration_id_key")
FILE_NAME_TYPES = {"trace": "TRACE", "arc": "ARC"}
FIRST_LETTER_TYPES = {
    "b": "BIAS",
    "d": "DARK",
    "f": "SKYFLAT",
    "g": "GUIDE",
    "s": "STANDARD",
    "w": "LAMPFLAT",
    "x": "EXPERIMENTAL",
}


class FileKind(StrEnum):
    """How headers are found in a file."""

    FITS = "fits"
    NAMED_FITS = "named_fits"  # gaps in the headers are filled from the file name
    TAR = "tar"
    DATA = "data"  # all metadata come beside the file
    THUMBNAIL = "thumbnail"


@dataclass(frozen=True)
class HeaderRules:
    """Which keywords mean what, and when data become public.

    Each ``*_key`` is the FITS keyword of the record field it is named after. Comparisons are case-sensitive.

    Attributes
    ----------
    file_kinds : mapping
        Extension with its dot, such as ``.fits.fz``, to the kind of file.
    required_headers, required_thumbnail_headers : tuple of str
        Must be present, empty values pass.
    days_until_public : int
        Proprietary period in days after the observation date.
    public_proposals, private_proposals : tuple of str
        Parts of proposal ids whose data are public at once, or never.
    private_file_types : tuple of str
        Parts of basenames that are never public.
    """

    observation_date_key: str = "DATE-OBS"
    observation_day_key: str = "DAY-OBS"
    observation_end_time_key: str = "UTSTOP"
    reduction_level_key: str = "RLEVEL"
    exposure_time_key: str = "EXPTIME"
    instrument_id_key: str = "INSTRUME"
    site_id_key: str = "SITEID"
    telescope_id_key: str = "TELID"
    observation_id_key: str = "BLKUID"
    configuration_id_key: str = "MOLUID"
    requestgroup_id_key: str = "TRACKNUM"
    request_id_key: str = "REQNUM"
    primary_optical_element_key: str = "FILTER"
    target_name_key: str = "OBJECT"
    configuration_type_key: str = "OBSTYPE"
    proposal_id_key: str = "PROPID"
    public_date_key: str = "L1PUBDAT"
    catalog_target_frame_key: str = "L1IDCAT"
    radius_key: str = "RADIUS"
    ra_key: str = "RA"
    dec_key: str = "DEC"
    thumbnail_frame_basename_key: str = "frame_basename"
    thumbnail_size_key: str = "size"
    related_frame_keys: tuple[str, ...] = (
        *("L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "L1IDARC"),
        *("L1ID1D", "L1ID2D", "L1IDSUM", "TARFILE", "ORIGNAME", "ARCFILE", "FLATFILE", "GUIDETAR"),
    )
    required_headers: tuple[str, ...] = (
        *("PROPID", "DATE-OBS", "DAY-OBS", "INSTRUME", "SITEID", "TELID", "OBSTYPE", "BLKUID"),
    )
    required_thumbnail_headers: tuple[str, ...] = (
        *("frame_basename", "size", "DATE-OBS", "DAY-OBS", "INSTRUME", "SITEID", "TELID"),
    )
    header_blacklist: tuple[str, ...] = ("HISTORY", "COMMENT")
    null_header_values: tuple[str, ...] = ("N/A", "UNSPECIFIED", "UNKNOWN")
    calibration_types: tuple[str, ...] = ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL")
    public_proposals: tuple[str, ...] = ("EPO", "calib", "standard", "pointing")
    private_proposals: tuple[str, ...] = ("LCOEngineering",)
    private_file_types: tuple[str, ...] = ("-t00", "-x00")
    public_proposal_tags: tuple[str, ...] = ("public",)
    private_proposal_tags: tuple[str, ...] = ("private", "internal")
    days_until_public: int = 365
    file_kinds: Mapping[str, FileKind] = field(
        default_factory=lambda: {
            ".fits": FileKind.FITS,
            ".fits.fz": FileKind.NAMED_FITS,
            ".tar.gz": FileKind.TAR,
            ".pdf": FileKind.DATA,
            ".jpg": FileKind.THUMBNAIL,
            ".jpeg": FileKind.THUMBNAIL,
        }
    )


@dataclass(frozen=True)
class FrameRecord:
    """What the archive is told about one file; field names are those of ``POST /frames/``.

    Attributes
    ----------
    observation_date, public_date : str or None
        ISO 8601 text, UTC.
    observation_day : str
        Local date of the night as the header writes it.
    exposure_time : float or None
        Seconds.
    area : dict or None
        GeoJSON Polygon in degrees.
    size : str
        Size class of a thumbnail; empty for frames.
    path : str
        Place in the object store, ``/`` separated.
    file_size_bytes : int
        Length of the file.
    public_date_given : bool
        The file itself says when it becomes public.
    """

    reduction_level: int
    observation_day: str
    observation_date: str | None
    proposal_id: str
    instrument_id: str
    target_name: str
    site_id: str
    telescope_id: str
    exposure_time: float | None
    primary_optical_element: str
    public_date: str | None
    configuration_type: str
    observation_id: int | None
    request_id: int | None
    related_frame_filenames: tuple[str, ...]
    frame_basename: str | None
    size: str
    headers: dict[str, Any]
    area: Polygon | None
    basename: str
    extension: str
    kind: FileKind
    path: str
    content_type: str
    md5: str
    file_size_bytes: int
    public_date_given: bool

    @property
    def filename(self) -> str:
        """Name of the file, without folders."""
        return self.basename + self.extension


def split_name(filename: str) -> tuple[str, str]:
    """Basename and extension of a file name: they part at the **first** dot."""
    basename, dot, rest = filename.partition(".")
    return basename, dot + rest


def read_record(
    path: Path,
    rules: HeaderRules | None = None,
    file_metadata: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> FrameRecord:
    """Read and check one file. Slow (milliseconds to seconds): belongs in a worker process.

    Parameters
    ----------
    path : Path
        The file; its name decides how it is read.
    rules : HeaderRules, optional
        Keywords and public dates; the defaults are those of the Las Cumbres pipeline.
    file_metadata : mapping, optional
        Keywords that came beside the file; they override the file's own.
    limits : Limits, optional
        What reading may cost.

    Returns
    -------
    FrameRecord

    Raises
    ------
    IngestFileError
        The file cannot be accepted; no retry will change that.
    OSError
        The file cannot be read now.
    """
    rules, limits = rules or HeaderRules(), limits or Limits()
    basename, extension = split_name(path.name)
    kind = _kind(path.name, extension, rules)
    required = rules.required_thumbnail_headers if kind is FileKind.THUMBNAIL else rules.required_headers
    metadata = {key: _json_value(path.name, key, value) for key, value in (file_metadata or {}).items()}
    headers = _first_complete(path, kind, limits, metadata, required)

    if headers.get(rules.observation_day_key) in (None, ""):
        day = str(headers.get(rules.observation_date_key) or "")
        headers[rules.observation_day_key] = day[:10].replace("-", "")
    public_date_given = headers.get(rules.public_date_key) not in (None, "")
    if not public_date_given:
        headers[rules.public_date_key] = _public_date(path.name, headers, rules)
    if kind is not FileKind.DATA:
        _repair_values(headers, rules, related=kind is not FileKind.THUMBNAIL)
    if kind is FileKind.NAMED_FITS:
        _fill_from_name(path.name, headers, rules)

    def text(key: str) -> str:
        value = headers.get(key)
        return "" if value is None else str(value)

    site, instrument = text(rules.site_id_key), text(rules.instrument_id_key)
    day, obstype = text(rules.observation_day_key), text(rules.configuration_type_key)
    level = _integer(path.name, headers, rules.reduction_level_key, LARGEST_REDUCTION_LEVEL) or 0
    if kind is FileKind.THUMBNAIL:
        folders = [site, instrument, day, "thumbnails"]
    elif kind is FileKind.NAMED_FITS and _is_bad_pixel_mask(basename, headers, obstype):
        folders = [site, instrument, "bpm"]
    else:
        folders = [site, instrument, day, "processed" if level else "raw"]
    _check_names(path.name, [*folders, basename, extension])
    _check_date(path.name, headers, rules.public_date_key)
    with path.open("rb") as stream:
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        file_size_bytes = stream.tell()
    is_image = kind in (FileKind.FITS, FileKind.NAMED_FITS)
    return FrameRecord(
        reduction_level=level,
        observation_day=day,
        observation_date=_check_date(path.name, headers, rules.observation_date_key),
        proposal_id=text(rules.proposal_id_key),
        instrument_id=instrument,
        target_name=text(rules.target_name_key),
        site_id=site,
        telescope_id=text(rules.telescope_id_key),
        exposure_time=_number(path.name, headers, rules.exposure_time_key),
        primary_optical_element=text(rules.primary_optical_element_key),
        public_date=text(rules.public_date_key) or None,
        configuration_type=obstype,
        observation_id=_integer(path.name, headers, rules.observation_id_key, LARGEST_ID),
        request_id=_integer(path.name, headers, rules.request_id_key, LARGEST_ID),
        related_frame_filenames=_related(headers, rules) if is_image or kind is FileKind.TAR else (),
        frame_basename=text(rules.thumbnail_frame_basename_key) or None,
        size=text(rules.thumbnail_size_key),
        headers=headers,
        area=_area(headers, rules) if is_image or kind is FileKind.TAR else None,
        basename=basename,
        extension=extension,
        kind=kind,
        path="/".join([*folders, path.name]),
        content_type=_content_type(kind, extension),
        md5=md5,
        file_size_bytes=file_size_bytes,
        public_date_given=public_date_given,
    )


def with_proposal_tags(record: FrameRecord, tags: set[str], rules: HeaderRules) -> FrameRecord:
    """Let the tags of the frame's proposal decide when it becomes public, unless its file says so."""
    if record.public_date_given or record.observation_date is None:
        return record
    if tags & set(rules.private_proposal_tags):
        public_date = _later(
            record.filename, record.observation_date, NEVER_PUBLIC, rules.observation_date_key
        )
    elif tags & set(rules.public_proposal_tags):
        public_date = record.observation_date
    else:
        return record
    headers = {**record.headers, rules.public_date_key: public_date}
    return replace(record, public_date=public_date, headers=headers)


def _kind(filename: str, extension: str, rules: HeaderRules) -> FileKind:
    try:
        return rules.file_kinds[extension]
    except KeyError:
        known = ", ".join(sorted(rules.file_kinds))
        shown = f"'{extension}'" if extension else "no extension"
        raise UnsupportedFileTypeError(
            filename,
            f"files with {shown} are not ingested (it starts at the first dot, its case matters). "
            f"Rename it to one of {known}.",
        ) from None


def _first_complete(
    path: Path, kind: FileKind, limits: Limits, metadata: dict[str, Any], required: tuple[str, ...]
) -> dict[str, Any]:
    """Headers of the first HDU that, under the metadata, holds all required keywords."""
    if kind in (FileKind.DATA, FileKind.THUMBNAIL):
        candidates = [metadata]
    else:
        stream = first_fits_in_tar(path, limits) if kind is FileKind.TAR else path.open("rb")
        with closing(stream):
            if metadata and not looks_like_fits(stream):
                candidates = [metadata]
            else:
                candidates = []
                for found in read_headers(stream, path.name, limits):
                    converted = {key: _json_value(path.name, key, value) for key, value in found.items()}
                    candidates.append({**converted, **metadata})
                    if all(key in candidates[-1] for key in required):
                        break
    for headers in candidates:
        if all(key in headers for key in required):
            return dict(headers)
    missing = min(([key for key in required if key not in headers] for headers in candidates), key=len)
    where = "its metadata lack" if kind in (FileKind.DATA, FileKind.THUMBNAIL) else "the best HDU lacks"
    raise MissingHeadersError(
        path.name,
        f"{where} {', '.join(missing)}. One HDU must hold all of {', '.join(required)}; they may be empty.",
    )


def _json_value(filename: str, key: str, value: Any) -> Any:
    """Convert a header value to one that JSON can hold."""
    if hasattr(value, "item"):  # numpy scalars in metadata
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, complex):
        return str(value)
    raise BadHeaderValueError(
        filename, f"{key} is {type(value).__name__}. Give text, a number, true, false or null."
    )


def _public_date(filename: str, headers: dict[str, Any], rules: HeaderRules) -> str | None:
    date = headers.get(rules.observation_date_key)
    if date in (None, ""):
        return None
    proposal = str(headers.get(rules.proposal_id_key) or "")
    obstype = headers.get(rules.configuration_type_key)
    if obstype in rules.calibration_types or any(part in proposal for part in rules.public_proposals):
        return str(date)
    period = timedelta(days=rules.days_until_public)
    if any(part in proposal for part in rules.private_proposals) or any(
        part in split_name(filename)[0] for part in rules.private_file_types
    ):
        period = NEVER_PUBLIC
    return _later(filename, str(date), period, rules.observation_date_key)


def _later(filename: str, date: str, period: timedelta, key: str) -> str:
    try:
        return (datetime.fromisoformat(date) + period).isoformat()
    except (ValueError, OverflowError) as error:
        raise _bad_date(filename, key, date) from error


def _check_date(filename: str, headers: dict[str, Any], key: str) -> str | None:
    value = headers.get(key)
    if value in (None, ""):
        return None
    try:
        datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _bad_date(filename, key, str(value)) from error
    return str(value)


def _bad_date(filename: str, key: str, value: str) -> BadHeaderValueError:
    return BadHeaderValueError(
        filename, f"{key} = {value!r} is not a date. Write it as YYYY-MM-DDThh:mm:ss.sss in UTC."
    )


def _repair_values(headers: dict[str, Any], rules: HeaderRules, *, related: bool) -> None:
    """Drop commentary, empty the ways of saying "nothing", and cut extensions off names of other frames."""
    integer_keys = {getattr(rules, name) for name in INTEGER_KEYS}
    if related:
        for key in ("", *rules.header_blacklist):
            headers.pop(key, None)
    for key, value in headers.items():
        if key in integer_keys and (value in rules.null_header_values or "NONE" in str(value)):
            headers[key] = None
        elif value in rules.null_header_values:
            headers[key] = ""
    if related:
        for key in rules.related_frame_keys:
            if headers.get(key):
                headers[key] = split_name(str(headers[key]))[0]


def _fill_from_name(filename: str, headers: dict[str, Any], rules: HeaderRules) -> None:
    basename, _ = split_name(filename)
    plain = basename.replace("_cat", "")
    if plain != basename:
        headers.setdefault(rules.catalog_target_frame_key, plain)
        headers[rules.configuration_type_key] = "CATALOG"
    if headers.get(rules.configuration_type_key) in (None, ""):
        headers[rules.configuration_type_key] = _type_from_name(filename, basename, headers)
    if headers.get(rules.reduction_level_key) in (None, ""):
        level = plain[-2:]
        headers[rules.reduction_level_key] = int(level) if level.isascii() and level.isdigit() else 0


def _type_from_name(filename: str, basename: str, headers: dict[str, Any]) -> str:
    """Type of an observation from ``<site><telescope>-<instrument>-<day>-<number>-<letter>NN``."""
    parts = basename.split("-")
    if parts[0] in FILE_NAME_TYPES:
        return FILE_NAME_TYPES[parts[0]]
    if len(parts) > 3 and parts[3] in ("bias", "bpm"):
        return parts[3].upper()
    letter = parts[4][:1] if len(parts) > 4 else ""
    is_nres = any("igl" in str(headers.get(key, "")) for key in ("ENCID", "TELID"))
    if letter == "e":
        return "TARGET" if is_nres else "SPECTRUM" if "en" in parts[1] else "EXPOSE"
    if letter == "a":
        return "DOUBLE" if is_nres else "ARC"
    if letter in FIRST_LETTER_TYPES:
        return FIRST_LETTER_TYPES[letter]
    raise BadHeaderValueError(
        filename, "the observation type is neither in its header nor in its name. Write it into OBSTYPE."
    )


def _is_bad_pixel_mask(basename: str, headers: dict[str, Any], obstype: str) -> bool:
    name = "-" + basename.replace("_", "-") + "-"
    return obstype == "BPM" or headers.get("EXTNAME") == "BPM" or "-bpm-" in name


def _check_names(filename: str, names: list[str]) -> None:
    for name in names:
        if "/" in name or ".." in name or not (name.isprintable() or not name) or len(name.encode()) > 200:
            raise UnsafeNameError(
                filename,
                f"{name[:40]!r} cannot be part of a path. Site, instrument, day and file name must be plain "
                "names of at most 200 bytes.",
            )


def _number(filename: str, headers: dict[str, Any], key: str) -> float | None:
    value = headers.get(key)
    if value in (None, ""):
        return None
    try:
        number = float(str(value))
        if math.isfinite(number):
            return number
    except ValueError:
        pass
    raise BadHeaderValueError(filename, f"{key} = {value!r} is not a number. Correct it, or leave it empty.")


def _integer(filename: str, headers: dict[str, Any], key: str, largest: int) -> int | None:
    number = _number(filename, headers, key)
    if number is None:
        return None
    if number != int(number) or not 0 <= number <= largest:
        raise BadHeaderValueError(
            filename,
            f"{key} = {headers[key]!r} is not a whole number of 0 to {largest}. Correct or empty it.",
        )
    return int(number)


def _related(headers: dict[str, Any], rules: HeaderRules) -> tuple[str, ...]:
    return tuple(str(headers[key]) for key in rules.related_frame_keys if headers.get(key))


def _area(headers: dict[str, Any], rules: HeaderRules) -> Polygon | None:
    aperture = [headers.get(key) for key in (rules.ra_key, rules.dec_key, rules.radius_key)]
    if all(value not in (None, "") for value in aperture):
        return aperture_square(*aperture)
    return image_corners(headers)


def _content_type(kind: FileKind, extension: str) -> str:
    if kind is FileKind.THUMBNAIL:
        return f"image/{extension[1:]}"
    if kind is FileKind.DATA:
        return "application/pdf" if extension == ".pdf" else "application/octet-stream"
    return "application/x-tar" if kind is FileKind.TAR else "image/fits"
