"""Who says that an answer is right: rules and judges, how sure they are, and where they disagree."""

from __future__ import annotations

import polars as pl

from testtime.analysis import agreement, judging
from testtime.figures.tables import UNKNOWN, Rows, interval
from testtime.report.blocks import Block, Says, Section, Shows
from testtime.report.material import Material, RunData
from testtime.report.naming import places


def verdicts(material: Material) -> Section | None:
    """For each run that was judged."""
    blocks: list[Block] = []
    for run in material.runs:
        if "is_verified" in run.frame.columns and run.frame["is_verified"].count():
            blocks += _blocks(run, places(material)[run.pool.run])
    return Section("verdicts", "Who says so", "Verdicts", blocks) if blocks else None


def _blocks(run: RunData, name: str) -> list[Block]:
    cells = [
        [
            row["stage"] or UNKNOWN, row["method"] or UNKNOWN,
            *(f"{row[name]:,}" for name in ("right", "wrong", "open")),
            UNKNOWN if row["confidence"] is None else f"{row['confidence']:.2f}",
            {True: "yes", False: "no", None: UNKNOWN}[row["saw_reference"]],
        ]
        for row in agreement.by_method(run.frame).iter_rows(named=True)
    ]  # fmt: skip
    heads = ["stage", "rule", "right", "wrong", "could not tell", "mean confidence", "saw the reference"]
    blocks: list[Block] = [Shows(Rows(f"{name}: verdicts by rule", heads, cells), words=frozenset({1, 6}))]
    if (found := judging.judged(run.frame)) is not None:
        blocks.append(Says(f"{name}: {judging.sentence(found)}."))
    return blocks + [Shows(_agreement(one, name)) for one in run.stored if one.height]


def _agreement(overlay: pl.DataFrame, name: str) -> Rows:
    """First verdicts beside those that a later stage gave."""
    found = agreement.agreement(overlay)
    words = {True: "right", False: "wrong", None: "could not tell"}
    cells = [[words[was], *(f"{found.counts[was, now]:,}" for now in words)] for was in words]
    share = interval(found.share, found.low, found.high)
    both = f"both say right or wrong of {found.both:,} candidates, and agree on {share} %"
    return Rows(
        f"{name}: first verdict beside {found.stage}; {both}",
        ["first verdict", *(f"{found.stage} says {word}" for word in words.values())], cells,
    )  # fmt: skip
