"""The application: the one file that knows every module.

`create_app` puts middleware, routers and error handlers together; `Boot` brings up what they stand on while
the process already answers `/health` and `/ready`.
"""

import asyncio
import contextlib
import gc
import importlib.util
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from ocs import openapi, visibility
from ocs.kernel import router as kernel_router
from ocs.kernel import schema
from ocs.kernel.changes import ChangeListener
from ocs.kernel.clock import Clock
from ocs.kernel.database import Base, Database
from ocs.kernel.datafolder import DataFolder, Owner, StartError
from ocs.kernel.errors import add_error_handlers, is_transient
from ocs.kernel.jobs import CpuPool, Jobs
from ocs.kernel.objects import open_object_store
from ocs.kernel.postgres import EmbeddedPostgres, embedded_database
from ocs.kernel.router import Check
from ocs.kernel.router import Readiness as ReadinessReport
from ocs.kernel.runtime import Runtime
from ocs.kernel.schema import SchemaError
from ocs.kernel.security import Authenticator, Passwords, Vault
from ocs.kernel.settings import Settings
from ocs.kernel.wire.limits import RateCounts
from ocs.kernel.wire.middleware import BodyLimit, Cors, Methods, Readiness, RequestLog, Slashes
from ocs.portal.accounts.api import PASSWORD_HASHERS, AccountsAuthenticator

logger = logging.getLogger("ocs")


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(f"{package}.router") is not None
    except ModuleNotFoundError:
        return False


def _no_prefix(_settings: Settings) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Module:
    """One subsystem as the application sees it.

    Attributes
    ----------
    package
        Dotted name. Its `router.py` has a `router`, its `models.py` the tables, and its `api.py` may have
        `register(runtime)`, which adds the module's background jobs.
    branch
        Branch of migrations the tables belong to, None when there are no tables.
    schemas
        Postgres schemas of the tables.
    roots
        Paths below which its addresses may be written without the final slash.
    prefix
        Where the routes hang; '' when they carry their full paths.
    alias
        A second prefix under which everything answers as well.
    slashes
        What happens to an address without the final slash.
    """

    package: str
    branch: str | None = None
    schemas: tuple[str, ...] = ()
    roots: tuple[str, ...] = ("/",)
    prefix: Callable[[Settings], str] = _no_prefix
    alias: str | None = None
    slashes: Literal["redirect", "serve"] = "redirect"

    def load(self, name: str) -> Any:
        """Import the file `name` of the module, None if it has none."""
        full = f"{self.package}.{name}"
        if importlib.util.find_spec(full) is None:
            return None
        return importlib.import_module(full)


# OpenID Connect fixes the addresses of its documents: those are taken as they are.
_OAUTH = ("/o/token/", "/o/authorize/", "/o/revoke_token/", "/o/introspect/", "/o/userinfo/")
_ARCHIVE_ROOTS = (
    "/frames/",
    "/versions/",
    "/thumbnails/",
    "/frame-funpack/",
    "/frame-catalog/",
    "/profile/",
    "/api-token-auth/",
    "/revoke_token/",
    "/authprofile/",
    "/health/",
    "/archive/",
)

# In the order of the import layers: a module may use the doors of those above it in this table.
MODULES: tuple[Module, ...] = (
    Module("ocs.configdb", "configdb", ("configdb",), prefix=lambda settings: settings.configdb_prefix),
    Module("ocs.downtime", "downtime", ("downtime",), prefix=lambda settings: settings.downtime_prefix),
    Module("ocs.portal.accounts", "portal", ("accounts",), ("/api/", "/accounts/", *_OAUTH)),
    Module("ocs.portal.proposals", "portal", ("proposals",), ("/api/",)),
    Module("ocs.portal.requests", "portal", ("requests",), ("/api/", "/create/")),
    Module("ocs.portal.observations", "portal", ("observations",), ("/api/",)),
    Module("ocs.portal.planning", None, (), ("/api/",)),
    Module("ocs.archive", "archive", ("archive",), _ARCHIVE_ROOTS, alias="/archive", slashes="serve"),
    Module("ocs.scheduler", "scheduler", ("scheduler",), ("/api/",)),
    Module("ocs.ingest", "ingest", ("ingest",), ("/api/",)),
)
MODULES = tuple(module for module in MODULES if _is_there(module.package))


@dataclass(frozen=True, slots=True)
class AllMetadata:
    """All tables, and which schemas belong to which branch of migrations."""

    metadata: MetaData
    branches: dict[str, set[str]]

    @property
    def schemas(self) -> set[str]:
        """Names of all our Postgres schemas."""
        return set().union(*self.branches.values())


def all_metadata() -> AllMetadata:
    """Import every module's tables."""
    importlib.import_module("ocs.kernel.models")
    branches: dict[str, set[str]] = {"kernel": {"kernel"}}
    for module in MODULES:
        if module.branch is not None:
            module.load("models")
            branches.setdefault(module.branch, set()).update(module.schemas)
    return AllMetadata(Base.metadata, branches)


async def assemble(
    settings: Settings, clock: Clock, url: str, *, demo: bool, stack: AsyncExitStack
) -> Runtime:
    """Put the runtime together on a database that answers; `stack` takes it apart again.

    Parameters
    ----------
    url
        SQLAlchemy or libpq address of the database.
    demo
        Whether a fresh database is marked as a demo's.

    Raises
    ------
    SchemaError
        When the database is newer than this version.
    """
    folder = DataFolder(settings.data_dir)
    database = Database(url, clock, settings.database_pool_size)
    stack.push_async_callback(database.close)
    await schema.migrate(database.engine)
    async with database.write() as session:
        await session.execute(
            text(
                "INSERT INTO kernel.installation (id, installed_at, is_demo) VALUES (1, :now, :demo) "
                "ON CONFLICT DO NOTHING"
            ),
            {"now": clock.now(), "demo": demo},
        )
    key = settings.secret_key.get_secret_value() if settings.secret_key else folder.secret("secret_key")
    passwords = Passwords(PASSWORD_HASHERS)
    dsn = url.replace("postgresql+asyncpg://", "postgresql://", 1)
    listener = ChangeListener(dsn)
    runtime = Runtime(
        settings=settings,
        clock=clock,
        database=database,
        vault=Vault(key),
        passwords=passwords,
        authenticator=make_authenticator(passwords, clock, database),
        objects=await open_object_store(settings),
        listener=listener,
        jobs=Jobs(dsn, listener),
        limits=RateCounts(dsn, clock, settings.rate_limits),
        solver_pool=CpuPool(idle_s=settings.solver_idle_s, niceness=5, modules=("ocs.scheduler.worker",)),
        reader_pool=CpuPool(idle_s=settings.solver_idle_s, modules=("astropy.io.fits",)),
    )
    runtime.jobs.add("forget rate counts", runtime.limits.forget, every_s=3600)
    stack.push_async_callback(runtime.limits.close)
    stack.push_async_callback(runtime.objects.close)
    stack.callback(runtime.solver_pool.close)
    stack.callback(runtime.reader_pool.close)
    return runtime


@asynccontextmanager
async def standalone(
    settings: Settings, purpose: str, say: Callable[[str], None], clock: Clock | None = None
) -> AsyncIterator[Runtime]:
    """Give a command the runtime, with a server on the same data folder or without one."""

    def waiting(owner: Owner | None) -> None:
        say(f"waiting for {owner.purpose if owner else 'another process'} to leave {settings.data_dir}")

    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            folder = DataFolder(settings.data_dir)
            url = await stack.enter_async_context(
                embedded_database(folder, purpose, log=logger.info, waiting=waiting)
            )
        yield await assemble(settings, clock or Clock(), url, demo=False, stack=stack)


class Boot:
    """Brings the runtime up, in the background, and tells what it waits for."""

    def __init__(self, settings: Settings, clock: Clock, *, demo: bool) -> None:
        self.settings = settings
        self.clock = clock
        self.demo = demo
        self.waiting_for: str | None = "starting"
        self.error: BaseException | None = None
        self.runtime: Runtime | None = None
        self._postgres: EmbeddedPostgres | None = None

    @asynccontextmanager
    async def database_url(self) -> AsyncIterator[str]:
        """Give the address of the database: the outside one, or our own, supervised."""
        settings = self.settings
        if settings.database_url is not None:
            yield settings.database_url.get_secret_value()
            return
        folder = DataFolder(settings.data_dir)

        def waiting(owner: Owner | None) -> None:
            self.waiting_for = f"the data folder, in use by {owner.purpose if owner else 'another process'}"

        purpose = "ocs demo" if self.demo else "ocs serve"
        async with folder.own(purpose, is_server=True, waiting=waiting):
            self._postgres = EmbeddedPostgres(settings.data_dir, log=logger.info)
            self.waiting_for = "Postgres"
            async with self._postgres:
                folder.publish(self._postgres.dsn)
                yield self._postgres.dsn

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Runtime]:
        """Give the runtime, with all background work running."""
        if DataFolder(self.settings.data_dir).is_demo and not self.demo:
            raise StartError(
                f"The data folder {self.settings.data_dir} belongs to a demo; "
                "choose another one with OCS_DATA_DIR, or run `ocs demo`."
            )
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(self.database_url())
            self.waiting_for = "the database"
            runtime = await self._assemble_when_reachable(url, stack)
            for module in MODULES:
                if (api := module.load("api")) is not None and hasattr(api, "register"):
                    api.register(runtime)
            for work in (runtime.listener.run(), runtime.jobs.run()):
                stack.push_async_callback(_cancel, asyncio.create_task(work))
            self.runtime = runtime
            yield runtime

    async def _assemble_when_reachable(self, url: str, stack: AsyncExitStack) -> Runtime:
        while True:
            try:
                return await assemble(self.settings, self.clock, url, demo=self.demo, stack=stack)
            except (OSError, DBAPIError) as error:
                if not is_transient(error):
                    raise
                self.waiting_for = f"the database ({type(error).__name__})"
                logger.warning("the database does not answer yet", extra={"reason": str(error)[:200]})
                await asyncio.sleep(1)

    async def readiness(self) -> ReadinessReport:
        """Check everything we need, now."""
        checks: dict[str, Check] = {}
        if self.runtime is None:
            reason = self._postgres.status() if self._postgres and self.waiting_for == "Postgres" else None
            detail = f"waiting for {self.waiting_for}" + (f": {reason}" if reason else "")
            for name in ("database", "schema", "object_store"):
                checks[name] = Check(ok=False, detail=detail)
            return ReadinessReport(ready=False, checks=checks, warnings=[])
        return await diagnose(self.runtime)


async def diagnose(runtime: Runtime) -> ReadinessReport:
    """Check everything a running process needs, now."""
    engine = runtime.database.engine
    checks = {
        "database": await _checked(_ping(engine)),
        "schema": await _checked(_check_schema(engine)),
        "object_store": await _checked(runtime.objects.check()),
    }
    ready = all(check.ok for check in checks.values())
    return ReadinessReport(ready=ready, checks=checks, warnings=expiry_warnings(runtime.clock.now()))


async def _ping(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _check_schema(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        if not await schema.is_current(connection):
            raise SchemaError("the database has an older schema than this version")


async def _checked(check: Awaitable[None]) -> Check:
    try:
        await asyncio.wait_for(check, 3)
    except (OSError, TimeoutError, DBAPIError, SchemaError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        return Check(ok=False, detail=f"{type(error).__name__}: {reason}"[:200])
    return Check(ok=True, detail="ok")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def make_authenticator(passwords: Passwords, clock: Clock, database: Database) -> Authenticator:
    """Return the authenticator of the module that keeps the users."""
    return AccountsAuthenticator(passwords, clock, database)


def expiry_warnings(now_utc: datetime) -> list[str]:
    """Tell which packaged astronomical data end within half a year of `now_utc`."""
    expiry = visibility.data_expiry()
    ends = {"ephemeris": expiry.ephemeris_end, "prediction of UT1": expiry.ut1_predicted_until}
    soon = (now_utc + timedelta(days=183)).date()
    return [
        f"The packaged {name} ends on {end:%Y-%m-%d}; update ocs." for name, end in ends.items() if end < soon
    ]


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    demo: bool = False,
    on_boot_error: Callable[[BaseException], None] | None = None,
) -> FastAPI:
    """Return the application; what it stands on comes up in its lifespan."""
    boot = Boot(settings, clock or Clock(), demo=demo)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()

        async def run() -> None:
            try:
                async with boot.up() as runtime:
                    app.state.runtime = runtime
                    # What is there now stays; a full collection need not look at it each time.
                    gc.collect()
                    gc.freeze()
                    boot.waiting_for = None
                    logger.info("ready")
                    await stop.wait()
            except Exception as error:
                boot.error = error
                if on_boot_error is None:
                    logger.exception("the start failed")
                else:
                    on_boot_error(error)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            stop.set()
            await task

    app = FastAPI(
        title="Observatory Control System",
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.boot = boot
    app.state.readiness = boot.readiness
    app.include_router(kernel_router.router)
    for module in MODULES:
        router: APIRouter = module.load("router").router
        app.include_router(router, prefix=module.prefix(settings))
        if module.alias is not None:
            app.include_router(router, prefix=module.alias, include_in_schema=False)
    openapi.install(app)
    add_error_handlers(app)
    roots: dict[str, set[str]] = {"redirect": {"/api/"}, "serve": set()}
    for module in MODULES:
        roots[module.slashes].update(f"{module.prefix(settings)}{root}" for root in module.roots)
    # The last one added is the outermost.
    app.add_middleware(Methods)
    app.add_middleware(Slashes, redirected=roots["redirect"], served=roots["serve"])
    app.add_middleware(Readiness, waiting_for=lambda: boot.waiting_for)
    app.add_middleware(BodyLimit)
    app.add_middleware(Cors, credentialed_origins=settings.cors_origins)
    app.add_middleware(RequestLog, trusted_proxies=settings.trusted_proxies)
    return app


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}" if route.tags else route.name
