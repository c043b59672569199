"""A project: a folder with `headrace.yaml` and a store. Every verb is a method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Unpack

from headrace import recipe as recipes
from headrace.channels.verbs import ChannelVerbs
from headrace.channels.webhooks import WebhookVerbs
from headrace.data.clean import Cleaned, clean
from headrace.data.collect import Collected, add_rows, collect
from headrace.data.quarantine import restore as restore_row
from headrace.data.verbs import GoldenVerbs
from headrace.doctor import Finding, examine
from headrace.errors import Conflict, NotFound
from headrace.feedback.trust import Sight
from headrace.feedback.verbs import FeedbackVerbs
from headrace.flywheel import Flywheel, Judged, PairTurn, Progress, Turn
from headrace.flywheel.labels.verbs import LabelVerbs
from headrace.flywheel.past_verbs import PastVerbs
from headrace.flywheel.trials.verbs import TrialVerbs
from headrace.knowledge.verbs import KnowledgeVerbs
from headrace.recipe import RECIPE, Recipe
from headrace.records import (
    Adapter,
    Answer,
    Clock,
    Example,
    IdMaker,
    Rejected,
    Release,
    Row,
    random_id,
    utc_now,
)
from headrace.release.history import Line, history
from headrace.release.rollback import rollback
from headrace.reports.status import PairStatus, status
from headrace.reports.verbs import ReportVerbs
from headrace.serving.answerer import Answerer
from headrace.serving.bulk import Asked, Written
from headrace.serving.bulk.run import Bulk
from headrace.serving.search_verbs import SearchVerbs
from headrace.store import Store, read_recipe
from headrace.store.lock import only_one

FIRST_RECIPE = """\
# What every key means: docs/recipe.md. Check this file: headrace doctor
name: {name}
seed: 7

tasks:
  intent:                       # what is asked of the model
    base: all-MiniLM-L6-v2      # a packaged base, a folder, or a name on the hub

channels:                       # where users are; each gets its own keys
  website:
    tasks: [intent]
    language: en

sources:                        # where rows come from
  tickets:
    channel: website
    task: intent
    connector: files
    options: {{path: data/tickets.csv, text: text, label: label}}
"""


class Project(
    ChannelVerbs,
    WebhookVerbs,
    GoldenVerbs,
    KnowledgeVerbs,
    FeedbackVerbs,
    TrialVerbs,
    LabelVerbs,
    PastVerbs,
    ReportVerbs,
    SearchVerbs,
):
    """A project in `folder`; opened lazily, so that asking one thing loads one thing.

    `clock` and `ids` are for tests and replays; `progress` hears (stage, done, total) of long work.
    """

    def __init__(
        self,
        folder: Path | str = ".",
        *,
        clock: Clock = utc_now,
        ids: IdMaker = random_id,
        progress: Progress | None = None,
    ) -> None:
        self.folder = Path(folder).resolve()
        self.clock, self.ids, self.progress = clock, ids, progress

    @classmethod
    def init(cls, folder: Path | str = ".", *, name: str | None = None, recipe: str | None = None) -> Project:
        """Begin a project: write its recipe (or the text `recipe`) and create the store.

        Where a recipe stands without a store, and neither `name` nor `recipe` is given, it stays as it is and the
        store is made. Raises Conflict where there is a project already, RecipeError where a recipe is wrong,
        NotFound where the store was there and is lost.
        """
        project = cls(folder)
        if name is None and recipe is None and project.lacks_store():
            Store.open(project.recipe.store, project.folder, create=True).close()
            return project
        project._begin(recipe or FIRST_RECIPE.format(name=name or _name_of(project.folder)))
        return project

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it stood when it was first asked for; raises RecipeError with every mistake."""
        return recipes.read(self.folder / RECIPE)

    @cached_property
    def store(self) -> Store:
        """The store; raises NotFound before `init`."""
        return Store.open(self.recipe.store, self.folder)

    @cached_property
    def flywheel(self) -> Flywheel:
        """What trains, judges and releases."""
        return Flywheel(
            self.store, self.recipe, self.folder, clock=self.clock, ids=self.ids, progress=self.progress
        )

    @cached_property
    def _answerer(self) -> Answerer:
        return Answerer(self.store, self.recipe, clock=self.clock, ids=self.ids)

    def lacks_store(self) -> bool:
        """Whether there is a recipe, and no store was ever made for it; raises RecipeError, NotFound if lost."""
        return (self.folder / RECIPE).is_file() and not Store.is_there(self.recipe.store, self.folder)

    def close(self) -> None:
        """Give the store's connections back."""
        if "store" in self.__dict__:
            self.store.close()

    # -- rows

    def collect(self, sources: Sequence[str] | None = None) -> Collected:
        """Read sources of the recipe (all by default); what is there already adds nothing."""
        return collect(
            self.store,
            self.recipe,
            self.folder,
            sources,
            clock=self.clock,
            run=self.ids("run"),
            progress=self.progress,
        )

    def add_rows(
        self, rows: Iterable[Mapping[str, object]], *, channel: str, task: str, source: str = "python"
    ) -> Collected:
        """Hand rows over directly: mappings with `text` and, where known, `label` and `split`."""
        self._pair(task, channel)
        return add_rows(
            self.store,
            self.recipe,
            rows,
            channel=channel,
            task=task,
            source=source,
            clock=self.clock,
            run=self.ids("run"),
        )

    def clean(self) -> Cleaned:
        """Turn new rows into examples, or into quarantine with the reason."""
        return clean(self.store, self.recipe, clock=self.clock, progress=self.progress)

    def quarantine(
        self,
        *,
        task: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        limit: int = 100,
    ) -> list[Rejected]:
        """Rejected rows with their reasons, newest first."""
        return self.store.quarantine.list(task=task, channel=channel, reason=reason, limit=limit)

    def restore_row(
        self, rejected_id: str, *, text: str | None = None, label: str | None = None
    ) -> Example | Row:
        """Take a rejected row back, with another text or label where given."""
        return restore_row(self.store, self.recipe, rejected_id, text=text, label=label, clock=self.clock)

    # -- learning and releasing

    def train(
        self,
        task: str,
        channel: str | None = None,
        *,
        examples: Sequence[Example] | None = None,
        seed: int | None = None,
    ) -> Adapter:
        """Train the shared adapter of a task or, with `channel`, its own one, started from the shared one.

        `examples` takes the place of those in the store. Raises TrainingError, MissingExtra.
        """
        if channel is not None:
            self._pair(task, channel)
        with only_one(self.store.database, self.folder, "turn or training"):
            start = self._shared(task) if channel else None
            return self.flywheel.train(task, channel, examples=examples, start=start, seed=seed)

    def evaluate(self, adapter: Adapter | str, channels: Sequence[str] | None = None) -> dict[str, Judged]:
        """Judge an adapter on the held-out rows of its channels."""
        found = self._adapter(adapter)
        return self.flywheel.judge(found, channels or self._channels_of(found))

    def release(self, adapter: Adapter | str, channels: Sequence[str] | None = None) -> list[PairTurn]:
        """Pass an adapter through the gate; what it refuses keeps what serves."""
        found = self._adapter(adapter)
        with only_one(self.store.database, self.folder, "turn or release"):
            return self.flywheel.release(found, channels or self._channels_of(found))

    def turn(self) -> Turn:
        """One turn of the flywheel; a killed one is continued."""
        return self.flywheel.turn()

    def rollback(self, task: str, channel: str, *, to: str | None = None) -> Release:
        """Let the adapter before the present one serve again; a running server follows by itself."""
        self._pair(task, channel)
        also = self.prover.over_in
        return rollback(self.store, task, channel, to=to, also=also, clock=self.clock, ids=self.ids)

    def history(
        self, *, task: str | None = None, channel: str | None = None, at: datetime | None = None
    ) -> list[Line]:
        """Releases, rollbacks and events in the order of time."""
        return history(self.store, task, channel, at)

    # -- answers and feedback

    def predict(
        self, texts: Sequence[str], *, task: str, channel: str, person: str | None = None
    ) -> list[Answer]:
        """Answers as the server would give them, corrections included; each can be corrected by its id.

        `person` is an id of the end user who asks. Raises NotServed before the first release.
        """
        self._pair(task, channel)
        answers = self._answerer.answer(texts, task=task, channel=channel, person=person)
        if self._answerer.broken:
            self.prover.step(self._answerer.broken)
        return answers

    def predict_file(
        self, file: Path | str, out: Path | str, *, workers: int = 1, **asked: Unpack[Asked]
    ) -> Written:
        """Answer every row of a file into `out` (.csv, .jsonl or .parquet): its columns, then the answer's.

        They are in `out` alone: not stored, without ids. An unfinished run of the same is continued. Raises
        InputError, NotFound, NotServed, MissingExtra, Conflict, StoreBusy.
        """
        bulk = Bulk(self._answerer, self._pair, workers=workers, progress=self.progress)
        return bulk.predict_file(Path(file), Path(out), **asked)

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels of a task: those of the recipe, else those of its newest shared adapter."""
        if self.recipe.task(task).kind == "embed":
            return tuple(passage.id for passage in self.store.documents.passages())
        listed = self.recipe.task(task).labels
        if listed:
            return listed
        shared = self._shared(task)
        return shared.labels if shared else ()

    def sight(self, task: str, channel: str, text: str, label: str) -> Sight:
        """Where in meaning a text of (task, channel) lies and how likely a label is, by what serves there."""
        return self._answerer.sight(task, channel, text, label)

    # -- the whole

    def status(self) -> list[PairStatus]:
        """The circle of every (task, channel)."""
        return status(self.store, self.recipe)

    def doctor(self) -> list[Finding]:
        """What is wrong with the installation and the project, each finding with its cure; changes nothing."""
        return examine(self.folder, clock=self.clock)

    def backup(self, to: Path | str, *, over: bool = False) -> int:
        """Write recipe, tables and artifacts to one file, while others write; its size in bytes.

        Raises Conflict where the file is there already, unless it may be written `over`.
        """
        return self.store.backup(Path(to), (self.folder / RECIPE).read_text(encoding="utf-8"), over=over)

    @classmethod
    def restore(cls, backup: Path | str, folder: Path | str = ".") -> Project:
        """A project from a backup, in a folder that has none; raises Conflict, InputError, NotFound."""
        project = cls(folder)
        project._begin(read_recipe(Path(backup)), Path(backup))
        return project

    def _begin(self, recipe: str, backup: Path | None = None) -> None:
        """Make the store, filled from `backup` where given, and then the recipe.

        The recipe comes last: cut off before it, nothing stands in the way of another attempt.
        """
        path = self.folder / RECIPE
        if path.exists():
            raise Conflict(
                "there is a project here already.", where=str(path), cure="Edit it, or choose another folder."
            )
        location = recipes.parse(recipe, where=str(path)).store
        self.folder.mkdir(parents=True, exist_ok=True)
        with Store.open(location, self.folder, create=True).closing() as store:
            if backup is not None:
                store.restore(backup)
        recipes.write(path, recipe)

    def adapter(self, name: str) -> Adapter:
        """An adapter by its id, or by the beginning of it as tables show it; raises NotFound."""
        known = {adapter.id: adapter for adapter in self.store.history.adapters()}
        short = name.removeprefix("adp_")
        found = [a for a in known.values() if len(short) >= 6 and a.id.removeprefix("adp_").startswith(short)]
        return known.get(name) or (found[0] if len(found) == 1 else self.store.history.adapter(name))

    def _adapter(self, adapter: Adapter | str) -> Adapter:
        return adapter if isinstance(adapter, Adapter) else self.adapter(adapter)

    def _shared(self, task: str) -> Adapter | None:
        """The task's shared adapter: the one that serves, else the newest; a refused one is not taken up."""
        served = [
            self.store.history.adapter(r.adapter) for r in self.store.history.serving() if r.task == task
        ]
        known = [adapter for adapter in served if adapter.channel is None]
        known = known or self.store.history.adapters(task, "")
        return max(known, key=lambda adapter: adapter.at, default=None)

    def _channels_of(self, adapter: Adapter) -> list[str]:
        return [adapter.channel] if adapter.channel else self.recipe.channels_of(adapter.task)

    def _pair(self, task: str, channel: str) -> None:
        self.recipe.task(task)
        found = self.recipe.channel(channel)
        if task not in found.tasks:
            raise NotFound(
                f"channel {channel!r} does not ask task {task!r}.", cure=f"It asks: {', '.join(found.tasks)}."
            )


def _name_of(folder: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in folder.name.lower())
    return kept.strip("._-")[:60] or "my-project"
