"""`AnalysisWorkflow`: pools of several budgets, from the curves to which problems are sharp, and to figures.

    workflow = AnalysisWorkflow(paths="results/*", results_save_dir="analysis")
    workflow.aggregate_plots(SAVE=True)
    workflow.emergence_scores(model_name="pocket-m", dataset_name="medium")
    workflow.get_top_k_max_emergence_samples(k=4, plot=True)

Paths are run folders, candidates.parquet files or globs of them. Names of models and datasets are parts of the full
ones. Tables are polars frames; charts are altair charts, shown with SHOW in a notebook (elsewhere a line says where
they are) and written with SAVE.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from testtime.analysis import control, emergence_samples
from testtime.analysis.emergence_curves import ACCURACY, Curves, curves_of
from testtime.analysis.emergence_samples import samplewise
from testtime.analysis.emergence_table import Reading, each_problem, read, read_all, row_of, together
from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.figures.save import renders, require
from testtime.sources import Sources, paths_of, pools_at
from testtime.store.atomic import whole
from testtime.store.folder import is_run, runs
from testtime.store.parquet import read_frame
from testtime.store.pool import Pool

if TYPE_CHECKING:
    from altair.typing import ChartType

TABLES = ("token_budget_view", "full_view")
PRINTED = ("png", "svg", "json")
"""Forms of a figure that is written: a picture, one that scales, and its Vega-Lite specification."""


def _charts() -> ModuleType:
    """The module that draws. Raises BadInput, with the install line, where a drawing library is missing."""
    require()
    from testtime.figures import emergence

    return emergence


class AnalysisWorkflow:
    """The curves of pools, and all that is asked of them. Raises BadInput where no pool has several budgets."""

    def __init__(
        self,
        paths: Sources | None = None,
        results_save_dir: str | Path | None = None,
        scaling_config: Sequence[str | None] = (),
        *,
        pools: Sequence[Pool] | None = None,
        seed: int = 0,
    ) -> None:
        """`scaling_config` keeps what its parts (model, dataset, size) name; None keeps all."""
        self.folder = None if results_save_dir is None else Path(results_save_dir)
        self.seed = seed
        self.notes: list[str] = []
        self._texts: dict[Curves, Path] = {}
        """Where the texts of curves are, for those of runs."""
        every = [curves for pool in pools or () for curves in curves_of(pool)]
        places = [] if paths is None else [inside for given in paths_of(paths) for inside in _inside(given)]
        for path in places:
            opened = list(pools_at(path))
            self.notes += [f"{pool.run}: {note}" for pool in opened for note in pool.notes]
            found = [curves for pool in opened for curves in curves_of(pool)]
            if is_run(path) or path.suffix == ".parquet":
                self._texts |= dict.fromkeys(found, path / "candidates.parquet" if path.is_dir() else path)
            every += found
        model, dataset, size = (*scaling_config, None, None, None)[:3]
        self.curves = self.chosen(model, dataset, size, among=every)

    def chosen(
        self,
        model_name: str | None = None,
        dataset_name: str | None = None,
        size: str | None = None,
        *,
        among: Sequence[Curves] | None = None,
    ) -> list[Curves]:
        """The curves whose names hold these parts. Raises BadInput where none does."""
        among = self.curves if among is None else among
        found = [
            one
            for one in among
            if _within(model_name, one.model)
            and _within(dataset_name, f"{one.dataset} {one.split}")
            and (size is None or (one.size is not None and f"{one.size:g}B" == size.upper()))
        ]
        if not found:
            have = ", ".join(dict.fromkeys(f"{one.model} on {one.dataset} {one.split}" for one in among)) or "none"
            raise BadInput(
                f"no curve of {model_name or 'any model'} on {dataset_name or 'any data'}", mend=f"have: {have}"
            )
        return found

    # ---- curves ----
    @cached_property
    def readings(self) -> list[Reading]:
        """Every metric of every curve, with shape, intervals, nulls, fits and verdict."""
        return read_all(self.curves, self.seed)

    def table(self) -> pl.DataFrame:
        """One row a (curves, metric): see `analysis.emergence_table`."""
        return pl.DataFrame([row_of(one) for one in self.readings], infer_schema_length=None)

    def verdicts(self) -> dict[str, str]:
        """Model on split → what its metrics say together, such as `sharp in accuracy, smooth in probability`."""
        return {one.place: together([r for r in self.readings if r.curves is one]) for one in self.curves}

    def control(self) -> pl.DataFrame:
        """Control, Scaling and Performance, one row a set of curves."""
        return pl.DataFrame([control.of_curves(one) for one in self.curves], infer_schema_length=None)

    def plot_data(self, SHOW: bool = False, SAVE: bool = True) -> ChartType:
        """Scaling curves, discrete and continuous on one sheet."""
        return self._out(_charts().scaling(self.readings), "scaling_curves", SHOW, SAVE)

    plot_scaling_curves = plot_data

    def aggregate_plots(self, SHOW: bool = False, SAVE: bool = True) -> list[ChartType]:
        """One sheet a dataset split: all models, means over problems and completions."""
        emergence = _charts()
        charts = []
        for place in dict.fromkeys((one.dataset, one.split) for one in self.curves):
            here = [one for one in self.readings if (one.curves.dataset, one.curves.split) == place]
            charts.append(self._out(emergence.scaling(here), f"aggregate_{place[0]}_{place[1]}", SHOW, SAVE))
        return charts

    scaling_aggregate_plots = aggregate_plots

    def token_budget_plot(self, SHOW: bool = False, SAVE: bool = True) -> ChartType:
        """Tokens really thought against the budget."""
        return self._out(_charts().lengths(self.curves), "token_budgets", SHOW, SAVE)

    def correlation_scores(self, mode: str = "1D", kind: str = "pearson") -> dict[str, dict[str, float]]:
        """Place → continuous metric → its correlation with accuracy over budgets: 1D of means, 2D a problem."""
        return {one.place: emergence_samples.correlations(one, mode, kind) for one in self.curves}

    def plot_correlation_heatmap(
        self, mode: str = "1D", kind: str = "pearson", SHOW: bool = False, SAVE: bool = True
    ) -> ChartType:
        """The same as a figure."""
        counts = {one.place: len(one.problems) for one in self.curves}
        rows = [
            {"series": place, "metric": metric, "value": None if np.isnan(value) else value, "n": counts[place]}
            for place, found in self.correlation_scores(mode, kind).items()
            for metric, value in found.items()
        ]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        return self._out(_charts().correlation(frame), f"correlation_{mode}", SHOW, SAVE)

    def get_metric_tables(
        self, mode: str = "token_budget_view", score_average_type: str = "mean"
    ) -> dict[str, pl.DataFrame]:
        """Place → a table of metrics: one row a budget, or (full_view) one a problem and budget.

        The score of several completions is their mean, or their mode: most of them, the smaller value of a tie.
        Raises BadInput for another mode or average.
        """
        if mode not in TABLES or score_average_type not in ("mean", "mode"):
            raise BadInput(
                f"no table {mode!r} of {score_average_type!r}", mend=f"modes: {', '.join(TABLES)}; mean, mode"
            )
        tables = {}
        for one in self.curves:
            each = {metric: one.each(metric) for metric in one.metrics}
            if score_average_type == "mode":
                each[ACCURACY] = (one.values[ACCURACY].mean(axis=2) > 0.5).astype(float)
            rows = pl.DataFrame(
                {
                    "query_id": np.repeat(one.problems, len(one.budgets)).tolist(),
                    "budget": list(one.budgets) * len(one.problems),
                    **{metric: values.reshape(-1) for metric, values in each.items()},
                }
            )
            if mode == "token_budget_view":
                rows = rows.drop("query_id").group_by("budget", maintain_order=True).mean()
            tables[one.place] = rows
        return tables

    # ---- problem by problem ----
    def emergence_scores(self, model_name: str | None = None, dataset_name: str | None = None) -> dict[str, Any]:
        """The four arrays and two tables of one set of curves that `get_samplewise_breakthrough_and_skew` gives.

        Raises BadInput where the names mean no curves, or several.
        """
        found = self.chosen(model_name, dataset_name)
        if len(found) > 1:
            have = ", ".join(one.place for one in found)
            raise BadInput("these names mean several curves", mend=f"name one model and split of: {have}")
        return get_samplewise_breakthrough_and_skew(found[0])

    def get_emergence_score_rankings(self, rank_by: str = "probability_skewness") -> dict[str, pl.DataFrame]:
        """Place → query_id, score, rank; 1 is the highest, unknown ones last."""
        return {one.place: emergence_samples.rankings(one, rank_by) for one in self.curves}

    def get_top_k_max_emergence_samples(
        self,
        k: int = 4,
        plot: bool = False,
        rank_by: str = "probability_skewness",
        SHOW: bool = False,
        SAVE: bool = True,
    ) -> dict[str, pl.DataFrame]:
        """Place → the k problems whose score is highest, with every measure of their curves."""
        found = {}
        for one in self.curves:
            chosen = emergence_samples.top(one, k, rank_by)
            names = [one.problems[at] for at in chosen]
            rows = each_problem(read(one, emergence_samples.SCORES[rank_by][0], self.seed))
            score = emergence_samples.rankings(one, rank_by).select("query_id", "score", "rank")
            found[one.place] = (
                score.filter(pl.col("query_id").is_in(names))
                .sort("rank")
                .join(rows, on="query_id", maintain_order="left")
            )
            if plot and chosen:
                name = f"top_{k}_{one.run}_{one.split}"
                self._out(_charts().problems(one, k, rank_by), name, SHOW, SAVE)
        return found

    def plot_top_k_max_emergence_samples(self, k: int = 4, **how: Any) -> dict[str, pl.DataFrame]:
        """The same, drawn."""
        return self.get_top_k_max_emergence_samples(k, plot=True, **how)

    plot_top_k_tasks_across_models = plot_top_k_max_emergence_samples

    def task_comparison(
        self, rank_by: str = "probability_skewness", SHOW: bool = False, SAVE: bool = False
    ) -> pl.DataFrame:
        """Whether models agree on which problems are sharp: Spearman's correlation a pair and split."""
        table = emergence_samples.agreement(self.curves, rank_by)
        if (SHOW or SAVE) and not table.is_empty():
            self._out(_charts().agreement(table, rank_by), "rank_agreement", SHOW, SAVE)
        return table

    # ---- across ----
    def emergence_score_summary_stats_across_datasets(self) -> pl.DataFrame:
        """Median with quartiles and mean with deviation of every score, a dataset split each."""
        return self._summary("dataset")

    def emergence_score_summary_stats_across_models(self) -> pl.DataFrame:
        """The same, a model each."""
        return self._summary("model")

    def emergence_score_summary_stats_across_scales(self) -> pl.DataFrame:
        """The same, a size of model each."""
        return self._summary("size")

    def emergence_score_dist_across_datasets(self, SHOW: bool = False, SAVE: bool = True) -> pl.DataFrame:
        """Mann–Whitney between dataset splits for every score; the distributions are drawn."""
        return self._distributions("dataset", SHOW, SAVE)

    def emergence_score_dist_across_models(self, SHOW: bool = False, SAVE: bool = True) -> pl.DataFrame:
        """The same between models."""
        return self._distributions("model", SHOW, SAVE)

    def emergence_score_dist_across_scales(self, SHOW: bool = False, SAVE: bool = True) -> pl.DataFrame:
        """The same between sizes of models."""
        return self._distributions("size", SHOW, SAVE)

    def trajectories(self) -> pl.DataFrame:
        """How scores go with length, continuations and repetitions of the thinking."""
        return emergence_samples.trajectories(self.curves)

    def completions(self, path: str | Path, k: int = 4, rank_by: str = "probability_skewness") -> list[str]:
        """Writes a page of the completions of the k problems of highest score of each run; gives their query_ids.

        Raises BadInput where no run has texts.
        """
        from testtime.figures.completions import page

        rows: list[Mapping[str, Any]] = []
        names: list[str] = []
        for one in (one for one in self.curves if one in self._texts):
            chosen = [one.problems[at] for at in emergence_samples.top(one, k, rank_by)]
            frame = read_frame(self._texts[one], _READ)
            kept = frame.filter(pl.col("query_id").is_in(chosen) & pl.col("error").is_null())
            place = {query: at for at, query in enumerate(chosen)}
            rows += sorted(kept.iter_rows(named=True), key=lambda row: place[row["query_id"]])
            names += chosen
        if not rows:
            raise BadInput("no completions to show", mend="name run folders, which hold the texts")
        with whole(Path(path)) as part:
            part.write_text(page(rows, f"The {k} problems of highest {rank_by.replace('_', ' ')}"), encoding="utf-8")
        return list(dict.fromkeys(names))

    def _summary(self, by: str) -> pl.DataFrame:
        table = emergence_samples.summaries(self.curves, by)
        if self.folder is not None:
            rounded = table.with_columns(pl.col(pl.Float64).round_sig_figs(3))
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole(self.folder / f"emergence_summary_across_{by}s.csv") as part:
                rounded.write_csv(part)
        return table

    def _distributions(self, by: str, SHOW: bool, SAVE: bool) -> pl.DataFrame:
        if SHOW or SAVE:
            emergence = _charts()
            drawn = [name for name in _DRAWN if name in emergence_samples.available(self.curves)]
            self._out(emergence.distributions(self.curves, by, drawn), f"distributions_across_{by}s", SHOW, SAVE)
        return emergence_samples.differences(self.curves, by)

    def _out(self, chart: ChartType, name: str, SHOW: bool, SAVE: bool) -> ChartType:
        """Writes a chart in every form of PRINTED where there is a folder for it; shows it where it is asked to."""
        if SAVE and self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for form, data in renders(chart, PRINTED).items():
                with whole(self.folder / f"{_slug(name)}.{form}") as part:
                    part.write_bytes(data)
        if SHOW and _in_notebook():
            chart.show()
        elif SHOW:
            where = f"see {self.folder / _slug(name)}.png" if SAVE and self.folder is not None else "add SAVE=True"
            print(f"no notebook to show {name} in: {where}", file=sys.stderr)  # noqa: T201
        return chart


_DRAWN = ("probability_breakthroughness", "probability_skewness", "accuracy_breakthroughness", "accuracy_jump")
_READ = (
    "query_id", "question", "ground_truth_answer", "arm", "candidate_idx", "parts", "answer", "is_verified", "facts",
    "error",
)  # fmt: skip


def get_samplewise_breakthrough_and_skew(curves: Curves) -> dict[str, Floats | pl.DataFrame]:
    """Problem by problem: abs_probs_breakthroughness, abs_negent_breakthroughness, probs_skewness, negent_skewness
    [problem], and the curves they are of, df_probs and df_entropy (problems × budgets).

    Despite their names the first two are clipped at 0, not absolute: a falling curve has 0.
    """
    return samplewise(curves)


def _inside(path: Path) -> list[Path]:
    """The runs of a folder of runs; any other path itself."""
    return [run.path for run in runs(path)] or [path] if path.is_dir() and not is_run(path) else [path]


def _within(part: str | None, name: str) -> bool:
    return part is None or part.lower() in name.lower()


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None


def _slug(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name)
