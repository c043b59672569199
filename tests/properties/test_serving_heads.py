"""Heads scored together, one by one, and as the method that trained them scores: the same numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.models.adapter import Head, eight_bits
from headrace.models.ngrams import NgramOptions, grams
from headrace.serving.arena import Arena
from headrace.serving.heads import Heads

WIDTH, WORDS = 24, 40


def drawn_head(random: np.random.Generator) -> Head:
    """A head of any number of labels and words, dense in 8 bits or not, n-grams of either kind."""
    many = int(random.choice([2, 3, 8, 9, 77, 300]))
    options = NgramOptions(int(random.integers(0, 3)), int(random.integers(0, 3)))
    rows = [np.arange(WORDS, dtype=np.int32)]
    known = np.unique(grams(rows, ["abc def"], options).keys).astype(np.uint16)
    keys = np.sort(random.choice(known, int(random.integers(0, len(known) + 1)), replace=False))
    counts = random.integers(0, min(many, 5), len(keys))
    columns = [np.sort(random.choice(many, count, replace=False)) for count in counts]
    dense = random.standard_normal((WIDTH, many)).astype(np.float32)
    if random.random() < 0.5:
        packed, scale = eight_bits(dense)
        dense = packed * scale
    return Head(
        labels=tuple(f"l{i}" for i in range(many)),
        dense=dense,
        bias=random.standard_normal(many).astype(np.float32),
        embedding_weight=float(np.float32(random.uniform(0.5, 3))),
        keys=keys,
        idf=random.integers(1, 255, len(keys)).astype(np.uint8),
        unseen=int(random.integers(1, 255)),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        columns=np.concatenate([np.zeros(0, np.int64), *columns]).astype(np.uint16),
        weights=random.integers(-127, 128, int(counts.sum())).astype(np.int8),
        scale=random.uniform(0.001, 0.1, many).astype(np.float32),
        ngrams=options,
        temperature=float(random.uniform(0.3, 3)),
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(4, 40))
def test_a_rows_scores_are_its_own_bit_for_bit(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    plain = [drawn_head(random) for _ in range(5)]
    heads = Heads(Arena(8 << 20))
    packed = [heads.pack(head) for head in plain]
    picks = random.integers(0, len(plain), rows)
    embeddings = random.standard_normal((rows, WIDTH)).astype(np.float32)
    ids = [random.integers(0, 2 * WORDS, random.integers(1, 30)).astype(np.int32) for _ in range(rows)]
    texts = ["".join(random.choice(list("abc def"), random.integers(0, 12))) for _ in range(rows)]
    together = heads.probabilities([packed[p] for p in picks], embeddings, texts, ids)
    for row, pick in enumerate(picks):
        part = slice(row, row + 1)
        (alone,) = heads.probabilities([packed[pick]], embeddings[part], texts[part], ids[part])
        assert np.array_equal(together[row], alone), f"seed {seed}, row {row}"
        trained = plain[pick].probabilities(embeddings[part], texts[part], ids[part])[0]
        assert np.abs(alone - trained).max() < 1e-5, f"seed {seed}, row {row}"


def test_no_rows_give_no_scores() -> None:
    assert Heads(Arena(1 << 20)).probabilities([], np.zeros((0, WIDTH), np.float32), [], []) == []
