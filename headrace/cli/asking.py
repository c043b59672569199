"""Texts of a file -> answers, a batch at a time, so that a file of any size is answered in bounded memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from headrace.data.connectors import Broken, Raw
from headrace.data.connectors.files import Options, Part
from headrace.errors import InputError
from headrace.project import Project
from headrace.records import Answer
from headrace.reports.figures import to_json

BATCH = 256
COLUMNS = ("id", "text", "label", "confidence", "because")


def read(file: Path, column: str | None, note: Callable[[str], None]) -> Iterator[str]:
    """The texts of a file; those that cannot be read are named by `note` and left out."""
    options = Options.model_validate({"path": str(file.resolve()), "text": column})
    for item in Part(options, Path.cwd()).read(None):
        if isinstance(item, Raw) and item.text.strip():
            yield item.text
        elif isinstance(item, Raw):
            note(f"Left out {item.place}: empty.")
        elif isinstance(item, Broken):
            note(f"Left out {item.place}: {item.reason}, {item.detail}.")


def answers(project: Project, texts: Iterable[str], task: str, channel: str) -> Iterator[Answer]:
    """Answers in the order of the texts."""
    waiting = iter(texts)
    while batch := list(islice(waiting, BATCH)):
        yield from project.predict(batch, task=task, channel=channel)


def write(found: Iterable[Answer], out: Path) -> int:
    """Write answers to a .csv or .jsonl file, the ending says which; gives their number."""
    if out.suffix not in (".csv", ".jsonl"):
        raise InputError(
            f"the ending {out.suffix!r} is not known.", where=str(out), cure="Use .csv or .jsonl."
        )
    count = 0
    with open(out, "w", encoding="utf-8", newline="" if out.suffix == ".csv" else None) as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        if out.suffix == ".csv":
            table.writeheader()
        for one in found:
            line = to_json(one)
            if out.suffix == ".csv":
                table.writerow(line)
            else:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count
