"""train on a tiny base: what it refuses, what it draws, what survives a kill, what starts where."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tiny_base import make_tiny_base

from headrace.errors import NotFound, TrainingError
from headrace.models.adapter import Head
from headrace.models.delta import Delta
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning import choose as choosing
from headrace.tuning import train as training
from headrace.tuning.features import embed, prefix_of
from headrace.tuning.train import Trained, train

AT = datetime(2026, 3, 1, tzinfo=UTC)
WORDS = {
    "pay": ["pay", "card", "bill", "cash"],
    "refund": ["refund", "money", "back", "return"],
    "late": ["slow", "late", "wait", "where"],
}
HEAD = TrainRecipe(method="head")
LORA = TrainRecipe(method="lora", options={"layers": 1, "epochs": 3, "batch": 16})


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def rows(count: int, *, seed: int = 0, swap: bool = False, split: str = "train") -> list[Example]:
    random = np.random.default_rng(seed)
    labels = sorted(WORDS)
    found = []
    for i in range(count):
        label = labels[i % 3]
        words = [*random.choice(WORDS[label], 2), *random.choice(["the", "my", "order", "please", "now"], 3)]
        shown = {"pay": "refund", "refund": "pay"}.get(label, label) if swap else label
        text = " ".join(random.permutation(words))
        found.append(Example(f"{split}-{seed}-{i:05}", "c", "t", text, shown, "train", "source", AT))
    return found


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TaskRecipe:
    return TaskRecipe(base=str(make_tiny_base(tmp_path_factory.mktemp("base") / "tiny")))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def accuracy(trained: Trained, task: TaskRecipe, cache: Path, judged: list[Example]) -> float:
    head, texts = Head.from_bytes(trained.files["head.safetensors"]), [example.text for example in judged]
    prefix = prefix_of(task, cache)
    delta = Delta.from_files(trained.files) if head.delta else None
    embeddings = prefix.pooled(texts) if delta is None else prefix.pooled_through(texts, delta)
    said = head.logits(embeddings, texts, prefix.tokens(texts)).argmax(1)
    return float(np.mean([head.labels[i] == e.label for i, e in zip(said, judged, strict=True)]))


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([], "no example to train on.*headrace collect"),
        (
            [e for e in rows(30) if e.label == "pay"],
            "all 10 examples carry the label 'pay'.*another|other label",
        ),
        (rows(3), "each of the 3 labels has a single example"),
    ],
)
def test_what_teaches_nothing_is_refused(
    examples: list[Example], said: str, task: TaskRecipe, cache: Path
) -> None:
    with pytest.raises(TrainingError, match=said):
        train(examples, task=task, settings=HEAD, seed=0, cache=cache)


def test_a_base_that_does_not_exist_is_said(cache: Path) -> None:
    with pytest.raises(NotFound, match="no base 'nothing'"):
        train(rows(30), task=TaskRecipe(base="nothing"), settings=HEAD, seed=0, cache=cache)


def test_validation_is_drawn_with_near_duplicates_together_and_stays_when_rows_join() -> None:
    examples = [(example, 1.0) for example in rows(300)]
    twins = [
        (replace(example, id=f"{example.id}-twin", same_as=example.id), 1.0) for example, _ in examples[::4]
    ]
    kept, held = training._split(examples + twins, 0.2, seed=5)
    assert abs(len(held) - 0.2 * 375) <= 15
    later = training._split(
        [*examples, *twins, *[(replace(e, id=f"late-{e.id}"), 1.0) for e in rows(50)]], 0.2, seed=5
    )
    assert {e.id for e in held} <= {e.id for e in later[1]}, "rows that join move nobody"
    inside = {e.same_as or e.id for e, _ in kept} & {e.same_as or e.id for e in held}
    assert not inside, "a near-duplicate stands on both sides"
    assert {e.id for e in held} != {e.id for e in training._split(examples + twins, 0.2, seed=6)[1]}


def test_a_label_with_one_row_stays_in_training() -> None:
    lone = replace(rows(1)[0], id="z", label="lone")
    for seed in range(5):
        kept, _ = training._split([(e, 1.0) for e in [*rows(63), lone]], 0.35, seed=seed)
        assert any(e.label == "lone" for e, _ in kept)


def test_given_validation_rows_are_used_and_strange_labels_noted(task: TaskRecipe, cache: Path) -> None:
    held = rows(30, seed=9, split="validation")
    strange = replace(held[0], id="z", label="never seen")
    trained = train(rows(90), validation=[*held, strange], task=task, settings=HEAD, seed=0, cache=cache)
    assert trained.lineage["training_rows"] == 90
    assert trained.lineage["validation_rows"] == 30
    assert any("1 validation rows have a label without training rows" in note for note in trained.notes)


def test_weights_count_a_row_more_or_less(task: TaskRecipe, cache: Path) -> None:
    good, bad = rows(90), rows(90, seed=1, swap=True)
    held = rows(60, seed=9, split="validation")
    for trusted, expected in ((good, True), (bad, False)):
        weights = np.array([1.0 if e in trusted else 0.001 for e in good + bad], np.float32)
        trained = train(
            good + bad, validation=held, task=task, settings=HEAD, seed=0, cache=cache, weights=weights
        )
        assert (trained.validation_accuracy > 0.8) is expected


def test_a_channel_starts_from_the_shared_adapter(task: TaskRecipe, cache: Path) -> None:
    judged = rows(90, seed=7)
    shared = train(rows(300), task=task, settings=HEAD, seed=0, cache=cache)
    start = Head.from_bytes(shared.files["head.safetensors"])
    few = [e for e in rows(12, seed=3) if e.label != "late"]
    alone = train(few, task=task, settings=HEAD, seed=0, cache=cache)
    own = train(few, task=task, settings=HEAD, seed=0, cache=cache, start=start)
    assert own.labels == shared.labels
    assert accuracy(own, task, cache, judged) >= accuracy(shared, task, cache, judged) - 0.02
    assert accuracy(own, task, cache, judged) > accuracy(alone, task, cache, judged)
    other = rows(240, seed=4, swap=True)
    away = train(other, task=task, settings=HEAD, seed=0, cache=cache, start=start)
    assert accuracy(away, task, cache, rows(90, seed=8, swap=True)) > 0.85
    assert away.lineage["started_from"] != shared.lineage["started_from"]


def test_a_new_label_joins_the_shared_ones(task: TaskRecipe, cache: Path) -> None:
    shared = train(rows(150), task=task, settings=HEAD, seed=0, cache=cache)
    start = Head.from_bytes(shared.files["head.safetensors"])
    new = [
        replace(e, id=f"n{e.id}", text=f"alien {i} zebra", label="zoo")
        for i, e in enumerate(rows(30, seed=2))
    ]
    own = train(rows(60, seed=3) + new, task=task, settings=HEAD, seed=0, cache=cache, start=start)
    assert own.labels == ("late", "pay", "refund", "zoo")
    judged = [replace(new[0], text="zebra alien 99"), *rows(60, seed=6)]
    assert accuracy(own, task, cache, judged) > 0.9


def test_a_start_through_a_delta_carries_it(task: TaskRecipe, cache: Path) -> None:
    shared = train(rows(240), task=task, settings=LORA, seed=0, cache=cache)
    start, delta = Head.from_bytes(shared.files["head.safetensors"]), Delta.from_files(shared.files)
    own = train(
        rows(12, seed=3), task=task, settings=LORA, seed=0, cache=cache, start=start, start_delta=delta
    )
    assert own.method == "head"
    assert {k: v for k, v in own.files.items() if k.startswith("adapter_")} == delta.to_files()
    judged = rows(90, seed=7)
    assert accuracy(own, task, cache, judged) >= accuracy(shared, task, cache, judged) - 0.02
    with pytest.raises(TrainingError, match="do not belong together"):
        train(rows(12), task=task, settings=HEAD, seed=0, cache=cache, start=start)


def test_a_start_from_another_base_is_refused(task: TaskRecipe, cache: Path, tmp_path: Path) -> None:
    shared = train(rows(60), task=task, settings=HEAD, seed=0, cache=cache)
    other = TaskRecipe(base=str(make_tiny_base(tmp_path / "other", seed=9)))
    with pytest.raises(TrainingError, match="another base"):
        train(
            rows(12), task=other, settings=HEAD, seed=0, cache=tmp_path,
            start=Head.from_bytes(shared.files["head.safetensors"]),
        )  # fmt: skip


def test_a_killed_run_resumed_gives_the_bytes_of_the_whole_one(
    task: TaskRecipe, cache: Path, tmp_path: Path
) -> None:
    steps = []
    whole = train(
        rows(160), task=task, settings=LORA, seed=0, cache=cache,
        checkpoints=tmp_path / "whole", progress=lambda stage, done, total: steps.append(stage),
    )  # fmt: skip
    count = steps.count("lora")
    assert count % 3 == 0
    for kill_at in (count // 3 + 1, 2 * count // 3, count):
        reached = []

        def kill(stage: str, done: int, total: int, at: int = kill_at) -> None:
            if stage == "lora" and done == at:
                raise Killed

        folder = tmp_path / f"killed-{kill_at}"
        with pytest.raises(Killed):
            train(rows(160), task=task, settings=LORA, seed=0, cache=cache, checkpoints=folder, progress=kill)
        again = train(
            rows(160), task=task, settings=LORA, seed=0, cache=cache, checkpoints=folder,
            progress=lambda stage, done, total, seen=reached: seen.append((stage, done)),
        )  # fmt: skip
        assert again.files == whole.files
        assert state(folder) == state(tmp_path / "whole"), "the last epoch too, not only the best"
        begun = min(done for stage, done in reached if stage == "lora")
        assert begun == (kill_at - 1) // (count // 3) * (count // 3) + 1, (
            "finished epochs are not trained again"
        )


def state(folder: Path) -> bytes:
    (path,) = folder.glob("lora-*")
    return path.read_bytes()


def test_a_damaged_checkpoint_is_begun_anew(task: TaskRecipe, cache: Path, tmp_path: Path) -> None:
    whole = train(rows(60), task=task, settings=LORA, seed=0, cache=cache, checkpoints=tmp_path)
    (path,) = tmp_path.glob("lora-*")
    path.write_bytes(path.read_bytes()[:100])
    assert (
        train(rows(60), task=task, settings=LORA, seed=0, cache=cache, checkpoints=tmp_path).files
        == whole.files
    )


def test_a_kill_while_features_are_written_leaves_a_valid_cache(task: TaskRecipe, tmp_path: Path) -> None:
    texts = [f"{e.text} {i}" for i, e in enumerate(rows(2500))]
    whole = embed(texts, task=task, cache=tmp_path / "whole")

    def kill(stage: str, done: int, total: int) -> None:
        if done > 1500:
            raise Killed

    cache = tmp_path / "killed"
    with pytest.raises(Killed):
        embed(texts, task=task, cache=cache, progress=kill)
    (folder,) = (cache / "features").iterdir()
    (keys,) = folder.glob("*.keys")
    keys.with_name("half.npy").write_bytes(b"\x93NUMPY")
    (folder / ".scratch.keys.1").write_bytes(b"half")
    done: list[int] = []
    again = embed(texts, task=task, cache=cache, progress=lambda stage, at, total: done.append(total))
    assert np.array_equal(again, whole)
    assert done[0] == 2500 - 1024, "what was kept is not computed again"


def test_a_text_has_one_embedding_whoever_stands_beside_it(task: TaskRecipe, tmp_path: Path) -> None:
    texts = [f"{e.text} {i}" * (1 + i % 5) for i, e in enumerate(rows(100))]
    together = embed(texts, task=task, cache=tmp_path / "a")
    embed(texts[40:60], task=task, cache=tmp_path / "b")
    order = np.random.default_rng(0).permutation(100)
    apart = embed([texts[i] for i in order], task=task, cache=tmp_path / "b")
    assert np.array_equal(apart, together[order])
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    assert embed([], task=task, cache=tmp_path / "a").shape == (0, 32)


LADDER = (
    ("lora on q,v", {"modules": "qv", "layers": 1, "epochs": 1, "lr": 1e-4}),
    ("lora on all linear modules", {"layers": 1, "epochs": 1}),
)


def test_auto_says_what_it_tried_and_stops_where_a_step_does_not_pay(
    task: TaskRecipe, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = train(rows(90), task=task, settings=TrainRecipe(), seed=0, cache=cache)
    assert small.method == "head"
    monkeypatch.setattr(choosing, "ENOUGH_FOR_LORA", 60)
    monkeypatch.setattr(choosing, "LADDER", LADDER)
    tried = train(rows(200), task=task, settings=TrainRecipe(), seed=0, cache=cache)
    said = "\n".join(tried.notes)
    assert re.search(r"^head: [\d.]+ % on \d+ validation rows, [\d.]+ cpu-seconds$", said, re.M)
    assert re.search(r"^lora on q,v: [\d.]+ % on \d+ validation rows, [\d.]+ cpu-seconds$", said, re.M)
    assert "head is kept: lora on q,v finds the labels of validation rows likelier by" in said
    assert "all linear" not in said, "what costs more is not tried where the cheaper gained nothing"
    assert tried.method == "head", "what finds no label likelier beyond the noise is not paid for"
    assert "trained on the processor in" in tried.notes[-1]


def test_auto_climbs_while_each_step_pays(
    task: TaskRecipe, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "ENOUGH_FOR_LORA", 60)
    monkeypatch.setattr(choosing, "LADDER", LADDER)
    answers = iter([(True, "pays"), (False, "does not")])
    monkeypatch.setattr(choosing, "_pays", lambda before, after, y, wanted: next(answers))
    tried = train(rows(200), task=task, settings=TrainRecipe(), seed=0, cache=cache)
    assert "lora on q,v is kept: lora on all linear modules does not" in tried.notes
    assert tried.method == "lora"
    sites = {module for _, module in Delta.from_files(tried.files).factors}
    assert sites == {"attention.self.query", "attention.self.value"}


def test_one_pass_gives_what_two_give(task: TaskRecipe, tmp_path: Path) -> None:
    texts = [f"{e.text} {i}" * (1 + i % 5) for i, e in enumerate(rows(100))]
    apart, together = (prefix_of(task, tmp_path / name) for name in ("apart", "together"))
    together.warm(texts, 2)
    assert np.array_equal(together.pooled(texts), apart.pooled(texts))
    both = zip(together.hidden(texts, 2), apart.hidden(texts, 2), strict=True)
    assert all(np.array_equal(one, other) for one, other in both)
    (tmp_path / "together" / "features").rename(tmp_path / "away")
    assert len(together.pooled(texts)) == 100, "what is kept is not asked for again"
