"""What a judge changed, and what it would have: its agreement with the rule, and the fallback's net effect.

A fallback asks the judge only where the rule does not say right, so it can only raise accuracy. The audit asks it
about a random share of the other verdicts as well, to no effect; from these follows how many right verdicts it would
have taken back had it been asked about all. A chain's columns: `rule_said`, `judge_said`, `judge_audited`,
and `judge_sure`: whether it is so sure that its word counts where it is to count.

Verdicts that the judge gave by itself, no rule having one, are left out: it falls back on nothing there.

agreement   of the audited verdicts, the share in which the judge says what the rule says
gain        share of all judged rows that the fallback turned to right
loss        share of all judged rows that are right by the rule, times the share of those that the judge, being sure,
            calls wrong
net         gain − loss, with the interval that the audited share's uncertainty gives (Jeffreys' prior)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import Interval, wilson
from testtime.core.seeds import rng_of

COLUMNS = ("rule_said", "judge_said", "judge_audited", "judge_sure")
READ = frozenset({"is_verified", *COLUMNS, *(f"oracle({name})" for name in COLUMNS)})
"""Columns of candidates.parquet that it needs: a file has those that saw the reference as `oracle(…)`."""
WORDS = ("is_verified", "was_verified")
"""A verdict given anew, and the one before."""
DRAWS = 4000
"""Of the posterior."""


@dataclass(frozen=True)
class Judged:
    """A judge's part in a pool's verdicts."""

    rows: int
    """Rows of the pool that a rule judged."""
    asked: int
    """Of them, those that the judge was asked about and answered, the audited included."""
    audited: int
    agreement: float | None
    agreement_interval: Interval | None
    gain: float
    loss: float | None
    """None: no right verdict was audited."""
    net_interval: Interval | None

    @property
    def net(self) -> float | None:
        """The fallback's net change in accuracy, had the judge been asked about right verdicts too."""
        return None if self.loss is None else self.gain - self.loss


def judged(frame: pl.DataFrame, seed: int = 0) -> Judged | None:
    """The judge's part; None where none was asked. A frame has `is_verified` and COLUMNS, or `oracle(…)` of them."""
    named = {f"oracle({name})": name for name in COLUMNS if f"oracle({name})" in frame.columns}
    frame = frame.rename(named)
    if not {"judge_said", "judge_audited"} <= set(frame.columns):
        return None
    rule = pl.col("rule_said") if "rule_said" in frame.columns else pl.lit(None, pl.Float64)
    alone = pl.col("judge_said").is_not_null() & pl.col("_rule").is_null()
    rows = frame.filter(pl.col("is_verified").is_not_null()).with_columns(_rule=rule.cast(pl.Float64)).filter(~alone)
    said = rows.filter(pl.col("judge_said").is_not_null())
    if not said.height:
        return None
    audit = said.filter(pl.col("judge_audited") == 1.0)
    agrees = int((audit["_rule"] == audit["judge_said"]).sum())
    turned = said.filter((pl.col("judge_audited") != 1.0) & pl.col("is_verified") & (pl.col("_rule") != 1.0))
    gain = turned.height / rows.height
    by_rule = rows.filter(pl.col("is_verified")).height / rows.height - gain
    sure = audit.filter(pl.col("_rule") == 1.0)
    accepted = sure["judge_sure"] == 1.0 if "judge_sure" in sure.columns else pl.repeat(True, sure.height, eager=True)
    taken = int(((sure["judge_said"] == 0.0) & accepted).sum())
    loss = by_rule * taken / sure.height if sure.height else None
    return Judged(
        rows.height,
        said.height,
        audit.height,
        agrees / audit.height if audit.height else None,
        wilson(agrees / audit.height, audit.height) if audit.height else None,
        gain,
        loss,
        _net(gain, by_rule, taken, sure.height, seed) if sure.height else None,
    )


def _net(gain: float, by_rule: float, taken: int, n: int, seed: int) -> Interval:
    share = rng_of(seed, "judging").beta(taken + 0.5, n - taken + 0.5, DRAWS)
    low, high = np.quantile(gain - by_rule * share, [0.025, 0.975])
    point = gain - by_rule * taken / n
    return min(float(low), point), max(float(high), point)


def asked_anew(verdicts: pl.DataFrame) -> str | None:
    """What a judge that was asked about all of a pool says beside the verdicts before, in a line; None without any.

    A row has `was_verified`, `is_verified` and `verification_method`; an answer that is none was never judged.
    """
    both = verdicts.filter(pl.col("verification_method") != "no answer").drop_nulls(["was_verified", "is_verified"])
    if not (n := both.height):
        return None
    up, down = (both.filter(pl.col(a) & ~pl.col(b)).height for a, b in (WORDS, WORDS[::-1]))
    share = (n - up - down) / n
    low, high = (100 * end for end in wilson(share, n))
    told = f"asked anew, a judge agrees with {n - up - down:,} of {n:,} verdicts, {100 * share:.1f} % "
    return f"{told}[{low:.1f}, {high:.1f}]; it would call {up:,} wrong ones right and {down:,} right ones wrong"


def sentence(found: Judged) -> str:
    """What a reader must be told of it, in a line."""
    told = f"a judge was asked about {found.asked:,} of {found.rows:,} verdicts that a rule gave"
    if found.agreement is not None and found.agreement_interval is not None:
        low, high = (100 * end for end in found.agreement_interval)
        told += f"; audited {found.audited:,}: it agrees in {100 * found.agreement:.1f} % [{low:.1f}, {high:.1f}]"
    told += f"; its fallback raised accuracy by {100 * found.gain:.1f} points"
    if found.net is not None and found.net_interval is not None:
        low, high = (100 * end for end in found.net_interval)
        told += f", net of what it would take back {100 * found.net:+.1f} [{low:+.1f}, {high:+.1f}]"
    return told
