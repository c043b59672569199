"""The milliseconds of `benchmarks.learning`: what one correction changes, beside a nearest neighbour.

The questions, rewordings and near-misses are those of `benchmarks.memory`; each seed draws other labels to
correct to, other references of the radius and another adapter. The neighbour is the plainest memory there is:
the nearest correction decides where its cosine is above one threshold, which is set, as the radius is, where
correcting a training row changes 0.43 % of the others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from benchmarks.memory import NEXT, SETS, STEP, Asked, Changes, asked, part, questions, rows
from headrace.feedback import Memory, Radius
from headrace.feedback.radius import SHARE, Fixed, Floats, Found, Reach, agrees
from headrace.models.adapter import Head
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.tuning.features import embed
from headrace.tuning.train import train

FULL_MEMORY, DRAWN = 1000, 3000
BOUNDS = {"rewordings": (">=", 60.0), "near_miss": ("<=", 10.0), "others": ("<=", 0.5)}
NAMES = {
    "rewordings": "rewordings answered with the drawn label",
    "near_miss": "near-misses whose answer changed",
    "others": "other test rows changed",
}


@dataclass(frozen=True)
class Nearest(Fixed):
    """The nearest correction decides where its cosine is high enough, whatever is said of the two."""

    def margins(self, found: Found, view: Floats, scores: object) -> Floats:
        """[n] cosine above the threshold."""
        return np.asarray(found.similarity - np.float32(self.cosine), dtype=np.float32)

    @classmethod
    def learn(cls, embeddings: Floats, seed: int) -> Nearest:
        """The threshold that `SHARE` of the pairs of training rows exceed."""
        drawn = np.random.default_rng(seed).permutation(len(embeddings))[:DRAWN]
        cosines = embeddings[drawn] @ embeddings[drawn].T
        return cls(float(np.quantile(cosines[~np.eye(len(drawn), dtype=bool)], 1 - SHARE)))


@dataclass(frozen=True)
class Sight:
    """All texts that are asked after a correction, as a reach sees them: views [n, d], roots of scores [n, K]."""

    of: Asked
    views: Floats
    roots: Floats

    @classmethod
    def taken(cls, of: Asked, reach: Reach) -> Sight:
        """The sight of these texts."""
        views = np.stack([reach.view(embedding) for embedding in of.embeddings])
        return cls(of, views, np.sqrt(np.array([list(s.values()) for s in of.scores], np.float32)))

    def changed(self, reach: Reach, memory: Memory, question: Sight, at: int) -> list[str]:
        """What each text is answered with; the memory is asked where it may have something to say."""
        near = self.views @ question.views[at]
        if isinstance(reach, Radius):
            may = agrees(near, self.roots @ question.roots[at]) & (near >= reach.far)
        else:
            may = near >= getattr(reach, "cosine", -1.0)
        found = [self.of.best(i) for i in range(len(self.of.texts))]
        for i in np.flatnonzero(may).tolist():
            found[i] = self.of.answer(i, memory)
        return found


@dataclass(frozen=True)
class World:
    """Everything of one set and seed that both memories are asked about."""

    corrected: Asked
    labels: Sequence[str]
    reworded: Asked
    near: Asked
    others: Asked


def changes(world: World, reach: Reach) -> list[Changes]:
    """What each question's correction changes, in an empty memory."""
    question, *seen = (
        Sight.taken(texts, reach) for texts in (world.corrected, world.reworded, world.near, world.others)
    )
    best = [[sight.of.best(i) for i in range(len(sight.of.texts))] for sight in seen]
    found = []
    for i, label in enumerate(world.labels):
        memory, said = Memory({"intent": reach}), world.corrected
        memory.learn("intent", "channel", said.texts[i], said.embeddings[i], said.scores[i], label, "fb_1")
        now = [sight.changed(reach, memory, question, i) for sight in seen]
        mine = slice(3 * i, 3 * i + 3)
        rest = [j for j, text in enumerate(world.others.texts) if text != said.texts[i]]
        found.append(
            Changes(
                without=100 * float(np.mean([answer == label for answer in best[0][mine]])),
                rewordings=100 * float(np.mean([answer == label for answer in now[0][mine]])),
                near_miss=100.0 * (now[1][i] != best[1][i]),
                others=100 * float(np.mean([now[2][j] != best[2][j] for j in rest])),
            )
        )
    return found


def effect(reach: Reach, known: Asked, ask: Asked) -> list[float]:
    """Milliseconds of a processor from a correction to its effect, one after another, after `known` of them."""
    memory = Memory({"intent": reach})
    for i, text in enumerate(known.texts):
        memory.learn("intent", "channel", text, known.embeddings[i], known.scores[i], "other", f"fb_{i}")
    spent = []
    for i, text in enumerate(ask.texts):
        began = time.thread_time()
        memory.learn("intent", "channel", text, ask.embeddings[i], ask.scores[i], "other", f"new_{i}")
        assert ask.answer(i, memory) == "other"
        spent.append(1000 * (time.thread_time() - began))
    return spent


def measured(name: str, values: NDArray[np.float64], of: Sequence[object], key: str, command: str) -> Figure:
    """The mean over questions and seeds [n, s]; the interval is the bootstrap's over the questions."""
    each = values.mean(axis=1)
    drawn = np.random.default_rng(0).integers(0, len(each), (2000, len(each)))
    low, high = np.percentile(each[drawn].mean(axis=1), [2.5, 97.5]).round(2).tolist()
    mean, (sign, bound) = float(each.mean()), BOUNDS.get(key, ("", 0.0))
    holds = None if not sign else mean >= bound if sign == ">=" else mean <= bound
    target = f"{sign} {bound:g}" if sign else None
    seeds = tuple(int(str(seed)) for seed in of)
    return Figure(name, round(mean, 3), "%", (low, high), len(each), seeds, target, holds, command)


def world(
    name: str, seed: int, options: argparse.Namespace, cache: Path
) -> tuple[World, Radius, Nearest, Asked]:
    """One set and seed: its questions, both memories, and training rows to fill a memory with."""
    step = STEP if options.quick else 1
    learned, judged = rows(options.data, name, "train", step), rows(options.data, name, "test", 1)
    held, task = rows(options.data, name, "validation", step), TaskRecipe(base=SETS[name])
    given = {"task": task, "settings": TrainRecipe(method="head"), "seed": seed, "cache": cache}
    trained = train(learned, validation=held, **given)  # type: ignore[arg-type]
    head = Head.from_bytes(trained.files["head.safetensors"])
    examples = embed([e.text for e in learned], task=task, cache=cache)
    picked, random = questions(name, step), np.random.default_rng(seed)
    corrected = asked(head, [judged[int(str(q["row"]))].text for q in picked], task, cache)
    reworded = asked(head, [str(t) for q in picked for t in list(q["rewordings"])], task, cache)  # type: ignore[call-overload]
    near = asked(head, [str(q["near_miss"]) for q in picked], task, cache)
    others = asked(head, [e.text for e in judged[::step]], task, cache)
    labels = []
    for scores in corrected.scores:
        following = sorted(scores, key=scores.__getitem__, reverse=True)[1 : NEXT + 1]
        labels.append(following[int(random.integers(len(following)))])
    radius = Radius.learn(examples, [e.label for e in learned], seed=seed)
    known = asked(head, [e.text for e in learned[:FULL_MEMORY]], task, cache)
    return World(corrected, labels, reworded, near, others), radius, Nearest.learn(examples, seed), known


def measure(name: str, options: argparse.Namespace, cache: Path, command: str) -> list[Figure]:
    """All figures of one set."""
    seeds: Sequence[int] = (0,) if options.quick else options.seeds
    by: dict[str, list[list[Changes]]] = {"memory": [], "neighbour": []}
    spent: list[float] = []
    for seed in seeds:
        asked_of, radius, nearest, known = world(name, seed, options, cache)
        by["memory"].append(changes(asked_of, radius))
        by["neighbour"].append(changes(asked_of, nearest))
        spent += effect(radius, known, part(asked_of.others, slice(0, 100)))
    title = f"{name}, every {STEP}th" if options.quick else name
    found = []
    for key, said in NAMES.items():
        for who, label in (("memory", ""), ("neighbour", ", by a nearest neighbour within a fixed radius")):
            values = np.array([[getattr(c, key) for c in each] for each in by[who]]).T
            bound = key if who == "memory" and not options.quick else ""
            found.append(measured(f"{title}: {said}{label}", values, seeds, bound, command))
    cost = float(np.median(spent))
    what = f"{title}: from a correction to its effect among {FULL_MEMORY:,} others, processor time, median"
    return [*found, Figure(what, round(cost, 3), "ms", n=len(spent), seeds=tuple(seeds), command=command)]
