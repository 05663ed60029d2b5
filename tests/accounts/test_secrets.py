"""Secrets of people are nowhere but where they must be."""

import base64
import hashlib
import logging

import pytest
from sqlalchemy import select, text

from ocs.main import all_metadata
from ocs.portal.accounts.models import User
from tests.accounts.test_oauth import CLIENT, create_application, tokens
from tests.accounts.test_pages import NEW, REGISTRATION, fill, link, log_in
from tests.support.accounts import create_user
from tests.support.app import TestApp


async def every_row(app: TestApp) -> str:
    """Return the whole database as text."""
    found = []
    async with app.runtime.database.read() as session:
        for table in all_metadata().metadata.sorted_tables:
            rows = await session.execute(text(f'SELECT t::text FROM {table.schema}."{table.name}" t'))
            found += [str(row[0]) for row in rows]
    return "\n".join(found)


async def test_S7_no_password_token_or_link_is_in_a_table_or_a_log(
    app: TestApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await create_application(app)
    canaries = ["canary-password-1", "canary-password-2", CLIENT["client_secret"]]
    api_token = await create_user(app, "pat", password=canaries[0])
    async with app.client() as browser:
        await fill(browser, "/accounts/register/", **REGISTRATION | {"email": "n@x.test"})
        activation = await link(app)
        await log_in(browser, "pat", canaries[0])
        change = {"old_password": canaries[0], "new_password1": canaries[1], "new_password2": canaries[1]}
        await fill(browser, "/accounts/password/change/", **change)
        canaries.append(browser.cookies["sessionid"])
        grant = {"grant_type": "password", "username": "pat", "password": canaries[1]}
        given = (await tokens(browser, **grant)).json()
        refresh = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        renewed = (await tokens(browser, **refresh)).json()
        await tokens(browser, **grant | {"password": "canary-password-3"})
    canaries += ["canary-password-3", api_token, NEW, activation.split("/")[3]]
    canaries += [item[key] for item in (given, renewed) for key in ("access_token", "refresh_token")]
    database, log = await every_row(app), caplog.text
    assert len(canaries) == 12
    for canary in canaries:
        assert canary not in database
        assert canary.encode().hex() not in database  # as bytea is printed
        # The test's own client logs addresses, and one of them is the link.
        assert canary not in "\n".join(line for line in log.splitlines() if "httpx" not in line)


async def test_S8_a_django_hash_is_accepted_and_replaced_at_the_first_login(app: TestApp) -> None:
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"old password", b"salt", 1000)).decode()
    await create_user(app, "pat", password_hash=f"pbkdf2_sha256$1000$salt${digest}")
    await create_user(app, "odd", password_hash="pbkdf2_sha256$broken")
    await create_user(app, "none", password_hash="!unusable")
    async with app.client() as client:
        for name in ("odd", "none"):
            wrong = {"username": name, "password": "old password"}
            assert (await client.post("/api/api-token-auth/", json=wrong)).status_code == 400
        right = {"username": "pat", "password": "old password"}
        for _ in range(2):
            assert (await client.post("/api/api-token-auth/", json=right)).status_code == 200
            async with app.runtime.database.read() as session:
                stored = await session.scalar(select(User.password_hash).where(User.username == "pat"))
            assert (stored or "").startswith("$argon2id$")
