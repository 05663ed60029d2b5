"""The recorded dialogue S6 of the downtime database."""

from datetime import UTC, datetime

import pytest

from ocs.kernel.clock import FrozenClock
from tests.support import replay
from tests.support.accounts import create_user
from tests.support.app import TestApp


async def test_the_dialogue_is_answered_as_recorded(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    # An ordinary user makes one of the downtimes; the setting lets them (contract, section 2).
    monkeypatch.setattr(app.runtime.settings, "downtime_user_writes", True)
    assert isinstance(app.clock, FrozenClock)
    app.clock.set(datetime(2026, 11, 20, tzinfo=UTC))  # the dialogue asks for what was made after 2020
    tokens = replay.tokens()
    await create_user(app, "admin1", token=tokens["admin1"], is_staff=True)
    await create_user(app, "pi1", token=tokens["pi1"])
    await replay.play(app, "S0_fixture_configdb")
    steps = await replay.play(app, "S6_downtime")
    assert {step.id: step.differences for step in steps if step.differences} == {}
