"""`testtime runs`: what lies in a folder of runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json


def runs(
    folder: Annotated[Path, Parameter(help="The folder of runs; by default results.", show_default=False)] = Path(
        "results"
    ),
    /,
    *,
    grep: Annotated[
        str | None, Parameter(help="Only runs whose name, model, dataset, state or notes hold this text.")
    ] = None,
    json: Json = False,
) -> None:
    """List the runs of a folder: what each was, what came out, what it cost."""
    from testtime import shelf
    from testtime.cli import show
    from testtime.figures.shelf import shelved

    found = [one.plain() for one in shelf.shelf(folder, grep)]
    if json:
        show.json(found)
        return
    for one in found:
        for line, indent in shelved(one):
            show.indented(line, indent)
    show.console().print(f"{len(found):,} run{'s' if len(found) != 1 else ''} in {folder}", soft_wrap=True)
    if bare := [str(one["run"]) for one in found if not one["notes"] and one["state"] != "packed"]:
        show.notes([f"without notes: {', '.join(bare[:3])}{f' and {len(bare) - 3} more' if bare[3:] else ''}"])
    after = ["inspect", str(found[-1]["path"])] if found else ["runs", str(folder)] if grep else ["demo"]
    show.next_step(shlex.join(["testtime", *after]))
