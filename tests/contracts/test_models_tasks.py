"""What every kind of task that learns from pairs promises: the same delta again, the base as it was."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_stand import WORDS
from tiny_base import make_tiny_base

from headrace import plugins
from headrace.errors import TrainingError
from headrace.models.prefix_torch import Prefix
from headrace.models.tasks import Fitted, Job, Pairs
from headrace.recipe import TaskRecipe
from headrace.tuning.features import prefix_of

KINDS = ("embed",)


@pytest.fixture(params=KINDS)
def part(request: pytest.FixtureRequest) -> Any:
    return plugins.load("tasks", request.param)()


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    base = make_tiny_base(tmp_path / "base")
    return prefix_of(TaskRecipe(kind="embed", base=str(base), longest=48), tmp_path / "cache", threads=1)


def job() -> Job:
    """90 passages and a question of each, in the passage's words."""
    drawn = random.Random(2)
    picked = [drawn.sample(WORDS, 3) for _ in range(90)]
    passages = [f"the {one} is {two}. not {three}, {i}" for i, (one, two, three) in enumerate(picked)]
    questions = [f"how {' '.join(some)}" for some in picked]
    train = Pairs(tuple(questions[:70]), tuple(range(70)))
    held = Pairs(tuple(questions[70:]), tuple(range(70, 90)))
    return Job(train, held, passages, "tiny", 5)


def as_bytes(fitted: Fitted) -> dict[str, bytes]:
    return fitted.delta.to_files() if fitted.delta else {}


def test_a_delta_that_pays_is_the_same_again_and_leaves_the_base(part: Any, prefix: Prefix) -> None:
    weights = prefix.base.path / "model.safetensors"
    before = hashlib.sha256(weights.read_bytes()).digest()
    first, second = part.fit(job(), prefix), part.fit(job(), prefix)
    assert first.delta is not None
    assert as_bytes(first) == as_bytes(second)
    assert {layer for layer, _ in first.delta.factors} <= set(range(prefix.base.layers))
    assert hashlib.sha256(weights.read_bytes()).digest() == before
    assert first.notes


def test_where_what_is_taught_does_harm_the_base_stays(part: Any, prefix: Prefix) -> None:
    whole = job()
    wrong = Pairs(whole.train.questions, tuple((i + 1) % 70 for i in whole.train.right))
    options = part.options.model_copy(update={"lr": 0.02, "epochs": 30})
    harmful = type(part)(options).fit(replace(whole, train=wrong), prefix)
    assert harmful.delta is None
    assert "left out" in harmful.notes[0]


def test_pairs_that_cannot_be_validated_are_refused(part: Any, prefix: Prefix) -> None:
    whole = job()
    bare = Job(whole.train, Pairs((), ()), whole.passages, "tiny", 5)
    with pytest.raises(TrainingError, match="too few"):
        part.fit(bare, prefix)
