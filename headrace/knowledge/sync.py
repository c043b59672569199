"""The recipe's `knowledge` -> documents and passages in the store; only what changed is written.

A document that its source no longer holds is gone, unless the source, or the document's own page or file, could
not be read: then it stays as it was. Killed anywhere, the next run goes on. Keys and passwords are masked before
anything is stored; a shop's own e-mail address and phone number are what customers ask for, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from headrace import plugins
from headrace.data.connectors import Broken
from headrace.data.progress import Progress, silent
from headrace.errors import AlreadyRunning, InputError, MissingExtra, NotFound
from headrace.knowledge.documents import OWNER, Checked, Shelf, fingerprint
from headrace.knowledge.formats import Format, Read, Remembering, Same
from headrace.knowledge.rejects import Rejects
from headrace.recipe import KnowledgeRecipe, Recipe
from headrace.recipe.sections import nearest
from headrace.records import Clock, Document, content_id
from headrace.store import Store
from headrace.store.failures import disk_errors
from headrace.store.table import batches, one_at_a_time

BATCH = 50
"""Documents of one transaction."""
SHOWN = 500
"""Characters of a rejected document that quarantine shows."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What a run found; `unread` says by source why it could not be read, or not to its end."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    rejected: int = 0
    unread: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Synced) -> Synced:
        return Synced(
            self.added + other.added,
            self.changed + other.changed,
            self.removed + other.removed,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
            {**self.unread, **other.unread},
        )


def sync(
    store: Store,
    recipe: Recipe,
    folder: Path,
    *,
    sources: Sequence[str] | None = None,
    clock: Clock,
    progress: Progress | None = None,
) -> Synced:
    """Read `sources` of the recipe's `knowledge`, all where None, and store what changed.

    With all of them, documents of sources that left the recipe are gone. Raises NotFound for a source that is not
    there, AlreadyRunning where another process does the same.
    """
    chosen = [(name, _source(recipe, name)) for name in (recipe.knowledge if sources is None else sources)]
    with _alone(folder):
        total = Synced()
        for name, source in chosen:
            total += _Reading(store, recipe, folder, name, source, clock, progress or silent).run()
        if sources is None:
            left = [
                d for d in store.documents.list(state="live") if d.source not in (*recipe.knowledge, OWNER)
            ]
            total += Synced(removed=_take_away(store, left, clock))
        return total


def part_of(source: KnowledgeRecipe, folder: Path) -> Format:
    """The format of a source with its options; raises InputError, NotFound, MissingExtra."""
    options = plugins.options("formats", source.format)
    try:
        given = options.model_validate(source.options)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InputError(f"options of the format: {said}.", cure="Correct them in the recipe.") from None
    made: Format = plugins.load("formats", source.format)(given, folder)
    return made


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One reading at a time in a project, by a lock that a crash does not leave behind."""
    lock = FileLock(folder / ".knowledge.lock", timeout=0)
    with disk_errors(str(folder)):
        try:
            lock.acquire()
        except Timeout:
            raise AlreadyRunning(
                "the documents of this project are being read already.", cure="Wait for it to end."
            ) from None
    try:
        yield
    finally:
        lock.release()


class _Reading:
    """One source, read once."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        folder: Path,
        name: str,
        source: KnowledgeRecipe,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._store, self._name, self._source, self._folder = store, name, source, folder
        self._clock, self._progress = clock, progress
        self._shelf = Shelf(name, source, recipe)
        self._rejects = Rejects(store, name, source.channel or "", clock)
        self._cursor = content_id("knw", name)
        self._before: dict[str, Document] = {}
        self._kept: set[str] = set()
        self._unread = ""

    def run(self) -> Synced:
        """Read it, store what changed, and take away what it no longer holds."""
        every = self._store.documents.list(source=self._name)
        # What another channel may no longer see goes before anything can fail.
        hidden = [d for d in every if d.state == "live" and not self._shelf.may_show(d.channel)]
        total = Synced(removed=_take_away(self._store, hidden, self._clock))
        live = (d for d in every if d.state == "live" and self._shelf.may_show(d.channel))
        self._before = {document.id: document for document in live}
        part = self._part()
        if part is not None:
            for reads in batches(self._reads(part), BATCH):
                total += self._put(reads)
            self._remember(part)
        self._rejects.store(whole=not self._unread)
        total += Synced(rejected=self._rejects.count)
        if self._unread:
            return total + Synced(unread={self._name: self._unread})
        return total + self._sweep()

    def _part(self) -> Format | None:
        try:
            part = part_of(self._source, self._folder)
        except (InputError, NotFound, MissingExtra) as error:
            self._unread = error.message
            return None
        if isinstance(part, Remembering):
            part.known = self._known()
        return part

    def _reads(self, part: Format) -> Iterator[Read | Same]:
        """The documents that can be read; the others are rejected."""
        try:
            for item in part.read():
                if isinstance(item, Broken):
                    self._rejects.add(item)
                else:
                    yield item
        except (InputError, NotFound, MissingExtra) as error:
            self._unread = error.message

    def _known(self) -> dict[str, object]:
        """What the format remembered of documents that are still there."""
        found = self._store.cursors.get(self._cursor)
        if not isinstance(found, dict) or found.get("of") != fingerprint(self._source):
            return {}
        live = {document.place for document in self._before.values()}
        return {place: value for place, value in found["known"].items() if place in live}

    def _remember(self, part: Format) -> None:
        """Keep what the format says of documents, once these are stored."""
        if isinstance(part, Remembering):
            known = {place: told for place, told in part.known.items() if not self._rejects.covers(place)}
            self._store.cursors.set(self._cursor, {"of": fingerprint(self._source), "known": known})

    def _put(self, items: Sequence[Read | Same]) -> Synced:
        """Store what changed of some documents, in one transaction."""
        found = [one for item in items if isinstance(item, Read) and (one := self._checked(item)) is not None]
        same = {self._shelf.id(item.place) for item in items if isinstance(item, Same)} & set(self._before)
        self._kept |= same
        before = {one.id: self._before.get(one.id) for one in found}
        other = [one for one in found if getattr(before[one.id], "digest", None) != one.digest]
        with self._store.transaction() as connection:
            one_at_a_time(connection)
            for one in other:
                document = one.document(self._clock())
                self._store.documents.put_in(connection, document, one.passages(document.at))
        self._progress(f"sync {self._name}", len(self._kept), 0)
        added = sum(before[one.id] is None for one in other)
        return Synced(added, len(other) - added, unchanged=len(found) - len(other) + len(same))

    def _checked(self, read: Read) -> Checked | None:
        """The document as it may be stored; None where it is rejected."""
        found = self._shelf.checked(read)
        if isinstance(found, Broken):
            self._rejects.add(found)
            return None
        if found.id in self._kept:
            detail = "an earlier document has the same place; give each an id of its own"
            content = " ".join(piece.text for piece in found.read.pieces)[:SHOWN]
            self._rejects.add(Broken(f"{read.place} (again)", content, "same place twice", detail))
            return None
        self._kept.add(found.id)
        return found

    def _sweep(self) -> Synced:
        """Take away the documents that their source no longer holds."""
        missing = [document for document in self._before.values() if document.id not in self._kept]
        left = [document for document in missing if not self._rejects.covers(document.place)]
        gone = _take_away(self._store, left, self._clock)
        return Synced(removed=gone, unchanged=len(missing) - gone)


def _source(recipe: Recipe, name: str) -> KnowledgeRecipe:
    found = recipe.knowledge.get(name)
    if found is None:
        raise NotFound(
            f"there is no source {name!r} of documents.",
            where="headrace.yaml",
            cure=nearest(name, recipe.knowledge),
        )
    return found


def _take_away(store: Store, documents: Iterable[Document], clock: Clock) -> int:
    count = 0
    for document in documents:
        store.documents.set_state(document.id, "gone", clock())
        count += 1
    return count
