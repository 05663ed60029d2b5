"""How Alembic runs our migrations: on the connection that `ocs.kernel.schema` hands over.

To write a migration of one module from its models, point OCS_DATABASE_URL at a migrated database and run
``python migrations/new.py <module> <revision> "<message>"``.
"""

from alembic import context

from ocs.main import all_metadata

config = context.config
only_schemas = config.attributes.get("only_schemas")


def include_name(name: str | None, type_: str, parent_names: object) -> bool:
    """Leave out what is not ours: other schemas of the database."""
    if type_ == "schema":
        return name in (only_schemas or all_metadata().schemas)
    return True


context.configure(
    connection=config.attributes["connection"],
    target_metadata=all_metadata().metadata,
    include_schemas=True,
    include_name=include_name,
    include_object=lambda item, name, type_, reflected, compare_to: (
        type_ != "table" or only_schemas is None or item.schema in only_schemas
    ),
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
