"""A dry run says what would be asked for and what it would cost, with neither key nor network, and calls nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fake_model
from testtime.models import BUILTIN

Run = Callable[[str], Any]
DATA = "--dataset gsm8k --dataset_path sums.jsonl"
MINI = f"run --model openai:gpt-4o-mini {DATA} --policies sc_fixed:n=4 --max_tokens 100 --dry_run"


@pytest.fixture(autouse=True)
def _fake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(folder / "count"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    fake_model.sums(folder / "sums.jsonl", 12)


def prices(text: str) -> list[float | None]:
    """Low, expected and high of the first line."""
    found = re.search(r"\$(\S+) / (\S+) / (\S+) \(low", text)
    assert found, text
    return [None if one == "?" else float(one) for one in found.groups()]


def test_a_dry_run_of_a_hosted_model_needs_no_key_and_writes_nothing(testtime: Run, folder: Path) -> None:
    pytest.importorskip("openai", reason="the backend of hosted models is an extra")
    ran = testtime(f"{MINI} --expect_tokens 50")
    assert ran.code == 0, ran.err
    assert "12 queries, 48 candidates, 12 requests" in ran.out
    low, expected, high = prices(ran.out)
    assert low is not None
    assert expected is not None
    assert high is not None
    assert high > expected > 48 * 50 * 0.6e-6
    assert expected - low == pytest.approx(48 * 25 * 0.6e-6, abs=1e-4), "whoever expects may be wrong by half"
    assert high == pytest.approx(48 * 100 * 0.6e-6, rel=1), "all tokens written, and the prompts"
    assert not (folder / "results").exists()
    assert prices(testtime(MINI).out)[1] is None, "nobody says how long an answer is"


def test_what_policies_decide_is_a_range(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:one {DATA} --policies adaptive_margin:max_n=8 --dry_run"
    assert re.search(r"12 queries, (\d+) to 96 candidates, \1 to 96 requests, dollars unknown|\$", testtime(line).out)
    assert not (folder / "count").exists()


def test_what_is_there_is_not_counted_again_and_tells_how_long_answers_are(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:one {DATA} --policies sc_fixed:n=4 --run r"
    testtime(f"{line} --max_examples 6")
    before = (folder / "count").stat().st_size
    out = testtime(f"{line} --dry_run").out
    assert "24 candidates (24 draws are there already), 24 requests" in out
    assert (folder / "count").stat().st_size == before


def test_a_grid_is_a_forecast_each(testtime: Run) -> None:
    out = testtime(f"run --model fake:n --seed 1 2 {DATA} --policies sc_fixed:n=2 --dry_run").out
    assert [line.partition(":")[0] for line in out.splitlines() if "queries" in line] == ["seed=1", "seed=2"]


def test_batches_are_refused_where_the_model_takes_none(testtime: Run, folder: Path) -> None:
    ran = testtime(f"run --model fake:one {DATA} --batch")
    assert (ran.code, (folder / "count").exists()) == (2, False)
    assert "fake:one takes no batches" in ran.err


def test_too_many_cut_texts_are_told_with_the_flag_to_raise(testtime: Run) -> None:
    ran = testtime(f"run --model fake:one {DATA} --policies sc_fixed:n=4 --max_tokens 3 --run r")
    assert re.search(
        r"\d+\.\d% of the draws of plain were cut at their token limit; raise --max_tokens", " ".join(ran.out.split())
    )
    assert "raise --max_tokens" in testtime("inspect results/r").out


def test_a_judge_is_a_part_of_its_own_beside_the_candidates(testtime: Run) -> None:
    line = f"{MINI} --expect_tokens 50 --llm_judge_fallback --judge_audit 0.25 --judge_model openai:gpt-4.1-mini"
    pytest.importorskip("openai", reason="the backend of hosted models is an extra")
    first, generation, judge, _ = testtime(line).out.rstrip("\n").split("\n")
    assert "12 requests" in generation.replace("generation, openai:gpt-4o-mini", "")
    assert judge.strip().startswith("judge, openai:gpt-4.1-mini: 12 to 48 requests")
    parts = [prices(generation.replace("dollars", "")), prices(judge)]
    whole = prices(first)
    assert whole == pytest.approx([sum(column) for column in zip(*parts, strict=True)], abs=2e-4)  # type: ignore[arg-type]
    assert whole[0] < whole[1] < whole[2]  # type: ignore[operator]
