"""The compute table: what each policy needs, in the columns that a reviewer asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from testtime.figures.tables import UNKNOWN, Rows, cost
from testtime.report.blocks import Section, Shows
from testtime.report.material import Material, RunData
from testtime.report.naming import arm_words, setting_of, short
from testtime.report.sections.policies import unbeaten


def compute(material: Material) -> Section | None:
    """A row a run, arm and policy: those that the run executed, or of recorded files the unbeaten ones."""
    if material.outcomes is None:
        return None
    calls = material.outcomes.group_by("run", "arm", "policy", "setting").agg(pl.col("rounds", "candidates").mean())
    rounds = {row[:4]: row[4:] for row in calls.iter_rows()}
    cells = []
    for run in material.runs:
        mine = material.summary.filter(pl.col("run") == run.pool.run)
        for part in mine.partition_by("arm", maintain_order=True):
            best = unbeaten(part)
            for at, row in enumerate(part.iter_rows(named=True)):
                if row["accuracy"] is not None and (
                    setting_of(row) in run.policies or (not run.policies and at in best)
                ):
                    met = rounds[row["run"], row["arm"], row["policy"], row["setting"]]
                    cells.append(_cells(run, row, met))
    if not cells:
        return None
    heads = ["task", "model", "policy", "N", "depth", "verifier", "tokens written", "prompt and written", "calls",
             "s / problem", "dollars", "joules", "accuracy %"]  # fmt: skip
    note = (
        "Means a problem. N: candidates drawn. Depth: thinking budget, consultations, steps. Calls: requests if drawn "
        "in rounds, several draws from one request where the model can. ~ is modelled from records of single calls. "
        "The prompt of each arm is under the conditions."
    )
    return Section(
        "compute", "Compute table", "Compute", [Shows(Rows("", heads, cells), words=frozenset({1, 2, 4, 5}), note=note)]
    )


def _cells(run: RunData, row: Mapping[str, Any], met: tuple[float | None, float | None]) -> list[str]:
    draws = run.pool.arms.get(row["arm"])
    calls = met[0] if draws is not None and draws.grouped else met[1]
    known = run.frame["verification_verifier_name"] if "verification_verifier_name" in run.frame.columns else None
    stages = [] if known is None else sorted(known.drop_nulls().unique().to_list())
    mean = f"{100 * row['accuracy']:.1f}"
    return [
        f"{row['dataset'] or UNKNOWN}", short(row["model"] or run.name), setting_of(row),
        cost(row["candidates"], "candidates"),
        arm_words(row).partition(":")[2] or "1", ", ".join(stages) or UNKNOWN,
        cost(row["gen_tokens"], "gen_tokens"), cost(row["total_tokens"], "total_tokens"), cost(calls, "candidates"),
        *(cost(row[name], name, modelled=not row["measured"]) for name in ("seconds", "usd", "joules")), mean,
    ]  # fmt: skip
