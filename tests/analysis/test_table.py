"""Proves that the table has the agreed columns, keeps unknowns unknown, and survives its own CSV."""

from __future__ import annotations

import polars as pl
import polars.selectors as cs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from testtime.analysis import table
from testtime.analysis.bootstrap import wilson
from testtime.core.errors import BadInput
from testtime.store.outcomes import OUTCOMES, outcome_schema

AGREED = [
    "run",
    "provider",
    "model",
    "dataset",
    "split",
    "decoding",
    "temperature",
    "policy",
    "setting",
    "n_problems",
    "answered",
    "truncated",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "candidates",
    "gen_tokens",
    "gen_tokens_sum",
    "total_tokens",
    "seconds",
    "critical_seconds",
    "usd",
    "joules",
    "measured",
    "agreement",
    "certified",
]


def test_a_row_has_exactly_the_agreed_columns_with_means_over_problems(make_outcomes):
    row = table.summarise(make_outcomes([1.0, 0.0, 1.0, 1.0], gen_tokens=[10.0, 20.0, 30.0, 40.0])).row(0, named=True)
    assert list(row) == AGREED
    assert (row["n_problems"], row["accuracy"], row["gen_tokens"], row["gen_tokens_sum"]) == (4, 0.75, 25.0, 100.0)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(wilson(0.75, 4))
    assert row["usd"] is None
    assert row["measured"] is False


def test_runs_models_splits_arms_and_settings_stay_apart_in_order(make_outcomes):
    parts = [
        make_outcomes([1.0], setting="n=8"),
        make_outcomes([0.0], setting="n=1"),
        make_outcomes([1.0], model="other"),
        make_outcomes([1.0], split="train"),
        make_outcomes([0.5], arm="persona"),
        make_outcomes([0.0], setting="n=8", query_id=["7"]),
    ]
    found = table.summarise(pl.concat(parts))
    assert found["setting"].to_list() == ["n=8", "n=1", "n=1", "n=1", "n=1"]
    assert found["accuracy"].to_list() == [0.5, 0.0, 1.0, 1.0, 0.5]


def test_an_unknown_verdict_is_left_out_and_told(make_outcomes):
    outcomes = make_outcomes([1.0, None, 0.0, float("nan")])
    row = table.summarise(outcomes).row(0, named=True)
    assert (row["n_problems"], row["accuracy"]) == (4, 0.5)
    assert table.notes(outcomes) == ["R, sc_fixed:n=1: accuracy is over 2 of 4 problems; 2 have no verdict"]


def test_no_verdict_at_all_is_no_accuracy(make_outcomes):
    row = table.summarise(make_outcomes([None, None])).row(0, named=True)
    assert row["accuracy"] is row["accuracy_low"] is row["accuracy_high"] is None


def test_a_spend_with_an_unknown_part_is_unknown_and_its_known_sum_is_told(make_outcomes):
    outcomes = make_outcomes([1.0, 1.0], usd=[0.25, None])
    assert table.summarise(outcomes)["usd"][0] is None
    assert table.notes(outcomes) == ["R, sc_fixed:n=1: usd ≥ 0.25 in all, 1 of 2 problems unknown"]


def test_an_exhausted_group_has_no_results_and_says_why(make_outcomes):
    outcomes = make_outcomes([1.0, 1.0], setting="n=64", exhausted=[0.5, 0.0])
    row = table.summarise(outcomes).row(0, named=True)
    assert row["n_problems"] == 2
    assert all(row[name] is None for name in ("accuracy", "accuracy_low", "candidates", "gen_tokens", "answered"))
    (note,) = table.notes(outcomes)
    assert "25.0% of orders" in note
    assert "larger pool" in note


def test_simulation_prints_its_error_and_like_settings_share_a_line(make_outcomes):
    one = make_outcomes([0.5, 1.0], method=["orders", "exact"], correct_var=[0.0008, 0.0])
    (note,) = table.notes(one)
    assert note == (
        "R: 1 of 2 problems (50.0%) over sampled orders, not exactly, in sc_fixed:n=1; "
        "largest Monte Carlo error of accuracy 0.014"
    )
    two = one.with_columns(setting=pl.lit("n=2"), correct_var=pl.col("correct_var") * 4)
    (note,) = table.notes(pl.concat([one, two]))
    assert "in 2 settings; " in note
    assert note.endswith("accuracy 0.028")


def test_clusters_widen_the_interval(make_outcomes):
    right = [1.0, 0.0] * 100
    alone = table.summarise(make_outcomes(right)).row(0, named=True)
    together = table.summarise(make_outcomes(right, cluster=[str(i % 2) for i in range(200)])).row(0, named=True)
    assert together["accuracy_high"] - together["accuracy_low"] > 3 * (alone["accuracy_high"] - alone["accuracy_low"])


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1)


@given(st.lists(st.fixed_dictionaries({"run": texts, "setting": texts, "accuracy": numbers, "usd": numbers})))
def test_csv_keeps_every_value_and_every_unknown(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    full = [{name: None for name in table.COLUMNS} | row | {"n_problems": 3, "measured": True} for row in rows]
    written = pl.DataFrame(full, schema=dict(table.COLUMNS), orient="row")
    table.to_csv(written, path)
    assert table.read_csv(path).equals(written)
    assert list(path.parent.iterdir()) == [path]


def test_unknown_is_empty_in_the_csv(make_outcomes, tmp_path):
    table.to_csv(table.summarise(make_outcomes([None])), tmp_path / "t.csv")
    head, line, end = (tmp_path / "t.csv").read_bytes().split(b"\n")
    assert head == ",".join(AGREED).encode()
    assert line == b"R,fake,m,sums,test,plain,0.7,sc_fixed,n=1,1,1.0,0.0,,,,1.0,10.0,10.0,15.0,1.0,1.0,,,false,1.0,"
    assert end == b""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a,b\n1,2\n", "no column 'run'"),
        (b"", "not a CSV"),
        (b"\xff\xfe\x00", "not a CSV|no column"),
        ((",".join(AGREED) + "\n" + "x," * 23 + "true,,\n").encode(), "wrong type"),
        ((",".join(AGREED[:-3]) + "\n").encode(), "no column 'measured'"),
        ((",".join(AGREED) + "\n" + "," * 23 + "perhaps,,\n").encode(), "wrong type"),
    ],
)
def test_a_foreign_csv_is_one_line_naming_the_place(tmp_path, data, says):
    path = tmp_path / "foreign.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=says) as caught:
        table.read_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_folder_is_one_line(tmp_path):
    with pytest.raises(BadInput, match="cannot read"):
        table.read_csv(tmp_path / "none.csv")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="cannot be written"):
        table.to_csv(pl.DataFrame({"a": [1]}), tmp_path / "file" / "t.csv")


def test_groups_are_those_of_a_plain_partition_whatever_the_order_of_rows():
    """Rows of a group may stand apart, and names may be unknown: null is a name like another, nan is null."""
    names = [("a", 0.5), ("a", None), ("b", 0.5), ("a", 0.5), ("a", float("nan")), ("b", 0.5), ("a", None)]
    rows = [
        dict.fromkeys(OUTCOMES) | {"run": run, "temperature": heat, "correct": float(at), "usd": float("nan")}
        for at, (run, heat) in enumerate(names)
    ]
    outcomes = pl.DataFrame(rows, schema=outcome_schema())
    plain = outcomes.with_columns(cs.float().fill_nan(None)).partition_by(table.GROUP, maintain_order=True)
    found = [*table.groups(outcomes)]
    assert [group["correct"].to_list() for group in found] == [[0, 3], [1, 4, 6], [2, 5]]
    for group, same in zip(found, plain, strict=True):
        assert_frame_equal(group, same)
    assert [*table.groups(outcomes.clear())] == []
