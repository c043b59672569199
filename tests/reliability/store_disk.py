"""A disk that remembers: every write, sync and rename of a store, so that a power cut can be played anywhere.

SQLite writes through a VFS in Python (apsw), the artifacts through a stand-in for `os`, and both end in one
log in the order in which they happened. `Disk.after` builds what a disk may hold after a cut: what was synced
is there; of the rest each write is there, or a part of it, or not; a name is there when its folder was synced,
else perhaps. `Disk.fail_at` makes the n-th of these calls fail instead.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from headrace.store import artifacts, database

Fault = Callable[[], BaseException]
Entry = tuple[Any, ...]


class Disk:
    """The log of one folder, and the faults to come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[Entry] = []
        self.calls = 0
        self._fault: tuple[int, bool, Callable[[str], BaseException]] | None = None

    def fail_at(self, n: int, fault: Callable[[str], BaseException], *, for_ever: bool = False) -> None:
        """Let the n-th call from now on raise `fault(kind of call)`, and with `for_ever` all after it."""
        self.calls, self._fault = 0, (n, for_ever, fault)

    def mend(self) -> None:
        """No more faults."""
        self._fault = None

    def note(self, *entry: Any) -> None:
        """A call is about to happen."""
        self.calls += 1
        if self._fault is not None:
            n, for_ever, fault = self._fault
            if self.calls == n or (for_ever and self.calls > n):
                raise fault(str(entry[0]))
        self.log.append(entry)

    def acknowledge(self, what: object) -> None:
        """The caller was told that `what` is stored."""
        self.log.append(("acknowledged", what))

    def acknowledged(self, cut: int) -> list[Any]:
        """What had been acknowledged before entry number `cut`."""
        return [entry[1] for entry in self.log[:cut] if entry[0] == "acknowledged"]

    def after(self, cut: int, draw: random.Random, into: Path) -> None:
        """Write to the folder `into` what the disk may hold after a cut before entry number `cut`."""
        _Replay(draw).play(self.log[:cut], self.folder, into)

    @contextmanager
    def mounted(self, pragmas: Sequence[str] = ()) -> Iterator[None]:
        """Stores that are opened inside the block write through this disk."""
        with pytest.MonkeyPatch.context() as patch:
            vfs = _Vfs(self)
            patch.setattr(artifacts, "os", _Os(self))
            patch.setattr(database, "create_engine", lambda url: _engine(url, vfs.vfs_name, pragmas))
            yield
            vfs.unregister()


def _engine(url: URL, vfs: str, pragmas: Sequence[str]) -> Any:
    return create_engine(url, creator=lambda: _Connection(str(url.database), vfs, pragmas))


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.vfs_name = f"disk{id(disk)}"
        super().__init__(self.vfs_name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        self._disk.note("open", _name(name))
        return _File(self._disk, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:
        self._disk.note("delete", Path(name).name, sync_folder)
        super().xDelete(name, sync_folder)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk, self._name = disk, _name(name)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.note("write", self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._disk.note("truncate", self._name, size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.note("sync", self._name)
        super().xSync(flags)


def _name(path: Any) -> str:
    """The name of a file of SQLite; a temporary one has none."""
    said = path.filename() if isinstance(path, apsw.URIFilename) else path or ""
    return Path(said).name


class _Os:
    """Stands in for `os` in headrace.store.artifacts: the real one, its writing calls noted."""

    def __init__(self, disk: Disk) -> None:
        self._disk, self._paths = disk, dict[int, str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            self._disk.note("create", str(path))
        handle = os.open(path, flags, mode)
        self._paths[handle] = str(path)
        return handle

    def write(self, handle: int, data: Any) -> int:
        # A disk may take less than it was given: the writer has to go on.
        part = bytes(data[:5000])
        self._disk.note("append", self._paths[handle], part)
        return os.write(handle, part)

    def fsync(self, handle: int) -> None:
        self._disk.note("fsync", self._paths[handle])
        os.fsync(handle)

    def close(self, handle: int) -> None:
        self._paths.pop(handle, None)
        os.close(handle)

    def replace(self, old: Path, new: Path) -> None:
        self._disk.note("rename", str(old), str(new))
        os.replace(old, new)

    def makedirs(self, folder: Path, exist_ok: bool) -> None:
        for part in [*reversed(folder.parents), folder]:
            if not part.is_dir():
                self._disk.note("mkdir", str(part))
                part.mkdir(exist_ok=exist_ok)


class _Replay:
    """What is durable after a cut, drawn where the disk was free to choose."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._chance = draw.choice([0.0, 0.5, 1.0])
        self._durable: dict[str, bytearray] = {}
        self._pending: dict[str, list[Entry]] = {}
        self._names: dict[str, tuple[str, str]] = {}
        self._unsynced: list[tuple[str, str, str]] = []
        self._content: dict[str, str] = {}
        self._fresh: set[str] = set()

    def play(self, log: Iterable[Entry], home: Path, into: Path) -> None:
        for entry in log:
            getattr(self, f"_{entry[0]}")(*entry[1:])
        for folder, path, content in self._unsynced:
            if self._kept():
                self._names[path] = (folder, content)
        for name, pending in self._pending.items():
            self._apply(name, [part for entry in pending if self._kept() for part in [self._torn(entry)]])
        into.mkdir(parents=True, exist_ok=True)
        for name, data in self._durable.items():
            if "/" not in name:
                (into / name).write_bytes(data)
        for path, (folder, content) in self._names.items():
            if content and self._reachable(folder, home):
                target = into / Path(path).relative_to(home)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._durable.get(content, b""))

    def _kept(self) -> bool:
        return self._draw.random() < self._chance

    def _torn(self, entry: Entry) -> Entry:
        """The write, whole or only its beginning."""
        if entry[0] == "write" and self._draw.random() < 0.2:
            return (entry[0], entry[1], entry[2][: self._draw.randint(0, len(entry[2]))])
        return entry

    def _apply(self, name: str, entries: Iterable[Entry]) -> None:
        for kind, at, data in entries:
            if kind == "delete":
                self._durable.pop(name, None)
                continue
            held = self._durable.setdefault(name, bytearray())
            if kind == "truncate":
                del held[at:]
            else:
                held.extend(bytes(max(0, at - len(held))))
                held[at : at + len(data)] = data

    def _reachable(self, folder: str, home: Path) -> bool:
        path = Path(folder)
        while path != home:
            if str(path) not in self._names:
                return False
            path = path.parent
        return True

    def _acknowledged(self, what: object) -> None:
        pass

    def _open(self, name: str) -> None:
        if name.endswith(("-wal", "-journal")) and name not in self._durable and name not in self._pending:
            self._fresh.add(name)

    def _write(self, name: str, at: int, data: bytes) -> None:
        self._pending.setdefault(name, []).append(("write", at, data))

    def _truncate(self, name: str, size: int) -> None:
        self._pending.setdefault(name, []).append(("truncate", size, b""))

    def _sync(self, name: str) -> None:
        self._apply(name, self._pending.pop(name, []))
        if name in self._fresh:
            # With the first sync of a new log or journal SQLite syncs the folder: what was deleted stays so.
            self._fresh.discard(name)
            for other, pending in self._pending.items():
                gone = max((i + 1 for i, entry in enumerate(pending) if entry[0] == "delete"), default=0)
                self._apply(other, pending[:gone])
                del pending[:gone]

    def _delete(self, name: str, sync_folder: bool) -> None:
        if sync_folder:
            self._pending.pop(name, None)
            self._durable.pop(name, None)
        else:
            self._pending.setdefault(name, []).append(("delete", 0, b""))

    def _create(self, path: str) -> None:
        self._content[path] = f"/inode{len(self._content)}{path}"
        self._link(path, self._content[path])

    def _append(self, path: str, data: bytes) -> None:
        content = self._content[path]
        size = sum(len(entry[2]) for entry in self._pending.get(content, []))
        self._write(content, size + len(self._durable.get(content, b"")), data)

    def _fsync(self, path: str) -> None:
        if path in self._content:
            self._sync(self._content[path])
            return
        for folder, name, content in [u for u in self._unsynced if u[0] == path]:
            self._names[name] = (folder, content)
        self._unsynced = [u for u in self._unsynced if u[0] != path]

    def _rename(self, old: str, new: str) -> None:
        content = self._content.pop(old)
        self._link(new, content)

    def _mkdir(self, path: str) -> None:
        self._link(path, "")

    def _link(self, path: str, content: str) -> None:
        self._unsynced.append((str(Path(path).parent), path, content))


class _Connection:
    """As much of sqlite3.Connection as SQLAlchemy asks for, on apsw's own SQLite."""

    def __init__(self, path: str, vfs: str, pragmas: Sequence[str]) -> None:
        with _sqlite3_errors():
            self._real = apsw.Connection(path, vfs=vfs)
        self._pragmas = pragmas
        self.isolation_level: str | None = ""

    def cursor(self) -> _Cursor:
        return _Cursor(self._real, self._pragmas)

    def execute(self, sql: str) -> _Cursor:
        return self.cursor().execute(sql)

    def create_function(self, name: str, n: int, function: Any, deterministic: bool = False) -> None:
        self._real.create_scalar_function(name, function, n, deterministic=deterministic)

    def commit(self) -> None:
        if self._real.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self._real.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        with _sqlite3_errors():
            self._real.close()


class _Cursor:
    def __init__(self, real: apsw.Connection, pragmas: Sequence[str]) -> None:
        self._real, self._pragmas = real, pragmas
        self.description: Any = None
        self.arraysize, self.rowcount, self.lastrowid = 1, -1, 0
        self._rows: list[Any] = []

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        with _sqlite3_errors():
            made = self._real.cursor()
            self.description = None
            made.exec_trace = self._describe
            before = self._real.total_changes()
            self._rows = list(made.execute(sql, parameters or None))
        self.rowcount = self._real.total_changes() - before
        self.lastrowid = self._real.last_insert_rowid()
        # After the store's own pragmas, the test's.
        if sql.startswith("PRAGMA foreign_keys=ON"):
            for pragma in self._pragmas:
                self._real.execute(f"PRAGMA {pragma}")
        return self

    def executemany(self, sql: str, many: Iterable[Any]) -> _Cursor:
        for parameters in many:
            self.execute(sql, parameters)
        return self

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = size or self.arraysize
        found, self._rows = self._rows[:wanted], self._rows[wanted:]
        return found

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows) or 1)

    def close(self) -> None:
        self._rows = []

    def _describe(self, cursor: Any, _sql: str, _bindings: Any) -> bool:
        self.description = [
            (c[0], None, None, None, None, None, None) for c in cursor.get_description()
        ] or None
        return True


@contextmanager
def _sqlite3_errors() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        kind = sqlite3.IntegrityError if isinstance(error, apsw.ConstraintError) else sqlite3.OperationalError
        made = kind(str(error))
        made.sqlite_errorcode = error.extendedresult
        made.sqlite_errorname = str(
            apsw.mapping_extended_result_codes.get(error.extendedresult)
            or apsw.mapping_result_codes[error.extendedresult & 255]
        )
        raise made from error
