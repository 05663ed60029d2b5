"""The OAuth2 provider: Authlib's framework-free core on the request's own transaction.

Authlib is synchronous, so everything here runs inside `AsyncSession.run_sync`. What it leaves open by default
is closed here: a challenge is demanded when the code is asked for, by every client, and only S256 will do; of
codes and tokens only hashes are stored; a second use of a code or refresh token revokes all that came of it.
"""

import logging
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from authlib.oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Error, OAuth2Request, grants
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError, UnauthorizedClientError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from ocs.kernel.security import Vault, token_hash
from ocs.portal.accounts.identity import Signer
from ocs.portal.accounts.models import (
    AuthorizationCode,
    BearerToken,
    OAuthApplication,
    OAuthGrant,
    RefreshToken,
    User,
)
from ocs.portal.accounts.secrets import client_secret_hash

logging.getLogger("authlib").setLevel(logging.INFO)  # its debug messages contain tokens

API_SCOPES = ("read", "write")
SCOPES = (*API_SCOPES, "openid", "profile", "email")
TOKEN_LIFETIME = timedelta(seconds=62_208_000)
CODE_LIFETIME = timedelta(seconds=60)
_ALPHABET = string.ascii_letters + string.digits
_CLIENT_METHODS = ["client_secret_basic", "client_secret_post", "none"]
_GRANTS = {
    "password": ("password", "refresh_token"),
    "authorization-code": ("authorization_code", "refresh_token"),
    "client-credentials": ("client_credentials",),
}


def new_key() -> str:
    """Return a fresh token of 30 letters and digits (178 bits)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(30))


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON, or a redirect."""

    status: int
    body: Any
    headers: Mapping[str, str]


class OAuthCall(OAuth2Request):  # type: ignore[misc]
    """A request as Authlib reads it."""

    def __init__(
        self,
        method: str,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        form: Mapping[str, str],
        user_id: int | None = None,
    ) -> None:
        # Whether the transport is safe is for the proxy in front of us to see to.
        super().__init__(method, "https://localhost/", headers=headers)
        self._query, self._form = dict(query), dict(form)
        self.payload = BasicOAuth2Payload({**query, **form})
        self.login_id = user_id
        self.grant_id: int | None = None
        self.application_name = ""

    @property
    def args(self) -> dict[str, str]:
        """Parameters of the address."""
        return self._query

    @property
    def form(self) -> dict[str, str]:
        """Parameters of the body."""
        return self._form


class _Client(ClientMixin):  # type: ignore[misc]
    """An application as Authlib sees it."""

    def __init__(self, row: OAuthApplication, vault: Vault) -> None:
        self.row = row
        self._vault = vault

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_default_redirect_uri(self) -> str | None:
        return None  # the address must be named

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(item for item in (scope or " ".join(API_SCOPES)).split() if item in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.row.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        given = client_secret_hash(self._vault, self.row.client_id, client_secret)
        return self.row.secret_hash is not None and secrets.compare_digest(given, self.row.secret_hash)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method != "none" or self.row.client_type == "public"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and self.row.grant_type == "authorization-code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in _GRANTS[self.row.grant_type]


class _S256(CodeChallenge):  # type: ignore[misc]
    """Proof of possession for everybody, by hash only."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - read by Authlib

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        problem = None
        if not data.get("code_challenge"):
            problem = "Code challenge required."
        elif data.get("code_challenge_method") != "S256":
            problem = "The code challenge method must be S256."
        if problem:
            raise InvalidRequestError(problem, redirect_uri=redirect_uri, state=data.get("state"))
        super().validate_code_challenge(grant, redirect_uri)

    def get_authorization_code_challenge(self, authorization_code: "_Code") -> str:
        return authorization_code.row.code_challenge

    def get_authorization_code_challenge_method(self, authorization_code: "_Code") -> str:
        return "S256"


class _IdToken:
    """Adds an identity token for who asks with the scope `openid`."""

    def __call__(self, grant: Any) -> None:
        """Hang into the grant."""
        grant.register_hook("after_create_token_response", self.add)

    def add(self, grant: Any, response: tuple[int, dict[str, Any], Any]) -> None:
        """Put the identity token beside the access token."""
        token, request, provider = response[1], grant.request, grant.server
        if "openid" in token["scope"].split():
            code: _Code = request.authorization_code
            token["id_token"] = provider.signer.id_token(
                request.user,
                token["scope"],
                client_id=request.client.get_client_id(),
                access_token=token["access_token"],
                nonce=code.row.nonce,
                authenticated_at=code.row.authenticated_at,
                now=provider.now,
            )


class _Code:
    """A code as Authlib sees it."""

    def __init__(self, row: AuthorizationCode, grant: OAuthGrant) -> None:
        self.row, self.grant = row, grant

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return self.grant.scope


class _AuthorizationCodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _CLIENT_METHODS

    def save_authorization_code(self, code: str, request: OAuthCall) -> None:
        db, now = self.server.db, self.server.now
        grant = OAuthGrant(
            application_id=request.client.row.id,
            user_id=request.user.id,
            scope=request.client.get_allowed_scope(request.payload.scope),
            created_at=now,
        )
        db.add(grant)
        db.flush()
        db.add(
            AuthorizationCode(
                code_hash=token_hash(code),
                grant_id=grant.id,
                redirect_uri=request.payload.redirect_uri,
                code_challenge=request.payload.data["code_challenge"],
                nonce=request.payload.data.get("nonce"),
                authenticated_at=now,
                expires_at=now + CODE_LIFETIME,
            )
        )
        db.flush()

    def query_authorization_code(self, code: str, client: _Client) -> _Code | None:
        db, now = self.server.db, self.server.now
        row = db.scalar(
            select(AuthorizationCode).where(AuthorizationCode.code_hash == token_hash(code)).with_for_update()
        )
        if row is None:
            return None
        grant = db.get_one(OAuthGrant, row.grant_id)
        if grant.application_id != client.row.id:
            return None
        if row.used_at is not None:
            self.server.revoke_grant(grant.id)
        if row.used_at is not None or row.expires_at <= now or grant.revoked_at is not None:
            return None
        self.request.grant_id = grant.id
        return _Code(row, grant)

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        authorization_code.row.used_at = self.server.now
        self.server.db.flush()

    def authenticate_user(self, authorization_code: _Code) -> User | None:
        return self.server.active_user(authorization_code.grant.user_id)  # type: ignore[no-any-return]


class _RefreshTokenGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _CLIENT_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> "_Refresh | None":
        db, now = self.server.db, self.server.now
        row = db.scalar(
            select(RefreshToken).where(RefreshToken.key_hash == token_hash(refresh_token)).with_for_update()
        )
        if row is None:
            return None
        grant = db.get_one(OAuthGrant, row.grant_id)
        if row.used_at is not None:
            self.server.revoke_grant(grant.id)
        if row.used_at is not None or row.expires_at <= now or grant.revoked_at is not None:
            return None
        return _Refresh(row, grant)

    def authenticate_user(self, refresh_token: "_Refresh") -> User | None:
        self.request.grant_id = refresh_token.grant.id
        return self.server.active_user(refresh_token.grant.user_id)  # type: ignore[no-any-return]

    def revoke_old_credential(self, refresh_token: "_Refresh") -> None:
        refresh_token.row.used_at = self.server.now
        self.server.db.flush()


class _Refresh:
    """A refresh token as Authlib sees it."""

    def __init__(self, row: RefreshToken, grant: OAuthGrant) -> None:
        self.row, self.grant = row, grant

    def check_client(self, client: _Client) -> bool:
        return self.grant.application_id == client.row.id

    def get_scope(self) -> str:
        return self.grant.scope


class _PasswordGrant(grants.ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]
    """The password was checked before, outside of the transaction; see `ocs.portal.accounts.logins`."""

    TOKEN_ENDPOINT_AUTH_METHODS = _CLIENT_METHODS

    def validate_token_request(self) -> None:
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("This application may not use passwords.")
        for name in ("username", "password"):
            if not self.request.form.get(name):
                raise InvalidRequestError(f"Request is missing {name} parameter.")
        user = self.server.active_user(self.request.login_id)
        if user is None:
            raise InvalidGrantError("Invalid credentials given.")
        self.request.client, self.request.user = client, user
        self.validate_requested_scope()


class _ClientCredentialsGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]  # noqa: RUF012


class Provider(AuthorizationServer):  # type: ignore[misc]
    """The provider, for one request.

    Parameters
    ----------
    db
        The synchronous side of the request's session.
    vault, now
        Key of the client secrets, and the time.
    signer
        Makes identity tokens; needed at the token endpoint only.
    """

    def __init__(self, db: Session, vault: Vault, now: datetime, signer: Signer | None = None) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self.db = db
        self.now = now
        self.signer = signer
        self._vault = vault
        self.register_token_generator("default", self._generate)
        self.register_grant(_AuthorizationCodeGrant, [_S256(), _IdToken()])
        self.register_grant(_RefreshTokenGrant)
        self.register_grant(_PasswordGrant)
        self.register_grant(_ClientCredentialsGrant)

    # --- what we ask of it

    def token(self, request: OAuthCall) -> Answer:
        """Answer a call of the token endpoint."""
        answer: Answer = self.create_token_response(request)
        return answer

    def redirect_problem(self, request: OAuthCall) -> str | None:
        """Return why the browser cannot be sent back to the application, None when it can."""
        client = self.query_client(request.payload.client_id or "")
        if client is None:
            return "There is no such application; check client_id."
        if not client.check_redirect_uri(request.payload.redirect_uri or ""):
            return "The address to come back to is not registered for the application; check redirect_uri."
        request.application_name = client.row.name
        return None

    def authorize(self, request: OAuthCall, *, allow: bool | None) -> Answer | None:
        """Send the browser back with a code, or with what is wrong.

        Parameters
        ----------
        allow
            What the user said; None when they were not asked yet.

        Returns
        -------
        Answer or None
            None: the user has to be asked.
        """
        user = self.active_user(request.login_id)
        try:
            grant = self.get_consent_grant(request, end_user=user)
        except OAuth2Error as error:
            refused: Answer = self.handle_error_response(request, error)
            return refused
        if allow is None and not grant.client.row.skip_authorization:
            return None
        answer: Answer = self.create_authorization_response(
            request, grant_user=None if allow is False else user, grant=grant
        )
        return answer

    def client(self, request: OAuthCall) -> _Client | None:
        """Return the application that makes this call, None when it cannot prove who it is."""
        try:
            client: _Client = self.authenticate_client(request, _CLIENT_METHODS)
        except OAuth2Error:
            return None
        return client

    def may_use_passwords(self, request: OAuthCall) -> bool:
        """Tell whether the caller is an application that logs users in by their password."""
        client = self.client(request)
        return client is not None and client.check_grant_type("password")

    def revoke_token(self, client: _Client, token: str) -> None:
        """Revoke an access or refresh token of an application, and with it the whole grant."""
        key = token_hash(token)
        for table in (BearerToken, RefreshToken):
            grant_id = self.db.scalar(
                select(OAuthGrant.id)
                .join(table, table.grant_id == OAuthGrant.id)
                .where(table.key_hash == key, OAuthGrant.application_id == client.row.id)
            )
            if grant_id is not None:
                self.revoke_grant(grant_id)
        self.db.execute(
            delete(BearerToken).where(
                BearerToken.key_hash == key, BearerToken.application_id == client.row.id
            )
        )

    def introspect(self, token: str) -> dict[str, Any]:
        """Say what an access token is good for."""
        row = self.db.execute(
            select(BearerToken, User.username, OAuthApplication.client_id)
            .outerjoin(User, User.id == BearerToken.user_id)
            .outerjoin(OAuthApplication, OAuthApplication.id == BearerToken.application_id)
            .where(
                BearerToken.key_hash == token_hash(token),
                or_(BearerToken.expires_at.is_(None), BearerToken.expires_at > self.now),
                or_(BearerToken.user_id.is_(None), User.is_active),
            )
        ).one_or_none()
        if row is None:
            return {"active": False}
        found, username, client_id = row
        shown = {"active": True, "scope": found.scope, "client_id": client_id, "username": username}
        if found.expires_at is not None:
            shown["exp"] = int(found.expires_at.timestamp())
        return {name: value for name, value in shown.items() if value is not None}

    def revoke_grant(self, grant_id: int) -> None:
        """Make everything that came of a grant useless."""
        self.db.execute(update(OAuthGrant).where(OAuthGrant.id == grant_id).values(revoked_at=self.now))
        self.db.execute(delete(BearerToken).where(BearerToken.grant_id == grant_id))

    def active_user(self, user_id: int | None) -> User | None:
        """Return a user who may log in."""
        return self.db.scalar(select(User).where(User.id == user_id, User.is_active))

    # --- what Authlib asks of us

    def query_client(self, client_id: str) -> _Client | None:
        """Return an application."""
        row = self.db.scalar(select(OAuthApplication).where(OAuthApplication.client_id == client_id))
        return None if row is None else _Client(row, self._vault)

    def _generate(
        self,
        grant_type: str,
        client: _Client,
        user: User | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        token = {
            "access_token": new_key(),
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "token_type": "Bearer",
            "scope": client.get_allowed_scope(scope or ""),
        }
        if include_refresh_token:
            token["refresh_token"] = new_key()
        return token

    def save_token(self, token: dict[str, Any], request: OAuthCall) -> None:
        """Store the hashes of what was generated; older access tokens of the grant end now."""
        expires_at = self.now + TOKEN_LIFETIME
        grant_id, application_id = request.grant_id, request.client.row.id
        if request.user is not None and grant_id is None:
            grant = OAuthGrant(
                application_id=application_id,
                user_id=request.user.id,
                scope=token["scope"],
                created_at=self.now,
            )
            self.db.add(grant)
            self.db.flush()
            grant_id = grant.id
        if grant_id is not None:
            self.db.execute(delete(BearerToken).where(BearerToken.grant_id == grant_id))
        self.db.add(
            BearerToken(
                key_hash=token_hash(token["access_token"]),
                kind="oauth",
                user_id=None if request.user is None else request.user.id,
                application_id=application_id,
                grant_id=grant_id,
                scope=token["scope"],
                created_at=self.now,
                expires_at=expires_at,
            )
        )
        if "refresh_token" in token:
            self.db.add(
                RefreshToken(
                    key_hash=token_hash(token["refresh_token"]),
                    grant_id=grant_id,
                    created_at=self.now,
                    expires_at=expires_at,
                )
            )
        self.db.flush()

    def create_oauth2_request(self, request: OAuthCall) -> OAuthCall:
        """Return the request as it is."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        """Return the answer, in the words services know."""
        if isinstance(body, dict) and "error" in body:
            error = body["error"]
            if error == "invalid_client":
                challenge = {"WWW-Authenticate": 'Bearer error="invalid_client"'}
                return Answer(401, {"error": error}, challenge)
            if error == "unsupported_grant_type":
                body = {"error": error}
        return Answer(status, body, dict(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


def read_request(
    method: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    form: Mapping[str, str],
    user_id: int | None = None,
) -> OAuthCall:
    """Return a request for the provider; `headers` must ignore case."""
    return OAuthCall(method, headers, query, form, user_id)
