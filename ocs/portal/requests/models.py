"""Tables of request groups.

A request's configurations are one document in the form lists send (see `documents`), with their ids inside.
What is searched or referred to from elsewhere has columns or rows of its own: windows, and the ids of the
configurations, which statuses of observations point at.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ocs.kernel.database import Base
from ocs.portal.requests.states import ObservationType, Operator, State


def _one_of(column: str, values: type[State] | type[ObservationType] | type[Operator]) -> CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({names})", name=column)


class RequestGroup(Base):
    """What an astronomer submits at once.

    `grams` are the three-letter pieces of its name (``n:abc``) and of its targets' names (``t:abc``) in lower
    case, so that a search for a part of a name has an index.
    """

    __tablename__ = "request_group"
    __table_args__ = (
        _one_of("observation_type", ObservationType),
        _one_of("operator", Operator),
        _one_of("state", State),
        CheckConstraint("ipp_value >= 0", name="ipp_value"),
        Index(None, "proposal_id", "id"),
        Index(None, "submitter_id", "id"),
        Index(None, "created"),
        Index(None, "name"),
        Index(None, "modified"),
        Index(None, "ipp_value"),
        Index("ix_request_group_open", "id", postgresql_where=text("state = 'PENDING'")),
        Index(None, "state", "id"),
        Index(None, "observation_type", "id"),
        Index(None, "grams", postgresql_using="gin"),
        {"schema": "requests"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    proposal_id: Mapped[str]
    submitter_id: Mapped[int]
    observation_type: Mapped[str]
    operator: Mapped[str]
    ipp_value: Mapped[float]
    state: Mapped[str]
    created: Mapped[datetime]
    modified: Mapped[datetime]
    grams: Mapped[list[str]] = mapped_column(ARRAY(Text))


class Request(Base):
    """One observation to be made; everything in it is observed in one go at one telescope.

    `duration` is in whole seconds and stored at creation, `type_seconds` its unrounded share per instrument
    type. `semester_id` is the semester of its windows. For requests that people placed themselves (DIRECT,
    REAL_TIME) location and window are those of their first observation.
    """

    __tablename__ = "request"
    __table_args__ = (
        _one_of("state", State),
        CheckConstraint("optimization_type IN ('TIME', 'AIRMASS')", name="optimization_type"),
        CheckConstraint("configuration_repeats >= 1", name="configuration_repeats"),
        CheckConstraint("acceptability_threshold BETWEEN 0 AND 100", name="acceptability_threshold"),
        CheckConstraint("duration >= 0", name="duration"),
        Index(None, "group_id", "id"),
        Index(None, "modified"),
        Index(None, "telescope_class", "group_id"),
        Index(None, "state", "id"),
        Index("ix_request_open", "group_id", postgresql_where=text("state = 'PENDING'")),
        {"schema": "requests"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("requests.request_group.id", ondelete="CASCADE"))
    state: Mapped[str]
    created: Mapped[datetime]
    modified: Mapped[datetime]
    observation_note: Mapped[str]
    optimization_type: Mapped[str]
    acceptability_threshold: Mapped[float]
    configuration_repeats: Mapped[int]
    suspend_until: Mapped[datetime | None]
    extra_params: Mapped[dict[str, Any]]
    telescope_class: Mapped[str]
    site: Mapped[str]
    enclosure: Mapped[str]
    telescope: Mapped[str]
    duration: Mapped[int]
    type_seconds: Mapped[dict[str, Any]]
    semester_id: Mapped[str | None]
    configurations: Mapped[list[Any]]


class Window(Base):
    """A stretch of time in which a request may be observed."""

    __tablename__ = "window"
    __table_args__ = (
        CheckConstraint('"end" > start', name="ends_after_start"),
        Index(None, "request_id", "id"),
        Index(None, "start", "request_id"),
        Index(None, "end", "request_id"),
        {"schema": "requests"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.request.id", ondelete="CASCADE"))
    start: Mapped[datetime]
    end: Mapped[datetime]


class Configuration(Base):
    """The id of a configuration, for those who refer to it; what it says is in the request's document."""

    __tablename__ = "configuration"
    __table_args__ = (
        UniqueConstraint("request_id", "position"),
        Index(None, "instrument_type", "request_id"),
        {"schema": "requests"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.request.id", ondelete="CASCADE"))
    position: Mapped[int]
    instrument_type: Mapped[str]
    type: Mapped[str]
    target_name: Mapped[str]


class Draft(Base):
    """An unfinished request group, as the composer's text."""

    __tablename__ = "draft"
    __table_args__ = (
        UniqueConstraint("author_id", "proposal_id", "title"),
        Index(None, "proposal_id", "modified"),
        Index(None, "modified"),
        {"schema": "requests"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    author_id: Mapped[int]
    proposal_id: Mapped[str]
    title: Mapped[str]
    content: Mapped[str]
    created: Mapped[datetime]
    modified: Mapped[datetime]


class TelescopeEvent(Base):
    """A change of a telescope's readiness; an empty reason means that it is available."""

    __tablename__ = "telescope_event"
    __table_args__ = ({"schema": "requests"},)

    site: Mapped[str] = mapped_column(primary_key=True)
    enclosure: Mapped[str] = mapped_column(primary_key=True)
    telescope: Mapped[str] = mapped_column(primary_key=True)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    reason: Mapped[str]


class Seeing(Base):
    """A measured seeing; the latest of a telescope is what counts."""

    __tablename__ = "seeing"
    __table_args__ = (CheckConstraint("seeing_arcsec >= 0", name="seeing_arcsec"), {"schema": "requests"})

    site: Mapped[str] = mapped_column(primary_key=True)
    enclosure: Mapped[str] = mapped_column(primary_key=True)
    telescope: Mapped[str] = mapped_column(primary_key=True)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    seeing_arcsec: Mapped[float]


class Submission(Base):
    """What a POST was answered, so that its repetition is not a second one.

    With a `key` of the client the answer is replayed; without one the same body only earns a hint.
    """

    __tablename__ = "submission"
    __table_args__ = (
        Index(
            "uq_submission_user_id_key",
            "user_id",
            "key",
            unique=True,
            postgresql_where=text("key IS NOT NULL"),
        ),
        Index(None, "user_id", "body_digest", "created"),
        Index(None, "created"),
        {"schema": "requests"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    user_id: Mapped[int]
    key: Mapped[str | None]
    body_digest: Mapped[bytes]
    group_id: Mapped[int | None]
    status: Mapped[int]
    answer: Mapped[bytes]
    created: Mapped[datetime]
