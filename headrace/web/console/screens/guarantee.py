"""The guarantee: what may be answered alone on each channel, by which checks, and how many more it takes."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from headrace.apps.support.guarantee import Standing
from headrace.web.console.visit import Page, Screen, Visit


@dataclass(frozen=True, slots=True)
class Stands:
    """How one (task, channel) stands; `said` counts what was answered alone, asked back and handed over."""

    task: str
    channel: str
    standing: Standing
    said: dict[str, int]

    @property
    def share(self) -> float:
        """How much of the checks that the target takes is there."""
        needed = self.standing.needed
        every = self.standing.checked + (needed or 0)
        return 1.0 if self.standing.threshold is not None else self.standing.checked / every if every else 0.0


def standings(visit: Visit) -> list[Stands]:
    """Every channel of customer service with the tasks whose scores stand behind its answers."""
    support = visit.project.recipe.support
    counts = visit.project.store.conversations.counts()
    found = []
    for channel in support.channels:
        said = {decision: n for (name, decision), n in counts.items() if name == channel}
        asks = support.intent in visit.project.recipe.channel(channel).tasks
        for task in (support.intent if asks else None, support.search_task):
            if task is None:
                continue
            state = visit.console.guarantee.state(task, channel)
            if task == support.intent or not asks or support.search or state.checked + state.waiting:
                found.append(Stands(task, channel, state, said))
    return found


def show(visit: Visit) -> Response:
    """Every channel that customers are answered on."""
    support = visit.project.recipe.support
    return visit.page(
        "guarantee.html", title=visit.say("nav.guarantee"), stands=standings(visit), audit=support.audit
    )


SCREEN = Screen("guarantee", [Page("/guarantee", show)])
