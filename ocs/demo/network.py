"""The demo's observatory file, with semesters around the clock's now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import yaml

SEMESTERS_AHEAD = 4


def semesters(now: datetime) -> list[dict[str, str]]:
    """Half years from February and August: the present one, the one before and some that follow.

    The limits belong to the calendar, so two calls in one semester give the same list.
    """
    first = (
        datetime(now.year, 2, 1, tzinfo=UTC) if now.month >= 2 else datetime(now.year - 1, 2, 1, tzinfo=UTC)
    )
    found = []
    for half in range(-2, SEMESTERS_AHEAD + 2):
        start = _half_years_after(first, half)
        after = _half_years_after(first, half + 1)
        if after > now - timedelta(days=184):
            found.append(
                {
                    "id": f"{start.year}{'A' if start.month == 2 else 'B'}",
                    "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "end": (after - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
            )
    return found


def observatory_file(now: datetime) -> dict[str, Any]:
    """Everything `ocs init` needs for the demo.

    Parameters
    ----------
    now : datetime
        Aware UTC time of the demo's clock.

    Returns
    -------
    dict
        The sections of ``network.yaml`` with ``semesters``, and one time allocation for each of them.
    """
    content: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("network.yaml").read_text("utf-8"))
    content["semesters"] = semesters(now)
    content["time_allocations"] = [
        {**allocation, "semester": semester["id"]}
        for allocation in content["time_allocations"]
        for semester in content["semesters"]
    ]
    return content


def telescope_names(content: dict[str, Any]) -> list[str]:
    """``site.enclosure.telescope`` of every telescope in an observatory file."""
    return [
        f"{site['code']}.{enclosure['code']}.{telescope['code']}"
        for site in content["sites"]
        for enclosure in site["enclosures"]
        for telescope in enclosure["telescopes"]
    ]


def _half_years_after(start: datetime, halves: int) -> datetime:
    years, month = divmod(start.month - 1 + 6 * halves, 12)
    return start.replace(year=start.year + years, month=month + 1)
