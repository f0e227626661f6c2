"""`testtime analyze`: outcome files (or pools) to one table, its frontier, and what each setting saves."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json


def analyze(
    *,
    glob: Annotated[
        list[str],
        Parameter(help="Outcome files, by name or pattern; pools among them are replayed with the default policies."),
    ],
    out_csv: Annotated[
        Path, Parameter(help="Write the table here, and its frontier beside it with `_frontier` in the name.")
    ],
    against: Annotated[
        str | None,
        Parameter(help="A policy whose curve every setting is compared with; written with `_against` in the name."),
    ] = None,
    x: Annotated[
        str | None,
        Parameter(
            help="What the frontier is over: candidates, tokens (the default), total_tokens, seconds, dollars, joules."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Outcome files to one table, its frontier, and what each setting saves."""
    from testtime import api, sources
    from testtime.analysis.table import to_csv
    from testtime.cli import show
    from testtime.figures import tables
    from testtime.store.atomic import writable

    words = ["frontier", *(["against"] if against else [])]
    writable([out_csv, *(beside(out_csv, word) for word in words)], sources.paths_of(glob))
    table = api.analyze(glob)
    x = x or ("tokens" if "tokens" in table.axes else "candidates")
    summary, frontier = table.to_polars(), table.frontier(x)
    frames = {out_csv: summary, beside(out_csv, "frontier"): frontier}
    shown = [*tables.summary(summary), *tables.frontier(frontier)]
    if against:
        frames[beside(out_csv, "against")] = savings = table.against(against, x)
        shown += tables.against(savings, against)
    notes = table.notes
    for path, frame in frames.items():
        to_csv(frame, path)
    if json:
        named = dict(zip(("summary", "frontier", "against"), frames.values(), strict=False))
        show.json({**named, "notes": notes, "files": list(frames)})
        return
    show.tables(shown)
    show.notes(notes)
    show.wrote(*frames)
    show.next_step(
        shlex.join(["testtime", "plot", "--csv", f"{out_csv}", "--out_png", f"{out_csv.with_suffix('.png')}"])
    )


def beside(path: Path, word: str) -> Path:
    """The file of a second table: `summary.csv` → `summary_frontier.csv`."""
    return path.with_name(f"{path.stem}_{word}{path.suffix}")
