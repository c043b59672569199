"""Alembic's entry point: runs the migrations in one transaction, on the connection that it is handed."""

from alembic import context
from sqlalchemy import Connection, text

from headrace.errors import StoreError
from headrace.store.database import VERSION_TABLE
from headrace.store.tables import metadata

# Any fixed number does: it names the lock under which one process migrates a Postgres database.
_ADVISORY = 7_263_482


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transaction_per_migration=False,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY})
        context.run_migrations()
        if (
            connection.dialect.name == "sqlite"
            and connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        ):
            raise StoreError("a row names one that is not there.", cure="Restore it: headrace restore BACKUP")


def _migrate_sqlite(connection: Connection) -> None:
    # Rebuilding a table with foreign keys on would delete the rows that point at it.
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        _migrate(connection)
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


handed: Connection = context.config.attributes["connection"]
writing = handed.execution_options(headrace_write=True)
(_migrate_sqlite if handed.dialect.name == "sqlite" else _migrate)(writing)
