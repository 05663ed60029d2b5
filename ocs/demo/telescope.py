"""A telescope that observes its schedule: an example of telescope control software for OCS.

It is an ordinary HTTP client and knows nothing of the server but its public interface:

=====================================  =======================================================================
``GET /api/clock/``                    what time it is, and how fast time runs
``GET /configdb/sites/``               where the telescope stands
``GET /api/last_scheduled/?site=``     cheap question whether there is anything new
``GET /api/schedule/?site=&...``       what to observe
``GET /api/observations/{id}/``        is it still wanted, asked right before the start
``PATCH /api/configurationstatus/…``   begun, done, failed
=====================================  =======================================================================

Frames are written into a watch folder, complete and under their final name at once. When the server is away
the telescope waits and asks again; when either was restarted, it takes up what is in progress.

Run one, or several by repeating ``--telescope``::

    python -m ocs.demo.telescope --url http://127.0.0.1:8000 --token TOKEN \
        --telescope elp.doma.1m0a --watch-dir ./ocs-demo/incoming
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from ocs.demo import sky

logger = logging.getLogger("ocs.demo.telescope")

POLL_S = 1.0
"""Real seconds between two looks at the server."""
FULL_READ_S = 20.0
"""Real seconds after which the schedule is read even if nothing seems new: cancellations set no stamp."""
LONGEST_RETRY_S = 2.0
LEFTOVER_S = 600.0
"""Real seconds after which a half-written frame has no writer any more."""
HORIZON = timedelta(days=2)
LOOK_BACK = timedelta(days=1)
FILE_LETTERS = {"ARC": "a", "BIAS": "b", "DARK": "d", "SKY_FLAT": "f", "STANDARD": "s", "LAMP_FLAT": "w"}
LAMP_TYPES = ("ARC", "LAMP_FLAT")
UNFINISHED = ("PENDING", "ATTEMPTED")
SPECTROGRAPH_GROUPS = ("slit", "grating")
CAMERA_BY_CLASS = {"0m4": sky.Camera(pixel_scale_arcsec=3.4)}


class WithdrawnError(Exception):
    """The observation is no longer wanted: canceled, replaced, or unknown to the server."""


class RefusedError(Exception):
    """The server answers, and says no: to the token, or to what it was asked."""


@dataclass(frozen=True)
class TelescopeName:
    """Codes of a telescope, and of what it stands in."""

    site: str
    enclosure: str
    telescope: str

    @classmethod
    def parse(cls, text: str) -> TelescopeName:
        """Read ``site.enclosure.telescope``."""
        parts = text.split(".")
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"{text!r} is not site.enclosure.telescope, such as elp.doma.1m0a")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.site}.{self.enclosure}.{self.telescope}"


@dataclass
class ServerClock:
    """The server's time, carried on between two looks by the machine's monotonic clock."""

    rate: float = 1.0
    _base: datetime = field(default_factory=lambda: datetime.now(UTC))
    _at_s: float = field(default_factory=time.monotonic)

    def set(self, now: str, rate: float) -> None:
        """Take over an answer of ``/api/clock/``."""
        self._base, self.rate, self._at_s = _instant(now), rate, time.monotonic()

    def now(self) -> datetime:
        """Present time of the server, aware UTC."""
        return self._base + timedelta(seconds=(time.monotonic() - self._at_s) * self.rate)

    def real_seconds_until(self, moment: datetime) -> float:
        """Real time to wait for a moment; 0 if it has passed."""
        return max(0.0, (moment - self.now()).total_seconds() / max(self.rate, 1e-9))


@dataclass(frozen=True)
class Step:
    """One configuration of an observation in time."""

    configuration: dict[str, Any]
    start: datetime
    end: datetime


@dataclass(frozen=True)
class FrameOrder:
    """One frame to be made: a picture of a field on the sky, or without one a spectrum."""

    path: Path
    cards: dict[str, Any]
    exposure_time_s: float
    seed: int
    field: tuple[float, float, sky.Camera] | None = None
    is_lamp: bool = False


def render(orders: list[FrameOrder]) -> list[Path]:
    """Make frames under temporary names; `sky.publish` gives them their own. Pure work for a CPU."""
    files = []
    for order in orders:
        if order.field is None:
            image = sky.spectrum(order.exposure_time_s, seed=order.seed, lamp=order.is_lamp)
        else:
            ra_deg, dec_deg, camera = order.field
            image = sky.star_field(ra_deg, dec_deg, camera, order.exposure_time_s, seed=order.seed)
        files.append(sky.write_frame(order.path, image, order.cards))
    return files


async def _render_in_thread(orders: list[FrameOrder]) -> list[Path]:
    return await asyncio.to_thread(render, orders)


class VirtualTelescope:
    """One telescope of the network.

    Parameters
    ----------
    name : TelescopeName
    client : httpx.AsyncClient
        With base URL and ``Authorization`` header of a staff account that sees all proposals.
    watch_dir : Path
        Folder for frames; made if missing.
    frames_per_configuration : int
        At most so many exposures of a configuration become files.
    configdb_path : str
        Where the server keeps its configuration database.
    render : callable
        Runs `render` somewhere off the event loop.
    """

    def __init__(
        self,
        name: TelescopeName,
        client: httpx.AsyncClient,
        watch_dir: Path,
        *,
        frames_per_configuration: int = 2,
        configdb_path: str = "/configdb/",
        render: Callable[[list[FrameOrder]], Awaitable[list[Path]]] = _render_in_thread,
    ) -> None:
        self.name = name
        self._render = render
        self.clock = ServerClock()
        self._client = client
        self._watch_dir = watch_dir
        self._frames_per_configuration = frames_per_configuration
        self._configdb_path = configdb_path
        self._site: dict[str, Any] = {}
        self._stamp: str | None = None
        self._read_at_s = float("-inf")
        self._plan: dict[int, dict[str, Any]] = {}
        self._given_up: set[int] = set()

    async def run(self) -> None:
        """Observe until cancelled. Cancelling leaves the observation in progress, for the next start."""
        self._prepare_folder()
        self._site = await self._find_site()
        while True:
            await self._refresh()
            observation = self._next()
            if observation is None:
                await asyncio.sleep(POLL_S)
                continue
            wait_s = self.clock.real_seconds_until(_instant(observation["start"]))
            if wait_s > 0.0:
                await asyncio.sleep(min(wait_s, POLL_S))
                if wait_s > POLL_S:
                    continue
            try:
                await self._observe(observation)
            except (WithdrawnError, RefusedError) as error:
                logger.info("%s leaves observation %s: %s", self.name, observation["id"], error)
                self._given_up.add(observation["id"])
            self._plan.pop(observation["id"], None)

    # --- the schedule ----------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Learn the time, and the schedule if it moved."""
        clock = await self._get("/api/clock/")
        self.clock.set(clock["now"], clock["rate"])
        stamp = (await self._get("/api/last_scheduled/", site=self.name.site))["last_schedule_time"]
        if stamp == self._stamp and time.monotonic() - self._read_at_s < FULL_READ_S:
            return
        now = self.clock.now()
        rows: list[dict[str, Any]] = []
        for page in itertools.count():
            answer = await self._get(
                "/api/schedule/",
                site=self.name.site,
                enclosure=self.name.enclosure,
                telescope=self.name.telescope,
                state=["PENDING", "IN_PROGRESS"],
                start_before=_text(now + HORIZON),
                end_after=_text(now - LOOK_BACK),
                limit=1000,
                offset=1000 * page,
            )
            rows += answer["results"]
            if len(rows) >= answer["count"] or not answer["results"]:
                break
        self._plan = {
            row["id"]: row
            for row in rows
            if row["observation_type"] != "REAL_TIME" and row["id"] not in self._given_up
        }
        self._stamp, self._read_at_s = stamp, time.monotonic()

    def _next(self) -> dict[str, Any] | None:
        """What is in progress first, then by start."""
        order = sorted(self._plan.values(), key=lambda row: (row["state"] != "IN_PROGRESS", row["start"]))
        return order[0] if order else None

    def _slack(self) -> timedelta:
        """How late a start may be: a minute, or what a look at the server costs in its time."""
        return timedelta(seconds=max(60.0, 3.0 * POLL_S * self.clock.rate))

    # --- observing -------------------------------------------------------------------------------------

    async def _observe(self, planned: dict[str, Any]) -> None:
        """Carry out one observation, or what is left of it."""
        current = await self._get(f"/api/observations/{planned['id']}/")
        if current["state"] not in ("PENDING", "IN_PROGRESS"):
            raise WithdrawnError(f"it is {current['state']}")
        states = {status["id"]: status["state"] for status in current["configuration_statuses"]}
        steps = [
            step
            for step in timeline(
                [c for c in planned["request"]["configurations"] if "instrument_configs" in c],
                _instant(planned["start"]),
                _instant(planned["end"]),
            )
            if states.get(step.configuration["configuration_status"]) in UNFINISHED
        ]
        if not steps:
            return
        now, end, slack = self.clock.now(), _instant(planned["end"]), self._slack()
        if now - steps[0].start > slack:  # taken up again after a stop: what is left begins now
            left = [step.configuration for step in steps]
            needed = timedelta(seconds=sum(map(exposure_seconds, left)))
            if now + needed > end + slack:
                await self._give_up(steps, states, "the telescope was not running at the scheduled time")
                return
            steps = timeline(left, now, max(end, now + needed))
        for step in steps:
            await self._carry_out(planned, step)
        logger.info("%s completed observation %s (%s)", self.name, planned["id"], planned["name"])

    async def _carry_out(self, observation: dict[str, Any], step: Step) -> None:
        status = step.configuration["configuration_status"]
        await self._wait_until(step.start, observation["id"])
        await self._patch(status, {"state": "ATTEMPTED"})
        exposures = asyncio.ensure_future(self._render(self._orders(observation, step)))
        try:
            await self._wait_until(step.end, observation["id"])
        except BaseException:
            for file in await exposures:
                file.unlink()
            raise
        files = await exposures
        for file in files:
            sky.publish(file)
        done = {
            "start": _text(step.start),
            "end": _text(step.end),
            "state": "COMPLETED",
            "reason": "",
            "time_completed": exposure_seconds(step.configuration),
            "events": [
                {"time": _text(step.start), "event": "configuration started"},
                {"time": _text(step.end), "event": f"{len(files)} frames written"},
            ],
        }
        await self._patch(status, {"state": "COMPLETED", "summary": done})

    async def _give_up(self, steps: list[Step], states: dict[int, str], reason: str) -> None:
        """Report what was begun as failed, the rest as not attempted: it can be scheduled again."""
        for step in steps:
            status = step.configuration["configuration_status"]
            state = "FAILED" if states[status] == "ATTEMPTED" else "NOT_ATTEMPTED"
            now = _text(self.clock.now())
            summary = {"start": now, "end": now, "state": state, "reason": reason, "time_completed": 0.0}
            await self._patch(status, {"state": state, "summary": {**summary, "events": []}})
        logger.warning("%s: %s", self.name, reason)

    async def _wait_until(self, moment: datetime, observation_id: int) -> None:
        """Wait in the server's time, with an eye on the schedule."""
        while (wait_s := self.clock.real_seconds_until(moment)) > 0.0:
            await asyncio.sleep(min(wait_s, POLL_S))
            if wait_s > POLL_S:
                await self._refresh()
                if observation_id not in self._plan:
                    raise WithdrawnError("it is no longer in the schedule")

    # --- frames ----------------------------------------------------------------------------------------

    def _prepare_folder(self) -> None:
        """Make the watch folder, and remove what an earlier run was writing when it was killed."""
        self._watch_dir.mkdir(parents=True, exist_ok=True)
        for leftover in self._watch_dir.glob(f".{self.name.site}{self.name.telescope}-*.part"):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_S:
                leftover.unlink(missing_ok=True)

    def _orders(self, observation: dict[str, Any], step: Step) -> list[FrameOrder]:
        """Say which frames a configuration gives."""
        exposures = [
            config
            for config in step.configuration["instrument_configs"]
            for _ in range(config["exposure_count"])
        ]
        kept = exposures[:: max(1, -(-len(exposures) // self._frames_per_configuration))]
        total_s = exposure_seconds(step.configuration)
        begin, apart = step.end - timedelta(seconds=total_s), timedelta(seconds=total_s / max(len(kept), 1))
        return [
            self._order(observation, step.configuration, config, number, begin + number * apart)
            for number, config in enumerate(kept)
        ]

    def _order(
        self,
        observation: dict[str, Any],
        configuration: dict[str, Any],
        config: dict[str, Any],
        number: int,
        start: datetime,
    ) -> FrameOrder:
        kind, target = configuration["type"], configuration["target"]
        ra_deg, dec_deg = float(target.get("ra") or 0.0), float(target.get("dec") or 0.0)
        exposure_time_s = float(config["exposure_time"])
        elements = config["optical_elements"]
        is_spectrum = any(group in elements for group in SPECTROGRAPH_GROUPS)
        status = configuration["configuration_status"]
        night = sky.local_night(start, self._site["long"]).strftime("%Y%m%d")
        basename = (
            f"{self.name.site}{self.name.telescope}-{configuration['instrument_name']}-{night}"
            f"-{status * 10 + number:04d}-{FILE_LETTERS.get(kind, 'e')}00"
        )
        ra_text, dec_text = sky.sexagesimal(ra_deg, dec_deg)
        stop = start + timedelta(seconds=exposure_time_s)
        cards: dict[str, Any] = {
            "DATE-OBS": _text(start),
            "DAY-OBS": night,
            "UTSTART": f"{start:%H:%M:%S}",
            "UTSTOP": f"{stop:%H:%M:%S}",
            "EXPTIME": exposure_time_s,
            "FILTER": next(iter(elements.values()), ""),
            "OBJECT": target["name"],
            "OBSTYPE": kind,
            "RLEVEL": 0,
            "SITEID": self.name.site,
            "ENCID": self.name.enclosure,
            "TELID": self.name.telescope,
            "INSTRUME": configuration["instrument_name"],
            "PROPID": observation["proposal"],
            "USERID": observation["submitter"],
            "BLKUID": observation["id"],
            "MOLUID": configuration["id"],
            "REQNUM": observation["request"]["id"],
            "TRACKNUM": observation["request_group_id"],
            "CONFMODE": config.get("mode") or "N/A",
            "RA": ra_text,
            "DEC": dec_text,
            "AIRMASS": round(sky.airmass(ra_deg, dec_deg, start, self._site["lat"], self._site["long"]), 4),
            "LATITUDE": self._site["lat"],
            "LONGITUD": self._site["long"],
            "ORIGNAME": basename,
            "ORIGIN": "OCS demo, synthetic data",
        }
        path = self._watch_dir / (basename + (".fits.fz" if number % 2 else ".fits"))
        if is_spectrum:
            if kind not in LAMP_TYPES:
                cards["RADIUS"] = 60.0  # arcsec, half the length of the slit
            return FrameOrder(path, cards, exposure_time_s, status, is_lamp=kind in LAMP_TYPES)
        camera = CAMERA_BY_CLASS.get(self.name.telescope[:3], sky.Camera())
        cards |= sky.wcs_cards(ra_deg, dec_deg, camera)
        return FrameOrder(path, cards, exposure_time_s, status * 10 + number, (ra_deg, dec_deg, camera))

    # --- the server ------------------------------------------------------------------------------------

    async def _find_site(self) -> dict[str, Any]:
        sites = await self._get(f"{self._configdb_path}sites/", code=self.name.site)
        for site in sites["results"]:
            if site["code"] == self.name.site:
                return dict(site)
        raise ValueError(f"the observatory has no site {self.name.site!r}")

    async def _get(self, path: str, **params: Any) -> Any:
        return (await self._patiently(lambda: self._client.get(path, params=params))).json()

    async def _patch(self, status_id: int, body: dict[str, Any]) -> None:
        path = f"/api/configurationstatus/{status_id}/"
        await self._patiently(lambda: self._client.patch(path, json=body))

    async def _patiently(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send until there is an answer. All our requests may be repeated.

        Raises
        ------
        RefusedError
            The token is not accepted, or the observation is gone or was changed.
        """
        pause_s = 0.1
        while True:
            try:
                response = await send()
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return response
                problem = f"{response.status_code} {response.text[:200]}"
                if response.status_code in (401, 403):
                    raise RefusedError(f"the server refuses our token: {problem}")
                if response.is_client_error and response.status_code != 429:
                    raise RefusedError(problem)
            logger.info("%s waits for the server: %s", self.name, problem)
            await asyncio.sleep(pause_s)
            pause_s = min(2.0 * pause_s, LONGEST_RETRY_S)


def timeline(configurations: list[dict[str, Any]], start: datetime, end: datetime) -> list[Step]:
    """Place the configurations of an observation between two moments.

    Each takes its exposures and an equal share of the rest; the exposures come last.
    """
    seconds = [exposure_seconds(configuration) for configuration in configurations]
    span_s = (end - start).total_seconds()
    scale = min(1.0, span_s / max(sum(seconds), 1e-9))
    share_s = (span_s - scale * sum(seconds)) / max(len(configurations), 1)
    steps = []
    for configuration, exposed_s in zip(configurations, seconds, strict=True):
        after = start + timedelta(seconds=share_s + scale * exposed_s)
        steps.append(Step(configuration, start, after))
        start = after
    return steps


def exposure_seconds(configuration: dict[str, Any]) -> float:
    """Open-shutter time of a configuration; of a sequence, the time it goes on."""
    once = sum(
        float(c["exposure_time"]) * int(c["exposure_count"]) for c in configuration["instrument_configs"]
    )
    return float(configuration.get("repeat_duration") or once)


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


async def run_telescopes(
    names: list[TelescopeName], *, url: str, token: str, watch_dir: Path, frames_per_configuration: int = 2
) -> None:
    """Run several telescopes until cancelled; one that fails ends all."""
    headers = {"Authorization": f"Token {token}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30.0, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        for name in names:
            telescope = VirtualTelescope(
                name, client, watch_dir, frames_per_configuration=frames_per_configuration
            )
            group.create_task(telescope.run(), name=str(name))


def main(arguments: list[str] | None = None) -> None:
    """Command line of the example telescope."""
    parser = argparse.ArgumentParser(
        prog="python -m ocs.demo.telescope", description="A telescope that observes."
    )
    parser.add_argument(
        "--url", required=True, help="address of the observatory, such as http://127.0.0.1:8000"
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("OCS_TOKEN"),
        help="API token of a staff account with staff_view; or set OCS_TOKEN, which ps does not show",
    )
    parser.add_argument(
        "--telescope",
        required=True,
        action="append",
        type=TelescopeName.parse,
        help="site.enclosure.telescope; may be repeated",
    )
    parser.add_argument(
        "--watch-dir", required=True, type=Path, help="folder the observatory ingests frames from"
    )
    options = parser.parse_args(arguments)
    if not options.token:
        parser.error("give --token, or set OCS_TOKEN")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            run_telescopes(
                options.telescope, url=options.url, token=options.token, watch_dir=options.watch_dir
            )
        )


if __name__ == "__main__":
    main()
