"""The split of an example that is near another: that of its first, which it names in `same_as`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from headrace.data.duplicates import NearIndex, grams, jaccard
from headrace.data.texts import normalised
from headrace.records import Example
from headrace.store import Store

# Candidates fetched at once stay few however alike a channel's texts are.
_STEP = 1000


class Neighbours:
    """All examples of one task, to find those that a new one is near to. Reads the store once, when made."""

    def __init__(self, store: Store, task: str, threshold: float) -> None:
        self._store, self._threshold = store, threshold
        self._index = NearIndex(threshold)
        for examples in store.examples.stream(task, size=1000):
            self._index.add([e.id for e in examples], [normalised(e.text) for e in examples])

    def settle(self, examples: Sequence[Example], given: Collection[str]) -> list[Example]:
        """The examples with the split and name of their firsts, in the same order; they join the index.

        The split of those in `given` is their source's and stays: they join firsts of the same split alone,
        and test rows none. All others take the split of their first.
        """
        settled: list[Example] = []
        for start in range(0, len(examples), _STEP):
            settled += self._settle(examples[start : start + _STEP], given, settled)
        return settled

    def _settle(
        self, examples: Sequence[Example], given: Collection[str], before: Sequence[Example]
    ) -> list[Example]:
        texts = [normalised(example.text) for example in examples]
        candidates = self._index.add([example.id for example in examples], texts)
        known = {example.id: example for example in before}
        wanted = {name for names in candidates for name in names} - known.keys()
        known |= {example.id: example for example in self._store.examples.get(sorted(wanted))}
        settled = []
        for example, text, names in zip(examples, texts, candidates, strict=True):
            first = self._first(example, text, names, known, example.id in given)
            known[example.id] = example if first is None else _joined(example, first)
            settled.append(known[example.id])
        return settled

    def _first(
        self, example: Example, text: str, names: Sequence[str], known: Mapping[str, Example], given: bool
    ) -> Example | None:
        """The earliest candidate that is near enough and whose split this one may share."""
        if not names or (given and example.split == "test"):
            return None
        own = grams(text)
        for other in (known[name] for name in names if name in known and name != example.id):
            if given and other.split != example.split:
                continue
            if jaccard(own, grams(normalised(other.text))) >= self._threshold:
                return other
        return None


def _joined(example: Example, first: Example) -> Example:
    return replace(example, split=first.split, same_as=first.same_as or first.id)
