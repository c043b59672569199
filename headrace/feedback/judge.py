"""undo, accept, reject: what the owner says of feedback. Nothing is deleted; what is undone counts no more.

A running server follows within a second. At the next turn the example of an undone correction goes back to
what the feedback that still counts makes of it, or to what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from headrace.errors import Conflict, InputError, NotFound
from headrace.feedback.trust import CONTESTED, standing_by
from headrace.records import COUNTING, Clock, Event, Feedback, FeedbackState, IdMaker
from headrace.store import Store


def undo(
    store: Store,
    feedback: Sequence[str] = (),
    *,
    person: str | None = None,
    agree: int = 2,
    clock: Clock,
    ids: IdMaker,
) -> list[Feedback]:
    """Let this feedback count no more, and all that the `person` of this pseudonym gave; what was undone.

    What counted only because it agreed is held again where fewer than `agree` persons are left. Undone twice
    is undone once. Raises NotFound where there is none, InputError where nothing is named.
    """
    if not feedback and person is None:
        raise InputError("nothing is named.", cure="Name feedback by its id, or a person.")
    named = store.feedback.get(feedback) if feedback else []
    theirs = store.feedback.list(person=person) if person is not None else []
    if person is not None and not theirs:
        raise NotFound("this person has given no feedback.", cure="See: headrace feedback list --json")
    found = list({one.id: one for one in (*named, *theirs) if one.state != "undone"}.values())
    return _change(store, found, "undone", "undone by the owner", clock, ids, agree)


def accept(store: Store, feedback: Sequence[str], *, clock: Clock, ids: IdMaker) -> list[Feedback]:
    """Let held feedback count from now on, whatever it was held for; raises NotFound, Conflict."""
    return _change(store, _held(store, feedback), "accepted", "accepted by the owner", clock, ids)


def reject(store: Store, feedback: Sequence[str], *, clock: Clock, ids: IdMaker) -> list[Feedback]:
    """Let held feedback never count; raises NotFound, Conflict."""
    return _change(store, _held(store, feedback), "undone", "rejected by the owner", clock, ids)


def _held(store: Store, feedback: Sequence[str]) -> list[Feedback]:
    found = store.feedback.get(feedback)
    for one in found:
        if one.state != "held":
            raise Conflict(
                f"{one.id} is not held: it {'counts' if one.state in COUNTING else 'was undone'}.",
                cure="See: headrace feedback list --held",
            )
    return found


def _change(
    store: Store,
    found: Sequence[Feedback],
    state: FeedbackState,
    said: str,
    clock: Clock,
    ids: IdMaker,
    agree: int = 0,
) -> list[Feedback]:
    """Change the state in one transaction with its line in the history."""
    if not found:
        return []
    names = [one.id for one in found]
    message = f"Feedback {said}: {len(names)}."
    event = Event(ids("evt"), "feedback", None, None, message, {"state": state, "feedback": names}, clock())
    with store.transaction() as connection:
        store.feedback.set_state_in(connection, names, state, said)
        _hold_again(store, connection, agree)
        store.history.add_in(connection, event)
    return [replace(one, state=state, reason=said) for one in found]


def _hold_again(store: Store, connection: Connection, agree: int) -> None:
    """Hold what counted by agreement alone and is agreed by too few now, until that changes nothing more."""
    while True:
        said = store.feedback.agreed_in(connection)
        named = {n for names in said.values() for n in names}
        known = {one.id: one for one in store.feedback.get_in(connection, sorted(named))}
        lonely = [name for name, names in said.items() if len(standing_by(names, known)) < agree]
        if not lonely:
            return
        reason = f"{CONTESTED}: fewer than {agree} persons are left who say so"
        store.feedback.set_state_in(connection, lonely, "held", reason)
