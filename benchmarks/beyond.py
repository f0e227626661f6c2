"""The policies beyond a fixed n on recorded samples: draws, accuracy, agreement, and the processor time they take.

python -m benchmarks.beyond FILE [ORDERS]      FILE holds rows `{id, gold, answers[], tokens[]}`
"""

from __future__ import annotations

import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[name] = "1"  # read when the libraries are loaded, hence before them

import time  # noqa: E402

from benchmarks.replay import resized  # noqa: E402
from testtime.analysis.replay import outcomes  # noqa: E402
from testtime.core.strings import parse  # noqa: E402
from testtime.importers.answers import read  # noqa: E402
from testtime.store.frame import pool_of  # noqa: E402

TEXTS = (
    "sc_fixed:n=40", "adaptive_margin:stop_rule=beta,threshold=0.95,max_n=40",
    "adaptive_margin:stop_rule=beta,threshold=0.99,max_n=40", "adaptive_margin:stop_rule=lossless,max_n=40",
    "curtail:max_n=40,epsilon=0.05", "curtail:max_n=40,epsilon=0.01", "curtail:max_n=40,epsilon=0.01,over=shares",
    "certified:max_n=40", "bayes:max_n=40,agreement=0.99", "bayes:max_n=40,agreement=0.995",
    "bayes:max_n=40,agreement=0.999", "batch_sequential:max_n=40,agreement=0.99",
    "batch_sequential:max_n=40,agreement=0.995,prior=(learn)", "greedy_budget:mean_n=3", "greedy_budget:mean_n=4",
    "greedy_budget:mean_n=4,rank=blend", "greedy_budget:mean_n=5.5", "greedy_budget:mean_n=5.5,prior=(learn)",
    "greedy_budget:mean_n=4,prior=(learn),by=completion", "greedy_budget:mean_n=5.5,prior=(learn),by=completion",
)  # fmt: skip


def main(path: str, orders: int) -> None:
    """One line a policy, then the time of all of them on 1,318 problems and 100 orders."""
    got = read(path)
    pool = pool_of(got.frame, got.meta)
    print(f"{pool.run}: {len(pool.problems)} problems, {orders} orders where the law is not exact")
    for text in TEXTS:
        table = outcomes(pool, [parse("policy", text)], orders=orders)
        correct, error = table["correct"].mean(), (float(table["correct_var"].mean() or 0) / table.height) ** 0.5
        certified = table["certified"].mean()
        print(
            f"{text:<56} {table['candidates'].mean():7.3f} draws  {100 * correct:7.3f} ± {100 * error:.3f} %"
            f"  same {100 * table['agreement'].mean():7.3f} %" + (f"  certified {certified:.3f}" if certified else "")
        )
    large = resized(pool)
    start = time.process_time()
    outcomes(large, [parse("policy", text) for text in TEXTS], orders=100, exact=False)
    print(f"all {len(TEXTS)} on {len(large.problems):,} × 40 over 100 orders: {time.process_time() - start:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200)
