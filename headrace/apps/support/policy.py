"""What is said to a message, in one file: language, intent, sentiment, an answer, and whether it is given alone.

1. Who asks for a person, in plain words, gets one; so does who is angry.
2. The answer is the owner's own where the intent has one, word for word; else the best passage found, quoted up
   to the end of a sentence, or what a writer makes of the passages found.
3. The guarantee of the (task, channel) whose score stands behind the answer says whether it is given alone, the
   customer is asked what is meant, or a person is asked.
4. A coin that does not know the answer draws messages to be checked by a person, whatever was decided.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace.apps.support.curated import Curated
from headrace.apps.support.follow import before
from headrace.apps.support.ports import Decides, Searched, Searches, Understand
from headrace.apps.support.replies import language_of, say
from headrace.data.texts import text_key
from headrace.errors import ArtifactError, NotServed, Refused
from headrace.feedback.record import pseudonym
from headrace.feedback.trust import is_sure
from headrace.recipe import Recipe
from headrace.records import (
    Answer,
    Clock,
    Conversation,
    Decision,
    Feedback,
    Json,
    Message,
    Passage,
    content_id,
)
from headrace.store import Store

CHOICES = 3
QUOTE = 600  # characters
SURE = 0.8  # chance from which anger calls a person: a complaint alone is a question like others

_PERSON = re.compile(
    r"\b(speak|talk|chat)\s+(to|with)\s+(\w+\s+){0,3}"
    r"(human|person|agent|someone|somebody|representative|operator|people)\b"
    r"|\b(a|an|real|live|human)\s+(human|person|agent|being)\b[\s,]*please\b"
    r"|\breal\s+(person|human)\b(?=\W*$|[,.!]|\s+(i|we|who|that|to|here|there|now|please|instead|help|answer|available)\b)"
    r"|\b(want|need|get me|give me)\s+(a|an)\s+(real\s+|live\s+|human\s+)?(person|human|agent)\b(?!\s+\w)"
    r"|\b(connect|transfer|put)\s+me\s+(through\s+)?(to|with)\s+(\w+\s+){0,3}"
    r"(human|person|agent|someone|somebody|representative|operator|people|(support|service|staff|team)(?=\W*(please\W*)?$))\b"
    r"|\bput\s+me\s+through\W*(please\W*)?$"
    r"|^\W*(human|agent|person|operator|representative)\W*(please\W*)?$",
    re.IGNORECASE,
)
_PERSON_HAN = re.compile(
    r"转人工|人工客服|人工服务|找人工|要人工|接人工|真人|找客服|^\W*人工\W*$"
    r"|找个人(?=\W*$|[，。！,!]|来|吧|帮|跟|和我|说|聊|问|谈|处理|解决|回|给我)"
)
_END = re.compile(r"[.!?](?=\s)|[。！？]")


@dataclass(frozen=True, slots=True)
class Weighed:
    """What could be said to a message, and what follows.

    `answers` are stored with it; `reason` is why a person is asked. `passages` are those that a writer may use,
    best first, `choices` those that the customer is asked about; `shown` maps what was found to its chance.
    """

    language: str
    decision: Decision
    text: str
    reason: str = ""
    sources: tuple[str, ...] = ()
    task: str | None = None
    score: float | None = None
    answer: str | None = None
    drawn: bool = False
    answers: tuple[Answer, ...] = ()
    passages: tuple[Passage, ...] = ()
    choices: tuple[Passage, ...] = ()
    curated: bool = False
    asked: str = ""
    shown: Json = field(default_factory=dict)


class Policy:
    """Weighs messages of one project. Safe from several threads where its neighbours are."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        *,
        understand: Understand,
        search: Searches,
        guarantee: Decides,
        salt: bytes,
        clock: Clock,
    ) -> None:
        self._store, self._recipe = store, recipe
        self._understand, self._search = understand, search
        self._guarantee, self._salt, self._clock = guarantee, salt, clock
        self.curated = Curated(store)

    def weigh(self, message: Message, conversation: Conversation, history: Sequence[Message]) -> Weighed:
        """What to say to a message of `conversation`, of which `history` was said before."""
        channel = conversation.channel
        language = language_of(message.text, conversation.language)
        forced = self._forced(message.text, channel)
        if forced:
            return Weighed(language, "person", "", forced)
        context = before(message, history)
        asked = "\n".join([*context, message.text])
        searched = self._search.search(
            message.text, task=self._recipe.support.search, channel=channel, context=context
        )
        found = self._in_language(searched, channel, language)
        intent = self._label(asked, self._recipe.support.intent, channel)
        seen = self._record(asked, message, conversation, searched, found[0]) if found else None
        own = None if intent is None else self.curated.answer(channel, intent.label, language)
        best = (found[0][0], seen) if seen else None
        if intent is not None and own is not None:
            best = (own, intent)
        said = self._decided(message, conversation, language, best, found, history)
        answers = tuple(answer for answer in (intent, seen) if answer)
        shown = {one.passage.id: one.chance for one in searched.found}
        return replace(said, answers=answers, shown=shown, asked=asked)

    def _forced(self, text: str, channel: str) -> str:
        """Why a person is asked whatever the answer would be; "" where nothing says so."""
        if wants_person(text):
            return "asked"
        support = self._recipe.support
        felt = self._label(text, support.sentiment, channel)
        return "angry" if felt and felt.label in support.angry and felt.confidence >= SURE else ""

    def _label(self, text: str, task: str | None, channel: str) -> Answer | None:
        """What a task says of a text; None where it does not serve here, or not now."""
        if task is None or task not in self._recipe.channel(channel).tasks:
            return None
        try:
            return self._understand(text, task, channel)
        except (NotServed, Refused, ArtifactError):
            return None

    def _in_language(self, searched: Searched, channel: str, language: str) -> list[tuple[Passage, float]]:
        """Found passages and their chances, in the customer's language where there are any in it.

        What a correction put first stays first, whatever its chance.
        """
        mine = [(self.curated.twin(one.passage, channel, language), one.chance) for one in searched.found]
        first = mine[0][0].id if mine and searched.because else None
        spoken = [one for one in mine if one[0].language in (language, "")]
        kept: dict[str, tuple[Passage, float]] = {}
        for passage, chance in spoken or mine:
            kept.setdefault(passage.intent or passage.id, (passage, chance))
        return sorted(kept.values(), key=lambda one: (one[0].id != first, -one[1], not one[0].curated))

    def _record(
        self,
        asked: str,
        message: Message,
        conversation: Conversation,
        searched: Searched,
        first: tuple[Passage, float],
    ) -> Answer:
        """The record of what was found, which feedback may then correct."""
        lifted = searched.found[0].passage
        kept = lifted.id == first[0].id or (lifted.intent is not None and lifted.intent == first[0].intent)
        return Answer(
            id=search_answer(message.id),
            channel=conversation.channel,
            task=self._recipe.support.search_task,
            text=asked,
            label=first[0].id,
            confidence=first[1],
            release=searched.release or "",
            adapter=searched.adapter or "",
            at=self._clock(),
            because=searched.because if kept else None,
            person=conversation.person,
        )

    def _decided(
        self,
        message: Message,
        conversation: Conversation,
        language: str,
        best: tuple[Passage, Answer] | None,
        found: Sequence[tuple[Passage, float]],
        history: Sequence[Message],
    ) -> Weighed:
        """What the guarantee says of the best answer, and the coin of the message."""
        if best is None:
            return Weighed(language, "person", say("unknown", language), "unknown")
        passage, answer = best
        channel = conversation.channel
        said = self._said_by(answer)
        score = _score(answer, said)
        own = said is not None and said.person == voice_of(conversation, self._salt) and _of(said, history)
        decision = self._guarantee.decide(answer.task, channel, 1.0 if own else score)
        others = [p for p, _ in found if p.id != passage.id and (p.intent or p.id) != passage.intent]
        return Weighed(
            language=language,
            decision=decision,
            text=passage.text if passage.curated else quoted(passage.text),
            reason="unsure" if decision == "person" else "",
            sources=(passage.id,),
            task=answer.task,
            score=score,
            answer=answer.id,
            drawn=coin(message.id, self._salt) < self._guarantee.rate(answer.task, channel),
            passages=(passage, *others),
            choices=(passage, *others)[:CHOICES] if decision == "ask" else (),
            curated=passage.curated,
        )

    def _said_by(self, answer: Answer) -> Feedback | None:
        """The correction that decided, where one did and it is there still."""
        found = self._store.feedback.get([answer.because]) if answer.because else []
        return found[0] if found else None


def _score(answer: Answer, said: Feedback | None) -> float:
    """How sure the machine is: as sure as can be where the owner said so of this very text.

    What a correction says of other texts, or a user alone says, is worth what the adapter thinks of it.
    """
    same = said is not None and text_key(said.text) == text_key(answer.text) and is_sure(said)
    return 1.0 if same else answer.confidence


def _of(said: Feedback, history: Sequence[Message]) -> bool:
    """Whether it was said of an answer of this conversation; who shares an address shares no word."""
    given = {m.answer for m in history if m.answer}
    return said.answer in given | {search_answer(m.id) for m in history if m.author == "customer"}


def wants_person(text: str) -> bool:
    """Whether a message asks for a person in plain words, English or Chinese."""
    return bool(_PERSON.search(text) or _PERSON_HAN.search(text))


def quoted(text: str, longest: int = QUOTE) -> str:
    """The beginning of a text up to the end of a sentence, unaltered; where none ends in time, up to a space."""
    if len(text) <= longest:
        return text
    ends = [end.end() for end in _END.finditer(text, 0, longest)]
    cut = ends[-1] if ends else text.rfind(" ", 0, longest)
    return text[:cut] if text[: max(cut, 0)].strip() else text[:longest]


def coin(message_id: str, salt: bytes) -> float:
    """A number in [0, 1) of a message, which nobody without the salt can foresee and no answer moves."""
    digest = hashlib.blake2b(message_id.encode(), key=hashlib.sha256(salt).digest(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def voice_of(conversation: Conversation, salt: bytes) -> str:
    """The pseudonym of who speaks in a conversation: the person's, else the conversation's own."""
    return conversation.person or pseudonym(conversation.id, salt)


def search_answer(message_id: str) -> str:
    """The id of the Answer that a search gave to a customer's message."""
    return content_id("ans", message_id, "search")
