"""The documented analysis of budgets, on a pool that the pocket model really drew: methods, command, figures, page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import testtime as tt
from testtime import AnalysisWorkflow, get_samplewise_breakthrough_and_skew
from testtime.cli import main
from testtime.core.errors import BadInput

BUDGETS = (8, 16, 64, 128)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on two splits, a few problems, drawn by `testtime run`."""
    folder = tmp_path_factory.mktemp("runs")
    for model in ("pocket-s", "pocket-m"):
        tt.run(
            model=model, dataset="pocket-math", splits=["easy", "easy-choice"], max_queries=10, num_candidates=2,
            policies="sc_fixed:n=1", decoding="prefix", budgets=list(BUDGETS), out_dir=folder, run=model,
        )  # fmt: skip
    return folder


@pytest.fixture
def workflow(runs: Path, tmp_path: Path) -> AnalysisWorkflow:
    return AnalysisWorkflow(paths=runs, results_save_dir=tmp_path / "analysis")


def test_a_run_of_budgets_keeps_them(runs: Path) -> None:
    rows = pl.read_parquet(runs / "pocket-m" / "candidates.parquet")
    assert rows.height == 2 * 10 * 2 * len(BUDGETS)
    assert rows["arm"].unique(maintain_order=True).to_list() == [f"prefix:budget={budget}" for budget in BUDGETS]
    assert (rows["thinking_tokens"] <= rows["budget"]).all()
    assert rows.filter(pl.col("thinking_tokens") < pl.col("budget"))["stopped_early"].eq(1).all()
    chance = rows["oracle(answer_probability)"]
    assert chance.null_count() == 0
    assert chance.is_between(0, 1).all()


def test_emergence_scores_of_one_model_and_dataset(workflow: AnalysisWorkflow) -> None:
    found = workflow.emergence_scores(model_name="pocket-m", dataset_name="choice")
    assert len(found["abs_probs_breakthroughness"]) == len(found["negent_skewness"]) == 10
    assert found["df_probs"].columns == ["query_id", *map(str, BUDGETS)]
    (curves,) = workflow.chosen("pocket-m", "choice")
    again = get_samplewise_breakthrough_and_skew(curves)
    np.testing.assert_array_equal(again["probs_skewness"], found["probs_skewness"])
    with pytest.raises(BadInput, match="several curves"):
        workflow.emergence_scores(model_name="pocket-m")
    with pytest.raises(BadInput, match="no curve of gpt"):
        workflow.emergence_scores(model_name="gpt")


def test_top_k_are_problems_of_the_highest_score(workflow: AnalysisWorkflow) -> None:
    found = workflow.get_top_k_max_emergence_samples(k=3, plot=True)
    ranks = workflow.get_emergence_score_rankings()
    for place, rows in found.items():
        assert rows["rank"].to_list() == [1, 2, 3]
        assert rows["query_id"].to_list() == ranks[place].sort("rank")["query_id"].to_list()[:3]
    assert len(list((workflow.folder or Path()).glob("top_3_*.png"))) == 4


def test_every_documented_figure_is_drawn(workflow: AnalysisWorkflow, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(workflow.aggregate_plots(SHOW=True, SAVE=True)) == 2
    assert "no notebook to show aggregate_pocket-math_easy in: see" in capsys.readouterr().err
    workflow.plot_data()
    workflow.token_budget_plot()
    workflow.plot_correlation_heatmap()
    workflow.task_comparison(SAVE=True)
    workflow.emergence_score_dist_across_models()
    names = sorted(path.name for path in (workflow.folder or Path()).glob("*.png"))
    assert names == [
        "aggregate_pocket-math_easy-choice.png", "aggregate_pocket-math_easy.png", "correlation_1D.png",
        "distributions_across_models.png", "rank_agreement.png", "scaling_curves.png", "token_budgets.png",
    ]  # fmt: skip
    assert all((workflow.folder / name).read_bytes().startswith(PNG) for name in names)  # type: ignore[operator]
    for name in names:
        files = [(workflow.folder / name).with_suffix(ending) for ending in (".svg", ".json")]  # type: ignore[operator]
        assert files[0].read_text(encoding="utf-8").startswith("<svg")
        spec = json.loads(files[1].read_text(encoding="utf-8"))
        assert "vega-lite" in spec["$schema"]
        says = " ".join(spec["title"]["subtitle"])
        assert "problems" in says, f"{name} says on how many"
        assert "interval" in says or "middle half" in says, f"{name} says what its bars are, or that it has none"


def test_without_the_drawing_library_it_is_one_line(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["emergence", str(runs), "--out_dir", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("testtime: figures need the package altair; ")
    with pytest.raises(BadInput, match="figures need the package altair"):
        AnalysisWorkflow(paths=runs).plot_data()


def test_summaries_and_metric_tables(workflow: AnalysisWorkflow) -> None:
    across = workflow.emergence_score_summary_stats_across_datasets()
    assert across["dataset"].unique().sort().to_list() == ["pocket-math easy", "pocket-math easy-choice"]
    assert (workflow.folder / "emergence_summary_across_datasets.csv").exists()  # type: ignore[operator]
    assert workflow.emergence_score_summary_stats_across_scales().height == across.height
    tables = workflow.get_metric_tables()
    assert all(table["budget"].to_list() == list(BUDGETS) for table in tables.values())
    modes = workflow.get_metric_tables("full_view", "mode")
    assert all(set(table["accuracy"].unique()) <= {0.0, 1.0} and table.height == 40 for table in modes.values())
    with pytest.raises(BadInput, match="no table"):
        workflow.get_metric_tables("other")


def test_a_model_or_size_can_be_chosen(runs: Path) -> None:
    assert {c.model for c in AnalysisWorkflow(runs, scaling_config=("pocket-s",)).curves} == {"pocket:pocket-s"}
    assert {c.split for c in AnalysisWorkflow(runs, scaling_config=(None, "choice")).curves} == {"easy-choice"}


def test_the_page_of_completions_marks_what_was_inserted(workflow: AnalysisWorkflow, tmp_path: Path) -> None:
    workflow.completions(tmp_path / "page.html", k=2)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<span class='forced'>&lt;/think&gt;" in page
    assert "http" not in page


def test_the_command_prints_verdicts_and_writes_files(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["emergence", str(runs), "--by", "model", "--top_k", "2", "--out_dir", str(out)]) == 0
    said = capsys.readouterr().out
    assert "in accuracy" in said
    assert "Mann–Whitney" in said
    assert {"curves.csv", "control.csv", "scaling_curves.png", "completions.html"} <= {p.name for p in out.iterdir()}


@pytest.mark.parametrize("by", ["dataset", "size", "trajectory"])
def test_the_command_gives_json(by: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emergence", str(runs / "pocket-m"), "--by", by, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["metric"] for row in found["curves"]} >= {"accuracy", "probability", "log_prob", "neg_brier"}
    assert set(found["verdicts"]) == {f"pocket:pocket-m on pocket-math {s}, prefix" for s in ("easy", "easy-choice")}
    assert all(row["control"] == 1 for row in found["control"])


def test_what_cannot_be_is_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emergence", str(runs), "--by", "colour"]) == 2
    assert main(["emergence", str(runs), "--rank_by", "beauty"]) == 2
    assert main(["emergence", str(runs / "nothing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
