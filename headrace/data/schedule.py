"""When feedback would have been taken up, had some of it not been given.

A turn lets feedback wait while one person alone has said something of a (task, channel), and a label that the
adapter found implausible until enough persons say it: see `shares`. So who is not there may leave others waiting.
What was taken up alone all the same was so before these rules, and stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from headrace.data.voices import are_few, is_doubted, is_one_person, is_owners, speaks, voice
from headrace.recipe import TrustRecipe
from headrace.records import Feedback

Taken = Sequence[tuple[int, Feedback]]
_Pair = tuple[str, str]


def rescheduled(
    taken: Taken,
    gone: Collection[str],
    keys: Mapping[str, str],
    trust: TrustRecipe,
    waited: Sequence[Feedback] = (),
) -> dict[str, int | None]:
    """The step of each feedback, by id, without those `gone`; None for what would still wait.

    `taken` is what was taken up, each with its step, `waited` what waits still; `keys` are those of the texts, by
    id. It may wait longer than it did, never less long.
    """
    found: dict[str, int | None] = {one.id: step for step, one in taken if one.id not in gone}
    waiting: list[Feedback] = []
    for step in sorted({step for step, _ in taken}):
        here = [one for at, one in taken if at == step and speaks(one)]
        missed = {_pair(one) for one in here if one.id in gone} | {_pair(one) for one in waiting}
        unsaid = {_what(one, keys) for one in here if one.id in gone} | {_what(one, keys) for one in waiting}
        waiting += [one for one in here if one.id not in gone and _pair(one) in missed]
        last = max(one.at for at, one in taken if at == step)
        heard = [one for one in waited if one.at <= last and one.id not in gone and speaks(one)]
        still = [one for one in waiting if _waits(one, [*waiting, *heard], unsaid, keys, trust)]
        found |= {one.id: step for one in waiting} | dict.fromkeys([one.id for one in still])
        waiting = still
    return found


def _waits(
    one: Feedback,
    among: Sequence[Feedback],
    unsaid: Collection[tuple[str, ...]],
    keys: Mapping[str, str],
    trust: TrustRecipe,
) -> bool:
    """Whether too few are left who speak of the channel, or who say this of the text."""
    if is_owners(one):
        return False
    if is_one_person({voice(other) for other in among if _pair(other) == _pair(one)}):
        return True
    what = _what(one, keys)
    same = {other.person for other in among if _what(other, keys) == what}
    return what in unsaid and is_doubted(one, trust) and are_few(same, trust)


def _pair(one: Feedback) -> _Pair:
    return one.task, one.channel


def _what(one: Feedback, keys: Mapping[str, str]) -> tuple[str, ...]:
    return one.task, one.channel, keys[one.id], one.label or ""
