"""What schedulers are given: the scripts as they are meant to be, and what they do in the hands of one.

The scripts run here as a scheduler would start them: its variables are set, and its commands write down what they
are asked. Real schedulers: test_slurm.py, test_gridengine.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from jobs import GRID, PLAIN, SCHEDULERS, untimed

import fake_model
from testtime.cli import main
from testtime.cluster.job import Job, Resources, scripts
from testtime.cluster.slurm import Slurm
from testtime.core.errors import BadInput
from testtime.models import BUILTIN
from testtime.runspec import RunSpec
from testtime.session import merge
from testtime.submit import prepared, write

GOLDEN = Path(__file__).parent / "golden"
SUBMIT = "submit --cluster slurm --dataset gsm8k --dataset_path sums.jsonl --model fake:one --run q"
TEXTS = {
    f"{job.name[3:]}.{kind}.{name}": text
    for kind, scheduler in SCHEDULERS.items()
    for job in (PLAIN, GRID)
    for name, text in scripts(job, scheduler()).items()
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_scripts_are_the_golden_ones(name: str) -> None:
    assert (GOLDEN / name).read_text(encoding="utf-8") == TEXTS[name], "read it, and write it there if it is right"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here")
@pytest.mark.parametrize("name", TEXTS)
def test_shellcheck_finds_nothing(name: str) -> None:
    found = subprocess.run(["shellcheck", "--external-sources", "--exclude=SC1091", GOLDEN / name], capture_output=True)
    assert found.returncode == 0, found.stdout.decode()


# ---- in the hands of a scheduler ----
@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Eight problems by a fake model in two parts, and commands of Slurm that only write down what they are asked."""
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(tmp_path / "count"))
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    for name, more in (("scontrol", "exit 1"), ("sbatch", "echo 17"), ("squeue", f"cat {tmp_path}/queued")):
        command(tmp_path / "bin" / name, f'echo "{name} $*" >>"{tmp_path}/asked"\n{more}')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    (tmp_path / "queued").touch()
    script = Path(fake_model.__file__)
    python = command(
        tmp_path / "python", f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\nshift 2\n'
        f'exec {sys.executable} {script} "$@"',
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    made, parts, _ = prepared([spec(tmp_path)], 2, Resources())
    write(job := replace(made, python=str(python)), parts)
    return job


def spec(folder: Path, **more: object) -> RunSpec:
    path = fake_model.sums(folder / "sums.jsonl", 8)
    usual = {"model": "fake:one", "dataset": "gsm8k", "dataset_path": path, "run": "r", "concurrency": 1}
    return RunSpec(**{**usual, "policies": ["sc_fixed:n=4"], "num_candidates": 4, "retry_failed": "none", **more})


def command(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


def begun(job: Job, name: str = "part.sh", task: int = 1) -> subprocess.Popen[str]:
    """A script that was started by itself, as the leader of a session."""
    text = scripts(job, SCHEDULERS["slurm"]())[name]
    return subprocess.Popen(
        ["bash", "-c", text], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def drawing(job: Job, least: int = 2) -> int:
    """Waits until the first part has drawn something; the process that draws."""
    shard = job.runs[0].shards[0]
    for _ in range(60_000):  # ten minutes: a busy machine is no failure
        if (lock := shard / "lock").exists() and drawn(shard) >= least and lock.read_text():
            return int(lock.read_text().partition('"pid": ')[2].partition(",")[0])
        time.sleep(0.01)
    raise AssertionError("nothing was drawn")


def drawn(shard: Path) -> int:
    return sum(b'"kind":"draw"' in line for path in shard.glob("journal/*") for line in path.read_bytes().split(b"\n"))


def asked(job: Job) -> str:
    path = job.work / "asked"
    return path.read_text() if path.exists() else ""


def ended(part: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said."""
    _, said = part.communicate()
    return part.returncode, said


def test_two_signals_at_once_are_one(job: Job) -> None:
    """As GridEngine sends them: USR2 before it kills, and TERM that the script passes on."""
    part = begun(job)
    process = drawing(job)
    for number in (signal.SIGSTOP, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT):
        os.kill(process, number)
    said = ended(part)[1]
    assert "testtime: interrupted" in said
    assert "Traceback" not in said


def test_a_killed_part_is_queued_again_goes_on_and_the_whole_is_the_run_undivided(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begun(job), begun(job, task=2)
    os.kill(drawing(job), signal.SIGKILL)
    assert "part 1 is queued again: killed by signal 9, for the 1. time" in ended(first)[1]
    assert asked(job) == "scontrol requeue 17_1\n"
    assert not (job.folder / "ended/1").exists()
    monkeypatch.setenv("FAKE_SECONDS", "0")
    assert [ended(part)[0] for part in (begun(job), second)] == [0, 0]
    assert (job.work / "count").stat().st_size <= 32 + 1, "what was drawn is not asked for again"
    assert ended(begun(job, "merge.sh"))[0] == 0
    assert main(["run", "--config", str(job.folder / "1.yaml"), "--run", "whole"]) == 0
    one, other = (untimed(job.work / f"results/{name}/candidates.parquet") for name in ("r", "whole"))
    assert one.equals(other)


@pytest.mark.parametrize(
    ("number", "all_at_once", "again"),
    [(signal.SIGUSR1, False, True), (signal.SIGUSR2, True, False), (signal.SIGTERM, True, False)],
)
def test_a_signal_stops_it_cleanly(job: Job, number: int, all_at_once: bool, again: bool) -> None:
    """Slurm tells the script, or all its processes; GridEngine all. What is there is written either way."""
    part = begun(job)
    drawing(job)
    (os.killpg if all_at_once else os.kill)(part.pid, number)
    _, said = ended(part)
    assert "testtime: interrupted" in said
    assert ("part 1 is queued again: its time was nearly up" in said) == again == ("requeue" in asked(job))
    shard = job.runs[0].shards[0]
    assert 0 < pl.read_parquet(shard / "candidates.parquet").height == drawn(shard) < 16
    assert (shard / "lock").read_text() == ""
    assert not (job.folder / "ended/1").exists()


def ending(job: Job, how: str) -> Job:
    """The same with a run that is one line of shell."""
    return replace(job, python=str(command(job.work / "instead", how)))


def test_a_part_that_is_killed_again_and_again_is_given_up(job: Job) -> None:
    killed = ending(job, "kill -KILL $$")
    for time_ in range(1, 5):
        code, said = ended(begun(killed))
        assert f"for the {time_}. time" in said
        assert ("given up" in said, code) == ((True, 137) if time_ == 4 else (False, 1))
    assert asked(job).count("requeue") == 3


@pytest.mark.parametrize(("code", "told"), [(0, 0), (3, 0), (1, 1), (2, 2), (130, 130)])
def test_an_end_or_a_cap_leaves_its_mark_and_what_the_user_must_mend_is_not_queued_again(
    job: Job, code: int, told: int
) -> None:
    assert ended(begun(ending(job, f"exit {code}")))[0] == told
    assert (job.folder / "ended/1").exists() == (told == 0)
    assert asked(job) == ""


def test_a_run_whose_parts_have_not_all_ended_is_not_merged(job: Job) -> None:
    (job.folder / "ended/1").touch()
    code, said = ended(begun(job, "merge.sh"))
    assert code == 1
    assert "these parts have not ended, so their run is not merged: 2" in said
    assert not (job.work / "results/r").exists()


def test_the_gpus_that_were_given_are_the_parts_own_and_fewer_than_asked_for_are_refused(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = replace(ending(job, f'echo "$CUDA_VISIBLE_DEVICES" >{job.work}/seen'), needs=Resources(gpus="2"))
    for name, given, seen in (
        ("CUDA_VISIBLE_DEVICES", "3", None), ("CUDA_VISIBLE_DEVICES", "3,5", "3,5"), ("SLURM_JOB_GPUS", "0,1", "0,1"),
    ):  # fmt: skip
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setenv(name, given)
        code, said = ended(begun(two))
        assert code == (0 if seen else 2)
        assert ("2 GPUs were asked for" in said) == (seen is None)
        assert seen is None or (job.work / "seen").read_text() == f"{seen}\n"


def test_a_model_server_is_started_on_a_free_port_for_each_part(job: Job) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    serve = f"{sys.executable} -m testtime serve --model echo:x --host {{host}} --port {{port}} --served_name echo"
    served = spec(job.work, model="vllm:echo", run="s", serve=serve, api="chat", send_seed=False)
    made, parts, _ = prepared([served], 2, Resources())
    assert made.runs[0].serves == ["model"]
    write(made := replace(made, python=job.python), parts)
    both = [begun(made, task=task) for task in (1, 2)]
    assert [ended(part)[0] for part in both] == [0, 0]
    logs = [log for shard in made.runs[0].shards for log in shard.glob("server-*.log")]
    assert len(logs) == 2
    assert len({log.name for log in logs}) == 2, "two ports"
    assert merge(made.runs[0].shards).progress.kept == 32


# ---- what is asked of it ----
def test_limits_are_shared_by_the_parts(job: Job) -> None:
    limits = {"max_cost": 6.0, "max_total_tokens": 900, "requests_per_minute": 60.0}
    limited = spec(job.work, prices=prices(job.work), **limits)
    for at_once, rate in ((None, 30.0), (1, 60.0)):
        _, (part,), notes = prepared([limited], 2, Resources(at_once=at_once))
        assert (part.max_cost, part.max_total_tokens, part.requests_per_minute) == (3.0, 450, rate)
        assert "max_cost 6 is shared: 3 for each of 2 parts" in notes
    with pytest.raises(BadInput, match="max_total_tokens 1 is too little for 2 parts"):
        prepared([spec(job.work, max_total_tokens=1)], 2, Resources())


def prices(folder: Path) -> Path:
    (path := folder / "prices.yaml").write_text("fake:*: {prompt: 1, completion: 3}\n")
    return path


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--shards 7", "would hold none of 8 problems"), ("--shard 1/2", "--shard names one part"),
        ("--time 90", "--time 90 is no time"), ("--gpus 0", "--gpus 0 is no number of GPUs"),
        ("--policies nobody", "unknown policy"), ("--gpus 2 --serve vllm --tensor_parallel 4", "tensor_parallel is 4"),
        ("--shards 0", "0 shards"), ("--cpus 0", "--cpus 0 is too few"), ("--at_once -1", "--at_once -1 is too few"),
        ('--out_dir my"runs', "Slurm cannot be told of a folder with '\"' in its name"),
    ],
)  # fmt: skip
def test_what_cannot_be_submitted_is_one_line_and_leaves_nothing(
    job: Job, more: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(job.work.rglob("*"))
    assert main([*SUBMIT.split(), *more.split()]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert sorted(job.work.rglob("*")) == before


def test_a_submission_is_two_jobs_and_one_that_still_runs_is_not_submitted_twice(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SUBMIT.split(), "--shards", "2", "--queue", "long"]) == 0
    assert "submitted: job 17, 2 parts of 1 run; job 17 merges them" in capsys.readouterr().out
    place = job.work / "results/q.submit"
    assert asked(job).split("\n")[:2] == [
        f"sbatch --parsable {place}/part.sh", f"sbatch --parsable --dependency=afterany:17 {place}/merge.sh",
    ]  # fmt: skip
    assert "#SBATCH --partition=long\n" in (place / "part.sh").read_text()
    (job.work / "queued").write_text("17\n")
    assert main([*SUBMIT.split(), "--shards", "2"]) == 2
    assert "job 17 of an earlier submission is still queued or runs" in capsys.readouterr().err
    (job.work / "queued").write_text("18\n")
    assert main([*SUBMIT.split(), "--shards", "2"]) == 0


def test_a_name_that_the_scheduler_would_fill_in_is_given_as_it_is(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SUBMIT.split(), "--shards", "2", "--out_dir", "50%A off", "--print"]) == 0
    assert "/50%%A off/q.submit/log/%A.%a.log" in capsys.readouterr().out
    line = SUBMIT.replace("slurm", "gridengine")
    assert main([*line.split(), "--shards", "2", "--out_dir", "a b", "--print"]) == 2
    assert "GridEngine cannot be told of a folder with ' ' in its name" in capsys.readouterr().err


def test_an_array_whose_merge_was_not_taken_is_not_submitted_again(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    command(job.work / "bin/sbatch", 'case "$*" in *merge.sh) echo full >&2; exit 1;; esac\necho 17')
    assert main([*SUBMIT.split(), "--shards", "2"]) == 2
    assert "sbatch did not take it: full" in capsys.readouterr().err
    (job.work / "queued").write_text("17\n")
    assert main([*SUBMIT.split(), "--shards", "2"]) == 2
    assert "job 17 of an earlier submission is still queued or runs" in capsys.readouterr().err


def test_a_second_submission_at_the_same_moment_is_refused(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Slurm, "submit", lambda *_, **__: str(main([*SUBMIT.split(), "--shards", "2"])))
    assert main([*SUBMIT.split(), "--shards", "2"]) == 0
    assert "another submission is being made here; wait for it" in capsys.readouterr().err


def test_what_ray_is_not_told_is_said_before_it_is_asked(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    line = SUBMIT.replace("--cluster slurm", "--cluster ray")
    assert main([*line.split(), "--shards", "2", "--time", "1:00:00", "--partition", "long", "--print"]) == 0
    out = capsys.readouterr().out
    assert "part 2: " in out
    assert "note: Ray is not told --time, --partition, and refuses it" in out


def test_a_grid_is_one_submission(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SUBMIT.split(), "--temperature", "0.5", "0.8", "--shards", "2", "--print"]) == 0
    printed = capsys.readouterr().out
    assert "#SBATCH --array=1-4\n" in printed
    assert "q_temperature=0.5.2of2" in printed
    assert "analyze --glob" in printed
    assert not (job.work / "results/q.submit").exists()


def test_a_part_on_another_machine_takes_over_what_it_held_itself(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from testtime.store.folder import JOB, RunFolder

    folder = RunFolder.at(job.work, "held").create()
    folder.lock.write_text('{"host": "gone", "pid": 4, "start": "then", "job": "x:1"}')
    held: Callable[[], object] = lambda: folder.held().__enter__()  # noqa: E731
    for name in (None, "x:2"):
        if name:
            monkeypatch.setenv(JOB, name)
        with pytest.raises(BadInput, match="in use by process 4 on gone"):
            held()
    monkeypatch.setenv(JOB, "x:1")
    with folder.held() as note:
        assert note == "took over from process 4, which has ended"
        assert '"job": "x:1"' in folder.lock.read_text()
