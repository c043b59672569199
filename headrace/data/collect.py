"""Sources -> rows, their private details masked before anything is stored.

Rows go in by transactions of 1,000, and a source's cursor moves only after the rows that it covers: killed
anywhere, the next run adds what is missing. Rows known already add nothing, because a row's id is the hash
of its content. Rows of an official test set count each time they stand there: theirs says which time it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from headrace import plugins
from headrace.data.connectors import Broken, Connector, Position, Raw
from headrace.data.fields import Columns, escaped
from headrace.data.mask import Masker
from headrace.data.progress import Progress, silent
from headrace.errors import InputError, NotFound
from headrace.recipe import Recipe, SourceRecipe
from headrace.records import Clock, Rejected, Row, content_id
from headrace.store import Store
from headrace.store.table import batches

BATCH = 1000
_COLUMNS = Columns("text", "label", "split")


@dataclass(frozen=True, slots=True)
class SourceCount:
    """What one source brought: `read` = new + known + repeated + broken; `masked` counts private details."""

    read: int = 0
    new: int = 0
    known: int = 0
    repeated: int = 0
    broken: int = 0
    masked: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: SourceCount) -> SourceCount:
        return SourceCount(
            self.read + other.read,
            self.new + other.new,
            self.known + other.known,
            self.repeated + other.repeated,
            self.broken + other.broken,
            dict(Counter(self.masked) + Counter(other.masked)),
        )


@dataclass(frozen=True, slots=True)
class Collected:
    """What a run brought, by source."""

    sources: Mapping[str, SourceCount]

    @property
    def total(self) -> SourceCount:
        """All sources together."""
        return sum(self.sources.values(), SourceCount())


def collect(
    store: Store,
    recipe: Recipe,
    project_folder: Path,
    sources: Sequence[str] | None,
    *,
    clock: Clock,
    run: str,
    progress: Progress | None = None,
) -> Collected:
    """Read `sources` of the recipe, all where None, and store what is new.

    Raises NotFound for a source that is not there and InputError for one that cannot be used; what other
    sources brought before stays.
    """
    chosen = {name: _source(recipe, name) for name in (recipe.sources if sources is None else sources)}
    counts: dict[str, SourceCount] = {}
    for name, source in chosen.items():
        inlet = _Inlet(store, recipe, source.channel, source.task, name, clock, run)
        part = _part(source, project_folder)
        counts[name] = inlet.take(part.read(store.cursors.get(name)), progress or silent)
    return Collected(counts)


def add_rows(
    store: Store,
    recipe: Recipe,
    rows: Iterable[Mapping[str, object] | Raw],
    *,
    channel: str,
    task: str,
    source: str = "python",
    clock: Clock,
    run: str,
    progress: Progress | None = None,
) -> Collected:
    """Store rows handed over: Raw, or mappings with `text` and, where known, `label` and `split`.

    A mapping that is no row goes to quarantine. Raises InputError where one has a key that is none of these.
    """
    inlet = _Inlet(store, recipe, channel, task, source, clock, run)
    return Collected({source: inlet.take(_handed(rows, source), progress or silent)})


def _handed(rows: Iterable[Mapping[str, object] | Raw], source: str) -> Iterator[Raw | Broken]:
    known = {"text", "label", "split", "place"}
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Raw):
            yield row if row.place else Raw(row.text, row.label, row.split, f"{source}:{number}")
            continue
        odd = sorted(set(map(str, row)) - known)
        if odd:
            raise InputError(
                f"a row has no field {odd[0]!r}.",
                where=f"{source}:{number}",
                field=odd[0],
                cure="A row has text, label, split and place.",
            )
        yield _COLUMNS.raw(row, str(row.get("place") or f"{source}:{number}"))


def _source(recipe: Recipe, name: str) -> SourceRecipe:
    found = recipe.sources.get(name)
    if found is None:
        known = ", ".join(recipe.sources) or "none yet"
        raise NotFound(f"there is no source {name!r}.", where="headrace.yaml", cure=f"Known: {known}.")
    return found


def _part(source: SourceRecipe, folder: Path) -> Connector:
    options = plugins.options("connectors", source.connector)
    try:
        given = options.model_validate(source.options)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InputError(f"options of the connector: {said}.", cure="Correct them in the recipe.") from None
    made: Connector = plugins.load("connectors", source.connector)(given, folder)
    return made


class _Inlet:
    """Takes what one source brings to one (task, channel)."""

    def __init__(
        self, store: Store, recipe: Recipe, channel: str, task: str, source: str, clock: Clock, run: str
    ) -> None:
        language = recipe.channels[channel].language if channel in recipe.channels else ""
        self._masker = Masker(recipe.clean.mask, language)
        self._store, self._source, self._run = store, source, run
        self._channel, self._task, self._clock = channel, task, clock
        self._times: Counter[str] = Counter()

    def take(self, stream: Iterable[Raw | Broken | Position], progress: Progress) -> SourceCount:
        """Store all of it, a batch a transaction; a Position is stored after the batch in which it stands."""
        total = SourceCount()
        for batch in batches(stream, BATCH):
            total += self._store_batch([item for item in batch if not isinstance(item, Position)])
            positions = [item for item in batch if isinstance(item, Position)]
            if positions:
                self._store.cursors.set(self._source, positions[-1].value)
            progress(f"collect {self._source}", total.read, 0)
        return total

    def _store_batch(self, items: Sequence[Raw | Broken]) -> SourceCount:
        made = [self._made(item) for item in items]
        rows = [item for item, _ in made if isinstance(item, Row)]
        rejected = [item for item, _ in made if isinstance(item, Rejected)]
        with self._store.transaction() as connection:
            added = self._store.rows.add_in(connection, rows, run=self._run)
            self._store.quarantine.add_in(connection, rejected)
        masked: Counter[str] = Counter()
        for _, counts in made:
            masked.update(counts)
        # A place read twice in one run, after a position that did not move, is known too.
        known = len(rows) - added.new - added.repeated
        return SourceCount(len(items), added.new, known, added.repeated, len(rejected), dict(masked))

    def _made(self, item: Raw | Broken) -> tuple[Row | Rejected, dict[str, int]]:
        if isinstance(item, Raw):
            if _storable(item.text) and _storable(item.label or ""):
                return self._row(item)
            item = Broken(item.place, escaped(item.text), "undecodable", "NUL characters or half characters")
        content, counts = self._masker.mask(item.content)
        detail, _ = self._masker.mask(item.detail)
        rejected = Rejected(
            id=content_id("q", self._channel, self._task, self._source, item.place, content, item.reason),
            channel=self._channel,
            task=self._task,
            source=self._source,
            place=item.place,
            content=content,
            label=None,
            reason=item.reason,
            detail=detail,
            at=self._clock(),
        )
        return rejected, counts

    def _row(self, raw: Raw) -> tuple[Row, dict[str, int]]:
        text, counts = self._masker.mask(raw.text)
        # A row that slipped by one column has its text where the label belongs.
        raw = replace(raw, label=raw.label and self._masker.mask(raw.label)[0])
        row = Row(
            id=self._row_id(text, raw),
            channel=self._channel,
            task=self._task,
            source=self._source,
            text=text,
            label=raw.label,
            split=raw.split,
            place=raw.place,
            at=self._clock(),
            masked=counts,
        )
        return row, counts

    def _row_id(self, text: str, raw: Raw) -> str:
        parts = (self._channel, self._task, self._source, text, raw.label or "")
        if raw.split != "test":
            return content_id("row", *parts)
        first = content_id("row", *parts, "test")
        self._times[first] += 1
        times = self._times[first]
        return first if times == 1 else content_id("row", *parts, "test", str(times))


def _storable(text: str) -> bool:
    """Whether every database keeps the text as it is: no NUL characters, no halves of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in text
