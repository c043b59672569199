"""Drift in plain words: is what is asked still like what was taught, are the answers as right as they were?"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

from headrace.evaluation.drift import FALSE_ALARM, Floats, alarms, difference, shift
from headrace.evaluation.intervals import Estimate, wilson
from headrace.reports.messages import say
from headrace.store.windows import Day, Pair

LEAST = 50
"""Distinct new questions, and training rows, below which nothing is said of drift."""

WEEKS = 12
BEFORE = 4  # full weeks that the last full one is compared with

Judges = Literal["audits", "feedback"]

_SAID_BY = 5  # distinct questions that must hold a word before it is shown
_MOST = 5
_WORD = re.compile(r"[^\W\d_]{2,}")
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]+")


@dataclass(frozen=True)
class Grown:
    """A word, and the shares of training rows and of new questions in which it stands."""

    word: str
    before: float
    after: float


@dataclass(frozen=True)
class LabelShift:
    """A label, its share among training rows and among answers, and the difference with its interval."""

    label: str
    before: float
    after: float
    difference: Estimate


@dataclass(frozen=True)
class InputDrift:
    """The questions that one (task, channel) was asked since the turn before, beside the rows taught by then.

    `p` says how often so large a difference comes by chance; `unlike` is the share of questions farther from
    the training rows than 95 % of those are from each other. `new` says that the turn before gave no alarm.
    """

    task: str
    channel: str
    p: float
    alarm: bool
    unlike: Estimate
    questions: int
    taught: int
    words: tuple[Grown, ...] = ()
    labels: tuple[LabelShift, ...] = ()
    new: bool = True

    @property
    def sentence(self) -> str:
        """Plain words."""
        return self.told()

    def told(self, language: str = "en") -> str:
        """Plain words in a language."""
        pair = f"{self.task}/{self.channel}"
        if not self.alarm:
            return say(language, "drift.same", pair=pair, p=self.p)
        far = f"{100 * self.unlike.value:.0f} %"
        changed = say(language, "drift.changed", pair=pair, p=self.p, far=far)
        words = ", ".join(one.word for one in self.words)
        return f"{changed} {say(language, 'drift.words', words=words)}" if words else changed


@dataclass(frozen=True)
class Week:
    """A week by its Monday, and the share of its judged answers that were right."""

    monday: date
    right: Estimate


@dataclass(frozen=True)
class AccuracyDrift:
    """Judged answers of one (task, channel) by week, and the last full week against the four before it.

    `audits` were drawn by a coin from the answers on which the two adapters of a trial differ: unbiased for
    these, which are harder than the rest. `feedback` was volunteered, and speaks for those who cared to.
    """

    task: str
    channel: str
    judges: Judges
    weeks: tuple[Week, ...]
    change: Estimate | None
    alarm: bool
    new: bool = True

    @property
    def sentence(self) -> str:
        """Plain words."""
        return self.told()

    def told(self, language: str = "en") -> str:
        """Plain words in a language."""
        pair, judges = f"{self.task}/{self.channel}", say(language, f"judges.{self.judges}")
        if self.change is None:
            return say(language, "accuracy.few", pair=pair, judges=judges)
        change, low, high = (
            f"{100 * x:+.1f}" for x in (self.change.value, self.change.low, self.change.high)
        )
        key = "accuracy.changed" if self.alarm else "accuracy.same"
        return say(language, key, pair=pair, judges=judges, change=change, low=low, high=high)


def input_drift(
    pair: Pair,
    taught: Mapping[str, str],
    asked: Mapping[str, str],
    embeddings: tuple[Floats, Floats],
    *,
    seed: int,
) -> InputDrift:
    """One (task, channel): distinct texts with their labels, and the embeddings of both, in their order.

    The alarm is that of this pair alone; `together` sets it for several.
    """
    found = shift(*embeddings, seed=seed)
    words, labels = grown(list(taught), list(asked)), label_shifts(taught.values(), asked.values())
    (alarm,) = alarms([found.p])
    return InputDrift(*pair, found.p, alarm, found.unlike, found.new, found.reference, words, labels)


def together(found: Sequence[InputDrift], before: Iterable[InputDrift] = ()) -> tuple[InputDrift, ...]:
    """The alarms of all pairs of one look, together false in at most 1 of 1,000 looks; alarms first.

    `before` are those of the look before: an alarm that stood then is not new.
    """
    known = {(one.task, one.channel) for one in before if one.alarm}
    said = alarms([one.p for one in found])
    judged = [
        replace(one, alarm=alarm, new=(one.task, one.channel) not in known)
        for one, alarm in zip(found, said, strict=True)
    ]
    return tuple(sorted(judged, key=lambda one: (not one.alarm, one.p, one.task, one.channel)))


def grown(taught: Sequence[str], asked: Sequence[str], most: int = _MOST) -> tuple[Grown, ...]:
    """The words whose share of texts has certainly grown, the one with the surest growth first.

    A word is shown only where at least five distinct questions hold it. Chinese is read in pairs of characters.
    """
    before, after = _held(taught), _held(asked)
    found = []
    for word, n in after.items():
        change = difference(wilson(before[word], len(taught)), wilson(n, len(asked)), 0.999)
        if n >= _SAID_BY and change.low > 0:
            found.append((change.low, Grown(word, before[word] / len(taught), n / len(asked))))
    found.sort(key=lambda item: (-item[0], item[1].word))
    return tuple(one for _, one in found[:most])


def label_shifts(taught: Iterable[str], asked: Iterable[str], most: int = _MOST) -> tuple[LabelShift, ...]:
    """Labels whose share among answers certainly differs from that among training rows, the largest first.

    Intervals of 95 % for all labels together (Bonferroni).
    """
    before, after = Counter(taught), Counter(asked)
    names = sorted(before.keys() | after.keys())
    level = 1 - 0.05 / max(1, len(names))
    found = []
    for name in names:
        one, two = wilson(before[name], before.total()), wilson(after[name], after.total())
        change = difference(one, two, level)
        if change.low > 0 or change.high < 0:
            found.append(LabelShift(name, one.value, two.value, change))
    return tuple(sorted(found, key=lambda shift: -abs(shift.difference.value))[:most])


def accuracy_drift(
    days: Iterable[Day], judges: Judges, now: datetime, before: Iterable[AccuracyDrift] = ()
) -> tuple[AccuracyDrift, ...]:
    """Each (task, channel) by week, the newest `WEEKS` weeks; weeks without judged answers are left out.

    An alarm compares full weeks alone, so that looking every hour looks once a week; of all pairs together it
    is false in about 1 of 1,000 weeks. An alarm that stood in `before` is not new.
    """
    known = {(one.task, one.channel) for one in before if one.alarm and one.judges == judges}
    by_pair: dict[Pair, list[Day]] = defaultdict(list)
    for day in days:
        by_pair[day.task, day.channel].append(day)
    level = 1 - FALSE_ALARM / max(1, len(by_pair))
    return tuple(
        _accuracy(pair, judges, _weeks(found), now, level, new=pair not in known)
        for pair, found in sorted(by_pair.items())
    )


def first_day(now: datetime) -> datetime:
    """The Monday from which weeks are told."""
    monday = _monday(now.date()) - timedelta(weeks=WEEKS - 1)
    return datetime(monday.year, monday.month, monday.day, tzinfo=now.tzinfo)


def _accuracy(
    pair: Pair,
    judges: Judges,
    weeks: Mapping[date, tuple[int, int]],
    now: datetime,
    level: float,
    *,
    new: bool,
) -> AccuracyDrift:
    told = tuple(Week(monday, wilson(right, n)) for monday, (right, n) in sorted(weeks.items()))
    last = _monday(now.date()) - timedelta(weeks=1)
    earlier = [weeks.get(last - timedelta(weeks=i), (0, 0)) for i in range(1, BEFORE + 1)]
    one = wilson(sum(right for right, _ in earlier), sum(n for _, n in earlier))
    two = wilson(*weeks.get(last, (0, 0)))
    change = difference(one, two) if one.n and two.n else None
    sure = difference(one, two, level)
    return AccuracyDrift(*pair, judges, told, change, sure.high < 0 or sure.low > 0, new)


def _weeks(days: Iterable[Day]) -> dict[date, tuple[int, int]]:
    """Right and judged answers by Monday."""
    found: dict[date, tuple[int, int]] = {}
    for day in days:
        monday = _monday(date.fromisoformat(day.day))
        right, n = found.get(monday, (0, 0))
        found[monday] = (right + day.right, n + day.judged)
    return found


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _held(texts: Sequence[str]) -> Counter[str]:
    """In how many of the texts each word stands."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update(_words(text.casefold()))
    return found


def _words(text: str) -> set[str]:
    han = [run[i : i + 2] for run in _HAN.findall(text) for i in range(max(1, len(run) - 1))]
    return {*han, *_WORD.findall(_HAN.sub(" ", text))}
