"""A document as it was read -> the Document and Passages that are stored, checked and its keys masked.

Of private details only keys and passwords are masked: documents are the owner's own texts, whose addresses, phone
numbers and bank accounts customers ask for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from headrace.data.connectors import Broken
from headrace.data.fields import escaped
from headrace.data.secrets import mask_keys
from headrace.knowledge.formats import Piece, Read
from headrace.knowledge.split import VERSION, passages
from headrace.recipe import KnowledgeRecipe, Recipe
from headrace.recipe.sections import nearest
from headrace.records import Document, DocumentState, Passage, content_id

OWNER = "(owner)"
"""The source of documents that were written here; no source of a recipe can have this name."""
_LANGUAGE = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """A document that may be stored."""

    id: str
    source: str
    channel: str | None
    digest: str
    read: Read

    def document(self, at: datetime, state: DocumentState = "live") -> Document:
        """The record; what an agent had said against an earlier text is forgotten with it."""
        read = self.read
        return Document(
            id=self.id,
            source=self.source,
            place=read.place,
            title=read.title,
            language=read.language,
            channel=self.channel,
            digest=self.digest,
            at=at,
            state=state,
            url=read.url,
        )

    def passages(self, at: datetime) -> list[Passage]:
        """Its passages."""
        return passages(self.read, document=self.id, channel=self.channel, at=at)


class Shelf:
    """What one source's documents have in common."""

    def __init__(self, name: str, source: KnowledgeRecipe, recipe: Recipe) -> None:
        self._name, self._source, self._channels = name, source, recipe.channels

    def may_show(self, channel: str | None) -> bool:
        """Whether a document that answers `channel` may stand here as the recipe is now."""
        if self._source.channel is not None:
            return channel == self._source.channel
        return channel is None or channel in self._channels

    def id(self, place: str, channel: str | None = None) -> str:
        """The id of a document of this source."""
        return document_id(self._source.channel or channel, self._name, place)

    def checked(self, read: Read) -> Checked | Broken:
        """The document with its keys masked, or why it cannot be stored."""
        wrong = self._wrong(read)
        if wrong is not None:
            return Broken(escaped(read.place), escaped(read.title), *wrong)
        made = _masked(replace(read, language=(read.language or self._source.language).lower()))
        channel = self._source.channel or read.channel
        return Checked(self.id(read.place, read.channel), self._name, channel, digest(made), made)

    def _wrong(self, read: Read) -> tuple[str, str] | None:
        texts = [
            read.place,
            read.title,
            read.language,
            read.url,
            *(f"{p.title}{p.text}" for p in read.pieces),
        ]
        if any(escaped(text) != text for text in texts):
            return "undecodable", "NUL characters or half characters"
        if not any(piece.text.strip() for piece in read.pieces):
            return "empty", "there is no text"
        if read.url and not read.url.lower().startswith(("https://", "http://")):
            return "bad address", f"{read.url[:80]!r} does not begin with https:// or http://"
        if len(read.language) > _LANGUAGE:
            return "bad language", f"{read.language[:40]!r} is no language; write it as en or zh-CN"
        if read.channel is None or read.channel == self._source.channel:
            return None
        if self._source.channel is not None:
            return "another channel", f"{read.channel!r}, but the source is {self._source.channel!r}'s alone"
        if read.channel not in self._channels:
            return "unknown channel", f"{read.channel!r}. {nearest(read.channel, self._channels)}"
        return None


def document_id(channel: str | None, source: str, place: str) -> str:
    """The hash of channel, source and place."""
    return content_id("doc", channel or "", source, place)


def digest(read: Read) -> str:
    """Another one whenever something of a document, or the way to split it, is another."""
    told = [VERSION, read.title, read.language, read.url, [asdict(piece) for piece in read.pieces]]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode("utf-8")).hexdigest()


def fingerprint(source: KnowledgeRecipe) -> str:
    """Another one whenever a source's section of the recipe, or the way to split, is another."""
    return hashlib.sha256(f"{VERSION} {source.model_dump_json()}".encode()).hexdigest()[:16]


def _masked(read: Read) -> Read:
    return replace(read, title=mask_keys(read.title)[0], pieces=tuple(map(_masked_piece, read.pieces)))


def _masked_piece(piece: Piece) -> Piece:
    return replace(piece, title=mask_keys(piece.title)[0], text=mask_keys(piece.text)[0])
