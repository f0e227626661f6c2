"""A law over a solution set says the same of the right answer as the definitions, and sets are sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testtime.answers.solutions import about_gold, edit_distance, entropy, law, place_of, solution_set, tokens
from testtime.core.errors import BadInput

logs = st.lists(st.floats(-40, 0), min_size=2, max_size=30).map(np.array)


def test_sets_are_lists_ranges_or_the_letters_of_choices() -> None:
    assert solution_set({"solution_set": ["yes", "no"]}) == ("yes", "no")
    assert solution_set({"solution_set": "07..11"}) == ("07", "08", "09", "10", "11")
    assert solution_set({"choices": ["x", "y", "z"]}) == ("A", "B", "C")
    assert solution_set({"choices": {"A": "x", "B": "y"}, "solution_set": "0..1"}) == ("0", "1")
    assert solution_set({"steps": ()}) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("000-999", "no range"),
        ("9..10", "no range"),
        ("11..10", "no range"),
        ("0000000..9999999", "more than"),
        (["1", "12"], "'1' begins '12'"),
        (["A", "A"], "is there twice"),
    ],
)
def test_what_is_no_set_is_refused(given: object, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        solution_set({"solution_set": given})


def test_the_reference_is_found_as_text_or_as_the_same_integer() -> None:
    texts = solution_set({"solution_set": "000..999"})
    assert texts is not None
    assert place_of(texts, "83") == place_of(texts, " 083 ") == 83
    assert place_of(("A", "B"), "B") == 1
    assert place_of(texts, "1083") is None
    assert place_of(texts, "9" * 5000) is None
    assert place_of(texts, None) is None


@given(logs)
def test_a_law_sums_to_one_and_its_entropy_is_in_bits(masses: np.ndarray) -> None:
    q = law(masses)
    assert q.sum() == pytest.approx(1)
    assert entropy(q) == pytest.approx(stats.entropy(q, base=2), abs=1e-9)


@given(logs, st.integers(0, 29))
def test_what_a_law_says_of_gold(masses: np.ndarray, place: int) -> None:
    q, gold = law(masses), place % len(masses)
    said, hot = about_gold(q, gold), np.arange(len(q)) == gold
    assert said["probability"] == q[gold]
    assert said["log_prob"] == pytest.approx(np.log(q[gold]))
    assert said["brier"] == pytest.approx(((q - hot) ** 2).sum())
    assert 0 <= said["brier"] <= 2 + 1e-9
    assert said["rank"] == 1 + (q > q[gold]).sum()
    assert said["margin"] == pytest.approx(q[gold] - q[~hot].max())
    assert said["top1"] == (said["margin"] > 0)


def test_worked_values() -> None:
    q = law(np.log([0.5, 0.25, 0.125, 0.125]))
    said = about_gold(q, 1)
    assert said["probability"] == pytest.approx(0.25, abs=1e-9)
    assert said["brier"] == pytest.approx(0.5**2 + 0.75**2 + 2 * 0.125**2, abs=1e-9)
    assert (said["rank"], said["top1"]) == (2, 0)
    assert entropy(q) == pytest.approx(1.75, abs=1e-8)
    assert about_gold(np.eye(4)[2], 2) == {
        "probability": 1.0, "log_prob": 0.0, "brier": 0.0, "rank": 1.0, "margin": 1.0, "top1": 1.0,
    }  # fmt: skip


def test_no_mass_at_all_is_probability_zero() -> None:
    q = law(np.full(4, -np.inf))
    assert about_gold(q, 0)["probability"] == 0
    assert about_gold(q, 0)["log_prob"] == -np.inf
    assert entropy(q) == 2


@given(st.text("01", max_size=8), st.text("01", max_size=8))
def test_edit_distance_is_a_distance(one: str, other: str) -> None:
    assert edit_distance(one, other) == edit_distance(other, one)
    assert (edit_distance(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edit_distance(one, other) <= max(len(one), len(other))
    assert edit_distance("1" + one, "1" + other) == edit_distance(one, other)


def test_tokens_of_answers_are_the_same_for_every_model() -> None:
    """Digits count singly, a word or command is one token, blanks are none: a distance in tokens, not in letters."""
    assert edit_distance(tokens("Paris"), tokens("London")) == 1
    assert edit_distance(tokens(r"\frac{1}{2}"), tokens(r"\frac {1}{3}")) == 1
    assert edit_distance(tokens("083"), tokens("9 3")) == 2
