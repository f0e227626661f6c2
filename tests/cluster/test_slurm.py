"""A real Slurm does with our scripts what they are written for. `make check-slurm` installs it and runs this."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from one_node import lacking, slurm, told, until
from real import ASKED, draws, four_parts, text

from testtime.cli import main
from testtime.store.folder import runs
from testtime.store.journal import read_journal

WHY = "make check-slurm runs it" if os.environ.get("TESTTIME_REAL") != "slurm" else lacking("slurmctld", "munged")
pytestmark = pytest.mark.skipif(WHY is not None, reason=str(WHY))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], None]]:
    with slurm(tmp_path_factory.mktemp("slurm")) as crash:
        yield crash


@pytest.fixture
def work(cluster: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hasten(job: str) -> None:
    """Slurm begins what was queued again after two minutes; here after a few seconds.

    Not at once: a node refuses a job within the second in which it was told to end it, and that is the job's end.
    """
    wanted = "--Format=ArrayJobID:20,ArrayTaskID:20,RestartCnt:20,Reason:40"
    for line in told("squeue", "--noheader", "--array", wanted).split("\n"):
        if line.startswith(f"{job} ") and line.split()[3:] == ["BeginTime"] and line not in hastened:
            hastened.add(line)
            task = "_".join(line.split()[:2])
            subprocess.run(["scontrol", "update", f"JobId={task}", "StartTime=now+3"], check=False)


hastened: set[str] = set()
"""What `squeue` said of the tasks that were told when to begin, each restart once."""


def number(submission: Path) -> str:
    return (submission / "job").read_text().split()[0]


def received_once(shards: list[Path]) -> None:
    for shard in shards:
        answered = [line for line in read_journal(shard).records if line["kind"] == "call" and line["status"] == "ok"]
        assert set(Counter(key for line in answered for key in line["children"]).values()) == {1}, shard


def test_a_killed_and_a_warned_part_are_queued_again_and_the_merged_run_is_the_run_undivided(work: Path) -> None:
    def warn(task: str, pid: int) -> None:
        subprocess.run(["scancel", "--batch", "--signal=USR1", task], check=True)

    four_parts(work, "slurm", ["--partition", "main"], warn, hasten)


def test_each_part_has_gpus_of_its_own(work: Path) -> None:
    line = "submit --cluster slurm --model pocket-s --dataset pocket-math --splits easy --max_queries 4 --run g"
    both = 'touch "at.$SLURM_ARRAY_TASK_ID"; until [ -e at.1 ] && [ -e at.2 ]; do sleep 0.1; done'
    seen = f"trap 'echo GPUS ${{CUDA_VISIBLE_DEVICES:-none}} of ${{task:-merge}}' EXIT; {both}"
    more = ["--policies", "sc_fixed:n=1", "--shards", "2", "--gpus", "2", "--setup", seen]
    assert main([*line.split(), *more]) == 0
    logs = work / "results/g.submit/log"
    until(lambda: text(logs).count("GPUS ") >= 2, lambda: f"two parts do not begin: {text(logs)}")
    said = {line for line in text(logs).split("\n") if line.startswith("GPUS ")}
    assert {line.split()[1] for line in said if line.endswith(("of 1", "of 2"))} == {"0,1", "2,3"}
    until((work / "results/g/summary.csv").exists, lambda: f"nothing is merged: {text(logs)}")


def test_a_cancelled_part_is_not_queued_again_and_the_same_command_goes_on(work: Path) -> None:
    line = "submit --cluster slurm --model pocket-s --dataset pocket-math --splits easy --max_queries 60 --run c"
    words = [*line.split(), "--policies", "sc_fixed:n=16", "--shards", "2"]
    assert main(words) == 0
    shards = [work / f"results/c.{at}of2" for at in (1, 2)]
    until(lambda: all((shard / "journal").exists() for shard in shards), lambda: "no part begins")
    job = (work / "results/c.submit/job").read_text().split()[0]
    assert main(words) == 2, "it is still at work"
    subprocess.run(["scancel", f"{job}_1"], check=True)
    logs = work / "results/c.submit/log"
    until(lambda: "not merged: 1" in text(logs), lambda: f"the merge does not say what is missing: {text(logs)}")
    assert not (work / "results/c").exists()
    until(lambda: not told("squeue", "--noheader").strip(), lambda: "jobs are left")
    assert main(words) == 0
    until((work / "results/c/summary.csv").exists, lambda: f"nothing is merged: {text(logs)}")


def test_a_grid_that_an_urgent_job_preempts_goes_on_as_one_and_one_report_reads_it(work: Path) -> None:
    words = ["submit", "--cluster", "slurm", *ASKED[:8], "--temperature", "0.5", "0.8", "--run", "p"]
    assert main([*words, "--policies", "sc_fixed:n=16", "--shards", "2", "--partition", "main"]) == 0
    results, logs = work / "results", work / "results/p.submit/log"
    until(lambda: sum(map(draws, results.glob("p_*of2"))) > 0, lambda: "no part draws")
    subprocess.run(["sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 4"], check=True)
    restarts = ("squeue", "--noheader", "--array", f"--jobs={number(results / 'p.submit')}", "--Format=RestartCnt")
    until(lambda: set(told(*restarts).split()) - {"0"}, lambda: f"nothing is preempted: {told('squeue')}")

    def merged() -> bool:
        hasten(number(results / "p.submit"))
        return (results / "p.submit/summary.csv").exists()

    until(merged, lambda: f"the grid is not merged: {text(logs)} {told('squeue')}")
    received_once(list(results.glob("p_*of2")))
    whole = [run.path for run in runs(results) if run.name.startswith("p_") and "of2" not in run.name]
    assert len(whole) == 2, whole
    assert main(["report", *map(str, whole), "--out", str(work / "all.html")]) == 0
    page = (work / "all.html").read_text()
    assert all(run.name in page for run in whole)


def test_parts_of_a_machine_that_dies_go_on_when_another_takes_them(work: Path, cluster: Callable[[], None]) -> None:
    assert main(["submit", "--cluster", "slurm", *ASKED, "--run", "d", "--shards", "2"]) == 0
    shards = [work / f"results/d.{at}of2" for at in (1, 2)]
    for shard in shards:
        until(lambda shard=shard: draws(shard), lambda shard=shard: f"{shard.name} draws nothing")
    for shard in shards:
        process = int((shard / "lock").read_text().partition('"pid": ')[2].partition(",")[0])
        script = parent(process)
        for one in (parent(script), script, process):  # the scheduler's own, the script, the run: all at once
            os.kill(one, signal.SIGKILL)
    cluster()

    def merged() -> bool:
        hasten(number(work / "results/d.submit"))
        return (work / "results/d/summary.csv").exists()

    until(merged, lambda: f"nothing is merged: {text(work / 'results/d.submit/log')} {told('squeue')}")
    received_once(shards)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_logs_lie_where_a_folder_with_an_odd_name_is(work: Path) -> None:
    """What Slurm would fill in or break at stands in the folder's name: blanks, %, $, quotes, brackets."""
    line = "--model pocket-s --dataset pocket-math --splits easy --max_queries 4 --policies sc_fixed:n=2 --run r"
    place = work / "50%A off $HOME's [1]"
    assert main(["submit", "--cluster", "slurm", *line.split(), "--shards", "2", "--out_dir", str(place)]) == 0
    until(lambda: (place / "r/summary.csv").exists(), lambda: text(place / "r.submit/log"))
    logs = sorted(path.name for path in (place / "r.submit/log").iterdir())
    assert [name.partition(".")[2] for name in logs] == ["1.log", "2.log", "merge.log"]
