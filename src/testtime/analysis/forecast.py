"""maj@k and pass@k beyond the pool's draws, from what the pool says of each problem's chances.

A problem is its chance g to be answered right and its chance w of the most common wrong answer; other wrong answers
never win. The mixture over a grid of (g, w) that fits the pool's counts best (expectation and maximisation) is the
prior, each problem's counts make its posterior, and k fresh draws follow:

    pass@k = E[1 − (1 − g)^k],   maj@k = E[P(more right than most common wrong among k) + ½ P(as many)]

Intervals are over problems (bootstrap, the mixture fitted anew in each resample; `no_spread` where none differs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import LEVEL, no_spread, units_of
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints
from testtime.core.progress import steps
from testtime.core.seeds import rng_of

_SHARES = np.array([0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55,
                    0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995, 0.998, 1.0])  # fmt: skip
_ITERATIONS = 200
RESAMPLES = 200
MOST = 1024
"""The largest k: the work grows with its square."""


@dataclass(frozen=True, eq=False)
class Counts:
    """What the forecast looks at, [problem]."""

    right: Ints
    wrong: Ints
    """Votes for the most common wrong answer."""
    draws: Ints

    @classmethod
    def of(cls, codes: Ints, right: Floats, sizes: Ints | None = None) -> Counts:
        """From votes and verdicts [problem, draw]; draws past `sizes` are not there."""
        problems, width = codes.shape
        there = np.arange(width) < (np.full(problems, width) if sizes is None else sizes)[:, None]
        wrong = there & (codes >= 0) & ~(right == 1)
        keys = max(int(codes.max(initial=0)) + 1, 1)
        slot = np.arange(problems)[:, None] * keys + np.where(wrong, codes, 0)
        votes = np.bincount(slot[wrong], minlength=problems * keys).reshape(problems, keys)
        return cls((there & (right == 1)).sum(axis=1), votes.max(axis=1), there.sum(axis=1))


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Floats]:
    g, w = np.meshgrid(_SHARES, _SHARES, indexing="ij")
    fits = g + w <= 1 + 1e-9
    return g[fits], w[fits]


def _likelihood(counts: Counts) -> Floats:
    """[problem, atom], scaled by row."""
    g, w = _grid()
    rest = np.clip(1 - g - w, 0, 1)
    logs = np.zeros((len(counts.right), len(g)))
    parts = ((counts.right, g), (counts.wrong, w), (counts.draws - counts.right - counts.wrong, rest))
    with np.errstate(divide="ignore", invalid="ignore"):
        for count, share in parts:
            logs += np.where(count[:, None] == 0, 0.0, count[:, None] * np.log(share))
    scaled: Floats = np.exp(logs - logs.max(axis=1, keepdims=True))
    return scaled


def _posterior(like: Floats, times: Floats) -> Floats:
    """[problem, atom] by a mixture that is fitted to the problems, each so many times."""
    weight = np.full(like.shape[1], 1 / like.shape[1])
    base = weight.copy()
    for _ in range(_ITERATIONS):
        total = like @ weight
        weight = weight * ((times / total) @ like) + base
        weight /= weight.sum()
    share = like * weight
    posterior: Floats = share / share.sum(axis=1, keepdims=True)
    return posterior


def _majority(ks: Sequence[int]) -> Floats:
    """[k, atom] the chance that right answers are more than the wrong one's among k, ties half; none at all loses."""
    g, w = _grid()
    rest = np.clip(1 - g - w, 0, 1)
    most = max(ks)
    lead = np.arange(-most, most + 1)
    law, edge = np.zeros((len(lead), len(g))), np.zeros((1, len(g)))
    law[most] = 1.0
    found = {}
    for k in range(1, most + 1):
        law = rest * law + g * np.concatenate([edge, law[:-1]]) + w * np.concatenate([law[1:], edge])
        if k in ks:
            found[k] = law[lead > 0].sum(axis=0) + (law[most] - rest**k) / 2
    return np.stack([found[k] for k in ks])


def forecast(
    codes: Ints,
    right: Floats,
    ks: Sequence[int],
    *,
    sizes: Ints | None = None,
    clusters: Sequence[str | None] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """maj@k and pass@k of fresh draws with their intervals, a row a k. Raises BadInput: no verdict, k out of range."""
    if not ks or min(ks) < 1 or max(ks) > MOST:
        wrong = next((k for k in ks if not 1 <= k <= MOST), None)
        raise BadInput(f"k = {wrong}", mend=f"give k from 1 to {MOST:,}")
    known = ~np.isnan(right).all(axis=1)
    if not known.any():
        raise BadInput("no answer is known to be right or wrong", mend="give each row its `gold`")
    counts = Counts.of(codes[known], right[known], None if sizes is None else sizes[known])
    like = _likelihood(counts)
    majority = _majority(ks)
    passes = 1 - (1 - _grid()[0])[None, :] ** np.asarray(ks)[:, None]
    unit = units_of([clusters[int(at)] for at in np.flatnonzero(known)] if clusters else None, len(like))
    generator = rng_of(seed, "forecast", len(like))
    units = int(unit.max()) + 1
    rows = [_means(like, np.ones(len(like)), majority, passes)]
    rows += [
        _means(like, generator.multinomial(units, np.full(units, 1 / units))[unit].astype(float), majority, passes)
        for _ in steps(range(resamples), "resamples")
    ]
    values = np.stack(rows)  # [resample, maj or pass, k]
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    alike = np.ptp(values, axis=0) < 1e-9  # where all problems look the same, resamples do too
    least, most = no_spread(values[0], units, (0.0, 1.0))
    low, high = np.where(alike, least, low), np.where(alike, most, high)
    columns = {"k": list(ks)}
    for at, name in enumerate(("maj", "pass")):
        columns |= {name: values[0, at], f"{name}_low": low[at], f"{name}_high": high[at]}
    return pl.DataFrame(columns)


def _means(like: Floats, times: Floats, majority: Floats, passes: Floats) -> Floats:
    """[maj or pass, k] means over the problems, each so many times."""
    kept = times > 0
    posterior = _posterior(like[kept], times[kept])
    share = (times[kept] @ posterior) / times.sum()
    means: Floats = np.stack([majority @ share, passes @ share])
    return means
