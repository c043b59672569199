"""What holds of any text, any file and any order of rows."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_parts import Labelled, bring, examples, feed, recipe, settle
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.data.connectors import Broken, Raw
from headrace.data.connectors.files import Options, Part
from headrace.data.mask import Masker
from headrace.data.texts import normalised, text_key, tidy
from headrace.errors import HeadraceError
from headrace.store import Store

SOME = settings(max_examples=40, deadline=None)
FEW = settings(max_examples=20, deadline=None)

# Pieces that private details and their look-alikes are made of, so that chance meets them.
PIECES = st.sampled_from(
    [
        *("a@b.co", "13800138000", "+44 20 7946 0958", "4111111111111111", "11010519491231002X"),
        *("DE89370400440532013000", "sk-", "hr_live_abcdefghijkl0123", "token: 9f8a7b6c5d4e3f2a1b0c"),
        *("10.0.0.1", "电话", "<email>", *"-.086x＠１３８()/ "),
    ]
)
DETAILS = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
WORDS = st.sampled_from(
    ["where is it", "Where  is it", "ＷＨＥＲＥ is it", "pay me", "pay me!", "", "hello there", "x" * 60]
)
SPLIT = st.sampled_from([None, None, None, "test"])
ROWS = st.lists(st.tuples(WORDS, st.sampled_from(["a", "b", None]), SPLIT), max_size=14)


@contextmanager
def fresh() -> Iterator[tuple[Store, Path]]:
    with tempfile.TemporaryDirectory() as name:
        store = Store.open("store.db", Path(name), create=True)
        yield store, Path(name)
        store.close()


@given(DETAILS, st.sampled_from(["zh", "en", "de", ""]), st.booleans())
@settings(max_examples=50, deadline=None)
@example("123a@b.co13800138000", "zh", False)
def test_masking_twice_changes_nothing(text: str, language: str, ip: bool) -> None:
    masker = Masker(("email", "phone", "card", "identity", "key", *(["ip"] * ip)), language)
    masked, counts = masker.mask(text)
    assert masker.mask(masked) == (masked, {})
    assert bool(counts) == (masked != text)


@given(TEXTS)
@SOME
def test_making_a_text_comparable_twice_changes_nothing(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)
    assert normalised(normalised(text)) == normalised(text)
    assert text_key(tidy(text)) == text_key(text) == text_key(f" {text}\n")


@given(ROWS, st.randoms(use_true_random=False))
@FEW
def test_order_of_arrival_changes_no_split_and_no_label(rows: list[Labelled], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = []
    for order in (rows, shuffled):
        with fresh() as (store, _):
            made = recipe(near_duplicate=1.0)
            feed(store, made, order)
            settle(store, made)
            found.append(sorted((normalised(e.text), e.label, e.split) for e in examples(store)))
    assert found[0] == found[1]


@given(st.lists(ROWS, max_size=3))
@FEW
def test_clean_is_idempotent_and_loses_nothing(runs: list[list[Labelled]]) -> None:
    with fresh() as (store, _):
        made = recipe()
        for i, rows in enumerate(runs):
            feed(store, made, rows, run=f"r{i}", channel="desk" if i % 2 else "shop")
            before = {e.id: e.split for e in examples(store)}
            settle(store, made)
            after = {e.id: e.split for e in examples(store)}
            assert all(after[known] == split for known, split in before.items() if known in after)
        once = examples(store), store.quarantine.counts(), store.rows.counts()
        assert settle(store, made).read == 0
        assert (examples(store), store.quarantine.counts(), store.rows.counts()) == once
        states = store.rows.counts()
        assert sum(n for (_, _, state), n in states.items() if state == "clean") == len(once[0])
        assert not [n for (_, _, state), n in states.items() if state == "new"]
        test_keys = {text_key(e.text) for e in once[0] if e.split == "test"}
        assert not [e for e in once[0] if e.split == "train" and text_key(e.text) in test_keys]


@given(st.lists(st.tuples(TEXTS.filter(lambda t: bool(t.strip(" \t\r\n"))), TEXTS), min_size=1, max_size=8))
@SOME
def test_what_csv_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *rows])
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "x.csv").write_bytes(out.getvalue().encode())
        items = list(Part(Options(path="x.csv", encoding="utf-8"), Path(name)).read(None))
    # The csv module ends lines by \r\n and a line's own \r is its end, so ends of lines inside count as one.
    assert [_ends(item.text) for item in items if isinstance(item, Raw)] == [_ends(text) for text, _ in rows]


def _ends(text: str) -> str:
    return text.replace("\r\n", "\n")


@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(1, 40))
@SOME
def test_a_json_array_is_read_in_pieces_of_any_size(texts: list[str], indent: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "x.json").write_text(json.dumps([{"text": t} for t in texts], indent=indent))
        items = list(Part(Options(path="x.json"), Path(name)).read(None))
    assert [item.text for item in items if isinstance(item, Raw)] == texts


@given(st.binary(max_size=300), st.sampled_from(["csv", "tsv", "json", "jsonl", "txt"]))
@settings(max_examples=50, deadline=None)
def test_any_bytes_end_in_rows_in_quarantine_or_in_our_own_error(data: bytes, ending: str) -> None:
    head = {"csv": b"text,label\n", "tsv": b"text\tlabel\n", "json": b'[{"text": "a"},'}.get(ending, b"")
    with fresh() as (store, folder):
        (folder / f"x.{ending}").write_bytes(head + data)
        try:
            count = bring(store, folder, {"path": f"x.{ending}"})
        except HeadraceError:
            return
        assert count.read == count.new + count.known + count.repeated + count.broken
        assert sum(store.rows.counts().values()) == count.new
        settle(store, recipe())


@given(
    st.lists(
        st.sampled_from([b"good row,a", b'"open,a', b"bad\xff,b", b"short", b'"a ""b""",c', b"n\x00l,a"]),
        max_size=12,
    )
)
@SOME
def test_every_line_is_a_row_or_in_quarantine(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "x.csv").write_bytes(b"\n".join([b"text,label", *lines]))
        items = list(Part(Options(path="x.csv", encoding="utf-8"), Path(name)).read(None))
    assert len(items) == len(lines)
    assert [isinstance(i, Broken) for i in items] == [not line.startswith((b"good", b'"a')) for line in lines]
