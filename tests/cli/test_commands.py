"""The commands, as processes of their own, on the embedded and on an outside Postgres."""

import asyncio
import json
from pathlib import Path

import httpx

from tests.support.outside_postgres import outside_postgres
from tests.support.process import environment, run, serving

FIXTURE = Path(__file__).parents[1] / "golden" / "fixture.json"


async def _profile(url: str, token: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Token {token}"}) as client:
        return await client.get("/api/profile/")


async def _check_fixture_people(url: str) -> None:
    people = json.loads(FIXTURE.read_text())["users"]
    for person in people:
        answer = await _profile(url, person["token"])
        assert answer.status_code == (200 if person["is_active"] else 403)
        if person["is_active"]:
            assert answer.json()["tokens"]["api_token"] == person["token"]


async def test_init_loads_the_fixture_without_a_server_and_serve_accepts_its_tokens(data_dir: Path) -> None:
    env = environment(data_dir)
    code, output = await run("init", str(FIXTURE), env=env)
    assert code == 0, output
    assert "warning" in output  # the configuration does not have the instrument types of the allocations yet
    code, output = await run("init", str(FIXTURE), env=env)
    assert (code, output.splitlines()[-1]) == (0, "Nothing to change.")
    async with serving(data_dir) as (url, _):
        await _check_fixture_people(url)
        code, output = await run("init", str(FIXTURE), env=env)  # beside a running server
        assert (code, output.splitlines()[-1]) == (0, "Nothing to change.")
        code, output = await run("doctor", env=env)
        assert code == 0, output


async def test_everything_works_the_same_on_an_outside_postgres(data_dir: Path) -> None:
    with outside_postgres() as database_url:
        env = environment(data_dir, OCS_DATABASE_URL=database_url)
        code, output = await run("init", str(FIXTURE), env=env)
        assert code == 0, output
        async with serving(data_dir, OCS_DATABASE_URL=database_url) as (url, _):
            await _check_fixture_people(url)
        assert not (data_dir / "postgres").exists()


async def test_a_wrong_file_changes_nothing_and_every_problem_is_told_with_its_line(data_dir: Path) -> None:
    file = data_dir.parent / "wrong.yaml"
    file.write_text(
        "users:\n"
        "  - username: anna\n"
        "    email: anna@example.org\n"
        "    password: long enough 1\n"
        "    shoe_size: 39\n"
        "memberships:\n"
        "  - {user: nobody-here, proposal: P1, role: PI}\n"
        "spaceships: []\n"
    )
    env = environment(data_dir)
    code, output = await run("init", str(file), env=env)
    assert code == 1
    assert f"{file}:5: users.0.shoe_size" in output
    assert f"{file}:7: memberships.0" in output
    assert f"{file}:8: spaceships" in output
    assert "nothing was applied" in output
    code, output = await run("user", "list", env=env)
    assert (code, "anna" in output) == (0, False)


async def test_a_dry_run_says_what_would_change_and_changes_nothing(data_dir: Path) -> None:
    env = environment(data_dir)
    code, output = await run("init", "--dry-run", str(FIXTURE), env=env)
    assert code == 0
    assert "nothing was applied" in output
    code, output = await run("user", "list", env=env)
    assert (code, "admin1" in output) == (0, False)


async def test_files_that_are_not_there_or_not_yaml_end_with_one_sentence(data_dir: Path) -> None:
    env = environment(data_dir)
    broken = data_dir.parent / "broken.yaml"
    broken.write_text("users: [\n")
    for file in (data_dir.parent / "missing.yaml", broken, Path("/")):
        code, output = await run("init", str(file), env=env)
        assert code == 1
        assert str(file) in output
        assert "Traceback" not in output


async def test_wrong_settings_and_taken_ports_end_the_start_with_one_sentence(data_dir: Path) -> None:
    code, output = await run("serve", env=environment(data_dir, OCS_PORT="many"))
    assert (code, len(output.strip().splitlines()), "OCS_PORT" in output) == (1, 1, True)
    async with serving(data_dir) as (url, _):
        port = url.rpartition(":")[2]
        other = data_dir.parent / "other"
        code, output = await run("serve", "--port", port, env=environment(other))
        assert (code, "OCS_PORT" in output, "Traceback" in output) == (1, True, False)


async def test_users_are_made_from_the_command_line(data_dir: Path) -> None:
    env = environment(data_dir)
    code, output = await run("user", "create", "anna", "anna@example.org", "--staff", env=env)
    assert code == 0, output
    code, token = await run("user", "token", "anna", env=env)
    assert (code, len(token.strip())) == (0, 40)
    code, output = await run("user", "create", "anna", "other@example.org", env=env)
    assert (code, "anna" in output, "Traceback" in output) == (1, True, False)
    async with serving(data_dir) as (url, _):
        profile = (await _profile(url, token.strip())).json()
        assert (profile["username"], profile["is_staff"]) == ("anna", True)


async def test_two_commands_at_once_take_turns(data_dir: Path) -> None:
    env = environment(data_dir)
    results = await asyncio.gather(*(run("init", str(FIXTURE), env=env) for _ in range(2)))
    assert [code for code, _ in results] == [0, 0]


async def test_serve_refuses_a_demo_folder(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o711)
    (data_dir / "demo").write_text("")
    code, output = await run("serve", "--port", "0", env=environment(data_dir))
    assert (code, "demo" in output, "Traceback" in output) == (1, True, False)


async def test_release_data_are_refused_with_the_reason_when_a_file_lacks_what_is_needed(
    data_dir: Path,
) -> None:
    kernel, table = data_dir.parent / "de.bsp", data_dir.parent / "finals2000A.all"
    kernel.write_bytes(b"DAF/SPK " + bytes(2000))
    table.write_text("")
    command = ("release-data", str(kernel), str(table), "--into", str(data_dir.parent))
    code, output = await run(*command, env=environment(data_dir))
    assert (code, str(table) in output, "Traceback" in output) == (1, True, False)
