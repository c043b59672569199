"""However a stream is cut, its sentences and their marks are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.apps.support.writing.sentences import LONGEST, Claim, Sentences, split

TEXT = st.lists(
    st.one_of(
        st.sampled_from(
            [*list("ab .!?。！？；…[]【】12,\n\"'”）"), "[1]", "[2, 3]", "【1】", ". ", "1. ", "e.g. ", "- "]
        ),
        st.text(max_size=3),
    ),
    max_size=60,
).map("".join)


def heard(pieces: list[str]) -> list[Claim]:
    parser = Sentences()
    return [claim for piece in pieces for claim in parser.feed(piece)] + parser.end()


@given(TEXT, st.data())
@settings(max_examples=50, deadline=None)
def test_the_cuts_of_the_stream_change_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert heard(pieces) == heard([text]) == heard(list(text))


@given(st.integers(LONGEST - 3, LONGEST + 90), st.sampled_from([".", "!!", "。", '."', "\n", ""]))
@settings(max_examples=12, deadline=None)
def test_a_sentence_without_an_end_is_cut_at_the_same_place(length: int, end: str) -> None:
    text = "a" * length + end + " [1] More follows here." + "b" * 70
    assert heard([text]) == heard(list(text))
    assert all(len(claim.text) <= LONGEST + 30 for claim in heard([text]))


@given(TEXT)
@settings(max_examples=50, deadline=None)
def test_nothing_is_said_twice_or_made_up(text: str) -> None:
    left = iter("".join(text.split()))
    assert all(letter in left for claim in heard([text]) for letter in "".join(claim.text.split()))


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("It takes 3.5 days [1]. Then it ends.", [("It takes 3.5 days.", (1,)), ("Then it ends.", ())]),
        ("See shop.example/a for it.[2] Good.", [("See shop.example/a for it.", (2,)), ("Good.", ())]),
        ("退款需要三天。[1]运费不退！【2】", [("退款需要三天。", (1,)), ("运费不退！", (2,))]),
        ("他说“可以。”然后走了。", [("他说“可以。”", ()), ("然后走了。", ())]),
        ("A. [1][2] B. [1, 3]\n", [("A.", (1, 2)), ("B.", (1, 3))]),
        ("1. Open it. [1]\n2. Close it. [2]", [("Open it.", (1,)), ("Close it.", (2,))]),
        ("**Bold** words, e.g. Visa cards, go. [1]", [("Bold words, e.g. Visa cards, go.", (1,))]),
        ("No end [1]", [("No end", (1,))]),
    ],
)
def test_sentences_and_their_marks(text: str, claims: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(claim.text, claim.marks) for claim in heard(list(text))] == claims


def test_what_broke_off_is_no_sentence() -> None:
    parser = Sentences()
    assert [claim.text for claim in parser.feed("Refunds take five days. They nev")] == [
        "Refunds take five days."
    ]
    assert parser.end(whole=False) == []
    assert split("One. Two") == ["One.", "Two"]
