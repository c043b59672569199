"""PEFT's LoRA folders load here, and ours load in PEFT: the same last hidden states, not the bare base's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from headrace.models.base import BaseFolder, resolve, tokenise
from headrace.models.delta import CONFIG_FILE, MODULES, WEIGHTS_FILE, Delta
from headrace.models.encoder_torch import Encoder, factors_of

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
TEXTS = ["How do I return my order?", "Where is it", "The second parcel never arrived, what now?"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseFolder:
    return resolve("all-MiniLM-L6-v2", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def batch(base: BaseFolder) -> tuple[Tensor, Tensor]:
    ids = tokenise(base.tokenizer(32), TEXTS)
    padded, mask = torch.zeros(3, 16, dtype=torch.long), torch.zeros(3, 16, dtype=torch.bool)
    for row, one in enumerate(ids):
        padded[row, : len(one)] = torch.from_numpy(one.astype(np.int64))
        mask[row, : len(one)] = True
    return padded, mask


@pytest.fixture(scope="module")
def encoder(base: BaseFolder) -> Encoder:
    return Encoder.load(base, torch.float32)


def ours(encoder: Encoder, batch: tuple[Tensor, Tensor], delta: Delta | None) -> Tensor:
    with_it = encoder.merged(factors_of(delta), delta.scaling) if delta else encoder
    with torch.no_grad():
        return with_it.run(encoder.embed(batch[0]), batch[1], 0, 6)[batch[1]]


def theirs(base: BaseFolder, batch: tuple[Tensor, Tensor], folder: Path) -> Tensor:
    model = transformers.AutoModel.from_pretrained(base.path, dtype=torch.float32)
    tuned = peft.PeftModel.from_pretrained(model, str(folder)).eval()
    with torch.no_grad():
        states = tuned(input_ids=batch[0], attention_mask=batch[1].long()).last_hidden_state
    found: Tensor = states[batch[1]]
    return found


def check(one: Tensor, other: Tensor, bare: Tensor) -> None:
    assert (one - other).abs().max() < 1e-5
    assert (one - bare).abs().max() > 1e-3


@pytest.mark.parametrize("rslora", [False, True])
def test_ours_loads_in_peft(
    base: BaseFolder, encoder: Encoder, batch: tuple[Tensor, Tensor], tmp_path: Path, rslora: bool
) -> None:
    random = np.random.default_rng(1)
    factors = {}
    for layer in (4, 5):
        for module in MODULES:
            rows, columns = encoder.weights[f"encoder.layer.{layer}.{module}.weight"].shape
            rank = 4 if module == "output.dense" else 8
            a, b = random.normal(0, 0.05, (rank, columns)), random.normal(0, 0.05, (rows, rank))
            factors[layer, module] = (a.astype(np.float32), b.astype(np.float32))
    delta = Delta(factors, 2.0, base.name, rslora)
    for name, data in delta.to_files().items():
        (tmp_path / name).write_bytes(data)
    check(ours(encoder, batch, delta), theirs(base, batch, tmp_path), ours(encoder, batch, None))


@pytest.mark.parametrize(
    "given",
    [
        {"r": 8, "target_modules": ["query", "value"], "layers_to_transform": [4, 5], "lora_alpha": 16},
        {"r": 4, "target_modules": "all-linear", "use_rslora": True, "lora_alpha": 8},
        {
            "r": 4,
            "target_modules": ["query", "dense"],
            "rank_pattern": {"query": 2},
            "alpha_pattern": {"query": 9},
        },
    ],
)
def test_peft_loads_here(
    base: BaseFolder, encoder: Encoder, batch: tuple[Tensor, Tensor], tmp_path: Path, given: dict[str, object]
) -> None:
    torch.manual_seed(0)
    model = transformers.AutoModel.from_pretrained(base.path, dtype=torch.float32, add_pooling_layer=False)
    tuned = peft.get_peft_model(model, peft.LoraConfig(init_lora_weights=False, **given))
    tuned.save_pretrained(str(tmp_path))
    delta = Delta.from_files({name: (tmp_path / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)})
    check(ours(encoder, batch, delta), theirs(base, batch, tmp_path), ours(encoder, batch, None))
    assert delta.lowest == (4 if "layers_to_transform" in given else 0)
