"""What was declined: how often, of which kind, on which problems; and whether it is what has no answer."""

from __future__ import annotations

import polars as pl

from testtime.analysis.calibration import calibration
from testtime.analysis.conduct import Refusing, refusing
from testtime.core.errors import BadInput
from testtime.figures import calibration as calibrated
from testtime.figures.tables import UNKNOWN, Rows, interval
from testtime.report.blocks import Block, Section, Shows
from testtime.report.material import Material, RunData
from testtime.report.naming import places


def refusals(material: Material) -> Section | None:
    """Rates by run, arm and split, and their kinds, where any text is a refusal; of a calibration, the pairs."""
    named = places(material)
    blocks: list[Block] = [block for run in material.runs for block in _calibration(run, named[run.pool.run], material)]
    rows = [line for run in material.runs for line in _lines(run, named[run.pool.run])]
    if any(one.refused for _, one in rows):
        cells = [
            [name, f"{one.texts:,}", f"{one.refused:,}", interval(one.rate.mean, one.rate.low, one.rate.high)]
            for name, one in rows
        ]
        note = "n of texts of which it is known, over sampled draws; rates with 95 % intervals over problems."
        blocks.append(Shows(Rows("How often", ["", "texts", "refusals", "rate %"], cells), note=note))
        blocks += [Shows(_kinds(run, named[run.pool.run])) for run in material.runs if _refused(run).height]
    return Section("refusals", "What was declined", "Refusals", blocks) if blocks else None


def _lines(run: RunData, name: str) -> list[tuple[str, Refusing]]:
    """(Words, rate) of each arm, and of each split of it."""
    pool = run.pool
    splits = [split for split in dict.fromkeys(pool.splits) if split]
    found = []
    for label, draws in pool.arms.items():
        arm = name if len(pool.arms) == 1 else f"{name}, {label}"
        found.append((arm, refusing(pool, draws)))
        if len(splits) > 1:
            found += [(f"{arm}, {split}", refusing(pool, draws, split)) for split in splits]
    return [(words, one) for words, one in found if one.texts]


def _refused(run: RunData) -> pl.DataFrame:
    """The rows that refuse; marked retries are left out."""
    if "refusal_is_refusal" not in run.frame.columns:
        return run.frame.clear()
    wanted = pl.col("refusal_is_refusal").fill_null(False)
    if "is_retry" in run.frame.columns:
        wanted &= ~pl.col("is_retry").fill_null(False)
    return run.frame.filter(wanted)


def _kinds(run: RunData, name: str) -> Rows:
    """Refusals by type, and how many of them were judged right: declining can be the right answer."""
    rows = _refused(run)
    kinds = rows["refusal_type"] if "refusal_type" in rows.columns else pl.Series([None] * rows.height, dtype=pl.String)
    verdicts = rows["is_verified"] if "is_verified" in rows.columns else pl.Series([None] * rows.height)
    table = pl.DataFrame({"kind": kinds, "right": verdicts.cast(pl.Boolean)})
    counted = table.group_by("kind", maintain_order=True).agg(n=pl.len(), right=pl.col("right").sum())
    cells = [
        [kind or UNKNOWN, f"{n:,}", f"{100 * n / rows.height:.0f}", f"{right:,}"]
        for kind, n, right in counted.sort("n", descending=True, maintain_order=True).iter_rows()
    ]
    return Rows(f"{name}: {rows.height:,} refusals by kind", ["kind", "texts", "share %", "judged right"], cells)


def _calibration(run: RunData, name: str, material: Material) -> list[Block]:
    """Broken problems beside the sound ones they were made of."""
    try:
        table = calibration(run.pool, material.seed)
    except BadInput:  # no such pairs
        return []
    shown = calibrated.rates(table)
    note = (
        "Broken: the share of problems without an answer that is declined. Sound: the same of the problems they were "
        "made of. A difference near 100 is ideal. 95 % intervals over problems, paired."
    )
    return [Shows(Rows(f"{name}: declined, of problems broken and sound", shown.heads, shown.cells), note=note)]
