"""How often a verifier is wrong, from a sample of its verdicts that somebody labelled.

The sample is stratified: by verdict, rule and confidence, so that rare rules are looked at too. Every stratum is
weighed by its share of all rows. Intervals are of the posterior of each stratum's share under Jeffreys' prior, drawn
together (2.5 to 97.5 %): they hold also where a stratum has few labels or no error.

false negatives   of the answers called wrong, the share that is right
false positives   of the answers called right, the share that is wrong
accuracy          as the verifier says, and corrected by both
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.core.seeds import rng_of

STRATA = ("is_verified", "verification_method", "sure")
DRAWS = 4000
"""Of the posterior."""
LABELS = ("right", "wrong", "skip")


@dataclass(frozen=True)
class Rate:
    """A share with its interval, and how many labels it rests on."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Audited:
    """What the labels say."""

    false_negative: Rate
    false_positive: Rate
    said: float
    """Accuracy as the verifier says, over judged rows."""
    accuracy: Rate
    """Corrected."""


def stratified(frame: pl.DataFrame) -> pl.DataFrame:
    """The judged rows with the column `sure`: the confidence, to one decimal below."""
    judged = frame.filter(pl.col("is_verified").is_not_null())
    sure = (pl.col("verification_confidence").fill_null(0.0) * 10).floor() / 10
    return judged.with_columns(sure=sure, verification_method=pl.col("verification_method").fill_null("unknown"))


def sample(frame: pl.DataFrame, n: int, seed: int = 0) -> pl.DataFrame:
    """`n` rows to be labelled, of every stratum at least one, else as many as its share. Raises BadInput."""
    rows = stratified(frame)
    if not rows.height:
        raise BadInput("no candidate has a verdict", mend="judge them first: testtime verify")
    dice = rng_of(seed, "audit")
    groups = rows.with_columns(_dice=pl.Series(dice.random(rows.height))).partition_by(STRATA)
    counts = shares([group.height for group in groups], min(n, rows.height))
    chosen = [group.sort("_dice").head(count) for group, count in zip(groups, counts, strict=True)]
    return pl.concat(chosen).sort("_dice").drop("_dice")


def shares(sizes: Sequence[int], n: int) -> list[int]:
    """How many of each stratum: one each, the rest by size, never more than there are."""
    counts = [1 if at < n else 0 for at in range(len(sizes))]
    while sum(counts) < n:
        open_ = [at for at, size in enumerate(sizes) if counts[at] < size]
        counts[min(open_, key=lambda at: counts[at] / sizes[at])] += 1
    return counts


def audited(frame: pl.DataFrame, labels: Mapping[tuple[str, str, int], str], seed: int = 0) -> Audited:
    """Rates from labels, by (arm, query_id, candidate_idx): right or wrong. Raises BadInput where none is usable."""
    rows = stratified(frame).with_row_index("_at")
    said = [labels.get(key) for key in rows.select("arm", "query_id", "candidate_idx").iter_rows()]
    rows = rows.with_columns(right=pl.Series([{"right": True, "wrong": False}.get(one or "") for one in said]))
    if not rows["right"].count():
        what = "no label fits a verdict of this pool" if labels else "no verdict is labelled"
        raise BadInput(what, mend=f"labels are {' or '.join(LABELS)}")
    dice = rng_of(seed, "posterior")
    sides = {value: _side(rows.filter(pl.col("is_verified") == value), dice) for value in (False, True)}
    share = float(rows.select(pl.col("is_verified").mean()).item())
    n = {value: int(rows.filter(pl.col("is_verified") == value)["right"].count()) for value in sides}
    wrong, right = sides[False], sides[True]
    corrected = share * right + (1 - share) * wrong
    return Audited(_rate(wrong, n[False]), _rate(1 - right, n[True]), share, _rate(corrected, sum(n.values())))


def _side(rows: pl.DataFrame, dice: np.random.Generator) -> Floats:
    """[0] the share of right answers among rows of one verdict, [1:] draws of its posterior; strata weighed by size.

    A stratum without a label is as unknown as the prior says.
    """
    total = np.zeros(DRAWS + 1)
    for group in rows.partition_by(STRATA) if rows.height else []:
        labelled = group["right"].drop_nulls()
        k, n = int(labelled.sum()), labelled.len()
        draws = dice.beta(k + 0.5, n - k + 0.5, DRAWS)
        point = k / n if n else 0.5
        total += group.height / rows.height * np.concatenate([[point], draws])
    return total


def _rate(values: Floats, n: int) -> Rate:
    if n == 0:
        return Rate(None, None, None, 0)
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Rate(float(values[0]), min(float(low), float(values[0])), max(float(high), float(values[0])), n)
