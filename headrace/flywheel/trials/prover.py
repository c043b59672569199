"""Trials online: begin one for a challenger that passed the gate, take its steps, and watch after a release.

All that a trial knows is in the store, and every step is written in one transaction with what it causes. So
any process may look (`step`) at any time, several at once, and a killed one loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Connection

from headrace.errors import ArtifactError, Conflict, HeadraceError
from headrace.flywheel.trials.steps import (
    LOST,
    USUAL,
    Outcome,
    Standing,
    Step,
    next_step,
    outlook,
    standing,
)
from headrace.recipe import Recipe
from headrace.records import Audit, Clock, Event, IdMaker, Json, Release, Trial
from headrace.release.evidence import judged_needed
from headrace.release.promote import complete, promote
from headrace.release.rollback import rollback
from headrace.release.selection import left_of, next_level, released
from headrace.store import Store

Way = Literal["offline", "proved"]
RECENT = timedelta(days=30)
"""Audits as old as this still say how many come."""


class Prover:
    """Trials of one project."""

    def __init__(self, store: Store, recipe: Recipe, *, clock: Clock, ids: IdMaker) -> None:
        self.store, self.recipe, self.clock, self.ids = store, recipe, clock, ids

    # -- which way

    def way(self, task: str, channel: str) -> Way:
        """How a challenger that passed the gate comes to serve: as the recipe says.

        `auto` proves where as many audits of this (task, channel) came in the last 30 days as a usual gain
        needs: one of 0.4 of the rows that differ; and where a challenger is on trial already.
        """
        way = self.recipe.release.way
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
        for trial in reversed(self._tests(task, channel)):
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
            count = len(self._tests(task, channel)) + 1
            trial = self._trial(task, channel, (champion, challenger), "shadow", count, settings)
            said = f"On trial: {challenger} passed the gate and answers beside {champion}, which is sent."
            self.store.trials.add_in(connection, trial)
            self._tell_in(connection, trial, said, {"stage": "shadow", "level": level})
            self.store.examples.decided_in(connection, held_out)
        return said

    def watch_in(self, connection: Connection, releases: Sequence[Release]) -> None:
        """Watch new releases against the adapter before them; their pairs' open trials are over.

        Inside the transaction of the releases: `also` of `promote`.
        """
        share = self.recipe.release.watch
        for release in releases:
            self._end_all_in(connection, release.task, release.channel)
            last = self._last(release)
            if share > 0 and last is not None and last != release.adapter:
                settings = self._settings() | {"release": release.id}
                pair = (release.adapter, last)
                trial = self._trial(release.task, release.channel, pair, "watch", 1, settings)
                self.store.trials.add_in(connection, trial)

    def over_in(self, connection: Connection, releases: Sequence[Release]) -> None:
        """End the open trials of pairs that were rolled back by hand: `also` of `rollback`."""
        for release in releases:
            self._end_all_in(connection, release.task, release.channel)

    # -- steps

    def step(self, broken: Mapping[str, str] | None = None) -> list[str]:
        """Look at every open trial once and take its next step; what happened, in plain words.

        `broken` says by trial why its challenger cannot answer.
        """
        serving = {(r.task, r.channel): r.adapter for r in self.store.history.serving()}
        audited = self.store.shadows.audited()
        said, found = list[str](), list[Standing]()
        for trial in self.store.trials.list(open_only=True):
            if serving.get((trial.task, trial.channel)) != trial.champion:
                said += self._end(trial, "replaced", "Over: another adapter serves by now.")
            elif trial.id in (broken or {}):
                why = (broken or {})[trial.id]
                said += self._end(trial, "broken", f"Stopped: the challenger cannot answer. {why}")
            elif trial.stage != "watch" or trial.id in audited:
                found.append(self.standing(trial))
        won = self._released(found)
        for one in found:
            said += self._take(one, next_step(one, released=one.trial.id in won))
        return said

    def audit(self, answer: str, label: str, by: str) -> list[str]:
        """Keep what a trusted person says is the right label of an answer that was drawn; then `step`.

        Gives what happened or, where nothing did, how the trial stands. The first word stands. Raises
        NotFound, Conflict where the answer was not drawn or has its audit.
        """
        shadow = self.store.shadows.get(answer)
        if shadow is None or not (shadow.drawn and shadow.differs):
            self.store.answers.get(answer)
            raise Conflict(
                "this answer was not drawn for audit: a choice of anybody's would make the proof worthless.",
                where=answer,
                cure="Those that were drawn: headrace audit list",
            )
        with self.store.transaction() as connection:
            fresh = self.store.shadows.audit_in(connection, Audit(answer, label, by, self.clock()))
        if not fresh:
            raise Conflict(
                "this answer has its audit already.", where=answer, cure="See: headrace audit list"
            )
        return self.step() or [outlook(self.standing(self.store.trials.get(shadow.trial)))]

    def stop(self, trial_id: str, reason: str) -> Trial:
        """End an open trial by hand; its champion goes on. Raises NotFound, Conflict where it has ended."""
        trial = self.store.trials.get(trial_id)
        if trial.ended is not None or not self._end(trial, "stopped", f"Stopped by hand: {reason}"):
            raise Conflict(f"the trial ended already: {trial.outcome}.", where=trial_id)
        return self.store.trials.get(trial_id)

    # -- look

    def standing(self, trial: Trial) -> Standing:
        """How a trial stands now."""
        shadows = self.store.shadows
        return standing(
            trial, shadows.rows(trial.id), shadows.judged(trial.id), shadows.volunteered(trial.id)
        )

    def standings(self, task: str | None = None, channel: str | None = None) -> list[Standing]:
        """How the open trials stand, oldest first."""
        return [self.standing(t) for t in self.store.trials.list(task, channel, open_only=True)]

    # -- inside

    def _released(self, found: Iterable[Standing]) -> set[str]:
        """The ids of the trials whose evidence reaches their level."""
        tests = [one for one in found if one.trial.stage != "watch"]
        evidences = {one.trial.id: one.audits.log_value for one in tests}
        return released(evidences, {one.trial.id: one.level for one in tests})

    def _take(self, found: Standing, step: Step) -> list[str]:
        trial = found.trial
        if step.to == "canary":
            return self._to_canary(trial, step.reason, found.to_json())
        if step.outcome == "won":
            return self._win(found, step.reason)
        if step.outcome == "alarm":
            return self._take_back(found, step.reason)
        return self._end(trial, step.outcome, step.reason, found.to_json()) if step.outcome else []

    def _to_canary(self, trial: Trial, reason: str, evidence: Json) -> list[str]:
        with self.store.transaction() as connection:
            if not self.store.trials.move_in(connection, trial.id, "canary"):
                return []
            self._tell_in(connection, trial, reason, {"stage": "canary", **evidence})
        return [reason]

    def _win(self, found: Standing, reason: str) -> list[str]:
        trial = found.trial
        evidence = {"way": "proved", "reason": reason, **found.to_json(), "gate": trial.settings.get("gate")}

        def also(connection: Connection, releases: Sequence[Release]) -> None:
            self._close_in(connection, trial, "won", evidence)
            self.watch_in(connection, releases)

        pair = {trial.channel: evidence}
        try:
            promote(
                self.store, trial.task, pair, trial.challenger, {}, also=also, clock=self.clock, ids=self.ids
            )
        except _Over:
            return []
        except ArtifactError as error:
            return self._end(trial, "broken", f"Stopped: the challenger cannot serve. {error.message}")
        return [reason]

    def _take_back(self, found: Standing, reason: str) -> list[str]:
        trial = found.trial
        evidence = {"way": "watch", "reason": reason, **found.to_json()}

        def also(connection: Connection, releases: Sequence[Release]) -> None:
            self._close_in(connection, trial, "alarm", evidence)
            self._end_all_in(connection, trial.task, trial.channel)
            self._tell_in(connection, trial, reason, evidence, kind="alarm")

        try:
            rollback(
                self.store,
                trial.task,
                trial.channel,
                to=trial.challenger,
                evidence=evidence,
                also=also,
                clock=self.clock,
                ids=self.ids,
            )
        except _Over:
            return []
        except HeadraceError as error:
            said = f"It became worse than the adapter before it and cannot be taken back. {error.message}"
            return self._end(trial, "alarm", said, evidence)
        return [reason]

    def _end(
        self, trial: Trial, outcome: Outcome, reason: str, evidence: Mapping[str, Any] | None = None
    ) -> list[str]:
        """End a trial and tell it; nothing where somebody else has ended it."""
        with self.store.transaction() as connection:
            ended = {**(evidence or {}), "reason": reason}
            if not self.store.trials.end_in(connection, trial.id, outcome, ended, self.clock()):
                return []
            self._tell_in(connection, trial, reason, {"outcome": outcome, **ended})
        return [reason]

    def _close_in(self, connection: Connection, trial: Trial, outcome: Outcome, evidence: Json) -> None:
        """End a trial with what it causes; raises _Over, which undoes that, where somebody was faster."""
        if not self.store.trials.end_in(connection, trial.id, outcome, evidence, self.clock()):
            raise _Over("the trial has ended meanwhile.")

    def _end_all_in(self, connection: Connection, task: str, channel: str) -> None:
        """End what is open of a pair that another adapter serves from now on."""
        why = {"reason": "Over: another adapter serves from now on."}
        for trial in self.store.trials.open_in(connection, task, channel):
            self.store.trials.end_in(connection, trial.id, "replaced", why, self.clock())

    def _tell_in(
        self, connection: Connection, trial: Trial, said: str, evidence: Json, kind: str = "trial"
    ) -> None:
        more = {"trial": trial.id, "champion": trial.champion, "adapter": trial.challenger, **evidence}
        event = Event(self.ids("evt"), kind, trial.task, trial.channel, said, more, self.clock())
        self.store.history.add_in(connection, event)

    def _tests(self, task: str, channel: str) -> list[Trial]:
        """The trials of a pair that might have released, in their order."""
        return [trial for trial in self.store.trials.list(task, channel) if trial.stage != "watch"]

    def _level(self, task: str, channel: str) -> float:
        """What the next trial of a pair gets of what is left of alpha; a release gives its level back."""
        left = left_of(self.recipe.release.alpha, [self.store.trials.spent()])
        return next_level(len(self._tests(task, channel)) + 1, left, len(self.recipe.pairs()))

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

    def _last(self, release: Release) -> str | None:
        """The adapter that served a pair before a release."""
        if release.previous is None:
            return None
        past = self.store.history.releases(release.task, release.channel)
        return next((one.adapter for one in past if one.id == release.previous), None)


class _Over(Conflict):
    """Another process has taken this step."""
