"""forget: what a person gave is deleted, and every adapter that descends from one they taught is trained again.

In four steps, each done wholly or not at all, so that whoever was cut off runs it again: (1) rows, feedback,
answers and what repeats them are deleted, and it is written down which adapters they taught and what those would
have been taught without them; (2) these adapters are trained again, in the order in which they were made;
(3) they take the places of the old ones, whose records are withdrawn from history; (4) the files of the old ones
are deleted, and the store's own file is written anew.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from headrace.data.progress import Progress
from headrace.data.replay import place_of
from headrace.data.unlearn import Unlearned, apply_in, unlearn
from headrace.data.words import Reader
from headrace.errors import MissingExtra, NotFound
from headrace.flywheel.forgetting.agreement import left, lonely, unsay_in
from headrace.flywheel.forgetting.caches import digest_of, drop_caches
from headrace.flywheel.forgetting.lineage import descent
from headrace.flywheel.forgetting.replacing import Replacing
from headrace.flywheel.forgetting.retraining import Plan, Retraining, Step
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Event, Feedback, IdMaker
from headrace.store import Store, erase
from headrace.store.chain import FORGOTTEN
from headrace.store.erase import Theirs
from headrace.store.forgets import ForgetState
from headrace.store.lock import only_one
from headrace.store.manifest import FILE, Manifest, manifest_of

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What forgetting a person did: `deleted` by kind; adapters trained `again`, and `released` in what pairs.

    `fell_back` are pairs that an adapter they never touched serves now, `unserved` those where there is none.
    SHA-256 of `receipt` and the person's pseudonym is the commitment that stands in the history's event.
    """

    id: str
    deleted: Mapping[str, int] = field(default_factory=dict)
    taught: int = 0
    again: int = 0
    released: tuple[str, ...] = ()
    fell_back: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    receipt: str = ""

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return asdict(self)


class Forgetting:
    """Forgets persons of one project; `folder` holds its caches."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        folder: Path,
        *,
        clock: Clock,
        ids: IdMaker,
        progress: Progress | None = None,
    ) -> None:
        self.store, self.recipe, self.folder = store, recipe, folder
        self.clock, self.ids = clock, ids
        self.progress: Progress = progress or (lambda stage, done, total: None)
        self._cache = folder / ".cache"
        self._retraining = Retraining(store, recipe, self._cache, clock=clock, progress=self.progress)
        self._replacing = Replacing(store, clock=clock, ids=ids)

    def forget(self, person: str) -> Forgotten:
        """Forget the person of this pseudonym; one who was being forgotten is forgotten first.

        Raises NotFound where nothing of the person is there, StoreBusy where a turn runs, MissingExtra where
        adapters must be trained again and headrace[train] is not installed: then all is deleted already, and
        what they taught serves no more.
        """
        with only_one(self.store.database, self.folder, "turn or training"):
            begun = self.store.forgets.open()
            done = None if begun is None else self._finish(begun)
            theirs = erase.find(self.store.database, person)
            if theirs.feedback or theirs.answers or theirs.talk.conversations:
                return self._finish(self._begin(theirs))
        if done is None:
            raise NotFound(
                "nothing that this person said is here.",
                cure="Give the id that the channel sends, or the pseudonym that feedback list --json shows.",
            )
        return done

    def _begin(self, theirs: Theirs) -> ForgetState:
        """Find out what they taught, then delete all they gave, in one transaction with the plan of the rest."""
        agree = self.recipe.trust.agree
        voices = left(self.store, theirs.feedback)
        held = frozenset(lonely(self.store, voices, agree))
        changes = self._changes(theirs, held)
        plan = self._plan(theirs, changes, held)
        receipt = secrets.token_hex(16)
        state = {**plan.to_json(), "receipt": receipt}
        with self.store.transaction() as connection:
            counts: Counts = {}
            rows = frozenset[str]()
            for change in changes:
                found, gone = apply_in(self.store, connection, change, theirs.answers)
                counts, rows = _sum(counts, found), rows | gone
            counts = _sum(counts, erase.erase_in(connection, theirs))
            unsay_in(self.store, connection, voices, held, agree)
            whole = replace(theirs, rows=rows)
            withdrawn = erase.redact_in(connection, self.store.history.chain, whole)
            for adapter in plan.renewed.values():
                withdrawn += self._replacing.renew_in(connection, adapter)
            begun = ForgetState(self.ids("fgt"), {**state, "deleted": counts}, self.clock())
            self.store.forgets.begin_in(connection, begun)
            self.store.history.add_in(connection, self._event(theirs, begun, counts, withdrawn))
        return begun

    def _event(self, theirs: Theirs, begun: ForgetState, counts: Counts, withdrawn: Sequence[int]) -> Event:
        """The line of history: it names nobody."""
        said = (begun.state["receipt"] + theirs.person).encode()
        evidence = {
            "forget": begun.id,
            "commitment": hashlib.sha256(said).hexdigest(),
            "deleted": counts,
            "adapters": len(begun.state["steps"]),
            "withdrawn": list(withdrawn),
        }
        message = f"A person was forgotten: {_told(counts) or 'nothing was left'} deleted."
        return Event(self.ids("evt"), FORGOTTEN, None, None, message, evidence, begun.started)

    def _changes(self, theirs: Theirs, held: frozenset[str]) -> list[Unlearned]:
        given, changes = self._given(theirs), list[Unlearned]()
        for number, task in enumerate(sorted({one.task for one in given})):
            if task not in self.recipe.tasks and not self.store.history.adapters(task):
                continue  # a search that no task trains: what was said of it taught nothing
            self.progress("telling the examples again", number, len(self.recipe.tasks))
            mine = [one for one in given if one.task == task]
            places = {place_of(adapter) for adapter in self.store.history.adapters(task)}
            folder = self._cache / "forget"
            told = unlearn(self.store, self.recipe, task, mine, folder, places=places, held=held)
            changes.append(told)
        return changes

    def _plan(self, theirs: Theirs, changes: Sequence[Unlearned], held: frozenset[str]) -> Plan:
        """Which adapters are to be trained again, on what rows, and which need a new list of rows alone."""
        known = [(a, manifest_of(self.store.artifacts, a)) for a in self.store.history.made()]
        by_task = {change.task: change for change in changes}
        taught: dict[str, Manifest] = {}
        renewed: dict[str, Adapter] = {}
        for adapter, manifest in known:
            change = by_task.get(adapter.task)
            if change is None:
                continue
            if manifest is None:
                if self._may_have_taught(adapter, theirs):
                    taught[adapter.id] = self._retraining.manifest_now(adapter, change)
                continue
            now = change.manifest(manifest, place_of(adapter), theirs.feedback | held)
            if _rows(now) != _rows(manifest):
                taught[adapter.id] = now
            elif now != manifest:
                renewed[adapter.id] = self._retraining.with_rows(adapter, now)
        kin = descent(known, taught)
        steps = [
            self._to_train(adapter, taught.get(adapter.id) or m) for adapter, m in known if adapter.id in kin
        ]
        alone = {name: adapter for name, adapter in renewed.items() if name not in kin}
        old = {d for a, _ in known if a.id in kin for d in a.files.values()}
        old |= {a.files[FILE] for a, _ in known if a.id in alone} | {step.manifest for step in steps}
        reader = Reader(self.store, self.recipe, clock=self.clock)
        texts = {reader.word(one, one.label or "").row.text for one in self._given(theirs)}
        return Plan(steps, alone, sorted(old), sorted(map(digest_of, texts)))

    def _to_train(self, adapter: Adapter, manifest: Manifest | None) -> Step:
        """What it takes to train an adapter again; its list of rows is an artifact meanwhile."""
        rows = manifest or self._retraining.manifest_now(adapter, Unlearned(adapter.task))
        digest = self.store.artifacts.put(rows.to_bytes())
        at = place_of(adapter)
        place = {"step": at.step, "changes": at.changes}
        return Step(adapter.id, adapter.task, adapter.channel, digest, place)

    def _given(self, theirs: Theirs) -> list[Feedback]:
        return self.store.feedback.get(sorted(theirs.feedback)) if theirs.feedback else []

    def _may_have_taught(self, adapter: Adapter, theirs: Theirs) -> bool:
        """Whether an adapter without a list of its rows was trained after their first feedback."""
        given = self._given(theirs)
        return any(one.task == adapter.task and one.used and one.at < adapter.at for one in given)

    def _finish(self, begun: ForgetState) -> Forgotten:
        """Steps two to four, from wherever it was cut off."""
        plan = Plan.from_json(begun.state)
        if not plan.replaced:
            plan = self._replaced(begun, plan)
        live = {digest for adapter in self.store.history.adapters() for digest in adapter.files.values()}
        for digest in set(plan.files) - live:
            self.store.artifacts.remove(digest)
        drop_caches(self._cache, plan.cached)
        erase.compact(self.store.database)
        deleted, receipt = begun.state["deleted"], str(begun.state["receipt"])
        ended = {"deleted": deleted, **replace(plan, steps=(), files=(), cached=()).to_json()}
        with self.store.transaction() as connection:
            self.store.forgets.save_in(connection, begun.id, ended, self.clock())
        return Forgotten(
            begun.id,
            deleted,
            taught=len(plan.steps),
            again=sum(made is not None for made in plan.made.values()),
            released=tuple(plan.released),
            fell_back=tuple(plan.fell_back),
            unserved=tuple(plan.unserved),
            notes=tuple(plan.notes),
            receipt=receipt,
        )

    def _replaced(self, begun: ForgetState, plan: Plan) -> Plan:
        """Steps two and three; raises MissingExtra, after what they taught serves no more."""
        try:
            made, notes = self._retraining.train(plan)
        except MissingExtra as error:
            back = self._replacing.fall_back(begun, plan)
            bare = ", ".join(back.unserved)
            more = f" Nothing serves {bare}; restart a server that runs." if bare else ""
            said = f"All that the person gave is deleted, and what they taught serves no more.{more} To train"
            said = f"{said} it again: run this again where training is installed. It"
            raise MissingExtra(said, error.extra) from error
        return self._replacing.replace(begun, plan, made, notes)


def _rows(manifest: Manifest) -> list[tuple[object, ...]]:
    """What of the rows decides the bytes of an adapter."""
    return [(r.id, r.channel, r.label, r.split, r.origin, r.same_as) for r in manifest.rows]


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> Counts:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name != "relabelled")
