"""Answers without a server: the same engine, the same memory, the same records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.data.mask import Masker
from headrace.errors import InputError, NotServed
from headrace.feedback.memory import Memory
from headrace.feedback.record import pseudonym
from headrace.feedback.regions import Place, regions_of
from headrace.feedback.trust import Sight, is_sure
from headrace.recipe import Recipe
from headrace.records import Answer, Clock, IdMaker
from headrace.serving.engine import Ask, Engine, Scored, Unanswered
from headrace.serving.live import Live
from headrace.serving.shadows import shadow_of
from headrace.store import Store


def refuse_no_texts(texts: Sequence[str]) -> None:
    """Raise InputError, naming the text by its number, for what cannot be asked or stored."""
    if isinstance(texts, str):
        raise InputError(
            "one text stands where a list of texts belongs.", field="texts", cure="Write [text]."
        )
    for number, text in enumerate(texts, start=1):
        wrong = wrong_with(text)
        if wrong:
            said = f"it {wrong}."
            raise InputError(said, where=f"text {number}", field="texts", cure="Correct it or leave it out.")


def wrong_with(text: str) -> str:
    """Why a text cannot be asked, as it goes on after "it"; "" where it can."""
    if not text.strip():
        return "is empty"
    if "\x00" in text:
        return "holds a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate)"
    return ""


def _refuse_searches(recipe: Recipe, task: str) -> None:
    if recipe.task(task).kind == "embed":
        said = f"the task {task!r} finds passages and has no labels."
        raise InputError(said, field="task", cure='Ask it so: headrace search "..." --channel CHANNEL')


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that is not stored; `because` is the correction that decided it, where one did."""

    label: str
    confidence: float
    release: str
    adapter: str
    because: str | None = None


class Answerer:
    """Answers questions of a project in this process, corrections included."""

    def __init__(self, store: Store, recipe: Recipe, *, clock: Clock, ids: IdMaker) -> None:
        self._store, self._recipe, self._clock, self._ids = store, recipe, clock, ids
        self._engine = Engine(batch=recipe.serve.batch, threads=recipe.serve.threads)
        self._memory = Memory(plausible=recipe.trust.plausible)
        self._live = Live(store, recipe, self._memory, self._engine.swap, threads=recipe.serve.threads)
        self._version: tuple[int, ...] = ()
        self._taught: dict[tuple[str, str], str] = {}

    def answer(
        self, texts: Sequence[str], *, task: str, channel: str, person: str | None = None
    ) -> list[Answer]:
        """One stored answer a text, in order; trials cover it like a server's.

        `person` is an id of the end user who asks, of which a pseudonym is stored. Raises NotServed before the
        first release, InputError where a text is none.
        """
        refuse_no_texts(texts)
        _refuse_searches(self._recipe, task)
        self.follow()
        who = None if person is None else pseudonym(person, self._store.salts.persons(self._ids))
        masked = [self._mask(channel, text) for text in texts]
        names = [self._ids("ans") for _ in texts]
        asks = [
            Ask(task, channel, text, who or stored, name)
            for text, stored, name in zip(texts, masked, names, strict=True)
        ]
        scored = [self._served(found) for found in self._engine.answer(asks)]
        self._remember(task, channel)
        pairs = zip(asks, masked, scored, strict=True)
        answers = [self._answer(ask, text, found, who) for ask, text, found in pairs]
        shadows = [shadow_of(sent, found) for sent, found in zip(answers, scored, strict=True)]
        with self._store.transaction() as connection:
            self._store.answers.add_in(connection, answers)
            self._store.shadows.add_in(connection, [one for one in shadows if one is not None])
        return answers

    @property
    def broken(self) -> Mapping[str, str]:
        """Open trials whose challenger cannot answer, each with the reason."""
        return self._engine.bank.broken

    def follow(self) -> None:
        """Answer by the newest releases and trials from now on."""
        version = (self._store.history.version(), *self._store.trials.version())
        if version != self._version:
            self._live.reload()
            self._version = version

    def serving(self, task: str, channel: str) -> str:
        """The release that answers (task, channel), whose corrections count from now on; raises NotServed."""
        (found,) = self._engine.answer([Ask(task, channel, "?")])
        release = self._served(found).release
        self._remember(task, channel)
        return release

    def sight(self, task: str, channel: str, text: str, label: str) -> Sight:
        """Where in meaning a text lies, and how likely a label is; nothing before the first release."""
        self.follow()
        (found,) = self._engine.answer([Ask(task, channel, text)])
        if isinstance(found, NotServed):
            return Sight()
        found = self._served(found)
        regions = regions_of(self._memory.reach(task), len(found.embedding))
        return Sight(Place.of(found.adapter, found.embedding), regions, found.chance(label))

    def taught(self, task: str, channel: str) -> str:
        """A digest of the corrections that `serving` took up there."""
        return self._taught.get((task, channel), "")

    def give(self, asks: Sequence[Ask]) -> list[Given | NotServed]:
        """One answer per ask, in order, not stored; by the releases and corrections as last taken up.

        Safe from several threads. Ask `serving` of each (task, channel) before, once. Raises ArtifactError.
        """
        corrected = self._memory.counts()
        return [
            found
            if isinstance(found, NotServed)
            else self._given(ask, self._served(found), corrected=(ask.task, ask.channel) in corrected)
            for ask, found in zip(asks, self._engine.answer(asks), strict=True)
        ]

    def _given(self, ask: Ask, scored: Scored, *, corrected: bool) -> Given:
        if corrected:
            scores = scored.scores
            recalled = self._memory.recall(ask.task, ask.channel, ask.text, scored.embedding, scores)
            if recalled:
                sure = scores.get(recalled.label, 0.0)
                return Given(recalled.label, sure, scored.release, scored.adapter, recalled.feedback_id)
        return Given(scored.label, scored.confidence, scored.release, scored.adapter)

    def _remember(self, task: str, channel: str) -> None:
        """Teach the memory every correction of this (task, channel), in the order in which they came."""
        if not self._recipe.memory.enabled:
            return
        self._memory.forget_all(task, channel)
        corrections = [found.feedback for found in self._store.feedback.live(task, channel)]
        said = "\n".join(f"{f.id} {f.label}" for f in corrections)
        self._taught[task, channel] = hashlib.sha256(said.encode()).hexdigest()[:16] if said else ""
        seen = self._engine.answer([Ask(task, channel, f.text) for f in corrections])
        for feedback, found in zip(corrections, seen, strict=True):
            scored = self._served(found)
            self._memory.learn(
                task,
                channel,
                feedback.text,
                scored.embedding,
                scored.scores,
                feedback.label or "",
                feedback.id,
                person=feedback.person,
                sure=is_sure(feedback),
            )

    def _answer(self, ask: Ask, text: str, scored: Scored, person: str | None) -> Answer:
        known = scored.serving
        recalled = self._memory.recall(ask.task, ask.channel, text, known.embedding, known.scores)
        label = recalled.label if recalled else scored.label
        return Answer(
            id=ask.answer,
            channel=ask.channel,
            task=ask.task,
            text=text,
            label=label,
            confidence=scored.chance(label),
            release=scored.release,
            adapter=scored.adapter,
            at=self._clock(),
            because=recalled.feedback_id if recalled else None,
            person=person,
        )

    def _mask(self, channel: str, text: str) -> str:
        found = self._recipe.channel(channel)
        return Masker(self._recipe.clean.mask, found.language).mask(text)[0]

    @staticmethod
    def _served(found: Scored | Unanswered) -> Scored:
        if not isinstance(found, Scored):
            raise found
        return found
