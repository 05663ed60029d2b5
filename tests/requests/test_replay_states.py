"""The recorded dialogue S8: states and availability of telescopes, from reported events."""

import ast
import re
from datetime import UTC, datetime

from ocs.observatory_file import apply, read
from tests.support import replay
from tests.support.app import TestApp

NIGHT_S = 3.0  # nights are computed by us, and may begin and end this much beside the recorded ones


def _explained(difference: str) -> bool:
    """Tell whether two values are times of the recording, or parts of slightly different nights."""
    found = re.fullmatch(r"(\S+) (.+) -> (.+)", difference)
    if found is None:
        return False
    if found[1].endswith((".created", ".modified")):
        return True
    old, new = ast.literal_eval(found[2]), ast.literal_eval(found[3])
    if isinstance(old, str) and isinstance(new, str):
        begin, end = datetime.fromisoformat(old), datetime.fromisoformat(new)
        return abs((end - begin).total_seconds()) < NIGHT_S
    return abs(old - new) < 1e-4


async def test_the_dialogue_differs_only_by_how_nights_are_computed(app: TestApp) -> None:
    app.clock.set(datetime(2026, 11, 20, 10, tzinfo=UTC))  # type: ignore[attr-defined]
    await apply(app.runtime, read(replay.GOLDEN / "fixture.json"))
    await replay.play(app, "S0_fixture_configdb")
    events = read(replay.GOLDEN / "telescope_events.json").data["events"]
    async with app.client(token=replay.tokens()["admin1"]) as staff:
        answer = await staff.post("/api/telescope_events/", json={"events": events})
    assert answer.status_code == 201, answer.text
    steps = await replay.play(app, "S8_telescope_states")
    assert [(step.id, text) for step in steps for text in step.differences if not _explained(text)] == []
