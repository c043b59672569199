"""Questions -> passages that answer: exact words, meaning where an adapter serves, and corrections at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headrace.feedback.memory import Memory, plain
from headrace.feedback.radius import Fixed
from headrace.feedback.trust import is_sure
from headrace.knowledge.index import Hit as Found
from headrace.knowledge.index import Index, Question
from headrace.knowledge.rerank import Reranker
from headrace.recipe import Recipe
from headrace.records import Feedback, Passage, Release
from headrace.serving.router import Router
from headrace.serving.search_adapter import SearchAdapter, opened
from headrace.store import Store

Floats = NDArray[np.float32]

_NOTHING = np.zeros(0, np.float32)
_ALIKE: Mapping[str, float] = {"": 1.0}


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found for a question, best first.

    `embedding` [d] of the question is None where words alone decide; `adapter` and `release` are empty
    then, too. `because` is the feedback that put the first passage there.
    """

    found: tuple[Found, ...]
    embedding: Floats | None = None
    adapter: str = ""
    release: str = ""
    because: str | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON object, without the embedding."""
        found = [
            {
                "passage": hit.passage.id,
                "chance": hit.chance,
                "words": hit.words,
                "meaning": hit.meaning,
                "title": hit.passage.title,
                "text": hit.passage.text,
                "url": hit.passage.url,
                "channel": hit.passage.channel,
                "language": hit.passage.language,
            }
            for hit in self.found
        ]
        said = {"adapter": self.adapter, "release": self.release, "because": self.because}
        return {"found": found, **said}


@dataclass(frozen=True)
class _Learned:
    """The live corrections of a (task, channel), searched and by id."""

    memory: Memory
    said: Mapping[str, Feedback]


@dataclass(frozen=True)
class _View:
    """All that one search reads: it never changes, and the next view takes its place."""

    index: Index
    reranker: Reranker
    owned: Mapping[str, frozenset[str]]
    adapter: SearchAdapter | None = None
    release: str = ""


class Searcher:
    """Searches what a channel may be answered from. Safe from several threads.

    It follows the store by itself: documents, releases and corrections count from the next search on.
    """

    def __init__(self, store: Store, recipe: Recipe, *, threads: int = 1) -> None:
        self.recipe, self._store, self._threads = recipe, store, threads
        self._lock = threading.Lock()
        self._adapters: dict[str, SearchAdapter] = {}
        self._router, self._releases = Router(), -1
        self._documents: tuple[object, ...] = ()
        self._passages: dict[str, tuple[Passage, ...]] = {}
        self._indexes: dict[tuple[str, str], Index] = {}
        self._owned: dict[str, Mapping[str, frozenset[str]]] = {}
        self._corrections: tuple[int, ...] = ()
        self._memories: dict[tuple[str, str], tuple[str, _Learned]] = {}

    def search(
        self, text: str, *, task: str | None, channel: str, limit: int = 5, context: Sequence[str] = ()
    ) -> Searched:
        """The passages most likely to answer `text` in a channel, at most `limit`, best first.

        Passages of the channel and those of all channels are looked at, and no others. `context` are the
        customer's turns before, latest last. A correction of this text or of a rewording puts its passage first;
        one user's word keeps the chance that the search gave, and displaces no answer of the owner's to it.
        Words alone decide where `task` is None or nothing of it is released. Raises ArtifactError, StoreError.
        """
        with self._lock:
            view = self._view(task, channel)
            learned = self._remembered(task or self.recipe.support.search_task, channel, view)
        question = _question(text, context, view.adapter)
        hits = view.index.search(question, view.reranker, limit=max(limit, 1))
        vector = _NOTHING if question.vector is None else question.vector
        recalled = learned.memory.recall(
            task or self.recipe.support.search_task, channel, text, vector, _ALIKE
        )
        name = view.adapter.adapter if view.adapter else ""
        found = Searched(tuple(hits), question.vector, name, view.release)
        if recalled is None:
            return found
        said = learned.said[recalled.feedback_id]
        if not is_sure(said) and any(_owns(view.owned, one, recalled.label) for one in (text, said.text)):
            return found
        return _corrected(found, view.index.get(recalled.label), said, limit)

    def _view(self, task: str | None, channel: str) -> _View:
        release = self._release(task, channel)
        adapter = self._adapter(release.adapter) if release else None
        index = self._index(channel, adapter)
        owned = self._owned_of(channel)
        if adapter is None or release is None:
            return _View(index, Reranker(), owned)
        return _View(index, adapter.reranker, owned, adapter, release.id)

    def _release(self, task: str | None, channel: str) -> Release | None:
        """What serves the task there, by the newest releases."""
        if task is None or task not in self.recipe.tasks or self.recipe.task(task).kind != "embed":
            return None
        history = self._store.history
        version = history.version()
        if version != self._releases:
            kinds = {name for name, found in self.recipe.tasks.items() if found.kind == "embed"}
            current = [release for release in history.current() if release.task in kinds]
            self._router = Router.of(current, {release.adapter for release in current})
            self._releases = version
            self._adapters = {n: a for n, a in self._adapters.items() if n in self._router.serving()}
        return self._router.own.get((task, channel)) or self._router.shared.get(task)

    def _adapter(self, name: str) -> SearchAdapter:
        if name not in self._adapters:
            found = self._store.history.adapter(name)
            self._adapters[name] = opened(self._store, found, threads=self._threads)
        return self._adapters[name]

    def _index(self, channel: str, adapter: SearchAdapter | None) -> Index:
        """The channel's index, made anew where documents changed; channels with the same passages share one."""
        version = self._store.documents.version()
        if version != self._documents:
            self._passages, self._indexes, self._owned, self._documents = {}, {}, {}, version
        key = (channel, adapter.space if adapter else "")
        if key not in self._indexes:
            passages = self._passages_of(channel)
            same = (name for name, known in self._passages.items() if known == passages)
            made = next((self._indexes[n, key[1]] for n in same if (n, key[1]) in self._indexes), None)
            self._indexes[key] = made or Index(passages, adapter.vectors(passages) if adapter else None)
        return self._indexes[key]

    def _passages_of(self, channel: str) -> tuple[Passage, ...]:
        if channel not in self._passages:
            self._passages[channel] = tuple(self._store.documents.passages(channel))
        return self._passages[channel]

    def _owned_of(self, channel: str) -> Mapping[str, frozenset[str]]:
        """The questions that the owner's own answers have as their titles, and which answers those are."""
        if channel not in self._owned:
            found: dict[str, frozenset[str]] = {}
            for one in self._passages_of(channel):
                if one.curated:
                    found[plain(one.title)] = found.get(plain(one.title), frozenset()) | {one.id}
            self._owned[channel] = found
        return self._owned[channel]

    def _remembered(self, task: str, channel: str, view: _View) -> _Learned:
        """The corrections of a (task, channel) that are live now, as what serves sees them."""
        marks = self._store.feedback.marks()
        if marks != self._corrections:
            self._memories, self._corrections = {}, marks
        name = view.adapter.adapter if view.adapter else ""
        known, learned = self._memories.get((task, channel), ("", None))
        if learned is None or known != name:
            learned = self._learned(task, channel, view)
            self._memories[task, channel] = (name, learned)
        return learned

    def _learned(self, task: str, channel: str, view: _View) -> _Learned:
        reach = self.recipe.memory.radius or view.reranker.reach
        plausible = self.recipe.trust.plausible
        memory = Memory({task: Fixed(reach)} if view.adapter else {}, plausible=plausible)
        enabled = self.recipe.memory.enabled
        live = [one.feedback for one in self._store.feedback.live(task, channel)] if enabled else []
        texts = [one.text for one in live]
        vectors = view.adapter.questions(texts) if view.adapter and texts else [_NOTHING] * len(texts)
        for one, vector in zip(live, vectors, strict=True):
            label = one.label or ""
            scores = {**_ALIKE, label: one.chance or 0.0}
            given = (one.text, vector, scores, label, one.id)
            memory.learn(task, channel, *given, person=one.person, sure=is_sure(one))
        return _Learned(memory, {one.id: one for one in live})


def _question(text: str, context: Sequence[str], adapter: SearchAdapter | None) -> Question:
    asked = Question(text, tuple(context))
    if adapter is None:
        return asked
    vectors = adapter.questions([text, asked.whole] if context else [text])
    return replace(asked, vector=vectors[0], joined=vectors[-1])


def _owns(owned: Mapping[str, frozenset[str]], text: str, label: str) -> bool:
    """Whether the owner answers just this question, and with another passage."""
    answers = owned.get(plain(text))
    return answers is not None and label not in answers


def _corrected(found: Searched, passage: Passage | None, said: Feedback, limit: int) -> Searched:
    """With the passage first that a correction names; as it was where the channel has it no more.

    Only the owner's word, or that of users who agree, is worth as much as what it displaces.
    """
    if passage is None:
        return found
    best = max((hit.chance for hit in found.found), default=0.0) if is_sure(said) else 0.0
    own = next((hit for hit in found.found if hit.passage.id == passage.id), Found(passage, 0.0, 0.0, 0.0))
    others = [hit for hit in found.found if hit.passage.id != passage.id]
    first = replace(own, chance=max(own.chance, best))
    return replace(found, found=(first, *others)[:limit], because=said.id)
