"""Corrections of questions that lie on a circle, ruled and stored as a server does it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from headrace.feedback.judge import undo
from headrace.feedback.radius import Fixed, Floats
from headrace.feedback.regions import Place, regions_of
from headrace.feedback.trust import Sight, carry_out, rule
from headrace.recipe import TrustRecipe
from headrace.records import Answer, Feedback
from headrace.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REGIONS = regions_of(Fixed(math.cos(math.radians(10))), 8)
"""Two questions are near each other, and the same, within 10 degrees."""


def direction(degrees: float) -> Floats:
    """The embedding of the question at so many degrees."""
    turn = math.radians(degrees)
    return np.array([math.cos(turn), math.sin(turn), *[0.0] * 6], np.float32)


class Desk:
    """Takes corrections of one channel; `at` is the moment of the next one."""

    def __init__(self, store: Store, trust: TrustRecipe | None = None) -> None:
        self.store, self.trust, self.at = store, trust or TrustRecipe(), NOON
        self._count = 0

    def correct(
        self,
        degrees: float,
        label: str = "refund",
        person: str | None = "ann",
        *,
        key: str | None = "key_1",
        text: str | None = None,
        space: str = "adp_1",
    ) -> Feedback:
        """`person` corrects the question at so many degrees to `label`."""
        self._count += 1
        asked = text or f"question at {degrees}"
        name = f"{self._count:05}"
        answer = Answer(f"ans_{name}", "shop", "intent", asked, "other", 0.5, "rel_1", "adp_1", self.at)
        self.store.answers.add([answer])
        made = Feedback(f"fb_{name}", answer.id, "shop", "intent", asked, "correction", label, self.at)
        made = replace(made, person=person, key=key)
        sight = Sight(Place.of(space, direction(degrees)), REGIONS)
        with self.store.transaction() as connection:
            ruling = rule(self.store, connection, made, self.trust, sight)
            carry_out(self.store, connection, ruling)
        return self.store.feedback.get([made.id])[0]

    def live(self, person: str | None = None) -> list[Feedback]:
        """Corrections that count, of one person where named."""
        found = [one.feedback for one in self.store.feedback.live()]
        return [one for one in found if person is None or one.person == person]

    def undo(self, *ids: str, person: str | None = None) -> list[Feedback]:
        """Undo by id, or all of a person's."""
        return undo(self.store, ids, person=person, clock=lambda: self.at, ids=lambda kind: f"{kind}_{ids}")
