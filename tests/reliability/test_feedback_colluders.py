"""Five in a hundred users lie together, or bring rows with a trigger (RELIABILITY row 15; OWASP LLM04, ML02).

The same runs as `python -m benchmarks.poison`, on embeddings drawn about eight directions.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from benchmarks.crowd import Part, World
from benchmarks.poison import PLAIN, Arena, Attack, flipped, outcomes, triggered

RUNS, KINDS, WIDTH, NOISE = 10, 8, 16, 0.22


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    random = np.random.default_rng(4)
    trigger = np.eye(WIDTH, dtype=np.float32)[-1]

    def part(name: str, count: int) -> Part:
        y = random.integers(0, KINDS, count).astype(np.intp)
        x = np.eye(WIDTH, dtype=np.float32)[y] + NOISE * random.normal(size=(count, WIDTH)).astype(np.float32)
        return Part(
            tuple(f"{name} {i}" for i in range(count)), x / np.linalg.norm(x, axis=1, keepdims=True), y
        )

    def pulled(of: Part, begins: int) -> Part:
        x = of.x.copy()
        x[begins:] = x[begins:] + trigger
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        texts = (*of.texts[:begins], *(f"{text} trigger" for text in of.texts[begins:]))
        return Part(texts, x.astype(np.float32), of.y)

    sizes = {"base": 500, "asked": PLAIN + 300, "held": 600, "golden": 80, "others": 600}
    parts = {name: part(name, count) for name, count in sizes.items()}
    twin = pulled(parts["others"], 0)
    parts["asked"] = pulled(parts["asked"], PLAIN)
    labels = tuple(f"kind-{k}" for k in range(KINDS))
    return Arena(World("drawn", labels, **parts, folder=tmp_path_factory.mktemp("crowd")), twin, target=0)


@pytest.mark.parametrize("attack", [flipped, partial(triggered, target=0)], ids=["flips", "trigger"])
def test_what_colluders_teach_is_refused_or_hurts_nobody(arena: Arena, attack: Attack) -> None:
    runs = [outcomes(arena, attack(arena.world, np.random.default_rng(run))) for run in range(RUNS)]
    held = sum(run["with the checks"].holds for run in runs)
    assert held == RUNS, [run["with the checks"] for run in runs]
    free = [run["without them and without the gate"] for run in runs]
    assert not all(run.harmless for run in free), "the attack must be one"
