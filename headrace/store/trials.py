"""Trials of challengers: both answers to each row, and what auditors said of those that were drawn."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, case, func, select, update

from headrace.errors import NotFound
from headrace.records import COUNTING, Answer, Audit, IdMaker, Shadow, Stage, Trial
from headrace.store import tables
from headrace.store.chain import Chain
from headrace.store.database import Database
from headrace.store.table import adding, one_at_a_time, record, values

PERSONS = "persons"


@dataclass(frozen=True, slots=True)
class Judged:
    """An audited row of a trial: what was asked, who said what, what was right; number and time of the audit."""

    seq: int
    text: str
    shadow: Shadow
    sent_by: str
    sent: str
    right: str
    at: datetime


class Volunteered(NamedTuple):
    """What a user said, unasked, of an answer sent by `adapter`; `other` is what the other adapter says."""

    answer: str
    person: str | None
    verdict: str
    label: str | None
    adapter: str
    other: str


class Rows(NamedTuple):
    """Rows that both adapters answered; on how many they differ; how many were the challenger's to answer.

    `waiting` were drawn for audit and nobody has judged them yet.
    """

    both: int
    differ: int
    canary: int
    waiting: int


class Trials:
    """Trials of all (task, channel); at most one of a pair is open in a stage that may release."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chain = Chain(database)
        self._dialect = database.engine.dialect.name

    def add_in(self, connection: Connection, trial: Trial) -> None:
        """Store one, inside a transaction of the caller's; the same id twice counts once."""
        connection.execute(adding(tables.trials, self._dialect), [values(trial)])

    def get(self, trial_id: str) -> Trial:
        """One trial; raises NotFound."""
        t = tables.trials
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == trial_id)).first()
        if found is None:
            raise NotFound(f"there is no trial {trial_id!r}.", cure="See: headrace trial list")
        return record(Trial, found)

    def list(
        self, task: str | None = None, channel: str | None = None, *, open_only: bool = False
    ) -> list[Trial]:
        """Trials, oldest first."""
        t = tables.trials
        query = select(t).order_by(t.c.seq)
        for column, wanted in ((t.c.task, task), (t.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        query = query.where(t.c.ended.is_(None)) if open_only else query
        with self._database.read() as connection:
            return [record(Trial, row) for row in connection.execute(query)]

    def spent(self) -> float:
        """The levels of all tests ever begun, but for those that ended with a proved release."""
        t = tables.trials
        level = func.sum(t.c.settings["level"].as_float())
        query = select(level).where(t.c.stage != "watch", t.c.outcome.is_distinct_from("won"))
        with self._database.read() as connection:
            found: float | None = connection.execute(query).scalar()
        return found or 0.0

    def open_in(self, connection: Connection, task: str, channel: str) -> builtins.list[Trial]:
        """The open trials of a (task, channel), which nobody else begins until the transaction ends."""
        one_at_a_time(connection)
        t = tables.trials
        query = select(t).where(t.c.task == task, t.c.channel == channel, t.c.ended.is_(None))
        return [record(Trial, row) for row in connection.execute(query.order_by(t.c.seq))]

    def move_in(self, connection: Connection, trial_id: str, stage: Stage) -> bool:
        """Let an open trial go on in another stage, inside a transaction; False where it is there, or ended."""
        t = tables.trials
        where = (t.c.id == trial_id, t.c.ended.is_(None), t.c.stage != stage)
        return connection.execute(update(t).where(*where).values(stage=stage)).rowcount > 0

    def end_in(
        self,
        connection: Connection,
        trial_id: str,
        outcome: str,
        evidence: Mapping[str, object],
        at: datetime,
    ) -> bool:
        """End an open trial, inside a transaction of the caller's; False where it had ended already."""
        t = tables.trials
        where = (t.c.id == trial_id, t.c.ended.is_(None))
        done = connection.execute(
            update(t).where(*where).values(outcome=outcome, evidence=dict(evidence), ended=at)
        )
        if done.rowcount > 0:
            self._chain.append_in(connection, "trial", [trial_id])
        return done.rowcount > 0

    def version(self) -> tuple[int, int, int]:
        """Numbers that change when a trial begins, moves or ends; a server compares them to notice one.

        The last one's number, how many are open, and how many of these are canaries: while nothing begins or
        ends, trials only become canaries.
        """
        t = tables.trials
        canaries = func.count(case((t.c.stage == "canary", 1)))
        with self._database.read() as connection:
            last: int | None = connection.execute(select(func.max(t.c.seq))).scalar()
            opened = connection.execute(select(func.count(), canaries).where(t.c.ended.is_(None))).one()
        return last or 0, opened[0], opened[1]


class Shadows:
    """Answers that were not sent, and audits of those that were drawn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def add_in(self, connection: Connection, shadows: Sequence[Shadow]) -> None:
        """Store shadows in the transaction of their answers."""
        if shadows:
            connection.execute(adding(tables.shadows, self._dialect), [values(one) for one in shadows])

    def rows(self, trial_id: str) -> Rows:
        """Rows that both adapters of a trial have answered."""
        s, t = tables.shadows, tables.trials
        waits = s.c.differs & s.c.drawn & tables.audits.c.answer.is_(None)
        query = (
            select(
                func.count(),
                func.count(case((s.c.differs, 1))),
                # The challenger was sent where the answer that was not is the champion's.
                func.count(case((s.c.adapter == t.c.champion, 1))),
                func.count(case((waits, 1))),
            )
            .select_from(s)
            .join(t, t.c.id == s.c.trial)
            .outerjoin(tables.audits, tables.audits.c.answer == s.c.answer)
            .where(s.c.trial == trial_id)
        )
        with self._database.read() as connection:
            return Rows(*connection.execute(query).one())

    def volunteered(self, trial_id: str) -> builtins.list[Volunteered]:
        """What users said, unasked, of answers on which a trial's adapters differ, in the order they said it.

        Feedback that counts for nothing is left out.
        """
        s, a, f = tables.shadows, tables.answers, tables.feedback
        query = (
            select(f.c.answer, f.c.person, f.c.verdict, f.c.label, a.c.adapter, s.c.label.label("other"))
            .join(s, s.c.answer == f.c.answer)
            .join(a, a.c.id == f.c.answer)
            .where(s.c.trial == trial_id, s.c.differs, f.c.state.in_(COUNTING))
            .order_by(f.c.seq)
        )
        with self._database.read() as connection:
            return [Volunteered(*row) for row in connection.execute(query)]

    def waiting(
        self, task: str | None = None, channel: str | None = None, limit: int = 100
    ) -> builtins.list[tuple[Answer, Shadow]]:
        """Answers of open trials that were drawn for audit and that nobody has judged yet, oldest first."""
        s, a, j, t = tables.shadows, tables.answers, tables.audits, tables.trials
        query = (
            select(s)
            .join(t, t.c.id == s.c.trial)
            .outerjoin(j, j.c.answer == s.c.answer)
            .where(t.c.ended.is_(None), s.c.drawn, s.c.differs, j.c.answer.is_(None))
            .order_by(s.c.seq)
            .limit(limit)
        )
        for column, wanted in ((t.c.task, task), (t.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            shadows = [record(Shadow, row) for row in connection.execute(query)]
            ids = [one.answer for one in shadows]
            rows = connection.execute(select(a).where(a.c.id.in_(ids)))
            answers = {row.id: record(Answer, row) for row in rows}
        return [(answers[one.answer], one) for one in shadows]

    def get(self, answer: str) -> Shadow | None:
        """What the other adapter said to a question, where a trial covered it."""
        s = tables.shadows
        with self._database.read() as connection:
            found = connection.execute(select(s).where(s.c.answer == answer)).first()
        return None if found is None else record(Shadow, found)

    def audit_in(self, connection: Connection, audit: Audit) -> bool:
        """Store an audit, inside a transaction of the caller's; False where the answer has one already."""
        before = connection.execute(
            select(tables.audits.c.answer).where(tables.audits.c.answer == audit.answer)
        ).first()
        connection.execute(adding(tables.audits, self._dialect), [values(audit)])
        return before is None

    def judged(self, trial_id: str, after: int = 0) -> builtins.list[Judged]:
        """Audited rows of a trial whose audit has a number above `after`, in the order of the audits."""
        s, a, j = tables.shadows, tables.answers, tables.audits
        query = (
            select(
                s,
                j.c.seq.label("audit"),
                j.c.label.label("right"),
                j.c.at.label("audited"),
                a.c.text.label("asked"),
                a.c.adapter.label("sent_by"),
                a.c.label.label("sent"),
            )
            .join(j, j.c.answer == s.c.answer)
            .join(a, a.c.id == s.c.answer)
            .where(s.c.trial == trial_id, s.c.drawn, s.c.differs, j.c.seq > after)
            .order_by(j.c.seq)
        )
        with self._database.read() as connection:
            return [
                Judged(
                    row.audit, row.asked, record(Shadow, row), row.sent_by, row.sent, row.right, row.audited
                )
                for row in connection.execute(query)
            ]

    def audits(self, task: str, channel: str, since: datetime) -> int:
        """How many audits of a (task, channel) were given since a moment."""
        j, a = tables.audits, tables.answers
        query = (
            select(func.count())
            .select_from(j.join(a, a.c.id == j.c.answer))
            .where(a.c.task == task, a.c.channel == channel, j.c.at >= since)
        )
        with self._database.read() as connection:
            found: int | None = connection.execute(query).scalar()
        return found or 0

    def audited(self) -> dict[str, int]:
        """How many audits each open trial has, those that have any."""
        s, j, t = tables.shadows, tables.audits, tables.trials
        joined = j.join(s, s.c.answer == j.c.answer).join(t, t.c.id == s.c.trial)
        query = select(s.c.trial, func.count()).select_from(joined).where(t.c.ended.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(query.group_by(s.c.trial))
            return {row[0]: row[1] for row in rows}

    def version(self) -> int:
        """A number that grows with every audit."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(tables.audits.c.seq))).scalar()
        return found or 0


class Salts:
    """Secrets of the project by name, each made once: what hides persons."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def persons(self, ids: IdMaker) -> bytes:
        """The salt under which end users' ids become pseudonyms; made by `ids` where there is none yet."""
        with self._database.read() as connection:
            found = self._find_in(connection, PERSONS)
        return (found or self.get(PERSONS, ids("salt"))).encode()

    def get(self, name: str, fresh: str) -> str:
        """The salt called `name`; where there is none yet, `fresh` from now on."""
        with self._database.read() as connection:
            found = self._find_in(connection, name)
        if found is not None:
            return found
        with self._database.write() as connection:
            connection.execute(adding(tables.salts, self._dialect), [{"name": name, "value": fresh}])
            return self._find_in(connection, name) or fresh

    def _find_in(self, connection: Connection, name: str) -> str | None:
        t = tables.salts
        found: str | None = connection.execute(select(t.c.value).where(t.c.name == name)).scalar()
        return found
