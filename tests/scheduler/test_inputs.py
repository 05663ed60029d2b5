"""From a snapshot to a problem: pure values in, arrays out, compared with the sky minute by minute."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ocs import visibility
from ocs.scheduler.explain import explain, pack
from ocs.scheduler.inputs import NORMAL, RAPID, Reservation, build
from ocs.scheduler.problem import ObservationType, Operator, Optimisation, rows_of
from ocs.scheduler.snapshot import (
    Configuration,
    Downtime,
    Group,
    Instrument,
    Location,
    Observation,
    Request,
    Snapshot,
    Telescope,
)
from ocs.scheduler.solver import solve

NOW = datetime(2016, 9, 1, tzinfo=UTC)
SEMESTER = datetime(2016, 8, 1, tzinfo=UTC), datetime(2017, 2, 1, tzinfo=UTC)
SOUTH = visibility.Site(-32.38, 20.81, 1804, 15.0, -4.6, 4.6)
NORTH = visibility.Site(30.68, -104.02, 2070, 15.0, -4.6, 4.6)
FILTERS = frozenset({("filter", "air"), ("filter", "blue")})

CAMERA = Instrument("cam", "camera", "SCHEDULABLE", True, "guider", FILTERS, frozenset({("filter", "clear")}))
SPECTROGRAPH = Instrument("spec", "spectrograph", "SCHEDULABLE", False, "ag", frozenset(), frozenset())


def telescope(code: str, place: visibility.Site | None = SOUTH, *instruments: Instrument) -> Telescope:
    return Telescope("tst", "dom", code, "1m0", place, instruments or (CAMERA,))


def target(ra: float = 34.4, dec: float = -10.0, **more: Any) -> dict[str, Any]:
    return {"type": "ICRS", "name": "t", "ra": ra, "dec": dec} | more


def configuration(**changes: Any) -> Configuration:
    values: dict[str, Any] = {
        "instrument_type": "camera",
        "target": target(),
        "constraints": {"max_airmass": 2.0, "min_lunar_distance": 20.0, "max_lunar_phase": 1.0},
        "science_elements": frozenset({("filter", "air")}),
        "guide_elements": frozenset(),
        "is_guided": False,
        "guides_itself": False,
    }
    return Configuration(**(values | changes))


def request(number: int, **changes: Any) -> Request:
    values: dict[str, Any] = {
        "is_pending": True,
        "duration_s": 600,
        "optimisation": Optimisation.TIME,
        "location": Location(),
        "windows": ((NOW, NOW + timedelta(days=2)),),
        "configurations": (configuration(),),
    }
    return Request(number, **(values | changes))


def group(*requests: Request, **changes: Any) -> Group:
    values: dict[str, Any] = {
        "operator": Operator.SINGLE if len(requests) == 1 else Operator.MANY,
        "observation_type": ObservationType.NORMAL,
        "tac_priority": 10.0,
        "ipp_value": 1.0,
        "is_staff": False,
    }
    return Group(id=requests[0].id, requests=requests, **(values | changes))


def snapshot(*groups: Group, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "now_utc": NOW,
        "horizon_utc": NOW + timedelta(days=3),
        "semester_start_utc": SEMESTER[0],
        "semester_end_utc": SEMESTER[1],
        "telescopes": (telescope("a"), telescope("b", NORTH)),
        "downtimes": (),
        "observations": (),
    }
    return Snapshot(groups=groups, **(values | changes))


def observed(request_id: int, start: datetime, **changes: Any) -> Observation:
    values: dict[str, Any] = {
        "id": 1,
        "request_id": request_id,
        "site": "tst",
        "enclosure": "dom",
        "telescope": "a",
        "start_utc": start,
        "end_utc": start + timedelta(seconds=600),
        "is_pending": True,
        "is_ours": True,
        "has_failed": False,
    }
    return Observation(**(values | changes))


def usable(given: Any, request_index: int, telescope_index: int) -> list[tuple[datetime, datetime]]:
    """Time in which a request may be observed, from the rows."""
    problem = given.problem
    mine = (problem.row_request == request_index) & (
        problem.block_telescope[problem.row_block] == telescope_index
    )
    return [
        (given.utc(lo), given.utc(hi + problem.duration_s[request_index]))
        for lo, hi in zip(problem.row_lo_s[mine], problem.row_hi_s[mine], strict=True)
    ]


def can_be_seen(site: visibility.Site, moments: list[datetime], *targets: dict[str, Any]) -> np.ndarray:
    """The same question asked of every minute: dark, high, away from the Moon, within the hour angles."""
    times = [visibility.from_datetime(moment) for moment in moments]
    sky = visibility.samples(visibility.TargetBatch.from_wire(list(targets)), site, times)
    good = (sky.sun_altitude_deg < -12) & (sky.altitude_deg > site.horizon_deg) & (sky.airmass < 2.0)
    # Hour-angle limits are those of a northern telescope, mirrored in the south.
    return (good & (sky.moon_distance_deg > 20) & (np.abs(sky.hour_angle_h) < 4.6)).all(axis=0)


@pytest.mark.parametrize("targets", [(target(),), (target(), target(60.0, 0.0)), (target(340.0, 5.0),)])
def test_R10_rows_are_when_all_targets_can_be_seen(
    targets: tuple[dict[str, Any], ...],
) -> None:
    asked = request(1, configurations=tuple(configuration(target=item) for item in targets))
    given = build(snapshot(group(asked)), NOW, NORMAL)
    moments = [NOW + timedelta(minutes=minute) for minute in range(2 * 24 * 60)]
    for index, place in enumerate((SOUTH, NORTH)):
        pieces = usable(given, 0, index)
        inside = np.array([any(start <= moment < end for start, end in pieces) for moment in moments])
        assert inside.any()
        # Edges fall between the samples; pieces shorter than the request are not offered at all.
        edge = np.zeros(len(moments), dtype=bool)
        seen = can_be_seen(place, moments, *targets)
        edge[1:] |= seen[1:] != seen[:-1]
        edge[:-1] |= seen[1:] != seen[:-1]
        assert (inside == seen)[~edge].all()


def test_the_same_target_twice_is_looked_at_once_and_different_filters_do_not_matter() -> None:
    once = build(snapshot(group(request(1))), NOW, NORMAL).problem
    twice = request(
        1, configurations=(configuration(), configuration(science_elements=frozenset({("filter", "blue")})))
    )
    again = build(snapshot(group(twice)), NOW, NORMAL).problem
    assert np.array_equal(once.row_lo_s, again.row_lo_s)
    assert np.array_equal(once.row_hi_s, again.row_hi_s)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"a": "cam"}),
        ({"science_elements": frozenset({("filter", "red")})}, None),
        ({"instrument_type": "nothing"}, None),
        ({"is_guided": True, "guide_elements": frozenset({("filter", "clear")})}, {"a": "guider"}),
        ({"is_guided": True, "guide_elements": frozenset({("filter", "air")})}, None),
        (
            {"is_guided": True, "guides_itself": True, "guide_elements": frozenset({("filter", "air")})},
            {"a": "cam"},
        ),
    ],
)
def test_R16_optical_elements_must_be_there_for_science_and_for_guiding(
    changes: dict[str, Any], expected: dict[str, str] | None
) -> None:
    asked = request(1, configurations=(configuration(**changes),))
    given = build(snapshot(group(asked), telescopes=(telescope("a"),)), NOW, NORMAL)
    if expected is None:
        assert len(given.problem.row_request) == 0
        assert list(given.rejected) == [0]
    else:
        ((camera, guide),) = given.cameras(0, 0)
        assert camera == "cam"
        assert guide == (expected["a"] if changes.get("is_guided") else "")


def test_R18_a_type_that_cannot_guide_itself_is_not_asked_to() -> None:
    blind = replace(CAMERA, allows_self_guiding=False)
    asked = request(1, configurations=(configuration(is_guided=True, guides_itself=True),))
    assert build(snapshot(group(asked), telescopes=(telescope("a", SOUTH, blind),)), NOW, NORMAL).rejected


@pytest.mark.parametrize(
    ("state", "is_staff", "is_full", "may"),
    [
        ("SCHEDULABLE", False, False, True),
        ("MANUAL", True, True, True),
        ("MANUAL", True, False, False),
        ("MANUAL", False, True, False),
        ("DISABLED", True, True, False),
    ],
)
def test_R17_staff_may_name_a_telescope_in_full_to_use_what_is_not_schedulable(
    state: str, is_staff: bool, is_full: bool, may: bool
) -> None:
    location = Location("1m0", "tst", "dom", "a" if is_full else "")
    where = (telescope("a", SOUTH, replace(CAMERA, state=state)),)
    given = build(
        snapshot(group(request(1, location=location), is_staff=is_staff), telescopes=where), NOW, NORMAL
    )
    assert (len(given.problem.row_request) > 0) == may


def test_R45_a_schedulable_instrument_is_preferred_even_if_it_stands_last() -> None:
    both = (replace(CAMERA, code="old", state="MANUAL"), replace(CAMERA, code="new"))
    location = Location("1m0", "tst", "dom", "a")
    given = build(
        snapshot(
            group(request(1, location=location), is_staff=True), telescopes=(telescope("a", SOUTH, *both),)
        ),
        NOW,
        NORMAL,
    )
    assert given.cameras(0, 0) == [("new", "")]


def test_several_instrument_types_need_a_telescope_with_all_of_them() -> None:
    asked = request(
        1,
        configurations=(
            configuration(),
            configuration(instrument_type="spectrograph", science_elements=frozenset()),
        ),
    )
    where = (telescope("a"), telescope("b", NORTH, CAMERA, SPECTROGRAPH))
    given = build(snapshot(group(asked), telescopes=where), NOW, NORMAL)
    assert set(given.problem.block_telescope[given.problem.row_block].tolist()) == {1}
    assert given.cameras(0, 1) == [("cam", ""), ("spec", "")]


def test_R11_R12_downtimes_cut_the_telescope_or_only_who_uses_the_instrument_type() -> None:
    free = usable(build(snapshot(group(request(1))), NOW, NORMAL), 0, 0)
    night = free[0]
    middle = night[0] + (night[1] - night[0]) / 2
    down = Downtime("a.dom.tst", "", middle, middle + timedelta(minutes=30))
    for instrument_type, hits in (("", True), ("camera", True), ("spectrograph", False)):
        cut = snapshot(group(request(1)), downtimes=(replace(down, instrument_type=instrument_type),))
        pieces = usable(build(cut, NOW, NORMAL), 0, 0)
        assert (pieces != free) == hits
        if hits:
            assert pieces[0][1] <= middle
            assert pieces[1][0] >= middle + timedelta(minutes=30)


def test_R30_R31_R32_what_runs_blocks_its_time_and_its_request_unless_it_has_failed() -> None:
    start, end = usable(build(snapshot(group(request(1))), NOW, NORMAL), 0, 0)[0]
    valid_from = start + timedelta(seconds=300)
    running = observed(1, start, is_pending=False)
    groups = group(request(1)), group(request(2))
    given = build(snapshot(*groups, observations=(running,)), valid_from, NORMAL)
    assert usable(given, 0, 0) == []
    assert usable(given, 1, 0)[0] == (running.end_utc, end)
    failed = build(snapshot(*groups, observations=(replace(running, has_failed=True),)), valid_from, NORMAL)
    assert usable(failed, 0, 0)[0][0] == valid_from
    over = build(snapshot(*groups), running.end_utc, NORMAL)
    assert usable(over, 0, 0)[0] == (running.end_utc, end)


def test_planned_observations_of_ours_are_the_current_schedule_and_those_of_others_are_obstacles() -> None:
    start, _ = usable(build(snapshot(group(request(1))), NOW, NORMAL), 0, 0)[0]
    groups = group(request(1)), group(request(2))
    mine = build(snapshot(*groups, observations=(observed(1, start),)), NOW, NORMAL)
    assert mine.problem.current.request.tolist() == [0]
    assert rows_of(mine.problem, *(np.array([0]), np.array([0]), mine.problem.current.start_s))[0] >= 0
    others = build(snapshot(*groups, observations=(observed(1, start, is_ours=False),)), NOW, NORMAL)
    assert len(others.problem.current.request) == 0
    assert usable(others, 1, 0)[0][0] == start + timedelta(seconds=600)


def test_R35_rapid_responses_come_in_a_pass_of_their_own_and_reserve_their_time() -> None:
    urgent = group(request(1), observation_type=ObservationType.RAPID_RESPONSE)
    known = snapshot(urgent, group(request(2)))
    first = build(known, NOW, RAPID)
    assert [item.id for item in first.requests] == [1]
    taken = int(first.problem.row_lo_s[0])
    second = build(known, NOW, NORMAL, [Reservation(0, taken, taken + 600)])
    assert [item.id for item in second.requests] == [2]
    assert usable(second, 0, 0)[0][0] == second.utc(taken + 600)


def test_one_bad_request_is_told_and_hurts_nobody_else() -> None:
    bad = [
        group(request(2, duration_s=0)),
        group(request(3, configurations=(configuration(target=target("x")),))),
        group(request(4, configurations=(configuration(constraints={"max_airmass": "low"}),))),
        group(request(5, location=Location(site="elsewhere"))),
        group(request(6), ipp_value=float("nan")),
    ]
    alone = build(snapshot(group(request(1))), NOW, NORMAL).problem
    given = build(snapshot(group(request(1)), *bad), NOW, NORMAL)
    assert set(given.problem.row_request.tolist()) == {0}
    assert sorted(given.rejected) == [1, 2, 3, 4, 5]
    assert all(reason.endswith(".") for reason in given.rejected.values())
    assert np.array_equal(given.problem.row_lo_s, alone.row_lo_s)


def test_a_closed_telescope_offers_nothing_and_nobody_at_all_is_no_error() -> None:
    closed = telescope("a", None)
    given = build(snapshot(group(request(1)), telescopes=(closed,)), NOW, NORMAL)
    assert len(given.problem.block_telescope) == len(given.problem.row_request) == 0
    assert len(solve(build(snapshot(), NOW, NORMAL).problem, 0.1)) == 0


def test_a_group_whose_only_request_is_running_can_be_solved() -> None:
    start, _ = usable(build(snapshot(group(request(1))), NOW, NORMAL), 0, 0)[0]
    running = observed(1, start, is_pending=False)
    given = build(
        snapshot(group(request(2)), group(request(1)), observations=(running,)),
        start + timedelta(seconds=60),
        NORMAL,
    )
    assert solve(given.problem, 1.0).request.tolist() == [0]


def test_R29_airmass_is_sampled_only_for_who_wants_it_and_leads_to_the_lowest() -> None:
    plain = build(snapshot(group(request(1))), NOW, NORMAL)
    assert plain.problem.airmass is None
    given = build(snapshot(group(request(1, optimisation=Optimisation.AIRMASS))), NOW, NORMAL)
    found = solve(given.problem, 2.0)
    number, start = int(found.telescope[0]), given.utc(found.start_s[0])
    site = (SOUTH, NORTH)[number]
    batch = visibility.TargetBatch.from_wire([target()])

    def airmass(place: visibility.Site, first: datetime) -> float:
        times = [visibility.from_datetime(first + timedelta(seconds=s)) for s in range(0, 601, 60)]
        return float(visibility.samples(batch, place, times).airmass.mean())

    best = min(
        airmass((SOUTH, NORTH)[n], begin + timedelta(minutes=minute))
        for n in (0, 1)
        for begin, end in usable(given, 0, n)
        for minute in range(int((end - begin).total_seconds() - 600) // 60)
    )
    assert airmass(site, start) <= best + 0.003


def test_R49_every_request_has_exactly_one_outcome() -> None:
    night = usable(build(snapshot(group(request(1))), NOW, NORMAL), 0, 0)[0]
    only = ((night[0], night[0] + timedelta(seconds=700)),)
    here = Location(telescope="a")
    groups = [
        group(request(1, windows=only, location=here), ipp_value=2.0),
        group(request(2, windows=only, location=here)),
        group(request(3, windows=((NOW - timedelta(days=2), NOW - timedelta(days=1)),))),
        group(request(4, location=Location(site="elsewhere"))),
        group(request(5, configurations=(configuration(target=target(34.4, 85.0)),), location=here)),
        group(request(6)),
    ]
    given = build(
        snapshot(*groups, observations=(observed(6, night[1] - timedelta(hours=1), is_ours=False),)),
        NOW,
        NORMAL,
    )
    content = pack([(given, solve(given.problem, 2.0))])
    told = {number: explain(content, number) for number in range(1, 8)}
    assert {number: item.outcome for number, item in told.items()} == {
        1: "scheduled",
        2: "lost",
        3: "filtered",
        4: "rejected",
        5: "filtered",
        6: "running",
        7: "not_considered",
    }
    assert told[1].start_utc == night[0]
    assert [item.request_id for item in told[2].occupants] == [1]
    assert told[2].telescopes[0].emptied_by is None
    assert told[5].telescopes[0].emptied_by == "visible"


def test_the_pure_part_needs_no_web_no_database_and_no_optimiser() -> None:
    code = (
        "import sys, ocs.scheduler.inputs, ocs.scheduler.explain, ocs.scheduler.worker; "
        "print([name for name in ('fastapi', 'sqlalchemy', 'ortools') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_what_a_request_is_offered_does_not_depend_on_the_others() -> None:
    groups = [group(request(n, duration_s=300 * n)) for n in range(1, 6)]
    forward, backward = build(snapshot(*groups), NOW, NORMAL), build(snapshot(*groups[::-1]), NOW, NORMAL)
    for index in range(5):
        assert usable(forward, index, 0) == usable(backward, 4 - index, 0)
