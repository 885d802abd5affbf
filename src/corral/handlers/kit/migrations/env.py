"""What alembic runs to bring one schema up to date: on the connection, and in the transaction, that it is given."""

from alembic import context
from sqlalchemy import Connection

from corral.handlers.kit.migrate import Schema

connection, schema = context.config.attributes["connection"], context.config.attributes["schema"]
assert isinstance(connection, Connection)
assert isinstance(schema, Schema)
context.configure(
    connection=connection,
    target_metadata=schema.metadata,
    version_table=schema.version_table,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite cannot alter a column: the table is copied
    transactional_ddl=True,  # both databases can; alembic believes that SQLite cannot
)
context.run_migrations()
