"""Emergence problem by problem: scores, ranks, and how they differ between models, datasets and trajectories.

The scores are those of the described analyses: for the curves y of each problem, breakthroughness (`mean_sqrt`,
within 0 and 100) and skewness (× max|Δ|) of the probability of the gold answer, and of the negentropy −H of the
law over the solution set. Accuracy's are beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.compare import holm
from testtime.analysis.emergence import FEWEST, MEASURES, ranking
from testtime.analysis.emergence_curves import ACCURACY, LENGTHS, NEGENTROPY, PROBABILITY, Curves
from testtime.analysis.ranks import mann_whitney, pearson, ranks, spearman
from testtime.core.errors import BadInput
from testtime.core.history import Floats

SCORES: Mapping[str, tuple[str, str]] = {
    "probability_breakthroughness": (PROBABILITY, "breakthroughness"),
    "entropy_breakthroughness": (NEGENTROPY, "breakthroughness"),
    "probability_skewness": (PROBABILITY, "skewness_weighted"),
    "entropy_skewness": (NEGENTROPY, "skewness_weighted"),
    "accuracy_breakthroughness": (ACCURACY, "breakthroughness"),
    "accuracy_jump": (ACCURACY, "largest_jump"),
    "probability_jump": (PROBABILITY, "largest_jump"),
}
"""What problems can be ranked by → (metric, measure)."""
BY = ("dataset", "model", "size", "trajectory")
"""What emergence may depend on: the task, the model, its size, how it thought."""


def scores(curves: Curves, by: str) -> Floats:
    """[problem] a score of SCORES; nan where it is not known. Raises BadInput for an unknown one or no such metric."""
    if by not in SCORES:
        raise BadInput(f"no score {by!r}", mend=f"known: {', '.join(SCORES)}")
    metric, measure = SCORES[by]
    if metric not in curves.values:
        raise BadInput(f"{curves.run} has no {metric}", mend="draw it with a decoding that scores: --score set")
    each = curves.each(metric)
    out = np.full(len(each), np.nan)
    known = ~np.isnan(each).any(axis=1)
    if known.any() and each.shape[1] >= FEWEST:
        out[known] = MEASURES[measure](each[known])
    return out


def samplewise(curves: Curves) -> dict[str, Floats | pl.DataFrame]:
    """The four arrays [problem] and the two tables [problem × budget] that the described analyses work on."""
    frames = {name: each_frame(curves, metric) for name, metric in (("probs", PROBABILITY), ("entropy", NEGENTROPY))}
    return {
        "abs_probs_breakthroughness": scores(curves, "probability_breakthroughness"),
        "abs_negent_breakthroughness": scores(curves, "entropy_breakthroughness"),
        "probs_skewness": scores(curves, "probability_skewness"),
        "negent_skewness": scores(curves, "entropy_skewness"),
        "df_probs": frames["probs"],
        "df_entropy": frames["entropy"],
    }


def each_frame(curves: Curves, metric: str) -> pl.DataFrame:
    """Problems × budgets of one metric, means over completions."""
    each = curves.each(metric)
    return pl.DataFrame(
        {"query_id": curves.problems, **{str(budget): each[:, at] for at, budget in enumerate(curves.budgets)}}
    )


def rankings(curves: Curves, by: str = "probability_skewness") -> pl.DataFrame:
    """query_id, score, rank: 1 is the highest, ties in dataset order, unknown ones last."""
    found = scores(curves, by)
    order = ranking(found)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(1, len(order) + 1)
    return pl.DataFrame({"query_id": curves.problems, "score": found, "rank": place})


def top(curves: Curves, k: int, by: str = "probability_skewness") -> list[int]:
    """The k problems of the highest score, by their place; unknown ones are none of them."""
    found = scores(curves, by)
    return [at for at in ranking(found)[:k] if not np.isnan(found[at])]


def group_name(curves: Curves, by: str) -> str:
    """What group of `by` a set of curves belongs to."""
    if by == "size":
        return curves.model if curves.size is None else f"{curves.size:g}B"
    return curves.model if by == "model" else f"{curves.dataset} {curves.split}".strip()


def grouped(several: Sequence[Curves], by: str, score: str) -> dict[str, Floats]:
    """Group → the scores of all its problems."""
    groups: dict[str, list[Floats]] = {}
    for curves in several:
        groups.setdefault(group_name(curves, by), []).append(scores(curves, score))
    return {name: np.concatenate(parts) for name, parts in groups.items()}


def summaries(several: Sequence[Curves], by: str) -> pl.DataFrame:
    """One row a (group, score): n, median with quartiles, mean with standard deviation."""
    rows = []
    for score in available(several):
        for name, found in grouped(several, by, score).items():
            known = found[np.isfinite(found)]
            low, middle, high = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else [np.nan] * 3
            rows.append({
                by: name, "score": score, "n": len(known), "median": middle, "q1": low, "q3": high,
                "mean": known.mean() if len(known) else np.nan, "sd": known.std(ddof=1) if len(known) > 1 else np.nan,
            })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def available(several: Sequence[Curves]) -> list[str]:
    """The scores that all these curves have."""
    return [name for name, (metric, _) in SCORES.items() if all(metric in curves.values for curves in several)]


def differences(several: Sequence[Curves], by: str) -> pl.DataFrame:
    """One row a (score, pair of groups): Mann–Whitney's U and p, the chance that a exceeds b.

    `p_holm` is corrected for all rows (Holm 1979).
    """
    rows: list[dict[str, Any]] = []
    for score in available(several):
        groups = grouped(several, by, score)
        for one, other in combinations(groups, 2):
            u, p = mann_whitney(groups[one], groups[other])
            sizes = [int(np.isfinite(groups[name]).sum()) for name in (one, other)]
            chance = u / (sizes[0] * sizes[1]) if sizes[0] * sizes[1] else np.nan
            rows.append({"score": score, "a": one, "b": other, "u": u, "p": p, "chance_a_exceeds_b": chance})
    for row, corrected in zip(rows, holm([None if np.isnan(row["p"]) else row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return pl.DataFrame(rows, infer_schema_length=None, schema=_DIFFERENCES).fill_nan(None)


_DIFFERENCES = {
    "score": pl.String, "a": pl.String, "b": pl.String, "u": pl.Float64, "p": pl.Float64,
    "chance_a_exceeds_b": pl.Float64, "p_holm": pl.Float64,
}  # fmt: skip


def trajectories(several: Sequence[Curves]) -> pl.DataFrame:
    """One row a (curves, score, trait): Spearman's correlation over problems of a score with how it was thought.

    A trait is the problem's mean at the largest budget: thinking tokens, continuations, repetitions, ….
    """
    rows = []
    for curves in several:
        for trait in (name for name in LENGTHS if name in curves.values):
            values = np.nanmean(curves.values[trait][:, -1], axis=1)
            for score in available([curves]):
                rows.append({
                    "model": curves.model, "dataset": curves.dataset, "split": curves.split, "trait": trait,
                    "mean": float(np.nanmean(values)), "score": score,
                    "spearman": spearman(scores(curves, score), values), "n": len(values),
                })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def agreement(several: Sequence[Curves], by: str = "probability_skewness") -> pl.DataFrame:
    """One row a pair of models on one split: Spearman's correlation of their problems' scores over common problems."""
    rows = []
    for one, other in combinations(several, 2):
        if (one.dataset, one.split) != (other.dataset, other.split):
            continue
        common = [query for query in one.problems if query in set(other.problems)]
        mine, theirs = (dict(zip(c.problems, scores(c, by).tolist(), strict=True)) for c in (one, other))
        x, y = (np.array([table[query] for query in common], dtype=float) for table in (mine, theirs))
        rows.append({
            "dataset": one.dataset, "split": one.split, **_pair(one, other), "n": len(common),
            "spearman": spearman(x, y),
        })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None, schema=_AGREEMENT).fill_nan(None)


def _pair(one: Curves, other: Curves) -> dict[str, str]:
    """What two curves of one split are called: their models, and their decodings where these differ."""
    if one.decoding == other.decoding:
        return {"a": one.model, "b": other.model}
    return {"a": f"{one.model}, {one.decoding}", "b": f"{other.model}, {other.decoding}"}


_AGREEMENT = {
    "dataset": pl.String, "split": pl.String, "a": pl.String, "b": pl.String, "n": pl.Int64, "spearman": pl.Float64,
}  # fmt: skip


def correlations(curves: Curves, mode: str = "1D", kind: str = "pearson") -> dict[str, float]:
    """Of accuracy with each continuous metric over budgets: of the mean curves (1D), or the mean over problems (2D).

    Raises BadInput for another mode or kind.
    """
    kinds = {"pearson": pearson, "spearman": spearman}
    if mode not in ("1D", "2D") or kind not in kinds:
        raise BadInput(f"no correlation {kind!r} {mode!r}", mend="kind is pearson or spearman, mode 1D or 2D")
    found = {}
    accuracy = curves.each(ACCURACY)
    for metric in curves.metrics[1:]:
        other = curves.each(metric)
        if mode == "1D":
            found[metric] = kinds[kind](np.nanmean(accuracy, axis=0), np.nanmean(other, axis=0))
        else:
            each = np.array([kinds[kind](x, y) for x, y in zip(accuracy, other, strict=True)])
            found[metric] = float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")
    return found


__all__ = [
    "BY", "SCORES", "agreement", "correlations", "differences", "each_frame", "grouped", "rankings", "ranks",
    "samplewise", "scores", "summaries", "top", "trajectories",
]  # fmt: skip
