"""The virtual telescope against a small observatory over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from astropy.io import fits
from fastapi import Body, FastAPI, HTTPException, Request

from ocs.demo.telescope import RefusedError, TelescopeName, main, run_telescopes, timeline
from ocs.ingest.fits import FrameRecord, read_record

NAME = TelescopeName.parse("elp.doma.1m0a")
TOKEN = "de00"
RATE = 600.0
DEADLINE_S = 20.0
EPOCH = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


class Observatory:
    """Server side of the telescope's conversation: state, and everything that was reported."""

    def __init__(self, rate: float = RATE) -> None:
        self.rate = rate
        self.observations: dict[int, dict[str, Any]] = {}
        self.stamp = EPOCH
        self.reports: list[tuple[int, dict[str, Any]]] = []
        self.broken = 0
        self.changed = asyncio.Condition()
        self._started_s = asyncio.get_running_loop().time()
        self.app = self._app()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=(asyncio.get_running_loop().time() - self._started_s) * self.rate)

    def schedule(self, number: int, start_s: float, length_s: float, *configurations: dict[str, Any]) -> None:
        start = self.now() + timedelta(seconds=start_s)
        self.observations[number] = {
            "id": number,
            "request": {"id": 900 + number, "configurations": list(configurations)},
            "site": NAME.site,
            "enclosure": NAME.enclosure,
            "telescope": NAME.telescope,
            "start": start.isoformat().replace("+00:00", "Z"),
            "end": (start + timedelta(seconds=length_s)).isoformat().replace("+00:00", "Z"),
            "state": "PENDING",
            "proposal": "GAL-003",
            "submitter": "vera",
            "name": "M31 in colour",
            "observation_type": "NORMAL",
            "request_group_id": 700 + number,
        }
        self.stamp += timedelta(seconds=1)

    def status(self, status_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        for observation in self.observations.values():
            for configuration in observation["request"]["configurations"]:
                if configuration["configuration_status"] == status_id:
                    return observation, configuration
        raise HTTPException(404, "No ConfigurationStatus matches the given query.")

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S), self.changed:
            await self.changed.wait_for(condition)

    def states(self) -> list[tuple[int, str]]:
        return [(status_id, body["state"]) for status_id, body in self.reports]

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def gate(request: Request, call_next: Any) -> Any:
            from fastapi.responses import JSONResponse

            async with self.changed:
                self.changed.notify_all()
            if self.broken:
                self.broken -= 1
                return JSONResponse({"detail": "The database is away."}, 503)
            if not request.url.path.startswith("/configdb/") and (
                request.headers.get("authorization") != f"Token {TOKEN}"
            ):
                return JSONResponse({"detail": "Invalid token."}, 403)
            return await call_next(request)

        @app.get("/api/clock/")
        async def clock() -> dict[str, Any]:
            return {"now": self.now().isoformat().replace("+00:00", "Z"), "rate": self.rate}

        @app.get("/configdb/sites/")
        async def sites(code: str) -> dict[str, Any]:
            return {"count": 1, "results": [{"code": code, "lat": 30.68, "long": -104.015}]}

        @app.get("/api/last_scheduled/")
        async def last_scheduled(site: str) -> dict[str, Any]:
            assert site == NAME.site
            return {"last_schedule_time": self.stamp.isoformat()}

        @app.get("/api/schedule/")
        async def schedule(request: Request) -> dict[str, Any]:
            query = request.query_params
            assert (query["site"], query["enclosure"], query["telescope"]) == ("elp", "doma", "1m0a")
            before, after = (
                datetime.fromisoformat(query[k] + "+00:00") for k in ("start_before", "end_after")
            )
            rows = [
                row
                for row in self.observations.values()
                if row["state"] in query.getlist("state")
                and datetime.fromisoformat(row["start"]) < before
                and datetime.fromisoformat(row["end"]) > after
            ]
            return {"count": len(rows), "next": None, "previous": None, "results": rows}

        @app.get("/api/observations/{number}/")
        async def observation(number: int) -> dict[str, Any]:
            if number not in self.observations:
                raise HTTPException(404, "No Observation matches the given query.")
            row = self.observations[number]
            statuses = [
                {"id": c["configuration_status"], "state": c["state"]}
                for c in row["request"]["configurations"]
            ]
            return {"state": row["state"], "configuration_statuses": statuses}

        @app.patch("/api/configurationstatus/{status_id}/")
        async def report(status_id: int, body: dict[str, Any] = Body()) -> dict[str, Any]:
            row, configuration = self.status(status_id)
            configuration["state"] = body["state"]
            states = {c["state"] for c in row["request"]["configurations"]}
            row["state"] = states.pop() if len(states) == 1 else "IN_PROGRESS"
            row["state"] = "IN_PROGRESS" if row["state"] == "ATTEMPTED" else row["state"]
            self.reports.append((status_id, body))
            async with self.changed:
                self.changed.notify_all()
            return {"id": status_id}

        return app


def configuration(
    status_id: int, kind: str = "EXPOSE", state: str = "PENDING", **values: Any
) -> dict[str, Any]:
    element = {"slit": "slit_2.0as"} if kind in ("SPECTRUM", "ARC") else {"filter": "rp"}
    return {
        "id": 400 + status_id,
        "configuration_status": status_id,
        "state": state,
        "type": kind,
        "instrument_type": "1M0-SCICAM",
        "instrument_name": "fa05",
        "guide_camera_name": "ef05",
        "target": {"type": "ICRS", "name": "M31", "ra": 10.684583, "dec": 41.269167},
        "instrument_configs": [
            {"exposure_time": 30.0, "exposure_count": 3, "mode": "full_frame", "optical_elements": element}
        ],
        "summary": {},
        **values,
    }


class Service:
    """The observatory on a port of its own that survives stopping and starting."""

    def __init__(self, observatory: Observatory) -> None:
        self.observatory = observatory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        config = uvicorn.Config(self.observatory.app, port=self.port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"{self.url}/api/clock/")
                    return
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        assert self._server is not None
        assert self._task is not None
        self._server.should_exit = self._server.force_exit = True
        await self._task


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    running = Service(Observatory())
    await running.start()
    yield running
    await running.stop()


def records_in(folder: Path) -> list[FrameRecord]:
    records = [read_record(path) for path in folder.iterdir()]
    return sorted(records, key=lambda record: (record.headers["MOLUID"], record.basename))


@contextlib.asynccontextmanager
async def telescope(service: Service, watch_dir: Path) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(run_telescopes([NAME], url=service.url, token=TOKEN, watch_dir=watch_dir))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_observes_reports_and_writes_frames_for_the_archive(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 300, 600, configuration(11), configuration(12, "SPECTRUM"))
    planned = site.observations[1]
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: planned["state"] == "COMPLETED")
    assert site.states() == [(11, "ATTEMPTED"), (11, "COMPLETED"), (12, "ATTEMPTED"), (12, "COMPLETED")]
    summary = site.reports[1][1]["summary"]
    assert set(summary) == {"start", "end", "state", "reason", "time_completed", "events"}
    assert (summary["state"], summary["time_completed"]) == ("COMPLETED", 90.0)
    spans = [
        tuple(datetime.fromisoformat(body["summary"][key] + "+00:00") for key in ("start", "end"))
        for _, body in site.reports
        if "summary" in body
    ]
    assert abs(spans[0][0] - datetime.fromisoformat(planned["start"])) < timedelta(seconds=1)
    assert abs(spans[-1][1] - datetime.fromisoformat(planned["end"])) < timedelta(seconds=1)
    assert spans[0][1] == spans[1][0]
    records = records_in(tmp_path)
    assert [r.headers["MOLUID"] for r in records] == [411, 411, 412, 412]
    assert [r.extension for r in records] == [".fits", ".fits.fz"] * 2
    for record in records:
        assert (record.observation_id, record.request_id, record.headers["TRACKNUM"]) == (1, 901, 701)
        assert (record.proposal_id, record.target_name, record.instrument_id) == ("GAL-003", "M31", "fa05")
        assert (record.site_id, record.telescope_id, record.headers["ENCID"]) == ("elp", "1m0a", "doma")
        assert record.basename.startswith("elp1m0a-fa05-20261119-01")
        assert (record.observation_day, record.exposure_time, record.reduction_level) == ("20261119", 30.0, 0)
        assert record.area is not None
        start = datetime.fromisoformat(f"{record.observation_date}+00:00")
        assert spans[0][0] <= start < spans[-1][1]
    assert [r.configuration_type for r in records] == ["EXPOSE", "EXPOSE", "SPECTRUM", "SPECTRUM"]
    corners = records[0].area["coordinates"][0][:4]  # type: ignore[index]
    assert sum(ra for ra, _ in corners) / 4 == pytest.approx(10.684583, abs=0.01)


async def test_arc_lamps_have_no_place_on_the_sky(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 60, 300, configuration(11, "ARC"))
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: site.observations[1]["state"] == "COMPLETED")
    records = records_in(tmp_path)
    assert {(r.configuration_type, r.area, r.basename[-3:]) for r in records} == {("ARC", None, "a00")}


async def test_canceled_before_its_start_is_not_begun(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 120, 300, configuration(11))
    site.schedule(2, 500, 300, configuration(21))
    site.observations[1]["state"] = "CANCELED"
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: (21, "COMPLETED") in site.states())
    assert {status for status, _ in site.states()} == {21}


async def test_canceled_without_a_new_stamp_is_noticed_at_the_start(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 1500, 300, configuration(11))
    site.schedule(2, 1850, 200, configuration(21))
    async with telescope(service, tmp_path):
        polls = site.now() + timedelta(seconds=300)
        await site.wait_for(lambda: site.now() > polls)  # it has read the schedule
        site.observations[1]["state"] = "CANCELED"  # no stamp moves
        await site.wait_for(lambda: (21, "COMPLETED") in site.states())
    assert {status for status, _ in site.states()} == {21}


async def test_withdrawn_while_it_runs_is_left_without_frames(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 60, 9000, configuration(11))
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: (11, "ATTEMPTED") in site.states())
        site.observations[1]["state"] = "ABORTED"
        site.schedule(2, 1200, 300, configuration(21))
        await site.wait_for(lambda: (21, "COMPLETED") in site.states())
    assert (11, "COMPLETED") not in site.states()
    assert {record.headers["MOLUID"] for record in records_in(tmp_path)} == {421}


async def test_an_observation_that_is_deleted_while_it_runs_is_left(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 60, 600, configuration(11))
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: (11, "ATTEMPTED") in site.states())
        del site.observations[1]  # the report of its end will be answered with 404
        site.schedule(2, 1200, 200, configuration(21))
        await site.wait_for(lambda: (21, "COMPLETED") in site.states())
    assert (11, "COMPLETED") not in site.states()


async def test_trouble_of_the_server_only_delays(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, 120, 600, configuration(11), configuration(12))
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: (11, "ATTEMPTED") in site.states())
        site.broken = 3
        await site.wait_for(lambda: (11, "COMPLETED") in site.states())
        await service.stop()
        await service.start()
        await site.wait_for(lambda: site.observations[1]["state"] == "COMPLETED")
    assert len(records_in(tmp_path)) == 4


async def test_restarted_telescope_finishes_what_is_in_progress(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    done, begun = configuration(11, state="COMPLETED"), configuration(12, state="ATTEMPTED")
    site.schedule(1, -6000, 6900, done, begun, configuration(13))  # its time for 12 is long over
    site.observations[1]["state"] = "IN_PROGRESS"
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: site.observations[1]["state"] == "COMPLETED")
    assert site.states() == [(12, "ATTEMPTED"), (12, "COMPLETED"), (13, "ATTEMPTED"), (13, "COMPLETED")]
    begun_at = datetime.fromisoformat(site.reports[1][1]["summary"]["start"] + "+00:00")
    assert begun_at > EPOCH  # not before the telescope was back


async def test_what_can_no_longer_be_done_is_reported(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    site.schedule(1, -30_000, 900, configuration(11, state="ATTEMPTED"), configuration(12))
    site.schedule(2, 300, 300, configuration(21))
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: (21, "COMPLETED") in site.states())
    assert site.states()[:2] == [(11, "FAILED"), (12, "NOT_ATTEMPTED")]
    assert "not running" in site.reports[0][1]["summary"]["reason"]
    assert site.reports[0][1]["summary"]["time_completed"] == 0.0


async def test_half_written_frames_of_a_killed_run_are_removed(service: Service, tmp_path: Path) -> None:
    site = service.observatory
    old, young, other = (
        tmp_path / f".{name}.fits.part" for name in ("elp1m0a-fa05-1", "elp1m0a-fa05-2", "cpt1m0a-fa14-1")
    )
    for path in (old, young, other):
        path.write_bytes(b"SIMPLE")
    for path in (old, other):
        os.utime(path, (1e9, 1e9))
    site.schedule(1, 60, 300, configuration(11))
    async with telescope(service, tmp_path):
        await site.wait_for(lambda: bool(site.reports))
    assert [path.exists() for path in (old, young, other)] == [False, True, True]


async def test_a_refused_token_ends_the_program(service: Service, tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(ExceptionGroup) as caught:
            await run_telescopes([NAME], url=service.url, token="wrong", watch_dir=tmp_path)
    assert caught.group_contains(RefusedError, match="refuses our token")


def test_configurations_follow_each_other_and_end_on_time() -> None:
    start, end = EPOCH, EPOCH + timedelta(seconds=600)
    steps = timeline([configuration(1), configuration(2, repeat_duration=210.0)], start, end)
    assert [(step.start - start).total_seconds() for step in steps] == [0.0, 240.0]
    assert steps[-1].end == end
    tight = timeline([configuration(1), configuration(2)], start, start + timedelta(seconds=90))
    assert [(step.end - start).total_seconds() for step in tight] == [45.0, 90.0]


def test_frames_are_small_enough_to_keep(tmp_path: Path) -> None:
    from ocs.demo import sky

    path = sky.publish(
        sky.write_frame(tmp_path / "a.fits", sky.star_field(1.0, 2.0, sky.Camera(), 30.0, seed=1), {})
    )
    assert path.stat().st_size < 600_000
    with fits.open(path) as hdus:
        assert hdus[0].header["BITPIX"] == 16


def test_names_and_tokens_of_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.delenv("OCS_TOKEN", raising=False)
    with pytest.raises(SystemExit):
        main(["--url", "http://127.0.0.1:1", "--telescope", "elp.1m0a", "--watch-dir", "x"])
    assert "elp.1m0a" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--url", "http://127.0.0.1:1", "--telescope", "elp.doma.1m0a", "--watch-dir", "x"])
    assert "OCS_TOKEN" in capsys.readouterr().err
