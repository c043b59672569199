"""Whose word a feedback is, and when it is too few people's to teach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from headrace.recipe import TrustRecipe
from headrace.records import Feedback

SEVERAL = 3
"""Persons who must say of a text what the adapter found implausible before it trains."""


class Sent(Protocol):
    """What tells by whom a feedback was sent."""

    @property
    def person(self) -> str | None:
        """The pseudonym of who said it."""
        ...

    @property
    def key(self) -> str | None:
        """The key through which it came."""
        ...


def trusted(one: Sent) -> bool:
    """Whether it is the owner's own word: it came through no key and names no person."""
    return one.key is None and one.person is None


def is_owners(feedback: Feedback) -> bool:
    """Whether the owner said or accepted it."""
    return trusted(feedback) or feedback.state == "accepted"


def speaks(feedback: Feedback) -> bool:
    """Whether it says what is right of its text, as far as that may teach.

    A "right" that names nobody, through a key, may come from one client many times: it teaches nothing.
    """
    nameless = feedback.person is None and feedback.key is not None
    return feedback.label is not None or (feedback.verdict == "right" and not nameless)


def voice(feedback: Feedback) -> str | None:
    """The person whose word it is; None is the owner's, or that of nobody knows how many."""
    return None if feedback.state == "accepted" else feedback.person


def is_one_person(voices: Collection[str | None]) -> bool:
    """Whether all these are the voice of one named person."""
    return len(voices) == 1 and None not in voices


def is_doubted(feedback: Feedback, trust: TrustRecipe) -> bool:
    """Whether a user alone says what the adapter found implausible, or what it was not asked about."""
    if feedback.label is None or feedback.state == "agreed":
        return False
    return feedback.key is not None if feedback.chance is None else feedback.chance < trust.plausible


def are_few(persons: Collection[str | None], trust: TrustRecipe) -> bool:
    """Whether too few say of a text what is doubted."""
    return len(persons) < max(SEVERAL, trust.agree)
