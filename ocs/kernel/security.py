"""Who the caller is, what they may do, and how secrets are kept.

Authentication is asked for by the type in a handler's signature. Where the users live is not the kernel's
business: `main` gives it an `Authenticator`. The doors differ in one point only, kept from the reference: the
portal answers a missing login with 403, configdb, downtime and archive with 401 and a challenge.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated, Protocol

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import Depends, Request
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers import HasherProtocol
from pwdlib.hashers.argon2 import Argon2Hasher

from ocs.kernel.database import ReadSession
from ocs.kernel.errors import NotAuthenticated, PermissionDenied
from ocs.kernel.wire.route import runtime_of, unit_of_work

SESSION_COOKIE = "sessionid"
CSRF_COOKIE = "csrftoken"
CSRF_HEADER = "X-CSRFToken"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request.

    `proposal_ids` are the proposals the user is a member of; it is part of the authentication query, so that
    every later query can carry the visibility rule without asking again.
    """

    user_id: int | None = None
    username: str = ""
    is_staff: bool = False
    is_superuser: bool = False
    staff_view: bool = False
    view_authored_requests_only: bool = False
    proposal_ids: frozenset[str] = frozenset()
    read_only: bool = False

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is logged in."""
        return self.user_id is not None

    @property
    def sees_everything(self) -> bool:
        """Whether the visibility of requests, observations and proposals is not limited."""
        return self.is_staff and self.staff_view


ANONYMOUS = Principal()


class Authenticator(Protocol):
    """What the kernel asks of the module that keeps the users. None means: no such active user."""

    async def by_token(self, session: ReadSession, key: str) -> Principal | None:
        """Return the owner of an API token."""

    async def by_bearer(self, session: ReadSession, key: str) -> Principal | None:
        """Return the owner of an OAuth access token or personal token."""

    async def by_session(self, session: ReadSession, key: str) -> Principal | None:
        """Return the owner of a browser session."""

    async def by_password(self, session: ReadSession, username: str, password: str) -> Principal | None:
        """Return the user with this name (or e-mail address) and password."""


class Door:
    """How one group of modules lets callers in.

    Parameters
    ----------
    challenge
        Answer 401 with ``WWW-Authenticate`` instead of the portal's 403.
    basic
        Accept HTTP Basic with the portal's password.
    strict_bearer
        Refuse an unknown bearer token instead of treating its owner as anonymous.
    """

    def __init__(self, *, challenge: bool, basic: bool = False, strict_bearer: bool = False) -> None:
        self.challenge = challenge
        self.basic = basic
        self.strict_bearer = strict_bearer

    def _refuse(self, detail: str | None = None) -> NotAuthenticated:
        error = NotAuthenticated(detail, headers={"WWW-Authenticate": "Token"} if self.challenge else None)
        error.status = 401 if self.challenge else 403
        return error

    async def caller(self, request: Request) -> Principal:
        """Return the caller, anonymous if no credentials were sent.

        Raises
        ------
        NotAuthenticated
            When credentials were sent and are wrong.
        """
        authenticator = runtime_of(request).authenticator
        session = await unit_of_work(request).read()
        if key := request.cookies.get(SESSION_COOKIE):
            principal = await authenticator.by_session(session, key)
            if principal is not None:
                _check_csrf(request)
                return self._allow(request, principal)
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "token":
                _check_token_form(credentials, self)
                principal = await authenticator.by_token(session, credentials)
                if principal is None:
                    raise self._refuse("Invalid token.")
            case "bearer":
                principal = await authenticator.by_bearer(session, credentials.strip())
                if principal is None:
                    if self.strict_bearer:
                        raise self._refuse("No Such User")
                    return ANONYMOUS
            case "basic" if self.basic:
                username, password = _basic(credentials)
                principal = await authenticator.by_password(session, username, password)
                if principal is None:
                    raise self._refuse("Invalid username/password.")
            case _:
                return ANONYMOUS
        return self._allow(request, principal)

    def _allow(self, request: Request, principal: Principal) -> Principal:
        if principal.read_only and request.method not in SAFE_METHODS:
            raise PermissionDenied("This token may only read.")
        request.scope["ocs.username"] = principal.username
        return principal

    async def user(self, request: Request) -> Principal:
        """Return the caller, who must be logged in."""
        principal = await self.caller(request)
        if not principal.is_authenticated:
            raise self._refuse()
        return principal

    async def staff(self, request: Request) -> Principal:
        """Return the caller, who must be staff."""
        principal = await self.user(request)
        if not principal.is_staff:
            raise PermissionDenied
        return principal

    async def superuser(self, request: Request) -> Principal:
        """Return the caller, who must be a superuser."""
        principal = await self.user(request)
        if not principal.is_superuser:
            raise PermissionDenied
        return principal


def _check_token_form(credentials: str, door: Door) -> None:
    if not credentials.strip():
        raise door._refuse("Invalid token header. No credentials provided.")
    if " " in credentials.strip():
        raise door._refuse("Invalid token header. Token string should not contain spaces.")


def _basic(credentials: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return username, password


def _check_csrf(request: Request) -> None:
    if request.method in SAFE_METHODS:
        return
    cookie = request.cookies.get(CSRF_COOKIE, "")
    header = request.headers.get(CSRF_HEADER, "")
    if not cookie or not header:
        raise PermissionDenied("CSRF Failed: CSRF token missing.")
    if not hmac.compare_digest(cookie.encode(), header.encode()):
        raise PermissionDenied("CSRF Failed: CSRF token incorrect.")


PORTAL_DOOR = Door(challenge=False)
CONFIGDB_DOOR = Door(challenge=True, basic=True)
DOWNTIME_DOOR = Door(challenge=True)
ARCHIVE_DOOR = Door(challenge=True, strict_bearer=True)

PortalCaller = Annotated[Principal, Depends(PORTAL_DOOR.caller)]
PortalUser = Annotated[Principal, Depends(PORTAL_DOOR.user)]
PortalStaff = Annotated[Principal, Depends(PORTAL_DOOR.staff)]
ConfigdbCaller = Annotated[Principal, Depends(CONFIGDB_DOOR.caller)]
ConfigdbStaff = Annotated[Principal, Depends(CONFIGDB_DOOR.staff)]
DowntimeCaller = Annotated[Principal, Depends(DOWNTIME_DOOR.caller)]
DowntimeUser = Annotated[Principal, Depends(DOWNTIME_DOOR.user)]
DowntimeStaff = Annotated[Principal, Depends(DOWNTIME_DOOR.staff)]
ArchiveCaller = Annotated[Principal, Depends(ARCHIVE_DOOR.caller)]
ArchiveUser = Annotated[Principal, Depends(ARCHIVE_DOOR.user)]
ArchiveStaff = Annotated[Principal, Depends(ARCHIVE_DOOR.staff)]
ArchiveSuperuser = Annotated[Principal, Depends(ARCHIVE_DOOR.superuser)]


# --- secrets --------------------------------------------------------------------------------------------


def new_token(bits: int = 160) -> str:
    """Return a fresh random token in lower-case hex (40 characters by default)."""
    return secrets.token_hex(bits // 8)


def token_hash(token: str) -> bytes:
    """Return the look-up hash of a random token; 32 bytes.

    SHA-256 without salt is enough: tokens carry 128 random bits or more, so they cannot be guessed.
    """
    return hashlib.sha256(token.encode()).digest()


class Vault:
    """Keys derived from the installation's secret: one for encryption, one per purpose for signatures."""

    def __init__(self, secret_key: str) -> None:
        self._root = secret_key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self._derive("encryption")))

    def _derive(self, purpose: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=b"ocs", info=purpose.encode()).derive(self._root)

    def encrypt(self, text: str) -> bytes:
        """Return `text` encrypted and authenticated."""
        return self._fernet.encrypt(text.encode())

    def decrypt(self, token: bytes) -> str:
        """Return what `encrypt` was given; raises `cryptography.fernet.InvalidToken` for anything else."""
        return self._fernet.decrypt(token).decode()

    def sign(self, purpose: str, message: str) -> str:
        """Return a signature (32 hex characters) of `message` for `purpose`."""
        return hmac.new(self._derive(purpose), message.encode(), hashlib.sha256).hexdigest()[:32]

    def verify(self, purpose: str, message: str, signature: str) -> bool:
        """Tell whether `signature` is ours."""
        return hmac.compare_digest(self.sign(purpose, message).encode(), signature.encode())


class Passwords:
    """argon2id off the event loop, at most two at a time."""

    def __init__(self, hashers: tuple[HasherProtocol, ...] = (Argon2Hasher(),)) -> None:
        self._hash = PasswordHash(hashers)
        self._slots = asyncio.Semaphore(2)
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """Return the hash to store."""
        async with self._slots:
            return await asyncio.to_thread(self._hash.hash, password)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Check a password.

        Parameters
        ----------
        stored
            The stored hash; None (no such user) or what is no hash cost the same time as a wrong password.

        Returns
        -------
        tuple of bool and str or None
            Whether it is right, and a better hash to store if the stored one is outdated.
        """
        async with self._slots:
            return await asyncio.to_thread(self._verify, password, stored)

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        self._decoy = self._decoy or self._hash.hash(secrets.token_hex(16))
        try:
            ok, updated = self._hash.verify_and_update(password, stored or self._decoy)
        except UnknownHashError:  # an account without a usable password
            return self._verify(password, None)
        return (ok, updated) if stored is not None else (False, None)
