"""Trials of challengers: both answers to each row, and what auditors said of those that were drawn."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from headrace.errors import NotFound
from headrace.records import Answer, Audit, Shadow, Stage, Trial
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import adding, record, values


@dataclass(frozen=True, slots=True)
class Judged:
    """An audited row of a trial: who said what, and what was right, in the order of the audits."""

    seq: int
    shadow: Shadow
    sent_by: str
    sent: str
    right: str


class Trials:
    """Trials of all (task, channel); at most one of a pair is open in a stage that may release."""

    def __init__(self, database: Database) -> None:
        self._database = database
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

    def move_in(
        self, connection: Connection, trial_id: str, stage: Stage, settings: Mapping[str, object]
    ) -> None:
        """Let an open trial go on in another stage, inside a transaction of the caller's."""
        t = tables.trials
        where = (t.c.id == trial_id, t.c.ended.is_(None))
        connection.execute(update(t).where(*where).values(stage=stage, settings=dict(settings)))

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
        return done.rowcount > 0

    def version(self) -> tuple[int, int]:
        """Numbers that change when a trial begins or ends; a server compares them to notice one."""
        t = tables.trials
        with self._database.read() as connection:
            found = connection.execute(select(func.count(), func.count(t.c.ended))).one()
        return found[0], found[1]


class Shadows:
    """Answers that were not sent, and audits of those that were drawn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def add_in(self, connection: Connection, shadows: Sequence[Shadow]) -> None:
        """Store shadows in the transaction of their answers."""
        if shadows:
            connection.execute(adding(tables.shadows, self._dialect), [values(one) for one in shadows])

    def rows(self, trial_id: str) -> int:
        """Rows that both adapters of a trial have answered."""
        t = tables.shadows
        with self._database.read() as connection:
            query = select(func.count()).where(t.c.trial == trial_id)
            found: int | None = connection.execute(query).scalar()
        return found or 0

    def waiting(
        self, task: str | None = None, channel: str | None = None, limit: int = 100
    ) -> builtins.list[tuple[Answer, Shadow]]:
        """Answers drawn for audit that nobody has judged yet, oldest first."""
        s, a, j = tables.shadows, tables.answers, tables.audits
        query = (
            select(s, a.c.id.label("sent_id"))
            .join(a, a.c.id == s.c.answer)
            .outerjoin(j, j.c.answer == s.c.answer)
            .where(s.c.drawn, s.c.differs, j.c.answer.is_(None))
            .order_by(s.c.seq)
            .limit(limit)
        )
        for column, wanted in ((a.c.task, task), (a.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            shadows = [record(Shadow, row) for row in connection.execute(query)]
            ids = [one.answer for one in shadows]
            rows = connection.execute(select(a).where(a.c.id.in_(ids)))
            answers = {row.id: record(Answer, row) for row in rows}
        return [(answers[one.answer], one) for one in shadows]

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
                a.c.adapter.label("sent_by"),
                a.c.label.label("sent"),
            )
            .join(j, j.c.answer == s.c.answer)
            .join(a, a.c.id == s.c.answer)
            .where(s.c.trial == trial_id, s.c.drawn, j.c.seq > after)
            .order_by(j.c.seq)
        )
        with self._database.read() as connection:
            return [
                Judged(row.audit, record(Shadow, row), row.sent_by, row.sent, row.right)
                for row in connection.execute(query)
            ]

    def audits(self, since: datetime | None = None) -> int:
        """How many audits were given, or how many since a moment."""
        t = tables.audits
        query = select(func.count()).select_from(t)
        query = query if since is None else query.where(t.c.at >= since)
        with self._database.read() as connection:
            found: int | None = connection.execute(query).scalar()
        return found or 0


class Salts:
    """Secrets of the project by name, each made once: what hides persons, and who is drawn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def get(self, name: str, fresh: str) -> str:
        """The salt called `name`; where there is none yet, `fresh` from now on."""
        t = tables.salts
        with self._database.read() as connection:
            found: str | None = connection.execute(select(t.c.value).where(t.c.name == name)).scalar()
        if found is not None:
            return found
        with self._database.write() as connection:
            connection.execute(adding(t, self._dialect), [{"name": name, "value": fresh}])
            kept: str = connection.execute(select(t.c.value).where(t.c.name == name)).scalar_one()
        return kept
