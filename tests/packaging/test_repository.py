"""What must never be in the repository, and what must always fit together."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_pinned_requirements_have_hashes_and_no_addresses() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text
        pinned = re.findall(r"^[a-z0-9.\-]+==", text, flags=re.MULTILINE | re.IGNORECASE)
        assert len(pinned) > 1
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)
        assert all("--hash=sha256:" in block for block in blocks if "==" in block)


def test_every_package_we_ask_for_is_pinned_and_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    decided = (ROOT / "docs/adr/0002-dependencies.md").read_text().lower()
    pinned = (ROOT / "requirements/runtime.txt").read_text()
    for requirement in project["dependencies"]:
        name = re.split(r"[\[><=]", requirement)[0]
        assert f"\n{name}==" in "\n" + pinned
        assert name in decided


def test_no_large_or_minified_files() -> None:
    for file in _tracked():
        if file.exists():
            assert file.stat().st_size < 5_000_000, file
            assert not file.name.endswith((".min.js", ".min.css")), file
