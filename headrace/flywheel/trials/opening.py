"""Trials are opened: which way a challenger goes, its trial and what it may spend, and the watch of a release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Connection

from headrace.errors import Conflict
from headrace.flywheel.trials.book import Book
from headrace.flywheel.trials.steps import LOST, USUAL, outlook
from headrace.records import Json, Release, Trial
from headrace.release.evidence import judged_needed
from headrace.release.promote import complete
from headrace.release.selection import left_of, next_level

Way = Literal["offline", "proved"]
RECENT = timedelta(days=30)
"""Audits as old as this still say how many come."""


class Opening(Book):
    """Opens trials of one project."""

    # -- which way

    def way(self, task: str, channel: str) -> Way:
        """How a challenger that passed the gate comes to serve: as the recipe says.

        `auto` proves where as many audits of this (task, channel) came in the last 30 days as a usual gain
        needs: one of 0.4 of the rows that differ; and where a challenger is on trial already.
        """
        way = self.recipe.release.way
        if self._searches(task):
            return "offline"
        if way != "auto":
            return way
        opened = self.store.trials.list(task, channel, open_only=True)
        if any(trial.stage != "watch" for trial in opened):
            return "proved"
        recent = self.store.shadows.audits(task, channel, self.clock() - RECENT)
        needed = judged_needed(1.0, USUAL, self._level(task, channel)) if recent else None
        return "proved" if needed is not None and recent >= needed else "offline"

    def tried(self, task: str, channel: str, adapter: str) -> str:
        """Why a turn need not bring this challenger again: it is on trial, or it lost one; "" where it may."""
        for trial in reversed(self.tests(task, channel)):
            if trial.challenger == adapter and trial.ended is None:
                return f"On trial: {outlook(self.standing(trial))}"
            if trial.challenger == adapter and trial.outcome in LOST:
                return f"Not released: {trial.evidence.get('reason', 'its trial ended.')}"
        return ""

    # -- begin

    def begin(
        self, task: str, channel: str, challenger: str, gate: Json, *, held_out: Sequence[str] = ()
    ) -> str:
        """Open a trial of a challenger that passed the `gate`; the sentence that says so.

        `held_out` are the rows by which the gate decided, one of the decisions that they may serve.
        Where another challenger is on trial there, this one waits: the next turn brings it, or a newer one.
        Raises Conflict where nothing serves yet, ArtifactError where a file of the challenger is missing.
        """
        complete(self.store, self.store.history.adapter(challenger))
        champion = {r.channel: r.adapter for r in self.store.history.serving() if r.task == task}.get(channel)
        if champion is None:
            raise Conflict(f"nothing serves {task!r} on {channel!r} that a trial could compare with.")
        level = self._level(task, channel)
        with self.store.transaction() as connection:
            busy = [t for t in self.store.trials.open_in(connection, task, channel) if t.stage != "watch"]
            if busy and busy[0].challenger == challenger:
                return f"On trial: {outlook(self.standing(busy[0]))}"
            if busy:
                return f"It waits: {busy[0].challenger} is on trial here until that ends."
            settings = self._settings() | {"level": level, "gate": dict(gate)}
            count = len(self.tests(task, channel)) + 1
            trial = self._trial(task, channel, (champion, challenger), "shadow", count, settings)
            said = f"On trial: {challenger} passed the gate and answers beside {champion}, which is sent."
            self.store.trials.add_in(connection, trial)
            self.tell_in(connection, trial, said, {"stage": "shadow", "level": level})
            self.store.examples.decided_in(connection, held_out)
        return said

    def watch_in(self, connection: Connection, releases: Sequence[Release]) -> None:
        """Watch new releases against the adapter before them; their pairs' open trials are over.

        Inside the transaction of the releases: `also` of `promote`.
        """
        share = self.recipe.release.watch
        for release in releases:
            self.end_all_in(connection, release.task, release.channel)
            last = self._last(release)
            watched = share > 0 and not self._searches(release.task)
            if watched and last is not None and last != release.adapter:
                settings = self._settings() | {"release": release.id}
                pair = (release.adapter, last)
                trial = self._trial(release.task, release.channel, pair, "watch", 1, settings)
                self.store.trials.add_in(connection, trial)

    def over_in(self, connection: Connection, releases: Sequence[Release]) -> None:
        """End the open trials of pairs that were rolled back by hand: `also` of `rollback`."""
        for release in releases:
            self.end_all_in(connection, release.task, release.channel)

    # -- inside

    def _level(self, task: str, channel: str) -> float:
        """What the next trial of a pair gets of what is left of alpha; a release gives its level back."""
        left = left_of(self.recipe.release.alpha, [self.store.trials.spent()])
        return next_level(len(self.tests(task, channel)) + 1, left, len(self.recipe.pairs()))

    def _settings(self) -> dict[str, Any]:
        """What a trial goes by until it ends, whatever the recipe says later."""
        said = self.recipe.release
        return {
            "audits": said.audits,
            "canary": said.canary,
            "watch": said.watch,
            "alpha": said.alpha,
            "patience": said.patience,
            "false_alarm": said.false_alarm,
            "shadow_rows": max(1, said.patience // 10),
            "canary_rows": max(1, said.patience // 100),
        }

    def _trial(
        self,
        task: str,
        channel: str,
        adapters: tuple[str, str],
        stage: Literal["shadow", "watch"],
        count: int,
        settings: Json,
    ) -> Trial:
        champion, challenger = adapters
        return Trial(
            self.ids("trl"),
            task,
            channel,
            champion,
            challenger,
            stage,
            count,
            salt=self.ids("salt"),
            began=self.clock(),
            settings=settings,
        )

    def _searches(self, task: str) -> bool:
        """Whether a task finds passages: its answers are no labels that could be audited side by side."""
        found = self.recipe.tasks.get(task)
        return found is not None and found.kind == "embed"

    def _last(self, release: Release) -> str | None:
        """The adapter that served a pair before a release."""
        if release.previous is None:
            return None
        past = self.store.history.releases(release.task, release.channel)
        return next((one.adapter for one in past if one.id == release.previous), None)
