"""The recorded dialogues S2 (tokens, profile, OAuth, permissions) and S3 (proposals)."""

import re
from datetime import UTC, datetime

import pytest

from ocs.observatory_file import apply, read
from tests.support import replay
from tests.support.app import TestApp

WHEN = datetime(2026, 11, 20, 10, 56, 55, tzinfo=UTC)  # of the recording

# Values that two runs of the same software do not share, and orders that nobody promised.
VOLATILE = (
    r"\.(token|access_token|refresh_token|archive|api_token|terms_accepted|sent) '",
    r"\.available_instrument_types\[",
    r"timeallocation_set\[\d+\]\.(id|instrument_types\[0\]) ",  # within a semester
    r"\.(message|last_schedule_time|last_change_time) '",
    r"^\[\d\] '(planets|student|open)' -> ",  # tags
    r"\.(next|previous) 'http",  # the order of query parameters
)
ON_PURPOSE = {
    "s2_006": "section 2.1: an inactive user gets the answer of a wrong password",
    "s2_020": "section 2.2: the answer shows the new values",
    "s2_099": "section 2.1: the password of a bulk user has expired, and expiry is enforced",
    "s2_103": "configdb 0: a writer must be staff",
}


@pytest.mark.parametrize("name", ["S2_auth", "S3_proposals"])
async def test_the_dialogue_differs_only_where_the_contract_says_so(app: TestApp, name: str) -> None:
    app.clock.set(WHEN)  # type: ignore[attr-defined]
    await apply(app.runtime, read(replay.GOLDEN / "fixture.json"))
    await replay.play(app, "S0_fixture_configdb")
    found = {}
    for step in await replay.play(app, name):
        rest = [text for text in step.differences if not any(re.search(part, text) for part in VOLATILE)]
        if rest:
            found[step.id] = [step.request, *rest]
    assert {key: value for key, value in found.items() if key not in ON_PURPOSE} == {}
    assert {key for key in ON_PURPOSE if key[:2] == name[:2].lower()} <= found.keys()
