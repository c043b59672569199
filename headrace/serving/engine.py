"""Asks of any channels, tasks and bases in one call -> answers, each by its channel's adapter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headrace.errors import ArtifactError, NotServed
from headrace.serving.bank import Bank
from headrace.serving.deltas import DeltaBank
from headrace.serving.encoder import Encoded
from headrace.serving.graph import Tokens
from headrace.serving.loader import Files, Source, digests_of
from headrace.serving.lru import Lru
from headrace.serving.shelf import EncoderKey, Loaded, Shelf
from headrace.serving.trials import OpenTrial
from headrace.serving.weights import Array

_CHUNK = 256  # texts between two calls of `progress`
Unanswered = NotServed | ArtifactError


@dataclass(frozen=True, slots=True)
class Ask:
    """A text that a channel asks a task about.

    `answer` is the id that its answer will have and `user` who asks; without them it stands outside trials.
    """

    task: str
    channel: str
    text: str
    user: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """An answer: `probabilities` [K] over `labels`, who gave it, and the text's `embedding` [d].

    `beside` is what a trial's other adapter says; where its challenger is sent, `release` is the trial's id.
    """

    labels: tuple[str, ...]
    probabilities: Array
    release: str
    adapter: str
    embedding: Array
    beside: Beside | None = None

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

    def chance(self, label: str) -> float:
        """The probability of one label; 0 where the adapter does not know it."""
        return float(self.probabilities[self.labels.index(label)]) if label in self.labels else 0.0

    @property
    def serving(self) -> Scored:
        """What the adapter that serves says, whose embedding the memory of corrections knows."""
        if self.beside is None or self.adapter == self.beside.trial.champion:
            return self
        return self.beside.scored


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """The answer that is not sent, and the trial for whose sake it was given."""

    trial: OpenTrial
    scored: Scored


@dataclass(frozen=True, slots=True)
class _Work:
    """A distinct (release, text) of a batch, what answers it, and the places that wait for its answer."""

    ask: Ask
    release: str
    loaded: Loaded
    places: list[int]


class Engine:
    """Answers by what stands in its bank; safe to call and to swap from several threads.

    `batch` is rows of one inference at most, `remembered` the answers and the embeddings kept, each. What is
    remembered is a channel's own: no channel can tell from the time of an answer what another one asked.
    """

    def __init__(
        self, bank: Bank | None = None, *, batch: int = 32, remembered: int = 4096, threads: int = 1
    ) -> None:
        self._bank, self._batch = bank or Bank(shelf=Shelf(threads=threads)), batch
        self._answers: Lru[tuple[str, str, str, str], Scored] = Lru(remembered)
        self._embeddings: Lru[tuple[EncoderKey, str, str], Array] = Lru(remembered)
        self._tokens: Lru[tuple[EncoderKey, str, str], Tokens] = Lru(remembered)
        self._changing = threading.Lock()

    @property
    def bank(self) -> Bank:
        """What serves now."""
        return self._bank

    def swap(self, bank: Bank) -> None:
        """Serve by `bank` from the next `answer` on; one under way ends on the bank it began with."""
        with self._changing:
            self._bank = bank
        bank.shelf.keep(bank.sources)

    def absent(self, ask: Ask) -> str | None:
        """An adapter that must come from disk before `ask` is answered; None where all are in memory."""
        bank = self._bank
        absent = bank.absent(ask.task, ask.channel)
        trial = self._trial(bank, ask) if absent is None else None
        return absent if trial is None or trial.challenger in bank.shelf else trial.challenger

    def fetch(self, key: Hashable) -> None:
        """Bring an adapter into memory; does nothing where it serves no more.

        Raises ArtifactError, except for a challenger, whose champion goes on alone (`Bank.broken`).
        """
        bank = self._bank
        if isinstance(key, str) and key in bank.sources:
            try:
                bank.load(key)
            except ArtifactError as error:
                self._drop(key, error)
                if bank.serves(key):
                    raise
            self._let_go(bank)

    def _let_go(self, bank: Bank) -> None:
        """Drop what work on a bank that was swapped out meanwhile brought back into memory."""
        now = self._bank
        if now is not bank:
            now.shelf.drop(bank.sources.keys() - now.sources.keys())

    def cost(self, ask: Ask) -> int:
        """The tokens that `ask` takes, at least 1; they are remembered for its answer."""
        loaded = self._resident(ask)
        if loaded is None:
            return 2 + len(ask.text) // 3  # nothing that could read it is in memory
        item = _Work(ask, "", loaded, [])
        (ids,) = self._read([item])
        self._tokens.put(_key(item), ids)
        return len(ids)

    def answer(self, asks: Sequence[Ask]) -> list[Scored | Unanswered]:
        """One answer per ask, in order; NotServed stands in the place of an ask that nothing serves yet.

        Adapters that are not in memory are fetched; ArtifactError stands where one cannot be.
        """
        bank, many = self._bank, len(asks)
        answers, trials = dict[int, Scored | Unanswered](), dict[int, OpenTrial]()
        work: dict[tuple[str, str, str, str], _Work] = {}
        for place, ask in enumerate(asks):
            try:
                release = bank.find(ask.task, ask.channel)
                self._want(bank, (ask, release.id, release.adapter), place, answers, work)
            except (NotServed, ArtifactError) as error:
                answers[place] = error
                continue
            trial = self._trial(bank, ask)
            if trial is not None and self._want_beside(bank, trial, ask, many + place, answers, work):
                trials[place] = trial
        for (key, item), scored in zip(work.items(), self._score(list(work.values())), strict=True):
            self._answers.put(key, scored)
            answers.update(dict.fromkeys(item.places, scored))
        for place, trial in trials.items():
            answers[place] = _paired(trial, asks[place].user, answers[place], answers[many + place])
        self._let_go(bank)
        return [answers[place] for place in range(many)]

    def _want(
        self,
        bank: Bank,
        wanted: tuple[Ask, str, str],
        place: int,
        answers: dict[int, Scored | Unanswered],
        work: dict[tuple[str, str, str, str], _Work],
    ) -> None:
        """Have an ask answered by an adapter under the name of a release or trial, where it is not known."""
        ask, by, adapter = wanted
        key = (ask.text, ask.channel, ask.task, by)
        known = self._answers.get(key)
        if known:
            answers[place] = known
        elif key in work:
            work[key].places.append(place)
        else:
            work[key] = _Work(ask, by, bank.load(adapter), [place])

    @staticmethod
    def _trial(bank: Bank, ask: Ask) -> OpenTrial | None:
        return bank.trial(ask.task, ask.channel, ask.user, ask.answer) if ask.answer else None

    def _want_beside(
        self,
        bank: Bank,
        trial: OpenTrial,
        ask: Ask,
        place: int,
        answers: dict[int, Scored | Unanswered],
        work: dict[tuple[str, str, str, str], _Work],
    ) -> bool:
        """Have a trial's challenger answer too; False where it cannot be loaded."""
        try:
            self._want(bank, (ask, trial.id, trial.challenger), place, answers, work)
        except ArtifactError as error:
            self._drop(trial.challenger, error)
            return False
        return True

    def _drop(self, challenger: str, error: ArtifactError) -> None:
        """Let a challenger that cannot be loaded take part in no trial from now on."""
        with self._changing:  # what was swapped in meanwhile must stay
            self._bank = self._bank.without(challenger, error.message)

    def scores(
        self,
        files: Files,
        texts: Sequence[str],
        *,
        digests: Mapping[str, str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Array:
        """Probabilities [n, K] of an adapter's files for `texts`, through the graph that would serve it.

        Columns follow the head's labels. `digests` are what the files' SHA-256 must be, where that is known;
        `progress` hears how many texts are done. Raises ArtifactError.
        """
        return self.trial(files, texts, digests=digests, progress=progress)[1]

    def trial(
        self,
        files: Files,
        texts: Sequence[str],
        *,
        digests: Mapping[str, str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Array, Array]:
        """Embeddings [n, d] and probabilities [n, K] that an adapter's files give; like `scores` otherwise."""
        loaded = self._bank.shelf.open(Source("on trial", files, digests or digests_of(files)))
        embeddings = [np.zeros((0, loaded.encoder.settings.hidden), np.float32)]
        chances = [np.zeros((0, len(loaded.head.bias)), np.float32)]
        for start in range(0, len(texts), _CHUNK):
            chunk = [_Work(Ask("", "", text), "", loaded, []) for text in texts[start : start + _CHUNK]]
            encoded = self._encode(chunk)
            embeddings.append(encoded.embeddings)
            chances.append(np.stack(self._chances(chunk, encoded)))
            if progress:
                progress(start + len(chunk))
        return np.concatenate(embeddings), np.concatenate(chances)

    def _resident(self, ask: Ask) -> Loaded | None:
        try:
            return self._bank.shelf.get(self._bank.find(ask.task, ask.channel).adapter)
        except NotServed:
            return None

    def _score(self, work: Sequence[_Work]) -> list[Scored]:
        scored: dict[int, Scored] = {}
        for places in _batches(work):
            items = [work[i] for i in places]
            encoded = self._encode(items)
            for i, item, chances, embedding in zip(
                places, items, self._chances(items, encoded), encoded.embeddings, strict=True
            ):
                labels = item.loaded.head.outline.labels
                scored[i] = Scored(labels, chances, item.release, item.loaded.adapter, embedding.copy())
        return [scored[i] for i in range(len(work))]

    def _chances(self, work: Sequence[_Work], encoded: Encoded) -> list[Array]:
        heads, texts = [item.loaded.head for item in work], [item.ask.text for item in work]
        return self._bank.shelf.heads.probabilities(heads, encoded.embeddings, texts, encoded.token_ids)

    def _encode(self, work: Sequence[_Work]) -> Encoded:
        """Embeddings of rows that share a base and a bank of deltas; remembered ones are not computed again."""
        ids, known = self._read(work), [self._remembered(item) for item in work]
        embeddings = np.empty((len(work), work[0].loaded.encoder.settings.hidden), np.float32)
        missing = [i for i, embedding in enumerate(known) if embedding is None]
        first = _first_of_each(work, missing)
        distinct = sorted(set(first.values()))
        if missing:
            embeddings[distinct] = work[0].loaded.encoder.embed(
                [ids[i] for i in distinct],
                batch=self._batch,
                deltas=_deltas(work),
                rows=[work[i].loaded.row for i in distinct],
            )
            embeddings[missing] = embeddings[[first[i] for i in missing]]
        for i, embedding in enumerate(known):
            if embedding is not None:
                embeddings[i] = embedding
            elif not work[i].loaded.slot:
                self._embeddings.put(_key(work[i]), embeddings[i].copy())
        return Encoded(embeddings, ids)

    def _remembered(self, item: _Work) -> Array | None:
        return None if item.loaded.slot else self._embeddings.get(_key(item))

    def _read(self, work: Sequence[_Work]) -> list[Tokens]:
        """The token ids of rows that share an encoder."""
        found: list[Tokens | None] = [None] * len(work)
        if len(self._tokens):
            found = [self._tokens.get(_key(item)) for item in work]
        missing = [i for i, ids in enumerate(found) if ids is None]
        if missing:
            fresh = work[0].loaded.encoder.tokenize([work[i].ask.text for i in missing])
            for i, ids in zip(missing, fresh, strict=True):
                found[i] = ids
        return [ids for ids in found if ids is not None]


def _key(item: _Work) -> tuple[EncoderKey, str, str]:
    return (item.loaded.base, item.ask.channel, item.ask.text)


def _paired(
    trial: OpenTrial, user: str, champion: Scored | Unanswered, challenger: Scored | Unanswered
) -> Scored | Unanswered:
    """Both answers to one ask: the one that is sent, with the other beside it."""
    if not isinstance(champion, Scored) or not isinstance(challenger, Scored):
        return champion
    if trial.sends_challenger(user):
        champion, challenger = challenger, champion
    return replace(champion, beside=Beside(trial, challenger))


def _first_of_each(work: Sequence[_Work], places: Sequence[int]) -> dict[int, int]:
    """Place -> the first place of the same row: heads without a delta share what the base makes of a text."""
    first: dict[object, int] = {}
    return {i: i if work[i].loaded.slot else first.setdefault(_key(work[i]), i) for i in places}


def _deltas(work: Sequence[_Work]) -> DeltaBank | None:
    return next((item.loaded.slot.bank for item in work if item.loaded.slot), None)


def _batches(work: Sequence[_Work]) -> list[list[int]]:
    """Places of rows that one inference takes: of one base, with one bank of deltas or none at all."""
    groups: dict[EncoderKey, dict[DeltaBank | None, list[int]]] = {}
    for place, item in enumerate(work):
        slot = item.loaded.slot
        groups.setdefault(item.loaded.base, {}).setdefault(slot.bank if slot else None, []).append(place)
    for banks in groups.values():
        bare = banks.pop(None, [])
        if bare:
            banks.setdefault(next(iter(banks), None), []).extend(bare)
    return [places for banks in groups.values() for places in banks.values()]
