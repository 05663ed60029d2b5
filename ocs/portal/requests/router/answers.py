"""What the addresses of this module share."""

from typing import Annotated, Any

from fastapi import Path, Query

from ocs.kernel.wire.route import JsonBytes
from ocs.portal.requests import documents

DryRun = Annotated[bool, Query(description="Answer as usual and store nothing")]
Id = Annotated[int, Path(ge=0, le=2**63 - 1)]


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> JsonBytes:
    """Return a value as JSON, with times in the wire's form."""
    return JsonBytes(documents.dumps(value), status, headers)


def or_empty(sent: Any) -> Any:
    """Return what was sent; no body at all is an empty object."""
    return {} if sent is None else sent
