"""A draw from the law of the next token, in torch: the very law and random numbers of pocket/sampling.py.

So a candidate of one seed is the same here and there, up to where rounding turns a near-tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from testtime.models.pocket.params import Params
from testtime.models.pocket.sampling import uniforms

Tensor = Any
"""A torch.Tensor."""


def choose(logits: Tensor, seeds: Sequence[int], params: Sequence[Params], positions: Sequence[int]) -> Tensor:
    """[row] one token each of logits [row, vocabulary]; at temperature 0 the most probable."""
    import torch

    chosen = logits.argmax(-1)
    warm = [row for row, one in enumerate(params) if one.temperature > 0]
    if not warm:
        return chosen
    rows = torch.tensor(warm, device=logits.device)
    weights = law(logits[rows], [params[row] for row in warm])
    exact = torch.float32 if logits.device.type == "mps" else torch.float64  # mps has no double
    heights = weights.to(exact).cumsum(-1)
    dice = uniforms(
        np.array([seeds[row] % 2**64 for row in warm], dtype=np.uint64), np.array([positions[row] for row in warm])
    )
    targets = torch.from_numpy(dice).to(logits.device, exact)[:, None] * heights[:, -1:]
    chosen[rows] = (heights <= targets).sum(-1).clamp_max(logits.shape[-1] - 1)
    return chosen


def law(logits: Tensor, params: Sequence[Params]) -> Tensor:
    """[row, token] weights proportional to the probabilities, 0 for tokens that top-k or top-p cut."""
    import torch

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=logits.device)[:, None]

    weights = logits.float() / column([one.temperature for one in params])
    weights = (weights - weights.amax(-1, keepdim=True)).exp()
    if all(one.top_k == 0 and one.top_p >= 1 for one in params):
        return weights
    size = weights.shape[-1]
    falling = weights.sort(-1, descending=True).values
    ranks = column([min(one.top_k, size) - 1 if one.top_k else size - 1 for one in params])
    floor = falling.gather(-1, ranks)
    falling = falling.where(falling >= floor, 0)
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    reached = falling.to(exact).cumsum(-1)
    kept = (reached - falling < column([one.top_p for one in params]) * reached[:, -1:]) & (falling > 0)
    kept[:, 0] = True
    last = falling.gather(-1, kept.sum(-1, keepdim=True) - 1)
    cuts = column([float(one.top_p < 1) for one in params]) > 0
    return weights.where(weights >= torch.where(cuts, last, floor), 0)
