"""False certificates and draws of `certified` over nine stress distributions, beside the least any rule needs.

    python -m benchmarks.certificates [RUNS [MOST]]       needs numba
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
from math import log, sqrt
from typing import Any

import numpy as np
from numba import njit

from testtime.analysis.limits import certificate
from testtime.policies.evidence import FORWARD, THIRD, e_values, mixture

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


@njit(cache=True)  # type: ignore[misc]
def run(votes: Any, cumulated: Any, share: Any, weight: Any, goal: float, most: int) -> Any:  # noqa: C901
    """(Votes needed, answer) of one run; answer −1 where `most` were too few. `votes` empty: drawn by `cumulated`."""
    answers, parts = len(cumulated), len(share)
    count = np.zeros(answers + 1, np.int64)  # the last place is the unseen answer's
    wealth, posterior = np.full(answers + 1, 1 + FORWARD), np.empty((answers + 1, parts))
    backed = np.full(answers + 1, -2)
    lead, second = -1, -1
    for n in range(1, most + 1):
        vote = votes[n - 1] if len(votes) else min(np.searchsorted(cumulated, np.random.random()), answers - 1)
        if n == 1:
            lead = vote
            count[vote] = 1
            wealth[vote] = 1 - FORWARD
            continue
        for rival in range(answers + 1):
            ours = lead if lead != rival else second
            if vote == backed[rival] and vote != ours:
                backed[rival] = -2  # what is known of that pair is out of date
            if ours < 0 or (vote != ours and vote != rival):
                if n == 2 and ours >= 0:
                    wealth[rival] *= (1 - FORWARD + 2 * FORWARD * THIRD) / (1 + FORWARD)
                continue
            if backed[rival] != ours:
                for part in range(parts):
                    lost = count[rival] * log(1 - share[part]) if count[rival] > 0 else 0.0
                    posterior[rival, part] = log(weight[part]) + count[ours] * log(share[part]) + lost
                posterior[rival] = np.exp(posterior[rival] - posterior[rival].max())
                posterior[rival] /= posterior[rival].sum()
                backed[rival] = ours
            pays = 2 * (posterior[rival] * share).sum()
            pays = min(pays, max(goal / wealth[rival], 1.0))
            wealth[rival] *= pays if vote == ours else 2 - pays
            posterior[rival] *= share if vote == ours else 1 - share
            posterior[rival] /= posterior[rival].sum()
        count[vote] += 1
        if vote != lead and count[vote] > count[lead]:
            lead, second = vote, lead
        elif vote not in (lead, second) and (second < 0 or count[vote] > count[second]):
            second = vote
        least = 1e300
        for rival in range(answers + 1):
            if rival != lead:
                least = min(least, wealth[rival])
        if least >= goal * (1 - 1e-12):
            return n, lead
    return most, -1


@njit(cache=True)  # type: ignore[misc]
def runs(number: int, cumulated: Any, share: Any, weight: Any, goal: float, most: int, seed: int) -> Any:
    """(Votes needed, answer) of many."""
    np.random.seed(seed)
    nothing = np.zeros(0, np.int64)
    needed, answer = np.zeros(number, np.int64), np.zeros(number, np.int64)
    for at in range(number):
        needed[at], answer[at] = run(nothing, cumulated, share, weight, goal, most)
    return needed, answer


def parts(horizon: int) -> tuple[Any, Any]:
    """The mixture, with p = 1 a hair below it for logarithms."""
    share, weight = mixture(horizon)
    return np.minimum(share, 1 - 1e-12), weight


def agrees(number: int = 300, draws: int = 200) -> bool:
    """Whether the loop stops where `e_values` reaches 1/δ, on common votes of three answers."""
    codes = np.random.default_rng(SEED).choice(3, p=[0.6, 0.25, 0.15], size=(number, draws))
    e = e_values(codes.astype(np.int16), 1 / DELTA, draws) >= (1 / DELTA) * (1 - 1e-9)
    ours = np.where(e.any(axis=0), e.argmax(axis=0), draws)
    share, weight = parts(draws)
    some = np.cumsum([0.6, 0.25, 0.15])
    theirs = [run(row, some, share, weight, 1 / DELTA, draws)[0] for row in codes.astype(np.int64)]
    return bool((ours == np.array(theirs)).all())


@njit(cache=True)  # type: ignore[misc]
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


def main(number: int, most: int) -> None:
    """One line a distribution."""
    print(f"the loop stops where the policy does: {agrees()}")
    share, weight = parts(HORIZON)
    for name, shares in STRESS.items():
        needed, answer = runs(number, np.cumsum(shares), share, weight, 1 / DELTA, most, SEED)
        bound = certificate(shares[0], shares[1] if len(shares) > 1 else 0.0, DELTA)
        false, open_ = (answer > 0).mean(), (answer < 0).mean()
        ratio, error = needed.mean() / bound, sqrt(false * (1 - false) / number)
        spent = (
            f"{needed.mean():12.2f} ± {needed.std() / sqrt(number):.2f} votes, bound {bound:10.2f}, ratio {ratio:.3f}"
        )
        print(f"{name:<14} {spent}; false {false:.5f} ± {error:.5f}, open {open_:.4f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["limit"]:
        limit()
    else:
        arguments = [int(argument) for argument in sys.argv[1:]]
        main(*(arguments + [100_000, 10_000_000][len(arguments) :]))
