"""The new adapters take the places of those that a forgotten person taught; those are withdrawn from history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select, update

from headrace.flywheel.forgetting.retraining import Plan
from headrace.records import Adapter, Clock, Event, IdMaker, Release
from headrace.release.rollback import origin
from headrace.store import Store, tables
from headrace.store.chain import FORGOTTEN
from headrace.store.forgets import ForgetState
from headrace.store.table import values

AGAIN = "Released: the adapter before it, trained again without a person who was forgotten."
BACK = "Released: the last adapter that a person who was forgotten did not teach."
_EVER = datetime.max.replace(tzinfo=UTC)

Made = Mapping[str, Adapter | None]


class Replacing:
    """Replaces adapters, each call in one transaction."""

    def __init__(self, store: Store, *, clock: Clock, ids: IdMaker) -> None:
        self.store, self.clock, self.ids = store, clock, ids

    def replace(self, begun: ForgetState, plan: Plan, made: Made, notes: Sequence[str]) -> Plan:
        """Release the new adapters where the old ones serve, withdraw the old ones, write it down."""
        with self.store.transaction() as connection:
            same = [a for name, a in made.items() if a is not None and a.id == name]
            gone = [step.id for step in plan.steps if step.id not in {adapter.id for adapter in same}]
            done = self._release_in(connection, begun, plan, gone, made)
            withdrawn = [n for adapter in same for n in self.renew_in(connection, adapter)]
            withdrawn += self._withdraw_in(connection, gone)
            self._end_trials_in(connection, begun, gone)
            named = {name: a.id if a else None for name, a in made.items()}
            done = replace(done, made=named, notes=[*plan.notes, *notes], replaced=True)
            again = sum(name is not None for name in named.values())
            said = f"Replaced: {len(plan.steps):,} adapters of a forgotten person, {again:,} trained again."
            if plan.steps:
                self._note_in(connection, begun, said, {"made": named, "withdrawn": withdrawn})
            self._save_in(connection, begun, done)
        return done

    def fall_back(self, begun: ForgetState, plan: Plan) -> Plan:
        """Let nothing that the person taught serve: what they did not teach does, where it served before.

        Where nothing did, the record is emptied, so that no server that starts loads it.
        """
        with self.store.transaction() as connection:
            gone = [step.id for step in plan.steps]
            done = self._release_in(connection, begun, plan, gone, {})
            serving = {
                r.adapter for r in self.store.history.serving() if f"{r.task}/{r.channel}" in done.unserved
            }
            withdrawn = self._withdraw_in(connection, sorted(serving.intersection(gone)))
            said = "What a forgotten person taught serves no more; it waits to be trained again."
            self._note_in(connection, begun, said, {"withdrawn": withdrawn})
            self._save_in(connection, begun, done)
        return done

    def renew_in(self, connection: Connection, adapter: Adapter) -> list[int]:
        """Give an adapter's record another content; gives the numbers of the entries that were withdrawn."""
        t, chain = tables.adapters, self.store.history.chain
        withdrawn = chain.withdraw_in(connection, "adapter", [adapter.id])
        connection.execute(update(t).where(t.c.id == adapter.id).values(values(adapter)))
        chain.append_in(connection, "adapter", [adapter.id])
        return withdrawn

    def _release_in(
        self, connection: Connection, begun: ForgetState, plan: Plan, gone: Sequence[str], made: Made
    ) -> Plan:
        """Release for each pair what replaces what serves there, and below it what a rollback goes back to."""
        told: dict[str, list[str]] = {"released": [], "fell_back": [], "unserved": []}
        for newest in self.store.history.serving(_EVER):
            past = {r.id: r for r in self.store.history.releases(newest.task, newest.channel, limit=None)}
            # Another attempt may have fallen back here, without what training needs.
            fell = newest.evidence.get("forget") == begun.id and newest.evidence.get("from")
            now = past[str(fell)] if fell else newest
            if now.adapter in gone:
                base, stack = _stack(now, past, gone)
                targets = [a for a in (made.get(release.adapter) for release in reversed(stack)) if a]
                where = self._put_in(connection, begun, now, base, targets)
                told[where].append(f"{now.task}/{now.channel}")
        released, fell_back, unserved = told.values()
        return replace(plan, released=released, fell_back=fell_back, unserved=unserved)

    def _put_in(
        self,
        connection: Connection,
        begun: ForgetState,
        now: Release,
        base: Release | None,
        targets: Sequence[Adapter],
    ) -> str:
        previous = base.id if base else None
        for target in targets:
            evidence = {"reason": AGAIN, "forget": begun.id}
            made = self._release(now, target.id, evidence, previous)
            self.store.history.add_in(connection, made)
            previous = made.id
        if targets:
            return "released"
        if base is None:
            return "unserved"
        evidence = {"reason": BACK, "forget": begun.id, "from": now.id}
        self.store.history.add_in(connection, self._release(now, base.adapter, evidence, base.previous))
        return "fell_back"

    def _release(
        self, now: Release, adapter: str, evidence: Mapping[str, object], previous: str | None
    ) -> Release:
        return Release(
            self.ids("rel"), now.task, now.channel, adapter, self.clock(), evidence, previous=previous
        )

    def _withdraw_in(self, connection: Connection, gone: Iterable[str]) -> list[int]:
        """Empty the adapters' records but for their names, and delete their reports."""
        t, r, chain = tables.adapters, tables.reports, self.store.history.chain
        empty = {
            "labels": [],
            "files": {},
            "lineage": {},
            "size": 0,
            "seconds": 0.0,
            "withdrawn": self.clock(),
        }
        withdrawn: list[int] = []
        for name in gone:
            reports = connection.execute(select(r.c.id).where(r.c.adapter == name)).scalars().all()
            withdrawn += chain.withdraw_in(connection, "report", reports)
            connection.execute(delete(r).where(r.c.adapter == name))
            withdrawn += chain.withdraw_in(connection, "adapter", [name])
            connection.execute(update(t).where(t.c.id == name).values(empty))
            chain.append_in(connection, "adapter", [name])
        return withdrawn

    def _end_trials_in(self, connection: Connection, begun: ForgetState, gone: Sequence[str]) -> None:
        for trial in self.store.trials.list(open_only=True):
            if {trial.champion, trial.challenger}.intersection(gone):
                why = {"forget": begun.id}
                self.store.trials.end_in(connection, trial.id, FORGOTTEN, why, self.clock())

    def _note_in(
        self, connection: Connection, begun: ForgetState, said: str, evidence: Mapping[str, object]
    ) -> None:
        event = Event(
            self.ids("evt"), FORGOTTEN, None, None, said, {"forget": begun.id, **evidence}, self.clock()
        )
        self.store.history.add_in(connection, event)

    def _save_in(self, connection: Connection, begun: ForgetState, plan: Plan) -> None:
        self.store.forgets.save_in(connection, begun.id, {**begun.state, **plan.to_json()})


def _stack(
    now: Release, past: Mapping[str, Release], gone: Sequence[str]
) -> tuple[Release | None, list[Release]]:
    """What a rollback from `now` would walk through: the first that stays, and those before it, newest first."""
    release: Release | None = origin(now, past)
    stack: list[Release] = []
    while release is not None and release.adapter in gone:
        stack.append(release)
        release = origin(past[release.previous], past) if release.previous else None
    return release, stack
