"""Pools of several budgets whose curves are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from testtime.core.history import Floats
from testtime.core.records import Arm
from testtime.core.seeds import rng_of
from testtime.store.pool import Draws, Pool

BUDGETS = (8, 16, 32, 64, 128, 256, 512)
STEPS = np.arange(len(BUDGETS))


def pool(
    chance: Floats,
    probability: Floats | None = None,
    *,
    problems: int = 40,
    completions: int = 4,
    model: str = "fake:1B",
    split: str = "test",
    budgets: Sequence[int] = BUDGETS,
    columns: Mapping[str, Callable[[int], float]] | None = None,
    seed: int = 0,
) -> Pool:
    """Right with `chance` [budget]; the gold answer's probability is `probability` [budget] and some noise."""
    rng = rng_of(seed, "pool", model, split)
    arms = {}
    hard = rng.normal(0, 0.05, problems)[:, None]
    for at, budget in enumerate(budgets):
        right = (rng.random((problems, completions)) < np.clip(chance[at] + hard, 0, 1)).astype(float)
        extra = {name: np.full(right.shape, what(budget)) for name, what in (columns or {}).items()}
        if probability is not None:
            noise = rng.normal(0, 0.01, right.shape)
            extra["oracle(answer_probability)"] = np.clip(probability[at] + hard + noise, 0, 1)
            extra["answer_entropy"] = 8 * (1 - probability[at]) + rng.normal(0, 0.05, right.shape)
        arm = Arm(f"budget:budget={budget}", {"model": model}, decoding={"kind": "budget", "budget": budget})
        arms[arm.label] = Draws(arm, np.zeros(right.shape, dtype=np.int16), right, extra)
    names = [f"{split}-{at}" for at in range(problems)]
    return Pool("run", "data", names, [split] * problems, arms, [["1"]] * problems)


LINE = 0.1 + 0.8 * STEPS / 6
JUMP = np.where(STEPS >= 4, 0.8, 0.1)
