"""Rules of an observatory of its own, from installed packages.

A package names a function in the entry point group ``ocs.validators``::

    [project.entry-points."ocs.validators"]
    no_moon = "my_observatory.rules:check"

The function gets a checked request group with all defaults filled, as `requestgroups/validate/` reads it,
and returns the errors it finds in the structure that mirrors it, e.g. ``{"requests": [{}, {"configurations":
[{"constraints": {"max_lunar_phase": ["We observe in dark time only."]}}]}]}``, or nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from ocs.portal.requests.refusals import merge
from ocs.portal.requests.rules import CheckedGroup

Validator = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


@cache
def validators() -> Sequence[Validator]:
    """Return the validators that are installed, by name."""
    return [item.load() for item in sorted(entry_points(group="ocs.validators"), key=lambda item: item.name)]


def errors_of(group: CheckedGroup) -> Any:
    """Return what the installed validators find wrong with a checked group; empty when nothing."""
    found: Any = {}
    for validate in validators():
        plain = {
            "name": group.name,
            "proposal": group.proposal,
            "observation_type": str(group.observation_type),
            "operator": group.operator,
            "ipp_value": group.ipp_value,
            "requests": [item.plain for item in group.requests],
        }
        found = merge(found, validate(plain) or {})
    return found
