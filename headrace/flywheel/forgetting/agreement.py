"""What other persons said, where it counted only because a person agreed with it who is not there any more."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from headrace.feedback.trust import CONTESTED, standing_by
from headrace.store import Store

Left = dict[str, list[str]]


def left(store: Store, gone: frozenset[str]) -> Left:
    """The feedback that counts by agreement with some of `gone`, and the ids that still agree with each."""
    found: Left = {}
    with store.database.read() as connection:
        for one, names in store.feedback.agreed_in(connection).items():
            if one not in gone and not gone.isdisjoint(names):
                found[one] = [name for name in names if name not in gone]
    return found


def lonely(store: Store, said: Left, agree: int) -> list[str]:
    """Those with which fewer than `agree` persons agree now: they are to be held again."""
    with store.database.read() as connection:
        names = sorted({name for names in said.values() for name in names})
        known = {one.id: one for one in store.feedback.get_in(connection, names)}
    return [name for name, names in said.items() if len(standing_by(names, known)) < agree]


def unsay_in(store: Store, connection: Connection, said: Left, held: Collection[str], agree: int) -> None:
    """Hold again what is `held`, and let the others name only who still agrees with them."""
    if held:
        reason = f"{CONTESTED}: fewer than {agree} persons are left who say so"
        store.feedback.set_state_in(connection, sorted(held), "held", reason)
    for name, names in said.items():
        if name not in held:
            store.feedback.agree_still_in(connection, name, names)
