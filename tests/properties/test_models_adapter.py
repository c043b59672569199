"""The head's file and its arithmetic: identical after a round trip, refused when damaged, row by row."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from headrace.errors import ArtifactError
from headrace.models.adapter import Head, eight_bits
from headrace.models.delta import CONFIG_FILE, MODULES, WEIGHTS_FILE, Delta
from headrace.models.joint import _Problem, _under_mask
from headrace.models.ngrams import NgramOptions, grams
from headrace.models.solver import minimise

TEXT = st.text(max_size=12)
IDS = st.lists(st.integers(0, 30000), min_size=2, max_size=9)


def make_head(seed: int, labels: int = 5, keys: int = 40, *, packed: bool = True) -> Head:
    random = np.random.default_rng(seed)
    dense = random.normal(size=(8, labels)).astype(np.float32)
    if packed:
        whole, scale = eight_bits(dense)
        dense = whole * scale
    filled = random.random((keys, labels)) < 0.5
    rows, columns = np.nonzero(filled)
    return Head(
        labels=tuple(f"标签 {number}" for number in range(labels)),
        dense=dense,
        bias=random.normal(size=labels).astype(np.float32),
        embedding_weight=1.25,
        keys=np.sort(random.choice(1 << 16, keys, replace=False)).astype(np.uint16),
        idf=random.integers(16, 200, keys).astype(np.uint8),
        unseen=200,
        starts=np.searchsorted(rows, np.arange(keys + 1)).astype(np.int32),
        columns=columns.astype(np.uint16),
        weights=random.integers(-127, 128, len(rows)).astype(np.int8),
        scale=random.random(labels).astype(np.float32),
        ngrams=NgramOptions(2, 3),
        temperature=0.7,
        base="b",
    )


def same(one: Head, other: Head) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(Head)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 77, 300]), st.sampled_from([0, 1, 50]), st.booleans())
def test_save_then_load_is_identical(seed: int, labels: int, keys: int, packed: bool) -> None:
    head = make_head(seed, labels, keys, packed=packed)
    data = head.to_bytes()
    again = Head.from_bytes(data)
    assert same(head, again)
    assert (b"dense_scale" in data) is packed, "8 bits where that loses nothing"
    assert again.to_bytes() == data


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.binary(min_size=1, max_size=4), st.booleans())
def test_damaged_bytes_are_our_error_or_a_head(seed: int, at: int, junk: bytes, cut: bool) -> None:
    data = make_head(seed % 5).to_bytes()
    place = at % len(data)
    damaged = data[:place] if cut else data[:place] + junk + data[place + len(junk) :]
    try:
        head = Head.from_bytes(damaged)
    except ArtifactError:
        return
    logits = head.logits(np.ones((1, 8), np.float32), ["a"], [np.array([1, 2], np.int32)])
    assert logits.shape == (1, len(head.labels))


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"{}", bytes(8) + b"{}", b"\x02" + bytes(7) + b"[]"])
def test_foreign_bytes_are_our_error(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="no head of Headrace"):
        Head.from_bytes(data)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, IDS), min_size=1, max_size=6), st.integers(0, 10**6))
def test_a_row_alone_scores_as_among_others(rows: list[tuple[str, list[int]]], seed: int) -> None:
    head = make_head(seed, keys=20000)
    embeddings = np.random.default_rng(seed).normal(size=(len(rows), 8)).astype(np.float32)
    texts, ids = [text for text, _ in rows], [np.array(one, np.int32) for _, one in rows]
    together = head.logits(embeddings, texts, ids)
    words = head.word_logits(texts, ids)
    for i in range(len(rows)):
        assert np.array_equal(head.word_logits([texts[i]], [ids[i]])[0], words[i])
        alone = head.logits(embeddings[i : i + 1], [texts[i]], [ids[i]])[0]
        assert np.allclose(alone, together[i], atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(TEXT, IDS), min_size=1, max_size=4), st.integers(0, 10**6))
def test_word_logits_are_what_their_definition_says(rows: list[tuple[str, list[int]]], seed: int) -> None:
    head = make_head(seed, keys=20000)
    texts, ids = [text for text, _ in rows], [np.array(one, np.int32) for _, one in rows]
    found = grams(ids, texts, head.ngrams)
    table = {int(key): v for v, key in enumerate(head.keys)}
    expected = np.zeros((len(rows), len(head.labels)))
    for row in range(len(rows)):
        at_row = found.rows == row
        mine = zip(found.keys[at_row].tolist(), found.times[at_row].tolist(), strict=True)
        idf = {key: int(head.idf[v]) for key, v in table.items()}
        weights = {k: (1 + math.log(n)) * idf.get(k, head.unseen) / 16 for k, n in mine}
        norm = math.sqrt(sum(w * w for w in weights.values()))
        for key, weight in weights.items():
            if key in table:
                for at in range(head.starts[table[key]], head.starts[table[key] + 1]):
                    label = head.columns[at]
                    expected[row, label] += weight / norm * head.weights[at] * head.scale[label]
    assert np.allclose(head.word_logits(texts, ids), expected, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=5), st.integers(1, 3))
def test_grams_count_every_ngram_of_a_row(rows: list[list[int]], longest: int) -> None:
    found = grams([np.array(one, np.int32) for one in rows], [""] * len(rows), NgramOptions(longest))
    for row, ids in enumerate(rows):
        spans = [ids[i : i + n] for n in range(1, longest + 1) for i in range(len(ids) - n + 1)]
        distinct = Counter(map(tuple, spans))
        times = found.times[found.rows == row]
        assert times.sum() == sum(distinct.values())
        assert len(times) >= len(distinct) - 1, "a collision in 65,536 buckets is rare"


def a_problem(random: np.random.Generator, free_bias: bool) -> _Problem:
    words = sparse.random(12, 6, 0.4, "csr", dtype=np.float64, random_state=random)
    start = random.normal(size=(11, 3))
    return _Problem(
        random.normal(size=(12, 4)),
        words,
        random.integers(0, 3, 12),
        random.random(12) * 3,
        5.0,
        start,
        free_bias,
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_solver_is_given_the_gradient_of_what_it_minimises(
    seed: int, free_bias: bool, masked: bool
) -> None:
    random = np.random.default_rng(seed)
    problem = a_problem(random, free_bias)
    if masked:
        problem.start[4:-1] = 0
        mask = random.random((6, 3)) < 0.5
        words = sparse.csr_matrix(problem.words[:, mask.any(axis=1)])
        problem, _ = _under_mask(problem, words, mask, problem.start)
    size = problem.start.size if problem.kept is None else len(problem.kept)
    point, along = random.normal(size=size), random.normal(size=size)
    _, gradient = problem(point)
    rise = (problem(point + 1e-5 * along)[0] - problem(point - 1e-5 * along)[0]) / 2e-5
    assert gradient.shape == point.shape == problem.widths().shape
    assert rise == pytest.approx(float(gradient @ along), rel=1e-3, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_under_a_mask_only_what_it_leaves_varies(seed: int) -> None:
    random = np.random.default_rng(seed)
    problem = a_problem(random, True)
    problem.start[4:-1] = 0
    mask = random.random((6, 3)) < 0.5
    used, fitted = mask.any(axis=1), random.normal(size=(11, 3))
    smaller, flat = _under_mask(problem, sparse.csr_matrix(problem.words[:, used]), mask, fitted)
    whole = smaller.whole(flat)
    assert np.array_equal(whole[4:-1], np.where(mask, fitted[4:-1], 0)[used])
    assert np.array_equal(whole[:4], fitted[:4])
    assert np.array_equal(whole[-1], fitted[-1])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 30.0]))
def test_the_solver_finds_the_least(seed: int, strength: float) -> None:
    """Columns of very unlike size: where a plain method would crawl, `widths` helps."""
    random = np.random.default_rng(seed)
    x = (random.normal(size=(60, 4)) * [1, 1, 0.1, 0.1]).astype(np.float32)
    words = sparse.random(60, 20, 0.1, "csr", dtype=np.float32, random_state=random)
    start = np.zeros((25, 3), np.float32)
    problem = _Problem(x, words, random.integers(0, 3, 60), np.ones(60, np.float32), strength, start)
    found = minimise(problem, start.ravel(), problem.widths(), rounds=60)
    value, gradient = problem(found)
    assert float(np.linalg.norm(gradient)) < 0.05 * float(np.linalg.norm(problem(start.ravel())[1]))
    for _ in range(5):
        nearby = found + random.normal(size=found.shape).astype(np.float32) * 0.1
        assert problem(nearby)[0] > value


def test_characters_count_where_asked_and_in_one_spelling() -> None:
    ids = [np.array([1, 2], np.int32)] * 2
    plain = grams(ids, ["Ｗｉｆｉ", "wifi"], NgramOptions(0, 3))
    first, second = plain.keys[plain.rows == 0], plain.keys[plain.rows == 1]
    assert np.array_equal(first, second)
    assert len(first) == 5 + 5 + 4 - 1, "the space at either end is the same"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 3]))
def test_a_delta_survives_its_files(seed: int, rslora: bool, other_rank: int | None) -> None:
    delta = make_delta(seed, rslora, other_rank)
    files = delta.to_files()
    again = Delta.from_files(files)
    assert again.to_files() == files
    for place in delta.factors:
        assert np.array_equal(again.update(*place), delta.update(*place))


def make_delta(seed: int, rslora: bool = False, other_rank: int | None = None) -> Delta:
    random = np.random.default_rng(seed)

    def pair(rank: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return random.normal(size=(rank, 8)).astype("f4"), random.normal(size=(8, rank)).astype("f4")

    factors = {(layer, module): pair(2) for layer in (1, 2) for module in MODULES[:3]}
    if other_rank:
        factors[2, MODULES[3]] = pair(other_rank)
    return Delta(factors, 8 / (2**0.5 if rslora else 2), "somewhere/base", rslora)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4), st.sampled_from([CONFIG_FILE, WEIGHTS_FILE]))
def test_a_damaged_delta_is_our_error_or_a_delta(at: int, junk: bytes, name: str) -> None:
    files = make_delta(0).to_files()
    place = at % len(files[name])
    files[name] = files[name][:place] + junk + files[name][place + len(junk) :]
    try:
        found = Delta.from_files(files)
    except ArtifactError:
        return
    assert found.rank > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [('"LORA"', '"IA3"'), ('"bias": "none"', '"bias": "all"'), ('"r": 2', '"r": 2, "use_dora": true')],
)
def test_what_is_no_plain_lora_is_refused(old: str, new: str) -> None:
    files = make_delta(0).to_files()
    files[CONFIG_FILE] = files[CONFIG_FILE].replace(old.encode(), new.encode())
    with pytest.raises(ArtifactError, match="cannot be read"):
        Delta.from_files(files, where="adapter 7")
    with pytest.raises(ArtifactError, match=WEIGHTS_FILE):
        Delta.from_files({CONFIG_FILE: b"{}"})
