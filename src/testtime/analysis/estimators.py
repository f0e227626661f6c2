"""What a pool says about k fresh draws: exact means over all subsets of k, no Monte Carlo.

Every function takes arrays [problem, draw] and gives [problem, k]. The value is the mean of a rule
over all C(n, k) subsets of a problem's n draws, ties split evenly: the U-statistic of that rule,
hence unbiased for k fresh draws at every k ≤ n, and of least variance. Unknown stays nan, and so does
k > n. Draws past `sizes` are not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil, comb

import numpy as np
from numpy.typing import NDArray

from testtime.core.errors import BadInput
from testtime.core.history import Bools, Floats, Ints

Counts = NDArray[np.int64]
THRESHOLDS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The τ at which G-Pass@k is commonly printed."""


def maj_at_k(codes: Ints, right: Floats, ks: Sequence[int], sizes: Ints | None = None) -> Floats:
    """[problem, k] probability that the most frequent answer among k random draws is right.

    `codes` [problem, draw] are answer codes, negative for a draw that abstains (drawn, never voting);
    `right` [problem, draw] are verdicts 1, 0 or nan. Ties are split evenly; a subset in which all
    abstain is wrong. Several keys may be right; a key is as right as `key_rightness` says. A value is
    nan where a key without any verdict could win, or k > n.

    For a key with c of n votes (counts c_x, m abstentions), summing over its votes j and the number t
    of keys level with it, and with 1/(t+1) = ∫₀¹ yᵗ dy:

        P(wins) = Σ_j C(c, j) ∫ [x^(k−j)] (1+x)^m Π_x (Σ_{i<j} C(c_x, i) x^i + y C(c_x, j) x^j) dy / C(n, k)

    Gauss–Legendre nodes make the integral exact, and all terms are positive. Raises BadInput where
    C(n, k) is beyond floats.

    >>> maj_at_k(np.array([[0, 0, 1]]), np.array([[1.0, 1.0, 0.0]]), [1, 2, 3]).round(3).tolist()
    [[0.667, 0.667, 1.0]]
    """
    return majorities(codes, [right], ks, sizes)[0]


def majorities(codes: Ints, rights: Sequence[Floats], ks: Sequence[int], sizes: Ints | None = None) -> list[Floats]:
    """`maj_at_k` by several kinds of verdict on the same votes: whatever asks which key wins, asks it once."""
    wanted, there = _asked(ks, codes.shape, sizes)
    rightness = np.stack([key_rightness(codes, right, sizes) for right in rights])
    out = np.full((len(rights), codes.shape[0], len(wanted)), np.nan)
    for at, n in enumerate(there):
        fits = wanted <= n
        if fits.any():
            out[:, at, fits] = _majority(codes[at, :n], rightness[:, at, :n], wanted[fits])
    return list(out)


def key_rightness(codes: Ints, right: Floats, sizes: Ints | None = None) -> Floats:
    """[problem, draw] how right each draw's answer key is: the mean of the known verdicts on its equals.

    nan where no draw of that key has a verdict; 0 for a draw that abstains: no answer is no right one.
    """
    width = codes.shape[1]
    there = np.arange(width) < _sizes(codes.shape, sizes)[:, None]
    votes = there & (codes >= 0)
    keys = max(int(codes.max(initial=0)), 0) + 1
    slot = np.arange(codes.shape[0])[:, None] * keys + np.where(votes, codes, 0)
    known = votes & ~np.isnan(right)
    sums = np.bincount(slot[known], weights=right[known], minlength=codes.shape[0] * keys)
    counts = np.bincount(slot[known], minlength=codes.shape[0] * keys)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return np.where(votes, means[slot], 0.0)


def pass_at_k(right: Floats, ks: Sequence[int], sizes: Ints | None = None) -> Floats:
    """[problem, k] probability that at least one of k draws is right: 1 − C(n−c, k)/C(n, k) (Chen et al. 2021)."""
    return _at_least(right, ks, sizes, [1] * len(ks))


def pass_hat_k(right: Floats, ks: Sequence[int], sizes: Ints | None = None) -> Floats:
    """[problem, k] probability that all of k draws are right: C(c, k)/C(n, k) (pass^k, Yao et al. 2024)."""
    return _at_least(right, ks, sizes, ks)


def g_pass_at_k(
    right: Floats, ks: Sequence[int], thresholds: Sequence[float | str] = THRESHOLDS, sizes: Ints | None = None
) -> Floats:
    """[problem, k, threshold] probability that at least max(1, ⌈τk⌉) of k draws are right (Liu et al. 2024, G-Pass@k).

    Thresholds are read as the decimals they print as: .07 of 100 draws is 7, not 8. τ = 0 is pass@k. Raises BadInput.
    """
    exact = [Fraction(str(t)) for t in thresholds]
    if any(not 0 <= t <= 1 for t in exact):
        raise BadInput(f"a G-Pass threshold outside 0 … 1: {list(thresholds)}", mend="give shares of k")
    tails = [_at_least(right, ks, sizes, [max(1, ceil(t * k)) for k in ks]) for t in exact]
    return np.stack(tails, axis=-1)


def mg_pass_at_k(right: Floats, ks: Sequence[int], sizes: Ints | None = None) -> Floats:
    """[problem, k] mean G-Pass@k over τ in (½, 1]: (2/k) Σ_{i=⌈k/2⌉+1}^{k} G-Pass@k at i/k (Liu et al. 2024).

    This is the paper's sum; it has no terms at k = 1, where it is 0 whatever was drawn.
    """
    columns = []
    for k in ks:
        terms = [_at_least(right, [k], sizes, [i]) for i in range(ceil(k / 2) + 1, k + 1)]
        nothing = np.where(np.isnan(pass_at_k(right, [k], sizes)), np.nan, 0.0)
        columns.append(sum(terms, nothing) * 2 / k)
    return np.concatenate(columns, axis=1)


def best_at_k(score: Floats, right: Floats, ks: Sequence[int], sizes: Ints | None = None) -> Floats:
    """[problem, k] probability that the draw with the highest of k scores is right; equal scores share.

    A draw without a score (nan) is drawn but never chosen; k draws without any score give no answer,
    which is wrong. nan where a draw without a verdict could be chosen.
    """
    return _by_rank(score, right, ks, sizes)


def expected_max_at_k(values: Floats, ks: Sequence[int], sizes: Ints | None = None) -> Floats:
    """[problem, k] expected largest of k draws: the seconds of k parallel calls, say. nan where any is unknown."""
    there = np.arange(values.shape[1]) < _sizes(values.shape, sizes)[:, None]
    unknown: Bools = np.asarray((there & np.isnan(values)).any(axis=1))
    return np.where(unknown[:, None], np.nan, _by_rank(values, values, ks, sizes))


def mean(values: Floats, sizes: Ints | None = None) -> Floats:
    """[problem] mean over draws: avg@k, the same for every k. nan where any is unknown or there is no draw."""
    count = _sizes(values.shape, sizes)
    sums: Floats = np.where(np.arange(values.shape[1]) < count[:, None], values, 0.0).sum(axis=1)
    means: Floats = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0)
    return means


def _sizes(shape: tuple[int, ...], sizes: Ints | None) -> Counts:
    """[problem] draws there are."""
    return np.full(shape[0], shape[1], dtype=np.int64) if sizes is None else np.asarray(sizes, dtype=np.int64)


def _asked(ks: Sequence[int], shape: tuple[int, ...], sizes: Ints | None) -> tuple[Counts, Counts]:
    """(ks, sizes) as arrays. Raises BadInput for a k below 1."""
    wanted = np.asarray(ks, dtype=np.int64)
    if (wanted < 1).any():
        raise BadInput(f"k = {wanted.min()}: a subset has at least one draw", mend="give k ≥ 1")
    return wanted, _sizes(shape, sizes)


# ---- majority ----
def _majority(votes: Ints, rightness: Floats, ks: Ints) -> Floats:
    """[verdict, k] one problem's maj@k by each row of `rightness` [verdict, draw]."""
    keys, first, counts = np.unique(votes, return_index=True, return_counts=True)
    voting = keys >= 0
    counts, worth = counts[voting], rightness[:, first[voting]]
    abstain = len(votes) - int(counts.sum())
    total = np.zeros((len(worth), len(ks)))
    for at in np.flatnonzero((worth != 0).any(axis=0)):  # nan too: it must show wherever it could win
        others = tuple(sorted(np.delete(counts, at).tolist(), reverse=True))
        wins = _win(int(counts[at]), others, abstain, int(ks.max()))[ks]
        total += np.where(wins > 0, worth[:, at, None] * wins, 0.0)
    return np.clip(total, 0.0, 1.0)


@lru_cache(maxsize=4096)
def _win(count: int, others: tuple[int, ...], abstain: int, most: int) -> Floats:
    """[k = 0 … most] probability that a key of `count` votes wins among k draws. Kept by pattern of counts."""
    n = count + sum(others) + abstain
    j, y, w = _nodes(min(count, most), len(others), most)
    ways = np.tile(_binomials(abstain, most), (len(j), 1))
    for other, times in Counter(others).items():
        coefficients = _binomials(other, min(other, most))
        up_to = np.arange(len(coefficients))
        factor = coefficients * (
            np.where(up_to < j[:, None], 1.0, 0.0) + np.where(up_to == j[:, None], y[:, None], 0.0)
        )
        for _ in range(times):
            ways = _times(ways, factor)
    scale = w * _binomials(count, most)[j]
    wins = np.zeros(most + 1)
    for votes in range(1, min(count, most) + 1):
        rows = j == votes
        wins[votes:] += scale[rows] @ ways[rows, : most + 1 - votes]
    with np.errstate(invalid="ignore", divide="ignore"):
        return wins / _binomials(n, most)


@lru_cache(maxsize=1024)
def _nodes(most_votes: int, others: int, most: int) -> tuple[Ints, Floats, Floats]:
    """Winning counts j with the nodes y and weights of ∫₀¹ dy that are exact for them.

    At most min(others, most/j − 1) keys can be level with j votes, and q nodes are exact up to degree
    2q − 1: few pairs in all, about (most/2)·ln(most).
    """
    j: list[Ints] = []
    y: list[Floats] = []
    w: list[Floats] = []
    for votes in range(1, most_votes + 1):
        degree = min(others, most // votes - 1)
        nodes, weights = _gauss(degree // 2 + 1)
        j.append(np.full(len(nodes), votes))
        y.append((nodes + 1) / 2)
        w.append(weights / 2)
    return np.concatenate(j), np.concatenate(y), np.concatenate(w)


@lru_cache(maxsize=256)
def _gauss(nodes: int) -> tuple[Floats, Floats]:
    """Gauss–Legendre nodes and weights on [−1, 1]."""
    return np.polynomial.legendre.leggauss(nodes)


@lru_cache(maxsize=4096)
def _binomials(n: int, most: int) -> Floats:
    """[i = 0 … most] C(n, i) as floats."""
    try:
        return np.array([float(comb(n, i)) for i in range(most + 1)])
    except OverflowError:
        raise BadInput(f"maj@k for {n} draws at k = {most} is beyond floats", mend="ask for smaller k") from None


def _times(ways: Floats, factor: Floats) -> Floats:
    """Row-wise product of polynomials, cut at the degree of `ways`."""
    out = ways * factor[:, :1]
    for i in range(1, factor.shape[1]):
        out[:, i:] += ways[:, :-i] * factor[:, i : i + 1]
    return out


# ---- counts of right draws, and ranks ----
def _at_least(right: Floats, ks: Sequence[int], sizes: Ints | None, least: Sequence[int]) -> Floats:
    """[problem, k] probability that at least `least` (one for each k) of k draws are right; nan if a verdict is."""
    wanted, there = _asked(ks, right.shape, sizes)
    drawn = np.arange(right.shape[1]) < there[:, None]
    unknown: Bools = np.asarray((drawn & np.isnan(right)).any(axis=1))
    hits = np.where(drawn & ~unknown[:, None], right, 0.0).sum(axis=1).astype(np.int64)
    cases, inverse = np.unique(np.stack([there, hits], axis=1), axis=0, return_inverse=True)
    table = np.array([[_tail(int(n), int(c), k, low) for k, low in zip(ks, least, strict=True)] for n, c in cases])
    return np.where(unknown[:, None], np.nan, table.reshape(len(cases), len(wanted))[inverse.reshape(-1)])


@lru_cache(maxsize=65536)
def _tail(n: int, hits: int, k: int, least: int) -> float:
    """P(at least `least` of the k of n draws are among the `hits`), from whole numbers, rounded once."""
    if k > n:
        return float("nan")
    fewer = sum(comb(hits, i) * comb(n - hits, k - i) for i in range(min(least, k + 1)))
    return float(1 - Fraction(fewer, comb(n, k)))


def _by_rank(score: Floats, values: Floats, ks: Sequence[int], sizes: Ints | None) -> Floats:
    """[problem, k] expected value of the draw with the highest score among k; 0 where none of the k has one.

    With draws in falling order of score, P(no draw of the first x is among the k) = C(n−x, k)/C(n, k);
    a block of equal scores shares the difference between its two ends.
    """
    wanted, there = _asked(ks, score.shape, sizes)
    problems, width = score.shape
    scored = (np.arange(width) < there[:, None]) & ~np.isnan(score)
    order = np.argsort(np.where(scored, -score, np.inf), axis=1, kind="stable")
    ranked, value = np.take_along_axis(score, order, 1), np.take_along_axis(values, order, 1)
    scored = np.take_along_axis(scored, order, 1)
    start, end = _blocks(np.where(scored, ranked, np.nan))
    out = np.full((problems, len(wanted)), np.nan)
    outside = np.ones((problems, width + 1))
    beyond = there[:, None] - np.arange(width + 1)
    for k in range(1, int(wanted.max(initial=0)) + 1):
        outside = outside * np.clip(beyond - (k - 1), 0, None) / np.maximum(there[:, None] - (k - 1), 1)
        chosen = (np.take_along_axis(outside, start, 1) - np.take_along_axis(outside, end, 1)) / (end - start)
        sums = np.where(scored & (chosen > 0), chosen * value, 0.0).sum(axis=1)
        out[:, wanted == k] = np.where(k <= there, sums, np.nan)[:, None]
    return out


def _blocks(ranked: Floats) -> tuple[Ints, Ints]:
    """[problem, rank] where the run of equal values around each rank starts, and ends (exclusive)."""
    problems, width = ranked.shape
    rank = np.tile(np.arange(width), (problems, 1))
    edge = np.ones((problems, width + 1), dtype=bool)
    edge[:, 1:-1] = ranked[:, 1:] != ranked[:, :-1]
    start = np.maximum.accumulate(np.where(edge[:, :-1], rank, 0), axis=1)
    end = np.minimum.accumulate(np.where(edge[:, 1:], rank + 1, width)[:, ::-1], axis=1)[:, ::-1]
    return start, end
