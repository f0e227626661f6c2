"""`testtime run` draws once what is asked, whatever happens on the way: asked again it calls nobody, asked for more
it draws the rest, killed or interrupted it goes on where it was, and what it cannot do it refuses in one line that
leaves nothing behind. Its table is that of a replay of its pool.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from shutil import copytree
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from rich.console import Console

import fake_model
import testtime as tt
from testtime.cli.progress import _bar, line
from testtime.models import BUILTIN
from testtime.store.parquet import read_meta
from testtime.watching import Progress

Run = Callable[[str], Any]
TIMED = ("latency_s", "joules", "timestamp")
DATA = "--dataset gsm8k --dataset_path sums.jsonl"
FAKE = f"run --model fake:n {DATA} --run r"


@pytest.fixture(autouse=True)
def _fake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(folder / "count"))
    fake_model.sums(folder / "sums.jsonl", 12)


def calls(folder: Path) -> int:
    """What the server counted."""
    return (folder / "count").stat().st_size if (folder / "count").exists() else 0


def rows(folder: Path, run: str = "r") -> pl.DataFrame:
    return pl.read_parquet(folder / "results" / run / "candidates.parquet")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert_frame_equal(one.drop(TIMED), other.drop(TIMED))


# ---- the way through ----
def test_a_run_leaves_a_pool_outcomes_a_table_and_a_figure(testtime: Run, folder: Path) -> None:
    ran = testtime(f"{FAKE} --max_examples 5")
    assert ran.code == 0
    assert "80 of 80 draws" not in ran.err, "quiet where there is no terminal"
    assert (folder / "results/r/figures/accuracy_vs_tokens.png").read_bytes().startswith(b"\x89PNG")
    assert rows(folder).height == 5 * 16
    assert rows(folder)["is_verified"].sum() > 0
    meta = read_meta(folder / "results/r/candidates.parquet")
    assert (meta["provider"], meta["model"], meta["floor"]) == ("fake", "fake:n", {"plain": 16})
    with (folder / "results/r/summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["policy"] for row in table] == ["sc_fixed"] * 5 + ["adaptive_margin"] * 2
    assert all(f"{100 * float(row['accuracy']):.1f} [" in ran.out for row in table)
    assert {json.loads(line)["policy"] for line in (folder / "results/r.jsonl").read_text().split("\n") if line} == {
        "sc_fixed",
        "adaptive_margin",
    }


def test_the_table_of_a_run_is_the_table_of_a_replay_of_its_pool(testtime: Run, folder: Path) -> None:
    testtime(FAKE)
    assert testtime("replay results/r --out_csv again.csv --out_jsonl again.jsonl").code == 0
    assert (folder / "again.csv").read_bytes() == (folder / "results/r/summary.csv").read_bytes()
    assert (folder / "again.jsonl").read_bytes() == (folder / "results/r.jsonl").read_bytes()


def test_the_folder_alone_can_run_again(testtime: Run, folder: Path) -> None:
    testtime(f"{FAKE} --max_examples 3 --sc_n 4 --adaptive_max_n 4 --temperature 0.3")
    before = calls(folder)
    assert "no call was made" in testtime("run --config results/r/spec.yaml").out
    assert calls(folder) == before
    assert None in yaml.safe_load((folder / "results/r/spec.yaml").read_text()).values()


def test_a_name_is_made_of_what_shapes_the_draws(testtime: Run, folder: Path) -> None:
    for more in ("", "--seed 1", "--max_examples 2"):
        testtime(f"run --model fake:n {DATA} --policies sc_fixed:n=1 {more}")
    names = sorted(path.name for path in (folder / "results").iterdir() if path.is_dir())
    assert len(names) == 2
    assert all(name.startswith("gsm8k_fake_n_") for name in names)


# ---- once ----
def test_the_same_command_again_calls_nobody_and_changes_no_file(testtime: Run, folder: Path) -> None:
    first = testtime(FAKE)
    before, files = calls(folder), {k: v for k, v in tree(folder / "results").items() if "figures" not in k}
    again = testtime(FAKE)
    assert again.code == 0
    assert "finished: nothing was left to be drawn, and no call was made" in again.out
    assert "finished" not in first.out
    assert calls(folder) == before
    assert {k: v for k, v in tree(folder / "results").items() if "figures" not in k} == files


def test_some_first_then_all_pays_once_for_each(testtime: Run, folder: Path) -> None:
    fixed = f"run --model fake:one {DATA} --policies sc_fixed --run r"
    testtime(f"{fixed} --max_examples 4 --sc_n 3")
    assert calls(folder) == 4 * 3
    testtime(f"{fixed} --max_examples 12 --sc_n 3")
    assert calls(folder) == 12 * 3
    testtime(f"{fixed} --max_examples 12 --sc_n 5 2")
    assert calls(folder) == 12 * 5
    testtime(f"{fixed}-at-once --sc_n 5")
    same(rows(folder), rows(folder, "r-at-once"))


def test_fewer_problems_asked_deeper_are_the_table_and_asked_wide_again_it_is_of_all(
    testtime: Run, folder: Path
) -> None:
    fixed = f"run --model fake:one {DATA} --policies sc_fixed --run r"
    testtime(f"{fixed} --sc_n 3")
    ran = testtime(f"{fixed} --max_examples 4 --sc_n 5")
    assert calls(folder) == 12 * 3 + 4 * 2
    assert "about to ask for 4 queries, 8 candidates (12 draws are there already)" in ran.err
    assert "the table is of the 4 problems that were asked for last" in ran.out
    testtime(f"{fixed}-alone --max_examples 4 --sc_n 3 5")
    alone, deeper = (tt.analyze(folder / f"results/{run}.jsonl").outcomes.drop("run") for run in ("r-alone", "r"))
    assert_frame_equal(deeper, alone)
    assert deeper["exhausted"].sum() == 0
    before = calls(folder)
    ran = testtime(f"{fixed} --sc_n 3")
    assert calls(folder) == before
    assert "sc_fixed:n=5: left out, as fewer problems were drawn" in ran.out
    wide = tt.analyze(folder / "results/r.jsonl").to_polars()
    assert wide.select("setting", "n_problems").rows() == [("n=3", 12)]


def test_a_policy_alone_draws_only_what_it_needs_and_the_pool_says_its_floor(testtime: Run, folder: Path) -> None:
    testtime(f"{FAKE} --policies adaptive_margin:max_n=16")
    drawn = rows(folder).group_by("query_id").len()["len"]
    assert 2 <= drawn.min() < drawn.max() <= 16  # type: ignore[operator]
    assert read_meta(folder / "results/r/candidates.parquet")["floor"]["plain"] < drawn.max()
    outcomes = tt.analyze(folder / "results/r.jsonl").outcomes
    assert outcomes["kind"].unique().to_list() == ["realised"]
    assert outcomes["candidates"].sum() == rows(folder).height
    assert outcomes["exhausted"].sum() == 0
    before = calls(folder)
    assert "no call was made" in testtime(f"{FAKE} --policies adaptive_margin:max_n=16").out
    assert calls(folder) == before


def test_what_came_of_a_policy_alone_is_its_replay_in_a_full_pool(testtime: Run, folder: Path) -> None:
    testtime(f"{FAKE} --policies adaptive_margin:max_n=16")
    testtime(f"{FAKE}-full --num_candidates 16")
    alone = tt.analyze(folder / "results/r.jsonl").outcomes
    full = tt.load(folder / "results/r-full").replay("adaptive_margin:max_n=16", realised=True).outcomes
    told = ["query_id", "answer", "correct", "answered", "candidates", "gen_tokens"]
    assert_frame_equal(alone.select(told), full.select(told))


def test_a_judge_that_nothing_asks_needs_no_key_and_is_told(testtime: Run, folder: Path) -> None:
    ran = testtime(f"{FAKE} --policies sc_fixed:n=2 --judge_model openai:gpt-5-mini")
    assert ran.code == 0
    assert "nothing in this run asks openai:gpt-5-mini" in ran.out
    before = calls(folder)
    ran = testtime(f"{FAKE}-judged --policies sc_fixed:n=2 --judge_model openai:gpt-5-mini --llm_judge_fallback")
    assert (ran.code, calls(folder)) == (2, before)
    assert "OPENAI_API_KEY" in ran.err


# ---- refused ----
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--model nobody-7b", "not certain who serves"),
        ("--model openai:gpt-5 --temperature 0.7", "no temperature but 1"),
        ("--dataset gsm9k", "unknown task"), ("--dataset_path none.jsonl", "no such file"),
        ("--policies best_of_n:n=2,by=rm", "no column 'rm'"), ("--temprature 1", "unknown flag 'temprature'"),
        ("--temperature -1", "temperature"), ("--max_examples 0", "max_queries"), ("--live", "one policy alone"),
        ("--provider vllm", "names the provider fake"), ("--config none.yaml", "no such file"),
        ("--sc_n 0", "policy sc_fixed:n=0"), ("--splits", ""), ("--max_tokens 1.5", "--max_tokens: '1.5' is no whole"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_line_and_leaves_nothing(testtime: Run, folder: Path, more: str, says: str) -> None:
    before, flag = tree(folder), more.split()[0]
    base = [pair for pair in f"--model fake:n {DATA} --run r".split("--") if pair and f"--{pair.split()[0]}" != flag]
    ran = testtime(f"run {' '.join(f'--{pair.strip()}' for pair in base)} {more}")
    assert ran.code == 2
    assert ran.err.startswith("testtime: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err
    assert (ran.out, tree(folder), calls(folder)) == ("", before, 0)


@pytest.mark.parametrize(
    ("more", "key"), [("--temperature 0.2", "temperature"), ("--seed 4", "seed"), ("--max_tokens 9", "max_tokens")]
)
def test_another_distribution_is_refused_by_the_key_that_differs(
    testtime: Run, folder: Path, more: str, key: str
) -> None:
    testtime(f"{FAKE} --policies sc_fixed:n=2")
    before = {name: data for name, data in tree(folder).items() if not name.endswith("lock")}
    ran = testtime(f"{FAKE} --policies sc_fixed:n=2 {more}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{key} is " in ran.err
    assert {name: data for name, data in tree(folder).items() if not name.endswith("lock")} == before
    assert testtime(f"{FAKE} --policies sc_fixed:n=2 {more} --fresh").code == 0
    assert rows(folder).height == 24
    assert before["results/r/journal/main.jsonl"] in tree(folder).values()


def test_a_folder_that_is_no_run_is_left_alone(testtime: Run, folder: Path) -> None:
    (folder / "results/r").mkdir(parents=True)
    (folder / "results/r/thesis.txt").write_text("mine")
    ran = testtime(FAKE)
    assert ran.code == 2
    assert "is there, and is no run" in ran.err
    assert tree(folder / "results") == {"r/thesis.txt": b"mine"}


def test_a_run_killed_as_it_started_begins_again(testtime: Run, folder: Path) -> None:
    """Its folder is there and its spec has not taken its name: it is that of a run all the same."""
    (folder / "results/r").mkdir(parents=True)
    (folder / "results/r/lock").touch()
    (folder / f"results/r/.spec.yaml.{2**22 + 1}.part").write_text("mod")
    assert testtime(FAKE).code == 0
    assert not list((folder / "results/r").glob(".*"))


def test_a_miss_is_explained_by_the_field_and_without_a_call(testtime: Run, folder: Path) -> None:
    assert testtime(f"{FAKE} --explain_miss").out.startswith("no run in results\nnext: testtime run ")
    testtime(f"{FAKE} --policies sc_fixed:n=1")
    before = calls(folder)
    assert testtime(f"{FAKE} --explain-miss").out.startswith("r: its draws are reused\nnext: ")
    assert testtime(f"{FAKE} --explain_miss --top_p 0.5").out.startswith("r: top_p is 0.95 there, 0.5 here\nnext: ")
    assert testtime(f"{FAKE}2 --explain_miss").out.startswith("r: only its name differs; give --run r\nnext: ")
    assert calls(folder) == before


# ---- stopped ----
def process(folder: Path, argv: str, seconds: float = 0.01) -> subprocess.Popen[str]:
    env = {**os.environ, "FAKE_SECONDS": str(seconds), "COLUMNS": "100"}
    command = [sys.executable, fake_model.__file__, *argv.split()]
    piped = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, stdout=piped, stderr=piped, text=True)


def after(folder: Path, count: int, running: subprocess.Popen[str]) -> None:
    """Waits until the server has counted so many calls."""
    while calls(folder) < count and running.poll() is None:
        time.sleep(0.002)


KILLED = f"run --model fake:one {DATA} --policies sc_fixed:n=3 adaptive_margin:max_n=8 --concurrency 3 --run r"


@settings(max_examples=2, phases=[Phase.generate])  # a process is too slow to shrink with
@given(points=st.lists(st.integers(1, 60), min_size=2, max_size=3))
def test_killed_at_any_points_it_ends_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory, points: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    fake_model.sums(folder / "sums.jsonl", 12)
    os.environ["FAKE_COUNT"] = str(folder / "count")
    for point in sorted(points):
        running = process(folder, KILLED, seconds=0.02)
        after(folder, point, running)
        running.kill()
        running.communicate()
    last = process(folder, KILLED, seconds=0.02)
    last.communicate()
    assert last.returncode == 0
    received = [line for line in journal(folder) if line["kind"] == "call" and line["status"] == "ok"]
    keys = [key for line in received for key in line["children"]]
    assert len(keys) == len(set(keys))
    assert calls(folder) <= len(received) + failed(folder) + 3 * len(points)
    os.environ["FAKE_COUNT"] = str(folder / "whole")
    whole = process(folder, f"{KILLED}-whole", seconds=0.02)
    whole.communicate()
    assert whole.returncode == 0
    same(rows(folder), rows(folder, "r-whole"))


def journal(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results/r/journal/main.jsonl").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines if line.endswith(b"}")]


def failed(folder: Path) -> int:
    return sum(line["kind"] == "call" and line["status"] != "ok" for line in journal(folder))


def test_an_interrupt_writes_what_is_there_and_prints_how_to_go_on(folder: Path) -> None:
    argv = f"run --model fake:one {DATA} --run r --policies sc_fixed:n=4 --concurrency 2"
    running = process(folder, argv, seconds=0.05)
    after(folder, 10, running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130
    assert err.endswith("testtime: interrupted\n")
    assert f"next: testtime {argv}" in out
    there = rows(folder).height
    assert 0 < there < 48
    again = process(folder, argv, seconds=0)
    out, _ = again.communicate()
    assert again.returncode == 0
    assert rows(folder).height == 48
    assert calls(folder) <= 48 + 2 + failed(folder)


def test_a_second_process_is_kept_out(folder: Path) -> None:
    argv = f"run --model fake:one {DATA} --run r --policies sc_fixed:n=4"
    first = process(folder, argv, seconds=60)
    after(folder, 1, first)
    _, err = process(folder, argv).communicate()
    first.kill()
    first.communicate()
    assert "in use by process" in err


# ---- from Python ----
def test_a_run_works_inside_a_running_event_loop(folder: Path) -> None:
    async def cell() -> tt.Run:
        return tt.run(model="fake:n", dataset="gsm8k", dataset_path="sums.jsonl", sc_n=[1, 3], max_n=4)

    ran = asyncio.run(cell())
    assert ran.table is not None
    assert ran.drawn.progress.made == pl.read_parquet(ran.path / "candidates.parquet").height >= 12 * 3
    assert ran.pool.replay("sc_fixed:n=2").to_polars().height == 1
    assert "n=3" in repr(ran)


def test_a_file_a_mapping_and_a_spec_are_one_run(folder: Path) -> None:
    asked = {"model": "fake:n", "dataset": "gsm8k", "dataset_path": "sums.jsonl", "sc_n": [2], "policies": "sc_fixed"}
    asked["out_dir"] = "results"
    (folder / "run.yaml").write_text(yaml.safe_dump(asked))
    first = tt.run(asked)
    before = calls(folder)
    again = [tt.run(folder / "run.yaml"), tt.run(first.drawn.spec), tt.run({**asked, "sc_n": [9]}, n=2)]
    assert {one.path for one in again} == {first.path}
    assert all(one.drawn.unchanged for one in again)
    assert calls(folder) == before


def test_a_dataset_without_a_reference_gives_a_pool_and_no_table(testtime: Run, folder: Path) -> None:
    (folder / "sums.jsonl").write_text('{"question": "What is 1 plus 2?", "answer": null}\n')
    ran = testtime(FAKE)
    assert ran.code == 0
    assert "no answer is known to be right or wrong" in ran.out
    said = rows(folder)
    answered, silent = said.filter(pl.col("answer_key").is_not_null()), said.filter(pl.col("answer_key").is_null())
    assert 0 < answered["is_verified"].null_count() == answered.height
    assert 0 < silent.height == (~silent["is_verified"]).sum(), "no answer is wrong"


def test_progress_says_what_is_known_and_nothing_else() -> None:
    done = Progress(due=100, open_end=False, kept=20, made=40, failed=10, judged=30, right=30, tokens=4000)
    assert line(done, 8.0) == "60 of 100 draws · 75.0 % right · 10 failed · 500 tokens/s · 8 s left"
    assert line(Progress(due=3, open_end=True), 0.0) == "0 of 3 or more draws"
    assert line(Progress(due=3, open_end=True, made=5), 100.0) == "5 of 5 or more draws"
    assert line(Progress(due=101, open_end=False, made=1), 100.0) == "1 of 101 draws · 2 h 46 min left"


def test_in_a_terminal_of_80_columns_nothing_of_the_progress_is_cut_off() -> None:
    done = Progress(due=100, open_end=True, kept=20, made=40, failed=10, judged=30, right=30, tokens=4000, usd=1.5)
    console = Console(file=StringIO(), width=80, force_terminal=False)
    with console.capture() as shown:
        console.print(_bar(done, 8.0))
    assert " ".join(one.strip() for one in shown.get().split("\n")[1:]).strip() == line(done, 8.0)


# ---- live ----
def test_a_policy_executed_alone_is_measured_and_draws_what_its_replay_would(testtime: Run, folder: Path) -> None:
    live = f"run --model fake:n {DATA} --live --run r --policies adaptive_margin:max_n=12"
    assert testtime(live).code == 0
    testtime(f"{FAKE}-full --num_candidates 12 --policies sc_fixed:n=1")
    alone = tt.analyze(folder / "results/r.jsonl").outcomes
    full = tt.load(folder / "results/r-full").replay("adaptive_margin:max_n=12", realised=True).outcomes
    told = ["query_id", "answer", "correct", "answered", "candidates", "gen_tokens"]
    assert_frame_equal(alone.select(told), full.select(told))
    assert alone["measured"].all()
    assert not full["measured"].any()
    ledger = pl.read_parquet(folder / "results/r/calls.parquet").filter(status="ok")
    assert alone["seconds"].sum() == pytest.approx(ledger["seconds"].sum())
    assert rows(folder).height == alone["candidates"].sum()


def test_a_live_folder_holds_one_policy(testtime: Run, folder: Path) -> None:
    live = f"run --model fake:n {DATA} --live --run r"
    testtime(f"{live} --policies sc_fixed:n=2")
    ran = testtime(f"{live} --policies sc_fixed:n=3")
    assert ran.code == 2
    assert "policies is ['sc_fixed:n=2'] there, ['sc_fixed:n=3'] here" in ran.err
    assert testtime(f"{live}-not --policies sc_fixed:n=3").code == 0


def test_a_cascade_asks_its_large_model_only_where_the_small_one_is_in_doubt(testtime: Run, folder: Path) -> None:
    start = f"run --model fake:n {DATA} --n 3"
    ran = testtime(f"{start} --run r --large_n 2 --oracle_model fake:l --policies cascade")
    assert ran.code == 0
    large = (pl.col("arm") == "large").sum()
    drawn = rows(folder).group_by("query_id").agg(small=pl.len() - large, large=large)
    assert set(drawn["small"]) == {3}
    assert set(drawn["large"]) == {0, 2}
    for more, says in (
        ("--policies cascade", "cascade needs a second, larger model; add --oracle_model"),
        ("--policies cascade sc_fixed --oracle_model fake:l", "draws from two models, and sc_fixed from one"),
        ("--policies cascade --oracle_model fake:l --decoding guided:c=4", "draws from two models, and with one"),
    ):
        ran = testtime(f"{start} --run not {more}")
        assert ran.code == 2
        assert says in ran.err


# ---- shards ----
def test_shards_merged_are_the_run_undivided(testtime: Run, folder: Path) -> None:
    asked = f"run --model fake:one {DATA} --policies sc_fixed:n=3 --run"
    for shard in ("1/3", "2/3", "3/3"):
        assert testtime(f"{asked} parts --shard {shard}").code == 0
    assert calls(folder) == 12 * 3
    assert testtime("merge results/parts.1of3 results/parts.2of3 results/parts.3of3").code == 0
    before = calls(folder)
    testtime(f"{asked} whole")
    same(rows(folder, "parts"), rows(folder, "whole"))
    assert calls(folder) - before == 12 * 3
    assert "no call was made" in testtime(f"{asked} parts").out


def test_what_a_missing_shard_lacks_is_said_and_can_be_drawn(testtime: Run, folder: Path) -> None:
    asked = f"run --model fake:one {DATA} --policies sc_fixed:n=3 --run parts"
    testtime(f"{asked} --shard 1/2")
    merged = testtime("merge results/parts.1of2")
    assert merged.code == 3
    assert "what is not here: shards 2/2; " in merged.err
    assert 0 < rows(folder, "parts").height < 36
    testtime(asked)
    assert rows(folder, "parts").height == 36
    assert calls(folder) == 36


def test_a_shard_that_comes_later_makes_the_merged_run_whole(testtime: Run, folder: Path) -> None:
    asked = f"run --model fake:one {DATA} --policies sc_fixed:n=3 --run parts"
    testtime(f"{asked} --shard 1/2")
    assert testtime("merge results/parts.1of2").code == 3
    testtime(f"{asked} --shard 2/2")
    assert testtime("merge results/parts.2of2").code == 0
    assert rows(folder, "parts").height == 36


def test_a_shard_that_holds_no_problem_is_not_missed(testtime: Run, folder: Path) -> None:
    asked = f"run --model fake:one {DATA} --max_queries 2 --policies sc_fixed:n=1 --run parts"
    codes = [testtime(f"{asked} --shard {at}/5").code for at in range(1, 6)]
    assert set(codes) == {0, 2}
    merged = testtime("merge results/parts.*of5")
    assert (merged.code, merged.err) == (0, "")
    assert rows(folder, "parts").height == 2


@pytest.mark.parametrize("run", ["parts", "parts!"])
def test_shards_are_known_by_what_they_drew_and_not_by_the_names_of_their_folders(
    testtime: Run, folder: Path, run: str
) -> None:
    """The name of a whole run ends otherwise than that of its shards where it is cut at its end."""
    for shard in ("1/2", "2/2"):
        testtime(f"run --model fake:one {DATA} --policies sc_fixed:n=1 --run {run} --shard {shard}")
    first, second = sorted((folder / "results").glob("parts*of2"))
    if run == "parts":
        second = second.rename(folder / "moved")
    merged = testtime(f"merge {first} {second}")
    assert (merged.code, merged.err) == (0, "")
    assert rows(folder, "parts").height == 12


def test_shards_that_overlap_are_not_merged(testtime: Run, folder: Path) -> None:
    asked = f"run --model fake:one {DATA} --policies sc_fixed:n=3 --run parts"
    for shard in ("1/2", "2/3"):
        testtime(f"{asked} --shard {shard}")
    for copy in ("copied/parts.1of2", "moved"):
        copytree(folder / "results/parts.1of2", folder / copy)
    for shards, says in (
        ("results/parts.1of2 copied/parts.1of2", "shard 1/2 is there twice"),
        ("results/parts.1of2 results/parts.1of2", "shard 1/2 is there twice"),
        ("results/parts.1of2 results/parts.2of3", "divide their run otherwise"),
        ("moved", "a shard lies where the whole would be"),
    ):
        ran = testtime(f"merge {shards}")
        assert ran.code == 2
        assert says in ran.err
    assert not (folder / "results/parts").exists()


def test_what_is_no_shard_or_of_another_run_is_not_merged(testtime: Run, folder: Path) -> None:
    asked = f"run --model fake:one {DATA} --policies sc_fixed:n=1 --run"
    testtime(f"{asked} a")
    testtime(f"{asked} b --shard 1/2")
    testtime(f"{asked} b --shard 2/2 --seed 3")
    for shards, says in (("results/a", "is no shard"), ("results/b.1of2 results/b.2of2", "seed is 0 there, 3 here")):
        ran = testtime(f"merge {shards}")
        assert ran.code == 2
        assert says in ran.err
    assert not (folder / "results/b").exists()
    assert "no shard 3 of 2" in testtime(f"{asked} c --shard 3/2").err
