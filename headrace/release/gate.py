"""May a challenger take the place of the adapter that serves?

Both answer the same held-out rows, which neither has seen. A challenger is released when the interval of the
paired difference excludes a loss above the margin, and accuracy rises or the training data grew. Where the
rows are too few to tell, the serving adapter stays and the decision says how many rows would tell.

The first adapter of a pair has no champion: it must answer more held-out rows right than always giving their
most frequent label would; the interval of that difference is stated. Without held-out rows, or where all of
them carry one label, nothing speaks for or against it: it is released and called unjudged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from headrace.errors import InputError
from headrace.evaluation.compare import Comparison, Outcomes, compare, rows_needed
from headrace.evaluation.intervals import wilson
from headrace.release.floors import Check
from headrace.release.sentences import explain

Evidence = dict[str, object]


@dataclass(frozen=True)
class Decision:
    """Released or not, the reason as one plain sentence, and the figures behind it as JSON.

    `evidence["verdict"]` names the rule that decided, `evidence["checks"]` every check with its own verdict;
    `sentences.explain` says it in another language.
    """

    released: bool
    reason: str
    evidence: Evidence


def decide(
    champion: Outcomes | None,
    challenger: Outcomes,
    *,
    margin_points: float,
    confidence: float = 0.95,
    grew: bool,
    checks: Sequence[Check] = (),
) -> Decision:
    """Whether `challenger` is released in place of `champion`, the adapter that serves, or as the first one.

    `margin_points` is the loss of accuracy allowed, in points; `grew` says that there are training rows which
    the champion has not learned from; each of `checks` must have passed. Raises InputError where the two were
    judged on different rows.
    """
    if champion is None:
        return held_to(_first(challenger, confidence), checks)
    found = compare(champion, challenger, confidence=confidence)
    needed = _needed(found, margin_points / 100, confidence)
    verdict, released = _verdict(found, margin_points / 100, needed, grew)
    more: Evidence = {"margin_points": margin_points, "grew": grew, "rows_needed": needed}
    return held_to(_decision(verdict, released, champion, challenger, found, confidence, more), checks)


def held_to(decision: Decision, checks: Sequence[Check]) -> Decision:
    """The decision of the rule, held to `checks` as well: refused where one failed, with all the reasons."""
    if not checks:
        return decision
    failed = [check for check in checks if not check.passed]
    verdict, released = decision.evidence["verdict"], decision.released
    margin = Check("margin", released, {"rule": verdict})
    evidence = {**decision.evidence, "checks": [check.to_json() for check in (margin, *checks)]}
    if released and failed:
        evidence["verdict"] = "checks" if "margin_points" in evidence else "first-checks"
    return Decision(released and not failed, explain(evidence), evidence)


def decide_shared(
    champion: Mapping[str, Outcomes],
    challenger: Mapping[str, Outcomes],
    *,
    margin_points: float,
    confidence: float = 0.95,
    grew: bool,
    checks: Mapping[str, Sequence[Check]] | None = None,
    together: Sequence[Check] = (),
) -> dict[str, Decision]:
    """Where a new shared adapter is released: one decision for each channel that the champion serves.

    Each channel is judged on its own held-out rows. One with too few of them follows the rows of all these
    channels together, unless its own few speak of a loss above the margin. `checks` are each channel's own,
    `together` those on the rows of all. Raises InputError where the two mappings name different channels.
    """
    if set(champion) != set(challenger):
        raise InputError("champion and challenger were not judged on the same channels.")
    if not champion:
        return {}
    rule = partial(decide, margin_points=margin_points, confidence=confidence, grew=grew)
    sides = [
        reduce(Outcomes.joined, [side[name] for name in sorted(side)]) for side in (champion, challenger)
    ]
    every, own = rule(*sides, checks=together), checks or {}
    return {
        name: _following(rule(champion[name], challenger[name], checks=own.get(name, ())), every)
        for name in sorted(champion)
    }


def prefer_own(own: Outcomes, shared: Outcomes, *, confidence: float = 0.95) -> Decision:
    """Whether a channel gets its own adapter: only when its held-out rows say that it is better.

    That is when the interval of the paired difference lies above 0. Raises InputError where the two were
    judged on different rows.
    """
    found = compare(shared, own, confidence=confidence)
    released = found.difference.low > 0
    poorer = "own-worse" if found.difference.high < 0 else "own-not-better"
    verdict = "own" if released else poorer if found.n else "own-no-rows"
    return _decision(verdict, released, shared, own, found, confidence, {})


def _first(challenger: Outcomes, confidence: float) -> Decision:
    majority = Outcomes.most_frequent(challenger)
    found = compare(majority, challenger, confidence=confidence)
    label = majority.answers[0] if found.n else ""
    if not found.n:
        verdict, released = "first-unjudged", True
    elif len(set(challenger.gold)) == 1:
        released = found.difference.high >= 0
        verdict = "first-one-label" if released else "first-not-better"
    else:
        released = found.difference.value > 0
        verdict = "first" if found.difference.low > 0 else "first-unsure" if released else "first-not-better"
    return _decision(verdict, released, majority, challenger, found, confidence, {"label": label})


def _verdict(found: Comparison, margin: float, needed: int | None, grew: bool) -> tuple[str, bool]:
    """The rule that decides and whether it releases."""
    low, value, high = found.difference.low, found.difference.value, found.difference.high
    if not found.n:
        return "no-rows", False
    if low >= -margin:
        verdict = "risen" if value > 0 else "grown" if grew else "nothing-new"
        return verdict, verdict != "nothing-new"
    if high < 0:
        return "worse", False
    return ("too-few" if needed is None or needed > found.n else "may-lose"), False


def _needed(found: Comparison, margin: float, confidence: float) -> int | None:
    """Rows that would tell, were the two equally good and did they differ on as many rows as they do here."""
    rate = (found.won + found.lost) / found.n if found.n else 0.0
    return rows_needed(rate, margin, confidence)


def _following(own: Decision, every: Decision) -> Decision:
    """The channel's own decision, or that of all channels together where its rows are too few."""
    few = own.evidence["verdict"] in ("too-few", "no-rows")
    if not few or not every.released or _failed(own):
        return own
    allowed = -float(str(own.evidence["margin_points"])) / 100
    released = _difference(own) >= allowed
    verdict = "followed" if released else "few-against"
    evidence = {**own.evidence, "verdict": verdict, "together": every.evidence}
    return Decision(released, explain(evidence), evidence)


def _failed(decision: Decision) -> bool:
    """Whether a check beside the rule failed."""
    checks = decision.evidence.get("checks", [])
    assert isinstance(checks, list)
    return not all(check["passed"] for check in checks[1:])


def _difference(decision: Decision) -> float:
    comparison = decision.evidence["comparison"]
    assert isinstance(comparison, dict)
    return float(comparison["difference"]["value"])


def _decision(
    verdict: str,
    released: bool,
    champion: Outcomes,
    challenger: Outcomes,
    found: Comparison,
    confidence: float,
    more: Evidence,
) -> Decision:
    evidence: Evidence = {
        "verdict": verdict,
        "n": found.n,
        "confidence": confidence,
        "champion": _side(champion, confidence),
        "challenger": _side(challenger, confidence),
        "comparison": found.to_json(),
        **more,
    }
    return Decision(released, explain(evidence), evidence)


def _side(outcomes: Outcomes, confidence: float) -> Evidence:
    right = int(outcomes.right.sum())
    accuracy = wilson(right, len(outcomes.rows), confidence)
    return {"adapter": outcomes.adapter, "accuracy": accuracy.to_json()}
