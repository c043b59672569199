"""benchmarks.training: which set-up is compared with which peer, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.timing import at_least
from benchmarks.training import RESULTS, SETUPS, Cost, against_peers, cheapest, ratio
from benchmarks.training_peers import Run, best_of, channel_name, read_runs, timed_channels, write_runs
from benchmarks.training_plot import draw
from benchmarks.training_sets import CHANNELS, SETS
from headrace import plugins

CHEAP = Cost("head", (10.0, 12.0, 11.0), (92.0, 92.0, 92.0), (93.0, 93.2, 93.4))
DEAR = Cost("best", (110.0,), (93.0,), (94.2,))
LOOP = Run("peft_tuned", "banking77", "top 2 layers", 110.0, 93.0, 93.4, 2)
HEAD = Run("sentence_head", "banking77", "", 33.0, 92.0, 92.6, 1)


def test_the_cheapest_that_is_accurate_enough_is_compared() -> None:
    assert cheapest([DEAR, CHEAP], 93.1) == CHEAP
    assert cheapest([DEAR, CHEAP], 94.0) == DEAR
    assert cheapest([DEAR, CHEAP], 95.0) is None


def test_ratios_say_how_many_times_a_peer_costs() -> None:
    figures = against_peers(SETS[0], [CHEAP, DEAR], [LOOP, HEAD], "run")
    ratios = {figure.name: (figure.value, figure.holds) for figure in figures if figure.unit == "x"}
    assert ratios == {
        "banking77: peft_tuned over ours that reaches 93.1 % (ours: head)": (10.0, True),
        "banking77: sentence_head over ours that reaches its 92.60 % (ours: head)": (3.0, True),
    }
    (short,) = ratio("x", None, 110.0, at_least(3), "run")
    assert short.value == 0
    assert short.holds is False, "who does not reach the accuracy has no speed"
    assert ratio("x", CHEAP, None, at_least(3), "run") == [], "a peer that has not run is not guessed"


def test_the_better_of_a_peers_settings_counts() -> None:
    other = Run("peft_tuned", "banking77", "all layers", 190.0, 93.0, 93.6, 1)
    assert best_of([LOOP, other], "peft_tuned") == other
    assert best_of([LOOP], "setfit") is None


def test_runs_survive_their_file(tmp_path: Path) -> None:
    write_runs(tmp_path / "peers.json", [LOOP, HEAD], ["setfit: no"])
    assert read_runs(tmp_path / "peers.json") == [LOOP, HEAD]
    assert read_runs(tmp_path / "none.json") == []


def test_channels_are_compared_where_every_kind_of_them_has_run() -> None:
    runs = [
        Run("peft_tuned", channel_name(n), "", 10.0 * (n + 1), 90.0, 0.0, 1) for n in range(len(CHANNELS))
    ]
    assert timed_channels(runs) == pytest.approx((10 * 4 + 20 * 4 + 30 * 2) / 10)
    assert timed_channels(runs[:2]) is None


def test_the_picture_shows_ours_and_the_peers() -> None:
    svg = draw({"banking77": [("head", 11.0, 93.2), ("best", 110.0, 94.2)]}, [LOOP, HEAD])
    for said in ("head", "best", "top 2 layers", "sentence_head"):
        assert said in svg


def test_every_setup_is_a_recipe_and_every_stored_run_can_be_read() -> None:
    for method, options in SETUPS.values():
        if method != "auto":
            plugins.options("methods", method).model_validate(dict(options))
    assert all(run.cpu_s > 0 for run in read_runs(RESULTS / "training_peers.json"))
