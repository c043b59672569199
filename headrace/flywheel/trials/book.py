"""The book of trials: what the store holds of them, as all who begin, step or end them read and write it."""

from __future__ import annotations

from sqlalchemy import Connection

from headrace.flywheel.trials.steps import Standing, standing
from headrace.recipe import Recipe
from headrace.records import Clock, Event, IdMaker, Json, Trial
from headrace.store import Store


class Book:
    """Trials of one project."""

    def __init__(self, store: Store, recipe: Recipe, *, clock: Clock, ids: IdMaker) -> None:
        self.store, self.recipe, self.clock, self.ids = store, recipe, clock, ids

    def standing(self, trial: Trial) -> Standing:
        """How a trial stands now, or stood when it ended: audits that came later count for nothing."""
        shadows, judged = self.store.shadows, self.store.shadows.judged(trial.id)
        judged = [one for one in judged if trial.ended is None or one.at <= trial.ended]
        return standing(trial, shadows.rows(trial.id), judged, shadows.volunteered(trial.id))

    def standings(self, task: str | None = None, channel: str | None = None) -> list[Standing]:
        """How the open trials stand, oldest first."""
        return [self.standing(t) for t in self.store.trials.list(task, channel, open_only=True)]

    def tests(self, task: str, channel: str) -> list[Trial]:
        """The trials of a pair that might have released, in their order."""
        return [trial for trial in self.store.trials.list(task, channel) if trial.stage != "watch"]

    def end_all_in(self, connection: Connection, task: str, channel: str) -> None:
        """End what is open of a pair that another adapter serves from now on."""
        why = {"reason": "Over: another adapter serves from now on."}
        for trial in self.store.trials.open_in(connection, task, channel):
            self.store.trials.end_in(connection, trial.id, "replaced", why, self.clock())

    def tell_in(
        self, connection: Connection, trial: Trial, said: str, evidence: Json, kind: str = "trial"
    ) -> None:
        """Write an event of a trial into the history, inside a transaction of the caller's."""
        more = {"trial": trial.id, "champion": trial.champion, "adapter": trial.challenger, **evidence}
        event = Event(self.ids("evt"), kind, trial.task, trial.channel, said, more, self.clock())
        self.store.history.add_in(connection, event)
