"""What one correction changes: its rewordings, a near-miss, and the other test rows of the set.

200 test questions of BANKING77 (MiniLM) and 200 Chinese ones of SMP2017 (multilingual-e5-small), each with
3 rewordings and a near-miss in `data/paraphrases.jsonl`. Each is corrected alone, in an empty memory, to a
label that the seed draws from the adapter's next five. Adapter and radius learn from training rows;
`data/README.md` says how the memory's constants were chosen. `--quick` takes every 4th training row, test row
and question.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, data_argument, main
from headrace.feedback import Memory, Radius
from headrace.models.adapter import Head
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example, Split
from headrace.tuning.features import embed, prefix_of
from headrace.tuning.train import train

AT = datetime(2026, 1, 1, tzinfo=UTC)
PARAPHRASES = Path(__file__).parent / "data" / "paraphrases.jsonl"
SETS = {"banking77": "all-MiniLM-L6-v2", "smp2017_ecdt_zh": "multilingual-e5-small"}
SEED, NEXT, STEP, LEARNED = 0, 5, 4, 1000
WITHOUT = "rewordings that are answered with the drawn label, without a memory"
REWORDINGS = "rewordings answered with the drawn label"
NEAR_MISSES = "near-misses whose answer changed"
OTHERS = "other test rows changed"


@dataclass(frozen=True)
class Asked:
    """Texts as the adapter sees them."""

    texts: Sequence[str]
    embeddings: NDArray[np.float32]
    scores: Sequence[Mapping[str, float]]

    def answer(self, i: int, memory: Memory) -> str:
        """What text i is answered with."""
        found = memory.recall("intent", "channel", self.texts[i], self.embeddings[i], self.scores[i])
        return found.label if found else self.best(i)

    def best(self, i: int) -> str:
        """The adapter's own answer."""
        return max(self.scores[i], key=self.scores[i].__getitem__)


@dataclass(frozen=True)
class Changes:
    """Of one question: shares in percent, by figure."""

    without: float
    rewordings: float
    near_miss: float
    others: float


def rows(folder: Path, name: str, split: Split, step: int) -> list[Example]:
    """Every `step`-th row of a split's CSV file; none where the set has no such file."""
    path = folder / name / f"{'dev' if split == 'validation' else split}.csv"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))[::step]
    return [
        Example(f"{split}-{i:06}", name, "intent", row["text"], row["intent"], split, "source", AT)
        for i, row in enumerate(read)
    ]


def asked(head: Head, texts: Sequence[str], task: TaskRecipe, cache: Path) -> Asked:
    """Embeddings and scores of texts."""
    embeddings = embed(texts, task=task, cache=cache)
    scores = head.probabilities(embeddings, texts, prefix_of(task, cache).tokens(texts))
    return Asked(texts, embeddings, [dict(zip(head.labels, row, strict=True)) for row in scores.tolist()])


def correct(
    question: tuple[Asked, int], label: str, radius: Radius, reworded: Asked, near: Asked, others: Asked
) -> Changes:
    """Correct one question to `label` in an empty memory and ask everything else."""
    said, at = question
    memory = Memory({"intent": radius})
    memory.learn("intent", "channel", said.texts[at], said.embeddings[at], said.scores[at], label, "fb_1")

    def changed(of: Asked, i: int) -> bool:
        return of.answer(i, memory) != of.best(i)

    rest = [i for i, text in enumerate(others.texts) if text != said.texts[at]]
    three = range(len(reworded.texts))
    return Changes(
        without=100 * float(np.mean([reworded.best(i) == label for i in three])),
        rewordings=100 * float(np.mean([reworded.answer(i, memory) == label for i in three])),
        near_miss=100.0 * changed(near, 0),
        others=100 * float(np.mean([changed(others, i) for i in rest])),
    )


def part(of: Asked, picked: slice) -> Asked:
    """Some of the texts."""
    return Asked(of.texts[picked], of.embeddings[picked], of.scores[picked])


def questions(name: str, step: int) -> list[dict[str, object]]:
    """Every `step`-th question of a set in the paraphrase file."""
    lines = [json.loads(line) for line in PARAPHRASES.read_text("utf-8").splitlines()]
    return [line for line in lines if line["set"] == name][::step]


def figure(
    name: str, values: Sequence[float], command: str, bound: tuple[str, float] | None, full: bool
) -> Figure:
    """A mean in percent with a bootstrap interval over the questions (2,000 draws, seed 0)."""
    array = np.asarray(values)
    drawn = np.random.default_rng(0).integers(0, len(array), (2000, len(array)))
    low, high = np.percentile(array[drawn].mean(axis=1), [2.5, 97.5]).round(2).tolist()
    mean = float(array.mean())
    target = None if bound is None else f"{bound[0]} {bound[1]:g}"
    holds = (
        None if bound is None or not full else (mean >= bound[1] if bound[0] == ">=" else mean <= bound[1])
    )
    return Figure(name, round(mean, 3), "%", (low, high), len(array), (SEED,), target, holds, command)


def milliseconds(radius: Radius, known: Asked, ask: Asked) -> list[float]:
    """What `recall` costs of a processor, question by question, where `known` has been corrected."""
    memory = Memory({"intent": radius})
    for i, text in enumerate(known.texts):
        memory.learn("intent", "channel", text, known.embeddings[i], known.scores[i], "other", f"fb_{i}")
    ask.answer(0, memory)
    spent = []
    for i in range(len(ask.texts)):
        began = time.thread_time()
        ask.answer(i, memory)
        spent.append(1000 * (time.thread_time() - began))
    return spent


def measure_set(name: str, folder: Path, cache: Path, command: str, step: int) -> list[Figure]:
    """All figures of one set."""
    learned, judged = rows(folder, name, "train", step), rows(folder, name, "test", 1)
    held, task = rows(folder, name, "validation", step), TaskRecipe(base=SETS[name])
    settings = TrainRecipe(method="head")
    trained = train(learned, validation=held, task=task, settings=settings, seed=SEED, cache=cache)
    head = Head.from_bytes(trained.files["head.safetensors"])
    examples = embed([e.text for e in learned], task=task, cache=cache)
    radius = Radius.learn(examples, [e.label for e in learned], seed=SEED)

    picked = questions(name, step)
    corrected = asked(head, [judged[int(str(q["row"]))].text for q in picked], task, cache)
    reworded = asked(head, [str(t) for q in picked for t in list(q["rewordings"])], task, cache)  # type: ignore[call-overload]
    near = asked(head, [str(q["near_miss"]) for q in picked], task, cache)
    others = asked(head, [e.text for e in judged[::step]], task, cache)
    random = np.random.default_rng(SEED)
    found = []
    for i, scores in enumerate(corrected.scores):
        following = sorted(scores, key=scores.__getitem__, reverse=True)[1 : NEXT + 1]
        label = following[int(random.integers(len(following)))]
        three, one = part(reworded, slice(3 * i, 3 * i + 3)), part(near, slice(i, i + 1))
        found.append(correct((corrected, i), label, radius, three, one, others))

    title = name if step == 1 else f"{name}, every {step}th"
    known = asked(head, [e.text for e in learned[:LEARNED]], task, cache)
    spent = milliseconds(radius, known, part(others, slice(0, LEARNED)))
    cost = float(np.median(spent))
    full = step == 1
    return [
        figure(f"{title}: {WITHOUT}", [c.without for c in found], command, None, full),
        figure(f"{title}: {REWORDINGS}", [c.rewordings for c in found], command, (">=", 60), full),
        figure(f"{title}: {NEAR_MISSES}", [c.near_miss for c in found], command, ("<=", 10), full),
        figure(f"{title}: {OTHERS}", [c.others for c in found], command, ("<=", 0.5), full),
        Figure(
            f"{title}: recall among {len(known.texts)} corrections, processor time, median",
            round(cost, 4),
            "ms",
            n=len(spent),
            target="<= 0.2",
            holds=cost <= 0.2 if full else None,
            command=command,
        ),
    ]


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    step = STEP if options.quick else 1
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        names = options.only or list(SETS)
        return [f for name in names for f in measure_set(name, options.data, cache, command, step)]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps features between runs")
    parser.add_argument("--only", action="append", choices=list(SETS), help="one data set")


if __name__ == "__main__":
    sys.exit(main("memory", measure, arguments))
