"""The circle of every (task, channel): what came in, what serves, how good, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headrace.evaluation.judgement import Judgement
from headrace.recipe import Recipe
from headrace.records import Adapter, Release
from headrace.reports.turns import TurnReport, last_report
from headrace.store import Store, planned
from headrace.store.planned import Planned


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


@dataclass(frozen=True)
class TurnsStatus:
    """How the flywheel turns: the report of the `last` turn, one that is not finished, and what is planned.

    A turn that `began` and is not finished runs, or was cut off and goes on with the next; `failed` says why
    its last attempt ended.
    """

    last: TurnReport | None
    began: datetime | None = None
    failed: str = ""
    planned: Planned | None = None

    @property
    def sentence(self) -> str:
        """One line: what the last turn did and when, and when the next one is due."""
        last = (
            f"last {_when(self.last.finished)}: {self.last.sentence}" if self.last else "none has ended yet."
        )
        return " ".join(part for part in (f"Turns: {last}", self._open(), self._next()) if part)

    def _open(self) -> str:
        if self.failed:
            return f"The next attempt of the one begun {_when(self.began)} continues it; it failed: {self.failed}"
        return f"One began {_when(self.began)} and has not ended." if self.began else ""

    def _next(self) -> str:
        if self.planned is None:
            return "None is planned (headrace serve --turn-every 1h)."
        if self.planned.next is None:
            return "One runs now."
        again = f" after {self.planned.failures} that failed" if self.planned.failures else ""
        return f"Next {_when(self.planned.next)}{again}."


def turns_status(store: Store, folder: Path) -> TurnsStatus:
    """How the flywheel of the project in `folder` turns."""
    under_way = store.turns.open()
    return TurnsStatus(
        last_report(store),
        under_way.started if under_way else None,
        str(under_way.state.get("failed", "")) if under_way else "",
        planned.read(folder),
    )


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""


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
        self.answers, self.waiting = store.answers.counts(), store.feedback.list(used=False, state="counts")

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
