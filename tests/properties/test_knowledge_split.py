"""Splitting loses no text and keeps to its size; reading documents twice is reading them once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from knowledge_parts import recipe, write

from headrace.knowledge.formats import Piece, Read
from headrace.knowledge.split import parts, passages, size
from headrace.knowledge.sync import sync
from headrace.store import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BITS = [
    *(
        "word ",
        "Mr. Smith pays $3.50. ",
        "退货",
        "我们会退款。",
        "吗？”",
        "\n",
        "\n\n",
        "```\n",
        "code_line(x)\n",
    ),
    *(
        "| a | b |\n",
        "- item\n",
        "…",
        "，",
        ", ",
        "; ",
        "\u3000",
        "\x85",
        "\u2028",
        "\t",
        "x" * 90,
        "!?",
        "~~~\n",
    ),
    "https://x.example/a?b=c ",
]
# Runs of one thing make texts of several passages out of few draws.
RUNS = st.tuples(st.lists(st.sampled_from(BITS), min_size=1, max_size=6), st.integers(1, 60))
TEXTS = st.lists(RUNS, max_size=12).map(lambda runs: "".join("".join(bits) * times for bits, times in runs))


def _bare(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_the_passages_of_a_piece_are_its_text(text: str) -> None:
    found = parts(Piece("title", text))
    assert _bare("".join(found)) == _bare(text)
    assert all(part and part == part.strip() for part in found)


@settings(max_examples=50, deadline=None)
@given(TEXTS.filter(lambda text: not {"`", "~", "|"} & set(text)))
def test_no_passage_but_code_and_tables_is_longer_than_a_passage(text: str) -> None:
    assert all(size(part) <= 1 + 1e-9 for part in parts(Piece("title", text)))


@settings(max_examples=30, deadline=None)
@given(TEXTS)
def test_an_answer_of_the_owner_stays_whole(text: str) -> None:
    assert parts(Piece("title", text, curated=True)) == ([text.strip()] if text.strip() else [])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x. ", "y", "x. " * 200])), max_size=6))
def test_ids_are_one_passages_and_the_same_again(pieces: list[tuple[str, str]]) -> None:
    read = Read("p", "t", tuple(Piece(title, text) for title, text in pieces))
    found = passages(read, document="doc_1", channel=None, at=NOW)
    assert len({one.id for one in found}) == len(found)
    assert [one.number for one in found] == list(range(len(found)))
    assert found == passages(read, document="doc_1", channel=None, at=NOW)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), TEXTS, max_size=3), min_size=1, max_size=3))
def test_what_is_there_is_what_the_folder_holds_and_syncing_twice_changes_nothing(
    folders: list[dict[str, str]],
) -> None:
    made = recipe(help={"format": "markdown", "options": {"path": "help"}})
    with TemporaryDirectory() as name, Store.open("s.db", Path(name), create=True).closing() as store:
        folder = Path(name)
        write(folder, "help/always.md", "# Here\n\nThis stays.")
        for files in folders:
            for old in (folder / "help").glob("[abc].md"):
                old.unlink()
            for file, text in files.items():
                write(folder, f"help/{file}.md", f"# T\n\nbegin {text}")
            sync(store, made, folder, clock=lambda: NOW)
            live = {one.place for one in store.documents.list(state="live")}
            assert live == {"help/always.md", *(f"help/{file}.md" for file in files)}
            before = store.documents.passages(), store.documents.version()
            again = sync(store, made, folder, clock=lambda: NOW)
            assert (again.added, again.changed, again.removed) == (0, 0, 0)
            assert again.unchanged == len(live)
            assert (store.documents.passages(), store.documents.version()) == before
