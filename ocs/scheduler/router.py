"""Paths of the scheduler."""

from typing import Annotated

from fastapi import Path, Request

from ocs.kernel.runtime import RuntimeDep
from ocs.kernel.security import PortalCaller, PortalStaff
from ocs.kernel.wire.pages import Page, page_bytes, page_of
from ocs.kernel.wire.route import JsonBytes, Reading, make_router
from ocs.scheduler import service
from ocs.scheduler.schemas import (
    DryRunIn,
    DryRunOut,
    ExplanationOut,
    OccupantOut,
    PlannedOut,
    RemovedOut,
    RunDetailOut,
    RunOut,
    TelescopeExplanationOut,
)

router = make_router("scheduler")

PageDep = page_of(20, 1000)
Id = Annotated[int, Path(ge=0, le=2**63 - 1)]


def _path(resource: str) -> str:
    """Turn `telescope.enclosure.site` around."""
    return ".".join(reversed(resource.split(".")))


@router.get("/api/scheduler/runs/", summary="List scheduling runs", response_model=Page[RunOut])
async def list_scheduler_runs(
    request: Request,
    session: Reading,
    _: PortalStaff,
    page: PageDep,  # type: ignore[valid-type]
) -> JsonBytes:
    """Return the scheduling runs, latest first: what set each off, how long it took, how good it is."""
    count, runs = await service.list_runs(session, page)
    rows = [RunOut.model_validate(run).model_dump_json().encode() for run in runs]
    return page_bytes(request, page, count, rows)


@router.get("/api/scheduler/runs/{run_id}/", summary="Show a scheduling run")
async def get_scheduler_run(session: Reading, caller: PortalStaff, run_id: Id) -> RunDetailOut:
    """Return a scheduling run with the observations it created and cancelled."""
    return RunDetailOut.model_validate(await service.show_run(session, run_id))


@router.get(
    "/api/requests/{request_id}/schedule-explanation/", summary="Ask why a request is (not) scheduled"
)
async def get_schedule_explanation(session: Reading, caller: PortalCaller, request_id: Id) -> ExplanationOut:
    """Return what the latest scheduling run decided about a request, and why.

    For each telescope that has the instruments: the seconds left after each filter. When the request had
    possible times and is not in the schedule, the observations that stand there instead.
    """
    run, found = await service.explanation(session, caller, request_id)
    return ExplanationOut(
        request=request_id,
        run=run.id if run else None,
        run_finished=run.finished_at if run else None,
        outcome=found.outcome,
        reason=found.reason,
        priority=found.priority,
        telescope=_path(found.resource) if found.resource else None,
        start=found.start_utc,
        end=found.end_utc,
        telescopes=[
            TelescopeExplanationOut(
                telescope=_path(item.resource),
                remaining=item.remaining_s,
                emptied_by=item.emptied_by,
                reduced_value=item.reduced_value,
            )
            for item in found.telescopes
        ],
        occupants=[
            OccupantOut(
                request=item.request_id,
                telescope=_path(item.resource),
                start=item.start_utc,
                end=item.end_utc,
                priority=item.priority,
            )
            for item in found.occupants
        ],
    )


@router.post("/api/scheduler/dry-run/", summary="Compute a schedule without writing it")
async def dry_run_schedule(runtime: RuntimeDep, caller: PortalStaff, sent: DryRunIn) -> DryRunOut:
    """Compute what a run would do, now or under other circumstances; nothing is written."""
    found = await service.dry_run(runtime, sent.overrides())
    return DryRunOut(
        now=found.plan.snapshot.now_utc,
        valid_from=found.plan.valid_from,
        status=found.plan.status,
        requests=found.plan.requests,
        objective=found.plan.objective,
        bound=found.plan.bound,
        gap=found.plan.gap,
        timings=found.timings_s,
        schedule=[_planned(item) for item in found.planned],
        added=[_planned(item) for item in found.added],
        removed=[
            RemovedOut(
                observation=item.id,
                request=item.request_id,
                telescope=".".join(item.key),
                start=item.start_utc,
                end=item.end_utc,
            )
            for item in found.removed
        ],
    )


def _planned(item: service.Planned) -> PlannedOut:
    return PlannedOut(
        request=item.observation.request_id,
        telescope=".".join(item.telescope),
        start=item.observation.start,
        end=item.observation.end,
        priority=item.priority,
    )
