"""How much of a channel's training rows one person may teach.

The count decides what wrong rows do, not their share, so small channels have a floor and large ones a share.
What is beyond it waits, unused, until the channel has more rows. While one person alone has said something
new of a channel, all of it waits for a second one: nobody brings about a new adapter alone. A label that the
adapter found implausible waits until three persons say it of that text. Of corrections that share a phrase which
examples hardly know, `region_day` teach (`phrases`). What the owner said or accepted has no limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from headrace.data.phrases import beyond
from headrace.data.voices import are_few, is_doubted, is_one_person, is_owners, voice
from headrace.data.words import Reader, Word
from headrace.recipe import Recipe
from headrace.store import Store

FEWEST = 3
"""Rows that one person may teach a channel however few it has."""

Who = tuple[str, str, str]


def within_share(store: Store, recipe: Recipe, reader: Reader, words: Sequence[Word]) -> list[Word]:
    """Those of `words`, in their order, that may teach now."""
    rows: dict[tuple[str, str], int] = defaultdict(int)
    for (task, channel, split, _), n in store.examples.counts().items():
        rows[task, channel] += n if split != "test" else 0
    taught: dict[Who, set[str]] = {}
    kept: list[Word] = []
    alone, said = _alone(words), _voices(words)
    for word in words:
        one = word.feedback
        if is_owners(one):
            kept.append(word)
            continue
        who = (one.task, one.channel, one.person or "")
        if who in alone or (is_doubted(one, recipe.trust) and are_few(said[_what(word)], recipe.trust)):
            continue
        if one.person is None:
            kept.append(word)
            continue
        if who not in taught:
            taught[who] = _taught(store, reader, who)
        limit = max(FEWEST, int(recipe.trust.share * rows[who[:2]]))
        if word.key in taught[who] or len(taught[who]) < limit:
            taught[who].add(word.key)
            kept.append(word)
    late = _late(store, recipe, reader, kept)
    return [word for word in kept if word.feedback.id not in late]


def _late(store: Store, recipe: Recipe, reader: Reader, words: Sequence[Word]) -> set[str]:
    """Ids of users' feedback beyond the number that may share a new phrase, what was taught before counted."""
    found: set[str] = set()
    for task, channel in {word.place[:2] for word in words if not is_owners(word.feedback)}:
        used = reader.words(store.feedback.list(task=task, channel=channel, used=True, state="counts"))
        here = [w for w in (*used, *words) if w.place[:2] == (task, channel) and not is_owners(w.feedback)]
        texts = (e.text for e in store.examples.of(task, [channel]) if e.origin != "feedback")
        late = beyond([(w.row.text, w.row.label or "") for w in here], texts, recipe.trust.region_day)
        found |= {word.feedback.id for word, is_late in zip(here, late, strict=True) if is_late}
    return found


def _alone(words: Sequence[Word]) -> set[Who]:
    """Persons who alone have said something of their (task, channel); nobody knows how many the unnamed are."""
    voices: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for word in words:
        voices[word.place[:2]].add(voice(word.feedback))
    return {(*pair, str(one)) for pair, who in voices.items() if is_one_person(who) for one in who}


def _what(word: Word) -> tuple[str, ...]:
    return (*word.place, word.row.label or "")


def _voices(words: Sequence[Word]) -> dict[tuple[str, ...], set[str | None]]:
    """Who says which label of which text."""
    voices: dict[tuple[str, ...], set[str | None]] = defaultdict(set)
    for word in words:
        voices[_what(word)].add(word.feedback.person)
    return voices


def _taught(store: Store, reader: Reader, who: Who) -> set[str]:
    """Keys of the texts that a person's feedback has taught already."""
    task, channel, person = who
    used = store.feedback.list(task=task, channel=channel, person=person, used=True, state="counts")
    return {word.key for word in reader.words(used)}
