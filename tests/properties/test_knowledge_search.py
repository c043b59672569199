"""Whatever is asked: no private passage of another channel, the same answer twice, chances in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_stand import WORDS, faq, make_search_project, passage

from headrace.knowledge.fuse import SHARE, choose_share
from headrace.knowledge.index import Index, Question
from headrace.knowledge.rerank import NAMES, Reranker, fit
from headrace.knowledge.words import Words, words
from headrace.project import Project
from headrace.serving.searcher import Searcher

TEXTS = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from([*WORDS, "how", "退货", "?"]), max_size=8).map(" ".join)
)
SHARED = settings(max_examples=40, deadline=None)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = make_search_project(tmp_path_factory.mktemp("search") / "p", faq(40))
    made.turn()
    yield made
    made.close()


@SHARED
@given(text=TEXTS, before=st.lists(TEXTS, max_size=2), meaning=st.booleans(), limit=st.integers(1, 60))
def test_no_passage_of_another_channel_is_found(
    project: Project, text: str, before: list[str], meaning: bool, limit: int
) -> None:
    searcher = _searcher(project)
    task = "find" if meaning else None
    for channel in ("desk", "forum"):
        found = searcher.search(text, task=task, channel=channel, limit=limit, context=before)
        assert {hit.passage.channel for hit in found.found} <= {None, channel}
        assert len(found.found) <= limit
        assert all(0 <= hit.chance <= 1 for hit in found.found)
        chances = [hit.chance for hit in found.found]
        assert chances == sorted(chances, reverse=True)
        again = Searcher(project.store, project.recipe) if limit == 1 else searcher
        same = again.search(text, task=task, channel=channel, limit=limit, context=before)
        assert same.found == found.found


@SHARED
@given(text=TEXTS, secret=st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
def test_what_another_channel_holds_changes_no_score(text: str, secret: list[str]) -> None:
    own = [passage(f"p{i}", "", f"{word} {WORDS[-i]}") for i, word in enumerate(WORDS)]
    alone = Index(own).search(Question(text), Reranker())
    other = passage("secret", " ".join(secret), " ".join(secret), "forum")
    seen = [one for one in [*own, other] if one.channel in (None, "desk")]
    assert Index(seen).search(Question(text), Reranker()) == alone


@SHARED
@given(text=TEXTS, title=TEXTS, body=TEXTS)
def test_an_index_of_one_passage(text: str, title: str, body: str) -> None:
    found = Index([passage("one", title, body)]).search(Question(text), Reranker())
    shared = set(words(text)) & set(words(title) + words(body))
    assert [hit.passage.id for hit in found] == (["one"] if shared else [])


def test_an_empty_index_finds_nothing() -> None:
    assert Index([]).search(Question("anything"), Reranker()) == []


@SHARED
@given(text=TEXTS, texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_words_are_shares(text: str, texts: list[str]) -> None:
    scores = Words([""] * len(texts), texts).scores(text)
    assert scores.shape == (2, len(texts))
    assert ((scores >= 0) & (scores <= 1)).all()
    for place, other in enumerate(texts):
        assert (scores[0, place] > 0) == bool(set(words(text)) & set(words(other)))


def test_words_of_both_scripts() -> None:
    assert words("Refunds for cafés, Café!") == ["refund", "for", "cafe", "cafe"]
    assert words("怎么退货 iPhone") == ["怎", "么", "退", "货", "怎么", "么退", "退货", "iphone"]


def test_a_share_is_chosen_by_what_ranks_best_and_the_packaged_one_where_nothing_says_better() -> None:
    good, bad = np.eye(9, dtype=np.float32), np.roll(np.eye(9, dtype=np.float32), 1, axis=1)
    right = list(range(9))
    assert choose_share(list(good * 0.3), list(bad), right) < SHARE
    assert choose_share(list(bad), list(good), right) > 0.5
    assert choose_share(list(good), list(good), right) == choose_share([], [], []) == SHARE


def test_lessons_move_the_coefficients_and_none_leave_them() -> None:
    random = np.random.default_rng(0)
    rows = random.random((400, len(NAMES))).astype(np.float32)
    right = rows[:, 3] > 0.7
    start = (0.0,) * len(NAMES)
    assert fit(rows[:0], right[:0], start) == start
    taught = fit(rows, right, start)
    assert taught[3] == max(taught) > 1


def test_a_reranker_survives_its_file() -> None:
    made = Reranker(share=0.3, background=0.1, lessons=7)
    assert Reranker.from_json(made.to_json()) == made


_SEARCHERS: dict[int, Searcher] = {}


def _searcher(project: Project) -> Searcher:
    return _SEARCHERS.setdefault(id(project), Searcher(project.store, project.recipe))


def test_a_follow_up_is_read_with_the_turn_before_it() -> None:
    found = Index(
        [
            passage("size", "", "shoes come in every size, blue shoes too"),
            passage("shoes", "", "the refund of shoes takes a week"),
            passage("shirts", "", "the refund of shirts takes a day"),
        ]
    )
    alone = found.search(Question("and shoes?"), Reranker())
    after = found.search(Question("and shoes?", ("when is the refund of shirts paid?",)), Reranker())
    assert (alone[0].passage.id, after[0].passage.id) == ("size", "shoes")


def test_a_searcher_is_shared_by_threads(project: Project) -> None:
    questions = [f"how {' '.join(WORDS[i : i + 3])}" for i in range(12)] * 2
    searcher = Searcher(project.store, project.recipe)

    def found(text: str) -> list[str]:
        hits = searcher.search(text, task="find", channel="desk").found
        return [hit.passage.id for hit in hits]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(found, questions)) == [found(text) for text in questions]
