"""Downtimes."""

import sqlalchemy as sa
from alembic import op

revision = "downtime_0001"
down_revision = None
branch_labels = ("downtime",)
depends_on = ("kernel_0001",)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS downtime")
    op.create_table(
        "downtime",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("enclosure", sa.Text(), nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("instrument_type", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint('"end" > start', name=op.f("ck_downtime_end_after_start")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_downtime")),
        schema="downtime",
    )
    op.create_index(
        op.f("ix_downtime_end_start"), "downtime", ["end", "start"], unique=False, schema="downtime"
    )
    op.create_index(
        op.f("ix_downtime_site_enclosure_telescope_start_end"),
        "downtime",
        ["site", "enclosure", "telescope", "start", "end"],
        unique=False,
        schema="downtime",
    )


def downgrade() -> None:
    op.drop_table("downtime", schema="downtime")
    op.execute("DROP SCHEMA downtime")
