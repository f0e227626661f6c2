"""How sure a text was while it was written, from the log-probabilities of its most probable tokens (DeepConf).

A token's confidence is −(1/k) Σ log p of the k most probable tokens in its place: the higher, the more one of them
stands out; ln V where all V tokens are alike and listed. A group is a sliding window of tokens, and a text shorter
than the window is one group (Fu et al. 2025, arXiv 2508.15260).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from testtime.core.history import Floats

GROUP = 2048
"""Tokens of a group, as published."""
BOTTOM = 0.1
"""The share of the groups, the least sure ones, that `confidence_bottom` is the mean of."""
COLUMNS = ("confidence", "confidence_lowest", "confidence_bottom", "confidence_tail")
"""Of a whole text: its mean, its lowest group, the mean of the lowest tenth of groups, its last group."""


def by_token(logprobs: Sequence[Mapping[str, float]], k: int) -> Floats:
    """[token] the confidence of each, from at least the k most probable tokens in its place.

    A backend lists the token that came besides, where it is none of the k: it does not count.

    >>> by_token([{"a": -1.0, "b": -2.0, "c": -9.0}], 2).tolist()
    [1.5]
    """
    return np.array([-np.mean(sorted(one.values(), reverse=True)[:k]) for one in logprobs], dtype=float)


def groups(confidences: Floats, size: int = GROUP) -> Floats:
    """[window] the mean of each window of `size` tokens; the one mean of a shorter text.

    >>> groups(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [2.0, 4.0]
    """
    width = min(size, len(confidences))
    sums = np.concatenate([[0.0], np.cumsum(confidences)])
    means: Floats = (sums[width:] - sums[:-width]) / max(width, 1)
    return means


def summary(confidences: Floats, size: int = GROUP) -> dict[str, float]:
    """COLUMNS of one text; none of a text without tokens."""
    if not len(confidences):
        return {}
    means = groups(confidences, size)
    lowest = np.sort(means)[: max(1, int(len(means) * BOTTOM))]
    values = (confidences.mean(), lowest[0], lowest.mean(), confidences[-size:].mean())
    return {name: float(value) for name, value in zip(COLUMNS, values, strict=True)}
