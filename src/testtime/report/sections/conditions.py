"""Exact conditions: what would have to be the same for the numbers to come out the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testtime.core.records import Arm
from testtime.figures.tables import UNKNOWN, Rows
from testtime.report.blocks import Block, Fold, Says, Section, Shows
from testtime.report.material import Material, RunData

_META = {
    "generated_at": "written", "testtime_version": "written by testtime", "config_hash": "configuration digest",
    "seed": "seed", "vote": "one vote is", "prices": "prices", "notes": "notes",
}  # fmt: skip


def conditions(material: Material) -> Section:
    """Facts of each run, its arms, its whole configuration, and what wrote the page."""
    blocks: list[Block] = []
    for run in material.runs:
        blocks.append(Shows(_facts(run)))
        arms = [Shows(_arm(draws.arm, draws.sampled)) for draws in run.pool.arms.values()]
        blocks += arms if len(arms) == 1 else [Fold(f"{run.name}: its {len(arms)} arms", arms)]
        if isinstance(config := run.meta.get("config"), Mapping):
            cells = [[name, _text(value)] for name, value in config.items() if value not in (None, [], "", {})]
            blocks.append(
                Shows(Rows(f"{run.name}: whole configuration", ["key", "value"], cells, left=True), folded=True)
            )
    wrote = [[name, version] for name, version in material.versions.items()]
    blocks.append(Shows(Rows("This page", ["", ""], [["made", material.made], *wrote], left=True)))
    return Section(
        "conditions",
        "Exact conditions",
        "Conditions",
        [*blocks, Says("The same page again:"), Says(material.command, "command")],
    )


def _facts(run: RunData) -> Rows:
    pool, meta = run.pool, run.meta
    problems = f"{len(pool.problems):,}"
    splits = ", ".join(dict.fromkeys(split for split in pool.splits if split))
    cells = [
        ["model", str(meta.get("model") or UNKNOWN)],
        ["provider", str(meta.get("provider") or UNKNOWN)],
        ["revision", _revision(run)],
        ["dataset", " ".join(part for part in (pool.dataset, splits) if part) or UNKNOWN],
        ["problems", problems],
        *([name, _text(meta[key])] for key, name in _META.items() if meta.get(key) not in (None, "")),
        ["energy", _energy(run)],
    ]
    return Rows(run.name, ["", ""], cells, left=True)


def _revision(run: RunData) -> str:
    """Which version of each model answered, as its provider says it."""
    told, served = [], run.meta.get("served") or ()
    for role, asked, *names in served:
        bare = asked.partition(":")[2]
        said = [name for name in names if name not in (asked, bare)]
        if asked.startswith("pocket:"):
            said = [f"weights of testtime {run.meta.get('testtime_version', UNKNOWN)}"]
        told += [f"{role} {bare or asked}: {', '.join(said)}"] if said else []
    if told:
        return "\n".join(dict.fromkeys(told))
    return "the provider names no other than the model asked for" if served else UNKNOWN


def _energy(run: RunData) -> str:
    """Where joules come from, as far as the pool says."""
    config = run.meta.get("config")
    asked = isinstance(config, Mapping) and config.get("measure_energy")
    if run.energy is None or not run.energy[0]:
        return "not measured: asked for, but this machine had no counter" if asked else "not measured"
    source = run.meta.get("energy") or "measured while the run was drawn"
    return f"{source}; attributed to {run.energy[0]:,} of {run.energy[1]:,} calls"


def _arm(arm: Arm, draws: int) -> Rows:
    cells = [[f"model as {role}", model] for role, model in arm.models.items()]
    cells += [["prompt", arm.prompt]] if arm.prompt else []
    cells += [["persona", arm.persona]] if arm.persona else []
    cells.append(["decoding", _settings(arm.decoding)])
    cells.append(["sampling", _settings(arm.sampling) or UNKNOWN])
    cells.append(["draws of each problem", str(draws)])
    return Rows(f"Arm {arm.label}", ["", ""], cells, left=True)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in values.items() if value is not None)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
