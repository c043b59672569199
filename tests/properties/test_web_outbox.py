"""Killed anywhere, each delivery is answered exactly once and told at least once, always under one id."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hook_stand import Told, hooked, put
from hypothesis import given, settings
from hypothesis import strategies as st
from support_stand import PretendGuarantee, Stand

from headrace.web.logs import logger
from headrace.web.outbox import Outbox

STEPS = ("begin", "receive", "reply", "add", "settle", "set_in", "send")


class Killed(BaseException):
    """The process ends here."""


class Fate:
    """Kills at the `deaths` of the calls that it counts, before or after they are carried out."""

    def __init__(self, deaths: list[tuple[int, bool]]) -> None:
        self._deaths, self._calls = dict(deaths), 0

    def over(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def doing(*args: Any, **kwargs: Any) -> Any:
            self._calls += 1
            after = self._deaths.pop(self._calls, None)
            if after is False:
                raise Killed
            found = work(*args, **kwargs)
            if after is True:
                raise Killed
            return found

        return doing


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outbox") / "made"
    hooked(folder).project.close()
    return folder


def life(stand: Stand, fate: Fate, told: Told) -> Outbox:
    """What a process has of the store, its steps under fate's hand."""
    desk, deliveries = stand.another(), stand.project.store.deliveries
    for owner in (desk, deliveries, stand.project.store.conversations):
        for name in STEPS:
            if hasattr(type(owner), name):
                setattr(owner, name, fate.over(getattr(type(owner), name).__get__(owner)))
    outbox = Outbox(desk, log=logger(), send=fate.over(told))
    return outbox


@given(
    deaths=st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=6, unique_by=lambda one: one[0]),
    threads=st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_killed_anywhere_each_delivery_is_answered_once(
    made: Path, tmp_path_factory: pytest.TempPathFactory, deaths: list[tuple[int, bool]], threads: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("life") / "p"
    shutil.copytree(made, folder)
    stand, told, fate = Stand(folder, PretendGuarantee()), Told(200), Fate(deaths)
    for number, thread in enumerate(threads):
        for _ in range(2):
            put(stand, f"dlv_{number}", thread)
    quiet = 0
    while quiet < 2:
        outbox = life(stand, fate, told)
        try:
            quiet = 0 if outbox.step() else quiet + 1
        except Killed:
            quiet = 0
        stand.clock.later(10)
    said = [m for c in stand.project.store.conversations.list() for m in _all(stand, c.id)]
    answers = [m.id for m in said if m.author == "machine" and m.reply_to]
    assert len([m for m in said if m.author == "customer"]) == len(threads) == len(answers)
    names = [name for name, _ in told.came]
    assert set(names) == set(answers)
    assert len(names) <= len(answers) + len(deaths)
    assert not stand.project.deliveries(state="waiting")
    stand.project.close()
    shutil.rmtree(folder.parent)


def _all(stand: Stand, conversation: str) -> list[Any]:
    return stand.project.store.conversations.messages(conversation)
