"""The ledger: what every attempt at a call took, by role and model, failures and lost requests among them."""

from __future__ import annotations

from testtime.figures.ledger import books
from testtime.figures.tables import Rows
from testtime.report.blocks import Block, Section, Shows
from testtime.report.material import Material
from testtime.report.naming import places

MOST = 20
"""Reasons of failure that are listed."""


def spend(material: Material) -> Section | None:
    """For each run that has a ledger."""
    blocks: list[Block] = []
    for run in material.runs:
        name = places(material)[run.pool.run]
        for rows in books(run.books):
            blocks.append(Shows(Rows(f"{name}: ledger", rows.heads, rows.cells, rows.left), note=_NOTE))
        if run.failures:
            cells = [[why, f"{count:,}"] for why, count in run.failures[:MOST]]
            blocks.append(Shows(Rows(f"{name}: why calls failed", ["reason", "calls"], cells), folded=True))
    return Section("spend", "What was paid", "Spend", blocks) if blocks else None


_NOTE = (
    "Sums over calls; ≥: some calls do not say. Reused: tokens that rows needed and did not pay again. Orphaned: of "
    "calls that served no row of the pool. Critical path: the least time with all rows beside each other."
)
