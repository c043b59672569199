"""Examples: clean rows with a label and a split that never changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Select, func, select, update

from headrace.records import Example, Rejected, Split
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.rows import Quarantine, State, set_states_in
from headrace.store.table import adding, batches, record, values

BATCH = 900


class Examples:
    """The examples of every (task, channel)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name
        self._quarantine = Quarantine(database)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction over several of the `_in` calls."""
        with self._database.write() as connection:
            yield connection

    def settle(
        self,
        examples: Sequence[tuple[Example, str]] = (),
        rejected: Sequence[Rejected] = (),
        states: Mapping[str, State] | None = None,
    ) -> None:
        """What `clean` decided of some rows, in one transaction: examples, rejections, states."""
        with self._database.write() as connection:
            self.add_in(connection, examples)
            self._quarantine.add_in(connection, rejected)
            set_states_in(connection, states or {})

    def add_in(self, connection: Connection, examples: Sequence[tuple[Example, str]]) -> None:
        """Store examples with the keys of their normalised texts; an id already there stays as it is."""
        if examples:
            rows = [values(example, text_key=key) for example, key in examples]
            connection.execute(adding(tables.examples, self._dialect), rows)

    def remove_in(self, connection: Connection, ids: Sequence[str]) -> None:
        """Take examples out (their rows stay), inside a transaction of the caller's."""
        for batch in batches(ids, BATCH):
            connection.execute(tables.examples.delete().where(tables.examples.c.id.in_(batch)))

    def relabel_in(self, connection: Connection, example_id: str, label: str, origin: str) -> None:
        """Give an example another label and origin, inside a transaction of the caller's."""
        t = tables.examples
        connection.execute(update(t).where(t.c.id == example_id).values(label=label, origin=origin))

    def rename_in(self, connection: Connection, task: str, old: Sequence[str], label: str) -> int:
        """Let every example of a task that has one of the labels `old` have `label`; how many did."""
        t = tables.examples
        where = (t.c.task == task, t.c.label.in_(old))
        return connection.execute(update(t).where(*where).values(label=label)).rowcount

    def of(
        self, task: str, channels: Sequence[str] | None = None, splits: Sequence[Split] | None = None
    ) -> list[Example]:
        """Examples of a task, of some channels and splits, in the order of their ids."""
        with self._database.read() as connection:
            return [record(Example, row) for row in connection.execute(self._query(task, channels, splits))]

    def golden(self, task: str | None = None, channel: str | None = None) -> list[Example]:
        """Golden rows, in the order in which they came."""
        t = tables.examples
        query = select(t).where(t.c.golden).order_by(t.c.seq)
        for column, wanted in ((t.c.task, task), (t.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Example, row) for row in connection.execute(query)]

    def decisions(self, task: str, channels: Sequence[str] | None = None) -> dict[str, int]:
        """How many decisions each held-out row of a task has served, by its id; none where it served none."""
        c = tables.examples.c
        query = select(c.id, c.decisions).where(c.task == task, c.split == "test", c.decisions > 0)
        query = query if channels is None else query.where(c.channel.in_(channels))
        with self._database.read() as connection:
            return {row.id: row.decisions for row in connection.execute(query)}

    def decided_in(self, connection: Connection, ids: Sequence[str]) -> None:
        """Count one decision more for held-out rows, in the transaction that writes the decision down."""
        t = tables.examples
        for batch in batches(dict.fromkeys(ids), BATCH):
            more = update(t).where(t.c.id.in_(batch)).values(decisions=t.c.decisions + 1)
            connection.execute(more)

    def move_in(self, connection: Connection, ids: Sequence[str], split: Split) -> None:
        """Give examples another split, inside a transaction of the caller's."""
        t = tables.examples
        for batch in batches(ids, BATCH):
            connection.execute(update(t).where(t.c.id.in_(batch)).values(split=split))

    def stream(self, task: str, size: int = 5000) -> Iterator[list[Example]]:
        """All examples of a task in the order in which they came, a batch at a time."""
        last, t = 0, tables.examples
        while True:
            query = select(t).where(t.c.task == task, t.c.seq > last).order_by(t.c.seq).limit(size)
            with self._database.read() as connection:
                found = connection.execute(query).all()
            if not found:
                return
            last = found[-1].seq
            yield [record(Example, row) for row in found]

    def by_text_key(self, task: str, keys: Sequence[str]) -> dict[str, list[Example]]:
        """Examples of a task whose normalised text has one of these keys, in the order in which they came."""
        t = tables.examples
        found: dict[str, list[Example]] = {}
        with self._database.read() as connection:
            for batch in batches(dict.fromkeys(keys), BATCH):
                query = select(t).where(t.c.task == task, t.c.text_key.in_(batch)).order_by(t.c.seq)
                for row in connection.execute(query):
                    found.setdefault(row.text_key, []).append(record(Example, row))
        return found

    def get(self, ids: Sequence[str]) -> list[Example]:
        """Examples by id, in the order of their ids; unknown ids are left out."""
        t = tables.examples
        found: list[Example] = []
        with self._database.read() as connection:
            for batch in batches(dict.fromkeys(ids), BATCH):
                rows = connection.execute(select(t).where(t.c.id.in_(batch)))
                found += [record(Example, row) for row in rows]
        return sorted(found, key=lambda example: example.id)

    def labels(self, task: str) -> set[str]:
        """Every label that an example of the task has."""
        c = tables.examples.c
        with self._database.read() as connection:
            return set(connection.execute(select(c.label).where(c.task == task).distinct()).scalars())

    def counts(self) -> dict[tuple[str, str, str, str], int]:
        """Examples by (task, channel, split, origin), golden rows left out."""
        c = tables.examples.c
        keys = (c.task, c.channel, c.split, c.origin)
        with self._database.read() as connection:
            query = select(*keys, func.count()).where(~tables.examples.c.golden).group_by(*keys)
            return {(t, ch, s, o): n for t, ch, s, o, n in connection.execute(query)}

    def _query(
        self, task: str, channels: Sequence[str] | None, splits: Sequence[Split] | None
    ) -> Select[tuple[object, ...]]:
        t = tables.examples
        query = select(t).where(t.c.task == task).order_by(t.c.id)
        if channels is not None:
            query = query.where(t.c.channel.in_(channels))
        return query if splits is None else query.where(t.c.split.in_(splits))
