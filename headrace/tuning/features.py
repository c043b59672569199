"""The frozen base's embeddings of texts, through the cache on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.data.progress import Progress
from headrace.models.base import resolve
from headrace.models.prefix_torch import Prefix
from headrace.recipe import TaskRecipe


def prefix_of(
    task: TaskRecipe, cache: Path, progress: Progress | None = None, threads: int | None = None
) -> Prefix:
    """The cached features of a task's base, by two threads where none are named; raises what `resolve` does."""
    base = resolve(task.base, cache)
    before = base.prefix if task.prefix is None else task.prefix
    return Prefix(base, task.longest, before, cache, threads or min(2, os.cpu_count() or 1), progress)


def embed(
    texts: Sequence[str], *, task: TaskRecipe, cache: Path, progress: Progress | None = None
) -> NDArray[np.float32]:
    """[n, d] float32 embeddings of norm 1, as the task's head reads them."""
    return prefix_of(task, cache, progress).pooled(texts)
