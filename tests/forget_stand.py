"""A life of several persons in the small project, told with one of them or without: same seeds, clock, ids."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

from small_project import INTENTS, make_project, rows

from headrace.data.split import hash_split
from headrace.data.texts import text_key
from headrace.project import Project
from headrace.records import COUNTING, Example, utc_now

GATE = "gate: {margin: 100, slice_margin: 100, calibration: 100, latency: 1000}\n"
TRUST = (
    "trust: {agree: 1, person: 99, person_day: 99, region_day: 99, burst: 999, share: 1, plausible: 1.0e-9}\n"
)
SEED, SHARE = 3, 0.2
RENAMED = "sluggish"
"""What the last of the intents is called after the second turn."""

BOB = "bob@example.org"
"""Who is forgotten."""


@dataclass
class Life:
    """One project's life: each event has its own times and ids, whatever happened in other events."""

    folder: Path
    without: str = ""
    at: list[int] = field(default_factory=lambda: [0])
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.project = make_project(self.folder, clock=self.clock, ids=self.ids)
        path = self.folder / "headrace.yaml"
        before = path.read_text(encoding="utf-8")
        kept = "".join(line + "\n" for line in before.splitlines() if not line.startswith("gate:"))
        path.write_text(kept + GATE + TRUST, encoding="utf-8")
        self.project.close()
        self.project = Project(self.folder, clock=self.clock, ids=self.ids)

    def clock(self) -> datetime:
        """A second later at each look."""
        start = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=self.at[0])
        return start + timedelta(seconds=next(self.numbers))

    def ids(self, kind: str) -> str:
        """The event's own next id."""
        return f"{kind}_{self.at[0]:03d}x{next(self.numbers):05d}"

    def event(self, number: int) -> None:
        """Begin event `number`."""
        self.at[0], self.numbers = number, itertools.count(1)

    def says(self, number: int, person: str, text: str, label: str, channel: str = "desk") -> None:
        """A person asks and corrects, in event `number`, unless they are not there in this life."""
        self.event(number)
        if person == self.without:
            return
        answer = self.project.predict([text], task="intent", channel=channel, person=person)[0]
        if label == "right":
            given = self.project.add_feedback(answer.id, "right", person=person)
        else:
            given = self.project.add_feedback(answer.id, "correction", label, person=person)
        assert given.state in COUNTING, given.reason

    def turn(self, number: int) -> None:
        """A turn, as event `number`."""
        self.event(number)
        self.project.turn()


@dataclass(frozen=True)
class Texts:
    """Texts that only the forgotten person gave, and `near`, somebody else's near-duplicate of one of them."""

    fresh: str
    test: str
    near: str
    again: str
    right: str
    last: str
    late: str

    @property
    def theirs(self) -> tuple[str, ...]:
        """Those that nobody else gave."""
        return self.test, self.right, self.last, self.late


def texts() -> Texts:
    """Texts whose splits are such that forgetting shows."""
    made = (f"please tell me how parcel number {i} reaches the harbour of my town" for i in range(9999))
    fresh, test = _first(made, "train"), _first(made, "test")
    near = _first((f"{test[:-1]}{letter}" for letter in "abcdefghijklmopqrstuvwxyz"), "train")
    late = "and this was said after the last turn, harbour or not"
    again, right, last = (_first(made, "train") for _ in range(3))
    return Texts(fresh, test, near, again, right, last, late)


def _first(made: Iterable[str], split: str) -> str:
    return next(text for text in made if hash_split(SEED, text_key(text), SHARE) == split)


def live(life: Life) -> Texts:
    """Three turns, between them corrections of three persons, some of the same texts."""
    said, old = texts(), [row for row in rows("desk") if row["split"] == "train"]
    life.turn(1)
    life.says(2, "ann", said.fresh, INTENTS[1])
    life.says(3, BOB, said.fresh, INTENTS[2])
    life.says(4, BOB, old[0]["text"], INTENTS[2])
    life.says(5, BOB, said.test, INTENTS[3])
    life.says(6, "cat", said.near, INTENTS[0])
    life.says(7, BOB, said.again, INTENTS[3])
    life.says(8, BOB, said.right, "right", "forum")
    life.says(9, "cat", "is the old one again there for a partner of ours", INTENTS[2], "forum")
    life.turn(10)
    life.event(11)
    more = [{"text": f"is row number {i} of the csv file there", "label": INTENTS[1]} for i in range(12)]
    again = {"text": said.again, "label": INTENTS[0]}
    life.project.add_rows(
        [{**row, "split": "train"} for row in (again, *more)], channel="desk", task="intent"
    )
    life.project.rename_label("intent", INTENTS[3], RENAMED)
    # Without the forgotten person she is alone here, so that what she says waits.
    life.says(12, "ann", old[0]["text"], INTENTS[1])
    life.says(13, BOB, said.last, RENAMED)
    life.says(14, "ann", "and why is it so slow in china at noon", RENAMED, "forum")
    life.says(15, "cat", "and what about another key for the harbour", INTENTS[0], "forum")
    life.turn(16)
    life.says(17, BOB, said.late, RENAMED)
    life.event(18)
    return said


def adapters(project: Project) -> dict[str, dict[str, str]]:
    """The files of every adapter, by id."""
    return {adapter.id: dict(adapter.files) for adapter in project.store.history.adapters()}


def examples(project: Project) -> list[Example]:
    """All examples, without the moments."""
    return [replace(e, at=utc_now().min) for e in project.store.examples.of("intent")]


def answers(project: Project, asked: Sequence[str]) -> list[tuple[str, str, float, str]]:
    """What is said to each question in each channel."""
    found = []
    for channel in ("desk", "forum"):
        said = project.predict(asked, task="intent", channel=channel, person="a reader")
        found += [(channel, a.label, a.confidence, a.adapter) for a in said]
    return found


def hits(folder: Path, words: Iterable[str]) -> dict[str, list[str]]:
    """The files below `folder` that hold one of the words, as text or packed by gzip; and which."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        with contextlib.suppress(OSError, EOFError):
            content += gzip.decompress(content)
        held = [word for word in words if word.encode() in content]
        if held:
            found[str(path.relative_to(folder))] = held
    return found


def forget(say: Callable[..., None], folder: str, at: str) -> dict[str, Any]:
    """Forget the person in a process that is killed `at` a step, or goes on to the end."""
    module, _, path = at.partition(":")
    if path:
        *owners, name = path.split(".")
        setattr(reduce(getattr, owners, importlib.import_module(module)), name, _die)
    project = Project(folder)
    try:
        return project.forget(BOB).to_json()
    finally:
        project.close()


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
