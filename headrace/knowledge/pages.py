"""A page of HTML, as bytes -> a document: what it says below which headings.

Taken is what stands in `main`, else in `article`, else the whole body without its menus, headers, footers and
forms, and without lists of links. Nothing is executed or fetched.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from headrace.data.connectors import Broken
from headrace.data.encodings import named
from headrace.data.fields import escaped
from headrace.errors import MissingExtra
from headrace.knowledge.formats import Read
from headrace.knowledge.outline import Outline

_LEFT_OUT = frozenset(
    re.findall(
        r"\w+",
        "script style noscript template svg math iframe object embed canvas audio video head nav aside form"
        " button select textarea input dialog menu",
    )
)
_FRAMES = frozenset({"header", "footer"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)} | {"summary": 6, "dt": 6}
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "p div section article main ul ol li dl dd blockquote table figure figcaption address details fieldset hr"
        " body center td th caption",
    )
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DEEPEST = 200
_LINKED = 0.7
"""Share of a block's letters within links from which it is a menu."""


def page(data: bytes, place: str, *, url: str = "", encoding: str = "auto") -> Read | Broken:
    """The document of a page; Broken where it has no text. Raises MissingExtra without headrace[documents]."""
    try:
        html: Any = importlib.import_module("lxml.html")
        etree: Any = importlib.import_module("lxml.etree")
    except ModuleNotFoundError as error:
        raise MissingExtra("Reading HTML", "documents") from error
    if b"\x00" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Broken(place, escaped(data[:100].decode("latin-1")), "NUL bytes", "this is no page of HTML")
    if encoding != "auto":
        data = data.decode(_wider(named(encoding)), "replace").encode("utf-8")
    parser = html.HTMLParser(encoding=_encoding(data), no_network=True, remove_comments=True)
    try:
        root = html.document_fromstring(data, parser=parser)
    except (etree.LxmlError, ValueError) as error:
        return Broken(place, "", "empty", f"no text in it ({str(error)[:80] or 'not HTML'})")
    return _document(root, place, url)


def _document(root: Any, place: str, url: str) -> Read | Broken:
    outline = Outline()
    content, whole = _content(root)
    _Walk(outline, _FRAMES if whole else frozenset()).block(content)
    name = " ".join((root.findtext(".//title") or "").split())
    title = outline.first or name or place
    pieces = outline.pieces(title)
    if not pieces:
        return Broken(place, name, "empty", "no text outside of its menus; a page made by scripts has none")
    return Read(place, title, pieces, (root.get("lang") or "").split("_")[0].strip()[:16], url)


def _wider(codec: str) -> str:
    """What browsers take where a page names a part of it."""
    return "gb18030" if codec in ("gb2312", "gbk") else codec


def _encoding(data: bytes) -> str | None:
    """UTF-8 where the bytes are that; else None, and the page itself says what it is in."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _content(root: Any) -> tuple[Any, bool]:
    """The node that holds what the page says, and whether that is the whole page."""
    for path in (".//main", ".//*[@role='main']", ".//article"):
        found = root.findall(path)
        if len(found) == 1:
            return found[0], False
    body = root.find("body")
    return (root if body is None else body), True


class _Walk:
    """Goes through a page and tells an outline of its headings and texts."""

    def __init__(self, outline: Outline, left_out: frozenset[str]) -> None:
        self._outline = outline
        self._left_out = _LEFT_OUT | left_out
        self._line: list[str] = []
        self._linked = 0
        self._prefix = ""

    def block(self, node: Any) -> None:
        """All of a node; its tail is its parent's."""
        self._node(node, 0)
        self._flush()

    def _node(self, node: Any, depth: int) -> None:
        tag = node.tag if isinstance(node.tag, str) else ""
        if depth > _DEEPEST or tag in self._left_out or not tag or _is_hidden(node):
            return
        if tag in _HEADINGS:
            self._flush()
            self._outline.heading(_HEADINGS[tag], node.text_content())
        elif tag == "pre":
            self._flush()
            self._outline.text(f"```\n{node.text_content().strip(chr(10))}\n```")
        elif tag == "tr":
            self._flush()
            cells = [" ".join(cell.text_content().split()) for cell in node if cell.tag in ("td", "th")]
            self._outline.text("| " + " | ".join(cells) + " |" if any(cells) else "")
        elif tag == "br":
            self._line.append("\n")
        else:
            self._inside(node, tag, depth)

    def _inside(self, node: Any, tag: str, depth: int) -> None:
        apart = tag in _BLOCKS
        if apart:
            self._flush()
            self._prefix = "- " if tag == "li" else self._prefix
        before = sum(map(len, self._line))
        self._say(node.text)
        for child in node:
            self._node(child, depth + 1)
            self._say(child.tail)
        if tag == "a":
            self._linked += max(sum(map(len, self._line)) - before, 0)
            self._address(node)
        if apart:
            self._flush()

    def _address(self, node: Any) -> None:
        """Where a link within a sentence leads, if it is to another site."""
        address = node.get("href") or ""
        if address.startswith(("http://", "https://")) and self._linked < sum(map(len, self._line)):
            self._line.append(f" ({address})")

    def _say(self, text: str | None) -> None:
        if text:
            self._line.append(re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        """The end of a block: its text, unless nearly all of it is links."""
        text = "".join(self._line)
        words = "\n".join(line for part in text.split("\n") if (line := " ".join(part.split())))
        if words and self._linked < _LINKED * len(text):
            self._outline.text(self._prefix + words)
        if words or not self._prefix:
            self._prefix = ""
        self._line, self._linked = [], 0


def _is_hidden(node: Any) -> bool:
    """Whether a node is not shown, or is a menu."""
    if node.get("hidden") is not None or node.get("aria-hidden") == "true":
        return True
    return bool(_HIDDEN.search(node.get("style") or "")) or node.get("role") in ("navigation", "search")
