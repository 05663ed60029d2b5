"""Plain pages for browsers: counts, and a table a kind; readable without any script."""

from collections.abc import Iterable
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

from ocs.configdb import rules, service
from ocs.configdb.dependencies import Base
from ocs.configdb.kinds import KINDS, Kind
from ocs.configdb.state import Row, State
from ocs.kernel.errors import NotFound
from ocs.kernel.security import ConfigdbCaller
from ocs.kernel.wire.route import Reading, make_router

router = make_router("configdb")

_SHOWN = {
    KINDS[name].path: KINDS[name]
    for name in (
        "site",
        "telescope",
        "camera",
        "instrument",
        "optical_element_group",
        "generic_mode_group",
    )
}


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(title)}</title></head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""
    )


@router.get("/", summary="Overview of the configuration", response_class=HTMLResponse)
async def overview(session: Reading, _caller: ConfigdbCaller, base: Base) -> HTMLResponse:
    """Show how many things there are."""
    state = (await service.snapshot(session)).state
    items = "".join(
        f'<li><a href="{escape(base)}/html/{path}/">{state.count(kind.name)} {kind.label}s</a></li>'
        for path, kind in _SHOWN.items()
    )
    return _page("Configuration", f'<ul>{items}</ul><p><a href="{escape(base)}/sites/">API</a></p>')


@router.get("/html/{path}/", summary="A table of one kind of thing", response_class=HTMLResponse)
async def table(session: Reading, _caller: ConfigdbCaller, path: str) -> HTMLResponse:
    """Show all things of a kind."""
    kind = _SHOWN.get(path)
    if kind is None:
        raise NotFound
    state = (await service.snapshot(session)).state
    columns = [column.name for column in kind.columns if column.name not in {"id", "modified"}]
    columns += list(kind.members)
    head = _cells("th", ["", *(name.replace("_", " ") for name in columns)])
    rows = "".join(
        f"<tr>{_cells('td', _values(state, kind, row, columns))}</tr>" for row in state.all(kind.name)
    )
    return _page(f"{kind.label}s", f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")


def _values(state: State, kind: Kind, row: Row, columns: list[str]) -> Iterable[Any]:
    yield rules.describe(state, kind.name, row)
    for name in columns:
        target = kind.references.get(name) or kind.members.get(name)
        keys = row[name] if isinstance(row[name], list) else [row[name]]
        if target is None or keys == [None]:
            yield row[name]
        else:
            found = (state.get(target.kind, key) for key in keys)
            yield ", ".join(rules.describe(state, target.kind, other) for other in found if other)


def _cells(tag: str, values: Iterable[Any]) -> str:
    return "".join(f"<{tag}>{escape('' if value is None else str(value))}</{tag}>" for value in values)
