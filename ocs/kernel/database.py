"""The engine, the two kinds of session, and the unit of work that commits them.

Handlers never commit. A request is one unit of work: reads run in one read-only snapshot, writes in one
transaction that is committed after the handler returned and before the answer leaves, so a 2xx is durable.
Work that the database asks us to repeat (serialisation failure, deadlock, lost connection before the commit)
is repeated as a whole.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from ocs.kernel import changes
from ocs.kernel.clock import Clock
from ocs.kernel.errors import Unavailable, is_transient, sqlstate

T = TypeVar("T")

ATTEMPTS = 4
_ROLLED_BACK = ("40001", "40P01")  # the database says itself that nothing was kept


class Base(DeclarativeBase):
    """Base of all tables. Each module's tables live in the module's own Postgres schema."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy as a class attribute
        datetime: DateTime(timezone=True),
        str: Text,
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


class ReadSession(AsyncSession):
    """A session in a read-only snapshot; a GET cannot write."""


class WriteSession(ReadSession):
    """A session in a read-write transaction."""


class Database:
    """The pool of connections, and the ways to use it.

    Parameters
    ----------
    url
        Any `postgresql://` address.
    clock
        Stamps the changes; SQL never asks the database for the time.
    pool_size
        Connections kept open.
    """

    def __init__(self, url: str, clock: Clock, pool_size: int = 10) -> None:
        self.url = url
        self.clock = clock
        self.engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=pool_size,
            max_overflow=pool_size // 2,
            pool_timeout=15,
            pool_recycle=1800,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "timeout": 10,
                "server_settings": {"application_name": "ocs", "timezone": "UTC", "jit": "off"},
            },
        )
        self._readers = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._askers = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def read_session(self, *, snapshot: bool = True) -> ReadSession:
        """Return a session for reading; the caller closes it.

        Parameters
        ----------
        snapshot
            Whether all statements see the same moment. Without, each is on its own, which spares the round
            trips of a transaction.
        """
        engine = self._readers if snapshot else self._askers
        return ReadSession(engine, expire_on_commit=False, autoflush=False)

    def write_session(self) -> WriteSession:
        """Return a read-write session; the caller commits and closes it."""
        return WriteSession(self.engine, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Give a session in a read-only snapshot."""
        async with self.read_session() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Give a session whose transaction is committed at the end, together with its change stamps."""
        async with self.write_session() as session:
            yield session
            await self.commit(session)

    async def commit(self, session: WriteSession) -> None:
        """Write the change stamps of `session` and commit; then run what waits for the commit."""
        await session.flush()
        await changes.write_stamps(session, self.clock.now())
        await session.commit()
        for callback in session.info.pop("after_commit", []):
            callback()

    async def run(self, work: Callable[[WriteSession], Awaitable[T]]) -> T:
        """Run `work` in one transaction, repeated as a whole when the database asks for it.

        Raises
        ------
        Unavailable
            When the database does not come back within a few attempts.
        """

        async def attempt(unit: "UnitOfWork") -> T:
            return await work(await unit.write())

        return await in_unit_of_work(self, attempt, repeatable=True)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def after_commit(session: WriteSession, callback: Callable[[], None]) -> None:
    """Call `callback` once `session` is committed, never when it is rolled back."""
    session.info.setdefault("after_commit", []).append(callback)


class UnitOfWork:
    """The one session of a request: opened when first asked for, committed at the end."""

    def __init__(self, database: Database, *, writes: bool = False, snapshot: bool = True) -> None:
        self.database = database
        self._writes = writes
        self._snapshot = snapshot
        self._session: ReadSession | None = None
        self.commit_started = False

    async def read(self) -> ReadSession:
        """Return the session for reading (the writing one if the request writes)."""
        if self._session is None:
            self._session = (
                self.database.write_session()
                if self._writes
                else self.database.read_session(snapshot=self._snapshot)
            )
        return self._session

    async def write(self) -> WriteSession:
        """Return the session for writing."""
        if not isinstance(self._session, WriteSession):
            if self._session is not None:  # a GET that must write: what it read so far stands on its own
                await self._session.close()
            self._session = self.database.write_session()
        return self._session

    async def commit(self) -> None:
        """Commit what was written."""
        if isinstance(self._session, WriteSession):
            self.commit_started = True
            await self.database.commit(self._session)

    async def close(self) -> None:
        """Give the connection back; what is not committed is rolled back."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def in_unit_of_work(
    database: Database,
    work: Callable[[UnitOfWork], Awaitable[T]],
    *,
    writes: bool = False,
    snapshot: bool = True,
    repeatable: bool = False,
) -> T:
    """Run `work` and commit; repeat it while the database has a passing fault.

    Parameters
    ----------
    database
        Where.
    work
        Gets the unit of work; must be safe to call again after a rollback.
    writes
        Whether the session is opened for writing from the start.
    snapshot
        Whether all statements of a reading session see the same moment.
    repeatable
        Whether a repetition is harmless even if the first commit did reach the disk.
    """
    for attempt in range(1, ATTEMPTS + 1):
        unit = UnitOfWork(database, writes=writes, snapshot=snapshot)
        try:
            result = await work(unit)
            await unit.commit()
            return result
        except (TimeoutError, DBAPIError, OSError) as error:
            if not is_transient(error):
                raise
            unknown = unit.commit_started and not sqlstate(error).startswith(_ROLLED_BACK)
            if attempt == ATTEMPTS or (unknown and not repeatable):
                raise Unavailable("The database does not answer; try again shortly.") from error
        finally:
            await asyncio.shield(unit.close())
        await asyncio.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")
