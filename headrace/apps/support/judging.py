"""What is said of the machine's answers: a customer's word, weighed as any user's; a person's, the owner's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headrace.apps.support.base import Counter, proposal_of, visible
from headrace.apps.support.outcomes import Judged
from headrace.apps.support.policy import quoted, voice_of
from headrace.apps.support.replies import language_of, say
from headrace.errors import InputError, NotFound
from headrace.feedback.record import checked, known_label, pseudonym
from headrace.feedback.trust import Sight, carry_out, rule
from headrace.records import Answer, Audit, Conversation, Feedback, Message, Passage, Verdict, content_id


class Judging(Counter):
    """Verdicts and corrections become feedback; free text becomes a draft, and never an answer by itself."""

    def judge(
        self,
        message_id: str,
        verdict: Verdict,
        *,
        label: str | None = None,
        text: str | None = None,
        person: str | None = None,
        key: str | None = None,
        conversation: str | None = None,
    ) -> Judged:
        """What a customer says of an answer of the machine's; what it corrects counts at once.

        A correction names an intent or a passage by `label`, as the choices of a reply do; its answer is said.
        With `text` customers write what would have been right: that becomes a draft document, and a ticket.
        `conversation` is the one that the customer has opened, `key` the id of the key through which it came.
        Raises NotFound, InputError (field `verdict` or `label`).
        """
        said = self._store.conversations.message(message_id)
        if said.author != "machine" or not visible(said) or conversation not in (None, said.conversation):
            raise NotFound("there is no such message.", where="message")
        where = self._store.conversations.get(said.conversation)
        proposal = self._store.conversations.message(proposal_of(message_id))
        who = pseudonym(person, self._salt) if person else voice_of(where, self._salt)
        if text is not None and text.strip():
            self._written_down(where, proposal, text.strip())
            verdict, label = ("wrong", None) if label is None else (verdict, label)
        if label is None:
            decided = self._decided_by(proposal)
            found = self._feed(decided, verdict, None, (), who, key) if decided else None
            return Judged(found)
        answer, label, passage = self._meant(proposal, label, where.channel)
        verdict = "right" if label == answer.label else "correction"
        feedback = self._feed(answer, verdict, label, [label], who, key, search=proposal.reply_to)
        if passage is not None:
            self._choose(proposal, passage, "customer")
        return Judged(feedback, self._then_said(proposal, passage))

    def _meant(self, proposal: Message, label: str, channel: str) -> tuple[Answer, str, Passage | None]:
        """The Answer that a label corrects, the label as its task names it, and the passage that answers then."""
        decided, searched = self._decided_by(proposal), self._found_by(proposal)
        by_intent = decided is not None and decided.task == self.project.recipe.support.intent
        passage = next(iter(self._passages([label], channel)), None)
        if decided is not None and by_intent:
            if passage is None:
                label = known_label(label, self.project.labels(decided.task))
                return decided, label, self._policy.curated.answer(channel, label, language_of(decided.text))
            if passage.intent is not None:
                return decided, passage.intent, passage
        if passage is None or searched is None:
            raise InputError(
                "nothing of that name was shown.", field="label", cure="Name one of the choices."
            )
        return searched, passage.id, passage

    def _then_said(self, proposal: Message, passage: Passage | None) -> Message | None:
        """The answer that the customer picked, said once; nothing where it was said before."""
        if passage is None or (proposal.decision == "alone" and passage.id in proposal.sources):
            return None
        text = passage.text if passage.curated else quoted(passage.text)
        message = replace(
            self._said(proposal.conversation, text),
            id=content_id("msg", proposal.id, passage.id),
            sources=(passage.id,),
            by="choice",
        )
        self._store.conversations.say(message)
        return message

    def _written_down(self, conversation: Conversation, proposal: Message, text: str) -> None:
        """A customer's own words: a message for a person, and a draft document of their question."""
        message = replace(
            self._said(conversation.id, self._mask(conversation.channel, text)),
            id=content_id("msg", proposal.id, "correction", text),
            author="customer",
        )
        with self._writing() as connection:
            if not self._store.conversations.say_in(connection, message):
                return
            self._store.conversations.say_in(connection, self._quiet(message))
            ticket = self._wait_in(connection, conversation, message.id, "correction")
            noted = self._said(conversation.id, say("noted", language_of(text, conversation.language)))
            self._store.conversations.say_in(connection, noted)
        self._tell(ticket, conversation)
        asked = self._store.conversations.message(proposal.reply_to or message.id)
        known = {document.title for document in self.project.documents(channel=conversation.channel)}
        if asked.text not in known:
            self._draft(conversation.channel, asked.text, message.text)

    def _draft(self, channel: str, title: str, text: str, intent: str | None = None) -> None:
        self.project.draft(title, text, channel=channel, language=language_of(text), intent=intent)

    def _told(self, proposal: Message, label: str, agent: str) -> None:
        """The owner's word on a proposal: `label` is right, an intent or the id of a passage."""
        where = self._store.conversations.get(proposal.conversation)
        answer, label, passage = self._meant(proposal, label, where.channel)
        right = label == answer.label
        self._feed(answer, "right" if right else "correction", None if right else label, [label], None)
        if passage is not None:
            self._choose(proposal, passage, agent)
        self._audit(answer, label, agent)

    def _audit(self, answer: Answer, label: str, agent: str) -> None:
        """Where a trial's coin drew the same answer, the person's word is its audit too."""
        shadow = self._store.shadows.get(answer.id)
        if shadow is None or not shadow.drawn:
            return
        with self._writing() as connection:
            self._store.shadows.audit_in(connection, Audit(answer.id, label, agent, self.project.clock()))

    def _choose(self, proposal: Message, passage: Passage, by: str) -> None:
        """Let the reranker know which passage was picked."""
        if proposal.reply_to and self._store.searches.find(proposal.reply_to) is not None:
            self._store.searches.choose(proposal.reply_to, passage.id, by)

    def _feed(
        self,
        answer: Answer,
        verdict: Verdict,
        label: str | None,
        labels: Sequence[str],
        person: str | None,
        key: str | None = None,
        search: str | None = None,
    ) -> Feedback:
        """Store what somebody said of an answer; `person` is a pseudonym, None the owner.

        `search` is the id of the search whose answer it may be.
        """
        project = self.project
        if verdict != "correction":
            label = None
        said = checked(answer, verdict, label, labels=labels, key=key, clock=project.clock, ids=project.ids)
        said = replace(said, person=person)
        by_engine = said.label is not None and answer.task == project.recipe.support.intent
        sight = self._see(said) if by_engine else Sight(chance=self._shown(search, said.label))
        with self._writing() as connection:
            ruling = rule(self._store, connection, said, project.recipe.trust, sight)
            carry_out(self._store, connection, ruling)
        if self._learn is not None and said.label is not None:
            self._learn([said.id, *ruling.agreed])
        return ruling.feedback

    def _shown(self, search: str | None, label: str | None) -> float | None:
        """The chance that a search gave a passage: none where it did not find it."""
        found = self._store.searches.find(search) if search and label else None
        return None if found is None else float(str(found.shown.get(label or "", 0.0)))
