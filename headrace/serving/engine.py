"""Asks of any channels, tasks and bases in one call -> answers, each by its channel's adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from headrace.errors import NotServed
from headrace.serving.bank import Bank, EncoderKey, Loaded, Served
from headrace.serving.encoder import Encoded
from headrace.serving.graph import DeltaBank, Tokens
from headrace.serving.loader import Files, Shelf, digests_of
from headrace.serving.lru import Lru
from headrace.serving.weights import Array

_CHUNK = 256  # texts between two calls of `progress`


@dataclass(frozen=True, slots=True)
class Ask:
    """A text that a channel asks a task about."""

    task: str
    channel: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """An answer: `probabilities` [K] over `labels`, who gave it, and the text's `embedding` [d]."""

    labels: tuple[str, ...]
    probabilities: Array
    release: str
    adapter: str
    embedding: Array

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """The probability of `label`."""
        return float(self.probabilities.max())

    @property
    def scores(self) -> dict[str, float]:
        """Label -> probability."""
        return dict(zip(self.labels, self.probabilities.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Work:
    """A distinct (what serves, text) of a batch and the places that wait for its answer."""

    served: Served
    text: str
    places: list[int]


class Engine:
    """Answers by what stands in its bank; safe to call and to swap from several threads.

    `batch` is rows of one inference at most, `remembered` the answers and the embeddings kept, each.
    """

    def __init__(
        self, bank: Bank | None = None, *, batch: int = 32, remembered: int = 4096, threads: int = 1
    ) -> None:
        self._bank, self._batch = bank or Bank(), batch
        self._answers: Lru[tuple[str, str, str, str], Scored] = Lru(remembered)
        self._embeddings: Lru[tuple[EncoderKey, str], tuple[Array, Tokens]] = Lru(remembered)
        self._shelf = Shelf(self._bank.encoders(), threads=threads)

    @property
    def bank(self) -> Bank:
        """What serves now."""
        return self._bank

    def swap(self, bank: Bank) -> None:
        """Serve by `bank` from the next `answer` on; one under way ends on the bank it began with."""
        self._bank = bank

    def answer(self, asks: Sequence[Ask]) -> list[Scored | NotServed]:
        """One answer per ask, in order; NotServed stands in the place of an ask that nothing serves yet."""
        bank, answers = self._bank, dict[int, Scored | NotServed]()
        work: dict[tuple[str, str, str, str], _Work] = {}
        for place, ask in enumerate(asks):
            try:
                served = bank.find(ask.task, ask.channel)
            except NotServed as error:
                answers[place] = error
                continue
            key = (ask.text, ask.task, served.release, served.loaded.adapter)
            known = self._answers.get(key)
            if known:
                answers[place] = known
            else:
                work.setdefault(key, _Work(served, ask.text, [])).places.append(place)
        for (key, item), scored in zip(work.items(), self._score(list(work.values())), strict=True):
            self._answers.put(key, scored)
            answers.update(dict.fromkeys(item.places, scored))
        return [answers[place] for place in range(len(asks))]

    def scores(
        self, files: Files, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> Array:
        """Probabilities [n, K] of an adapter's files for `texts`, through the graph that would serve it.

        Columns follow the head's labels. `progress` hears how many texts are done. Raises ArtifactError.
        """
        return self.trial(files, texts, progress=progress)[1]

    def trial(
        self, files: Files, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> tuple[Array, Array]:
        """Embeddings [n, d] and probabilities [n, K] that an adapter's files give; like `scores` otherwise."""
        loaded = self._shelf.adapter("on trial", files, digests_of(files))
        deltas = (
            DeltaBank({loaded.adapter: loaded.delta}, loaded.encoder.graph.sites) if loaded.delta else None
        )
        served = Served("", loaded, deltas)
        embeddings = [np.zeros((0, loaded.head.dense.shape[0]), np.float32)]
        chances = [np.zeros((0, len(loaded.head.labels)), np.float32)]
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            encoded = self._encode([_Work(served, text, []) for text in chunk])
            embeddings.append(encoded.embeddings)
            chances.append(loaded.head.probabilities(encoded.embeddings, chunk, encoded.token_ids))
            if progress:
                progress(start + len(chunk))
        return np.concatenate(embeddings), np.concatenate(chances)

    def _score(self, work: Sequence[_Work]) -> list[Scored]:
        scored: dict[int, Scored] = {}
        for base_places in _grouped(item.served.loaded.base for item in work):
            encoded = self._encode([work[i] for i in base_places])
            for group in _grouped(work[i].served.loaded.adapter for i in base_places):
                items = [work[base_places[i]] for i in group]
                part = Encoded(encoded.embeddings[group], [encoded.token_ids[i] for i in group])
                answers = _judge(items, part)
                scored.update(zip((base_places[i] for i in group), answers, strict=True))
        return [scored[i] for i in range(len(work))]

    def _encode(self, work: Sequence[_Work]) -> Encoded:
        """Embeddings of rows that share a base; remembered ones are not computed again."""
        found = [self._remembered(item) for item in work]
        missing = [i for i, known in enumerate(found) if known is None]
        if missing:
            rows = [work[i].served.row for i in missing]
            banks = [work[i].served.deltas for i in missing if work[i].served.deltas]
            fresh = work[missing[0]].served.loaded.encoder.encode(
                [work[i].text for i in missing],
                batch=self._batch,
                deltas=banks[0] if banks else None,
                rows=rows,
            )
            for i, embedding, ids in zip(missing, fresh.embeddings, fresh.token_ids, strict=True):
                found[i] = (embedding, ids)
                self._remember(work[i], embedding, ids)
        pairs = [known for known in found if known is not None]
        return Encoded(np.stack([embedding for embedding, _ in pairs]), [ids for _, ids in pairs])

    def _remembered(self, item: _Work) -> tuple[Array, Tokens] | None:
        return None if item.served.row else self._embeddings.get((item.served.loaded.base, item.text))

    def _remember(self, item: _Work, embedding: Array, ids: Tokens) -> None:
        if not item.served.row:
            self._embeddings.put((item.served.loaded.base, item.text), (embedding.copy(), ids))


def _judge(work: Sequence[_Work], encoded: Encoded) -> list[Scored]:
    """The answers of rows that share an adapter."""
    loaded: Loaded = work[0].served.loaded
    chances = loaded.head.probabilities(encoded.embeddings, [w.text for w in work], encoded.token_ids)
    labels = tuple(loaded.head.labels)
    return [
        Scored(labels, chances[i], item.served.release, loaded.adapter, encoded.embeddings[i])
        for i, item in enumerate(work)
    ]


def _grouped(keys: Iterable[object]) -> list[list[int]]:
    """Indices of equal keys, in the order in which they first appear."""
    groups: dict[object, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())
