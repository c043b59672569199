"""Scores of training examples in which an example's own label had no part, without training again.

Ridge regression to one-hot labels has its leave-one-out predictions in closed form (Allen 1974, PRESS); a
softmax with a fitted temperature (Guo et al. 2017) makes probabilities of them. An adapter's scores of the rows
that it was trained on would look surer than it is of new questions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_RIDGES = (0.1, 0.3, 1.0, 3.0)
_TEMPERATURES = np.geomspace(0.02, 0.5, 14)
_BIAS = 0.3


def held_out_scores(features: Floats, y: NDArray[np.intp], classes: int) -> Floats:
    """[n, K] probabilities of examples with `features` [n, d] and class numbers `y` [n].

    The ridge and the temperature are those with the least log-loss of the predictions.
    """
    inputs = np.hstack([features, np.full((len(features), 1), _BIAS, np.float32)])
    squared, vectors = np.linalg.eigh((inputs.T @ inputs).astype(np.float64))
    turned = inputs @ vectors.astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[y]
    products = np.asarray(turned.T @ targets, dtype=np.float32)
    tried = [_tried(turned, products, targets, np.maximum(squared, 0) + ridge, y) for ridge in _RIDGES]
    return min(tried, key=lambda found: found[0])[1]


def _tried(
    turned: Floats, products: Floats, targets: Floats, scale: NDArray[np.float64], y: NDArray[np.intp]
) -> tuple[float, Floats]:
    """Log-loss and probabilities at one ridge and its best temperature."""
    shrunk = turned / scale.astype(np.float32)
    leverage = (shrunk * turned).sum(1, keepdims=True)
    left_out = (shrunk @ products - leverage * targets) / np.maximum(1 - leverage, np.float32(1e-3))
    losses = [_loss(left_out, float(t), y) for t in _TEMPERATURES]
    best = int(np.argmin(losses))
    return losses[best], np.exp(_log_softmax(left_out / np.float32(_TEMPERATURES[best])))


def _loss(predicted: Floats, temperature: float, y: NDArray[np.intp]) -> float:
    return -float(_log_softmax(predicted / np.float32(temperature))[np.arange(len(y)), y].mean())


def _log_softmax(logits: Floats) -> Floats:
    moved = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(axis=1, keepdims=True)), dtype=np.float32)
