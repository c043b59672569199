"""The verbs of a project that are about its past: methods of `headrace.Project`."""

from __future__ import annotations

from datetime import datetime

from headrace.data.open_project import OpenProject
from headrace.feedback.record import pseudonym
from headrace.flywheel.forgetting.forget import Forgetting, Forgotten
from headrace.release.history import Served, served
from headrace.store.chain import Verified
from headrace.store.erase import compact
from headrace.store.retention import expire


class PastVerbs:
    """What a project tells of its past, and what of it must not stay."""

    def served(
        self: OpenProject, *, task: str | None = None, channel: str | None = None, at: datetime | None = None
    ) -> list[Served]:
        """What serves each (task, channel), or did at a moment: by what evidence, trained from what rows.

        Where the clock was set back the moment came more than once; the answer is for the last time and says so
        (`set_back`).
        """
        return served(self.store, task, channel, at, rows=True)

    def verify_history(self: OpenProject, head: str | None = None) -> Verified:
        """Whether the past is as it was; `head` is an earlier newest link that must still be there."""
        return self.store.history.chain.verify(head)

    def forget(self: OpenProject, person: str) -> Forgotten:
        """Delete what a person gave, and train again every adapter that descends from one they taught.

        `person` is the end user's id as the channel sends it, or the pseudonym. Run again it finishes what was
        cut off. Raises NotFound, StoreBusy, MissingExtra.
        """
        known = person.startswith("person_") and bool(
            self.store.feedback.list(person=person, limit=1)
            or self.store.conversations.list(person=person, limit=1)
        )
        name = person if known else pseudonym(person, self.store.salts.persons(self.ids))
        work = Forgetting(
            self.store, self.recipe, self.folder, clock=self.clock, ids=self.ids, progress=self.progress
        )
        return work.forget(name)

    def apply_retention(self: OpenProject, *, dry_run: bool = False) -> dict[str, int]:
        """Delete what is older than the recipe's `retention` says; counts by table, of what would be too.

        SQLite's file is written anew, so that nothing of it stays there. Raises StoreBusy.
        """
        counts = expire(self.store.database, self.recipe.retention, self.clock(), dry=dry_run)
        if counts and not dry_run:
            compact(self.store.database)
        return counts
