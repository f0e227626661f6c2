"""Statistics at positions tell what was planted in them, with intervals over problems, and nothing of noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.positions import Text, correlations, effect, effects, foresight, learn, matrix, parting
from testtime.core.errors import BadInput
from testtime.core.signals import LAW, by_token, left_over, listed, statistics

ERROR = 30


def planted(problems: int, strength: float, seed: int = 0) -> tuple[list[Text], dict[str, int]]:
    """Texts of 60 tokens; entropy rises by `strength` just before the error at 30."""
    rng = np.random.default_rng(seed)
    texts = []
    for at in range(problems):
        entropy = rng.gamma(1.0, 0.3, size=60)
        entropy[ERROR] += strength
        stats = [dict(zip(LAW, (h, h * 1.5, 1 / (1 + h), 1 / (1 + h) - 0.1), strict=True)) for h in entropy]
        texts.append(Text(f"q{at}", 0.0, range(60), stats))
    return texts, {text.query_id: ERROR for text in texts}


def test_an_error_that_shows_is_foretold_and_one_that_does_not_is_not() -> None:
    found = {row["statistic"]: row for row in foresight(*planted(30, 2.0), ahead=1)}
    assert found["entropy"]["auc"] > 0.95
    assert found["top_prob"]["auc"] < 0.05, "low values warn"
    assert (found["entropy"]["yes"], found["entropy"]["no"]) == (30, 30 * 30)
    assert found["entropy"]["p_holm"] < 0.05
    blind = foresight(*planted(30, 0.0), ahead=5)
    assert all(row["low"] <= 0.5 <= row["high"] for row in blind)
    assert {row["statistic"] for row in blind} == set(LAW), "what no position has is left out"


def test_positions_beyond_the_error_are_not_counted() -> None:
    texts, errors = planted(4, 1.0)
    (row, *_) = foresight(texts, errors, ahead=10)
    assert row["yes"] == 4 * 10
    assert row["yes"] + row["no"] == 4 * (ERROR + 1)


def test_a_correlation_is_found_with_its_sign_and_corrected_for_eight_looks() -> None:
    rng = np.random.default_rng(3)
    texts = []
    for at in range(200):
        right = float(rng.random() < 0.5)
        entropy = rng.normal(1.0 - 0.5 * right, 0.5)
        stats = {"entropy": entropy, "top_prob": rng.random(), "attn_entropy": None}
        texts.append(Text(f"q{at}", right, [0], [stats]))
    found = {row["statistic"]: row for row in correlations(texts)}
    assert set(found) == {"entropy", "top_prob"}
    assert found["entropy"]["high"] < -0.2
    assert found["entropy"]["p_holm"] >= found["entropy"]["p"]
    assert found["top_prob"]["low"] < 0 < found["top_prob"]["high"]


def test_intervals_are_over_problems_not_positions() -> None:
    """Twenty copies of each text say no more than one."""
    rng = np.random.default_rng(0)
    once = [Text(f"q{at}", float(at % 2), [0], [{"entropy": float(rng.normal())}]) for at in range(40)]
    (one,), (twenty,) = correlations(once), correlations(once * 20)
    assert twenty["r"] == pytest.approx(one["r"])
    assert twenty["high"] - twenty["low"] == pytest.approx(one["high"] - one["low"], rel=0.05)
    assert (twenty["n"], twenty["problems"]) == (800, 40)


def test_what_a_consultation_changed_is_told_by_the_pair() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for at in range(60):
        what = effect(float(at % 3 == 0), 0.0)
        pairs.append((Text(f"q{at}", 1.0, [5], [{"entropy": rng.normal(2.0 if what == "helped" else 1.0, 0.2)}]), what))
    found = {row["effect"]: row for row in effects(pairs)}
    assert found["helped"]["difference"] == pytest.approx(1.0, abs=0.2)
    assert found["helped"]["low"] > 0.5
    assert (found["hurt"]["n"], found["hurt"]["mean"]) == (0, None)
    assert found["nothing"]["n"] == 40
    low, middle, high = (found["helped"][name] for name in ("low_quarter", "median", "high_quarter"))
    assert 1.5 < low < middle < high < 2.5
    assert found["hurt"]["median"] is None


def test_few_problems_have_a_number_and_no_interval() -> None:
    row, *_ = foresight(*planted(4, 2.0), ahead=1)
    assert row["auc"] > 0.9
    assert row["low"] is row["high"] is row["p"] is row["p_holm"] is None


def test_a_learned_law_warns_on_problems_it_has_not_seen() -> None:
    law = learn(*planted(40, 2.0))
    assert law.auc is not None
    assert law.auc > 0.9
    assert law.weights.startswith("bias:-")
    assert (law.errors, law.positions) == (40, 40 * 31)
    blind = learn(*planted(40, 0.0)).auc
    assert blind == pytest.approx(0.5, abs=0.12)
    with pytest.raises(BadInput, match="too few"):
        learn(*planted(3, 2.0))


def test_the_matrix_is_symmetric_with_ones() -> None:
    cells = {(cell["one"], cell["other"]): cell["r"] for cell in matrix(planted(5, 1.0)[0])}
    assert cells["entropy", "entropy"] == pytest.approx(1)
    assert cells["entropy", "top_prob"] == pytest.approx(cells["top_prob", "entropy"])


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_texts_are_equal_before_they_part(one: list[int], other: list[int]) -> None:
    at = parting(one, other)
    if at is None:
        assert one[: len(other)] == other[: len(one)]
    else:
        assert one[:at] == other[:at]
        assert one[at] != other[at]


@given(st.integers(2, 40), st.integers(0, 10_000), st.integers(1, 12))
def test_few_named_tokens_bound_entropy_from_below_and_know_the_lead_exactly(size: int, seed: int, most: int) -> None:
    law = np.log(np.random.default_rng(seed).dirichlet(np.full(size, 0.3)) + 1e-12)
    law -= np.log(np.exp(law).sum())
    whole = statistics(law)
    order = np.argsort(-law)[: max(most, 2)]
    named = {f"t{token}": float(law[token]) for token in order}
    bound = listed(named)
    assert bound["entropy"] <= whole["entropy"] + 1e-6
    assert bound["top_prob"] == pytest.approx(whole["top_prob"])
    assert bound["prob_top2_diff"] == pytest.approx(whole["prob_top2_diff"], abs=1e-9)
    assert left_over(named) == pytest.approx(max(0.0, 1 - np.exp(law[order]).sum()), abs=1e-9)
    assert by_token([named]) == [bound]


def test_two_tokens_have_the_closed_form() -> None:
    p = 0.8
    found = statistics(np.log([p, 1 - p]))
    assert found["varentropy"] == pytest.approx(p * (1 - p) * np.log2(p / (1 - p)) ** 2)
    assert found["entropy"] == pytest.approx(-p * np.log2(p) - (1 - p) * np.log2(1 - p))
