"""People, proposals and time from an observatory file."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from ocs.portal.accounts import api as accounts
from ocs.portal.accounts.models import ApiToken, User
from ocs.portal.proposals import api as proposals
from ocs.portal.proposals.models import LedgerEntry, TimeAllocation
from ocs.portal.sections import Section
from tests.support.app import TestApp

FIXTURE = Path(__file__).parent.parent / "golden" / "fixture.json"


@pytest.fixture
def content() -> dict[str, Any]:
    """The observatory file the recorded dialogues start from."""
    loaded: dict[str, Any] = json.loads(FIXTURE.read_text())
    return loaded


async def applied(app: TestApp, content: dict[str, Any], *, keep: bool = True) -> dict[str, Section]:
    """Apply the sections of people and time; roll back unless `keep`."""
    runtime, now = app.runtime, app.clock.now()
    session = runtime.database.write_session()
    async with session:
        sections = [
            await accounts.apply_users(
                session, content.get("users", []), passwords=runtime.passwords, vault=runtime.vault, now=now
            ),
            await accounts.apply_oauth_applications(
                session, content.get("oauth_applications", []), vault=runtime.vault, now=now
            ),
            await proposals.apply_semesters(session, content.get("semesters", [])),
            await proposals.apply_scas(session, content.get("scas", [])),
            await proposals.apply_proposals(session, content.get("proposals", []), now=now),
            await proposals.apply_memberships(session, content.get("memberships", [])),
            await proposals.apply_time_allocations(
                session,
                content.get("time_allocations", []),
                now=now,
                known_instrument_types={"1M0-SCICAM-ALPHA"},
            ),
        ]
        if keep:
            await runtime.database.commit(session)
    return {section.name: section for section in sections}


async def test_the_fixture_applies_as_it_is_and_a_second_time_changes_nothing(
    app: TestApp, content: dict[str, Any]
) -> None:
    first = await applied(app, content)
    assert not any(section.problems for section in first.values())
    assert {name: len(section.changes) for name, section in first.items()} == {
        name: len(content[name]) for name in first
    }
    assert ("time_allocations", 1, "instrument_types") in [
        where for where, _ in first["time_allocations"].warnings
    ]
    async with app.runtime.database.read() as session:
        hashes = dict((await session.execute(select(User.username, User.password_hash))).all())
    again = await applied(app, content)
    assert [section.changes for section in again.values()] == [[]] * 7
    async with app.runtime.database.read() as session:
        assert hashes == dict((await session.execute(select(User.username, User.password_hash))).all())
    async with app.client(content["users"][2]["token"]) as client:
        profile = (await client.get("/api/profile/")).json()
    assert profile["username"] == "pi1"
    assert profile["tokens"]["api_token"] == content["users"][2]["token"]


async def test_all_problems_of_a_file_are_reported_at_once_with_their_place(app: TestApp) -> None:
    wrong = {
        "users": [
            {"username": "a", "email": "x@example.org", "is_staf": True},
            {"username": "b", "email": "x@example.org"},
            {"username": "c", "email": "X@example.org"},
            {"username": "b"},
            {"username": "d", "token": "short"},
        ],
        "oauth_applications": [{"name": "n", "client_id": "c", "grant_type": "password", "owner": "nobody"}],
        "semesters": [
            {"id": "S", "start": "2020-01-01", "end": "2019-01-01"},
            {"id": "T", "start": "2020-01-01", "end": "2020-06-01"},
            {"id": "U", "start": "2020-05-01", "end": "2020-07-01"},
        ],
        "scas": [{"id": "tst", "admin": "nobody"}],
        "proposals": [{"id": "P", "sca": "tst"}],
        "memberships": [{"user": "nobody", "proposal": "P", "role": "PI"}],
        "time_allocations": [{"proposal": "P", "semester": "S", "instrument_types": []}],
    }
    sections = await applied(app, wrong, keep=False)
    assert [where for section in sections.values() for where, _ in section.problems] == [
        ("users", 0, "is_staf"),
        ("users", 3, "username"),
        ("users", 4, "token"),
        ("users", 2, "email"),
        ("oauth_applications", 0, "owner"),
        ("semesters", 0, "end"),
        ("semesters", 2, "start"),
        ("scas", 0, "admin"),
        ("proposals", 0, "sca"),
        ("memberships", 0, "user"),
        ("memberships", 0, "proposal"),
        ("time_allocations", 0, "instrument_types"),
    ]


async def test_a_changed_file_changes_limits_and_names_but_never_what_was_used(
    app: TestApp, content: dict[str, Any]
) -> None:
    content["users"] = [{**user, "password": None} for user in content["users"]]
    await applied(app, content)
    changed = copy.deepcopy(content)
    changed["users"][2]["first_name"] = "Paula"
    changed["time_allocations"][0] |= {
        "std_allocation": 80.0,
        "std_time_used": 7.0,
        "ipp_time_available": 0.0,
    }
    sections = await applied(app, changed)
    assert sections["users"].changes == ["user pi1 changed"]
    assert len(sections["time_allocations"].changes) == 1
    async with app.runtime.database.read() as session:
        allocation = await session.get_one(TimeAllocation, 1)
        entries = await session.scalar(
            select(func.count()).select_from(LedgerEntry).where(LedgerEntry.allocation_id == 1)
        )
    assert (allocation.std_allocation_h, allocation.std_used_h, allocation.ipp_available_h) == (
        80.0,
        0.0,
        5.0,
    )
    assert entries == 1


async def test_two_allocations_of_a_proposal_may_not_share_a_type(
    app: TestApp, content: dict[str, Any]
) -> None:
    content["users"] = [{**user, "password": None} for user in content["users"]]
    await applied(app, content)
    row = content["time_allocations"][0]
    content["time_allocations"] = [{**row, "instrument_types": [*row["instrument_types"], "NEW"]}]
    sections = await applied(app, content, keep=False)
    assert sections["time_allocations"].problems[0][0] == ("time_allocations", 0, "instrument_types")


async def test_a_token_is_stored_as_hash_and_ciphertext_only(app: TestApp, content: dict[str, Any]) -> None:
    token = content["users"][0]["token"]
    await applied(app, {"users": [{**content["users"][0], "password": None}]})
    async with app.runtime.database.read() as session:
        stored = (await session.scalars(select(ApiToken))).one()
    assert token.encode() not in stored.key_hash + stored.key_encrypted
    assert app.runtime.vault.decrypt(stored.key_encrypted) == token
