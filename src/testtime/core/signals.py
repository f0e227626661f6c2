"""What the law of a model's next token says of its certainty: entropy and kin, all in base 2.

With p the probabilities of the next token: entropy H = −Σ p log2 p in bits, varentropy Σ p (log2 p + H)² in bits²,
`top_prob` the largest p, and `prob_top2_diff` the largest less the second. Attention's statistics are a backend's
(`States`): attn_entropy, attn_varentropy, agreement and interaction_strength, as entropix defines them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from testtime.core.history import Floats

LAW = ("entropy", "varentropy", "top_prob", "prob_top2_diff")
ATTENTION = ("attn_entropy", "attn_varentropy", "agreement", "interaction_strength")
STATISTICS = (*LAW, *ATTENTION)
LISTED = 5
"""How many of the most probable tokens are asked for where only these are known."""


def statistics(law: Floats) -> dict[str, float]:
    """The four statistics of natural log-probabilities [token] that sum to one.

    >>> [round(value, 6) + 0.0 for value in statistics(np.log([0.25, 0.25, 0.25, 0.25])).values()]
    [2.0, 0.0, 0.25, 0.0]
    """
    known = law[np.isfinite(law)]  # a token that cannot come adds nothing
    bits, p = -known / np.log(2), np.exp(known)
    entropy = float(p @ bits)
    first, second = np.sort(np.append(p, 0.0))[::-1][:2]
    return dict(zip(LAW, (entropy, float(p @ (bits - entropy) ** 2), float(first), float(first - second)), strict=True))


def listed(best: Mapping[str, float]) -> dict[str, float]:
    """The same of the few most probable tokens that a backend lists, token → natural log-probability.

    What they leave over counts as one token more. So entropy is a lower bound, varentropy an estimate, and the
    other two are exact, where at least two tokens are listed.

    >>> round(listed({"a": np.log(0.5), "b": np.log(0.25)})["entropy"], 6)
    1.5
    """
    law = np.array(sorted(best.values(), reverse=True), dtype=float)
    left = 1.0 - float(np.exp(law).sum())
    found = statistics(np.append(law, np.log(left)) if left > 1e-9 else law)
    first, second = np.exp(np.append(law, -np.inf)[:2])
    return found | {"top_prob": float(first), "prob_top2_diff": float(first - second)}


def left_over(best: Mapping[str, float]) -> float:
    """The probability of all tokens that are not listed."""
    return max(0.0, 1.0 - float(np.exp(list(best.values())).sum()))


def by_token(logprobs: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """`listed` of each token of a completion's logprobs."""
    return [listed(one) for one in logprobs]
