"""What the benchmarks stand on: paired rounds, synthetic channels, lines of peers, pictures; no timing."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from benchmarks import environments, plots, synthetic, timing, traffic
from headrace.models.adapter import Head
from headrace.models.delta import Delta
from headrace.models.ngrams import NgramOptions, grams

TEXTS = [f"alpha beta{i} gamma{i % 7} delta" for i in range(60)]


@pytest.fixture
def words() -> synthetic.Words:
    random = np.random.default_rng(0)
    ids = [random.integers(0, 3000, 14).astype(np.int32) for _ in range(2000)]
    return synthetic.Words.of(ids)


@pytest.fixture
def tokenizer() -> Tokenizer:
    names = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: i for i, word in enumerate(["[CLS]", "[SEP]", "[UNK]", *names])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    return made


def test_each_round_asks_every_side_once_and_the_order_turns() -> None:
    order: list[str] = []

    def side(name: str) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    found = timing.paired({"a": side("a"), "b": side("b")}, rounds=2)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [4.0, 5.0], "b": [3.0, 6.0]}
    assert timing.ratios(found["a"], found["b"]) == [4 / 3, 5 / 6]


def test_a_figure_is_the_median_and_a_quick_run_leaves_its_target_open() -> None:
    full = timing.median_figure("x", [1.0, 2.0, 9.0], "x", "cmd", timing.at_least(2))
    quick = timing.median_figure("x", [1.0, 2.0, 9.0], "x", "cmd", timing.at_least(2), judged=False)
    missed = timing.median_figure("x", [1.0, 2.0, 9.0], "x", "cmd", timing.at_most(1.5))
    assert (full.value, full.holds, full.target, full.n) == (2.0, True, ">= 2", 3)
    assert (quick.holds, missed.holds) == (None, False)


def test_texts_are_cut_to_exactly_that_many_tokens(tokenizer: Tokenizer) -> None:
    for tokens in (5, 12):
        cut = synthetic.cut_texts(tokenizer, TEXTS, tokens, 40)
        assert {len(tokenizer.encode(text).ids) for text in cut} == {tokens}
        assert len(set(cut)) == 40


def test_texts_that_do_not_suffice_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="of 5 tokens, not 1000"):
        synthetic.cut_texts(tokenizer, TEXTS, 5, 1000)


def test_heads_are_like_trained_ones_and_differ(words: synthetic.Words) -> None:
    first, second = synthetic.make_heads(2, words, labels=77, width=384)
    assert Head.from_bytes(first.to_bytes()).to_bytes() == first.to_bytes()
    assert first.to_bytes() != second.to_bytes()
    assert first.to_bytes() == next(synthetic.make_heads(1, words)).to_bytes()
    assert 7000 < len(first.keys) < 8700
    assert 19_000 < len(first.weights) <= 20_000
    assert len(first.to_bytes()) < 120_000


def test_a_heads_words_occur_in_the_texts(words: synthetic.Words) -> None:
    head = next(synthetic.make_heads(1, words))
    random = np.random.default_rng(0)
    seen = grams([random.integers(0, 3000, 14).astype(np.int32)], [""], NgramOptions())
    assert np.isin(head.keys, words.keys).all()
    assert np.isin(seen.keys, head.keys).mean() > 0.05


def test_a_delta_changes_its_sites_alone() -> None:
    sites = [(4, "attention.self.query"), (5, "intermediate.dense"), (5, "output.dense")]
    delta = synthetic.make_delta(np.random.default_rng(0), sites, 16, 64)
    assert sorted(delta.factors) == sites
    assert [delta.factors[site][0].shape for site in sites] == [(8, 16), (8, 16), (8, 64)]
    assert delta.factors[5, "intermediate.dense"][1].shape == (64, 8)
    assert Delta.from_files(delta.to_files()).factors.keys() == delta.factors.keys()


def test_popular_channels_follow_zipfs_law() -> None:
    asked = traffic.asks(TEXTS, 100, 1.0, 20_000, seed=1)
    counts = np.sort(np.unique([ask.channel for ask in asked], return_counts=True)[1])[::-1]
    expected = 20_000 / np.sum(1 / np.arange(1, 101))
    assert counts[0] == pytest.approx(expected, rel=0.1)
    assert counts[9] == pytest.approx(expected / 10, rel=0.25)
    assert asked != traffic.asks(TEXTS, 100, 1.0, 20_000, seed=2)


def test_every_peer_names_exact_versions_and_torch_first() -> None:
    for name in environments.names():
        lines = (environments.PEERS / f"{name}.txt").read_text("utf-8").split("\n")
        listed = [line for line in lines if line and not line.startswith("#")]
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[A-Za-z0-9.]+", line) for line in listed), (
            name
        )
        torch = [line for line in listed if line.startswith("torch==")]
        assert torch in ([], ["torch==2.13.0"]), name
        assert environments.versions(name)


def test_an_environment_that_nobody_lists_is_named() -> None:
    with pytest.raises(environments.PeerMissing, match=r"there is no nobody\.txt; known: "):
        environments.environment("nobody")


@pytest.fixture
def peer_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A peer of no packages, whose environment is this Python."""
    (tmp_path / "lines.py").write_bytes((environments.PEERS / "lines.py").read_bytes())
    (tmp_path / "own.txt").write_text("# nothing\n")
    (tmp_path / "own.py").write_text(
        "from lines import serve\n"
        "def double(x):\n    print('noise')\n    return {'twice': 2 * x}\n"
        "serve({'double': double})\n"
    )
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    monkeypatch.setenv("HEADRACE_PEERS", str(tmp_path / "made"))
    stamp = hashlib.sha256((tmp_path / "own.txt").read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = tmp_path / "made" / f"own-{stamp}"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / environments.READY).write_text("")
    return "own"


def test_a_peer_answers_line_by_line_whatever_it_prints(peer_of_ours: str) -> None:
    with environments.Peer(peer_of_ours) as peer:
        assert peer.ask({"do": "double", "x": 21}) == {"twice": 42}
        with pytest.raises(environments.PeerFailed, match="own: "):
            peer.ask({"do": "missing"})
        assert peer.ask({"do": "double", "x": 2}) == {"twice": 4}


def test_a_peer_that_ended_is_named(peer_of_ours: str) -> None:
    (environments.PEERS / "own.py").write_text("raise SystemExit(3)\n")
    with environments.Peer(peer_of_ours) as peer, pytest.raises(environments.PeerFailed, match="status 3"):
        peer.ask({"do": "double", "x": 1})


def test_a_margin_says_how_many_times_better_than_asked() -> None:
    figures = [
        {"name": "a", "value": 30.0, "unit": "x", "interval": (20.0, 40.0), "target": ">= 15"},
        {"name": "b", "value": 100.0, "unit": "ms", "interval": None, "target": "<= 50"},
        {"name": "c", "value": 1.0, "unit": "x", "interval": None, "target": None},
    ]
    first, second = plots.margins(figures)
    assert (first["margin"], first["result"]) == (2.0, "reached")
    assert (second["margin"], second["result"]) == (0.5, "short")
    drawn = plots.svg("serving", {"figures": figures, "processor": "one", "date": "2026-01-01T00:00:00"})
    assert "100 ms" in drawn
    assert drawn.startswith("<svg")
