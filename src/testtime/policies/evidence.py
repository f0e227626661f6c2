"""How sure it is that the leader is the most common answer: an e-value that holds at any stopping time.

Against every other answer j, seen or not, a gambler bets that j is not the mode. At each vote he backs the leader
among the answers other than j, i: if j were the mode, a vote that is i's or j's would be i's with probability at
most ½, so a stake that pays 2p on i and 2(1 − p) on j, p ≥ ½ fixed before the vote, cannot gain on average. His
wealth is a supermartingale whatever the number of answers and however i was chosen, and exceeds 1/δ at any time
with probability at most δ (Ville 1939). The leader is certified once all gamblers reached 1/δ: a wrong
certificate needs the one against the true mode to have.

p is the mean of a mixture over shares given the two counts, even in the logarithm of 2p − 1: the price of not
knowing the share grows with the logarithm of the range only (Robbins 1970). Its range ends where max_n draws could
not tell the shares apart. No stake is larger than what reaches 1/δ.

Part of the mixture is what the leader's votes against one other rival say of the share: the second's tell of all below
it, seen or not, the third's of the second. All rivals have to be beaten, so what knowing the share
costs is paid once for all and not for each. Those votes were cast before the bet: p is still fixed before the vote.

The first vote shows what to back and can be no bet on it. But a part of the wealth may double where it is not j's
and be lost where it is, if the second vote pays for it: a third answer there leaves a quarter of that part. With
q = p_j, S = Σ p_i² over the others, the part's mean after two votes is at most, at p = ½, 2S + 2q(1 − q) +
½((1 − q)² − S) (linear in p, and S ≤ q(1 − q)): 2(1 − q) for q ≥ ½; 6q² − 5q + 2 ≤ 1 for ⅓ ≤ q ≤ ½, where S is at
most q² + (1 − 2q)²; (1 − q)(½ + 3q) ≤ 1 below. After one vote alone nothing may be concluded.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from testtime.core.history import Bools, Floats, Ints

FORWARD = 0.4
"""The part of the wealth that bets on the first vote: by the worst ratio to the bound over nine pairs of shares."""
THIRD = 0.25
"""What a third answer at the second vote leaves of it."""
CERTAIN = 0.1
"""Part of the mixture at p = 1."""
TRUST, TRUST_THIRD = 0.9, 0.5
"""Part of the mixture that another rival's votes say: the second's, and the third's; chosen on thirteen lists of shares
that are not those reported."""
_LARGEST, _STEP = 0.97, 0.6
"""2p − 1 of the other parts falls from here by this factor …"""
_TABLED = 400
"""Up to so many draws all stakes are kept in one table."""
_NOBODY = -1
NEAR = 1e-9
"""What a wealth may lack of 1/δ by rounding, as a part of it."""


@lru_cache(maxsize=32)
def mixture(max_n: int) -> tuple[Floats, Floats]:
    """(Shares p, weights): … down to 1 / √max_n, with weights as 1 / (1 − ln(2p − 1)), and p = 1."""
    leads = [_LARGEST]
    while leads[-1] * _STEP > max_n**-0.5:
        leads.append(leads[-1] * _STEP)
    lead = np.array(leads)
    weight = 1 / (1 - np.log(lead))
    weight *= (1 - CERTAIN) / weight.sum()
    return np.append((1 + lead) / 2, 1.0), np.append(weight, CERTAIN)


def stakes(max_n: int, ours: Ints, theirs: Ints) -> Floats:
    """Elementwise 2p, the payment if the next vote is ours, after so many votes ours and theirs."""
    share, weight = mixture(max_n)
    if max_n <= _TABLED:
        found: Floats = _table(max_n)[ours, theirs]
        return found
    return _means(_likelihoods(max_n, ours, theirs) * weight, share)


def shared_stakes(max_n: int, ours: Ints, theirs: Ints, others: Ints, trust: Floats) -> Floats:
    """The same where `others` are one other rival's votes, and `trust` is the part of the mixture they tell."""
    share, weight = mixture(max_n)
    told = likelihoods(max_n, ours, others) * weight
    told *= (trust / told.sum(axis=-1))[..., None]
    told += (1 - trust)[..., None] * weight
    return _means(likelihoods(max_n, ours, theirs) * told, share)


def likelihoods(max_n: int, ours: Ints, theirs: Ints) -> Floats:
    """[…, share] how likely so many votes are under each share of the mixture, the largest 1."""
    if max_n <= _TABLED:
        found: Floats = _tabled(max_n)[ours, theirs]
        return found
    return _likelihoods(max_n, ours, theirs)


@lru_cache(maxsize=8)
def _table(max_n: int) -> Floats:
    share, weight = mixture(max_n)
    return _means(_tabled(max_n) * weight, share)


@lru_cache(maxsize=8)
def _tabled(max_n: int) -> Floats:
    ours, theirs = np.meshgrid(*[np.arange(max_n + 1)] * 2, indexing="ij")
    return _likelihoods(max_n, ours, theirs)


def _likelihoods(max_n: int, ours: Ints, theirs: Ints) -> Floats:
    share, _ = mixture(max_n)
    with np.errstate(divide="ignore"):
        lost = np.log(1 - share)
    a, b = ours[..., None], theirs[..., None]
    with np.errstate(invalid="ignore"):
        logs = a * np.log(share) + np.where(b > 0, b * lost, 0.0)
    found: Floats = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return found


def _means(parts: Floats, share: Floats) -> Floats:
    means: Floats = 2 * (parts @ share) / parts.sum(axis=-1)
    return means


def e_values(codes: Ints, goal: float, max_n: int) -> Floats:
    """[draws + 1, row] the least wealth of all gamblers against rivals of the leader, after each draw; 1 at first.

    `codes` [row, draw] are votes, negative where a draw abstains: it changes nothing. The leader is the first to
    have reached its count. `goal` is 1/δ: a row that has reached it is certified and bets no more.
    """
    rows, draws = codes.shape
    votes, going = _Votes.of(codes), np.arange(rows)
    out = np.ones((draws + 1, rows))
    now = out[0].copy()
    for j in range(min(draws, max_n)):
        votes.bet(codes[going, j].astype(np.int64), goal, max_n)
        now[going] = least = votes.least()
        out[j + 1] = now
        open_ = least < goal * (1 - NEAR)
        if not open_.all():
            votes, going = votes.at(open_), going[open_]
    out[max_n + 1 :] = out[min(max_n, draws)]
    return out


class _Votes:
    """The gamblers of all rows while votes come in: one against each answer of a row, and one against the unseen."""

    def __init__(self, row: Ints, rival: Ints, rows: int, width: int) -> None:
        self.row, self.rival = row, rival
        self.start = np.searchsorted(row, np.arange(rows))
        self.wealth = np.ones(row.size)
        self.counts = np.zeros((rows, width + 1), dtype=np.int64)  # the last place is the unseen answer's
        self.lead, self.second, self.third = (np.full(rows, _NOBODY) for _ in range(3))
        self.voted = np.zeros(rows, dtype=np.int64)

    @classmethod
    def of(cls, codes: Ints) -> _Votes:
        rows = codes.shape[0]
        width = int(codes.max(initial=-1)) + 1
        known = np.zeros((rows, width + 1), dtype=bool)
        row, draw = np.nonzero(codes >= 0)
        known[row, codes[row, draw]] = True
        known[:, width] = True
        pair, rival = np.nonzero(known)
        return cls(pair, rival, rows, width)

    def at(self, rows: Bools) -> _Votes:
        """Those of these rows alone."""
        kept = rows[self.row]
        names = np.cumsum(rows) - 1
        some = _Votes(names[self.row[kept]], self.rival[kept], int(rows.sum()), self.counts.shape[1] - 1)
        some.wealth, some.counts, some.voted = self.wealth[kept], self.counts[rows], self.voted[rows]
        some.lead, some.second, some.third = self.lead[rows], self.second[rows], self.third[rows]
        return some

    def bet(self, code: Ints, goal: float, max_n: int) -> None:
        """One draw of every row."""
        lead, second = self.lead[self.row], self.second[self.row]
        ours = np.where(lead != self.rival, lead, second)
        vote = code[self.row]
        votes = np.where(vote >= 0, self.voted[self.row], _NOBODY)
        pair = (vote == ours) | (vote == self.rival)
        self.wealth[votes == 0] = np.where(vote == self.rival, 1 - FORWARD, 1 + FORWARD)[votes == 0]
        self.wealth[(votes == 1) & (ours >= 0) & ~pair] *= (1 - FORWARD + 2 * FORWARD * THIRD) / (1 + FORWARD)
        at = np.flatnonzero((vote >= 0) & (ours >= 0) & pair)
        us, wealth = ours[at], self.wealth[at]
        pays = self._pays(at, us, max_n)
        pays = np.minimum(pays, np.maximum(goal / np.maximum(wealth, 1e-300), 1.0))
        self.wealth[at] = wealth * np.where(vote[at] == us, pays, 2 - pays)
        self._count(code)

    def _pays(self, at: Ints, us: Ints, max_n: int) -> Floats:
        """2p of the gamblers `at`, who back `us`."""
        row, them = self.row[at], self.rival[at]
        a, b, second, third = self.counts[row, us], self.counts[row, them], self.second[row], self.third[row]
        pays = stakes(max_n, a, b)
        other = np.where(them == second, third, second)
        told = np.flatnonzero((other != _NOBODY) & (us == self.lead[row]))
        other = other[told]
        trust = np.where(them == second, TRUST_THIRD, TRUST)[told]
        pays[told] = shared_stakes(max_n, a[told], b[told], self.counts[row[told], other], trust)
        return pays

    def _count(self, code: Ints) -> None:
        rows = np.flatnonzero(code >= 0)
        voted = code[rows]
        self.counts[rows, voted] += 1
        self.voted[rows] += 1
        count, lead, second = self.counts[rows, voted], self.lead[rows], self.second[rows]
        passes = (lead != voted) & ((lead == _NOBODY) | (count > self.counts[rows, lead]))
        follows = ~passes & (lead != voted) & (second != voted)
        follows &= (second == _NOBODY) | (count > self.counts[rows, second])
        third = self.third[rows]
        moves = (passes | follows) & (second != voted)  # the second becomes the third
        joins = ~passes & ~follows & (lead != voted) & (second != voted) & (third != voted)
        joins &= (third == _NOBODY) | (count > self.counts[rows, third])
        self.third[rows] = np.where(moves, second, np.where(joins, voted, third))
        self.second[rows] = np.where(passes, lead, np.where(follows, voted, second))
        self.lead[rows] = np.where(passes, voted, lead)

    def least(self) -> Floats:
        """[row] the smallest wealth among the gamblers against others than the leader; 1 before the second vote."""
        against = np.where(self.rival == self.lead[self.row], np.inf, self.wealth)
        smallest: Floats = np.minimum.reduceat(against, self.start)
        return np.where(self.voted > 1, smallest, 1.0)
