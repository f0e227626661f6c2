"""Attention statistics as an earlier tool computed them, for comparison with its numbers and for nothing else.

It took the attention weights a = softmax(scores) of all queries, put them through a softmax once more, varied over
queries instead of heads, and took the mean of the weights for interaction strength. So its attention is flattened,
future keys have weight, and its interaction strength is one over the number of keys: use the corrected statistics.
"""

from __future__ import annotations

import numpy as np

from testtime.models.pocket.sampling import Reals


def original_stats(scores: Reals) -> dict[str, float]:
    """Of raw scores [head, query, key] of a text's last layer, all queries and keys, the future not yet masked."""
    queries = scores.shape[1]
    masked = np.where(np.tril(np.ones((queries, queries), dtype=bool)), scores, -np.inf)
    weights = _softmax(masked)
    again = _softmax(weights)
    entropies = -(again * np.log2(np.clip(again, 1e-10, 1))).sum(axis=2)
    spread = entropies.var(axis=1, ddof=1).mean() if queries > 1 else 0.0
    return {
        "attn_entropy": float(entropies.mean()),
        "attn_varentropy": float(spread),
        "agreement": float(np.abs(again - again.mean(axis=0)).mean()),
        "interaction_strength": float(np.abs(weights).mean()),
    }


def _softmax(values: Reals) -> Reals:
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
