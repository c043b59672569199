"""learn: questions whose passage is known become a delta of the base, or none where that does not pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace import plugins
from headrace.data.progress import Progress
from headrace.models.tasks import Fitted, Job, Pairs
from headrace.recipe import TaskRecipe
from headrace.records import Example
from headrace.tuning.features import prefix_of

FEWEST, FEWEST_HELD = 40, 12
"""Questions that train and that validate below which the base stays as it is."""


def learn(
    pairs: Sequence[Example],
    passages: Mapping[str, str],
    *,
    task: TaskRecipe,
    seed: int,
    cache: Path,
    progress: Progress | None = None,
) -> Fitted:
    """What the pairs teach; `passages` maps the ids of all passages to their texts.

    Passages with the same text are one. The same arguments give the same delta. Raises what `base.resolve` does.
    """
    held = [pair for pair in pairs if pair.split == "validation"]
    taught = [pair for pair in pairs if pair.split == "train"]
    if len(taught) < FEWEST or len(held) < FEWEST_HELD:
        said = f"{len(taught)} questions to learn from and {len(held)} to validate on are too few for a delta"
        return Fitted(None, (said,))
    texts = list(dict.fromkeys(passages[name] for name in sorted(passages)))
    numbers = {text: number for number, text in enumerate(texts)}

    def part(some: Sequence[Example]) -> Pairs:
        right = tuple(numbers[passages[pair.label]] for pair in some)
        return Pairs(tuple(pair.text for pair in some), right)

    prefix = prefix_of(task, cache, progress)
    job = Job(part(taught), part(held), texts, prefix.base.name, seed, progress)
    fitted: Fitted = plugins.load("tasks", "embed")().fit(job, prefix)
    return fitted
