"""What was judged -> the gate's decisions, one a channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import TypedDict

from headrace.evaluation.compare import Outcomes
from headrace.flywheel.judging.bench import Judged
from headrace.flywheel.reporting.telling import rows_of
from headrace.recipe import Recipe
from headrace.release.floors import Check, Shown, checks_of
from headrace.release.gate import Decision, decide, decide_shared


class Rule(TypedDict):
    """How the margin rule is set."""

    margin_points: float
    confidence: float


def decide_served(
    recipe: Recipe,
    champions: Mapping[str, Judged],
    challengers: Mapping[str, Judged],
    more: Mapping[str, Sequence[Check]],
) -> dict[str, Decision]:
    """A decision for each channel that a champion serves; the challenger is one and the same adapter.

    `more` are further checks of channels.
    """
    names = sorted(champions)
    checks = {c: [*_checks(recipe, [champions[c]], [challengers[c]]), *more.get(c, ())] for c in names}
    sides = [[side[c] for c in names] for side in (champions, challengers)]
    found = decide_shared(
        {c: champions[c].outcomes for c in names},
        {c: challengers[c].outcomes for c in names},
        grew=all(rows_of(challengers[c].adapter) > rows_of(champions[c].adapter) for c in names),
        checks=checks,
        together=_checks(recipe, *sides) if len(names) > 1 else (),
        **_rule(recipe),
    )
    return {c: _counted(found[c], [challengers[c]]) for c in names}


def decide_first(recipe: Recipe, challengers: Sequence[Judged]) -> Decision:
    """The decision for channels that nothing serves yet, on all their rows."""
    rows = reduce(Outcomes.joined, [judged.outcomes for judged in challengers])
    checks = _checks(recipe, [], challengers)
    return _counted(decide(None, rows, grew=True, checks=checks, **_rule(recipe)), challengers)


def _checks(recipe: Recipe, champions: Sequence[Judged], challengers: Sequence[Judged]) -> list[Check]:
    before = Shown.of_all([judged.shown for judged in champions]) if champions else None
    after = Shown.of_all([judged.shown for judged in challengers])
    return checks_of(recipe.gate, before, after, seed=recipe.seed)


def _counted(decision: Decision, judged: Sequence[Judged]) -> Decision:
    """With the most decisions that one of the rows had served before."""
    return replace(
        decision, evidence={**decision.evidence, "decisions": max(one.case.served for one in judged)}
    )


def _rule(recipe: Recipe) -> Rule:
    return {"margin_points": recipe.gate.margin, "confidence": recipe.gate.confidence}
