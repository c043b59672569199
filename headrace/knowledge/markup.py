"""XML of strangers -> a tree. A document type is refused: with it go entities that grow or read files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from xml.parsers import expat

from headrace.errors import InputError

DEEPEST = 100
Element = ElementTree.Element


def tree(data: bytes, where: str) -> Element:
    """The root of an XML document, names without their namespaces.

    Raises InputError where it is not well-formed, has a document type, or is nested too deep.
    """
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"not XML: {error}.", where=where, cure="Write it again.") from None
    return builder.close()


def words(element: Element) -> str:
    """The text of an element and all within it."""
    return "".join(element.itertext()).strip()


def children(element: Element, name: str) -> Iterator[Element]:
    """Elements directly within one, by name."""
    return (child for child in element if child.tag == name)


class _Builder:
    def __init__(self) -> None:
        self._made = ElementTree.TreeBuilder()
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST}")
        self._made.start(
            name.rpartition(":")[2], {key.rpartition(":")[2]: v for key, v in attributes.items()}
        )

    def end(self, name: str) -> None:
        self._depth -= 1
        self._made.end(name.rpartition(":")[2])

    def data(self, text: str) -> None:
        self._made.data(text)

    def doctype(self, *_: object) -> None:
        raise ValueError("it has a document type, which is refused")

    def close(self) -> Element:
        return self._made.close()
