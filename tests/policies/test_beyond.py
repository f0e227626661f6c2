"""Proves the guarantees beyond a fixed n: curtailment for every pool, certificates at any stopping time, optimal
stopping against brute force, one budget spent to the draw, batches, a cascade and confidence by hand.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from itertools import combinations, product
from math import comb
from pathlib import Path

import numpy as np
import pytest

from testtime.core.errors import BadInput, Refused
from testtime.core.history import Ballot, Cells, Track, only
from testtime.policies.batch_sequential import BatchSequential, batches, expected
from testtime.policies.bayes import Bayes
from testtime.policies.cascade import Cascade
from testtime.policies.certified import Certified
from testtime.policies.counted import Counted
from testtime.policies.counts import boundary
from testtime.policies.curtail import Curtail, overtaken, worst_pool
from testtime.policies.deepconf import DeepConf
from testtime.policies.evidence import FORWARD, THIRD, e_values, mixture, stakes
from testtime.policies.greedy_budget import GreedyBudget
from testtime.policies.priors import Prior, broad, learn, read_prior
from testtime.policies.votes.weighted import WeightedVote
from testtime.policies.worth import expected as expected_of
from testtime.policies.worth import index, levels, rule_for, stops_at
from testtime.store.pool import Draws, Pool

SEED = 5


def play_out(policy, codes, columns=None):
    """(draws used, leader's code) when a policy plays each row [row, draw] alone."""
    track = Cells(codes, columns or {}).track()
    for _ in range(codes.shape[1] + 1):
        (asked,) = policy.ask({"arm": track}).values()
        if not asked.any():
            break
        track = track.more(asked)
    ballot = policy.choose({"arm": track})
    answer = np.full(len(codes), -1)
    answer[ballot.row] = codes[ballot.row, ballot.draw]
    return track.seen, answer


# ---- curtailment ----
def test_the_chance_to_be_overtaken_is_the_beta_binomial_sum():
    table = overtaken(9)
    for v1, v2 in [(1, 0), (3, 1), (2, 2)]:
        r = 9 - v1 - v2
        chance = sum(
            comb(v1 + x, x) * comb(v2 + r - x, r - x) / comb(v1 + v2 + r + 1, r)
            for x in range(r + 1)
            if v1 + x < v2 + r - x
        )
        assert table[r, v1, v2] == pytest.approx(chance)


@pytest.mark.parametrize("epsilon", [0.3, 0.1, 0.05])
def test_no_pool_ends_otherwise_with_more_than_epsilon(epsilon):
    """Every order of every pool of two and of three answers, counted."""
    policy = Curtail(9, epsilon=epsilon)
    worst = 0.0
    for winners, second in product(range(4, 10), range(5)):
        third = 9 - winners - second
        if not 0 <= third <= second < winners:
            continue
        orders = np.array(
            [
                _order(9, first, other)
                for first in combinations(range(9), winners)
                for other in combinations([i for i in range(9) if i not in first], second)
            ],
            dtype=np.int16,
        )
        _, answer = play_out(policy, orders)
        worst = max(worst, float((answer != 0).mean()))
    assert worst <= epsilon
    assert worst > 0 or epsilon == 0.05


def _order(n, first, second):
    return [0 if i in first else 1 if i in second else 2 for i in range(n)]


def test_the_calibrated_pools_are_those_of_brute_force():
    chance, level = overtaken(8), 0.1
    wrong = []
    for winners in range(5, 9):
        total = 0
        for places in combinations(range(8), winners):  # two answers
            v = [0, 0]
            for draw in range(8):
                v[draw not in places] += 1
                if v[0] != v[1] and chance[7 - draw, max(v), min(v)] <= level:
                    total += v[1] > v[0]
                    break
        wrong.append(total / comb(8, winners))
    assert worst_pool(8, level) >= max(wrong) - 1e-12  # three answers can only be worse


def test_averaged_over_shares_one_pool_ends_otherwise_far_more_often_than_epsilon():
    """What `over=pools` is for: at 21 against 19 votes the average's one per cent is more than six."""
    assert worst_pool(40, 0.01) > 0.06


def test_unanimous_votes_stop_sooner_the_more_error_is_allowed():
    found = [int(boundary(Curtail(40, epsilon=e), 40)[0]) for e in (0.001, 0.01, 0.05, 0.2)]
    assert found == sorted(found, reverse=True)
    assert boundary(Curtail(40, epsilon=0.05), 40)[:4].tolist() == [6, 8, 9, 10]


def test_a_table_too_large_is_refused():
    with pytest.raises(BadInput, match="max_n ≤ 128"):
        Curtail(500)


# ---- certificates ----
def test_the_wealth_of_a_pair_is_the_mixture_likelihood_ratio():
    """Against the one other answer of two, from the second vote on, the bets multiply to Σ w (2p)^a (2q)^b."""
    codes = np.array([[0, 0, 0, 1, 0, 1, 0, 0]], dtype=np.int16)
    found = e_values(codes, 1e9, 8)[8, 0]
    share, weight = mixture(8)
    posterior = weight * share  # the first vote is seen, but nobody had bet on it
    posterior /= posterior.sum()
    against_seen = (posterior * (2 * share) ** 5 * (2 * (1 - share)) ** 2).sum()
    assert found == pytest.approx((1 + FORWARD) * against_seen)


def test_a_first_vote_may_count_twice_if_a_third_answer_at_the_second_leaves_a_quarter():
    """Over shares of up to six answers, the most common one q and the bets p: the mean after two votes is at most 1."""
    rng = np.random.default_rng(SEED)
    most = 0.0
    for k in range(2, 7):
        for shares in [np.full(k, 1 / k), np.r_[0.4, 0.4, np.full(k, 0.2 / k)], *rng.dirichlet(np.ones(k), 400)]:
            q = shares.max()
            others = np.delete(shares, shares.argmax())
            for p in (0.5, 0.7, 0.985, 1.0):
                third = 1 - others - q
                mean = (others * 2 * (others * 2 * p + q * 2 * (1 - p) + THIRD * third)).sum()
                most = max(most, float(mean))
    assert most == pytest.approx(1)


def test_six_equal_votes_are_certified_and_five_are_not():
    e = e_values(np.zeros((1, 8), dtype=np.int16), 20.0, 40)[:, 0]
    assert e[5] < 20 <= e[6] * (1 + 1e-9)
    assert e[1] == 1


def test_an_abstention_changes_nothing_and_a_stake_never_exceeds_its_goal():
    plain = e_values(np.array([[0, 1, 0, 0, 0]], dtype=np.int16), 20.0, 40)[-1]
    held = e_values(np.array([[0, -1, 1, 0, -1, 0, 0]], dtype=np.int16), 20.0, 40)[-1]
    assert held == pytest.approx(plain)
    assert (stakes(40, np.arange(40), np.zeros(40, dtype=int)) >= 1).all()
    assert (stakes(500, np.arange(40), np.zeros(40, dtype=int)) <= 2).all()


@pytest.mark.parametrize("shares", [(0.501, 0.499), (0.334, 0.333, 0.333), (0.6, 0.4), (0.2,) * 5, tuple([0.02] * 50)])
@pytest.mark.parametrize("delta", [0.05, 0.2])
def test_false_certificates_are_rare(shares, delta):
    """4,000 runs of 300 votes; of equal shares any answer but the first counts as false, which is less than δ too."""
    rng = np.random.default_rng(SEED)
    codes = rng.choice(len(shares), p=np.array(shares) / sum(shares), size=(4000, 300)).astype(np.int16)
    e = e_values(codes, 1 / delta, 300)
    reached = e >= (1 / delta) * (1 - 1e-9)
    at = np.where(reached.any(axis=0), reached.argmax(axis=0), -1)
    track = Track(Cells(codes), np.arange(4000), np.maximum(at, 0))
    leader = codes[np.arange(4000), track.tally.leader]
    false = ((at >= 0) & (leader != 0)).mean()
    assert false <= delta + 3 * (delta * (1 - delta) / 4000) ** 0.5


def test_the_wealth_against_the_mode_is_a_supermartingale():
    """Exact, over all sequences of six votes of three and four answers: its mean is at most 1 where 0 is a mode."""
    for shares in [(0.5, 0.5, 0.0), (0.4, 0.4, 0.2), (1 / 3, 1 / 3, 1 / 3), (0.6, 0.3, 0.1), (0.3, 0.3, 0.3, 0.1)]:
        sequences = np.array(list(product(range(len(shares)), repeat=6)), dtype=np.int16)
        chance = np.prod(np.array(shares)[sequences], axis=1)
        for n in range(2, 7):  # after one vote alone nothing is shown
            e = _against_first(sequences, n)
            assert float(chance @ e) <= 1 + 1e-9


def _against_first(sequences, n):
    """[sequence] the wealth of the gambler against answer 0 after n votes; he may be against the unseen one."""
    from testtime.policies.evidence import _Votes

    all_four = np.tile(np.arange(4, dtype=np.int16), (len(sequences), 1))
    votes = _Votes.of(np.concatenate([sequences, all_four], axis=1))
    for j in range(n):
        votes.bet(sequences[:, j].astype(np.int64), 20.0, 40)
    return votes.wealth[votes.rival == 0]


def test_what_another_rival_tells_of_the_share_is_part_of_the_stake():
    """By hand, after votes 0 0 1 2 0 0: the bets of the last, against 1 by what 2 tells and against the unseen by 1."""
    share, weight = mixture(40)
    votes = np.array([[0, 0, 1, 2, 0, 0]], dtype=np.int16)

    def like(ours, theirs):
        return share**ours * (1 - share) ** theirs

    told = weight * like(3, 1)
    told /= told.sum()
    against = (0.5 * weight + 0.5 * told) * like(3, 1)
    assert _paid(votes, 1) == pytest.approx(2 * (against @ share) / against.sum())
    unseen = (0.1 * weight + 0.9 * told) * like(3, 0)
    assert _paid(votes, -1) == pytest.approx(2 * (unseen @ share) / unseen.sum())


def _paid(votes, rival):
    """What the last vote multiplied the wealth against `rival` by; −1: the unseen."""
    from testtime.policies.evidence import _Votes

    game, before = _Votes.of(votes), None
    for code in votes.T:
        before = game.wealth.copy()
        game.bet(code.astype(np.int64), 1e9, 40)
    return (game.wealth / before)[rival]


def test_the_first_three_are_ranked_as_a_recount_ranks_them():
    """By count, then by who reached it first."""
    from testtime.policies.evidence import _Votes

    codes = np.random.default_rng(SEED).integers(-1, 5, size=(200, 30)).astype(np.int16)
    game = _Votes.of(codes)
    for code in codes.T:
        game.bet(code.astype(np.int64), 20.0, 40)
    for row, (lead, second, third) in zip(codes, np.stack([game.lead, game.second, game.third], axis=1), strict=True):
        reached = {a: (np.flatnonzero(row == a).size, -np.flatnonzero(row == a)[-1]) for a in set(row.tolist()) - {-1}}
        assert [lead, second, third] == sorted(reached, key=reached.get, reverse=True)[:3]


@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.4, 0.3, 0.3], [0.5] + [0.05] * 10])
def test_the_loop_of_the_measured_false_certificates_stops_where_the_policy_does(shares):
    path = Path(__file__).parents[2] / "benchmarks" / "certificates.py"
    spec = spec_from_file_location("certificates", path)
    loop = module_from_spec(spec)
    spec.loader.exec_module(loop)
    assert loop.agrees(shares, number=40, draws=60)


def test_its_batches_never_overshoot():
    rng = np.random.default_rng(SEED)
    codes = rng.choice(4, p=[0.7, 0.15, 0.1, 0.05], size=(500, 40)).astype(np.int16)
    codes[codes == 3] = -1
    seen, _ = play_out(Certified(40), codes)
    e = e_values(codes, 20.0, 40) >= 20 * (1 - 1e-9)
    one_by_one = np.where(e.any(axis=0), e.argmax(axis=0), 40)
    assert (seen == one_by_one).all()


# ---- optimal stopping ----
ATOMS = Prior((1.0, 0.6), (0.0, 0.4), (0.5, 0.5))


def test_the_chain_of_states_is_a_law():
    for prior in (ATOMS, broad()):
        for level in levels(prior, 12)[:-1]:
            assert level.mass.sum() == pytest.approx(1)
            out = np.bincount(level.state, weights=level.chance, minlength=len(level.mass))
            assert out[level.mass > 0] == pytest.approx(1)


def test_what_the_rule_promises_is_what_simulation_gives():
    """Draws and misses of the rule on problems drawn from the prior itself, within four standard errors."""
    stops = rule_for(ATOMS, 15, 0.97)
    draws, missed = expected_of(ATOMS, 15, stops)
    rng = np.random.default_rng(SEED)
    easy = rng.random((20_000, 1)) < 0.5
    codes = np.where(easy, 0, rng.random((20_000, 15)) >= 0.6).astype(np.int16)
    seen, answer = play_out(Bayes(15, agreement=0.97, prior=ATOMS.texts()), codes)
    ones = codes.sum(axis=1)
    wrong = answer != (ones > 7)
    assert seen.mean() == pytest.approx(draws, abs=4 * seen.std() / 20_000**0.5)
    assert wrong.mean() == pytest.approx(missed, abs=4 * (missed / 20_000) ** 0.5)
    assert missed <= 0.03


def test_no_rule_of_counts_is_cheaper_than_backward_induction():
    """All 2^k rules over the first four draws: none has a lower miss + price · draws."""
    prior, max_n, price = ATOMS, 4, 0.03
    best = stops_at(prior, max_n, price)
    states = [
        (n, s) for n, level in enumerate(levels(prior, max_n)) if 0 < n < max_n for s in np.flatnonzero(level.mass)
    ]
    draws, missed = expected_of(prior, max_n, best)
    cheapest = min(
        missed_of + price * draws_of
        for draws_of, missed_of in (
            _with(prior, max_n, best, states, choice) for choice in product((0, 1), repeat=len(states))
        )
    )
    assert missed + price * draws == pytest.approx(cheapest)


def _with(prior, max_n, best, states, choice):
    rule = np.ones_like(best)
    rule[0] = False
    for (n, s), stop in zip(states, choice, strict=True):
        rule[n, s] = stop
    return expected_of(prior, max_n, rule)


def test_a_prior_is_learned_from_problems_like_it():
    rng = np.random.default_rng(SEED)
    easy = rng.random((3000, 1)) < 0.7
    codes = np.where(easy, 0, rng.random((3000, 40)) >= 0.6).astype(np.int16)
    found = read_prior(learn(codes).texts())
    lone = sum(w for p1, w in zip(found.p1, found.weight, strict=True) if p1 >= 0.99)
    near = sum(w for p1, w in zip(found.p1, found.weight, strict=True) if 0.5 <= p1 <= 0.7)
    assert lone == pytest.approx(0.7, abs=0.05)
    assert near == pytest.approx(0.3, abs=0.05)


def test_an_index_falls_with_certainty_and_is_nothing_at_the_end():
    table = index(broad(), 20)
    place = lambda v1, v2: v1 * 21 + v2  # noqa: E731
    assert table[2, place(1, 1)] > table[3, place(2, 1)] > table[3, place(3, 0)]
    assert (table[20] == 0).all()


def test_what_has_not_learned_is_refused_in_one_line():
    track = Cells(np.zeros((2, 4), dtype=np.int16)).track()
    for policy in (Bayes(4), GreedyBudget(2, prior=("learn",)), BatchSequential(4, prior=("learn",))):
        with pytest.raises(Refused, match="testtime policies fit"):
            policy.ask(
                {"arm": track.more(np.ones(2, dtype=int))} if isinstance(policy, GreedyBudget) else {"arm": track}
            )


# ---- one budget ----
@pytest.mark.parametrize("mean_n", [1, 2.5, 4, 20])
def test_the_budget_is_spent_to_the_draw(mean_n):
    rng = np.random.default_rng(SEED)
    codes = rng.integers(0, 3, (30, 40)).astype(np.int16)
    pool = Pool(
        "R", "", [str(i) for i in range(30)], [""] * 30, {"a": Draws(arm=_arm(), codes=codes, right=codes * 0.0)}
    )
    worlds = pool.worlds(3, SEED)
    track = only(worlds.history(["a"]))[1]
    policy = GreedyBudget(mean_n, max_n=40)
    while (asked := policy.ask({"a": track})["a"]).any():
        track = track.more(asked)
    assert (track.seen.sum(axis=1) == int(mean_n * 30)).all()


def _arm():
    from testtime.core.records import Arm

    return Arm("a", {"model": "m"})


def test_draws_at_once_are_those_that_one_by_one_would_make():
    """Against the plain loop that always draws for the highest index, first problem first."""
    rng = np.random.default_rng(SEED)
    codes = np.where(rng.random((12, 20)) < rng.random((12, 1)), 0, rng.integers(0, 4, (12, 20))).astype(np.int16)
    policy = GreedyBudget(4, max_n=20)
    track = Track(Cells(codes), np.arange(12)[None], np.zeros((1, 12), dtype=np.int64))
    alone = track.more(np.ones((1, 12), dtype=np.int64))
    while alone.seen.sum() < 48:
        score = np.where(alone.seen < 20, policy._scores(alone), 0.0)
        if score.max() == 0:
            break
        alone = alone.more((np.arange(12) == score.argmax())[None].astype(int))
    while (asked := policy.ask({"a": track})["a"]).any():
        track = track.more(asked)
    ours, theirs = np.sort(policy._scores(track)), np.sort(policy._scores(alone))
    assert track.seen.sum() == alone.seen.sum()
    assert ours == pytest.approx(theirs)


# ---- batches, cascade, confidence ----
def test_dearer_rounds_are_fewer_and_larger():
    found = [expected(broad(), 20, batches(broad(), 20, 0.98, cost)) for cost in (0.0, 2.0, 20.0)]
    assert [round(rounds, 6) for _, rounds, _ in found] == sorted((round(r, 6) for _, r, _ in found), reverse=True)
    assert found[0][0] < found[2][0]
    assert all(missed <= 0.02 for *_, missed in found)


def test_free_rounds_are_the_rule_of_one_draw_at_a_time():
    stops = rule_for(ATOMS, 12, 0.97)
    draws, _, missed = expected(ATOMS, 12, batches(ATOMS, 12, 0.97, 0.0))
    assert draws == pytest.approx(expected_of(ATOMS, 12, stops)[0], abs=0.05)
    assert missed <= 0.03


def test_a_cascade_asks_the_large_model_only_in_doubt_and_takes_its_word():
    small = Cells(np.array([[0, 0, 0], [0, 1, 2]], dtype=np.int16)).track()
    large = Cells(np.array([[3], [3]], dtype=np.int16)).track()
    policy = Cascade(3)
    assert policy.ask({"small": small, "large": large})["small"].tolist() == [3, 3]
    small = small.more(np.array([3, 3]))
    assert policy.ask({"small": small, "large": large})["large"].tolist() == [0, 1]
    ballot: Ballot = policy.choose({"small": small, "large": large.more(np.array([0, 1]))})
    assert sorted(zip(ballot.row.tolist(), ballot.arm.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_the_least_confident_draws_do_not_vote():
    codes = np.array([[0, 0, 0, 1, 1]], dtype=np.int16)
    cells = Cells(codes, {"conf": np.array([[0.1, 0.2, 0.3, 0.8, 0.9]])})
    track = cells.track(5)
    assert codes[0, WeightedVote("conf", keep=0.4).ballot(track).draw].tolist() == [1]
    assert codes[0, WeightedVote("conf", keep=0.99).ballot(track).draw].tolist() == [1]


def test_deepconf_by_hand():
    """Bar = median of the four warm-up draws, 0.5; the fifth is below it, the sixth decides."""
    codes = np.array([[0, 1, 0, 1, 1, 0, 1, 1]], dtype=np.int16)
    conf = np.array([[0.9, 0.1, 0.8, 0.2, 0.3, 0.9, 0.9, 0.9]])
    seen, answer = play_out(DeepConf("conf", 8, warmup=4, keep=0.5, threshold=0.95), codes, {"conf": conf})
    assert (seen.tolist(), answer.tolist()) == ([4], [0])
    conf[0, 1] = 0.8
    seen, answer = play_out(DeepConf("conf", 8, warmup=4, keep=0.75, threshold=0.75), codes, {"conf": conf})
    assert (seen.tolist(), answer.tolist()) == ([6], [0]) or seen[0] > 4


def test_every_one_of_them_stops_at_its_most():
    kinds = [Curtail(6), Bayes(6, prior=ATOMS.texts())]
    for policy in kinds:
        assert isinstance(policy, Counted)
        assert play_out(policy, np.array([[0, 1, 0, 1, 0, 1, 0, 1]], dtype=np.int16))[0] <= 6
