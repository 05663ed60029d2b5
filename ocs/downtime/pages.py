"""The public table of downtimes for browsers; readable without any script."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from ocs.downtime.models import DowntimeRow

ROWS_A_PAGE = 50
_COLUMNS = ("start", "end", "site", "enclosure", "telescope", "instrument_type", "reason")
_FILTERS = (
    "starts_after",
    "starts_before",
    "ends_after",
    "ends_before",
    "site",
    "enclosure",
    "telescope",
    "instrument_type",
    "reason",
    "reason_exact",
)


def _title(name: str) -> str:
    return name.replace("_", " ").title()


def table(
    rows: Sequence[DowntimeRow],
    query: Mapping[str, str],
    errors: Mapping[str, Sequence[str]],
    *,
    page: int,
    last_page: int,
    api: str,
) -> str:
    """Return the page.

    Parameters
    ----------
    query
        The parameters that were sent, shown in the form again.
    errors
        What is wrong with them, by parameter.
    api
        Address of the API, linked.
    """
    head = "".join(f"<th>{_title(name)}</th>" for name in _COLUMNS)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_text(row, name))}</td>' for name in _COLUMNS)}</tr>" for row in rows
    )
    fields = "".join(
        f'<label>{_title(name)} <input name="{name}" value="{escape(query.get(name, ""))}"></label>'
        + "".join(f'<p class="error">{escape(text)}</p>' for text in errors.get(name, ()))
        for name in _FILTERS
    )
    others = {name: value for name, value in query.items() if name != "page"}
    links = "".join(
        f'<a href="?{escape(urlencode({**others, "page": number}))}">{title}</a> '
        for number, title in ((page - 1, "earlier page"), (page + 1, "later page"))
        if 1 <= number <= last_page
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Downtimes</title></head>
<body>
<h1>Downtimes</h1>
<form method="get">{fields}<button>Filter</button></form>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
<p>Page {page} of {last_page} {links}</p>
<p><a href="{escape(api)}">API</a></p>
</body>
</html>
"""


def _text(row: DowntimeRow, name: str) -> str:
    value = getattr(row, name)
    return f"{value:%Y-%m-%d %H:%M:%S}" if name in {"start", "end"} else str(value)
