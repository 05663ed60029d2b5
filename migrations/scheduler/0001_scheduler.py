"""Scheduling runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "scheduler_0001"
down_revision = None
branch_labels = ("scheduler",)
depends_on = ("kernel_0001",)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS scheduler")
    op.create_table(
        "run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("must_repeat", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("estimate_s", sa.Float(), nullable=False),
        sa.Column("timings_s", postgresql.JSONB(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("telescopes", sa.BigInteger(), nullable=False),
        sa.Column("scheduled", sa.BigInteger(), nullable=False),
        sa.Column("objective", sa.Float(), nullable=False),
        sa.Column("bound", sa.Float(), nullable=False),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('optimal', 'feasible', 'failed')", name=op.f("ck_run_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        schema="scheduler",
    )
    op.create_index(op.f("ix_run_started_at"), "run", ["started_at"], schema="scheduler")
    op.create_table(
        "knowledge",
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["scheduler.run.id"], name=op.f("fk_knowledge_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_knowledge")),
        schema="scheduler",
    )


def downgrade() -> None:
    op.drop_table("knowledge", schema="scheduler")
    op.drop_table("run", schema="scheduler")
    op.execute("DROP SCHEMA scheduler")
