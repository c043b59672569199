"""What drift is told from: new questions and training rows, embedded as the serving adapter reads them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime

from headrace.evaluation.drift import Floats
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock
from headrace.reports.drift import (
    LEAST,
    AccuracyDrift,
    InputDrift,
    accuracy_drift,
    first_day,
    input_drift,
    together,
)
from headrace.reports.turns import TurnReport
from headrace.store import Store
from headrace.store.windows import Asked, Pair, Windows

ROWS = 500  # of each side at most
NEWEST = 5000  # questions of a pair from which they are drawn
PAIRS = 8  # pairs that are looked at, those that were asked most
EMBEDDED = 4000  # rows that a look embeds at most: with more than four pairs each side gets fewer

Embed = Callable[[Adapter, Sequence[str]], Floats]


class Drifting:
    """Looks for drift in one project, once a turn."""

    def __init__(self, store: Store, recipe: Recipe, embed: Embed, clock: Clock) -> None:
        self._store, self._recipe, self._embed, self._clock = store, recipe, embed, clock
        self._windows = Windows(store.database)

    def inputs(self, since: datetime, before: TurnReport | None) -> tuple[InputDrift, ...]:
        """Each pair that was asked enough distinct questions since then, beside the rows taught by then."""
        asked = self._windows.asked(since, NEWEST)
        serving = {(r.task, r.channel): r.adapter for r in self._store.history.serving()}
        most = sorted((pair for pair in asked if pair in serving), key=lambda pair: (-len(asked[pair]), pair))
        rows = min(ROWS, EMBEDDED // (2 * max(1, len(most[:PAIRS]))))
        found = (self._pair(pair, asked[pair], serving[pair], since, rows) for pair in most[:PAIRS])
        return together([one for one in found if one is not None], before.inputs if before else ())

    def accuracy(self, before: TurnReport | None) -> tuple[AccuracyDrift, ...]:
        """The share of judged answers that were right, by week: audited ones, then those that users judged."""
        now, known = self._clock(), before.accuracy if before else ()
        since = first_day(now)
        audits = accuracy_drift(self._windows.audits(since), "audits", now, known)
        return audits + accuracy_drift(self._windows.verdicts(since), "feedback", now, known)

    def _pair(
        self, pair: Pair, asked: Sequence[Asked], adapter: str, since: datetime, rows: int
    ) -> InputDrift | None:
        questions = self._drawn({one.text: one.label for one in asked}, rows)
        if len(questions) < LEAST:
            return None
        taught = self._drawn(self._taught(pair, since), rows)
        if len(taught) < LEAST:
            return None
        serving = self._store.history.adapter(adapter)
        both = self._embed(serving, list(taught)), self._embed(serving, list(questions))
        return input_drift(pair, taught, questions, both, seed=self._recipe.seed)

    def _taught(self, pair: Pair, since: datetime) -> dict[str, str]:
        """Texts and labels of the channel's training rows, of all the task's where it has too few of its own."""
        task, channel = pair
        for channels in ([channel], None):
            rows = self._store.examples.of(task, channels, ["train"])
            old = [row for row in rows if row.at <= since]
            found = {row.text: row.label for row in old or rows}
            if len(found) >= LEAST:
                return found
        return {}

    def _drawn(self, found: dict[str, str], rows: int) -> dict[str, str]:
        """At most `rows` of the texts, the same ones for the same recipe and texts."""
        texts = sorted(found)
        drawn = random.Random(self._recipe.seed).sample(texts, min(rows, len(texts)))
        return {text: found[text] for text in drawn}
