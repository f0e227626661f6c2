"""The numbers of inspect, taken in one pass over blocks, are those of the whole table: the estimators' on the pool in
memory, and pandas' to the digit; however the file is cut into blocks, with nulls, failures, retries, ragged problems.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.analysis.bootstrap import MANY, accuracy_interval
from testtime.analysis.estimators import maj_at_k, pass_at_k
from testtime.analysis.inspection import inspected
from testtime.analysis.survey import NUMBERS, survey
from testtime.core.errors import BadInput
from testtime.store import blocks as reading
from testtime.store.blocks import blocks, blocks_of
from testtime.store.frame import pool_of
from testtime.store.parquet import write_frame

row = st.fixed_dictionaries(
    {
        "answer_key": st.sampled_from(["a", "b", "c", None]),
        "is_verified": st.sampled_from([True, False, None]),
        "error": st.sampled_from([None, None, None, "lost"]),
        "split": st.sampled_from(["math"]),
        "finish_reason": st.sampled_from(["stop", "length", None]),
        "completion_tokens": st.none() | st.integers(0, 99),
    }
)
pools = st.lists(st.lists(row, min_size=3, max_size=6), min_size=1, max_size=6)


def frame_of(problems: list[list[Mapping[str, Any]]], arm: str = "plain") -> pl.DataFrame:
    """One answer has one verdict within a problem, as a task gives it; a failed draw has none."""
    made = []
    for at, draws in enumerate(problems):
        verdicts: dict[Any, Any] = {}
        for idx, one in enumerate(draws):
            failed = one["error"] is not None
            key = None if failed else one["answer_key"]
            right = None if failed else False if key is None else verdicts.setdefault(key, one["is_verified"])
            where = {"arm": arm, "query_id": f"q{at}", "candidate_idx": idx}
            made.append(
                {**one, **where, "answer_key": key, "is_verified": right, "split": "math" if at % 2 else "code"}
            )
    types = {"is_verified": pl.Boolean, "answer_key": pl.String, "error": pl.String, "finish_reason": pl.String}
    return pl.DataFrame(made, schema_overrides={**types, "completion_tokens": pl.Int64})


@settings(max_examples=60, deadline=None)
@given(pools, st.integers(1, 7))
def test_blocks_of_any_size_give_what_the_pool_in_memory_gives(problems: Any, rows: int) -> None:
    frame = frame_of(problems)
    pool = pool_of(frame, {"run": "r", "floor": {"plain": 3}})
    draws = pool.arms["plain"]
    whole, cut = (survey(found, {"plain": 3})["plain"] for found in (blocks_of(frame), _cut(frame, rows)))
    for one in (whole, cut):
        assert one.size.tolist() == draws.size.tolist()
        assert one.rows == frame.height
        if frame["is_verified"].null_count() == frame.height:
            continue  # with no verdict at all the pool in memory knows nothing, failures included
        codes, right = draws.codes[:, :3], draws.right[:, :3]
        np.testing.assert_allclose(one.majority([1, 2, 3]), maj_at_k(codes, right, [1, 2, 3]), atol=1e-12)
        np.testing.assert_allclose(one.passed([1, 2, 3]), pass_at_k(right, [1, 2, 3]), atol=1e-12)
        np.testing.assert_array_equal(one.shown, right)


def _cut(frame: pl.DataFrame, rows: int) -> Any:
    before, reading.ROWS = reading.ROWS, rows
    try:
        return list(reading._blocks(pl.concat(frame.iter_slices(rows)).pipe(_coded).to_batches(rows)))
    finally:
        reading.ROWS = before


def _coded(frame: pl.DataFrame) -> Any:
    table = frame.to_arrow()
    for name in reading.CODED:
        if name in table.column_names:
            table = table.set_column(
                table.column_names.index(name), name, table[name].cast("string").dictionary_encode()
            )
    return table


def test_a_file_on_disk_says_the_same_as_pandas_to_the_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    plain = {"error": None, "split": "", "finish_reason": "stop", "completion_tokens": 3}
    problems = [
        [{**plain, "answer_key": str(rng.integers(3)), "is_verified": bool(rng.integers(2))} for _ in range(4)]
        for _ in range(50)
    ]
    frame = frame_of(problems).with_columns(is_retry=pl.lit(False))
    retry = frame.head(1).with_columns(candidate_idx=pl.lit(900, pl.Int64), is_retry=pl.lit(True))
    file = tmp_path / "p.parquet"
    write_frame(file, pl.concat([frame, retry]), {"run": "r", "floor": {"plain": 4}, "arms": []})
    (one,) = inspected(blocks(file, NUMBERS), {"run": "r", "floor": {"plain": 4}})
    seen = pd.read_parquet(file)
    seen = seen[~seen["is_retry"].astype(bool)]
    judged, right = one.row_verdicts
    assert right / judged == seen["is_verified"].astype(float).mean()
    assert one.first.mean == pytest.approx(seen[seen.candidate_idx == 0]["is_verified"].astype(float).mean(), abs=1e-15)
    by_query = seen.groupby("query_id")["is_verified"].max().astype(float).mean()
    assert one.any.mean == pytest.approx(by_query, abs=1e-12)
    for split, rate in one.splits.items():
        assert rate.mean == pytest.approx(seen[seen.split == split]["is_verified"].astype(float).mean(), abs=1e-12)
    assert (one.rows, one.problems, one.covered, one.drawn) == (200, 50, 50, "4")
    assert one.spends["completion_tokens"].known == 600
    assert one.spends["cost_usd"].unknown == 200


def test_two_arms_of_one_file_are_told_apart_and_short_problems_are_said() -> None:
    full = [
        {"answer_key": "a", "is_verified": True, "error": None, "finish_reason": "length", "completion_tokens": 1}
    ] * 3
    frame = pl.concat([frame_of([full, full], "x"), frame_of([full, full[:2]], "y")])
    x, y = inspected(blocks_of(frame), {"run": "r", "floor": {"x": 3, "y": 3}})
    assert (x.name, y.name) == ("r, arm x", "r, arm y")
    assert (x.covered, y.covered) == (2, 1)
    assert any("fewer draws than the floor" in note for note in y.notes)
    assert any("cut at their token limit" in note for note in x.notes)


def test_a_file_that_cannot_be_surveyed_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "b.parquet"
    broken.write_bytes(b"PAR1 no")
    with pytest.raises(BadInput, match="is no Parquet file that can be read"):
        list(blocks(broken, NUMBERS))
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(BadInput, match="no column 'arm'"):
        list(blocks(tmp_path / "x.parquet", NUMBERS))


def test_the_normal_interval_of_many_problems_is_the_bootstraps(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).beta(2, 3, 2_000)
    resampled = accuracy_interval(values)
    monkeypatch.setattr("testtime.analysis.bootstrap.MANY", 1_000)
    assert accuracy_interval(values) == pytest.approx(resampled, abs=0.0012)
    assert MANY == 20_000


def test_a_persona_is_shown_by_strength_beside_accuracy() -> None:
    marks = {"q0": [0, 1, 5], "q1": [3, 3, None]}
    right = {"q0": [True, False, True], "q1": [True, False, True]}
    rows = [
        {"arm": "plain", "query_id": query, "candidate_idx": at, "answer_key": "a", "is_verified": right[query][at],
         "persona_markers": some, "persona_constraint_violations": None if some is None else at, "persona_score": 2.5}
        for query, marked in marks.items() for at, some in enumerate(marked)
    ]  # fmt: skip
    (one,) = inspected(blocks_of(pl.DataFrame(rows)), {})
    assert one.persona is not None
    assert (one.persona.markers, one.persona.score, one.persona.breaking) == (12 / 5, 2.5, (3, 5))
    assert [(name, rows, rate.mean, rate.n) for name, rows, rate in one.persona.strengths] == [
        ("0", 1, 1.0, 1), ("1", 1, 0.0, 1), ("2", 0, None, 0), ("3 or more", 3, 0.75, 2)
    ]  # fmt: skip
    (without,) = inspected(blocks_of(pl.DataFrame(rows).drop("persona_markers", "persona_score")), {})
    assert without.persona is None


def test_the_judges_agreement_is_that_of_the_audited_verdicts() -> None:
    said = [(1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (None, None, None), (1.0, None, 1.0)]
    rows = [
        {"arm": "plain", "query_id": f"q{at}", "candidate_idx": 0, "answer_key": "a", "is_verified": True,
         "verification_llm_judge_used": judge is not None,
         "oracle(rule_said)": rule, "oracle(judge_said)": judge, "oracle(judge_audited)": audited}
        for at, (rule, judge, audited) in enumerate(said)
    ]  # fmt: skip
    (one,) = inspected(blocks_of(pl.DataFrame(rows)), {})
    assert one.shares["judge agrees, of audited"] == (2, 3)
    assert one.shares["judged by a model"] == (4, 6)


def test_a_survey_does_not_import_pandas(tmp_path: Path) -> None:
    row = {"arm": "plain", "query_id": "q", "candidate_idx": 0, "answer_key": "a", "is_verified": True}
    write_frame(tmp_path / "p.parquet", pl.DataFrame([row]), {"run": "r", "floor": {"plain": 1}})
    code = "import sys; from testtime.sources import inspect; inspect(sys.argv[1]); print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p.parquet")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
