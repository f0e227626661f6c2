"""A local Ray draws all parts, a killed worker is started again and goes on, and what is merged is the run undivided.

`make check-ray` installs it and runs this.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from jobs import untimed
from one_node import PATIENCE, until
from real import ASKED, draws

from testtime.cli import main
from testtime.store.journal import read_journal

ray = pytest.importorskip("ray", reason="make check-ray installs it")


def submitted(*more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "testtime", "submit", "--cluster", "ray", *ASKED, "--run", "r", *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_worker_goes_on_and_the_merged_run_is_the_run_undivided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process = submitted("--shards", "4", "--at_once", "2")
    shard = tmp_path / "results/r.1of4"
    until(lambda: draws(shard) or process.poll() is not None, lambda: "nothing is drawn")
    os.kill(int((shard / "lock").read_text().partition('"pid": ')[2].partition(",")[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "4 of 4 parts ended" in err
    assert "results/r/candidates.parquet" in out
    assert main(["run", *ASKED, "--run", "whole"]) == 0
    one, other = (untimed(tmp_path / f"results/{name}/candidates.parquet") for name in ("r", "whole"))
    assert one.equals(other)
    for at in range(1, 5):
        records = read_journal(tmp_path / f"results/r.{at}of4").records
        answered = [line for line in records if line["kind"] == "call" and line["status"] == "ok"]
        assert set(Counter(key for line in answered for key in line["children"]).values()) == {1}
    journals = {path: path.stat().st_size for path in (tmp_path / "results").glob("r.*/journal/*")}
    again = submitted("--shards", "4", "--at_once", "2")
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert journals == {path: path.stat().st_size for path in journals}, "the same command again asks for nothing"


def test_what_ray_is_not_told_and_has_no_room_for_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for more, says in ((["--time", "1:00:00"], "Ray is not told --time"), (["--cpus", "999"], "a part needs 999 CPUs")):
        process = submitted("--shards", "2", *more)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
        assert says in err.strip().split("\n")[-1]
