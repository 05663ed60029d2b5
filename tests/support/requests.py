"""Request groups to test with: the payload of the checklist, on FIX-A, for alice's proposal `temp`."""

import copy
from collections.abc import Callable
from typing import Any

import httpx
from sqlalchemy import text

from ocs.kernel.database import Base
from tests.support.app import TestApp
from tests.support.configdb import build_fix_a
from tests.support.proposals import create_checklist_fixture

GROUPS = "/api/requestgroups/"

_CONFIGURATION: dict[str, Any] = {
    "instrument_type": "1M0-CAM-A",
    "type": "EXPOSE",
    "target": {"type": "ICRS", "name": "t", "ra": 34.4, "dec": 20.0},
    "constraints": {"max_airmass": 2.0, "min_lunar_distance": 30.0},
    "instrument_configs": [
        {"exposure_time": 100, "exposure_count": 1, "optical_elements": {"filter": "air"}}
    ],
    "acquisition_config": {},
    "guiding_config": {},
}
_GROUP: dict[str, Any] = {
    "name": "test group",
    "proposal": "temp",
    "ipp_value": 1.0,
    "operator": "SINGLE",
    "observation_type": "NORMAL",
    "requests": [
        {
            "location": {"telescope_class": "1m0"},
            "configurations": [_CONFIGURATION],
            "windows": [{"start": "2016-09-29T21:12:18Z", "end": "2016-10-29T21:12:19Z"}],
        }
    ],
}


def configuration(**changes: Any) -> dict[str, Any]:
    """Return the checklist's configuration, with changes."""
    return copy.deepcopy(_CONFIGURATION) | changes


def group(**changes: Any) -> dict[str, Any]:
    """Return the checklist's payload, with changes."""
    return copy.deepcopy(_GROUP) | changes


def request(**changes: Any) -> dict[str, Any]:
    """Return the checklist's request, with changes."""
    only: dict[str, Any] = group()["requests"][0]
    return only | changes


def group_with(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the checklist's payload after `change` was applied to its configuration."""
    payload = group()
    change(payload["requests"][0]["configurations"][0])
    return payload


def many(count: int) -> dict[str, Any]:
    """Return a MANY group of equal requests."""
    return group(operator="MANY", requests=[request() for _ in range(count)])


async def create_observatory(app: TestApp) -> str:
    """Create FIX-A, alice and her proposal; return her token."""
    await build_fix_a(app)
    return await create_checklist_fixture(app)


async def submit(client: httpx.AsyncClient, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    """Submit a group that must be accepted; return the answer."""
    response = await client.post(GROUPS, json=payload or group())
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def multiply(app: TestApp, copies: int) -> None:
    """Store more groups just like group 1, which has one request with one configuration and window."""
    changes: dict[str, dict[str, str | None]] = {
        "request_group": {"id": "last.g + n"},
        "request": {
            "id": "last.r + n",
            "group_id": "last.g + n",
            "configurations": "jsonb_set(row.configurations, '{0,id}', to_jsonb(last.c + n))",
        },
        "window": {"id": None, "request_id": "last.r + n"},
        "configuration": {"id": "last.c + n", "request_id": "last.r + n"},
    }
    ends = "CAST(:g AS bigint) AS g, CAST(:r AS bigint) AS r, CAST(:c AS bigint) AS c"
    async with app.runtime.database.write() as session:
        ids = ", ".join(
            f"(SELECT max(id) FROM requests.{name}) AS {key}"
            for name, key in (("request_group", "g"), ("request", "r"), ("configuration", "c"))
        )
        last = (await session.execute(text(f"SELECT {ids}"))).one()
        for name, changed in changes.items():
            columns = Base.metadata.tables[f"requests.{name}"].columns
            names = [column.name for column in columns if changed.get(column.name, "") is not None]
            values = ", ".join(changed.get(column) or f'row."{column}"' for column in names)
            targets = ", ".join(f'"{column}"' for column in names)
            await session.execute(
                text(
                    f"INSERT INTO requests.{name} ({targets}) OVERRIDING SYSTEM VALUE SELECT {values} "
                    f"FROM requests.{name} AS row, generate_series(1, {int(copies)}) AS n, "
                    f"(SELECT {ends}) AS last WHERE row.id = 1 ORDER BY n"
                ),
                {"g": last.g, "r": last.r, "c": last.c},
            )
        for name, key in (("request_group", "g"), ("request", "r"), ("configuration", "c")):
            await session.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"),
                {"name": f"requests.{name}", "last": getattr(last, key) + copies},
            )
