"""Logging in, profiles and tokens; numbers are those of the contract's checklist."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update

from ocs.kernel.security import token_hash
from ocs.portal.accounts.models import ApiToken, BearerToken, OAuthApplication, User
from tests.support.accounts import create_user, user_id
from tests.support.app import TestApp
from tests.support.proposals import (
    create_allocation,
    create_checklist_fixture,
    create_membership,
    create_proposal,
)

ANONYMOUS = {"detail": "Authentication credentials were not provided."}


async def create_archive_application(app: TestApp) -> None:
    async with app.runtime.database.write() as session:
        session.add(
            OAuthApplication(
                name="Archive",
                client_id="archive",
                client_type="public",
                grant_type="password",
                created_at=app.clock.now(),
            )
        )


async def log_in(client: httpx.AsyncClient, username: str, password: str) -> httpx.Response:
    return await client.post("/accounts/api-login/", json={"username": username, "password": password})


async def test_A1_the_profile_of_nobody_is_403_without_a_challenge(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/profile/")
    assert (answer.status_code, answer.json()) == (403, ANONYMOUS)
    assert "www-authenticate" not in answer.headers


async def test_A2_a_wrong_token_is_named_and_a_wrong_bearer_is_anonymous(
    anonymous: httpx.AsyncClient,
) -> None:
    answer = await anonymous.get("/api/profile/", headers={"Authorization": "Token bad"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid token."})
    answer = await anonymous.get("/api/profile/", headers={"Authorization": "Bearer bad"})
    assert (answer.status_code, answer.json()) == (403, ANONYMOUS)


@pytest.mark.parametrize("path", ["/api/api-token-auth/", "/api-token-auth/"])
async def test_A3_a_password_gives_the_token_and_a_wrong_one_the_reference_errors(
    app: TestApp, anonymous: httpx.AsyncClient, path: str
) -> None:
    token = await create_user(app, "pat", password="correct horse", email="Pat@x.test")
    for name in ("pat", "pat@X.test"):
        answer = await anonymous.post(path, json={"username": name, "password": "correct horse"})
        assert (answer.status_code, answer.json()) == (200, {"token": token})
    form = await anonymous.post(path, data={"username": "pat", "password": "correct horse"})
    assert form.json() == {"token": token}
    wrong = {"non_field_errors": ["Unable to log in with provided credentials."]}
    for name in ("pat", "nobody", "nobody@x.test", "pat\x00"):
        answer = await anonymous.post(path, json={"username": name, "password": "wrong"})
        assert answer.status_code == 400
    answer = await anonymous.post(path, json={"username": "pat", "password": "wrong"})
    assert (answer.status_code, answer.json()) == (400, wrong)
    answer = await anonymous.post(path, json={"username": "pat"})
    assert (answer.status_code, answer.json()) == (400, {"password": ["This field is required."]})


async def test_the_archive_login_takes_a_header_instead_of_a_body(app: TestApp) -> None:
    token = await create_user(app)
    async with app.client(token) as client:
        assert (await client.post("/api-token-auth/")).json() == {"token": token}
    async with app.client() as client:
        assert set((await client.post("/api-token-auth/")).json()) == {"username", "password"}


async def test_A4_A5_a_browser_logs_in_by_cookie_and_proves_its_pages_by_csrf(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    async with app.client() as browser:
        assert (await browser.post("/accounts/api-login/", json={})).status_code == 400
        refused = await log_in(browser, "pat", "wrong")
        assert refused.status_code == 401
        assert set(refused.json()) == {"message"}
        accepted = await log_in(browser, "pat", "correct horse")
        assert (accepted.status_code, set(accepted.json())) == (200, {"message"})
        cookies = accepted.headers.get_list("set-cookie")
        assert any(cookie.startswith("sessionid=") and "HttpOnly" in cookie for cookie in cookies)
        assert any(cookie.startswith("csrftoken=") and "HttpOnly" not in cookie for cookie in cookies)
        assert all("SameSite=lax" in cookie for cookie in cookies)
        assert (await browser.get("/api/profile/")).json()["username"] == "pat"
        without = await browser.post("/api/profile/accept_terms/")
        assert (without.status_code, without.json()["detail"][:11]) == (403, "CSRF Failed")
        proof = {"X-CSRFToken": browser.cookies["csrftoken"]}
        assert (await browser.post("/api/profile/accept_terms/", headers=proof)).status_code == 200
        shown = (await browser.get("/api/profile/")).json()
        assert shown["profile"]["terms_accepted"] == "2016-09-01T00:00:00Z"
        assert (await browser.get("/accounts/logout/")).headers["location"] == "/"
        assert (await browser.get("/api/profile/")).status_code == 403


async def test_a_browser_session_ends_after_fourteen_days(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    async with app.client() as browser:
        await log_in(browser, "pat", "correct horse")
        app.clock.advance(14 * 86400 + 1)  # type: ignore[attr-defined]
        assert (await browser.get("/api/profile/")).status_code == 403


async def test_A6_an_expired_password_is_told_and_good_for_nothing(app: TestApp) -> None:
    await create_user(
        app,
        "pat",
        password="correct horse",
        password_expires_at=app.clock.now() - timedelta(seconds=1),
    )
    async with app.client() as client:
        answer = await log_in(client, "pat", "correct horse")
        assert answer.status_code == 401
        assert "password expired" in answer.json()["message"].lower()
        answer = await client.post(
            "/api/api-token-auth/", json={"username": "pat", "password": "correct horse"}
        )
        assert (answer.status_code, list(answer.json())) == (400, ["non_field_errors"])


async def test_A16_an_inactive_user_is_refused_like_a_wrong_password(app: TestApp) -> None:
    token = await create_user(app, "pat", password="correct horse", is_active=False)
    async with app.client() as client:
        assert (await log_in(client, "pat", "correct horse")).status_code == 401
        answer = await client.post(
            "/api/api-token-auth/", json={"username": "pat", "password": "correct horse"}
        )
        assert answer.status_code == 400
    async with app.client(token) as client:
        assert (await client.get("/api/profile/")).status_code == 403


async def test_the_profile_has_the_keys_and_values_of_the_contract(app: TestApp) -> None:
    token = await create_checklist_fixture(app)
    await create_archive_application(app)
    await create_proposal(app, "old", title="A before temp", active=False)
    await create_membership(app, proposal="old", role="CI")
    await create_allocation(app, "old", instrument_types=["OLD"])
    async with app.client(token) as client:
        shown = (await client.get("/api/profile/")).json()
    archive = shown["tokens"].pop("archive")
    assert len(archive) == 32
    assert shown == {
        "username": "alice",
        "first_name": "",
        "last_name": "",
        "email": "alice@example.org",
        "profile": {
            "education_user": False,
            "notifications_enabled": False,
            "notifications_on_authored_only": False,
            "simple_interface": False,
            "view_authored_requests_only": False,
            "title": "",
            "staff_view": False,
            "institution": "",
            "api_quota": {"used": 0, "allowed": "unlimited"},
            "terms_accepted": None,
            "sciencecollaborationallocation": None,
            "password_expiration": None,
        },
        "is_staff": False,
        "is_superuser": False,
        "proposals": [
            {"id": "old", "title": "A before temp", "current": False},
            {"id": "temp", "title": "temp", "current": True},
        ],
        "available_instrument_types": ["1M0-CAM-A"],
        "tokens": {"api_token": token},
        "proposal_notifications": [],
    }
    async with app.client(Authorization=f"Bearer {archive}") as client:
        again = (await client.get("/api/profile/")).json()
        assert again["tokens"] == {"archive": archive, "api_token": token}
        app.clock.advance(30 * 86400)  # type: ignore[attr-defined]
        assert (await client.get("/api/profile/")).status_code == 403
    async with app.client(token) as client:
        assert (await client.get("/api/profile/")).json()["tokens"]["archive"] not in {archive, ""}


async def test_the_profile_takes_at_most_three_statements(app: TestApp) -> None:
    token = await create_checklist_fixture(app)
    async with app.client(token) as client:
        with app.statements() as statements:
            assert (await client.get("/api/profile/")).status_code == 200
    assert len(statements) <= 3


async def test_A7_a_change_of_the_profile_shows_in_its_answer(app: TestApp) -> None:
    async with app.client(await create_user(app)) as client:
        answer = await client.patch("/api/profile/", json={"profile": {"title": "X"}, "last_name": "Y"})
        assert answer.status_code == 200
        assert (answer.json()["profile"]["title"], answer.json()["last_name"]) == ("X", "Y")
        answer = await client.patch("/api/profile/", data={"profile.institution": "Uni"})
        assert answer.json()["profile"]["institution"] == "Uni"


async def test_A8_an_address_of_somebody_else_is_refused_in_any_case(app: TestApp) -> None:
    await create_user(app, "other", email="Other@x.test")
    async with app.client(await create_user(app)) as client:
        answer = await client.patch("/api/profile/", json={"email": "OTHER@x.test", "first_name": "Z"})
        assert (answer.status_code, list(answer.json())) == (400, ["email"])
        shown = (await client.get("/api/profile/")).json()
        assert (shown["email"], shown["first_name"]) == ("alice@example.org", "")
        answer = await client.patch("/api/profile/", json={"email": "nonsense"})
        assert answer.json() == {"email": ["Enter a valid email address."]}
        assert (await client.patch("/api/profile/", json={"email": "ALICE@example.org"})).status_code == 200


async def test_two_parallel_changes_to_one_address_leave_one_owner(app: TestApp) -> None:
    tokens = [await create_user(app, name) for name in ("a", "b")]
    async with app.client(tokens[0]) as first, app.client(tokens[1]) as second:
        answers = await asyncio.gather(
            *(client.patch("/api/profile/", json={"email": "new@x.test"}) for client in (first, second))
        )
    assert sorted(answer.status_code for answer in answers) in ([200, 400], [200, 409])


async def test_A9_staff_view_is_for_staff(app: TestApp) -> None:
    change = {"profile": {"staff_view": True}}
    async with app.client(await create_user(app)) as client:
        answer = await client.patch("/api/profile/", json=change)
        assert (answer.status_code, list(answer.json()["profile"])) == (400, ["staff_view"])
    async with app.client(await create_user(app, "boss", is_staff=True)) as client:
        assert (await client.patch("/api/profile/", json=change)).json()["profile"]["staff_view"] is True


async def test_A10_what_users_may_not_write_is_ignored(app: TestApp) -> None:
    async with app.client(await create_user(app)) as client:
        before = (await client.get("/api/profile/")).json()
        forbidden: dict[str, Any] = {
            "is_staff": True,
            "is_superuser": True,
            "username": "z",
            "tokens": {"api_token": "x" * 40},
            "proposals": [],
            "profile": {
                "terms_accepted": "2016-01-01T00:00:00Z",
                "password_expiration": "2016-01-01T00:00:00Z",
                "api_quota": {},
            },
        }
        answer = await client.patch("/api/profile/", json=forbidden)
        assert (answer.status_code, answer.json()) == (200, before)
        answer = await client.put("/api/profile/", json={"first_name": "Z"})
        assert (answer.status_code, answer.json()) == (400, {"username": ["This field is required."]})
        assert (await client.put("/api/profile/", json={"username": "z"})).json() == before
        assert (await client.delete("/api/profile/")).status_code == 405


async def test_A11_revoking_kills_the_old_token_and_shows_a_new_one(app: TestApp) -> None:
    token = await create_user(app)
    async with app.client(token) as client:
        assert (await client.post("/api/revoke_token/")).status_code == 200
        assert (await client.get("/api/profile/")).status_code == 403
        assert (await client.post("/revoke_token/")).status_code == 401
    async with app.runtime.database.read() as session:
        stored = (await session.scalars(select(ApiToken))).one()
    new = app.runtime.vault.decrypt(stored.key_encrypted)
    assert len(new) == 40
    async with app.client(new) as client:
        assert (await client.get("/api/profile/")).json()["tokens"]["api_token"] == new


async def test_revoking_without_a_token_makes_one(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    async with app.runtime.database.write() as session:
        await session.execute(text("DELETE FROM accounts.api_token"))
    async with app.client() as browser:
        await log_in(browser, "pat", "correct horse")
        proof = {"X-CSRFToken": browser.cookies["csrftoken"]}
        assert (await browser.post("/api/revoke_token/", headers=proof)).status_code == 200


async def test_A44_parallel_first_reads_of_a_profile_make_one_token_of_each_kind(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    await create_archive_application(app)
    async with app.client() as browser:
        await log_in(browser, "pat", "correct horse")
        async with app.runtime.database.write() as session:
            await session.execute(text("DELETE FROM accounts.api_token"))
        answers = await asyncio.gather(*(browser.get("/api/profile/") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({str(answer.json()["tokens"]) for answer in answers}) == 1
    async with app.runtime.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ApiToken)) == 1
        assert await session.scalar(select(func.count()).select_from(BearerToken)) == 1


async def test_40_the_archive_tells_who_the_caller_is(app: TestApp) -> None:
    token = await create_checklist_fixture(app)
    async with app.client() as client:
        nobody = {"username": "", "profile": {}, "is_staff": False}
        assert (await client.get("/profile/")).json() == nobody
        answer = await client.get("/profile/", headers={"Authorization": "Bearer bad"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "No Such User"})
    async with app.client(token) as client:
        alice = {"username": "alice", "profile": {"proposals": ["temp"]}, "is_staff": False}
        assert (await client.get("/profile/")).json() == alice
        assert (await client.get("/archive/profile/")).json() == alice


async def test_S8_of_many_tries_in_an_hour_ten_are_checked_and_then_the_right_one_waits(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    async with app.client() as client:
        answers = await asyncio.gather(
            *(
                client.post("/api/api-token-auth/", json={"username": name, "password": "wrong"})
                for name in ["pat"] * 8 + ["PAT"] * 7
            )
        )
        codes = [answer.status_code for answer in answers]
        assert (codes.count(400), codes.count(429)) == (10, 5)
        right = {"username": "pat", "password": "correct horse"}
        answer = await client.post("/api/api-token-auth/", json=right)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 3600
        app.clock.advance(3601)  # type: ignore[attr-defined]
        assert (await client.post("/api/api-token-auth/", json=right)).status_code == 200


async def test_right_passwords_use_up_no_tries(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    right = {"username": "pat", "password": "correct horse"}
    async with app.client() as client:
        for _ in range(12):
            assert (await client.post("/api/api-token-auth/", json=right)).status_code == 200


async def test_a_personal_token_reads_or_writes_by_its_scope_and_never_leads_to_more(app: TestApp) -> None:
    await create_user(app, "pat")
    owner = await user_id(app, "pat")
    async with app.runtime.database.write() as session:
        for scope in ("read", "read write"):
            session.add(
                BearerToken(
                    key_hash=token_hash(f"ocs_{scope}"),
                    kind="personal",
                    user_id=owner,
                    scope=scope,
                    created_at=app.clock.now(),
                )
            )
    async with app.client(Authorization="Bearer ocs_read") as client:
        shown = (await client.get("/api/profile/")).json()
        assert shown["tokens"] == {"archive": "", "api_token": ""}
        assert (await client.post("/api/profile/accept_terms/")).status_code == 403
        assert (await client.post("/api-token-auth/")).status_code == 403
    async with app.client(Authorization="Bearer ocs_read write") as client:
        assert (await client.post("/api/profile/accept_terms/")).status_code == 200
    async with asyncio.timeout(10):
        while True:
            async with app.runtime.database.read() as session:
                used = await session.scalar(
                    select(func.count()).select_from(BearerToken).where(BearerToken.last_used_at.is_not(None))
                )
            if used == 2:
                break
            await asyncio.sleep(0.02)


async def test_authentication_is_one_statement_proposals_included(app: TestApp) -> None:
    token = await create_checklist_fixture(app)
    async with app.client(token) as client:
        with app.statements() as statements:
            assert (await client.get("/profile/")).json()["profile"] == {"proposals": ["temp"]}
    assert len(statements) == 1


async def test_a_right_taken_away_is_gone_with_the_next_request(app: TestApp) -> None:
    token = await create_user(app, "boss", is_staff=True)
    async with app.client(token) as client:
        assert (await client.get("/profile/")).json()["is_staff"] is True
        async with app.runtime.database.write() as session:
            await session.execute(update(User).values(is_staff=False))
        assert (await client.get("/profile/")).json()["is_staff"] is False


async def test_the_root_names_the_collections(anonymous: httpx.AsyncClient) -> None:
    named = (await anonymous.get("/api/")).json()
    assert named["proposals"] == "http://testserver/api/proposals/"
