"""Passages found -> an answer written from them by a language model: every sentence with its source, or none.

What reaches the customer is only ever a sentence that a passage supports by its words (supported.py), and the
passage is named. A sentence that cites passages must be supported by one that it cites; where it cites none, the
passages in the prompt are tried. What is not supported is left out, and where nothing is left, or the model says
that it does not know, there is no answer: the desk then goes on without one. Where the model begins to repeat
itself, the answer ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.apps.support.ports import Unwritten
from headrace.apps.support.writing.endpoint import Endpoint, EndpointFailed
from headrace.apps.support.writing.prompt import prompt
from headrace.apps.support.writing.sentences import Claim, Sentences
from headrace.apps.support.writing.supported import supports
from headrace.errors import Refused
from headrace.recipe.sections import ModelRecipe
from headrace.records import Passage

_LOOP = 3  # sentences said again, one after the other: a model that repeats itself goes on for ever


class Streams(Protocol):
    """What answers a prompt, piece by piece."""

    def stream(self, messages: Sequence[dict[str, str]], /) -> Iterator[str]:
        """The text as it comes; raises EndpointFailed where it breaks off."""
        ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, and the ids of the passages that say so."""

    text: str
    sources: tuple[str, ...]


class Unknown(Unwritten):
    """Nothing that the passages support was written; `reason` says why, for the owner and not the customer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Writer:
    """Writes with the recipe's language model; another `endpoint` may stand in for it."""

    def __init__(self, model: ModelRecipe, *, endpoint: Streams | None = None) -> None:
        self._endpoint = Endpoint(model) if endpoint is None else endpoint

    def write(
        self,
        question: str,
        passages: Sequence[Passage],
        language: str = "",
        history: Sequence[str] = (),
        *,
        channel: str,
    ) -> Iterator[Sentence]:
        """Supported sentences as they come; `history` is what the customer said before, oldest first.

        Raises Unknown before the first sentence, never after it: what breaks off later ends the answer. Raises
        Refused where a passage is another channel's, before anything is sent.
        """
        for passage in passages:
            if passage.channel not in (None, channel):
                raise Refused(
                    "a passage of another channel was given to the language model.", where=passage.id
                )
        return self._write(question, passages, language, history)

    def _write(
        self, question: str, passages: Sequence[Passage], language: str, history: Sequence[str]
    ) -> Iterator[Sentence]:
        asked = prompt(question, passages, language, history)
        if not asked.passages:
            raise Unknown("no passage was found that fits")
        heard = _Heard(self._endpoint.stream(asked.messages))
        known: set[Claim] = set()
        given, again = set[str](), 0
        for claim in heard:
            again = again + 1 if claim in known else 0
            if again == _LOOP:
                break
            known.add(claim)
            if claim.text not in given and (sources := _sources(claim, asked.passages)):
                given.add(claim.text)
                yield Sentence(claim.text, sources)
        if not given:
            raise Unknown(heard.failure or "no sentence that it wrote stands in a passage")


class _Heard:
    """The sentences of a stream; where it breaks off, `failure` says how, and the last one's rest is dropped."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces, self.failure = pieces, ""

    def __iter__(self) -> Iterator[Claim]:
        parser = Sentences()
        try:
            for piece in self._pieces:
                yield from parser.feed(piece)
        except EndpointFailed as error:
            self.failure = error.what
        yield from parser.end(whole=not self.failure)


def _sources(claim: Claim, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The passages that support a claim, of those that it cites; without a mark, the first that does."""
    if claim.marks:
        cited = [passages[n - 1] for n in claim.marks if 1 <= n <= len(passages)]
        return tuple(passage.id for passage in cited if supports(passage, claim.text))
    return next(((passage.id,) for passage in passages if supports(passage, claim.text)), ())
