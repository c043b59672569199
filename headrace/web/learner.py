"""Corrections in the store -> effect in the memory, whoever gave them: this server, another, the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from headrace.errors import NotServed, ServerFull
from headrace.records import Feedback
from headrace.serving.engine import Ask, Scored
from headrace.store import Store
from headrace.web.ports import Memory, Submits

_WINDOW = 32  # corrections embedded at a time: one batch
_OVERLAP = 64  # numbers read again, since of two transactions the one that began first may end last


@dataclass
class _Known:
    """The ids of corrections that the memory has, and the number up to which the store was read."""

    ids: set[str] = field(default_factory=set)
    cursor: int = 0


class Learner:
    """Teaches corrections in the order in which they came. Safe from several threads.

    What is learned is the text as stored, private details masked: a restart learns the same. Two threads may
    teach one correction at the same time, which changes nothing: the memory knows it by its id.
    """

    def __init__(self, store: Store, batcher: Submits, memory: Memory, *, seconds: float = 30) -> None:
        self._store, self._batcher, self._memory, self._seconds = store, batcher, memory, seconds
        self._known = _Known()

    def learn(self, feedback: Feedback) -> None:
        """Let a correction that is in the store count now; other feedback changes no answer.

        Raises ServerFull; `catch_up` then comes back to it.
        """
        if feedback.label is not None:
            known = self._known  # before the ask: what an older release embedded is not known to the next
            self._teach(feedback, self._batcher.submit(_ask(feedback)), known)

    def catch_up(self) -> int:
        """Learn what the store has and the memory has not; says how many. Raises ServerFull."""
        known, count = self._known, 0
        while numbered := self._store.feedback.after(max(0, known.cursor - _OVERLAP)):
            fresh = [f for _, f in numbered if f.label is not None and f.id not in known.ids]
            count += self._teach_all(fresh, known)
            if numbered[-1][0] == known.cursor:
                break
            known.cursor = numbered[-1][0]
        return count

    def again(self) -> None:
        """Forget what was learned: after a release the same text may have another embedding."""
        self._known = _Known()

    def _teach_all(self, corrections: Sequence[Feedback], known: _Known) -> int:
        count = done = 0
        while done < len(corrections):
            futures = self._submit(corrections[done : done + _WINDOW])
            for future in futures:
                count += self._teach(corrections[done], future, known)
                done += 1
        return count

    def _submit(self, corrections: Sequence[Feedback]) -> list[Future[Scored]]:
        """Futures of as many as the queue takes, at least one; raises ServerFull."""
        futures = [self._batcher.submit(_ask(corrections[0]))]
        try:
            futures += map(self._batcher.submit, map(_ask, corrections[1:]))
        except ServerFull:
            return futures
        return futures

    def _teach(self, feedback: Feedback, future: Future[Scored], known: _Known) -> bool:
        try:
            scored = future.result(self._seconds)
        except NotServed:
            return False  # nothing answers there yet; the first release calls `again`
        self._memory.learn(
            feedback.task,
            feedback.channel,
            feedback.text,
            scored.embedding,
            scored.scores,
            feedback.label or "",
            feedback.id,
        )
        known.ids.add(feedback.id)
        return True


def _ask(feedback: Feedback) -> Ask:
    return Ask(feedback.task, feedback.channel, feedback.text)
