"""One file that holds a whole store, taken while others write, and restored into either database.

A backup is a tar: `headrace.yaml`, a JSON Lines file a table, and the artifacts. All tables are read in one
transaction, so it equals one committed state; artifacts never change, so they need no such care.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Table, func, select, text

from headrace.errors import Conflict, InputError, NotFound
from headrace.store import tables
from headrace.store.artifacts import Artifacts, sync_folder
from headrace.store.database import Database
from headrace.store.table import batches

RECIPE = "headrace.yaml"
BATCH = 1000


def write_backup(database: Database, artifacts: Artifacts, recipe: str, to: Path) -> int:
    """Write the whole store to the tar file `to` and return its size in bytes.

    It appears under its name only when it is whole. Raises Conflict where the file is there already.
    """
    if to.exists():
        raise Conflict(f"{to} exists already.", cure="Name another file.")
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        with tarfile.open(unfinished, "w") as tar:
            _add(tar, RECIPE, io.BytesIO(recipe.encode()))
            _add_tables(tar, database)
            for digest in artifacts:
                tar.add(artifacts.path(digest), f"artifacts/{digest}")
        with open(unfinished, "rb") as whole:
            os.fsync(whole.fileno())
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
        for member in tar:
            name = member.name.removeprefix("artifacts/")
            if member.isfile() and member.name != name:
                _restore_artifact(tar, member, name, artifacts, backup)
        with database.write() as connection:
            _check_empty(connection, database)
            counts = {t.name: _fill(connection, t, tar, backup) for t in tables.metadata.sorted_tables}
            _advance_sequences(connection, database)
    return counts


def _add_tables(tar: tarfile.TarFile, database: Database) -> None:
    with database.read() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
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


def _opened(backup: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(backup, "r:")
    except FileNotFoundError:
        raise NotFound(f"there is no backup {backup}.") from None
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"this is not a backup: {error}.", where=str(backup)) from error


def _member(tar: tarfile.TarFile, name: str, backup: Path) -> IO[bytes]:
    try:
        found = tar.extractfile(name)
    except (KeyError, tarfile.TarError):
        found = None
    if found is None:
        raise InputError(f"the backup lacks {name}.", where=str(backup), cure="Take another backup.")
    return found


def _restore_artifact(
    tar: tarfile.TarFile, member: tarfile.TarInfo, digest: str, artifacts: Artifacts, backup: Path
) -> None:
    # The name inside the tar is never a path here: content is stored under the hash of what was read.
    if artifacts.put(_member(tar, member.name, backup).read()) != digest:
        raise InputError(f"the artifact {digest[:12]} is damaged in the backup.", where=str(backup))


def _check_empty(connection: Connection, database: Database) -> None:
    for table in tables.metadata.sorted_tables:
        if connection.execute(select(func.count()).select_from(table)).scalar():
            raise Conflict(
                "the store holds rows already.", where=database.where, cure="Restore into an empty folder."
            )


def _fill(connection: Connection, table: Table, tar: tarfile.TarFile, backup: Path) -> int:
    moments = [c.name for c in table.columns if isinstance(c.type, tables.Moment)]
    count = 0
    for batch in batches(_rows(_member(tar, f"tables/{table.name}.jsonl", backup), backup), BATCH):
        for row in batch:
            row.update({k: datetime.fromisoformat(row[k]) for k in moments if row[k]})
        connection.execute(table.insert(), batch)
        count += len(batch)
    return count


def _rows(lines: IO[bytes], backup: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError:
            raise InputError(f"line {number} of a table is damaged.", where=str(backup)) from None


def _advance_sequences(connection: Connection, database: Database) -> None:
    """Postgres numbers the next row from its own counters, which explicit numbers do not move."""
    if database.is_sqlite:
        return
    for table in tables.metadata.sorted_tables:
        if "seq" in table.columns:
            counter = func.pg_get_serial_sequence(table.name, "seq")
            connection.execute(select(func.setval(counter, func.greatest(func.max(table.c.seq), 1))))
