"""Users are made in the terminal, and the console is not opened to others while there is none."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from console_stand import LIGHT

from headrace.cli import app
from headrace.project import Project
from headrace.web.console.place import Console
from headrace.web.console.server import background, refuse_open_without_users


def run(folder: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app(["--project", str(folder), *words])
    return int(str(ended.value.code))


def test_a_user_is_added_listed_and_disabled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Project.init(tmp_path, recipe=LIGHT).close()
    assert run(tmp_path, "console", "--host", "0.0.0.0", "--no-browser") == 2
    assert "has no user" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert run(tmp_path, "user", "add", "olga", "--role", "owner") == 2
    assert "10 to 200 characters" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO("long enough, this\n"))
    assert run(tmp_path, "user", "add", "olga", "--role", "owner") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("long enough, too\n"))
    assert run(tmp_path, "user", "add", "olga", "--role", "owner") == 2
    assert run(tmp_path, "user", "add", "x", "--role", "boss") == 2
    project = Project(tmp_path)
    console = Console.of(project)
    refuse_open_without_users(console, "0.0.0.0")
    assert console.access.login("olga", "long enough, this", "here") is not None
    monkeypatch.setattr(sys, "stdin", io.StringIO("quite another one\n"))
    assert run(tmp_path, "user", "password", "olga") == 0
    assert console.access.login("olga", "long enough, this", "here") is None
    assert console.access.login("olga", "quite another one", "here") is not None
    assert run(tmp_path, "user", "disable", "olga") == 0
    capsys.readouterr()
    assert run(tmp_path, "user", "list", "--json") == 0
    assert '"disabled": true' in capsys.readouterr().out
    assert console.access.login("olga", "quite another one", "here") is None
    project.close()


def test_a_console_in_a_thread_answers_and_ends(tmp_path: Path) -> None:
    import httpx2

    Project.init(tmp_path, recipe=LIGHT).close()
    with background(Console.of(Project(tmp_path))) as url:
        page = httpx2.get(f"{url}/login")
    assert "headrace user add" in page.text
