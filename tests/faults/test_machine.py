"""The machine fails: the disk is full or read-only, a second process comes, the clock jumps, thousands of files are
open, the process may open hardly any. One line and an exit code, or nothing at all to notice; never a lost reply.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import bad_server
import polars as pl
import pytest

import fake_model
from testtime.cli import main
from testtime.core.records import Limits
from testtime.sandbox import bubblewrap

SCRIPT = Path(fake_model.__file__)
LINE = "run --dataset gsm8k --dataset_path sums.jsonl --policies sc_fixed:n=4 --model"


def can_mount() -> bool:
    words = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return shutil.which("unshare") is not None and subprocess.run(words, capture_output=True).returncode == 0


needs_mount = pytest.mark.skipif(not can_mount(), reason="a disk of a test's own cannot be mounted here")


def on_a_disk(work: Path, size: str, *steps: str) -> list[tuple[int, str]]:
    """Runs shell steps with a disk of that size mounted at `disk`: (exit code, the last line it said) of each."""
    (work / "disk").mkdir()
    each = "; ".join(f"({step}) 2>said; echo $? $(tail -n 1 said)" for step in steps)
    script = f"mount -t tmpfs -o size={size} tmpfs disk && {each}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=work, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    lines = [line for line in done.stdout.split("\n") if line[:1].isdigit()]
    return [(int(code), said) for code, _, said in (line.partition(" ") for line in lines)]


def command(folder: str, more: str = "") -> str:
    return f"{sys.executable} {SCRIPT} {LINE} fake:one --out_dir {folder} --run r {more} >/dev/null"


def candidates(place: Path) -> pl.DataFrame:
    return pl.read_parquet(place).drop("latency_s", "timestamp", "joules", "alone", "calls")


@needs_mount
def test_a_full_disk_is_one_line_and_with_room_it_goes_on(work: Path) -> None:
    assert main([*LINE.split(), "fake:one", "--out_dir", "whole", "--run", "r"]) == 0
    (work / "count").unlink()
    full, more, last = on_a_disk(
        work, "24k", command("disk"), "mount -o remount,size=20m disk", f"{command('disk')} && cp -r disk/r kept"
    )
    assert full[0] == 2
    assert full[1].startswith("testtime: disk/r")
    assert "cannot be written: No space left on device" in full[1]
    assert (more[0], last[0]) == (0, 0)
    assert (work / "count").stat().st_size <= 24 + 16, "asked again are at most those under way at the end"
    assert candidates(work / "kept/candidates.parquet").equals(candidates(work / "whole/r/candidates.parquet"))


@needs_mount
@pytest.mark.parametrize("there", [False, True])
def test_a_read_only_disk_is_one_line_before_any_call(work: Path, there: bool) -> None:
    first = command("disk", "--max_queries 2") if there else "true"
    ended = on_a_disk(work, "20m", first, "cp count before 2>/dev/null; mount -o remount,ro disk", command("disk"))
    assert [code for code, _ in ended] == [0, 0, 2]
    assert ended[2][1].startswith("testtime: disk/r")
    assert "cannot be" in ended[2][1]
    assert "Read-only file system" in ended[2][1]
    counts = [(work / name).stat().st_size for name in ("count", "before") if (work / name).exists()]
    assert len(set(counts)) <= 1, "a call was made"


def test_of_two_processes_the_second_refuses_and_disturbs_nothing(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    both = [
        subprocess.Popen(
            [sys.executable, SCRIPT, *LINE.split(), "fake:one", "--run", "r", "--concurrency", "2"],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [one.communicate()[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 2]
    refused = next(text for one, text in zip(both, said, strict=True) if one.returncode == 2)
    assert "results/r: in use by process " in refused
    assert len(refused.strip().split("\n")) <= 2
    assert (work / "count").stat().st_size == 24
    assert candidates(work / "results/r/candidates.parquet").height == 24


def test_a_clock_that_jumps_gives_no_negative_time_and_the_same_pool(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*LINE.split(), "fake:one", "--run", "whole"]) == 0
    dice, true = random.Random(3), time.time
    monkeypatch.setattr(time, "time", lambda: true() + dice.uniform(-1e8, 1e8))
    assert main([*LINE.split(), "fake:one", "--run", "r"]) == 0
    frame = pl.read_parquet(work / "results/r/candidates.parquet")
    calls = pl.read_parquet(work / "results/r/calls.parquet")
    assert frame["latency_s"].min() >= 0
    assert (calls["ended"] >= calls["started"]).all()
    assert candidates(work / "results/r/candidates.parquet").equals(
        candidates(work / "results/whole/candidates.parquet")
    )
    assert main([*LINE.split(), "fake:one", "--run", "r"]) == 0


@pytest.fixture
def many_files(request: pytest.FixtureRequest) -> object:
    """Thousands of files are open already, so that every further number is above a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 5000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    handles = [os.open(os.devnull, os.O_RDONLY) for _ in range(3000)]
    yield
    for handle in handles:
        os.close(handle)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_with_thousands_of_open_files_hundreds_of_calls_are_in_flight(work: Path) -> None:
    pytest.importorskip("openai")
    fake_model.sums(work / "sums.jsonl", 300)
    with bad_server.running() as server:
        line = f"{LINE} vllm:m --base_url {server.url} --run r --concurrency 256".replace("n=4", "n=1")
        assert main(line.split()) == 0
        assert sum(server.asked.values()) == 300
    assert pl.read_parquet(work / "results/r/candidates.parquet")["is_verified"].sum() == 300


@pytest.mark.usefixtures("many_files")
@pytest.mark.skipif(bubblewrap.missing() is not None, reason=f"no bubblewrap: {bubblewrap.missing()}")
def test_with_thousands_of_open_files_programs_are_judged() -> None:
    sandbox = bubblewrap.Bubblewrap(1)
    try:
        ran = asyncio.run(sandbox.run("print(6 * 7)", "", Limits(seconds=5.0, memory_mb=256)))
        assert ran.stdout == "42\n"
    finally:
        sandbox.close()


@pytest.mark.parametrize("files", [8, 16])
def test_where_hardly_any_file_may_be_opened_it_is_whole_or_one_line(work: Path, files: int) -> None:
    done = subprocess.run(
        ["bash", "-c", f"ulimit -n {files}; exec {sys.executable} {SCRIPT} {LINE} fake:one --run r"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert done.returncode == 2
        assert "Too many open files" in done.stderr.strip().split("\n")[-1]
        assert main([*LINE.split(), "fake:one", "--run", "r"]) == 0
    assert candidates(work / "results/r/candidates.parquet").height == 24
    assert (work / "count").stat().st_size <= 24 + 16
