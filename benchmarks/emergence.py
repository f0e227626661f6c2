"""False positives and power of the nulls for curves over budgets, by simulation; best fits by BIC.

    python -m benchmarks.emergence [RUNS]      1,000 runs a cell without

Problems differ in difficulty (normal, sd 0.15, clipped to 0 … 1); completions are Bernoulli. Seven budgets.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from testtime.analysis.emergence_fit import fits
from testtime.analysis.emergence_null import flat_null, smooth_null
from testtime.core.history import Floats
from testtime.core.seeds import rng_of

STEPS = np.arange(7)
BUDGETS = [float(2**exponent) for exponent in range(3, 10)]
COURSES = {
    "flat at 40 %": np.full(7, 0.4),
    "flat at 5 %": np.full(7, 0.05),
    "even rise of 40": 0.2 + 0.4 * STEPS / 6,
    "even rise of 80": 0.1 + 0.8 * STEPS / 6,
    "jump of 20": np.where(STEPS >= 4, 0.4, 0.2),
    "jump of 40": np.where(STEPS >= 4, 0.6, 0.2),
}
SIZES = ((30, 5), (30, 1), (200, 3))


def outcomes(course: Floats, problems: int, completions: int, seed: int) -> Floats:
    """[problem, budget, completion]."""
    rng = rng_of(seed, "benchmark", problems, completions, *course.tolist())
    chance = np.clip(course + rng.normal(0, 0.15, (problems, 1)), 0, 1)
    return (rng.random((problems, len(course), completions)) < chance[:, :, None]).astype(float)


def main(runs: int) -> None:
    """Prints one line a course and size."""
    print(
        f"{runs:,} runs a line; share of p ≤ .05, standard error at 5 %: {100 * np.sqrt(0.05 * 0.95 / runs):.1f} points"
    )
    print(f"{'course':>16} {'size':>9} {'change':>8} {'jump':>8} {'sharp':>8}   lowest BIC")
    for problems, completions in SIZES:
        for name, course in COURSES.items():
            start = time.process_time()
            found = np.zeros(3)
            best: dict[str, int] = {}
            for seed in range(runs):
                y = outcomes(course, problems, completions, seed)
                each = y.mean(axis=2)
                flat = flat_null(y, seed, resamples=199)
                found += np.array([flat.p_change, flat.p, smooth_null(each, seed=seed)]) <= 0.05
                model = fits(each, BUDGETS)[0].model
                best[model] = best.get(model, 0) + 1
            shares = " ".join(f"{100 * share:7.1f}%" for share in found / runs)
            fitted = ", ".join(f"{model} {100 * count / runs:.0f}%" for model, count in sorted(best.items()))
            print(
                f"{name:>16} {problems:>5} × {completions} {shares}   {fitted}  ({time.process_time() - start:.0f} s)"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
