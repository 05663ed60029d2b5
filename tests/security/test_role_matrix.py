"""Every address of the application, called by everybody: S1 and S2 of the security promises."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text

from ocs.kernel.security import token_hash
from ocs.portal.accounts.models import BearerToken
from tests.security.roles import LEVELS
from tests.support.accounts import create_user, user_id
from tests.support.app import TestApp
from tests.support.archive import post, thumbnail
from tests.support.observations import DOMB, create_observatory, place, requested, submit
from tests.support.proposals import create_membership, create_proposal

ROLES = {  # caller: the levels they reach, beside open, own and anyone
    "outsider": {"user"},
    "stranger": {"user", "pi"},  # leads another proposal
    "member": {"user"},
    "pi": {"user", "pi"},
    "staff": {"user", "pi", "placer", "staff"},
    "staff_view": {"user", "pi", "placer", "staff"},
    "superuser": {"user", "pi", "placer", "staff", "superuser"},
    "reader": {"user", "pi"},  # the PI's own token that may only read
}
REFUSED = ("anonymous", "expired", "revoked", "inactive")
SEES_NOTHING = ("anonymous", "outsider", "stranger", "staff")
NO_RIGHT = {"detail": "You do not have permission to perform this action."}
ONLY_READS = {"detail": "This token may only read."}
JSON = {"Content-Type": "application/json"}
BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"content": b"{nonsense", "headers": JSON},
    {"content": b"null", "headers": JSON},
    {"content": b'[1, "\\u0000", {}]', "headers": JSON},
    {"json": {"id": "x", "name": {"a": 1}, "start": 5, "end": [], "users": 7, "emails": {}, "requests": "?"}},
    {"content": b"<a/>", "headers": {"Content-Type": "text/xml"}},
    {"content": b"--", "headers": {"Content-Type": "multipart/form-data"}},
)
QUERY = {"limit": "junk", "offset": "-1", "id": "junk", "start": "junk", "ordering": "junk", "active": "junk"}
ARCHIVE = (
    "/frames/",
    "/versions/",
    "/thumbnails/",
    "/frame-",
    "/profile/",
    "/revoke_token/",
    "/api-token-auth/",
    "/archive/",
)


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield method and path of everything the application answers to."""
    for top in app.routes:
        contexts = top.effective_route_contexts() if hasattr(top, "effective_route_contexts") else [top]
        for context in contexts:
            route = getattr(context, "original_route", context)
            for method in sorted(getattr(route, "methods", None) or ["MOUNT"]):
                yield method, context.path


def door(path: str) -> str:
    """Return through which door a path leads."""
    for name in ("configdb", "downtime"):
        if path.startswith(f"/{name}/"):
            return name
    return "archive" if path.startswith(ARCHIVE) else "portal"


def refusal(path: str, caller: str) -> tuple[int, str | None, dict[str, str]]:
    """Return status, challenge and body that somebody without valid credentials gets."""
    where = door(path)
    detail = "Authentication credentials were not provided."
    if caller == "expired" and where == "archive":
        detail = "No Such User"
    elif caller in {"revoked", "inactive"}:
        detail = "Invalid token."
    return (403, None, {"detail": detail}) if where == "portal" else (401, "Token", {"detail": detail})


async def _bearer(app: TestApp, username: str, *, scope: str = "read write", days: int = 1) -> str:
    """Create a personal token; unlike the API token it outlives calls of revoke_token."""
    now = app.clock.now()
    key = f"ocs_{username}_{scope}_{days}"
    owner = await user_id(app, username)
    async with app.runtime.database.write() as session:
        session.add(
            BearerToken(
                key_hash=token_hash(key),
                kind="personal",
                user_id=owner,
                scope=scope,
                created_at=now,
                expires_at=now + timedelta(days=days),
                last_used_at=now,
            )
        )
    return f"Bearer {key}"


@pytest_asyncio.fixture
async def callers(app: TestApp) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """One client for each kind of caller; alice, the PI, leads the proposal `temp` on FIX-A."""
    await create_observatory(app)
    for name, columns in {
        "outsider": {},
        "stranger": {},
        "member": {},
        "staff": {"is_staff": True},
        "staff_view": {"is_staff": True, "staff_view": True},
        "superuser": {"is_staff": True, "staff_view": True, "is_superuser": True},
    }.items():
        await create_user(app, name, **columns)
    await create_membership(app, "member", role="CI")
    await create_proposal(app, "other")
    await create_membership(app, "stranger", "other")
    headers = {name: await _bearer(app, name) for name in ROLES if name not in {"pi", "reader"}}
    headers["pi"] = await _bearer(app, "alice")
    headers["reader"] = await _bearer(app, "alice", scope="read")
    headers["expired"] = await _bearer(app, "alice", days=-1)
    headers["inactive"] = "Token " + await create_user(app, "inactive", is_active=False, is_staff=True)
    headers["revoked"] = "Token " + await create_user(app, "revoked", is_staff=True)
    async with app.client(Authorization=headers["revoked"]) as client:
        assert (await client.post("/api/revoke_token/")).status_code == 200
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(app.client(Authorization=value))
            for name, value in headers.items()
        }
        clients["anonymous"] = await stack.enter_async_context(app.client())
        yield clients


def _filled(path: str, value: str = "999999999") -> str:
    """Put a value for each parameter of a path."""
    parts = path.split("/")
    return "/".join(value if part.startswith("{") else part for part in parts)


def test_S1_every_route_has_an_entry(app: TestApp) -> None:
    assert set(routes(app.app)) == set(LEVELS)


def _fault(method: str, path: str, level: str, caller: str, answer: httpx.Response) -> str | None:
    """Say what is wrong with an answer to a call that names nothing that exists."""
    status = answer.status_code
    if status >= 500:
        return f"is answered {status}"
    if level in {"open", "own"}:
        return None
    got = (status, answer.headers.get("www-authenticate"), answer.json() if status in {401, 403} else None)
    if caller in REFUSED:
        # An unknown bearer token is no credential, except at the archive, which refuses it as the reference.
        is_anonymous = caller == "anonymous" or (caller == "expired" and door(path) != "archive")
        if level == "anyone" and is_anonymous:
            return f"is refused: {got}" if status in {401, 403} else None
        wanted = refusal(path, caller)
        return None if got == wanted else f"is answered {got}, not {wanted}"
    if caller == "reader" and method != "GET":
        return None if (status, got[2]) == (403, ONLY_READS) else f"is answered {got}"
    if level == "anyone" or level in ROLES[caller]:
        return f"is refused: {got}" if status in {401, 403} else None
    return None if (status, got[2]) == (403, NO_RIGHT) else f"is answered {got}, without the right"


@pytest.mark.parametrize("which", ["portal", "configdb", "downtime", "archive"])
async def test_S1_everybody_gets_what_the_table_says_before_anything_is_validated(
    app: TestApp, callers: dict[str, httpx.AsyncClient], which: str
) -> None:
    faults = []
    for (method, path), level in LEVELS.items():
        if method == "MOUNT" or door(path) != which:
            continue
        for caller, client in callers.items():
            kinds = BODIES if method in {"POST", "PUT", "PATCH"} else BODIES[:1]
            for index, body in enumerate(kinds):
                url = _filled(path, "junk" if index == 1 else "999999999")
                answer = await client.request(method, url, params=QUERY if index == 0 else None, **body)
                if fault := _fault(method, path, level, caller, answer):
                    faults.append(f"{method} {path} by {caller}, body {index}: {fault}")
    assert not faults, "\n".join(faults)


# One thing of each kind that belongs to alice and her proposal `temp`.
OURS = {
    "proposal": "/api/proposals/{proposal_id}/",
    "membership": "/api/memberships/{membership_id}/",
    "invitation": "/api/invitations/{invitation_id}/",
    "group": "/api/requestgroups/{id}/",
    "request": "/api/requests/{id}/",
    "explanation": "/api/requests/{request_id}/schedule-explanation/",
    "draft": "/api/drafts/{id}/",
    "observation": "/api/observations/{id}/",
    "placed": "/api/schedule/{id}/",
    "session": "/api/realtime/{id}/",
    "status": "/api/configurationstatus/{id}/",
    "frame": "/frames/{frame_id}/",
    "funpacked": "/frame-funpack/{frame_id}/funpack/",
    "catalog": "/frame-catalog/{frame_id}/catalog/",
    "version": "/versions/{version_id}/",
    "thumbnail": "/thumbnails/{thumbnail_id}/",
}
PUBLIC = (
    "/configdb/",
    "/downtime/",
    "/api/semesters/",
    "/api/contention/",
    "/api/sites/",
    "/api/scheduler/runs/",  # for staff, who see all of them
    "/api/ingest/",
    "/accounts/",  # keys, not ids
)


async def _create_ours(app: TestApp, callers: dict[str, httpx.AsyncClient]) -> dict[str, int | str]:
    """Create what `OURS` names; return the ids."""
    alice, superuser = callers["pi"], callers["superuser"]
    async with app.runtime.database.write() as session:
        await session.execute(text("UPDATE proposals.time_allocation SET realtime_allocation_h = 10"))
    group = await submit(alice, requested())
    request_id = group["requests"][0]["id"]
    placed = await place(superuser, group)
    statuses = (await superuser.get("/api/configurationstatus/")).json()["results"]
    draft = await alice.post("/api/drafts/", json={"proposal": "temp", "title": "t", "content": "{}"})
    live = {"proposal": "temp", "name": "live", **DOMB}
    live |= {"start": "2016-09-05T22:35:39Z", "end": "2016-09-05T23:35:40Z"}
    session_booked = await alice.post("/api/realtime/", json=live)
    invited = {"emails": ["new@example.org"]}
    assert (await alice.post("/api/proposals/temp/invite/", json=invited)).status_code == 200
    frame = await post(superuser, "f1", proposal_id="temp", public_date="2030-01-01T00:00:00Z")
    small = thumbnail("t1", "f1", proposal_id="temp", public_date="2030-01-01T00:00:00Z")
    shown = await superuser.post("/thumbnails/", json=small)
    assert [draft.status_code, session_booked.status_code, shown.status_code] == [201, 201, 201]
    thumbnails = (await superuser.get("/thumbnails/")).json()["results"]
    memberships = (await alice.get("/api/memberships/", params={"role": "PI"})).json()["results"]
    invitations = (await alice.get("/api/invitations/")).json()["results"]
    return {
        "proposal": "temp",
        "membership": memberships[0]["id"],
        "invitation": invitations[0]["id"],
        "group": group["id"],
        "request": request_id,
        "explanation": request_id,
        "draft": draft.json()["id"],
        "observation": placed["id"],
        "placed": placed["id"],
        "session": session_booked.json()["id"],
        "status": statuses[0]["id"],
        "frame": frame["id"],
        "funpacked": frame["id"],
        "catalog": frame["id"],
        "version": frame["version_set"][0]["id"],
        "thumbnail": thumbnails[0]["id"],
    }


def _kind(path: str) -> str | None:
    """Return which of our things an address is about, None if it names something public."""
    path = path.removeprefix("/archive")
    found = [kind for kind, start in OURS.items() if path.startswith(start)]
    if not found:
        assert path.startswith(PUBLIC), f"{path} takes an id, and is neither in OURS nor in PUBLIC"
        return None
    return found[0]


async def test_S2_what_is_not_ones_own_answers_like_what_is_not_there(
    app: TestApp, callers: dict[str, httpx.AsyncClient]
) -> None:
    ids = await _create_ours(app, callers)
    faults = []
    for method, path in LEVELS:
        if "{" not in path or (kind := _kind(path)) is None:
            continue
        for caller in SEES_NOTHING:
            if caller == "staff" and kind in {"status", "version", "session"}:
                continue  # staff work with these
            answers = []
            for value in (str(ids[kind]), "999999999"):
                answer = await callers[caller].request(
                    method, _filled(path, value), json=_WISHES.get(path, {})
                )
                answers.append((answer.status_code, answer.content))
            if answers[0] != answers[1] or answers[0][0] not in {401, 403, 404}:
                faults.append(f"{method} {path} by {caller}: {answers}")
    assert not faults, "\n".join(faults)
    for kind, path in OURS.items():
        caller = "superuser" if kind in {"status", "version"} else "pi"
        answer = await callers[caller].get(_filled(path, str(ids[kind])))
        # Still there, and its owner sees it; that the store has no file and no catalogue is another matter.
        expected = {404} if kind in {"funpacked", "catalog"} else {200}
        assert answer.status_code in expected, f"{path}: {answer.status_code} {answer.text}"


_WISHES: dict[str, Any] = {  # bodies that would be carried out on one's own
    "/api/proposals/{proposal_id}/notification/": {"enabled": True},
    "/api/proposals/{proposal_id}/invite/": {"emails": ["x@example.org"]},
    "/api/proposals/{proposal_id}/globallimit/": {"time_limit_hours": 1},
    "/api/memberships/{membership_id}/limit/": {"time_limit_hours": 1},
    "/api/drafts/{id}/": {"proposal": "temp", "title": "u", "content": "{}"},
    "/api/requests/{id}/": {"suspend_until": "2016-09-02T00:00:00Z"},
}
