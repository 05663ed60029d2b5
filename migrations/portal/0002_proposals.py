"""Semesters, proposals, memberships, time allocations and their ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "portal_0002"
down_revision = "portal_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS proposals")
    op.create_table(
        "semester",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"), using="gist", name="ex_semester_overlap"
        ),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_semester_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_semester")),
        schema="proposals",
    )
    op.create_table(
        "sca",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["accounts.user.id"], name=op.f("fk_sca_admin_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sca")),
        sa.UniqueConstraint("admin_id", name=op.f("uq_sca_admin_id")),
        schema="proposals",
    )
    op.create_table(
        "collaboration_allocation",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("sca_id", sa.Text(), nullable=False),
        sa.Column("telescope_name", sa.Text(), nullable=False),
        sa.Column("allocation_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["sca_id"],
            ["proposals.sca.id"],
            name=op.f("fk_collaboration_allocation_sca_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collaboration_allocation")),
        sa.UniqueConstraint(
            "sca_id", "telescope_name", name=op.f("uq_collaboration_allocation_sca_id_telescope_name")
        ),
        schema="proposals",
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sca_id", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("title", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("abstract", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("tac_priority", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tac_rank", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("public", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("non_science", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("direct_submission", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("notes", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("tac_priority >= 0 AND tac_rank >= 0", name=op.f("ck_proposal_rank")),
        sa.ForeignKeyConstraint(["sca_id"], ["proposals.sca.id"], name=op.f("fk_proposal_sca_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
        schema="proposals",
    )
    op.create_index(op.f("ix_proposal_sca_id"), "proposal", ["sca_id"], unique=False, schema="proposals")
    op.create_index(
        "ix_proposal_tags", "proposal", ["tags"], unique=False, schema="proposals", postgresql_using="gin"
    )
    op.create_table(
        "invitation",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("time_limit_s", sa.BigInteger(), server_default=sa.text("-1"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('PI', 'CI')", name=op.f("ck_invitation_role")),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.proposal.id"],
            name=op.f("fk_invitation_proposal_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        schema="proposals",
    )
    op.create_index(
        "ix_invitation_email",
        "invitation",
        [sa.literal_column("lower(email)")],
        unique=False,
        schema="proposals",
    )
    op.create_index(
        "uq_invitation_proposal_id_email",
        "invitation",
        ["proposal_id", sa.literal_column("lower(email)")],
        unique=True,
        schema="proposals",
    )
    op.create_table(
        "membership",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("time_limit_s", sa.BigInteger(), server_default=sa.text("-1"), nullable=False),
        sa.CheckConstraint("role IN ('PI', 'CI')", name=op.f("ck_membership_role")),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.proposal.id"],
            name=op.f("fk_membership_proposal_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user.id"], name=op.f("fk_membership_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_membership")),
        sa.UniqueConstraint("user_id", "proposal_id", name=op.f("uq_membership_user_id_proposal_id")),
        schema="proposals",
    )
    op.create_index(
        op.f("ix_membership_proposal_id"), "membership", ["proposal_id"], unique=False, schema="proposals"
    )
    op.create_table(
        "notification",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.proposal.id"],
            name=op.f("fk_notification_proposal_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user.id"], name=op.f("fk_notification_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("proposal_id", "user_id", name=op.f("pk_notification")),
        schema="proposals",
    )
    op.create_index(
        op.f("ix_notification_user_id"), "notification", ["user_id"], unique=False, schema="proposals"
    )
    op.create_table(
        "time_allocation",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("semester_id", sa.Text(), nullable=False),
        sa.Column(
            "std_allocation_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("std_used_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "rr_allocation_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("rr_used_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "tc_allocation_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("tc_used_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "realtime_allocation_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "realtime_used_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("ipp_limit_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "ipp_available_h", sa.Numeric(asdecimal=False), server_default=sa.text("0"), nullable=False
        ),
        sa.CheckConstraint("ipp_available_h >= 0", name=op.f("ck_time_allocation_ipp")),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.proposal.id"],
            name=op.f("fk_time_allocation_proposal_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["semester_id"], ["proposals.semester.id"], name=op.f("fk_time_allocation_semester_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_time_allocation")),
        sa.UniqueConstraint(
            "id", "proposal_id", "semester_id", name=op.f("uq_time_allocation_id_proposal_id_semester_id")
        ),
        schema="proposals",
    )
    op.create_index(
        "ix_time_allocation_proposal_id_semester_id",
        "time_allocation",
        ["proposal_id", "semester_id"],
        unique=False,
        schema="proposals",
    )
    op.create_index(
        op.f("ix_time_allocation_semester_id"),
        "time_allocation",
        ["semester_id"],
        unique=False,
        schema="proposals",
    )
    op.create_table(
        "allocated_type",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("semester_id", sa.Text(), nullable=False),
        sa.Column("instrument_type", sa.Text(), nullable=False),
        sa.Column("allocation_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["allocation_id"],
            ["proposals.time_allocation.id"],
            name=op.f("fk_allocated_type_allocation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "proposal_id", "semester_id", "instrument_type", name=op.f("pk_allocated_type")
        ),
        schema="proposals",
    )
    op.create_index(
        "ix_allocated_type_allocation_id",
        "allocated_type",
        ["allocation_id"],
        unique=False,
        schema="proposals",
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("allocation_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("hours", sa.Numeric(asdecimal=False), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("request_group_id", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.BigInteger(), nullable=True),
        sa.Column("configuration_status_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "account IN ('std', 'rr', 'tc', 'realtime', 'ipp')", name=op.f("ck_ledger_entry_account")
        ),
        sa.ForeignKeyConstraint(
            ["allocation_id"],
            ["proposals.time_allocation.id"],
            name=op.f("fk_ledger_entry_allocation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
        schema="proposals",
    )
    op.create_index(
        op.f("ix_ledger_entry_allocation_id"),
        "ledger_entry",
        ["allocation_id"],
        unique=False,
        schema="proposals",
    )
    op.create_index(
        "ix_ledger_entry_configuration_status_id",
        "ledger_entry",
        ["configuration_status_id"],
        unique=False,
        schema="proposals",
        postgresql_where=sa.text("configuration_status_id IS NOT NULL"),
    )
    op.create_index(
        "ix_ledger_entry_request_group_id",
        "ledger_entry",
        ["request_group_id"],
        unique=False,
        schema="proposals",
        postgresql_where=sa.text("request_group_id IS NOT NULL"),
    )
    op.create_index(
        "ix_ledger_entry_request_id",
        "ledger_entry",
        ["request_id"],
        unique=False,
        schema="proposals",
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("ledger_entry", schema="proposals")
    op.drop_table("allocated_type", schema="proposals")
    op.drop_table("time_allocation", schema="proposals")
    op.drop_table("notification", schema="proposals")
    op.drop_table("membership", schema="proposals")
    op.drop_table("invitation", schema="proposals")
    op.drop_table("proposal", schema="proposals")
    op.drop_table("collaboration_allocation", schema="proposals")
    op.drop_table("sca", schema="proposals")
    op.drop_table("semester", schema="proposals")
    op.execute("DROP SCHEMA proposals")
