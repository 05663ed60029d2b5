"""What root's tests show of the embedded Postgres holds for a normal user too."""

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.nightly
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as a normal user already")
def test_a_normal_user_passes_the_same_tests() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="ocs-user-") as home:
        os.chown(home, nobody.pw_uid, nobody.pw_gid)

        def python(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, *arguments],
                cwd=HERE.parents[1],
                env={"HOME": home, "TMPDIR": home, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=[],
                capture_output=True,
                text=True,
            )

        try:
            reachable = python("-c", "import ocs.kernel.postgres").returncode == 0
        except PermissionError:
            reachable = False
        if not reachable:
            pytest.skip("a normal user cannot reach this Python")
        tests = ("test_postgres.py", "test_datafolder.py")
        ran = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(HERE / name) for name in tests))
        assert ran.returncode == 0, ran.stdout
