"""The encoder's two ways through a layer agree, and every tensor is made where the weights are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_base import make_tiny_base

from headrace.models.base import BaseFolder, resolve
from headrace.models.delta import MODULES
from headrace.models.encoder_torch import Encoder, Factors, fast_device, fast_dtype


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseFolder:
    folder = tmp_path_factory.mktemp("base")
    return resolve(str(make_tiny_base(folder / "tiny")), folder)


def factors(encoder: Encoder, size: float = 0.1) -> Factors:
    found = {}
    draw = torch.Generator().manual_seed(0)
    for module in MODULES:
        rows, columns = encoder.weights[f"encoder.layer.1.{module}.weight"].shape
        a, b = (torch.randn(shape, generator=draw) * size for shape in ((2, columns), (rows, 2)))
        found[1, module] = (a.to(encoder.device), b.to(encoder.device))
    return found


def batch(length: int, encoder: Encoder) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 60, (3, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones(3, length, dtype=torch.bool)
    mask[1, length // 2 :] = False
    return ids.to(encoder.device), mask.to(encoder.device)


@pytest.mark.parametrize("length", [7, 8, 16, 24])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.skipif(fast_dtype() != torch.bfloat16, reason="packed weights are for bfloat16 processors")
def test_frozen_and_trained_layers_agree(base: BaseFolder, length: int, activation: str) -> None:
    loaded = Encoder.load(base, torch.bfloat16)
    plain = Encoder(loaded.weights, loaded.heads, loaded.epsilon, loaded.first_position, activation)
    pairs = factors(plain)
    merged = plain.merged(pairs, 2.0)
    ids, mask = batch(length, plain)
    with torch.no_grad():
        states = plain.embed(ids)
        frozen = merged.run(states, mask, 0, base.layers)[mask].float()
        trained = merged.run(states, mask, 0, base.layers, pairs, 2.0)[mask].float()
        bare = plain.run(states, mask, 0, base.layers)[mask].float()
    assert (frozen - trained).abs().max() < 0.1
    assert (frozen - trained).abs().mean() < 0.01
    assert (frozen - bare).abs().mean() > 0.05, "the factors do something"


def test_gradients_reach_the_factors_and_nothing_else(base: BaseFolder) -> None:
    encoder = Encoder.load(base, torch.float32)
    pairs = factors(encoder)
    leaves = [leaf.requires_grad_() for pair in pairs.values() for leaf in pair]
    with torch.no_grad():
        merged = encoder.merged(pairs, 2.0)
    ids, mask = batch(9, encoder)

    def loss() -> torch.Tensor:
        with torch.no_grad():
            now = encoder.merged(pairs, 2.0)
        return now.run(encoder.embed(ids), mask, 1, base.layers, pairs, 2.0)[mask].square().mean()

    found = torch.autograd.grad(loss(), leaves)
    at = leaves[0]
    with torch.no_grad():
        before = float(loss())
        at[0, 0] += 1e-2
        after = float(loss())
    assert after - before == pytest.approx(1e-2 * float(found[0][0, 0]), rel=0.2, abs=1e-5)
    assert not any(weight.requires_grad for weight in merged.weights.values())


def test_no_tensor_is_made_elsewhere_than_the_weights_are(base: BaseFolder) -> None:
    encoder = Encoder.load(base, torch.bfloat16, "meta")
    ids, mask = batch(16, encoder)
    pairs = factors(encoder)
    merged = encoder.merged(pairs, 2.0)
    for given in (None, pairs):
        states = merged.run(merged.embed(ids), mask, 0, base.layers, given, 2.0)
        assert states.device.type == "meta"
        assert states.shape == (3, 16, base.width)


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert fast_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fast_device().type == "cpu"
