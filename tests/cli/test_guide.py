"""`testtime guide` on the pocket models: a prompt, a grid with its file, resume without a call, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime.cli import main
from testtime.guide import calibrated, evaluate, normal, parameters
from testtime.runspec import run_spec

Run = Callable[[str], Any]

PAIR = ["guide", "--base_model", "pocket-s", "--oracle_model", "pocket-m"]
SET = ["--dataset", "pocket-math", "--split", "validation-medium", "--num_samples", "4"]
KEYS = (
    "c", "k", "max_new_tokens", "temperature", "top_p", "base_model_id", "oracle_model_id", "prompt",
    "interleaved_outputs", "base_model_generations", "oracle_model_generations", "cheat_positions",
    "total_tokens_generated", "eval_config", "result", "ground_truth", "parsed_answer", "analysis",
)  # fmt: skip


def test_a_prompt_is_answered_with_numbered_consultations(capsys: pytest.CaptureFixture[str]) -> None:
    line = [*PAIR, "--c", "2", "--k", "3", "--prompt", "What is 2+2?", "--max_new_tokens", "60", "--verbose"]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "[1:" in shown
    assert "by the oracle; consulted at: " in shown


def test_a_grid_is_written_as_documented_and_drawn_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    line = [*PAIR, *SET, "--start_index", "2", "--c", "0", "2", "--k", "3", "--trigger", "random", "entropy",
            "--output_file", str(file), "--oracle_budget", "5"]  # fmt: skip
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "oracle tokens" in shown
    assert "recommended under 5 oracle tokens a problem" in shown
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert len(rows) == 4 * 4, "c = 0 is one setting whatever the trigger, and the oracle alone is there too"
    for row in rows:
        assert tuple(row)[: len(KEYS)] == KEYS
        assert "".join(piece["output"] for piece in row["interleaved_outputs"]) == row["result"]
        assert len(row["cheat_positions"]) == row["consultations"] == len(row["oracle_model_generations"])
        assert row["total_tokens_generated"] == row["base_tokens"] + row["oracle_tokens"]
        assert row["flops"] > 0
    assert {row["c"] for row in rows} == {0, 2, "inf"}
    assert main(line) == 0
    assert file.read_text().count("\n") == 16
    assert "no call was made" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--prompt", "x", *SET], "both a prompt and a dataset"),
        (["--k", "1", "--threshold", "2", *SET], "threshold is a setting of no selected policy, decoding or task"),
        (["--oracle_tokens", "3", *SET], "is evaluated itself"),
    ],
)
def test_what_cannot_be_is_one_line(more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PAIR, *more]) == 2
    assert words in capsys.readouterr().err


def test_both_ends_have_one_name_and_parameters_are_read_or_unknown() -> None:
    assert normal("guided:trigger=entropy,c=0") == normal("guided:k=0") == "guided:trigger=never,c=0,k=0"
    assert normal("guided:trigger=never,c=inf,k=inf") == "guided:trigger=always,c=inf,k=inf"
    assert parameters("vllm:Llama-3.2-1B-Instruct") == 10**9
    assert parameters("openai:gpt-4o-mini") is None
    assert parameters("pocket:pocket-s") < parameters("pocket:pocket-m")  # type: ignore[operator]


def test_dials_are_set_on_another_split(tmp_path: Path) -> None:
    """Two triggers set to the same oracle tokens take about as many, on the problems they were set on."""
    flags = {"model": "pocket-s", "oracle_model": "pocket-m", "dataset": "pocket-math", "splits": ("medium",),
             "decoding": ("guided:trigger=random,c=inf,k=2", "guided:trigger=entropy,c=inf,k=2"),
             "policies": ("sc_fixed:n=1",), "temperature": 0.0, "top_p": 1.0}  # fmt: skip
    texts = calibrated(run_spec(flags), [6.0], "validation-medium", count=6)
    assert [text.partition(",")[0] for text in texts] == ["guided:trigger=random", "guided:trigger=entropy"]
    here = {"decoding": tuple(texts), "splits": ("validation-medium",), "max_queries": 6, "out_dir": tmp_path}
    table = evaluate(run_spec({**flags, **here})).rows.group_by("decoding").agg(pl.col("oracle_tokens").mean())
    spent = dict(table.iter_rows())
    assert all(3.5 <= spent[text] <= 9 for text in texts), spent


def test_budgets_make_a_grid_and_each_has_both_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    more = ["--c", "2", "--k", "3", "--budget", "24", "60", "--output_file", str(file)]
    assert main([*PAIR, "--dataset", "pocket-math", "--split", "easy", "--num_samples", "2", *more]) == 0
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert len(rows) == 2 * 2 * 3
    assert {row["budget"] for row in rows} == {24, 60}
    for row in rows:
        assert row["total_tokens_generated"] <= row["budget"] + 10
    assert "budget=24" in capsys.readouterr().out


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra `figures` is not installed, whatever other tests have imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "altair" or name.startswith("testtime.figures")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "altair" else found(name))


@pytest.mark.usefixtures("undrawn")
def test_without_the_drawing_library_all_is_told_and_only_figures_are_refused(testtime: Run, folder: Path) -> None:
    models = "--base_model pocket-s --oracle_model pocket-m"
    grid = f"guide {models} --dataset pocket-math --split easy --num_samples 2 --c 0 1 --k 2 --output_file g.jsonl"
    refused = testtime(f"{grid} --out_png g.png")
    assert refused.code == 2
    assert 'pip install "testtime[figures]"' in refused.err
    assert not (folder / "g.jsonl").exists()
    (folder / "taken").mkdir()
    assert testtime(grid.replace("g.jsonl", "taken")).code == 2
    assert not (folder / "taken.run").exists(), "refused before anything is drawn"
    assert testtime(f"guide {models} --c 1 --k 2 --max_new_tokens 9 --prompt 2+2").code == 0
    assert testtime(grid).code == 0
    assert testtime("stats --stats_file g.jsonl --output_file a.jsonl --every --out_html t.html").code == 0
    assert "consultation" in (folder / "t.html").read_text(encoding="utf-8")
    assert testtime("stats --stats_file g.jsonl --output_file a.jsonl --out_png c.png").code == 2
