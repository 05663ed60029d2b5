"""All SQL of the scheduler's own tables."""

from collections.abc import Sequence

from sqlalchemy import Select, delete, func, select, text

from ocs.kernel.database import ReadSession, WriteSession
from ocs.scheduler.models import Knowledge, Run

KEPT_RUNS = 2000
KEPT_KNOWLEDGE = 10

_INPUT_SEQUENCE = text(
    "SELECT coalesce(max(sequence), 0) FROM kernel.change WHERE topic = ANY(CAST(:topics AS text[]))"
)


async def input_sequence(session: ReadSession, topics: Sequence[str]) -> int:
    """Return the number of the last change of any of `topics`, 0 before the first."""
    return int((await session.execute(_INPUT_SEQUENCE, {"topics": list(topics)})).scalar_one())


async def among(session: ReadSession, allowed: Select[int], ids: Sequence[int | None]) -> frozenset[int]:
    """Return those of `ids` that the statement `allowed` selects."""
    if not ids:
        return frozenset()
    one = allowed.subquery()
    return frozenset(await session.scalars(select(one.c[0]).where(one.c[0].in_(ids))))


async def last_run(session: ReadSession) -> Run | None:
    """Return the latest run."""
    return (await session.scalars(select(Run).order_by(Run.id.desc()).limit(1))).one_or_none()


async def find_run(session: ReadSession, run_id: int) -> Run | None:
    """Return a run."""
    return await session.get(Run, run_id)


async def page_of_runs(session: ReadSession, limit: int, offset: int) -> tuple[int, Sequence[Run]]:
    """Return how many runs there are, and some of them, latest first."""
    count = (await session.scalars(select(func.count()).select_from(Run))).one()
    rows = await session.scalars(select(Run).order_by(Run.id.desc()).limit(limit).offset(offset))
    return count, rows.all()


async def store_run(session: WriteSession, run: Run, knowledge: bytes | None) -> None:
    """Store a run with what it knew, and forget the oldest ones."""
    session.add(run)
    await session.flush()
    if knowledge is not None:
        session.add(Knowledge(run_id=run.id, content=knowledge))
        await session.flush()
        await session.execute(delete(Knowledge).where(Knowledge.run_id <= run.id - KEPT_KNOWLEDGE))
    await session.execute(delete(Run).where(Run.id <= run.id - KEPT_RUNS))


async def latest_knowledge(session: ReadSession) -> tuple[Run, bytes] | None:
    """Return the latest run that kept what it knew."""
    statement = (
        select(Run, Knowledge.content)
        .join(Knowledge, Knowledge.run_id == Run.id)
        .order_by(Run.id.desc())
        .limit(1)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row[0], row[1])
