"""A source that is in no recipe, for a file that is collected once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.recipe import SourceRecipe


def lent(task: str, channel: str, options: Mapping[str, Any]) -> SourceRecipe:
    """A source of files for one (task, channel)."""
    return SourceRecipe(channel=channel, task=task, connector="files", options=dict(options))
