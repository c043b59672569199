"""How far long work is: lines where there is no terminal, one bar where there is."""

from __future__ import annotations

import io
import itertools

from headrace.cli.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_lines_come_every_few_seconds_and_at_the_end_of_what_was_spoken_of() -> None:
    seconds = itertools.count()
    out = io.StringIO()
    with Progress(out, every=5, monotonic=lambda: next(seconds)) as progress:
        for done in range(1, 13):
            progress("embedding", done, 12)
        progress("quick", 1, 1)
    lines = out.getvalue().splitlines()
    assert 2 <= len(lines) <= 4
    assert lines[0].startswith("embedding: ")
    assert "12 of 12" in lines[-1]
    assert not [line for line in lines if line.startswith("quick")]


def test_a_total_that_nobody_knows_is_not_shown() -> None:
    seconds = itertools.count(0, 10)
    out = io.StringIO()
    with Progress(out, monotonic=lambda: next(seconds)) as progress:
        progress("collect tickets", 3000, 0)
    assert out.getvalue() == "collect tickets: 3,000, 10 s\n"


def test_a_terminal_gets_one_bar_that_is_gone_at_the_end() -> None:
    out = Terminal()
    with Progress(out) as progress:
        progress("embedding", 1, 2)
        progress("embedding", 2, 2)
        progress("judging", 0, 0)
    assert "judging" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K") or "\x1b[1A" in out.getvalue()
