"""Validation schemas: the Cerberus dialect, and what of it can be stored.

Schemas are JSON, so rules that need code (callables) cannot occur. Beyond Cerberus itself the dialect has the
notes `label`, `show` and `description`, the type `none`, and the named coercions of `_COERCIONS`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cerberus import TypeDefinition, Validator
from cerberus.schema import SchemaError

_NUMBERS = {"integer", "float", "number"}


class SchemaValidator(Validator):  # type: ignore[misc]  # Cerberus has no types
    """Applies a validation schema; unknown fields are allowed, defaults are filled."""

    types_mapping = Validator.types_mapping | {"none": TypeDefinition("none", (type(None),), ())}

    def __init__(self, schema: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(schema, **{"allow_unknown": True, **options})

    def _validate_label(self, constraint: Any, field: str, value: Any) -> None:
        """A note for people.

        The rule's arguments are validated against this schema:
        {'nullable': True}
        """

    def _validate_show(self, constraint: Any, field: str, value: Any) -> None:
        """A note for forms.

        The rule's arguments are validated against this schema:
        {'nullable': True}
        """

    def _validate_description(self, constraint: Any, field: str, value: Any) -> None:
        """A note for people.

        The rule's arguments are validated against this schema:
        {'nullable': True}
        """

    def _normalize_coerce_integer(self, value: Any) -> int:
        return int(value)

    def _normalize_coerce_float(self, value: Any) -> float:
        return float(value)

    def _normalize_coerce_string(self, value: Any) -> str:
        return str(value)


def schema_problems(schema: Any) -> list[str]:
    """Return what makes `schema` unusable, each with its path; empty when it can be stored.

    Parameters
    ----------
    schema
        Field name to rules, as JSON.

    Returns
    -------
    list of str
        Such as ``extra_params.schema.bin_x.type: Unsupported types: odd``.
    """
    if not isinstance(schema, dict):
        return [f"must be an object of fields and their rules, not {type(schema).__name__}"]
    try:
        SchemaValidator(schema)
    except SchemaError as error:
        return list(_sentences(error.args[0])) or [str(error)]
    except (TypeError, ValueError, RecursionError, re.error) as error:
        return [str(error)]
    return list(_unusable(schema))


def _sentences(errors: Any, path: str = "") -> Iterator[str]:
    if isinstance(errors, Mapping):
        for key, found in errors.items():
            yield from _sentences(found, f"{path}.{key}" if path else str(key))
    elif isinstance(errors, list):
        for item in errors:
            yield from _sentences(item, path)
    else:
        yield f"{path}: {errors}" if path else str(errors)


def _unusable(fields: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Find rules that Cerberus takes and then fails on, or never applies."""
    for name, rules in fields.items():
        place = f"{path}{name}"
        if not isinstance(rules, dict):
            continue
        if isinstance(pattern := rules.get("regex"), str):
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"{place}.regex: {error}"
        types = rules.get("type", [])
        if set([types] if isinstance(types, str) else types) & _NUMBERS:
            for bound in ("min", "max"):
                if isinstance(rules.get(bound), bool | str | list | dict):
                    yield f"{place}.{bound}: must be a number"
        inner = rules.get("schema")
        if isinstance(inner, dict):
            is_rules = rules.get("type") == "list"
            yield from _unusable(
                {"schema": inner} if is_rules else inner, f"{place}." + "schema." * (not is_rules)
            )
