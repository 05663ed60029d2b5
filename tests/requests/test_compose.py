"""The address at which target managers begin a request."""

import httpx
import pytest

from tests.support.app import TestApp


async def test_a_target_begins_a_request(
    anonymous: httpx.AsyncClient, app: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.runtime.settings, "compose_return_origins", ["https://tom.example.org"])
    back = "https://tom.example.org/targets/7/?next=1"
    sent = {"target_name": "1e5", "target_ra": "12.5", "target_dec": "-3", "redirect_uri": back}
    answer = await anonymous.get("/create", params=sent, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    target = {"type": "ICRS", "name": "1e5", "ra": 12.5, "dec": -3.0}
    assert answer.json() == {
        "requestgroup": {"requests": [{"configurations": [{"target": target}]}]},
        "redirect_uri": back,
    }


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example.org/",
        "https://tom.example.org@evil.example.org/",
        "https://tom.example.org.evil.org/",
        "//tom.example.org/",
        "javascript:alert(1)",
        "http://[",
        "/",
    ],
)
async def test_nobody_is_led_astray(
    anonymous: httpx.AsyncClient, app: TestApp, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(app.runtime.settings, "compose_return_origins", ["https://tom.example.org"])
    answer = await anonymous.get("/create/", params={"redirect_uri": address})
    assert (answer.status_code, list(answer.json())) == (400, ["redirect_uri"])
