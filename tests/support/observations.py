"""Observations to test with: the checklist's observation O of a request on FIX-A."""

from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.accounts import create_user
from tests.support.app import TestApp
from tests.support.requests import create_observatory, group, request, submit

OBSERVATIONS = "/api/observations/"
SCHEDULE = "/api/schedule/"
DOMB = {"site": "tst", "enclosure": "domb", "telescope": "1m0a"}
START = datetime(2016, 9, 5, 22, 35, 39, tzinfo=UTC)
END = datetime(2016, 9, 5, 23, 35, 40, tzinfo=UTC)
WINDOW = {"start": "2016-09-02T00:00:00Z", "end": "2016-10-01T00:00:00Z"}


def z(moment: datetime) -> str:
    """Print a datetime as the wire does."""
    return moment.isoformat().replace("+00:00", "Z")


def requested(**changes: Any) -> dict[str, Any]:
    """Return the payload of a group with request R: one configuration of 100 s, a window of a month."""
    head = {name: changes.pop(name) for name in ("observation_type", "ipp_value", "name") if name in changes}
    return group(requests=[request(windows=[WINDOW], **changes)], **head)


def observation(of: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the payload of observation O of a submitted group's first request."""
    asked = of["requests"][0]
    statuses = [
        {"configuration": item["id"], "instrument_name": "xx03", "guide_camera_name": "ef03"}
        for item in asked["configurations"]
    ] * asked["configuration_repeats"]
    return {
        "request": asked["id"],
        **DOMB,
        "start": z(START),
        "end": z(END),
        "configuration_statuses": statuses,
    } | changes


async def create_staff(app: TestApp, username: str = "staff") -> str:
    """Create a staff user who sees everything; return a token."""
    return await create_user(app, username, is_staff=True, staff_view=True)


async def place(client: httpx.AsyncClient, of: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Post observation O of a group, which must be accepted; return the answer."""
    response = await client.post(OBSERVATIONS, json=observation(of, **changes))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


__all__ = [
    "DOMB",
    "END",
    "OBSERVATIONS",
    "SCHEDULE",
    "START",
    "WINDOW",
    "create_observatory",
    "create_staff",
    "observation",
    "place",
    "requested",
    "submit",
    "z",
]
