"""What the sections of an observatory file have in common: rows, problems with their place, changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Where = tuple[str | int, ...]


class Row(BaseModel):
    """Base of a section's rows: a key that means nothing is a typing error, so it is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class Section:
    """A section as it is applied.

    Rows with problems are left out, so that all problems of a file are found in one go; the caller rolls back
    if there are any.

    Attributes
    ----------
    name
        Key of the section in the file.
    changes
        One sentence a row that was created or changed.
    warnings, problems
        Place in the file and a sentence.
    """

    name: str
    changes: list[str] = field(default_factory=list)
    warnings: list[tuple[Where, str]] = field(default_factory=list)
    problems: list[tuple[Where, str]] = field(default_factory=list)

    def problem(self, index: int, key: str | None, sentence: str) -> None:
        """Note what is wrong with a row."""
        self.problems.append(((self.name, index, *((key,) if key else ())), sentence))

    def warn(self, index: int, key: str, sentence: str) -> None:
        """Note what is odd about a row."""
        self.warnings.append(((self.name, index, key), sentence))

    def rows(self, raw: Sequence[Any], model: type[R], *unique: str) -> Iterator[tuple[int, R]]:
        """Yield index and content of the rows that are well formed; a repeated key is a problem.

        Parameters
        ----------
        unique
            Fields that together name a row.
        """
        if not isinstance(raw, Sequence) or isinstance(raw, str):
            self.problems.append(((self.name,), "must be a list"))
            return
        seen: dict[tuple[Any, ...], int] = {}
        for index, item in enumerate(raw):
            try:
                row = model.model_validate(item)
            except ValidationError as error:
                for found in error.errors():
                    sentence = found["msg"].removeprefix("Value error, ")
                    self.problems.append(((self.name, index, *found["loc"]), sentence))
                continue
            key = tuple(getattr(row, name) for name in unique)
            if unique and key in seen:
                self.problem(index, unique[0], f"is the same as in row {seen[key]}")
                continue
            seen[key] = index
            yield index, row


def assign(target: Any, values: Mapping[str, Any]) -> bool:
    """Set attributes that differ; tell whether any did."""
    changed = {name: value for name, value in values.items() if getattr(target, name) != value}
    for name, value in changed.items():
        setattr(target, name, value)
    return bool(changed)
