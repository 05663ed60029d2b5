"""The observations' door for other modules."""

from collections.abc import Sequence
from datetime import datetime

from ocs.kernel.database import ReadSession, WriteSession
from ocs.kernel.runtime import Runtime
from ocs.portal.observations.records import (
    ObservationRow,
    PlannedObservation,
    Refused,
    ScheduleChange,
    TelescopeKey,
    TimeDifference,
)
from ocs.portal.observations.repository import reports, writes
from ocs.portal.observations.service import cancelling, planning, reporting
from ocs.portal.requests import api as requests

__all__ = [
    "ObservationRow",
    "PlannedObservation",
    "Refused",
    "ScheduleChange",
    "TelescopeKey",
    "TimeDifference",
    "recount",
    "refund",
    "register",
    "replace_schedule",
    "running_and_planned",
]


async def running_and_planned(session: ReadSession, now: datetime, until: datetime) -> list[ObservationRow]:
    """Return what is PENDING or IN_PROGRESS between `now` and `until`, by telescope and start.

    Everything that takes up a telescope is in it, whoever placed it.
    """
    return await writes.running_and_planned(session, now, until)


async def replace_schedule(
    session: WriteSession,
    *,
    telescope: tuple[str, str, str],
    from_utc: datetime,
    until_utc: datetime,
    planned: Sequence[PlannedObservation],
    now: datetime,
) -> ScheduleChange:
    """Make `planned` what our own scheduler has at a telescope from `from_utc` to `until_utc`.

    Of what stands there only PENDING observations of our own scheduler that start in this time are replaced;
    those that are planned again unchanged keep their ids. Everything else stays, and what is planned over
    it, or for a request that is not PENDING any more, is refused. What is taken back is deleted when it is
    more than 72 h ahead, else marked. Site software hears of it only if something changed.

    Parameters
    ----------
    session
        One transaction per telescope, so that a failure leaves the others' schedules alone.
    telescope
        Codes of site, enclosure and telescope.
    planned
        In any order; may not overlap each other (the later one is refused).
    """
    return await planning.replace_schedule(
        session,
        telescope=TelescopeKey(*telescope),
        from_utc=from_utc,
        until_utc=until_utc,
        planned=planned,
        now=now,
    )


async def refund(session: WriteSession, observation_id: int, part: float, now: datetime) -> None:
    """Give back `part` (0 to 1) of what an observation cost its proposal.

    Repeating it changes nothing: parts do not add up, the largest counts.

    Raises
    ------
    ocs.kernel.errors.NotFound
        When there is no such observation.
    """
    await reporting.refund(session, observation_id, part, now)


async def recount(session: ReadSession) -> list[TimeDifference]:
    """Return where the hours used differ from what the telescopes' reports add up to.

    Refunds and corrections by hand show up here, too; nothing is changed.
    """
    return await reports.recount(session)


def register(runtime: Runtime) -> None:
    """Follow the requests, and add the background jobs."""
    requests.when_cancelled(cancelling.request_cancelled)

    async def clean_up() -> None:
        await runtime.database.run(lambda session: cancelling.clean_up(session, runtime.clock.now()))

    runtime.jobs.add("clean up canceled observations", clean_up, every_s=3600.0)
