"""The verbs of a project that are about feedback: methods of `headrace.Project`."""

from __future__ import annotations

from typing import Protocol

from headrace.data.open_project import OpenProject
from headrace.feedback.judge import accept, reject, undo
from headrace.feedback.record import pseudonym, record
from headrace.feedback.trust import Sight
from headrace.records import Feedback, FeedbackState, Verdict


class Holds(OpenProject, Protocol):
    """What these verbs ask beside."""

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels that corrections of a task may name."""
        ...

    def sight(self, task: str, channel: str, text: str, label: str) -> Sight:
        """Where a text lies and how likely a label is, by what serves."""
        ...


class FeedbackVerbs:
    """What a project does with what users say."""

    def add_feedback(
        self: Holds, answer: str, verdict: Verdict, label: str | None = None, *, person: str | None = None
    ) -> Feedback:
        """What a user said of an answer; durable when this returns.

        Without a `person` it is the owner's word and counts; that of a person may be held: see its `state`
        and `reason`.
        """
        found = self.store.answers.get(answer)
        pair = found.task, found.channel
        seen = self.sight(*pair, found.text, label) if person is not None and label is not None else None
        return record(
            self.store,
            answer,
            channel=found.channel,
            verdict=verdict,
            label=label,
            person=person,
            labels=self.labels(found.task),
            salt=self.store.salts.persons(self.ids),
            trust=self.recipe.trust,
            sight=seen,
            clock=self.clock,
            ids=self.ids,
        )

    def feedback(
        self: Holds,
        *,
        task: str | None = None,
        channel: str | None = None,
        used: bool | None = None,
        state: FeedbackState | None = None,
    ) -> list[Feedback]:
        """Feedback in the order in which it came; `used` False waits for a turn, `state` "held" for the owner."""
        return self.store.feedback.list(task=task, channel=channel, used=used, state=state)

    def undo_feedback(self: Holds, *feedback: str, person: str | None = None) -> list[Feedback]:
        """Let feedback count no more, by its ids or all of a person's, named by the channel's id or by ours.

        Answers are what they were before, in a running server within a second; examples go back at the next
        turn. Raises NotFound.
        """
        who = None if person is None else _pseudonym(self, person)
        agree = self.recipe.trust.agree
        return undo(self.store, feedback, person=who, agree=agree, clock=self.clock, ids=self.ids)

    def accept_feedback(self: Holds, *feedback: str) -> list[Feedback]:
        """Let held feedback count; raises NotFound, Conflict."""
        return accept(self.store, feedback, clock=self.clock, ids=self.ids)

    def reject_feedback(self: Holds, *feedback: str) -> list[Feedback]:
        """Let held feedback never count; raises NotFound, Conflict."""
        return reject(self.store, feedback, clock=self.clock, ids=self.ids)


def _pseudonym(project: Holds, person: str) -> str:
    """A person as the store names them, by our name or by the channel's."""
    if project.store.feedback.list(person=person, limit=1):
        return person
    return pseudonym(person, project.store.salts.persons(project.ids))
