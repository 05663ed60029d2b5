"""Secrets of the installation and of its users show up nowhere: S7 of the security promises."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from ocs.kernel.logging import JsonFormatter
from tests.accounts.test_oauth import CLIENT, create_application
from tests.support.accounts import create_user
from tests.support.app import TestApp, running_app

KEY = "canary-installation-key-" + "0123456789abcdef" * 2
DATABASE = "canary-database-password"
PASSWORDS = ("canary-password-right", "canary-password-wrong", "canary-password-bulk")
NOBODY = "canary-token-of-nobody"

_COLUMNS = """
    SELECT c.table_schema, c.table_name, c.column_name, c.data_type
    FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE t.table_type = 'BASE TABLE' AND c.table_schema NOT IN ('pg_catalog', 'information_schema')
      AND c.data_type IN ('text', 'character varying', 'bytea', 'json', 'jsonb', 'ARRAY')
"""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, down to the last detail, in the form the product writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    levels = {name: logging.getLogger(name).level for name in ("", "ocs", "sqlalchemy", "asyncpg")}
    logging.root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    # The test's own client.
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    yield stream
    logging.disable(logging.NOTSET)
    logging.root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def places(app: TestApp, canaries: list[str]) -> list[str]:
    """Return the columns in which any of the canaries is stored as it is."""
    found = []
    patterns = [f"%{canary}%" for canary in canaries]
    async with app.runtime.database.read() as session:
        columns = (await session.execute(text(_COLUMNS))).all()
        assert {"bytea", "jsonb", "text"} <= {column.data_type for column in columns}
        for schema, table, column, kind in columns:
            shown = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
            hit = f'SELECT EXISTS (SELECT FROM "{schema}"."{table}" WHERE {shown} LIKE ANY (:patterns))'
            if await session.scalar(text(hit), {"patterns": patterns}):
                found.append(f"{schema}.{table}.{column}")
    return found


async def test_S7_secrets_are_not_in_logs_errors_metrics_documents_or_tables(
    database_url: str, data_dir: Path, log: io.StringIO
) -> None:
    address = urlsplit(database_url)
    user = address.username or "postgres"
    with_password = address._replace(
        netloc=f"{user}:{address.password or DATABASE}@{address.netloc.rpartition('@')[2]}"
    ).geturl()
    said: list[str] = []
    async with running_app(with_password, data_dir, secret_key=KEY) as app:
        await create_application(app)
        api_token = await create_user(app, "pat", password=PASSWORDS[0], is_staff=True)
        canaries = [KEY, *PASSWORDS, NOBODY, api_token, CLIENT["client_secret"]]
        canaries += [DATABASE] if address.password is None else []
        answers = []
        async with app.client() as client:
            right = {"username": "pat", "password": PASSWORDS[0]}
            login = await client.post("/accounts/api-login/", json=right)
            canaries.append(login.cookies["sessionid"])
            client.cookies.clear()
            given = (await client.post("/o/token/", data=CLIENT | right | {"grant_type": "password"})).json()
            canaries += [given["access_token"], given["refresh_token"]]
            wrong = right | {"password": PASSWORDS[1]}
            for path in ("/api/api-token-auth/", "/accounts/api-login/", "/api-token-auth/"):
                answers.append(await client.post(path, json=wrong))
                answers.append(await client.post(path, json=wrong | {"username": {"a": PASSWORDS[1]}}))
            answers.append(await client.post("/o/token/", data=CLIENT | wrong | {"grant_type": "password"}))
            answers.append(await client.post("/o/token/", data={**CLIENT, "client_id": "unknown"}))
            for scheme in ("Token", "Bearer", "Basic"):
                for path in ("/api/profile/", "/frames/", "/configdb/sites/", "/downtime/api/"):
                    headers = {"Authorization": f"{scheme} {NOBODY}"}
                    answers.append(await client.get(path, headers=headers))
        async with app.client(token=api_token) as client:
            row = {"username": "new", "password": PASSWORDS[2], "email": "no address"}
            answers.append(await client.post("/api/users-bulk/", json={"users": [row]}))
            whole = {"first_name": "n", "last_name": "w", "institution": "i", "title": "t"}
            row |= {"email": "new@example.org"} | whole
            assert (await client.post("/api/users-bulk/", json={"users": [row]})).status_code == 201
            for path in ("/metrics", "/openapi.json", "/ready", "/configdb/api/admin/file/"):
                answer = await client.get(path)
                assert answer.status_code == 200
                said.append(answer.text)
            assert all(answer.status_code < 500 for answer in answers)
            logging.disable()  # the search itself would be a hit
            stored = await places(app, canaries)
            logging.disable(logging.NOTSET)
            # Now the database is broken: what is told and logged then is the most talkative.
            for table in ("login_attempts", "api_token", "bearer_token", "browser_session"):
                async with app.runtime.database.write() as session:
                    await session.execute(text(f"ALTER TABLE accounts.{table} RENAME TO {table}_gone"))
            broken = [
                await client.get("/api/profile/"),
                await client.get("/api/profile/", headers={"Authorization": f"Bearer {NOBODY}"}),
                await client.get("/api/profile/", headers={"Cookie": f"sessionid={NOBODY}"}),
                await client.post("/api/api-token-auth/", json=right, headers={"Authorization": ""}),
                await client.post("/o/token/", data=CLIENT | right | {"grant_type": "password"}),
            ]
            assert [answer.status_code for answer in broken] == [500] * 5
    said += [answer.text + str(answer.headers) for answer in [*answers, *broken]]
    assert "UndefinedTable" in log.getvalue()  # the tracebacks are there
    assert stored == []
    for canary in canaries:
        assert not any(canary in text for text in said)
        assert canary not in log.getvalue()
