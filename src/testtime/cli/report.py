"""`testtime report`: one page to read, about one run or several."""

from __future__ import annotations

import shlex
import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from testtime.cli import Whole


def report(
    *pools: Annotated[str, Parameter(help="Runs, candidates.parquet or recorded files, or globs; several overlay.")],
    out: Annotated[Path | None, Parameter(help="The page; by default report.html in the run's folder.")] = None,
    budget: Annotated[
        list[str] | None, Parameter(help="Answer for these budgets: 2000tok/q, 0.01usd/q, 4draws, 2s, …")
    ] = None,
    policies: Annotated[
        list[str] | None, Parameter(help="Compare these in place of the usual ladder, beside the run's own.")
    ] = None,
    sample: Annotated[Whole, Parameter(help="Problems of each run whose candidates can be read in the page.")] = 120,
    orders: Annotated[Whole, Parameter(help="Random orders of the draws that all policies share.")] = 100,
    seed: Annotated[Whole, Parameter(help="Seed of the orders, the bootstrap and the sample of problems.")] = 0,
    open_: Annotated[bool, Parameter(name="open", show_default=False, help="Open the page in a browser.")] = False,
    json: Annotated[bool, Parameter(show_default=False, help="Print what was written as JSON.")] = False,
) -> None:
    """Write one self-contained HTML page: the answer, the figures, the tables, the candidates."""
    from testtime.cli import show
    from testtime.reporting import write_report
    from testtime.store.cloud import push

    with Console(stderr=True).status("reading") as status:  # seen in a terminal only
        done = write_report(
            pools, out, budgets=budget or (), policies=policies, sample=sample, orders=orders, seed=seed,
            tell=status.update,
        )  # fmt: skip
    sent = push(done.path)
    if json:
        show.json({**vars(done), "path": str(done.path)})
    else:
        show.wrote(done.path)
        size = f"{done.size / 1e6:.1f} MB, {done.settings:,} settings, candidates of {done.problems:,} problems"
        show.notes([*done.skipped, f"{size}; it opens without a network", *sent])
    if open_:
        webbrowser.open(done.path.resolve().as_uri())
    if not json:
        after = ["recommend", *done.pools, "--budget", "1000tok/q"] if done.settings else ["show", done.pools[0]]
        show.next_step(shlex.join(["testtime", *after]))
