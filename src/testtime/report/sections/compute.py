"""The compute table: what each policy needs, in the columns that a reviewer asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from testtime.figures.tables import UNKNOWN, Rows, cost, interval
from testtime.report.blocks import Section, Shows
from testtime.report.material import Material, RunData
from testtime.report.naming import arm_words, places, setting_of, short
from testtime.report.sections.policies import unbeaten

if TYPE_CHECKING:
    from testtime.store.pool import Draws

SHORT = 40
"""Letters of a prompt or a note in the table."""


def compute(material: Material) -> Section | None:
    """A row a run, arm and policy: those that the run executed, or of recorded files the unbeaten ones."""
    if material.outcomes is None:
        return None
    calls = material.outcomes.group_by("run", "arm", "policy", "setting").agg(pl.col("rounds", "candidates").mean())
    rounds = {row[:4]: row[4:] for row in calls.iter_rows()}
    cells, named = [], places(material)
    for run in material.runs:
        mine = material.summary.filter(pl.col("run") == run.pool.run)
        for part in mine.partition_by("arm", maintain_order=True):
            best = unbeaten(part)
            for at, row in enumerate(part.iter_rows(named=True)):
                if row["accuracy"] is not None and (
                    setting_of(row) in run.policies or (not run.policies and at in best)
                ):
                    met = rounds[row["run"], row["arm"], row["policy"], row["setting"]]
                    cells.append(_cells(run, row, met, named[run.pool.run]))
    if not cells:
        return None
    heads = ["task", "model", "policy", "N", "depth", "verifier", "verifier tokens", "tokens written",
             "prompt and written", "calls", "s / problem", "dollars", "joules", "accuracy %", "prompt",
             "device", "notes"]  # fmt: skip
    note = (
        "Means a problem; 95 % intervals over problems. N: candidates drawn. Depth: thinking budget, consultations, "
        "steps. Verifier tokens: of a judge, for N candidates. Calls: requests if drawn in rounds, several draws from "
        "one where the model can. ~ is modelled from records of single calls. The whole prompt of each arm is under "
        "the conditions."
    )
    words = frozenset({1, 2, 4, 5, 14, 15, 16})
    return Section("compute", "Compute table", "Compute", [Shows(Rows("", heads, cells), words=words, note=note)])


def _cells(run: RunData, row: Mapping[str, Any], met: tuple[float | None, float | None], named: str) -> list[str]:
    draws = run.pool.arms.get(row["arm"])
    calls = met[0] if draws is not None and draws.grouped else met[1]
    known = run.frame["verification_verifier_name"] if "verification_verifier_name" in run.frame.columns else None
    stages = [] if known is None else sorted(known.drop_nulls().unique().to_list())
    model = short(row["model"] or run.name)
    return [
        f"{row['dataset'] or UNKNOWN}", model if named == model else f"{model}, {named}",
        setting_of(row),
        cost(row["candidates"], "candidates"),
        arm_words(row).partition(":")[2] or "1", ", ".join(stages) or UNKNOWN,
        _judged(run, row["candidates"], bool(stages)),
        cost(row["gen_tokens"], "gen_tokens"), cost(row["total_tokens"], "total_tokens"), cost(calls, "candidates"),
        *(cost(row[name], name, modelled=not row["measured"]) for name in ("seconds", "usd", "joules")),
        interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"]),
        _prompt(draws), _device(run), _line(run.meta.get("notes")) or UNKNOWN,
    ]  # fmt: skip


def _prompt(draws: Draws | None) -> str:
    """The template, and whether a persona speaks, in a few words."""
    if draws is None:
        return UNKNOWN
    said = _line(draws.arm.prompt) or UNKNOWN
    return f"persona, {said}" if draws.arm.persona else said


def _line(text: object) -> str:
    """The first words of a text."""
    words = " ".join(str(text or "").split())
    return words if len(words) <= SHORT else f"{words[: SHORT - 1]}…"


def _judged(run: RunData, candidates: float | None, verified: bool) -> str:
    """Tokens of the models that judge, for so many candidates; unknown where the run has no ledger."""
    if run.books is None or candidates is None or not verified or not run.frame.height:
        return UNKNOWN
    spent = [one for entry in run.books.entries if entry.role == "judge" for one in (entry.prompt, entry.completion)]
    if any(one.unknown for one in spent):
        return UNKNOWN
    return cost(sum(one.known for one in spent) / run.frame.height * candidates, "gen_tokens")


def _device(run: RunData) -> str:
    """Where a model of this machine ran, as far as the run says."""
    config = run.meta.get("config")
    asked = config.get("device") if isinstance(config, Mapping) else None
    return str(asked or ("CPU" if str(run.meta.get("model") or "").startswith("pocket:") else UNKNOWN))
