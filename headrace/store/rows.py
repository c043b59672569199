"""Rows as they came in, and the quarantine of what was rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from headrace.errors import NotFound
from headrace.records import Rejected, Row, Split, content_id
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.steps import next_step_in
from headrace.store.table import adding, batches, insert, one_at_a_time, record, values

State = str  # new | clean | rejected | unlabelled
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Added:
    """What a call of `Rows.add` did: new rows, rows that an earlier run had brought, repeats in this run."""

    new: int = 0
    known: int = 0
    repeated: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(self.new + other.new, self.known + other.known, self.repeated + other.repeated)


class Judged(NamedTuple):
    """A row that was judged: in which step first, 0 where no step was counted yet, and what it is now."""

    step: int
    state: State
    row: Row


class Rows:
    """Rows of every channel. Adding is idempotent: a row's id is the hash of its content."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def add(self, rows: Iterable[Row], *, run: str) -> Added:
        """Store rows in transactions of 1,000.

        A row that stands twice within one `run` goes to quarantine as a duplicate; one that an earlier run
        brought adds nothing.
        """
        total = Added()
        for batch in batches(rows, BATCH):
            with self._database.write() as connection:
                total += self._add(connection, batch, run)
        return total

    def add_in(self, connection: Connection, rows: Sequence[Row], *, run: str) -> Added:
        """Like `add`, inside a transaction of the caller's."""
        return self._add(connection, rows, run)

    def _add(self, connection: Connection, batch: Sequence[Row], run: str) -> Added:
        one_at_a_time(connection)
        runs = self._runs(connection, [row.id for row in batch])
        places = self._places(connection, [i for i, seen in runs.items() if seen == run])
        fresh: dict[str, Row] = {}
        repeats: list[Rejected] = []
        for row in batch:
            if row.id in fresh or runs.get(row.id) == run:
                first = fresh[row.id].place if row.id in fresh else places[row.id]
                if first != row.place:
                    repeats.append(_repeat(row, first))
            elif row.id not in runs:
                fresh[row.id] = row
        seen = [row.id for row in batch if row.id in runs and runs[row.id] != run]
        self._insert(connection, list(fresh.values()), run)
        if seen:
            connection.execute(update(tables.rows).where(tables.rows.c.id.in_(seen)).values(run=run))
        if repeats:
            connection.execute(adding(tables.quarantine, self._dialect), [values(r) for r in repeats])
        return Added(len(fresh), len(set(seen)), len(repeats))

    def _runs(self, connection: Connection, ids: Sequence[str]) -> dict[str, str]:
        c = tables.rows.c
        return {row.id: row.run for row in connection.execute(select(c.id, c.run).where(c.id.in_(ids)))}

    def _places(self, connection: Connection, ids: Sequence[str]) -> dict[str, str]:
        c = tables.rows.c
        if not ids:
            return {}
        return {row.id: row.place for row in connection.execute(select(c.id, c.place).where(c.id.in_(ids)))}

    def _insert(self, connection: Connection, rows: Sequence[Row], run: str) -> None:
        if not rows:
            return
        new = [values(row, run=run, state="new") for row in rows]
        connection.execute(adding(tables.rows, self._dialect), new)
        counts: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            for kind, n in row.masked.items():
                counts[row.task, row.channel, kind] += n
        for (task, channel, kind), n in counts.items():
            c = tables.masked.c
            statement = insert(tables.masked, self._dialect).values(
                task=task, channel=channel, kind=kind, count=n
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[c.task, c.channel, c.kind], set_={"count": c.count + n}
                )
            )

    def pending(self, size: int = BATCH) -> Iterator[list[Row]]:
        """Rows that `clean` has not seen, in the order in which they came, a batch at a time."""
        last = 0
        t = tables.rows
        while True:
            query = select(t).where(t.c.state == "new", t.c.seq > last).order_by(t.c.seq).limit(size)
            with self._database.read() as connection:
                found = connection.execute(query).all()
            if not found:
                return
            last = found[-1].seq
            yield [record(Row, row) for row in found]

    def judged(self, task: str, size: int = BATCH) -> Iterator[list[Judged]]:
        """Rows of a task that are new no more, in the order in which they came, a batch at a time."""
        last, t = 0, tables.rows
        while True:
            where = (t.c.task == task, t.c.state != "new", t.c.seq > last)
            with self._database.read() as connection:
                found = connection.execute(select(t).where(*where).order_by(t.c.seq).limit(size)).all()
            if not found:
                return
            last = found[-1].seq
            yield [Judged(row.step or 0, row.state, record(Row, row)) for row in found]

    def get(self, row_id: str) -> Row:
        """One row by id; raises NotFound."""
        with self._database.read() as connection:
            found = connection.execute(select(tables.rows).where(tables.rows.c.id == row_id)).first()
        if found is None:
            raise NotFound(f"there is no row {row_id!r}.")
        return record(Row, found)

    def some(self, row_ids: Sequence[str]) -> list[Row]:
        """Rows by id; unknown ids are left out."""
        t, found = tables.rows, list[Row]()
        with self._database.read() as connection:
            for batch in batches(dict.fromkeys(row_ids), BATCH):
                found += [record(Row, row) for row in connection.execute(select(t).where(t.c.id.in_(batch)))]
        return found

    def unlabelled(self, task: str | None = None, channel: str | None = None, limit: int = 200) -> list[Row]:
        """Rows that nobody has given a label, in the order in which they came."""
        t = tables.rows
        query = select(t).where(t.c.state == "unlabelled").order_by(t.c.seq).limit(limit)
        for column, wanted in ((t.c.task, task), (t.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Row, row) for row in connection.execute(query)]

    def label(self, row_id: str, label: str) -> bool:
        """Give an unlabelled row its label, so that `clean` judges it anew; False where it is none any more."""
        c = tables.rows.c
        changed = update(tables.rows).where(c.id == row_id, c.state == "unlabelled")
        with self._database.write() as connection:
            done = connection.execute(changed.values(label=label, state="new", step=None))
        return bool(done.rowcount)

    def given_splits(self, row_ids: Sequence[str]) -> dict[str, Split]:
        """The splits that their source gave these rows; rows without one are left out."""
        c = tables.rows.c
        found: dict[str, Split] = {}
        with self._database.read() as connection:
            for batch in batches(row_ids, BATCH):
                query = select(c.id, c.split).where(c.id.in_(batch), c.split.is_not(None))
                found |= {row.id: row.split for row in connection.execute(query)}
        return found

    def sources(self, row_ids: Sequence[str]) -> dict[str, str]:
        """The source of each of these rows that is there."""
        c = tables.rows.c
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for batch in batches(row_ids, BATCH):
                rows = connection.execute(select(c.id, c.source).where(c.id.in_(batch)))
                found |= {row.id: row.source for row in rows}
        return found

    def remove_in(self, connection: Connection, row_ids: Sequence[str]) -> None:
        """Delete rows for good, inside a transaction of the caller's; their examples must be gone before."""
        for batch in batches(row_ids, BATCH):
            connection.execute(tables.rows.delete().where(tables.rows.c.id.in_(batch)))

    def counts(self) -> dict[tuple[str, str, State], int]:
        """Rows by (task, channel, state)."""
        c = tables.rows.c
        query = select(c.task, c.channel, c.state, func.count()).group_by(c.task, c.channel, c.state)
        with self._database.read() as connection:
            return {(t, ch, s): n for t, ch, s, n in connection.execute(query)}

    def masked(self) -> dict[tuple[str, str, str], int]:
        """Private details replaced, by (task, channel, kind)."""
        with self._database.read() as connection:
            c = tables.masked.c
            query = select(c.task, c.channel, c.kind, c.count)
            return {(t, ch, k): n for t, ch, k, n in connection.execute(query)}


class Quarantine:
    """Rejected rows with their reasons; nothing is thrown away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def add(self, rejected: Iterable[Rejected]) -> None:
        """Keep what was rejected before it became a row; twice adds nothing."""
        for batch in batches(rejected, BATCH):
            with self._database.write() as connection:
                connection.execute(adding(tables.quarantine, self._dialect), [values(r) for r in batch])

    def list(
        self,
        *,
        task: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        limit: int | None = 100,
    ) -> list[Rejected]:
        """What waits there, newest first; with `limit` None all of it."""
        t = tables.quarantine
        query = select(t).where(t.c.restored.is_(None)).order_by(t.c.seq.desc()).limit(limit)
        for column, wanted in ((t.c.task, task), (t.c.channel, channel), (t.c.reason, reason)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Rejected, row) for row in connection.execute(query)]

    def get(self, rejected_id: str) -> Rejected:
        """One by id; raises NotFound."""
        t = tables.quarantine
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == rejected_id)).first()
        if found is None:
            raise NotFound(
                f"nothing in quarantine is called {rejected_id!r}.", cure="See: headrace quarantine list"
            )
        return record(Rejected, found)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """What waits there, by (task, channel, reason)."""
        c = tables.quarantine.c
        query = (
            select(c.task, c.channel, c.reason, func.count())
            .where(c.restored.is_(None))
            .group_by(c.task, c.channel, c.reason)
        )
        with self._database.read() as connection:
            return {(t, ch, r): n for t, ch, r, n in connection.execute(query)}

    def mark_restored_in(self, connection: Connection, rejected_id: str, at: datetime) -> None:
        """Say that it was taken back, inside a transaction of the caller's."""
        t = tables.quarantine
        connection.execute(update(t).where(t.c.id == rejected_id).values(restored=at))

    def add_in(
        self, connection: Connection, rejected: Sequence[Rejected], keys: Mapping[str, str] | None = None
    ) -> None:
        """Like `add`, inside a transaction of the caller's; `keys` are the keys of texts by rejected id."""
        if rejected:
            made = [values(r, text_key=(keys or {}).get(r.id)) for r in rejected]
            connection.execute(adding(tables.quarantine, self._dialect), made)

    def by_text_key(self, task: str, keys: Sequence[str]) -> Mapping[str, Sequence[Rejected]]:
        """What waits there under these keys of texts, of one task, in the order in which it came."""
        t = tables.quarantine
        found: dict[str, MutableSequence[Rejected]] = {}
        with self._database.read() as connection:
            for batch in batches(dict.fromkeys(keys), BATCH):
                where = (t.c.task == task, t.c.text_key.in_(batch), t.c.restored.is_(None))
                for row in connection.execute(select(t).where(*where).order_by(t.c.seq)):
                    found.setdefault(row.text_key, []).append(record(Rejected, row))
        return found

    def repeats(self, row_ids: Sequence[str]) -> dict[str, int]:
        """How often each of these rows came again within one run; rows that did not are left out."""
        c = tables.quarantine.c
        found: dict[str, int] = {}
        with self._database.read() as connection:
            for batch in batches(row_ids, BATCH):
                where = (c.row.in_(batch), c.reason == "duplicate", c.text_key.is_(None))
                query = select(c.row, func.count().label("n")).where(*where).group_by(c.row)
                found |= {row.row: row.n for row in connection.execute(query)}
        return found

    def ids(self, reason: str, task: str | None = None, channel: str | None = None) -> Sequence[str]:
        """The ids of what waits there for one reason, in the order in which it came."""
        c = tables.quarantine.c
        query = select(c.id).where(c.reason == reason, c.restored.is_(None)).order_by(c.seq)
        for column, wanted in ((c.task, task), (c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return connection.execute(query).scalars().all()


class Cursors:
    """How far each source was read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, source: str) -> object | None:
        """The stored position of a source, None before the first run."""
        c = tables.cursors.c
        with self._database.read() as connection:
            found = connection.execute(select(c.value).where(c.source == source)).first()
        return None if found is None else found.value

    def set(self, source: str, value: object) -> None:
        """Remember the position of a source."""
        statement = insert(tables.cursors, self._database.engine.dialect.name).values(
            source=source, value=value
        )
        with self._database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[tables.cursors.c.source], set_={"value": value}
                )
            )


def set_states_in(connection: Connection, states: Mapping[str, State]) -> None:
    """Give rows their new states, inside a transaction of the caller's; the first step of each stays."""
    if not states:
        return
    by_state: dict[str, list[str]] = {}
    step = next_step_in(connection)
    for row_id, state in states.items():
        by_state.setdefault(state, []).append(row_id)
    for state, ids in by_state.items():
        for batch in batches(ids, BATCH):
            these = update(tables.rows).where(tables.rows.c.id.in_(batch))
            first = func.coalesce(tables.rows.c.step, step)
            connection.execute(these.values(state=state, step=first))


def _repeat(row: Row, first: str) -> Rejected:
    rejected = Rejected(
        id="",
        channel=row.channel,
        task=row.task,
        source=row.source,
        place=row.place,
        content=row.text,
        label=row.label,
        reason="duplicate",
        detail=f"the same as {first}",
        at=row.at,
        row=row.id,
    )
    return replace(rejected, id=content_id("q", row.id, row.place))
