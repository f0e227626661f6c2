"""SIGKILL at any moment of any stage (start, drawing, writing, merging, judging anew): the same command goes on, asks
for no reply that was received, and the pool in the end is the one of a run that nobody disturbed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from length import LONG

import fake_model
from testtime.store.journal import read_journal

RUN = "run --model fake:one --dataset gsm8k --dataset_path sums.jsonl --policies adaptive_margin:max_n=6 --run r"
STAGES = {
    "first part": f"{RUN} --shard 1/2",
    "second part": f"{RUN} --shard 2/2",
    "merge": "merge results/r.1of2 results/r.2of2",
    "judge anew": "verify results/r --verifier math",
}


def start(line: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, fake_model.__file__, *line.split()]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def candidates(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "results/r/candidates.parquet").drop("latency_s", "timestamp", "joules", "alone")


@pytest.fixture
def whole(work: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How long each stage takes; what comes of them undisturbed lies in `whole`."""
    monkeypatch.setenv("FAKE_SECONDS", "0.03")
    seconds = {}
    for stage, line in STAGES.items():
        began = time.monotonic()
        assert start(line).wait() == 0, stage
        seconds[stage] = time.monotonic() - began
    (work / "whole").mkdir()
    os.rename("results", "whole/results")
    (work / "count").unlink()
    return seconds


@pytest.mark.skipif(not LONG, reason="make faults runs it; tests/cli/test_run.py kills runs alone")
def test_killed_anywhere_it_ends_as_if_nothing_had_happened(work: Path, whole: dict[str, float]) -> None:
    dice, kills = random.Random(), 0
    for stage, line in STAGES.items():
        for _ in range(10 if LONG else 1):
            process = start(line)
            time.sleep(dice.uniform(0.2, 1.1) * whole[stage])
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        assert start(line).wait() == 0, f"{stage} does not go on"
    assert candidates(work).equals(candidates(work / "whole"))
    for part in ("r.1of2", "r.2of2", "r"):
        lines = read_journal(work / "results" / part).records
        answered = [line for line in lines if line["kind"] == "call" and line["status"] == "ok"]
        assert set(Counter(key for line in answered for key in line["children"]).values()) == {1}
    calls = [line for part in ("r.1of2", "r.2of2") for line in read_journal(work / "results" / part).records]
    ended = {line["id"] for line in calls if line["kind"] == "call"}
    lost = {line["id"] for line in calls if line["kind"] == "sent"} - ended
    served = (work / "count").stat().st_size
    assert len(ended) <= served <= len(ended) + len(lost), f"after {kills} kills"
