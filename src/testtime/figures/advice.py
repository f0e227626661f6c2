"""Tables of advice for reading."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from testtime.analysis.alarms import Alarm
from testtime.analysis.limits import Headroom
from testtime.analysis.recommend import Advice
from testtime.analysis.selective import Selective, rows_of
from testtime.figures.tables import UNKNOWN, Rows, interval


def recommendation(advice: Advice) -> list[Rows]:
    """What to deploy, then half and twice the budget."""
    names = [*advice.telling, "policy", "setting"]
    cells = [
        [
            ("1. " if at == 0 else f"{at + 1}. ") + " ".join(str(row[name] or "") for name in names),
            interval(row["accuracy"], row["low"], row["high"]),
            f"{row['spend']:,.4g}",
        ]
        for at, row in enumerate(advice.ranked.iter_rows(named=True))
    ]
    title = f"Within {advice.budget}, {advice.tried} setting{'s' if advice.tried > 1 else ''} compared"
    others = [
        [
            row["budget"],
            " ".join(str(row[name]) for name in names if row[name]) or UNKNOWN,
            interval(row["accuracy"], row["low"], row["high"]),
        ]
        for row in advice.other_budgets.iter_rows(named=True)
    ]
    return [
        Rows(title, ["setting", "accuracy % as chosen on", advice.budget.unit], cells),
        Rows("What another budget buys, honest after choosing", ["budget", "setting", "accuracy %"], others, left=True),
    ]


def around(
    advice: Advice, heads: Sequence[tuple[str, Headroom]], ratio: float | None, alarms: Sequence[Alarm]
) -> list[str]:
    """What a reader must be told, a line each."""
    turned = "better" if advice.optimism >= 0 else "worse"
    lines = [
        f"following this advice gives {interval(*advice.honest)} % (nested cross-validation, 95 %)",
        f"chosen and measured on the same problems it looks {100 * abs(advice.optimism):.2f} points {turned}",
        f"the same setting is chosen on {advice.stable:.0%} of the parts",
    ]
    more = "; ".join(f"{100 * head.points:.1f} at {head.k} draws ({run})" for run, head in heads)
    if more:
        lines.append(f"points that a perfect verifier has more than voting: {more}")
    if ratio is not None:
        least = "the least of any rule of counts that agrees as often with all draws, by the prior that fits the pool"
        lines.append(f"it draws {ratio:.2f} times {least}")
    return lines + [f"alarm {alarm.name}: {alarm.says}" for alarm in alarms]


def plan(table: pl.DataFrame, effect: float, power: float) -> Rows:
    """Designs that settle a comparison."""
    cells = [
        [
            row["design"],
            "all of the pool" if row["runs"] is None else str(row["runs"]),
            UNKNOWN if row["questions"] is None else f"{row['questions']:,}",
            UNKNOWN if row["draws"] is None else f"{row['draws']:,}",
            UNKNOWN if row["power"] is None else f"{row['power']:.2f}",
        ]
        for row in table.iter_rows(named=True)
    ]
    title = f"To notice {100 * effect:g} points with a chance of {power:g}, at 5 %"
    return Rows(title, ["design", "runs", "questions a side", "draws", "power at the pilot's size"], cells)


def forecast(table: pl.DataFrame) -> list[Rows]:
    """A table an arm; k beyond the pool are marked."""
    shown = []
    for group in table.partition_by("run", "arm", maintain_order=True):
        n = group["pool_draws"][0]
        cells = [
            [
                f"{row['k']}{' *' if row['k'] > n else ''}",
                interval(row["maj"], row["maj_low"], row["maj_high"]),
                interval(row["pass"], row["pass_low"], row["pass_high"]),
            ]
            for row in group.iter_rows(named=True)
        ]
        title = f"{group['run'][0]}, {group['arm'][0]}: forecast from {n} draws a problem (* beyond them)"
        shown.append(Rows(title, ["k", "maj@k %", "pass@k %"], cells))
    return shown


def risk(run: str, found: Selective) -> list[Rows]:
    """The error among the most certain answers, and what the ranking is worth."""
    cells = [
        [f"{100 * row['coverage']:.0f}", f"{row['problems']:,}", f"{100 * row['risk']:.2f}"]
        for row in rows_of(found).iter_rows(named=True)
    ]
    said = [
        ["area (AURC), 95 %", interval(found.aurc, *found.interval, digits=2)],
        ["of the best ranking, of none", f"{100 * found.best:.2f}, {100 * found.error:.2f}"],
        ["beyond the best, as a part of none", f"{found.excess:.2f}"],
        ["certified, of these wrong", f"{found.certified:,} of {found.problems:,}, {found.false:,}"],
    ]
    return [
        Rows(f"{run}: error among the answers that are surest", ["coverage %", "problems", "error %"], cells),
        Rows("What the ranking is worth", ["", "%"], said, left=True),
    ]


def risk_of(found: Selective) -> dict[str, object]:
    """The same as plain numbers."""
    low, high = found.interval
    numbers = {
        name: getattr(found, name) for name in ("problems", "aurc", "best", "error", "excess", "certified", "false")
    }
    return {**numbers, "low": low, "high": high, "curve": rows_of(found).to_dicts()}


def rule(edge: pl.DataFrame | None, behaviour: pl.DataFrame) -> list[Rows]:
    """Where a rule stops, and what it does by difficulty."""
    cells = [
        [
            f"{row['p1']:g} / {row['p2']:g}",
            f"{row['draws']:.2f}",
            f"{100 * row['wrong']:.2f}" + (f" ± {100 * row['error']:.2f}" if row["error"] else ""),
            f"{row['certificate']:,.1f}",
        ]
        for row in behaviour.iter_rows(named=True)
    ]
    heads = ["shares of two top answers", "draws", "not the most common %", "least draws to certify"]
    shown = [Rows("By difficulty", heads, cells)]
    if edge is not None:
        steps = [[str(v2), str(v1)] for v2, v1 in edge.iter_rows()]
        shown.insert(0, Rows("Smallest v1 that stops, when only two answers have votes", ["v2", "v1"], steps))
    return shown
