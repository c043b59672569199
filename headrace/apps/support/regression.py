"""Expected answers, tried: on what serves now, and on documents as they would be after they were read again.

A changed document is tried on a copy of the store, which is thrown away: nothing of it answers anybody before the
difference was seen. Adapters are tried by the gate, before each release.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.data.expectations import Expectation, expectations
from headrace.errors import InputError, NotServed
from headrace.knowledge.sync import Synced, sync
from headrace.project import Project
from headrace.records import Passage
from headrace.serving.answerer import Answerer
from headrace.serving.engine import Ask
from headrace.serving.search_verbs import search_task
from headrace.serving.searcher import Searcher
from headrace.store import Database, Store
from headrace.store.failures import database_errors


@dataclass(frozen=True, slots=True)
class Tried:
    """A question, what was expected, and what was `found`: a label, or the document that came first."""

    expectation: Expectation
    found: str
    met: bool
    text: str = ""

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a question got `before` and would get `after`."""

    before: Tried
    after: Tried

    @property
    def changed(self) -> bool:
        """Whether customers would read something else."""
        return (self.before.found, self.before.text) != (self.after.found, self.after.text)

    @property
    def broken(self) -> bool:
        """Whether it was answered as expected and would not be any more."""
        return self.before.met and not self.after.met


def tried(project: Project) -> list[Tried]:
    """Every expectation, tried on what serves now; raises InputError where the file has a mistake."""
    return _tried(project, project.store, expectations(project.folder))


def preview(project: Project, sources: Sequence[str] | None = None) -> tuple[Synced, list[Difference]]:
    """What reading the documents again would change, and the expectations before and after it.

    Nothing is changed. Raises InputError where the store is none of SQLite's, and what `sync` raises.
    """
    asked = [one for one in expectations(project.folder) if one.document]
    before = _tried(project, project.store, asked)
    with _copy(project) as store:
        synced = sync(store, project.recipe, project.folder, sources=sources, clock=project.clock)
        after = _tried(project, store, asked)
    return synced, [Difference(*sides) for sides in zip(before, after, strict=True)]


def _tried(project: Project, store: Store, asked: Sequence[Expectation]) -> list[Tried]:
    searcher = Searcher(store, project.recipe)
    answerer = Answerer(store, project.recipe, clock=project.clock, ids=project.ids)
    answerer.follow()
    return [
        _by_intent(project, answerer, one) if one.intent else _by_document(project, store, searcher, one)
        for one in asked
    ]


def _by_intent(project: Project, answerer: Answerer, one: Expectation) -> Tried:
    task = project.recipe.support.intent or project.recipe.channel(one.channel).tasks[0]
    try:
        answerer.serving(task, one.channel)
    except NotServed:
        return Tried(one, "", False)
    (given,) = answerer.give([Ask(task, one.channel, one.question)])
    label = "" if isinstance(given, NotServed) else given.label
    return Tried(one, label, label == one.intent)


def _by_document(project: Project, store: Store, searcher: Searcher, one: Expectation) -> Tried:
    project.recipe.channel(one.channel)
    task = search_task(project.recipe, one.channel)
    found = searcher.search(one.question, task=task, channel=one.channel, limit=1).found
    if not found:
        return Tried(one, "", False)
    passage: Passage = found[0].passage
    document = store.documents.get(passage.document)
    return Tried(one, document.title or document.place, one.names(document), passage.text)


@contextmanager
def _copy(project: Project) -> Iterator[Store]:
    """A copy of the store as it is now, over the same artifacts."""
    database = project.store.database
    if not database.is_sqlite:
        raise InputError(
            "documents are tried on a copy of the store, and only SQLite's is copied.",
            cure="Try them in a project restored from a backup: headrace backup, headrace restore.",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with (
            database_errors(database.where),
            closing(database.engine.raw_connection()) as raw,
            closing(raw.cursor()) as cursor,
        ):
            cursor.execute("VACUUM INTO ?", (str(path),))
        copy = Store(Database(f"sqlite:///{path}"), project.store.artifacts)
        with copy.closing():
            yield copy
