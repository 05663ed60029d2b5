"""A real S3 service for tests: OpenStack Swift with its s3api layer, on the loopback address.

Four processes of about 60 MB, started once a run and ended with it. Signatures are really checked, and
buckets have versions. Key id "ocs:ocs", secret "secretsecret", region us-east-1.
"""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY_ID, SECRET, REGION = "ocs:ocs", "secretsecret", "us-east-1"
KINDS = ("account", "container", "object", "proxy")
_PIPELINE = (
    *("catch_errors", "gatekeeper", "proxy-logging", "cache", "listing_formats", "bulk", "s3api", "tempauth"),
    *("copy", "slo", "dlo", "versioned_writes", "symlink"),
)
_EGGS = {"proxy-logging": "proxy_logging", "cache": "memcache"}
_OPTIONS = {
    "cache": "memcache_servers = 127.0.0.1:1",
    "s3api": f"location = {REGION}",
    "tempauth": f"user_ocs_ocs = {SECRET} .admin",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true",
}


@dataclass(frozen=True)
class S3Service:
    """Where the service is, as the variables that S3 clients read."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _configure(folder: Path, ports: dict[str, int]) -> None:
    from swift.common.ring import RingBuilder

    (folder / "dev/d1").mkdir(parents=True)
    user = pwd.getpwuid(os.getuid()).pw_name
    common = f"bind_ip = 127.0.0.1\nworkers = 0\nuser = {user}\nswift_dir = {folder}\nlog_level = ERROR\n"
    for kind in KINDS[:3]:
        ring = RingBuilder(4, 1, 1)
        place = {"ip": "127.0.0.1", "port": ports[kind], "device": "d1", "meta": ""}
        replication = {"replication_ip": "127.0.0.1", "replication_port": ports[kind]}
        ring.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, **place, **replication})
        ring.rebalance()
        ring.get_ring().save(str(folder / f"{kind}.ring.gz"))
        (folder / f"{kind}.conf").write_text(
            f"[DEFAULT]\ndevices = {folder}/dev\nmount_check = false\nbind_port = {ports[kind]}\n"
            f"fallocate_reserve = 0\n{common}[pipeline:main]\npipeline = {kind}-server\n"
            f"[app:{kind}-server]\nuse = egg:swift#{kind}\nreplication_server = false\n"
        )
    proxy = (
        f"[DEFAULT]\nbind_port = {ports['proxy']}\n{common}"
        f"[pipeline:main]\npipeline = {' '.join(_PIPELINE)} proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    )
    for name in _PIPELINE:
        proxy += f"[filter:{name}]\nuse = egg:swift#{_EGGS.get(name, name)}\n{_OPTIONS.get(name, '')}\n"
    (folder / "proxy.conf").write_text(proxy)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = ocs\nswift_hash_path_prefix = ocs\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Service]:
    """Run the service with its data in `folder` until the block ends."""
    ports = dict(zip(KINDS, _free_ports(len(KINDS)), strict=True))
    _configure(folder, ports)
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.s3", str(folder)]
    log = (folder / "log").open("w")
    servers = [
        subprocess.Popen([*command, kind], cwd=Path(__file__).parents[2], stdout=log, stderr=log)
        for kind in KINDS
    ]
    try:
        deadline_s = time.monotonic() + 60
        for kind in KINDS:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", ports[kind]), 1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline_s or any(server.poll() is not None for server in servers):
                        raise RuntimeError((folder / "log").read_text()[-2000:]) from None
                    time.sleep(0.1)
        yield S3Service(f"http://127.0.0.1:{ports['proxy']}")
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
        for server in servers:
            server.wait(20)
        log.close()


def _serve(folder: str, kind: str) -> None:
    import eventlet

    eventlet.monkey_patch()
    import swift.common.storage_policy
    import swift.common.utils
    import swift.common.utils.config
    import swift.common.wsgi as wsgi

    for module in (swift.common.utils, swift.common.utils.config, swift.common.storage_policy):
        if hasattr(module, "SWIFT_CONF_FILE"):  # otherwise fixed to /etc/swift
            module.SWIFT_CONF_FILE = f"{folder}/swift.conf"
    swift.common.utils.HASH_PATH_SUFFIX = swift.common.utils.HASH_PATH_PREFIX = b"ocs"
    swift.common.utils.validate_hash_conf = wsgi.validate_hash_conf = lambda: None
    extra = {}
    if kind == "object":
        from swift.obj.server import global_conf_callback

        extra["global_conf_callback"] = global_conf_callback
    sys.exit(wsgi.run_wsgi(f"{folder}/{kind}.conf", f"{kind}-server", **extra))


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
