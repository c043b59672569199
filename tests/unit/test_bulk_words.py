"""What is meant on the command line: words, or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.asking import SHOWN, few, file_meant, sentence, summary
from headrace.errors import InputError
from headrace.serving.bulk import Written


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, in which the user stands."""
    (tmp_path / "my rows.csv").write_text("text\nwhere\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        (["my rows.csv"], "my rows.csv"),
        (["where is my rows.csv"], None),
        (["where is it", "and why"], None),
        (["a" * 5000 + " x.csv"], None),
        (["see rows.csv", "thanks"], None),
    ],
)
def test_a_word_that_is_a_file_is_one(texts: list[str], meant: str | None) -> None:
    assert file_meant(texts, None, None) == (Path(meant) if meant else None)


def test_what_is_unclear_is_refused() -> None:
    for texts, file, out, said in (
        ([], None, None, "TEXT or a FILE"),
        (["a"], Path("my rows.csv"), None, "both given"),
        (["rows.csv"], None, None, "no such file"),
        (["my rows.csv", "a"], None, None, "one file at a time"),
        (["a"], None, Path("out.csv"), "answers to a FILE"),
    ):
        with pytest.raises(InputError, match=said):
            file_meant(texts, file, out)


def test_a_long_file_is_not_shown(folder: Path) -> None:
    file = folder / "long.txt"
    file.write_text("where\n" * SHOWN, encoding="utf-8")
    assert len(few(file, None, print)) == SHOWN
    file.write_text("where\n" * (SHOWN + 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"--out answers\.csv"):
        few(file, None, print)


def test_the_end_is_told_in_one_sentence() -> None:
    written = Written(Path("out.csv"), 3000, 2999, 1, 2048, ("in.csv:7: the text is empty",))
    assert sentence(written) == (
        "Wrote 2,999 answers to out.csv; rows that could not be asked: 1; 2,048 of the rows by an earlier run."
    )
    assert summary(written) == {
        "out": "out.csv",
        "rows": 3000,
        "answered": 2999,
        "failed": 1,
        "kept": 2048,
        "errors": ["in.csv:7: the text is empty"],
    }
