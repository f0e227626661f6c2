"""Every policy: accuracy, the paired difference to one draw, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from testtime.analysis.against import against
from testtime.analysis.compare import paired
from testtime.analysis.frontier import frontier as curves
from testtime.core.errors import BadInput
from testtime.figures import tables
from testtime.figures.tables import UNKNOWN, Rows, cost, interval, signed
from testtime.report.blocks import Block, Section, Shows
from testtime.report.charts import SPENDS, modelled
from testtime.report.material import Material
from testtime.report.naming import arm_words, places, setting_of

BASE = ("sc_fixed", "n=1")
Gains = Mapping[tuple[str, str, str], Mapping[str, Any]]
"""(Arm, policy, setting) → a row of `analysis.compare.paired`."""


def policies(material: Material) -> Section | None:
    """A table for each run: those that nothing cheaper beats and the run's own, then all."""
    if material.outcomes is None:
        return None
    blocks: list[Block] = []
    named = places(material)
    for run in material.runs:
        outcomes = material.outcomes.filter(pl.col("run") == run.pool.run)
        rows = material.summary.filter(pl.col("run") == run.pool.run)
        if rows.height and rows["accuracy"].count():
            blocks += _tables(outcomes, rows, named[run.pool.run], set(run.policies), material.seed)
    blocks += _areas(material)
    return Section("policies", "Policies beside each other", "Policies", blocks) if blocks else None


def _tables(outcomes: pl.DataFrame, rows: pl.DataFrame, name: str, own: set[str], seed: int) -> list[Block]:
    base = _base(rows)
    gains = {} if base is None else _gains(base, outcomes, seed)
    of = f" of {base['arm']}" if base is not None and rows["arm"].n_unique() > 1 else ""
    costs = [column for column in SPENDS if rows[column].count()]
    if "total_tokens" in costs and rows["total_tokens"].equals(rows["gen_tokens"]):
        costs.remove("total_tokens")
    heads = ["policy", "accuracy %", *(["against one draw, points"] if gains else []), *(SPENDS[c] for c in costs)]
    cells = [_cells(row, gains, costs) for row in rows.iter_rows(named=True)]
    n = max(rows["n_problems"].to_list())
    best, every = unbeaten(rows), list(range(rows.height))
    alone = rows["arm"].n_unique() == 1
    shown = [at for at in every if at in best or (alone and setting_of(rows.row(at, named=True)) in own)]
    if len(shown) < len(every):  # a ladder: the cheapest first
        shown.sort(key=lambda at: rows[x_of(rows)][at] or 0.0)
    note = (
        f"n = {n:,} problems; 95 % intervals over problems; differences to one draw{of} are paired over the same "
        "problems. Bold: nothing cheaper is as accurate. ~ marks a modelled cost."
    )
    more = "" if best.issuperset(shown) else ", and the run's own"
    title = f"{name}: unbeaten settings{more}" if len(shown) < len(every) else name
    head = Shows(
        Rows(title, heads, [cells[at] for at in shown]),
        strong=frozenset(i for i, at in enumerate(shown) if at in best), note=note,
    )  # fmt: skip
    if len(shown) == len(every):
        return [head]
    whole = Rows(f"{name}: all {len(every)} settings", heads, cells)
    return [head, Shows(whole, folded=True, strong=frozenset(best))]


def _base(rows: pl.DataFrame) -> Mapping[str, Any] | None:
    """One draw, of an arm that asks nobody or else of the cheapest; None where it was not scored."""
    named = (pl.col("policy") == BASE[0]) & (pl.col("setting") == BASE[1]) & pl.col("accuracy").is_not_null()
    single = rows.filter(named)
    alone = single.filter(pl.col("decoding").str.contains("trigger=never"))
    several = single if alone.is_empty() else alone
    return several.sort(x_of(rows), nulls_last=True).row(0, named=True) if several.height else None


def x_of(table: pl.DataFrame) -> str:
    """What settings are ordered by: tokens, or candidates where those are not known."""
    return "gen_tokens" if table["gen_tokens"].count() else "candidates"


def unbeaten(rows: pl.DataFrame) -> set[int]:
    """Rows that no cheaper one equals in accuracy: by tokens, else by candidates; of equals the one named first."""
    x = x_of(rows)
    known = rows.with_row_index("_at").filter(pl.col("accuracy").is_not_null() & pl.col(x).is_not_null())
    best, found = -1.0, set()
    spends, right = pl.col(x).round_sig_figs(9), pl.col("accuracy").round(12)  # sums in another order are no less
    for at, accuracy in known.sort(spends, -right, "_at").select("_at", "accuracy").iter_rows():
        if accuracy > best + 1e-12:
            found.add(at)
            best = accuracy
    return found


def _gains(base: Mapping[str, Any], outcomes: pl.DataFrame, seed: int) -> Gains:
    """What each setting changes against the base; the base itself is left out."""
    is_base = pl.all_horizontal(pl.col(name).eq_missing(base[name]) for name in ("arm", "policy", "setting"))
    others = outcomes.filter(~is_base)
    if others.is_empty():
        return {}
    table = paired(outcomes.filter(is_base), others, seed=seed)
    return {(row["arm_b"], row["policy_b"], row["setting_b"] or ""): row for row in table.iter_rows(named=True)}


def _cells(row: Mapping[str, Any], gains: Gains, costs: list[str]) -> list[str]:
    name = " ".join(part for part in (setting_of(row), arm_words(row)) if part)
    cells = [name, interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"])]
    if gains:
        gain = gains.get((row["arm"], row["policy"], row["setting"] or ""))
        cells.append(UNKNOWN if gain is None else _signed(gain))
    return [*cells, *(cost(row[c], c, modelled=modelled(c, bool(row["measured"]))) for c in costs)]


def _signed(gain: Mapping[str, Any]) -> str:
    if gain["difference"] is None:
        return UNKNOWN
    return f"{signed(gain['difference'])} [{signed(gain['low'])}, {signed(gain['high'])}]"


def _areas(material: Material) -> list[Block]:
    """Area and slope of every curve, and what adaptive settings save at equal accuracy."""
    outcomes = material.outcomes
    assert outcomes is not None
    x = x_of(outcomes)
    blocks: list[Block] = []
    try:
        saved = against(outcomes, "sc_fixed", x, seed=material.seed)
        blocks += [Shows(rows, folded=True) for rows in tables.against(saved, "sc_fixed")] if saved.height else []
    except BadInput:  # no fixed vote to set them beside
        pass
    found = curves(outcomes, x, seed=material.seed).filter(pl.col("points") > 1)
    note = (
        "FA: area under the curve, over the common range in percent; env.: of its running maximum. MVC: accuracy "
        "gained for each unit of spend. 95 % intervals over problems."
    )
    return blocks + [Shows(rows, folded=True, note=note) for rows in (tables.frontier(found) if found.height else [])]
