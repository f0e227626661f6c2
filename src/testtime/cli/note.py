"""`testtime note`: a line more in a run's notes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def note(
    run: Annotated[Path, Parameter(help="A run folder.")],
    text: Annotated[str, Parameter(help="What is to be remembered: one line, kept with its day.")],
    /,
) -> None:
    """Add a line to a run's notes."""
    from testtime.cli import show
    from testtime.sources import brought
    from testtime.store.cloud import push
    from testtime.store.notes import add_note

    file = add_note(brought(run), text)
    show.wrote(file)
    show.notes(push(file))
    show.next_step(f"testtime runs {shlex.quote(str(run.parent))}")
