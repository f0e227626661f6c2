"""Files of others in the documented columns are pools as they lie: under either name of the verdict, with retries,
nulls and answers in messages alone; and a pool that pandas wrote anew, its metadata lost, says what it said before.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from testtime import api, sources
from testtime.cli import main
from testtime.core.errors import BadInput
from testtime.importers import sniff
from testtime.importers.best_of_n import read


def rows(n: int = 3) -> pd.DataFrame:
    made = []
    for query in ("a", "b"):
        for idx in range(n + 1):
            final = {"role": "assistant", "channel": "final", "content": "4.0" if idx % 2 else "5"}
            messages = [{"role": "assistant", "channel": "reasoning", "content": "4"}, final]
            made.append(
                {
                    "query_id": query, "candidate_idx": idx, "split": "math", "ground_truth_answer": "4",
                    "output_messages": json.dumps(messages),
                    "verification_is_verified": None if (query, idx) == ("b", 0) else idx % 2 == 1,
                    "verification_is_retry": idx == n, "model": "gpt-4o-mini",
                }
            )  # fmt: skip
    return pd.DataFrame(made)


def test_the_documented_columns_are_a_pool(tmp_path: Path) -> None:
    rows().to_parquet(tmp_path / "theirs.parquet")
    assert sniff(tmp_path / "theirs.parquet") == "best-of-n"
    found = read(tmp_path / "theirs.parquet")
    assert found.frame["candidate_idx"].to_list() == [0, 1, 2, 0, 1, 2]
    assert found.frame["is_verified"].to_list() == [False, True, False, None, True, False]
    assert found.frame["answer_key"].to_list() == ["5", "4", "5"] * 2
    assert found.meta["caveats"] == ["2 marked retries are left out"]
    (one,) = sources.inspect(tmp_path / "theirs.parquet")
    assert (one.rows, one.row_verdicts, one.model) == (6, (5, 2), "gpt-4o-mini")


def test_a_spend_that_cannot_be_is_unknown(tmp_path: Path) -> None:
    cost = [0.5, float("inf"), float("-inf"), -1.0] + [0.25] * 4
    rows().assign(cost_usd=cost, completion_tokens=[-5] * 8).to_parquet(tmp_path / "theirs.parquet")
    found = read(tmp_path / "theirs.parquet").frame
    assert found["cost_usd"].to_list() == [0.5, None, None, 0.25, 0.25, 0.25]
    assert found["completion_tokens"].to_list() == [None] * 6


def test_a_pool_that_pandas_wrote_anew_says_what_it_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = (
        "run --model pocket-s --dataset pocket-math --split easy --max_queries 3 --policies sc_fixed --sc_n 2 --output"
    )
    assert main([*line.split(), str(tmp_path / "p.parquet")]) == 0
    frame = pd.read_parquet(tmp_path / "p.parquet")
    frame.drop(columns=["latency_s", "persona_score"]).to_parquet(tmp_path / "again.parquet")
    frame[["query_id", "candidate_idx", "split", "is_verified"]].to_parquet(tmp_path / "few.parquet")
    before, again, few = (sources.inspect(tmp_path / f"{name}.parquet")[0] for name in ("p", "again", "few"))
    assert before.row_verdicts == again.row_verdicts == few.row_verdicts
    assert (before.mean, before.passed, before.majority) == (again.mean, again.passed, again.majority)
    assert few.first == before.first
    assert set(api.load([tmp_path / "p.parquet", tmp_path / "again.parquet"]).compare()["difference"]) == {0.0}
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "p.parquet"), str(tmp_path / "few.parquet")]) == 0
    assert "against A" in capsys.readouterr().out


def test_what_lacks_its_columns_or_numbers_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows().drop(columns="candidate_idx").to_parquet(tmp_path / "x.parquet")
    assert sniff(tmp_path / "x.parquet") is None
    assert main(["inspect", str(tmp_path / "x.parquet")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(BadInput, match="no column 'candidate_idx'"):
        read(tmp_path / "x.parquet")
    rows().assign(candidate_idx=None).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(BadInput, match="row 0 lacks its query_id or candidate_idx"):
        read(tmp_path / "y.parquet")
