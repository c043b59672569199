"""Headings and texts in the order of a document -> its pieces, each below the headings that stand above it."""

from __future__ import annotations

from itertools import pairwise

from headrace.knowledge.formats import Piece

_BETWEEN = " › "


class Outline:
    """Takes a document block by block."""

    def __init__(self) -> None:
        self.first = ""
        self._path: list[tuple[int, str]] = []
        self._open: list[str] = []
        self._done: list[tuple[tuple[str, ...], str]] = []

    def heading(self, level: int, words: str) -> None:
        """A heading, 1 the highest; an empty one is none."""
        words = " ".join(words.split())
        if not words:
            return
        self._close()
        self.first = self.first or words
        self._path = [(depth, name) for depth, name in self._path if depth < level] + [(level, words)]

    def text(self, words: str) -> None:
        """A paragraph, a list's item, a table or a code fence."""
        if words.strip():
            self._open.append(words.rstrip())

    def pieces(self, title: str) -> tuple[Piece, ...]:
        """What was taken, every piece titled by `title` and the headings above it."""
        self._close()
        return tuple(Piece(_titled(title, path), text) for path, text in self._done)

    def _close(self) -> None:
        if self._open:
            path = tuple(name for _, name in self._path)
            self._done.append((path, _joined(self._open)))
            self._open = []


def _titled(title: str, path: tuple[str, ...]) -> str:
    names = path if path and path[0] == title else (title, *path)
    return _BETWEEN.join(name for name in names if name)


def _joined(blocks: list[str]) -> str:
    """Items of a list and rows of a table on lines of their own, other blocks with an empty line between them."""
    text = blocks[0]
    for before, block in pairwise(blocks):
        listed = (_is_item(before) and _is_item(block)) or (before[:1] == block[:1] == "|")
        text += ("\n" if listed else "\n\n") + block
    return text


def _is_item(block: str) -> bool:
    mark, _, rest = block.lstrip().partition(" ")
    return bool(rest) and (mark == "-" or (mark[:-1].isdigit() and mark[-1] in ".)"))
