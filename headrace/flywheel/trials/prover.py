"""Trials online: take the steps of those that are open, hear audits, release what won, take back what turned bad.

All that a trial knows is in the store, and every step is written in one transaction with what it causes. So
any process may look (`step`) at any time, several at once, and a killed one loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from headrace.data.texts import text_key
from headrace.errors import ArtifactError, Conflict, HeadraceError
from headrace.flywheel.trials.opening import Opening
from headrace.flywheel.trials.steps import Outcome, Standing, Step, next_step, outlook
from headrace.records import Audit, Json, Release, Trial
from headrace.release.promote import promote
from headrace.release.rollback import rollback
from headrace.release.selection import released
from headrace.reports.alerts import Kind, News, tell_soon
from headrace.reports.turns import named


class Prover(Opening):
    """Opens, steps and ends the trials of one project."""

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

        Gives what happened or, where nothing did, how the trial stands. The first word stands, on an answer and
        on a question: a further audit of the same text, and one that comes when the trial has ended, is kept and
        counts for nothing in it. Raises NotFound, Conflict where the answer was not drawn or has its audit.
        """
        asked, shadow = self.store.answers.get(answer), self.store.shadows.get(answer)
        if shadow is None or not (shadow.drawn and shadow.differs):
            raise Conflict(
                "this answer was not drawn for audit: a choice of anybody's would make the proof worthless.",
                where=answer,
                cure="Those that were drawn: headrace audit list",
            )
        past = self.store.shadows.judged(shadow.trial)
        with self.store.transaction() as connection:
            opened = self.store.trials.open_in(connection, asked.task, asked.channel)
            fresh = self.store.shadows.audit_in(connection, Audit(answer, label, by, self.clock()))
        if not fresh:
            raise Conflict(
                "this answer has its audit already.", where=answer, cure="See: headrace audit list"
            )
        if all(trial.id != shadow.trial for trial in opened):
            return ["Kept; the trial that drew this answer has ended, so it counts for nothing there."]
        again = any(text_key(one.text) == text_key(asked.text) for one in past)
        said = ["This question was judged in this trial before: its first audit counts."] if again else []
        return said + (self.step() or [outlook(self.standing(self.store.trials.get(shadow.trial)))])

    def stop(self, trial_id: str, reason: str) -> Trial:
        """End an open trial by hand; its champion goes on. Raises NotFound, Conflict where it has ended."""
        trial = self.store.trials.get(trial_id)
        if trial.ended is not None or not self._end(trial, "stopped", f"Stopped by hand: {reason}"):
            raise Conflict(f"the trial ended already: {trial.outcome}.", where=trial_id)
        return self.store.trials.get(trial_id)

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
            self.tell_in(connection, trial, reason, {"stage": "canary", **evidence})
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
            self.end_all_in(connection, trial.task, trial.channel)
            self.tell_in(connection, trial, reason, evidence, kind="alarm")

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
            return self._alert("failure", trial, self._end(trial, "alarm", said, evidence))
        return self._alert("rollback", trial, [reason])

    def _alert(self, kind: Kind, trial: Trial, said: list[str]) -> list[str]:
        """Tell at once what this process has just done of a watch; a turn's report is told without it."""
        pair = named((trial.task, trial.channel))
        tell_soon(self.recipe, [News(kind, f"{pair}: {line}") for line in said])
        return said

    def _end(
        self, trial: Trial, outcome: Outcome, reason: str, evidence: Mapping[str, Any] | None = None
    ) -> list[str]:
        """End a trial and tell it; nothing where somebody else has ended it."""
        with self.store.transaction() as connection:
            ended = {**(evidence or {}), "reason": reason}
            if not self.store.trials.end_in(connection, trial.id, outcome, ended, self.clock()):
                return []
            self.tell_in(connection, trial, reason, {"outcome": outcome, **ended})
        return [reason]

    def _close_in(self, connection: Connection, trial: Trial, outcome: Outcome, evidence: Json) -> None:
        """End a trial with what it causes; raises _Over, which undoes that, where somebody was faster."""
        if not self.store.trials.end_in(connection, trial.id, outcome, evidence, self.clock()):
            raise _Over("the trial has ended meanwhile.")


class _Over(Conflict):
    """Another process has taken this step."""
