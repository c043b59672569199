"""Grids in a terminal, through rich, and as plain text where there is no terminal."""

from __future__ import annotations

import textwrap
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from headrace.reports.grids import Grid


def rich_table(grid: Grid) -> Table:
    """A table for a rich console; markup in cells is shown as it stands, not obeyed."""
    table = Table(
        title=Text(grid.title, style="bold"),
        caption=Text(grid.note, style="dim") if grid.note else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i, column in enumerate(grid.columns):
        widest = max((cell_len(line) for row in grid.rows for line in row[i].split("\n")), default=0)
        whole = widest if i == 0 or column.number else None
        head = _head(column.head, widest) if column.number else column.head
        justify: Literal["left", "right"] = "right" if column.number else "left"
        table.add_column(Text(head), justify=justify, overflow="fold", min_width=whole)
    for row in grid.rows:
        table.add_row(*[_cell(text) for text in row])
    return table


def plain(grid: Grid) -> str:
    """Aligned columns of plain text, each row on one line; wide characters count two."""
    lines = [[column.head for column in grid.columns]]
    lines += [[_one_line(cell) for cell in row] for row in grid.rows]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(grid.columns))]
    body = [
        "  ".join(
            _padded(cell, width, column.number)
            for cell, width, column in zip(line, widths, grid.columns, strict=True)
        ).rstrip()
        for line in lines
    ]
    body.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([grid.title, *body, *([grid.note] if grid.note else [])])


def _head(head: str, widest: int) -> str:
    """A head broken into lines about as wide as its column; Chinese breaks anywhere."""
    if head.isascii():
        return "\n".join(textwrap.wrap(head, max(widest, 8), break_long_words=False))
    step = max(2, widest // 2, 4)
    return "\n".join(head[i : i + step] for i in range(0, len(head), step))


def _one_line(cell: str) -> str:
    first, *rest = cell.split("\n")
    return f"{first} ({', '.join(rest)})" if rest else first


def _cell(text: str) -> Text:
    first, _, rest = text.partition("\n")
    made = Text(first)
    return made.append(f"\n{rest}", style="dim") if rest else made


def _padded(cell: str, width: int, number: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if number else cell + space
