"""The recorded dialogue S5: placing, reporting, cancelling, direct submission, sessions."""

import re
from datetime import UTC, datetime, timedelta

from ocs.observatory_file import apply, read
from tests.support import replay
from tests.support.app import TestApp

WHEN = datetime(2026, 11, 20, 10, 56, 55, tzinfo=UTC)  # of the recording
OFFSETS = ("-1h", "-10m", "+20m", "+1h", "+2h", "+3h", "+20h", "+21h", "+80h", "+81h", "+10d")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}

# Values that two runs of the same software do not share, and what the contract adds.
VOLATILE = (
    r"\.(created|modified|last_schedule_time|last_change_time) '",
    r"^\.id added",  # F: the flat-form tells the observation's id
    r"^\.timeallocation_set.* (\d+)\.0 -> \1$",  # equal numbers
    r"^\.timeallocation_set\[\d\]\.(id|instrument_types)",  # allocations are listed in the order of their ids
    r"\.next 'http.*limit=2",  # the order of query parameters
)
ON_PURPOSE = {
    "s5_110": "section 8, F: the answer shows the new summary",
    "s5_170": "the ledger adds hours exactly: 1.3333333333333333, not ...35",
    "s5_197": "the ledger adds hours exactly: 1.3333333333333333, not ...35",
    "s5_226": "the night is computed, not copied",
}


async def test_the_dialogue_differs_only_where_the_contract_says_so(app: TestApp) -> None:
    app.clock.set(WHEN)  # type: ignore[attr-defined]
    await apply(app.runtime, read(replay.GOLDEN / "fixture.json"))
    await replay.play(app, "S0_fixture_configdb")
    moments = {
        f"now{offset}": WHEN + timedelta(**{UNITS[offset[-1]]: int(offset[:-1])}) for offset in OFFSETS
    }
    variables = {name: moment.isoformat().replace("+00:00", "Z") for name, moment in moments.items()}
    steps = await replay.play(app, "S5_observations", variables)
    found = {}
    for step in steps:
        rest = [text for text in step.differences if not any(re.search(part, text) for part in VOLATILE)]
        if rest:
            found[step.id] = [step.request, *rest]
    assert {key: value for key, value in found.items() if key not in ON_PURPOSE} == {}
    assert "s5_110" in found
