"""The support demo: an answer to every intent in both languages, nothing asked that was trained on."""

from __future__ import annotations

import asyncio
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support_stand import Stand

from headrace import recipe as recipes
from headrace.apps.support.desk import Desk
from headrace.apps.support.outcomes import Begun, Reply
from headrace.apps.support.replies import SENTENCES, language_of
from headrace.demo import helpdesk, support, support_day, support_rows
from headrace.demo.questions import Question
from headrace.errors import NotFound
from headrace.records import Message


def test_every_intent_has_its_answer_in_its_language() -> None:
    intents = {row["label"] for row in helpdesk.material("helpdesk-en").rows}
    faq = support_rows.ours().faq
    assert {(line["intent"], line["language"]) for line in faq} == {
        (i, language) for i in intents for language in ("en", "zh")
    }
    for line in faq:
        assert language_of(line["question"]) == language_of(line["answer"]) == line["language"]
    chinese = support_rows.CHINESE.read_text("utf-8").splitlines()
    assert {json.loads(line)["intent"] for line in chinese} == intents


def test_what_customers_ask_was_not_trained_on() -> None:
    material = support_rows.ours()
    trained = {row["text"] for row in material.rows}
    asked = {one.text for one in material.asked} | {one.text for one in material.lessons}
    asked |= {one.rewording for one in material.lessons if one.rewording}
    assert not trained & asked
    assert len(asked) > 250


def test_a_real_set_is_read_from_its_folder(tmp_path: Path) -> None:
    for name in ("train", "test"):
        with open(tmp_path / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "intent"])
            table.writerows((f"{name} {i}", f"label_{i % 3}") for i in range(30))
    found = support_rows.named(str(tmp_path), seed=1)
    assert len(found.asked) == 15
    assert {line["intent"] for line in found.faq} == {"label_0", "label_1", "label_2"}
    support_rows.write(found, tmp_path / "data")
    assert (tmp_path / "data" / "faq.csv").read_text("utf-8").startswith("question,answer,intent")
    with pytest.raises(NotFound):
        support_rows.named(str(tmp_path / "nowhere"), seed=1)


def test_the_recipe_is_one_and_each_sentence_is_there_in_both_languages() -> None:
    recipe = recipes.parse(support_rows.RECIPE.format(seed=7, channel=support_rows.CHANNEL), where="demo")
    assert recipe.support.channels == (support_rows.CHANNEL,)
    assert SENTENCES["en"].keys() == SENTENCES["zh"].keys()
    for what, sentence in SENTENCES["zh"].items():
        assert language_of(sentence.replace("{when}", "")) == "zh", what


@dataclass
class _Support:
    """A desk, asked as its server is."""

    desk: Desk

    async def begin(self, channel: str) -> Begun:
        return self.desk.begin(channel)

    async def receive(self, conversation: str, text: str) -> Message:
        return self.desk.receive(conversation, text)

    async def reply(self, message: Message) -> Reply:
        return self.desk.reply(message)


def test_a_lesson_is_no_check_of_the_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support_day, "CHANNEL", "shop")
    stand = Stand(tmp_path / "p")
    stand.guarantee.alone = stand.guarantee.ask = 2.0
    stand.guarantee.drawn = 1.0
    learned: list[str] = []
    lesson = Question("tell me of the zebra", "quota", "what of a zebra")
    shown: Any = _Support(stand.desk)
    assert asyncio.run(support._correct_one(Console(quiet=True), shown, [lesson], learned.extend))
    assert [one.feedback.id for one in stand.project.store.feedback.live("intent", "shop")] == learned
    assert len(stand.desk.to_check("shop")) == 3
    asked = [asyncio.run(support_day.ask(shown, Question("a zebra", "quota")))]
    assert support_day.check_all(stand.desk, asked).total() == 1
    stand.project.close()
