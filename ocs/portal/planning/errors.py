"""What can go wrong when somebody plans."""

from collections.abc import Mapping, Sequence

from ocs.kernel.errors import InvalidInput, NotFound


class NotComputable(InvalidInput):
    """The question as a whole has no answer, for example outside the packaged ephemeris."""

    code = "not_computable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, body={"non_field_errors": [reason]})


class TooMuch(InvalidInput):
    """One call asks for more than we compute at once."""

    code = "too_much"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason, body={field: [reason]})


class UnusableSites(InvalidInput):
    """Sites of a question are not configured, or have no telescope whose limits could be taken."""

    code = "unusable_sites"

    def __init__(self, reasons: Sequence[str | None]) -> None:
        rows: list[Mapping[str, list[str]]] = [{"code": [reason]} if reason else {} for reason in reasons]
        super().__init__("A site cannot be used.", body={"sites": rows})


class SiteNotFound(NotFound):
    """The site of the address is not configured, or has no active telescope."""
