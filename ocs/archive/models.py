"""Tables of the archive."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from ocs.kernel.database import Base

SCHEMA = "archive"
LISTED = text("has_version AND observation_date IS NOT NULL")


class BoxType(UserDefinedType[Any]):
    """Postgres' rectangle in a plane: a pair of opposite corners."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the name of the type."""
        return "BOX"


ischema_names["box"] = BoxType


class Frame(Base):
    """One exposure, or a product of one.

    A frame without `observation_date` is a placeholder: only its name is known, as somebody's relative.
    """

    __tablename__ = "frame"
    __table_args__ = (
        Index("ix_frame_newest", "observation_date", "id", postgresql_where=LISTED),
        Index("ix_frame_proposal", "proposal_id", "observation_date"),
        Index("ix_frame_instrument", "instrument_id", "observation_date"),
        Index("ix_frame_site", "site_id", "observation_date"),
        Index("ix_frame_submitter", "submitter", "observation_date"),
        Index("ix_frame_sky", "sky_xy", "sky_yz", postgresql_using="gist"),
        {"schema": SCHEMA},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    basename: Mapped[str] = mapped_column(unique=True)
    observation_date: Mapped[datetime | None]
    observation_day: Mapped[date | None] = mapped_column(index=True)
    proposal_id: Mapped[str] = mapped_column(default="")
    instrument_id: Mapped[str] = mapped_column(default="")
    target_name: Mapped[str] = mapped_column(default="", index=True)
    reduction_level: Mapped[int] = mapped_column(default=0)
    site_id: Mapped[str] = mapped_column(default="")
    telescope_id: Mapped[str] = mapped_column(default="")
    exposure_time: Mapped[float | None]
    primary_optical_element: Mapped[str] = mapped_column(default="")
    public_date: Mapped[datetime | None] = mapped_column(index=True)
    configuration_type: Mapped[str] = mapped_column(default="")
    observation_id: Mapped[int | None] = mapped_column(index=True)
    request_id: Mapped[int | None] = mapped_column(index=True)
    submitter: Mapped[str] = mapped_column(default="")
    area: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    sky_xy: Mapped[Any] = mapped_column(BoxType(), nullable=True)
    sky_yz: Mapped[Any] = mapped_column(BoxType(), nullable=True)
    has_version: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime]
    modified: Mapped[datetime]


class Headers(Base):
    """All headers of a frame; apart from it because only few callers ask for them."""

    __tablename__ = "headers"
    __table_args__ = ({"schema": SCHEMA},)

    frame_id: Mapped[int] = mapped_column(ForeignKey(Frame.id, ondelete="CASCADE"), primary_key=True)
    data: Mapped[dict[str, Any]]


class Version(Base):
    """One stored file of a frame; frames gain versions and never lose one.

    `size` is None when the bytes are not in our store: then only the record of the file was handed in.
    """

    __tablename__ = "version"
    __table_args__ = ({"schema": SCHEMA},)

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey(Frame.id, ondelete="CASCADE"), index=True)
    key: Mapped[str] = mapped_column(unique=True)
    md5: Mapped[str] = mapped_column(unique=True)
    extension: Mapped[str]
    path: Mapped[str]
    size: Mapped[int | None]
    created: Mapped[datetime]


class Related(Base):
    """Two frames that belong together; stored in both directions."""

    __tablename__ = "related"
    __table_args__ = ({"schema": SCHEMA},)

    frame_id: Mapped[int] = mapped_column(ForeignKey(Frame.id, ondelete="CASCADE"), primary_key=True)
    related_id: Mapped[int] = mapped_column(
        ForeignKey(Frame.id, ondelete="CASCADE"), primary_key=True, index=True
    )


class Thumbnail(Base):
    """A small picture of a frame."""

    __tablename__ = "thumbnail"
    __table_args__ = ({"schema": SCHEMA},)

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey(Frame.id, ondelete="CASCADE"), index=True)
    size: Mapped[str]
    basename: Mapped[str] = mapped_column(unique=True)
    extension: Mapped[str]
    key: Mapped[str]
    md5: Mapped[str] = mapped_column(index=True)
    path: Mapped[str]
    stored_bytes: Mapped[int | None]


class Choice(Base):
    """A value that frames of a proposal have, for the menus; public from the first of those frames on."""

    __tablename__ = "choice"
    __table_args__ = ({"schema": SCHEMA},)

    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    proposal_id: Mapped[str] = mapped_column(primary_key=True)
    public_from: Mapped[datetime | None]
