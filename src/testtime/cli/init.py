"""`testtime init`: experiments and personas to start from, as files of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def init(folder: Annotated[Path, Parameter(help="Where to; made if it is not there.")] = Path()) -> None:
    """Copy the experiments and personas that come with the package."""
    from testtime import shipped
    from testtime.cli import show

    written = shipped.copy_to(folder)
    show.console().print(f"wrote {len(written)} files to {folder}", soft_wrap=True)
    show.next_step(f"testtime run --config {folder / 'experiments' / 'pocket' / 'baseline.yaml'}")
