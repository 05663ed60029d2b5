"""The wheel carries everything the product needs, and starts outside the checkout."""

import asyncio
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx

from tests.support.process import serving

ROOT = Path(__file__).parents[2]


def _fresh_environment(folder: Path, wheel: Path) -> Path:
    """Return the `ocs` of a new environment that has the wheel, and our pinned dependencies to lean on."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # A path in a .pth file adds the dependencies, but not what is installed there as editable.
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ],
        check=True,
    )
    return folder / "bin" / "ocs"


def _build(folder: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def _location(environment: Path) -> str:
    command = [environment / "bin" / "python", "-c", "import ocs; print(ocs.__file__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=environment).stdout


async def test_the_wheel_starts_in_a_fresh_environment_outside_the_checkout(
    tmp_path: Path, data_dir: Path
) -> None:
    wheel = await asyncio.to_thread(_build, tmp_path)
    ocs = await asyncio.to_thread(_fresh_environment, tmp_path / "env", wheel)
    assert (await asyncio.to_thread(_location, tmp_path / "env")).startswith(str(tmp_path / "env"))
    async with (
        serving(data_dir, program=(str(ocs),), cwd=tmp_path) as (url, _),
        httpx.AsyncClient() as client,
    ):
        document = (await client.get(f"{url}/openapi.json")).json()
    assert document["info"]["version"] != "0.0.0"
