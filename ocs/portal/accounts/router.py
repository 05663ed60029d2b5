"""Addresses of the accounts: logging in, and what users see and change about themselves."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator, SkipValidation

from ocs.kernel.errors import InvalidInput, PermissionDenied
from ocs.kernel.runtime import RuntimeDep
from ocs.kernel.security import (
    PORTAL_DOOR,
    SESSION_COOKIE,
    ArchiveCaller,
    ArchiveUser,
    PortalUser,
    Principal,
)
from ocs.kernel.wire.pages import base_url
from ocs.kernel.wire.route import JsonBytes, Reading, Writing, make_router, unit_of_work
from ocs.portal.accounts import bulk, pages, schemas, tokens
from ocs.portal.accounts.browser import set_session_cookies
from ocs.portal.accounts.dependencies import AccountsDep, ClientAddress
from ocs.portal.accounts.errors import LoginIncomplete, LoginRefused
from ocs.portal.accounts.service import Accounts

router = make_router("accounts")
router.include_router(pages.router)
router.include_router(tokens.router)

_COLLECTIONS = (
    "requests",
    "requestgroups",
    "drafts",
    "proposals",
    "semesters",
    "memberships",
    "invitations",
    "observations",
    "schedule",
    "realtime",
    "configurationstatus",
)


async def _user_creator(caller: PortalUser, session: Reading) -> Principal:
    """Return the caller, who may create users."""
    await bulk.check_may_create(session, caller)
    return caller


def _readable(value: Any) -> Any:
    if value is None:
        raise ValueError("No data provided")
    return value


UserCreator = Annotated[Principal, Depends(_user_creator)]

# Checked in the service: the errors of its rows have a shape of their own.
SentUsers = Annotated[schemas.NewUsers, SkipValidation, AfterValidator(_readable)]


@router.get("/api/", summary="The portal's collections", response_model=dict[str, str])
async def api_root(request: Request) -> dict[str, str]:
    """Name the collections and their addresses."""
    return {name: f"{base_url(request)}/api/{name}/" for name in _COLLECTIONS}


# --- logging in -----------------------------------------------------------------------------------------


@router.post("/api/api-token-auth/", summary="API token for name and password", response_model=schemas.Token)
async def token_auth(
    credentials: schemas.Credentials, address: ClientAddress, session: Writing, accounts: AccountsDep
) -> schemas.Token:
    """Return the API token of whoever gives the right password; the name may be an e-mail address."""
    login = await accounts.log_in(credentials.username, credentials.password, address)
    return schemas.Token(token=await accounts.api_token(session, login.user_id))


@router.post("/accounts/api-login/", summary="Log a browser in", response_model=schemas.Message)
async def api_login(
    request: Request,
    response: Response,
    credentials: schemas.ApiLogin,
    address: ClientAddress,
    session: Writing,
    accounts: AccountsDep,
) -> schemas.Message:
    """Start a browser session: sets the cookies `sessionid` and `csrftoken`."""
    if request.cookies.get(SESSION_COOKIE):
        await PORTAL_DOOR.caller(request)  # who has a session already must prove it is their own page
        await session.rollback()
    if not credentials.username or not credentials.password:
        raise LoginIncomplete
    login = await accounts.logins.check(credentials.username, credentials.password, address=address)
    if login is None:
        raise LoginRefused
    if login.password_expired:
        raise LoginRefused("Your password expired; log in at /accounts/login/ to set a new one.")
    set_session_cookies(request, response, await accounts.start_session(session, login.user_id))
    return schemas.Message(message="Logged in.")


@router.post(
    "/accounts/logout/", summary="Log a browser out", status_code=302, response_class=RedirectResponse
)
@router.get("/accounts/logout/", include_in_schema=False, status_code=302, response_class=RedirectResponse)
async def logout(request: Request, accounts: AccountsDep) -> RedirectResponse:
    """End the browser session and go to the first page."""
    if key := request.cookies.get(SESSION_COOKIE):
        await accounts.end_session(await unit_of_work(request).write(), key)
    response = RedirectResponse("/", 302)
    response.delete_cookie(SESSION_COOKIE)
    return response


# --- the caller -----------------------------------------------------------------------------------------


@router.get("/api/profile/", summary="The caller's profile", response_model=schemas.UserShown)
async def profile(request: Request, caller: PortalUser, session: Reading, accounts: AccountsDep) -> Response:
    """Return the caller with profile, proposals and tokens.

    With the parameter `include_current_time_allocations` each proposal has limit, use and allocations too.
    """
    shown = await accounts.profile(session, caller)
    if shown is None:
        writing = await unit_of_work(request).write()
        await accounts.make_tokens(writing, caller)
        shown = await accounts.profile(writing, caller)
        session = writing
    if "include_current_time_allocations" in request.query_params and shown is not None:
        await accounts.add_current_time(session, caller, shown)
    return JsonBytes(orjson.dumps(shown))


async def _changed(
    change: schemas.UserChange, caller: PortalUser, session: Writing, accounts: Accounts
) -> Response:
    fields = change.model_dump(include={"email", "first_name", "last_name"}, exclude_unset=True)
    nested = change.profile.model_dump(exclude_unset=True)
    await accounts.change_profile(session, caller, fields, nested)
    await accounts.make_tokens(session, caller)
    return JsonBytes(orjson.dumps(await accounts.profile(session, caller)))


@router.patch("/api/profile/", summary="Change the caller's profile", response_model=schemas.UserShown)
async def change_profile(
    change: schemas.UserChange, caller: PortalUser, session: Writing, accounts: AccountsDep
) -> Response:
    """Change names, e-mail address and preferences; everything else that is sent is ignored."""
    return await _changed(change, caller, session, accounts)


@router.put("/api/profile/", summary="Change the caller's profile", response_model=schemas.UserShown)
async def replace_profile(
    change: schemas.UserReplacement, caller: PortalUser, session: Writing, accounts: AccountsDep
) -> Response:
    """As PATCH; the name has to be sent, and is not changed."""
    return await _changed(change, caller, session, accounts)


@router.post("/api/profile/accept_terms/", summary="Accept the terms", response_model=schemas.Message)
async def accept_terms(caller: PortalUser, session: Writing, accounts: AccountsDep) -> schemas.Message:
    """Note that the caller accepts the terms of use."""
    await accounts.accept_terms(session, caller)
    return schemas.Message(message="Terms accepted.")


@router.post("/api/revoke_token/", summary="Replace the API token", response_model=schemas.Message)
async def revoke_token(caller: PortalUser, session: Writing, accounts: AccountsDep) -> schemas.Message:
    """Make the caller's API token useless and a new one, which the profile shows."""
    assert caller.user_id is not None
    await accounts.replace_api_token(session, caller.user_id)
    return schemas.Message(message="API token revoked.")


@router.post(
    "/api/account_removal_request/",
    summary="Ask for the removal of the account",
    response_model=schemas.Message,
)
async def request_removal(
    wish: schemas.RemovalRequest, caller: PortalUser, session: Writing, runtime: RuntimeDep
) -> schemas.Message:
    """Write to the support that the caller wants to be removed."""
    await bulk.request_removal(session, runtime, caller, wish.reason)
    return schemas.Message(message="Account removal request submitted.")


@router.post(
    "/api/users-bulk/",
    summary="Create users",
    status_code=201,
    response_model=schemas.NewUsersShown,
)
async def create_users(sent: SentUsers, caller: UserCreator, session: Writing, runtime: RuntimeDep) -> Any:
    """Create up to 50 users at once, all or none; for staff and principal investigators."""
    return {"users": await bulk.create_users(session, runtime, caller, sent)}


# --- the same as the archive's clients ask for it ---------------------------------------------------------


@router.get("/profile/", summary="The caller, for the archive's pages", response_model=schemas.ArchiveUser)
@router.get("/archive/profile/", include_in_schema=False, response_model=schemas.ArchiveUser)
async def archive_profile(caller: ArchiveCaller) -> Response:
    """Return name and proposals; an anonymous caller has an empty name."""
    profile: dict[str, Any] = {"proposals": sorted(caller.proposal_ids)} if caller.is_authenticated else {}
    shown = {"username": caller.username, "profile": profile, "is_staff": caller.is_staff}
    return JsonBytes(orjson.dumps(shown))


@router.post("/api-token-auth/", summary="API token, for the archive's clients", response_model=schemas.Token)
@router.post("/archive/api-token-auth/", include_in_schema=False, response_model=schemas.Token)
async def archive_token_auth(
    request: Request,
    credentials: schemas.ArchiveLogin,
    address: ClientAddress,
    session: Writing,
    accounts: AccountsDep,
) -> schemas.Token:
    """As at `/api/api-token-auth/`; a valid Authorization header may take the place of the body."""
    if "authorization" in request.headers:
        caller = await PORTAL_DOOR.user(request)
        if caller.user_id is None or caller.read_only:
            raise PermissionDenied
        return schemas.Token(token=await accounts.api_token(session, caller.user_id))
    if credentials.username is None or credentials.password is None:
        raise InvalidInput.fields(
            **{
                name: "This field is required."
                for name in ("username", "password")
                if getattr(credentials, name) is None
            }
        )
    login = await accounts.log_in(credentials.username, credentials.password, address)
    return schemas.Token(token=await accounts.api_token(session, login.user_id))


@router.post("/revoke_token/", summary="Replace the API token", response_model=schemas.Message)
@router.post("/archive/revoke_token/", include_in_schema=False, response_model=schemas.Message)
async def archive_revoke_token(
    caller: ArchiveUser, session: Writing, accounts: AccountsDep
) -> schemas.Message:
    """As at `/api/revoke_token/`."""
    return await revoke_token(caller, session, accounts)
