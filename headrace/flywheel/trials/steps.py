"""How a trial stands and what comes next: shadow, canary, won; or stopped, and why. Numbers only.

A row counts where the two adapters differ and somebody has said what is right. Auditors judge rows that a coin
drew before anything was answered: they alone can win a trial. A question counts once in a trial, by its first
audit, however often it is asked: who repeats one brings no further evidence. What users say unasked can only
stop a trial.

- Shadow becomes canary after a tenth of the patience in rows, once the evidence of audits for it is at least 2
  and what users say against it is below 2.
- A canary wins once it has answered a hundredth of the patience in rows and its evidence reaches its level.
- Either ends for harm once the evidence against it, of audits or of users, reaches 1 / alpha; and undecided
  after `patience` rows, as soon as no drawn row waits for its audit, at the latest after twice as many.
- A watch ends when its detector alarms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from headrace.data.texts import text_key
from headrace.records import Trial
from headrace.release.detector import Detector
from headrace.release.evidence import Evidence, judged_needed
from headrace.store.trials import Judged, Rows, Volunteered

Outcome = Literal["won", "harm", "undecided", "stopped", "broken", "replaced", "alarm"]
LOST: tuple[Outcome, ...] = ("harm", "undecided", "stopped", "broken")
"""Outcomes after which a turn does not bring the same challenger again."""
HINT = math.log(2)
"""Evidence, as a logarithm: for a challenger it makes a canary of a shadow, against it it prevents that."""
USUAL = 0.4
"""The gain that a test is planned for, of the rows that differ: 4 points where one row in ten differs."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial, its rows, and what auditors and users said; of a watch also what its detector saw."""

    trial: Trial
    rows: Rows
    audits: Evidence
    users: Evidence
    detector: Detector | None = None

    @property
    def level(self) -> float:
        """What its evidence must reach, as 1 / level; the trial got it when it began."""
        return number(self.trial, "level")

    @property
    def more(self) -> int | None:
        """About how many more audits a release takes if they go on like those so far; None: nobody can say."""
        found, audited = self.audits, self.audits.judged
        if self.trial.stage == "watch" or found.wins <= found.losses:
            return None
        differ, gain = (found.wins + found.losses) / audited, (found.wins - found.losses) / audited
        return judged_needed(differ, gain, self.level, found)

    def to_json(self) -> dict[str, Any]:
        """The figures, for the history and for scripts."""
        found: dict[str, Any] = {
            "trial": self.trial.id,
            "number": self.trial.number,
            "rows": self.rows.both,
            "differing": self.rows.differ,
            "canary_rows": self.rows.canary,
            "audits": self.audits.judged,
            "wins": self.audits.wins,
            "losses": self.audits.losses,
            "users": {"wins": self.users.wins, "losses": self.users.losses},
        }
        if self.detector is not None:
            return found | {
                "alarm_value": _value(self.detector.log_value),
                "alarm_at": self.detector.false_alarm,
            }
        return found | {
            "e_value": _value(self.audits.log_value),
            "needed": 1 / self.level,
            "level": self.level,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next: nothing, the canary, or the end with its outcome; the reason in plain words."""

    to: Literal["stay", "canary", "end"] = "stay"
    outcome: Outcome | None = None
    reason: str = ""


def standing(
    trial: Trial, rows: Rows, judged: Iterable[Judged], volunteered: Iterable[Volunteered]
) -> Standing:
    """How a trial stands, from all that was said of its rows."""
    differences = [_difference(trial, one) for one in first_of_each(judged)]
    audits = Evidence()
    for difference in differences:
        audits = audits.after(difference)
    detector = None
    if trial.stage == "watch":
        # Its champion is the new adapter, its challenger the last one.
        detector = Detector(int(number(trial, "false_alarm")))
        for difference in differences:
            detector = detector.after(-difference)
    return Standing(trial, rows, audits, _users(trial, volunteered), detector)


def first_of_each(judged: Iterable[Judged]) -> list[Judged]:
    """The first audit of each question: further ones of the same text are kept and count for nothing here."""
    found: dict[str, Judged] = {}
    for one in judged:
        found.setdefault(text_key(one.text), one)
    return list(found.values())


def next_step(found: Standing, *, released: bool) -> Step:
    """What comes next for an open trial; `released` says whether its evidence reaches its level."""
    if found.trial.stage == "watch":
        alarm = found.detector is not None and found.detector.alarm
        return Step("end", "alarm", _alarm(found)) if alarm else Step()
    harm = _harm(found)
    if harm:
        return Step("end", "harm", harm)
    if released and found.trial.stage == "canary" and found.rows.canary >= number(found.trial, "canary_rows"):
        return Step("end", "won", _won(found))
    if found.trial.stage == "shadow" and _may_be_canary(found):
        share = f"{100 * number(found.trial, 'canary'):g}"
        return Step(
            "canary", None, f"Canary: {share} % of users get the challenger's answers; {told(found)}."
        )
    if _is_over(found, released):
        return Step("end", "undecided", f"Undecided after {found.rows.both} rows: {told(found)}.")
    return Step()


def told(found: Standing) -> str:
    """What was seen, as the middle of a sentence."""
    audits, rows = found.audits, found.rows
    said = f"of {rows.both} rows the two differ on {rows.differ}; of {audits.judged} audited ones"
    if found.trial.stage == "watch":
        return f"{said} the new adapter alone was right on {audits.losses}, the last one on {audits.wins}"
    return f"{said} the challenger alone was right on {audits.wins}, the champion on {audits.losses}"


def outlook(found: Standing) -> str:
    """How far it is, in plain words."""
    trial, audits = found.trial, found.audits
    if found.detector is not None:
        value = _short(found.detector.log_value)
        return f"Watching: {told(found)}. Evidence {value} of the {found.detector.false_alarm} of an alarm."
    said = f"Evidence {_short(audits.log_value)} of the {1 / found.level:.0f} that a release needs"
    if audits.log_value >= -math.log(found.level):
        rest = "enough" if trial.stage == "canary" else "enough, and it still has to be a canary"
    elif found.more is None:
        usual = judged_needed(1.0, USUAL, found.level, audits)
        rest = "nothing speaks for a gain yet" + (
            f"; a usual gain needs about {usual} audits" if usual else ""
        )
    else:
        rest = f"it needs about {found.more} more audits"
    return f"{trial.stage.capitalize()}: {told(found)}. {said}: {rest}."


def number(trial: Trial, name: str) -> float:
    """A setting of a trial, as it was when the trial began."""
    found = trial.settings.get(name, 0)
    return float(found) if isinstance(found, int | float) else 0.0


def _difference(trial: Trial, one: Judged) -> int:
    """Challenger right minus champion right."""
    champion, challenger = one.sent, one.shadow.label
    if one.sent_by == trial.challenger:
        champion, challenger = challenger, champion
    return (challenger == one.right) - (champion == one.right)


def _users(trial: Trial, volunteered: Iterable[Volunteered]) -> Evidence:
    """The last word of each person counts, where it decides between the two; who names nobody is one voice."""
    last: dict[str, Volunteered] = {}
    for one in volunteered:
        last[one.person or ""] = one
    found = Evidence()
    for one in last.values():
        sent = one.verdict == "right"
        other = one.verdict == "correction" and one.label == one.other
        if sent or other:
            by_challenger = one.adapter == trial.challenger
            found = found.after(1 if sent == by_challenger else -1)
    return found


def _may_be_canary(found: Standing) -> bool:
    enough = found.rows.both >= number(found.trial, "shadow_rows")
    return enough and found.audits.log_value >= HINT and found.users.mirrored.log_value < HINT


def _is_over(found: Standing, released: bool) -> bool:
    """Whether its patience is at an end; what is drawn may still be judged, and a canary still be answered."""
    patience = number(found.trial, "patience")
    pending = released or found.rows.waiting > 0
    return found.rows.both >= (2 * patience if pending else patience)


def _harm(found: Standing) -> str:
    bar = -math.log(number(found.trial, "alpha") or 1.0)
    if found.audits.mirrored.log_value >= bar:
        return f"Stopped: audits say that the challenger is worse; {told(found)}."
    if found.users.mirrored.log_value >= bar:
        users = found.users
        said = f"it alone was right {users.wins} times, the champion {users.losses} times"
        return f"Stopped: users say that the challenger is worse: {said}; {told(found)}."
    return ""


def _won(found: Standing) -> str:
    value, needed = _short(found.audits.log_value), f"{1 / found.level:.0f}"
    return f"Released: better online; {told(found)}; evidence {value}, and {needed} were needed."


def _alarm(found: Standing) -> str:
    return f"Taken back: it became worse than the adapter before it; {told(found)}."


def _value(logarithm: float) -> float:
    """An e-value from its logarithm; beyond 1e300 nobody needs it exactly."""
    return math.exp(min(logarithm, 690.0))


def _short(logarithm: float) -> str:
    value = _value(logarithm)
    return f"{value:.1f}" if value < 100 else f"{value:.0f}" if value < 1e6 else f"{value:.0e}"
