"""Names for shell completion, read from the recipe of the project that the command line speaks of."""

from __future__ import annotations

import importlib
from pathlib import Path

import typer

from headrace.errors import HeadraceError


def tasks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Tasks of the recipe."""
    return _names(ctx, "tasks", incomplete)


def channels(ctx: typer.Context, incomplete: str) -> list[str]:
    """Channels of the recipe."""
    return _names(ctx, "channels", incomplete)


def sources(ctx: typer.Context, incomplete: str) -> list[str]:
    """Sources of the recipe."""
    return _names(ctx, "sources", incomplete)


def _names(ctx: typer.Context, section: str, incomplete: str) -> list[str]:
    """Nothing where the recipe cannot be read: completion must not print an error into the command line."""
    folder = Path(ctx.find_root().params.get("project") or ".")
    try:
        recipe = importlib.import_module("headrace.recipe").read(folder / "headrace.yaml")
    except (HeadraceError, OSError):
        return []
    return [name for name in getattr(recipe, section) if name.startswith(incomplete)]
