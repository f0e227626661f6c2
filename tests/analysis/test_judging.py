"""Proves that the fallback's gain and what the judge would take back are counted as they are, and that what nobody
audited is unknown.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from testtime.analysis.judging import judged, sentence


def rows(n: int, seed: int, audit: float) -> pl.DataFrame:
    """A rule that misses some right answers, a judge that is harsher on right ones; the fallback and the audit."""
    dice = np.random.default_rng(seed)
    rule = dice.random(n) < 0.6
    judge = np.where(rule, dice.random(n) < 0.9, dice.random(n) < 0.2)
    audited = rule & (dice.random(n) < audit)
    asked = ~rule | audited
    return pl.DataFrame(
        {
            "is_verified": np.where(rule, True, judge),
            "oracle(rule_said)": [float(r) if a else None for r, a in zip(rule, asked, strict=True)],
            "oracle(judge_said)": [float(j) if a else None for j, a in zip(judge, asked, strict=True)],
            "oracle(judge_audited)": [float(a) if b else None for a, b in zip(audited, asked, strict=True)],
        }
    )


def test_gain_loss_and_net_are_what_was_put_in() -> None:
    found = judged(rows(20_000, 1, 0.2))
    assert found is not None
    assert found.gain == pytest.approx(0.4 * 0.2, abs=0.01)
    assert found.loss == pytest.approx(0.6 * 0.1, abs=0.01)
    assert found.net == pytest.approx(0.02, abs=0.015)
    assert found.agreement == pytest.approx(0.9, abs=0.02)
    assert "net of what it would take back +" in sentence(found)


def test_a_judge_that_is_not_sure_takes_nothing_back() -> None:
    """As it gives nothing: from which confidence its word counts is the same both ways."""
    told = rows(20_000, 1, 0.2)
    unsure = told.with_columns((pl.col("oracle(judge_said)") * 0).alias("oracle(judge_sure)"))
    found, before = judged(unsure), judged(told)
    assert found is not None
    assert before is not None
    assert (found.loss, found.net, found.agreement) == (0.0, found.gain, before.agreement)
    sure = told.with_columns((pl.col("oracle(judge_said)") * 0 + 1).alias("oracle(judge_sure)"))
    assert judged(sure) == before


def test_the_interval_holds_its_point_also_where_all_audited_are_taken_back() -> None:
    told = rows(500, 3, 0.05).with_columns(
        pl.when(pl.col("oracle(judge_audited)") == 1)
        .then(0.0)
        .otherwise("oracle(judge_said)")
        .alias("oracle(judge_said)")
    )
    found = judged(told)
    assert found is not None
    assert found.net is not None
    assert found.net_interval is not None
    assert found.net_interval[0] <= found.net <= found.net_interval[1]


def test_what_the_judge_decides_alone_is_no_gain_over_a_rule() -> None:
    """Chat and tool use have no rule, nor does code without tests: nothing is raised there."""
    ruled = rows(500, 1, 0.2)
    alone = pl.DataFrame(
        {"is_verified": [True] * 300, "oracle(judge_said)": [1.0] * 300, "oracle(judge_audited)": [0.0] * 300}
    )
    assert judged(pl.concat([ruled, alone], how="diagonal")) == judged(ruled)
    assert judged(alone) is None


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(150):
        found = judged(rows(1500, seed, 0.05), seed)
        assert found is not None
        assert found.net_interval is not None
        true = found.gain - 0.1 * (found.rows and 0.6)
        held += found.net_interval[0] <= true <= found.net_interval[1]
    assert held >= 0.88 * 150


def test_without_an_audit_the_net_is_unknown_and_without_a_judge_there_is_nothing() -> None:
    found = judged(rows(500, 2, 0.0))
    assert found is not None
    assert (found.audited, found.agreement, found.loss, found.net) == (0, None, None, None)
    assert "net" not in sentence(found)
    assert judged(rows(500, 2, 0.0).select("is_verified")) is None
