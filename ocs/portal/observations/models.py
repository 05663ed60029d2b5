"""Tables of observations.

What never changes after the submission of a request (its proposal and type) is kept with the observation, so
that the lists telescopes poll need no look at the groups.
"""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Numeric, false, func, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ocs.kernel.database import Base
from ocs.portal.observations.states import ObservationState, StatusState
from ocs.portal.requests.states import ObservationType

_OPEN = text("state IN ('PENDING', 'IN_PROGRESS')")

Hours = Annotated[float, mapped_column(Numeric(asdecimal=False), server_default=text("0"))]


def _one_of(
    column: str, values: type[ObservationState] | type[StatusState] | type[ObservationType]
) -> CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({names})", name=column)


class Observation(Base):
    """A request at a telescope in a stretch of time.

    `ours` marks what our own scheduler planned and may replan. Of these no two may overlap on a telescope;
    what others post may (the constraint compares the hash of the telescope's full name as a range, because
    core GiST compares ranges only).
    """

    __tablename__ = "observation"
    __table_args__ = (
        _one_of("state", ObservationState),
        _one_of("observation_type", ObservationType),
        CheckConstraint("priority >= 0", name="priority"),
        ExcludeConstraint(
            (
                func.int8range(
                    text("hashtextextended(site || '.' || enclosure || '.' || telescope, 0)"),
                    text("hashtextextended(site || '.' || enclosure || '.' || telescope, 0)"),
                    text("'[]'"),
                ),
                "=",
            ),
            (func.tstzrange(text("start"), text('"end"')), "&&"),
            name="ex_observation_telescope_period",
            where=text("ours AND state IN ('PENDING', 'IN_PROGRESS')"),
        ),
        Index(None, "request_id", "id"),
        Index(None, "proposal_id", "id"),
        Index("ix_observation_open", "site", "enclosure", "telescope", "end", postgresql_where=_OPEN),
        Index(None, "site", "enclosure", "telescope", "start"),
        Index(None, "start"),
        Index(None, "end"),
        Index(None, "created"),
        Index(None, "modified"),
        Index("ix_observation_canceled", "end", postgresql_where=text("state = 'CANCELED'")),
        {"schema": "observations"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.request.id", ondelete="RESTRICT"))
    proposal_id: Mapped[str]
    observation_type: Mapped[str]
    site: Mapped[str]
    enclosure: Mapped[str]
    telescope: Mapped[str]
    start: Mapped[datetime]
    end: Mapped[datetime]
    priority: Mapped[int]
    state: Mapped[str]
    ours: Mapped[bool] = mapped_column(server_default=false())
    created: Mapped[datetime]
    modified: Mapped[datetime]


class ConfigurationStatus(Base):
    """How one configuration of an observation goes; in the order of the ids, round by round.

    The `summary_` columns are the telescope's report, all null before there is one. `time_charged_h` is what
    the report cost the proposal.
    """

    __tablename__ = "configuration_status"
    __table_args__ = (
        _one_of("state", StatusState),
        CheckConstraint(
            "num_nonnulls(summary_start, summary_end, summary_state, summary_reason, "
            "summary_time_completed_s, summary_events) IN (0, 6)",
            name="summary",
        ),
        Index(None, "observation_id", "id"),
        Index(None, "configuration_id"),
        Index(None, "instrument_name", "id"),
        {"schema": "observations"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observations.observation.id", ondelete="CASCADE"))
    configuration_id: Mapped[int | None] = mapped_column(
        ForeignKey("requests.configuration.id", ondelete="RESTRICT")
    )
    instrument_name: Mapped[str]
    guide_camera_name: Mapped[str] = mapped_column(server_default=text("''"))
    state: Mapped[str]
    time_charged_h: Mapped[Hours]
    summary_start: Mapped[datetime | None]
    summary_end: Mapped[datetime | None]
    summary_state: Mapped[str | None]
    summary_reason: Mapped[str | None]
    summary_time_completed_s: Mapped[float | None]
    summary_events: Mapped[list[Any] | None]
    created: Mapped[datetime]
    modified: Mapped[datetime]
