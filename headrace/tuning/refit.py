"""refit: one label of an adapter, new or merged, fitted on cached features in seconds.

The delta and every other label's weights stay as they are. Features of rows that were trained on are cached
already, so what is computed is those of the new rows alone.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from headrace.errors import TrainingError
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.column import Column, ColumnOptions, Taught, fit_column
from headrace.models.delta import CONFIG_FILE, Delta
from headrace.models.ngrams import grams
from headrace.recipe import TaskRecipe
from headrace.records import Example
from headrace.tuning.features import prefix_of
from headrace.tuning.lesson import Trained
from headrace.tuning.train import hold_out, view_of

FEWEST = 2


def refit(
    examples: Sequence[Example],
    *,
    held: Sequence[Example] = (),
    label: str,
    replaced: Sequence[str] = (),
    task: TaskRecipe,
    share: float,
    seed: int,
    start: Mapping[str, bytes],
    cache: Path,
    options: ColumnOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Trained:
    """The adapter whose files are `start`, with `label` in the place of the labels `replaced`.

    `examples` are those of `label` and of all other labels, `held` those of them that validated when the
    adapter was trained; where there are none, `share` and `seed` draw them as `train` did. Of labels that the
    adapter does not know nothing is learned. The same arguments give the same bytes. Raises TrainingError where
    there are too few.
    """
    began = time.perf_counter()
    head = Head.from_bytes(start[HEAD_FILE])
    known = set(head.labels) - set(replaced)
    rows = sorted((e for e in examples if e.label == label or e.label in known), key=lambda e: e.id)
    _refuse(rows, label, len(known))
    prefix = prefix_of(task, cache, progress)
    delta = Delta.from_files(start) if CONFIG_FILE in start else None
    texts = [row.text for row in rows]
    embeddings, ids = view_of(prefix, head, delta).pooled(texts), prefix.tokens(texts)
    unseen = {row.id for row in (held or hold_out(rows, share, seed)[1])}
    places = {name: i for i, name in enumerate(head.labels) if name in known}
    taught = Taught(
        embeddings,
        grams(ids, texts, head.ngrams).matrix(),
        head.logits(embeddings, texts, ids),
        np.array([places.get(row.label, -1) if row.label != label else -1 for row in rows], np.int64),
        np.ones(len(rows), np.float32),
        np.array([row.id in unseen for row in rows]),
    )
    column = fit_column(head, label, taught, replaced=replaced, options=options or ColumnOptions())
    return Trained(
        files={**start, HEAD_FILE: column.head.to_bytes()},
        labels=column.head.labels,
        method="label",
        validation_accuracy=0.0,
        seconds=time.perf_counter() - began,
        notes=(_told(column, label, rows),),
        lineage=_lineage(rows, label, replaced, start[HEAD_FILE]),
    )


def _refuse(rows: Sequence[Example], label: str, others: int) -> None:
    own = Counter(row.label for row in rows)[label]
    if own < FEWEST or not others:
        raise TrainingError(
            f"there are {own} examples of {label!r} to learn from, beside {others} other labels.",
            cure="Give at least two; ten are enough: headrace label add NAME --examples FILE",
        )


def _told(column: Column, label: str, rows: Sequence[Example]) -> str:
    own = sum(row.label == label for row in rows)
    return (
        f"{label}: of its {own} rows {100 * column.found:.0f} % are answered with it by a fit to the others;"
        f" it takes {column.lost} of {len(rows) - own:,} rows from other labels"
    )


def _lineage(rows: Sequence[Example], label: str, replaced: Sequence[str], start: bytes) -> dict[str, object]:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.id}\x1f{row.label}\x1e".encode("utf-8", "surrogatepass"))
    return {
        "method": "label",
        "label": label,
        "replaced": list(replaced),
        "examples": digest.hexdigest(),
        "fitted_rows": len(rows),
        "started_from": hashlib.sha256(start).hexdigest(),
    }
