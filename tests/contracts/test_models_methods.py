"""What every method must do, ours by being in the folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tiny_base import make_tiny_base

from headrace import plugins
from headrace.models.adapter import Head
from headrace.models.base import resolve, tokenise
from headrace.models.delta import Delta
from headrace.models.prefix_torch import Prefix
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning.features import prefix_of
from headrace.tuning.train import Trained, train

AT = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = {"head": {}, "lora": {"layers": 1, "epochs": 2, "batch": 16}}
TEXTS = {
    "pay": "how can i pay order {} by card please",
    "refund": "i want my money back for order {}",
    "late": "快递太慢了 {} 天还没有送到",
}


def examples(count: int = 120) -> list[Example]:
    labels = sorted(TEXTS)
    return [
        Example(f"x{i:04}", "c", "t", TEXTS[labels[i % 3]].format(i), labels[i % 3], "train", "source", AT)
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TaskRecipe:
    return TaskRecipe(base=str(make_tiny_base(tmp_path_factory.mktemp("base") / "tiny")))


@pytest.fixture(scope="module", params=plugins.names("methods"))
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(method: str, task: TaskRecipe, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(method, task, tmp_path_factory.mktemp("cache"))


def run(method: str, task: TaskRecipe, cache: Path, *, seed: int = 3, **more: object) -> Trained:
    settings = TrainRecipe(method=method, options=SMALL.get(method, {}))
    return train(examples(), task=task, settings=settings, seed=seed, cache=cache, **more)  # type: ignore[arg-type]


def test_it_learns_and_says_what_it_cost(method: str, trained: Trained) -> None:
    assert trained.validation_accuracy >= 0.9
    assert trained.labels == ("late", "pay", "refund")
    assert trained.method == method
    assert f"{method}: " in trained.notes[0]
    assert "cpu-seconds" in trained.notes[0]


def test_the_same_seed_gives_the_same_bytes_cold_or_warm(
    method: str, trained: Trained, task: TaskRecipe, tmp_path: Path
) -> None:
    cold = run(method, task, tmp_path)
    warm = run(method, task, tmp_path)
    assert cold.files == warm.files == trained.files
    assert cold.lineage == trained.lineage
    assert run(method, task, tmp_path, seed=4).files != cold.files


def test_the_order_of_arrival_changes_nothing(
    method: str, trained: Trained, task: TaskRecipe, tmp_path: Path
) -> None:
    settings = TrainRecipe(method=method, options=SMALL.get(method, {}))
    shuffled = [examples()[i] for i in np.random.default_rng(0).permutation(120)]
    again = train(shuffled, task=task, settings=settings, seed=3, cache=tmp_path)
    assert again.files == trained.files


def test_what_is_served_is_what_was_validated(trained: Trained, task: TaskRecipe, tmp_path: Path) -> None:
    base = resolve(task.base, tmp_path)
    prefix = Prefix(base, task.longest, base.prefix, tmp_path)
    head = Head.from_bytes(trained.files["head.safetensors"])
    texts = ["how can i pay order 77 by card please", "快递太慢了 500 天还没有送到"]
    delta = Delta.from_files(trained.files) if head.delta else None
    embeddings = prefix.pooled(texts) if delta is None else prefix.pooled_through(texts, delta)
    ids = tokenise(base.tokenizer(task.longest), texts, base.prefix)
    probabilities = head.probabilities(embeddings, texts, ids)
    assert [head.labels[i] for i in probabilities.argmax(1)] == ["pay", "late"]
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert head.base == base.fingerprint


def test_a_wrong_option_is_refused_without_the_work(method: str) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        plugins.options("methods", method).model_validate({"no_such_option": 1})


def test_few_rows_are_passed_over_more_often() -> None:
    options = plugins.options("methods", "lora")
    assert [options().passes(rows) for rows in (100, 2299, 9026, 9589, 100_000)] == [30, 16, 4, 4, 4]
    assert options(epochs=2).passes(2299) == 2


def test_refit_learns_from_validation_rows_too_and_says_what_it_did(
    method: str, task: TaskRecipe, tmp_path: Path
) -> None:
    held = [Example("v1", "c", "t", "zebra giraffe zebra", "late", "validation", "source", AT)] * 3
    heads = {}
    for refit in (False, True):
        settings = TrainRecipe(method=method, options=SMALL.get(method, {}) | {"refit": refit})
        trained = train(examples(), validation=held, task=task, settings=settings, seed=0, cache=tmp_path)
        heads[refit] = Head.from_bytes(trained.files["head.safetensors"])
        assert any("again with the validation rows" in note for note in trained.notes) is refit
    assert not np.array_equal(heads[True].dense, heads[False].dense)
    assert heads[True].temperature == heads[False].temperature


def test_the_refitted_head_knows_the_words_of_validation_rows(task: TaskRecipe, tmp_path: Path) -> None:
    held = [Example("v1", "c", "t", "zebra giraffe zebra", "late", "validation", "source", AT)] * 3
    settings = TrainRecipe(method="head", options={"refit": True})
    trained = train(examples(), validation=held, task=task, settings=settings, seed=0, cache=tmp_path)
    head = Head.from_bytes(trained.files["head.safetensors"])
    said = head.word_logits(["zebra giraffe"], prefix_of(task, tmp_path).tokens(["zebra giraffe"]))[0]
    assert head.labels[said.argmax()] == "late"
    assert said.max() > 0
