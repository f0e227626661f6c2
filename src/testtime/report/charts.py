"""What page.js draws: points with intervals in series, over one or several axes, for one or several groups.

    axes    [{key, label, log, money, binary}]       the switch of axis; a point has a place on each, or null
    y       {label, percent}
    groups  {label, names}                           the switch of models: any of them are shown
    views   {label, names}                           the switch of split (or of curve): one of them is shown
    series  [{name, group, view, colour, mark, line, points: [{x, hollow, y, low, high, tip}]}]

`x` and `hollow` are lists, one value an axis. `colour` and `mark` are numbers: the page has the paint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testtime.figures.axes import AXES, MODELLED


@dataclass(frozen=True)
class Point:
    """One mark. `x` is a value for each axis, None where it is not known."""

    x: Sequence[float | None]
    y: float
    low: float | None
    high: float | None
    tip: str
    hollow: Sequence[bool] = ()


@dataclass(frozen=True)
class Series:
    """Marks that belong together."""

    name: str
    group: int
    colour: int
    mark: int
    points: Sequence[Point]
    line: bool = True
    view: int = 0


@dataclass(frozen=True)
class Axis:
    """A horizontal axis."""

    key: str
    label: str
    log: bool = True
    money: bool = False
    binary: bool = False


SPENDS = {
    "gen_tokens": "tokens", "candidates": "candidates", "total_tokens": "with prompt", "seconds": "seconds",
    "usd": "dollars", "joules": "joules",
}  # fmt: skip
"""Spend columns of outcomes as axes, and the words on the switch."""


def spend_axis(column: str) -> Axis:
    """The axis of a spend."""
    return Axis(SPENDS[column], AXES[column], money=column == "usd", binary=column == "candidates")


def modelled(column: str, measured: bool) -> bool:
    """Whether a spend is modelled from per-call records rather than measured in a run of that policy."""
    return column in MODELLED and not measured


def data(
    axes: Sequence[Axis], series: Sequence[Series], *, y: str = "Accuracy", percent: bool = True,
    groups: Sequence[str] = (), views: tuple[str, Sequence[str]] = ("", ()),
) -> Mapping[str, Any]:  # fmt: skip
    """The chart as JSON values."""
    return {
        "axes": [vars(axis) for axis in axes],
        "y": {"label": y, "percent": percent},
        "groups": {"label": "Model", "names": list(groups)},
        "views": {"label": views[0], "names": list(views[1])},
        "series": [{**vars(one), "points": [_point(point, len(axes)) for point in one.points]} for one in series],
    }


def _point(point: Point, axes: int) -> dict[str, Any]:
    return {**vars(point), "x": list(point.x), "hollow": list(point.hollow) or [False] * axes}
