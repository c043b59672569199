"""The chain of history: every record has an entry whose hash covers the one before, so a changed past shows.

An entry's commitment is the SHA-256 of a random salt and the record as canonical JSON; its link is the SHA-256
of the link before, the kind, the record's id and the commitment. Entries are never changed and never leave. A
salt may be withdrawn: then nobody can tell any more what the entry committed to, the record may go, and the
chain still holds; an event of the kind `forgotten`, itself in the chain, must name every such entry.

Who may write to the database could make a whole new chain. Against that helps the newest link, noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, Table, delete, select

from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import batches, one_at_a_time

FORGOTTEN = "forgotten"
HISTORY: Mapping[str, Table] = {
    "adapter": tables.adapters,
    "report": tables.reports,
    "release": tables.releases,
    "event": tables.events,
    "turn": tables.turns,
    "trial": tables.trials,
}
# What changes until it has ended is a record of history from its end on.
_ENDS = {"turn": tables.turns.c.finished, "trial": tables.trials.c.ended}
_BATCH = 500

Flaw = Literal["changed", "missing", "reordered", "inserted"]


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether the past is as it was; else `flaw` says what the first record that is not, `kind` and `record`, is.

    `head` is the newest link: who notes it elsewhere can tell later whether all of this is still there.
    """

    entries: int
    forgotten: int
    head: str
    flaw: Flaw | None = None
    kind: str = ""
    record: str = ""
    entry: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return self.flaw is None

    @property
    def sentence(self) -> str:
        """It in one line."""
        if self.flaw is None:
            gone = f", {self.forgotten:,} of them forgotten as their events say" if self.forgotten else ""
            newest = self.head or "none"
            return f"The past is as it was: {self.entries:,} entries{gone}; the newest link is {newest}."
        where = f" (entry {self.entry:,})" if self.entry else ""
        return f"The past is not as it was: the {self.kind} {self.record}{where} {_SAID[self.flaw]}."

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        fields = ("entries", "forgotten", "head", "flaw", "kind", "record", "entry")
        return {"whole": self.whole, "sentence": self.sentence} | {
            name: getattr(self, name) for name in fields
        }


_SAID: dict[Flaw, str] = {
    "changed": "was changed",
    "missing": "is missing",
    "reordered": "does not stand where it stood",
    "inserted": "was put in",
}


class Chain:
    """Appends to the chain, withdraws salts, and says whether the past is as it was."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append_in(self, connection: Connection, kind: str, ids: Sequence[str]) -> None:
        """Give records that stand in the caller's transaction their entries, in the order given.

        What has not ended yet, and so is no history, gets none. No other transaction appends until that one ends.
        """
        if not ids:
            return
        one_at_a_time(connection)
        t = tables.chain
        link = connection.execute(select(t.c.link).order_by(t.c.seq.desc()).limit(1)).scalar() or ""
        found = {row["id"]: row for row in _records(connection, kind, ids)}
        entries, salts = list[dict[str, str]](), list[str]()
        for record in (record for record in ids if record in found):
            salts.append(secrets.token_hex(32))
            made = commitment(salts[-1], found[record])
            link = linked(link, kind, record, made)
            entries.append({"kind": kind, "record": record, "commitment": made, "link": link})
        if entries:
            adds = t.insert().returning(t.c.seq, sort_by_parameter_order=True)
            numbers = connection.execute(adds, entries).scalars().all()
            pairs = [{"entry": n, "value": salt} for n, salt in zip(numbers, salts, strict=True)]
            connection.execute(tables.chain_salts.insert(), pairs)

    def withdraw_in(self, connection: Connection, kind: str, ids: Iterable[str]) -> list[int]:
        """Take the salts of records away, inside a transaction of the caller's; gives the entries' numbers.

        The caller writes an event of the kind `forgotten` that names them as `withdrawn`, and, where a record
        stays in another form, appends it again.
        """
        t, s = tables.chain, tables.chain_salts
        numbers: list[int] = []
        for some in batches(ids, _BATCH):
            query = (
                select(t.c.seq).join(s, s.c.entry == t.c.seq).where(t.c.kind == kind, t.c.record.in_(some))
            )
            numbers += connection.execute(query).scalars()
        for few in batches(numbers, _BATCH):
            connection.execute(delete(s).where(s.c.entry.in_(few)))
        return sorted(numbers)

    def head(self) -> str:
        """The newest link; empty before the first."""
        t = tables.chain
        with self._database.read() as connection:
            found: str | None = connection.execute(
                select(t.c.link).order_by(t.c.seq.desc()).limit(1)
            ).scalar()
        return found or ""

    def verify(self, head: str | None = None) -> Verified:
        """Whether every record of history is what it was, where it was, and `head`, once the newest link, there.

        Reads all of history once.
        """
        with self._database.read() as connection:
            return _verify(connection, head)


def commitment(salt: str, record: RowMapping) -> str:
    """SHA-256 of the salt (hex) and the canonical JSON of a database row, without what is None."""
    said = {key: _plain(value) for key, value in record.items() if value is not None}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(bytes.fromhex(salt) + text.encode("utf-8", "surrogatepass")).hexdigest()


def linked(before: str, kind: str, record: str, made: str) -> str:
    """The link of an entry: SHA-256 of the link before it, its kind, its record and its commitment."""
    return hashlib.sha256("\x1f".join((before, kind, record, made)).encode()).hexdigest()


def _plain(value: Any) -> Any:
    return tables.moment(value) if isinstance(value, datetime) else value


def _records(connection: Connection, kind: str, ids: Sequence[str] | None = None) -> Iterator[RowMapping]:
    """The records of a kind that are history, those with `ids` or all, as database rows."""
    table, end = HISTORY[kind], _ENDS.get(kind)
    query = select(table) if end is None else select(table).where(end.is_not(None))
    for some in [None] if ids is None else batches(ids, _BATCH):
        part = query if some is None else query.where(table.c.id.in_(some))
        for row in connection.execute(part):
            yield row._mapping


def _verify(connection: Connection, head: str | None) -> Verified:
    c, s = tables.chain.c, tables.chain_salts.c
    query = select(c.seq, c.kind, c.record, c.commitment, c.link, s.value.label("salt"))
    joined = query.select_from(tables.chain.outerjoin(tables.chain_salts, s.entry == c.seq))
    entries = connection.execute(joined.order_by(c.seq)).all()
    salted = {kind: _salted(connection, kind) for kind in HISTORY}
    covers = _covers(connection, entries)
    newest = entries[-1].link if entries else ""
    bare = [entry for entry in entries if entry.salt is None]
    flawed = _first_flaw(entries, salted, covers)
    if flawed is None and head is not None and head not in {entry.link for entry in entries}:
        flawed = "missing", "entry with the link", head, 0
    if flawed is None:
        return Verified(len(entries), len(bare), newest)
    flaw, kind, record, number = flawed
    return Verified(len(entries), len(bare), newest, flaw, kind, record, number)


Found = tuple[Flaw, str, str, int]


def _salted(connection: Connection, kind: str) -> dict[str, RowMapping]:
    return {str(row["id"]): row for row in _records(connection, kind)}


def _covers(connection: Connection, entries: Sequence[Any]) -> dict[int, int]:
    """The entries that were forgotten -> the latest entry of an event that says so.

    An event speaks for what stands before it alone, and only where it has an entry that is whole itself.
    """
    numbers = {entry.record: entry for entry in entries if entry.kind == "event" and entry.salt is not None}
    table, found = tables.events, dict[int, int]()
    for row in connection.execute(select(table).where(table.c.kind == FORGOTTEN)):
        entry = numbers.get(row.id)
        if entry is not None and commitment(entry.salt, row._mapping) == entry.commitment:
            withdrawn = row.evidence.get("withdrawn", ()) if isinstance(row.evidence, dict) else ()
            found |= {number: max(entry.seq, found.get(number, 0)) for number in withdrawn}
    return found


def _first_flaw(
    entries: Sequence[Any], salted: Mapping[str, dict[str, RowMapping]], covers: Mapping[int, int]
) -> Found | None:
    """The first thing that is wrong, in the order of the chain; then records that have no entry."""
    seen: set[tuple[str, str]] = set()
    for place, entry in enumerate(entries):
        before = entries[place - 1].link if place else ""
        if linked(before, entry.kind, entry.record, entry.commitment) != entry.link:
            return _broken_link(entries, place)
        wrong = _wrong(entry, salted, covers, seen)
        if wrong is not None:
            return wrong, entry.kind, entry.record, entry.seq
    for kind, records in salted.items():
        for record in sorted(records):
            if (kind, record) not in seen:
                return "inserted", kind, record, 0
    return None


def _wrong(
    entry: Any,
    salted: Mapping[str, dict[str, RowMapping]],
    covers: Mapping[int, int],
    seen: set[tuple[str, str]],
) -> Flaw | None:
    """What is wrong with what an entry committed to."""
    if entry.salt is None:
        return None if covers.get(entry.seq, 0) > entry.seq else "changed"
    record = salted.get(entry.kind, {}).get(entry.record)
    if record is None:
        return "missing"
    if (entry.kind, entry.record) in seen:
        return "inserted"
    seen.add((entry.kind, entry.record))
    return None if commitment(entry.salt, record) == entry.commitment else "changed"


def _broken_link(entries: Sequence[Any], place: int) -> Found:
    """What happened where the links do not join: something before is gone, was put in, or stands elsewhere."""
    entry = entries[place]
    others = [entry.link for i, entry in enumerate(entries) if i != place - 1] + [""]
    fits = (
        other for other in others if linked(other, entry.kind, entry.record, entry.commitment) == entry.link
    )
    belongs = next(fits, None)
    if belongs is None:
        # Its own content was changed, or what stood before it was taken out.
        follows = place + 1 < len(entries) and _joins(entry.link, entries[place + 1])
        flaw: Flaw = "missing" if follows and entry.seq > _seq_before(entries, place) + 1 else "changed"
        return (
            flaw,
            f"{entry.kind}" if flaw == "changed" else "record before the " + entry.kind,
            entry.record,
            entry.seq,
        )
    if place >= 2 and belongs == entries[place - 2].link:
        odd = entries[place - 1]
        return "inserted", odd.kind, odd.record, odd.seq
    return "reordered", entry.kind, entry.record, entry.seq


def _joins(link: str, entry: Any) -> bool:
    return bool(linked(link, entry.kind, entry.record, entry.commitment) == entry.link)


def _seq_before(entries: Sequence[Any], place: int) -> int:
    return int(entries[place - 1].seq) if place else 0
