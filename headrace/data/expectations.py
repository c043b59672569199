"""expectations.csv of a project: questions with the answer that the owner expects, by channel.

A file of the project, so that it is read, changed and reviewed as the recipe is. `intent` is the label that a
question is to get, `document` the place, title or id of the document that is to answer it; one of the two.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from headrace.errors import InputError, NotFound
from headrace.records import Document
from headrace.store.failures import disk_errors

FILE = "expectations.csv"
_COLUMNS = ("channel", "question", "intent", "document")


@dataclass(frozen=True, slots=True)
class Expectation:
    """A question of a channel, and what is expected to answer it."""

    channel: str
    question: str
    intent: str = ""
    document: str = ""

    def names(self, document: Document) -> bool:
        """Whether it is this document that is expected."""
        return self.document in (document.id, document.place, document.title)


def expectations(folder: Path) -> list[Expectation]:
    """Those of a project's folder, in the file's order; raises InputError with the line of a mistake."""
    path = folder / FILE
    if not path.is_file():
        return []
    with disk_errors(str(path)):
        text = path.read_text(encoding="utf-8-sig")
    lines = csv.DictReader(io.StringIO(text, newline=""))
    absent = {"channel", "question"} - set(lines.fieldnames or ())
    if absent:
        raise InputError(f"{FILE} has no column {', '.join(sorted(absent))}.", where=FILE, cure=_cure())
    return [
        _read(lines.line_num, {name: (row.get(name) or "").strip() for name in _COLUMNS}) for row in lines
    ]


def add(folder: Path, new: Expectation) -> None:
    """Add one, or change what is expected of its question; raises InputError."""
    _check(new, FILE)
    kept = [one for one in expectations(folder) if (one.channel, one.question) != (new.channel, new.question)]
    _write(folder, [*kept, new])


def remove(folder: Path, channel: str, question: str) -> None:
    """Take one out; raises NotFound."""
    known = expectations(folder)
    kept = [one for one in known if (one.channel, one.question) != (channel, question)]
    if len(kept) == len(known):
        raise NotFound("nothing is expected of this question there.", cure="See: headrace expect list")
    _write(folder, kept)


def _read(line: int, row: dict[str, str]) -> Expectation:
    found = Expectation(**row)
    _check(found, f"{FILE}:{line}")
    return found


def _check(one: Expectation, where: str) -> None:
    if not one.channel or not one.question or bool(one.intent) == bool(one.document):
        raise InputError(
            "a channel, a question, and either an intent or a document are needed.",
            where=where,
            cure=_cure(),
        )


def _write(folder: Path, all_: Sequence[Expectation]) -> None:
    out = io.StringIO(newline="")
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(_COLUMNS)
    lines.writerows(astuple(one) for one in all_)
    scratch = folder / f".{FILE}.new"
    with disk_errors(str(folder)):
        scratch.write_text(out.getvalue(), encoding="utf-8")
        os.replace(scratch, folder / FILE)


def _cure() -> str:
    return "Each line names channel, question, and either intent or document."
