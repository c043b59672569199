"""Is the passage that answers a question among the first three? By words, by meaning, and by both.

XQuAD in English and Chinese: a question and the paragraph that answers it, by article. A bank's FAQ: a question
and its answer, by section; the question's text is not indexed. Articles or sections are halved: one half teaches,
the passages of the other are searched. Five halvings by seed. English is read by all-MiniLM-L6-v2, Chinese by
multilingual-e5-small, in int8 as served. An interval is the bootstrap's over questions, each with all its seeds.
`--quick` is the FAQ at the first seed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, data_argument, main
from headrace.flywheel.retrieval.asking import Asking
from headrace.flywheel.retrieval.pairs import split_by_passage
from headrace.flywheel.retrieval.trainer import ranking
from headrace.knowledge.fuse import fuse
from headrace.knowledge.rerank import RERANK_FILE, Reranker
from headrace.models.base import resolve
from headrace.models.delta import MODULES
from headrace.models.tasks.embed import Options, sentences
from headrace.recipe import TaskRecipe
from headrace.records import Example, Passage, content_id
from headrace.serving.export import export
from headrace.serving.search_adapter import SearchAdapter
from headrace.tuning.pairs import learn

AT = datetime(2026, 1, 1, tzinfo=UTC)
BASES = {"xquad en": "all-MiniLM-L6-v2", "xquad zh": "multilingual-e5-small", "bank_faq": "all-MiniLM-L6-v2"}
SEEDS, TOP, LONGEST = (0, 1, 2, 3, 4), 3, 256
BM25, PLAIN, PARTS, ADAPTED = "BM25", "base, unadapted", "base, by sentences too", "adapted"
FUSED, RERANKED = "fused", "reranked"
WAYS = (BM25, PLAIN, PARTS, ADAPTED, FUSED, RERANKED)
Floats = NDArray[np.float32]
Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Asked:
    """A question, the passage that answers it, and the article or section that both are from."""

    question: str
    passage: str
    group: str


def rows(folder: Path, name: str) -> list[Asked]:
    """A set's questions."""
    if name == "bank_faq":
        with open(folder / "bank_faq" / "faq.csv", encoding="utf-8", newline="") as file:
            return [Asked(row["question"], row["answer"], row["section"]) for row in csv.DictReader(file)]
    language = name.removeprefix("xquad ")
    with gzip.open(folder / "xquad_en_zh" / f"{language}.jsonl.gz", "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return [Asked(row["question"], row["context"], row["title"]) for row in found]


def halved(found: Sequence[Asked], seed: int) -> tuple[list[Asked], list[Asked]]:
    """Those of one half of the groups, to learn from, and those of the other, to search."""
    groups = sorted({one.group for one in found})
    random.Random(seed).shuffle(groups)
    teaching = set(groups[: len(groups) // 2])
    return [one for one in found if one.group in teaching], [o for o in found if o.group not in teaching]


def passages(found: Sequence[Asked]) -> list[Passage]:
    """Each text once, without a title."""
    texts = dict.fromkeys(one.passage for one in found)
    return [Passage(content_id("psg", text), "doc", None, "", "", text, 0, AT) for text in texts]


def pairs(found: Sequence[Asked], seed: int) -> list[Example]:
    """As a turn has them."""
    made = []
    for one in found:
        name = content_id("psg", one.passage)
        which = split_by_passage(seed, name)
        made.append(
            Example(
                content_id("ask", one.question, name), "", "find", one.question, name, which, "source", AT
            )
        )
    return made


class Base:
    """A base's exported graph, and adapters on it."""

    def __init__(self, name: str, texts: Sequence[str], cache: Path) -> None:
        self.task, self.cache = TaskRecipe(kind="embed", base=name, longest=LONGEST), cache
        base = resolve(name, cache)
        low = base.layers - Options().top(base.layers)
        sites = [(layer, module) for layer in range(low, base.layers) for module in MODULES]
        self.files = export(base, sites, longest=LONGEST, texts=texts)

    def adapter(self, delta: Mapping[str, bytes]) -> SearchAdapter:
        """One with these files of a delta, or none."""
        files = {**self.files, **delta, RERANK_FILE: json.dumps(Reranker().to_json()).encode()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        return SearchAdapter("adapter", files, digests, self.cache / "vectors")


@dataclass(frozen=True)
class Outcome:
    """Of one halving: which questions were searched, whether the passage was among the first, and notes."""

    questions: list[str]
    found: dict[str, NDArray[np.bool_]]
    chances: Floats
    first: NDArray[np.bool_]
    notes: tuple[str, ...]


def outcome(base: Base, found: Sequence[Asked], seed: int) -> Outcome:
    """Learn from one half, search the other."""
    teaching, searching = halved(found, seed)
    taught, texts = pairs(teaching, seed), {p.id: p.text for p in passages(teaching)}
    fitted = learn(taught, texts, task=base.task, seed=seed, cache=base.cache)
    plain, adapter = base.adapter({}), base.adapter(fitted.delta.to_files() if fitted.delta else {})
    held = [pair for pair in taught if pair.split == "validation"]
    reranker = ranking(
        Asking(adapter, passages(teaching)), held, adapter.questions([pair.text for pair in taught])
    )
    asked, asking = pairs(searching, seed), Asking(adapter, passages(searching))
    unadapted = Asking(plain, passages(searching))
    seen, before = asking.seen(asked, reranker), unadapted.seen(asked, reranker)
    whole = whole_only(plain, [pair.text for pair in asked], passages(searching))
    best = np.array([right for _, right in seen])
    meaning = np.stack([one.meaning for one, _ in seen if one.meaning is not None])
    words = np.stack([one.words for one, _ in seen])
    scores = {
        BM25: words,
        PLAIN: whole,
        PARTS: np.stack([one.meaning for one, _ in before if one.meaning is not None]),
        ADAPTED: meaning,
        FUSED: fuse(words, meaning, reranker.share),
    }
    among = {way: among_first(score, best) for way, score in scores.items()}
    ranked = asking.ranked(asked, reranker)
    among[RERANKED] = np.array([one.rank <= TOP for one in ranked])
    chances = np.array([one.chance for one in ranked], np.float32)
    first = np.array([one.rank == 1 for one in ranked])
    notes = (*fitted.notes, f"share of meaning {reranker.share:g}")
    return Outcome([pair.id for pair in asked], among, chances, first, notes)


def whole_only(adapter: SearchAdapter, questions: Sequence[str], found: Sequence[Passage]) -> Floats:
    """[q, n] cosines of questions with whole passages: what the base says by itself."""
    texts = adapter.plain([passage.text for passage in found])
    return np.asarray(adapter.plain(questions) @ texts.T, dtype=np.float32)


def among_first(scores: Floats, right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[q] whether the right passage is among the first, of equals the earlier ones first."""
    first = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    return np.asarray((first == right[:, None]).any(axis=1))


def figures(
    name: str, outcomes: Sequence[Outcome], seeds: Sequence[int], command: str, full: bool
) -> Iterator[Figure]:
    """Recall by way, and the differences that are asked for."""

    def figure(label: str, values: Sequence[Values], target: str | None, least: float) -> Figure:
        mean, low_high, count = summed(outcomes, values)
        holds = None if target is None or not full else mean > least if least == 0 else mean >= least
        said = f"{name}, recall@{TOP}: {label}"
        return Figure(said, round(mean, 2), "%", low_high, count, tuple(seeds), target, holds, command)

    by_way = {way: [100.0 * one.found[way] for one in outcomes] for way in WAYS}
    for way in WAYS:
        yield figure(way, by_way[way], None, 0)
    means = {way: np.mean([values.mean() for values in by_way[way]]) for way in WAYS}
    better = max((BM25, ADAPTED), key=lambda way: float(means[way]))
    for one, other in (
        (ADAPTED, BM25),
        (ADAPTED, PLAIN),
        (ADAPTED, PARTS),
        (FUSED, better),
        (RERANKED, FUSED),
    ):
        gains = [a - b for a, b in zip(by_way[one], by_way[other], strict=True)]
        target, least = {ADAPTED: ("> 0", 0.0), FUSED: (">= 0", -1e-9)}.get(one, (None, 0.0))
        yield figure(f"{one} less {other}", gains, None if other == PARTS else target, least)
    chances, first = (np.concatenate([getattr(o, field) for o in outcomes]) for field in ("chances", "first"))
    said = f"{name}: mean chance of the first passage less the share that is right"
    gap = 100 * float(chances.mean() - first.mean())
    yield Figure(said, round(gap, 2), "points", n=len(first), seeds=tuple(seeds), command=command)


def summed(outcomes: Sequence[Outcome], values: Sequence[Values]) -> tuple[float, tuple[float, float], int]:
    """The mean over halvings, its bootstrap interval over questions (2,000 draws), and how many they are."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for one, some in zip(outcomes, values, strict=True):
        for question, value in zip(one.questions, some.tolist(), strict=True):
            sums[question] += value
            counts[question] += 1
    total, count = (np.array([of[question] for question in sums]) for of in (sums, counts))
    drawn = np.random.default_rng(0).integers(0, len(total), (2000, len(total)))
    low, high = np.percentile(total[drawn].sum(1) / count[drawn].sum(1), [2.5, 97.5]).round(2).tolist()
    return float(total.sum() / count.sum()), (low, high), len(total)


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    names = ["bank_faq"] if options.quick else options.only or list(BASES)
    seeds = SEEDS[:1] if options.quick else SEEDS[: options.seeds]
    made: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        for name in names:
            found = rows(options.data, name)
            base = Base(BASES[name], [text for one in found for text in sentences(one.passage)[:1]], cache)
            outcomes = []
            for seed in seeds:
                outcomes.append(outcome(base, found, seed))
                print(f"{name}, seed {seed}: {'; '.join(outcomes[-1].notes)}", file=sys.stderr)
            made += figures(name, outcomes, seeds, command, not options.quick)
    return made


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps bases and features between runs")
    parser.add_argument("--only", action="append", choices=list(BASES), help="one set")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="so many halvings")


if __name__ == "__main__":
    sys.exit(main("retrieval", measure, arguments))
