"""`testtime show`: one problem of a run in the terminal, its candidates by answer."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json, Whole
from testtime.core.errors import BadInput


def show(
    run: Annotated[str, Parameter(help="A run folder, a candidates.parquet, a packed run, or a recorded file.")],
    query_id: Annotated[
        str | None, Parameter(help="The problem; without it, the problems whose candidates agree least are listed.")
    ] = None,
    /,
    *,
    thinking: Annotated[bool, Parameter(show_default=False, help="Open what was thought.")] = False,
    every: Annotated[
        bool, Parameter(show_default=False, help="Print all texts, not the first of each answer alone.")
    ] = False,
    candidate: Annotated[Whole | None, Parameter(help="Print this candidate alone.")] = None,
    json: Json = False,
) -> None:
    """Show one problem: what was asked, and who answered what."""
    from testtime import sources
    from testtime.cli import show as out
    from testtime.figures import candidates

    if query_id is None:
        if candidate is not None:
            raise BadInput(
                "--candidate is of a problem, and none is named", mend=f"testtime show {run} lists them; add one's id"
            )
        _listed(run, json)
        return
    found = list(sources.candidates_at(run, query_id))
    if candidate is not None and not any(row["candidate_idx"] == candidate for _, rows in found for row in rows):
        last = max(row["candidate_idx"] for _, rows in found for row in rows)
        mend = f"they are numbered from 0 to {last}"
        raise BadInput(f"{query_id} has no candidate {candidate}", where=run, mend=mend)
    if json:
        out.json([{"run": name, "candidates": rows} for name, rows in found])
        return
    for name, rows in found:
        for block in candidates.problem(rows, name, thinking=thinking, every=every, only=candidate):
            out.indented(block.text, block.indent, block.lead)
    out.next_step(shlex.join(["testtime", "show", run, *([] if every and thinking else [query_id, *EVERYTHING])]))


EVERYTHING = ("--every", "--thinking")
"""What opens all there is of a problem; after that, the other problems."""


def _listed(run: str, json: bool) -> None:
    """The problems of a pool, those first whose draws agree least."""
    from testtime import sources
    from testtime.analysis.disagreement import divided
    from testtime.cli import show as out
    from testtime.figures import candidates

    tables = [(pool.run, divided(pool)) for pool in sources.pools_at(run)]
    if json:
        out.json([{"run": name, "problems": table} for name, table in tables])
        return
    for name, table in tables:
        out.tables(candidates.listed(table, name))
    first = next((table["query_id"][0] for _, table in tables if table.height), None)
    out.next_step(shlex.join(["testtime", "show", run, *([str(first)] if first else [])]))
