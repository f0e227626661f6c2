"""Frontier area and marginal value: how accuracy grows with spend, a row a curve and axis.

A curve is one policy family of one model on one dataset, its settings in order of their mean spend x.
FA (frontier area) is the area under it, MVC (marginal value of compute) its slope. Both on a linear
and a log2 axis; on the latter a unit of x is a doubling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import means, percentile, resample, units_of
from testtime.analysis.table import floats, groups, point
from testtime.core.errors import unknown_name
from testtime.core.history import Floats

X = {
    "candidates": "candidates", "tokens": "gen_tokens", "gen_tokens": "gen_tokens", "total_tokens": "total_tokens",
    "seconds": "seconds", "critical_seconds": "critical_seconds", "dollars": "usd", "usd": "usd", "joules": "joules",
}  # fmt: skip
"""Names of x axes → columns."""
AXES = ("linear", "log2")
CURVE = ("run", "provider", "model", "dataset", "split", "decoding", "temperature", "family")
"""What one curve stands for; family: `family_of` its policies and settings."""
RESAMPLES = 1000
AREAS = ("fa", "fa_norm", "fa_common", "fa_envelope", "fa_norm_envelope", "fa_common_envelope")


@dataclass(frozen=True, eq=False)
class Curve:
    """The settings of one curve in order of x, equal x merged by their mean; and in every resample of problems."""

    key: tuple[Any, ...]
    x: Floats
    """[point]"""
    accuracy: Floats
    """[point]"""
    resampled: tuple[Floats, Floats] | None
    """(x, accuracy) [resample, point]; None for a single point, or where only a table is known."""

    @property
    def place(self) -> tuple[Any, ...]:
        """Model, dataset and split: curves of one place are compared over their common range."""
        return self.key[2:5]


def frontier(data: pl.DataFrame, x: str = "gen_tokens", *, seed: int = 0, resamples: int = RESAMPLES) -> pl.DataFrame:
    """FA and MVC of every curve in outcomes or in a summary, one row a (model, dataset, family, axis).

    `x`: candidates, gen_tokens (or tokens), total_tokens, seconds, critical_seconds, usd (or dollars),
    joules; BadInput for another. The areas and the slope have `_low` and `_high` beside them:

    - `fa`: the area under the points by trapezoids, accuracy × x (× doublings on log2); `fa_norm`:
      divided by the curve's own range of x, so in [0, 1]; `fa_common`: over the range that all curves
      of the same model, dataset and split share, divided by it, the one to compare families by. Null
      where a curve has fewer than two points or no range is shared.
    - `…_envelope`: the same under the running maximum: what so much spend can buy at best.
    - `mvc`: slope of the least-squares line, in accuracy per `per` of x: 1,000 tokens or one unit of
      another x on the linear axis, one doubling on log2. `mvc_segments`: slopes between neighbours,
      joined by ";". `negative`: how many of those fall.

    Intervals are 95 % percentile bootstraps over problems (clusters whole): every setting of a curve
    meets the same problems, and the spend varies along. Null for a summary, which has no problems.
    """
    column = column_of(x)
    found = curves(data, column, seed=seed, resamples=resamples)
    rows = [
        dict(zip(CURVE, curve.key, strict=True)) | {"x": column, "axis": axis} | _row(curve, found, axis, column)
        for curve in found
        for axis in AXES
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def segments(data: pl.DataFrame, x: str = "gen_tokens", *, seed: int = 0, resamples: int = RESAMPLES) -> pl.DataFrame:
    """The marginal value of every step between neighbouring settings, one row a (curve, step).

    `gain` in accuracy from `x_from` to `x_to`, `mvc` per `per` of x, `mvc_doubling` per doubling, each
    with an interval as in `frontier`; `negative` flags a step that buys less than nothing.
    """
    column = column_of(x)
    rows = []
    for curve in curves(data, column, seed=seed, resamples=resamples):
        key = dict(zip(CURVE, curve.key, strict=True))
        rows += [key | {"x": column, "per": _per("linear", column)} | step for step in _steps(curve, column)]
    return pl.DataFrame(rows, schema=_STEP_SCHEMA, orient="row")


def column_of(x: str) -> str:
    """The column of an x axis. Raises BadInput for an unknown name."""
    if x not in X:
        raise unknown_name("x axis", x, X)
    return X[x]


def family_of(policy: str, setting: str) -> str:
    """A policy's name, with its stopping rule where it has one.

    >>> family_of("adaptive_margin", "stop_rule=beta,threshold=0.95,max_n=40")
    'adaptive_margin:stop_rule=beta'
    """
    rule = next((part for part in setting.split(",") if part.startswith("stop_rule=")), "")
    return f"{policy}:{rule}" if rule else policy


# ---- curves ----
def curves(data: pl.DataFrame, column: str, *, seed: int = 0, resamples: int = RESAMPLES) -> list[Curve]:
    """All curves in outcomes or a summary, in order of first appearance; settings without results are left out."""
    found: dict[tuple[Any, ...], list[tuple[Mapping[str, Any], pl.DataFrame | None]]] = {}
    for row, group in _settings(data):
        family = family_of(row["policy"], row["setting"] or "")
        members = found.setdefault((*(row[name] for name in CURVE[:-1]), family), [])
        if row.get("accuracy") is not None and row.get(column) is not None:
            members.append((row, group))
    return [_curve(key, members, column, seed, resamples) for key, members in found.items()]


def _settings(data: pl.DataFrame) -> list[tuple[Mapping[str, Any], pl.DataFrame | None]]:
    """(summary row, its outcomes where known)."""
    if "query_id" in data.columns:
        return [(point(group), group) for group in groups(data)]
    return [(row, None) for row in data.iter_rows(named=True)]


def _curve(
    key: tuple[Any, ...],
    members: Sequence[tuple[Mapping[str, Any], pl.DataFrame | None]],
    column: str,
    seed: int,
    resamples: int,
) -> Curve:
    x, same = np.unique(np.array([float(row[column]) for row, _ in members]), return_inverse=True)
    merge = (same[:, None] == np.arange(len(x))) / np.maximum(np.bincount(same, minlength=len(x)), 1)
    accuracy = np.array([float(row["accuracy"]) for row, _ in members]) @ merge
    known = [group for _, group in members if group is not None]
    resampled = None
    if known and len(x) > 1:
        weights, spends, rights = aligned(known, column, seed, resamples)
        resampled = (means(weights, spends) @ merge, means(weights, rights) @ merge)
    return Curve(key, x, accuracy, resampled)


def aligned(known: Sequence[pl.DataFrame], column: str, seed: int, resamples: int) -> tuple[Floats, Floats, Floats]:
    """Settings over the union of their problems: resample weights [resample, problem], then x and accuracy
    [problem, setting], nan where unknown. Problems are units, or their clusters where known.
    """
    every = pl.concat([group.select("query_id", "cluster") for group in known], how="vertical_relaxed").unique(
        "query_id", maintain_order=True
    )
    unit = units_of(every["cluster"].to_list(), every.height)
    one_each = [
        every.join(group.unique("query_id"), on="query_id", how="left", maintain_order="left") for group in known
    ]
    spends, rights = (np.stack([floats(group[name]) for group in one_each], axis=1) for name in (column, "correct"))
    return resample(unit, seed, resamples), spends, rights


# ---- areas and slopes ----
def _row(curve: Curve, every: Sequence[Curve], axis: str, column: str) -> dict[str, Any]:
    siblings = [other for other in every if other.place == curve.place and len(other.x) > 1]
    shared = (max((o.x[0] for o in siblings), default=0.0), min((o.x[-1] for o in siblings), default=0.0))
    per = _per(axis, column)
    row: dict[str, Any] = {"points": len(curve.x), "per": per}
    if len(curve.x) < 2 or (axis == "log2" and curve.x[0] <= 0):
        return row
    row |= {"x_low": curve.x[0], "x_high": curve.x[-1]}
    row |= {"common_low": shared[0], "common_high": shared[1]} if shared[0] < shared[1] else {}
    scaled = _scale(np.array(shared), axis)
    row |= {name: _known(v[0]) for name, v in _measures(curve.x[None], curve.accuracy[None], scaled, axis, per).items()}
    slopes = np.diff(curve.accuracy) / np.diff(_scale(curve.x, axis)) * per
    row |= {"mvc_segments": ";".join(f"{slope:.6g}" for slope in slopes), "negative": int((slopes < 0).sum())}
    if curve.resampled is not None:
        for name, samples in _measures(*curve.resampled, scaled, axis, per).items():
            row |= dict(zip((f"{name}_low", f"{name}_high"), map(_known, percentile(samples)), strict=True))
    return row


def _measures(x: Floats, accuracy: Floats, shared: Floats, axis: str, per: float) -> dict[str, Floats]:
    """Every area and the overall slope, for rows of points [row, point] in any order."""
    order = np.argsort(x, axis=1, kind="stable")
    x, accuracy = _scale(np.take_along_axis(x, order, 1), axis), np.take_along_axis(accuracy, order, 1)
    out: dict[str, Floats] = {}
    for suffix, height in (("", accuracy), ("_envelope", np.maximum.accumulate(accuracy, axis=1))):
        low, high = x[:, :1], x[:, -1:]
        own = area(x, height, low, high)
        with np.errstate(invalid="ignore", divide="ignore"):
            out |= {f"fa{suffix}": own, f"fa_norm{suffix}": own / (high - low)[:, 0]}
        width = shared[1] - shared[0]
        common = area(x, height, shared[:1], shared[1:]) / width if width > 0 else np.full(len(x), np.nan)
        out[f"fa_common{suffix}"] = common
    away = x - x.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        out["mvc"] = (away * accuracy).sum(axis=1) / (away**2).sum(axis=1) * per
    return out


def area(x: Floats, height: Floats, low: Floats, high: Floats) -> Floats:
    """[row] the area from `low` to `high` under straight lines through points [row, point] sorted by x.

    Beyond its points a line goes on flat.
    """
    left, right = np.clip(x[:, :-1], low, high), np.clip(x[:, 1:], low, high)
    width = np.diff(x, axis=1)
    along = np.divide((left + right) / 2 - x[:, :-1], width, out=np.zeros_like(width), where=right > left)
    middle = height[:, :-1] + np.diff(height, axis=1) * along
    before = (np.clip(x[:, :1], low, high) - low) * height[:, :1]
    after = (high - np.clip(x[:, -1:], low, high)) * height[:, -1:]
    total: Floats = ((right - left) * middle).sum(axis=1) + (before + after)[:, 0]
    return total


def _steps(curve: Curve, column: str) -> list[dict[str, Any]]:
    per = _per("linear", column)
    point_rates = _rates(curve.x, curve.accuracy, per)
    sampled = None if curve.resampled is None else _rates(*curve.resampled, per)
    out = []
    for at in range(len(curve.x) - 1):
        step: dict[str, Any] = {"x_from": curve.x[at], "x_to": curve.x[at + 1]}
        for name, values in point_rates.items():
            step[name] = _known(values[at])
            if sampled is not None:
                ends = map(_known, percentile(sampled[name][:, at]))
                step |= dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
        out.append(step | {"negative": bool(step["gain"] < 0)})
    return out


def _rates(x: Floats, accuracy: Floats, per: float) -> dict[str, Floats]:
    """Gain and slopes between neighbours along the last axis; nan where there is no doubling or no step."""
    gain = np.diff(accuracy)
    with np.errstate(invalid="ignore", divide="ignore"):
        doublings = np.diff(np.log2(x))
        slope = np.where(np.diff(x) != 0, gain / np.diff(x) * per, np.nan)
        return {
            "gain": gain,
            "mvc": slope,
            "mvc_doubling": np.where(np.isfinite(doublings) & (doublings != 0), gain / doublings, np.nan),
        }


def _per(axis: str, column: str) -> float:
    """How much x a marginal value is printed for."""
    return 1000.0 if axis == "linear" and column.endswith("tokens") else 1.0


def _scale(x: Floats, axis: str) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return x if axis == "linear" else np.log2(x)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


_TEXTS = {name: pl.Float64 if name == "temperature" else pl.String for name in CURVE} | {"x": pl.String}
_SCHEMA: dict[str, Any] = (
    _TEXTS
    | {"axis": pl.String, "points": pl.Int64}
    | dict.fromkeys(("x_low", "x_high", "common_low", "common_high"), pl.Float64)
    | {f"{name}{end}": pl.Float64 for name in AREAS for end in ("", "_low", "_high")}
    | dict.fromkeys(("per", "mvc", "mvc_low", "mvc_high"), pl.Float64)
    | {"mvc_segments": pl.String, "negative": pl.Int64}
)
_STEP_SCHEMA: dict[str, Any] = (
    _TEXTS
    | {"x_from": pl.Float64, "x_to": pl.Float64, "per": pl.Float64}
    | {f"{name}{end}": pl.Float64 for name in ("gain", "mvc", "mvc_doubling") for end in ("", "_low", "_high")}
    | {"negative": pl.Boolean}
)
