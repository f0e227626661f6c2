"""The demo is one `testtime run` on what is shipped: it prints that command, its table, where the files are and what
to try next, and every command it names can be given as it stands.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testtime.cli import app
from testtime.spec import canonical_flags

Run = Callable[[str], Any]


def test_the_demo_draws_scores_and_says_what_next(testtime: Run, folder: Path) -> None:
    ran = testtime("demo --max_queries 2 --out_dir d")
    assert ran.code == 0
    (run,) = (path for path in (folder / "d").iterdir() if path.is_dir())
    assert (run / "figures/accuracy_vs_tokens.png").exists()
    assert "adaptive_margin" in ran.out
    assert "energy: " in ran.out
    first, *rest = ran.out.split("\n")
    nexts = [line.removeprefix("next: ") for line in rest if line.startswith("next: ")]
    assert len(nexts) >= 3
    for command in [first, *nexts]:
        argv = canonical_flags(shlex.split(command)[1:])
        app().parse_args(argv, exit_on_error=False, print_error=False)
    again = testtime(first.removeprefix("testtime "))
    assert "no call was made" in again.out
