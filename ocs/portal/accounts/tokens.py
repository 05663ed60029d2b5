"""Addresses of the OAuth2 provider that services call."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from sqlalchemy.orm import Session

from ocs.kernel.errors import NotAuthenticated, PermissionDenied
from ocs.kernel.security import token_hash
from ocs.kernel.wire.route import JsonBytes, Reading, SettingsDep, Writing, make_router, unit_of_work
from ocs.portal.accounts import identity, repository
from ocs.portal.accounts.dependencies import AccountsDep, ClientAddress
from ocs.portal.accounts.oauth import Answer, OAuthCall, Provider, read_request
from ocs.portal.accounts.schemas import Introspection, OAuthTokens

router = make_router("oauth")

_FORM = "application/x-www-form-urlencoded"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_REFUSED = Answer(401, {"error": "invalid_client"}, {"WWW-Authenticate": 'Bearer error="invalid_client"'})


def _reads(*names: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema}}}}


async def _call(request: Request) -> OAuthCall:
    """Read a call; a body of another type than the standard's is no body."""
    form: dict[str, str] = {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    return read_request("POST", request.headers, {}, form)


Call = Annotated[OAuthCall, Depends(_call)]


def _answered(answer: Answer) -> Response:
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    return JsonBytes(orjson.dumps(answer.body), answer.status, _NO_STORE | headers)


@router.post(
    "/o/token/",
    summary="Access token for a password, a code or a refresh token",
    response_model=OAuthTokens,
    openapi_extra=_reads(
        "grant_type",
        "client_id",
        "client_secret",
        "username",
        "password",
        "refresh_token",
        "code",
        "code_verifier",
        "redirect_uri",
        "scope",
    ),
)
async def token(
    call: Call, address: ClientAddress, session: Writing, accounts: AccountsDep, settings: SettingsDep
) -> Response:
    """Answer as RFC 6749 says; the password grant works for applications registered with it."""
    signer: identity.Signer | None = None

    def provider(db: Session) -> Provider:
        return Provider(db, accounts.vault, accounts.clock.now(), signer)

    name, password = call.form.get("username"), call.form.get("password")
    if call.payload.grant_type == "password" and name and password:
        may = await session.run_sync(lambda db: provider(db).may_use_passwords(call))
        await session.rollback()  # hold no connection while the password is checked
        if may:
            login = await accounts.logins.check(name, password, address=address)
            if login is not None and not login.password_expired:
                call.login_id = login.user_id
    if call.payload.grant_type == "authorization_code":
        signer = await identity.signer(session, accounts.vault, accounts.clock.now(), settings)
    return _answered(await session.run_sync(lambda db: provider(db).token(call)))


@router.post(
    "/o/revoke_token/",
    summary="Revoke a token",
    response_class=Response,
    openapi_extra=_reads("token", "client_id", "client_secret"),
)
async def revoke(call: Call, session: Writing, accounts: AccountsDep) -> Response:
    """Make a token of the calling application useless; 200 whether there was one or not."""

    def work(db: Session) -> bool:
        provider = Provider(db, accounts.vault, accounts.clock.now())
        client = provider.client(call)
        if client is not None:
            provider.revoke_token(client, call.form.get("token", ""))
        return client is not None

    return Response(b"", 200) if await session.run_sync(work) else _answered(_REFUSED)


@router.post(
    "/o/introspect/",
    summary="What a token is good for",
    response_model=Introspection,
    openapi_extra=_reads("token"),
)
async def introspect(call: Call, session: Writing, accounts: AccountsDep) -> Response:
    """Answer as RFC 7662 says, to a registered application."""

    def work(db: Session) -> dict[str, Any] | None:
        provider = Provider(db, accounts.vault, accounts.clock.now())
        client = provider.client(call)
        is_known = client is not None and client.row.client_type == "confidential"
        return provider.introspect(call.form.get("token", "")) if is_known else None

    shown = await session.run_sync(work)
    if shown is None:
        raise PermissionDenied
    return JsonBytes(orjson.dumps(shown), headers=_NO_STORE)


# --- OpenID Connect -------------------------------------------------------------------------------------


@router.get(
    "/o/.well-known/openid-configuration/",
    summary="How to log users in with OpenID Connect",
    response_model=dict[str, Any],
)
@router.get("/o/.well-known/openid-configuration", include_in_schema=False, response_model=dict[str, Any])
async def discovery(settings: SettingsDep) -> Response:
    """Answer as OpenID Connect Discovery says."""
    return JsonBytes(orjson.dumps(identity.discovery(settings)))


@router.get("/o/.well-known/jwks.json", summary="Keys of identity tokens", response_model=dict[str, Any])
async def keys(request: Request, accounts: AccountsDep, settings: SettingsDep) -> Response:
    """Answer with the public key."""
    session = await unit_of_work(request).write()
    signer = await identity.signer(session, accounts.vault, accounts.clock.now(), settings)
    return JsonBytes(orjson.dumps(signer.public_keys()))


@router.get("/o/userinfo/", summary="Who a token's owner is", response_model=dict[str, Any])
async def user_info(request: Request, session: Reading, accounts: AccountsDep) -> Response:
    """Answer the claims that the scopes of the bearer token allow."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    found = None
    if scheme.lower() == "bearer":
        found = await repository.bearer_owner(session, token_hash(key.strip()), accounts.clock.now())
    if found is None or "openid" not in found[1].split():
        error = NotAuthenticated(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        error.status = 401
        raise error
    return JsonBytes(orjson.dumps(identity.claims(*found)), headers=_NO_STORE)
