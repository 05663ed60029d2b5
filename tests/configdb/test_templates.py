"""Each template makes an observatory that accepts requests and schedules them."""

from typing import Any

import pytest
import yaml

from ocs.configdb import api
from tests.support.accounts import create_user
from tests.support.app import NOW, TestApp
from tests.support.proposals import create_allocation, create_membership, create_proposal, create_semester
from tests.support.requests import GROUPS, configuration, group, request, submit
from tests.support.scheduler import days, open_observations, run, star


def _asked(observatory: api.Observatory, kind: api.InstrumentType) -> dict[str, Any]:
    """Return a group that uses an instrument type as it comes."""
    elements = observatory.optical_elements(kind.code).values()
    codes = {found.type.removesuffix("s"): found.default.code for found in elements if found.default}
    (telescope, *_) = observatory.telescopes_with(kind.code, only_schedulable=True)
    part = configuration(
        instrument_type=kind.code,
        type=kind.default_configuration_type,
        target=star(34.4, 10.0),
        constraints={"max_airmass": 2.5, "min_lunar_distance": 10.0},
        instrument_configs=[{"exposure_time": 60, "exposure_count": 1, "optical_elements": codes}],
    )
    place = {"telescope_class": telescope.telescope_class}
    return group(requests=[request(windows=days(0, 3), configurations=[part], location=place)])


@pytest.mark.parametrize("name", api.template_names())
async def test_a_template_takes_requests_and_schedules_them(app: TestApp, name: str) -> None:
    async with app.runtime.database.write() as session:
        result = await api.apply_file(session, yaml.safe_load(api.template(name)), now=NOW)
    assert result.problems == []
    async with app.runtime.database.read() as session:
        observatory = await api.observatory(session)
    types = observatory.instrument_types
    token = await create_user(app, "alice")
    await create_semester(app)
    await create_proposal(app)
    await create_membership(app)
    await create_allocation(app, instrument_types=tuple(types))
    expected = {}
    async with app.client(token=token) as alice:
        for code, kind in types.items():
            asked = _asked(observatory, kind)
            checked = (await alice.post(f"{GROUPS}validate/", json=asked)).json()
            assert checked["errors"] == {}
            answer = await submit(alice, asked)
            telescopes = observatory.telescopes_with(code, only_schedulable=True)
            expected[answer["requests"][0]["id"]] = {telescope.path for telescope in telescopes}
    await run(app)
    written = await open_observations(app)
    assert {item.request_id for item in written} == set(expected)
    assert all(item.telescope in expected[item.request_id] for item in written)
