"""Frames, their files, headers, relations and pictures."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

revision = "archive_0001"
down_revision = None
branch_labels = ("archive",)
depends_on = ("kernel_0001",)


class Box(UserDefinedType):
    def get_col_spec(self, **_):
        return "BOX"


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS archive")
    op.create_table(
        "choice",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("public_from", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kind", "value", "proposal_id", name=op.f("pk_choice")),
        schema="archive",
    )
    op.create_table(
        "frame",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("basename", sa.Text(), nullable=False),
        sa.Column("observation_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("observation_day", sa.Date(), nullable=True),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("instrument_id", sa.Text(), nullable=False),
        sa.Column("target_name", sa.Text(), nullable=False),
        sa.Column("reduction_level", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("telescope_id", sa.Text(), nullable=False),
        sa.Column("exposure_time", sa.Double(), nullable=True),
        sa.Column("primary_optical_element", sa.Text(), nullable=False),
        sa.Column("public_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("configuration_type", sa.Text(), nullable=False),
        sa.Column("observation_id", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.BigInteger(), nullable=True),
        sa.Column("submitter", sa.Text(), nullable=False),
        sa.Column("area", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("sky_xy", Box(), nullable=True),
        sa.Column("sky_yz", Box(), nullable=True),
        sa.Column("has_version", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frame")),
        sa.UniqueConstraint("basename", name=op.f("uq_frame_basename")),
        schema="archive",
    )
    op.create_index(
        "ix_frame_instrument", "frame", ["instrument_id", "observation_date"], unique=False, schema="archive"
    )
    op.create_index(
        "ix_frame_newest",
        "frame",
        ["observation_date", "id"],
        unique=False,
        schema="archive",
        postgresql_where=sa.text("has_version AND observation_date IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_frame_observation_day"), "frame", ["observation_day"], unique=False, schema="archive"
    )
    op.create_index(
        op.f("ix_frame_observation_id"), "frame", ["observation_id"], unique=False, schema="archive"
    )
    op.create_index(
        "ix_frame_proposal", "frame", ["proposal_id", "observation_date"], unique=False, schema="archive"
    )
    op.create_index(op.f("ix_frame_public_date"), "frame", ["public_date"], unique=False, schema="archive")
    op.create_index(op.f("ix_frame_request_id"), "frame", ["request_id"], unique=False, schema="archive")
    op.create_index("ix_frame_site", "frame", ["site_id", "observation_date"], unique=False, schema="archive")
    op.create_index(
        "ix_frame_sky", "frame", ["sky_xy", "sky_yz"], unique=False, schema="archive", postgresql_using="gist"
    )
    op.create_index(
        "ix_frame_submitter", "frame", ["submitter", "observation_date"], unique=False, schema="archive"
    )
    op.create_index(op.f("ix_frame_target_name"), "frame", ["target_name"], unique=False, schema="archive")
    op.create_table(
        "headers",
        sa.Column("frame_id", sa.BigInteger(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["archive.frame.id"], name=op.f("fk_headers_frame_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("frame_id", name=op.f("pk_headers")),
        schema="archive",
    )
    op.create_table(
        "related",
        sa.Column("frame_id", sa.BigInteger(), nullable=False),
        sa.Column("related_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["archive.frame.id"], name=op.f("fk_related_frame_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["related_id"], ["archive.frame.id"], name=op.f("fk_related_related_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("frame_id", "related_id", name=op.f("pk_related")),
        schema="archive",
    )
    op.create_index(op.f("ix_related_related_id"), "related", ["related_id"], unique=False, schema="archive")
    op.create_table(
        "thumbnail",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("frame_id", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("basename", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("md5", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["archive.frame.id"], name=op.f("fk_thumbnail_frame_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thumbnail")),
        sa.UniqueConstraint("basename", name=op.f("uq_thumbnail_basename")),
        schema="archive",
    )
    op.create_index(op.f("ix_thumbnail_frame_id"), "thumbnail", ["frame_id"], unique=False, schema="archive")
    op.create_index(op.f("ix_thumbnail_md5"), "thumbnail", ["md5"], unique=False, schema="archive")
    op.create_table(
        "version",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("frame_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("md5", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["archive.frame.id"], name=op.f("fk_version_frame_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
        sa.UniqueConstraint("key", name=op.f("uq_version_key")),
        sa.UniqueConstraint("md5", name=op.f("uq_version_md5")),
        schema="archive",
    )
    op.create_index(op.f("ix_version_frame_id"), "version", ["frame_id"], unique=False, schema="archive")


def downgrade() -> None:
    op.drop_table("version", schema="archive")
    op.drop_table("thumbnail", schema="archive")
    op.drop_table("related", schema="archive")
    op.drop_table("headers", schema="archive")
    op.drop_table("frame", schema="archive")
    op.drop_table("choice", schema="archive")
    op.execute("DROP SCHEMA archive")
