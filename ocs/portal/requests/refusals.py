"""Telling what is wrong with an input: errors that carry a structure, and how all become one body."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from ocs.kernel.errors import reference_body

_STRUCTURE = "ocs_structure"


def structured(body: Mapping[str, Any]) -> PydanticCustomError:
    """Return an error whose message is a structure that mirrors the object it is raised for."""
    return PydanticCustomError(_STRUCTURE, "see the structure", {"body": body})


def field(name: str, message: str) -> PydanticCustomError:
    """Return an error of an object's rule that blames one of its fields."""
    return structured({name: [message]})


def message(text: str) -> PydanticCustomError:
    """Return an error that stands at its object itself, as the errors of a plain field do."""
    return PydanticCustomError(_STRUCTURE, "see the structure", {"body": [text]})


def body_of(error: ValidationError, sent: Any) -> Any:
    """Return the body that mirrors what was sent.

    Parameters
    ----------
    error
        Of the validation of `sent`, with plain and structured errors.
    """
    if not isinstance(sent, dict):
        kind = "null" if sent is None else type(sent).__name__
        return {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}
    plain: list[Any] = []
    structures: list[Any] = []
    for item in error.errors(include_url=False):
        (structures if item["type"] == _STRUCTURE else plain).append(item)
    body = reference_body(plain, sent)
    for item in structures:
        body = _merged(body, item["loc"], sent, item["ctx"]["body"])
    return body


def _merged(body: Any, path: Sequence[str | int], sent: Any, structure: Any) -> Any:
    """Return `body` with `structure` put at `path` of what was sent."""
    if not path:
        return merge(body, structure)
    step, rest = path[0], path[1:]
    child = sent[step]
    if isinstance(step, int):
        rows = body if isinstance(body, list) else [{} for _ in sent]
        rows[step] = _merged(rows[step], rest, child, structure)
        return rows
    node = body if isinstance(body, dict) else {}
    node[step] = _merged(node.get(step, {}), rest, child, structure)
    return node


def merge(body: Any, other: Any) -> Any:
    """Return two error structures as one."""
    if isinstance(body, Mapping) and isinstance(other, Mapping):
        return {
            **body,
            **{key: merge(body[key], value) if key in body else value for key, value in other.items()},
        }
    if isinstance(body, list) and isinstance(other, list):
        if any(isinstance(item, str) for item in (*body, *other)):
            return [*body, *other]
        longest = max(len(body), len(other))
        padded = [items + [{}] * (longest - len(items)) for items in (list(body), list(other))]
        return [merge(*pair) for pair in zip(*padded, strict=True)]
    return other or body
