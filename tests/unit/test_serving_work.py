"""The work of a row is counted from the files: layers, delta and head, not the table of words."""

from __future__ import annotations

from pathlib import Path

from serving_parts import SITES, tiny_base, tiny_delta, tiny_head

from headrace.serving.engine import Engine
from headrace.serving.export import export
from headrace.serving.loader import digests_of
from headrace.serving.work import row_work

TEXTS = ["w1 w2 w3", "w4 w5 w6"]  # five tokens each with [CLS] and [SEP]


def work(files: dict[str, bytes], texts: list[str] = TEXTS) -> float:
    return row_work(Engine(), files, digests_of(files), texts)


def test_the_count_is_tokens_times_what_a_token_passes_and_the_head(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    head = {"head.safetensors": tiny_head(base, ["a", "b"], 1).to_bytes()}
    plain = export(base, precision="fp32") | head
    table = (120 + 4) * 32 * 4
    passed = len(plain["graph.onnx"]) - table
    assert work(plain) == 5 * passed + len(head["head.safetensors"])
    assert work(plain, ["w1 w2 w3 w4 w5 w6 w7 w8"]) == 10 * passed + len(head["head.safetensors"])
    assert work(plain, []) == 0
    assert work(export(base) | head) < work(plain), "int8 weighs less"


def test_a_delta_costs_more(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    bare = export(base, SITES) | {"head.safetensors": tiny_head(base, ["a", "b"], 1).to_bytes()}
    delta = tiny_delta(1).to_files()
    head = tiny_head(base, ["a", "b"], 1, delta=True).to_bytes()
    more = bare | delta | {"head.safetensors": head}
    weights = len(delta["adapter_model.safetensors"])
    assert work(more) - len(head) == work(bare) - len(bare["head.safetensors"]) + 5 * weights
