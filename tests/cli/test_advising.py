"""The advising commands print what they promise, and a mistake is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[[str], Any]


@pytest.fixture
def pools(folder: Path) -> Path:
    """Sixty problems of every difficulty by a small model and a better one, twelve draws each."""
    rng = np.random.default_rng(3)
    for name, skill in (("small", 1.0), ("large", 3.0)):
        rows = []
        for at in range(60):
            ease = rng.beta(1.5 * skill, 1)
            answers = np.where(rng.random(12) < ease, 7, rng.integers(0, 4, 12)).tolist()
            rows.append({"run": name, "id": at, "gold": 7, "answers": answers, "tokens": [10 * int(skill)] * 12})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_recommend_says_what_to_deploy_and_what_is_around_it(testtime: Run, pools: Path) -> None:
    ran = testtime("recommend small.jsonl large.jsonl --budget 60tok/q --orders 10")
    assert (ran.code, ran.err) == (0, "")
    assert "1. " in ran.out
    assert "nested cross-validation" in ran.out
    assert "120tok/q" in ran.out
    assert "30tok/q" in ran.out
    assert "perfect verifier" in ran.out
    priced = testtime("recommend small.jsonl --budget 3usd --questions 1000 --price 1:2 --prompt_tokens 50 --orders 10")
    assert (priced.code, priced.err) == (0, "")
    metered = testtime("recommend small.jsonl --budget 50J/q --joules 8:0.455 512:0.07 --others 4 --orders 10")
    assert (metered.code, metered.err) == (0, "")
    assert "100J/q" in metered.out


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("policies table certified --delta .1 --max_n 8", "policies table certified:max_n=8,delta=0.1"),
        ("policies table certified", "policies table certified:max_n=40"),
        (
            "policies table curtail:max_n=8 --epsilon .1 --delta .2",
            "policies table curtail:max_n=8,epsilon=.1 --delta .2",
        ),
        ("boundary adaptive_margin --stop_rule sprt --max_n 8", "boundary adaptive_margin:stop_rule=sprt,max_n=8"),
    ],
)
def test_settings_beside_a_policy_are_settings_in_its_text(testtime: Run, typed: str, whole: str) -> None:
    ran = testtime(f"{typed} --json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == testtime(f"{whole} --json").out


def test_plan_forecast_and_policies_print_their_tables(testtime: Run, pools: Path) -> None:
    ran = testtime("plan --pilot small.jsonl large.jsonl --effect 5pt")
    assert (ran.code, ran.err) == (0, "")
    assert "unpaired" in ran.out
    ran = testtime("forecast small.jsonl --to 32")
    assert (ran.code, ran.err) == (0, "")
    assert "32 *" in ran.out
    ran = testtime("policies table curtail:max_n=12")
    assert (ran.code, ran.err) == (0, "")
    assert "Smallest v1" in ran.out
    fitted = testtime("policies fit bayes:max_n=12,agreement=.95 small.jsonl")
    assert fitted.code == 0
    again = testtime(f"replay small.jsonl --policies {fitted.out.splitlines()[0]}")
    assert (again.code, again.err) == (0, "")
    for draws in (3, 4, 5):
        assert json.loads(testtime(f"policies design --draws {draws} --max_n 12 --json").out)["draws"] <= draws
    design = testtime("policies design --draws 4 --max_n 12")
    table, _, following = design.out.partition("next: ")
    assert table.count("bayes:max_n=12") == 1
    assert "bayes:max_n=12" in following


def test_a_cascade_plays_on_two_pools(testtime: Run, pools: Path) -> None:
    ran = testtime("replay small.jsonl --with large.jsonl --policies cascade --n 3 --large_n 1 3 --orders 10")
    assert (ran.code, ran.err) == (0, "")
    assert "cascade" in ran.out


def test_the_printed_table_says_how_often_the_answer_is_that_of_all_draws(testtime: Run, pools: Path) -> None:
    ran = testtime("replay small.jsonl --policies bayes greedy_budget --max_n 12 --mean_n 3 --orders 10")
    assert (ran.code, ran.err) == (0, "")
    assert "same %" in ran.out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("recommend small.jsonl --budget 60", "budget '60' cannot be read"),
        ("recommend small.jsonl --budget 50usd", "for how many questions"),
        ("recommend small.jsonl --budget 1tok/q --orders 5", "cheapest costs 10"),
        ("recommend small.jsonl --budget 1usd/q --price 1:2:3:4", "price"),
        ("recommend small.jsonl --budget 1usd/q --orders 5", "add --price prompt:completion"),
        ("recommend small.jsonl --budget 50J/q --orders 5", "add --joules with joules a token by batch"),
        ("recommend small.jsonl --budget 50J/q --joules 8:0.4 --orders 5", "two batches or more"),
        ("recommend small.jsonl --budget 4draws --orders 0", "0 orders tell nothing"),
        ("report small.jsonl --orders 0", "0 orders tell nothing"),
        ("plan --pilot small.jsonl --effect much", "effect"),
        ("plan --pilot small.jsonl --effect 0pt", "effect"),
        ("forecast small.jsonl --to 0", "k ="),
        ("policies table", "needs a policy"),
        ("policies fit sc_fixed:n=2 small.jsonl", "learns nothing"),
        ("policies design", "--draws and --error"),
        ("policies table certified small.jsonl", "a table reads no pool"),
        ("policies table certified:max_n=8 --max_n 12", "max_n is already said"),
        ("policies table sc_fixed --max_n 12", "max_n is a setting of no selected policy"),
        ("replay small.jsonl --with none.jsonl --policies cascade --n 3", "no such file"),
    ],
)
def test_a_mistake_is_one_line(testtime: Run, pools: Path, line: str, says: str) -> None:
    ran = testtime(line)
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "forecast small.jsonl --to 2.5",
        "replay small.jsonl --orders 9.5",
        "replay small.jsonl --seed 1e3",
        "recommend small.jsonl --budget 60tok/q --orders 1.5",
        "report small.jsonl --sample 2.0",
        "serve echo --port 80.5",
        "submit --cluster slurm --shards 1.5",
        "run --concurrency 1.5",
        "guide --max_tokens 1.5",
    ],
)
def test_a_whole_number_is_not_rounded(testtime: Run, pools: Path, line: str) -> None:
    ran = testtime(line)
    assert (ran.code, ran.out) == (2, "")
    assert "is no whole number" in ran.err
    assert ran.err.count("\n") == 1


def test_what_to_try_next_is_the_same_replay(testtime: Run, pools: Path) -> None:
    line = "replay small.jsonl --with large.jsonl --policies cascade --large_n 1 3 --n 3"
    assert f"testtime {line} --out_csv summary.csv" in testtime(line).out


def test_advice_over_pools_says_whose_draws_it_means(testtime: Run, pools: Path) -> None:
    ran = testtime("recommend small.jsonl large.jsonl --budget 3draws --policies sc_fixed:n=1 sc_fixed:n=3 --orders 5")
    assert (ran.code, ran.err) == (0, "")
    ranked, _, others = ran.out.partition("What another budget buys")
    assert ranked.count("small sc_fixed") == ranked.count("large sc_fixed") == 2
    assert others.count("large sc_fixed") == 3
    note = next(line for line in ran.out.splitlines() if "perfect verifier" in line)
    assert "(small" in ran.out[ran.out.index(note) :]


def test_problems_of_one_source_are_one_cluster_of_a_comparison(testtime: Run, pools: Path) -> None:
    def width() -> float:
        row = json.loads(testtime("compare small.jsonl large.jsonl --json").out)["rows"][0]
        return float(row["high"] - row["low"])

    alone = width()
    for name in ("small.jsonl", "large.jsonl"):
        rows = [json.loads(line) for line in (pools / name).read_text().splitlines()]
        rows = [row | {"id": f"{at}.{row['id']}", "cluster": f"{row['id']}"} for row in rows for at in range(4)]
        (pools / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert width() == pytest.approx(alone, rel=0.15)  # four copies of a problem say no more than one
