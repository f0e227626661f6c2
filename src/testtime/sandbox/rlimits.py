"""A plain process with limits and no walls: it can read what this user can. Only where it is asked for by name."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import ClassVar, Literal

from testtime.sandbox.box import Start
from testtime.sandbox.bubblewrap import python
from testtime.sandbox.pool import Boxes


class Rlimits(Boxes):
    """Limits on time, memory and files, an empty environment and a folder of its own: against accidents, not malice."""

    name: ClassVar[str] = "subprocess"
    trust: ClassVar[Literal["high", "low"]] = "low"
    counts_processes: ClassVar[bool] = False

    def start(self) -> Start:
        """In a temporary folder that goes with it."""
        folder = tempfile.TemporaryDirectory(prefix="testtime-", ignore_cleanup_errors=True)
        as_nobody = os.getuid() == 0 and python() is not None
        if as_nobody:
            os.chown(folder.name, 65534, 65534)
        interpreter = python() if as_nobody else sys.executable
        return Start(
            [str(interpreter), "-I", "-S"], cwd=folder.name, as_nobody=as_nobody, after=folder.cleanup, below=0
        )
