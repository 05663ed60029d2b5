"""Registration, activation and passwords by form and mail; numbers are those of the contract's checklist."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select, update

from ocs.portal.accounts import api, mail
from ocs.portal.accounts.errors import UserExists, WeakPassword
from ocs.portal.accounts.models import Mail, User
from ocs.portal.proposals.models import Invitation, Membership
from tests.support.accounts import create_user, sent_mail
from tests.support.app import TestApp
from tests.support.proposals import create_checklist_fixture, create_membership

NEW = "a better horse"
REGISTRATION = {
    "first_name": "New",
    "last_name": "Comer",
    "institution": "Uni",
    "title": "Dr",
    "email": "new@x.test",
    "username": "newcomer",
    "password1": NEW,
    "password2": NEW,
    "tos": "on",
}


async def fill(browser: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    """Get a page and send its one form."""
    page = await browser.get(path)
    assert (page.status_code, page.text.count("<form")) == (200, 1)
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    return await browser.post(page.url.raw_path.decode(), data=hidden | form)


async def log_in(browser: httpx.AsyncClient, username: str, password: str) -> httpx.Response:
    return await fill(browser, "/accounts/login/?passthrough=true", username=username, password=password)


async def link(app: TestApp) -> str:
    """Return the path of the link in the latest mail."""
    found = re.search(r"https?://\S+", (await sent_mail(app))[-1][1])
    assert found is not None
    return urlsplit(found[0]).path


async def user(app: TestApp, username: str = "newcomer") -> User:
    async with app.runtime.database.read() as session:
        return (await session.scalars(select(User).where(User.username == username))).one()


async def test_A15_registration_is_a_form_until_it_succeeds(app: TestApp) -> None:
    async with app.client() as browser:
        browser.follow_redirects = True
        page = await browser.get("/accounts/register/?email=new@x.test")
        assert 'value="new@x.test"' in page.text
        empty = await fill(browser, "/accounts/register/")
        assert (empty.status_code, empty.text.count("<form")) == (200, 1)
        assert "This field is required." in empty.text
        for wrong in ({"password2": "x"}, {"tos": ""}, {"password1": "12345678", "password2": "12345678"}):
            answer = await fill(browser, "/accounts/register/", **REGISTRATION | wrong)
            assert (answer.status_code, answer.text.count("<form")) == (200, 1)
        answer = await fill(browser, "/accounts/register/", **REGISTRATION)
        assert (answer.status_code, answer.text.count("<form")) == (200, 0)
        assert answer.url.path == "/accounts/register/complete/"
        answer = await fill(
            browser, "/accounts/register/", **REGISTRATION | {"username": "NEWCOMER", "email": "b@x.test"}
        )
        assert answer.text.count("<form") == 1
    assert (await user(app)).is_active is False


async def test_A14_activation_makes_the_invited_a_member(app: TestApp) -> None:
    token = await create_checklist_fixture(app)
    async with app.client(token) as alice:
        body = {"emails": ["New@x.test"], "time_limit": 7200}
        assert (await alice.post("/api/proposals/temp/invite/", json=body)).status_code == 200
    async with app.client() as browser:
        await fill(browser, "/accounts/register/", **REGISTRATION)
        async with app.runtime.database.read() as session:
            assert await session.scalar(select(Membership).where(Membership.role == "CI")) is None
        path = await link(app)
        for _ in range(2):
            answer = await browser.get(path)
            assert answer.headers["location"] == "/accounts/activate/complete/"
        assert (await log_in(browser, "newcomer", NEW)).headers["location"] == "/accounts/loggedinstate/"
        assert "newcomer" in (await browser.get("/accounts/loggedinstate/")).text
    async with app.runtime.database.read() as session:
        joined = (await session.scalars(select(Membership).where(Membership.role == "CI"))).one()
        invitation = (await session.scalars(select(Invitation))).one()
    assert (joined.time_limit_s, invitation.used_at) == (7200, app.clock.now())


async def test_A16_a_bad_or_old_activation_leaves_the_account_inactive(app: TestApp) -> None:
    async with app.client() as browser:
        await fill(browser, "/accounts/register/", **REGISTRATION)
        path = await link(app)
        forged = path[:-3] + ("0" if path[-3] != "0" else "1") + path[-2:]
        for bad in (forged, "/accounts/activate/" + "f" * 64 + "/", "/accounts/activate/x/"):
            assert (await browser.get(bad)).status_code == 200
        assert (await log_in(browser, "newcomer", NEW)).text.count("<form") == 1
        app.clock.advance(7 * 86400 + 1)  # type: ignore[attr-defined]
        assert (await browser.get(path)).status_code == 200
        assert (await user(app)).is_active is False
        await fill(browser, "/accounts/activate/resend/", email="NEW@x.test")
        assert (await browser.get(await link(app))).status_code == 302
    assert (await user(app)).is_active is True


async def test_an_account_closed_by_staff_is_not_opened_by_the_old_link(app: TestApp) -> None:
    async with app.client() as browser:
        await fill(browser, "/accounts/register/", **REGISTRATION)
        path = await link(app)
        await browser.get(path)
        await log_in(browser, "newcomer", NEW)
        async with app.runtime.database.write() as session:
            await session.execute(update(User).values(is_active=False))
        assert (await browser.get(path)).status_code == 200
    assert (await user(app)).is_active is False


async def test_A6_an_expired_password_leads_to_its_change_and_lasts_a_year(app: TestApp) -> None:
    past = app.clock.now() - timedelta(seconds=1)
    await create_user(app, "pat", password="correct horse", password_expires_at=past)
    async with app.client() as browser, app.client() as elsewhere:
        answer = await log_in(browser, "pat", "correct horse")
        assert (answer.status_code, answer.headers["location"]) == (302, "/accounts/password/change/")
        await log_in(elsewhere, "pat", "correct horse")
        wrong = {"old_password": "x", "new_password1": NEW, "new_password2": NEW}
        assert (await fill(browser, "/accounts/password/change/", **wrong)).status_code == 200
        right = wrong | {"old_password": "correct horse"}
        answer = await fill(browser, "/accounts/password/change/", **right)
        assert answer.headers["location"] == "/accounts/password/change/done/"
        assert (await browser.get("/api/profile/")).status_code == 200
        assert (await elsewhere.get("/api/profile/")).status_code == 403
    assert (await user(app, "pat")).password_expires_at == app.clock.now() + timedelta(days=365)


async def test_A17_a_reset_tells_nothing_and_its_link_works_once(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse", email="pat@x.test")
    await create_user(app, "off", email="off@x.test", is_active=False)
    async with app.client() as browser:
        answers = [
            await fill(browser, "/accounts/password/reset/", email=email)
            for email in ("pat@x.test", "off@x.test", "nobody@x.test")
        ]
        assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {
            (302, "/accounts/password/reset/done/")
        }
        sent = await sent_mail(app)
        assert [recipient for recipient, _ in sent] == ["pat@x.test"]
        assert "pat" in sent[0][1]
        path = await link(app)
        moved = await browser.get(path)
        assert moved.headers["location"].endswith("/set-password/")
        weak = {"new_password1": "password", "new_password2": "password"}
        assert (await fill(browser, moved.headers["location"], **weak)).text.count("<form") == 1
        answer = await fill(browser, moved.headers["location"], new_password1=NEW, new_password2=NEW)
        assert answer.headers["location"] == "/accounts/password/reset/complete/"
        used = await browser.get(path)
        assert (used.status_code, "unsuccessful" in used.text) == (200, True)
        assert (await log_in(browser, "pat", NEW)).status_code == 302


@pytest.mark.parametrize("use", ["login", "address", "age"])
async def test_A17_a_reset_link_dies_with_any_change(app: TestApp, use: str) -> None:
    await create_user(app, "pat", password="correct horse", email="pat@x.test")
    async with app.client() as browser:
        await fill(browser, "/accounts/password/reset/", email="pat@x.test")
        path = await link(app)
        if use == "login":
            await log_in(browser, "pat", "correct horse")
        elif use == "address":
            async with app.runtime.database.write() as session:
                await session.execute(update(User).values(email="other@x.test"))
        else:
            app.clock.advance(3 * 86400 + 1)  # type: ignore[attr-defined]
        assert "unsuccessful" in (await browser.get(path)).text


async def test_S10_a_login_leads_to_our_own_pages_only(app: TestApp) -> None:
    await create_user(app, "pat", password="correct horse")
    for target, expected in (
        ("/o/authorize/?x=1", "/o/authorize/?x=1"),
        ("https://evil.test/", "/accounts/loggedinstate/"),
        ("//evil.test/", "/accounts/loggedinstate/"),
        ("/\\evil.test/", "/accounts/loggedinstate/"),
    ):
        async with app.client() as browser:
            form = {"username": "pat", "password": "correct horse", "next": target}
            assert (await fill(browser, "/accounts/login/", **form)).headers["location"] == expected


async def test_S11_forms_need_their_page_and_print_what_they_got_as_text(app: TestApp) -> None:
    async with app.client() as browser:
        form = {"username": "pat", "password": "x"}
        assert (await browser.post("/accounts/login/", data=form)).status_code == 403
        answer = await fill(browser, "/accounts/login/", username='"><script>x</script>', password="x")
        assert "<script>" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_mail_link_ignores_what_the_request_says_its_host_is(app: TestApp) -> None:
    await create_user(app, "pat", email="pat@x.test")
    async with app.client() as browser:
        page = await browser.get("/accounts/password/reset/")
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "email": "pat@x.test"}
        assert page.status_code == 200
        await browser.post("/accounts/password/reset/", data=form, headers={"X-Forwarded-Host": "evil.test"})
    assert "evil" not in (await sent_mail(app))[0][1]


async def test_mail_waits_encrypted_and_is_tried_again_after_a_failure(app: TestApp) -> None:
    runtime = app.runtime
    async with runtime.database.write() as session:
        session.add(
            Mail(
                recipient="a@x.test",
                subject="s",
                body_encrypted=runtime.vault.encrypt("secret link"),
                created_at=app.clock.now(),
                due_at=app.clock.now() + timedelta(hours=1),
            )
        )
    blocked = runtime.settings.data_dir / "mail" / "00000001.eml"
    blocked.unlink(missing_ok=True)
    blocked.mkdir(parents=True)
    app.clock.advance(3600)  # type: ignore[attr-defined]
    await mail.send_due(runtime)
    async with runtime.database.read() as session:
        row = await session.get_one(Mail, 1)
    assert (row.attempts, row.sent_at, b"secret" in (row.body_encrypted or b"")) == (1, None, False)
    blocked.rmdir()
    app.clock.advance(3600)  # type: ignore[attr-defined]
    await mail.send_due(runtime)
    async with runtime.database.read() as session:
        row = await session.get_one(Mail, 1)
    assert (row.sent_at, row.body_encrypted) == (app.clock.now(), None)


ROW = {
    "username": "bulk1",
    "first_name": "N",
    "last_name": "U",
    "email": "bulk1@x.test",
    "institution": "School",
    "title": "Pupil",
}


async def test_A12_many_users_are_created_at_once_or_not_at_all(app: TestApp) -> None:
    leader = await create_checklist_fixture(app)
    member = await create_user(app, "cy")
    await create_membership(app, "cy", role="CI")
    async with app.client(member) as client:
        assert (await client.post("/api/users-bulk/", json={"users": [ROW]})).status_code == 403

    async with app.client(leader) as client:

        async def send(*rows: dict[str, Any]) -> httpx.Response:
            return await client.post("/api/users-bulk/", json={"users": list(rows)})

        second = ROW | {"username": "bulk2", "email": "bulk2@x.test", "password": "secret123!"}
        answer = await send(ROW, second)
        assert answer.status_code == 201
        assert answer.json()["users"][1] == {
            name: value for name, value in second.items() if name != "password"
        } | {"education_user": True}
        answer = await send(ROW)
        assert (answer.status_code, list(answer.json()["users"]["0"])) == (400, ["username", "email"])
        third = ROW | {"username": "bulk3", "email": "bulk3@x.test"}
        answer = await send(third, third | {"username": "bulk4"})
        assert (answer.status_code, len(answer.json()["users"])) == (400, 1)
        assert (await send(*[third] * 51)).status_code == 400
        answer = await send(third, {"username": "x"})
        assert answer.json()["users"]["1"]["email"] == ["This field is required."]
        assert (await send()).json() == {"users": []}
        assert (await client.post("/api/users-bulk/", json={})).status_code == 400
    async with app.runtime.database.read() as session:
        names = set(await session.scalars(select(User.username)))
    assert names == {"alice", "cy", "bulk1", "bulk2"}
    created = await user(app, "bulk2")
    assert created.password_expires_at == app.clock.now()
    sent = await sent_mail(app)
    assert [recipient for recipient, _ in sent] == ["bulk1@x.test", "bulk2@x.test"]
    assert not any("secret123!" in body for _, body in sent)


async def test_a_removal_request_reaches_the_support(app: TestApp) -> None:
    async with app.client(await create_user(app)) as client:
        answer = await client.post("/api/account_removal_request/", json={"reason": "leaving"})
        assert answer.status_code == 200
        answer = await client.post("/api/account_removal_request/", json={})
        assert (answer.status_code, answer.json()) == (400, {"reason": ["This field is required."]})
    (sent,) = await sent_mail(app)
    assert "alice@example.org" in sent[1]
    assert "leaving" in sent[1]


async def test_operators_create_users_and_give_passwords_and_tokens(app: TestApp) -> None:
    runtime, now = app.runtime, app.clock.now()
    async with runtime.database.write() as session:
        await api.create_user(
            session, runtime.passwords, username="op", email="op@x.test", password=NEW, now=now, is_staff=True
        )
        with pytest.raises(UserExists):
            await api.create_user(session, runtime.passwords, username="op", now=now)
        with pytest.raises(UserExists):
            await api.create_user(session, runtime.passwords, username="b", email="OP@x.test", now=now)
        with pytest.raises(WeakPassword):
            await api.set_password(session, runtime.passwords, username="op", password="password", now=now)
        await api.set_password(session, runtime.passwords, username="op", password=NEW + "!", now=now)
        token = await api.make_token(session, runtime.vault, username="op", now=now)
    async with app.client(token) as client:
        shown = (await client.get("/api/profile/")).json()
        assert (shown["username"], shown["is_staff"]) == ("op", True)
        login = {"username": "op", "password": NEW + "!"}
        assert (await client.post("/api/api-token-auth/", json=login)).json() == {"token": token}
    async with runtime.database.read() as session:
        assert [person.username for person in await api.list_users(session)] == ["op"]
