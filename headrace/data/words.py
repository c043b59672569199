"""A feedback -> its word on a text: the row that it would make, masked, and the key of the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.data.aliases import aliases
from headrace.data.mask import Masker
from headrace.data.texts import text_key, tidy
from headrace.data.voices import speaks
from headrace.recipe import Recipe
from headrace.records import Clock, Feedback, Row, content_id
from headrace.store import Store

SOURCE = "feedback"


@dataclass(frozen=True, slots=True)
class Word:
    """What a feedback says of one text of its (task, channel)."""

    feedback: Feedback
    row: Row
    key: str

    @property
    def place(self) -> tuple[str, str, str]:
        """The task, the channel and the key of the text."""
        return self.row.task, self.row.channel, self.key


class Reader:
    """Reads feedback of one project; a label that was renamed since is read by its new name."""

    def __init__(self, store: Store, recipe: Recipe, *, clock: Clock) -> None:
        self._store, self._recipe, self._clock = store, recipe, clock
        self._maskers: dict[str, Masker] = {}
        self._aliases: dict[str, dict[str, str]] = {}

    def words(self, feedback: Iterable[Feedback]) -> list[Word]:
        """The words of feedback that names a label, or says that the answer's was right."""
        return [self.word(one, label) for one in feedback if (label := self._label(one)) is not None]

    def word(self, feedback: Feedback, label: str) -> Word:
        """The word that `feedback` says `label` of its text."""
        text, counts = self._masker(feedback.channel).mask(tidy(feedback.text.replace("\x00", " ")))
        label = self.name(feedback.task, label)
        row = Row(
            id=content_id("row", feedback.channel, feedback.task, SOURCE, text, label),
            channel=feedback.channel,
            task=feedback.task,
            source=SOURCE,
            text=text,
            label=label,
            split=None,
            place=f"answer {feedback.answer}",
            at=self._clock(),
            origin="feedback",
            masked=counts,
        )
        return Word(feedback, row, text_key(text))

    def name(self, task: str, label: str) -> str:
        """What a label is called now."""
        if task not in self._aliases:
            self._aliases[task] = aliases(self._store, task)
        return self._aliases[task].get(label, label)

    def _label(self, feedback: Feedback) -> str | None:
        """The label that a feedback stands for; None where it says none that may teach."""
        if feedback.label is not None:
            return feedback.label
        if not speaks(feedback):
            return None
        return self._store.answers.get(feedback.answer).label

    def _masker(self, channel: str) -> Masker:
        if channel not in self._maskers:
            known = self._recipe.channels
            language = known[channel].language if channel in known else ""
            self._maskers[channel] = Masker(self._recipe.clean.mask, language)
        return self._maskers[channel]


def last_words(words: Iterable[Word]) -> dict[tuple[str, str, str], Word]:
    """For each text the newest correction, else the newest "right"; in the order in which texts came."""
    last: dict[tuple[str, str, str], Word] = {}
    for word in words:
        before = last.get(word.place)
        correction = word.feedback.verdict == "correction"
        if before is None or correction or before.feedback.verdict != "correction":
            last[word.place] = word
    return last
