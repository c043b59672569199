"""A turn as it goes -> the report that is stored with it.

What came in is counted by the store's own numbers, from where the turn before stopped counting: a turn that was
killed and continued tells all of it, and a clock that jumps changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from headrace.errors import HeadraceError
from headrace.flywheel.reporting.drifting import Drifting, Embed
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, IdMaker, Release
from headrace.reports.alerts import News, tell
from headrace.reports.turns import (
    Decided,
    Learned,
    Stage,
    TurnReport,
    came_in,
    last_report,
    rolled_back,
)
from headrace.store import Store, TurnState
from headrace.store.windows import Marks, Windows

LEARNING = "learning"
FIRST = datetime.min.replace(tzinfo=UTC)
_LOG = logging.getLogger(__name__)


class Works:
    """Seconds by kind of work within a turn, such as training, of which there are many stretches."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def clear(self) -> None:
        """Begin anew."""
        self.seconds = {}

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        """Count the seconds of the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - start


class Telling:
    """Follows one turn. `continued` says that an earlier attempt of it was cut off."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        state: TurnState,
        *,
        continued: bool,
        works: Works,
        clock: Clock,
        embed: Embed,
    ) -> None:
        self._store, self._recipe, self._state, self._clock = store, recipe, state, clock
        self._continued, self._windows = continued, Windows(store.database)
        self._before = next((turn for turn in store.turns.list(20) if turn.finished), None)
        self._since = Marks.from_json(self._before.state.get("marks") if self._before else None)
        self._taken_in = self._windows.marks()
        self._drifting = Drifting(store, recipe, embed, clock)
        self._began = time.perf_counter()
        self._stages: list[Stage] = []
        self._works = works

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stretch of the turn."""
        start = time.perf_counter()
        try:
            yield
        finally:
            end = time.perf_counter()
            self._stages.append(Stage(name, start - self._began, end - start))

    def taken_in(self) -> None:
        """Say that what is in the store now is what this turn learns from."""
        self._taken_in = self._windows.marks()

    def finish(self, decided: Sequence[Decided], said: Mapping[str, str]) -> TurnReport:
        """End the turn: its report is stored with it, and where the next one begins to count."""
        report, marks = self._report(decided)
        kept = {"pairs": dict(said), "report": report.to_json(), "marks": marks.to_json()}
        self._store.turns.save(self._state.id, kept, finished=report.finished)
        return report

    def _report(self, decided: Sequence[Decided]) -> tuple[TurnReport, Marks]:
        known = last_report(self._store)
        since = self._before.started if self._before else FIRST
        with self.stage("drift"):
            inputs, accuracy = self._drifting.inputs(since, known), self._drifting.accuracy(known)
        now = self._windows.marks()
        marks = replace(self._taken_in, releases=now.releases, events=now.events)
        report = TurnReport(
            turn=self._state.id,
            started=self._state.started,
            finished=self._clock(),
            seconds=time.perf_counter() - self._began,
            continued=self._continued,
            came_in=came_in(self._windows, self._since, self._taken_in),
            learned=tuple(self._learned()),
            decided=tuple(self._decided(decided)),
            rolled_back=rolled_back(self._windows.releases(self._since)),
            inputs=inputs,
            accuracy=accuracy,
            stages=tuple(self._split()),
        )
        return report, marks

    def _split(self) -> Iterator[Stage]:
        """The stages, that of learning as the kinds of work in it, each told as one stretch."""
        for stage in self._stages:
            if stage.name != LEARNING:
                yield stage
                continue
            start, spent = stage.start, self._works.seconds
            rest = max(0.0, stage.seconds - sum(spent.values()))
            for kind, seconds in (*spent.items(), ("releasing", rest)):
                yield Stage(kind, start, seconds)
                start += seconds

    def _learned(self) -> Iterator[Learned]:
        corrections = {
            (task, channel): n
            for (task, channel, split, origin), n in self._store.examples.counts().items()
            if (split, origin) == ("train", "feedback")
        }
        for adapter in self._windows.adapters(self._state.started):
            taught = [adapter.channel] if adapter.channel else self._sharing(adapter.task)
            yield Learned(
                adapter.id,
                adapter.task,
                adapter.channel,
                str(adapter.lineage.get("method", "")),
                rows_of(adapter),
                sum(corrections.get((adapter.task, channel), 0) for channel in taught),
                adapter.seconds,
                adapter.size,
            )

    def _sharing(self, task: str) -> list[str]:
        return [c for c in self._recipe.channels_of(task) if self._recipe.channels[c].share]

    def _decided(self, decided: Sequence[Decided]) -> Iterator[Decided]:
        """Each with its outcome, those of an attempt that was cut off included."""
        begun = Marks.from_json(self._state.state.get("begun"))
        releases, events = self._windows.releases(begun), self._windows.events(begun)
        released = {(r.task, r.channel): _reason(r) for r in releases if r.kind == "release"}
        refused = {(e.task, e.channel): e.message for e in events if e.kind == "refused"}
        trials = self._store.trials.list(open_only=True)
        tried = {(one.task, one.channel) for one in trials if one.began >= self._state.started}
        for one in decided:
            pair = (one.task, one.channel)
            if one.outcome != "unchanged":
                yield one
            elif pair in tried:
                yield replace(one, outcome="trial")
            elif pair in released:
                yield replace(one, outcome="released", reason=released[pair] or one.reason)
            elif pair in refused:
                yield replace(one, outcome="refused", reason=refused[pair])
            else:
                yield one


def begin(store: Store, clock: Clock, ids: IdMaker) -> TurnState:
    """Store a new turn, and where the store stands as it begins."""
    state = TurnState(ids("turn"), {"begun": Windows(store.database).marks().to_json()}, clock())
    store.turns.begin(state)
    return state


def failed(store: Store, recipe: Recipe, error: Exception, clock: Clock) -> None:
    """Keep why a turn failed with it, which stays open, and tell it; neither hides the error itself."""
    said = error.message if isinstance(error, HeadraceError) else type(error).__name__
    try:
        state = store.turns.open()
        if state is not None:
            store.turns.save(state.id, {**state.state, "failed": said, "failed_at": clock().isoformat()})
    except HeadraceError:
        _LOG.warning("a turn failed, and why could not be stored")
    tell(recipe, [News("failure", f"A turn failed: {said}")])


def _reason(release: Release) -> str:
    return str(release.evidence.get("reason", ""))


def rows_of(adapter: Adapter) -> int:
    """The training rows of an adapter, 0 where its lineage does not say."""
    found = adapter.lineage.get("training_rows", 0)
    return found if isinstance(found, int) else 0
