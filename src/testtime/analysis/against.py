"""Every setting beside the curve of a base policy: what it gains at equal spend, what it saves at equal accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import LEVEL, RESAMPLES, means, percentile
from testtime.analysis.frontier import aligned, column_of
from testtime.analysis.table import GROUP, groups, point
from testtime.core.errors import BadInput
from testtime.core.history import Floats

PLACE = tuple(name for name in GROUP if name not in ("policy", "setting"))
"""What a setting and its base curve have in common, in columns of outcomes."""

WORDS = {
    "gen_tokens": "tokens", "total_tokens": "prompt and generated tokens", "usd": "dollars",
    "critical_seconds": "critical seconds",
}  # fmt: skip
"""Columns as a sentence says them."""


def against(
    outcomes: pl.DataFrame,
    base: str = "sc_fixed",
    x: str = "gen_tokens",
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """Each setting of the other policies against the base policy's curve, one row a setting.

    At equal spend: `difference` is the setting's accuracy less the curve's there, straight lines between
    the base's settings in log spend. At equal accuracy: `base_x` is the least spend at which the running
    maximum of the curve reaches the setting's accuracy, and `saving` = 1 − x/base_x. Each with a 95 %
    percentile interval over problems: in every resample both sides meet the same problems.

    Outside the curve a value is null and `equal_spend` or `equal_accuracy` says on which side the setting
    lies: "below" or "above" (an accuracy "above" is one the base never reaches). An end of the saving's
    interval is null where too many resamples fall outside on that side. `base_best_x` is the least spend
    of the base's best accuracy. `reading` says it in words.

    Raises BadInput for an unknown x and where no outcome is the base's.
    """
    column = column_of(x)
    if outcomes.filter(pl.col("policy") == base).is_empty():
        raise BadInput(f"no outcomes of {base} to compare with", mend=f"add {base} at several n")
    places: dict[tuple[Any, ...], list[pl.DataFrame]] = {}
    for group in groups(outcomes):
        places.setdefault(tuple(group[name][0] for name in PLACE), []).append(group)
    rows = [row for place in places.values() for row in _place(place, base, column, seed, resamples)]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


@dataclass(frozen=True, eq=False)
class _Base:
    """The base curve in log2 spend, sorted by it, for rows of resamples [row, point]."""

    x: Floats
    accuracy: Floats

    @classmethod
    def of(cls, x: Floats, accuracy: Floats) -> _Base:
        order = np.argsort(x, axis=1, kind="stable")
        return cls(np.take_along_axis(x, order, 1), np.take_along_axis(accuracy, order, 1))

    def at(self, x: Floats) -> Floats:
        """[row] the accuracy at a spend; flat beyond the ends."""
        return _line(x, self.x, self.accuracy)

    def cost(self, accuracy: Floats) -> Floats:
        """[row] the least spend that reaches an accuracy: −inf below the first point's, inf above the best."""
        best = np.maximum.accumulate(self.accuracy, axis=1)
        after = (best < accuracy[:, None]).sum(axis=1)
        rows, right = np.arange(len(best)), np.clip(after, 1, best.shape[1] - 1)
        rise = best[rows, right] - best[rows, right - 1]
        part = np.divide(accuracy - best[rows, right - 1], rise, out=np.zeros_like(rise), where=rise > 0)
        found = self.x[rows, right - 1] + part * (self.x[rows, right] - self.x[rows, right - 1])
        found = np.where(accuracy == best[:, 0], self.x[:, 0], found)
        found = np.where(accuracy < best[:, 0], -np.inf, found)
        return np.where(after == best.shape[1], np.inf, found)


def _line(x: Floats, xs: Floats, ys: Floats) -> Floats:
    """[row] linear interpolation in each row."""
    rows, right = np.arange(len(xs)), np.clip((xs < x[:, None]).sum(axis=1), 1, xs.shape[1] - 1)
    width = xs[rows, right] - xs[rows, right - 1]
    part = np.divide(x - xs[rows, right - 1], width, out=np.zeros_like(width), where=width > 0)
    value: Floats = ys[rows, right - 1] + np.clip(part, 0, 1) * (ys[rows, right] - ys[rows, right - 1])
    return value


def _place(place: Sequence[pl.DataFrame], base: str, column: str, seed: int, resamples: int) -> list[dict[str, Any]]:
    """The rows of one run, model, dataset, …"""
    points = [point(group) for group in place]
    usable = [row.get("accuracy") is not None and (row.get(column) or 0) > 0 for row in points]
    on_curve = np.array([use and row["policy"] == base for use, row in zip(usable, points, strict=True)])
    weights, spends, rights = aligned(place, column, seed, resamples)
    with np.errstate(divide="ignore"):
        x = np.log2(np.array([[row.get(column) or np.nan for row in points]], dtype=float))
        sampled_x = np.log2(means(weights, spends))
    accuracy = np.array([[row.get("accuracy") for row in points]], dtype=float)
    sampled = means(weights, rights)
    whole = _Base.of(x[:, on_curve], accuracy[:, on_curve])
    drawn = _Base.of(sampled_x[:, on_curve], sampled[:, on_curve])
    rows = []
    for at, row in enumerate(points):
        if row["policy"] == base:
            continue
        named = {name: place[at][name][0] for name in GROUP} | {"base": base, "x": column}
        named |= {"n_problems": row["n_problems"], "spend": row.get(column), "accuracy": row.get("accuracy")}
        if usable[at] and on_curve.sum() > 1:
            named |= _beside(whole, drawn, (x[:, at], sampled_x[:, at]), (accuracy[:, at], sampled[:, at]))
        rows.append(named | {"reading": _reading(named)})
    return rows


def _beside(whole: _Base, drawn: _Base, x: tuple[Floats, Floats], accuracy: tuple[Floats, Floats]) -> dict[str, Any]:
    """One setting beside the curve: (the point, the resamples) of each."""
    out: dict[str, Any] = {"equal_spend": _side(x[0][0], whole.x[0, 0], whole.x[0, -1])}
    if out["equal_spend"] == "within":
        low, high = percentile(accuracy[1] - drawn.at(x[1]))
        out |= {"base_accuracy": whole.at(x[0])[0], "difference": (accuracy[0] - whole.at(x[0]))[0]}
        out |= {"low": low, "high": high}
    out["base_best_x"] = 2.0 ** whole.cost(whole.accuracy.max(axis=1))[0]
    out["equal_accuracy"] = _side(accuracy[0][0], whole.accuracy[0, 0], whole.accuracy[0].max())
    if out["equal_accuracy"] == "within":
        cost = whole.cost(accuracy[0])[0]
        savings = np.where(np.isinf(sampled := drawn.cost(accuracy[1])), sampled, 1 - 2.0 ** (x[1] - sampled))
        ends = np.quantile(savings, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
        out |= {"base_x": 2.0**cost, "saving": 1 - 2.0 ** (x[0][0] - cost)}
        out |= {f"saving_{e}": float(v) if np.isfinite(v) else None for e, v in zip(("low", "high"), ends, strict=True)}
    return out


def _side(value: float, low: float, high: float) -> str:
    return "below" if value < low else "above" if value > high else "within"


def _reading(row: dict[str, Any]) -> str | None:
    """The row in words."""
    base, x = row["base"], WORDS.get(row["x"], row["x"])
    if "equal_accuracy" not in row:
        return None
    if row["equal_accuracy"] == "above":
        change = 100 * (1 - row["spend"] / row["base_best_x"])
        amount = f"{abs(change):.1f} % {'less' if change >= 0 else 'more'}"
        return f"more accurate than {base} at any of its settings, with {amount} {x} than at its best"
    if row["equal_accuracy"] == "below":
        return f"less accurate than {base} at its cheapest setting"
    saving, ends = row["saving"], [row["saving_low"], row["saving_high"]]
    if saving < 0:
        saving, ends = -saving, [None if end is None else -end for end in reversed(ends)]
    low, high = ("?" if end is None else f"{100 * end:.1f}" for end in ends)
    verb = f"saves {100 * saving:.1f} % of" if row["saving"] >= 0 else f"takes {100 * saving:.1f} % more"
    return f"{verb} {x} at equal accuracy [{low}, {high}]"


_SCHEMA: dict[str, Any] = (
    {name: pl.Float64 if name == "temperature" else pl.String for name in GROUP}
    | {"base": pl.String, "x": pl.String, "n_problems": pl.Int64}
    | dict.fromkeys(("spend", "accuracy", "base_accuracy", "difference", "low", "high"), pl.Float64)
    | {"equal_spend": pl.String}
    | dict.fromkeys(("base_x", "saving", "saving_low", "saving_high", "base_best_x"), pl.Float64)
    | {"equal_accuracy": pl.String, "reading": pl.String}
)
