"""docs/cli.md, made from the verbs themselves: python -m headrace.cli.reference > docs/cli.md"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from headrace.cli.app import app

HEAD = """\
# The command line

Made by `python -m headrace.cli.reference > docs/cli.md`; edit the docstrings in `headrace/cli`.

`--project DIR` (or `HEADRACE_PROJECT`) names the project's folder and `--debug` shows an error's traceback;
both may stand before or after the verb. Results go to stdout, notes, progress and errors to stderr. With
`--json` stdout is JSON alone.

Exit codes: 0 done, 1 failed, 2 wrong input or recipe, 3 an extra is missing, 4 the store or an adapter's file
cannot be used, 5 nothing to learn from or nothing served yet, 6 refused, 130 stopped.
"""


def reference() -> str:
    """The whole page."""
    tree: Any = typer.main.get_command(app)
    parts = [HEAD]
    for path, command in leaves(tree):
        parts += section(path, command)
    return "\n".join(parts).rstrip() + "\n"


def leaves(tree: Any, path: tuple[str, ...] = ("headrace",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb with the words that call it, in the order of the help."""
    for name, command in tree.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


def section(path: tuple[str, ...], command: Any) -> list[str]:
    """One verb: its help, its example, its arguments and options."""
    told, example = split(command.help)
    lines = [
        f"## {' '.join(path)}",
        "",
        told,
        "",
        "```console",
        *(f"$ {line}" for line in example),
        "```",
        "",
    ]
    shown = [param for param in command.params if param.name != "help"]
    if shown:
        lines += ["| argument or option | |", "|---|---|", *map(_row, shown), ""]
    return lines


def split(text: str) -> tuple[str, list[str]]:
    """A help text as what it tells and the lines of its example."""
    told, _, example = inspect.cleandoc(text).partition("Example:\n")
    return told.strip(), [line.strip() for line in example.splitlines() if line.strip()]


def _row(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.param_type_name == "argument":
        names = f"`{param.metavar or param.name.upper()}`"
    needed = " Required." if param.required else ""
    default = param.default
    plain = isinstance(default, bool | list | tuple) or default is None or default == ""
    given = "" if plain else f" Default: `{getattr(default, 'value', default)}`."
    return f"| {names} | {(param.help or '').strip()}{needed}{given} |"


if __name__ == "__main__":
    typer.echo(reference(), nl=False)
