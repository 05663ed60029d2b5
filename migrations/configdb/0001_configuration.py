"""Configuration and its history."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "configdb_0001"
down_revision = None
branch_labels = ("configdb",)
depends_on = ("kernel_0001",)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS configdb")
    op.create_table(
        "camera_type",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("pscale", sa.Double(), nullable=False),
        sa.Column("pixels_x", sa.BigInteger(), nullable=False),
        sa.Column("pixels_y", sa.BigInteger(), nullable=False),
        sa.Column("max_rois", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera_type")),
        sa.UniqueConstraint("name", name=op.f("uq_camera_type_name")),
        schema="configdb",
    )
    op.create_table(
        "configuration_type",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_configuration_type")),
        schema="configdb",
    )
    op.create_table(
        "generic_mode",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("overhead", sa.Double(), nullable=False),
        sa.Column("schedulable", sa.Boolean(), nullable=False),
        sa.Column("validation_schema", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generic_mode")),
        schema="configdb",
    )
    op.create_table(
        "instrument_category",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_instrument_category")),
        schema="configdb",
    )
    op.create_table(
        "mode_type",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mode_type")),
        schema="configdb",
    )
    op.create_table(
        "optical_element",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("schedulable", sa.Boolean(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_optical_element")),
        sa.UniqueConstraint("code", name=op.f("uq_optical_element_code")),
        schema="configdb",
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        schema="configdb",
    )
    op.create_table(
        "site",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("long", sa.Double(), nullable=False),
        sa.Column("elevation", sa.BigInteger(), nullable=False),
        sa.Column("timezone", sa.BigInteger(), nullable=False),
        sa.Column("tz", sa.Text(), nullable=False),
        sa.Column("restart", sa.Time(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        schema="configdb",
    )
    op.create_index(
        "uq_site_code", "site", [sa.literal_column("lower(code)")], unique=True, schema="configdb"
    )
    op.create_table(
        "camera",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("orientation", sa.Double(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("camera_type_id", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_type_id"], ["configdb.camera_type.id"], name=op.f("fk_camera_camera_type_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_camera_camera_type_id"), "camera", ["camera_type_id"], unique=False, schema="configdb"
    )
    op.create_index(
        "uq_camera_code", "camera", [sa.literal_column("lower(code)")], unique=True, schema="configdb"
    )
    op.create_table(
        "enclosure",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["configdb.site.id"], name=op.f("fk_enclosure_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enclosure")),
        schema="configdb",
    )
    op.create_index(op.f("ix_enclosure_site_id"), "enclosure", ["site_id"], unique=False, schema="configdb")
    op.create_index(
        "uq_enclosure_site_id_code",
        "enclosure",
        ["site_id", sa.literal_column("lower(code)")],
        unique=True,
        schema="configdb",
    )
    op.create_table(
        "instrument_type",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("fixed_overhead_per_exposure", sa.Double(), nullable=False),
        sa.Column("observation_front_padding", sa.Double(), nullable=False),
        sa.Column("config_front_padding", sa.Double(), nullable=False),
        sa.Column("acquire_exposure_time", sa.Double(), nullable=False),
        sa.Column("default_acceptability_threshold", sa.Double(), nullable=False),
        sa.Column("allow_self_guiding", sa.Boolean(), nullable=False),
        sa.Column("validation_schema", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("instrument_category", sa.Text(), nullable=True),
        sa.Column("default_configuration_type", sa.Text(), nullable=True),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["default_configuration_type"],
            ["configdb.configuration_type.code"],
            name=op.f("fk_instrument_type_default_configuration_type"),
        ),
        sa.ForeignKeyConstraint(
            ["instrument_category"],
            ["configdb.instrument_category.code"],
            name=op.f("fk_instrument_type_instrument_category"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument_type")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_instrument_type_default_configuration_type"),
        "instrument_type",
        ["default_configuration_type"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_instrument_type_instrument_category"),
        "instrument_type",
        ["instrument_category"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        "uq_instrument_type_code",
        "instrument_type",
        [sa.literal_column("lower(code)")],
        unique=True,
        schema="configdb",
    )
    op.create_table(
        "optical_element_group",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("element_change_overhead", sa.Double(), nullable=False),
        sa.Column("default_id", sa.BigInteger(), nullable=True),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["default_id"], ["configdb.optical_element.id"], name=op.f("fk_optical_element_group_default_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_optical_element_group")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_optical_element_group_default_id"),
        "optical_element_group",
        ["default_id"],
        unique=False,
        schema="configdb",
    )
    op.create_table(
        "version",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["configdb.revision.id"], name=op.f("fk_version_revision_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_version_kind_object_id_id"),
        "version",
        ["kind", "object_id", "id"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_version_revision_id"), "version", ["revision_id"], unique=False, schema="configdb"
    )
    op.create_table(
        "camera_group",
        sa.Column("camera_id", sa.BigInteger(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["configdb.camera.id"], name=op.f("fk_camera_group_camera_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["configdb.optical_element_group.id"], name=op.f("fk_camera_group_group_id")
        ),
        sa.PrimaryKeyConstraint("camera_id", "group_id", name=op.f("pk_camera_group")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_camera_group_group_id"), "camera_group", ["group_id"], unique=False, schema="configdb"
    )
    op.create_table(
        "configuration_type_properties",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("configuration_type", sa.Text(), nullable=False),
        sa.Column("instrument_type", sa.BigInteger(), nullable=False),
        sa.Column("config_change_overhead", sa.Double(), nullable=False),
        sa.Column("schedulable", sa.Boolean(), nullable=False),
        sa.Column("force_acquisition_off", sa.Boolean(), nullable=False),
        sa.Column("requires_optical_elements", sa.Boolean(), nullable=False),
        sa.Column("validation_schema", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["configuration_type"],
            ["configdb.configuration_type.code"],
            name=op.f("fk_configuration_type_properties_configuration_type"),
        ),
        sa.ForeignKeyConstraint(
            ["instrument_type"],
            ["configdb.instrument_type.id"],
            name=op.f("fk_configuration_type_properties_instrument_type"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration_type_properties")),
        sa.UniqueConstraint(
            "configuration_type", "instrument_type", name="uq_configuration_type_properties_pair"
        ),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_configuration_type_properties_configuration_type"),
        "configuration_type_properties",
        ["configuration_type"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_configuration_type_properties_instrument_type"),
        "configuration_type_properties",
        ["instrument_type"],
        unique=False,
        schema="configdb",
    )
    op.create_table(
        "generic_mode_group",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("instrument_type", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("default_id", sa.BigInteger(), nullable=True),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["default_id"], ["configdb.generic_mode.id"], name=op.f("fk_generic_mode_group_default_id")
        ),
        sa.ForeignKeyConstraint(
            ["instrument_type"],
            ["configdb.instrument_type.id"],
            name=op.f("fk_generic_mode_group_instrument_type"),
        ),
        sa.ForeignKeyConstraint(["type"], ["configdb.mode_type.id"], name=op.f("fk_generic_mode_group_type")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generic_mode_group")),
        sa.UniqueConstraint(
            "instrument_type", "type", name=op.f("uq_generic_mode_group_instrument_type_type")
        ),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_generic_mode_group_default_id"),
        "generic_mode_group",
        ["default_id"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_generic_mode_group_instrument_type"),
        "generic_mode_group",
        ["instrument_type"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_generic_mode_group_type"), "generic_mode_group", ["type"], unique=False, schema="configdb"
    )
    op.create_table(
        "optical_element_group_member",
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("element_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["element_id"],
            ["configdb.optical_element.id"],
            name=op.f("fk_optical_element_group_member_element_id"),
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["configdb.optical_element_group.id"],
            name=op.f("fk_optical_element_group_member_group_id"),
        ),
        sa.PrimaryKeyConstraint("group_id", "element_id", name=op.f("pk_optical_element_group_member")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_optical_element_group_member_element_id"),
        "optical_element_group_member",
        ["element_id"],
        unique=False,
        schema="configdb",
    )
    op.create_table(
        "telescope",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("aperture", sa.Double(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("long", sa.Double(), nullable=False),
        sa.Column("horizon", sa.Double(), nullable=False),
        sa.Column("ha_limit_neg", sa.Double(), nullable=False),
        sa.Column("ha_limit_pos", sa.Double(), nullable=False),
        sa.Column("zenith_blind_spot", sa.Double(), nullable=False),
        sa.Column("telescope_front_padding", sa.Double(), nullable=False),
        sa.Column("slew_rate", sa.Double(), nullable=False),
        sa.Column("minimum_slew_overhead", sa.Double(), nullable=False),
        sa.Column("maximum_slew_overhead", sa.Double(), nullable=False),
        sa.Column("instrument_change_overhead", sa.Double(), nullable=False),
        sa.Column("enclosure_id", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["enclosure_id"], ["configdb.enclosure.id"], name=op.f("fk_telescope_enclosure_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_telescope")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_telescope_enclosure_id"), "telescope", ["enclosure_id"], unique=False, schema="configdb"
    )
    op.create_index(
        "uq_telescope_enclosure_id_code",
        "telescope",
        ["enclosure_id", sa.literal_column("lower(code)")],
        unique=True,
        schema="configdb",
    )
    op.create_table(
        "generic_mode_group_member",
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("mode_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["configdb.generic_mode_group.id"],
            name=op.f("fk_generic_mode_group_member_group_id"),
        ),
        sa.ForeignKeyConstraint(
            ["mode_id"], ["configdb.generic_mode.id"], name=op.f("fk_generic_mode_group_member_mode_id")
        ),
        sa.PrimaryKeyConstraint("group_id", "mode_id", name=op.f("pk_generic_mode_group_member")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_generic_mode_group_member_mode_id"),
        "generic_mode_group_member",
        ["mode_id"],
        unique=False,
        schema="configdb",
    )
    op.create_table(
        "instrument",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("autoguider_type", sa.Text(), nullable=False),
        sa.Column("telescope_id", sa.BigInteger(), nullable=False),
        sa.Column("instrument_type_id", sa.BigInteger(), nullable=False),
        sa.Column("autoguider_camera_id", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["autoguider_camera_id"], ["configdb.camera.id"], name=op.f("fk_instrument_autoguider_camera_id")
        ),
        sa.ForeignKeyConstraint(
            ["instrument_type_id"],
            ["configdb.instrument_type.id"],
            name=op.f("fk_instrument_instrument_type_id"),
        ),
        sa.ForeignKeyConstraint(
            ["telescope_id"], ["configdb.telescope.id"], name=op.f("fk_instrument_telescope_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_instrument_autoguider_camera_id"),
        "instrument",
        ["autoguider_camera_id"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_instrument_instrument_type_id"),
        "instrument",
        ["instrument_type_id"],
        unique=False,
        schema="configdb",
    )
    op.create_index(
        op.f("ix_instrument_telescope_id"), "instrument", ["telescope_id"], unique=False, schema="configdb"
    )
    op.create_index(
        "uq_instrument_telescope_id_code",
        "instrument",
        ["telescope_id", sa.literal_column("lower(code)")],
        unique=True,
        schema="configdb",
        postgresql_where=sa.text("code <> ''"),
    )
    op.create_table(
        "instrument_camera",
        sa.Column("instrument_id", sa.BigInteger(), nullable=False),
        sa.Column("camera_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["configdb.camera.id"], name=op.f("fk_instrument_camera_camera_id")
        ),
        sa.ForeignKeyConstraint(
            ["instrument_id"], ["configdb.instrument.id"], name=op.f("fk_instrument_camera_instrument_id")
        ),
        sa.PrimaryKeyConstraint("instrument_id", "camera_id", name=op.f("pk_instrument_camera")),
        schema="configdb",
    )
    op.create_index(
        op.f("ix_instrument_camera_camera_id"),
        "instrument_camera",
        ["camera_id"],
        unique=False,
        schema="configdb",
    )
    op.bulk_insert(
        sa.table(
            "mode_type", sa.column("id"), sa.column("modified", sa.DateTime(timezone=True)), schema="configdb"
        ),
        [
            {"id": name, "modified": datetime(2000, 1, 1, tzinfo=UTC)}
            for name in ("readout", "guiding", "acquisition", "exposure", "rotator")
        ],
    )


def downgrade() -> None:
    op.drop_table("instrument_camera", schema="configdb")
    op.drop_table("instrument", schema="configdb")
    op.drop_table("generic_mode_group_member", schema="configdb")
    op.drop_table("telescope", schema="configdb")
    op.drop_table("optical_element_group_member", schema="configdb")
    op.drop_table("generic_mode_group", schema="configdb")
    op.drop_table("configuration_type_properties", schema="configdb")
    op.drop_table("camera_group", schema="configdb")
    op.drop_table("version", schema="configdb")
    op.drop_table("optical_element_group", schema="configdb")
    op.drop_table("instrument_type", schema="configdb")
    op.drop_table("enclosure", schema="configdb")
    op.drop_table("camera", schema="configdb")
    op.drop_table("site", schema="configdb")
    op.drop_table("revision", schema="configdb")
    op.drop_table("optical_element", schema="configdb")
    op.drop_table("mode_type", schema="configdb")
    op.drop_table("instrument_category", schema="configdb")
    op.drop_table("generic_mode", schema="configdb")
    op.drop_table("configuration_type", schema="configdb")
    op.drop_table("camera_type", schema="configdb")
    op.execute("DROP SCHEMA configdb")
