"""The recorded dialogues S0 and S1 of the configuration database."""

import re

import pytest

from tests.support import replay
from tests.support.accounts import create_user
from tests.support.app import TestApp

# Where we differ on purpose: steps, and the mark of the contract.
ADDED = {
    r"\.maximum_slew_overhead added": "BETTER, section 1: telescopes publish maximum_slew_overhead",
    r"\.autoguider_type added": "BETTER, section 1: instruments publish autoguider_type",
}
ON_PURPOSE = {
    "s1_003": "section 0: a list without an order of its own is by id",
    "s1_004": "section 0: a list without an order of its own is by id",
    "s1_071": "BETTER, 2.1: an unknown site_id is a field error, not a crash",
    "s1_109": "BETTER, section 1: the code is taken on this telescope, told beside the other error",
    "s1_136": "BETTER, 2.1: deleting a mode that is a default is a conflict, not a crash",
}


async def _users(app: TestApp) -> None:
    tokens = replay.tokens()
    await create_user(app, "admin1", token=tokens["admin1"], is_staff=True)
    await create_user(app, "pi1", token=tokens["pi1"])


def _unexplained(steps: list[replay.Step]) -> dict[str, list[str]]:
    found = {}
    for step in steps:
        rest = [text for text in step.differences if not any(re.search(pattern, text) for pattern in ADDED)]
        if rest and step.id not in ON_PURPOSE:
            found[f"{step.id} {step.request}"] = rest
    return found


@pytest.mark.parametrize("name", ["S0_fixture_configdb", "S1_configdb"])
async def test_the_dialogue_differs_only_where_the_contract_says_so(app: TestApp, name: str) -> None:
    await _users(app)
    steps = await replay.play(app, "S0_fixture_configdb")
    if name != "S0_fixture_configdb":
        steps = await replay.play(app, name)
    assert _unexplained(steps) == {}
    differing = {step.id for step in steps if step.differences}
    assert {key for key in ON_PURPOSE if key[:2] == name[:2].lower()} <= differing
