"""The recorded dialogue S7 of the science archive."""

import re
from datetime import UTC, datetime

from ocs.observatory_file import apply, read
from tests.support import replay
from tests.support.app import TestApp

# Values that two runs of the same software do not share, and counts the reference only estimates.
VOLATILE = (
    r"\.url ",
    r"\.created ",
    r"\.(next|previous|count|count_estimated) ",
    r"^\.generated_at ",
)
ON_PURPOSE = {
    "s7_077": "4.3: a name is found as it was written, not only transliterated",
    "s7_096": "4.2: the reference breaks ties at random",
}


async def test_the_dialogue_differs_only_where_the_contract_says_so(app: TestApp) -> None:
    app.clock.set(datetime(2026, 11, 20, tzinfo=UTC))  # type: ignore[attr-defined]
    await apply(app.runtime, read(replay.GOLDEN / "fixture.json"))
    steps = await replay.play(app, "S7_archive")
    found = {}
    for step in steps:
        rest = [text for text in step.differences if not any(re.search(part, text) for part in VOLATILE)]
        if rest:
            found[step.id] = [step.request, *rest]
    assert {key: value for key, value in found.items() if key not in ON_PURPOSE} == {}
    assert set(ON_PURPOSE) <= set(found)
