"""How far a correction reaches, learned from examples as the graph that will serve embeds them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence

from threadpoolctl import threadpool_limits

from headrace.feedback.radius import REFERENCES, Radius
from headrace.records import Example
from headrace.serving.engine import Engine
from headrace.serving.loader import Files


def drawn_of(examples: Sequence[Example], most: int, seed: int) -> list[Example]:
    """At most `most` of the examples, the same ones for the same seed."""
    return random.Random(seed).sample(examples, min(most, len(examples)))


def reach_of(
    engine: Engine,
    files: Files,
    digests: Mapping[str, str],
    examples: Sequence[Example],
    *,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> bytes:
    """The content of an adapter's radius.json; raises ArtifactError."""
    drawn = drawn_of(examples, REFERENCES, seed)
    embeddings, _ = engine.trial(files, [e.text for e in drawn], digests=digests, progress=progress)
    with threadpool_limits(1):  # the same bytes whatever the number of cores
        radius = Radius.learn(embeddings, [example.label for example in drawn], seed=seed)
    return json.dumps(radius.to_json()).encode()
