"""False certificates and draws of `certified` over nine stress distributions, beside the least any rule needs.

    python -m benchmarks.certificates [RUNS [MOST [SHARES …]]]       numba, or it takes weeks
    python -m benchmarks.certificates limit               the least that the largest ratio can be, whatever the rule

RUNS (100,000) runs each, vote by vote, to the certificate or MOST votes. The compiled loop keeps the gamblers of
policies/evidence.py one by one; `agrees` first shows that it stops where `e_values` does.

`limit` is a bound by duality. Two answers, known beforehand, shares (1 ± l) / 2 for some leads l: a rule that is wrong
with probability at most δ for every l > 0 stops with probability at most 2δ where both are as likely. So for any
weights w of the leads and any price μ of stopping, the mean over w of (votes / bound) is at least the least value of
Σ w E_l[n] / bound_l + μ (P_0(stops) − 2δ) over all rules, which backward induction over (n, lead of votes) gives, and
the largest ratio is at least that mean. The weights were found by ascent; any others give a lower bound too.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from math import log, sqrt
from typing import Any

import numpy as np

from testtime.analysis.bootstrap import wilson
from testtime.analysis.limits import certificate
from testtime.policies.evidence import FORWARD, THIRD, TRUST, TRUST_THIRD, e_values, mixture

DELTA, HORIZON, SEED = 0.05, 100_000, 7
LIMITS: tuple[tuple[tuple[float, ...], tuple[float, ...], float, int, int], ...] = (
    ((1.0, 0.8, 0.2), (0.324, 0.2, 0.476), 4.80, 2_000, 150),
    ((1.0, 0.8, 0.2, 0.05), (0.277, 0.158, 0.273, 0.291), 4.37, 12_000, 420),
    ((1.0, 0.8, 0.2, 0.02), (0.263, 0.153, 0.282, 0.302), 4.25, 60_000, 900),
)
"""Leads, their weights, μ, votes and lead of votes up to which the induction goes; beyond them stopping is free."""
ZIPF = 1 / np.arange(1, 51)
STRESS: dict[str, list[float]] = {
    "1": [1.0], ".9 .1": [0.9, 0.1], ".6 .4": [0.6, 0.4], ".5 10×.05": [0.5] + [0.05] * 10, ".4 .3 .3": [0.4, 0.3, 0.3],
    "Zipf over 50": list(ZIPF / ZIPF.sum()), ".3 .25 .25 .2": [0.3, 0.25, 0.25, 0.2], ".51 .49": [0.51, 0.49],
    ".34 .33 .33": [0.34, 0.33, 0.33],
}  # fmt: skip


try:
    from numba import njit
except ImportError:  # the same loop, some thousand times slower: tests run it so

    def njit(**_: Any) -> Any:
        """Leaves a function as it is."""
        return lambda function: function


inlined = partial(njit, inline="always", error_model="numpy")


@inlined()  # type: ignore[misc]
def recall(like: Any, ours: int, theirs: int, share: Any) -> None:
    """What so many votes of a pair say of each share, into `like`, the largest 1."""
    for part in range(len(share)):
        like[part] = ours * log(share[part]) + (theirs * log(1 - share[part]) if theirs > 0 else 0.0)
    like[:] = np.exp(like - like.max())


@inlined(fastmath=True)  # type: ignore[misc]
def pays(like: Any, other: Any, trust: float, share: Any, weight: Any) -> float:
    """2p of a pair; `other` is what another rival's votes say, of which `trust` is taken."""
    factor = 0.0
    if trust > 0:
        for part in range(len(share)):
            factor += weight[part] * other[part]
        factor = trust / factor
    total, mean = 0.0, 0.0
    for part in range(len(share)):
        mixed = weight[part] * ((1 - trust) + factor * other[part]) * like[part]
        total += mixed
        mean += mixed * share[part]
    return 2 * mean / total


@inlined(fastmath=True)  # type: ignore[misc]
def update(like: Any, ours: bool, share: Any) -> None:
    """One more vote of the pair."""
    for part in range(len(share)):
        like[part] *= 2 * share[part] if ours else 2 * (1 - share[part])


@inlined()  # type: ignore[misc]
def rescale(like: Any) -> None:
    """Largest 1; what is past telling is dropped."""
    for pair in range(len(like)):
        most = like[pair].max()
        for part in range(like.shape[1]):
            like[pair, part] = like[pair, part] / most if like[pair, part] > 1e-200 * most else 0.0


@inlined()  # type: ignore[misc]
def rank(count: Any, ranks: Any, vote: int) -> None:
    """Counts a vote and keeps the first three, each the first to have reached its count."""
    count[vote] += 1
    for place in range(3):
        if ranks[place] == vote:
            return
        if ranks[place] < 0 or count[vote] > count[ranks[place]]:
            moved = vote
            for below in range(place, 3):
                ranks[below], moved = moved, ranks[below]
                if moved == vote:
                    return
            return


@inlined()  # type: ignore[misc]
def bet(rival: int, vote: int, n: int, wealth: Any, like: Any, ranks: Any, mix: Any, goal: float) -> None:
    """Vote n ≥ 2 as the gambler against `rival` has it; the last of `like` is of the second against the leader."""
    lead, second, third = ranks
    ours = lead if lead != rival else second
    if ours < 0 or wealth[rival] >= goal:
        return
    if vote not in (ours, rival):
        wealth[rival] *= (1 - FORWARD + 2 * FORWARD * THIRD) / (1 + FORWARD) if n == 2 else 1.0
        return
    mine, other, trust = rival, rival, 0.0
    if rival == lead:
        mine = len(like) - 1
    elif rival == second and third >= 0:
        other, trust = third, TRUST_THIRD
    elif rival != second and second >= 0:
        other, trust = second, TRUST
    paid = min(pays(like[mine], like[other], trust, mix[0], mix[1]), max(goal / wealth[rival], 1.0))
    wealth[rival] *= paid if vote == ours else 2 - paid


@inlined()  # type: ignore[misc]
def learn(vote: int, lead: int, second: int, like: Any, count: Any, ranks: Any, share: Any) -> None:
    """Renews `like` after a vote was counted; `lead` and `second` are those of before it."""
    unseen, own = len(count) - 1, len(like) - 1
    if ranks[0] != lead:
        for rival in range(unseen + 1):
            recall(like[rival], count[ranks[0]], count[rival], share)
    elif vote == lead:
        for rival in range(unseen + 1):
            update(like[rival], True, share)
    else:
        update(like[vote], False, share)
    if ranks[0] != lead or ranks[1] != second:
        recall(like[own], count[ranks[1]], count[ranks[0]], share)
    elif vote in (lead, second):
        update(like[own], vote == second, share)


@njit(cache=True, error_model="numpy")  # type: ignore[misc]
def run(votes: Any, cumulated: Any, mix: Any, goal: float, most: int) -> Any:
    """(Votes needed, answer) of one run; answer −1 where `most` were too few. `votes` empty: drawn by `cumulated`."""
    answers = len(cumulated)
    count, ranks = np.zeros(answers + 1, np.int64), np.full(3, -1)  # the last count is the unseen answer's
    wealth, like = np.full(answers + 1, 1 + FORWARD), np.ones((answers + 2, mix.shape[1]))
    for n in range(1, most + 1):
        vote = votes[n - 1] if len(votes) else drawn(cumulated)
        for rival in range(answers + 1):
            bet(rival, vote, n, wealth, like, ranks, mix, goal)
        if n == 1:
            wealth[vote] = 1 - FORWARD
        lead, second = ranks[0], ranks[1]
        rank(count, ranks, vote)
        learn(vote, lead, second, like, count, ranks, mix[0])
        if n % 32 == 0:
            rescale(like)
        if n > 1 and certified(wealth, ranks[0], goal):
            return n, ranks[0]
    return most, -1


@inlined()  # type: ignore[misc]
def drawn(cumulated: Any) -> int:
    """One vote."""
    chance, vote = np.random.random(), 0
    while vote < len(cumulated) - 1 and chance >= cumulated[vote]:
        vote += 1
    return vote


@inlined()  # type: ignore[misc]
def certified(wealth: Any, lead: int, goal: float) -> bool:
    """Whether every gambler against another than the leader has reached the goal."""
    least = np.inf
    for rival in range(len(wealth)):
        if rival != lead:
            least = min(least, wealth[rival])
    return bool(least >= goal * (1 - 1e-12))


@njit(cache=True, error_model="numpy")  # type: ignore[misc]
def runs(number: int, cumulated: Any, mix: Any, goal: float, most: int, seed: int) -> Any:
    """(Votes needed, answer) of many."""
    np.random.seed(seed)
    nothing = np.zeros(0, np.int64)
    needed, answer = np.zeros(number, np.int64), np.zeros(number, np.int64)
    for at in range(number):
        needed[at], answer[at] = run(nothing, cumulated, mix, goal, most)
    return needed, answer


def parts(horizon: int) -> Any:
    """[shares, weights] of the mixture, with p = 1 a hair below it for logarithms."""
    share, weight = mixture(horizon)
    return np.stack([np.minimum(share, 1 - 1e-12), weight])


def agrees(shares: list[float], number: int = 200, draws: int = 200) -> bool:
    """Whether the loop stops where `e_values` reaches 1/δ, on votes drawn from shares."""
    codes = np.random.default_rng(SEED).choice(len(shares), p=shares, size=(number, draws))
    e = e_values(codes.astype(np.int16), 1 / DELTA, draws) >= (1 / DELTA) * (1 - 1e-9)
    ours = np.where(e.any(axis=0), e.argmax(axis=0), draws)
    theirs = [run(row, np.cumsum(shares), parts(draws), 1 / DELTA, draws)[0] for row in codes.astype(np.int64)]
    return bool((ours == np.array(theirs)).all())


@njit(cache=True, error_model="numpy")  # type: ignore[misc]
def least(cost: Any, leads: Any, price: float, votes: int, most: int) -> float:
    """The least of Σ cost_l E_l[n] + price · P_0(stops) over all rules; by |lead of votes|, under equal shares."""
    value, before = np.zeros(most + 2), np.zeros(most + 2)  # beyond the last vote it costs nothing more
    for n in range(votes - 1, -1, -1):
        for d in range(n % 2, min(n, most) + 1, 2):
            go = 0.0
            for part in range(len(leads)):
                lead = leads[part]
                if lead < 1:
                    both, tilt = 0.5 * n * log(1 - lead * lead), 0.5 * d * log((1 + lead) / (1 - lead))
                    go += cost[part] * 0.5 * (np.exp(min(both + tilt, 600.0)) + np.exp(both - tilt))
                elif d == n:
                    go += cost[part] * 2.0 ** min(max(n - 1, 0), 900)
            further = value[d + 1] if d < most else min(price, 0.0)
            go += 0.5 * (further + value[abs(d - 1)])
            before[d] = min(go, price) if n else go
        value, before = before, value
    return float(value[0])


def limit() -> None:
    """One line a set of leads."""
    for leads, weights, price, votes, most in LIMITS:
        bounds = [certificate((1 + lead) / 2, (1 - lead) / 2, DELTA) for lead in leads]
        cost = np.array(weights) / sum(weights) / np.array(bounds)
        found = least(cost, np.array(leads), price, votes, most) - price * 2 * DELTA
        print(f"leads {leads}: the largest ratio is at least {found:.3f} for any rule")


def main(number: int, most: int, names: list[str]) -> None:
    """One line a distribution, in ten parts that are told as they end."""
    mix = parts(HORIZON)
    for name in names or list(STRESS):
        shares, start = STRESS[name], time.process_time()
        print(f"{name}: {'stops where' if agrees(shares) else 'DIFFERS FROM WHAT'} the policy does", flush=True)
        needed, answer = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for part in range(10):
            more, found = runs(number // 10, np.cumsum(shares), mix, 1 / DELTA, most, SEED + part)
            needed, answer = np.append(needed, more), np.append(answer, found)
            told = line(shares, needed, answer)
            print(f"{name:<14} {told}; {time.process_time() - start:.0f} s", flush=True)


def line(shares: list[float], needed: Any, answer: Any) -> str:
    """What the runs so far show."""
    bound, number = certificate(shares[0], shares[1] if len(shares) > 1 else 0.0, DELTA), len(needed)
    wrong, error = int((answer > 0).sum()), needed.std() / sqrt(number)
    low, high = wilson(wrong / number, number)
    spent = f"{number:7,} runs, {needed.mean():12.2f} ± {error:.2f} votes, bound {bound:10.2f}"
    ratio = f"ratio {needed.mean() / bound:.3f} ± {error / bound:.3f}"
    return f"{spent}, {ratio}; false {wrong} [{low:.5f}, {high:.5f}], open {(answer < 0).mean():.4f}"


if __name__ == "__main__":
    if sys.argv[1:] == ["limit"]:
        limit()
    else:
        number, most, *names = [*sys.argv[1:], *("100000", "10000000")[len(sys.argv) - 1 :]]
        main(int(number), int(most), names)
