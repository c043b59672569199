"""Markdown files, CommonMark with tables: each a document, its headings the titles of its pieces.

A front matter's `title`, `language` and `url` are taken; without a title it is the first heading, else the file's
name. Code fences and tables stay as they stand. Text is plain: a link is its words and its address.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headrace.data.connectors import Broken
from headrace.knowledge.files import File, FileFormat, FileOptions, read_text
from headrace.knowledge.formats import Read
from headrace.knowledge.outline import Outline

ENDINGS = (".md", ".markdown", ".mdx", ".txt")


class Options(FileOptions):
    """Where the files are."""


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def __init__(self, options: Options, folder: Path) -> None:
        super().__init__(options, folder)
        self._parser = MarkdownIt("commonmark").enable("table")

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document, the file."""
        text = read_text(file, self.options.encoding)
        yield text if isinstance(text, Broken) else self._document(file, text)

    def _document(self, file: File, text: str) -> Read | Broken:
        matter, body = _front_matter(text)
        if isinstance(matter, Broken):
            return Broken(file.name, matter.content, matter.reason, matter.detail)
        outline = Outline()
        lines = body.split("\n")
        try:
            tokens = self._parser.parse(body)
        except RecursionError:
            return Broken(file.name, body[:200], "nested too deep", "brackets or quotes within each other")
        for token, inside in _blocks(tokens):
            if token.type == "heading_open":
                outline.heading(int(token.tag[1:]), _plain(inside))
            elif token.type in ("fence", "code_block", "table_open"):
                first, last = token.map or (0, 0)
                outline.text("\n".join(lines[first:last]))
            elif token.type == "paragraph_open":
                outline.text(_prefix(token) + _plain(inside))
        title = _said(matter, "title") or outline.first or file.path.stem
        pieces = outline.pieces(title)
        if not pieces:
            return Broken(file.name, body[:200], "empty", "no text below its headings")
        return Read(file.name, title, pieces, _said(matter, "language"), _said(matter, "url"))


def _front_matter(text: str) -> tuple[dict[str, Any] | Broken, str]:
    """What stands between the two `---` at the start, and the rest."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, text
    try:
        found = YAML(typ="safe").load("\n".join(lines[1:end]))
    except (YAMLError, ValueError, RecursionError) as error:
        said = str(error).splitlines()[0] if str(error) else "not YAML"
        return Broken("", "\n".join(lines[:end])[:500], "front matter", said), ""
    return found if isinstance(found, dict) else {}, "\n".join(lines[end + 1 :])


def _said(matter: dict[str, Any] | Broken, key: str) -> str:
    value = matter.get(key) if isinstance(matter, dict) else None
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _blocks(tokens: list[Token]) -> Iterator[tuple[Token, Token | None]]:
    """Each block with its inline text; what stands in a table comes with the table alone."""
    table, depth = False, 0
    for at, token in enumerate(tokens):
        depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        table = token.type == "table_open" or (table and token.type != "table_close")
        if table and token.type != "table_open":
            continue
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if at > 0 and tokens[at - 1].type == "list_item_open":
            token.meta = {"item": depth, "number": tokens[at - 1].info}
        yield token, after if after is not None and after.type == "inline" else None


def _prefix(token: Token) -> str:
    """The mark of a list's item, as far in as it stands."""
    if "item" not in token.meta:
        return ""
    mark = f"{token.meta['number']}." if token.meta["number"] else "-"
    return f"{'  ' * (token.meta['item'] - 1)}{mark} "


def _plain(inline: Token | None) -> str:
    """The words of an inline token: a link is its text and its address, an image what it shows."""
    parts: list[str] = []
    links: list[str] = []
    for token in (inline.children or []) if inline is not None else []:
        if token.type in ("text", "code_inline"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif token.type == "image":
            parts.append(token.content)
        elif token.type == "link_open":
            links.append(str(token.attrs.get("href", "")))
        elif token.type == "link_close":
            address = links.pop() if links else ""
            if address.startswith(("http://", "https://")) and not "".join(parts).endswith(address):
                parts.append(f" ({address})")
    return "".join(parts).strip()
