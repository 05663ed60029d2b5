"""Planning over HTTP: the contract's examples, bad input, limits, nights and the map of the sky."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from pydantic import BaseModel

from ocs import visibility
from ocs.configdb import repository
from ocs.kernel import changes
from ocs.kernel.clock import FrozenClock
from ocs.portal.planning import answers
from ocs.portal.planning.router import LIMITED
from ocs.portal.planning.schemas import NightsOut, SkyMapOut, VisibilityOut
from tests.support.app import NOW, TestApp, running_app
from tests.support.configdb import build_fix_a

DATA = Path(__file__).parents[1] / "visibility" / "data" / "visibility_examples.json"
EXAMPLES = json.loads(DATA.read_text())["cases"]
HERE = {"code": "here", "latitude": -30.1673, "longitude": -70.8047, "altitude": 2198.0, "horizon": 15.0}
STAR = {"target": {"type": "ICRS", "ra": 95.5, "dec": -33.25}, "constraints": {"max_airmass": 1.6}}
WINDOW = {"start": "2027-01-10T00:00:00Z", "end": "2027-01-11T00:00:00Z"}
STEPS = ["window", "dark", "altitude", "hour_angle", "zenith", "moon_distance", "moon_phase"]


def question(**changes: Any) -> dict[str, Any]:
    return {"sites": [HERE], "targets": [STAR], "window": WINDOW, **changes}


async def ask(client: httpx.AsyncClient, **changes: Any) -> list[dict[str, Any]]:
    """Ask, and return the results after they were held against the published model."""
    answer = await client.post("/api/visibility/", json=question(**changes))
    assert answer.status_code == 200, answer.text
    VisibilityOut.model_validate_json(answer.content)
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def seconds(text: str) -> float:
    return datetime.fromisoformat(text + ("" if text.endswith("Z") else "Z")).timestamp()


@pytest_asyncio.fixture
async def tst(app: TestApp) -> AsyncIterator[httpx.AsyncClient]:
    """An anonymous client of the observatory FIX-A."""
    await build_fix_a(app)
    async with app.client() as client:
        yield client


@pytest.mark.parametrize("case", EXAMPLES, ids=[case["id"] for case in EXAMPLES])
async def test_the_example_of_the_contract(anonymous: httpx.AsyncClient, case: dict[str, Any]) -> None:
    (result,) = await ask(
        anonymous,
        sites=[case["site"]],
        targets=[{"target": case["target"], "constraints": case["constraints"]}],
        window=case["window"],
        twilight=case["twilight"],
    )
    assert result["site"] == case["site"]["code"]
    assert result["target"] == 0
    assert "error" not in result
    assert "samples" not in result
    assert len(result["intervals"]) == len(case["intervals"])
    for found, expected in zip(result["intervals"], case["intervals"], strict=True):
        for edge in ("start", "end"):
            tolerance_s = expected[f"{edge}_tolerance_s"] + 0.001  # printed with milliseconds
            assert abs(seconds(found[edge]) - seconds(expected[edge])) <= tolerance_s
    assert result["total_seconds"] == pytest.approx(
        case["total_seconds"], abs=2.0 * len(case["intervals"]) + 2
    )
    left = [step["seconds_left"] for step in result["budget"]]
    assert [step["constraint"] for step in result["budget"]] == STEPS
    assert left == sorted(left, reverse=True)
    assert left[0] == seconds(case["window"]["end"]) - seconds(case["window"]["start"])
    assert left[-1] == result["total_seconds"]


SAMPLED = [case for case in EXAMPLES if "altitude_deg" in (case.get("samples") or [{}])[0]]


@pytest.mark.parametrize("case", SAMPLED, ids=[case["id"] for case in SAMPLED])
async def test_samples_start_with_the_window(anonymous: httpx.AsyncClient, case: dict[str, Any]) -> None:
    expected = case["samples"][0]
    start = expected["time"]
    (result,) = await ask(
        anonymous,
        sites=[case["site"]],
        targets=[{"target": case["target"], "constraints": case["constraints"]}],
        window={"start": start, "end": start.replace(".000Z", ".900Z")},
        sample_every_s=600,
    )
    (sample,) = result["samples"]
    assert sample["time"] == start
    assert sample["altitude_deg"] == pytest.approx(expected["altitude_deg"], abs=1 / 3600)
    assert sample["azimuth_deg"] == pytest.approx(expected["azimuth_deg"], abs=1 / 60)
    assert sample["moon_distance_deg"] == pytest.approx(expected["moon_distance_deg"], abs=2 / 3600)
    if expected["airmass_secz"] is None:
        assert sample["airmass"] is None
    else:
        assert sample["airmass"] == pytest.approx(expected["airmass_secz"], rel=1e-3)


async def test_samples_cover_the_window_at_the_step_asked_for(anonymous: httpx.AsyncClient) -> None:
    (result,) = await ask(anonymous, sample_every_s=3600 * 5)
    assert [sample["time"][11:] for sample in result["samples"]] == [
        f"{hour:02d}:00:00.000Z" for hour in (0, 5, 10, 15, 20)
    ]
    assert result["samples"][3]["airmass"] is None  # below the horizon
    (static,) = await ask(anonymous, targets=[{"target": {"type": "HOUR_ANGLE"}}], sample_every_s=86400)
    assert static["samples"][0] == {
        "time": "2027-01-10T00:00:00.000Z",
        "altitude_deg": None,
        "azimuth_deg": None,
        "airmass": None,
        "moon_distance_deg": None,
    }


async def test_results_come_sites_outermost_and_sites_keep_their_names(tst: httpx.AsyncClient) -> None:
    results = await ask(tst, sites=[{"code": "TST"}, HERE, {"code": "lco"}], targets=[STAR] * 3)
    assert [(result["site"], result["target"]) for result in results] == [
        (site, target) for site in ("tst", "here", "lco") for target in range(3)
    ]


async def test_a_code_means_the_limits_of_the_first_active_telescope(tst: httpx.AsyncClient) -> None:
    spelt_out = {
        "code": "tst", "latitude": -32.3805542, "longitude": 20.8101815, "altitude": 1804, "horizon": 15.0,
        "ha_limit_neg": -4.6, "ha_limit_pos": 4.6,
    }  # fmt: skip
    assert await ask(tst, sites=[{"code": "tst"}]) == await ask(tst, sites=[spelt_out])


async def test_the_answer_in_pieces_is_the_answer_in_one(
    anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [
        STAR,
        {"target": {"type": "ICRS", "ra": "x", "dec": 0}},
        {"target": {"type": "ICRS", "ra": 200, "dec": 10}, "constraints": {"max_lunar_phase": 0.3}},
        {"target": {"type": "SATELLITE"}},
        STAR,
    ]
    sites = [HERE, HERE | {"code": "there", "longitude": 20.0, "zenith_blind_spot": 20.0}, HERE]
    whole = await ask(anonymous, targets=targets, sites=sites, sample_every_s=20_000)
    assert len(whole) == 15
    for size in (1, 2, 5, 11):
        monkeypatch.setattr(answers, "PIECE_TARGET_DAYS", size)
        assert await ask(anonymous, targets=targets, sites=sites, sample_every_s=20_000) == whole


@pytest.mark.parametrize("phase", [1.0, 0.4])
@pytest.mark.parametrize("hole", [0.0, 25.0])
def test_the_budget_is_the_engine_s(phase: float, hole: float) -> None:
    start_us = visibility.from_datetime(datetime.fromisoformat("2027-01-15T00:00:00Z"))
    end_us = start_us + 12 * 86_400_000_000
    targets = [{"type": "ICRS", "ra": 20.0 * k, "dec": 8.0 * k - 70} for k in range(18)] + [
        {"type": "HOUR_ANGLE"},
        {"type": "ICRS", "ra": 10, "dec": 95},
    ]
    limits = [
        {"max_airmass": 1.2 + 0.1 * k, "min_lunar_distance": 4.0 * k, "max_lunar_phase": phase}
        for k in range(20)
    ]
    sites = [
        visibility.Site(-30.0, -70.0, 2000.0, 15.0, -3.0, 4.0, hole),
        visibility.Site(40.0, 10.0, 0.0, 20.0, -12.0, 12.0, 0.0),
    ]
    asked = answers.Question([("a", sites[0]), ("b", sites[1])], targets, limits, start_us, end_us)
    results = json.loads(b"[" + b",".join(piece.text() for piece in answers.pieces(asked)) + b"]")
    batch, constraints = visibility.TargetBatch.from_wire(targets), visibility.Constraints.from_wire(limits)
    for index, site in enumerate(sites):
        expected = visibility.budget(batch, site, start_us, end_us, constraints)
        got = [
            [step["seconds_left"] for step in result["budget"]]
            for result in results[index * len(targets) : (index + 1) * len(targets)]
        ]
        np.testing.assert_allclose(got, expected, atol=0.01)


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"target": {"type": "ICRS", "ra": "NaN", "dec": 0}}, "bad_value"),
    ({"target": {"type": "ICRS", "ra": 1e300, "dec": 0}}, "bad_value"),
    ({"target": {"type": "ICRS", "ra": 10, "dec": -91}}, "bad_value"),
    ({"target": {"type": "ICRS", "ra": 10, "dec": {"a": [1]}}}, "bad_value"),
    ({"target": {"type": "ICRS", "ra": 10**400, "dec": 1}}, "bad_value"),
    (
        {
            "target": {
                "type": "ORBITAL_ELEMENTS", "scheme": "MPC_MINOR_PLANET", "epochofel": 61200, "orbinc": 1,
                "longascnode": 1, "argofperih": 1, "meandist": 2, "eccentricity": 1, "meananom": 1,
            }
        },
        "bad_elements",
    ),
    (
        {
            "target": {
                "type": "ORBITAL_ELEMENTS", "scheme": "NO_SUCH", "epochofel": 61200, "orbinc": 1,
                "longascnode": 1, "argofperih": 1, "meandist": 2, "eccentricity": 0.1, "meananom": 1,
            }
        },
        "unknown_scheme",
    ),
    ({"target": {"type": "SATELLITE", "extra_params": {"tle": ["1 x", "2 y"]}}}, "bad_tle"),
    ({"target": {"type": "ICRS", "ra": 1, "dec": 1, "extra_params": {"ephemeris": [1]}}}, "bad_ephemeris"),
    (STAR | {"constraints": {"max_airmass": -3}}, "bad_constraint"),
    (STAR | {"constraints": {"min_lunar_distance": "far"}}, "bad_constraint"),
    (STAR | {"constraints": {"max_lunar_phase": 1e99}}, "bad_constraint"),
]  # fmt: skip


async def test_each_bad_row_has_its_own_error_and_the_others_their_answer(
    anonymous: httpx.AsyncClient,
) -> None:
    (good,) = await ask(anonymous)
    rows = [row for row, _ in BAD_ROWS]
    content = json.dumps(question(targets=[*rows, STAR], sample_every_s=43200))
    answer = await anonymous.post(
        "/api/visibility/",
        content=content.replace(str(10**400), "1" + "0" * 300),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    *bad, last = answer.json()["results"]
    assert [result["error"]["code"] for result in bad] == [code for _, code in BAD_ROWS]
    for result in bad:
        assert result["intervals"] == []
        assert result["samples"] == []
        assert result["total_seconds"] == 0
        assert [step["seconds_left"] for step in result["budget"]][2:] == [0] * 5
        assert result["budget"][1]["seconds_left"] > 0
        assert len(result["error"]["message"]) > 20
    assert last["intervals"] == good["intervals"]
    assert last["budget"] == good["budget"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sites": [{"code": "nowhere"}]}, "sites"),
        ({"sites": [HERE | {"latitude": 91}]}, "sites"),
        ({"sites": [HERE | {"longitude": "NaN"}]}, "sites"),
        ({"sites": [HERE | {"altitude": -1e9}]}, "sites"),
        ({"sites": [HERE | {"ha_limit_neg": -13}]}, "sites"),
        ({"sites": [{"code": "x", "latitude": 3}]}, "sites"),
        ({"sites": [{"code": "tst", "horizon": 3}]}, "sites"),
        ({"sites": [{"latitude": 3, "longitude": 4}]}, "sites"),
        ({"sites": "here"}, "sites"),
        ({"targets": [7]}, "targets"),
        ({"targets": [{"target": "M31"}]}, "targets"),
        ({"targets": [{}]}, "targets"),
        ({"targets": [STAR] * 10_001}, "targets"),
        ({"sites": [HERE] * 101, "targets": [STAR] * 100}, "targets"),
        ({"window": {"start": "2027-01-10", "end": "soon"}}, "window"),
        ({"window": {"start": "2026-01-01T00:00:00Z", "end": "2027-02-06T00:00:00Z"}}, "window"),
        ({"window": {"start": "1970-01-01T00:00:00Z", "end": "1970-02-01T00:00:00Z"}}, "non_field_errors"),
        ({"window": {"start": "9999-12-01T00:00:00Z", "end": "9999-12-31T00:00:00Z"}}, "non_field_errors"),
        ({"window": {"start": "0001-01-01T00:00:00Z", "end": "0001-01-02T00:00:00Z"}}, "non_field_errors"),
        ({"twilight": "dusk"}, "twilight"),
        ({"sample_every_s": 0}, "sample_every_s"),
        ({"sample_every_s": -5}, "sample_every_s"),
        ({"sample_every_s": "inf"}, "sample_every_s"),
        ({"sample_every_s": 1, "targets": [STAR] * 2}, "sample_every_s"),
    ],
)
async def test_a_question_without_an_answer_is_told_which_field_is_wrong(
    tst: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    answer = await tst.post("/api/visibility/", json=question(**changes))
    assert answer.status_code == 400, answer.text[:300]
    assert list(answer.json()) == [field]


async def test_wrong_sites_are_told_in_their_place(tst: httpx.AsyncClient) -> None:
    answer = await tst.post("/api/visibility/", json=question(sites=[{"code": "tst"}, {"code": "nix"}]))
    assert answer.json() == {
        "sites": [
            {},
            {"code": ["There is no site nix; give latitude and longitude for a place of your own."]},
        ]
    }


async def test_the_largest_questions_are_answered(anonymous: httpx.AsyncClient) -> None:
    targets = [{"target": {"type": "ICRS", "ra": k * 0.036, "dec": k * 0.01 - 50}} for k in range(10_000)]
    assert len(await ask(anonymous, targets=targets)) == 10_000
    year = {"start": "2026-01-01T00:00:00Z", "end": "2027-02-05T00:00:00Z"}
    (result,) = await ask(anonymous, window=year)
    assert len(result["intervals"]) > 200


async def test_V49_an_empty_or_reversed_window_has_no_intervals(anonymous: httpx.AsyncClient) -> None:
    for window in (
        {"start": WINDOW["end"], "end": WINDOW["start"]},
        {"start": WINDOW["start"], "end": WINDOW["start"]},
        {"start": WINDOW["end"], "end": "2001-01-01T00:00:00Z"},
    ):
        (result,) = await ask(anonymous, window=window, sample_every_s=60)
        assert result["intervals"] == result["samples"] == []
        assert {step["seconds_left"] for step in result["budget"]} == {0}


async def test_nothing_asked_is_nothing_answered(anonymous: httpx.AsyncClient) -> None:
    assert await ask(anonymous, targets=[]) == []
    assert await ask(anonymous, sites=[]) == []


async def test_planning_needs_at_most_one_statement(app: TestApp, tst: httpx.AsyncClient) -> None:
    span = {"start": "2026-09-01", "end": "2026-09-03"}
    for address, parameters in (
        ("/api/sites/tst/nights/", span),
        ("/api/skymap/", span | {"site": "tst", "nside": "8"}),
    ):
        await tst.get(address, params=parameters)
        with app.statements() as statements:
            assert (await tst.get(address, params=parameters)).status_code == 200
        assert len(statements) <= 1
    with app.statements() as statements:
        await ask(tst, sites=[{"code": "tst"}, {"code": "lco"}])
    assert len(statements) <= 1
    with app.statements() as statements:
        await ask(tst)
    assert statements == []


async def test_nights_tell_sun_twilights_and_moon(tst: httpx.AsyncClient) -> None:
    answer = await tst.get(
        "/api/sites/TST/nights/", params={"start": "2027-03-01T00:00:00Z", "end": "2027-03-31T00:00:00Z"}
    )
    assert answer.status_code == 200
    NightsOut.model_validate_json(answer.content)
    body = answer.json()
    assert body["site"] == "tst"
    assert len(body["nights"]) == 30
    for night in body["nights"]:
        twilights = night["twilights"]
        order = [twilights[kind]["dusk"] for kind in ("sunset", "civil", "nautical", "astronomical")]
        order.append(night["middle"])
        order += [twilights[kind]["dawn"] for kind in ("astronomical", "nautical", "civil", "sunset")]
        assert order == sorted(order)
        assert 0 <= night["moon_phase"] <= 1
        assert 0 <= night["moon_up_dark_seconds"] <= twilights["nautical"]["dark_seconds"]
    phases = [night["moon_phase"] for night in body["nights"]]
    assert min(phases) < 0.02
    assert max(phases) > 0.98
    (visible,) = await ask(
        tst,
        sites=[{"code": "tst"}],
        targets=[{"target": {"type": "HOUR_ANGLE"}}],
        window={"start": "2027-03-01T12:00:00Z", "end": "2027-03-02T12:00:00Z"},
    )
    nautical = body["nights"][0]["twilights"]["nautical"]
    assert visible["intervals"] == [{"start": nautical["dusk"], "end": nautical["dawn"]}]


async def test_the_sky_map_is_the_engine_s(tst: httpx.AsyncClient) -> None:
    span = {"site": "tst", "start": "2027-03-01T00:00:00Z", "end": "2027-03-04T00:00:00Z"}
    maps = {}
    for order in ("ring", "NESTED"):
        answer = await tst.get("/api/skymap/", params={**span, "nside": "4", "order": order})
        assert answer.status_code == 200
        SkyMapOut.model_validate_json(answer.content)
        body = answer.json()
        assert (body["site"], body["nside"], body["order"]) == ("tst", 4, order.lower())
        maps[order] = body["fractions"]
    site = visibility.Site(-32.3805542, 20.8101815, 1804, 15.0)
    start_us, end_us = (
        visibility.from_datetime(datetime.fromisoformat(span[name])) for name in ("start", "end")
    )
    np.testing.assert_allclose(maps["ring"], visibility.sky_fraction(site, start_us, end_us, 4), atol=6e-5)
    assert sorted(maps["ring"]) == sorted(maps["NESTED"])
    assert maps["ring"] != maps["NESTED"]
    low = (await tst.get("/api/skymap/", params={**span, "nside": "4", "max_airmass": "1.2"})).json()
    assert sum(low["fractions"]) < sum(maps["ring"])
    default = (await tst.get("/api/skymap/", params=span)).json()
    assert default["nside"] == 64
    assert len(default["fractions"]) == 49152


SPAN = {"start": "2027-03-01", "end": "2027-03-04"}


@pytest.mark.parametrize(
    ("address", "parameters", "status"),
    [
        ("/api/sites/nix/nights/", SPAN, 404),
        ("/api/sites/%00/nights/", SPAN, 404),
        ("/api/sites/tst/nights/", {}, 400),
        ("/api/sites/tst/nights/", {"start": "2027-03-01"}, 400),
        ("/api/sites/tst/nights/", {"start": "2027-03-04", "end": "2027-03-01"}, 400),
        ("/api/sites/tst/nights/", {"start": "2027-01-01", "end": "2028-03-01"}, 400),
        ("/api/sites/tst/nights/", {"start": "1990-01-01", "end": "1990-01-02"}, 400),
        ("/api/sites/tst/nights/", {"start": "x", "end": "nan"}, 400),
        ("/api/skymap/", SPAN, 400),
        ("/api/skymap/", SPAN | {"site": "nix"}, 404),
        ("/api/skymap/", SPAN | {"site": "tst", "nside": "3"}, 400),
        ("/api/skymap/", SPAN | {"site": "tst", "nside": "-4"}, 400),
        ("/api/skymap/", SPAN | {"site": "tst", "nside": "256"}, 400),
        ("/api/skymap/", SPAN | {"site": "tst", "nside": "1e300"}, 400),
        ("/api/skymap/", SPAN | {"site": "tst", "order": "spiral"}, 400),
        ("/api/skymap/", SPAN | {"site": "tst", "max_airmass": "0.5"}, 400),
        ("/api/skymap/", SPAN | {"site": "tst", "max_airmass": "nan"}, 400),
        ("/api/skymap/", {"start": "2027-01-01", "end": "2027-12-01", "site": "tst"}, 400),
        ("/api/skymap/", {"start": "1990-01-01", "end": "1990-01-02", "site": "tst"}, 400),
    ],
)
async def test_wrong_parameters_are_refused_with_a_reason(
    tst: httpx.AsyncClient, address: str, parameters: dict[str, str], status: int
) -> None:
    answer = await tst.get(address, params=parameters)
    assert answer.status_code == status, answer.text[:300]
    assert answer.json()


async def test_a_site_without_an_active_telescope_cannot_be_planned_for(
    app: TestApp, tst: httpx.AsyncClient
) -> None:
    async with app.runtime.database.write() as session:
        editor = await repository.edit(session, NOW)
        for telescope in list(editor.state.all("telescope")):
            editor.update("telescope", telescope["id"], {"active": False})
        await repository.store(session, editor, "tests", "all down")
        changes.stamp(session, "configdb", "all")
    answer = await tst.post("/api/visibility/", json=question(sites=[{"code": "tst"}]))
    assert answer.status_code == 400
    assert "no active telescope" in answer.text
    assert (await tst.get("/api/sites/tst/nights/", params=SPAN)).status_code == 404


async def test_S13_the_settings_bound_calls_targets_and_days(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with (
        running_app(
            database_url,
            tmp_path_factory.mktemp("data"),
            FrozenClock(NOW),
            rate_limits={"visibility": "3/minute"},
            visibility_max_pairs=2,
            visibility_max_days=10,
        ) as app,
        app.client() as client,
    ):
        refused = await client.post("/api/visibility/", json=question(targets=[STAR] * 3))
        assert refused.json() == {
            "targets": ["At most 2 targets x sites can be asked for at once, not 3; send several requests."]
        }
        long = {"start": "2027-01-01T00:00:00Z", "end": "2027-01-11T00:00:01Z"}
        refused = await client.post("/api/visibility/", json=question(window=long))
        assert refused.json() == {"window": ["Start and end can be at most 10 days apart."]}
        assert (await client.post("/api/visibility/", json=question())).status_code == 200
        answer = await client.post("/api/visibility/", json=question())
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"
        app.clock.advance(60)  # type: ignore[attr-defined]
        assert (await client.post("/api/visibility/", json=question())).status_code == 200


def test_S13_the_default_is_600_calls_a_minute() -> None:
    limit = LIMITED[0].dependency.__self__
    assert (limit.scope, limit.default) == ("visibility", "600/minute")


async def test_the_openapi_document_describes_the_answers(anonymous: httpx.AsyncClient) -> None:
    document = (await anonymous.get("/openapi.json")).json()
    models: dict[str, tuple[str, type[BaseModel]]] = {
        "/api/visibility/": ("post", VisibilityOut),
        "/api/sites/{site}/nights/": ("get", NightsOut),
        "/api/skymap/": ("get", SkyMapOut),
    }
    for path, (method, model) in models.items():
        operation = document["paths"][path][method]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{model.__name__}"}
        assert operation["summary"]
        assert operation["description"]
        assert operation["operationId"].startswith("planning_")
    assert document["components"]["schemas"]["VisibilityIn"]["examples"]
    required = document["components"]["schemas"]["VisibilityResult"]["required"]
    assert required == ["site", "target", "intervals", "total_seconds", "budget"]
