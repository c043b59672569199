"""How verbs are run: global options anywhere, a pasted key refused, errors said in plain words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from headrace.channels.keys import PREFIX
from headrace.cli.failures import STOPPED, code_of, said, trace
from headrace.errors import InputError

_ANYWHERE = {"--project": True, "-C": True, "--debug": False}  # name -> takes a value
_TEXTS = "texts"  # what users wrote: a key in it is masked like any private detail


class Verb(TyperCommand):
    """A command that refuses a key of Headrace in its arguments."""

    def invoke(self, ctx: Any) -> Any:
        """Run it; raises InputError where a key was pasted."""
        refuse_keys(ctx.params, {param.name or "": param.opts[-1] for param in self.params})
        return super().invoke(ctx)


class Commands(TyperGroup):
    """The tree of verbs; whatever goes wrong below ends as a message on stderr and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and exit; with `standalone_mode` False errors are raised instead."""
        words = list(sys.argv[1:] if args is None else args)
        given: dict[str, Any] = {"prog_name": prog_name, "complete_var": complete_var, **extra}
        if not standalone_mode:
            return super().main(hoisted(words), standalone_mode=False, **given)
        for stream in (sys.stdout, sys.stderr):
            _never_fail(stream)
        try:
            code = super().main(hoisted(words), standalone_mode=False, **given)
            sys.stdout.flush()
        except BrokenPipeError:
            code = _reader_gone()
        except Exception as error:
            code = _tell(error, "--debug" in words)
        if code == STOPPED:
            _tell(KeyboardInterrupt(), False)
        sys.exit(code if isinstance(code, int) else 0)


def hoisted(words: Sequence[str]) -> list[str]:
    """The words with the global options first, wherever they stood before a `--`; raises InputError."""
    front: list[str] = []
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, _ = word.partition("=")
        if word == "--":
            return [*front, *rest, word, *queue]
        if name not in _ANYWHERE or (equals and not name.startswith("--")):
            rest.append(word)
            continue
        front.append(word)
        if _ANYWHERE[name] and not equals:
            if not queue:
                raise InputError(f"{word} needs a folder.", cure=f"For example: {word} shop")
            front.append(queue.pop(0))
    return [*front, *rest]


def refuse_keys(values: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Raise InputError where a value holds a key; it says where, and does not repeat the key."""
    for name, value in values.items():
        if name == _TEXTS or not any(PREFIX in text for text in _strings(value)):
            continue
        shown = names.get(name, name)
        raise InputError(
            f"a key of Headrace stands where {shown if shown.startswith('-') else shown.upper()} belongs.",
            cure="Keys go into the header `Authorization: Bearer ...` of requests alone; here their ids are"
            " used (headrace key list). This one is in your shell's history now: revoke it.",
        )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str | os.PathLike):
        yield str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _tell(error: BaseException, debug: bool) -> int:
    """Say an error on stderr; gives its exit code."""
    if debug:
        typer.echo(trace(error), err=True)
    first, _, rest = said(error).partition(" ")
    if rest:
        typer.echo(f"{typer.style(first, fg=typer.colors.RED, bold=True)} {rest}", err=True)
    return code_of(error)


def _never_fail(stream: TextIO) -> None:
    """Let characters that a terminal cannot show be written as escapes."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _reader_gone() -> int:
    """Whoever read stdout stopped reading, as `head` does; what is left to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
