"""Frames for tests."""

import hashlib
import itertools
from pathlib import Path
from typing import Any

import httpx

from tests.support.app import TestApp

_numbers = itertools.count(1)


def record(basename: str = "a1", *, content: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """Return a valid body of POST /frames/.

    With `content` the version's key and md5 are those of these bytes, as a client that writes to the store
    sends them; without, the key names a version in a store elsewhere.
    """
    number = next(_numbers)
    if content is None:
        version = {"key": f"elsewhere-{number}", "md5": f"{number:032x}", "extension": ".fits.fz"}
    else:
        md5 = hashlib.md5(content).hexdigest()
        version = {"key": md5, "md5": md5, "extension": ".fits.fz"}
    body: dict[str, Any] = {
        "basename": basename,
        "area": None,
        "headers": {"USERID": "alice"},
        "observation_day": "20240101",
        "observation_date": "2024-01-01T00:00:00Z",
        "public_date": "2024-06-01T00:00:00Z",
        "configuration_type": "EXPOSE",
        "proposal_id": "prop1",
        "site_id": "coj",
        "telescope_id": "1m0a",
        "instrument_id": "fa02",
        "target_name": "M51",
        "exposure_time": 10,
        "primary_optical_element": "gp",
        "observation_id": 77,
        "request_id": 88,
        "reduction_level": 0,
        "related_frame_filenames": [],
        "version_set": [version],
    }
    return body | changes


def thumbnail(basename: str, frame_basename: str, size: str = "small", **changes: Any) -> dict[str, Any]:
    """Return a valid body of POST /thumbnails/."""
    body = record(basename, frame_basename=frame_basename, size=size, **changes)
    body["version_set"][0]["extension"] = ".jpg"
    return body


def write_to_store(app: TestApp, path: str, content: bytes) -> Path:
    """Write a file into the folder store as a client library does: in place."""
    root = app.runtime.settings.objects_dir
    assert root is not None
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


async def post(client: httpx.AsyncClient, *args: Any, **changes: Any) -> dict[str, Any]:
    """Post a record and return the answer."""
    answer = await client.post("/frames/", json=record(*args, **changes))
    assert answer.status_code == 201, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def names(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """Return the basenames of the frames that a query finds, sorted."""
    answer = await client.get("/frames/", params=query)
    assert answer.status_code == 200, answer.text
    return sorted(row["basename"] for row in answer.json()["results"])
