"""Proves that the rates are those of the labels, weighed by strata; that intervals hold the truth about as often as
they say; and that every stratum is looked at.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from testtime.analysis.audit import audited, sample
from testtime.core.errors import BadInput


def verdicts(n: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Verdicts of two rules, the rarer of which is often wrong, and the truth."""
    dice = np.random.default_rng(seed)
    rare = dice.random(n) < 0.1
    said = dice.random(n) < np.where(rare, 0.5, 0.6)
    wrong = dice.random(n) < np.where(rare, 0.3, np.where(said, 0.02, 0.05))
    frame = pl.DataFrame(
        {
            "arm": ["plain"] * n, "query_id": [str(at) for at in range(n)], "candidate_idx": [0] * n,
            "is_verified": said, "verification_method": np.where(rare, "word", "key"),
            "verification_confidence": np.where(rare, 0.8, 1.0),
        }
    )  # fmt: skip
    return frame, said ^ wrong


def labels(rows: pl.DataFrame, truth: np.ndarray) -> dict[tuple[str, str, int], str]:
    return {("plain", query, 0): "right" if truth[int(query)] else "wrong" for query in rows["query_id"]}


def test_all_labelled_is_the_truth() -> None:
    frame, truth = verdicts(500, 1)
    found = audited(frame, labels(frame, truth))
    said = frame["is_verified"].to_numpy()
    assert found.accuracy.value == pytest.approx(truth.mean())
    assert found.false_negative.value == pytest.approx(truth[~said].mean())
    assert found.false_positive.value == pytest.approx(1 - truth[said].mean())
    assert found.said == pytest.approx(said.mean())


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = {"accuracy": 0, "false_negative": 0, "false_positive": 0}
    rounds = 120
    for seed in range(rounds):
        frame, truth = verdicts(2000, seed)
        found = audited(frame, labels(sample(frame, 120, seed), truth), seed)
        said = frame["is_verified"].to_numpy()
        true = {
            "accuracy": truth.mean(),
            "false_negative": truth[~said].mean(),
            "false_positive": 1 - truth[said].mean(),
        }
        for name, value in true.items():
            rate = getattr(found, name)
            held[name] += rate.low <= value <= rate.high
    assert all(0.88 * rounds <= times for times in held.values()), held


def test_every_stratum_is_looked_at_and_the_sample_is_its_own_again() -> None:
    frame, _ = verdicts(1000, 3)
    one, two = sample(frame, 40, 5), sample(frame, 40, 5)
    assert one.equals(two)
    assert one.height == 40
    strata = ["is_verified", "verification_method"]
    assert one.select(strata).unique().height == frame.select(strata).unique().height == 4
    assert not one.equals(sample(frame, 40, 6))


def test_skipped_labels_and_sides_without_any_are_unknown() -> None:
    frame, truth = verdicts(200, 4)
    given = {key: label for key, label in labels(frame, truth).items() if frame["is_verified"][int(key[1])]}
    found = audited(frame, given)
    assert (found.false_negative.value, found.false_negative.n) == (None, 0)
    with pytest.raises(BadInput, match="no label"):
        audited(frame, dict.fromkeys(given, "skip"))
    with pytest.raises(BadInput, match="no candidate has a verdict"):
        sample(frame.with_columns(is_verified=pl.lit(None, pl.Boolean)), 5)
