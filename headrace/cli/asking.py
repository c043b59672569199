"""What `predict` asks: words, the texts of a small file, or a file of any size that is answered into another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.data.connectors import Broken, Raw
from headrace.data.connectors.files import Options, Part
from headrace.data.readers.table import format_of
from headrace.errors import InputError
from headrace.project import Project
from headrace.records import Answer
from headrace.serving.bulk import Asked, Written

BATCH = 256
SHOWN = 10_000
"""Rows of a file that are answered without --out, at most: they are stored and shown."""

Note = Callable[[str], None]


def file_meant(texts: Sequence[str], file: Path | None, out: Path | None) -> Path | None:
    """The file that is meant, by --file or as the only word; None where words are asked.

    Raises InputError where nothing or both are given, or the word is named like a file that is not there.
    """
    if not texts and file is None:
        raise InputError("give either TEXT or a FILE.", cure='For example: headrace predict "Where is it?"')
    if texts and file is not None:
        raise InputError("TEXT and --file were both given.", cure="Leave one of them out.")
    found = file or _named(texts)
    if out is not None and found is None:
        raise InputError("--out takes the answers to a FILE.", cure="For words: --json > answers.json")
    return found


def _named(texts: Sequence[str]) -> Path | None:
    known = [text for text in texts if format_of(Path(text))]
    there = [text for text in known if os.path.isfile(text)]
    if there and len(texts) > 1:
        raise InputError("a FILE stands beside other words.", cure="Ask one file at a time, or words alone.")
    if known and not there and len(texts) == 1 and not any(map(str.isspace, texts[0])):
        raise InputError("there is no such file.", where=texts[0], cure="Check the path.")
    return Path(there[0]) if there else None


def few(file: Path, column: str | None, note: Note) -> list[str]:
    """The texts of a file; those that cannot be read are named by `note` and left out.

    Raises InputError where there are too many to show.
    """
    found = list(islice(_read(file, column, note), SHOWN + 1))
    if len(found) > SHOWN:
        said = f"the file has more than {SHOWN:,} rows."
        raise InputError(said, where=str(file), cure="Name a file for the answers: --out answers.csv")
    return found


def answers(project: Project, texts: Iterable[str], task: str, channel: str) -> Iterator[Answer]:
    """Stored answers in the order of the texts."""
    waiting = iter(texts)
    while batch := list(islice(waiting, BATCH)):
        yield from project.predict(batch, task=task, channel=channel)


def write(project: Project, file: Path | None, out: Path, workers: int, asked: Asked, note: Note) -> Written:
    """Answer a file into `out`; stopped by hand, `note` says how it goes on."""
    if file is None:
        raise InputError(
            "--out takes the answers to a file.", cure="Name a FILE, or use --json > answers.json"
        )
    try:
        written = project.predict_file(file, out, workers=workers, **asked)
    except KeyboardInterrupt:
        note(f"What is answered is kept in {out}.parts; the same line goes on from there.")
        raise
    for said in written.errors:
        note(f"Not asked: {said}.")
    if written.failed > len(written.errors):
        note(f"And {written.failed - len(written.errors):,} more; the column error names each.")
    return written


def sentence(written: Written) -> str:
    """What became of a file, for people."""
    failed = f"; rows that could not be asked: {written.failed:,}" if written.failed else ""
    kept = f"; {written.kept:,} of the rows by an earlier run" if written.kept else ""
    return f"Wrote {written.answered:,} answers to {written.out}{failed}{kept}."


def summary(written: Written) -> dict[str, Any]:
    """What became of a file, for scripts."""
    return {
        "out": str(written.out),
        "rows": written.rows,
        "answered": written.answered,
        "failed": written.failed,
        "kept": written.kept,
        "errors": list(written.errors),
    }


def _read(file: Path, column: str | None, note: Note) -> Iterator[str]:
    options = Options.model_validate({"path": str(file.resolve()), "text": column})
    for item in Part(options, Path.cwd()).read(None):
        if isinstance(item, Raw) and item.text.strip():
            yield item.text
        elif isinstance(item, Raw):
            note(f"Left out {item.place}: empty.")
        elif isinstance(item, Broken):
            note(f"Left out {item.place}: {item.reason}, {item.detail}.")
