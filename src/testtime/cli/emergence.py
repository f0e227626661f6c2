"""`testtime emergence`: does accuracy jump as thinking grows, and does certainty? From pools of several budgets."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from testtime.analysis.emergence_samples import BY, SCORES
from testtime.cli import Json, Whole
from testtime.figures.save import require


def emergence(
    *pools: Annotated[str, Parameter(help="Runs over several budgets, candidates.parquet files, or globs of them.")],
    by: Annotated[
        str | None,
        Parameter(help="Also compare problems' scores by dataset, model, size, or (trajectory) how it was thought."),
    ] = None,
    top_k: Annotated[
        Whole, Parameter(help="Also list so many problems of the highest score of each run and split.")
    ] = 0,
    rank_by: Annotated[str, Parameter(help=f"The score: {', '.join(SCORES)}.")] = "probability_skewness",
    out_dir: Annotated[
        Path | None,
        Parameter(help="Write tables (CSV), figures (PNG, SVG, Vega-Lite) and a page of completions there."),
    ] = None,
    json: Json = False,
    seed: Annotated[Whole, Parameter(help="Seed of the resamples and permutations.")] = 0,
) -> None:
    """Say of curves over thinking budgets whether they are sharp, smooth or flat, discrete and continuous alike."""
    from testtime.cli import show
    from testtime.figures import emergence_tables
    from testtime.workflow import AnalysisWorkflow

    _check(by, rank_by, top_k, out_dir)
    workflow = AnalysisWorkflow(list(pools), out_dir, seed=seed)
    found: dict[str, Any] = {"curves": workflow.table(), "verdicts": workflow.verdicts(), "control": workflow.control()}
    if by == "trajectory":
        found["trajectory"] = workflow.trajectories()
    elif by is not None:
        found["summary"] = getattr(workflow, f"emergence_score_summary_stats_across_{_WORDS[by]}s")()
        found["difference"] = getattr(workflow, f"emergence_score_dist_across_{_WORDS[by]}s")(SAVE=out_dir is not None)
        if by == "model":
            found["agreement"] = workflow.task_comparison(rank_by, SAVE=out_dir is not None)
    if top_k:
        found["top"] = workflow.get_top_k_max_emergence_samples(top_k, plot=out_dir is not None, rank_by=rank_by)
    files = _write(workflow, found, out_dir, top_k, rank_by) if out_dir is not None else []
    if json:
        show.json(found)
        return
    show.tables(emergence_tables.tables(found))
    show.notes(workflow.notes)
    if files:
        show.wrote(*files)
    show.next_step(_next(pools, out_dir))


def _check(by: str | None, rank_by: str, top_k: int, out_dir: Path | None) -> None:
    """Raises BadInput for what cannot be done, before anything is computed."""
    from testtime.core.errors import BadInput, unknown_name

    if by is not None and by not in BY:
        raise unknown_name("comparison", by, BY)
    if rank_by not in SCORES:
        raise unknown_name("score", rank_by, SCORES)
    if top_k < 0:
        raise BadInput(f"--top_k {top_k} cannot be", mend="expected a whole number at least 0")
    if out_dir is not None:
        require()


def _next(pools: Sequence[str], out_dir: Path | None) -> str:
    """Figures and completions, then a problem to look at."""
    if out_dir is None:
        return shlex.join(["testtime", "emergence", *pools, "--top_k", "4", "--out_dir", "analysis"])
    return shlex.join(["testtime", "show", pools[0]])


_WORDS = {"dataset": "dataset", "model": "model", "size": "scale"}


def _write(workflow: Any, found: dict[str, Any], out_dir: Path, top_k: int, rank_by: str) -> list[Path]:
    """Tables, the sheet of curves, lengths, and what was asked besides. Gives the files."""
    import polars as pl

    from testtime.core.errors import BadInput
    from testtime.store.atomic import whole

    out_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in found.items():
        if isinstance(table, pl.DataFrame):
            flat = table.with_columns(
                pl.col(pl.List(pl.Float64)).list.eval(pl.element().cast(pl.String)).list.join(" ")
            )
            with whole(out_dir / f"{name}.csv") as part:
                flat.write_csv(part)
            files.append(out_dir / f"{name}.csv")
    workflow.plot_data()
    files.append(out_dir / "scaling_curves.png")
    if any("thinking_tokens" in curves.values for curves in workflow.curves):
        workflow.token_budget_plot()
        files.append(out_dir / "token_budgets.png")
    if top_k:
        with suppress(BadInput):  # a pool of a file without texts: the rest is good without
            workflow.completions(out_dir / "completions.html", top_k, rank_by)
            files.append(out_dir / "completions.html")
    return files
