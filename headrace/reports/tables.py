"""Grids in a terminal, through rich, and as plain text where there is no terminal."""

from __future__ import annotations

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
        pad_edge=False,
    )
    for column in grid.columns:
        table.add_column(Text(column.head), justify="right" if column.number else "left", overflow="fold")
    for row in grid.rows:
        table.add_row(*[_cell(text) for text in row])
    return table


def plain(grid: Grid) -> str:
    """Aligned columns of plain text, each row on one line; wide characters count two."""
    lines = [[column.head for column in grid.columns]]
    lines += [[" ".join(cell.split("\n")) for cell in row] for row in grid.rows]
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


def _cell(text: str) -> Text:
    first, _, rest = text.partition("\n")
    made = Text(first)
    return made.append(f"\n{rest}", style="dim") if rest else made


def _padded(cell: str, width: int, number: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if number else cell + space
