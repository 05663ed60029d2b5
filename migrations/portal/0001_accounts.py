"""Users, tokens, sessions, OAuth applications and outgoing mail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "portal_0001"
down_revision = None
branch_labels = ("portal",)
depends_on = ("kernel_0001",)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS accounts")
    op.create_table(
        "login_attempts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_attempts")),
        schema="accounts",
    )
    op.create_index(
        op.f("ix_login_attempts_started_at"),
        "login_attempts",
        ["started_at"],
        unique=False,
        schema="accounts",
    )
    op.create_table(
        "mail",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body_encrypted", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail")),
        schema="accounts",
    )
    op.create_index(
        "ix_mail_due_at",
        "mail",
        ["due_at"],
        unique=False,
        schema="accounts",
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.create_table(
        "signing_key",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_signing_key_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_key")),
        schema="accounts",
    )
    op.create_table(
        "user",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("last_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("email", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_staff", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("institution", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("title", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("education_user", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("notifications_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "notifications_on_authored_only", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("simple_interface", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "view_authored_requests_only", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("staff_view", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("terms_accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["accounts.user.id"], name=op.f("fk_user_created_by_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("username", name=op.f("uq_user_username")),
        schema="accounts",
    )
    op.create_index(
        "uq_user_email_lower",
        "user",
        [sa.literal_column("lower(email)")],
        unique=True,
        schema="accounts",
        postgresql_where=sa.text("email <> ''"),
    )
    op.create_table(
        "api_token",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user.id"], name=op.f("fk_api_token_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_token_key_hash")),
        schema="accounts",
    )
    op.create_table(
        "browser_session",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user.id"], name=op.f("fk_browser_session_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_browser_session")),
        schema="accounts",
    )
    op.create_index(
        op.f("ix_browser_session_expires_at"),
        "browser_session",
        ["expires_at"],
        unique=False,
        schema="accounts",
    )
    op.create_index(
        op.f("ix_browser_session_user_id"), "browser_session", ["user_id"], unique=False, schema="accounts"
    )
    op.create_table(
        "oauth_application",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=True),
        sa.Column("client_type", sa.Text(), nullable=False),
        sa.Column("grant_type", sa.Text(), nullable=False),
        sa.Column(
            "redirect_uris", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("skip_authorization", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "client_type = 'public' OR secret_hash IS NOT NULL", name=op.f("ck_oauth_application_secret")
        ),
        sa.CheckConstraint(
            "client_type IN ('public', 'confidential')", name=op.f("ck_oauth_application_client_type")
        ),
        sa.CheckConstraint(
            "grant_type IN ('password', 'authorization-code', 'client-credentials')",
            name=op.f("ck_oauth_application_grant_type"),
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["accounts.user.id"],
            name=op.f("fk_oauth_application_owner_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_application")),
        sa.UniqueConstraint("client_id", name=op.f("uq_oauth_application_client_id")),
        schema="accounts",
    )
    op.create_table(
        "oauth_grant",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("application_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["accounts.oauth_application.id"],
            name=op.f("fk_oauth_grant_application_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user.id"], name=op.f("fk_oauth_grant_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_grant")),
        schema="accounts",
    )
    op.create_index(
        op.f("ix_oauth_grant_application_id"),
        "oauth_grant",
        ["application_id"],
        unique=False,
        schema="accounts",
    )
    op.create_index(
        op.f("ix_oauth_grant_user_id"), "oauth_grant", ["user_id"], unique=False, schema="accounts"
    )
    op.create_table(
        "authorization_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("authenticated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["grant_id"],
            ["accounts.oauth_grant.id"],
            name=op.f("fk_authorization_code_grant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_authorization_code")),
        schema="accounts",
    )
    op.create_index(
        op.f("ix_authorization_code_expires_at"),
        "authorization_code",
        ["expires_at"],
        unique=False,
        schema="accounts",
    )
    op.create_index(
        op.f("ix_authorization_code_grant_id"),
        "authorization_code",
        ["grant_id"],
        unique=False,
        schema="accounts",
    )
    op.create_table(
        "bearer_token",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("application_id", sa.BigInteger(), nullable=True),
        sa.Column("grant_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("prefix", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('oauth', 'personal', 'archive')", name=op.f("ck_bearer_token_kind")),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["accounts.oauth_application.id"],
            name=op.f("fk_bearer_token_application_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["grant_id"],
            ["accounts.oauth_grant.id"],
            name=op.f("fk_bearer_token_grant_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user.id"], name=op.f("fk_bearer_token_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bearer_token")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_bearer_token_key_hash")),
        schema="accounts",
    )
    op.create_index(
        op.f("ix_bearer_token_application_id"),
        "bearer_token",
        ["application_id"],
        unique=False,
        schema="accounts",
    )
    op.create_index(
        op.f("ix_bearer_token_expires_at"), "bearer_token", ["expires_at"], unique=False, schema="accounts"
    )
    op.create_index(
        op.f("ix_bearer_token_grant_id"), "bearer_token", ["grant_id"], unique=False, schema="accounts"
    )
    op.create_index(
        op.f("ix_bearer_token_user_id"), "bearer_token", ["user_id"], unique=False, schema="accounts"
    )
    op.create_index(
        "uq_bearer_token_archive",
        "bearer_token",
        ["user_id"],
        unique=True,
        schema="accounts",
        postgresql_where=sa.text("kind = 'archive'"),
    )
    op.create_table(
        "refresh_token",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["grant_id"],
            ["accounts.oauth_grant.id"],
            name=op.f("fk_refresh_token_grant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_refresh_token")),
        schema="accounts",
    )
    op.create_index(
        op.f("ix_refresh_token_expires_at"), "refresh_token", ["expires_at"], unique=False, schema="accounts"
    )
    op.create_index(
        op.f("ix_refresh_token_grant_id"), "refresh_token", ["grant_id"], unique=False, schema="accounts"
    )


def downgrade() -> None:
    op.drop_table("refresh_token", schema="accounts")
    op.drop_table("bearer_token", schema="accounts")
    op.drop_table("authorization_code", schema="accounts")
    op.drop_table("oauth_grant", schema="accounts")
    op.drop_table("oauth_application", schema="accounts")
    op.drop_table("browser_session", schema="accounts")
    op.drop_table("api_token", schema="accounts")
    op.drop_table("user", schema="accounts")
    op.drop_table("signing_key", schema="accounts")
    op.drop_table("mail", schema="accounts")
    op.drop_table("login_attempts", schema="accounts")
    op.execute("DROP SCHEMA accounts")
