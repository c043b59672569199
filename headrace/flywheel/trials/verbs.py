"""The verbs of a project that are about trials and audits: methods of `headrace.Project`."""

from __future__ import annotations

from typing import Protocol

from headrace.data.open_project import OpenProject
from headrace.feedback.record import known_label
from headrace.flywheel.trials.prover import Prover
from headrace.flywheel.trials.steps import Standing
from headrace.records import Answer, Shadow, Trial


class Holds(OpenProject, Protocol):
    """What these verbs ask beside."""

    @property
    def prover(self) -> Prover:
        """What runs its trials."""
        ...

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels that an audit may name."""
        ...


class TrialVerbs:
    """What a project does with challengers that prove themselves online."""

    @property
    def prover(self: Holds) -> Prover:
        """What begins, steps and ends trials."""
        return Prover(self.store, self.recipe, clock=self.clock, ids=self.ids)

    def trials(
        self: Holds, *, task: str | None = None, channel: str | None = None, ended: bool = False
    ) -> list[Standing]:
        """The open trials as they stand, oldest first; with `ended` also those that are over."""
        found = self.store.trials.list(task, channel, open_only=not ended)
        return [self.prover.standing(trial) for trial in found]

    def trial(self: Holds, trial_id: str) -> Standing:
        """One trial as it stands, or stood at its end; raises NotFound."""
        return self.prover.standing(self.store.trials.get(trial_id))

    def stop_trial(self: Holds, trial_id: str, reason: str = "no reason given.") -> Trial:
        """End an open trial or watch; what serves goes on. Raises NotFound, Conflict where it has ended."""
        return self.prover.stop(trial_id, reason)

    def audits(
        self: Holds, *, task: str | None = None, channel: str | None = None, limit: int = 100
    ) -> list[tuple[Answer, Shadow]]:
        """Answers drawn for audit that wait for somebody to say what is right, oldest first."""
        return self.store.shadows.waiting(task, channel, limit)

    def audit(self: Holds, answer: str, label: str, *, by: str = "owner") -> list[str]:
        """Say the right label of an answer that was drawn; what follows for its trial, in plain words.

        Raises NotFound, InputError where the task has no such label, Conflict where the answer was not drawn
        or has its audit already.
        """
        found = self.store.answers.get(answer)
        return self.prover.audit(answer, known_label(label, self.labels(found.task)), by)
