"""A real Slurm does with our scripts what they are written for. `make check-slurm` installs it and runs this."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_node import lacking, slurm, told, until
from real import four_parts, text

from testtime.cli import main

WHY = "make check-slurm runs it" if os.environ.get("TESTTIME_REAL") != "slurm" else lacking("slurmctld", "munged")
pytestmark = pytest.mark.skipif(WHY is not None, reason=str(WHY))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture
def work(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_killed_and_a_warned_part_are_queued_again_and_the_merged_run_is_the_run_undivided(work: Path) -> None:
    def warn(task: str, pid: int) -> None:
        subprocess.run(["scancel", "--batch", "--signal=USR1", task], check=True)

    def hasten(job: str) -> None:
        """Slurm begins what was queued again after two minutes; here at once."""
        for task in told("squeue", "--noheader", "--array", "--format=%i %t %r").split("\n"):
            if task.startswith(f"{job}_") and "BeginTime" in task:
                subprocess.run(["scontrol", "update", f"JobId={task.split()[0]}", "StartTime=now"], check=False)

    four_parts(work, "slurm", ["--partition", "main"], warn, hasten)


def test_each_part_has_gpus_of_its_own(work: Path) -> None:
    line = "submit --cluster slurm --model pocket-s --dataset pocket-math --splits easy --max_queries 4 --run g"
    seen = "trap 'echo GPUS ${CUDA_VISIBLE_DEVICES:-none} of ${task:-merge}; sleep 2' EXIT"
    more = ["--policies", "sc_fixed:n=1", "--shards", "2", "--gpus", "2", "--setup", seen]
    assert main([*line.split(), *more]) == 0
    logs = work / "results/g.submit/log"
    until(lambda: text(logs).count("GPUS ") >= 2, 60, f"two parts do not begin: {text(logs)}")
    said = {line for line in text(logs).split("\n") if line.startswith("GPUS ")}
    assert {line.split()[1] for line in said if line.endswith(("of 1", "of 2"))} == {"0,1", "2,3"}
    until((work / "results/g/summary.csv").exists, 120, f"nothing is merged: {text(logs)}")


def test_a_cancelled_part_is_not_queued_again_and_the_same_command_goes_on(work: Path) -> None:
    line = "submit --cluster slurm --model pocket-s --dataset pocket-math --splits easy --max_queries 60 --run c"
    words = [*line.split(), "--policies", "sc_fixed:n=16", "--shards", "2"]
    assert main(words) == 0
    shards = [work / f"results/c.{at}of2" for at in (1, 2)]
    until(lambda: all((shard / "journal").exists() for shard in shards), 120, "no part begins")
    job = (work / "results/c.submit/job").read_text().split()[0]
    assert main(words) == 2, "it is still at work"
    subprocess.run(["scancel", f"{job}_1"], check=True)
    logs = work / "results/c.submit/log"
    until(lambda: "not merged: 1" in text(logs), 240, f"the merge does not say what is missing: {text(logs)}")
    assert not (work / "results/c").exists()
    until(lambda: not told("squeue", "--noheader").strip(), 60, "jobs are left")
    assert main(words) == 0
    until((work / "results/c/summary.csv").exists, 240, f"nothing is merged: {text(logs)}")
