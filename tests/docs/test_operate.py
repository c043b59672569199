"""What is said of running it holds: commands and settings exist, the unit and the image serve."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from ruamel.yaml import YAML

from headrace.cli import app
from headrace.recipe import Recipe
from headrace.web.outbox import AGAIN

ROOT = Path(__file__).parents[2]
PAGES = ("operate.md", "partners.md")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_exists(page: str) -> None:
    named = r"(?:^|`)headrace ([a-z][a-z-]*(?: [a-z][a-z-]*)?)"
    found = re.findall(named, text(f"docs/{page}"), re.MULTILINE)
    assert len(found) >= 2
    for words in (shlex.split(said) for said in found):
        command = typer.main.get_command(app)
        for word in words:
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, words
            command = command.commands[word]


@pytest.mark.parametrize("page", PAGES)
def test_every_piece_of_a_recipe_is_one(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", text(f"docs/{page}"), re.DOTALL)
    assert blocks
    for block in blocks:
        Recipe.model_validate({"name": "shop", "tasks": {"intent": {}}} | YAML(typ="safe").load(block))


def test_the_schedule_of_webhooks_is_the_one_on_the_page() -> None:
    assert "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h" in text("docs/partners.md")
    hours = [5 / 3600, 1 / 12, 0.5, 2, 5, 10, 14, 20, 24]
    assert [seconds / 3600 for seconds in AGAIN] == pytest.approx(hours)


def test_the_unit_runs_the_server_without_rights() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text("deploy/headrace.service"))
    service = unit["Service"]
    assert service["ExecStart"].endswith("/headrace serve")
    assert service["User"] == "headrace"
    assert service["ReadWritePaths"] == service["WorkingDirectory"] == "/srv/headrace"
    for name, value in {
        "NoNewPrivileges": "true",
        "ProtectSystem": "strict",
        "CapabilityBoundingSet": "",
    }.items():
        assert service[name] == value


def test_the_image_serves_as_nobody_and_says_whether_it_lives() -> None:
    image = text("Dockerfile")
    assert image.index("USER headrace") < image.index("ENTRYPOINT")
    assert "/healthz" in image
    assert "torch" not in image.replace("without torch", "")
    named = set(re.findall(r"^COPY ([^-].*) \S+$", image, re.MULTILINE))
    for source in " ".join(named).split():
        assert (ROOT / source).exists(), source
