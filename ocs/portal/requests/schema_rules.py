"""Validation schemas of the configuration database, applied to what is sent (Cerberus dialect)."""

from collections.abc import Iterator, Mapping
from typing import Any

from ocs.configdb.api import SchemaValidator


class Schema:
    """One validation schema.

    Parameters
    ----------
    rules
        Field name to Cerberus rules; unknown fields are always allowed.
    """

    __slots__ = ("rules",)

    def __init__(self, rules: Mapping[str, Any] | None = None) -> None:
        self.rules: dict[str, Any] = dict(rules or {})

    def __bool__(self) -> bool:
        return bool(self.rules)

    def apply(self, document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """Fill the defaults and check.

        Returns
        -------
        tuple of dict and dict
            The document with defaults filled, and the errors of Cerberus by field (empty when valid).
        """
        if not self.rules:
            return document, {}
        validator = SchemaValidator(self.rules)
        if validator.validate(document):
            return validator.document, {}
        return document, validator.errors


def _texts(errors: list[Any]) -> list[str]:
    return [item for item in errors if isinstance(item, str)]


def structure(errors: Mapping[Any, list[Any]]) -> dict[str, Any]:
    """Turn Cerberus errors of a configuration into the structure that mirrors it.

    Cerberus gives ``{"field": ["text", {nested}]}``. An object's errors become an object, those of the items
    of a list of objects a list padded with ``{}`` up to the last failing item.
    """
    result: dict[str, Any] = {}
    for key, items in errors.items():
        nested = {
            child: value for item in items if isinstance(item, Mapping) for child, value in item.items()
        }
        if not nested:
            result[str(key)] = _texts(items)
        elif all(isinstance(index, int) for index in nested):
            rows: list[dict[str, Any]] = [{} for _ in range(max(nested) + 1)]
            for index, found in nested.items():
                rows[index] = _row(found)
            result[str(key)] = rows
        else:
            result[str(key)] = structure(nested)
            if texts := _texts(items):
                result[str(key)]["non_field_errors"] = texts
    return result


def _row(found: list[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in found:
        row |= structure(item) if isinstance(item, Mapping) else {"non_field_errors": [item]}
    return row


def sentences(errors: Mapping[Any, list[Any]], path: str = "") -> Iterator[str]:
    """Yield one phrase per failing field: ``extra_params.bin_x: unallowed value 5``."""
    for key, items in errors.items():
        place = f"{path}.{key}" if path else str(key)
        for item in items:
            if isinstance(item, Mapping):
                yield from sentences(item, place)
            else:
                yield f"{place}: {item}"
