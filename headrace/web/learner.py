"""Corrections in the store -> effect in the memory, whoever gave them: this server, another, the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from headrace.errors import NotServed, ServerFull
from headrace.feedback.regions import Place
from headrace.feedback.trust import is_sure
from headrace.records import COUNTING, Feedback
from headrace.serving.engine import Ask, Scored
from headrace.store import Store
from headrace.store.feedbacks import Ranked
from headrace.web.ports import Memory, Submits

_WINDOW = 32  # corrections embedded at a time: one batch
_OVERLAP = 64  # numbers read again, since of two transactions the one that began first may end last


@dataclass
class _Known:
    """What the memory has and must not have, by id; up to which numbers the store and its changes were read."""

    ids: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    cursor: int = 0
    changes: int = 0


class Learner:
    """Teaches corrections that count, and forgets those that count no more. Safe from several threads.

    What is learned is the text as stored, private details masked: a restart learns the same. Two threads may
    teach one correction at the same time, which changes nothing: the memory knows it by its id, and its place
    among the others is the store's.
    """

    def __init__(self, store: Store, batcher: Submits, memory: Memory, *, seconds: float = 30) -> None:
        self._store, self._batcher, self._memory, self._seconds = store, batcher, memory, seconds
        self._known = _Known()

    def look(self, feedback: Feedback) -> Scored | None:
        """How what serves sees a feedback's text; None where nothing serves or the queue is full."""
        try:
            return self._batcher.submit(_ask(feedback)).result(self._seconds)
        except (NotServed, ServerFull):
            return None

    def learn(self, ids: Sequence[str]) -> None:
        """Let those of these corrections that count by the store do so now.

        Raises ServerFull; `catch_up` then comes back to them.
        """
        known = self._known  # before the ask: what an older release embedded is not known to the next
        self._teach_all(self._store.feedback.live(ids=ids), known)

    def catch_up(self) -> int:
        """Learn and forget what the store has and the memory has not; says how many. Raises ServerFull."""
        known = self._known
        return self._follow_new(known) + self._follow_changes(known)

    def drop_deleted(self) -> int:
        """Forget corrections that are no longer in the store, since their person was forgotten; says how many."""
        known = self._known
        ids = set(known.ids)
        gone = ids - self._store.feedback.present(sorted(ids))
        for name in gone:
            known.gone.add(name)
            known.ids.discard(name)
            self._memory.forget(name)
        return len(gone)

    def again(self) -> None:
        """Forget what was learned: after a release the same text may have another embedding."""
        self._known = _Known()

    def _follow_new(self, known: _Known) -> int:
        count = 0
        while numbered := self._store.feedback.after(max(0, known.cursor - _OVERLAP)):
            fresh = [one for one in numbered if _counts(one) and one.feedback.id not in known.ids]
            count += self._teach_all(fresh, known)
            if numbered[-1].seq == known.cursor:
                break
            known.cursor = numbered[-1].seq
        return count

    def _follow_changes(self, known: _Known) -> int:
        changed = self._store.feedback.changed_after(known.changes)
        for one in changed:
            if not _counts(one):
                known.gone.add(one.feedback.id)
                known.ids.discard(one.feedback.id)
                self._memory.forget(one.feedback.id)
        back = [one for one in changed if _counts(one)]
        known.gone -= {one.feedback.id for one in back}
        count = self._teach_all(back, known)
        known.changes = max([known.changes, *(one.rank for one in changed)])
        return count + len(changed) - len(back)

    def _teach_all(self, corrections: Sequence[Ranked], known: _Known) -> int:
        count = done = 0
        while done < len(corrections):
            futures = self._submit(corrections[done : done + _WINDOW])
            places: list[tuple[str, str, str]] = []
            for one, future in zip(corrections[done:], futures, strict=False):
                places += self._teach(one, future, known)
            count += len(places)
            done += len(futures)
            self._store.feedback.place(places)
        return count

    def _submit(self, corrections: Sequence[Ranked]) -> list[Future[Scored]]:
        """Futures of as many as the queue takes, at least one; raises ServerFull."""
        asks = [_ask(one.feedback) for one in corrections]
        futures = [self._batcher.submit(asks[0])]
        try:
            futures += map(self._batcher.submit, asks[1:])
        except ServerFull:
            return futures
        return futures

    def _teach(self, one: Ranked, future: Future[Scored], known: _Known) -> list[tuple[str, str, str]]:
        """Teach one; where it lies now, by id, for those that are to be compared with it."""
        feedback = one.feedback
        try:
            scored = future.result(self._seconds)
        except NotServed:
            return []  # nothing answers there yet; the first release calls `again`
        self._memory.learn(
            feedback.task,
            feedback.channel,
            feedback.text,
            scored.embedding,
            scored.scores,
            feedback.label or "",
            feedback.id,
            (one.rank, one.seq),
            feedback.person,
            is_sure(feedback),
        )
        known.ids.add(feedback.id)
        if feedback.id in known.gone:  # undone while it was embedded
            self._memory.forget(feedback.id)
        place = Place.of(scored.adapter, scored.embedding)
        return [(feedback.id, place.space, place.embedding)]


def _counts(one: Ranked) -> bool:
    return one.feedback.state in COUNTING and one.feedback.label is not None


def _ask(feedback: Feedback) -> Ask:
    return Ask(feedback.task, feedback.channel, feedback.text)
