"""Files as people send them: a bad one gets a clear message or goes to quarantine, and costs no other row."""

from __future__ import annotations

import gzip
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from data_parts import bring

from headrace.data.connectors import Broken, Raw
from headrace.data.connectors.files import Options, Part
from headrace.errors import InputError, MissingExtra, NotFound
from headrace.records import Rejected
from headrace.store import Store

ZH = "文本,label\n太慢了,差\n味道很好，下次再来,好\n"


def read(folder: Path, **options: Any) -> list[Raw | Broken]:
    items = Part(Options(**{"path": "x.csv", **options}), folder).read(None)
    return [item for item in items if isinstance(item, Raw | Broken)]


def pairs(items: list[Raw | Broken]) -> list[tuple[str, str | None]]:
    return [(item.text, item.label) for item in items if isinstance(item, Raw)]


def broken(items: list[Raw | Broken]) -> list[Broken]:
    return [item for item in items if isinstance(item, Broken)]


def only(store: Store) -> Rejected:
    (entry,) = store.quarantine.list()
    return entry


# -- formats


ROWS = [("a, b", "x"), ('say "hi"', "y"), ("two\nlines", "x"), ("no label", None)]


def _written(format_: str) -> bytes:
    if format_ in ("csv", "tsv"):
        d = "," if format_ == "csv" else "\t"
        body = f'text{d}label\n"a, b"{d}x\n"say ""hi"""{d}y\n"two\nlines"{d}x\nno label{d}\n'
        return body.encode()
    things = [{"text": text, "label": label} for text, label in ROWS]
    if format_ == "json":
        return json.dumps(things, indent=2).encode()
    if format_ == "jsonl":
        return "\n".join(json.dumps(thing) for thing in things).encode()
    pa = pytest.importorskip("pyarrow")
    sink = pa.BufferOutputStream()
    pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(things), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, format_: str, packed: bool) -> None:
    data = _written(format_)
    name = f"x.{format_}{'.gz' if packed else ''}"
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    items = read(tmp_path, path=name)
    assert pairs(items) == ROWS
    assert len({item.place for item in items}) == len(ROWS)


def test_a_folder_of_texts_takes_labels_from_its_folders(tmp_path: Path) -> None:
    for name in ("in/train/good/1.txt", "in/train/bad/1.txt", "in/test/good/2.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}\nsecond line")
    items = read(tmp_path, path="in", splits_from_names=True)
    assert {(r.label, r.split, r.place) for r in items if isinstance(r, Raw)} == {
        ("good", "train", "in/train/good/1.txt"),
        ("bad", "train", "in/train/bad/1.txt"),
        ("good", "test", "in/test/good/2.txt"),
    }


def test_a_folder_and_a_glob_read_every_file_by_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b.csv", "a.jsonl", "test.csv"):
        row = '{"text": "from a"}' if name == "a.jsonl" else f"text\nfrom {name[0]}\n"
        (tmp_path / "in" / name).write_text(row)
    everything = read(tmp_path, path="in", splits_from_names=True)
    assert [(r.text, r.split) for r in everything if isinstance(r, Raw)] == [
        ("from a", None),
        ("from b", None),
        ("from t", "test"),
    ]
    assert pairs(read(tmp_path, path="in/*.csv")) == [("from b", None), ("from t", None)]


def test_a_text_file_alone_is_a_row_a_line(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one\n\ntwo\n")
    assert [(r.text, r.place) for r in read(tmp_path, path="x.txt") if isinstance(r, Raw)] == [
        ("one", "x.txt:1"),
        ("two", "x.txt:3"),
    ]


def test_numbers_and_truth_values_are_labels_and_lists_are_not(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text":"a","label":1}\n{"text":"b","label":true}\n{"text":["c"]}\n')
    items = read(tmp_path, path="x.jsonl")
    assert pairs(items) == [("a", "1"), ("b", "true")]
    assert "a list stands where a text belongs" in broken(items)[0].detail


# -- encodings


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_the_encoding_of_chinese_is_found(tmp_path: Path, codec: str) -> None:
    (tmp_path / "x.csv").write_bytes(ZH.encode(codec))
    assert pairs(read(tmp_path, text="文本")) == [("太慢了", "差"), ("味道很好，下次再来", "好")]


def test_latin_1_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("text,label\nJe suis déçu,négatif\n".encode("latin-1"))
    assert pairs(read(tmp_path)) == [("Je suis déçu", "négatif")]


def test_what_tells_the_encoding_may_stand_far_down(tmp_path: Path) -> None:
    plain = "".join(f"row {i},x\n" for i in range(40_000))
    (tmp_path / "x.csv").write_bytes(f"text,label\n{plain}配送太慢,差\n味道很好,好\n".encode("gb18030"))
    assert pairs(read(tmp_path))[-2:] == [("配送太慢", "差"), ("味道很好", "好")]


def test_an_encoding_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text\na\n")
    with pytest.raises(InputError, match=r"no encoding .utf8000..*Write auto"):
        read(tmp_path, encoding="utf8000")


def test_the_wrong_encoding_in_the_recipe_rejects_lines_by_number(
    sqlite_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_bytes("text,label\nfine,a\nDas Gerät,b\n".encode("latin-1"))
    count = bring(sqlite_store, tmp_path, {"path": "x.csv", "encoding": "utf-8"})
    assert (count.new, count.broken) == (1, 1)
    entry = only(sqlite_store)
    assert (entry.place, entry.reason, entry.content) == ("x.csv:3", "undecodable", r"Das Ger\xe4t,b")
    assert "byte 8 of the line is not utf-8" in entry.detail


def test_undecodable_bytes_cost_their_line_alone(sqlite_store: Store, tmp_path: Path) -> None:
    lines = ["text,label", *(f"größe {i},a" for i in range(5))]
    data = [line.encode() for line in lines]
    data[3] = b"gr\xff\xfee 2,a"
    (tmp_path / "x.csv").write_bytes(b"\n".join(data))
    count = bring(sqlite_store, tmp_path, {"path": "x.csv"})
    assert (count.read, count.new, count.broken) == (5, 4, 1)
    assert only(sqlite_store).content == r"gr\xff\xfee 2,a"
    assert only(sqlite_store).place == "x.csv:4"


def test_a_header_that_cannot_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"te\xfft,label\na,b\n")
    with pytest.raises(InputError, match=r"x.csv:1: the first line cannot be read.*options.encoding"):
        read(tmp_path, encoding="utf-8")


def test_undecodable_bytes_in_a_json_array(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'[{"text": "ok"},\n {"text": "b\xffd"},\n {"text": "ok too"}]')
    count = bring(sqlite_store, tmp_path, {"path": "x.json", "encoding": "utf-8"})
    assert (count.new, count.broken) == (2, 1)
    assert (only(sqlite_store).place, only(sqlite_store).reason) == ("x.json:2", "undecodable")


# -- broken rows


def test_ragged_rows(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,x\nb\nc,x,extra\nd,x\n")
    count = bring(sqlite_store, tmp_path, {"path": "x.csv"})
    assert (count.new, count.broken) == (2, 2)
    assert {(e.place, e.reason, e.detail, e.content) for e in sqlite_store.quarantine.list()} == {
        ("x.csv:3", "ragged row", "1 field, but 2 columns", "b"),
        ("x.csv:4", "ragged row", "3 fields, but 2 columns", "c,x,extra"),
    }


def test_nul_bytes(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"text,label\na,x\nb\x00b,x\nc,x\n")
    count = bring(store, tmp_path, {"path": "x.csv"})
    assert (count.new, count.broken) == (2, 1)
    assert (only(store).reason, only(store).content) == ("NUL bytes", r"b\x00b,x")


def test_nul_and_half_characters_in_json(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a\\u0000b"}\n{"text": "half \\ud83d"}\n{"text": "c"}\n')
    count = bring(store, tmp_path, {"path": "x.jsonl"})
    assert (count.new, count.broken) == (1, 2)
    assert {e.content for e in store.quarantine.list()} == {r"a\x00b", r"half \ud83d"}


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,body,intent\n1,hello,a\n")
    with pytest.raises(InputError, match=r"x.csv: no column is called like a text. .*id, body, intent"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"no column 'bodi'. Did you mean 'body'\?"):
        read(tmp_path, text="bodi")
    assert pairs(read(tmp_path, text="body")) == [("hello", "a")]


def test_a_field_missing_in_one_object(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n{"text": "c"}\n')
    items = read(tmp_path, path="x.jsonl")
    assert [r[0] for r in pairs(items)] == ["a", "c"]
    assert (broken(items)[0].place, broken(items)[0].reason) == ("x.jsonl:2", "missing field")


@pytest.mark.parametrize("format_", ["csv", "jsonl", "json"])
def test_a_50_mb_field_is_neither_loaded_nor_kept(sqlite_store: Store, tmp_path: Path, format_: str) -> None:
    start, end = {"csv": ('"', '",a'), "jsonl": ('{"text": "', '"}'), "json": ('{"text": "', '"},')}[format_]
    first = {"csv": "text,label\nfirst,a\n", "jsonl": '{"text": "first"}\n', "json": '[{"text": "first"},\n'}
    last = {"csv": "last,a\n", "jsonl": '{"text": "last"}\n', "json": '{"text": "last"}]\n'}
    with open(tmp_path / f"x.{format_}", "w") as out:
        out.write(first[format_] + start)
        for _ in range(50):
            out.write("x" * 1_000_000)
        out.write(end + "\n" + last[format_])
    tracemalloc.start()
    count = bring(sqlite_store, tmp_path, {"path": f"x.{format_}"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count.new, count.broken) == (2, 1)
    entry = only(sqlite_store)
    assert (entry.reason, entry.place) == ("too large", f"x.{format_}:{3 if format_ == 'csv' else 2}")
    assert "at most 1,000,000" in entry.detail
    assert len(entry.content) < 1000
    assert peak < 12_000_000


def test_duplicate_rows_go_to_quarantine_with_the_place_of_the_first(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\nhello,a\nother,a\nhello,a\n")
    count = bring(store, tmp_path, {"path": "x.csv"})
    assert (count.new, count.repeated) == (2, 1)
    assert (only(store).reason, only(store).detail) == ("duplicate", "the same as x.csv:2")


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.csv.gz"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    with pytest.raises(InputError, match=f"{name}: the file is empty. Remove it"):
        read(tmp_path, path=name)


def test_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no file at 'gone.csv'. Correct `path`"):
        read(tmp_path, path="gone.csv")
    (tmp_path / "in").mkdir()
    with pytest.raises(NotFound, match=r"known endings are .csv"):
        read(tmp_path, path="in")


def test_an_ending_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.data").write_text("text\na\n")
    with pytest.raises(InputError, match=r"'.data' says nothing.*options.format"):
        read(tmp_path, path="x.data")
    assert pairs(read(tmp_path, path="x.data", format="csv")) == [("a", None)]


def test_a_cut_off_gzip_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"text\n" + b"row\n" * 50_000)[:-20])
    with pytest.raises(InputError, match="not a whole gzip file"):
        read(tmp_path, path="x.csv.gz")


def test_json_lines_with_a_broken_line(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"text": "a"}\n{"text": "b"\n[1]\n' + "[" * 100_000 + '\n{"text": "c"}\n'
    )
    count = bring(sqlite_store, tmp_path, {"path": "x.jsonl"})
    assert (count.new, count.broken) == (2, 3)
    entry = next(e for e in sqlite_store.quarantine.list() if e.place == "x.jsonl:2")
    assert (entry.reason, entry.content) == ("invalid JSON", '{"text": "b"')
    assert "Expecting ',' delimiter at character" in entry.detail


def test_a_json_array_with_a_broken_object(tmp_path: Path) -> None:
    body = '[\n{"text": "a"},\n{"text": "b", "label" 3},\n{"text": "c"},\n5,\n{"text": "d"}\n]'
    (tmp_path / "x.json").write_text(body)
    items = read(tmp_path, path="x.json")
    assert [text for text, _ in pairs(items)] == ["a", "c", "d"]
    assert [(b.place, b.reason) for b in broken(items)] == [
        ("x.json:3", "invalid JSON"),
        ("x.json:5", "invalid JSON"),
    ]
    assert '"label" 3' in broken(items)[0].content


def test_json_that_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match=r"does not hold a list of objects.*\.jsonl"):
        read(tmp_path, path="x.json")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r'Reading Parquet needs.*pip install "headrace\[files\]"'):
        read(tmp_path, path="x.parquet")


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(InputError, match=r"x.parquet: not a whole Parquet file"):
        read(tmp_path, path="x.parquet")


def test_csv_with_a_lone_quote_loses_its_line_alone(sqlite_store: Store, tmp_path: Path) -> None:
    rows = [f'row {i},"label {i}"' for i in range(3000)]
    rows[10] = '"row 10,x'
    rows[20] = '"row" 20,x'
    (tmp_path / "x.csv").write_text("text,label\n" + "\n".join(rows))
    count = bring(sqlite_store, tmp_path, {"path": "x.csv"})
    assert (count.new, count.broken) == (2998, 2)
    assert {(e.place, e.reason) for e in sqlite_store.quarantine.list()} == {
        ("x.csv:12", "lone quote"),
        ("x.csv:22", "lone quote"),
    }


def test_a_lone_quote_in_tsv_is_a_character(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text('text\tlabel\n"the 5 inch one\tx\nsecond\ty\n')
    assert pairs(read(tmp_path, path="x.tsv")) == [('"the 5 inch one', "x"), ("second", "y")]


def test_a_split_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,split\na,dev\nb,holdout\nc,\n")
    items = read(tmp_path)
    assert [r.split for r in items if isinstance(r, Raw)] == ["validation", None]
    assert "'holdout' is no split" in broken(items)[0].detail


def test_a_delimiter_is_found_and_columns_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text;label\na, b;x\n")
    assert pairs(read(tmp_path)) == [("a, b", "x")]
    (tmp_path / "y.csv").write_text("a,x\nb,y\n")
    assert pairs(read(tmp_path, path="y.csv", columns=("text", "label"))) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_ends_of_lines_of_any_system(tmp_path: Path, end: str) -> None:
    (tmp_path / "x.csv").write_bytes(end.join(["text,label", "a,x", "b,y", ""]).encode())
    assert pairs(read(tmp_path)) == [("a", "x"), ("b", "y")]


def test_a_column_that_stands_twice(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label,text\na,x,b\n")
    with pytest.raises(InputError, match="'text' stands twice"):
        read(tmp_path)


def test_reading_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    peaks = []
    for rows in (2_000, 40_000):
        (tmp_path / "x.csv").write_text("text,label\n" + f"{'words ' * 30},x\n" * rows)
        tracemalloc.start()
        assert sum(1 for _ in Part(Options(path="x.csv"), tmp_path).read(None)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
