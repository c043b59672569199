"""Few rows, one class, ties, labels nobody knows, and figures from the literature."""

import numpy as np
import pytest

from headrace.errors import InputError
from headrace.evaluation import Outcomes, compare, judge, rows_needed
from headrace.evaluation.compare import mcnemar, paired_interval


def test_no_rows_say_that_nothing_is_known() -> None:
    found = judge(np.zeros((0, 2)), [], ["a", "b"], seed=0)
    for estimate in (found.accuracy, found.macro_f1, found.calibration_error):
        assert (estimate.low, estimate.high, estimate.n) == (0.0, 1.0, 0)
    assert [row.support for row in found.classes] == [0, 0]
    assert (found.confusion, found.reliability) == ((), ())


def test_one_row_has_a_wide_interval() -> None:
    found = judge(np.array([[0.9, 0.1]]), ["a"], ["a", "b"], seed=0)
    assert found.accuracy.value == 1
    assert found.accuracy.low < 0.3
    assert found.calibration_error.value == pytest.approx(0.1)


def test_one_class_is_always_right() -> None:
    found = judge(np.ones((4, 1)), ["only"] * 4, ["only"], seed=0)
    assert (found.accuracy.value, found.macro_f1.value, found.calibration_error.value) == (1, 1, 0)


def test_a_tie_goes_to_the_first_label() -> None:
    assert judge(np.array([[0.5, 0.5]]), ["a"], ["a", "b"], seed=0).accuracy.value == 1
    assert Outcomes.of("x", ["r"], ["b"], np.array([[0.5, 0.5]]), ["a", "b"]).answers == ("a",)


def test_a_label_the_adapter_does_not_know_is_an_error_of_its() -> None:
    found = judge(np.array([[1.0, 0.0], [0.0, 1.0]]), ["a", "new"], ["a", "b"], seed=0)
    assert found.unknown == 1
    assert found.accuracy.value == 0.5
    assert [(row.label, row.recall) for row in found.classes][-1] == ("new", 0.0)
    assert [(c.gold, c.answered) for c in found.confusions()] == [("new", "b")]


@pytest.mark.parametrize(
    ("scores", "gold", "labels", "field"),
    [
        (np.zeros((2, 3)), ["a"], ["a", "b", "c"], "probabilities"),
        (np.full((1, 2), np.nan), ["a"], ["a", "b"], "probabilities"),
        (np.zeros((1, 2)), ["a"], ["a", "a"], "labels"),
        (np.zeros((1, 0)), ["a"], [], "labels"),
    ],
)
def test_what_cannot_be_judged_is_named(
    scores: np.ndarray, gold: list[str], labels: list[str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        judge(scores, gold, labels, seed=0)
    assert caught.value.field == field


def test_other_rows_cannot_be_compared() -> None:
    one, two = Outcomes("x", ("1",), ("a",), ("a",)), Outcomes("y", ("2",), ("a",), ("a",))
    with pytest.raises(InputError, match="same rows"):
        compare(one, two)
    with pytest.raises(InputError, match="differ in number"):
        Outcomes("x", ("1",), ("a",), ())


def test_tango_1998_as_published() -> None:
    """Airway hyper-responsiveness of 21 children, as in Fagerland et al., Stat. Med. 33, 2014."""
    found = paired_interval(1, 7, 21)
    assert (found.low, found.high) == pytest.approx((-0.5173, -0.0261), abs=6e-4)


def test_adapters_that_never_differ_are_not_known_to_be_equal() -> None:
    assert paired_interval(0, 0, 10).low < -0.2
    assert paired_interval(0, 0, 0).low == -1
    assert mcnemar(0, 0) == 1


def test_no_number_of_rows_excludes_every_loss() -> None:
    assert rows_needed(0.1, 0.0) is None


def test_the_most_frequent_label_breaks_ties_by_name() -> None:
    base = Outcomes("x", ("1", "2"), ("b", "a"), ("b", "b"))
    assert Outcomes.most_frequent(base).answers == ("a", "a")
