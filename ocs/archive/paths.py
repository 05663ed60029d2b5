"""Where a file lies in the object store; client libraries compute the same path from the same headers."""

from collections.abc import Mapping
from datetime import date
from typing import Any

DAY_KEY = "DAY-OBS"
_LONGEST_BYTES = 200


def is_bad_pixel_mask(basename: str, headers: Mapping[str, Any], configuration_type: str) -> bool:
    """Tell whether type, extension name or file name make this a bad pixel mask."""
    name = "-" + basename.replace("_", "-") + "-"
    return configuration_type == "BPM" or headers.get("EXTNAME") == "BPM" or "-bpm-" in name


def frame_path(
    *,
    site: str,
    instrument: str,
    day: str,
    basename: str,
    extension: str,
    reduction_level: int,
    headers: Mapping[str, Any],
    configuration_type: str,
) -> str:
    """Return the path of a frame's file."""
    if extension == ".fits.fz" and is_bad_pixel_mask(basename, headers, configuration_type):
        folders = [site, instrument, "bpm"]
    else:
        folders = [site, instrument, day, "processed" if reduction_level else "raw"]
    return "/".join([*folders, basename + extension]).lstrip("/")


def thumbnail_path(*, site: str, instrument: str, day: str, basename: str, extension: str) -> str:
    """Return the path of a thumbnail."""
    return "/".join([site, instrument, day, "thumbnails", basename + extension]).lstrip("/")


def day_text(headers: Mapping[str, Any], observation_day: date) -> str:
    """Return the night as the file's own header writes it."""
    return str(headers.get(DAY_KEY) or f"{observation_day:%Y%m%d}")


def unsafe(name: str) -> str | None:
    """Return why `name` cannot be part of a path, None if it can."""
    if "/" in name or "\\" in name or ".." in name or not (name.isprintable() or not name):
        return "It becomes part of a path: remove slashes, two dots in a row and control characters."
    if len(name.encode()) > _LONGEST_BYTES:
        return f"It becomes part of a path: use at most {_LONGEST_BYTES} bytes."
    return None
