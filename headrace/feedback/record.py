"""record: what a user said of an answer is checked, stored and durable."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from typing import get_args

from headrace.errors import InputError
from headrace.feedback.trust import Sight, carry_out, rule
from headrace.recipe import TrustRecipe
from headrace.records import Answer, Clock, Feedback, IdMaker, Verdict, random_id, utc_now
from headrace.store import Store

_LONGEST_LIST = 20


def record(
    store: Store,
    answer_id: str,
    *,
    channel: str,
    verdict: str,
    label: str | None = None,
    person: str | None = None,
    labels: Sequence[str],
    salt: bytes = b"",
    trust: TrustRecipe | None = None,
    sight: Sight | None = None,
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
) -> Feedback:
    """Store what somebody in `channel` said of an answer; it is on disk when this returns.

    `verdict` is right, wrong or correction; a correction alone carries a label, one of the task's `labels`.
    `person` is stored as a hash under the project's `salt`. It comes through no key: without a person it is
    the owner's word; else `trust` says how much counts, by the `sight` of the answer's text, and the state and
    reason of what is returned say whether this does. Raises NotFound where the channel gave no such answer
    (another channel's answer reads like an id that nobody has), InputError with `field` for the rest.
    """
    answer = store.answers.get(answer_id, channel=channel)
    said = checked(answer, verdict, label, person, labels=labels, salt=salt, clock=clock, ids=ids)
    with store.transaction() as connection:
        ruling = rule(store, connection, said, trust or TrustRecipe(), sight or Sight())
        carry_out(store, connection, ruling)
    return ruling.feedback


def checked(
    answer: Answer,
    verdict: str,
    label: str | None = None,
    person: str | None = None,
    *,
    labels: Sequence[str],
    salt: bytes = b"",
    key: str | None = None,
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
) -> Feedback:
    """What somebody said of `answer`, checked like `record`, neither judged nor stored yet; raises InputError.

    `key` is the id of the key through which it came; then who asked has said it, where no `person` is named.
    """
    asked = None if key is None else answer.person
    return Feedback(
        id=ids("fb"),
        answer=answer.id,
        channel=answer.channel,
        task=answer.task,
        text=answer.text,
        verdict=_verdict(verdict, label),
        label=None if label is None else known_label(label, labels),
        at=clock(),
        person=asked if person is None else pseudonym(person, salt),
        key=key,
    )


def known_label(label: str, labels: Sequence[str]) -> str:
    """`label` where the task has it; else InputError with the nearest one."""
    if label in labels:
        return label
    near = difflib.get_close_matches(label, labels, n=1, cutoff=0.4)
    listed = ", ".join(sorted(labels)[:_LONGEST_LIST])
    cure = f"Did you mean {near[0]!r}?" if near else f"Known: {listed}."
    raise InputError(f"the task has no label {label[:80]!r}.", field="label", cure=cure)


def pseudonym(person: str, salt: bytes) -> str:
    """Who said it, in 96 bits: the same person under the same salt, and of no use without the salt.

    BLAKE2b keyed with the salt (Aumasson et al. 2013).
    """
    key = hashlib.sha256(salt).digest()
    hashed = hashlib.blake2b(person.encode("utf-8", "surrogatepass"), key=key, digest_size=12)
    return f"person_{hashed.hexdigest()}"


def _verdict(verdict: str, label: str | None) -> Verdict:
    for known in get_args(Verdict):
        if verdict == known:
            break
    else:
        listed = ", ".join(get_args(Verdict))
        raise InputError(f"unknown verdict {verdict[:80]!r}.", field="verdict", cure=f"Known: {listed}.")
    found: Verdict = known
    if found == "correction" and label is None:
        raise InputError("a correction has no label.", field="label", cure="Add the label that is right.")
    if found != "correction" and label is not None:
        cure = "Leave it out, or send the verdict correction."
        raise InputError(f"the verdict {found} has a label.", field="label", cure=cure)
    return found
