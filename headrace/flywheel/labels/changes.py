"""Labels in seconds: a new one, another name for one, several made one.

The owner's word relabels examples, golden ones and corrections that wait, and is kept as an Event, so that
sources which go on saying the old name are understood. Then every adapter that serves gets one like it with
the labels changed: a new name changes no score; a new or a merged label is fitted on cached features with all
other weights left as they are. What was fitted passes the gate, on held-out rows of the labels that both know,
old names read as the new one. Every step may be done twice: a command that was cut off is given again.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import recipe as recipes
from headrace.data.aliases import KIND, aliases
from headrace.data.clean import clean
from headrace.data.collect import add_rows
from headrace.data.mask import Masker
from headrace.data.progress import Progress
from headrace.data.quarantine import restore
from headrace.data.texts import text_key, tidy
from headrace.errors import Conflict, InputError, NotFound
from headrace.flywheel.labels.deriving import Change
from headrace.flywheel.labels.successors import Successors
from headrace.flywheel.turn import PairTurn
from headrace.recipe.labels import add_label, replace_labels
from headrace.records import Adapter, Clock, Event, Example, IdMaker
from headrace.store import Store
from headrace.store.lock import only_one

LONGEST = 200


@dataclass(frozen=True)
class Relabelled:
    """What a change of labels did: `examples` and waiting `corrections` that now carry the label.

    Of the texts that were `given` with it `taken` are among the examples.
    """

    change: Change
    examples: int
    corrections: int
    pairs: tuple[PairTurn, ...]
    seconds: float
    given: int = 0
    taken: int = 0

    @property
    def told(self) -> str:
        """How many carry the label now, in one sentence; where not all that was given does, why."""
        given = f" ({self.taken:,} of the {self.given:,} texts given)" if self.given else ""
        said = f"{self.examples:,} examples{given} and {self.corrections:,} corrections carry the label now."
        less = " The others are repeats, or in quarantine: headrace quarantine list" * (
            self.taken < self.given
        )
        return f"{self.change.label}: {said}{less}"

    @property
    def cure(self) -> str:
        """What to do next where an adapter could not be released with the label; else ""."""
        if all(pair.released for pair in self.pairs):
            return ""
        more = "give more examples in the same way, or run: " if self.change.kind == "added" else "run: "
        return (
            "Where it was not released, what served goes on as it was; the examples keep the label."
            f" Next: {more}headrace turn, which trains on all rows and is judged again."
        )


class Labels:
    """Changes labels of one project; `path` is its recipe, beside which the caches stand."""

    def __init__(
        self, store: Store, path: Path, *, clock: Clock, ids: IdMaker, progress: Progress | None = None
    ) -> None:
        self.store, self.path, self.clock, self.ids = store, path, clock, ids
        self.progress: Progress = progress or (lambda stage, done, total: None)
        self.recipe = recipes.read(path)

    def add(
        self, task: str, label: str, texts: Sequence[str] = (), *, channel: str | None = None
    ) -> Relabelled:
        """A new label, learned from `texts` of a channel and from what the store has of it; ten are enough.

        Raises Conflict where every adapter that serves knows it, TrainingError where there are too few.
        """
        began, change = time.perf_counter(), Change(task, "added", named(label))
        with self._alone():
            serving = self._serving(task)
            if serving and all(change.label in adapter.labels for adapter, _ in serving):
                cure = "More rows of it: headrace collect, or corrections; then headrace turn."
                raise Conflict(f"the task has the label {change.label!r} already.", cure=cure)
            add_label(self.path, task, change.label)
            self.recipe = recipes.read(self.path)
            self._note(change)  # first: under a former name it would be read as what that is called now
            back, taken = self._take_back(change), self._take(change, texts, channel)
            pairs = self._successors(change)
        took = time.perf_counter() - began
        return Relabelled(change, back + taken, 0, tuple(pairs), took, len(texts), taken)

    def rename(self, task: str, old: str, new: str) -> Relabelled:
        """Another name for a label: no score of any adapter changes.

        Raises NotFound where there is no label `old`, Conflict where `new` is one already.
        """
        began, change = time.perf_counter(), Change(task, "renamed", named(new), (old,))
        with self._alone():
            known = self._known(change)
            if change.label in known and aliases(self.store, task).get(old) != change.label:
                raise Conflict(
                    f"{change.label!r} is a label already.",
                    cure=f"headrace label merge {old} {new} --into {new}",
                )
            return self._replace(change, began)

    def merge(self, task: str, labels: Sequence[str], into: str) -> Relabelled:
        """Several labels made one, which is fitted on all their rows; the other labels' weights stay.

        Raises NotFound where one is no label, Conflict where `into` is another one.
        """
        replaced = tuple(label for label in dict.fromkeys(labels) if label != into)
        began, change = time.perf_counter(), Change(task, "merged", named(into), replaced)
        if len(set(labels)) < 2:
            raise InputError("a merge needs two labels.", field="labels", cure="Name two or more.")
        with self._alone():
            known, now = self._known(change), aliases(self.store, task)
            other = change.label in known and change.label not in labels
            if other and any(now.get(name) != change.label for name in replaced):
                raise Conflict(f"{into!r} is a label already.", cure="Name it among those to merge, too.")
            return self._replace(change, began)

    def _alone(self) -> Any:
        return only_one(self.store.database, self.path.parent, "turn or change of labels")

    def _replace(self, change: Change, began: float) -> Relabelled:
        with self.store.transaction() as connection:
            asked = (connection, change.task, change.replaced, change.label)
            examples = self.store.examples.rename_in(*asked)
            corrections = self.store.feedback.relabel_in(*asked)
            self._note(change, connection)
        replace_labels(self.path, change.task, change.replaced, change.label)
        self.recipe = recipes.read(self.path)
        pairs = self._successors(change)
        return Relabelled(change, examples, corrections, tuple(pairs), time.perf_counter() - began)

    def _note(self, change: Change, connection: Any = None) -> None:
        """Write the change down; the same one given again, when nothing came between, is one event."""
        past = self.store.history.of_kind(KIND, change.task)
        evidence = {"change": change.kind, "label": change.label, "replaced": list(change.replaced)}
        if past and past[-1].evidence == evidence:
            return
        said = f"The owner's word: {change.told()}."
        event = Event(self.ids("evt"), KIND, change.task, None, said, evidence, self.clock())
        if connection is None:
            self.store.history.add(event)
        else:
            self.store.history.add_in(connection, event)

    def _known(self, change: Change) -> set[str]:
        """All labels of the task; raises NotFound where one to replace is none and never was."""
        known = set(self.recipe.task(change.task).labels) | self.store.examples.labels(change.task)
        known |= {label for adapter, _ in self._serving(change.task) for label in adapter.labels}
        for label in change.replaced:
            if label not in known:
                near = difflib.get_close_matches(label, known, n=1, cutoff=0.4)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known)[:20])}."
                raise NotFound(f"the task {change.task!r} has no label {label!r}.", cure=hint)
        return known

    def _serving(self, task: str) -> list[tuple[Adapter, tuple[str, ...]]]:
        """Each adapter that serves the task, and where."""
        self.recipe.task(task)
        where: dict[str, list[str]] = {}
        asked = self.recipe.channels_of(task)
        for release in self.store.history.serving():
            if release.task == task and release.channel in asked:
                where.setdefault(release.adapter, []).append(release.channel)
        return [(self.store.history.adapter(name), tuple(found)) for name, found in where.items()]

    def _take_back(self, change: Change) -> int:
        """Let rows that waited because the recipe did not list the label be examples; how many there are now."""
        waiting = self.store.quarantine.list(task=change.task, reason="unknown label", limit=None)
        return sum(self._restored(entry.id) for entry in waiting if entry.label == change.label)

    def _restored(self, rejected: str) -> bool:
        try:
            restore(self.store, self.recipe, rejected, clock=self.clock)
        except (Conflict, InputError):  # an example already, or equal to a test row: it goes on waiting
            return False
        return True

    def _take(self, change: Change, texts: Sequence[str], channel: str | None) -> int:
        """Rows of the label in a channel: texts that are examples already change their label, others come in."""
        if not texts:
            return 0
        if channel is None:
            raise InputError("examples belong to a channel.", field="channel", cure="Name it.")
        masker = Masker(self.recipe.clean.mask, self.recipe.channel(channel).language)
        said = {text_key(text): text for text in (masker.mask(tidy(text))[0] for text in texts)}
        known = self._here(change.task, channel, said)
        rows = [
            {"text": text, "label": change.label, "split": "train"}
            for key, text in said.items()
            if key not in known
        ]
        given: Any = {"channel": channel, "task": change.task, "source": "owner", "clock": self.clock}
        add_rows(self.store, self.recipe, rows, **given, run=self.ids("run"))
        clean(self.store, self.recipe, clock=self.clock)
        found = self._here(change.task, channel, said)
        with self.store.transaction() as connection:
            for example in found.values():
                self.store.examples.relabel_in(connection, example.id, change.label, "owner")
        return len(found)

    def _here(self, task: str, channel: str, texts: Mapping[str, str]) -> dict[str, Example]:
        """The channel's example of each text, by key, where it has one."""
        found = self.store.examples.by_text_key(task, list(texts))
        mine = {key: [e for e in same if e.channel == channel] for key, same in found.items()}
        return {key: same[0] for key, same in mine.items() if same}

    def _successors(self, change: Change) -> list[PairTurn]:
        made = Successors(
            self.store,
            self.recipe,
            self.path.parent / ".cache",
            clock=self.clock,
            ids=self.ids,
            progress=self.progress,
        )
        return made.of(change, self._serving(change.task))


def named(label: str) -> str:
    """A label as it is kept; raises InputError where it cannot be one."""
    said = tidy(label)
    if not said or len(said) > LONGEST or not said.isprintable():
        raise InputError(
            f"{label[:80]!r} cannot be a label.",
            field="label",
            cure=f"A label has 1 to {LONGEST} printable characters.",
        )
    return said
