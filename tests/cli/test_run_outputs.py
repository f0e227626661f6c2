"""Where a run writes, what it may cost, and how many runs a command line is: named outputs, caps, grids; and what has
changed under a folder (weights, gold answers, the parser) is seen and never mixed in silently.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

import fake_model
import testtime as tt
from testtime import build
from testtime.core.errors import BadInput
from testtime.models import BUILTIN
from testtime.models.pocket.backend import PocketModel
from testtime.tasks.gsm8k import Gsm8k

Run = Callable[[str], Any]
DATA = "--dataset gsm8k --dataset_path sums.jsonl"


@pytest.fixture(autouse=True)
def _fake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(folder / "count"))
    fake_model.sums(folder / "sums.jsonl", 12)


def calls(folder: Path) -> int:
    return (folder / "count").stat().st_size if (folder / "count").exists() else 0


# ---- where ----
def test_an_output_named_as_a_file_is_written_whole_and_goes_on(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:n {DATA} --policies sc_fixed:n=2 --output out/pool.v1.parquet"
    assert testtime(f"{line} --max_examples 3").code == 0
    assert pl.read_parquet(folder / "out/pool.v1.parquet").height == 6
    assert pq.read_table(folder / "out/pool.v1.parquet").schema.metadata[b"model"] == b"fake:n"
    assert pq.read_table(folder / "out/pool.v1.parquet").schema.metadata[b"notes"] == b"", "as the documents read it"
    assert {path.name for path in (folder / "out").iterdir()} == {"pool.v1.parquet", "pool.v1.run", "pool.v1.jsonl"}
    assert testtime(line).code == 0
    assert pl.read_parquet(folder / "out/pool.v1.parquet").height == 24
    assert testtime("replay out/pool.v1.parquet --policies sc_fixed:n=2").code == 0
    before = calls(folder)
    assert "no call was made" in testtime("run --config out/pool.v1.run/spec.yaml").out
    assert calls(folder) == before


@pytest.mark.parametrize("output", ["sums.parquet", "sums.jsonl"])
def test_an_output_never_replaces_a_file_that_no_run_wrote(testtime: Run, folder: Path, output: str) -> None:
    before = (folder / "sums.jsonl").read_bytes()
    said = testtime(f"run --model fake:n {DATA} --policies sc_fixed:n=1 --output {output}")
    assert said.code == 2
    assert "sums.jsonl" in said.err
    assert (folder / "sums.jsonl").read_bytes() == before
    assert not (folder / "sums.run").exists()
    assert calls(folder) == 0


def test_candidates_without_policies_are_all_that_is_drawn(testtime: Run, folder: Path) -> None:
    assert testtime(f"run --model fake:n {DATA} --num_candidates 3 --output pool.parquet").code == 0
    assert pl.read_parquet(folder / "pool.parquet").height == 36
    texts = yaml.safe_load((folder / "pool.run/spec.yaml").read_bytes())["policies"]
    assert "sc_fixed:n=3" in texts
    assert not [text for text in texts if re.search("n=([4-9]|1[0-9])", text)]


def test_a_pool_says_which_configuration_and_commit_it_is_of(testtime: Run, folder: Path) -> None:
    """All documented metadata keys, as bytes; also where the pool is drawn on from another commit and by its spec."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True).stdout.strip()
    (folder / "exp").mkdir()
    (folder / "exp/x.yaml").write_text(
        "dataset: gsm8k\ndataset_path: sums.jsonl\nmodel: fake:n\nnum_candidates: 2\ntemperature: 0.7\nnotes: why\n"
    )
    assert testtime("run --config exp/x.yaml --max-queries 3").code == 0
    said = pq.read_table(folder / "exp/results/x.parquet").schema.metadata
    assert (said[b"config_file"], said[b"git_commit"], said[b"notes"]) == (b"exp/x.yaml", commit, b"why")
    documented = ("generated_at", "model", "num_candidates", "temperature", "splits", "total_records")
    ours = ("config", "config_hash", "testtime_version", "seed", "provider")
    assert [key for key in (*documented, *ours) if key.encode() not in said] == []
    assert testtime("run --config exp/results/x.run/spec.yaml --max-queries 4").code == 0
    assert pq.read_schema(folder / "exp/results/x.parquet").metadata[b"config_file"] == b"exp/x.yaml"


def test_a_configuration_keeps_its_pool_beside_itself(testtime: Run, folder: Path) -> None:
    asked = {"model": "fake:n", "dataset": "gsm8k", "dataset_path": "sums.jsonl", "policies": "sc_fixed:n=1"}
    (folder / "mine").mkdir()
    (folder / "mine/small.yaml").write_text(json.dumps(asked))
    line = "run --config mine/small.yaml --max_queries 2"
    assert testtime(line).code == 0
    there = {path.name for path in (folder / "mine/results").iterdir()}
    assert there == {"small.parquet", "small.run", "small.jsonl"}
    assert not (folder / "results").exists()
    assert testtime(f"{line} --model fake:n fake:one").code == 0
    grid = {path.name for path in (folder / "mine/results").glob("small_*.parquet")}
    assert grid == {"small_model=fake-n.parquet", "small_model=fake-one.parquet"}
    for place in ("--out_dir other", "--run named"):
        assert testtime(f"{line} {place}").code == 0
    assert (folder / "results/named").is_dir()
    assert len(list((folder / "other").glob("*/spec.yaml"))) == 1


def test_an_output_may_hold_what_the_run_is(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:n {DATA} --policies sc_fixed:n=2 --max_examples 2 --temperature 0.5"
    assert testtime(f"{line} --output out/{{model}}_n{{n}}_t{{temperature}}_{{date}}.parquet").code == 0
    (made,) = (folder / "out").glob("*.parquet")
    assert re.fullmatch(r"n_n2_t0\.5_20\d{6}\.parquet", made.name)
    assert "no call was made" in testtime(f"run --config out/{made.stem}.run/spec.yaml").out
    ran = testtime(f"{line} --output out/{{colour}}.parquet")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "{model}, {n}, {temperature}, {date}" in ran.err


def test_outcomes_named_as_a_file_are_lines_that_analyze_reads(testtime: Run, folder: Path) -> None:
    assert testtime(f"run --model fake:n {DATA} --policies sc_fixed:n=2 --output_file out/sums.jsonl").code == 0
    assert {json.loads(line)["setting"] for line in (folder / "out/sums.jsonl").read_text().splitlines()} == {"n=2"}
    assert not (folder / "out/sums.parquet").exists()
    assert testtime("analyze --glob out/*.jsonl --out_csv table.csv").code == 0


@pytest.mark.parametrize(
    ("more", "says"), [("--output x.csv", "end it in .parquet"), ("--output x.parquet --run r", "both an output and")]
)
def test_an_output_that_cannot_be_is_refused(testtime: Run, folder: Path, more: str, says: str) -> None:
    ran = testtime(f"run --model fake:n {DATA} {more}")
    assert (ran.code, ran.err.count("\n"), calls(folder)) == (2, 1, 0)
    assert says in ran.err


def test_an_interrupt_writes_the_named_output(folder: Path) -> None:
    from test_run import after, process

    argv = f"run --model fake:one {DATA} --policies sc_fixed:n=4 --concurrency 2 --output p.parquet"
    running = process(folder, argv, seconds=0.05)
    after(folder, 10, running)
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == 130
    assert 0 < pl.read_parquet(folder / "p.parquet").height < 48
    assert "FAKE_COUNT" in os.environ


# ---- how much ----
def test_a_cap_stops_with_code_3_and_a_higher_one_goes_on(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:one {DATA} --policies sc_fixed:n=4 --max_tokens 40 --output p.parquet"
    ran = testtime(f"{line} --max_total_tokens 900")
    assert ran.code == 3
    assert ran.err.splitlines()[-1].startswith("testtime: p: max_total_tokens 900: ")
    assert "next: testtime" in ran.out
    assert "the same command with a higher --max_total_tokens goes on from it" in " ".join((ran.out + ran.err).split())
    there = pl.read_parquet(folder / "p.parquet").height
    assert 0 < there < 48
    assert calls(folder) == there
    assert testtime(f"{line} --max_total_tokens 900").code == 3
    assert calls(folder) == there
    assert testtime(line).code == 0
    assert (pl.read_parquet(folder / "p.parquet").height, calls(folder)) == (48, 48)


def test_a_cap_on_money_without_a_price_is_refused_before_any_call(testtime: Run, folder: Path) -> None:
    ran = testtime(f"run --model fake:one {DATA} --max_cost 1")
    assert (ran.code, calls(folder)) == (2, 0)
    assert "max_cost needs the price of fake:one" in ran.err


def test_a_model_that_fails_too_often_stops_with_code_3(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testtime.core.errors import ModelError

    monkeypatch.setattr(fake_model, "reply", lambda request, seed: ModelError("404 no such model"))
    ran = testtime(f"run --model fake:one {DATA} --policies sc_fixed:n=4 --run r")
    assert ran.code == 3
    assert "draws failed, more than 20%; the last one: 404 no such model" in ran.err
    assert pl.read_parquet(folder / "results/r/candidates.parquet").height == calls(folder) < 48


def test_a_small_run_of_which_too_much_failed_ends_with_code_3_and_goes_on_saying_so(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testtime.core.errors import ModelError

    def half(request: object, seed: int) -> str | ModelError:
        return ModelError("404 no such model") if seed % 2 else "Final Answer: 1"

    whole = fake_model.reply
    monkeypatch.setattr(fake_model, "reply", half)
    line = f"run --model fake:one {DATA} --policies sc_fixed:n=2 --max_examples 5 --run r"
    ran = testtime(line)
    assert (ran.code, calls(folder)) == (3, 10)
    assert "testtime: r: 5 of 10 draws failed, more than 20%; the last one: 404 no such model" in ran.err
    again = testtime(line)
    assert (again.code, calls(folder)) == (3, 10)
    assert "what is left failed for good: --retry_failed all makes it again" in again.out
    monkeypatch.setattr(fake_model, "reply", lambda request, seed: whole(request, 1))
    assert (testtime(f"{line} --retry_failed all").code, calls(folder)) == (0, 15)
    assert testtime(line).code == 0


# ---- a grid ----
def test_several_values_of_a_key_are_a_run_each_named_readably(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:n fake:one --temperature 0.3 0.9 {DATA} --policies sc_fixed --sc_n 1 2 --max_examples 4"
    assert testtime(line).code == 0
    names = sorted(path.name[:-9] for path in (folder / "results").iterdir() if path.is_dir())
    assert names == [f"gsm8k_fake_{model}_temperature={value}" for model in ("n", "one") for value in ("0.3", "0.9")]
    before = calls(folder)
    assert testtime(line).out.count("no call was made") == 4
    assert calls(folder) == before
    named = testtime(f"run --model fake:n --seed 1 2 {DATA} --policies sc_fixed:n=1 --max_examples 2 --run mine")
    assert named.code == 0
    assert {"mine_seed=1", "mine_seed=2"} <= {path.name for path in (folder / "results").iterdir()}


def test_a_grid_in_a_file_and_from_python_is_the_same(testtime: Run, folder: Path) -> None:
    asked = {"model": "fake:n", "dataset": "gsm8k", "dataset_path": "sums.jsonl", "policies": "sc_fixed:n=1"}
    asked["out_dir"] = "results"
    (folder / "grid.yaml").write_text(json.dumps({**asked, "seed": [1, 2]}))
    assert testtime("run --config grid.yaml").code == 0
    before = calls(folder)
    ran = tt.run_all(asked, seed=[1, 2])
    assert [one.drawn.unchanged for one in ran] == [True, True]
    assert calls(folder) == before
    with pytest.raises(BadInput, match="a grid, here of 2 runs"):
        tt.run(asked, seed=[1, 2])


def test_a_grid_of_which_one_run_cannot_be_begins_none(testtime: Run, folder: Path) -> None:
    ran = testtime(f"run --model fake:n nobody:x {DATA}")
    assert (ran.code, calls(folder), (folder / "results").exists()) == (2, 0, False)


# ---- what has changed ----
def test_other_weights_under_one_name_never_reuse_draws(testtime: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "run --model pocket-s --dataset pocket-math --split easy --max_examples 2 --policies sc_fixed:n=1 --run r"
    assert testtime(line).code == 0
    monkeypatch.setattr(PocketModel, "digest_of_files", staticmethod(lambda model: "0123456789ab"))
    ran = testtime(line)
    assert ran.code == 2
    assert "model_digest is " in ran.err
    assert "'0123456789ab' here" in ran.err


def test_a_changed_gold_answer_is_judged_anew_and_nothing_is_redrawn(testtime: Run, folder: Path) -> None:
    line = f"run --model fake:n {DATA} --policies sc_fixed:n=8 --run r"
    testtime(line)
    before, first = calls(folder), pl.read_parquet(folder / "results/r/candidates.parquet")
    rows = [json.loads(line) for line in (folder / "sums.jsonl").read_text().splitlines()]
    rows[3]["answer"] = "so #### 7000"
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = testtime(line)
    assert calls(folder) == before
    assert "8 draws were judged anew" in ran.out
    again = pl.read_parquet(folder / "results/r/candidates.parquet")
    changed = first["is_verified"].ne_missing(again["is_verified"])
    assert set(first.filter(changed)["query_id"]) == {first["query_id"].unique(maintain_order=True)[3]}
    assert "judged anew" not in testtime(line).out


def test_a_changed_parser_reads_the_stored_texts_again(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"run --model fake:n {DATA} --policies sc_fixed:n=8 --run r"
    testtime(line)
    before = calls(folder)

    @dataclasses.dataclass(frozen=True)
    class Stricter(Gsm8k):
        def answer(self, problem: Any, text: str) -> tuple[str | None, str | None]:
            printed, key = super().answer(problem, text)
            return (printed, key) if "so" in text else (None, None)

    monkeypatch.setattr(build, "parser_of", lambda task: "another")
    monkeypatch.setattr("testtime.tasks.gsm8k.Gsm8k", Stricter)
    ran = testtime(line)
    assert "the answers of 96 draws were read again" in ran.out
    assert calls(folder) == before
    rows = pl.read_parquet(folder / "results/r/candidates.parquet")
    silent = rows.filter(~pl.col("candidate_text").str.contains("so"))
    assert silent["answer_key"].null_count() == silent.height > 0
    assert not silent["is_verified"].any()
