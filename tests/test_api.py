"""A notebook says what the command says: every way to name a pool opens the same one, strings and objects are the
same policies, tables go out and come back unchanged, and what is missing is one line that says what to install.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import polars as pl
import pytest

import testtime as tt
from testtime import api
from testtime.core.strings import parse
from testtime.policies.sc_fixed import ScFixed

DATA = Path(__file__).parent.parent.parent / "shared/data"
ROWS = [
    {
        "id": f"q{at}",
        "gold": at % 3,
        "answers": [(at * at + 2 * draw * draw) % 3 for draw in range(6)],
        "tokens": [20] * 6,
    }
    for at in range(8)
]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_the_public_names_are_these_and_each_is_there() -> None:
    assert tt.__all__ == [
        "AnalysisWorkflow",
        "BadInput",
        "LoadedPool",
        "Run",
        "Table",
        "TesttimeError",
        "analyze",
        "compare",
        "get_samplewise_breakthrough_and_skew",
        "inspect",
        "ledger",
        "load",
        "run",
        "run_all",
    ]
    assert set(tt.__all__) <= set(dir(tt))
    for name in tt.__all__:
        assert getattr(tt, name).__doc__
    with pytest.raises(AttributeError, match="it has AnalysisWorkflow, BadInput"):
        tt.lode  # noqa: B018


def test_every_way_to_name_a_pool_opens_the_same_one(answers: Path) -> None:
    folder = api.import_file("answers", answers, answers.parent / "runs")
    ways = [
        answers,
        str(answers),
        folder,
        folder / "candidates.parquet",
        folder.parent,
        str(answers.parent / "*.jsonl"),
    ]
    tables = [tt.load(way).replay(["sc_fixed:n=3"]).to_polars() for way in ways]
    assert all(table.equals(tables[0]) for table in tables)
    assert len(tt.load([answers, answers]).pools) == 1
    assert repr(tt.load(answers)) == "answers: unnamed dataset, 8 problems × 6 draws, 1 arm(s)"


def test_strings_settings_and_objects_are_the_same_policies(answers: Path) -> None:
    pool = tt.load(answers)
    by_string = pool.replay(["sc_fixed:n=1", "sc_fixed:n=4"]).to_polars()
    assert pool.replay("sc_fixed", sc_n=[1, 4]).to_polars().equals(by_string)
    assert pool.replay([ScFixed(1), parse("policy", "sc_fixed:n=4")]).to_polars().equals(by_string)
    assert pool.replay(ScFixed(1)).to_polars().equals(by_string[:1])


def test_the_seed_changes_orders_and_nothing_that_is_exact(answers: Path) -> None:
    pool = tt.load(answers)
    first, second = (pool.replay("sc_fixed", sc_n=3, seed=seed).outcomes for seed in (0, 1))
    assert first.equals(second)


def test_outcomes_go_to_a_file_and_come_back_unchanged(answers: Path) -> None:
    table = tt.load(answers).replay(sc_n=[1, 4], max_n=4)
    table.to_jsonl(answers.parent / "o.jsonl")
    back = tt.analyze(answers.parent / "o.jsonl")
    assert back.to_polars().equals(table.to_polars())
    assert back.frontier().equals(table.frontier())


def test_one_problem_with_two_outcomes_of_one_setting_is_refused(answers: Path) -> None:
    table = tt.load(answers).replay("sc_fixed", sc_n=2)
    table.to_jsonl(answers.parent / "a.jsonl")
    changed = tt.Table(table.outcomes.with_columns(candidates=pl.lit(3.0)))
    changed.to_jsonl(answers.parent / "b.jsonl")
    assert tt.analyze([answers.parent / "a.jsonl", answers.parent / "a.jsonl"]).to_polars().height == 1
    with pytest.raises(tt.BadInput, match="two different outcomes of sc_fixed:n=2"):
        tt.analyze(str(answers.parent / "?.jsonl"))


def test_a_table_goes_to_csv_and_pandas_as_it_is(answers: Path) -> None:
    table = tt.load(answers).replay("sc_fixed", sc_n=[1, 2])
    table.to_csv(answers.parent / "s.csv")
    assert (answers.parent / "s.csv").read_bytes() == table.to_polars().write_csv().encode()
    pandas = table.to_pandas()
    assert list(pandas.columns) == table.to_polars().columns
    assert pandas["accuracy"].tolist() == table.to_polars()["accuracy"].to_list()


def test_tables_show_themselves_and_never_as_markup(answers: Path) -> None:
    answers.write_text(answers.read_text().replace('{"id"', '{"run": "<b>", "id"'))
    table = tt.load(answers).replay("sc_fixed", sc_n=2)
    assert "n=2" in repr(table)
    assert "<b>" in repr(table)
    assert "<table>" in table._repr_html_()
    assert "<b>" not in table._repr_html_()


def test_comparisons_are_paired_over_common_problems(answers: Path) -> None:
    table = tt.load(answers).replay("sc_fixed", sc_n=[1, 6])
    row = tt.compare(table.only("sc_fixed:n=1"), table.only("sc_fixed:n=6")).row(0, named=True)
    by_problem = table.outcomes.pivot("setting", index="query_id", values="correct")
    assert row["difference"] == pytest.approx((by_problem["n=6"] - by_problem["n=1"]).mean())
    assert row["n"] == len(ROWS)
    with pytest.raises(tt.BadInput, match="no outcome with"):
        table.only("sc_fixed:n=5")


def test_a_missing_library_is_named_with_the_line_that_installs_it(
    answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tt.load(answers).replay("sc_fixed", sc_n=1)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(tt.BadInput, match=r'pip install "testtime\[pandas\]"'):
        table.to_pandas()
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "altair" else real(name))
    with pytest.raises(tt.BadInput, match=r'altair; run: pip install "testtime\[figures\]"'):
        table.plot()


def test_the_boundary_of_the_default_rule_is_a_lead_of_four() -> None:
    table = api.boundary("adaptive_margin")
    assert (table["rule"] - table["v2"])[:10].to_list() == [4] * 10
    assert api.boundary("adaptive_margin:max_n=6")["policy"].to_list() == [4, 4, 4, 3]


def test_a_boundary_without_one_says_why() -> None:
    with pytest.raises(tt.BadInput, match="sc_fixed has no stopping rule"):
        api.boundary("sc_fixed:n=2")
    with pytest.raises(tt.BadInput, match="unknown policy 'nope'"):
        api.boundary("nope")
    with pytest.raises(tt.BadInput, match="too many lines"):
        api.boundary("adaptive_margin", 99_999)


def test_a_setting_that_is_said_twice_counts_once(answers: Path) -> None:
    pool = tt.load(answers)
    once = pool.replay(["adaptive_margin:stop_rule=beta,max_n=6"]).to_polars()
    twice = pool.replay("adaptive_margin", stop_rule="beta", threshold=[0.95, "0.950"], max_n=6, min_samples=[0, 2])
    assert twice.to_polars().equals(once)
    assert pool.replay([ScFixed(2), "sc_fixed:n=2"]).to_polars()["n_problems"].to_list() == [len(ROWS)]


def test_two_pools_of_one_name_are_refused_and_equal_ones_are_one(answers: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same" / "answers.jsonl", tmp_path / "other" / "answers.jsonl"
    for path, text in ((same, answers.read_text()), (other, answers.read_text().replace('"gold": 1', '"gold": 0'))):
        path.parent.mkdir()
        path.write_text(text)
    alone = tt.load(answers).replay("sc_fixed", sc_n=2).to_polars()
    assert tt.load([answers, same]).replay("sc_fixed", sc_n=2).to_polars().equals(alone)
    with pytest.raises(tt.BadInput, match=r"two different outcomes.*give the runs different names"):
        tt.load([answers, other]).replay("sc_fixed", sc_n=2)


def test_a_folder_of_recorded_files_is_their_pools(answers: Path, tmp_path: Path) -> None:
    (tmp_path / "SOURCE.txt").write_text("notes")
    (tmp_path / "more.jsonl").write_text(answers.read_text())
    assert [pool.run for pool in tt.load(tmp_path).pools] == ["answers", "more"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(tt.BadInput, match="neither a run nor a file of answers in this folder"):
        tt.load(tmp_path / "empty")


def test_an_unknown_model_is_null_and_not_a_name(answers: Path) -> None:
    assert tt.load(answers).replay("sc_fixed", sc_n=1).to_polars()["model"].to_list() == [None]


def test_the_recorded_math_pool_gives_its_published_numbers() -> None:
    path = DATA / "qwen_math_rm8/math_cot_100.jsonl.gz"
    if not path.exists():
        pytest.skip("the recorded answers are not on this machine")
    pool = tt.load(path)
    policies = ["sc_fixed:n=1", "sc_fixed:n=8", "best_of_n:n=8,by=rm_score"]
    assert pool.replay(policies).to_polars()["accuracy"].to_list() == pytest.approx([0.91, 0.925, 0.94])
    first = pool.replay("sc_fixed:n=8,ties=first", realised=True).to_polars()
    assert first["accuracy"].to_list() == pytest.approx([0.93])
