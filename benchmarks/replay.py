"""How long a replay takes: 1,318 problems of 40 draws, maj@k for every k, ten adaptive rules, 100 shared orders.

Beside it a plain Python loop over the same rules and, where it is installed, the package AdaptiveConsistency;
both on a part of the work, scaled to the whole.

    python -m benchmarks.replay [FILE]      FILE holds rows `{id, gold, answers[], tokens[]}`
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[name] = "1"  # read when the libraries are loaded, hence before them

import numpy as np  # noqa: E402

from testtime.analysis.replay import outcomes  # noqa: E402
from testtime.core.records import Arm  # noqa: E402
from testtime.core.strings import parse  # noqa: E402
from testtime.policies.adaptive_margin import AdaptiveMargin  # noqa: E402
from testtime.policies.stops.beta import Beta  # noqa: E402
from testtime.policies.stops.dirichlet import leads  # noqa: E402
from testtime.store.frame import pool_of  # noqa: E402
from testtime.store.pool import Draws, Pool  # noqa: E402

PROBLEMS, DRAWS, ORDERS = 1318, 40, 100
FIXED = [parse("policy", f"sc_fixed:n={k}") for k in range(1, DRAWS + 1)]
RULES = (
    "stop_rule=share", "stop_rule=margin", "stop_rule=entropy", "stop_rule=beta", "stop_rule=beta,threshold=.99",
    "stop_rule=dirichlet", "stop_rule=sprt", "stop_rule=sprt,p1=.8", "stop_rule=window", "stop_rule=lossless",
)  # fmt: skip
TEN = [cast(AdaptiveMargin, parse("policy", f"adaptive_margin:max_n={DRAWS},{rule}")) for rule in RULES]
SOME = 400
"""Problems that the slow loops take, in one order each."""


@dataclass(frozen=True)
class Timing:
    """One line of the table."""

    what: str
    seconds: float
    note: str = ""


def main(path: str | None) -> None:
    """Times everything and prints it."""
    pool = recorded(path) if path else synthetic()
    print(f"{pool.run}: {len(pool.problems):,} problems × {DRAWS} draws, processor time on one core")
    for line in timings(pool):
        print(f"{line.what:<58} {line.seconds:>9.2f} s   {line.note}")


def timings(pool: Pool) -> Iterator[Timing]:
    """Every measurement, as it is made."""
    first, best = repeated(lambda: outcomes(pool, [*FIXED, *TEN], orders=ORDERS, exact=False))
    yield Timing(
        "all maj@k ≤ 40, ten rules over 100 shared orders", best, f"aim < 1 s; best of 5, the first {first:.2f} s"
    )
    first, best = repeated(lambda: outcomes(pool, FIXED, orders=ORDERS), times=3)
    yield Timing("    of which all maj@k ≤ 40, exact", best)
    for rule, policy in zip(RULES, TEN, strict=True):
        _, best = repeated(lambda policy=policy: outcomes(pool, [policy], orders=ORDERS, exact=False), times=2)  # type: ignore[misc]
        yield Timing(f"    alone, with its own orders: {rule}", best)
    start = time.process_time()
    table = outcomes(pool, TEN, orders=ORDERS)
    share = table.filter(table["method"] == "exact").height / table.height
    yield Timing(
        "ten rules, exact laws where they exist", time.process_time() - start, f"aim < 10 s; exact: {share:.1%}"
    )
    yield plain_loop(pool)
    yield package(pool)


def repeated(work: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Processor seconds of the first run, and of the fastest: on one core, whatever else the machine does."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return taken[0], min(taken)


def recorded(path: str) -> Pool:
    """A file of answers, repeated under new names until there are enough problems."""
    from testtime.importers.answers import read

    got = read(path)
    return resized(pool_of(got.frame, got.meta))


def resized(pool: Pool) -> Pool:
    """The pool with its problems repeated, or cut, to `PROBLEMS`."""
    at = [i % len(pool.problems) for i in range(PROBLEMS)]
    arms = {
        label: replace(
            draws,
            codes=draws.codes[at],
            right=draws.right[at],
            columns={name: column[at] for name, column in draws.columns.items()},
            sizes=None if draws.sizes is None else draws.sizes[at],
        )
        for label, draws in pool.arms.items()
    }
    keys = [pool.keys[i] for i in at]
    problems = [f"{i}:{pool.problems[j]}" for i, j in enumerate(at)]
    return replace(pool, problems=problems, splits=[pool.splits[i] for i in at], arms=arms, keys=keys, clusters=None)


def synthetic() -> Pool:
    """Half the problems unanimous, the others from easy to hopeless: a small model on grade-school math."""
    rng = np.random.default_rng(0)
    ease = np.where(rng.uniform(size=PROBLEMS) < 0.55, 1.0, rng.beta(2, 0.7, PROBLEMS))
    hit = rng.uniform(size=(PROBLEMS, DRAWS)) < ease[:, None]
    codes = np.where(hit, 0, rng.geometric(0.3, (PROBLEMS, DRAWS))).astype(np.int16)
    tokens = rng.gamma(6, 22, (PROBLEMS, DRAWS)).round()
    draws = Draws(Arm("arm", {"model": "synthetic"}), codes, hit.astype(float), {"completion": tokens})
    names = [[str(code) for code in range(int(codes.max()) + 1)]] * PROBLEMS
    queries = [str(i) for i in range(PROBLEMS)]
    return Pool("synthetic", "synthetic", queries, ["test"] * PROBLEMS, {"arm": draws}, names)


# ---- the same rules, the plain way ----
def plain_loop(pool: Pool) -> Timing:
    """One draw after another, counted anew each time."""
    orders = shuffled(pool)
    start = time.process_time()
    drawn = [
        [next(n for n in range(1, DRAWS + 1) if plain_stop(policy, votes[:n])) for votes in orders] for policy in TEN
    ]
    taken = time.process_time() - start
    scaled = taken * PROBLEMS * ORDERS / len(orders)
    mean = np.mean(drawn)
    return Timing(
        "the ten rules in a plain Python loop, scaled",
        scaled,
        f"{taken:.2f} s for {len(orders)} of 131,800 rows, {mean:.1f} draws",
    )


def shuffled(pool: Pool) -> list[list[int]]:
    """Some problems spread over the pool, each in one order."""
    codes = next(iter(pool.arms.values())).codes
    rng = np.random.default_rng(1)
    return [rng.permutation(codes[at]).tolist() for at in np.linspace(0, len(codes) - 1, SOME).astype(int)]


def plain_stop(policy: AdaptiveMargin, votes: Sequence[int]) -> bool:
    """The whole predicate of a policy on a list of votes."""
    n, counts = len(votes), sorted(Counter(vote for vote in votes if vote >= 0).values(), reverse=True)
    v1, v2 = [*counts, 0, 0][:2]
    if n >= policy.max_n:
        return True
    settled = policy.curtail and v1 - v2 > policy.max_n - n
    return n >= policy.min_samples and (settled or plain_rule(policy, list(votes), counts, v1, v2))


def plain_rule(policy: AdaptiveMargin, votes: list[int], counts: list[int], v1: int, v2: int) -> bool:
    """The rule alone."""
    rule: Any = policy.rule
    n = len(votes)
    threshold: float = getattr(rule, "threshold", 0.0)
    if rule.name == "share":
        return bool(v1 / n >= threshold)
    if rule.name == "margin":
        return bool((v1 - v2) / n >= threshold)
    if rule.name == "sprt":
        return bool(v1 - v2 >= rule.lead)
    if rule.name == "window":
        width: int = rule.width
        return n % width == 0 and votes[-1] >= 0 and len(set(votes[-width:])) == 1
    if rule.name == "entropy":
        classes = counts + [n - sum(counts)] * (n > sum(counts))
        bits = -sum(c / n * math.log2(c / n) for c in classes)
        return bool(1 - bits / math.log2(max(2, len(classes))) >= threshold and v1 > n - sum(counts))
    if rule.name in ("beta", "dirichlet") and (rule.name == "beta" or len(counts) < 3):
        m = v1 + v2 + 1
        return bool(1 - sum(math.comb(m, k) for k in range(v2 + 1)) / 2**m >= threshold)
    return rule.name == "dirichlet" and bool(leads(np.array([[*counts, 0, 0][:5]]))[0] >= threshold)


def package(pool: Pool) -> Timing:
    """The rule `beta` as the package AdaptiveConsistency decides it, and whether it stops where ours does."""
    what = "beta by the package AdaptiveConsistency, scaled"
    try:
        rule = import_module("adaptive_consistency").BetaStoppingCriteria(0.95)
    except ImportError as error:
        return Timing(what, math.nan, f"skipped: {error}")
    ours = AdaptiveMargin(Beta(), DRAWS, curtail=False)
    orders = shuffled(pool)
    start = time.process_time()
    theirs = [next((n for n in range(1, DRAWS) if rule.should_stop(votes[:n])["stop"]), DRAWS) for votes in orders]
    taken = time.process_time() - start
    alike = [next(n for n in range(1, DRAWS + 1) if plain_stop(ours, votes[:n])) for votes in orders]
    same = sum(a == b for a, b in zip(theirs, alike, strict=True))
    return Timing(
        what, taken * PROBLEMS * ORDERS / len(orders), f"{taken:.2f} s for {len(orders)} rows; stops alike in {same}"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
