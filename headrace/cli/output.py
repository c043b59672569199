"""What a verb prints: JSON for scripts, lines and tables for people. Results on stdout, notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console

from headrace.cli.session import load


def say(text: str) -> None:
    """A line for people."""
    typer.echo(text)


def note(text: str) -> None:
    """A line that is no result."""
    typer.echo(text, err=True)


def show_json(value: Any) -> None:
    """JSON on stdout, with the keys in the order in which they were given."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def show_grid(grid: Any) -> None:
    """A table: drawn on a terminal, aligned columns elsewhere."""
    reports = load("tables")
    if sys.stdout.isatty():
        Console().print(reports.rich_table(grid))
    else:
        typer.echo(reports.plain(grid))


def show_rows(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """A table of text, or the sentence `empty` where it has no rows."""
    found = [tuple(row) for row in rows]
    if found:
        show_grid(load("tables").grid(title, heads, found))
    else:
        say(empty)
