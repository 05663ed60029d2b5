"""The ingest queue."""

import sqlalchemy as sa
from alembic import op

revision = "ingest_0001"
down_revision = None
branch_labels = ("ingest",)
depends_on = ("kernel_0001",)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS ingest")
    op.create_table(
        "file",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frame_id", sa.BigInteger(), nullable=True),
        sa.Column("cleared", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'archived', 'duplicate', 'quarantined', 'vanished')",
            name=op.f("ck_file_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        schema="ingest",
    )
    op.create_index(
        "uq_file_uncleared_path",
        "file",
        ["path"],
        unique=True,
        schema="ingest",
        postgresql_where=sa.text("NOT cleared"),
    )
    op.create_index("ix_file_state", "file", ["state", "id"], schema="ingest")


def downgrade() -> None:
    op.drop_table("file", schema="ingest")
    op.execute("DROP SCHEMA ingest")
