"""Pieces of an HTML page. Every text goes through `escape`; only plots come as markup already."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib.resources import files

from headrace.reports.grids import Column, Grid


def escape(text: str) -> str:
    """Text that a browser shows as it stands, control characters left out."""
    return html.escape("".join(c for c in text if c >= " " or c in "\n\t"), quote=True)


def document(title: str, body: Iterable[str], language: str) -> str:
    """A whole page with its style inside; nothing in it runs or is fetched."""
    style = files("headrace.reports").joinpath("page.css").read_text(encoding="utf-8")
    lang = "zh-Hans" if language == "zh" else "en"
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{lang}">',
            '<head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{style}</style></head>",
            "<body><main>",
            *body,
            "</main></body></html>\n",
        ]
    )


def heading(title: str, lead: str, small: Iterable[str]) -> str:
    """The head of the page: title, one paragraph, and a line of small print."""
    line = " · ".join(escape(text) for text in small if text)
    words = f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'
    return f'<header><p class="small">{line}</p>{words}</header>'


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """A row of large figures, each with its words."""
    made = "".join(
        f"<div><strong>{escape(value)}</strong><span>{escape(words)}</span></div>" for value, words in figures
    )
    return f'<div class="cards">{made}</div>'


def section(title: str, *parts: str, lead: str = "") -> str:
    """A titled section; `parts` are markup."""
    first = f"<p>{escape(lead)}</p>" if lead else ""
    return f"<section><h2>{escape(title)}</h2>{first}{''.join(parts)}</section>"


def subtitle(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str) -> str:
    """A paragraph of text."""
    return f"<p>{escape(text)}</p>"


def figure(svg: str, caption: str = "") -> str:
    """A plot, which is markup already, with an optional caption."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{words}</figure>"


def table(grid: Grid) -> str:
    """A grid as a table that scrolls by itself where the screen is narrow."""
    named = any(column.head for column in grid.columns)
    head = "".join(f"<th{_kind(c)}>{escape(c.head)}</th>" for c in grid.columns)
    rows = "".join(_row(grid, row) for row in grid.rows)
    note = f'<p class="small">{escape(grid.note)}</p>' if grid.note else ""
    top = f"<thead><tr>{head}</tr></thead>" if named else ""
    return f'<div class="wide"><table>{top}<tbody>{rows}</tbody></table></div>{note}'


def details(summary: str, inner: str) -> str:
    """Markup that is folded away until it is asked for."""
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def _row(grid: Grid, row: tuple[str, ...]) -> str:
    cells = zip(row, grid.columns, strict=True)
    return "<tr>" + "".join(f"<td{_kind(column)}>{_cell(text)}</td>" for text, column in cells) + "</tr>"


def _cell(text: str) -> str:
    first, *rest = text.split("\n")
    return escape(first) + (f"<small>{escape(', '.join(rest))}</small>" if rest else "")


def _kind(column: Column) -> str:
    return ' class="number"' if column.number else ""
