"""A file answered: every format, its order, its rows that cannot be asked, and what is refused."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from bulk_stand import Giver, answered, read_table, right, rows_of, small_chunks, write_table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.data.readers.lines import Source
from headrace.errors import Conflict, HeadraceError, InputError, MissingExtra, NotFound, NotServed, StoreBusy
from headrace.serving.bulk import Order, chunks
from headrace.serving.bulk.chunks import Chunks
from headrace.serving.bulk.parts import Parts

INPUTS = ("in.csv", "in.tsv", "in.json", "in.jsonl", "in.parquet", "in.txt", "in.csv.gz", "in.parquet.gz")
ANSWER = ["label", "confidence", "because", "release", "adapter", "error"]


@pytest.mark.parametrize("out", ["out.csv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("name", INPUTS)
def test_every_format_keeps_its_rows_and_their_columns(tmp_path: Path, name: str, out: str) -> None:
    rows = [{"n": f"{i}", "text": f"问题 {i}; “why”, {i}"} for i in range(23)]
    plain = tmp_path / name.removesuffix(".gz") if name == "in.parquet.gz" else tmp_path / name
    file = write_table(plain, rows)
    if name == "in.parquet.gz":
        import gzip

        file = tmp_path / name
        file.write_bytes(gzip.compress(plain.read_bytes()))
    with small_chunks():
        written = answered(Giver(), file, tmp_path / out)
    found = read_table(tmp_path / out)
    assert [row["text"] for row in found] == [row["text"] for row in rows]
    assert [row["label"] for row in found] == [right(row["text"]) for row in rows]
    assert list(found[0]) == [*(["text"] if name == "in.txt" else ["n", "text"]), *ANSWER]
    if name != "in.txt":
        assert [row["n"] for row in found] == [row["n"] for row in rows]
    assert {(float(row["confidence"]), row["release"], row["adapter"], row["error"]) for row in found} == {
        (0.75, "rel_1", "adp_1", None)
    }
    assert (written.rows, written.answered, written.failed) == (23, 23, 0)
    assert sorted(path.name for path in tmp_path.glob("*.parts")) == []


TEXTS = st.text(st.characters(exclude_categories=[]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries({"text": TEXTS, "n": st.integers(-(2**70), 2**70)}), min_size=1),
    size=st.integers(1, 7),
    out=st.sampled_from(["out.jsonl", "out.parquet", "out.csv"]),
)
@example(rows=[{"text": "a\x00b", "n": 1}], size=1, out="out.csv")
def test_no_row_is_lost_moved_or_changed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], size: int, out: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = write_table(folder / "in.jsonl", rows)
    with small_chunks(size):
        written = answered(Giver(), file, folder / out)
    found = read_table(folder / out)
    assert len(found) == len(rows) == written.rows
    assert [int(row["n"]) for row in found] == [row["n"] for row in rows]
    for row, one in zip(rows, found, strict=True):
        text = row["text"]
        whole = "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
        if text.strip() and whole:
            assert (one["label"], one["error"]) == (right(text), None)
            assert one["text"] == text
        else:
            assert one["label"] is None
            assert "in.jsonl:" in one["error"]
        if out.endswith("jsonl"):
            assert one["text"] == text
        else:
            assert "\x00" not in (one["text"] or "")


BAD = {
    "in.csv": (
        b'text,n\nwhere is it,1\none,two,three\n  ,3\nwi\x00th,4\n"open,5\nall is well,6\n',
        ["in.csv:3: ragged row", "in.csv:4: the text is empty", "in.csv:5: NUL", "in.csv:6: lone quote"],
        [0, 5],
    ),
    "in.jsonl": (
        b'{"text": "where is it"}\n{"text": ["a"]}\n{"t": "x"}\nnot json\n{"text": null}\n{"text": 7}\n',
        [
            "in.jsonl:2: a list",
            "in.jsonl:3: there is no 'text'",
            "in.jsonl:4: invalid",
            "in.jsonl:5: the text is",
        ],
        [0, 5],
    ),
    "in.txt": (
        "where is it\n\nschön".encode() + b"\nsch\xf6n\n\nwell\n" * 1,
        ["in.txt:2: the text is empty", "in.txt:4: undecodable", "in.txt:5: the text is empty"],
        [0, 2, 5],
    ),
}


@pytest.mark.parametrize("out", ["out.csv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("name", BAD)
def test_a_row_that_cannot_be_asked_keeps_its_place_and_says_why(tmp_path: Path, name: str, out: str) -> None:
    content, wanted, good = BAD[name]
    (tmp_path / name).write_bytes(content)
    with small_chunks(2):
        written = answered(Giver(), tmp_path / name, tmp_path / out)
    found = read_table(tmp_path / out)
    assert [i for i, row in enumerate(found) if row["label"]] == good
    errors = [row["error"] for row in found if row["error"]]
    assert len(errors) == len(wanted) == written.failed
    assert all(said in error for said, error in zip(wanted, errors, strict=True))
    assert list(written.errors) == errors
    assert written.answered == len(good)
    lost = [
        row for row in found if row["error"] and not row.get("text") and "the text is" not in row["error"]
    ]
    assert all("there is no 'text'" in row["error"] for row in lost), "what came in stands under text"


def test_a_row_of_parquet_is_named_by_its_number(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", [{"text": "a"}, {"text": None}, {"text": " "}])
    written = answered(Giver(), tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert [error.rsplit("/", 1)[-1] for error in written.errors] == [
        "in.parquet:2: the text is empty",
        "in.parquet:3: the text is empty",
    ]


def test_a_line_that_is_no_object_fits_among_texts_that_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": 7}\nodd\n', encoding="utf-8")
    answered(Giver(), tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert [row["text"] for row in read_table(tmp_path / "out.parquet")] == ["7", "odd"]


def test_a_row_names_its_channel(tmp_path: Path) -> None:
    names = ["desk", "forum", "", "nowhere", "kiosk", " desk "]
    rows = [{"text": f"q{i}", "who": name} for i, name in enumerate(names)]
    file, giver = write_table(tmp_path / "in.csv", rows), Giver({"desk": "rel_1", "forum": "rel_2"})
    answered(giver, file, tmp_path / "out.csv", channel=None, channel_column="who")
    found = read_table(tmp_path / "out.csv")
    assert [row["release"] for row in found] == ["rel_1", "rel_2", None, None, None, "rel_1"]
    said = [row["error"] for row in found[2:5]]
    assert "no channel is named" in said[0]
    assert "there is no channel 'nowhere'" in said[1]
    assert "nothing serves here yet" in said[2]
    answered(giver, file, tmp_path / "out.csv", channel="forum", channel_column="who")
    assert read_table(tmp_path / "out.csv")[2]["release"] == "rel_2"


def test_columns_called_like_the_answers_stay(tmp_path: Path) -> None:
    rows = [{"text": "where", "label": "mine", "error": "none", "answer_error": "x"}]
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        answered(Giver(), write_table(tmp_path / "in.csv", rows), tmp_path / name)
        (found,) = read_table(tmp_path / name)
        assert (found["label"], found["error"], found["answer_error"]) == ("mine", "none", "x")
        assert (found["answer_label"], found["answer_answer_error"]) == (right("where"), None)


def test_parquet_keeps_its_types_and_objects_get_the_narrowest(tmp_path: Path) -> None:
    source = pyarrow.table(
        {"text": ["a b", "c"], "n": pyarrow.array([1, None], pyarrow.int16()), "l": [[1], []]}
    )
    pyarrow.parquet.write_table(source, tmp_path / "in.parquet")
    answered(Giver(), tmp_path / "in.parquet", tmp_path / "out.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert found.select(["text", "n", "l"]).equals(source)
    lines = [
        {"text": "a", "i": 1, "f": 1, "b": True, "m": 1, "o": {"x": 1}, "huge": 2**70, "big": 0.5},
        {"text": "b", "i": 2**60, "f": 0.5, "b": None, "m": "x", "late": 3, "big": 2**60 + 1},
    ]
    answered(Giver(), write_table(tmp_path / "in.jsonl", lines), tmp_path / "out.parquet")
    types = {field.name: str(field.type) for field in pyarrow.parquet.read_schema(tmp_path / "out.parquet")}
    wanted = {"i": "int64", "f": "double", "b": "bool", "m": "string", "o": "string", "late": "int64"}
    assert {name: types[name] for name in wanted} == wanted
    rows = read_table(tmp_path / "out.parquet")
    assert (rows[0]["o"], rows[0]["huge"], rows[1]["i"]) == ('{"x": 1}', str(2**70), 2**60)
    assert [row["big"] for row in rows] == ["0.5", str(2**60 + 1)], "no float holds both"


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.serving.bulk.join._BATCH", 10)
    monkeypatch.setattr("headrace.serving.bulk.join.GROUP_ROWS", 20)
    answered(Giver(), write_table(tmp_path / "in.csv", rows_of(95)), tmp_path / "out.parquet")
    known = pyarrow.parquet.read_metadata(tmp_path / "out.parquet")
    assert [known.row_group(i).num_rows for i in range(known.num_row_groups)] == [20, 20, 20, 20, 15]


def test_order_is_kept_by_several_workers(tmp_path: Path) -> None:
    rows = rows_of(60)
    giver = Giver(before=lambda number: time.sleep(0.01 if number % 3 else 0.03))
    with small_chunks():
        answered(giver, write_table(tmp_path / "in.csv", rows), tmp_path / "out.csv", workers=3)
    assert [row["label"] for row in read_table(tmp_path / "out.csv")] == [right(row["text"]) for row in rows]


def test_reading_runs_ahead_by_few_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, ahead = itertools.count(1), list[int]()
    whole, seen = Chunks.__iter__, [0]

    def counted(self: Chunks) -> Any:
        for chunk in whole(self):
            seen[0] = next(read)
            yield chunk

    monkeypatch.setattr(Chunks, "__iter__", counted)

    def note(number: int) -> None:
        time.sleep(0.01)
        ahead.append(seen[0] - number)

    giver = Giver(before=note)
    with small_chunks():
        answered(giver, write_table(tmp_path / "in.csv", rows_of(200)), tmp_path / "out.csv", workers=2)
    assert len(ahead) == 50
    assert max(ahead) <= 4


def test_long_texts_make_short_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHARACTERS", 100)
    file = write_table(tmp_path / "in.csv", [{"text": "x" * 60}] * 7)
    found = list(Chunks(Source(file, "in.csv"), Order("intent", "desk", "text"), lambda channel: ""))
    assert [(chunk.number, chunk.rows) for chunk in found] == [(0, 2), (1, 2), (2, 2), (3, 1)]


def begun(folder: Path) -> Path:
    """The target of a run that ended in its third chunk, all before being kept."""

    def stop(number: int) -> None:
        if number == 3:
            raise InterruptedError

    file, out = write_table(folder / "in.csv", rows_of(20)), folder / "out.csv"
    with small_chunks(), pytest.raises(InterruptedError):
        answered(Giver(before=stop), file, out)
    return out


def test_another_content_is_refused_and_another_date_is_not(tmp_path: Path) -> None:
    out = begun(tmp_path)
    assert read_table(tmp_path / "in.csv")[19]["n"] == "19"
    file = write_table(tmp_path / "in.csv", [*rows_of(19), {**rows_of(20)[19], "n": "91"}])
    with small_chunks(), pytest.raises(Conflict, match="--restart"):
        answered(Giver(), file, out)
    write_table(file, rows_of(20))
    with small_chunks():
        assert answered(Giver(), file, out).kept >= 8


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"channel": "forum"}, "channel 'desk', now 'forum'"), ({"column": "n"}, "column 'text', now 'n'")],
)
def test_another_order_is_refused_by_name_unless_it_starts_anew(
    tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    out, giver = begun(tmp_path), Giver({"desk": "rel_1", "forum": "rel_2"})
    with small_chunks(), pytest.raises(Conflict, match=said):
        answered(giver, tmp_path / "in.csv", out, **asked)
    with small_chunks():
        assert answered(giver, tmp_path / "in.csv", out, restart=True, **asked).kept == 0
    assert len(giver.asked) == 20


def test_another_release_is_refused_unless_both_may_stand(tmp_path: Path) -> None:
    out, giver = begun(tmp_path), Giver({"desk": "rel_2"})
    with small_chunks(), pytest.raises(Conflict, match="rel_1, and rel_2"):
        answered(giver, tmp_path / "in.csv", out)
    assert giver.asked == []
    with small_chunks():
        kept = answered(giver, tmp_path / "in.csv", out, mixed=True).kept
    # The interrupted run may have answered a part beyond the one that it was interrupted in.
    found = {row["text"]: row["release"] for row in read_table(out)}
    assert found == {row["text"]: "rel_2" if row["text"] in giver.asked else "rel_1" for row in rows_of(20)}
    assert 0 < kept == list(found.values()).count("rel_1")


def test_corrections_since_are_refused_unless_both_may_stand(tmp_path: Path) -> None:
    out, giver = begun(tmp_path), Giver()
    giver.corrections = "one more"
    with small_chunks(), pytest.raises(Conflict, match="before the corrections of 'desk' changed"):
        answered(giver, tmp_path / "in.csv", out)
    assert giver.asked == []
    with small_chunks():
        assert answered(giver, tmp_path / "in.csv", out, mixed=True).kept > 0


def test_a_damaged_part_is_answered_again(tmp_path: Path) -> None:
    out, giver = begun(tmp_path), Giver()
    (tmp_path / "out.csv.parts" / "00000001.part").write_bytes(b'{"rows": 4')
    with small_chunks():
        answered(giver, tmp_path / "in.csv", out)
    assert [row["label"] for row in read_table(out)] == [right(row["text"]) for row in rows_of(20)]
    assert rows_of(20)[4]["text"] in giver.asked
    assert rows_of(20)[0]["text"] not in giver.asked


@pytest.mark.parametrize("change", [("19,", "19,more\n20,"), ("question 0", "question 1")])
def test_an_input_that_changes_meanwhile_is_noticed(tmp_path: Path, change: tuple[str, str]) -> None:
    file = write_table(tmp_path / "in.csv", rows_of(20))

    def spoil(number: int) -> None:
        if number == 5:
            os.utime(file, (1, 1))
            file.write_text(file.read_text(encoding="utf-8").replace(*change), encoding="utf-8")

    with small_chunks(), pytest.raises(HeadraceError, match="changed while it was answered"):
        answered(Giver(before=spoil), file, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_two_processes_do_not_write_one_target(tmp_path: Path) -> None:
    file, inside, go = write_table(tmp_path / "in.csv", rows_of(3)), threading.Event(), threading.Event()

    def wait(number: int) -> None:
        inside.set()
        go.wait(10)

    giver = Giver(before=wait)
    first = threading.Thread(target=answered, args=(giver, file, tmp_path / "out.csv"))
    first.start()
    assert inside.wait(10)
    with pytest.raises(StoreBusy, match="another process"):
        answered(Giver(), file, tmp_path / "out.csv")
    go.set()
    first.join()
    assert len(read_table(tmp_path / "out.csv")) == 3


def test_nothing_is_written_where_nothing_serves(tmp_path: Path) -> None:
    file = write_table(tmp_path / "in.csv", rows_of(3))
    (tmp_path / "out.csv").write_text("before", encoding="utf-8")
    with pytest.raises(NotServed, match="headrace turn"):
        answered(Giver(), file, tmp_path / "out.csv", channel="forum")
    with pytest.raises(NotFound, match="nowhere"):
        answered(Giver(), file, tmp_path / "out.csv", channel="nowhere")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


REFUSED = [
    ("in.csv", "out.xml", {}, ".csv, .jsonl or .parquet"),
    ("in.csv", "in.csv", {}, "replace the input"),
    ("in.csv", "no/out.csv", {}, "no such folder"),
    ("in.xls", "out.csv", {}, "Known are"),
    ("no.csv", "out.csv", {}, "no such file"),
    ("in.csv", "out.csv", {"column": "q"}, "There are: n, text"),
    ("in.csv", "out.csv", {"channel_column": "q"}, "There are: n, text"),
    ("odd.csv", "out.csv", {}, "Add --column with one of: q"),
    ("none.csv", "out.csv", {}, "the file is empty"),
    ("in.csv", "out.csv", {"channel": None}, "no channel is named"),
]


@pytest.mark.parametrize(("name", "out", "asked", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_what_cannot_be_is_refused_with_the_cure(
    tmp_path: Path, name: str, out: str, asked: dict[str, Any], said: str
) -> None:
    write_table(tmp_path / "in.csv", rows_of(3))
    write_table(tmp_path / "odd.csv", [{"q": "where"}])
    (tmp_path / "in.xls").write_bytes(b"x")
    (tmp_path / "none.csv").write_bytes(b"")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=said):
        answered(Giver(), tmp_path / name, tmp_path / out, **asked)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, giver = write_table(tmp_path / "in.csv", rows_of(3)), Giver()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"headrace\[files\]"):
        answered(giver, file, tmp_path / "out.parquet")
    assert giver.calls == 0


def test_what_somebody_else_put_beside_the_parts_stays(tmp_path: Path) -> None:
    out = begun(tmp_path)
    (tmp_path / "out.csv.parts" / "notes.txt").write_text("mine", encoding="utf-8")
    with small_chunks():
        answered(Giver(), tmp_path / "in.csv", out)
    assert [path.name for path in Parts(out).folder.iterdir()] == ["notes.txt"]


def test_a_header_alone_gives_a_header(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("n,text\n", encoding="utf-8")
    assert answered(Giver(), tmp_path / "in.csv", tmp_path / "out.csv").rows == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").strip() == ",".join(["n", "text", *ANSWER])
    assert answered(Giver(), tmp_path / "in.csv", tmp_path / "out.parquet").rows == 0
    assert pyarrow.parquet.read_metadata(tmp_path / "out.parquet").num_rows == 0


def test_objects_of_json_keep_fields_that_come_late(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"text": f"q{i}", f"f{i}": i}) + "\n" for i in range(9)), encoding="utf-8"
    )
    with small_chunks():
        answered(Giver(), tmp_path / "in.jsonl", tmp_path / "out.csv")
    assert [row[f"f{i}"] for i, row in enumerate(read_table(tmp_path / "out.csv"))] == list("012345678")
