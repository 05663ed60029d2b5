"""The observatory file: applied as a whole or not at all, twice is once, and written as it is read."""

from importlib.resources import files
from typing import Any

import httpx
import pytest
import yaml

from ocs.configdb import api
from tests.support.app import NOW, TestApp
from tests.support.configdb import build_fix_a

DEMO: dict[str, Any] = yaml.safe_load(files("ocs.demo").joinpath("network.yaml").read_text("utf-8"))


async def _apply(app: TestApp, document: dict[str, Any]) -> api.FileResult:
    async with app.runtime.database.write() as session:
        return await api.apply_file(session, document, now=NOW)


async def _export(app: TestApp) -> dict[str, Any]:
    async with app.runtime.database.read() as session:
        return await api.export_file(session)


async def test_the_demo_network_applies_and_the_second_time_changes_nothing(app: TestApp) -> None:
    first = await _apply(app, DEMO)
    assert first.problems == []
    assert "site elp: created" in first.changes
    again = await _apply(app, DEMO)
    assert (again.problems, again.changes) == ([], [])
    async with app.runtime.database.read() as session:
        observatory = await api.observatory(session)
    assert [instrument.path for instrument in observatory.instruments] == [
        "coj.clma.0m4a.kb97",
        "cpt.doma.1m0a.fa14",
        "elp.doma.1m0a.fa05",
        "elp.doma.1m0a.en05",
        "elp.aqwa.0m4a.kb95",
    ]


async def test_a_change_is_told_field_by_field_and_a_left_out_field_takes_its_default(app: TestApp) -> None:
    await _apply(app, DEMO)
    changed = yaml.safe_load(yaml.safe_dump(DEMO))
    telescope = changed["sites"][0]["enclosures"][0]["telescopes"][0]
    telescope["horizon"] = 20.0
    del telescope["minimum_slew_overhead"]
    telescope["instruments"][0]["state"] = "MANUAL"
    result = await _apply(app, changed)
    assert sorted(result.changes) == [
        "instrument elp.doma.1m0a.fa05: state 'SCHEDULABLE' -> 'MANUAL'",
        "telescope elp.doma.1m0a: horizon 15.0 -> 20.0",
        "telescope elp.doma.1m0a: minimum_slew_overhead 2.0 -> 0.0",
    ]


async def test_a_mode_that_others_share_is_replaced_not_changed(app: TestApp) -> None:
    await _apply(app, DEMO)
    changed = yaml.safe_load(yaml.safe_dump(DEMO))
    guiding = changed["instrument_types"][0]["generic_mode_groups"][2]
    guiding["modes"][1]["overhead"] = 7.0
    result = await _apply(app, changed)
    assert result.problems == []
    async with app.runtime.database.read() as session:
        observatory = await api.observatory(session)
    assert observatory.instrument_types["1M0-SCICAM"].modes("guiding").overhead_s("ON") == 7.0
    assert observatory.instrument_types["0M4-SCICAM"].modes("guiding").overhead_s("ON") == 5.0


async def test_all_problems_are_told_at_once_with_their_places_and_nothing_is_applied(app: TestApp) -> None:
    before = await _export(app)
    broken = yaml.safe_load(yaml.safe_dump(DEMO))
    broken["optical_elements"].append({"code": "gp", "name": "again"})
    broken["cameras"][0]["camera_type"] = "no-such-type"
    broken["cameras"][1]["colour"] = "red"
    broken["instrument_types"][0]["configuration_types"].append({"configuration_type": "NOTHING"})
    broken["instrument_types"][1]["validation_schema"] = {"a": {"type": "odd"}}
    broken["sites"][0]["lat"] = 95
    broken["sites"][1]["enclosures"][0]["telescopes"][0]["instruments"][0]["state"] = "UNWELL"
    broken["sites"][2]["enclosures"][0]["telescopes"][0]["instruments"][0]["science_cameras"] = ["kb00"]
    result = await _apply(app, broken)
    places = {".".join(map(str, where)) for where, _ in result.problems}
    assert places == {
        "optical_elements.10",
        "cameras.0.camera_type",
        "cameras.1.colour",
        "instrument_types.0.configuration_types.6.configuration_type",
        "instrument_types.1.validation_schema",
        "sites.0.lat",
        "sites.1.enclosures.0.telescopes.0.instruments.0.state",
        "sites.2.enclosures.0.telescopes.0.instruments.0.science_cameras.0",
    }
    assert await _export(app) == before


async def test_what_stands_in_or_beside_something_malformed_is_checked_too(app: TestApp) -> None:
    broken = yaml.safe_load(yaml.safe_dump(DEMO))
    broken["sites"][0]["lat"] = 95
    enclosures = broken["sites"][0]["enclosures"]
    enclosures[0]["telescopes"][0]["horizon"] = "low"
    enclosures[0]["telescopes"][0]["instruments"][0]["autoguider_camera"] = "no1"
    broken["sites"][1]["enclosures"].insert(0, {"code": "domx", "telescopes": 5})
    standing = broken["sites"][1]["enclosures"][1]["telescopes"][0]
    standing["instruments"][0]["science_cameras"] = ["no2"]
    groups = broken["instrument_types"][0]["generic_mode_groups"]
    groups.insert(0, {"type": "exposure", "modes": "none"})
    groups[1]["default"] = "no3"
    result = await _apply(app, broken)
    assert {".".join(map(str, where)) for where, _ in result.problems} == {
        "sites.0.lat",
        "sites.0.enclosures.0.telescopes.0.horizon",
        "sites.0.enclosures.0.telescopes.0.instruments.0.autoguider_camera",
        "sites.1.enclosures.0.telescopes",
        "sites.1.enclosures.1.telescopes.0.instruments.0.science_cameras.0",
        "instrument_types.0.generic_mode_groups.0.modes",
        "instrument_types.0.generic_mode_groups.1.default",
    }


async def test_export_and_apply_round_trip_byte_stable(app: TestApp) -> None:
    await build_fix_a(app)
    text = api.dump_file(await _export(app))
    result = await _apply(app, yaml.safe_load(text))
    assert (result.problems, result.changes) == ([], [])
    assert api.dump_file(await _export(app)) == text
    await app.reset()
    assert (await _apply(app, yaml.safe_load(text))).problems == []
    assert api.dump_file(await _export(app)) == text


@pytest.mark.parametrize("name", api.template_names())
async def test_each_template_applies_twice_and_round_trips(app: TestApp, name: str) -> None:
    template = yaml.safe_load(api.template(name))
    assert (await _apply(app, template)).problems == []
    again = await _apply(app, template)
    assert (again.problems, again.changes) == ([], [])
    text = api.dump_file(await _export(app))
    again = await _apply(app, yaml.safe_load(text))
    assert (again.problems, again.changes) == ([], [])
    async with app.runtime.database.read() as session:
        observatory = await api.observatory(session)
    assert observatory.instrument_type_codes(only_schedulable=True)
    for code in observatory.instrument_types:
        assert observatory.overheads(code) is not None


async def test_C35_the_test_observatory_is_made_once(app: TestApp) -> None:
    async def make() -> api.FileResult:
        async with app.runtime.database.write() as session:
            return await api.create_test_observatory(
                session, now=NOW, site="ogg", lat_deg=20.7, long_deg=-156.2, instrument_state="SCHEDULABLE"
            )

    assert (await make()).problems == []
    before = await _export(app)
    assert (await make()).changes == []
    assert await _export(app) == before
    async with app.runtime.database.read() as session:
        observatory = await api.observatory(session)
    assert [enclosure.code for enclosure in observatory.enclosures] == ["doma", "clma"]
    assert [instrument.path for instrument in observatory.instruments] == [
        "ogg.doma.1m0a.xx04",
        "ogg.clma.2m0a.xx05",
    ]


async def test_the_test_observatory_refuses_an_unknown_state(app: TestApp) -> None:
    async with app.runtime.database.write() as session:
        result = await api.create_test_observatory(
            session, now=NOW, site="ogg", lat_deg=20.7, long_deg=-156.2, instrument_state="UNWELL"
        )
    assert result.problems
    assert (await _export(app)).get("sites") is None


def test_the_json_schema_names_all_sections() -> None:
    schema = api.file_schema()
    assert set(schema["properties"]) == set(api.SECTIONS)
    assert schema["$defs"]["InstrumentEntry"]["additionalProperties"] is False


async def test_the_tree_that_clients_read_can_be_applied_elsewhere(
    app: TestApp, anonymous: httpx.AsyncClient
) -> None:
    await build_fix_a(app)
    tree = (await anonymous.get("/configdb/sites/")).json()["results"]
    before = await _export(app)
    await app.reset()
    assert (await _apply(app, {"sites": tree})).problems == []
    again = await _apply(app, {"sites": tree})
    assert (again.problems, again.changes) == ([], [])
    after = await _export(app)
    assert after["sites"] == before["sites"]
    assert after["cameras"] == before["cameras"]
    assert {kind["code"] for kind in after["instrument_types"]} == {
        kind["code"] for kind in before["instrument_types"]
    }


async def test_a_tree_with_missing_parts_is_a_problem(app: TestApp) -> None:
    result = await _apply(app, {"sites": [{"code": "tst", "enclosure_set": [{"code": "doma"}]}]})
    assert [where for where, _ in result.problems] == [("sites",)]


@pytest.mark.parametrize(
    "document",
    [
        {"sites": {"code": "tst"}},
        {"sites": [1, None, "x", []]},
        {"sites": [{"enclosure_set": 5}]},
        {"cameras": [{"code": {}, "camera_type": []}]},
        {"optical_element_groups": [{"name": 5, "type": "filters", "optical_elements": [[]]}]},
        {"optical_elements": [{"code": "x" * 300, "name": None, "schedulable": "perhaps"}]},
        {"instrument_types": [{"code": "A", "name": "A", "generic_mode_groups": [{"type": "readout"}]}]},
        {"mode_types": [{"id": "a/b"}, 3.5]},
    ],
)
async def test_nonsense_is_told_and_nothing_is_kept(app: TestApp, document: dict[str, Any]) -> None:
    before = await _export(app)
    assert (await _apply(app, document)).problems
    assert await _export(app) == before


async def test_numbers_serve_as_codes(app: TestApp) -> None:
    document = {"optical_elements": [{"code": 2, "name": 7}], "instrument_categories": ["1"]}
    assert (await _apply(app, document)).problems == []
    assert (await _apply(app, document)).changes == []
