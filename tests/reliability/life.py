"""The life of a project under one seeded clock: people ask and correct, turns run, and things go wrong.

Everything is real (store, trainer, gate, engine) but for the base, which is tiny and random, and the faults.
What was acknowledged is kept in a model beside it; `check` compares the two after each step.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_project import FRAMES, INTENTS, RECIPE, WORDS
from tiny_base import make_tiny_base

from headrace.data.shares import within_share
from headrace.data.words import Reader
from headrace.errors import Conflict, HeadraceError, InputError, NotFound, NotServed, StoreBusy, StoreFull
from headrace.models.methods.head import Part
from headrace.project import Project
from headrace.records import COUNTING, Feedback, Verdict
from headrace.store.artifacts import Artifacts
from headrace.store.database import Database

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PERSONS = [f"user {n}" for n in range(12)]
FAULTS = ("killed", "full", "jump", "diverges", "crashes", "vanishes")
ORDINARY = (
    NotServed,
    Conflict,
    NotFound,
    InputError,
)  # no release yet, none to go back to, a label that is gone
ROWS = 12  # of each intent and channel at the start


class Killed(BaseException):
    """The process dies here: nobody catches it but the life itself."""


class Life:
    """One project from its first day; `seed` draws everything, also what goes wrong."""

    def __init__(self, folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.seed, self.draw, self.patch = folder, seed, random.Random(seed), monkeypatch
        self.now, self.count, self.written, self.turns = START, 0, 0, 0
        self.verdicts: dict[str, Feedback] = {}
        self.meant: dict[str, str] = {}
        self.rolled_back = self.audited = 0
        self.faults: list[str] = []
        base = make_tiny_base(folder.parent / "tiny-base")
        proved = (
            "release: {way: proved, audits: 1.0, canary: 0.5, watch: 0.5, patience: 40}\n" if seed % 2 else ""
        )
        Project.init(folder, recipe=RECIPE.format(base=base, margin=40.0) + proved).close()
        (folder / "data").mkdir()
        for channel in FRAMES:
            self._write(channel, ROWS)
        self.project = self._open()

    @property
    def said(self) -> str:
        """How to live this life again."""
        return f"seed {self.seed}, after {self.turns} turns and the faults {self.faults[-5:]}"

    # -- one step

    def step(self, fault: str | None) -> None:
        """Something happens, perhaps while something goes wrong; then all that must hold is looked at."""
        acts = [self.people, self.people, self.auditors, self.collect, self.turn, self.turn, self.rollback]
        act = self.draw.choice(acts)
        if fault:
            self.faults.append(f"{fault} in {act.__name__}")
        try:
            with self._going_wrong(fault):
                act()
        except Killed:
            self._reopen()
        except HeadraceError as error:
            if not fault and not isinstance(error, ORDINARY):
                raise AssertionError(f"{error!r}: {self.said}") from error
        self.check()

    def people(self) -> None:
        """Some questions are asked, and some answers judged: most rightly, some wrongly."""
        channel = self.draw.choice(list(FRAMES))
        for _ in range(3):
            intent = self.draw.choice(INTENTS)
            text = self._text(channel, intent)
            person = self.draw.choice([*PERSONS, None])
            (answer,) = self.project.predict([text], task="intent", channel=channel, person=person)
            self.meant[answer.id] = intent
            self._answered_by_what_serves(answer.task, answer.channel, answer.adapter, answer.release)
            said = intent if self.draw.random() < 0.8 else self.draw.choice(INTENTS)
            verdict: Verdict = "right" if said == answer.label else "correction"
            label = said if verdict == "correction" else None
            kept = self.project.add_feedback(answer.id, verdict, label, person=person)
            self.verdicts[kept.id] = kept

    def auditors(self) -> None:
        """Answers that were drawn are judged."""
        for answer, _ in self.project.audits(limit=10):
            if answer.id in self.meant:
                self.project.audit(answer.id, self.meant[answer.id])
                self.audited += 1

    def collect(self) -> None:
        """Rows come in."""
        self._write(self.draw.choice(list(FRAMES)), 2)
        self.project.collect()

    def turn(self) -> None:
        """A turn; while it runs nobody else can start one."""
        self.turns += 1
        self.project.turn()

    def rollback(self) -> None:
        """Somebody takes a release back."""
        self.project.rollback("intent", self.draw.choice(list(FRAMES)))
        self.rolled_back += 1

    def recover(self) -> None:
        """The faults end: every label is back, and three turns run."""
        self._name_labels(INTENTS)
        for _ in range(3):
            self.turn()
            self.check()

    # -- what must hold

    def check(self) -> None:
        """Raises AssertionError, with the seed, where something was lost or something unjudged serves."""
        store = self.project.store
        kept = {feedback.id: feedback for feedback in store.feedback.list()}
        for name, said in self.verdicts.items():
            assert name in kept, f"the verdict {name} is lost: {self.said}"
            assert (kept[name].verdict, kept[name].label) == (said.verdict, said.label), self.said
        refused = [e for e in store.history.events(limit=10**6) if e.kind == "refused"]
        for release in store.history.serving():
            past = store.history.releases(release.task, release.channel, limit=10**6)
            granted = [r for r in past if r.adapter == release.adapter and r.kind == "release"]
            assert granted, f"{release.adapter} serves and was never released: {self.said}"
            assert all(
                e.evidence["adapter"] not in {release.adapter}
                or e.at <= granted[0].at
                or e.channel != release.channel
                for e in refused
            ), self.said

    def settled(self) -> None:
        """Raises AssertionError where something still waits after the faults have ended."""
        store = self.project.store
        assert store.turns.open() is None, self.said
        reader = Reader(store, self.project.recipe, clock=self._clock)
        waiting = reader.words(f for f in store.feedback.waiting() if f.state in COUNTING)
        assert not within_share(store, self.project.recipe, reader, waiting), f"verdicts wait: {self.said}"
        for channel in FRAMES:
            (answer,) = self.project.predict(["how do i get a key"], task="intent", channel=channel)
            self._answered_by_what_serves("intent", channel, answer.adapter, answer.release)

    def _answered_by_what_serves(self, task: str, channel: str, adapter: str, release: str) -> None:
        serving = {(r.task, r.channel): r for r in self.project.store.history.serving()}
        allowed = {(r.adapter, r.id) for r in serving.values() if r.task == task}
        trials = self.project.store.trials.list(task, channel, open_only=True)
        allowed |= {(t.challenger, t.id) for t in trials if t.stage == "canary"}
        assert (adapter, release) in allowed, f"{adapter} answered {channel} unreleased: {self.said}"

    # -- what goes wrong

    @contextmanager
    def _going_wrong(self, fault: str | None) -> Iterator[None]:
        with self.patch.context() as patch:
            if fault == "jump":
                self.now += timedelta(days=self.draw.choice([-1, 1]))
            elif fault == "diverges":
                patch.setattr(Part, "fit", self._diverging(Part.fit))
            elif fault == "crashes":
                patch.setattr(Part, "fit", _crashing)
            elif fault == "vanishes":
                self._name_labels(self.draw.sample(INTENTS, self.draw.choice([3, 4])))
            elif fault:
                self._fail_at(patch, Killed() if fault == "killed" else StoreFull("the disk is full."))
            yield

    def _fail_at(self, patch: pytest.MonkeyPatch, error: BaseException) -> None:
        """Let the n-th write fail, before it or, where the process is killed, after it was committed."""
        left = self.draw.randrange(1, 25)
        after = isinstance(error, Killed) and self.draw.random() < 0.5
        write, put = Database.write, Artifacts.put

        def counted() -> bool:
            nonlocal left
            left -= 1
            return left == 0

        @contextmanager
        def failing_write(database: Database) -> Iterator[Any]:
            now = counted()
            if now and not after:
                raise error
            with write(database) as connection:
                yield connection
            if now:
                raise error

        def failing_put(artifacts: Artifacts, content: bytes) -> str:
            if counted():
                raise error
            return put(artifacts, content)

        patch.setattr(Database, "write", failing_write)
        patch.setattr(Artifacts, "put", failing_put)

    def _diverging(self, fit: Any) -> Any:
        """A trainer whose weights end in noise."""

        def diverged(method: Part, job: Any) -> Any:
            fitted = fit(method, job)
            fitted.head.bias[:] = [self.draw.gauss(0, 50) for _ in fitted.head.bias]
            return fitted

        return diverged

    def _name_labels(self, labels: Sequence[str]) -> None:
        """Let the recipe name these labels: corrections and rows of others are refused from now on."""
        path = self.folder / "headrace.yaml"
        text = path.read_text("utf-8")
        line = next(line for line in text.splitlines() if line.startswith("  intent:"))
        base = line.split(", labels:")[0].rstrip("}")
        path.write_text(text.replace(line, f"{base}, labels: [{', '.join(sorted(labels))}]}}"), "utf-8")
        self._reopen()

    # -- the world

    def _open(self) -> Project:
        return Project(self.folder, clock=self._clock, ids=self._id, progress=self._meanwhile)

    def _reopen(self) -> None:
        with suppress(Killed):
            self.project.close()
        self.project = self._open()

    def _clock(self) -> datetime:
        self.now += timedelta(seconds=7)
        return self.now

    def _id(self, kind: str) -> str:
        self.count += 1
        return f"{kind}_{self.seed}_{self.count:06d}"

    def _meanwhile(self, stage: str, done: int, total: int) -> None:
        """While a turn trains, somebody else tries to run one."""
        if stage.startswith("judging") and done == 0:
            other = Project(self.folder, clock=self._clock, ids=self._id)
            with pytest.raises(StoreBusy):
                other.turn()
            other.close()

    def _text(self, channel: str, intent: str) -> str:
        said = self.draw.choice(FRAMES[channel]).format(self.draw.choice(WORDS[intent]))
        return f"{said} {self.draw.randrange(400)}"

    def _write(self, channel: str, each: int) -> None:
        """Rows of each intent at the end of a source's file, a third of them held out."""
        with open(self.folder / "data" / f"{channel}.jsonl", "a", encoding="utf-8") as file:
            for intent in INTENTS:
                for _ in range(each):
                    self.written += 1
                    split = "test" if self.written % 3 == 0 else "train"
                    row = {"text": self._text(channel, intent), "label": intent, "split": split}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _crashing(method: Part, job: Any) -> Any:
    raise Killed
