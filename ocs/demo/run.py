"""`ocs demo`: a whole observatory on a fresh data folder, at work in fast-forward.

The server runs in this process; everything else the demo does, it does as a client over HTTP: it submits
requests as the astronomers of the network file, and runs one virtual telescope for each of its telescopes.
"""

import asyncio
import contextlib
import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ocs import observatory_file, visibility
from ocs.demo import network, targets
from ocs.demo.telescope import FrameOrder, TelescopeName, VirtualTelescope, render
from ocs.kernel.clock import Clock
from ocs.kernel.datafolder import DataFolder, StartError
from ocs.kernel.jobs import CpuPool
from ocs.kernel.logging import configure_logging
from ocs.kernel.runtime import Runtime
from ocs.kernel.settings import Settings
from ocs.server import Server, ServerEndedError, first_cause

HOUR_US = 3600 * 1_000_000
DAY_US = 24 * HOUR_US
CLOCK_RESERVE_S = 3.0
SEED = 20
SHOW_EVERY_S = 0.5
REPORT_EVERY_S = 10.0


class DemoFailedError(Exception):
    """`ocs demo --once` did not see what it was to see; the text says what is missing."""


def first_moment(today: datetime) -> datetime:
    """Return when the demo begins: when it takes the least time until every site has had darkness."""
    content = network.observatory_file(today)
    start = visibility.from_datetime(today.replace(hour=0, minute=0, second=0, microsecond=0))
    dark = [
        visibility.dark(visibility.Site(site["lat"], site["long"]), start, start + 3 * DAY_US)
        for site in content["sites"]
    ]

    def all_worked_us(moment: int) -> int:
        """Return when every site had an hour of darkness after `moment`."""
        worked: int = max(
            min(
                max(moment, night[0]) + HOUR_US
                for night in nights
                if night[1] >= max(moment, night[0]) + HOUR_US
            )
            for nights in dark
        )
        return worked

    moments = range(start, start + DAY_US, HOUR_US // 4)
    return visibility.to_datetime(min(moments, key=lambda moment: all_worked_us(moment) - moment))


class DemoClock(Clock):
    """A clock that goes on where the last run of the same folder stopped, once it is let go.

    The file always holds a time that is not reached yet, so that whatever was acknowledged before a kill lies
    in the past of the next run.
    """

    def __init__(self, file: Path, rate: float) -> None:
        self._file = file
        try:
            start = datetime.fromisoformat(json.loads(file.read_text())["resume_at"])
        except FileNotFoundError:
            start = first_moment(datetime.now(UTC))
        super().__init__(start, rate)
        self._held_at: datetime | None = start
        self.save()

    def now(self) -> datetime:
        """Return the current time; it stands still until `let_go`."""
        return self._held_at or super().now()

    def let_go(self) -> None:
        """Let time run: nobody should miss the night because the observatory was still starting."""
        if self._held_at is not None:
            self._start_monotonic_s = monotonic()
            self._held_at = None

    def save(self) -> None:
        """Write the time from which the next run goes on."""
        resume_at = self.now() + timedelta(seconds=CLOCK_RESERVE_S * self.rate)
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps({"resume_at": resume_at.isoformat()}))
        draft.replace(self._file)

    async def keep(self) -> None:
        """Save the time again and again, until cancelled."""
        while True:
            await asyncio.sleep(CLOCK_RESERVE_S / 3)
            self.save()


def render_and_digest(orders: list[FrameOrder]) -> tuple[list[Path], list[str]]:
    """Make frames, and note what was written, to compare the archive with."""
    files = render(orders)
    return files, [hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() for file in files]


@dataclass(slots=True)
class Progressed:
    """How far the observatory is."""

    submitted: int = 0
    scheduled: int = 0
    observing: int = 0
    completed: int = 0
    archived: int = 0


@dataclass
class Demo:
    """One run of the demo.

    Attributes
    ----------
    settings
        With the demo's data folder.
    rate
        Simulated seconds per real second.
    requests
        How many request groups are submitted.
    frames
        What the telescopes wrote in this run: md5 by basename, by observation.
    """

    settings: Settings
    rate: float
    requests: int
    console: Console
    frames: dict[int, dict[str, str]] = field(default_factory=dict)
    progress: Progressed = field(default_factory=Progressed)
    content: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def observatory(self) -> AsyncIterator[str]:
        """Run server, submission and telescopes; give the address."""
        folder = DataFolder(self.settings.data_dir)
        folder.create()
        if not folder.is_demo and (folder.path / "postgres").exists():
            raise StartError(
                f"The data folder {folder.path} belongs to a real observatory; choose another for the demo."
            )
        folder.mark_demo()
        configure_logging(self.settings.log_level, folder.path / "log")
        clock = DemoClock(folder.path / "clock.json", self.rate)
        server = Server(self.settings, clock=clock, demo=True)
        async with server.running(), asyncio.TaskGroup() as tasks:
            self.content = network.observatory_file(clock.now())
            runtime: Runtime = server.app.state.runtime
            await self._configure(runtime)
            work = [tasks.create_task(clock.keep()), tasks.create_task(self._submit(server.url, clock))]
            for name in self._telescopes():
                work.append(tasks.create_task(self._observe(name, server.url, runtime.reader_pool)))
            work.append(tasks.create_task(server.ended()))
            try:
                yield server.url
            finally:
                for task in work:
                    task.cancel()

    async def _configure(self, runtime: Runtime) -> None:
        document = observatory_file.Document(Path("network.yaml"), self.content, {})
        await observatory_file.apply(runtime, document)

    def _token(self, username: str) -> str:
        return next(str(user["token"]) for user in self.content["users"] if user["username"] == username)

    def client(self, url: str, username: str) -> httpx.AsyncClient:
        """Return a client that is logged in as one of the network's people."""
        return httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Token {self._token(username)}"}, timeout=30
        )

    def _telescopes(self) -> list[TelescopeName]:
        return [
            TelescopeName(site["code"], enclosure["code"], telescope["code"])
            for site in self.content["sites"]
            for enclosure in site["enclosures"]
            for telescope in enclosure["telescopes"]
        ]

    async def _submit(self, url: str, clock: DemoClock) -> None:
        """Submit the requests that are not there yet, each as its own astronomer; then let time run."""
        async with contextlib.AsyncExitStack() as stack:
            people = {
                user["username"]: await stack.enter_async_context(self.client(url, user["username"]))
                for user in self.content["users"]
            }
            there = (await people["admin"].get("/api/requestgroups/?limit=1")).json()["count"]
            groups = targets.request_groups(clock.now(), random.Random(SEED))[: self.requests]
            for username, payload in groups[there:]:
                answer = await people[username].post("/api/requestgroups/", json=payload)
                if answer.status_code not in {201, 400}:
                    raise DemoFailedError(
                        f"A submission was answered {answer.status_code}: {answer.text[:500]}"
                    )
        clock.let_go()

    async def _observe(self, name: TelescopeName, url: str, pool: CpuPool) -> None:
        async def witness(orders: list[FrameOrder]) -> list[Path]:
            files, digests = await pool.run(render_and_digest, orders)
            for order, digest in zip(orders, digests, strict=True):
                basename = order.path.name.partition(".")[0]
                self.frames.setdefault(order.cards["BLKUID"], {})[basename] = digest
            return files

        async with self.client(url, "telescopes") as client:
            await VirtualTelescope(name, client, self.settings.incoming_dir, render=witness).run()

    # --- what is shown -----------------------------------------------------------------------------------

    async def look(self, client: httpx.AsyncClient) -> None:
        """Ask the observatory how far it is."""

        async def count(path: str, **params: Any) -> int:
            answer = await client.get(path, params={**params, "limit": 1})
            answer.raise_for_status()
            return int(answer.json()["count"])

        self.progress = Progressed(
            submitted=await count("/api/requests/"),
            scheduled=await count("/api/observations/", state="PENDING"),
            observing=await count("/api/observations/", state="IN_PROGRESS"),
            completed=await count("/api/requests/", state="COMPLETED"),
            archived=await count("/frames/", force_count="true"),
        )

    async def _rows(self, client: httpx.AsyncClient, clock: dict[str, Any]) -> Table:
        table = Table(
            title=f"{clock['now'][:16].replace('T', ' ')} UTC, {clock['rate']:g} x real time", expand=True
        )
        for column in ("telescope", "state", "observes", "proposal", "until", "next"):
            table.add_column(column, no_wrap=True)
        answer = await client.get(
            "/api/schedule/",
            params={
                "state": ["PENDING", "IN_PROGRESS"],
                "ordering": "start",
                "limit": 1000,
                "end_after": clock["now"],
            },
        )
        rows = answer.json()["results"]
        for name in self._telescopes():
            mine = [row for row in rows if (row["site"], row["enclosure"], row["telescope"]) == _codes(name)]
            running = next((row for row in mine if row["state"] == "IN_PROGRESS"), None)
            waiting = [row for row in mine if row["state"] == "PENDING"]
            upcoming = f"{waiting[0]['start'][11:16]} {waiting[0]['name']}" if waiting else ""
            if running:
                table.add_row(
                    str(name),
                    "[green]observing",
                    running["name"],
                    running["proposal"],
                    running["end"][11:16],
                    upcoming,
                )
            else:
                table.add_row(str(name), "[dim]waiting", "", "", "", upcoming)
        return table

    async def show(self, url: str, *, until: int | None, deadline_s: float) -> None:
        """Show the observatory at work until `until` requests are completed and archived, or for ever."""
        bars = Progress(TextColumn("{task.description:>10}"), BarColumn(bar_width=None), MofNCompleteColumn())
        names = ("submitted", "scheduled", "observing", "completed", "archived")
        tasks = {name: bars.add_task(name, total=None) for name in names}
        started_s = monotonic()
        reported_s = 0.0
        live = Live(console=self.console, refresh_per_second=4, transient=until is not None)
        async with self.client(url, "admin") as client:
            with live if self.console.is_terminal else contextlib.nullcontext():
                while True:
                    with contextlib.suppress(httpx.TransportError, httpx.HTTPStatusError):
                        await self.look(client)
                        clock = (await client.get("/api/clock/")).json()
                        for name, task in tasks.items():
                            done = getattr(self.progress, name)
                            total = (
                                max(self.progress.submitted, 1)
                                if name != "archived"
                                else max(len(self.frames), done)
                            )
                            bars.update(task, completed=done, total=total)
                        if self.console.is_terminal:
                            live.update(Group(await self._rows(client, clock), bars))
                        elif monotonic() - reported_s > REPORT_EVERY_S:
                            reported_s = monotonic()
                            figures = ", ".join(f"{getattr(self.progress, name)} {name}" for name in names)
                            self.console.print(f"{clock['now'][:16]}Z: {figures}", soft_wrap=True)
                    if (
                        until is not None
                        and self.progress.completed >= until
                        and await self._is_archived(client, until)
                    ):
                        return
                    if until is not None and monotonic() - started_s > deadline_s:
                        raise DemoFailedError(
                            f"After {deadline_s:.0f} s {self.progress.completed} of {until} requests were "
                            f"completed, with {self.progress.archived} frames archived."
                        )
                    await asyncio.sleep(SHOW_EVERY_S)

    async def _completed(self, client: httpx.AsyncClient) -> list[dict[str, Any]]:
        answer = await client.get("/api/observations/", params={"state": "COMPLETED", "limit": 1000})
        return [row for row in answer.json()["results"] if row["request"]["state"] == "COMPLETED"]

    async def _is_archived(self, client: httpx.AsyncClient, until: int) -> bool:
        """Tell whether every telescope has worked and `until` completed requests have all their frames."""
        rows = await self._completed(client)
        archived = [row for row in rows if await self._missing(client, row) == set()]
        worked = {(row["site"], row["enclosure"], row["telescope"]) for row in archived}
        return len(archived) >= until and worked >= {_codes(name) for name in self._telescopes()}

    async def _archived(self, client: httpx.AsyncClient, observation: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await client.get("/frames/", params={"observation_id": observation["id"], "limit": 1000})
        frames: list[dict[str, Any]] = answer.json()["results"]
        return frames

    async def _missing(self, client: httpx.AsyncClient, observation: dict[str, Any]) -> set[str]:
        """Return the frames of a completed observation that are not in the archive yet."""
        expected = set(self.frames.get(observation["id"], {"any frame": ""}))
        found = {frame["basename"] for frame in await self._archived(client, observation)}
        return expected - found - ({"any frame"} if found else set())

    async def verify(self, url: str) -> str:
        """Download every frame of the completed requests and compare it; return a summary.

        Raises
        ------
        DemoFailedError
            When a frame is missing or differs from what the telescope wrote.
        """
        frames = size = 0
        async with self.client(url, "admin") as client, httpx.AsyncClient(timeout=60) as anybody:
            rows = [row for row in await self._completed(client) if not await self._missing(client, row)]
            for row in rows:
                for frame in await self._archived(client, row):
                    content = (await anybody.get(frame["url"])).content
                    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
                    written = self.frames.get(row["id"], {}).get(frame["basename"], digest)
                    if digest != frame["version_set"][0]["md5"] or digest != written:
                        raise DemoFailedError(
                            f"The archive's {frame['filename']} differs from what was written."
                        )
                    frames += 1
                    size += len(content)
        per_telescope = Counter(f"{row['site']}.{row['enclosure']}.{row['telescope']}" for row in rows)
        work = ", ".join(f"{count} on {name}" for name, count in sorted(per_telescope.items()))
        volume = f"{frames} frames ({size / 1e6:.1f} MB)"
        return f"{len(rows)} requests completed ({work}); {volume} downloaded and equal."


def _codes(name: TelescopeName) -> tuple[str, str, str]:
    return name.site, name.enclosure, name.telescope


def reset(settings: Settings) -> None:
    """Remove a demo's data folder.

    Raises
    ------
    StartError
        When the folder is not a demo's, or in use.
    """
    folder = DataFolder(settings.data_dir)
    if not folder.path.exists():
        return
    if not folder.is_demo:
        raise StartError(f"{folder.path} does not belong to a demo, so it is not removed.")
    if owner := folder.owner():
        raise StartError(
            f"`{owner.purpose}` (process {owner.pid}) still runs on {folder.path}; stop it first."
        )
    shutil.rmtree(folder.path)


async def run(settings: Settings, *, rate: float, requests: int, once: int | None, deadline_s: float) -> int:
    """Run the demo; return the exit code.

    Parameters
    ----------
    rate
        Simulated seconds per real second.
    requests
        Request groups to submit.
    once
        Stop when so many requests are completed and archived, and verify them; None runs until interrupted.
    deadline_s
        Real seconds after which `once` has failed.
    """
    console = Console()
    demo = Demo(settings, rate, requests, console)
    console.print(f"Starting an observatory in {settings.data_dir} ...")
    code = 0
    try:
        async with demo.observatory() as url:
            console.print(
                f"It answers at [bold]{url}[/], documented at {url}/docs; log: {settings.data_dir}/log"
            )
            for user in demo.content["users"]:
                console.print(
                    f"  {user['username']:<12} password {user['password']:<18} token {user['token']}"
                )
            await demo.show(url, until=once, deadline_s=deadline_s)
            console.print(await demo.verify(url), soft_wrap=True)
    except* DemoFailedError as failures:
        console.print(f"[red]{first_cause(failures)}[/]", soft_wrap=True)
        code = 1
    except* ServerEndedError:
        code = 0 if once is None else 1
    return code
