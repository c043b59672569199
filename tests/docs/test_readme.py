"""The README's commands exist, its two languages show the same, and what it links to is there."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer.main

import headrace
from headrace.cli import app

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "README.zh-CN.md")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = text.split("```")[1::2]
    return [block.partition("\n")[2] for block in fenced if block.partition("\n")[0] == language]


def commands(page: str) -> list[list[str]]:
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in line.split("&&")]
    words = [shlex.split(part, comments=True) for part in parts]
    return [found for found in words if found and found[0] == "headrace"]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_of_the_readme_exists(page: str) -> None:
    group = typer.main.get_command(app)
    assert len(commands(page)) >= 5
    for words in commands(page):
        command, rest = group, words[1:]
        while hasattr(command, "commands") and rest:
            assert rest[0] in command.commands, " ".join(words)
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        unknown = [word for word in rest if word.startswith("--") and word not in known]
        assert unknown == [], " ".join(words)


def test_both_languages_show_the_same_commands_and_output() -> None:
    english, chinese = PAGES
    assert commands(english) == commands(chinese)
    assert blocks(english, "") == blocks(chinese, "")


@pytest.mark.parametrize("page", PAGES)
def test_the_python_example_uses_what_exists(page: str) -> None:
    [code] = blocks(page, "python")
    called = {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}
    known = set(dir(headrace.Project)) | set(headrace.Answer.__dataclass_fields__)
    assert called
    assert called <= known


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("target", ["demo", "test", "quick", "install", "check", "torture"])
def test_the_commands_of_make_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
