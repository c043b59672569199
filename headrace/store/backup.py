"""One file that holds a whole store, taken while others write, and restored into either database.

A backup is a tar: `headrace.yaml`, a JSON Lines file a table, the artifacts, and the schema's revision. All
tables are read in one transaction, so it equals one committed state; artifacts never change, so they need no
such care. What an earlier version wrote is brought to this one by the same migrations that a store goes through
when it is opened.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, MetaData, Table, func, select

from headrace.errors import Conflict, InputError, NotFound
from headrace.store import tables
from headrace.store.artifacts import Artifacts, sync_folder
from headrace.store.database import VERSION_TABLE, Database, check_known
from headrace.store.failures import disk_errors
from headrace.store.table import batches

RECIPE = "headrace.yaml"
SCHEMA = "schema"
BATCH = 1000
RowsOf = Callable[[Table], Iterable[dict[str, Any]]]
_ANOTHER = "Take another backup."


def write_backup(
    database: Database, artifacts: Artifacts, recipe: str, to: Path, *, over: bool = False
) -> int:
    """Write the whole store to the tar file `to` and return its size in bytes.

    It appears under its name only when it is whole. Raises Conflict where the file is there already, unless
    it may be written `over`; then the old one stays until the new one is whole.
    """
    if to.exists() and not over:
        raise Conflict(f"{to} exists already.", cure="Name another file.")
    unfinished = to.with_name(f".{to.name}.{os.urandom(8).hex()}")
    with disk_errors(str(to)):
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(unfinished, database, artifacts, recipe)
            os.replace(unfinished, to)
            sync_folder(to.parent)
        finally:
            unfinished.unlink(missing_ok=True)
        return to.stat().st_size


def read_recipe(backup: Path) -> str:
    """The recipe inside a backup; raises NotFound or InputError."""
    with _opened(backup) as tar:
        return _member(tar, RECIPE, backup).read().decode()


def read_backup(backup: Path, database: Database, artifacts: Artifacts) -> dict[str, int]:
    """Fill an empty store from a backup, in one transaction; returns the rows of each table.

    Raises Conflict where the store holds something already, InputError where the file is not a backup.
    """
    with _opened(backup) as tar:
        schema = _member(tar, SCHEMA, backup).read().decode()
        check_known(schema, str(backup))
        _restore_artifacts(tar, artifacts, backup)
        older = schema != database.revision()
        source = _migrated(tar, schema, backup, artifacts.folder.parent) if older else _as_it_is(tar, backup)
        with source as rows_of, database.write() as connection:
            _check_empty(connection, database)
            counts = {t.name: _fill(connection, t, rows_of(t)) for t in tables.metadata.sorted_tables}
            _advance_sequences(connection, database)
    return counts


def _write(path: Path, database: Database, artifacts: Artifacts, recipe: str) -> None:
    with open(path, "xb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, RECIPE, io.BytesIO(recipe.encode()))
            _add_tables(tar, database)
            for digest in artifacts:
                tar.add(artifacts.path(digest), f"artifacts/{digest}")
            # Last, so that a file that was cut short lacks it.
            _add(tar, SCHEMA, io.BytesIO((database.revision() or "").encode()))
        file.flush()
        os.fsync(file.fileno())


def _add_tables(tar: tarfile.TarFile, database: Database) -> None:
    with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            with tempfile.TemporaryFile() as lines:
                for row in connection.execution_options(yield_per=BATCH).execute(select(table)):
                    lines.write(json.dumps(_plain(row._mapping)).encode() + b"\n")
                lines.seek(0)
                _add(tar, f"tables/{table.name}.jsonl", lines)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, os.SEEK_END)
    content.seek(0)
    tar.addfile(entry, content)


def _plain(row: Any) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}


@contextmanager
def _opened(backup: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(backup, "r:") as tar:
            yield tar
    except FileNotFoundError:
        raise NotFound(f"there is no backup {backup}.") from None
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"this is not a backup, or not a whole one: {error}.", where=str(backup), cure=_ANOTHER
        ) from error


def _member(tar: tarfile.TarFile, name: str, backup: Path) -> IO[bytes]:
    try:
        found = tar.extractfile(name)
    except (KeyError, tarfile.TarError):
        found = None
    if found is None:
        raise InputError(f"the backup lacks {name}.", where=str(backup), cure=_ANOTHER)
    return found


def _restore_artifacts(tar: tarfile.TarFile, artifacts: Artifacts, backup: Path) -> None:
    for member in tar:
        digest = member.name.removeprefix("artifacts/")
        if not member.isfile() or digest == member.name:
            continue
        # The name inside the tar is never a path here: content is stored under the hash of what was read.
        if artifacts.put(_member(tar, member.name, backup).read()) != digest:
            raise InputError(f"the artifact {digest[:12]} is damaged.", where=str(backup), cure=_ANOTHER)


def _check_empty(connection: Connection, database: Database) -> None:
    for table in tables.metadata.sorted_tables:
        if connection.execute(select(func.count()).select_from(table)).scalar():
            raise Conflict(
                "the store holds rows already.", where=database.where, cure="Restore into an empty folder."
            )


@contextmanager
def _as_it_is(tar: tarfile.TarFile, backup: Path) -> Iterator[RowsOf]:
    """The rows of a table as they stand in a backup of this version."""
    yield lambda table: _rows(_member(tar, f"tables/{table.name}.jsonl", backup), table, backup)


@contextmanager
def _migrated(tar: tarfile.TarFile, schema: str, backup: Path, beside: Path) -> Iterator[RowsOf]:
    """The rows of today's tables that the migrations make of a backup of an earlier `schema`.

    They are taken in a database of their own, on the disk that has room for them, so that a step that fails
    leaves nothing in the store.
    """
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        database = Database(f"sqlite:///{folder}/older.db")
        try:
            database.upgrade(schema)
            with database.write() as connection, _as_it_is(tar, backup) as rows_of:
                for table in _tables_of(connection):
                    _fill(connection, table, rows_of(table))
            database.upgrade()
            with database.read() as connection:
                read = connection.execution_options(yield_per=BATCH)
                yield lambda table: (dict(row._mapping) for row in read.execute(select(table)))
        finally:
            database.close()


def _tables_of(connection: Connection) -> list[Table]:
    """The tables of an earlier schema. A column keeps its name for good, so today's say which ones are times."""
    found = MetaData()
    found.reflect(connection)
    for table in found.tables.values():
        today = tables.metadata.tables.get(table.name)
        for column in today.columns if today is not None else ():
            if isinstance(column.type, tables.Moment) and column.name in table.columns:
                table.columns[column.name].type = column.type
    return [table for table in found.sorted_tables if table.name != VERSION_TABLE]


def _fill(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    for batch in batches(rows, BATCH):
        connection.execute(table.insert(), batch)
        count += len(batch)
    return count


def _rows(lines: IO[bytes], table: Table, backup: Path) -> Iterator[dict[str, Any]]:
    names = set(table.columns.keys())
    moments = [c.name for c in table.columns if isinstance(c.type, tables.Moment)]
    for number, line in enumerate(lines, 1):
        row: dict[str, Any] = {}
        try:
            row = json.loads(line)
            row.update({k: datetime.fromisoformat(row[k]) for k in moments if row.get(k)})
            whole = set(row) == names
        except (ValueError, TypeError, AttributeError):
            whole = False
        if not whole:
            what = f"line {number} of the table {table.name} is damaged."
            raise InputError(what, where=str(backup), cure=_ANOTHER)
        yield row


def _advance_sequences(connection: Connection, database: Database) -> None:
    """Postgres numbers the next row from its own counters, which explicit numbers do not move."""
    if database.is_sqlite:
        return
    for table in tables.metadata.sorted_tables:
        if "seq" in table.columns:
            counter = func.pg_get_serial_sequence(table.name, "seq")
            connection.execute(select(func.setval(counter, func.greatest(func.max(table.c.seq), 1))))
