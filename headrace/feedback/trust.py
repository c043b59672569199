"""trust: whether a correction counts, decided once, when it is stored, from what the store holds by then.

The owner's own word, which comes through no key and names no person, always counts. What came from a channel,
or names a person, is held where

* more corrections of the channel, the key, the person or those without a name count than the recipe lets
  count in a day, or a person, or a day, in one region of meaning; or the channel's come in a burst;
* it is contested: an example of the same text that the owner or the source gave, or another person's live
  correction of the same question, says another label, and fewer persons say this one than must agree.

What counts of one user alone, and is implausible to the adapter, changes the same text and no other (`memory`),
and teaches nothing until others say the same of that text (`data.shares`).
What is held is kept, with the reason, and counts for nothing: neither memory nor training sees it, until the
owner accepts it or, where it is contested, further persons say the same. Counts are absolute, for the number
of poisoned rows decides what they do, not their share (Souly et al. 2025); OWASP LLM04 and ML02.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from headrace.data.voices import is_owners, trusted
from headrace.feedback.regions import Bools, Place, Regions, alike, key_of
from headrace.recipe import TrustRecipe
from headrace.records import COUNTING, Example, Feedback
from headrace.store import Store
from headrace.store.feedbacks import OTHERS, Counted, Placed
from headrace.store.table import one_at_a_time

CONTESTED = "contested"
_OWNER, _UNNAMED, _SOURCE = "the owner", "somebody unnamed", "the source"


@dataclass(frozen=True, slots=True)
class Sight:
    """How a correction's text is seen: where it lies, None where nothing could say, and its task's regions.

    `chance` is what the serving adapter gives the label of the correction.
    """

    place: Place | None = None
    regions: Regions = field(default_factory=Regions)
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided of a feedback; `agreed` are the held ones, by id, that it helps to count.

    Each has the ids by whose agreement it counts; `voices` are those of the feedback itself, where it needs any.
    """

    feedback: Feedback
    place: Place | None = None
    agreed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    voices: Sequence[str] = ()


def is_sure(feedback: Feedback) -> bool:
    """Whether more than one user's word stands behind it: the owner's, or that of others who agree."""
    return is_owners(feedback) or feedback.state == "agreed"


def rule(
    store: Store, connection: Connection, feedback: Feedback, trust: TrustRecipe, sight: Sight
) -> Ruling:
    """Decide whether `feedback` counts, inside the transaction that will store it; changes nothing.

    Two decisions never run beside each other, so that every process decides alike.
    """
    feedback = replace(feedback, chance=sight.chance)
    if feedback.label is None or trusted(feedback):
        return Ruling(feedback, sight.place)
    one_at_a_time(connection)
    among = _Among(store, connection, feedback, trust, sight)
    last = len(among.said) - 1
    against, voices = among.against(last), among.voices(last)
    reasons = list(among.caps(last))
    if against is not None and len(voices) < trust.agree:
        said = f"{len(voices)} of {trust.agree} persons say {feedback.label!r}"
        reasons.append(f"{CONTESTED}: {against}; {said}")
    if reasons:
        return Ruling(replace(feedback, state="held", reason="; ".join(reasons)), sight.place)
    agreed = dict(among.agreeing())
    if against is None:
        return Ruling(feedback, sight.place, agreed)
    counts = replace(feedback, state="agreed", reason=OTHERS)
    return Ruling(counts, sight.place, agreed, list(voices.values()))


def carry_out(store: Store, connection: Connection, ruling: Ruling) -> None:
    """Store what was ruled, in the transaction that ruled it."""
    place = ruling.place
    space, embedding = (place.space, place.embedding) if place else (None, None)
    said = ruling.feedback, ruling.voices
    store.feedback.add_in(connection, said[0], space=space, embedding=embedding, agreed=said[1])
    for name, voices in ruling.agreed.items():
        store.feedback.agree_in(connection, name, voices)


def standing_by(names: Iterable[str], known: Mapping[str, Feedback]) -> set[str]:
    """Who still says what `names` say: persons whose feedback was not undone, and examples, which are none."""
    left = [name for name in names if name not in known or known[name].state != "undone"]
    return {voice_of(known[name]) if name in known else name for name in left}


class _Among:
    """A correction, the last of those that were `said` in its (task, channel), among the others."""

    def __init__(
        self, store: Store, connection: Connection, feedback: Feedback, trust: TrustRecipe, sight: Sight
    ) -> None:
        self._store, self._connection, self._trust = store, connection, trust
        self._regions, self._now = sight.regions, feedback.at
        self._known: dict[str, list[Example]] = {}
        space, embedding = (sight.place.space, sight.place.embedding) if sight.place else (None, None)
        found = store.feedback.placed_in(connection, feedback.task, feedback.channel, held=CONTESTED)
        fields = [getattr(feedback, name) for name in Placed._fields[:-2]]
        self.said = [*found, Placed._make([*fields, space, embedding])]
        self._keys = [key_of(one.text) for one in self.said]
        self._views = sight.regions.views([one[-2:] for one in self.said], space)
        self._live = [one.state in COUNTING for one in self.said[:-1]] + [False]

    def caps(self, of: int) -> Iterator[str]:
        """Why number `of` may not count, by the numbers of those that do."""
        one, trust = self.said[of], self._trust
        counted = self._store.feedback.counted_in(self._connection, one, self._now)
        yield from _days(one, counted, trust)
        near = self._near(of)
        if one.person is not None and self._crowded(of):
            yield f"person: {trust.person} corrections of this person count in this region of meaning already"
        today = sum(self._live[i] and near[i] and self._of_today(self.said[i]) for i in range(len(self.said)))
        if today >= trust.region_day:
            yield f"region: {today} corrections of one day count in this region of meaning already"

    def agreeing(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Contested corrections that the last one, which counts, helps to count too, and by which ids."""
        last = len(self.said) - 1
        self._live[last] = True
        near, label = self._near(last), self.said[last].label
        for i, one in enumerate(self.said[:last]):
            if near[i] and _waits(one) and one.label == label and not list(self.caps(i)):
                voices = self.voices(i)
                if len(voices) >= self._trust.agree:
                    self._live[i] = True
                    yield one.id, list(voices.values())

    def _near(self, of: int) -> Bools:
        return alike(self._views, self._keys, of, self._regions.near)

    def _crowded(self, of: int) -> bool:
        """Whether with number `of` more than the cap of one person's would lie around any of them."""
        person = self.said[of].person
        own = [i for i, one in enumerate(self.said) if one.person == person and (self._live[i] or i == of)]
        near = self._near(of)
        return any(int(self._near(i)[own].sum()) > self._trust.person for i in own if near[i])

    def _of_today(self, one: Placed) -> bool:
        return not trusted(one) and (self._now - one.at).total_seconds() < 86_400

    def against(self, of: int) -> str | None:
        """The first that says another label of the same question, other than the same person."""
        one = self.said[of]
        for example in self._examples(of):
            if example.label != one.label:
                return f"an example of the same text says {example.label!r}"
        same = alike(self._views, self._keys, of, self._regions.same)
        for i, other in enumerate(self.said):
            mine = one.person is not None and other.person == one.person
            if self._live[i] and same[i] and other.label != one.label and not mine:
                who = _OWNER if trusted(other) else "somebody else"
                return f"{who} says {other.label!r} of the same question"
        return None

    def voices(self, of: int) -> dict[str, str]:
        """Who says the same in the region of number `of`, and by which feedback; all without a name are one."""
        one, near = self.said[of], self._near(of)
        voices = {voice_of(one): one.id}
        for i, other in enumerate(self.said):
            if near[i] and (self._live[i] or _waits(other)) and other.label == one.label:
                voices.setdefault(voice_of(other), other.id)
        for example in self._examples(of):
            if example.label == one.label:
                voices.setdefault(_SOURCE, example.id)
        return voices

    def _examples(self, of: int) -> Sequence[Example]:
        """Examples of the same text that others than users gave: the channel's own, and golden ones."""
        key, channel = self._keys[of], self.said[of].channel
        if key not in self._known:
            self._known |= {key: []} | self._store.examples.by_text_key(self.said[of].task, [key])
        found = self._known[key]
        return [e for e in found if e.golden or (e.channel == channel and e.origin != "feedback")]


def _days(one: Placed, counted: Counted, trust: TrustRecipe) -> Iterator[str]:
    """Which numbers of a day, or of a minute, are full."""
    if one.key is not None and counted.minute >= trust.burst:
        yield f"burst: {counted.minute} corrections of this channel within a minute"
    if one.person is not None and counted.person >= trust.person_day:
        yield f"person a day: {counted.person} corrections of this person count today already"
    if one.key is not None and counted.key >= trust.key_day:
        yield f"key a day: {counted.key} corrections through this key count today already"
    if one.person is None and counted.unnamed >= trust.unnamed_day:
        yield f"unnamed a day: {counted.unnamed} corrections that name nobody count today already"


def _waits(one: Placed) -> bool:
    """Whether it is held for no other reason than that it is contested."""
    return one.state == "held" and (one.reason or "").startswith(CONTESTED)


def voice_of(one: Feedback | Placed) -> str:
    """Whose word a feedback is; all who gave no name are one."""
    return one.person or (_OWNER if trusted(one) else _UNNAMED)
