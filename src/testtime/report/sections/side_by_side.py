"""Several runs over the same problems: what changes from the first to each other, paired."""

from __future__ import annotations

from testtime.analysis.sides import columns_beside, known_to_all, names_of, set_beside
from testtime.core.errors import BadInput
from testtime.figures import comparison
from testtime.report.blocks import Block, Says, Section, Shows
from testtime.report.material import Material


def side_by_side(material: Material) -> Section | None:
    """The first run against the others, by split where there are several."""
    pools = [run.pool for run in material.runs]
    if len(pools) < 2 or material.outcomes is None:
        return None
    base = names_of(pools)[0]
    try:
        table = set_beside(pools, seed=material.seed)
    except BadInput as error:
        return Section("runs", "Runs beside each other", "Runs", [Says(f"Runs are not compared: {error}", "note")])
    blocks: list[Block] = [
        Shows(rows) for rows in [comparison.legend(table, base), *comparison.comparison(table, base)]
    ]
    if len(material.splits) > 1:
        split = set_beside(pools, by="split", seed=material.seed)
        blocks += [Shows(rows, folded=True) for rows in comparison.comparison(split, base) if rows.title]
    if several := known_to_all(pools):
        beside = comparison.columns(columns_beside(pools, several, seed=material.seed), base)
        blocks.append(Shows(beside))
    how = "Paired over the problems both have; 95 % intervals over problems; p: exact sign test, Holm: for all rows."
    return Section("runs", "Runs beside each other", "Runs", [*blocks, Says(how, "note")])
