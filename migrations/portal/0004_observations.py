"""Observations and how their configurations go."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "portal_0004"
down_revision = "portal_0003"
branch_labels = None
depends_on = None

_TELESCOPE = "hashtextextended(site || '.' || enclosure || '.' || telescope, 0)"
_OPEN = "state IN ('PENDING', 'IN_PROGRESS')"


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS observations")
    op.create_table(
        "observation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("observation_type", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("enclosure", sa.Text(), nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ours", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('PENDING', 'IN_PROGRESS', 'NOT_ATTEMPTED', 'COMPLETED', 'CANCELED', 'ABORTED', "
            "'FAILED', 'BAD_DATA')",
            name=op.f("ck_observation_state"),
        ),
        sa.CheckConstraint(
            "observation_type IN ('NORMAL', 'RAPID_RESPONSE', 'TIME_CRITICAL', 'DIRECT', 'REAL_TIME')",
            name=op.f("ck_observation_observation_type"),
        ),
        sa.CheckConstraint("priority >= 0", name=op.f("ck_observation_priority")),
        postgresql.ExcludeConstraint(
            (sa.text(f"int8range({_TELESCOPE}, {_TELESCOPE}, '[]')"), "="),
            (sa.text('tstzrange(start, "end")'), "&&"),
            using="gist",
            name="ex_observation_telescope_period",
            where=sa.text(f"ours AND {_OPEN}"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["requests.request.id"],
            name=op.f("fk_observation_request_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observation")),
        schema="observations",
    )
    for columns in (
        ("request_id", "id"),
        ("proposal_id", "id"),
        ("site", "enclosure", "telescope", "start"),
        ("start",),
        ("end",),
        ("created",),
        ("modified",),
    ):
        name = op.f(f"ix_observation_{'_'.join(columns)}")
        op.create_index(name, "observation", list(columns), schema="observations")
    op.create_index(
        "ix_observation_open",
        "observation",
        ["site", "enclosure", "telescope", "end"],
        schema="observations",
        postgresql_where=sa.text(_OPEN),
    )
    op.create_index(
        "ix_observation_canceled",
        "observation",
        ["end"],
        schema="observations",
        postgresql_where=sa.text("state = 'CANCELED'"),
    )
    op.create_table(
        "configuration_status",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("observation_id", sa.BigInteger(), nullable=False),
        sa.Column("configuration_id", sa.BigInteger(), nullable=True),
        sa.Column("instrument_name", sa.Text(), nullable=False),
        sa.Column("guide_camera_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("time_charged_h", sa.Numeric(), server_default=sa.text("0"), nullable=False),
        sa.Column("summary_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("summary_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("summary_state", sa.Text(), nullable=True),
        sa.Column("summary_reason", sa.Text(), nullable=True),
        sa.Column("summary_time_completed_s", sa.Double(), nullable=True),
        sa.Column("summary_events", postgresql.JSONB(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('PENDING', 'ATTEMPTED', 'NOT_ATTEMPTED', 'COMPLETED', 'FAILED', 'BAD_DATA')",
            name=op.f("ck_configuration_status_state"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(summary_start, summary_end, summary_state, summary_reason, "
            "summary_time_completed_s, summary_events) IN (0, 6)",
            name=op.f("ck_configuration_status_summary"),
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observations.observation.id"],
            name=op.f("fk_configuration_status_observation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["configuration_id"],
            ["requests.configuration.id"],
            name=op.f("fk_configuration_status_configuration_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration_status")),
        schema="observations",
    )
    for columns in (("observation_id", "id"), ("configuration_id",), ("instrument_name", "id")):
        name = op.f(f"ix_configuration_status_{'_'.join(columns)}")
        op.create_index(name, "configuration_status", list(columns), schema="observations")


def downgrade() -> None:
    op.drop_table("configuration_status", schema="observations")
    op.drop_table("observation", schema="observations")
    op.execute("DROP SCHEMA observations")
