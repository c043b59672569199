"""The circle of every (task, channel): what came in, what serves, how good, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.evaluation.judgement import Judgement
from headrace.recipe import Recipe
from headrace.records import Adapter, Release
from headrace.store import Store


@dataclass(frozen=True)
class PairStatus:
    """The circle of one (task, channel): what came in, what serves, how good, what waits."""

    task: str
    channel: str
    rows: int
    new: int
    unlabelled: int
    rejected: Mapping[str, int]
    masked: Mapping[str, int]
    train: int
    test: int
    serves: Release | None
    adapter: Adapter | None
    judged: Judgement | None
    answers: int
    feedback_waiting: int


def status(store: Store, recipe: Recipe) -> list[PairStatus]:
    """One for every (task, channel) of the recipe, in its order."""
    serving = {(r.task, r.channel): r for r in store.history.serving()}
    counts = _Counts(store)
    return [
        _pair(store, counts, task, channel, serving.get((task, channel))) for task, channel in recipe.pairs()
    ]


def _pair(store: Store, counts: _Counts, task: str, channel: str, release: Release | None) -> PairStatus:
    pair = (task, channel)
    reports = store.history.reports(release.adapter, channel) if release else []
    return PairStatus(
        task,
        channel,
        rows=counts.rows(pair),
        new=counts.rows(pair, "new"),
        unlabelled=counts.rows(pair, "unlabelled"),
        rejected=counts.rejected(pair),
        masked=counts.masked(pair),
        train=counts.examples(pair, "train", "validation"),
        test=counts.judging(pair),
        serves=release,
        adapter=store.history.adapter(release.adapter) if release else None,
        judged=Judgement.from_json(reports[0].figures) if reports else None,
        answers=counts.answers.get(pair, 0),
        feedback_waiting=sum((f.task, f.channel) == pair for f in counts.waiting),
    )


class _Counts:
    """Counts of the store, read once for all pairs."""

    def __init__(self, store: Store) -> None:
        self._rows, self._masked = store.rows.counts(), store.rows.masked()
        self._examples, self._rejected = store.examples.counts(), store.quarantine.counts()
        self.answers, self.waiting = store.answers.counts(), store.feedback.list(used=False)

    def rows(self, pair: tuple[str, str], state: str | None = None) -> int:
        return sum(n for (t, c, s), n in self._rows.items() if (t, c) == pair and state in (None, s))

    def rejected(self, pair: tuple[str, str]) -> dict[str, int]:
        return {reason: n for (t, c, reason), n in self._rejected.items() if (t, c) == pair}

    def masked(self, pair: tuple[str, str]) -> dict[str, int]:
        return {kind: n for (t, c, kind), n in self._masked.items() if (t, c) == pair}

    def judging(self, pair: tuple[str, str]) -> int:
        """Held-out rows that judge: corrections do not."""
        return sum(
            n
            for (t, c, split, o), n in self._examples.items()
            if (t, c, split) == (*pair, "test") and o != "feedback"
        )

    def examples(self, pair: tuple[str, str], *splits: str) -> int:
        return sum(n for (t, c, split, _), n in self._examples.items() if (t, c) == pair and split in splits)
