"""Proves that every stopping rule is its formula: exact boundaries, closed forms, and integrals checked another way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testtime.core.errors import BadInput
from testtime.core.history import Tally
from testtime.policies.adaptive_margin import AdaptiveMargin
from testtime.policies.counts import boundary, least_batch, needed, table
from testtime.policies.stops.beta import Beta
from testtime.policies.stops.dirichlet import Dirichlet, leads
from testtime.policies.stops.entropy import Entropy
from testtime.policies.stops.margin import Margin
from testtime.policies.stops.share import Share
from testtime.policies.stops.sprt import Sprt
from testtime.policies.stops.window import Window

GRID = [(v1, v2, n) for n in range(1, 41) for v1 in range(n + 1) for v2 in range(min(v1, n - v1) + 1)]
V1, V2, N = (np.array(x) for x in zip(*GRID, strict=True))


def on_grid(rule: object) -> list[bool]:
    return list(rule.stops(Tally.of(v1=V1, v2=V2, n=N)))  # type: ignore[attr-defined]


def test_the_beta_boundary_at_95_is_the_published_one() -> None:
    expected = [4, 6, 8, 9, 11, 12, 14, 15, 17, 18, 19, 21, 22, 23, 25]
    assert boundary(Beta(), 40)[: len(expected)].tolist() == expected


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.9, 0.95, 0.99, 0.999])
def test_beta_is_its_integral(threshold: float) -> None:
    p = stats.beta.sf(0.5, V1 + 1, V2 + 1)
    clear = np.abs(p - threshold) > 1e-12
    assert np.array_equal(np.array(on_grid(Beta(threshold)))[clear], ((p >= threshold) & (V1 > 0))[clear])


def test_beta_decides_equality_exactly() -> None:
    """Three unanimous votes give 1 − 2⁻⁴ = 0.9375, to the last bit."""
    assert boundary(Beta(0.9375), 40)[0] == 3
    assert boundary(Beta(0.9375000000000001), 40)[0] == 4


@given(st.integers(1, 999), st.integers(1, 40))
def test_share_and_margin_compare_fractions_of_the_text(thousandths: int, n: int) -> None:
    threshold = Fraction(thousandths, 1000)
    votes = np.arange(n + 1)
    tally = Tally.of(v1=votes, v2=0 * votes, n=np.full(n + 1, n))
    expected = [v > 0 and Fraction(int(v), n) >= threshold for v in votes]
    assert list(Share(float(threshold)).stops(tally)) == expected
    assert list(Margin(float(threshold)).stops(tally)) == expected


def test_int16_counts_do_not_overflow() -> None:
    big = np.array([30_000], dtype=np.int16)
    tally = Tally.of(v1=big, v2=big - 10_000, n=np.array([32_000], dtype=np.int16))
    assert Share(0.9375).stops(tally).all()
    assert not Share(0.93751).stops(tally).any()
    assert not Margin(0.5).stops(tally).any()


def test_sprt_default_is_lead_4() -> None:
    assert on_grid(Sprt()) == list(V1 - V2 >= 4)


@pytest.mark.parametrize(("p1", "error", "lead"), [(0.6, 0.05, 8), (0.8, 0.05, 3), (0.9, 0.05, 2), (0.95, 0.05, 1)])
def test_sprt_leads_of_the_closed_form(p1: float, error: float, lead: int) -> None:
    assert Sprt(p1, error).lead == lead


@given(st.integers(501, 999), st.integers(1, 499))
def test_sprt_lead_is_the_smallest_whole_number_in_exact_arithmetic(p: int, e: int) -> None:
    lead = Sprt(p / 1000, e / 1000).lead
    odds, bound = Fraction(p, 1000 - p), Fraction(1000 - e, e)
    assert odds**lead >= bound
    assert lead == 1 or odds ** (lead - 1) < bound


def test_consols_published_sprt_is_lead_3() -> None:
    """ConSol (arXiv 2503.17587): H0 p = ½ against p1 = .5001, α = .05, β = 1 − .05 − .000024."""
    p1, alpha, beta = 0.5001, 0.05, 1 - 0.05 - 0.000024
    ratio = V1 * math.log(p1 / 0.5) + V2 * math.log((1 - p1) / 0.5)
    theirs = ratio >= math.log((1 - beta) / alpha)
    assert list(theirs) == on_grid(Sprt(p1=0.8))


@pytest.mark.parametrize("top", [(4, 1, 1), (10, 3, 2, 1), (7, 6, 5, 4, 3), (30, 12, 1, 1), (2, 2, 2, 2, 2)])
def test_dirichlet_is_the_probability_that_the_leader_is_the_mode(top: tuple[int, ...]) -> None:
    draws = np.random.default_rng(1).dirichlet(np.array(top) + 1.0, 400_000)
    simulated = (draws.argmax(axis=1) == 0).mean()
    exact = leads(np.array([top + (0,) * (5 - len(top))]))[0]
    assert abs(exact - simulated) < 5 * math.sqrt(exact * (1 - exact) / 400_000) + 1e-9


@given(st.integers(0, 60), st.integers(0, 60))
def test_dirichlet_over_two_answers_is_beta(a: int, b: int) -> None:
    high, low = max(a, b), min(a, b)
    assert leads(np.array([[high, low, 0, 0, 0]]))[0] == pytest.approx(stats.beta.sf(0.5, high + 1, low + 1), abs=1e-10)


def test_dirichlet_equal_answers_share_the_probability() -> None:
    for answers in (2, 3, 4, 5):
        top = np.array([[9] * answers + [0] * (5 - answers)])
        assert leads(top)[0] == pytest.approx(1 / answers, abs=1e-10)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 6), st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_entropy_counts_abstentions_as_a_class_that_cannot_win(
    votes: list[int], abstained: int, threshold: float
) -> None:
    votes = sorted(votes, reverse=True)
    classes = [*votes, abstained] if abstained else votes
    entropy = stats.entropy(classes, base=2)
    concentrated = 1 - entropy / math.log2(max(2, len(classes))) >= threshold - 1e-9
    tally = Tally.of(
        n=np.array(sum(classes)),
        voted=np.array(sum(votes)),
        v1=np.array(votes[0]),
        distinct=np.array(len(votes)),
        spread=np.array(sum(c * math.log2(c) for c in votes)),
    )
    assert bool(Entropy(threshold).stops(tally)) == (concentrated and votes[0] > abstained)


def test_a_window_is_whole_and_does_not_overlap() -> None:
    n = np.array([4, 5, 6, 10, 10, 10])
    run = np.array([4, 5, 6, 5, 4, 9])
    assert Window(5).stops(Tally.of(n=n, run=run)).tolist() == [False, True, False, True, False, True]


def test_the_esc_closed_form_by_enumeration_of_windows() -> None:
    p = [0.7, 0.2, 0.1]
    q = sum(share**2 for share in p)
    by_hand = 2 * q + 4 * (1 - q) * q + 6 * (1 - q) ** 2
    assert Window(2).expected_draws(p, 6) == pytest.approx(by_hand)


@pytest.mark.parametrize("rule", [Share(), Margin(), Beta(), Beta(0.99), Sprt(), Sprt(0.6)])
@pytest.mark.parametrize(("curtail", "min_samples"), [(True, 2), (True, 5), (False, 2)])
def test_table_boundary_and_least_batch_are_one_predicate(rule: object, curtail: bool, min_samples: int) -> None:
    policy = AdaptiveMargin(rule, 20, min_samples, curtail)  # type: ignore[arg-type]
    stops, short = table(policy, 20), needed(policy, 20)
    for v1, v2, n in GRID:
        if n <= 20:
            further = next(t for t in range(21) if stops[v1 + t, v2, n + t] or n + t == 20)
            assert max(short[v2, n - v1] - v1, 0) == further


def test_a_large_max_n_needs_no_table_of_its_square() -> None:
    v1, v2 = np.array([[1, 3, 9], [0, 2, 4]])
    tally = Tally.of(v1=v1, v2=v2, n=v1 + v2, voted=v1 + v2)
    policies = [AdaptiveMargin(Beta(), max_n) for max_n in (200, 100_000)]  # type: ignore[arg-type]
    small, large = (least_batch(policy, tally, policy.max_n).tolist() for policy in policies)
    assert small == large == [3, 5, 2]


def test_at_max_n_4_curtailment_is_all_the_default_can_save() -> None:
    """Three alike, or two and an abstention: the fourth draw cannot turn it."""
    stops = table(AdaptiveMargin(Sprt(), 4), 4)
    assert np.argwhere(stops[..., :4]).tolist() == [[2, 0, 3], [3, 0, 3]]


@pytest.mark.parametrize("rule", [Share, Margin, Entropy, Beta, Dirichlet])
@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5, math.nan])
def test_a_threshold_out_of_range_is_refused(rule: type, threshold: float) -> None:
    with pytest.raises(BadInput, match="threshold"):
        rule(threshold)
