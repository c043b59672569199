"""Documents, their passages, and what was found for which question."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from headrace.errors import NotFound
from headrace.records import Document, DocumentState, Passage, Search
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import adding, batches, insert, record, values

_BATCH = 500


class Documents:
    """Documents of all sources, with their passages; one is replaced whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, document: Document, passages: Sequence[Passage]) -> None:
        """Store a document and its passages in the place of what it held before, in one transaction."""
        with self._database.write() as connection:
            self.put_in(connection, document, passages)

    def put_in(self, connection: Connection, document: Document, passages: Sequence[Passage]) -> None:
        """Like `put`, inside a transaction of the caller's."""
        dialect = self._database.engine.dialect.name
        found = values(document)
        made = insert(tables.documents, dialect).values(found)
        made = made.on_conflict_do_update(index_elements=["id"], set_=found)
        connection.execute(made)
        p = tables.passages
        connection.execute(delete(p).where(p.c.document == document.id))
        for some in batches(passages, _BATCH):
            connection.execute(p.insert(), [values(passage) for passage in some])

    def get(self, document_id: str) -> Document:
        """One document; raises NotFound."""
        t = tables.documents
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == document_id)).first()
        if found is None:
            raise NotFound(
                f"there is no document {document_id!r}.", cure="List them: headrace knowledge list"
            )
        return record(Document, found)

    def list(
        self, *, source: str | None = None, state: DocumentState | None = None, flagged: bool = False
    ) -> builtins.list[Document]:
        """Documents in the order of source and place."""
        t = tables.documents
        query = select(t).order_by(t.c.source, t.c.place)
        for column, wanted in ((t.c.source, source), (t.c.state, state)):
            query = query if wanted is None else query.where(column == wanted)
        if flagged:
            query = query.where(t.c.flag.is_not(None))
        with self._database.read() as connection:
            return [record(Document, row) for row in connection.execute(query)]

    def set_state(self, document_id: str, state: DocumentState, at: datetime) -> None:
        """Publish a draft, or take a document away; its passages stay for what named them. Raises NotFound."""
        self._set(document_id, state=state, at=at)

    def flag(self, document_id: str, reason: str | None) -> None:
        """Say what is wrong with a document, or with None that nothing is any more; raises NotFound."""
        self._set(document_id, flag=reason)

    def _set(self, document_id: str, **columns: object) -> None:
        t = tables.documents
        with self._database.write() as connection:
            changed = connection.execute(update(t).where(t.c.id == document_id).values(**columns)).rowcount
        if not changed:
            raise NotFound(
                f"there is no document {document_id!r}.", cure="List them: headrace knowledge list"
            )

    def passages(self, channel: str | None = None) -> builtins.list[Passage]:
        """Passages of live documents, in order; with `channel` those that may answer there: its own and all's."""
        p, d = tables.passages, tables.documents
        query = select(p).join(d, d.c.id == p.c.document).where(d.c.state == "live")
        if channel is not None:
            query = query.where(p.c.channel.is_(None) | (p.c.channel == channel))
        with self._database.read() as connection:
            return [record(Passage, row) for row in connection.execute(query.order_by(p.c.seq))]

    def of(self, document_id: str) -> builtins.list[Passage]:
        """The passages of one document, in order."""
        p = tables.passages
        with self._database.read() as connection:
            found = connection.execute(select(p).where(p.c.document == document_id).order_by(p.c.seq))
            return [record(Passage, row) for row in found]

    def passages_by_id(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Passages by id, of documents in any state; what is gone is left out."""
        p = tables.passages
        with self._database.read() as connection:
            return {
                row.id: record(Passage, row)
                for some in batches(ids, _BATCH)
                for row in connection.execute(select(p).where(p.c.id.in_(some)))
            }

    def version(self) -> tuple[int, int, str]:
        """Changes whenever what can be found changes."""
        p, d = tables.passages, tables.documents
        with self._database.read() as connection:
            last = connection.execute(select(func.coalesce(func.max(p.c.seq), 0), func.count(p.c.seq))).one()
            live = select(func.count(), func.max(d.c.at)).where(d.c.state == "live")
            count, at = connection.execute(live).one()
        return int(last[0]), int(last[1]), f"{count} {at}"


class Searches:
    """What was found for which question, and what a person picked of it: the reranker's lessons."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, search: Search) -> None:
        """Store one."""
        with self._database.write() as connection:
            connection.execute(tables.searches.insert(), [values(search)])

    def add_in(self, connection: Connection, searches: Sequence[Search]) -> None:
        """Store searches inside a transaction of the caller's; one that is there already stays as it is."""
        made = adding(tables.searches, self._database.engine.dialect.name)
        if searches:
            connection.execute(made, [values(search) for search in searches])

    def find(self, search_id: str) -> Search | None:
        """One search, where there is one of that id."""
        t = tables.searches
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == search_id)).first()
        return None if found is None else record(Search, found)

    def choose(self, search_id: str, passage: str, by: str, *, channel: str | None = None) -> None:
        """Say which passage was picked; raises NotFound, in the same words for another channel's."""
        t = tables.searches
        wanted = [t.c.id == search_id] + ([] if channel is None else [t.c.channel == channel])
        with self._database.write() as connection:
            chosen = update(t).where(*wanted).values(chosen=passage, by=by)
            changed = connection.execute(chosen).rowcount
        if not changed:
            raise NotFound("there is no such search.", where="search")

    def list(
        self, *, task: str | None = None, chosen: bool | None = None, limit: int = 10_000
    ) -> builtins.list[Search]:
        """Searches, newest first."""
        t = tables.searches
        query = select(t).order_by(t.c.seq.desc()).limit(limit)
        query = query if task is None else query.where(t.c.task == task)
        if chosen is not None:
            query = query.where(t.c.chosen.is_not(None) if chosen else t.c.chosen.is_(None))
        with self._database.read() as connection:
            return [record(Search, row) for row in connection.execute(query)]
