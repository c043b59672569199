"""Bases by name, the packaged ones decoded, and what is said where there is none."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_base import make_tiny_base

from headrace.errors import ArtifactError, MissingExtra, NotFound
from headrace.models import packaged
from headrace.models.base import resolve, tokenise
from headrace.models.prefix_torch import Prefix


def test_an_unknown_name_is_told_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"Did you mean 'all-MiniLM-L6-v2'\? Known: .*multilingual-e5-small"):
        resolve("all-MiniLM-L6-v3", tmp_path)


def test_a_hub_id_that_cannot_be_had_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Known: all-MiniLM-L6-v2"):
        resolve("nobody/no-such-base", tmp_path)


def test_a_packaged_base_that_is_not_installed_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"headrace\[demo\]"):
        resolve("multilingual-e5-small", tmp_path)


def test_a_folder_is_a_base(tmp_path: Path) -> None:
    base = resolve(str(make_tiny_base(tmp_path / "tiny")), tmp_path)
    assert (base.width, base.layers, base.prefix, base.pooling) == (32, 2, "", "mean")
    other = resolve(str(make_tiny_base(tmp_path / "other", seed=1)), tmp_path)
    assert base.fingerprint != other.fingerprint
    ids = tokenise(base.tokenizer(8), ["How do I pay my card?", "太慢，难吃"])
    assert [len(one) for one in ids] == [8, 7]
    assert 1 not in np.concatenate(ids), "the tiny tokenizer knows English and Chinese"


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_says_which(tmp_path: Path, file: str) -> None:
    folder = make_tiny_base(tmp_path / "tiny")
    (folder / file).unlink()
    with pytest.raises(ArtifactError, match=file):
        resolve(str(folder), tmp_path)


def test_a_folder_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = make_tiny_base(tmp_path / "tiny")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), "utf-8")
    with pytest.raises(ArtifactError, match=r"'gpt2'.*bert, roberta"):
        resolve(str(folder), tmp_path)


def test_a_damaged_tokenizer_or_config_is_our_error(tmp_path: Path) -> None:
    folder = make_tiny_base(tmp_path / "tiny")
    (folder / "tokenizer.json").write_bytes(b"{")
    with pytest.raises(ArtifactError, match="tokenizer"):
        resolve(str(folder), tmp_path).tokenizer(8)
    (folder / "config.json").write_bytes(b"[1]")
    with pytest.raises(ArtifactError, match="JSON object"):
        resolve(str(folder), tmp_path)


def test_multilingual_e5_is_decoded_once_and_knows_what_means_the_same(tmp_path: Path) -> None:
    base = resolve("intfloat/multilingual-e5-small", tmp_path)
    assert (base.name, base.prefix, base.width, base.layers) == ("multilingual-e5-small", "query: ", 384, 12)
    ids = tokenise(base.tokenizer(128), ["打开我的浏览器"], base.prefix)
    assert ids[0].tolist() == [0, 41, 1294, 12, 6, 55308, 6688, 212576, 2]
    stat = (base.path / "model.safetensors").stat()
    assert resolve("multilingual-e5-small", tmp_path).path == base.path
    assert (base.path / "model.safetensors").stat() == stat, "not decoded twice"
    assert not list(base.path.parent.glob(".*")), "nothing temporary stays"
    texts = ["Where is my parcel?", "我的包裹在哪里？", "How do I cook rice?"]
    parcel, same, other = Prefix(base, 128, base.prefix, tmp_path).pooled(texts)
    assert parcel @ same > parcel @ other + 0.05


def test_a_damaged_package_file_is_our_error(tmp_path: Path) -> None:
    source = tmp_path / "e5-small-q4.bin"
    for data in (b"", b"E5S1", b"E5S1" + bytes(200), b"XXXX" + bytes(200)):
        source.write_bytes(data)
        with pytest.raises(ArtifactError, match="damaged"):
            packaged.decoded(source, "multilingual-e5-small", tmp_path / "cache", packaged._write)
    assert not list((tmp_path / "cache" / "bases").iterdir())


def test_models_are_read_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import headrace.models.adapter, headrace.models.delta, headrace.models.base, headrace.models.joint\n"
        "from headrace import plugins\n"
        "assert plugins.options('methods', 'lora').__name__ == 'Options'\n"
        "plugins.load('methods', 'head')\n"
        "try: plugins.load('methods', 'lora')\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "MissingExtra"


def test_the_pooled_embedding_is_the_mean_of_transformers_last_states(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    from headrace.models.encoder_torch import Encoder, mean_pool

    base = resolve(str(make_tiny_base(tmp_path / "tiny", layers=3)), tmp_path)
    ids = torch.tensor([[2, 5, 9, 3, 0], [2, 60, 61, 62, 3]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool()
    ours = Encoder.load(base, torch.float32)
    states = ours.run(ours.embed(ids), mask, 0, 3)
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(base.path)(input_ids=ids, attention_mask=mask.long())
    assert torch.allclose(states[mask], theirs.last_hidden_state[mask], atol=1e-5)
    assert np.allclose(mean_pool(states, mask)[1].numpy(), states[1].mean(0).numpy(), atol=1e-6)
