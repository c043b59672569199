"""The folder beside a target in which its answers gather: a manifest, and one small file per chunk.

A part is written, synced and renamed, so that it is there whole or not at all, whatever ends the process; the
manifest says of which input and which order the parts are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from headrace.errors import Conflict, NotServed, StoreBusy
from headrace.serving.answerer import Given
from headrace.serving.bulk.chunks import Chunk
from headrace.store.artifacts import sync_folder, write_synced

FORMAT = 1
MANIFEST = "manifest.json"
AnswerRow = tuple[str | None, float | None, str | None, str | None, str | None, str | None]
"""label, confidence, because, release, adapter, error."""


@dataclass(frozen=True, slots=True)
class Part:
    """The answers to a chunk: row i has `labels[label[i]]`, given by `by[given[i]]`; -1 where it has none.

    `by` are (channel, release, adapter, digest of corrections); `because` and `errors` are by row.
    """

    rows: int
    labels: list[str]
    by: list[list[str]]
    label: list[int]
    given: list[int]
    confidence: list[float]
    because: dict[str, str]
    errors: dict[str, str]
    kinds: dict[str, list[str]]

    def answers(self) -> Iterator[AnswerRow]:
        """Row by row."""
        for i, (label, by, confidence) in enumerate(
            zip(self.label, self.given, self.confidence, strict=True)
        ):
            if label < 0:
                yield None, None, None, None, None, self.errors[str(i)]
            else:
                _, release, adapter, _ = self.by[by]
                because = self.because.get(str(i)) if self.because else None
                yield self.labels[label], confidence, because, release, adapter, None


def made(chunk: Chunk, given: Sequence[Given | NotServed], taught: Mapping[str, str]) -> Part:
    """The part of a chunk and the answers to its asks; `taught` has each channel's digest of corrections."""
    labels: dict[str, int] = {}
    by: dict[tuple[str, str, str, str], int] = {}
    label, giver, confidence = [-1] * chunk.rows, [-1] * chunk.rows, [0.0] * chunk.rows
    because: dict[str, str] = {}
    errors = {str(place): said for place, said in chunk.errors.items()}
    for place, ask, one in zip(chunk.places, chunk.asks, given, strict=True):
        if isinstance(one, NotServed):
            errors[str(place)] = one.what
            continue
        label[place] = labels.setdefault(one.label, len(labels))
        who = (ask.channel, one.release, one.adapter, taught[ask.channel])
        giver[place] = by.setdefault(who, len(by))
        confidence[place] = round(one.confidence, 6)
        if one.because:
            because[str(place)] = one.because
    kinds = {name: sorted(found) for name, found in chunk.kinds.items()}
    return Part(
        chunk.rows, list(labels), [list(b) for b in by], label, giver, confidence, because, errors, kinds
    )


class Parts:
    """The parts of `target`; open, they belong to this process alone."""

    def __init__(self, target: Path) -> None:
        self.folder = target.with_name(f"{target.name}.parts")
        self._rows: dict[int, int] = {}

    @contextmanager
    def open(self, manifest: Mapping[str, Any], *, restart: bool) -> Iterator[None]:
        """Take up what is there, or begin; with `restart` what is there is thrown away.

        Raises Conflict where the parts are of another input or order, StoreBusy where another process is at it.
        """
        self.folder.mkdir(exist_ok=True)
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StoreBusy(
                "another process is answering into this file.",
                where=str(self.folder),
                cure="Wait for it to end, or name another --out.",
            ) from None
        try:
            self._begin({"format": FORMAT, **manifest}, restart)
            yield
        finally:
            lock.release()

    def has(self, chunk: Chunk) -> bool:
        """Whether a chunk has been answered."""
        return self._rows.get(chunk.number) == chunk.rows

    def put(self, number: int, part: Part) -> None:
        """Keep a part; durable when this returns."""
        self._write(_name(number), orjson.dumps(asdict(part)))

    def __iter__(self) -> Iterator[Part]:
        """The parts from the first on, as far as none is missing."""
        number = 0
        while (part := self._read(number)) is not None:
            yield part
            number += 1

    def known(self) -> Iterator[Part]:
        """The parts that an earlier run left."""
        for number in self._rows:
            part = self._read(number)
            if part is not None:
                yield part

    def clear(self) -> None:
        """Take away all that was kept, the manifest first: without it nothing else counts."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for path in self.folder.glob("*"):
            if path.suffix in (".part", ".new") or path.stem == "joined":
                path.unlink(missing_ok=True)
        self._rows = {}

    def remove(self) -> None:
        """Clear, and take the folder away, unless somebody put something else there."""
        self.clear()
        (self.folder / ".lock").unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _begin(self, manifest: Mapping[str, Any], restart: bool) -> None:
        known = None if restart else self._manifest()
        if known is None:
            self.clear()
            self._write(MANIFEST, orjson.dumps(manifest))
        elif known != manifest:
            raise _other(known, manifest, self.folder)
        for path in sorted(self.folder.glob("*.part")):
            part = self._read(int(path.stem))
            if part is not None:
                self._rows[int(path.stem)] = part.rows

    def _manifest(self) -> Any:
        try:
            return orjson.loads((self.folder / MANIFEST).read_bytes())
        except FileNotFoundError:
            return None

    def _read(self, number: int) -> Part | None:
        try:
            return Part(**orjson.loads((self.folder / _name(number)).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):  # not there, or damaged: answered again
            return None

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self.folder / f"{name}.new"
        unfinished.unlink(missing_ok=True)
        write_synced(unfinished, content)
        os.replace(unfinished, self.folder / name)
        sync_folder(self.folder)


def _name(number: int) -> str:
    return f"{number:08}.part"


def _other(known: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> Conflict:
    """What differs between the run that left the parts and this one."""
    if known.get("input") != wanted["input"]:
        what = "an unfinished run answered another content of the input; it has changed since."
    else:
        before, now = known.get("order") or {}, wanted["order"]
        pairs = [f"{key} {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]]
        what = f"an unfinished run asked otherwise: {'; '.join(pairs) or 'by another version of Headrace'}."
    return Conflict(what, where=str(folder), cure="Add --restart to answer anew, or name another --out.")
