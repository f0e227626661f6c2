"""A real GridEngine does with our scripts what they are for. `make check-gridengine` installs it and runs this."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_node import gridengine, lacking, told, until
from real import four_parts, text

from testtime.cli import main

REAL = os.environ.get("TESTTIME_REAL") == "gridengine"
WHY = lacking("sge_qmaster", "sge_execd", "qsub") if REAL else "make check-gridengine runs it"
pytestmark = pytest.mark.skipif(WHY is not None, reason=str(WHY))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with gridengine(tmp_path_factory.mktemp("gridengine")):
        yield


@pytest.fixture
def work(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_killed_and_a_warned_part_are_queued_again_and_the_merged_run_is_the_run_undivided(work: Path) -> None:
    def warn(task: str, pid: int) -> None:
        """As GridEngine does where s_rt is over: to all processes of the part."""
        os.killpg(os.getpgid(pid), signal.SIGUSR1)

    four_parts(work, "gridengine", ["--queue", "main.q"], warn, lambda job: None)


def test_a_cancelled_part_is_not_queued_again_and_the_same_command_goes_on(work: Path) -> None:
    line = "submit --cluster gridengine --model pocket-s --dataset pocket-math --splits easy --max_queries 60 --run c"
    words = [*line.split(), "--policies", "sc_fixed:n=16", "--shards", "2"]
    assert main(words) == 0
    shards = [work / f"results/c.{at}of2" for at in (1, 2)]
    until(lambda: all((shard / "journal").exists() for shard in shards), lambda: "no part begins")
    job = (work / "results/c.submit/job").read_text().split()[0]
    assert main(words) == 2, "it is still at work"
    subprocess.run(["qdel", job, "-t", "1"], check=True)
    logs = work / "results/c.submit/log"
    until(lambda: "not merged: 1" in text(logs), lambda: "the merge does not say what is missing")
    assert "testtime: interrupted" in text(logs), "it was told before it was killed"
    assert not (work / "results/c").exists()
    until(lambda: not told("qstat", "-u", "*").strip(), lambda: "jobs are left")
    assert main(words) == 0
    until((work / "results/c/summary.csv").exists, lambda: "nothing is merged")
