"""OpenID Connect: identity tokens, and where applications find how to ask for them."""

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ocs.kernel.database import WriteSession
from ocs.kernel.security import Vault
from ocs.kernel.settings import Settings
from ocs.portal.accounts.mail import portal_url
from ocs.portal.accounts.models import SigningKey, User

LIFETIME = timedelta(hours=1)
_ALGORITHM = "RS256"
_BITS = 2048


def issuer(settings: Settings) -> str:
    """Return the name under which we vouch for people."""
    return f"{portal_url(settings)}/o"


def claims(user: User, scope: str) -> dict[str, Any]:
    """Return what a scope lets an application know about a user."""
    granted = scope.split()
    found: dict[str, Any] = {"sub": str(user.id)}
    if "profile" in granted:
        found |= {
            "name": f"{user.first_name} {user.last_name}".strip(),
            "given_name": user.first_name,
            "family_name": user.last_name,
            "preferred_username": user.username,
        }
    if "email" in granted:
        found["email"] = user.email
    return found


def discovery(settings: Settings) -> dict[str, Any]:
    """Return the document of OpenID Connect Discovery 1.0."""
    base = issuer(settings)
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize/",
        "token_endpoint": f"{base}/token/",
        "userinfo_endpoint": f"{base}/userinfo/",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "revocation_endpoint": f"{base}/revoke_token/",
        "introspection_endpoint": f"{base}/introspect/",
        "scopes_supported": ["openid", "profile", "email", "read", "write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", "password"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [_ALGORITHM],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "sub",
            "name",
            "given_name",
            "family_name",
            "preferred_username",
            "email",
        ],
    }


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs identity tokens."""

    key: RSAKey
    issuer: str

    def public_keys(self) -> dict[str, Any]:
        """Return what others need to check a signature."""
        public = self.key.as_dict(private=False)
        return {"keys": [{**public, "alg": _ALGORITHM, "use": "sig", "kid": self.key.thumbprint()}]}

    def id_token(
        self,
        user: User,
        scope: str,
        *,
        client_id: str,
        access_token: str,
        nonce: str | None,
        authenticated_at: datetime,
        now: datetime,
    ) -> str:
        """Return a signed statement of who logged in, for one application."""
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        statement = claims(user, scope) | {
            "iss": self.issuer,
            "aud": client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "auth_time": int(authenticated_at.timestamp()),
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
        }
        if nonce is not None:
            statement["nonce"] = nonce
        return jwt.encode({"alg": _ALGORITHM, "kid": self.key.thumbprint()}, statement, self.key)


async def signer(session: WriteSession, vault: Vault, now: datetime, settings: Settings) -> Signer:
    """Return the signer; the first call of an installation makes its key."""
    stored = await session.scalar(select(SigningKey.key_encrypted))
    if stored is None:
        new = await asyncio.to_thread(RSAKey.generate_key, _BITS)
        encrypted = vault.encrypt(orjson.dumps(new.as_dict(private=True)).decode())
        await session.execute(
            insert(SigningKey).values(id=1, key_encrypted=encrypted, created_at=now).on_conflict_do_nothing()
        )
        stored = await session.scalar(select(SigningKey.key_encrypted))
    assert stored is not None
    return Signer(RSAKey.import_key(orjson.loads(vault.decrypt(stored))), issuer(settings))
