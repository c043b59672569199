"""The verbs of a project that are about documents: methods of `headrace.Project`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headrace.data.mask import Masker
from headrace.data.open_project import OpenProject
from headrace.data.secrets import mask_keys
from headrace.errors import Conflict, InputError
from headrace.knowledge.answers import LONGEST
from headrace.knowledge.documents import OWNER, Checked, digest, document_id
from headrace.knowledge.formats import Piece, Read
from headrace.knowledge.gaps import Asked, Gap, Maker, gaps, open_questions
from headrace.knowledge.sync import Synced, sync
from headrace.records import Document, DocumentState, Passage


class KnowledgeVerbs:
    """What the owner and the agents do with documents."""

    def sync_knowledge(self: OpenProject, sources: Sequence[str] | None = None) -> Synced:
        """Read the recipe's documents, all sources by default, and store what changed.

        A source that cannot be read is named in `unread`, and its documents stay. Raises NotFound,
        AlreadyRunning.
        """
        return sync(
            self.store, self.recipe, self.folder, sources=sources, clock=self.clock, progress=self.progress
        )

    def documents(
        self: OpenProject,
        *,
        source: str | None = None,
        channel: str | None = None,
        state: DocumentState | None = None,
        flagged: bool = False,
    ) -> list[Document]:
        """Documents by source and place; with `channel` those that may answer there: its own and all's.

        Raises NotFound for a channel that is none.
        """
        if channel is not None:
            self.recipe.channel(channel)
        found = self.store.documents.list(source=source, state=state, flagged=flagged)
        return [document for document in found if channel is None or document.channel in (None, channel)]

    def document(self: OpenProject, document_id: str) -> tuple[Document, list[Passage]]:
        """A document and its passages; raises NotFound."""
        return self.store.documents.get(document_id), self.store.documents.of(document_id)

    def draft(
        self: OpenProject,
        title: str,
        text: str,
        channel: str | None = None,
        language: str = "",
        intent: str | None = None,
    ) -> Document:
        """Write an answer that answers nobody until it is published; a draft of the same title is replaced.

        `title` is the question, `text` is given word for word, to `channel` alone where there is one. Raises
        InputError, NotFound, Conflict where an answer of that title is live.
        """
        if channel is not None:
            self.recipe.channel(channel)
        made = _written(self, title, text, channel, language, intent)
        before = [d for d in self.store.documents.list(source=OWNER, state="live") if d.id == made.id]
        if before:
            raise Conflict(
                f"an answer to {made.read.title!r} is live already.",
                where=made.id,
                cure="Take it away first (headrace knowledge remove), or give another title.",
            )
        document = made.document(self.clock(), "draft")
        self.store.documents.put(document, made.passages(document.at))
        return document

    def publish(self: OpenProject, document_id: str) -> Document:
        """Let a draft answer from now on; raises NotFound, Conflict where it is none."""
        found = self.store.documents.get(document_id)
        if found.state != "draft":
            raise Conflict(
                f"this document is {found.state}, no draft.",
                where=document_id,
                cure="List drafts: headrace knowledge list --state draft",
            )
        self.store.documents.set_state(document_id, "live", self.clock())
        return self.store.documents.get(document_id)

    def remove_document(self: OpenProject, document_id: str) -> Document:
        """Take away what was written here; what it answered stays readable.

        Raises NotFound, Conflict where a source of the recipe would bring it back.
        """
        found = self.store.documents.get(document_id)
        if found.source in self.recipe.knowledge:
            raise Conflict(
                f"{found.place!r} is the source {found.source!r}'s, which would bring it back.",
                where=document_id,
                cure="Take it out there, and run: headrace knowledge sync",
            )
        self.store.documents.set_state(document_id, "gone", self.clock())
        return replace(found, state="gone")

    def flag_document(self: OpenProject, document_id: str, reason: str | None) -> Document:
        """Say what is wrong with a document, or with None that nothing is any more.

        A flag goes by itself once the document is another. Raises NotFound, InputError.
        """
        if reason is not None and not reason.strip():
            raise InputError("a flag says what is wrong.", field="reason", cure="Give a reason.")
        said = None if reason is None else _mask(self, reason, None)
        self.store.documents.flag(document_id, said)
        return self.store.documents.get(document_id)

    def gaps(
        self: OpenProject,
        channel: str | None = None,
        *,
        questions: Sequence[str] | None = None,
        vectors: Maker | None = None,
        least: int = 2,
        limit: int = 50,
    ) -> list[Gap]:
        """Questions that nothing answered, put together by meaning, most asked first.

        They are the messages that went to a person, newest 2,000, or `questions`. `vectors` makes an array (n,
        width) of n texts; without it their words and letters are compared. `least` is how often a gap was asked.
        Raises NotFound for a channel that is none.
        """
        if channel is not None:
            self.recipe.channel(channel)
        asked = open_questions(self.store, channel) if questions is None else [Asked(q) for q in questions]
        written = [d for d in self.store.documents.list(source=OWNER) if d.state != "gone"]
        answers = [d for d in written if d.channel in (None, channel)]
        return gaps(asked, answers=answers, vectors=vectors, least=least)[:limit]


def _written(
    project: OpenProject, title: str, text: str, channel: str | None, language: str, intent: str | None
) -> Checked:
    said_title, said_text = " ".join(_mask(project, title, channel).split()), mask_keys(text.strip())[0]
    for name, value in (("title", said_title), ("text", said_text)):
        if not value:
            raise InputError(f"an answer needs a {name}.", field=name, cure=f"Give its {name}.")
    if len(said_text) > LONGEST:
        raise InputError(
            f"{len(said_text):,} characters are more than the {LONGEST:,} of an answer.",
            field="text",
            cure="Shorten it, or put it as a file into a source of the recipe.",
        )
    read = Read(
        said_title, said_title, (Piece(said_title, said_text, curated=True, intent=intent),), language
    )
    return Checked(document_id(channel, OWNER, said_title), OWNER, channel, digest(read), read)


def _mask(project: OpenProject, text: str, channel: str | None) -> str:
    """A text that quotes customers, its private details masked as those of rows are."""
    language = project.recipe.channel(channel).language if channel is not None else ""
    return Masker(project.recipe.clean.mask, language).mask(text)[0]
