"""The graph says what transformers says, and an adapter's delta in it what merged weights would."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from serving_parts import SITES, tiny_base, tiny_delta, tiny_tensors

from headrace.errors import ArtifactError, InputError, MissingExtra
from headrace.models.base import BaseFolder, resolve
from headrace.serving import export as exporting
from headrace.serving.deltas import DeltaBank
from headrace.serving.encoder import Encoder
from headrace.serving.export import Precision, export

TEXTS = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11 w12 unknown w13", "", "w1 " * 200]


def of_transformers(base: BaseFolder, texts: list[str], longest: int) -> np.ndarray:
    import torch
    from transformers import AutoModel

    torch.set_num_threads(1)
    model, tokenizer = AutoModel.from_pretrained(base.path).eval(), base.tokenizer(longest)
    rows = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(base.prefix + text).ids])
        with torch.no_grad():
            mean = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)
        rows.append(torch.nn.functional.normalize(mean)[0].numpy())
    return np.stack(rows)


def test_minilm_embeds_as_transformers_does(tmp_path: Path) -> None:
    base = resolve("all-MiniLM-L6-v2", tmp_path)
    texts = [
        "How do I top up my card?",
        "ok",
        "",
        "My card was swallowed by the machine. " * 30,
        "卡被吞了 🙁",
    ]
    encoder = Encoder.open(export(base, longest=128, precision="fp32"))
    ours = encoder.encode(texts).embeddings
    assert np.abs(ours - of_transformers(base, texts, 128)).max() < 1e-4
    padded = encoder.graph.run(encoder.tokenize(texts), np.zeros(5, np.int64), None)
    assert np.abs(ours - padded).max() < 1e-5


def test_roberta_positions_begin_after_the_padding_index(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "roberta"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ours = (
        Encoder.open(export(resolve(str(tmp_path), tmp_path), longest=40, precision="fp32"))
        .encode(TEXTS)
        .embeddings
    )
    assert np.abs(ours - of_transformers(base, TEXTS, 40)).max() < 1e-4


def test_a_big_embedding_table_in_8_bits_hardly_turns_an_embedding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(tmp_path)
    exact, whole = Encoder.open(export(base)).encode(TEXTS).embeddings, len(export(base)["graph.onnx"])
    monkeypatch.setattr(exporting, "BIG_VOCABULARY", 100)
    files = export(base)
    cosine = (Encoder.open(files).encode(TEXTS).embeddings * exact).sum(axis=1)
    assert cosine.min() > 0.999
    assert len(files["graph.onnx"]) < whole - 2 * 124 * 32


def test_a_delta_in_the_bank_equals_merged_weights(tmp_path: Path) -> None:
    base, deltas = (
        tiny_base(tmp_path / "base"),
        {"a": tiny_delta(1), "b": tiny_delta(2, rank=5, sites=SITES[:2])},
    )
    encoder = Encoder.open(export(base, SITES, precision="fp32"))
    bank = DeltaBank(encoder.graph.sites, 5, 4)
    plain = Encoder.open(export(base, precision="fp32")).encode(TEXTS).embeddings
    for name, delta in deltas.items():
        tensors = tiny_tensors()
        for layer, module in delta.factors:
            update = delta.update(layer, module)
            assert update is not None
            tensors[f"encoder.layer.{layer}.{module}.weight"] += update
        weights = tiny_base(tmp_path / name, tensors)
        merged = Encoder.open(export(weights, precision="fp32")).encode(TEXTS).embeddings
        slot = bank.put(delta)
        adapted = encoder.encode(TEXTS, deltas=bank, rows=[slot] * len(TEXTS)).embeddings
        into = export(base, precision="fp32", merged=delta)
        assert np.abs(Encoder.open(into).encode(TEXTS).embeddings - merged).max() < 1e-5
        assert np.abs(adapted - merged).max() < 1e-4
        assert np.abs(adapted - plain).max() > 1e-2
    assert np.abs(encoder.encode(TEXTS).embeddings - plain).max() < 1e-6
    assert np.abs(encoder.encode(TEXTS, deltas=bank, rows=[0] * 5).embeddings - plain).max() < 1e-6


def test_the_same_base_gives_the_same_bytes(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    assert export(base, SITES) == export(base, list(reversed(SITES)))
    assert export(base, precision="fp32") == export(base, precision="fp32")
    said = json.loads(export(base, SITES, longest=9999, prefix="query: ")["base.json"])
    assert said["longest"] == 48
    assert said["prefix"] == "query: "
    assert said["fingerprint"] == base.fingerprint
    assert [tuple(site) for site in said["sites"]] == sorted(SITES)


@pytest.mark.parametrize("site", [(7, "output.dense"), (0, "attention.self.nothing")])
def test_a_site_that_the_base_lacks_is_named(tmp_path: Path, site: tuple[int, str]) -> None:
    with pytest.raises(InputError, match=site[1]):
        export(tiny_base(tmp_path), [site])


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str) -> Any:
        if name == "onnx":
            raise ModuleNotFoundError(name=name)
        return real(name)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(MissingExtra, match=r"headrace\[train\]"):
        export(tiny_base(tmp_path))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def _lose(path: Path) -> None:
    tensors = tiny_tensors()
    del tensors["encoder.layer.1.output.dense.bias"]
    safetensors.numpy.save_file(tensors, path)


@pytest.mark.parametrize("damage", [_cut, _lose])
def test_damaged_weights_are_an_artifact_error(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    base = tiny_base(tmp_path)
    damage(tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        export(base)


@pytest.mark.parametrize("name", ["graph.onnx", "tokenizer.json", "base.json"])
def test_a_damaged_or_missing_file_does_not_open(tmp_path: Path, name: str) -> None:
    files = export(tiny_base(tmp_path))
    with pytest.raises(ArtifactError):
        Encoder.open({**files, name: files[name][:20]})
    with pytest.raises(ArtifactError, match=name):
        Encoder.open({other: content for other, content in files.items() if other != name})
