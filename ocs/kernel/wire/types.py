"""Types as they stand on the wire: what is accepted, and how it is printed."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from dateutil import parser as date_parser
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from ocs.kernel.errors import DATETIME_FORMAT


def iso_z(moment: datetime) -> str:
    """Print an aware datetime as ISO 8601 in UTC with `Z`; microseconds only when there are any."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _as_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_utc(value: Any) -> datetime:
    """Read ISO 8601 with `T` or blank, seconds and zone optional; without a zone it is UTC.

    Raises
    ------
    ValueError
        With the reference's sentence.
    """
    if isinstance(value, datetime):
        return _as_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        try:
            return _as_utc(datetime.fromisoformat(value.strip()))
        except (ValueError, OverflowError):
            pass
    raise ValueError(DATETIME_FORMAT)


def _parse_filter(value: Any) -> datetime:
    try:
        return parse_utc(value)
    except ValueError:
        pass
    for pattern in ("%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%m/%d/%y"):
        try:
            return datetime.strptime(str(value).strip(), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError("Enter a valid date/time.")


def _parse_flag(value: Any) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())


def parse_free_date(value: str) -> datetime:
    """Read a date as people write it; without a zone it is UTC.

    Raises
    ------
    ValueError
        When no date can be read.
    """
    try:
        return _as_utc(date_parser.parse(value))
    except (OverflowError, date_parser.ParserError) as error:
        raise ValueError(f"{value!r} is not a date; write it as YYYY-MM-DDThh:mm:ss.") from error


def _without_blanks(value: Any) -> Any:
    return [item for item in value if item != ""] if isinstance(value, list) else value


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("Null characters are not allowed.")
    return value


_DATETIME_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})

UtcDatetime = Annotated[
    datetime,
    BeforeValidator(parse_utc),
    PlainSerializer(iso_z, return_type=str, when_used="json"),
    _DATETIME_SCHEMA,
]
"""A datetime in a body."""

FilterDatetime = Annotated[datetime, BeforeValidator(_parse_filter), _DATETIME_SCHEMA]
"""A datetime in a query string; more spellings are accepted there."""

FilterFlag = Annotated[bool | None, BeforeValidator(_parse_flag), WithJsonSchema({"type": "boolean"})]
"""A boolean in a query string; what is neither true nor false is no filter."""

WireText = Annotated[str, AfterValidator(_no_nul)]
"""Any text; may be empty."""


def text(max_length: int, *, blank: bool = False) -> Any:
    """Return the type of a text field of at most `max_length` characters."""
    return Annotated[
        str, StringConstraints(max_length=max_length, min_length=0 if blank else 1), AfterValidator(_no_nul)
    ]


class WireModel(BaseModel):
    """Base of what comes in: unknown keys are ignored, numbers may be text, text is trimmed."""

    model_config = ConfigDict(
        extra="ignore", coerce_numbers_to_str=True, str_strip_whitespace=True, allow_inf_nan=False
    )


class FilterModel(WireModel):
    """Base of query parameters: an empty value is no filter."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kept = {name: _without_blanks(value) for name, value in values.items()}
        return {name: value for name, value in kept.items() if value not in ("", [])}
