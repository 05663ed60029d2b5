"""What the configuration does to the portal, at once."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from tests.support.app import TestApp
from tests.support.requests import GROUPS, create_observatory, group_with, submit


@pytest_asyncio.fixture
async def alice(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """The PI of a proposal, at FIX-A."""
    async with app.client(token=await create_observatory(app)) as client:
        yield client


async def test_C11_a_type_without_instruments_in_operation_is_not_offered(
    alice: httpx.AsyncClient, staff: httpx.AsyncClient
) -> None:
    assert "1M0-CAM-B" in (await alice.get("/api/instruments/")).json()
    found = (await staff.get("/instruments/?instrument_type=1M0-CAM-B")).json()["results"]
    for instrument in found:
        answer = await staff.patch(f"/instruments/{instrument['id']}/", json={"state": "MANUAL"})
        assert answer.status_code == 200
    assert "1M0-CAM-B" not in (await alice.get("/api/instruments/")).json()


async def test_C36_a_readout_schema_fills_and_refuses_what_is_submitted(alice: httpx.AsyncClient) -> None:
    def binned(**extra_params: Any) -> dict[str, Any]:
        return group_with(
            lambda part: part["instrument_configs"][0].update(mode="cam_1", extra_params=extra_params)
        )

    answer = await submit(alice, binned())
    (stored,) = answer["requests"][0]["configurations"][0]["instrument_configs"]
    assert stored["extra_params"] == {"bin_x": 1, "bin_y": 1}
    refused = await alice.post(GROUPS, json=binned(bin_x=2))
    assert refused.status_code == 400
    assert "bin_x" in refused.text


async def test_collections_and_things_say_what_can_be_done(public: httpx.AsyncClient) -> None:
    asked = await public.options("/sites/")
    assert asked.status_code == 200
    assert set(asked.headers["allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}
    asked = await public.options("/sites/1/")
    assert set(asked.headers["allow"].split(", ")) == {"GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
    head, get = await public.head("/sites/"), await public.get("/sites/")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", get.headers["etag"])
    assert (await public.get("/openapi/")).json()["info"]["title"]
