"""What single formats take and refuse: headings, tables, pages, exports as they really are, and bombs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from knowledge_parts import PAGE, pdf, write, xlsx, zipped

from headrace import plugins
from headrace.data.connectors import Broken
from headrace.errors import InputError, NotFound
from headrace.knowledge.formats import Piece, Read
from headrace.knowledge.markup import tree
from headrace.knowledge.pages import page
from headrace.knowledge.workbook import sheets

BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
FILE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


def _read(name: str, folder: Path, **options: Any) -> list[Read | Broken]:
    given = plugins.options("formats", name).model_validate(options)
    return list(plugins.load("formats", name)(given, folder).read())


def _pieces(name: str, folder: Path, **options: Any) -> list[tuple[str, str, bool]]:
    reads = [item for item in _read(name, folder, **options) if isinstance(item, Read)]
    return [(piece.title, piece.text, piece.curated) for read in reads for piece in read.pieces]


def _reasons(name: str, folder: Path, **options: Any) -> list[tuple[str, str]]:
    return [(i.place, i.reason) for i in _read(name, folder, **options) if isinstance(i, Broken)]


def test_markdown_headings_are_titles_and_code_stays_as_it_stands(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.md",
        "---\ntitle: Shop help\nlanguage: en\nurl: https://x.example/h\n---\nFirst.\n\n# Returns\n\n1. Pack\n"
        "2. Ship\n   it\n\n## Refund\n\n~~~sh\n# not a heading\n~~~\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "# Other\n[Mail](mailto:a@b.example) or [read](https://b.example) `x_y_z` <b>*now*</b> <!-- no -->\n",
    )
    (read,) = _read("markdown", tmp_path, path="a.md")
    assert isinstance(read, Read)
    assert (read.title, read.language, read.url) == ("Shop help", "en", "https://x.example/h")
    assert read.pieces == (
        Piece("Shop help", "First."),
        Piece("Shop help › Returns", "1. Pack\n2. Ship\nit"),
        Piece(
            "Shop help › Returns › Refund", "~~~sh\n# not a heading\n~~~\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        ),
        Piece("Shop help › Other", "Mail or read (https://b.example) x_y_z now"),
    )


def test_a_front_matter_that_is_no_yaml_is_said(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "---\ntitle: [\n---\n# T\n\nx\n")
    write(tmp_path, "b.md", "# Only a heading\n")
    write(tmp_path, ".hidden/c.md", "# T\n\nnobody's")
    assert _reasons("markdown", tmp_path, path=".") == [("a.md", "front matter"), ("b.md", "empty")]


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "secret/key.md", "# Key\n\nours")
    write(tmp_path, "help/a.md", "# A\n\ntext")
    (tmp_path / "help/b.md").symlink_to(tmp_path / "secret/key.md")
    (tmp_path / "help/c").symlink_to(tmp_path / "secret", target_is_directory=True)
    assert [item.place for item in _read("markdown", tmp_path, path="help")] == ["help/a.md"]


def test_a_page_is_what_it_says_without_its_menus() -> None:
    found = page(PAGE.encode(), "a.html")
    assert isinstance(found, Read)
    assert found.pieces == (
        Piece("Returns", "Send it back within 30 days."),
        Piece("Returns › Refund", "We pay in 5 days."),
    )
    soup = (
        "<div><ul><li><a href=/1>Alpha</a></li><li><a href=/2>Beta</a></li></ul></div><h1>T</h1><ul><li>one</li>"
        "<li><p>two <a href='https://b.example'>there</a></p></li></ul><p style='DISPLAY : none'>hidden</p>"
        "<table><tr><td>a<td>b</tr><tr><td>c<td>d</tr></table><details><summary>Why?</summary>So.</details>"
    )
    told = page(soup.encode(), "b.html")
    assert isinstance(told, Read)
    assert told.pieces == (
        Piece("T", "- one\n- two there (https://b.example)\n\n| a | b |\n| c | d |"),
        Piece("T › Why?", "So."),
    )


def test_an_articles_own_header_is_no_menu() -> None:
    text = "<body><header>menu</header><article><header><h1>T</h1></header><p>x</p></article></body>"
    found = page(text.encode(), "a.html")
    assert isinstance(found, Read)
    assert found.pieces == (Piece("T", "x"),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pdf("x", encrypted=True), "locked"),
        (pdf("", ""), "no text"),
        (b"%PDF-1.4 nothing", "damaged"),
        (b"", "damaged"),
    ],
)
def test_a_pdf_that_cannot_be_read_says_why(tmp_path: Path, data: bytes, reason: str) -> None:
    write(tmp_path, "a.pdf", data)
    assert _reasons("pdf", tmp_path, path="a.pdf") == [("a.pdf", reason)]


def test_a_pdf_names_its_pages_and_joins_its_lines(tmp_path: Path) -> None:
    write(tmp_path, "a.pdf", pdf("Press the green knob to be-\ngin it. Then\nwait.", "", "- one\n- two"))
    assert _pieces("pdf", tmp_path, path="a.pdf") == [
        ("a, page 1", "Press the green knob to begin it. Then wait.", False),
        ("a, page 3", "- one\n- two", False),
    ]


def test_faq_columns_are_named_or_found_and_bad_rows_are_broken_by_line(tmp_path: Path) -> None:
    write(tmp_path, "a.tsv", "Frage\tAntwort\nWo?\tHier.\nWer?\t\n\tIch.\n")
    made = {"path": "a.tsv", "question": "Frage", "answer": "Antwort"}
    assert _pieces("faq", tmp_path, **made) == [("Wo?", "Hier.", True)]
    assert _reasons("faq", tmp_path, **made) == [("a.tsv:3", "no answer"), ("a.tsv:4", "no question")]
    with pytest.raises(InputError, match="Frage, Antwort"):
        _read("faq", tmp_path, path="a.tsv")
    with pytest.raises(InputError, match="Antwort"):
        _read("faq", tmp_path, path="a.tsv", question="Frage", answer="Antwrt")
    write(tmp_path, "b.csv", "问题,答案\n怎么退货？,七天内。\n".encode("gb18030"))
    assert _pieces("faq", tmp_path, path="b.csv") == [("怎么退货？", "七天内。", True)]


def test_difys_annotations_and_segments(tmp_path: Path) -> None:
    said = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": "A."},
    ]
    write(tmp_path, "a.jsonl", json.dumps({"messages": said}))
    write(tmp_path, "b.csv", "\ufeffsegment content\none\ntwo\n")
    write(tmp_path, "c.csv", "\ufeff问题,答案\n问,答\n只有问,\n")
    assert _pieces("dify", tmp_path, path="*.*") == [
        ("Q?", "A.", True),
        ("b", "one", False),
        ("b", "two", False),
        ("问", "答", True),
    ]
    assert _reasons("dify", tmp_path, path="*.*") == [("c.csv:3", "no answer")]
    write(tmp_path, "d.csv", "x,y\n1,2\n")
    with pytest.raises(InputError, match="faq"):
        _read("dify", tmp_path, path="d.csv")


def test_fastgpts_backup_has_rows_of_any_length_and_guarded_fields(tmp_path: Path) -> None:
    write(
        tmp_path,
        "x-backup.csv",
        "\ufeffq,a,indexes\nHow?,'=Yes,How?,Can I do it?,How? '=Yes\n"
        '"a, long\nchunk",,"a, long\nchunk"\n\'-dash,,\n,,\n',
    )
    assert _pieces("fastgpt", tmp_path, path="x-backup.csv") == [
        ("How? / Can I do it?", "=Yes", True),
        ("x-backup", "a, long\nchunk", False),
        ("x-backup", "-dash", False),
    ]
    write(tmp_path, "y.csv", 'q,a\nhow,"never closed\n')
    write(tmp_path, "z.csv", "question,answer\na,b\n")
    assert _reasons("fastgpt", tmp_path, path="[yz].csv") == [
        ("y.csv", "lone quote"),
        ("z.csv", "other columns"),
    ]


def test_maxkbs_sheets_sections_questions_and_switched_off_ones(tmp_path: Path) -> None:
    heads = [
        "分段标题（选填）",
        "分段内容（必填）",
        "问题（选填）",
        "Tags",
        "",
        "",
        "1",
        "Paragraph is active",
    ]
    rows = [
        heads,
        ["Title", "\ufeff=text", "", "", "", "", "1", "1"],
        ["", "answer", "one?\r\ntwo?\none?", "", "", "", "", "1"],
        ["Off", "not this", "", "", "", "", "", "0"],
    ]
    write(
        tmp_path,
        "a.zip",
        zipped({"knowledge.xlsx": xlsx({"Manual": rows, "Empty": [heads]}), "workflow.kbwf": b"x"}),
    )
    write(tmp_path, "b.csv", "title,content,questions\nT,text,\n")
    write(tmp_path, "c.xls", b"\xd0\xcf\x11\xe0")
    write(tmp_path, "d.zip", zipped({"other.txt": "x"}))
    write(tmp_path, "e.xlsx", b"PK nothing")
    assert _pieces("maxkb", tmp_path, path="*.*") == [
        ("Manual › Title", "=text", False),
        ("one? / two?", "answer", True),
        ("b › T", "text", False),
    ]
    assert _reasons("maxkb", tmp_path, path="*.*") == [
        ("a.zip#Empty", "empty"),
        ("c.xls", "unreadable"),
        ("d.zip", "unreadable"),
        ("e.xlsx", "unreadable"),
    ]


@pytest.mark.parametrize(
    "text", [BOMB, FILE, BOMB.replace("<?xml version", '<?xml encoding="utf-16" version')]
)
def test_xml_with_entities_of_its_own_is_refused(text: str) -> None:
    for data in (text.encode(), text.encode("utf-16")):
        with pytest.raises(InputError):
            tree(data, "x")


def test_xml_nested_too_deep_and_a_workbook_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="deeper"):
        tree(b"<a>" * 200 + b"</a>" * 200, "x")
    book = xlsx({"A": [["x" * 5000]]})
    assert [sheet.rows[0][1] for sheet in sheets(book, "x")] == [("x" * 5000,)]
    monkeypatch.setattr("headrace.knowledge.workbook.MOST_BYTES", 1000)
    monkeypatch.setattr("headrace.knowledge.workbook.member.__defaults__", (1000,))
    with pytest.raises(InputError, match="larger"):
        list(sheets(book, "x"))
    with pytest.raises(InputError, match="document type"):
        list(sheets(zipped({"xl/workbook.xml": BOMB, "xl/_rels/workbook.xml.rels": "<a/>"}), "x"))


def test_rasas_bad_yaml_names_its_line_and_odd_entries_are_broken(tmp_path: Path) -> None:
    def read() -> list[Any]:
        given = plugins.options("connectors", "rasa").model_validate({"path": "nlu.yml"})
        return list(plugins.load("connectors", "rasa")(given, tmp_path).read(None))

    write(
        tmp_path,
        "nlu.yml",
        'version: "3.1"\nnlu:\n- intent: faq/price\n  examples: |\n'
        '    - from [[Oslo](city) airport]{"entity": "place"}\n    odd\n- synonym: x\n  examples: |\n    - y\n'
        "- intent: b\n  examples:\n  - text: |\n      - plain\n- lone\n",
    )
    assert [
        (getattr(r, "text", ""), getattr(r, "label", ""), getattr(r, "reason", ""), r.place) for r in read()
    ] == [
        ("from Oslo airport", "faq/price", "", "nlu.yml:5"),
        ("", "", "not an example", "nlu.yml:6"),
        ("plain", "b", "", "nlu.yml:12"),
        ("", "", "not an intent", "nlu.yml:14"),
    ]
    for text, line in (("nlu:\n- intent: a\n   bad: [\n", 3), ("nlu:\n- \xff", 0), ("x: 1\n", 0)):
        (tmp_path / "nlu.yml").write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError) as caught:
            read()
        assert not line or f"nlu.yml:{line}" in caught.value.message
    (tmp_path / "nlu.yml").unlink()
    with pytest.raises(NotFound):
        read()
