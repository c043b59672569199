"""docs/recipe.md shows every key with its true default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headrace import recipe

PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"


def shown() -> dict[str, Any]:
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    found: dict[str, Any] = YAML(typ="safe").load(block.group(1))
    return found


def test_the_file_on_the_page_is_a_recipe() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    assert recipe.parse(block.group(1)).name == "my-shop"


def test_every_key_stands_on_the_page_with_its_default() -> None:
    page = shown()
    whole = recipe.Recipe(name="my-shop").model_dump(mode="json")
    for section in ("clean", "train", "gate", "release", "trust", "alerts", "memory", "serve"):
        assert page[section] == whole[section], section
    assert set(page) == set(whole)
    for noun, kind in (
        ("tasks", recipe.TaskRecipe),
        ("channels", recipe.ChannelRecipe),
        ("sources", recipe.SourceRecipe),
    ):
        entry = next(iter(page[noun].values()))
        assert set(entry) == set(kind.model_fields), noun


def test_defaults_of_tasks_and_channels_are_those_shown() -> None:
    task = recipe.TaskRecipe().model_dump(mode="json")
    assert shown()["tasks"]["intent"] == task
    channel = recipe.ChannelRecipe(tasks=("intent",)).model_dump(mode="json")
    assert shown()["channels"]["website"] == channel | {"language": "en"}
