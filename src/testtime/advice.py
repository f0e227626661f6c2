"""What to do, from pools: the functions behind recommend, plan, forecast and policies, beside those of api.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis import power, rules
from testtime.analysis.alarms import Alarm, of_pool
from testtime.analysis.bootstrap import accuracy_interval, units_of
from testtime.analysis.costs import WAYS, EnergyCurve, Way, parse_price, powered, priced
from testtime.analysis.estimators import maj_at_k, pass_at_k
from testtime.analysis.exact import CountRule
from testtime.analysis.forecast import forecast as forecasts
from testtime.analysis.limits import Headroom, headroom, least_draws
from testtime.analysis.recommend import Advice, Budget, ladder, needs_two
from testtime.analysis.recommend import recommend as recommended
from testtime.analysis.replay import has_gold
from testtime.analysis.replay import outcomes as replayed
from testtime.analysis.selective import Selective, selective
from testtime.analysis.voteless import voteless, voting
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints
from testtime.core.protocols import Learner, Policy
from testtime.core.strings import parse, text_of
from testtime.policies.bayes import Bayes
from testtime.policies.counts import COUNTS, boundary
from testtime.policies.priors import Prior, broad, learn
from testtime.policies.worth import expected, rule_for
from testtime.sources import Sources, pools_at
from testtime.store.beside import beside
from testtime.store.pool import Pool

KNOWN_SPENDS = frozenset({"prompt", "cached", "completion", "reasoning", "seconds", "usd", "joules", "truncated"})
"""Columns of a pool that are no scores."""
NO_SCORES = ("oracle(", "refus", "persona_")
"""How further ones begin: what saw the reference, and what says nothing of being right."""


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Advice, with what stands around it."""

    advice: Advice
    heads: Sequence[tuple[str, Headroom]]
    """Run → pass@k − maj@k over all its draws."""
    limit: float | None
    """Least draws of any rule of counts with the advised setting's agreement; None where it has none of its own."""
    draws: float | None
    """Draws of the advised setting."""
    alarms: Sequence[Alarm]
    """Those that ring."""

    @property
    def ratio(self) -> float | None:
        """Draws beside the limit."""
        return None if self.limit is None or self.draws is None else self.draws / self.limit


def recommend(
    pools: Sources,
    budget: str,
    *,
    questions: int | None = None,
    policies: Sequence[str] | None = None,
    price: str | None = None,
    way: Way = "n",
    prompt_tokens: float | None = None,
    joules: Sequence[str] | None = None,
    others: float = 0.0,
    orders: int = 100,
    seed: int = 0,
) -> Recommendation:
    """Which (model, policy, setting) to deploy under a budget: `analysis.recommend`. Raises BadInput.

    `joules` are `batch:joules` a token: the energy of draws side by side, and of `others` in the batch.
    """
    limit = Budget.of(budget, questions)
    if way not in WAYS:
        raise BadInput(f"way {way!r} is not known", mend=f"give one of {', '.join(WAYS)}")
    opened = list(pools_at(pools))
    frames = []
    for pool in opened:
        if not has_gold(pool):
            raise BadInput("no answer is known to be right or wrong", where=pool.run, mend="give each row its `gold`")
        needs_two(units_of(pool.clusters, len(pool.problems)), pool.run)
        frames.append(replayed(pool, _compared(pool, policies), orders=orders, seed=seed, exact=False))
    outcomes = pl.concat(frames)
    if price is not None:
        outcomes = priced(outcomes, parse_price(price), way, prompt_tokens)
    if joules:
        outcomes = powered(outcomes, EnergyCurve.parse(joules), others)
    advice = recommended(outcomes, limit, seed=seed)
    best = advice.ranked.row(0, named=True)
    chosen = outcomes.filter(pl.col(name).eq_missing(best[name]) for name in ("run", "arm", "policy", "setting"))
    draws = (
        next(pool.arms[best["arm"]] for pool in opened if pool.run == best["run"]) if "+" not in best["arm"] else None
    )
    agreement = chosen["agreement"].mean()
    short = draws is None or agreement is None or draws.sampled > 128
    return Recommendation(
        advice,
        headrooms(opened),
        None if short or draws is None else least_draws(draws.codes[:, : draws.sampled], float(agreement)),  # type: ignore[arg-type]
        chosen["candidates"].mean(),  # type: ignore[arg-type]
        [alarm for pool in opened for alarm in of_pool(pool) if alarm.rings],
    )


def headrooms(pools: Sequence[Pool]) -> list[tuple[str, Headroom]]:
    """(Run and arm, what a perfect verifier has more than voting) where anybody votes."""
    return [
        (f"{pool.run}, {label}", headroom(one.codes[:, : one.sampled], one.right[:, : one.sampled], one.sampled))
        for pool in pools
        if not voteless(pool).all()
        for label, one in voting(pool).arms.items()
    ]


def _compared(pool: Pool, policies: Sequence[str] | None) -> list[Policy]:
    if policies:
        return [parse("policy", text) for text in policies]
    draws = min(draws.sampled for draws in pool.arms.values())
    shared = set.intersection(*(set(draws.columns) for draws in pool.arms.values()))
    scores = sorted(name for name in shared - KNOWN_SPENDS if not name.startswith(NO_SCORES))
    below = {name for name in scores if any((one.column(name) < 0).any() for one in pool.arms.values())}
    return [
        parse("policy", text)
        for text in ladder(draws, scores)
        if not (text.startswith("weighted:") and text.rpartition("by=")[2] in below)  # no weight of a vote
    ]


def plan(
    pilot: Sources, effect: float, power_: float = 0.8, policy: str = "sc_fixed:n=1", against: str | None = None
) -> pl.DataFrame:
    """Designs that settle a comparison: `analysis.power.plan`. Two pools are the two sides; with one, `policy` is set
    beside `against` (by default the vote over all its draws). Raises BadInput.
    """
    opened = list(pools_at(pilot))
    if len(opened) > 2:
        raise BadInput(f"{len(opened)} pools are no comparison", mend="give one pilot or two")
    first, last = opened[0], opened[-1]
    most = min(draws.sampled for draws in last.arms.values())
    other = against or (policy if len(opened) == 2 else f"sc_fixed:n={most}")
    sides = [_alone(pool, text) for pool, text in ((first, policy), (last, other))]
    return power.plan(sides[0], sides[1], effect, power_)


def _alone(pool: Pool, text: str) -> pl.DataFrame:
    if len(pool.arms) != 1 or not has_gold(pool):
        raise BadInput("a pilot needs one arm and gold answers", where=pool.run, mend="give a pool of one arm")
    return replayed(pool, [parse("policy", text)])


def forecast(pools: Sources, to: int, *, seed: int = 0) -> pl.DataFrame:
    """maj@k and pass@k to k = `to`, beyond the pool's draws: `analysis.forecast`, a row a (run, arm, k).

    Of a pool some of whose splits have no votes, over the others. Raises BadInput.
    """
    frames = []
    for pool in map(voting, pools_at(pools)):
        for label, draws in pool.arms.items():
            n = draws.sampled
            ks = sorted({k for k in (2**at for at in range(20)) if k <= to} | {min(n, to), to})
            found = forecasts(draws.codes[:, :n], draws.right[:, :n], ks, clusters=pool.clusters, seed=seed)
            found = _known(found, draws.codes[:, :n], draws.right[:, :n], pool, seed)
            named = [pl.lit(pool.run).alias("run"), pl.lit(label).alias("arm"), pl.lit(n).alias("pool_draws")]
            frames.append(found.select(*named, pl.all()))
    return pl.concat(frames)


def _known(table: pl.DataFrame, codes: Ints, right: Floats, pool: Pool, seed: int) -> pl.DataFrame:
    """With the exact estimates in place of the forecast as far as the pool reaches."""
    ks = [k for k in table["k"] if k <= codes.shape[1]]
    unit = units_of(pool.clusters, len(codes))
    rows = []
    for k in ks:
        row: dict[str, Any] = {"k": k}
        for name, values in (("maj", maj_at_k(codes, right, [k])), ("pass", pass_at_k(right, [k]))):
            low, high = accuracy_interval(values[:, 0], unit, seed=seed)
            row |= {name: float(np.nanmean(values)), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pl.concat([pl.DataFrame(rows, schema=table.schema), table[len(ks) :]])


def together(small: Sources, large: Sources) -> Pool:
    """Two pools of the same problems as arms `small` and `large`, for a cascade. Raises BadInput."""
    one, two = (list(pools_at(side)) for side in (small, large))
    if len(one) != 1 or len(two) != 1:
        raise BadInput(f"{len(one)} and {len(two)} pools", mend="a cascade needs one pool on each side")
    return beside(one[0], two[0])


# ---- rules by themselves ----
def rule_table(text: str, delta: float | None = None, seed: int = 0) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """(Boundary: the smallest v1 for each v2, None for a rule that is none of counts; behaviour by difficulty).

    `delta` is the error of the bound beside the draws; without it the policy's own, else 0.05.
    """
    policy = parse("policy", text)
    if delta is None:
        delta = getattr(policy, "delta", 0.05)
    if isinstance(policy, Learner) and policy.learns:
        policy = replace(policy, prior=())  # type: ignore[type-var]
    most = policy.most
    edge = None
    if isinstance(policy, CountRule) and policy.reads <= COUNTS and most is not None and most <= rules.MOST_EXACT:
        least = boundary(policy, most)
        edge = pl.DataFrame({"v2": range(len(least)), "v1": least}).filter(pl.col("v1") <= most)
    return edge, rules.table(policy, delta, seed)


def risk(text: str, pools: Sources, *, seed: int = 0) -> list[tuple[str, Selective]]:
    """(Run and arm, its answers by how sure a policy is of them, as drawn) of each pool. Raises BadInput."""
    policy = parse("policy", text)
    found = []
    for pool in pools_at(pools):
        if not has_gold(pool):
            raise BadInput("no answer is known to be right or wrong", where=pool.run, mend="give each row its `gold`")
        table = replayed(pool, [policy], realised=True, seed=seed)
        several = len(pool.arms) > 1
        found += [
            (f"{pool.run}, {arm[0]}" if several else pool.run, selective(part, seed=seed))
            for arm, part in table.group_by("arm", maintain_order=True)
        ]
    return found


def fit(text: str, pools: Sources) -> str:
    """The policy with what it learns of these pools, as text: what a live run can take. Raises BadInput."""
    policy = parse("policy", text)
    if not isinstance(policy, Learner):
        raise BadInput(f"{policy.name} learns nothing", mend="give bayes, greedy_budget or batch_sequential")
    opened = list(pools_at(pools))
    if len(opened) != 1 or len(opened[0].arms) != 1:
        raise BadInput("learning needs one pool of one arm", mend="give one run")
    (draws,) = opened[0].arms.values()
    needs: frozenset[str] = getattr(policy, "needs", frozenset())
    if missing := needs - draws.columns.keys():
        raise BadInput(f"no column {min(missing)!r}", where=opened[0].run, mend="leave `by` out")
    columns = {name: draws.columns[name][:, : draws.sampled] for name in needs}
    return text_of(policy.fitted(draws.codes[:, : draws.sampled], columns))


def design(max_n: int, draws: float | None, error: float | None, pools: Sources | None = None) -> dict[str, Any]:
    """A `bayes` rule for a wanted mean of draws, or a wanted chance of another answer than all max_n draws give.

    Under the broad prior, or the one that is learned from a pool: `policy`, `draws`, `error`. Raises BadInput.
    """
    if (draws is None) == (error is None):
        raise BadInput("a design is for draws or for an error", mend="give one of --draws and --error")
    if draws is not None and not 1 <= draws <= max_n:
        raise BadInput(f"a mean of {draws:g} draws cannot be", mend=f"give one from 1 to max_n, {max_n}")
    if error is not None and not 0 < error < 1:
        raise BadInput(f"an error of {error:g} cannot be", mend="give a chance between 0 and 1")
    prior: Prior = broad()
    if pools is not None:
        codes = [d.codes[:, : d.sampled] for pool in pools_at(pools) for d in pool.arms.values()]
        prior = learn(codes[0])
    if error is not None:
        found = 1 - error
    else:
        low, high = 0.3, 1 - 1e-6
        for _ in range(40):
            middle = 1 - ((1 - low) * (1 - high)) ** 0.5
            fits = expected(prior, max_n, rule_for(prior, max_n, middle))[0] <= (draws or 0)
            low, high = (middle, high) if fits else (low, middle)
        found = floor(low * 1e6) / 1e6  # upwards it could draw more
    policy = Bayes(max_n, agreement=round(found, 6), prior=() if pools is None else prior.texts())
    spent, missed = expected(prior, max_n, rule_for(prior, max_n, policy.agreement))
    return {"policy": text_of(policy), "draws": spent, "error": missed}
