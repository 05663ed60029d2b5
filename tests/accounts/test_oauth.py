"""The OAuth2 provider as services use it; numbers are those of the contract's checklist."""

import asyncio
import base64
import hashlib
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from ocs.portal.accounts.models import OAuthApplication
from ocs.portal.accounts.secrets import client_secret_hash
from tests.support.accounts import create_user
from tests.support.app import TestApp

CLIENT = {"client_id": "service", "client_secret": "service-secret"}
PASSWORD = {"grant_type": "password", "username": "pat", "password": "correct horse"}
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
BACK = "https://app.test/back"


async def create_application(app: TestApp, client_id: str = "service", **columns: Any) -> None:
    values = {"client_type": "confidential", "grant_type": "password"} | columns
    if values["client_type"] == "confidential":
        values["secret_hash"] = client_secret_hash(app.runtime.vault, client_id, f"{client_id}-secret")
    async with app.runtime.database.write() as session:
        session.add(
            OAuthApplication(name=client_id, client_id=client_id, created_at=app.clock.now(), **values)
        )


@pytest.fixture
async def api_token(app: TestApp) -> str:
    """Pat, with a password, and an application that may ask for it."""
    await create_application(app)
    return await create_user(app, "pat", password="correct horse", email="pat@x.test")


async def tokens(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post("/o/token/", data=CLIENT | form)


async def profile_status(client: httpx.AsyncClient, token: str) -> int:
    return (await client.get("/api/profile/", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_A18_the_password_grant_answers_as_services_expect(
    anonymous: httpx.AsyncClient, api_token: str
) -> None:
    for name in ("pat", "PAT@x.test"):
        answer = await tokens(anonymous, **PASSWORD | {"username": name})
        assert answer.status_code == 200
        given = answer.json()
        assert {key: given[key] for key in ("expires_in", "token_type", "scope")} == {
            "expires_in": 62208000,
            "token_type": "Bearer",
            "scope": "read write",
        }
        assert len(given["access_token"]) == len(given["refresh_token"]) == 30
    answer = await tokens(anonymous, **PASSWORD | {"password": "wrong"})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid credentials given."},
    )
    answer = await anonymous.post("/o/token/", data=CLIENT | PASSWORD | {"client_secret": "x"})
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_client"'
    basic = httpx.BasicAuth("service", "service-secret")
    assert (await anonymous.post("/o/token/", data=PASSWORD, auth=basic)).status_code == 200


async def test_the_token_endpoint_refuses_in_the_standard_words(
    app: TestApp, anonymous: httpx.AsyncClient, api_token: str
) -> None:
    answer = await tokens(anonymous, grant_type="password", username="pat")
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "invalid_request", "error_description": "Request is missing password parameter."},
    )
    unsupported = (400, {"error": "unsupported_grant_type"})
    for answer in (
        await tokens(anonymous, grant_type="nonsense"),
        await anonymous.post("/o/token/", data={}),
        await anonymous.post("/o/token/", json=CLIENT | PASSWORD),
    ):
        assert (answer.status_code, answer.json()) == unsupported
    assert (await tokens(anonymous, **PASSWORD, scope="admin")).json()["error"] == "invalid_scope"
    assert (await anonymous.get("/o/token/")).status_code == 405
    await create_application(app, "web", grant_type="authorization-code", redirect_uris=[BACK])
    web = {"client_id": "web", "client_secret": "web-secret"}
    assert (await anonymous.post("/o/token/", data=web | PASSWORD)).json()["error"] == "unauthorized_client"


async def test_a_public_application_needs_no_secret(
    app: TestApp, anonymous: httpx.AsyncClient, api_token: str
) -> None:
    await create_application(app, "phone", client_type="public")
    public = {"client_id": "phone"} | PASSWORD
    assert (await anonymous.post("/o/token/", data=public)).status_code == 200
    assert (await anonymous.post("/o/token/", data=public | {"client_secret": "x"})).status_code == 401
    hidden = {"client_id": "service"} | PASSWORD
    assert (await anonymous.post("/o/token/", data=hidden)).status_code == 401


async def test_A16_inactive_users_and_expired_passwords_get_no_tokens(
    app: TestApp, anonymous: httpx.AsyncClient
) -> None:
    await create_application(app)
    await create_user(app, "pat", password="correct horse", is_active=False)
    past = app.clock.now() - timedelta(days=1)
    await create_user(app, "old", password="correct horse", password_expires_at=past)
    for name in ("pat", "old"):
        answer = await tokens(anonymous, **PASSWORD | {"username": name})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_A19_a_refresh_gives_a_new_pair_and_ends_the_old(
    anonymous: httpx.AsyncClient, api_token: str
) -> None:
    first = (await tokens(anonymous, **PASSWORD)).json()
    answer = await anonymous.get(
        "/api/profile/", headers={"Authorization": f"Bearer {first['access_token']}"}
    )
    assert answer.json()["tokens"]["api_token"] == api_token
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = (await tokens(anonymous, **refresh)).json()
    assert await profile_status(anonymous, first["access_token"]) == 403
    assert await profile_status(anonymous, second["access_token"]) == 200
    again = await tokens(anonymous, **refresh)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    # Somebody has a copy of the old token: everything that came of it ends.
    assert await profile_status(anonymous, second["access_token"]) == 403
    last = await tokens(anonymous, grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert last.status_code == 400


async def test_S6_of_ten_parallel_refreshes_one_succeeds_and_the_family_ends(
    anonymous: httpx.AsyncClient, api_token: str
) -> None:
    first = (await tokens(anonymous, **PASSWORD)).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    answers = await asyncio.gather(*(tokens(anonymous, **refresh) for _ in range(10)))
    codes = [answer.status_code for answer in answers]
    assert (codes.count(200), codes.count(400)) == (1, 9)
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert await profile_status(anonymous, winner["access_token"]) == 403


async def test_A21_introspection_and_revocation(
    app: TestApp, anonymous: httpx.AsyncClient, api_token: str
) -> None:
    given = (await tokens(anonymous, **PASSWORD)).json()
    body, basic = {"token": given["access_token"]}, httpx.BasicAuth("service", "service-secret")
    shown = (await anonymous.post("/o/introspect/", data=body, auth=basic)).json()
    assert shown == {
        "active": True,
        "scope": "read write",
        "exp": int(app.clock.now().timestamp()) + 62208000,
        "client_id": "service",
        "username": "pat",
    }
    assert (await anonymous.post("/o/introspect/", data=body)).status_code == 403
    assert (await anonymous.post("/o/revoke_token/", data=body)).status_code == 401
    answer = await anonymous.post("/o/revoke_token/", data=body | CLIENT)
    assert (answer.status_code, answer.content) == (200, b"")
    inactive = await anonymous.post("/o/introspect/", data=body, auth=basic)
    assert inactive.json() == {"active": False}
    assert (await anonymous.post("/o/revoke_token/", data={"token": "x"} | CLIENT)).status_code == 200


async def test_an_application_cannot_revoke_what_is_another_ones(
    app: TestApp, anonymous: httpx.AsyncClient, api_token: str
) -> None:
    await create_application(app, "other")
    given = (await tokens(anonymous, **PASSWORD)).json()
    other = {"client_id": "other", "client_secret": "other-secret", "token": given["access_token"]}
    assert (await anonymous.post("/o/revoke_token/", data=other)).status_code == 200
    assert await profile_status(anonymous, given["access_token"]) == 200


async def test_client_credentials_stand_for_no_user(app: TestApp, anonymous: httpx.AsyncClient) -> None:
    await create_application(app, "robot", grant_type="client-credentials")
    robot = {"client_id": "robot", "client_secret": "robot-secret", "grant_type": "client_credentials"}
    given = (await anonymous.post("/o/token/", data=robot)).json()
    assert "refresh_token" not in given
    assert await profile_status(anonymous, given["access_token"]) == 403


def query(**changes: str | None) -> dict[str, str]:
    values = {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": BACK,
        "state": "s",
        "scope": "read",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes
    return {name: value for name, value in values.items() if value is not None}


async def consent(browser: httpx.AsyncClient, **changes: str | None) -> httpx.Response:
    """Log in, see the form, and allow."""
    page = await browser.get("/accounts/login/")
    csrf = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert page.text.count("<form") == 1
    login = csrf | {"username": "pat", "password": "correct horse"}
    assert (await browser.post("/accounts/login/", data=login)).status_code == 302
    page = await browser.get("/o/authorize/", params=query(**changes))
    if "<form" not in page.text:
        return page
    sent = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', page.text))
    return await browser.post("/o/authorize/", data=sent)


def came_back(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert location.startswith(BACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture
async def web(app: TestApp, api_token: str) -> None:
    """An application that sends browsers to us."""
    await create_application(app, "web", grant_type="authorization-code", redirect_uris=[BACK])


async def exchange(client: httpx.AsyncClient, code: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": "web",
        "client_secret": "web-secret",
        "redirect_uri": BACK,
        "code": code,
        "code_verifier": VERIFIER,
    }
    return await client.post("/o/token/", data=form | changes)


async def test_A20_a_code_is_good_once_and_its_second_use_ends_everything(
    app: TestApp, anonymous: httpx.AsyncClient, web: None
) -> None:
    async with app.client() as browser:
        back = came_back(await consent(browser))
    assert back["state"] == "s"
    assert (await exchange(anonymous, back["code"], code_verifier="w" * 64)).status_code == 400
    given = await exchange(anonymous, back["code"])
    assert (given.status_code, given.json()["scope"]) == (200, "read")
    access = given.json()["access_token"]
    assert await profile_status(anonymous, access) == 200
    again = await exchange(anonymous, back["code"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert await profile_status(anonymous, access) == 403


async def test_a_code_dies_after_a_minute_and_belongs_to_its_application(
    app: TestApp, anonymous: httpx.AsyncClient, web: None
) -> None:
    await create_application(app, "thief", grant_type="authorization-code", redirect_uris=[BACK])
    async with app.client() as browser:
        code = came_back(await consent(browser))["code"]
    stolen = await exchange(anonymous, code, client_id="thief", client_secret="thief-secret")
    assert stolen.status_code == 400
    assert (await exchange(anonymous, code, redirect_uri=BACK + "/x")).status_code == 400
    app.clock.advance(61)  # type: ignore[attr-defined]
    assert (await exchange(anonymous, code)).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
    ],
)
async def test_S6_no_code_without_a_hashed_challenge(
    app: TestApp, web: None, changes: dict[str, str | None]
) -> None:
    async with app.client() as browser:
        back = came_back(await consent(browser, **changes))
    assert (back["error"], back["state"]) == ("invalid_request", "s")
    assert "code" not in back


@pytest.mark.parametrize(
    "redirect_uri",
    [
        BACK + "/more",
        BACK + "?x=1",
        "https://app.test:8443/back",
        "http://app.test/back",
        "https://app.test%2eevil.test/back",
        "https://app.test@evil.test/back",
        "javascript:alert(1)",
        'https://"evil"/',
        None,
    ],
)
async def test_S6_the_browser_is_sent_nowhere_but_to_the_registered_address(
    app: TestApp, web: None, redirect_uri: str | None
) -> None:
    async with app.client() as browser:
        answer = await consent(browser, redirect_uri=redirect_uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_who_does_not_allow_is_sent_back_without_a_code(app: TestApp, web: None) -> None:
    async with app.client() as browser:
        await consent(browser)
        sent = query() | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert came_back(await browser.post("/o/authorize/", data=sent))["error"] == "access_denied"
        assert (await browser.post("/o/authorize/", data=query() | {"allow": "true"})).status_code == 403
        assert (await browser.get("/o/authorize/?client_id=nope")).status_code == 400
    async with app.client() as stranger:
        answer = await stranger.get("/o/authorize/", params=query())
        assert answer.headers["location"].startswith("/accounts/login/?next=%2Fo%2Fauthorize%2F")


async def test_an_application_learns_who_logged_in_and_can_check_it(
    app: TestApp, anonymous: httpx.AsyncClient, web: None
) -> None:
    found = (await anonymous.get("/o/.well-known/openid-configuration")).json()
    assert found["code_challenge_methods_supported"] == ["S256"]
    keys = (await anonymous.get(urlsplit(found["jwks_uri"]).path)).json()
    assert set(keys["keys"][0]) == {"kty", "n", "e", "alg", "use", "kid"}
    async with app.client() as browser:
        code = came_back(await consent(browser, scope="openid email", nonce="n-1"))["code"]
    given = (await exchange(anonymous, code)).json()
    statement = jwt.decode(given["id_token"], KeySet.import_key_set(keys), algorithms=["RS256"]).claims
    now = int(app.clock.now().timestamp())
    assert {
        name: statement[name] for name in ("iss", "aud", "nonce", "iat", "exp", "email", "auth_time")
    } == {
        "iss": found["issuer"],
        "aud": "web",
        "nonce": "n-1",
        "iat": now,
        "exp": now + 3600,
        "email": "pat@x.test",
        "auth_time": now,
    }
    assert "preferred_username" not in statement
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    answer = await anonymous.get("/o/userinfo/", headers=bearer)
    assert answer.json() == {"sub": statement["sub"], "email": "pat@x.test"}
    assert await profile_status(anonymous, given["access_token"]) == 403  # who, but not what
    assert (await anonymous.get("/o/userinfo/")).status_code == 401
