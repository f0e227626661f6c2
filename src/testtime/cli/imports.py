"""`testtime import`: make a pool of a recorded file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def import_(
    kind: Annotated[
        str, Parameter(help="What the file is: answers (rows of id, gold, answers, tokens), qwen-rm, esc or tot24.")
    ],
    file: Annotated[Path, Parameter(help="The file; gzip is fine.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The folder of the pool.")],
) -> None:
    """Make a pool of a recorded file."""
    from testtime import api
    from testtime.cli import show

    path = api.import_file(kind, file, out)
    show.wrote(path)
    show.next_step(f"testtime inspect {out}")
