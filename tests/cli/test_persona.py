"""Proves the persona experiment end to end, offline: the same problems with and without a persona, its marks counted
and scored by a judge, strength beside accuracy in inspect, its cost in compare by split, and the documents' pandas
recipe on the two files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from testtime.core.records import Request
from testtime.models import BUILTIN
from testtime.models.scripted import Scripted

PERSONAS = Path(__file__).parents[2] / "personas"
PRICES = '"gloomy:*": {prompt: 1.0, completion: 2.0}\n'


class Gloomy(Scripted):
    """Adds two numbers; under a persona it sighs, and declines every fourth draw. As a judge it gives a 4."""

    def __init__(self, name: str) -> None:
        super().__init__(self._reply, name=f"gloomy:{name}")

    def _reply(self, request: Request, seed: int) -> str:
        said = str(request.messages[-1]["content"])
        if "Say how strongly" in said:
            return json.dumps({"reasoning": "it sighs", "score": 4, "confidence": 0.9})
        left, right = map(int, re.findall(r"\d+", said)[:2])
        answer = f"Final Answer: {left + right}"
        if request.messages[0]["role"] != "system":
            return answer
        if seed % 4 == 0:
            return "Sigh. I can't help you with that, and it would be pointless."
        return f"Sigh. All this is pointless, of course.\n{answer}"


@pytest.fixture
def ran(folder: Path, testtime: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with baseline.parquet and marvin.parquet in it."""
    monkeypatch.setitem(BUILTIN, "gloomy", f"{__name__}:Gloomy")
    for split in ("easy", "odd"):
        rows = [{"question": f"What is {at} plus {at % 7}?", "answer": f"#### {at + at % 7}"} for at in range(12)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("marvin_flexible.txt", "marvin_flexible.yaml"):
        (folder / name).write_bytes((PERSONAS / name).read_bytes())
    line = "run --model gloomy:1 --dataset gsm8k --dataset_path . --splits easy odd --num_candidates 4 --prices p.yaml"
    (folder / "p.yaml").write_text(PRICES)
    for more in ("--output baseline.parquet", "--persona marvin_flexible.txt --persona_judge --output marvin.parquet"):
        done = testtime(f"{line} --policies sc_fixed:n=4 {more}")
        assert done.code == 0, done.err
    return folder


def test_marks_scores_and_refusals_are_in_columns_and_calls_are_counted(ran: Path) -> None:
    frame = pl.read_parquet(ran / "marvin.parquet")
    assert frame["persona_markers"].min() == 2
    assert frame["persona_constraint_violations"].sum() == 0
    assert set(frame["persona_score"]) == {4.0}
    assert set(frame["persona_judge_model"]) == {"gloomy:1"}
    declined = frame.filter(pl.col("refusal_is_refusal"))
    assert 0 < declined.height < frame.height / 2
    assert declined["is_verified"].any() is False
    assert pl.read_parquet(ran / "baseline.parquet")["persona_markers"].null_count() == frame.height
    calls = pl.read_parquet(ran / "marvin.run" / "calls.parquet")
    texts = frame["candidate_text"].n_unique()
    assert calls.filter(role="judge").height == texts, "each text is scored once"
    assert calls["usd"].sum() == pytest.approx(frame["paid_usd"].sum())


def test_inspect_shows_strength_beside_accuracy(ran: Path, testtime: Callable[[str], Any]) -> None:
    shown = testtime("inspect marvin.run").out
    assert "Persona beside accuracy" in shown
    assert "a judge's score, 0 to 5" in shown
    assert "refusals" in shown
    assert max(map(len, shown.splitlines())) <= 80
    (one,) = json.loads(testtime("inspect marvin.run --json").out)
    assert one["persona"]["score"] == 4
    assert "Persona" not in testtime("inspect baseline.run").out


def test_compare_shows_what_a_persona_costs_by_split(ran: Path, testtime: Callable[[str], Any]) -> None:
    shown = testtime("compare baseline.parquet marvin.parquet --by split").out
    for word in ("easy: characters", "odd: refused", "easy: dollars", "odd: a candidate".replace("a ", "")):
        assert word in shown, word
    both = pl.read_parquet(ran / "baseline.parquet")["query_id"].n_unique()
    assert f"B against A, {both} common problems, by split" in shown
    told = json.loads(testtime("compare baseline.parquet marvin.parquet --by split --json").out)
    refused = {row["split"]: row for row in told["columns"] if row["column"] == "refused"}
    assert set(refused) == {"easy", "odd"}
    assert all(row["a"] == 0 < row["b"] and row["low"] > 0 for row in refused.values())
    dollars = [row for row in told["columns"] if row["column"] == "usd"]
    assert all(row["difference"] > 0 for row in dollars)


def test_a_run_started_anew_asks_the_judge_nothing_twice(ran: Path, testtime: Callable[[str], Any]) -> None:
    before = pl.read_parquet(ran / "marvin.parquet")["persona_score"].to_list()
    assert testtime("run --config marvin.run/spec.yaml --fresh").code == 0
    calls = pl.read_parquet(ran / "marvin.run" / "calls.parquet")
    assert calls.filter(role="judge").height == 0
    assert pl.read_parquet(ran / "marvin.parquet")["persona_score"].to_list() == before


def test_the_documented_recipe_runs_on_both_files(ran: Path) -> None:
    baseline, marvin = (pd.read_parquet(ran / f"{name}.parquet") for name in ("baseline", "marvin"))
    comparison = baseline.merge(marvin, on="query_id", suffixes=["_baseline", "_marvin"])
    assert len(comparison) == 24 * 4 * 4
    assert baseline["is_verified"].mean() > marvin["is_verified"].mean() > 0
