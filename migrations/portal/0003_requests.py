"""Request groups, drafts, and what telescopes report."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "portal_0003"
down_revision = "portal_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS requests")
    op.create_table(
        "draft",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
        sa.UniqueConstraint(
            "author_id", "proposal_id", "title", name=op.f("uq_draft_author_id_proposal_id_title")
        ),
        schema="requests",
    )
    op.create_index(op.f("ix_draft_modified"), "draft", ["modified"], unique=False, schema="requests")
    op.create_index(
        op.f("ix_draft_proposal_id_modified"),
        "draft",
        ["proposal_id", "modified"],
        unique=False,
        schema="requests",
    )
    op.create_table(
        "request_group",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("submitter_id", sa.BigInteger(), nullable=False),
        sa.Column("observation_type", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("ipp_value", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grams", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.CheckConstraint(
            "observation_type IN ('NORMAL', 'RAPID_RESPONSE', 'TIME_CRITICAL', 'DIRECT', 'REAL_TIME')",
            name=op.f("ck_request_group_observation_type"),
        ),
        sa.CheckConstraint(
            "operator IN ('SINGLE', 'MANY', 'AND', 'ONEOF')", name=op.f("ck_request_group_operator")
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'COMPLETED', 'WINDOW_EXPIRED', 'FAILURE_LIMIT_REACHED', 'CANCELED')",
            name=op.f("ck_request_group_state"),
        ),
        sa.CheckConstraint("ipp_value >= 0", name=op.f("ck_request_group_ipp_value")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_group")),
        schema="requests",
    )
    op.create_index(
        op.f("ix_request_group_created"), "request_group", ["created"], unique=False, schema="requests"
    )
    op.create_index(
        op.f("ix_request_group_grams"),
        "request_group",
        ["grams"],
        unique=False,
        schema="requests",
        postgresql_using="gin",
    )
    op.create_index(
        op.f("ix_request_group_ipp_value"), "request_group", ["ipp_value"], unique=False, schema="requests"
    )
    op.create_index(
        op.f("ix_request_group_modified"), "request_group", ["modified"], unique=False, schema="requests"
    )
    op.create_index(op.f("ix_request_group_name"), "request_group", ["name"], unique=False, schema="requests")
    op.create_index(
        op.f("ix_request_group_observation_type_id"),
        "request_group",
        ["observation_type", "id"],
        unique=False,
        schema="requests",
    )
    op.create_index(
        "ix_request_group_open",
        "request_group",
        ["id"],
        unique=False,
        schema="requests",
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_index(
        op.f("ix_request_group_proposal_id_id"),
        "request_group",
        ["proposal_id", "id"],
        unique=False,
        schema="requests",
    )
    op.create_index(
        op.f("ix_request_group_state_id"), "request_group", ["state", "id"], unique=False, schema="requests"
    )
    op.create_index(
        op.f("ix_request_group_submitter_id_id"),
        "request_group",
        ["submitter_id", "id"],
        unique=False,
        schema="requests",
    )
    op.create_table(
        "seeing",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("enclosure", sa.Text(), nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seeing_arcsec", sa.Double(), nullable=False),
        sa.CheckConstraint("seeing_arcsec >= 0", name=op.f("ck_seeing_seeing_arcsec")),
        sa.PrimaryKeyConstraint("site", "enclosure", "telescope", "observed_at", name=op.f("pk_seeing")),
        schema="requests",
    )
    op.create_table(
        "submission",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("body_digest", sa.LargeBinary(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission")),
        schema="requests",
    )
    op.create_index(op.f("ix_submission_created"), "submission", ["created"], unique=False, schema="requests")
    op.create_index(
        op.f("ix_submission_user_id_body_digest_created"),
        "submission",
        ["user_id", "body_digest", "created"],
        unique=False,
        schema="requests",
    )
    op.create_index(
        "uq_submission_user_id_key",
        "submission",
        ["user_id", "key"],
        unique=True,
        schema="requests",
        postgresql_where=sa.text("key IS NOT NULL"),
    )
    op.create_table(
        "telescope_event",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("enclosure", sa.Text(), nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "site", "enclosure", "telescope", "observed_at", name=op.f("pk_telescope_event")
        ),
        schema="requests",
    )
    op.create_table(
        "request",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observation_note", sa.Text(), nullable=False),
        sa.Column("optimization_type", sa.Text(), nullable=False),
        sa.Column("acceptability_threshold", sa.Double(), nullable=False),
        sa.Column("configuration_repeats", sa.BigInteger(), nullable=False),
        sa.Column("suspend_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extra_params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("telescope_class", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("enclosure", sa.Text(), nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("duration", sa.BigInteger(), nullable=False),
        sa.Column("type_seconds", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("semester_id", sa.Text(), nullable=True),
        sa.Column("configurations", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "optimization_type IN ('TIME', 'AIRMASS')", name=op.f("ck_request_optimization_type")
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'COMPLETED', 'WINDOW_EXPIRED', 'FAILURE_LIMIT_REACHED', 'CANCELED')",
            name=op.f("ck_request_state"),
        ),
        sa.CheckConstraint(
            "acceptability_threshold BETWEEN 0 AND 100", name=op.f("ck_request_acceptability_threshold")
        ),
        sa.CheckConstraint("configuration_repeats >= 1", name=op.f("ck_request_configuration_repeats")),
        sa.CheckConstraint("duration >= 0", name=op.f("ck_request_duration")),
        sa.ForeignKeyConstraint(
            ["group_id"], ["requests.request_group.id"], name=op.f("fk_request_group_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
        schema="requests",
    )
    op.create_index(
        op.f("ix_request_group_id_id"), "request", ["group_id", "id"], unique=False, schema="requests"
    )
    op.create_index(op.f("ix_request_modified"), "request", ["modified"], unique=False, schema="requests")
    op.create_index(
        "ix_request_open",
        "request",
        ["group_id"],
        unique=False,
        schema="requests",
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_index(op.f("ix_request_state_id"), "request", ["state", "id"], unique=False, schema="requests")
    op.create_index(
        op.f("ix_request_telescope_class_group_id"),
        "request",
        ["telescope_class", "group_id"],
        unique=False,
        schema="requests",
    )
    op.create_table(
        "configuration",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("instrument_type", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("target_name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["requests.request.id"],
            name=op.f("fk_configuration_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration")),
        sa.UniqueConstraint("request_id", "position", name=op.f("uq_configuration_request_id_position")),
        schema="requests",
    )
    op.create_index(
        op.f("ix_configuration_instrument_type_request_id"),
        "configuration",
        ["instrument_type", "request_id"],
        unique=False,
        schema="requests",
    )
    op.create_table(
        "window",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint('"end" > start', name=op.f("ck_window_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["requests.request.id"], name=op.f("fk_window_request_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window")),
        schema="requests",
    )
    op.create_index(
        op.f("ix_window_end_request_id"), "window", ["end", "request_id"], unique=False, schema="requests"
    )
    op.create_index(
        op.f("ix_window_request_id_id"), "window", ["request_id", "id"], unique=False, schema="requests"
    )
    op.create_index(
        op.f("ix_window_start_request_id"), "window", ["start", "request_id"], unique=False, schema="requests"
    )


def downgrade() -> None:
    op.drop_table("window", schema="requests")
    op.drop_table("configuration", schema="requests")
    op.drop_table("request", schema="requests")
    op.drop_table("telescope_event", schema="requests")
    op.drop_table("submission", schema="requests")
    op.drop_table("seeing", schema="requests")
    op.drop_table("request_group", schema="requests")
    op.drop_table("draft", schema="requests")
    op.execute("DROP SCHEMA requests")
