"""`ocs demo`: a whole observatory on a fresh data folder, at work in fast-forward.

The server runs in this process; everything else the demo does, it does as a client over HTTP: it submits
requests as the astronomers of the network file, and runs one virtual telescope for each of its telescopes.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
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

from ocs import observatory_file
from ocs.demo import network, targets
from ocs.demo.telescope import TelescopeName, VirtualTelescope
from ocs.kernel.clock import Clock
from ocs.kernel.datafolder import DataFolder, StartError
from ocs.kernel.logging import configure_logging
from ocs.kernel.runtime import Runtime
from ocs.kernel.settings import Settings
from ocs.server import Server

NIGHT_FALLS_UTC_H = 4.5
"""Hour at which the demo's first day begins: soon after, all its sites get dark one after another."""
CLOCK_RESERVE_S = 3.0
SEED = 20
SHOW_EVERY_S = 0.5
REPORT_EVERY_S = 10.0


class DemoFailedError(Exception):
    """`ocs demo --once` did not see what it was to see; the text says what is missing."""


class DemoClock(Clock):
    """A clock that goes on where the last run of the same folder stopped.

    The file always holds a time that is not reached yet, so that whatever was acknowledged before a kill lies
    in the past of the next run.
    """

    def __init__(self, file: Path, rate: float) -> None:
        self._file = file
        try:
            start = datetime.fromisoformat(json.loads(file.read_text())["resume_at"])
        except FileNotFoundError:
            today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            start = today + timedelta(hours=NIGHT_FALLS_UTC_H)
        super().__init__(start, rate)
        self.save()

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
    """

    settings: Settings
    rate: float
    requests: int
    console: Console
    frames: dict[str, str] = field(default_factory=dict)
    progress: Progressed = field(default_factory=Progressed)
    content: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def observatory(self) -> AsyncIterator[str]:
        """Run server, submission and telescopes; give the address."""
        folder = DataFolder(self.settings.data_dir)
        folder.create()
        if not folder.is_demo and (folder.path / "postgres").exists():
            raise StartError(
                f"The data folder {folder.path} belongs to a real observatory; choose another one for the demo."
            )
        folder.mark_demo()
        configure_logging(self.settings.log_level, folder.path / "log")
        clock = DemoClock(folder.path / "clock.json", self.rate)
        server = Server(self.settings, clock=clock, demo=True)
        async with server.running(), asyncio.TaskGroup() as tasks:
            self.content = network.observatory_file(clock.now())
            await self._configure(server.app.state.runtime)
            work = [tasks.create_task(clock.keep()), tasks.create_task(self._submit(server.url, clock))]
            for name in self._telescopes():
                work.append(tasks.create_task(self._observe(name, server.url)))
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

    async def _submit(self, url: str, clock: Clock) -> None:
        """Submit the requests that are not there yet, each as its own astronomer."""
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
                    raise DemoFailedError(f"A submission was answered {answer.status_code}: {answer.text[:500]}")

    async def _observe(self, name: TelescopeName, url: str) -> None:
        async with self.client(url, "telescopes") as client:
            telescope = VirtualTelescope(name, client, self.settings.incoming_dir, on_frame=self._note_frame)
            await telescope.run()

    def _note_frame(self, path: Path) -> None:
        basename = path.name.partition(".")[0]
        self.frames[basename] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()

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
        table = Table(title=f"{clock['now'][:16].replace('T', ' ')} UTC, {clock['rate']:g} x real time", expand=True)
        for column in ("telescope", "state", "observes", "proposal", "until", "next"):
            table.add_column(column, no_wrap=True)
        answer = await client.get(
            "/api/schedule/",
            params={"state": ["PENDING", "IN_PROGRESS"], "ordering": "start", "limit": 1000, "end_after": clock["now"]},
        )
        rows = answer.json()["results"]
        for name in self._telescopes():
            mine = [row for row in rows if (row["site"], row["enclosure"], row["telescope"]) == _codes(name)]
            running = next((row for row in mine if row["state"] == "IN_PROGRESS"), None)
            waiting = [row for row in mine if row["state"] == "PENDING"]
            upcoming = f"{waiting[0]['start'][11:16]} {waiting[0]['name']}" if waiting else ""
            if running:
                table.add_row(
                    str(name), "[green]observing", running["name"], running["proposal"], running["end"][11:16], upcoming
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
                            total = max(self.progress.submitted, 1) if name != "archived" else max(len(self.frames), done)
                            bars.update(task, completed=done, total=total)
                        if self.console.is_terminal:
                            live.update(Group(await self._rows(client, clock), bars))
                        elif monotonic() - reported_s > REPORT_EVERY_S:
                            reported_s = monotonic()
                            figures = ", ".join(f"{getattr(self.progress, name)} {name}" for name in names)
                            self.console.print(f"{clock['now'][:16]}Z: {figures}")
                    if until is not None and self.progress.completed >= until and await self._is_archived(client, until):
                        return
                    if until is not None and monotonic() - started_s > deadline_s:
                        raise DemoFailedError(
                            f"After {deadline_s:.0f} s only {self.progress.completed} of {until} requests were "
                            f"completed, with {self.progress.archived} frames archived."
                        )
                    await asyncio.sleep(SHOW_EVERY_S)

    async def _is_archived(self, client: httpx.AsyncClient, until: int) -> bool:
        """Tell whether every telescope has worked and `until` completed requests have all their frames."""
        completed = await self._completed(client)
        telescopes = {row["telescope"] for rows in completed.values() for row in rows}
        complete = 0
        for request_id in completed:
            frames = (await client.get("/frames/", params={"request_id": request_id, "limit": 1000})).json()["results"]
            expected = {name for name in self.frames if name in self._basenames(completed[request_id])}
            complete += bool(frames) and expected <= {frame["basename"] for frame in frames}
        return complete >= until and len(telescopes) >= len({name.telescope for name in self._telescopes()})

    async def _completed(self, client: httpx.AsyncClient) -> dict[int, list[dict[str, Any]]]:
        answer = await client.get("/api/observations/", params={"state": "COMPLETED", "limit": 1000})
        found: dict[int, list[dict[str, Any]]] = {}
        for row in answer.json()["results"]:
            if row["request"]["state"] == "COMPLETED":
                found.setdefault(row["request"]["id"], []).append(row)
        return found

    def _basenames(self, observations: list[dict[str, Any]]) -> set[str]:
        return set()


def _codes(name: TelescopeName) -> tuple[str, str, str]:
    return name.site, name.enclosure, name.telescope
