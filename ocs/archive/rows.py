"""Frames as they stand on the wire, as plain objects ready for JSON."""

from collections.abc import Sequence
from typing import Any

from ocs.archive import sky
from ocs.archive.addresses import Addresses
from ocs.archive.models import Frame, Thumbnail, Version
from ocs.kernel.wire.types import iso_z

_OLD_NAMES = {
    "DATE_OBS": "observation_date",
    "DAY_OBS": "observation_day",
    "PROPID": "proposal_id",
    "INSTRUME": "instrument_id",
    "OBJECT": "target_name",
    "RLEVEL": "reduction_level",
    "SITEID": "site_id",
    "TELID": "telescope_id",
    "EXPTIME": "exposure_time",
    "FILTER": "primary_optical_element",
    "L1PUBDAT": "public_date",
    "OBSTYPE": "configuration_type",
    "BLKUID": "observation_id",
    "REQNUM": "request_id",
}

Row = dict[str, Any]


def _columns(frame: Frame) -> Row:
    date, public = frame.observation_date, frame.public_date
    return {
        "observation_date": None if date is None else iso_z(date),
        "observation_day": None if frame.observation_day is None else frame.observation_day.isoformat(),
        "proposal_id": frame.proposal_id,
        "instrument_id": frame.instrument_id,
        "target_name": frame.target_name,
        "reduction_level": frame.reduction_level,
        "site_id": frame.site_id,
        "telescope_id": frame.telescope_id,
        "exposure_time": frame.exposure_time,
        "primary_optical_element": frame.primary_optical_element,
        "public_date": None if public is None else iso_z(public),
        "configuration_type": frame.configuration_type,
        "observation_id": frame.observation_id,
        "request_id": frame.request_id,
    }


def version_row(version: Version, basename: str, addresses: Addresses) -> Row:
    """Return one version."""
    return {
        "id": version.id,
        "created": iso_z(version.created),
        "key": version.key,
        "md5": version.md5,
        "extension": version.extension,
        "url": addresses.of_version(version, basename),
    }


def thumbnail_row(thumbnail: Thumbnail, addresses: Addresses) -> Row:
    """Return one thumbnail."""
    return {
        "id": thumbnail.id,
        "frame": thumbnail.frame_id,
        "size": thumbnail.size,
        "basename": thumbnail.basename,
        "extension": thumbnail.extension,
        "key": thumbnail.key,
        "url": addresses.of_thumbnail(thumbnail),
    }


def _files(frame: Frame, versions: Sequence[Version], addresses: Addresses) -> Row:
    rows = [version_row(version, frame.basename, addresses) for version in versions]
    newest = rows[0] if rows else None
    return {
        "version_set": rows,
        "url": newest and newest["url"],
        "filename": newest and frame.basename + newest["extension"],
    }


def flat_row(
    frame: Frame,
    versions: Sequence[Version],
    addresses: Addresses,
    *,
    related: Sequence[int] | None,
    thumbnails: Sequence[Thumbnail] | None,
) -> Row:
    """Return a frame as in lists; None for `related` or `thumbnails` leaves the key out."""
    columns = _columns(frame)
    row = {"id": frame.id, "basename": frame.basename, **columns, **_files(frame, versions, addresses)}
    if thumbnails is not None:
        row["thumbnails"] = [thumbnail_row(thumbnail, addresses) for thumbnail in thumbnails]
    row.update((old, columns[name]) for old, name in _OLD_NAMES.items())
    if frame.area is not None:
        row["area"] = sky.normalised(frame.area)
    if related is not None:
        row["related_frames"] = list(related)
    return row


def model_row(frame: Frame, versions: Sequence[Version], related: Sequence[int], addresses: Addresses) -> Row:
    """Return a frame as it was written."""
    files = _files(frame, versions, addresses)
    return {
        "id": frame.id,
        "basename": frame.basename,
        "area": frame.area,
        "related_frames": list(related),
        "version_set": files["version_set"],
        "filename": files["filename"],
        "url": files["url"],
        **_columns(frame),
    }
