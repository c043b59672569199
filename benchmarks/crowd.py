"""What the benchmarks of trust share: a task on frozen features, and a channel that hears a crowd.

The features are the packaged base's, made once and cached; the head is a logistic regression on them by the
package's own solver, started from the one that serves. The rules are the package's: `feedback.trust` over a
real store, `data.shares`, the memory with its learned radius, and the gate with its checks.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.data.shares import within_share
from headrace.data.texts import text_key
from headrace.data.words import Reader, last_words
from headrace.evaluation.compare import Outcomes
from headrace.feedback.memory import Memory
from headrace.feedback.radius import Radius
from headrace.feedback.regions import Place, regions_of
from headrace.feedback.trust import Sight, carry_out, is_sure, rule
from headrace.models.solver import minimise
from headrace.recipe import GateRecipe, Recipe, TaskRecipe, TrustRecipe
from headrace.records import Answer, Example, Feedback, Verdict
from headrace.release.floors import Shown, checks_of
from headrace.release.gate import Decision, decide
from headrace.store import Store
from headrace.tuning.features import embed

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TASK, CHANNEL, SPACE = "intent", "shop", "adp_1"
STRENGTH, ROUNDS, AGAIN = 30.0, 40, 15
RECIPE = Recipe.model_validate(
    {
        "name": "crowd",
        "tasks": {TASK: {}},
        "channels": {CHANNEL: {"tasks": [TASK]}},
        "clean": {"mask": []},
    }
)
SETS = {
    "banking77": ("all-MiniLM-L6-v2", "intent"),
    "smp2017_ecdt_zh": ("multilingual-e5-small", "intent"),
    "waimai_10k_zh": ("multilingual-e5-small", "label"),
}


@dataclass(frozen=True)
class Part:
    """Rows: their texts, their embeddings [n, d] and their label numbers [n]."""

    texts: tuple[str, ...]
    x: Floats
    y: Ints

    def pick(self, rows: slice | Ints) -> Part:
        """Some of the rows."""
        order = np.arange(len(self.texts))[rows]
        return Part(tuple(self.texts[i] for i in order), self.x[order], self.y[order])


@dataclass(frozen=True)
class Head:
    """A logistic regression; `weights` [d + 1, K] read embeddings without their `mean`, and a constant."""

    weights: Floats
    mean: Floats
    scale: float

    def scores(self, x: Floats) -> Floats:
        """[n, K] probabilities."""
        logits = _inputs(x, self.mean, self.scale) @ self.weights
        found = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class World:
    """A task: what its head learned from, what users ask, and three parts of held-out rows.

    `asked` are live questions, `held` and `golden` are the gate's, `others` are other people's questions, by
    whose right answers all is judged.
    """

    name: str
    labels: tuple[str, ...]
    base: Part
    asked: Part
    held: Part
    golden: Part
    others: Part
    folder: Path

    @cached_property
    def champion(self) -> Head:
        """The head of the base's rows."""
        return fit(self.base.x, self.base.y, len(self.labels))

    @cached_property
    def radius(self) -> Radius:
        """How far corrections reach, learned from the base's rows."""
        return Radius.learn(self.base.x, [self.labels[i] for i in self.base.y], seed=0)

    @cached_property
    def template(self) -> Path:
        """A store that holds the base's rows as examples."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        with Store.open("store.db", folder, create=True).closing() as store:
            rows = zip(self.base.texts, self.base.y, strict=True)
            examples = [
                Example(f"row_{i:06}", CHANNEL, TASK, text, self.labels[k], "train", "source", BEGAN)
                for i, (text, k) in enumerate(rows)
            ]
            store.examples.settle([(one, text_key(one.text)) for one in examples])
            store.database.checkpoint()
        return folder

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A store of one's own that begins as the template does."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            shutil.copy(self.template / "store.db", folder)
            with Store.open("store.db", Path(folder)).closing() as store:
                yield store


@dataclass(frozen=True)
class Said:
    """`person` says at a moment that question number `asked` has label number `label`.

    It corrects the answer, or says that the answer was `right`.
    """

    person: str | None
    asked: int
    label: int
    at: datetime
    right: bool = False


@dataclass
class Channel:
    """What a channel has heard. Without a `store` everything counts."""

    world: World
    store: Store | None = None
    trust: TrustRecipe = field(default_factory=TrustRecipe)
    _every: list[Said] = field(default_factory=list)

    def hear(self, corrections: Sequence[Said], head: Head | None = None) -> None:
        """Rule and store corrections, in their order, in one transaction, while `head` or the champion serves."""
        begins = len(self._every)
        self._every += corrections
        if self.store is None:
            return
        regions = regions_of(self.world.radius)
        scores = (head or self.world.champion).scores(self.world.asked.x)
        with self.store.transaction() as connection:
            for number, said in enumerate(corrections, begins):
                feedback, answer = self._feedback(number, said)
                self.store.answers.add_in(connection, [answer])
                chance = float(scores[said.asked, said.label])
                sight = Sight(Place.of(SPACE, self.world.asked.x[said.asked]), regions, chance)
                carry_out(self.store, connection, rule(self.store, connection, feedback, self.trust, sight))

    def live(self) -> list[Said]:
        """The corrections that count, in the order in which they take effect."""
        if self.store is None:
            return [said for said in self._every if not said.right]
        return [self._every[_number(one.feedback)] for one in self.store.feedback.live()]

    def taught(self) -> list[Said]:
        """The last words that a turn learns from: a correction, else that the answer was right."""
        if self.store is None:
            words = [said for said in self._every if said.right] + self.live()
            return list({said.asked: said for said in words}.values())
        reader = Reader(self.store, RECIPE, clock=lambda: BEGAN)
        words_ = within_share(self.store, RECIPE, reader, reader.words(self.store.feedback.waiting()))
        return [self._every[_number(word.feedback)] for word in last_words(words_).values()]

    def held(self) -> float:
        """The share of corrections that are held."""
        corrections = sum(not said.right for said in self._every)
        return 1 - len(self.live()) / corrections if corrections else 0.0

    def memory(self, head: Head) -> Memory:
        """The memory of what counts."""
        world, memory, live = self.world, Memory({TASK: self.world.radius}), self.live()
        sure = (
            [is_sure(one.feedback) for one in self.store.feedback.live()]
            if self.store
            else [True] * len(live)
        )
        for number, (said, is_so) in enumerate(zip(live, sure, strict=True)):
            text, x = world.asked.texts[said.asked], world.asked.x[said.asked]
            scores, name = named(world, head.scores(x[None])[0]), f"fb_{number}"
            who = said.person if self.store else None
            label = world.labels[said.label]
            memory.learn(TASK, CHANNEL, text, x, scores, label, name, person=who, sure=is_so)
        return memory

    def challenger(self, start: Head) -> Head:
        """The head of the base's rows and of what was taught, started from the one that serves."""
        world, taught = self.world, self.taught()
        x = np.concatenate([world.base.x, world.asked.x[[said.asked for said in taught]]])
        y = np.concatenate([world.base.y, np.array([said.label for said in taught], np.intp)])
        return fit(x, y, len(world.labels), start, rounds=AGAIN)

    def _feedback(self, number: int, said: Said) -> tuple[Feedback, Answer]:
        text, label = self.world.asked.texts[said.asked], self.world.labels[said.label]
        sent = label if said.right else ""
        answer = Answer(f"ans_{number:06}", CHANNEL, TASK, text, sent, 0.5, "rel_1", SPACE, said.at)
        verdict: Verdict = "right" if said.right else "correction"
        name, right = f"fb_{number:06}", None if said.right else label
        made = Feedback(name, answer.id, CHANNEL, TASK, text, verdict, right, said.at)
        return replace(made, person=said.person, key="key_1"), answer


def fit(x: Floats, y: Ints, classes: int, start: Head | None = None, rounds: int = ROUNDS) -> Head:
    """The head of rows `x` with classes `y`: softmax with an L2 penalty, from `start` where given."""
    mean = np.asarray(x.mean(axis=0), dtype=np.float32) if start is None else start.mean
    scale = float(1 / np.sqrt(np.square(x - mean).sum(axis=1).mean())) if start is None else start.scale
    inputs, n = _inputs(x, mean, scale), len(y)
    shape, rows = (inputs.shape[1], classes), np.arange(n)

    def objective(point: Floats) -> tuple[float, Floats]:
        weights = point.reshape(shape)
        logits = inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        value = -float(logs[rows, y].sum()) + float((weights * weights).sum()) / (2 * STRENGTH)
        slopes = np.exp(logs)
        slopes[rows, y] -= 1
        return value, np.asarray(inputs.T @ slopes + weights / np.float32(STRENGTH), np.float32).ravel()

    begin = np.zeros(shape, np.float32) if start is None else start.weights
    widths = np.ones(begin.size, np.float32)
    return Head(minimise(objective, begin.ravel(), widths, rounds=rounds).reshape(shape), mean, scale)


def accuracy(world: World, head: Head, part: Part, memory: Memory | None = None) -> float:
    """Share of rows answered right, in percent."""
    return 100 * float((answers(world, head, part, memory) == part.y).mean())


def answers(world: World, head: Head, part: Part, memory: Memory | None = None) -> Ints:
    """Label numbers that rows are answered with."""
    scores = head.scores(part.x)
    found = np.asarray(scores.argmax(axis=1), dtype=np.intp)
    if memory is None or not memory.counts():
        return found
    for i, row in enumerate(scores):
        recalled = memory.recall(TASK, CHANNEL, part.texts[i], part.x[i], named(world, row))
        if recalled is not None:
            found[i] = world.labels.index(recalled.label)
    return found


def judged(world: World, champion: Head, challenger: Head) -> Decision:
    """What the gate decides by the recipe's defaults, with its checks of classes, golden rows and calibration."""
    gate = GateRecipe()
    one, two = (_shown(world, name, head) for name, head in (("one", champion), ("two", challenger)))
    checks = checks_of(gate, one, two)
    return decide(
        one.outcomes,
        two.outcomes,
        margin_points=gate.margin,
        confidence=gate.confidence,
        grew=True,
        checks=checks,
    )


def named(world: World, row: Floats) -> Mapping[str, float]:
    """Scores by label."""
    return dict(zip(world.labels, row.tolist(), strict=True))


def load(name: str, data: Path, cache: Path, folder: Path, *, sizes: Sequence[int], seed: int = 0) -> World:
    """A set, its rows drawn by the seed: `sizes` of base, asked, held, golden and others at most."""
    base, column = SETS[name]
    rng = np.random.default_rng(seed)
    train, test = (
        _read(data / name, ("train.csv",), column),
        _read(data / name, ("test.csv", "dev.csv"), column),
    )
    labels = tuple(sorted({label for _, label in train}))
    test = [row for row in test if row[1] in labels]
    train = [train[i] for i in rng.permutation(len(train))]
    test = [test[i] for i in rng.permutation(len(test))]
    first, more, held, golden, others = sizes
    begins = {"base": (train, 0, first), "asked": (train, first, first + more)}
    ends = np.minimum(np.cumsum([0, held, golden, others]), len(test)).tolist()
    names = ("held", "golden", "others")
    cuts = begins | {part: (test, ends[i], ends[i + 1]) for i, part in enumerate(names)}
    task = TaskRecipe(base=base)
    parts = {part: _part(rows[a:b], labels, task, cache) for part, (rows, a, b) in cuts.items()}
    return World(name, labels, **parts, folder=folder)


def embedded(world: World, texts: Sequence[str], cache: Path) -> Floats:
    """Embeddings of further texts by the world's base."""
    return embed(texts, task=TaskRecipe(base=SETS[world.name][0]), cache=cache)


def _part(rows: Sequence[tuple[str, str]], labels: Sequence[str], task: TaskRecipe, cache: Path) -> Part:
    texts = tuple(text for text, _ in rows)
    y = np.array([labels.index(label) for _, label in rows], np.intp)
    return Part(texts, embed(texts, task=task, cache=cache), y)


def _read(folder: Path, names: Sequence[str], column: str) -> list[tuple[str, str]]:
    """Texts and labels of the files that are there, each text once."""
    found: dict[str, str] = {}
    for name in names:
        if (folder / name).is_file():
            with open(folder / name, encoding="utf-8", newline="") as file:
                found |= {row["text"]: row[column] for row in csv.DictReader(file)}
    return list(found.items())


def _shown(world: World, name: str, head: Head) -> Shown:
    scores, golden = head.scores(world.held.x), head.scores(world.golden.x)
    held = _outcomes(world, name, world.held, scores)
    sure = scores.max(axis=1).astype(np.float64)
    return Shown(held, _outcomes(world, name, world.golden, golden), held, sure)


def _outcomes(world: World, name: str, part: Part, scores: Floats) -> Outcomes:
    ids = [str(i) for i in range(len(part.texts))]
    return Outcomes.of(name, ids, [world.labels[i] for i in part.y], scores, world.labels)


def _inputs(x: Floats, mean: Floats, scale: float) -> Floats:
    return np.hstack([(x - mean) * np.float32(scale), np.ones((len(x), 1), np.float32)])


def _number(feedback: Feedback) -> int:
    return int(feedback.id.removeprefix("fb_"))
