"""Proves that the estimators equal brute force over all subsets, and the numbers others publish."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.analysis import estimators as est
from testtime.core.errors import BadInput
from testtime.store.pool import codes_of

pools = st.lists(st.tuples(st.integers(-1, 4), st.sampled_from([0.0, 1.0])), min_size=1, max_size=9)


def subsets(n, k):
    return itertools.combinations(range(n), k)


def average(values):
    listed = list(values)
    return float(sum(Fraction(v) for v in listed) / len(listed))


def majority(codes, worth):
    """One subset's chance of a right answer, ties split evenly."""
    votes = [c for c in codes if c >= 0]
    if not votes:
        return Fraction(0)
    most = max(votes.count(c) for c in votes)
    winners = sorted({c for c in votes if votes.count(c) == most})
    return sum((worth[c] for c in winners), Fraction(0)) / len(winners)


def as_arrays(pool):
    codes, right = zip(*pool, strict=True)
    return np.array([codes]), np.array([right])


def lines(path):
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]


@settings(max_examples=150)
@given(pools)
def test_maj_at_k_is_the_mean_over_all_subsets(pool):
    codes, right = as_arrays(pool)
    n = len(pool)
    worth = {}
    for code in set(codes[0].tolist()) - {-1}:
        members = [int(r) for c, r in pool if c == code]
        worth[code] = Fraction(sum(members), len(members))
    brute = [average(majority([codes[0][i] for i in s], worth) for s in subsets(n, k)) for k in range(1, n + 1)]
    assert est.maj_at_k(codes, right, range(1, n + 1))[0] == pytest.approx(brute, abs=1e-12)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 1.0])), min_size=2, max_size=40))
def test_two_votes_are_worth_one_when_nobody_abstains(pool):
    codes, right = as_arrays(pool)
    one, two = est.maj_at_k(codes, right, [1, 2])[0]
    assert one == pytest.approx(two, abs=1e-13)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-1, 12), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60))
def test_the_chances_of_all_answers_and_of_none_sum_to_one(pool):
    codes, _ = as_arrays(pool)
    ks = range(1, len(pool) + 1)
    silent = est.pass_hat_k((codes < 0).astype(float), ks)[0]
    chances = sum(est.maj_at_k(codes, (codes == code).astype(float), ks)[0] for code in set(codes[0].tolist()) - {-1})
    assert chances + silent == pytest.approx(np.ones(len(pool)), abs=1e-12)


def test_an_unknown_verdict_shows_only_where_its_key_could_win():
    codes, right = np.array([[0, 0, 0, 1]]), np.array([[1.0, 1.0, 1.0, np.nan]])
    one, four = est.maj_at_k(codes, right, [1, 4])[0]
    assert np.isnan(one)
    assert four == 1.0


def test_a_key_is_as_right_as_the_verdicts_on_it_that_are_known():
    codes, right = np.array([[0, 0, 1, -1]]), np.array([[1.0, np.nan, np.nan, 1.0]])
    assert est.key_rightness(codes, right)[0] == pytest.approx([1.0, 1.0, np.nan, 0.0], nan_ok=True)


def test_more_draws_than_there_are_is_unknown_and_less_than_one_is_refused():
    codes, right = np.array([[0, 0, 1]]), np.array([[1.0, 1.0, 0.0]])
    sizes = np.array([2])
    for rule in (lambda ks: est.maj_at_k(codes, right, ks, sizes), lambda ks: est.pass_at_k(right, ks, sizes)):
        assert rule([2])[0, 0] == 1.0
        assert np.isnan(rule([3])[0, 0])
        with pytest.raises(BadInput):
            rule([0])


def test_huge_pools_are_exact_while_floats_hold_them_and_refused_beyond():
    codes = np.array([[0] * 6_000 + [1] * 4_000])
    one, hundred = est.maj_at_k(codes, (codes == 0).astype(float), [1, 25])[0]
    assert one == pytest.approx(0.6, abs=1e-12)
    assert 0.8 < hundred < 0.9
    with pytest.raises(BadInput, match="beyond floats"):
        est.maj_at_k(codes, (codes == 0).astype(float), [5_000])


@settings(max_examples=80)
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.sampled_from(["0", ".25", ".5", ".07", "1"]))
def test_pass_rates_are_the_mean_over_all_subsets(hits, threshold):
    right, n = np.array([hits], dtype=float), len(hits)
    for k in range(1, n + 1):
        counts = [sum(hits[i] for i in s) for s in subsets(n, k)]
        least = max(Fraction(1), Fraction(threshold) * k)
        assert est.pass_at_k(right, [k])[0, 0] == pytest.approx(average(c >= 1 for c in counts), abs=1e-15)
        assert est.pass_hat_k(right, [k])[0, 0] == pytest.approx(average(c == k for c in counts), abs=1e-15)
        ours = est.g_pass_at_k(right, [k], [threshold])[0, 0, 0]
        assert ours == pytest.approx(average(c >= least for c in counts), abs=1e-15)


def test_thresholds_are_the_decimals_they_print_as():
    right = np.array([[1.0] * 7 + [0.0] * 93])
    assert est.g_pass_at_k(right, [100], [0.07])[0, 0, 0] == 1.0
    with pytest.raises(BadInput):
        est.g_pass_at_k(right, [1], [1.1])


scores = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, np.nan]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=8
)


@settings(max_examples=120)
@given(scores)
def test_best_at_k_is_the_mean_over_all_subsets_with_equal_scores_sharing(pool):
    def best(chosen):
        scored = [(s, r) for s, r in chosen if not np.isnan(s)]
        top = [r for s, r in scored if s == max(s for s, _ in scored)]
        return Fraction(int(sum(top)), len(top)) if top else Fraction(0)

    score, right = as_arrays(pool)
    n = len(pool)
    brute = [average(best([pool[i] for i in s]) for s in subsets(n, k)) for k in range(1, n + 1)]
    assert est.best_at_k(score, right, range(1, n + 1))[0] == pytest.approx(brute, abs=1e-12)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_the_expected_maximum_is_the_mean_over_all_subsets(values):
    n = len(values)
    brute = [average(max(values[i] for i in s) for s in subsets(n, k)) for k in range(1, n + 1)]
    ours = est.expected_max_at_k(np.array([values], dtype=float), range(1, n + 1))[0]
    assert ours == pytest.approx(brute, abs=1e-12)
    assert np.isnan(est.expected_max_at_k(np.array([[*values, np.nan]]), [1])[0, 0])


def test_the_mean_is_unknown_where_a_draw_is_and_ignores_what_is_not_there():
    values = np.array([[1.0, 0.0, np.nan], [1.0, np.nan, 0.0], [0.0, 0.0, 0.0]])
    assert est.mean(values, np.array([2, 3, 0])).tolist() == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)


# ---- numbers of recorded pools ----
def last_letters(data, abstaining):
    """(codes, right) of the recorded pool; the key is the letters after the last "answer is".

    A text that says no "answer is" votes for all its letters, as in the published curve, or abstains.
    """

    def key(text):
        _, said, tail = text.lower().rpartition("answer is")
        return re.sub("[^a-z]", "", tail) if said or not abstaining else None

    rows = lines(data / "esc_last_letters_gpt35" / "T0.7.jsonl.gz")
    keys = [[key(text) for text in row["generated_answer"]] for row in rows]
    codes, _ = codes_of(keys)
    return codes, np.array([[float(k == row["answer"]) for k in line] for row, line in zip(rows, keys, strict=True)])


def test_the_last_letters_pool_gives_its_published_curve(data):
    codes, right = last_letters(data, abstaining=False)
    curve = 100 * est.maj_at_k(codes, right, [1, 2, 3, 5, 8, 10, 16, 20, 30, 40]).mean(axis=0)
    published = [80.36, 80.36, 81.999, 82.468, 82.694, 82.796, 82.949, 82.995, 83.070, 83.200]
    assert curve == pytest.approx(published, abs=6e-4)


def test_three_votes_on_the_last_letters_pool_equal_all_its_9880_triples(data):
    codes, right = last_letters(data, abstaining=True)
    assert (codes < 0).any()
    triples = np.array(list(subsets(40, 3)))
    brute = []
    for votes, verdicts in zip(codes, right, strict=True):
        drawn = votes[triples]
        level = ((drawn[:, :, None] == drawn[:, None, :]) & (drawn >= 0)[:, :, None]).sum(axis=2)
        share = (level == level.max(axis=1, keepdims=True)) & (level > 0)
        brute.append(np.where(share.any(1), (share * verdicts[triples]).sum(1) / np.maximum(share.sum(1), 1), 0).mean())
    assert est.maj_at_k(codes, right, [3])[:, 0] == pytest.approx(np.array(brute), abs=1e-12)


def test_the_qwen_reward_pool_gives_its_published_numbers(data):
    rows = lines(data / "qwen_math_rm8" / "math_cot_100.jsonl.gz")
    codes, _ = codes_of([row["pred"] for row in rows])
    right = np.array([row["score"] for row in rows], dtype=float)
    reward = np.array([[float(np.ravel(s)[-1]) for s in row["pred_score"]] for row in rows])
    assert est.mean(right).mean() == pytest.approx(0.910, abs=1e-12)
    assert est.maj_at_k(codes, right, [8]).mean() == pytest.approx(0.925, abs=1e-12)
    assert est.best_at_k(reward, right, [8]).mean() == pytest.approx(0.94, abs=1e-12)
    assert est.pass_at_k(right, [8]).mean() == pytest.approx(0.96, abs=1e-12)


# ---- cases of the LightEval harness ----
ALIKE = {"3/4": "0.75", "$n(n+1)/2$": r"$\frac{n(n+1)}{2}$"}
"""Texts the cases hold to be equal beyond being the same text."""
ABOUT_EXTRACTION = {
    "Pass at K Letters - Correct Letters": "their extractor finds no bare letter: 0 where the text equals gold",
    "Pass at K Letters - Multiple Attempts": "the same",
    "G Pass At K Math - Mixed Correct and Incorrect": "x^2/2 is no number to their extractor: 0 where it equals gold",
    "G Pass At K Math - High K Value": "n(n+1)/2: the same",
}
"""Cases whose value speaks of their extractor, not of the estimator."""


def harness_cases(data):
    for path in sorted((data / "metric_cases_lighteval").glob("*_at_k*.json")):
        for case in json.loads(path.read_bytes())["test_cases"]:
            yield path.stem, case


def ours(label, right, case):
    """The estimator that a label of theirs (math_g-pass@2_0.5, mg-pass@2, pass@k:…, avg@k:…) names."""
    k = case["metric_params"]["k"]
    if label.startswith("avg@k"):
        return est.mean(right)[0]
    if label.startswith("pass@k"):
        return est.pass_at_k(right, [k])[0, 0]
    if label.startswith("m") and not label.startswith("math_"):
        return est.mg_pass_at_k(right, [k])[0, 0]
    return est.g_pass_at_k(right, [k], [label.rpartition("_")[2]])[0, 0, 0]


def test_the_estimators_agree_with_every_harness_case_about_an_estimator(data):
    checked, skipped = 0, set()
    for path, case in harness_cases(data):
        gold = case["doc"]["choices"][case["doc"]["gold_index"]]
        texts = [text.strip() for text in case["model_response"]["text"]]
        same = {gold.strip(), ALIKE.get(gold, gold)} | {a for a, b in ALIKE.items() if b == gold}
        right = np.array([[float(text in same) for text in texts]])
        if case["name"] in ABOUT_EXTRACTION:
            assert set(case["expected_output"].values()) == {0.0}
            assert est.pass_at_k(right, [1])[0, 0] > 0  # by the definition it is not 0
            skipped.add(case["name"])
            continue
        for label, value in case["expected_output"].items():
            assert ours(label, right, case) == pytest.approx(value, abs=case["tolerance"]), (path, case["name"], label)
            checked += 1
    assert checked == 166  # all values of the seven files but those of the four cases below
    assert skipped == set(ABOUT_EXTRACTION)
