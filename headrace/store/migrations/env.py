"""Alembic's entry point: runs the migrations on the connection that the store hands over."""

from alembic import context
from sqlalchemy import text

from headrace.store.database import VERSION_TABLE
from headrace.store.tables import metadata

connection = context.config.attributes["connection"]
# Rebuilding a table with foreign keys on would delete the rows that point at it.
if connection.dialect.name == "sqlite":
    connection.execute(text("SELECT 1"))
    connection.rollback()
    connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
context.configure(
    connection=connection.execution_options(headrace_write=True),
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
if connection.dialect.name == "sqlite":
    if connection.in_transaction():
        connection.commit()
    connection.connection.driver_connection.execute("PRAGMA foreign_keys=ON")
elif connection.in_transaction():
    connection.commit()
