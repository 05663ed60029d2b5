"""Proposals, memberships, invitations and semesters; numbers are those of the contract's checklist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from ocs.portal.proposals import api
from ocs.portal.proposals.models import Invitation, Membership
from tests.support.accounts import create_user, sent_mail, user_id
from tests.support.app import TestApp
from tests.support.proposals import (
    create_allocation,
    create_checklist_fixture,
    create_membership,
    create_proposal,
    create_semester,
)

FORBIDDEN = {"detail": "You do not have permission to perform this action."}


class People:
    """Clients of everybody the tests need, by name."""

    def __init__(self, app: TestApp, tokens: dict[str, str]) -> None:
        self._app, self._tokens = app, tokens

    def __getattr__(self, name: str) -> httpx.AsyncClient:
        return self._app.client(self._tokens[name])


@pytest.fixture
async def people(app: TestApp) -> People:
    """Alice leads `temp`, cy is in it, staff sees everything, root is superuser only, olga is outside."""
    tokens = {"alice": await create_checklist_fixture(app)}
    tokens["cy"] = await create_user(app, "cy", first_name="Cy", last_name="Ing", email="cy@x.test")
    await create_membership(app, "cy", role="CI", time_limit_s=3600)
    tokens["staff"] = await create_user(app, "staff", is_staff=True, staff_view=True)
    tokens["root"] = await create_user(app, "root", is_superuser=True)
    tokens["olga"] = await create_user(app, "olga", email="Olga@x.test")
    return People(app, tokens)


async def limits(app: TestApp) -> dict[str, int]:
    async with app.runtime.database.read() as session:
        rows = await session.execute(
            text(
                "SELECT u.username, m.time_limit_s FROM proposals.membership m "
                "JOIN accounts.user u ON u.id = m.user_id"
            )
        )
        return dict(rows.all())  # type: ignore[arg-type]


async def test_a_proposal_has_the_keys_and_values_of_the_contract(people: People) -> None:
    answer = (await people.alice.get("/api/proposals/temp/")).json()
    assert answer == {
        "id": "temp",
        "active": True,
        "title": "temp",
        "abstract": "",
        "tac_priority": 10,
        "tac_rank": 0,
        "sca": "tst",
        "public": False,
        "non_science": False,
        "direct_submission": False,
        "tags": [],
        "pis": [
            {
                "first_name": "",
                "last_name": "",
                "username": "alice",
                "email": "alice@example.org",
                "institution": "",
            }
        ],
        "requestgroup_count": 0,
        "coi_count": 1,
        "timeallocation_set": [
            {
                "id": 1,
                "ipp_limit": 10.0,
                "ipp_time_available": 5.0,
                "std_allocation": 100.0,
                "std_time_used": 0.0,
                "rr_allocation": 10.0,
                "rr_time_used": 0.0,
                "tc_allocation": 10.0,
                "tc_time_used": 0.0,
                "realtime_allocation": 0.0,
                "realtime_time_used": 0.0,
                "semester": "2016B",
                "proposal": "temp",
                "instrument_types": ["1M0-CAM-A"],
            }
        ],
    }
    listed = (await people.alice.get("/api/proposals/")).json()
    assert listed == {"count": 1, "next": None, "previous": None, "results": [answer]}


async def test_A23_staff_with_the_staff_view_see_all_and_a_mere_superuser_nothing(
    app: TestApp, people: People
) -> None:
    await create_proposal(app, "off", active=False)
    everything = (await people.staff.get("/api/proposals/?active=True&limit=1000")).json()
    assert [row["id"] for row in everything["results"]] == ["temp"]
    assert (await people.staff.get("/api/proposals/")).json()["count"] == 2
    assert (await people.root.get("/api/proposals/?active=True&limit=1000")).json()["count"] == 0
    assert (await people.staff.post("/api/proposals/", json={"id": "x"})).status_code == 405


async def test_A24_foreign_proposals_do_not_exist_and_bad_filters_are_refused(
    app: TestApp, people: People
) -> None:
    foreign = await people.olga.get("/api/proposals/temp/")
    missing = await people.olga.get("/api/proposals/nope/")
    assert (foreign.status_code, foreign.json()) == (404, {"detail": "No Proposal matches the given query."})
    assert foreign.content == missing.content
    choice = "Select a valid choice. That choice is not one of the available choices."
    answer = await people.alice.get("/api/proposals/?semester=nope")
    assert (answer.status_code, answer.json()) == (400, {"semester": [choice]})
    answer = await people.alice.get("/api/proposals/?active=1")
    sentence = "Select a valid choice. 1 is not one of the available choices."
    assert (answer.status_code, answer.json()) == (400, {"active": [sentence]})
    assert (await people.alice.get("/api/proposals/?id=nope")).status_code == 400
    assert (await people.alice.get("/api/proposals/?tac_rank=x")).json() == {"tac_rank": ["Enter a number."]}
    for name, tags in {"a": ["planets"], "b": ["open", "student"], "c": ["other"]}.items():
        await create_proposal(app, name, tags=tags)
        await create_membership(app, proposal=name)
    found = (await people.alice.get("/api/proposals/?tags=planets,open")).json()
    assert [row["id"] for row in found["results"]] == ["b", "a"]
    assert (await people.alice.get("/api/proposals/tags/")).json() == ["open", "other", "planets", "student"]
    assert (await people.olga.get("/api/proposals/tags/")).json() == []
    two = (await people.alice.get("/api/proposals/?id=a&id=c&ordering=id&nonsense=1&title=")).json()
    assert [row["id"] for row in two["results"]] == ["a", "c"]
    ordered = (await people.alice.get("/api/proposals/?ordering=-title&limit=1&offset=1")).json()
    assert [row["id"] for row in ordered["results"]] == ["c"]
    assert ordered["previous"] == "http://testserver/api/proposals/?limit=1&ordering=-title"


async def test_lists_take_a_fixed_number_of_statements(app: TestApp, people: People) -> None:
    async def statements() -> dict[str, int]:
        counts = {}
        for path in ("proposals", "memberships", "invitations", "semesters"):
            with app.statements() as collected:
                assert (await people.alice.get(f"/api/{path}/?limit=100")).status_code == 200
            counts[path] = len(collected)
        return counts

    before = await statements()
    for number in range(20):
        await create_proposal(app, f"p{number}")
        await create_membership(app, proposal=f"p{number}")
        await create_allocation(app, f"p{number}")
    assert await statements() == before
    assert max(before.values()) <= 4


async def test_A25_only_a_principal_investigator_invites(
    people: People, anonymous: httpx.AsyncClient
) -> None:
    path, body = "/api/proposals/temp/invite/", {"emails": ["a@x.test"]}
    answer = await people.cy.post(path, json=body)
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert (await people.staff.post(path, json=body)).status_code == 403
    assert (await people.olga.post(path, json=body)).status_code == 404
    assert (await anonymous.post(path, json=body)).status_code == 403
    assert (await people.cy.post(path, json={})).status_code == 403  # the body is nobody's business yet


async def test_A13_an_unknown_address_is_invited_once_whatever_its_case(app: TestApp, people: People) -> None:
    path = "/api/proposals/temp/invite/"
    assert (
        await people.alice.post(path, json={"emails": ["a@x.test"], "time_limit": 7200})
    ).status_code == 200
    app.clock.advance(60)  # type: ignore[attr-defined]
    assert (await people.alice.post(path, json={"emails": ["A@X.test", "a@x.TEST"]})).status_code == 200
    async with app.runtime.database.read() as session:
        invitation = (await session.scalars(select(Invitation))).one()
    assert (invitation.sent_at, invitation.time_limit_s) == (app.clock.now(), -1)
    sent = await sent_mail(app)
    assert [recipient for recipient, _ in sent] == ["a@x.test", "A@X.test"]
    assert "/accounts/register/?email=a%40x.test" in sent[0][1]


async def test_known_addresses_join_at_once_and_the_errors_are_those_of_the_reference(
    app: TestApp, people: People
) -> None:
    path = "/api/proposals/temp/invite/"
    assert (
        await people.alice.post(path, json={"emails": ["OLGA@x.test"], "time_limit": 60})
    ).status_code == 200
    assert (await limits(app))["olga"] == 60
    assert [recipient for recipient, _ in await sent_mail(app)] == ["Olga@x.test"]
    for body, keys in (
        ({"emails": ["olga@x.test"]}, ["emails"]),
        ({"emails": ["alice@example.org"]}, ["emails"]),
        ({"emails": ["z@x.test"], "time_limit": -2}, ["time_limit"]),
        ({}, ["emails"]),
    ):
        answer = await people.alice.post(path, json=body)
        assert (answer.status_code, list(answer.json())) == (400, keys)
    answer = await people.alice.post(path, json={"emails": ["ok@x.test", "bad"]})
    assert answer.json() == {"emails": {"1": ["Enter a valid email address."]}}
    assert (await people.alice.post(path, json={"emails": []})).status_code == 200
    async with app.runtime.database.read() as session:
        assert (await session.scalars(select(Invitation))).all() == []


async def test_A26_the_global_limit_sets_every_co_investigator(app: TestApp, people: People) -> None:
    path = "/api/proposals/temp/globallimit/"
    answer = await people.alice.post(path, json={"time_limit_hours": 1.5})
    assert answer.status_code == 200
    assert "1.5" in answer.json()["message"]
    assert await limits(app) == {"alice": -1, "cy": 5400}
    answer = await people.alice.post(path, json={})
    assert (answer.status_code, answer.json()) == (
        400,
        {"errors": {"time_limit_hours": ["This field is required."]}},
    )
    answer = await people.alice.post(path, json={"time_limit_hours": "x"})
    assert answer.json() == {"errors": {"time_limit_hours": ["A valid number is required."]}}


async def test_A27_a_negative_limit_is_none_and_leaders_have_none(app: TestApp, people: People) -> None:
    listed = (await people.alice.get("/api/memberships/?role=CI")).json()["results"]
    path = f"/api/memberships/{listed[0]['id']}/limit/"
    assert "2.0" in (await people.alice.post(path, json={"time_limit_hours": 2})).json()["message"]
    assert (await limits(app))["cy"] == 7200
    assert (await people.alice.post(path, json={"time_limit_hours": -1})).status_code == 200
    async with app.runtime.database.read() as session:
        standing = await api.standing(session, await user_id(app, "cy"), "temp")
    assert standing.time_limit_s is not None
    assert standing.time_limit_s < 0
    answer = await people.alice.post("/api/memberships/1/limit/", json={"time_limit_hours": 2})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["non_field_errors"])
    assert (await people.cy.post(path, json={"time_limit_hours": 2})).status_code == 403
    assert (await people.olga.post(path, json={"time_limit_hours": 2})).status_code == 404


async def test_memberships_are_visible_by_role_and_have_the_keys_of_the_contract(people: People) -> None:
    everybody = (await people.alice.get("/api/memberships/")).json()["results"]
    assert everybody[1] == {
        "username": "cy",
        "first_name": "Cy",
        "last_name": "Ing",
        "email": "cy@x.test",
        "role": "CI",
        "proposal": "temp",
        "time_limit": 3600,
        "time_used_by_user": 0.0,
        "simple_interface": False,
        "id": 2,
    }
    assert [row["username"] for row in everybody] == ["alice", "cy"]
    assert [row["id"] for row in (await people.cy.get("/api/memberships/")).json()["results"]] == [1, 2]
    assert (await people.staff.get("/api/memberships/")).json()["count"] == 2
    assert (await people.olga.get("/api/memberships/")).json()["count"] == 0
    assert (await people.olga.get("/api/memberships/1/")).status_code == 404
    assert (await people.alice.get("/api/memberships/?first_name=cY")).json()["count"] == 1
    answer = await people.alice.get("/api/memberships/?role=XX")
    sentence = "Select a valid choice. XX is not one of the available choices."
    assert (answer.status_code, answer.json()) == (400, {"role": [sentence]})


async def test_a_co_investigator_sees_leaders_but_not_the_others(app: TestApp, people: People) -> None:
    await create_membership(app, "olga", role="CI")
    seen = (await people.cy.get("/api/memberships/")).json()["results"]
    assert [row["username"] for row in seen] == ["alice", "cy"]


async def test_A28_a_leader_removes_co_investigators_and_never_a_leader(app: TestApp, people: People) -> None:
    assert (await people.cy.delete("/api/memberships/2/")).status_code == 403
    assert (await people.olga.delete("/api/memberships/2/")).status_code == 404
    assert (await people.staff.delete("/api/memberships/2/")).status_code == 403
    assert (await people.alice.delete("/api/memberships/1/")).status_code == 204
    assert (await people.alice.delete("/api/memberships/2/")).status_code == 204
    assert list(await limits(app)) == ["alice"]


async def test_A29_invitations_are_the_leaders_own_and_used_ones_stay(app: TestApp, people: People) -> None:
    now = app.clock.now()
    async with app.runtime.database.write() as session:
        for email, used in (("new@x.test", None), ("old@x.test", now)):
            session.add(Invitation(proposal_id="temp", role="CI", email=email, sent_at=now, used_at=used))
    used = (await people.alice.get("/api/invitations/?pending=false")).json()
    assert used["results"] == [
        {
            "id": 2,
            "role": "CI",
            "email": "old@x.test",
            "time_limit": -1,
            "sent": "2016-09-01T00:00:00Z",
            "used": "2016-09-01T00:00:00Z",
            "proposal": "temp",
        }
    ]
    assert (await people.alice.get("/api/invitations/?pending=true&proposal=temp")).json()["count"] == 1
    assert (await people.cy.get("/api/invitations/")).json()["count"] == 0
    assert (await people.cy.get("/api/invitations/1/")).status_code == 404
    assert (await people.cy.delete("/api/invitations/1/")).status_code == 404
    assert (await people.staff.delete("/api/invitations/1/")).status_code == 403
    for number in (1, 2):
        assert (await people.alice.delete(f"/api/invitations/{number}/")).status_code == 204
    assert [row["id"] for row in (await people.alice.get("/api/invitations/")).json()["results"]] == [2]


async def test_notifications_switch_on_and_off_and_reach_each_person_once(
    app: TestApp, people: People
) -> None:
    path = "/api/proposals/temp/notification/"
    for _ in range(2):
        assert (await people.cy.post(path, json={"enabled": True})).status_code == 200
    assert (await people.cy.get("/api/profile/")).json()["proposal_notifications"] == ["temp"]
    await people.cy.patch("/api/profile/", json={"profile": {"notifications_enabled": True}})
    async with app.runtime.database.read() as session:
        found = await api.notification_recipients(session, "temp", await user_id(app, "alice"))
    assert [person.email for person in found] == ["cy@x.test"]
    await people.cy.patch("/api/profile/", json={"profile": {"notifications_on_authored_only": True}})
    async with app.runtime.database.read() as session:
        assert await api.notification_recipients(session, "temp", await user_id(app, "alice")) == []
        mine = await api.notification_recipients(session, "temp", await user_id(app, "cy"))
    assert len(mine) == 1
    assert (await people.cy.post(path, json={"enabled": False})).status_code == 200
    assert (await people.cy.get("/api/profile/")).json()["proposal_notifications"] == []
    answer = await people.cy.post(path, json={})
    assert (answer.status_code, answer.json()) == (400, {"errors": {"enabled": ["This field is required."]}})
    assert (await people.olga.post(path, json={"enabled": True})).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["2017A", "2016B"]),
        ("semester_contains=2016-09-01T00:00:00Z", ["2016B"]),
        ("semester_contains=2017-01-01T01:00:00%2B02:00", []),
        ("semester_contains=icantmakedates", ["2017A", "2016B"]),
        ("start=2016-10-01", ["2017A"]),
        ("start_lte=2016-10-01", ["2016B"]),
        ("end=2017-01-01", ["2016B"]),
        ("end_gt=2017-01-01", ["2017A"]),
        ("id=17a", ["2017A"]),
        ("ordering=start", ["2016B", "2017A"]),
    ],
)
async def test_A31_semesters_are_found_by_time_and_name(
    app: TestApp, anonymous: httpx.AsyncClient, query: str, found: list[str]
) -> None:
    await create_semester(app)
    await create_semester(app, "2017A", datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 6, 30, tzinfo=UTC))
    answer = (await anonymous.get(f"/api/semesters/?{query}")).json()
    assert [row["id"] for row in answer["results"]] == found


async def test_A31_anonymous_pages_are_capped(app: TestApp, anonymous: httpx.AsyncClient) -> None:
    token = await create_checklist_fixture(app)
    assert (await anonymous.get("/api/semesters/?limit=101")).status_code == 400
    assert (await anonymous.get("/api/semesters/?offset=10001")).status_code == 400
    assert (await app.client(token).get("/api/semesters/?limit=101")).status_code == 200
    answer = await anonymous.get("/api/semesters/?start=nonsense")
    assert (answer.status_code, answer.json()) == (400, {"start": ["Enter a valid date/time."]})
    one = (await anonymous.get("/api/semesters/2016B/")).json()
    assert one == {"id": "2016B", "start": "2016-09-01T00:00:00Z", "end": "2016-12-31T00:00:00Z"}
    assert (await anonymous.get("/api/semesters/nope/")).status_code == 404


async def test_the_public_sees_the_scientific_proposals_of_a_semester(
    app: TestApp, people: People, anonymous: httpx.AsyncClient
) -> None:
    await create_allocation(app, instrument_types=["X", "B"])
    for name, columns in {"off": {"active": False}, "cal": {"non_science": True}}.items():
        await create_proposal(app, name, **columns)
        await create_allocation(app, name)
    shown: list[dict[str, Any]] = (await anonymous.get("/api/semesters/2016B/proposals/")).json()
    assert shown == [
        {
            "id": "temp",
            "title": "temp",
            "abstract": "",
            "allocation": {
                "1M0-CAM-A": {"std": 100.0, "rr": 10.0, "tc": 10.0, "realtime": 0.0},
                "X,B": {"std": 100.0, "rr": 10.0, "tc": 10.0, "realtime": 0.0},
            },
            "pis": [{"first_name": "", "last_name": "", "institution": ""}],
            "sca_id": "tst",
            "sca_name": "tst",
            "semesters": ["2016B"],
        }
    ]


async def test_A32_the_allocations_of_a_semester_are_for_staff(
    people: People, anonymous: httpx.AsyncClient
) -> None:
    path = "/api/semesters/2016B/timeallocations/"
    assert (await anonymous.get(path)).status_code == 403
    assert (await people.alice.get(path)).status_code == 403
    rows = (await people.staff.get(path)).json()
    assert rows[0]["proposal"] == {
        "notes": "",
        "id": "temp",
        "tac_priority": 10,
        "num_users": 2,
        "tags": [],
        "pis": [{"first_name": "", "last_name": ""}],
    }
    assert "semester" not in rows[0]
    assert rows[0]["instrument_types"] == ["1M0-CAM-A"]


async def test_A43_a_preflight_allows_cookies_from_configured_origins_only(people: People) -> None:
    preflight = {"Origin": "https://elsewhere.test", "Access-Control-Request-Method": "GET"}
    answer = await people.alice.options("/api/proposals/", headers=preflight)
    assert answer.status_code == 200
    assert "access-control-allow-credentials" not in answer.headers


async def test_A30_two_allocations_of_a_semester_cannot_share_a_type(app: TestApp, people: People) -> None:
    with pytest.raises(Exception, match="pk_allocated_type"):
        await create_allocation(app, instrument_types=["NEW", "1M0-CAM-A"])


async def test_the_profile_adds_current_time_when_asked(app: TestApp, people: People) -> None:
    shown = (await people.cy.get("/api/profile/?include_current_time_allocations")).json()
    allocation = shown["proposals"][0]["time_allocations"][0]
    assert (shown["proposals"][0]["time_limit"], shown["proposals"][0]["time_used"]) == (3600, 0.0)
    assert allocation["std_allocation"] == 100.0
    assert not {"id", "semester", "proposal"} & set(allocation)
    app.clock.advance(timedelta(days=365).total_seconds())  # type: ignore[attr-defined]
    shown = (await people.cy.get("/api/profile/?include_current_time_allocations")).json()
    assert shown["proposals"][0]["time_allocations"] == []
    assert shown["proposals"][0]["current"] is False


async def test_a_membership_that_ends_takes_its_rights_with_it(app: TestApp, people: People) -> None:
    assert (await people.cy.get("/api/proposals/temp/")).status_code == 200
    async with app.runtime.database.write() as session:
        await session.delete(await session.get_one(Membership, 2))
    assert (await people.cy.get("/api/proposals/temp/")).status_code == 404
