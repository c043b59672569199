"""Why did it say that, since when, taught by whom: an answer, its adapter, release, rows and corrections."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.data.texts import normalised
from headrace.errors import NotFound
from headrace.recipe import Recipe
from headrace.records import Adapter, Answer, Feedback, Release, Trial
from headrace.release.history import history
from headrace.reports.figures import to_json
from headrace.reports.grids import number, percent, short
from headrace.store import Store
from headrace.store.manifest import Taught, manifest_of

NEAREST = 5
COMPARED = 2000
"""Training rows that are compared by meaning: where there are more, those with most words in common."""

Floats = NDArray[np.float32]
Embed = Callable[[Adapter, Sequence[str]], Floats]


@dataclass(frozen=True)
class Correction:
    """What a user said that taught: by whom (a pseudonym, None where nobody was named) and when."""

    id: str
    answer: str
    verdict: str
    label: str | None
    person: str | None
    at: datetime

    @property
    def by(self) -> str:
        """Who said it, in words."""
        return self.person or "somebody who gave no name"


@dataclass(frozen=True)
class Near:
    """A row that taught the adapter, its label then, how near its meaning is (cosine), and who gave the label."""

    row: str
    channel: str
    text: str
    label: str
    similarity: float
    source: str
    corrections: tuple[Correction, ...] = ()

    @property
    def taught_by(self) -> str:
        """Who or what gave it its label."""
        if self.corrections:
            last = self.corrections[-1]
            return f"{last.verdict} by {last.by} on {_when(last.at)}"
        return f"source {self.source}" if self.source else "a source that is not known any more"


@dataclass(frozen=True)
class Trace:
    """An answer and everything behind it.

    `evidence` is the sentence of the release, or of the trial in which a challenger answered. `because` is the
    correction that decided this very answer, where one did; `said_of_it` is what users said of the answer.
    """

    answer: Answer
    adapter: Adapter
    since: datetime | None
    evidence: str
    release: Release | None
    trial: Trial | None
    because: Correction | None
    said_of_it: tuple[Correction, ...]
    nearest: tuple[Near, ...]
    rows: int
    corrections: int
    compared: int

    @property
    def sentence(self) -> str:
        """One line: why, since when, taught by whom."""
        a, adapter = self.answer, short(self.adapter.id)
        served = f"served since {_when(self.since)}" if self.since else "no release of it is known"
        if self.because is not None:
            c = self.because
            return (
                f"{a.label!r}, because {c.by} corrected this question or one like it on {_when(c.at)} ({c.id});"
                f" adapter {adapter}, {served}."
            )
        taught = f"taught by {number(self.rows)} rows, {number(self.corrections)} of them corrections"
        near = self.nearest[:1]
        closest = (
            f", the nearest {near[0].text!r} = {near[0].label!r}, from {near[0].taught_by}" if near else ""
        )
        return f"{a.label!r} ({percent(a.confidence)} sure): adapter {adapter}, {served}, {taught}{closest}."

    def lines(self) -> list[str]:
        """The whole as plain text, the sentence first."""
        a, adapter = self.answer, self.adapter
        method = adapter.lineage.get("method", "")
        whose = f"{adapter.channel}'s own" if adapter.channel else "shared"
        told = [
            self.sentence,
            f"Asked     {a.text!r} ({a.task}/{a.channel}, {_when(a.at)}, {a.id})",
            f"Adapter   {adapter.id}, {whose}, {method}, trained {_when(adapter.at)}",
            f"Release   {self._release()}",
        ]
        told += [
            f"Then      {one.verdict}{_label(one)} by {one.by} on {_when(one.at)} ({one.id})"
            for one in self.said_of_it
        ]
        if self.nearest:
            of = f"of {number(self.rows)} rows that taught it"
            few = "" if self.compared >= self.rows else f", {number(self.compared)} of them compared"
            told.append(f"Nearest {of}{few}:")
        told += [
            f"  {one.similarity:.2f}  {one.text!r} = {one.label!r}, {one.channel}, {one.taught_by}"
            for one in self.nearest
        ]
        return told

    def to_json(self) -> dict[str, Any]:
        """The same for scripts."""
        found: dict[str, Any] = to_json(self)
        return {"sentence": self.sentence, **found}

    def _release(self) -> str:
        if self.trial is not None:
            return f"{self.trial.id}, a trial begun {_when(self.trial.began)}: {self.evidence}"
        if self.release is None:
            return f"{self.answer.release}, not known any more"
        return f"{self.release.id}, since {_when(self.release.at)}: {self.evidence}"


def trace(store: Store, recipe: Recipe, answer_id: str, embed: Embed, *, nearest: int = NEAREST) -> Trace:
    """An answer, traced; `embed` gives embeddings [n, d] of texts by an adapter's graph.

    Raises NotFound where there is no such answer, ArtifactError where the adapter's files are damaged.
    """
    answer = store.answers.get(answer_id)
    adapter = store.history.adapter(answer.adapter)
    release, trial, evidence = _served(store, answer)
    training = _training(store, recipe, adapter)
    said = {one.id: _correction(one) for one in store.feedback.list(task=answer.task)}
    candidates = _alike(answer.text, training, store)
    return Trace(
        answer,
        adapter,
        trial.began if trial else release.at if release else None,
        evidence,
        release,
        trial,
        said.get(answer.because or ""),
        tuple(one for one in said.values() if one.answer == answer.id),
        _nearest(
            store, answer, candidates, embed(adapter, [answer.text, *candidates.values()]), said, nearest
        ),
        rows=len(training),
        corrections=sum(row.origin == "feedback" for row in training),
        compared=len(candidates),
    )


def _served(store: Store, answer: Answer) -> tuple[Release | None, Trial | None, str]:
    """The release or trial under which an answer was given, and its sentence."""
    releases = store.history.releases(answer.task, answer.channel, limit=None)
    release = next((one for one in releases if one.id == answer.release), None)
    if release is not None:
        lines = history(store, answer.task, answer.channel, release.at)
        return release, None, next((line.message for line in lines if line.id == release.id), "")
    try:
        trial = store.trials.get(answer.release)
    except NotFound:
        return None, None, ""
    return None, trial, f"a challenger of {short(trial.champion)}, in its {trial.stage}"


def _training(store: Store, recipe: Recipe, adapter: Adapter) -> list[Taught]:
    """The rows that taught an adapter; of one that an earlier version trained, those that were there by then."""
    manifest = manifest_of(store.artifacts, adapter)
    if manifest is not None:
        return [row for row in manifest.rows if row.split == "train"]
    channels = [adapter.channel] if adapter.channel else recipe.channels_of(adapter.task)
    found = store.examples.of(adapter.task, channels, ["train"])
    return [Taught.of(example) for example in found if example.at <= adapter.at]


def _alike(text: str, rows: Sequence[Taught], store: Store) -> dict[Taught, str]:
    """The rows that are still there with their texts, at most COMPARED: those with most letters in common."""
    texts = {example.id: example.text for example in store.examples.get([row.id for row in rows])}
    known = {row: texts[row.id] for row in rows if row.id in texts}
    if len(known) <= COMPARED:
        return known
    asked = _grams(text)

    def common(row: Taught) -> float:
        grams = _grams(known[row])
        return len(asked & grams) / math.sqrt(len(grams) or 1)

    return {row: known[row] for row in sorted(known, key=common, reverse=True)[:COMPARED]}


def _nearest(
    store: Store,
    answer: Answer,
    rows: Mapping[Taught, str],
    embeddings: Floats,
    said: Mapping[str, Correction],
    most: int,
) -> tuple[Near, ...]:
    """The rows nearest to the answer's text, the first of the `embeddings`; others are those of `rows`."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    similar = unit[1:] @ unit[0]
    order = [(list(rows)[i], float(similar[i])) for i in np.argsort(-similar, kind="stable")[:most]]
    sources = store.rows.sources([row.id for row, _ in order])
    return tuple(
        Near(
            row.id,
            row.channel,
            rows[row],
            row.label,
            similarity,
            sources.get(row.id, ""),
            tuple(said[name] for name in row.feedback if name in said),
        )
        for row, similarity in order
    )


def _grams(text: str) -> set[str]:
    plain = normalised(text)
    return {plain[i : i + 3] for i in range(max(1, len(plain) - 2))}


def _correction(one: Feedback) -> Correction:
    return Correction(one.id, one.answer, one.verdict, one.label, one.person, one.at)


def _label(one: Correction) -> str:
    return f", {one.label!r}" if one.label else ""


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
