"""`testtime export`: a pool as training data."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from testtime.cli import Json, Whole


def export(
    pool: Annotated[Path, Parameter(help="A run folder or a candidates.parquet.")],
    *,
    format: Annotated[
        Literal["sft", "preference", "rm"],
        Parameter(help="sft: verified answers; preference: pairs of a right and a wrong one; rm: all, with labels."),
    ],
    out: Annotated[Path, Parameter(help="Write the rows here, one JSON object a line.")],
    most: Annotated[Whole | None, Parameter(help="Rows of a problem, at most; by default all.")] = None,
    json: Json = False,
) -> None:
    """Make training data of a pool: one JSON object a line, texts that are equal within a problem once."""
    from testtime import sources
    from testtime.cli import show
    from testtime.core.errors import BadInput
    from testtime.store.atomic import writable
    from testtime.store.training import export as write

    if most is not None and most < 1:
        raise BadInput(f"--most {most} cannot be", mend="expected a whole number at least 1")
    place = sources.place(pool)
    file = place / "candidates.parquet" if place.is_dir() else place
    writable([out], [file])
    written, unsure = write(file, format, out, most)
    if json:
        show.json({"rows": written, "without_ground_truth": unsure})
        return
    told = ", ".join(f"{split or 'no split'} {count:,}" for split, count in written.items())
    show.console().print(f"{sum(written.values()):,} rows ({told})" if written else "no judged candidate")
    alone = ", ".join(f"{split or 'no split'} {count:,}" for split, count in unsure.items())
    show.notes([f"a judge's word alone, no ground truth (ground_truth: false): {alone}"] if alone else [])
    show.wrote(out)
    show.next_step(f"head -n 1 {shlex.quote(str(out))}")
