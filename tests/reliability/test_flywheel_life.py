"""Row 4 of the reliability table: whatever goes wrong, nothing is lost, and when it ends the flywheel goes on."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from life import FAULTS, Life

SEED = int(os.environ.get("HEADRACE_SEED", "7"))


def live(folder: Path, seed: int, turns: int, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A life of at least so many turns with faults, and of three more without."""
    life = Life(folder, seed, monkeypatch)
    draw = random.Random(seed + 1)
    while life.turns < turns:
        life.step(draw.choice(FAULTS) if draw.random() < 0.5 else None)
    life.recover()
    life.settled()
    life.project.close()
    return life


@pytest.mark.parametrize("number", range(8))
def test_a_life_with_faults_loses_nothing_and_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    life = live(tmp_path / "project", SEED + number, 25, monkeypatch)
    assert life.verdicts, life.said
    assert len(life.faults) > 5, life.said


@pytest.mark.torture
@pytest.mark.timeout(0)
def test_ten_thousand_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    for number in range(10**6):
        if turns >= 10_000:
            break
        turns += live(tmp_path / str(number) / "project", SEED + number, 50, monkeypatch).turns
    assert turns >= 10_000
