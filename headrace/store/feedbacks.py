"""What users said of answers, whether it counts, and where in meaning it lies."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, func, select, update

from headrace.errors import NotFound
from headrace.records import COUNTING, Feedback, FeedbackState
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.steps import next_step_in
from headrace.store.table import adding, batches, one_at_a_time, record, values

_T = tables.feedback
_SAID = tuple(column for column in _T.columns if column.name not in ("space", "embedding"))
_BATCH = 900
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
# What happened to a feedback last: that it came, or that somebody changed what it counts for.
_RANK = func.coalesce(_T.c.changed, _T.c.seq)
OTHERS = "others say the same"
"""The reason of feedback that counts as others agree."""
NEAREST = 5000
"""Corrections of a (task, channel), the newest, that a new one is compared with."""


class Placed(NamedTuple):
    """A correction and where it lies: the name of the embeddings' `space`, and the packed `embedding`."""

    id: str
    task: str
    channel: str
    text: str
    label: str | None
    at: datetime
    person: str | None
    key: str | None
    state: FeedbackState
    reason: str | None
    space: str | None
    embedding: str | None


_PLACED = tuple(_T.c[name] for name in Placed._fields)


@dataclass(frozen=True, slots=True)
class Counted:
    """Live corrections of the day before a moment that share a person, a key, or a channel with a feedback.

    `unnamed` name nobody; `minute` came to the channel within the last minute.
    """

    person: int
    key: int
    unnamed: int
    minute: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A feedback with its number and its `rank` in the order in which corrections take effect."""

    seq: int
    rank: int
    feedback: Feedback


class Feedbacks:
    """What users said. `used` says that a turn has made of it what there was to make."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def add(self, feedback: Feedback) -> None:
        """Store one; it is durable when this returns. The same id twice counts once."""
        with self._database.write() as connection:
            self.add_in(connection, feedback)

    def add_in(
        self,
        connection: Connection,
        feedback: Feedback,
        *,
        space: str | None = None,
        embedding: str | None = None,
        agreed: Sequence[str] = (),
    ) -> None:
        """Like `add`, inside a transaction of the caller's, with the place where its text lies.

        `agreed` are the ids by whose agreement it counts: see `agree_in`.
        """
        row = values(feedback, space=space, embedding=embedding)
        if feedback.state == "agreed":
            row["reason"] = " ".join(agreed)
        connection.execute(adding(_T, self._dialect), [row])

    def list(
        self,
        *,
        task: str | None = None,
        channel: str | None = None,
        used: bool | None = None,
        state: FeedbackState | None = None,
        person: str | None = None,
        limit: int | None = None,
    ) -> list[Feedback]:
        """Feedback in the order in which it came; the state "counts" stands for all that counts."""
        query = _where(task=task, channel=channel, used=used, state=state, person=person)
        query = query.order_by(_T.c.seq)
        query = query if limit is None else query.limit(limit)
        with self._database.read() as connection:
            return [_said(row) for row in connection.execute(query)]

    def waiting(self) -> builtins.list[Feedback]:
        """What the next turn looks at, in the order in which it takes effect: all unused but what is held."""
        query = select(*_SAID).where(_T.c.used.is_(False), _T.c.state != "held").order_by(_RANK, _T.c.seq)
        with self._database.read() as connection:
            return [_said(row) for row in connection.execute(query)]

    def live(
        self,
        task: str | None = None,
        channel: str | None = None,
        *,
        ids: Sequence[str] | None = None,
    ) -> builtins.list[Ranked]:
        """Corrections that count, in the order in which they take effect; of `ids` alone where given."""
        query = _where(task=task, channel=channel, state="counts").where(_T.c.label.is_not(None))
        query = query if ids is None else query.where(_T.c.id.in_(ids))
        query = query.add_columns(_RANK.label("rank")).order_by(_RANK, _T.c.seq)
        with self._database.read() as connection:
            return [_ranked(row) for row in connection.execute(query)]

    def after(self, seq: int, limit: int = 1000) -> builtins.list[Ranked]:
        """Feedback that came after number `seq`, at most `limit`."""
        query = select(*_SAID, _RANK.label("rank")).where(_T.c.seq > seq).order_by(_T.c.seq).limit(limit)
        with self._database.read() as connection:
            return [_ranked(row) for row in connection.execute(query)]

    def changed_after(self, number: int) -> builtins.list[Ranked]:
        """Feedback that counts otherwise since change `number`; the `rank` is the number of its change."""
        query = select(*_SAID, _RANK.label("rank")).where(_T.c.changed > number)
        query = query.order_by(_T.c.changed, _T.c.seq)
        with self._database.read() as connection:
            return [_ranked(row) for row in connection.execute(query)]

    def get(self, ids: Sequence[str]) -> builtins.list[Feedback]:
        """Feedback by id, in the order in which it came; raises NotFound naming an id that nobody has."""
        with self._database.read() as connection:
            found = self.get_in(connection, ids)
        unknown = set(ids) - {one.id for one in found}
        if unknown:
            raise NotFound(f"there is no feedback {min(unknown)!r}.", cure="See: headrace feedback list")
        return found

    def get_in(self, connection: Connection, ids: Sequence[str]) -> builtins.list[Feedback]:
        """Like `get`, inside a transaction of the caller's; ids that nobody has are left out."""
        found: builtins.list[Any] = []
        for batch in batches(dict.fromkeys(ids), _BATCH):
            found += connection.execute(select(*_SAID).where(_T.c.id.in_(batch)))
        return [_said(row) for row in sorted(found, key=lambda row: int(row.seq))]

    def agreed_in(self, connection: Connection) -> dict[str, builtins.list[str]]:
        """Feedback that counts as others agree, by id, and the ids of those, its own among them."""
        query = select(_T.c.id, _T.c.reason).where(_T.c.state == "agreed").order_by(_T.c.seq)
        return {row.id: str(row.reason or "").split() for row in connection.execute(query)}

    def agree_in(self, connection: Connection, feedback_id: str, names: Sequence[str]) -> None:
        """Let held feedback count, inside a transaction of the caller's, as `names` say the same.

        These ids of feedback and examples are kept in the place of its reason, and `agreed_in` alone reads them.
        """
        self.set_state_in(connection, [feedback_id], "agreed", " ".join(names))

    def placed_in(
        self, connection: Connection, task: str, channel: str, *, held: str
    ) -> builtins.list[Placed]:
        """Corrections of a (task, channel), oldest first, the newest `NEAREST` of them.

        Those that count, and those that are held for a reason that begins with `held`.
        """
        query = select(*_PLACED).where(_T.c.task == task, _T.c.channel == channel, _T.c.label.is_not(None))
        waits = (_T.c.state == "held") & _T.c.reason.startswith(held, autoescape=True)
        query = query.where(_counts() | waits)
        rows = connection.execute(query.order_by(_T.c.seq.desc()).limit(NEAREST)).all()
        return [Placed(*row) for row in reversed(rows)]

    def counted_in(self, connection: Connection, feedback: Placed, at: datetime) -> Counted:
        """Live corrections of others and of the same person in the day before the moment `at`."""
        c = _T.c
        rules = (
            and_(c.person.is_not(None), c.person == feedback.person),
            and_(c.key.is_not(None), c.key == feedback.key),
            and_(c.channel == feedback.channel, c.person.is_(None), c.key.is_not(None)),
            and_(c.channel == feedback.channel, c.at > at - _MINUTE, _of_users()),
        )
        sums = [func.coalesce(func.sum(case((rule, 1), else_=0)), 0) for rule in rules]
        live = and_(c.at > at - _DAY, _counts(), c.label.is_not(None))
        return Counted(*map(int, connection.execute(select(*sums).where(live)).one()))

    def place(self, places: Sequence[tuple[str, str, str]]) -> int:
        """Say anew where feedback lies: (id, space, embedding); how many did not lie there already."""
        spaces = {name: space for name, space, _ in places}
        with self._database.read() as connection:
            known = connection.execute(select(_T.c.id, _T.c.space).where(_T.c.id.in_(list(spaces)))).all()
        moved = {row.id for row in known if row.space != spaces[row.id]}
        if moved:
            with self._database.write() as connection:
                for name, space, embedding in places:
                    if name in moved:
                        where = update(_T).where(_T.c.id == name)
                        connection.execute(where.values(space=space, embedding=embedding))
        return len(moved)

    def set_state_in(
        self, connection: Connection, ids: Sequence[str], state: FeedbackState, reason: str | None
    ) -> None:
        """Let feedback count, or count no more; the next turn looks at it again."""
        one_at_a_time(connection)
        counts = select(func.max(_T.c.seq), func.max(_T.c.changed))
        number = max(n or 0 for n in connection.execute(counts).one()) + 1
        for batch in batches(ids, _BATCH):
            what = update(_T).where(_T.c.id.in_(batch))
            connection.execute(what.values(state=state, reason=reason, changed=number, used=False))

    def relabel_in(self, connection: Connection, task: str, old: Sequence[str], label: str) -> int:
        """Let corrections of a task that name one of `old` name `label`; how many did."""
        where = (_T.c.task == task, _T.c.label.in_(old))
        return connection.execute(update(_T).where(*where).values(label=label)).rowcount

    def agree_still_in(self, connection: Connection, feedback_id: str, names: Sequence[str]) -> None:
        """Say who of those that agreed is left, inside a transaction of the caller's."""
        connection.execute(update(_T).where(_T.c.id == feedback_id).values(reason=" ".join(names)))

    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are there."""
        found: set[str] = set()
        with self._database.read() as connection:
            for batch in batches(ids, _BATCH):
                found |= set(connection.execute(select(_T.c.id).where(_T.c.id.in_(batch))).scalars())
        return found

    def absorbed(self, task: str) -> builtins.list[tuple[int, Feedback]]:
        """Feedback that counts and that examples were made of: in which step first, and it, in that order.

        The step is 0 where no steps were counted yet.
        """
        step = func.coalesce(_T.c.step, 0).label("since")
        query = _where(task=task, used=True, state="counts").add_columns(step)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(step, _RANK, _T.c.seq))
            return [(row.since, _said(row)) for row in rows]

    def mark_used_in(self, connection: Connection, ids: Sequence[str]) -> None:
        """Say that examples were made of these, inside a transaction of the caller's.

        Those that count keep the number of the step in which they first did.
        """
        step = next_step_in(connection) if ids else 0
        first = case((_counts(), func.coalesce(_T.c.step, step)), else_=_T.c.step)
        for batch in batches(ids, _BATCH):
            connection.execute(update(_T).where(_T.c.id.in_(batch)).values(used=True, step=first))

    def marks(self) -> tuple[int, int, int]:
        """Changes whenever what counts changes: the newest feedback, the last change of one, and their number."""
        asked = (func.max(_T.c.seq), func.max(_T.c.changed), func.count())
        with self._database.read() as connection:
            newest, changed, count = connection.execute(select(*asked)).one()
        return int(newest or 0), int(changed or 0), int(count)

    def version(self) -> int:
        """A number that grows with every feedback; a server compares it to notice one."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(_T.c.seq))).scalar()
        return found or 0


def _of_users() -> Any:
    """Whether a feedback came from outside: the owner names neither a key nor a person."""
    return _T.c.key.is_not(None) | _T.c.person.is_not(None)


def _counts() -> Any:
    return _T.c.state.in_(COUNTING)


def _where(**wanted: object) -> Any:
    query = select(*_SAID)
    for name, value in wanted.items():
        if (name, value) == ("state", "counts"):
            query = query.where(_counts())
        elif value is not None:
            query = query.where(_T.c[name] == value)
    return query


def _said(row: Any) -> Feedback:
    """A feedback as anybody may see it: who agrees is nobody's business."""
    found: Feedback = record(Feedback, row)
    return replace(found, reason=OTHERS) if found.state == "agreed" else found


def _ranked(row: Any) -> Ranked:
    return Ranked(row.seq, row.rank, _said(row))
