"""The commands that describe an observatory, as processes, on a database that is already running."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ocs.cli import main
from ocs.configdb import api
from tests.support.process import environment, run


@pytest.fixture
def env(data_dir: Path, database_url: str) -> dict[str, str]:
    """The environment of commands that work on an empty database."""
    return environment(data_dir, OCS_DATABASE_URL=database_url.replace("+asyncpg", ""))


async def test_templates_apply_twice_and_an_export_applies_as_it_is(
    env: dict[str, str], tmp_path: Path
) -> None:
    for name in api.template_names():
        file = tmp_path / f"{name}.yaml"
        text = CliRunner().invoke(main, ["config", "template", name]).stdout
        file.write_text(text.replace("code: obs", f"code: {name[:3]}"))
        code, output = await run("config", "apply", str(file), env=env)
        assert code == 0, output
        assert "created" in output
        code, output = await run("config", "apply", str(file), env=env)
        assert (code, output) == (0, "Nothing to change.\n")
    exports = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    code, output = await run("config", "export", str(exports[0]), env=env)
    assert (code, output) == (0, "")
    code, output = await run("config", "apply", str(exports[0]), env=env)
    assert (code, output) == (0, "Nothing to change.\n")
    await run("config", "export", str(exports[1]), env=env)
    assert exports[0].read_bytes() == exports[1].read_bytes()


async def test_a_review_shows_what_would_change_and_problems_have_their_lines(
    env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "observatory.yaml"
    file.write_text(api.template("single_imager"))
    code, output = await run("config", "apply", "--dry-run", str(file), env=env)
    assert (code, output.splitlines()[-1]) == (0, "31 changes; nothing was applied.")
    code, output = await run("config", "apply", str(file), env=env)
    assert code == 0, output
    file.write_text(file.read_text().replace("horizon: 20.0", "horizon: 25.0"))
    code, output = await run("config", "diff", str(file), env=env)
    changed = [line for line in output.splitlines() if re.match(r"[-+] ", line)]
    assert (code, [line[0] + line[1:].strip() for line in changed]) == (
        0,
        ["-horizon: 20.0", "+horizon: 25.0"],
    )
    wrong = file.read_text().replace("horizon: 25.0", "horizon: 95.0").replace("[cam1]", "[cam9]")
    file.write_text(wrong + "spaceships: []\n")
    lines = [
        number
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(r"95\.0|cam9|spaceships", line)
    ]
    code, output = await run("config", "apply", str(file), env=env)
    assert code == 1
    assert [int(number) for number in re.findall(rf"{file}:(\d+): ", output)] == lines
    assert output.endswith("3 problems; nothing was applied.\n")


def test_the_schema_for_editors_names_all_sections() -> None:
    output = CliRunner().invoke(main, ["config", "schema"]).stdout
    assert set(json.loads(output)["properties"]) == set(api.SECTIONS)


async def test_C35_D30_the_test_observatory_is_made_and_downtimes_are_checked(
    env: dict[str, str],
) -> None:
    site = ("-s", "ogg", "--latitude", "20.7", "--longitude", "-156.2")
    code, output = await run("init-e2e-data", *site, "--instrument-state", "UNWELL", env=env)
    assert (code, "instruments.0.state" in output, "Traceback" in output) == (1, True, False)
    code, output = await run("init-e2e-data", *site, "--instrument-state", "SCHEDULABLE", env=env)
    assert code == 0, output
    assert "instrument ogg.clma.2m0a.xx05: created" in output
    telescope = ("-e", "doma", "-t", "1m0a", "--start", "2026-12-01 10:20:30")
    code, output = await run("create-downtime", "-s", "xxx", *telescope, env=env)
    assert (code, output) == (1, 'site: "xxx" is not a valid choice.\n')
    hours = ("--offset-hours", "2", "--duration-hours", "1.5")
    code, output = await run("create-downtime", "-s", "ogg", *telescope, *hours, env=env)
    expected = "Downtime 1: 1m0a.doma.ogg from 2026-12-01 12:20:00 to 2026-12-01 13:50:00 UTC.\n"
    assert (code, output) == (0, expected)
