"""The graph says what transformers says, and an adapter's delta in it what merged weights would."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import safetensors.numpy
from serving_parts import SITES, tiny_base, tiny_delta, tiny_tensors

from headrace.errors import ArtifactError, InputError, MissingExtra
from headrace.models.base import BaseFolder, resolve
from headrace.serving import export as exporting
from headrace.serving import graph
from headrace.serving.deltas import DeltaBank
from headrace.serving.encoder import Encoder
from headrace.serving.export import export

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


def test_int8_stays_near_float_and_is_smaller(tmp_path: Path) -> None:
    base = resolve("all-MiniLM-L6-v2", tmp_path)
    texts = ["How do I top up my card?", "ok", "卡被吞了", "Shares fell 8% after the results. " * 6]
    exact, rounded = (export(base, longest=64, precision=p) for p in ("fp32", "int8"))
    there, here = (Encoder.open(files).encode(texts).embeddings for files in (exact, rounded))
    assert ((there * here).sum(axis=1) > 0.985).all()
    assert len(rounded["graph.onnx"]) < 0.7 * len(exact["graph.onnx"])
    assert [json.loads(files["base.json"])["precision"] for files in (exact, rounded)] == ["fp32", "int8"]


def test_in_int8_a_delta_does_what_it_does_in_float(tmp_path: Path) -> None:
    base, delta = tiny_base(tmp_path), tiny_delta(1)
    own = [" ".join(f"w{(i * j) % 120}" for j in range(1, 12)) for i in range(1, 100)]
    exact, rounded = (Encoder.open(export(base, SITES, precision=p, texts=own)) for p in ("fp32", "int8"))
    for encoder in (exact, rounded):
        bank = DeltaBank(encoder.graph.sites, 3, 2)
        slot = bank.put(delta)
        moved = encoder.encode(TEXTS, deltas=bank, rows=[slot] * len(TEXTS)).embeddings
        still = encoder.encode(TEXTS).embeddings
        if encoder is exact:
            there, far = moved, np.abs(moved - still).max()
    assert np.abs(moved - there).max() < 0.25 * far


def test_calibration_reads_the_texts_given(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    own = [f"w{i} w{i + 1} w{i + 2}" for i in range(100)]
    assert export(base, texts=own) == export(base, texts=own)
    assert export(base, texts=own)["graph.onnx"] != export(base)["graph.onnx"]
    assert export(base, texts=own, precision="fp32") == export(base, precision="fp32")


def test_the_packaged_sample_is_half_chinese() -> None:
    lines = exporting._sample()
    assert len(lines) == len(set(lines)) == 120
    assert sum(any("\u4e00" <= sign <= "\u9fff" for sign in line) for line in lines) == 60


def test_a_processor_that_clips_int8_products_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe holds what it should: its product overflows 16 bits, and is exact in plain arithmetic."""
    onnx = importlib.import_module("onnx")
    probe = onnx.load_from_string(base64.b64decode(graph._PROBE))
    weights = {c.name: onnx.numpy_helper.to_array(c) for c in probe.graph.initializer}
    assert [node.op_type for node in probe.graph.node] == ["MatMulIntegerToFloat"]
    assert weights["w"].tolist() == [[127]] * 8
    assert 2 * 255 * 127 > 2**15
    kept: dict[str, str] = {}

    class Options:
        def add_session_config_entry(self, key: str, value: str) -> None:
            kept[key] = value

    monkeypatch.setattr(ort, "SessionOptions", Options)
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: None)
    for exact, wanted in ((True, None), (False, "1")):
        kept.clear()
        monkeypatch.setattr(graph, "exact_products", lambda exact=exact: exact)
        graph.open_session(b"", threads=1)
        assert kept.get("session.x64quantprecision") == wanted


def test_a_slower_exact_kernel_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = export(tiny_base(tmp_path))
    fast = Encoder.open(files).encode(TEXTS).embeddings
    monkeypatch.setattr(graph, "exact_products", lambda: False)
    assert np.array_equal(Encoder.open(files).encode(TEXTS).embeddings, fast)
