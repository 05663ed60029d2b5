"""A client generated from the OpenAPI document works against the running product."""

import asyncio
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tests.support.app import TestApp
from tests.support.process import serving


def _generate(document: Path, folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text("post_hooks: []\npackage_name_override: generated_ocs_client\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document]
    options = ["--config", config, "--output-path", folder / "client", "--fail-on-warning"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_generated_client_talks_to_the_running_server(
    app: TestApp, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = app.app.openapi()
    validate(document)
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    await asyncio.to_thread(_generate, file, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "client"))
    client_class = importlib.import_module("generated_ocs_client").Client
    get_clock = importlib.import_module("generated_ocs_client.api.kernel.kernel_clock")
    list_groups = importlib.import_module("generated_ocs_client.api.requests.requests_list_requestgroups")
    async with serving(data_dir) as (url, _), client_class(base_url=url) as client:
        clock = await get_clock.asyncio(client=client)
        groups = await list_groups.asyncio(client=client)
    assert clock.rate == 1.0
    assert (groups.count, groups.results) == (0, [])
