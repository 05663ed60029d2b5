"""The scheduling cycle: read, compute, solve, write.

A run happens when something changed that bears on the schedule, and now and then anyway. Its result applies
from the moment it is expected to be written; what begins earlier stays as it is. Nothing is written that is
worth less than the schedule in force: the solver has that schedule as its floor, and when there is no result
the schedule stays.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError

from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.errors import OcsError
from ocs.kernel.runtime import Runtime
from ocs.kernel.security import Principal
from ocs.kernel.wire.pages import PageRequest
from ocs.portal.observations import api as observations
from ocs.portal.requests import api as requests
from ocs.scheduler import explain, gathering, inputs, metrics, repository, worker
from ocs.scheduler.errors import NoSemester, SolverFailed, UnknownRequest, UnknownRun, UnknownTelescope
from ocs.scheduler.explain import Explanation
from ocs.scheduler.inputs import Inputs, Reservation
from ocs.scheduler.models import Run
from ocs.scheduler.problem import Placements, Schedule
from ocs.scheduler.snapshot import Observation, Overrides, Snapshot

logger = logging.getLogger("ocs.scheduler")

JOB = "schedule"
TOPICS = ("schedule_inputs", "requests", "configdb", "downtime", "proposals")
LOOK_EVERY_S = 60.0
LONGEST_RUN_CLOCK_S = 900.0
LONGEST_SOLVE_FACTOR, SOLVE_GRACE_S = 3.0, 30.0
SEED = 0

TelescopeKey = tuple[str, str, str]

# One solve at a time, so that nobody's time limit runs while somebody else solves.
_turn = asyncio.Lock()


@dataclass(frozen=True, slots=True)
class Planned:
    """One observation of a new schedule."""

    telescope: TelescopeKey
    observation: observations.PlannedObservation
    priority: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A new schedule: the rapid responses' pass, if there was any, and the one for everything else.

    `is_hasty` when a rapid response could not wait for the best schedule of the others.
    """

    snapshot: Snapshot
    valid_from: datetime
    passes: tuple[tuple[Inputs, Schedule], ...]
    is_hasty: bool = False

    @property
    def objective(self) -> float:
        """Sum of the priorities of what is scheduled."""
        return sum(schedule.objective for _, schedule in self.passes)

    @property
    def bound(self) -> float:
        """What no schedule can exceed."""
        return sum(schedule.bound for _, schedule in self.passes)

    @property
    def gap(self) -> float:
        """Relative distance to the bound; 0 when there is nothing to do."""
        return (self.bound - self.objective) / self.bound if self.bound > 0 else 0.0

    @property
    def status(self) -> str:
        """Whether nothing better is possible."""
        return "optimal" if all(item.status == "optimal" for _, item in self.passes) else "feasible"

    @property
    def requests(self) -> int:
        """How many requests were looked at."""
        return sum(len(given.requests) for given, _ in self.passes)

    def observations(self) -> Iterator[Planned]:
        """Give what is planned."""
        for given, schedule in self.passes:
            for request, telescope, start_s in zip(
                schedule.request.tolist(), schedule.telescope.tolist(), schedule.start_s.tolist(), strict=True
            ):
                end_s = start_s + int(given.problem.duration_s[request])
                yield Planned(
                    given.telescopes[telescope].key,
                    observations.PlannedObservation(
                        given.requests[request].id,
                        given.utc(start_s),
                        given.utc(end_s),
                        given.cameras(request, telescope),
                    ),
                    float(given.problem.priority[request]),
                )


@dataclass(slots=True)
class Stages:
    """Real seconds spent in each stage of a run."""

    begun_s: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        begun_s = time.monotonic()
        try:
            yield
        finally:
            spent_s = time.monotonic() - begun_s
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent_s, 4)
            metrics.STAGE_SECONDS.labels(name).observe(spent_s)

    @property
    def total_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun_s


def budget_s(runtime: Runtime) -> float:
    """Return the real seconds a solve may take: with a fast clock the sky must not run away meanwhile."""
    return min(runtime.settings.scheduler_budget_s, max(0.5, LONGEST_RUN_CLOCK_S / 3 / runtime.clock.rate))


def next_estimate_s(estimate_s: float, actual_s: float) -> float:
    """Return how long the next run is expected to take, given what was expected and needed this time.

    Raised at once, lowered slowly, so that a run is rarely late.
    """
    if actual_s > estimate_s:
        return 2 * actual_s
    return max(estimate_s - (estimate_s - actual_s) / 2, 1.05 * actual_s)


async def _trigger(session: ReadSession, runtime: Runtime, last: Run | None, sequence: int) -> str | None:
    """Return what calls for a run, None when nothing does."""
    if last is None:
        return "start"
    if sequence > last.sequence:
        return "change"
    if last.must_repeat:
        return "repeat"
    age_s = (runtime.clock.now() - last.started_at).total_seconds()
    return "period" if age_s >= runtime.settings.scheduler_interval_s else None


async def cycle(runtime: Runtime) -> Run | None:
    """Run once if there is a reason to; the background job.

    Returns
    -------
    Run or None
        The run as stored; None when nothing changed, or nothing can be planned outside all semesters.
    """
    stages = Stages()
    with stages.stage("read"):
        async with runtime.database.read() as session:
            last = await repository.last_run(session)
            sequence = await repository.input_sequence(session, TOPICS)
            trigger = await _trigger(session, runtime, last, sequence)
            if trigger is None:
                return None
            now = runtime.clock.now()
            snapshot = await gathering.read_snapshot(session, runtime.settings, now)
    if snapshot is None:
        logger.warning("no semester contains the present time; nothing is scheduled")
        return None
    estimate_s = _estimate_s(runtime, last)
    run = Run(
        trigger=trigger,
        status="failed",
        sequence=sequence,
        must_repeat=True,
        started_at=now,
        valid_from=_valid_from(runtime, now, estimate_s),
        horizon_end=snapshot.horizon_utc,
        requests=sum(len(group.requests) for group in snapshot.groups),
        telescopes=len(snapshot.telescopes),
        scheduled=0,
        objective=0.0,
        bound=0.0,
        changes={},
        error="",
    )
    knowledge = None
    try:
        plan = await make_plan(runtime, snapshot, run.valid_from, stages)
        with stages.stage("write"):
            run.changes, run.must_repeat = await _write(runtime, plan)
        run.status, run.objective, run.bound = plan.status, plan.objective, plan.bound
        run.scheduled = sum(len(schedule) for _, schedule in plan.passes)
        run.must_repeat |= plan.is_hasty and plan.status != "optimal"
        knowledge = await asyncio.to_thread(explain.pack, plan.passes)
    except Exception as error:  # whatever it is, the schedule in force stays and the next look tries again
        logger.exception("scheduling run failed")
        run.error = str(error)
    # A run that had nothing to decide tells nothing about those that have.
    is_telling = run.scheduled > 0 or run.status == "failed"
    run.estimate_s = next_estimate_s(estimate_s, stages.total_s) if is_telling else estimate_s
    run.finished_at = runtime.clock.now()
    run.timings_s = {**stages.seconds, "total": round(stages.total_s, 4)}

    async def store(session: WriteSession) -> Run:
        await repository.store_run(session, run, knowledge)
        return run

    await runtime.database.run(store)
    _tell(run)
    return run


def _estimate_s(runtime: Runtime, last: Run | None) -> float:
    return last.estimate_s if last else budget_s(runtime) + 2.0


def _valid_from(runtime: Runtime, now: datetime, estimate_s: float) -> datetime:
    return _whole_second(now + timedelta(seconds=estimate_s * runtime.clock.rate))


def _whole_second(moment: datetime) -> datetime:
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


async def make_plan(runtime: Runtime, snapshot: Snapshot, valid_from: datetime, stages: Stages) -> Plan:
    """Compute the schedule from `valid_from` on; nothing is written.

    Rapid responses go first and as early as possible, everything else around them. When that moves one, the
    second pass is a quick one too, so that it is not kept waiting; the run is then to be repeated.

    Raises
    ------
    SolverFailed
        When the solver's process died or hung, and the quick way failed as well.
    """
    passes = []
    reserved: list[Reservation] = []
    with stages.stage("inputs"):
        rapid = await asyncio.to_thread(inputs.build, snapshot, valid_from, inputs.RAPID)
    is_hasty = False
    if len(rapid.problem.row_request):
        with stages.stage("solve rapid"):
            schedule = await _solve(runtime, rapid, quick=True)
        passes.append((rapid, schedule))
        is_hasty = _placements(schedule) != _placements(rapid.problem.current)
        reserved = [
            Reservation(telescope, start_s, start_s + int(rapid.problem.duration_s[request]))
            for request, telescope, start_s in zip(
                schedule.request.tolist(), schedule.telescope.tolist(), schedule.start_s.tolist(), strict=True
            )
        ]
    with stages.stage("inputs"):
        normal = await asyncio.to_thread(inputs.build, snapshot, valid_from, inputs.NORMAL, reserved)
    with stages.stage("solve"):
        passes.append((normal, await _solve(runtime, normal, quick=is_hasty)))
    return Plan(snapshot, valid_from, tuple(passes), is_hasty)


def _placements(of: Schedule | Placements) -> set[tuple[int, int, int]]:
    return set(zip(of.request.tolist(), of.telescope.tolist(), of.start_s.tolist(), strict=True))


async def _solve(runtime: Runtime, given: Inputs, *, quick: bool) -> Schedule:
    seconds = budget_s(runtime)
    if not len(given.problem.row_request):  # nothing to decide: no process is started for that
        return await asyncio.to_thread(worker.solve_quickly, given.problem, seconds, SEED)
    timeout_s = LONGEST_SOLVE_FACTOR * seconds + SOLVE_GRACE_S
    attempts = (worker.solve_quickly,) if quick else (worker.solve_problem, worker.solve_quickly)
    for solve in attempts:
        try:
            async with _turn:
                return await runtime.solver_pool.run(
                    solve,
                    given.problem,
                    seconds,
                    SEED,
                    timeout_s=timeout_s,
                )
        except (BrokenProcessPool, TimeoutError):
            metrics.WORKER_FAILURES.inc()
            logger.warning("the solver's process died or hung", extra={"function": solve.__name__})
    raise SolverFailed


async def _write(runtime: Runtime, plan: Plan) -> tuple[dict[str, dict[str, object]], bool]:
    """Write a plan, one transaction per telescope.

    Returns
    -------
    tuple of dict and bool
        What changed, by telescope; and whether something was in the way, so that another run must follow.
    """
    now = runtime.clock.now()
    valid_from = max(plan.valid_from, _whole_second(now))
    if valid_from > plan.valid_from:
        metrics.LATE.inc()
    planned: dict[TelescopeKey, list[observations.PlannedObservation]] = {}
    must_repeat = False
    for item in plan.observations():
        if item.observation.start >= valid_from:
            planned.setdefault(item.telescope, []).append(item.observation)
        else:
            must_repeat = True
    current = {item.key for item in plan.snapshot.observations if inputs.is_replaceable(item, valid_from)}
    changed: dict[str, dict[str, object]] = {}
    for telescope in sorted(planned.keys() | current):
        name = ".".join(telescope)
        try:
            change = await _replace(runtime, plan, telescope, valid_from, planned.get(telescope, ()))
        except (DBAPIError, OcsError) as error:
            logger.warning("a telescope keeps its schedule", extra={"telescope": name}, exc_info=True)
            changed[name] = {"error": str(error)}
            must_repeat = True
            continue
        must_repeat |= bool(change.refused)
        metrics.OBSERVATIONS.labels("kept").inc(len(change.kept))
        metrics.OBSERVATIONS.labels("created").inc(len(change.created))
        metrics.OBSERVATIONS.labels("cancelled").inc(len(change.cancelled))
        changed[name] = {
            "kept": len(change.kept),
            "created": list(change.created),
            "cancelled": list(change.cancelled),
            "refused": [
                {"request": item.planned.request_id, "reason": item.reason} for item in change.refused
            ],
        }
    return changed, must_repeat


async def _replace(
    runtime: Runtime,
    plan: Plan,
    telescope: TelescopeKey,
    valid_from: datetime,
    planned: Sequence[observations.PlannedObservation],
) -> observations.ScheduleChange:
    async def work(session: WriteSession) -> observations.ScheduleChange:
        return await observations.replace_schedule(
            session,
            telescope=telescope,
            from_utc=valid_from,
            until_utc=plan.snapshot.semester_end_utc,
            planned=planned,
            now=runtime.clock.now(),
        )

    return await runtime.database.run(work)


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do now; `removed` are the observations it would take back."""

    plan: Plan
    planned: tuple[Planned, ...]
    added: tuple[Planned, ...]
    removed: tuple[Observation, ...]
    timings_s: Mapping[str, float]


async def dry_run(runtime: Runtime, overrides: Overrides) -> DryRun:
    """Compute a schedule as a run would, under `overrides`; nothing is written.

    Raises
    ------
    NoSemester
        When no semester contains the time.
    UnknownTelescope
        When a telescope to be closed is not configured.
    SolverFailed
        When there is no result.
    """
    stages = Stages()
    now = overrides.now_utc or runtime.clock.now()
    with stages.stage("read"):
        async with runtime.database.read() as session:  # released before the solve
            last = await repository.last_run(session)
            snapshot = await gathering.read_snapshot(session, runtime.settings, now, overrides)
    if snapshot is None:
        raise NoSemester
    if unknown := overrides.closed - {item.resource for item in snapshot.telescopes}:
        raise UnknownTelescope(sorted(unknown)[0])
    valid_from = _valid_from(runtime, now, _estimate_s(runtime, last))
    plan = await make_plan(runtime, snapshot, valid_from, stages)
    planned = tuple(plan.observations())
    current = [item for item in snapshot.observations if inputs.is_replaceable(item, valid_from)]
    there = {(item.request_id, item.key, item.start_utc) for item in current}
    wanted = {(item.observation.request_id, item.telescope, item.observation.start) for item in planned}
    return DryRun(
        plan=plan,
        planned=planned,
        added=tuple(
            item
            for item in planned
            if (item.observation.request_id, item.telescope, item.observation.start) not in there
        ),
        removed=tuple(item for item in current if (item.request_id, item.key, item.start_utc) not in wanted),
        timings_s={**stages.seconds, "total": round(stages.total_s, 4)},
    )


async def list_runs(session: ReadSession, page: PageRequest) -> tuple[int, Sequence[Run]]:
    """Return how many runs are known, and some of them, latest first."""
    return await repository.page_of_runs(session, page.limit, page.offset)


async def show_run(session: ReadSession, run_id: int) -> Run:
    """Return a run.

    Raises
    ------
    UnknownRun
        When there is none with this id, or none any more.
    """
    run = await repository.find_run(session, run_id)
    if run is None:
        raise UnknownRun
    return run


async def explanation(
    session: ReadSession, principal: Principal, request_id: int
) -> tuple[Run | None, Explanation]:
    """Return what the latest run decided about a request, and why.

    Observations that stand in its way and are not the caller's to see lose their request's number.

    Raises
    ------
    UnknownRequest
        When there is no such request that the caller may see.
    """
    if not await requests.visible_request(session, principal, request_id):
        raise UnknownRequest
    known = await repository.latest_knowledge(session)
    if known is None:
        return None, Explanation("not_considered", "There was no scheduling run yet.")
    run, content = known
    found = await asyncio.to_thread(explain.explain, content, request_id)
    visible = await repository.among(
        session, requests.visible_request_ids(principal), [item.request_id for item in found.occupants]
    )
    occupants = tuple(
        item if item.request_id in visible else replace(item, request_id=None) for item in found.occupants
    )
    return run, replace(found, occupants=occupants)


def _tell(run: Run) -> None:
    metrics.RUNS.labels(run.status).inc()
    if run.status == "failed":
        return
    metrics.OBJECTIVE.set(run.objective)
    metrics.BOUND.set(run.bound)
    metrics.GAP.set(run.gap)
    metrics.SCHEDULED.set(run.scheduled)
    metrics.REQUESTS.set(run.requests)


def register(runtime: Runtime) -> None:
    """Add the background job, if this installation uses our own scheduler."""
    settings = runtime.settings
    if not settings.scheduler_enabled:
        return

    async def run() -> None:
        result = await cycle(runtime)
        if result is not None and result.must_repeat and result.status != "failed":
            await cycle(runtime)  # once; what is still in the way then waits for the next look

    # The periods are the observatory's time, but looking oftener than every few real seconds helps nobody.
    every_s = max(3.0, min(LOOK_EVERY_S, settings.scheduler_interval_s) / runtime.clock.rate)
    runtime.jobs.add(JOB, run, every_s=every_s, topics=TOPICS, debounce_s=settings.scheduler_debounce_s)
