"""Questions whose passage is known, as examples whose label it is: from titles, rows, and what users did.

A title that names one passage alone (a FAQ's question, a heading) is a question to it; so is a search of which
somebody picked a passage, and an example of the task, corrections among them. The split of an example is its own;
that of others hangs on their text alone. What users did teaches and never judges: it is what the serving adapter
got wrong, or showed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.data.split import hash_split
from headrace.data.texts import normalised, text_key
from headrace.recipe import Recipe
from headrace.records import Example, Origin, Passage, Split, content_id
from headrace.store import Store

TITLE, SEARCH = "title", "search"
MOST_SEARCHES = 20_000
VALIDATION = 0.2
"""Share of the passages whose questions validate instead of training."""


def pairs_of(store: Store, recipe: Recipe, task: str) -> list[Example]:
    """Every question of the task whose passage is live and may answer it; of one text in a channel the latest."""
    passages = {passage.id: passage for passage in store.documents.passages()}
    rows = [row for row in store.examples.of(task, None, ["train", "validation", "test"]) if not row.golden]
    given = [*_titles(recipe, task, list(passages.values())), *rows, *_searches(store, task, passages)]
    found: dict[tuple[str, str], Example] = {}
    for pair in given:
        passage = passages.get(pair.label)
        if passage is not None and passage.channel in (None, pair.channel):
            found[pair.channel, text_key(pair.text)] = pair
    return [_split(recipe, pair) for pair in sorted(found.values(), key=lambda pair: pair.id)]


def teaching(recipe: Recipe, pairs: Sequence[Example]) -> list[Example]:
    """Those that train or validate the shared adapter: of channels that share their examples, and of all."""
    shared = {name for name, channel in recipe.channels.items() if channel.share} | {""}
    return [pair for pair in pairs if pair.split != "test" and pair.channel in shared]


def judging(pairs: Sequence[Example], channel: str) -> list[Example]:
    """Those that judge what answers in a channel."""
    return [p for p in pairs if p.split == "test" and p.channel in ("", channel) and p.origin != "feedback"]


def is_title(pair: Example) -> bool:
    """Whether the question is the title of its passage: then it is asked of passages without titles."""
    return pair.id.startswith(f"{TITLE}_")


def _titles(recipe: Recipe, task: str, passages: Sequence[Passage]) -> list[Example]:
    """Titles that name one passage alone; of a passage that belongs to no channel the channel is ""."""
    asks = set(recipe.channels_of(task))
    named = [p for p in passages if p.title and (p.channel is None or p.channel in asks)]
    count = Counter((p.channel, normalised(p.title)) for p in named)
    alone = [p for p in named if count[p.channel, normalised(p.title)] == 1]
    return [_pair(TITLE, task, p.channel or "", p.title, p, "owner") for p in alone]


def _searches(store: Store, task: str, passages: Mapping[str, Passage]) -> list[Example]:
    """Searches of which somebody picked a passage, oldest first."""
    chosen = store.searches.list(task=task, chosen=True, limit=MOST_SEARCHES)
    picked = [(s, passages.get(s.chosen or "")) for s in reversed(chosen)]
    return [_pair(SEARCH, task, s.channel, s.text, passage, "feedback") for s, passage in picked if passage]


def _pair(kind: str, task: str, channel: str, text: str, passage: Passage, origin: Origin) -> Example:
    name = content_id(kind, channel, text, passage.id)
    return Example(name, channel, task, text, passage.id, "train", origin, passage.at)


def _split(recipe: Recipe, pair: Example) -> Example:
    """An example keeps its split; of others the text decides between teaching and judging.

    Of those that teach, the passage decides which validate: what is learned must hold for passages not seen.
    """
    split: Split = pair.split
    if pair.id.startswith((f"{TITLE}_", f"{SEARCH}_")):
        judges = pair.origin != "feedback"
        split = hash_split(recipe.seed, text_key(pair.text), recipe.clean.test_share) if judges else "train"
    if split == "train":
        split = split_by_passage(recipe.seed, pair.label)
    return replace(pair, split=split)


def split_by_passage(seed: int, passage: str) -> Split:
    """Whether the questions of a passage train or validate; its own for good."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:{passage}".encode()).digest()[:7]) / 2**56
    return "validation" if drawn < VALIDATION else "train"
