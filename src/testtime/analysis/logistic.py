"""Two tools for a yes-or-no question asked of numbers: a logistic law fitted to them, and how well they tell."""

from __future__ import annotations

import numpy as np

from testtime.core.history import Bools, Floats, Ints
from testtime.core.seeds import rng_of


def fit(features: Floats, labels: Bools, ridge: float = 1.0) -> Floats:
    """[1 + feature] bias and weights of P(label) = σ(bias + Σ weight · feature), by Newton's method.

    `features` [row, feature]. The ridge (on weights of standardised features) keeps separable data finite.
    """
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(len(features)), (features - middle) / spread])
    penalty = np.diag([1e-9, *np.full(features.shape[1], ridge)])
    found = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        curve = design.T @ (design * np.maximum(p * (1 - p), 1e-9)[:, None]) + penalty
        step = np.linalg.solve(curve, design.T @ (labels - p) - penalty @ found)
        found += step
        if np.abs(step).max() < 1e-8:
            break
    weights = found[1:] / spread
    return np.concatenate([[found[0] - float(weights @ middle)], weights])


def auc(scores: Floats, labels: Bools) -> float | None:
    """The chance that a yes scores higher than a no, ties half; None where either is missing.

    >>> auc(np.array([0.1, 0.9, 0.4]), np.array([False, True, False]))
    1.0
    """
    yes, no = int(labels.sum()), int((~labels).sum())
    if not yes or not no:
        return None
    ranks = ranked(scores)
    return float((ranks[labels].sum() - yes * (yes + 1) / 2) / (yes * no))


def ranked(values: Floats) -> Floats:
    """Ranks from 1; equal values share their mean rank.

    >>> ranked(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse])


def held_out(features: Floats, labels: Bools, groups: Ints, folds: int = 5, seed: int = 0) -> Floats:
    """[row] chances by laws that were fitted without the row's group (its problem): what cross-validation sees."""
    count = int(groups.max(initial=-1)) + 1
    fold = rng_of(seed, "folds", count).permutation(count) % min(folds, max(count, 1))
    chances = np.full(len(labels), np.nan)
    for at in range(int(fold.max(initial=-1)) + 1):
        held = fold[groups] == at
        law = fit(features[~held], labels[~held])
        chances[held] = 1 / (1 + np.exp(-np.clip(law[0] + features[held] @ law[1:], -30, 30)))
    return chances
