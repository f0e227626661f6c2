"""Proves the advice: costs to the last published digit, plans by simulation, an anytime-valid comparison, forecasts
against draws held back, a recommendation that is honest after choosing, and the limits in closed form.
"""

from __future__ import annotations

from math import comb
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

from testtime import advice
from testtime.analysis.costs import EnergyCurve, dollars, parse_price, powered, priced
from testtime.analysis.estimators import maj_at_k, pass_at_k
from testtime.analysis.forecast import _majority, forecast
from testtime.analysis.limits import certificate, headroom, least_draws
from testtime.analysis.monitor import Monitor, by_unit, power, settled, tilted, wealth
from testtime.analysis.power import Variances, noticed, plan, questions
from testtime.analysis.recommend import Budget, Field, _interval, ladder, recommend
from testtime.analysis.replay import outcomes
from testtime.core.errors import BadInput
from testtime.core.strings import parse
from testtime.importers.esc import read
from testtime.meters.price import Price
from testtime.store.frame import pool_of

DATA = Path(__file__).parents[3] / "shared/data"
LETTERS = DATA / "esc_last_letters_gpt35/T0.7.jsonl.gz"
SEED = 11
needs_letters = pytest.mark.skipif(not LETTERS.exists(), reason="the recorded last letters are not here")


# ---- costs ----
GPT4, GPT35 = Price(30.0, 60.0), Price(0.5, 1.5)
SETS = ("MATH", "GSM8K", "CSQA", "SQA", "Letter", "Coinflip")
PUBLISHED = {  # price, method: tokens read, written and dollars a question on SETS (arXiv 2408.13457, tables 6, 2)
    (GPT4, "SC"): ((576, 6746, 0.4220), (846, 5426, 0.3509), (726, 1770, 0.1280), (611, 2184, 0.1493),
                   (302, 2667, 0.1691), (428, 2332, 0.1528)),
    (GPT4, "ASC"): ((11100, 3994, 0.5726), (4266, 719, 0.1712), (4805, 327, 0.1639), (3726, 351, 0.1323),
                    (1397, 308, 0.0602), (1722, 234, 0.0657)),
    (GPT4, "ESC"): ((3574, 4983, 0.4062), (1423, 982, 0.1014), (1644, 455, 0.0767), (1228, 465, 0.0647),
                    (454, 401, 0.0375), (540, 294, 0.0338)),
    (GPT35, "SC"): ((576, 11851, 0.0181), (846, 6005, 0.0094), (726, 1749, 0.0030), (611, 2644, 0.0043),
                    (302, 2735, 0.0043), (428, 2316, 0.0037)),
    (GPT35, "ASC"): ((13421, 8380, 0.0193), (8075, 1577, 0.0064), (5633, 365, 0.0034), (4698, 535, 0.0032),
                     (2150, 487, 0.0018), (4932, 624, 0.0034)),
    (GPT35, "ESC"): ((4223, 10045, 0.0172), (2889, 2273, 0.0048), (1946, 506, 0.0017), (1599, 731, 0.0019),
                     (742, 673, 0.0014), (1613, 819, 0.0020)),
}  # fmt: skip


OFF = {  # how far the printed tokens at these prices are from the printed dollars, where that is more than rounding
    (GPT4, "SC", "SQA"): 0.0005, (GPT4, "ASC", "GSM8K"): -0.0005, (GPT4, "ASC", "CSQA"): -0.0008,
    (GPT4, "ASC", "SQA"): 0.0041, (GPT4, "ASC", "Letter"): 0.0032, (GPT4, "ESC", "GSM8K"): 0.0021,
    (GPT4, "ESC", "CSQA"): -0.0010, (GPT4, "ESC", "Letter"): 0.0048, (GPT35, "ESC", "GSM8K"): 0.0112,
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("price", "method"), PUBLISHED)
def test_published_dollars_follow_from_published_tokens(price, method, name):
    """36 cells: 27 to the digits that are printed; the rest are printed up to 1.2 % off their own tokens."""
    prompt, written, published = PUBLISHED[price, method][SETS.index(name)]
    one = np.ones(1)
    usd = dollars("calls", price, prompt * one, written * one, one, one)[0]
    off = OFF.get((price, method, name), 0.0)
    assert usd == pytest.approx(published * (1 + off), abs=5.1e-5)


def test_one_call_a_draw_makes_adaptive_sampling_dearer_than_forty_at_once_on_math():
    """Same draws, other ways of sending: only the repeated prompt makes adaptive consistency cost more."""
    prompt, draws, rounds = np.array([576.0, 576.0]), np.array([40, 11100 / 576]), np.array([1, 11100 / 576])
    written = np.array([6746.0, 3994.0])
    at_once = dollars("n", GPT4, prompt, written, draws, rounds)[0]
    cached = Price(30.0, 60.0, 3.0)
    adaptive = {way: dollars(way, cached, prompt, written, draws, rounds)[1] for way in ("calls", "cache")}
    assert adaptive["calls"] == pytest.approx(0.5726, abs=1e-4)
    assert adaptive["calls"] > at_once == pytest.approx(0.4220, abs=1e-4)
    assert adaptive["cache"] < at_once
    batch = dollars("batch", GPT4, prompt, written, draws, rounds)[1]
    assert batch == pytest.approx(adaptive["calls"] / 2)


@pytest.mark.parametrize("text", ["", "1", "1:2:3:4", "a:b", "-1:2", "nan:1"])
def test_a_price_that_cannot_be_is_one_line(text):
    with pytest.raises(BadInput, match="prompt:completion"):
        parse_price(text)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda table: priced(table, Price(1, 2), "n", -5.0), "-5 prompt tokens"),
        (lambda table: priced(table, Price(1, 2), "n", float("nan")), "nan prompt tokens"),
        (lambda table: powered(table, EnergyCurve(1, 1), -9.0), "-9 other sequences"),
        (lambda table: EnergyCurve.parse(["nan:1", "2:2"]), "two batches or more"),
        (lambda table: EnergyCurve.parse(["8:0.4", "8:0.4"]), "two batches or more"),
        (lambda table: Budget.of("50usd", -3), "for -3 questions"),
        (lambda table: advice.design(40, 0.5, None), "a mean of 0.5 draws"),
        (lambda table: advice.design(40, 50.0, None), "a mean of 50 draws"),
        (lambda table: advice.design(40, float("nan"), None), "a mean of nan draws"),
        (lambda table: advice.design(40, None, 1.0), "an error of 1 "),
    ],
)
def test_a_number_that_cannot_be_is_one_line(make_outcomes, work, says):
    with pytest.raises(BadInput, match=says):
        work(make_outcomes([1.0, 0.0]))


def test_outcomes_are_priced_and_unknown_stays_unknown(make_outcomes):
    table = make_outcomes([1.0, 0.0], candidates=[2.0, 4.0], rounds=[1.0, None], gen_tokens=[100.0, 200.0])
    found = priced(table, Price(1.0, 2.0), "calls", prompt=50)["usd"].to_list()
    assert found == pytest.approx([(100 + 200) / 1e6, (200 + 400) / 1e6])
    assert priced(table, Price(1.0, 2.0), "n", prompt=50)["usd"].to_list()[1] is None
    with pytest.raises(BadInput, match="cached"):
        priced(table, Price(1.0, 2.0), "cache", prompt=50)


CURVE = {8: 0.455, 16: 0.263, 32: 0.165, 64: 0.119, 128: 0.095, 256: 0.077, 512: 0.070}
"""Joules a token of an 8B model on one H100 by sequences at once (ML.ENERGY v3)."""


@pytest.mark.parametrize("left_out", [16, 32, 64, 128, 256])
def test_joules_of_a_batch_that_was_left_out_come_within_five_per_cent(left_out):
    rest = {batch: joules for batch, joules in CURVE.items() if batch != left_out}
    assert EnergyCurve.fit(list(rest), list(rest.values())).at(left_out) == pytest.approx(CURVE[left_out], rel=0.05)


def test_draws_one_after_another_can_take_more_joules_than_forty_at_once():
    curve = EnergyCurve.fit(list(CURVE), list(CURVE.values()))
    adaptive, at_once = curve.joules(np.array([9.3 * 130.0, 40 * 130.0]), np.array([1.0, 40.0]))
    assert adaptive > at_once


def test_outcomes_take_the_joules_of_their_batch_and_unknown_stays_unknown(make_outcomes):
    """Four draws in one round: 100 tokens at batch 4, or at batch 8 with four sequences of others; a / b by hand."""
    curve = EnergyCurve.parse(["1:1", "4:0.4"])  # a + b = 1, a + b / 4 = 0.4
    table = make_outcomes([1.0, 0.0], candidates=[4.0, 4.0], rounds=[1.0, None], gen_tokens=[100.0, 100.0])
    assert powered(table, curve)["joules"].to_list() == [pytest.approx(100 * 0.4), None]
    assert powered(table, curve, others=4)["joules"][0] == pytest.approx(100 * (0.2 + 0.8 / 8))
    for texts in (["8"], ["8:x", "9:1"], ["8:1"]):
        with pytest.raises(BadInput, match="joules"):
            EnergyCurve.parse(texts)


# ---- plans ----
def test_the_planned_number_of_questions_has_the_planned_power():
    """A world of 40,000 problems with a true gap of 3 points; both designs, 2,000 experiments each."""
    rng = np.random.default_rng(SEED)
    x = rng.beta(2, 1, 40_000)
    y = np.clip(x + 0.03 + rng.normal(0, 0.08, x.size), 0, 1)
    gap = float((y - x).mean())
    pilot = Variances.of(x[:2000], y[:2000])
    for paired in (True, False):
        n = questions(pilot.one(paired=paired, runs=1), gap, 0.8)
        hits = 0
        for _ in range(2000):
            one = rng.integers(0, x.size, n)
            two = one if paired else rng.integers(0, x.size, n)
            a, b = (rng.random(n) < x[one]).astype(float), (rng.random(n) < y[two]).astype(float)
            spread = (b - a).var() if paired else a.var() + b.var()
            hits += abs((b - a).mean()) > 1.96 * (spread / n) ** 0.5
        assert hits / 2000 == pytest.approx(0.8, abs=0.04)


@needs_letters
def test_the_plan_for_last_letters_is_the_published_one():
    """1,003, 4,218 and 23,333 questions for one point between SC-40 and SC-1, there with uniform ties."""
    got = read(LETTERS)
    pool = pool_of(got.frame, got.meta)
    one, forty = (outcomes(pool, [parse("policy", f"sc_fixed:n={n}")]) for n in (1, 40))
    table = plan(one, forty, 0.01)
    found = {(row["design"], row["runs"]): row["questions"] for row in table.iter_rows(named=True)}
    assert found["paired", None] == pytest.approx(1003, rel=0.05)
    assert found["unpaired", 1] == pytest.approx(23_333, rel=0.05)
    assert found["unpaired", 1] / found["paired", None] > 20


def test_problems_of_one_source_are_planned_as_what_they_tell(make_outcomes):
    """Each problem four times, as one cluster: four times as many are wanted."""
    a, b = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0] * 5, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0] * 5
    alone = plan(make_outcomes(a), make_outcomes(b), 0.01)
    clusters = pl.Series("cluster", [str(at) for at in range(30) for _ in range(4)])
    sides = [make_outcomes(np.repeat(side, 4).tolist()).with_columns(clusters) for side in (a, b)]
    table = plan(sides[0], sides[1], 0.01)
    assert table["questions"].to_numpy() / alone["questions"].to_numpy() == pytest.approx(4, rel=0.001)
    with pytest.raises(BadInput, match="of one cluster"):
        plan(*(side.with_columns(cluster=pl.lit("c")) for side in sides), 0.01)


def test_a_pilot_without_spread_plans_nothing(make_outcomes):
    """Two questions would do for any effect, if what a few easy problems show were all there is."""
    right = make_outcomes([1.0] * 5)
    with pytest.raises(BadInput, match="with no spread to plan from"):
        plan(right, right, 0.01)
    same = make_outcomes([0.5] * 5)
    table = plan(same, same, 0.01)
    known = table.filter(pl.col("runs").is_null())
    assert known.select("questions", "draws", "power").row(0) == (None, None, None)
    assert table["questions"][0] == questions(0.5, 0.01)
    with pytest.raises(BadInput, match="too small to be seen"):
        plan(same, same, 1e-9)


def test_power_and_questions_are_inverse_to_each_other():
    n = questions(0.2, 0.02, 0.8)
    assert noticed(0.2, 0.02, n) == pytest.approx(0.8, abs=1e-3)
    with pytest.raises(BadInput, match="effect"):
        questions(0.2, 0.0)


# ---- the monitor ----
def test_looking_after_every_problem_rings_falsely_in_at_most_alpha():
    """10,000 experiments of 1,500 problems without a difference, 15 % discordant."""
    rng = np.random.default_rng(SEED)
    rung = 0
    for _ in range(20):
        gaps = rng.choice([-1.0, 0.0, 1.0], p=[0.075, 0.85, 0.075], size=(500, 1500))
        rung += int((settled(gaps) > 0).sum())
    assert rung / 10_000 <= 0.05


def test_a_true_difference_ends_the_comparison_early():
    rng = np.random.default_rng(SEED)
    gaps = rng.choice([-1.0, 0.0, 1.0], p=[0.02, 0.9, 0.08], size=(500, 1500))
    ended = settled(gaps)
    assert (ended > 0).mean() > 0.9
    assert ended[ended > 0].mean() < 1000


def test_the_power_that_is_told_is_what_such_experiments_have():
    """Observed 10 % discordant; told for a true gap of 2 points, beside experiments drawn from that law itself."""
    rng = np.random.default_rng(SEED)
    seen = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=4000)
    told = power(seen, 0.02, 1500)
    parts = np.array([np.mean(seen == one) for one in (-1.0, 0.0, 1.0)])
    signs = np.array([-1.0, 0.0, 1.0])
    theta = brentq(lambda t: signs @ (parts * np.exp(t * signs)) - 0.02 * (parts * np.exp(t * signs)).sum(), -5, 5)
    law = parts * np.exp(theta * signs) / (parts * np.exp(theta * signs)).sum()
    assert law @ signs == pytest.approx(0.02)
    ended = settled(rng.choice(signs, p=law, size=(1000, 1500)))
    assert told.settles == pytest.approx((ended > 0).mean(), abs=0.06)
    assert told.after == pytest.approx(np.where(ended > 0, ended, 1500).mean(), rel=0.06)
    assert told.fixed >= told.settles - 0.05  # looking often costs power, or saves problems
    with pytest.raises(BadInput, match="between 0 and 1"):
        power(seen, 0.0)


def test_tilted_weights_have_the_mean_and_keep_the_order_of_rarity():
    values = np.array([-1.0, 0.0, 0.0, 0.0, 0.5, 1.0])
    weights = tilted(values, 0.3)
    assert weights.sum() == pytest.approx(1)
    assert weights @ values == pytest.approx(0.3)
    assert np.ptp(np.diff(np.log(weights[[0, 1, 5]]))) == pytest.approx(0, abs=1e-9)


def test_one_by_one_is_all_at_once_and_unknown_changes_nothing():
    rng = np.random.default_rng(SEED)
    gaps = rng.choice([-1.0, 0.0, 0.5], size=40)
    watch = Monitor()
    watch.add(gaps.tolist())
    assert watch.e_value == pytest.approx(wealth(gaps)[-1])
    assert wealth(np.insert(gaps, 3, np.nan))[-1] == pytest.approx(watch.e_value)
    with pytest.raises(BadInput, match="difference"):
        watch.add([1.5])
    assert by_unit(np.array([1.0, 0.0, np.nan, -1.0]), np.array([1, 0, 1, 0])).tolist() == [1.0, -0.5]


# ---- forecasts ----
def test_the_majority_of_an_atom_is_the_trinomial_sum():
    from testtime.analysis.forecast import _grid

    g, w = _grid()
    at = int(np.flatnonzero((g == 0.5) & (w == 0.3))[0])
    exact = sum(
        comb(5, a) * comb(5 - a, b) * 0.5**a * 0.3**b * 0.2 ** (5 - a - b) * ((a > b) + (a == b > 0) / 2)
        for a in range(6)
        for b in range(6 - a)
    )
    assert _majority([5])[0, at] == pytest.approx(exact)


@needs_letters
@pytest.mark.parametrize("shown", [8, 20])
def test_draws_held_back_lie_in_the_forecast(shown):
    got = read(LETTERS)
    (draws,) = pool_of(got.frame, got.meta).arms.values()
    table = forecast(draws.codes[:, :shown], draws.right[:, :shown], [20, 40], resamples=60)
    for row in table.iter_rows(named=True):
        maj = float(maj_at_k(draws.codes, draws.right, [row["k"]]).mean())
        passes = float(pass_at_k(draws.right, [row["k"]]).mean())
        assert row["maj_low"] <= maj <= row["maj_high"]
        assert row["maj"] == pytest.approx(maj, abs=0.012)
        assert row["pass"] == pytest.approx(passes, abs=0.03)


# ---- recommendations ----
def test_problems_that_look_alike_leave_the_forecast_open():
    codes, right = np.zeros((5, 4), dtype=np.int16), np.ones((5, 4))
    found = forecast(codes, right, [8]).row(0, named=True)
    assert found["pass_low"] < 0.6 < found["pass"] < found["pass_high"]
    for ks, says in (([4, 2000], "k = 2000"), ([0], "k = 0")):
        with pytest.raises(BadInput, match=says):
            forecast(codes, right, ks)


def test_budgets_are_read():
    assert (Budget.of("2000tok/q").column, Budget.of("2000tok/q").most) == ("gen_tokens", 2000)
    assert Budget.of("50usd", 1319).most == pytest.approx(50 / 1319)
    assert Budget.of("50usd --questions 1319") == Budget.of("50usd", 1319)
    assert Budget.of("3rounds").column == "rounds"
    for text in ("", "2000", "50usd", "-1tok/q", "1e400tok/q", "2000 apples"):
        with pytest.raises(BadInput, match="budget"):
            Budget.of(text)


def noise(make_outcomes, rng, settings: int, problems: int) -> pl.DataFrame:
    return pl.concat(
        make_outcomes((rng.random(problems) < 0.7).astype(float).tolist(), setting=f"n={at}") for at in range(settings)
    )


def test_the_luckiest_of_equal_settings_is_promised_no_more_than_it_keeps(make_outcomes):
    """Thirty settings that all are right with 0.7: the best looks better by points, the advice on average does not."""
    rng = np.random.default_rng(SEED)
    found = [recommend(noise(make_outcomes, rng, 30, 150), Budget.of("100tok/q")) for _ in range(30)]
    honest = [advice.honest[0] for advice in found]
    assert np.mean([advice.ranked["accuracy"][0] for advice in found]) > 0.75
    assert np.mean(honest) == pytest.approx(0.7, abs=3 * np.std(honest) / 30**0.5)
    assert np.mean([advice.optimism for advice in found]) > 0.04
    assert found[0].tried == 30


def test_advice_covers_the_truth_after_choosing_nineteen_times_of_twenty(make_outcomes):
    rng = np.random.default_rng(SEED)
    covered = 0
    for _ in range(60):
        advice = recommend(noise(make_outcomes, rng, 12, 120), Budget.of("100tok/q"))
        covered += advice.honest[1] <= 0.7 <= advice.honest[2]
    assert covered >= 52


def test_luck_that_all_parts_share_is_no_promise():
    """Where one of many equal settings is chosen on every part, its mean over the parts is what it was chosen by."""
    rng = np.random.default_rng(SEED)
    covered = []
    for _ in range(100):
        right = (rng.random((30, 100)) < 0.7).astype(float)
        field = Field(pl.DataFrame(), right, np.ones((30, 100)), np.arange(100), np.arange(100) % 5)
        values, choices = field.honest(4.0)
        if len(set(choices)) == 1:
            low, high = _interval(field, values, 4.0, 0)
            covered.append(low <= 0.7 <= high)
    assert len(covered) > 5
    assert np.mean(covered) > 0.8


def test_what_leads_clearly_or_is_alike_on_every_problem_is_in_no_doubt():
    right = np.stack([np.ones(50), np.ones(50), np.tile([1.0, 0.0], 25)])
    field = Field(
        pl.DataFrame(), right, np.array([[1.0], [2.0], [3.0]]) * np.ones(50), np.arange(50), np.arange(50) % 5
    )
    assert field.doubt(3.0) == 0.0
    assert field.doubt(1.0) == 0.0
    right[2, :] = 1.0
    right[2, :2] = 0.0
    assert field.doubt(3.0) == pytest.approx(np.std(right[0] - right[2], ddof=1) / 50**0.5)


def test_there_is_no_advice_from_one_problem_or_one_source(make_outcomes):
    with pytest.raises(BadInput, match="one problem alone"):
        recommend(make_outcomes([1.0]), Budget.of("100tok/q"))
    with pytest.raises(BadInput, match="all problems are of one cluster"):
        recommend(make_outcomes([1.0, 0.0]).with_columns(cluster=pl.lit("c")), Budget.of("100tok/q"))


def test_what_costs_too_much_or_is_unknown_is_not_advised(make_outcomes):
    cheap = make_outcomes([0.0, 1.0] * 20, setting="n=1", gen_tokens=10.0)
    dear = make_outcomes([1.0, 1.0] * 20, setting="n=9", gen_tokens=90.0)
    table = pl.concat([cheap, dear])
    assert recommend(table, Budget.of("50tok/q")).ranked["setting"].to_list() == ["n=1"]
    assert recommend(table, Budget.of("90tok/q")).ranked["setting"].to_list() == ["n=9", "n=1"]
    assert recommend(table, Budget.of("50tok/q")).other_budgets["setting"].to_list() == ["n=1", "n=1", "n=9"]
    with pytest.raises(BadInput, match="cheapest costs 10"):
        recommend(table, Budget.of("5tok/q"))
    with pytest.raises(BadInput, match="unknown"):
        recommend(table, Budget.of("1usd/q"))
    with pytest.raises(BadInput, match="share no problem"):
        Field.of(pl.concat([cheap, dear.with_columns(query_id=pl.col("query_id") + "x")]), "gen_tokens")


def test_every_policy_of_the_ladder_can_be_built():
    for draws in (1, 2, 5, 40, 300, 60_000, 200_000):
        for text in ladder(draws, ["score"]):
            assert parse("policy", text).most <= max(draws, 128)


# ---- limits ----
def test_limits_in_closed_form():
    assert certificate(0.9, 0.1) == pytest.approx(7.2, abs=0.05)
    assert certificate(0.4, 0.3) == pytest.approx(370, abs=1)
    codes = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], dtype=np.int16)
    right = np.array([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    found = headroom(codes, right, 4)
    assert (found.maj, found.passes, found.points) == (0.25, 0.5, 0.25)
    easy = np.zeros((200, 20), dtype=np.int16)
    assert least_draws(easy, 0.99) < 2.5
    assert least_draws(easy, 1.0) == pytest.approx(least_draws(easy, 1 - 3 / 200)), (
        "no more than what 200 problems tell"
    )


def test_splits_of_a_pool_are_advised_together():
    """Two splits are chosen on as one pool of the same problems is."""
    rng = np.random.default_rng(0)
    right = rng.random((40, 6)) < rng.random((40, 1))
    frame = pl.DataFrame({
        "arm": "a", "query_id": np.repeat([f"q{at}" for at in range(40)], 6),
        "candidate_idx": np.tile(np.arange(6), 40),
        "split": np.repeat(["easy", "hard"] * 20, 6), "answer_key": np.where(right, "1", "0").ravel(),
        "is_verified": right.ravel(), "completion_tokens": 10,
    })  # fmt: skip
    policies = [parse("policy", f"sc_fixed:n={n}") for n in (1, 3, 5)]
    found = [
        recommend(outcomes(pool_of(one, {}), policies), Budget.of("50tok/q"))
        for one in (frame, frame.with_columns(split=pl.lit("all")))
    ]
    assert found[0].honest == found[1].honest
    assert found[0].ranked["setting"].to_list() == found[1].ranked["setting"].to_list()
