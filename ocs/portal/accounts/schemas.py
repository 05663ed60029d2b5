"""What the accounts send and read."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from ocs.kernel.wire.types import WireModel, text

_EMAIL = re.compile(r"^[^@\s<>,;:\"()\[\]\\]+@[^@\s<>,;:\"()\[\]\\]+\.[^@\s.<>,;:\"()\[\]\\]+$")


def _check_email(value: str) -> str:
    if not _EMAIL.match(value):
        raise ValueError("Enter a valid email address.")
    return value


Email = Annotated[str, StringConstraints(min_length=1, max_length=254), AfterValidator(_check_email)]
"""An e-mail address."""


class Message(BaseModel):
    """A sentence that says what was done."""

    message: str


class Credentials(WireModel):
    """Name and password; the name may be an e-mail address."""

    username: text(254)  # type: ignore[valid-type]
    password: Annotated[str, StringConstraints(min_length=1, strip_whitespace=False)]


class ApiLogin(WireModel):
    """Name and password of a browser's login."""

    username: str = ""
    password: Annotated[str, StringConstraints(strip_whitespace=False)] = ""


class ArchiveLogin(WireModel):
    """Name and password, or nothing beside an Authorization header."""

    username: str | None = None
    password: Annotated[str, StringConstraints(strip_whitespace=False)] | None = None


class Token(BaseModel):
    """An API token."""

    token: str


class ArchiveUserProfile(BaseModel):
    """Key `profile` of `ArchiveUser`; empty for an anonymous caller."""

    proposals: list[str] | None = None


class ArchiveUser(BaseModel):
    """Who the caller is, as the archive tells it."""

    username: str
    profile: ArchiveUserProfile
    is_staff: bool


class ApiQuota(BaseModel):
    """Kept for clients that show it."""

    used: int = 0
    allowed: str = "unlimited"


class CollaborationAllocationShown(BaseModel):
    """Hours of a science collaboration on telescopes of one name."""

    allocation: float
    telescope_name: str
    raw_telescope_name: str


class CollaborationShown(BaseModel):
    """The science collaboration a user administers."""

    name: str
    id: str
    collaborationallocation_set: list[CollaborationAllocationShown]


class ProfileShown(BaseModel):
    """Key `profile` of `UserShown`."""

    education_user: bool
    notifications_enabled: bool
    notifications_on_authored_only: bool
    simple_interface: bool
    view_authored_requests_only: bool
    title: str
    staff_view: bool
    institution: str
    api_quota: ApiQuota
    terms_accepted: datetime | None
    sciencecollaborationallocation: CollaborationShown | None
    password_expiration: datetime | None


class OwnProposal(BaseModel):
    """A proposal of the user; limit, use and allocations only when asked for."""

    id: str
    title: str
    current: bool
    time_limit: int | None = None
    time_used: int | None = None
    time_allocations: list[dict[str, Any]] | None = None


class Tokens(BaseModel):
    """The user's tokens; empty for a caller whose own token may only read."""

    archive: str
    api_token: str


class UserShown(BaseModel):
    """The caller."""

    username: str
    first_name: str
    last_name: str
    email: str
    profile: ProfileShown
    is_staff: bool
    is_superuser: bool
    proposals: list[OwnProposal]
    available_instrument_types: list[str]
    tokens: Tokens
    proposal_notifications: list[str]


class ProfileChange(WireModel):
    """Key `profile` of `UserChange`; what is left out stays."""

    education_user: bool = False
    notifications_enabled: bool = False
    notifications_on_authored_only: bool = False
    simple_interface: bool = False
    view_authored_requests_only: bool = False
    staff_view: bool = False
    title: text(200, blank=True) = ""  # type: ignore[valid-type]
    institution: text(200, blank=True) = ""  # type: ignore[valid-type]


class UserChange(WireModel):
    """What users change about themselves; everything else they send is ignored."""

    email: Email = ""
    first_name: text(150, blank=True) = ""  # type: ignore[valid-type]
    last_name: text(150, blank=True) = ""  # type: ignore[valid-type]
    profile: ProfileChange = ProfileChange()


class UserReplacement(UserChange):
    """The same by PUT, which wants the name too."""

    username: text(150)  # type: ignore[valid-type]


class RemovalRequest(WireModel):
    """Why an account shall be removed."""

    reason: text(1000)  # type: ignore[valid-type]


class NewUser(WireModel):
    """A row of a bulk creation."""

    username: text(150)  # type: ignore[valid-type]
    first_name: text(150)  # type: ignore[valid-type]
    last_name: text(150)  # type: ignore[valid-type]
    email: Email
    institution: text(200)  # type: ignore[valid-type]
    title: text(200)  # type: ignore[valid-type]
    password: Annotated[str, StringConstraints(max_length=128, strip_whitespace=False)] | None = None
    education_user: bool = True


class NewUsers(WireModel):
    """A bulk creation."""

    users: list[NewUser] = Field(max_length=50)


class NewUserShown(BaseModel):
    """A created user."""

    username: str
    first_name: str
    last_name: str
    email: str
    institution: str
    title: str
    education_user: bool


class NewUsersShown(BaseModel):
    """Created users."""

    users: list[NewUserShown]


class OAuthTokens(BaseModel):
    """An access token, and how to get the next."""

    access_token: str
    expires_in: int
    token_type: str
    scope: str
    refresh_token: str | None = None


class Introspection(BaseModel):
    """What a token is good for."""

    active: bool
    scope: str | None = None
    exp: int | None = None
    client_id: str | None = None
    username: str | None = None
