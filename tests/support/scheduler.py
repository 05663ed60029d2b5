"""Runs of the scheduler in tests, and a check of schedules that knows nothing of how they are made."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
from sqlalchemy import text

from ocs import visibility
from ocs.downtime.models import DowntimeRow
from ocs.kernel import changes
from ocs.scheduler import service
from ocs.scheduler.models import Run
from tests.support.app import TestApp
from tests.support.requests import configuration, group, request, submit

PLACES = {
    "tst": (-32.3805542, 20.8101815, 1804),
    "lco": (30.67983, -104.015173, 2070),
}
HORIZON_DEG = 15.0


@dataclass(frozen=True, slots=True)
class Seen:
    """An open observation as the database has it, with what its request asked for."""

    id: int
    request_id: int
    group_id: int
    site: str
    telescope: str
    start: datetime
    end: datetime
    duration_s: int
    windows: tuple[tuple[datetime, datetime], ...]
    configurations: Sequence[dict[str, Any]]
    statuses: tuple[tuple[int, str, str], ...]

    @property
    def place(self) -> tuple[int, str, datetime]:
        """What may not change as long as nothing else does."""
        return self.request_id, self.telescope, self.start


async def open_observations(app: TestApp) -> list[Seen]:
    """Return all open observations, by telescope and start."""
    async with app.runtime.database.read() as session:
        rows = await session.execute(
            text(
                """
                SELECT o.id, o.request_id, r.group_id, o.site,
                       o.site || '.' || o.enclosure || '.' || o.telescope AS telescope, o.start, o."end",
                       r.duration, r.configurations, windows.starts, windows.ends,
                       (SELECT json_agg(json_build_array(configuration_id, instrument_name, guide_camera_name)
                                        ORDER BY s.id)
                        FROM observations.configuration_status s WHERE s.observation_id = o.id) AS statuses
                FROM observations.observation o
                JOIN requests.request r ON r.id = o.request_id
                JOIN LATERAL (SELECT array_agg(start) AS starts, array_agg("end") AS ends
                              FROM requests.window WHERE request_id = r.id) windows ON true
                WHERE o.state IN ('PENDING', 'IN_PROGRESS') ORDER BY 5, o.start
                """
            )
        )
        return [
            Seen(
                id=row.id,
                request_id=row.request_id,
                group_id=row.group_id,
                site=row.site,
                telescope=row.telescope,
                start=row.start,
                end=row.end,
                duration_s=row.duration,
                windows=tuple(zip(row.starts, row.ends, strict=True)),
                configurations=row.configurations,
                statuses=tuple((first, second, third) for first, second, third in row.statuses or ()),
            )
            for row in rows
        ]


def assert_feasible(observations: Sequence[Seen]) -> None:
    """Check a schedule by samples of the sky every minute: windows, darkness, altitude, Moon, overlaps."""
    by_telescope: dict[str, list[Seen]] = defaultdict(list)
    for item in observations:
        by_telescope[item.telescope].append(item)
        assert item.end - item.start == timedelta(seconds=item.duration_s)
        assert item.start.microsecond == 0
        assert any(start <= item.start and item.end <= end for start, end in item.windows), item
        latitude, longitude, altitude = PLACES[item.site]
        site = visibility.Site(latitude, longitude, altitude)
        begin, end = (visibility.from_datetime(moment) for moment in (item.start, item.end))
        times = np.append(np.arange(begin, end, 60_000_000), end)
        batch = visibility.TargetBatch.from_wire([part["target"] for part in item.configurations])
        sky = visibility.samples(batch, site, times)
        assert (sky.sun_altitude_deg <= -11.99).all(), item
        for row, part in enumerate(item.configurations):
            constraints = part["constraints"]
            assert (sky.altitude_deg[row] >= HORIZON_DEG - 0.01).all(), item
            assert (sky.airmass[row] <= constraints["max_airmass"] + 0.01).all(), item
            assert (sky.moon_distance_deg[row] >= constraints["min_lunar_distance"] - 0.01).all(), item
    for items in by_telescope.values():
        for before, after in itertools.pairwise(items):
            assert before.end <= after.start, (before, after)
    requests = [item.request_id for item in observations]
    assert len(requests) == len(set(requests))


async def run(app: TestApp) -> Run:
    """Let the scheduler run, which must have a reason to and must succeed."""
    found = await service.cycle(app.runtime)
    assert found is not None
    assert found.status != "failed", found.error
    return found


START = datetime(2016, 9, 1, tzinfo=UTC)


async def close(
    app: TestApp, telescope: str, first_day: float, last_day: float, instrument_type: str = ""
) -> None:
    """Put a downtime on `site.enclosure.telescope`."""
    site, enclosure, code = telescope.split(".")
    now = app.clock.now()
    async with app.runtime.database.write() as session:
        session.add(
            DowntimeRow(
                start=START + timedelta(days=first_day),
                end=START + timedelta(days=last_day),
                site=site,
                enclosure=enclosure,
                telescope=code,
                instrument_type=instrument_type,
                reason="closed",
                created=now,
                modified=now,
                created_by="",
            )
        )
        changes.stamp(session, "downtime")


def days(first: float, last: float) -> list[dict[str, str]]:
    """Return one window, in days from the start of the tests' clock."""
    moments = (START + timedelta(days=day) for day in (first, last))
    return [dict(zip(("start", "end"), (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments), strict=True))]


def star(ra: float = 34.4, dec: float = -10.0) -> dict[str, Any]:
    """Return a target, one that both sites see after midnight."""
    return {"type": "ICRS", "name": f"star {ra} {dec}", "ra": ra, "dec": dec}


def sequence_of(
    *stars: dict[str, Any], exposure_s: float = 100, constraints: dict[str, float] | None = None
) -> list[dict[str, Any]]:
    """Return configurations, one per target."""
    limits = {"max_airmass": 2.0, "min_lunar_distance": 20.0} | (constraints or {})
    exposure = {"exposure_time": exposure_s, "exposure_count": 1, "optical_elements": {"filter": "air"}}
    return [
        configuration(target=target, constraints=limits, instrument_configs=[exposure])
        for target in stars or (star(),)
    ]


async def ask(
    client: httpx.AsyncClient,
    *,
    count: int = 1,
    first_day: float = 0.0,
    last_day: float = 3.0,
    exposure_s: float = 100,
    targets: Sequence[dict[str, Any]] = (),
    location: dict[str, str] | None = None,
    group_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> list[int]:
    """Submit a group of equal requests; return the ids of the requests."""
    one = request(
        windows=days(first_day, last_day),
        configurations=sequence_of(*targets, exposure_s=exposure_s),
        location={"telescope_class": "1m0", **(location or {})},
        **changes,
    )
    payload = group(
        operator="MANY" if count > 1 else "SINGLE", requests=[one] * count, **(group_changes or {})
    )
    answer = await submit(client, payload)
    return [item["id"] for item in answer["requests"]]
