"""What goes wrong in a terminal: the message, the exit code, and what must never be shown."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import typer

from headrace.channels.keys import new_key
from headrace.cli import app
from headrace.cli.failures import code_of, said, trace, without_keys
from headrace.cli.group import hoisted
from headrace.errors import (
    ArtifactError,
    Conflict,
    HeadraceError,
    InputError,
    MissingExtra,
    NotFound,
    NotServed,
    QuotaSpent,
    RecipeError,
    StoreFull,
    TrainingError,
)
from headrace.records import Key


class Nowhere:
    """A store of keys that keeps none."""

    def add(self, key: Key) -> None:
        """Keep nothing."""

    def by_digest(self, digest: str) -> Key | None:
        """Find nothing."""
        return None


SECRET = new_key(Nowhere(), "shop")[1]


def run(*words: str) -> int:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as ended:
        app(list(words), prog_name="headrace")
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HeadraceError("no"), 1),
        (RecipeError(["line 1: no"]), 2),
        (InputError("no"), 2),
        (NotFound("no"), 2),
        (Conflict("no"), 2),
        (MissingExtra("Training", "train"), 3),
        (StoreFull("no"), 4),
        (ArtifactError("no"), 4),
        (TrainingError("no"), 5),
        (NotServed("no"), 5),
        (QuotaSpent("no", retry_after=3), 6),
        (OSError(errno.ENOSPC, "No space left on device"), 4),
        (OSError(errno.EACCES, "Permission denied", "x"), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("no"), 1),
    ],
)
def test_exit_codes_are_those_of_the_errors(error: BaseException, code: int) -> None:
    assert code_of(error) == code


def test_an_error_says_what_where_and_the_cure() -> None:
    told = said(InputError("no such column.", where="a.csv", field="text", cure="There are: body."))
    assert told.splitlines() == [
        "Error: no such column.",
        "Where: a.csv, field 'text'",
        "Cure:  There are: body.",
    ]


def test_every_mistake_of_a_recipe_is_a_line() -> None:
    told = said(RecipeError(["line 3: x", "line 9: y"], where="shop/headrace.yaml"))
    assert told.splitlines() == ["Error: 2 mistakes in shop/headrace.yaml:", "  line 3: x", "  line 9: y"]


def test_an_interruption_promises_that_nothing_is_lost() -> None:
    assert said(KeyboardInterrupt()) == "Stopped. Nothing acknowledged is lost; run it again to continue."


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_system_is_quoted_in_plain_words(number: int) -> None:
    told = said(OSError(number, "Errno talk", "/data/rows.csv"))
    assert "Where: /data/rows.csv" in told
    assert "Cure:" in told
    assert "Errno" not in told or number == errno.EIO


def test_the_unexpected_is_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        raise ZeroDivisionError(f"with {SECRET}")
    except ZeroDivisionError as error:
        told = said(error)
    kept = next(tmp_path.iterdir())
    assert str(kept) in told
    assert "ZeroDivisionError" in told
    assert "raise ZeroDivisionError" in kept.read_text(encoding="utf-8")
    assert SECRET not in told + kept.read_text(encoding="utf-8")
    assert kept.stat().st_mode & 0o077 == 0


def test_a_key_is_hidden_whole_or_cut_off_and_named() -> None:
    told = said(NotFound(f"there is no channel '{SECRET}'.", cure=f"{SECRET[:30]}..."))
    assert "hr_live_" not in told
    assert "A key of Headrace stood there" in told
    assert "hr_live_" not in without_keys(f"{SECRET}, {SECRET[:20]}")
    assert said(NotFound("no key.", cure="Send `Bearer hr_live_...`")).endswith("hr_live_...`")
    assert SECRET not in trace(ValueError(SECRET))


PASTED = [
    ("key", "new", SECRET),
    ("key", "revoke", SECRET),
    ("channel", "add", SECRET, "--task", "intent"),
    ("channel", "add", "shop", "--task", "intent", "--owner", SECRET),
    ("collect", SECRET),
    ("feedback", "add", SECRET, "--verdict", "right"),
    ("feedback", "add", "ans_1", "--label", SECRET),
    ("feedback", "add", "ans_1", "--verdict", SECRET),
    ("train", "intent", f"--channel={SECRET}"),
    ("rollback", "--to", SECRET),
    ("release", SECRET),
    ("backup", SECRET),
    ("init", "--name", SECRET),
    ("history", "--at", SECRET),
    (SECRET,),
]


@pytest.mark.parametrize("words", PASTED, ids=[" ".join(w).replace(SECRET, "KEY") for w in PASTED])
def test_a_key_in_the_wrong_place_is_named_and_never_repeated(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert "key of Headrace" in shown.err
    assert "hr_live_" not in (shown.err + shown.out).replace("hr_live_...", "")


def test_a_key_in_the_recipe_is_named_by_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "headrace.yaml").write_text(f"name: shop\nstore: {SECRET}\n", encoding="utf-8")
    assert run("status", "--project", str(tmp_path)) == 2
    shown = capsys.readouterr().err
    assert "line 2: a key of Headrace stands here" in shown
    assert "hr_live_" not in shown


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("colect",), "'collect'"),
        (("stauts",), "'status'"),
        (("channel", "lst"), "'list'"),
        (("turn", "--jso"), "--json"),
        (("--projct", "x", "status"), "--project"),
    ],
)
def test_a_typo_suggests_the_nearest(
    words: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "ordered"),
    [
        ("status --project shop --json", "--project shop status --json"),
        ("predict --debug hello -C x", "--debug -C x predict hello"),
        ("predict --project=x hello", "--project=x predict hello"),
        ("predict -- --project x", "predict -- --project x"),
        ("turn", "turn"),
    ],
)
def test_global_options_may_stand_anywhere(words: str, ordered: str) -> None:
    assert hoisted(words.split()) == ordered.split()


def test_a_project_option_without_a_folder_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--project") == 2
    assert "--project needs a folder" in capsys.readouterr().err


def test_nothing_said_shows_the_help_and_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "quarantine" in capsys.readouterr().out
    assert run("key") == 2
    shown = capsys.readouterr()
    assert "revoke" in shown.out + shown.err
    assert "Error" not in shown.err


def test_an_interruption_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def stopped(folder: Path) -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr("headrace.doctor.examine", stopped)
    assert run("doctor", "--project", str(tmp_path)) == 130
    assert "Nothing acknowledged is lost" in capsys.readouterr().err


def test_a_reader_that_stops_reading_is_no_error() -> None:
    import subprocess

    command = f"{sys.executable} -m headrace history --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


def test_errors_are_raised_where_the_caller_wants_them() -> None:
    with pytest.raises(typer.TyperException):
        app(["colect"], standalone_mode=False)


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--debug", "--project", str(tmp_path)) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "Cure:  Run: headrace init" in shown
