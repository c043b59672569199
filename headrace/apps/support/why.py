"""Why the machine said what it said: the words for and against it, and the examples that are nearest."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.apps.support.explain import Piece, nearest, pieces, strongest
from headrace.apps.support.ports import Searches, See
from headrace.feedback.regions import Place
from headrace.feedback.trust import Sight
from headrace.knowledge.words import Words
from headrace.recipe import Recipe
from headrace.records import Answer, Example, Feedback
from headrace.store import Store

CANDIDATES = 48
"""Examples, those that share most words with the text, of which the nearest in meaning are shown."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """An example and the cosine of its meaning with the text's."""

    example: Example
    similarity: float


@dataclass(frozen=True, slots=True)
class Why:
    """What speaks for the label of an answer and what against it, word by word, and what it was learned from.

    `because` is the text of the correction that decided, where one did.
    """

    answer: Answer
    pieces: tuple[Piece, ...]
    speaks_for: tuple[Piece, ...]
    against: tuple[Piece, ...]
    nearest: tuple[Likeness, ...] = ()
    because: str | None = None


def why(store: Store, recipe: Recipe, answer: Answer, see: See, search: Searches) -> Why:
    """The reasons of an answer, by what serves now: an intent's from the engine, a passage's from the search."""
    by_intent = answer.task != recipe.support.search_task
    chances = _of_label(answer, see) if by_intent else _of_passage(answer, recipe, search)
    found = pieces(answer.text, chances)
    said = store.feedback.get([answer.because]) if answer.because else []
    return Why(
        answer,
        found,
        *strongest(found),
        nearest=_nearest(store, answer, see) if by_intent else (),
        because=said[0].text if said else None,
    )


def _of_label(answer: Answer, see: See) -> Callable[[Sequence[str]], list[float]]:
    return lambda texts: [_seen(answer, text, see).chance or 0.0 for text in texts]


def _of_passage(answer: Answer, recipe: Recipe, search: Searches) -> Callable[[Sequence[str]], list[float]]:
    def chance(text: str) -> float:
        if not text.strip():
            return 0.0
        found = search.search(text, task=recipe.support.search, channel=answer.channel, limit=10).found
        return next((one.chance for one in found if one.passage.id == answer.label), 0.0)

    return lambda texts: [chance(text) for text in texts]


def _nearest(store: Store, answer: Answer, see: See) -> tuple[Likeness, ...]:
    here = _seen(answer, answer.text, see).place
    known = store.examples.of(answer.task, [answer.channel], ["train"])
    if here is None or not known:
        return ()
    shared = Words([""] * len(known), [one.text for one in known]).scores(answer.text)
    picked = [known[i] for i in np.argsort(-shared, kind="stable")[:CANDIDATES]]
    places = [_seen(answer, one.text, see).place for one in picked]
    seen = [(one, place) for one, place in zip(picked, places, strict=True) if place is not None]
    if not seen:
        return ()
    rows = np.array([_vector(place) for _, place in seen], np.float32)
    close = nearest(_vector(here), rows)
    return tuple(Likeness(seen[one.place][0], one.similarity) for one in close)


def _vector(place: Place) -> NDArray[np.float32]:
    """[d] of norm 1."""
    found = np.frombuffer(base64.b64decode(place.embedding), np.int8).astype(np.float32)
    return found / np.float32(max(float(np.linalg.norm(found)), 1e-12))


def _seen(answer: Answer, text: str, see: See) -> Sight:
    """How what serves sees a text, as it would see a correction of it to the answer's label."""
    if not text.strip():
        return Sight(chance=0.0)
    asked = Feedback("", answer.id, answer.channel, answer.task, text, "correction", answer.label, answer.at)
    return see(asked)
