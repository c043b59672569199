"""A file answered: checked, taken up where an earlier run ended, answered chunk by chunk, joined."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from headrace.data.fields import choose
from headrace.data.progress import Progress
from headrace.data.readers.lines import Source
from headrace.data.readers.parquet import row_count
from headrace.data.readers.table import column_names, format_of
from headrace.errors import Conflict, InputError, NotFound, NotServed
from headrace.serving.bulk import Giver, Order, Written
from headrace.serving.bulk.chunks import Chunk, Chunks
from headrace.serving.bulk.join import join, refuse_ending
from headrace.serving.bulk.parts import AnswerRow, Parts, made
from headrace.store.artifacts import sync_folder

SHOWN = 10
"""Rows that could not be asked and are named in the result; the file names all."""
_REMEMBERED = 10_000  # channels of which is known whether they can be asked
_READ = 1 << 20


class Bulk:
    """Answers files through `giver`; `check` raises NotFound where a (task, channel) is not the project's.

    `workers` chunks are answered at a time. `progress` hears the stage, rows done and rows in all.
    """

    def __init__(
        self,
        giver: Giver,
        check: Callable[[str, str], None],
        *,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> None:
        self._giver, self._check, self._workers = giver, check, workers
        self._progress = progress or (lambda stage, done, total: None)

    def predict_file(
        self,
        file: Path,
        out: Path,
        *,
        task: str,
        channel: str | None = None,
        column: str | None = None,
        channel_column: str | None = None,
        restart: bool = False,
        mixed: bool = False,
    ) -> Written:
        """Answer every row of `file` into `out`, going on where an unfinished run of the same order ended.

        Raises InputError, NotFound, NotServed, MissingExtra before anything is written; Conflict where an
        unfinished run was of another input or order, unless `restart` throws its answers away, or was answered
        by another release or before other corrections, unless `mixed` lets both stand; StoreBusy while another
        process writes there.
        """
        source = Source(file, str(file))
        _refuse(source, out)
        order = _order(source, task, channel, column, channel_column)
        self._giver.follow()
        channels = _Channels(order.task, self._giver, self._check)
        if channel is not None:
            channels.demand(channel)
        parts, seen = Parts(out), _Seen(source)
        with parts.open({"input": seen.to_json(), "order": order.to_json()}, restart=restart):
            if not mixed:
                _refuse_others(parts, channels)
            kept = self._answer(
                Chunks(source, order, channels.refusal), parts, channels, file.name, seen.rows
            )
            seen.refuse_changed()
            written = self._join(source, order, parts, out, kept)
            parts.remove()
        return written

    def _answer(
        self, chunks: Iterable[Chunk], parts: Parts, channels: _Channels, name: str, total: int
    ) -> int:
        """Answer what has no part yet; gives the rows that had one."""
        waiting: deque[Future[int]] = deque()
        done = kept = 0
        with ThreadPoolExecutor(self._workers, "headrace-bulk") as pool:
            try:
                for chunk in chunks:
                    if parts.has(chunk):
                        done, kept = done + chunk.rows, kept + chunk.rows
                        continue
                    waiting.append(pool.submit(self._part, chunk, parts, channels.taught))
                    if len(waiting) > self._workers:
                        done += waiting.popleft().result()
                        self._progress(f"answering {name}", done, max(total, done))
                done += sum(future.result() for future in waiting)
            finally:
                for future in waiting:
                    future.cancel()
        self._progress(f"answering {name}", done, done)
        return kept

    def _part(self, chunk: Chunk, parts: Parts, taught: Mapping[str, str]) -> int:
        parts.put(chunk.number, made(chunk, self._giver.give(chunk.asks), taught))
        return chunk.rows

    def _join(self, source: Source, order: Order, parts: Parts, out: Path, kept: int) -> Written:
        tally = _Tally()
        kinds, rows = _kinds(parts), sum(part.rows for part in parts)
        target = parts.folder / f"joined{out.suffix}"
        answers = tally.counted(chain.from_iterable(part.answers() for part in parts))
        for done in join(source, order.column, kinds, answers, target):
            self._progress(f"writing {out.name}", done, rows)
        os.replace(target, out)
        sync_folder(out.parent)
        return Written(out, tally.rows, tally.rows - tally.failed, tally.failed, kept, tuple(tally.errors))


class _Channels:
    """Which channels can be asked, each checked once."""

    def __init__(self, task: str, giver: Giver, check: Callable[[str, str], None]) -> None:
        self._task, self._giver, self._check = task, giver, check
        self._refusals: dict[str, str] = {}
        self.taught: dict[str, str] = {}

    def demand(self, channel: str) -> str:
        """The release that answers it; raises NotFound, NotServed."""
        self._check(self._task, channel)
        release = self._giver.serving(self._task, channel)
        self.taught[channel] = self._giver.taught(self._task, channel)
        self._refusals[channel] = ""
        return release

    def refusal(self, channel: str) -> str:
        """Why it cannot be asked, "" where it can."""
        if channel not in self._refusals:
            if len(self._refusals) >= _REMEMBERED:
                self._refusals.clear()
            try:
                self.demand(channel)
            except (NotFound, NotServed) as error:
                self._refusals[channel] = error.what
        return self._refusals[channel]


class _Seen:
    """The input as it was read: its size and digest, its lines, and when it was written."""

    def __init__(self, source: Source) -> None:
        self._source, self._stamp = source, _stamp(source.path)
        self._digest, lines = _digest(source.path)
        packed, kind = source.path.suffix == ".gz", format_of(source.path)
        self.rows = row_count(source) if kind == "parquet" else 0 if packed or kind == "json" else lines
        """About how many rows there are; 0 where only reading tells."""

    def to_json(self) -> dict[str, Any]:
        """As the manifest keeps it: the content alone, so that a copy or another date changes nothing."""
        return {"bytes": self._stamp[0], "sha256": self._digest}

    def refuse_changed(self) -> None:
        """Raise Conflict where the file holds something else by now."""
        now = _stamp(self._source.path)
        if now != self._stamp and _digest(self._source.path)[0] != self._digest:
            raise Conflict(
                "the input changed while it was answered.",
                where=self._source.name,
                cure="Add --restart to answer anew.",
            )


class _Tally:
    """Counts answers on their way, and keeps the first few errors."""

    def __init__(self) -> None:
        self.rows = self.failed = 0
        self.errors: list[str] = []

    def counted(self, answers: Iterable[AnswerRow]) -> Iterator[AnswerRow]:
        """The same answers."""
        for answer in answers:
            self.rows += 1
            if answer[-1] is not None:
                self.failed += 1
                if len(self.errors) < SHOWN:
                    self.errors.append(answer[-1])
            yield answer


def _refuse(source: Source, out: Path) -> None:
    """Raise InputError or MissingExtra where the file cannot be read twice, or the answers not be written."""
    refuse_ending(out)
    if not source.path.is_file():
        raise InputError(
            "there is no such file.", where=source.name, cure="Name a file; what comes in a pipe, save first."
        )
    if out.exists() and out.samefile(source.path):
        raise InputError("the answers would replace the input.", where=str(out), cure="Name another --out.")
    if not out.parent.is_dir():
        raise InputError("there is no such folder.", where=str(out.parent), cure="Make it first.")


def _order(
    source: Source, task: str, channel: str | None, column: str | None, channel_column: str | None
) -> Order:
    names = column_names(source)
    if not names:
        raise InputError("the file has no columns.", where=source.name, cure="Remove it, or correct it.")
    try:
        found = choose(names, text=column, label=None, split=None, where=source.name).text
    except InputError as error:
        cure = error.cure if column else f"Add --column with one of: {', '.join(names)}."
        raise InputError(error.what, where=error.where, cure=cure) from None
    if channel_column is not None:
        choose(names, text=channel_column, label=None, split=None, where=source.name)
    if channel is None and channel_column is None:
        raise InputError("no channel is named.", field="channel", cure="Name one, or a column of channels.")
    return Order(task, channel, found, channel_column)


def _refuse_others(parts: Parts, channels: _Channels) -> None:
    """Raise Conflict where an unfinished run's answers are of releases or corrections that were others."""
    given = {(channel, release, taught) for part in parts.known() for channel, release, _, taught in part.by}
    for channel, release, taught in sorted(given):
        now, what = channels.demand(channel), ""
        if now != release:
            what = f"an unfinished run was answered by release {release}, and {now} serves by now."
        elif channels.taught[channel] != taught:
            what = f"an unfinished run was answered before the corrections of {channel!r} changed."
        if what:
            raise Conflict(
                what,
                where=str(parts.folder),
                cure="Add --restart to answer anew, or --mixed to go on: each row names its release.",
            )


def _kinds(parts: Parts) -> dict[str, set[str]]:
    """The kinds of values of every field of all rows."""
    found: dict[str, set[str]] = {}
    for part in parts:
        for name, kinds in part.kinds.items():
            found.setdefault(name, set()).update(kinds)
    return found


def _stamp(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_size, known.st_mtime_ns


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 of a file, and its lines."""
    digest, lines = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while block := file.read(_READ):
            digest.update(block)
            lines += block.count(b"\n")
    return digest.hexdigest(), lines
