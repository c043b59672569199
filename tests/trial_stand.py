"""A store with adapters that answer by a table, and users and auditors by hand: trials without a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np

from headrace import recipe as recipes
from headrace.flywheel.trials.prover import Prover
from headrace.records import Adapter, Answer, Feedback, Shadow, Trial, Verdict
from headrace.release.promote import promote
from headrace.serving.engine import Beside, Scored
from headrace.serving.shadows import shadow_of
from headrace.serving.trials import OpenTrial, covering
from headrace.store import Store

LABELS = ("a", "b", "c")
FILES = ("head.safetensors", "graph.onnx", "tokenizer.json", "base.json")
RECIPE = """\
name: p
tasks: {{intent: {{}}}}
channels: {{shop: {{tasks: [intent]}}, forum: {{tasks: [intent]}}}}
release: {{{release}}}
"""
QUICK = "way: proved, audits: 1.0, canary: 0.5, watch: 0.5, patience: 400, false_alarm: 100"


class TrialStand:
    """`says` maps (adapter, text) to a label, "a" where nothing is said; the clock moves a second at a look."""

    def __init__(self, store: Store, release: str = QUICK) -> None:
        self.store, self.recipe = store, recipes.parse(RECIPE.format(release=release))
        self.says: dict[tuple[str, str], str] = {}
        self._numbers, self._ticks = itertools.count(1), itertools.count()
        self.prover = Prover(store, self.recipe, clock=self.clock, ids=self.ids)

    def clock(self) -> datetime:
        return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=next(self._ticks))

    def ids(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers)}"

    def adapter(self, name: str, task: str = "intent") -> str:
        """An adapter whose files are there, though nothing can read them."""
        files = {file: self.store.artifacts.put(f"{file} of {name}".encode()) for file in FILES}
        self.store.history.add(Adapter(name, task, None, "base", LABELS, files, {}, 1, 0.1, self.clock()))
        return name

    def release(self, name: str, channel: str = "shop") -> None:
        """Let an adapter serve, as the gate alone would."""
        also = self.prover.watch_in
        promote(self.store, "intent", [channel], name, {}, also=also, clock=self.clock, ids=self.ids)

    def serving(self, channel: str = "shop") -> str:
        found = {r.channel: r.adapter for r in self.store.history.serving()}
        return found[channel]

    def open(self, channel: str = "shop") -> list[Trial]:
        return self.store.trials.list("intent", channel, open_only=True)

    def ask(self, text: str, user: str = "") -> Answer:
        """Answer as a server would, whatever trials are open, and store it."""
        return self.ask_all([text], user)[0]

    def ask_all(self, found: Iterable[str], user: str = "") -> list[Answer]:
        """Answer questions between two steps of the trials."""
        serving, trials = self.serving(), [OpenTrial.of(trial) for trial in self.open()]
        made = [self._asked(text, user, serving, trials) for text in found]
        with self.store.transaction() as connection:
            self.store.answers.add_in(connection, [sent for sent, _ in made])
            self.store.shadows.add_in(connection, [shadow for _, shadow in made if shadow])
        return [sent for sent, _ in made]

    def _asked(
        self, text: str, user: str, serving: str, trials: list[OpenTrial]
    ) -> tuple[Answer, Shadow | None]:
        name = self.ids("ans")
        trial = covering(trials, user or text, name)
        scored = self._scored(serving, "rel", text)
        if trial is not None:
            other = self._scored(trial.challenger, trial.id, text)
            if trial.sends_challenger(user or text):
                scored, other = other, scored
            scored = Scored(
                scored.labels,
                scored.probabilities,
                scored.release,
                scored.adapter,
                scored.embedding,
                Beside(trial, other),
            )
        sent = Answer(
            name, "shop", "intent", text, scored.label, 0.9, scored.release, scored.adapter, self.clock()
        )
        return sent, shadow_of(sent, scored)

    def life(self, texts: Iterable[str], right: str = "a") -> list[str]:
        """Ask, and judge at once what is drawn: `right` is the right label of all of it."""
        said: list[str] = []
        for text in texts:
            sent = self.ask(text)
            shadow = self.store.shadows.get(sent.id)
            if shadow and shadow.drawn and shadow.differs:
                said += self.prover.audit(sent.id, right, "owner")
        return said

    def feedback(
        self,
        answers: Iterable[Answer],
        verdict: Verdict,
        label: str | None = None,
        person: str | None = None,
    ) -> None:
        """The same word on each answer, of one person or of nobody who gave a name."""
        with self.store.transaction() as connection:
            for one in answers:
                said = (one.channel, "intent", one.text, verdict, label, self.clock(), person)
                self.store.feedback.add_in(connection, Feedback(self.ids("fb"), one.id, *said))

    def _scored(self, adapter: str, release: str, text: str) -> Scored:
        label = self.says.get((adapter, text), "a")
        chances = np.array([0.9 if one == label else 0.05 for one in LABELS], np.float32)
        return Scored(LABELS, chances, release, adapter, np.zeros(2, np.float32))


def texts(prefix: str, many: int) -> list[str]:
    """Distinct texts."""
    return [f"{prefix} {number}" for number in range(many)]
