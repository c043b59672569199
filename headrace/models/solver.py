"""Limited-memory BFGS (Liu and Nocedal 1989) in float32, with Armijo backtracking; no torch.

Some ten times faster on the joint head than a general solver in float64, and as accurate: the optimum is
flat where float32 stops seeing it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs

Floats = NDArray[np.float32]
Objective = Callable[[Floats], tuple[float, Floats]]
MEMORY = 6
_add: Callable[..., Floats] = get_blas_funcs("axpy", dtype=np.float32)


@dataclass
class _Curvature:
    """The last steps and how the gradient changed along them; `widths` guesses the inverse Hessian's diagonal."""

    widths: Floats
    steps: list[Floats] = field(default_factory=list)
    changes: list[Floats] = field(default_factory=list)

    def direction(self, gradient: Floats) -> Floats:
        """Minus the inverse Hessian's estimate times the gradient (two-loop recursion)."""
        q, kept = gradient.copy(), []
        for step, change in zip(reversed(self.steps), reversed(self.changes), strict=True):
            share = float(step @ q) / float(step @ change)
            q = _add(change, q, a=-share)
            kept.append(share)
        if self.steps:
            last, change = self.steps[-1], self.changes[-1]
            q *= self.widths
            q *= np.float32(float(last @ change) / float(change @ (self.widths * change)))
        else:
            q *= self.widths
            q *= np.float32(10 / max(1e-12, float(np.linalg.norm(q))))
        for step, change, share in zip(self.steps, self.changes, reversed(kept), strict=True):
            q = _add(step, q, a=share - float(change @ q) / float(step @ change))
        return -q

    def learn(self, step: Floats, change: Floats) -> None:
        if float(step @ change) > 1e-10:
            self.steps = [*self.steps[1 - MEMORY :], step]
            self.changes = [*self.changes[1 - MEMORY :], change]


def minimise(
    objective: Objective, start: Floats, widths: Floats, *, rounds: int = 60, tolerance: float = 1e-4
) -> Floats:
    """The point where `objective` (value and gradient) is least, from `start`.

    `widths`, of the point's shape, guesses the inverse Hessian's diagonal up to a factor. Stops after
    `rounds`, where the gradient's norm fell to `tolerance` of the first, or where a round gains less than
    1e-5 of the value.
    """
    point, curvature = start, _Curvature(widths)
    value, gradient = objective(point)
    enough = tolerance * float(np.linalg.norm(gradient))
    for _ in range(rounds):
        if float(np.linalg.norm(gradient)) <= enough:
            break
        step, next_value, next_gradient = _search(objective, point, value, gradient, curvature)
        gained = value - next_value
        if gained <= 0:
            break
        curvature.learn(step, next_gradient - gradient)
        point, value, gradient = point + step, next_value, next_gradient
        if gained < 1e-5 * abs(value):
            break
    return point


def _search(
    objective: Objective, point: Floats, value: float, gradient: Floats, curvature: _Curvature
) -> tuple[Floats, float, Floats]:
    direction = curvature.direction(gradient)
    slope, length = float(gradient @ direction), 1.0
    for _ in range(20):
        step = np.asarray(np.float32(length) * direction, dtype=np.float32)
        next_value, next_gradient = objective(np.asarray(point + step, dtype=np.float32))
        if next_value <= value + 1e-4 * length * slope:
            break
        length *= 0.4
    return step, next_value, next_gradient
