"""Training data is what the verdicts say: verified answers, right beside wrong, or labels; equal texts once, no more
than asked for a problem, retries and rows without a verdict left out, and problems without a gold answer marked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime.cli import main
from testtime.core.errors import BadInput
from testtime.store.parquet import write_frame
from testtime.store.training import export

ROWS = [  # query, text, verdict, gold, retry
    ("q0", "right", True, "1", False),
    ("q0", "right ", True, "1", False),
    ("q0", "wrong", False, "1", False),
    ("q0", "right too", True, "1", False),
    ("q0", "right again", True, "1", True),
    ("q1", "judged right", True, None, False),
    ("q1", "nobody knows", None, None, False),
    ("q1", "", False, None, False),
    ("q2", "wrong", False, "2", False),
    ("q2", "wrong too", False, "2", False),
]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    sent = json.dumps([{"role": "system", "content": "be"}, {"role": "user", "content": "?"}])
    rows = [
        {
            "arm": "plain", "query_id": query, "candidate_idx": at, "split": "s", "question": "?", "answer_key": text,
            "candidate_text": text, "is_verified": verdict, "ground_truth_answer": gold, "is_retry": retry,
            "verification_confidence": 0.9, "input_messages": sent if query == "q0" else None,
        }
        for at, (query, text, verdict, gold, retry) in enumerate(ROWS)
    ]  # fmt: skip
    path = tmp_path / "p.parquet"
    write_frame(path, pl.DataFrame(rows), {"run": "p"})
    return path


def made(pool: Path, form: Any, most: int | None = None) -> list[dict[str, Any]]:
    out = pool.with_suffix(".jsonl")
    written, unsure = export(pool, form, out, most)
    rows = [json.loads(line) for line in out.read_text().split("\n") if line]
    assert sum(written.values()) == len(rows)
    assert sum(unsure.values()) == sum(not row["ground_truth"] for row in rows)
    return rows


def test_verified_answers_once_each(pool: Path) -> None:
    rows = made(pool, "sft")
    assert [row["messages"][-1]["content"] for row in rows] == ["right", "right too", "judged right"]
    assert [row["ground_truth"] for row in rows] == [True, True, False]
    assert [message["role"] for message in rows[0]["messages"]] == ["system", "user", "assistant"]
    assert [message["role"] for message in rows[2]["messages"]] == ["user", "assistant"]
    assert len(made(pool, "sft", most=1)) == 2


def test_what_only_a_judge_says_has_no_ground_truth(pool: Path, tmp_path: Path) -> None:
    """Whatever the dataset holds: the reference of a talk with tools is not looked at."""
    methods = ["key", "key+judge math", "number", "judge appropriateness", "key", "no_tests+judge code", *"    "]
    table = pl.read_parquet(pool).with_columns(ground_truth_answer=pl.lit("1"), verification_method=pl.Series(methods))
    write_frame(tmp_path / "q.parquet", table, {"run": "q"})
    assert [row["ground_truth"] for row in made(tmp_path / "q.parquet", "sft")] == [True, False, False]


def test_pairs_are_of_one_problem(pool: Path) -> None:
    (pair,) = made(pool, "preference")
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == ("right", "wrong")


def test_labels_are_the_verdicts(pool: Path) -> None:
    rows = made(pool, "rm")
    assert [row["label"] for row in rows] == [True, False, True, True, False, False]
    assert {row["score"] for row in rows} == {0.9}


def test_the_command_writes_and_refuses(pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(pool), "--format", "preference", "--out", str(tmp_path / "o.jsonl")]) == 0
    assert "1 rows (s 1)" in capsys.readouterr().out
    assert main(["export", str(pool), "--format", "sft", "--out", str(pool)]) == 2
    assert main(["export", str(tmp_path / "none"), "--format", "sft", "--out", str(tmp_path / "o.jsonl")]) == 2
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(BadInput, match=r"is no testtime\.candidates file"):
        export(tmp_path / "x.parquet", "sft", tmp_path / "o.jsonl")
