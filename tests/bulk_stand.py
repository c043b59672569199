"""A stand for answering files: a giver that counts instead of an engine, tables in every format, a way to die."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zygote import Say

from headrace.data.progress import Progress
from headrace.errors import NotFound, NotServed
from headrace.serving.answerer import Given
from headrace.serving.bulk import Written, chunks
from headrace.serving.bulk.run import Bulk
from headrace.serving.engine import Ask

LABELS = ("refund", "parcel", "password", "other")
Rows = Sequence[Mapping[str, Any]]


def right(text: str) -> str:
    """The label that the giver gives a text."""
    return LABELS[zlib.crc32(text.encode()) % len(LABELS)]


class Giver:
    """Gives `right`, and remembers what it was asked; `before` hears each call's number and may end it."""

    def __init__(
        self, releases: Mapping[str, str] | None = None, before: Callable[[int], object] = lambda number: None
    ) -> None:
        self.releases = dict(releases or {"desk": "rel_1"})
        self.asked: list[str] = []
        self.calls = 0
        self.corrections = ""
        self._before = before

    def follow(self) -> None:
        """Nothing to follow."""

    def serving(self, task: str, channel: str) -> str:
        """The channel's release."""
        if channel not in self.releases:
            raise NotServed("nothing serves here yet.", cure="Run: headrace turn")
        return self.releases[channel]

    def taught(self, task: str, channel: str) -> str:
        """What the test says."""
        return self.corrections

    def give(self, asks: Sequence[Ask]) -> list[Given | NotServed]:
        """Answers by text alone."""
        self.calls += 1
        self._before(self.calls)
        self.asked += [ask.text for ask in asks]
        return [Given(right(a.text), 0.75, self.releases[a.channel], "adp_1") for a in asks]


def known(task: str, channel: str) -> None:
    """Raise NotFound for channels that a project does not have."""
    if channel not in ("desk", "forum", "kiosk"):
        raise NotFound(f"there is no channel {channel!r}.")


def answered(
    giver: Giver,
    file: Path,
    out: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    **asked: Any,
) -> Written:
    """A file answered for the channel desk, or as `asked` says."""
    bulk = Bulk(giver, known, workers=workers, progress=progress)
    return bulk.predict_file(file, out, **{"task": "intent", "channel": "desk", **asked})


def rows_of(count: int) -> list[dict[str, str]]:
    """Rows of text, each its own."""
    return [{"n": f"{i}", "text": f"question {i}, or “{i * 7}”\nthen"} for i in range(count)]


def write_table(path: Path, rows: Rows) -> Path:
    """Rows in the format that the ending names."""
    ending = path.suffixes[0]
    if ending == ".parquet":
        import pyarrow.parquet  # it starts threads, and what forks must have none

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=5)
        return path
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if ending == ".json":
            json.dump(list(rows), file)
        elif ending in (".csv", ".tsv"):
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if ending == ".tsv" else ",")
            table.writeheader()
            table.writerows(rows)
        elif ending == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            file.writelines(f"{row['text']}\n" for row in rows)
    return path


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of what was written; "" of CSV is None."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return found
    with open(path, encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


@contextlib.contextmanager
def small_chunks(rows: int = 4) -> Iterator[None]:
    """Few rows a chunk, for one block."""
    before, chunks.ROWS = chunks.ROWS, rows
    try:
        yield
    finally:
        chunks.ROWS = before


def killed(say: Say, file: str, out: str, number: int) -> bool:
    """Answer a file, killed with SIGKILL at the `number`-th change of the disk or word of progress.

    Says each text that is asked.
    """
    left = [number]

    def moment(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("fsync", "replace", "unlink", "mkdir", "rmdir"):
        setattr(os, name, _after(moment, getattr(os, name)))
    giver = Saying(say)
    with small_chunks():
        answered(giver, Path(file), Path(out), progress=moment)
    return True


class Saying(Giver):
    """Says what it is asked before it answers."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def taught(self, task: str, channel: str) -> str:
        """What the test says."""
        return self.corrections

    def give(self, asks: Sequence[Ask]) -> list[Given | NotServed]:
        """Answers by text alone."""
        self._say(*[ask.text for ask in asks])
        return super().give(asks)


def _after(moment: Callable[..., None], whole: Callable[..., Any]) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        moment()
        return whole(*given, **named)

    return call
